"""Documents, pass lines, publications, certificates; operators of the platform."""

import sqlalchemy as sa
from alembic import op

from dingkao.database.migrations import (
    grant_platform_table,
    secure_tenant_table,
)

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "pass_line",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("cycle_id", sa.Uuid(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("line_tenths", sa.Integer(), nullable=False),
        sa.Column("proposed_by", sa.Uuid(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("approved_by", sa.Uuid(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "category in ('clinical', 'dental', 'public_health', 'chinese')",
            name=op.f("pass_line_category_known_ck"),
        ),
        sa.CheckConstraint(
            "level in ('physician', 'assistant')",
            name=op.f("pass_line_level_known_ck"),
        ),
        sa.CheckConstraint(
            "approved_by is null or approved_by <> proposed_by",
            name=op.f("pass_line_two_persons_ck"),
        ),
        sa.CheckConstraint(
            "line_tenths between 0 and 1000",
            name=op.f("pass_line_line_sane_ck"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "cycle_id"],
            ["cycle.tenant_id", "cycle.id"],
            name=op.f("pass_line_tenant_id_cycle_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pass_line_pk")),
    )
    op.create_index(
        "pass_line_standing_ix",
        "pass_line",
        ["tenant_id", "cycle_id", "category", "level"],
        unique=True,
        postgresql_where=sa.text("withdrawn_at is null"),
    )
    op.create_table(
        "publication",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("cycle_id", sa.Uuid(), nullable=False),
        sa.Column("passed", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("proposed_by", sa.Uuid(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("approved_by", sa.Uuid(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "approved_by is null or approved_by <> proposed_by",
            name=op.f("publication_two_persons_ck"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "cycle_id"],
            ["cycle.tenant_id", "cycle.id"],
            name=op.f("publication_tenant_id_cycle_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("publication_pk")),
    )
    op.create_index(
        op.f("publication_tenant_id_cycle_id_id_ix"),
        "publication",
        ["tenant_id", "cycle_id", "id"],
        unique=False,
    )
    op.create_table(
        "document",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("doctor_id", sa.Uuid(), nullable=False),
        sa.Column("cycle_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("uploaded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind in ('photo', 'proof')",
            name=op.f("document_kind_known_ck"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "cycle_id"],
            ["cycle.tenant_id", "cycle.id"],
            name=op.f("document_tenant_id_cycle_id_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "doctor_id"],
            ["doctor.tenant_id", "doctor.id"],
            name=op.f("document_tenant_id_doctor_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("document_pk")),
    )
    op.create_index(
        op.f("document_tenant_id_doctor_id_id_ix"),
        "document",
        ["tenant_id", "doctor_id", "id"],
        unique=False,
    )
    op.create_table(
        "certificate",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("assessment_id", sa.Uuid(), nullable=False),
        sa.Column("serial", sa.Text(), nullable=False),
        sa.Column("content_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("holder_masked", sa.Text(), nullable=False),
        sa.Column("cycle_label", sa.Text(), nullable=False),
        sa.Column("issued_on", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=True),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("drawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("downloaded_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state in ('issued', 'revoked', 'replaced')",
            name=op.f("certificate_state_known_ck"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "assessment_id"],
            ["assessment.tenant_id", "assessment.id"],
            name=op.f("certificate_tenant_id_assessment_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("certificate_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "serial",
            name=op.f("certificate_tenant_id_serial_uq"),
        ),
    )
    op.create_index(
        "certificate_standing_ix",
        "certificate",
        ["tenant_id", "assessment_id"],
        unique=True,
        postgresql_where=sa.text("state = 'issued'"),
    )
    op.create_table(
        "publication_entry",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("publication_id", sa.Uuid(), nullable=False),
        sa.Column("assessment_id", sa.Uuid(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "verdict in ('passed', 'failed')",
            name=op.f("publication_entry_verdict_known_ck"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "assessment_id"],
            ["assessment.tenant_id", "assessment.id"],
            name=op.f("publication_entry_tenant_id_assessment_id_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "publication_id"],
            ["publication.tenant_id", "publication.id"],
            name=op.f("publication_entry_tenant_id_publication_id_fk"),
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id",
            "publication_id",
            "assessment_id",
            name=op.f("publication_entry_pk"),
        ),
    )
    op.create_index(
        op.f("publication_entry_tenant_id_assessment_id_ix"),
        "publication_entry",
        ["tenant_id", "assessment_id"],
        unique=False,
    )
    op.add_column("assessment", sa.Column("graded_by", sa.Uuid(), nullable=True))
    op.add_column("assessment", sa.Column("accepted_by", sa.Uuid(), nullable=True))
    op.add_column(
        "filing",
        sa.Column("practice_sealed", sa.LargeBinary(), nullable=True),
    )
    op.create_table(
        "operator",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("code_hash", sa.LargeBinary(), nullable=True),
        sa.Column("code_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("second_factor_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("second_factor_counter", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state in ('initial', 'active', 'closed')",
            name=op.f("operator_state_known_ck"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("operator_pk")),
        sa.UniqueConstraint("user_name", name=op.f("operator_user_name_uq")),
        schema="platform",
    )
    op.create_table(
        "operator_act",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("operator_id", sa.Uuid(), nullable=True),
        sa.Column("verb", sa.Text(), nullable=False),
        sa.Column("province", sa.Integer(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("details", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("operator_act_pk")),
        schema="platform",
    )
    op.create_table(
        "operator_session",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("operator_id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "second_factor_at",
            sa.DateTime(timezone=True),
            nullable=True,
        ),
        sa.ForeignKeyConstraint(
            ["operator_id"],
            ["platform.operator.id"],
            name=op.f("operator_session_operator_id_fk"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("operator_session_pk")),
        sa.UniqueConstraint("token_hash", name=op.f("operator_session_token_hash_uq")),
        schema="platform",
    )
    for table in (
        "pass_line",
        "publication",
        "publication_entry",
        "document",
        "certificate",
    ):
        secure_tenant_table(table)
    for table in ("platform.operator", "platform.operator_session"):
        grant_platform_table(table, app="")
    grant_platform_table("platform.operator_act", app="", platform="SELECT, INSERT")
