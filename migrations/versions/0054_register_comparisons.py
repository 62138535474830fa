"""Comparisons of the list with the register, what has become of doctors who take no part, and doctors whom
nobody claims."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from dingkao.database.migrations import secure_tenant_table

revision = "0054"
down_revision = "0053"

DISPOSITION_KNOWN = (
    "disposition in ('retired', 'left', 'deceased', 'deregistered', "
    "'assessed_elsewhere', 'military', 'updated', 'to_contact', 'other')"
)
KIND_KNOWN = "kind in ('new', 'gone', 'moved', 'changed')"


def upgrade() -> None:
    op.create_table(
        "doctor_disposition",
        sa.Column("tenant_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("cycle_id", sa.Uuid(), nullable=False),
        sa.Column("doctor_id", sa.Uuid(), nullable=False),
        sa.Column("disposition", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("set_by", sa.Uuid(), nullable=True),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(DISPOSITION_KNOWN, name=op.f("doctor_disposition_disposition_known_ck")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "cycle_id"],
            ["cycle.tenant_id", "cycle.id"],
            name=op.f("doctor_disposition_tenant_id_cycle_id_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "doctor_id"],
            ["doctor.tenant_id", "doctor.id"],
            name=op.f("doctor_disposition_tenant_id_doctor_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("doctor_disposition_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "cycle_id",
            "doctor_id",
            name=op.f("doctor_disposition_tenant_id_cycle_id_doctor_id_uq"),
        ),
    )
    op.create_index(
        op.f("doctor_disposition_tenant_id_doctor_id_ix"), "doctor_disposition", ["tenant_id", "doctor_id"]
    )
    secure_tenant_table("doctor_disposition")
    op.create_table(
        "unclaimed_doctor",
        sa.Column("tenant_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("doctor_id", sa.Uuid(), nullable=False),
        sa.Column("disowned_by_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("reported_by", sa.Uuid(), nullable=True),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("assigned_to_id", sa.Uuid(), nullable=True),
        sa.Column("settled_by", sa.Uuid(), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "doctor_id"],
            ["doctor.tenant_id", "doctor.id"],
            name=op.f("unclaimed_doctor_tenant_id_doctor_id_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "disowned_by_id"],
            ["organisation.tenant_id", "organisation.id"],
            name=op.f("unclaimed_doctor_tenant_id_disowned_by_id_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "assigned_to_id"],
            ["organisation.tenant_id", "organisation.id"],
            name=op.f("unclaimed_doctor_tenant_id_assigned_to_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("unclaimed_doctor_pk")),
    )
    op.create_index(
        "unclaimed_doctor_open_ix",
        "unclaimed_doctor",
        ["tenant_id", "doctor_id"],
        unique=True,
        postgresql_where=sa.text("settled_at is null"),
    )
    op.create_index(
        "unclaimed_doctor_waits_ix",
        "unclaimed_doctor",
        ["tenant_id", "id"],
        postgresql_where=sa.text("settled_at is null"),
    )
    secure_tenant_table("unclaimed_doctor")
    op.create_table(
        "register_comparison",
        sa.Column("tenant_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("begun_by", sa.Uuid(), nullable=True),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("register_count", sa.Integer(), nullable=False),
        sa.Column("same_count", sa.Integer(), nullable=False),
        sa.Column("refused_count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "organisation_id"],
            ["organisation.tenant_id", "organisation.id"],
            name=op.f("register_comparison_tenant_id_organisation_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("register_comparison_pk")),
    )
    op.create_index(
        op.f("register_comparison_tenant_id_organisation_id_id_ix"),
        "register_comparison",
        ["tenant_id", "organisation_id", "id"],
    )
    secure_tenant_table("register_comparison")
    op.create_table(
        "register_sighting",
        sa.Column("tenant_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("comparison_id", sa.Uuid(), nullable=False),
        sa.Column("doctor_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "comparison_id"],
            ["register_comparison.tenant_id", "register_comparison.id"],
            name=op.f("register_sighting_tenant_id_comparison_id_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "doctor_id"],
            ["doctor.tenant_id", "doctor.id"],
            name=op.f("register_sighting_tenant_id_doctor_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("register_sighting_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "comparison_id",
            "doctor_id",
            name=op.f("register_sighting_tenant_id_comparison_id_doctor_id_uq"),
        ),
    )
    secure_tenant_table("register_sighting")
    op.create_table(
        "register_difference",
        sa.Column("tenant_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("comparison_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("number_index", sa.LargeBinary(), nullable=False),
        sa.Column("number_masked", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("doctor_id", sa.Uuid(), nullable=True),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("division", sa.Text(), nullable=False),
        sa.Column("register_institution", sa.Text(), nullable=False),
        sa.Column("details", postgresql.JSONB(), nullable=False),
        sa.Column("disposition", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("settled_by", sa.Uuid(), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(KIND_KNOWN, name=op.f("register_difference_kind_known_ck")),
        sa.CheckConstraint(DISPOSITION_KNOWN, name=op.f("register_difference_disposition_known_ck")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "doctor_id"],
            ["doctor.tenant_id", "doctor.id"],
            name=op.f("register_difference_tenant_id_doctor_id_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "organisation_id"],
            ["organisation.tenant_id", "organisation.id"],
            name=op.f("register_difference_tenant_id_organisation_id_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "comparison_id"],
            ["register_comparison.tenant_id", "register_comparison.id"],
            name=op.f("register_difference_tenant_id_comparison_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("register_difference_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "comparison_id",
            "number_index",
            name=op.f("register_difference_tenant_id_comparison_id_number_index_uq"),
        ),
    )
    op.create_index(
        "register_difference_division_ix",
        "register_difference",
        ["tenant_id", "comparison_id", "division", "id"],
    )
    op.create_index(
        "register_difference_kind_ix",
        "register_difference",
        ["tenant_id", "comparison_id", "kind", "disposition", "id"],
    )
    secure_tenant_table("register_difference")
    op.create_table(
        "register_count",
        sa.Column("tenant_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("comparison_id", sa.Uuid(), nullable=False),
        sa.Column("division", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("settled", sa.Integer(), nullable=False),
        sa.CheckConstraint(KIND_KNOWN, name=op.f("register_count_kind_known_ck")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "comparison_id"],
            ["register_comparison.tenant_id", "register_comparison.id"],
            name=op.f("register_count_tenant_id_comparison_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("register_count_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "comparison_id",
            "division",
            "kind",
            name=op.f("register_count_tenant_id_comparison_id_division_kind_uq"),
        ),
    )
    secure_tenant_table("register_count")
    op.create_index(
        "account_initial_doctor_ix",
        "account",
        ["tenant_id", "id"],
        postgresql_where=sa.text("kind = 'doctor' and state = 'initial'"),
    )


def downgrade() -> None:
    op.drop_index("account_initial_doctor_ix", "account")
    for table in (
        "register_count",
        "register_difference",
        "register_sighting",
        "register_comparison",
        "unclaimed_doctor",
        "doctor_disposition",
    ):
        op.drop_table(table)
