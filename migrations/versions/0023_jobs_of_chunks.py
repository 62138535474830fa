"""Jobs of chunks: a cursor, what was asked of one (pause, cancel), the row it is about."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0023"
down_revision = "0022"

STATES = "'waiting', 'running', 'paused', 'done', 'failed', 'cancelled'"
SUBJECTS = (
    "coalesce(arguments ->> 'paper', arguments ->> 'correction', arguments ->> 'import', arguments ->> "
    "'publication')"
)


def upgrade() -> None:
    op.add_column("job", sa.Column("subject_id", sa.Uuid(), nullable=True))
    op.add_column("job", sa.Column("requested", sa.Text(), nullable=True))
    op.add_column(
        "job",
        sa.Column(
            "undoing",
            sa.Boolean(),
            nullable=False,
            server_default=sa.false(),
        ),
    )
    op.add_column(
        "job",
        sa.Column("advanced_at", sa.DateTime(timezone=True), nullable=True),
    )
    op.add_column("job", sa.Column("cursor", JSONB(), nullable=True))
    op.add_column(
        "job",
        sa.Column("turn", sa.Integer(), nullable=False, server_default="0"),
    )
    op.alter_column("job", "undoing", server_default=None)
    op.alter_column("job", "turn", server_default=None)
    op.execute(f"UPDATE job SET subject_id = ({SUBJECTS})::uuid")  # noqa: S608 - a constant
    op.drop_constraint(op.f("job_state_known_ck"), "job")
    op.create_check_constraint(op.f("job_state_known_ck"), "job", f"state in ({STATES})")
    op.create_check_constraint(
        op.f("job_requested_known_ck"),
        "job",
        "requested in ('pause', 'cancel')",
    )
    op.create_index(
        op.f("job_tenant_id_name_subject_id_id_ix"),
        "job",
        ["tenant_id", "name", "subject_id", "id"],
    )


def downgrade() -> None:
    op.drop_index(op.f("job_tenant_id_name_subject_id_id_ix"), "job")
    op.drop_constraint(op.f("job_requested_known_ck"), "job")
    op.drop_constraint(op.f("job_state_known_ck"), "job")
    op.create_check_constraint(
        op.f("job_state_known_ck"),
        "job",
        "state in ('waiting', 'running', 'done', 'failed')",
    )
    for column in (
        "turn",
        "cursor",
        "advanced_at",
        "undoing",
        "requested",
        "subject_id",
    ):
        op.drop_column("job", column)
