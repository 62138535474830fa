"""What doctors ask for beside the main line, and the state of a record whose test was put off."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from dingkao.database.migrations import secure_tenant_table

revision = "0007"
down_revision = "0006"

KINDS = "kind in ('exemption', 'deferral', 'change', 'correction', 'appeal')"
STATES = "state in ('draft', 'first_pending', 'second_pending', 'granted', 'refused', 'withdrawn')"
SIDES = "in ('institution', 'organisation', 'province', 'another')"
OPEN = sa.text("state in ('draft', 'first_pending', 'second_pending')")
WAITING = sa.text("state in ('first_pending', 'second_pending')")
BEFORE = (
    "'not_included', 'included', 'draft', 'institution_pending', 'institution_returned', "
    "'organisation_pending', 'organisation_returned', 'ready'"
)
AFTER = "'testing', 'scored', 'absent', 'grading', 'confirming', 'passed', 'failed'"


def upgrade() -> None:
    op.execute("ALTER TABLE assessment DROP CONSTRAINT assessment_state_known_ck")
    op.execute(
        f"ALTER TABLE assessment ADD CONSTRAINT assessment_state_known_ck CHECK (state in ({BEFORE}, "
        f"'deferred', {AFTER}))"
    )
    op.add_column(
        "assessment",
        sa.Column(
            "exempted",
            sa.Boolean(),
            nullable=False,
            server_default="false",
        ),
    )
    op.alter_column("assessment", "exempted", server_default=None)
    op.create_table(
        "request",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("assessment_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("first_side", sa.Text(), nullable=False),
        sa.Column("second_side", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("reason_words", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("content_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("proposed", postgresql.JSONB(), nullable=True),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("first_by", sa.Uuid(), nullable=True),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("first_opinion", sa.Text(), nullable=True),
        sa.Column("second_by", sa.Uuid(), nullable=True),
        sa.Column("second_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("second_opinion", sa.Text(), nullable=True),
        sa.CheckConstraint(KINDS, name=op.f("request_kind_known_ck")),
        sa.CheckConstraint(STATES, name=op.f("request_state_known_ck")),
        sa.CheckConstraint(
            f"first_side {SIDES}",
            name=op.f("request_first_side_known_ck"),
        ),
        sa.CheckConstraint(
            f"second_side {SIDES}",
            name=op.f("request_second_side_known_ck"),
        ),
        sa.CheckConstraint(
            "second_by is null or second_by <> first_by",
            name=op.f("request_two_persons_ck"),
        ),
        sa.CheckConstraint(
            "(state in ('draft', 'withdrawn')) or submitted_at is not null",
            name=op.f("request_submitted_ck"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "assessment_id"],
            ["assessment.tenant_id", "assessment.id"],
            name=op.f("request_tenant_id_assessment_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("request_pk")),
    )
    op.create_index(
        "request_open_ix",
        "request",
        ["tenant_id", "assessment_id", "kind"],
        unique=True,
        postgresql_where=OPEN,
    )
    op.create_index(
        op.f("request_tenant_id_assessment_id_id_ix"),
        "request",
        ["tenant_id", "assessment_id", "id"],
    )
    op.create_index(
        "request_waiting_ix",
        "request",
        ["tenant_id", "state", "submitted_at", "id"],
        postgresql_where=WAITING,
    )
    op.create_table(
        "request_file",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("uploaded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind in ('proof', 'photo')",
            name=op.f("request_file_kind_known_ck"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "request_id"],
            ["request.tenant_id", "request.id"],
            name=op.f("request_file_tenant_id_request_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("request_file_pk")),
    )
    op.create_index(
        op.f("request_file_tenant_id_request_id_id_ix"),
        "request_file",
        ["tenant_id", "request_id", "id"],
    )
    for table in ("request", "request_file"):
        secure_tenant_table(table)


def downgrade() -> None:
    op.drop_table("request_file")
    op.drop_table("request")
    op.drop_column("assessment", "exempted")
    op.execute("ALTER TABLE assessment DROP CONSTRAINT assessment_state_known_ck")
    op.execute(
        f"ALTER TABLE assessment ADD CONSTRAINT assessment_state_known_ck CHECK (state in ({BEFORE}, "
        f"{AFTER}))"
    )
