"""Marking by the province's rule; corrections of keys and the scores they change; item analysis; scores of
exams on paper."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from dingkao.database.migrations import secure_tenant_table

revision = "0018"
down_revision = "0017"

TREATMENTS = "'marked', 'credited', 'excluded'"
VERDICTS = "'pass', 'fail'"
TABLES = (
    "key_correction",
    "score_change",
    "paper_analysis",
    "score_import",
    "imported_score",
)


def _tenant() -> sa.Column[int]:
    return sa.Column("tenant_id", sa.Integer(), autoincrement=False, nullable=False)


def _to(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["tenant_id", column],
        [f"{target}.tenant_id", f"{target}.id"],
        name=op.f(f"{table}_tenant_id_{column}_fk"),
    )


def upgrade() -> None:
    op.add_column(
        "sitting",
        sa.Column("x_rule", sa.Text(), nullable=False, server_default="all"),
    )
    op.alter_column("sitting", "x_rule", server_default=None)
    op.create_check_constraint(
        op.f("sitting_x_rule_known_ck"),
        "sitting",
        "x_rule in ('all', 'partial')",
    )
    op.create_table(
        "key_correction",
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("treatment", sa.Text(), nullable=False),
        sa.Column("keys", JSONB(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("preview", JSONB(), nullable=True),
        sa.Column("proposed_by", sa.Uuid(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("approved_by", sa.Uuid(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("remarked_at", sa.DateTime(timezone=True), nullable=True),
        _tenant(),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            f"treatment in ({TREATMENTS})",
            name=op.f("key_correction_treatment_known_ck"),
        ),
        sa.CheckConstraint(
            "approved_by is null or approved_by <> proposed_by",
            name=op.f("key_correction_two_persons_ck"),
        ),
        _to("key_correction", "version_id", "question_version"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("key_correction_pk")),
    )
    op.create_index(
        "key_correction_standing_ix",
        "key_correction",
        ["tenant_id", "version_id"],
        unique=True,
        postgresql_where=sa.text("approved_at is not null and superseded_at is null"),
    )
    op.create_index(
        "key_correction_proposed_ix",
        "key_correction",
        ["tenant_id", "version_id"],
        unique=True,
        postgresql_where=sa.text("approved_at is null and withdrawn_at is null"),
    )
    op.create_table(
        "score_change",
        _tenant(),
        sa.Column("correction_id", sa.Uuid(), nullable=False),
        sa.Column("sitting_id", sa.Uuid(), nullable=False),
        sa.Column("assessment_id", sa.Uuid(), nullable=False),
        sa.Column("before_tenths", sa.Integer(), nullable=False),
        sa.Column("after_tenths", sa.Integer(), nullable=False),
        sa.Column("verdict_before", sa.Text(), nullable=True),
        sa.Column("verdict_after", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            f"verdict_before in ({VERDICTS})",
            name=op.f("score_change_verdict_before_known_ck"),
        ),
        sa.CheckConstraint(
            f"verdict_after in ({VERDICTS})",
            name=op.f("score_change_verdict_after_known_ck"),
        ),
        sa.CheckConstraint(
            "state in ('applied', 'waiting', 'kept', 'superseded')",
            name=op.f("score_change_state_known_ck"),
        ),
        _to("score_change", "correction_id", "key_correction"),
        _to("score_change", "sitting_id", "sitting"),
        _to("score_change", "assessment_id", "assessment"),
        sa.PrimaryKeyConstraint(
            "tenant_id",
            "correction_id",
            "sitting_id",
            name=op.f("score_change_pk"),
        ),
    )
    op.create_index(
        op.f("score_change_tenant_id_sitting_id_ix"),
        "score_change",
        ["tenant_id", "sitting_id"],
    )
    op.create_table(
        "paper_analysis",
        _tenant(),
        sa.Column("paper_id", sa.Uuid(), nullable=False),
        sa.Column("sittings", sa.Integer(), nullable=False),
        sa.Column("content", JSONB(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        _to("paper_analysis", "paper_id", "paper"),
        sa.PrimaryKeyConstraint("tenant_id", "paper_id", name=op.f("paper_analysis_pk")),
    )
    op.create_table(
        "score_import",
        sa.Column("cycle_id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("scores", sa.Integer(), nullable=False),
        sa.Column("proposed_by", sa.Uuid(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("approved_by", sa.Uuid(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("entered_at", sa.DateTime(timezone=True), nullable=True),
        _tenant(),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "approved_by is null or approved_by <> proposed_by",
            name=op.f("score_import_two_persons_ck"),
        ),
        _to("score_import", "cycle_id", "cycle"),
        _to("score_import", "organisation_id", "organisation"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("score_import_pk")),
    )
    op.create_index(
        op.f("score_import_tenant_id_cycle_id_id_ix"),
        "score_import",
        ["tenant_id", "cycle_id", "id"],
    )
    op.create_table(
        "imported_score",
        _tenant(),
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("assessment_id", sa.Uuid(), nullable=False),
        sa.Column("paper_id", sa.Uuid(), nullable=False),
        sa.Column("score_tenths", sa.Integer(), nullable=False),
        sa.Column("left_out", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "score_tenths between 0 and 1000",
            name=op.f("imported_score_score_sane_ck"),
        ),
        _to("imported_score", "import_id", "score_import"),
        _to("imported_score", "assessment_id", "assessment"),
        _to("imported_score", "paper_id", "paper"),
        sa.PrimaryKeyConstraint(
            "tenant_id",
            "import_id",
            "assessment_id",
            "paper_id",
            name=op.f("imported_score_pk"),
        ),
    )
    for table in TABLES:
        secure_tenant_table(table)


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
    op.drop_column("sitting", "x_rule")
