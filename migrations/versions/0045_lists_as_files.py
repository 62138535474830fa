"""Lists of people asked for as files; jobs that were seen to have ended; files of jobs that expire."""

import sqlalchemy as sa
from alembic import op

from dingkao.database.migrations import secure_tenant_table

revision = "0045"
down_revision = "0044"

WAITS = "needs_approval and approved_at is null and withdrawn_at is null"
UNSEEN = "ended_at is not null and seen_at is null and asked_by is not null"
FORMER_EXPORTS = """
UPDATE job SET state = 'failed', ended_at = now(), sentence = '请在原来的页面点“导出”，重新提出。'
WHERE name IN ('export_publication', 'export_correction') AND state IN ('waiting', 'running', 'paused')
"""
"""These jobs are asked for in another way from now on."""


def upgrade() -> None:
    op.create_table(
        "export_request",
        sa.Column("tenant_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("list_code", sa.Text(), nullable=False),
        sa.Column("view", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("file_format", sa.Text(), nullable=False),
        sa.Column("is_unmasked", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("asked_by", sa.Uuid(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("needs_approval", sa.Boolean(), nullable=False),
        sa.Column("approved_by", sa.Uuid(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "file_format in ('xlsx', 'csv')", name=op.f("export_request_file_format_known_ck")
        ),
        sa.CheckConstraint(
            "approved_by is null or approved_by <> asked_by", name=op.f("export_request_two_persons_ck")
        ),
        sa.CheckConstraint(
            "approved_at is null or withdrawn_at is null",
            name=op.f("export_request_approved_or_withdrawn_ck"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("export_request_pk")),
    )
    op.create_foreign_key(
        op.f("export_request_tenant_id_asked_by_fk"),
        "export_request",
        "account",
        ["tenant_id", "asked_by"],
        ["tenant_id", "id"],
    )
    op.create_index(
        op.f("export_request_tenant_id_asked_by_id_ix"),
        "export_request",
        ["tenant_id", "asked_by", "id"],
    )
    op.create_index(
        "export_request_waits_ix",
        "export_request",
        ["tenant_id", "id"],
        postgresql_where=sa.text(WAITS),
    )
    secure_tenant_table("export_request")
    op.add_column("job", sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("job", sa.Column("file_expires_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE job SET seen_at = ended_at WHERE ended_at IS NOT NULL")
    op.execute("UPDATE job SET file_expires_at = now() + interval '7 days' WHERE result ? 'sheet'")
    op.execute(FORMER_EXPORTS)
    op.create_index("job_unseen_ix", "job", ["tenant_id", "asked_by"], postgresql_where=sa.text(UNSEEN))
    op.create_index(
        "job_file_expires_ix",
        "job",
        ["tenant_id", "file_expires_at"],
        postgresql_where=sa.text("file_expires_at is not null"),
    )


def downgrade() -> None:
    op.drop_index("job_file_expires_ix", "job")
    op.drop_index("job_unseen_ix", "job")
    op.drop_column("job", "file_expires_at")
    op.drop_column("job", "seen_at")
    op.drop_table("export_request")
