"""The record, filings, the exam, jobs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from dingkao.database.migrations import secure_tenant_table

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "job",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("arguments", postgresql.JSONB(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Uuid(), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("result", postgresql.JSONB(), nullable=True),
        sa.Column("sentence", sa.Text(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "state in ('waiting', 'running', 'done', 'failed')",
            name=op.f("job_state_known_ck"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("job_pk")),
    )
    op.create_index(
        op.f("job_tenant_id_asked_by_id_ix"),
        "job",
        ["tenant_id", "asked_by", "id"],
        unique=False,
    )
    op.create_index(
        op.f("job_tenant_id_state_id_ix"),
        "job",
        ["tenant_id", "state", "id"],
        unique=False,
    )
    op.create_table(
        "question_bank",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("question_bank_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "name",
            name=op.f("question_bank_tenant_id_name_uq"),
        ),
    )
    op.create_table(
        "paper",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("cycle_id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("counts", postgresql.JSONB(), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("opens_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closes_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "category in ('clinical', 'dental', 'public_health', 'chinese')",
            name=op.f("paper_category_known_ck"),
        ),
        sa.CheckConstraint(
            "level in ('physician', 'assistant')",
            name=op.f("paper_level_known_ck"),
        ),
        sa.CheckConstraint(
            "subject in ('common', 'professional')",
            name=op.f("paper_subject_known_ck"),
        ),
        sa.CheckConstraint(
            "minutes between 1 and 600",
            name=op.f("paper_minutes_sane_ck"),
        ),
        sa.CheckConstraint(
            "opens_at < closes_at",
            name=op.f("paper_window_in_order_ck"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "cycle_id"],
            ["cycle.tenant_id", "cycle.id"],
            name=op.f("paper_tenant_id_cycle_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("paper_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "cycle_id",
            "subject",
            "category",
            "level",
            name=op.f("paper_tenant_id_cycle_id_subject_category_level_uq"),
        ),
    )
    op.create_table(
        "question_group",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("bank_id", sa.Uuid(), nullable=False),
        sa.Column("stem", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "bank_id"],
            ["question_bank.tenant_id", "question_bank.id"],
            name=op.f("question_group_tenant_id_bank_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("question_group_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "bank_id",
            "digest",
            name=op.f("question_group_tenant_id_bank_id_digest_uq"),
        ),
    )
    op.create_table(
        "assessment",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("doctor_id", sa.Uuid(), nullable=False),
        sa.Column("cycle_id", sa.Uuid(), nullable=False),
        sa.Column("round", sa.Text(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("assessor_id", sa.Uuid(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("procedure", sa.Text(), nullable=True),
        sa.Column("performance", sa.Text(), nullable=True),
        sa.Column("ethics", sa.Text(), nullable=True),
        sa.Column("competence", sa.Text(), nullable=True),
        sa.Column("opinion", sa.Text(), nullable=True),
        sa.Column("returned_reason", sa.Text(), nullable=True),
        sa.Column("leased_by", sa.Uuid(), nullable=True),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "competence in ('pass', 'fail')",
            name=op.f("assessment_competence_known_ck"),
        ),
        sa.CheckConstraint(
            "ethics in ('pass', 'fail')",
            name=op.f("assessment_ethics_known_ck"),
        ),
        sa.CheckConstraint(
            "performance in ('pass', 'fail')",
            name=op.f("assessment_performance_known_ck"),
        ),
        sa.CheckConstraint(
            "procedure in ('general', 'simple')",
            name=op.f("assessment_procedure_known_ck"),
        ),
        sa.CheckConstraint(
            "round in ('first', 'makeup', 'reassessment', 'early')",
            name=op.f("assessment_round_known_ck"),
        ),
        sa.CheckConstraint(
            (
                "state in ('not_included', 'included', 'draft', 'institution_pending', "
                "'institution_returned', 'organisation_pending', 'organisation_returned', 'ready', "
                "'testing', 'scored', 'absent', 'grading', 'confirming', 'passed', 'failed')"
            ),
            name=op.f("assessment_state_known_ck"),
        ),
        sa.CheckConstraint(
            "state not in ('passed', 'failed') or (performance is not null and ethics is not null)",
            name=op.f("assessment_final_is_graded_ck"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "assessor_id"],
            ["organisation.tenant_id", "organisation.id"],
            name=op.f("assessment_tenant_id_assessor_id_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "cycle_id"],
            ["cycle.tenant_id", "cycle.id"],
            name=op.f("assessment_tenant_id_cycle_id_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "doctor_id"],
            ["doctor.tenant_id", "doctor.id"],
            name=op.f("assessment_tenant_id_doctor_id_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "institution_id"],
            ["organisation.tenant_id", "organisation.id"],
            name=op.f("assessment_tenant_id_institution_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("assessment_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "cycle_id",
            "doctor_id",
            "round",
            name=op.f("assessment_tenant_id_cycle_id_doctor_id_round_uq"),
        ),
    )
    op.create_index(
        op.f("assessment_tenant_id_assessor_id_cycle_id_state_id_ix"),
        "assessment",
        ["tenant_id", "assessor_id", "cycle_id", "state", "id"],
        unique=False,
    )
    op.create_index(
        op.f("assessment_tenant_id_cycle_id_state_id_ix"),
        "assessment",
        ["tenant_id", "cycle_id", "state", "id"],
        unique=False,
    )
    op.create_index(
        op.f("assessment_tenant_id_doctor_id_ix"),
        "assessment",
        ["tenant_id", "doctor_id"],
        unique=False,
    )
    op.create_index(
        op.f("assessment_tenant_id_institution_id_cycle_id_state_id_ix"),
        "assessment",
        ["tenant_id", "institution_id", "cycle_id", "state", "id"],
        unique=False,
    )
    op.create_table(
        "filing",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("doctor_id", sa.Uuid(), nullable=False),
        sa.Column("cycle_id", sa.Uuid(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("basic", postgresql.JSONB(), nullable=False),
        sa.Column("practice", postgresql.JSONB(), nullable=False),
        sa.Column("experience", postgresql.JSONB(), nullable=False),
        sa.Column("performance", postgresql.JSONB(), nullable=False),
        sa.Column("procedure", postgresql.JSONB(), nullable=False),
        sa.Column("qualification_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("photo_id", sa.Uuid(), nullable=True),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "cycle_id"],
            ["cycle.tenant_id", "cycle.id"],
            name=op.f("filing_tenant_id_cycle_id_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "doctor_id"],
            ["doctor.tenant_id", "doctor.id"],
            name=op.f("filing_tenant_id_doctor_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("filing_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "doctor_id",
            "cycle_id",
            name=op.f("filing_tenant_id_doctor_id_cycle_id_uq"),
        ),
    )
    op.create_table(
        "notice_reading",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("doctor_id", sa.Uuid(), nullable=False),
        sa.Column("cycle_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "cycle_id"],
            ["cycle.tenant_id", "cycle.id"],
            name=op.f("notice_reading_tenant_id_cycle_id_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "doctor_id"],
            ["doctor.tenant_id", "doctor.id"],
            name=op.f("notice_reading_tenant_id_doctor_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("notice_reading_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "doctor_id",
            "cycle_id",
            "digest",
            name=op.f("notice_reading_tenant_id_doctor_id_cycle_id_digest_uq"),
        ),
    )
    op.create_table(
        "question",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("bank_id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=True),
        sa.Column("group_position", sa.Integer(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("difficulty", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("current_version", sa.Uuid(), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "category in ('clinical', 'dental', 'public_health', 'chinese')",
            name=op.f("question_category_known_ck"),
        ),
        sa.CheckConstraint(
            "difficulty in ('easy', 'medium', 'hard')",
            name=op.f("question_difficulty_known_ck"),
        ),
        sa.CheckConstraint(
            "kind in ('A1', 'A2', 'A3', 'A4', 'B1', 'X')",
            name=op.f("question_kind_known_ck"),
        ),
        sa.CheckConstraint(
            "purpose in ('exam', 'practice')",
            name=op.f("question_purpose_known_ck"),
        ),
        sa.CheckConstraint(
            "subject in ('common', 'professional')",
            name=op.f("question_subject_known_ck"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "bank_id"],
            ["question_bank.tenant_id", "question_bank.id"],
            name=op.f("question_tenant_id_bank_id_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "group_id"],
            ["question_group.tenant_id", "question_group.id"],
            name=op.f("question_tenant_id_group_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("question_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "bank_id",
            "digest",
            name=op.f("question_tenant_id_bank_id_digest_uq"),
        ),
    )
    op.create_index(
        op.f("question_tenant_id_subject_category_purpose_kind_ix"),
        "question",
        ["tenant_id", "subject", "category", "purpose", "kind"],
        unique=False,
    )
    op.create_table(
        "admission_ticket",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("assessment_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "assessment_id"],
            ["assessment.tenant_id", "assessment.id"],
            name=op.f("admission_ticket_tenant_id_assessment_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("admission_ticket_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "assessment_id",
            name=op.f("admission_ticket_tenant_id_assessment_id_uq"),
        ),
        sa.UniqueConstraint(
            "tenant_id",
            "number",
            name=op.f("admission_ticket_tenant_id_number_uq"),
        ),
    )
    op.create_table(
        "practice_run",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("assessment_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("layout", postgresql.JSONB(), nullable=False),
        sa.Column("answers", postgresql.JSONB(), nullable=False),
        sa.Column("starred", postgresql.JSONB(), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "assessment_id"],
            ["assessment.tenant_id", "assessment.id"],
            name=op.f("practice_run_tenant_id_assessment_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("practice_run_pk")),
    )
    op.create_index(
        op.f("practice_run_tenant_id_assessment_id_id_ix"),
        "practice_run",
        ["tenant_id", "assessment_id", "id"],
        unique=False,
    )
    op.create_table(
        "question_version",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("question_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("case_stem", sa.Text(), nullable=True),
        sa.Column("stem", sa.Text(), nullable=False),
        sa.Column("options", postgresql.JSONB(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "question_id"],
            ["question.tenant_id", "question.id"],
            name=op.f("question_version_tenant_id_question_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("question_version_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "question_id",
            "number",
            name=op.f("question_version_tenant_id_question_id_number_uq"),
        ),
    )
    op.create_table(
        "sitting",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("assessment_id", sa.Uuid(), nullable=False),
        sa.Column("paper_id", sa.Uuid(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("layout", postgresql.JSONB(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closes_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("handed_in_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("handed_in_by", sa.Text(), nullable=True),
        sa.Column("score_tenths", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "handed_in_at is null or score_tenths is not null",
            name=op.f("sitting_handed_in_is_marked_ck"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "assessment_id"],
            ["assessment.tenant_id", "assessment.id"],
            name=op.f("sitting_tenant_id_assessment_id_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "paper_id"],
            ["paper.tenant_id", "paper.id"],
            name=op.f("sitting_tenant_id_paper_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("sitting_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "assessment_id",
            "paper_id",
            name=op.f("sitting_tenant_id_assessment_id_paper_id_uq"),
        ),
    )
    op.create_index(
        op.f("sitting_tenant_id_handed_in_at_closes_at_ix"),
        "sitting",
        ["tenant_id", "handed_in_at", "closes_at"],
        unique=False,
    )
    op.create_table(
        "sitting_answer",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("sitting_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("letters", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("tapped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "sitting_id"],
            ["sitting.tenant_id", "sitting.id"],
            name=op.f("sitting_answer_tenant_id_sitting_id_fk"),
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id",
            "sitting_id",
            "position",
            name=op.f("sitting_answer_pk"),
        ),
    )

    for table in (
        "job",
        "question_bank",
        "paper",
        "question_group",
        "assessment",
        "filing",
        "notice_reading",
        "question",
        "admission_ticket",
        "practice_run",
        "question_version",
        "sitting",
        "sitting_answer",
    ):
        secure_tenant_table(table)
