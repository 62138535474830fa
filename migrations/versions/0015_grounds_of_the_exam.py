"""Questions have a topic and may be true or false; a paper has marks by type; a voided sitting leaves room
for another of the same paper."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0015"
down_revision = "0014"

KINDS = ("A1", "A2", "A3", "A4", "B1", "X")


def _kinds(kinds: tuple[str, ...]) -> None:
    op.drop_constraint(op.f("question_kind_known_ck"), "question")
    op.create_check_constraint(
        op.f("question_kind_known_ck"),
        "question",
        f"kind in ({', '.join(repr(kind) for kind in kinds)})",
    )


def upgrade() -> None:
    _kinds((*KINDS, "TF"))
    op.add_column("question", sa.Column("topic", sa.Text()))
    op.add_column(
        "paper",
        sa.Column("marks", JSONB, nullable=False, server_default="{}"),
    )
    op.alter_column("paper", "marks", server_default=None)
    op.add_column("sitting", sa.Column("voided_at", sa.DateTime(timezone=True)))
    op.drop_constraint(op.f("sitting_tenant_id_assessment_id_paper_id_uq"), "sitting")
    op.create_index(
        "sitting_of_paper_ix",
        "sitting",
        ["tenant_id", "assessment_id", "paper_id"],
        unique=True,
        postgresql_where=sa.text("voided_at is null"),
    )


def downgrade() -> None:
    op.drop_index("sitting_of_paper_ix", "sitting")
    op.create_unique_constraint(
        op.f("sitting_tenant_id_assessment_id_paper_id_uq"),
        "sitting",
        ["tenant_id", "assessment_id", "paper_id"],
    )
    op.drop_column("sitting", "voided_at")
    op.drop_column("paper", "marks")
    op.drop_column("question", "topic")
    _kinds(KINDS)
