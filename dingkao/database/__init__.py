"""Rows: the base of all models, column types, migrations, roles. Of provinces this package knows only that a
row belongs to one."""
