"""The journal keeps from where one acts, and in which form an entry is sealed; so do jobs and the acts of
operators."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"

TABLES = (
    ("journal_entry", None),
    ("job", None),
    ("operator_act", "platform"),
)


def upgrade() -> None:
    for table, schema in TABLES:
        for name in ("address", "device"):
            op.add_column(table, sa.Column(name, sa.Text()), schema=schema)
    # the default stays: processes of the former version go on writing in form 1 until they are started anew
    op.add_column(
        "journal_entry",
        sa.Column("form", sa.Integer(), nullable=False, server_default="1"),
    )


def downgrade() -> None:
    op.drop_column("journal_entry", "form")
    for table, schema in TABLES:
        for name in ("device", "address"):
            op.drop_column(table, name, schema=schema)
