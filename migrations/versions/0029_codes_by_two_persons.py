"""A one-time code for a doctor may wait for a second person: who asked for it and why."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    op.add_column("one_time_code", sa.Column("asked_by", sa.Uuid(), nullable=True))
    op.add_column(
        "one_time_code",
        sa.Column(
            "waits",
            sa.Boolean(),
            nullable=False,
            server_default=sa.false(),
        ),
    )
    op.add_column("one_time_code", sa.Column("reason", sa.Text(), nullable=True))
    op.create_index(
        "one_time_code_waits_ix",
        "one_time_code",
        ["tenant_id", "issued_at"],
        postgresql_where=sa.text("waits"),
    )


def downgrade() -> None:
    op.drop_index("one_time_code_waits_ix", "one_time_code")
    for column in ("reason", "waits", "asked_by"):
        op.drop_column("one_time_code", column)
