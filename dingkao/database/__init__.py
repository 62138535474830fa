"""Rows: the base of every model, column types, migrations, roles. Knows of provinces only that a row has one."""
