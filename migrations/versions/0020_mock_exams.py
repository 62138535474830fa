"""Mock exams (模拟考试): tried beforehand on the screen of the exam, over the practice share."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from dingkao.database.migrations import secure_tenant_table

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.create_table(
        "mock_exam",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("assessment_id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("layout", JSONB(), nullable=False),
        sa.Column("marks", JSONB(), nullable=False),
        sa.Column("x_rule", sa.Text(), nullable=False),
        sa.Column("answers", JSONB(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closes_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("handed_in_at", sa.DateTime(timezone=True)),
        sa.Column("score_tenths", sa.Integer()),
        sa.CheckConstraint(
            "subject in ('common', 'professional')",
            name=op.f("mock_exam_subject_known_ck"),
        ),
        sa.CheckConstraint(
            "x_rule in ('all', 'partial')",
            name=op.f("mock_exam_x_rule_known_ck"),
        ),
        sa.CheckConstraint(
            "(handed_in_at is null) = (score_tenths is null)",
            name=op.f("mock_exam_handed_in_is_marked_ck"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("mock_exam_pk")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "assessment_id"],
            ["assessment.tenant_id", "assessment.id"],
            name=op.f("mock_exam_tenant_id_assessment_id_fk"),
        ),
    )
    op.create_index(
        op.f("mock_exam_tenant_id_assessment_id_id_ix"),
        "mock_exam",
        ["tenant_id", "assessment_id", "id"],
    )
    secure_tenant_table("mock_exam")


def downgrade() -> None:
    op.drop_table("mock_exam")
