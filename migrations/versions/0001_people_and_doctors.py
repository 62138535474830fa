"""Provinces and their settings, people, doctors, cycles, the journal."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from dingkao.database.migrations import (
    grant_platform_table,
    secure_tenant_table,
)

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "province",
        sa.Column("code", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state in ('open', 'closed')",
            name=op.f("province_state_known_ck"),
        ),
        sa.PrimaryKeyConstraint("code", name=op.f("province_pk")),
        sa.UniqueConstraint("slug", name=op.f("province_slug_uq")),
        schema="platform",
    )
    op.create_table(
        "account",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("login_index", sa.LargeBinary(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("initial_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("mobile_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("mobile_bound_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("second_factor_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("second_factor_counter", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind in ('doctor', 'staff')",
            name=op.f("account_kind_known_ck"),
        ),
        sa.CheckConstraint(
            "state in ('initial', 'active', 'closed')",
            name=op.f("account_state_known_ck"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("account_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "login_index",
            name=op.f("account_tenant_id_login_index_uq"),
        ),
    )
    op.create_table(
        "cycle",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.Column("years", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("starts_on < ends_on", name=op.f("cycle_in_order_ck")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("cycle_pk")),
        sa.UniqueConstraint("tenant_id", "label", name=op.f("cycle_tenant_id_label_uq")),
    )
    op.create_table(
        "journal_entry",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("verb", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("actor_role", sa.Text(), nullable=False),
        sa.Column("state_before", sa.Text(), nullable=True),
        sa.Column("state_after", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("details", postgresql.JSONB(), nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=True),
        sa.Column("seal", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(
            "actor_kind in ('doctor', 'staff', 'operator', 'system')",
            name=op.f("journal_entry_actor_kind_known_ck"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("journal_entry_pk")),
    )
    op.create_index(
        op.f("journal_entry_tenant_id_at_id_ix"),
        "journal_entry",
        ["tenant_id", "at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("journal_entry_tenant_id_subject_id_id_ix"),
        "journal_entry",
        ["tenant_id", "subject_id", "id"],
        unique=False,
    )
    op.create_table(
        "organisation",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("registration_number", sa.Text(), nullable=False),
        sa.Column("division", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("health_authority", sa.Text(), nullable=False),
        sa.Column("assesses", sa.Boolean(), nullable=False),
        sa.Column("assessment_organisation_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "assessment_organisation_id"],
            ["organisation.tenant_id", "organisation.id"],
            name=op.f("organisation_tenant_id_assessment_organisation_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("organisation_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "registration_number",
            name=op.f("organisation_tenant_id_registration_number_uq"),
        ),
    )
    op.create_index(
        op.f("organisation_tenant_id_assessment_organisation_id_ix"),
        "organisation",
        ["tenant_id", "assessment_organisation_id"],
        unique=False,
    )
    op.create_index(
        op.f("organisation_tenant_id_name_ix"),
        "organisation",
        ["tenant_id", "name"],
        unique=False,
    )
    op.create_table(
        "province_setting",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", postgresql.JSONB(), nullable=False),
        sa.Column("effective_from", sa.Date(), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("set_by", sa.Uuid(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("province_setting_pk")),
    )
    op.create_index(
        op.f("province_setting_tenant_id_name_effective_from_id_ix"),
        "province_setting",
        ["tenant_id", "name", "effective_from", "id"],
        unique=False,
    )
    op.create_table(
        "cycle_phase",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("cycle_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.CheckConstraint(
            "kind in ('filing', 'review', 'examination', 'completion')",
            name=op.f("cycle_phase_kind_known_ck"),
        ),
        sa.CheckConstraint(
            "first_day <= last_day",
            name=op.f("cycle_phase_in_order_ck"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "cycle_id"],
            ["cycle.tenant_id", "cycle.id"],
            name=op.f("cycle_phase_tenant_id_cycle_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("cycle_phase_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "cycle_id",
            "kind",
            name=op.f("cycle_phase_tenant_id_cycle_id_kind_uq"),
        ),
    )
    op.create_table(
        "doctor",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("sex", sa.Text(), nullable=True),
        sa.Column("birth_date", sa.Date(), nullable=True),
        sa.Column("document_type", sa.Text(), nullable=False),
        sa.Column("number_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("number_index", sa.LargeBinary(), nullable=False),
        sa.Column("tail_index", sa.LargeBinary(), nullable=False),
        sa.Column("number_masked", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=True),
        sa.Column("ethnicity", sa.Text(), nullable=True),
        sa.Column("education", sa.Text(), nullable=True),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("department", sa.Text(), nullable=True),
        sa.Column("qualification_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("practice_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("mobile_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("first_registered", sa.Date(), nullable=True),
        sa.Column("roster_digest", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "category in ('clinical', 'dental', 'public_health', 'chinese')",
            name=op.f("doctor_category_known_ck"),
        ),
        sa.CheckConstraint(
            (
                "document_type in ('resident', 'residence_permit', 'hk_macao_permit', 'taiwan_permit', "
                "'foreign_permanent', 'passport', 'officer', 'hong_kong', 'macao', 'taiwan')"
            ),
            name=op.f("doctor_document_type_known_ck"),
        ),
        sa.CheckConstraint(
            "level in ('physician', 'assistant')",
            name=op.f("doctor_level_known_ck"),
        ),
        sa.CheckConstraint(
            "sex in ('male', 'female')",
            name=op.f("doctor_sex_known_ck"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "account_id"],
            ["account.tenant_id", "account.id"],
            name=op.f("doctor_tenant_id_account_id_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "organisation_id"],
            ["organisation.tenant_id", "organisation.id"],
            name=op.f("doctor_tenant_id_organisation_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("doctor_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "account_id",
            name=op.f("doctor_tenant_id_account_id_uq"),
        ),
        sa.UniqueConstraint(
            "tenant_id",
            "number_index",
            name=op.f("doctor_tenant_id_number_index_uq"),
        ),
    )
    op.create_index(
        op.f("doctor_tenant_id_organisation_id_name_key_id_ix"),
        "doctor",
        ["tenant_id", "organisation_id", "name_key", "id"],
        unique=False,
    )
    op.create_index(
        op.f("doctor_tenant_id_tail_index_ix"),
        "doctor",
        ["tenant_id", "tail_index"],
        unique=False,
    )
    op.create_table(
        "membership",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            (
                "role in ('institution_clerk', 'institution_reviewer', 'organisation_clerk', "
                "'organisation_reviewer', 'province_admin', 'question_editor', 'auditor')"
            ),
            name=op.f("membership_role_known_ck"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "account_id"],
            ["account.tenant_id", "account.id"],
            name=op.f("membership_tenant_id_account_id_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "organisation_id"],
            ["organisation.tenant_id", "organisation.id"],
            name=op.f("membership_tenant_id_organisation_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("membership_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "account_id",
            "organisation_id",
            "role",
            name=op.f("membership_tenant_id_account_id_organisation_id_role_uq"),
        ),
    )
    op.create_index(
        op.f("membership_tenant_id_organisation_id_ix"),
        "membership",
        ["tenant_id", "organisation_id"],
        unique=False,
    )
    op.create_table(
        "notice",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "account_id"],
            ["account.tenant_id", "account.id"],
            name=op.f("notice_tenant_id_account_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("notice_pk")),
    )
    op.create_index(
        op.f("notice_tenant_id_account_id_id_ix"),
        "notice",
        ["tenant_id", "account_id", "id"],
        unique=False,
    )
    op.create_table(
        "one_time_code",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("issued_by", sa.Uuid(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "account_id"],
            ["account.tenant_id", "account.id"],
            name=op.f("one_time_code_tenant_id_account_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("one_time_code_pk")),
    )
    op.create_index(
        op.f("one_time_code_tenant_id_account_id_issued_at_ix"),
        "one_time_code",
        ["tenant_id", "account_id", "issued_at"],
        unique=False,
    )
    op.create_table(
        "sign_in_session",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
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
            ["tenant_id", "account_id"],
            ["account.tenant_id", "account.id"],
            name=op.f("sign_in_session_tenant_id_account_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("sign_in_session_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "token_hash",
            name=op.f("sign_in_session_tenant_id_token_hash_uq"),
        ),
    )
    op.create_index(
        op.f("sign_in_session_tenant_id_account_id_ended_at_ix"),
        "sign_in_session",
        ["tenant_id", "account_id", "ended_at"],
        unique=False,
    )

    grant_platform_table("platform.province")
    for table in (
        "account",
        "cycle",
        "organisation",
        "province_setting",
        "cycle_phase",
        "doctor",
        "membership",
        "notice",
        "one_time_code",
        "sign_in_session",
    ):
        secure_tenant_table(table)
    secure_tenant_table("journal_entry", app="SELECT, INSERT")
