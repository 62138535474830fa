"""The province's predicate in every policy: Citus drops the word RESTRICTIVE on its shards, and a permissive
`true` would open them."""

import sqlalchemy as sa
from alembic import op

from dingkao.database.migrations import CURRENT_TENANT_SQL

revision = "0021"
down_revision = "0020"

OPEN = """
select p.polname, c.relname from pg_policy p join pg_class c on c.oid = p.polrelid
where c.relnamespace = 'public'::regnamespace and p.polpermissive
    and pg_get_expr(p.polqual, p.polrelid) = 'true'
order by 2, 1
"""


def upgrade() -> None:
    # A transaction a table: locks on all of them at once would wait for those who work, and they for these.
    with op.get_context().autocommit_block():
        for policy, table in op.get_bind().execute(sa.text(OPEN)).all():
            op.execute(
                f"ALTER POLICY {policy} ON {table} USING (tenant_id = {CURRENT_TENANT_SQL}) WITH "
                f"CHECK (tenant_id = {CURRENT_TENANT_SQL})"
            )


def downgrade() -> None:
    """The older code needs no wider policy."""
