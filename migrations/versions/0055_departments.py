"""Departments of institutions, roles within them and roles that import one kind of conduct records, and
verdicts drafted at the institution. The departments that doctors have already become the first ones."""

import sqlalchemy as sa
from alembic import op

from dingkao.database.migrations import secure_tenant_table

revision = "0055"
down_revision = "0054"

EARLIER_ROLES = (
    "institution_clerk",
    "institution_reviewer",
    "organisation_clerk",
    "organisation_reviewer",
    "province_admin",
    "question_editor",
    "auditor",
)
NEW_ROLES = ("department_liaison", "personnel_officer", "ethics_officer")
MEMBERSHIPS_REMOVED = """
DELETE FROM membership WHERE role IN ('department_liaison', 'personnel_officer', 'ethics_officer')
"""
ROLE_UNIQUE = op.f("membership_tenant_id_account_id_organisation_id_role_uq")
DEPARTMENTS_OF_DOCTORS = """
INSERT INTO department (tenant_id, id, organisation_id, name, created_at)
SELECT tenant_id, gen_random_uuid(), organisation_id, department, now()
FROM (SELECT DISTINCT tenant_id, organisation_id, department FROM doctor WHERE department <> '') known
"""


def upgrade() -> None:
    _create_departments()
    _limit_memberships()
    _create_drafts()


def _create_departments() -> None:
    op.create_table(
        "department",
        sa.Column("tenant_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("department_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "organisation_id",
            "name",
            name=op.f("department_tenant_id_organisation_id_name_uq"),
        ),
    )
    op.execute(DEPARTMENTS_OF_DOCTORS)
    _refer("department", "organisation_id", "organisation")
    secure_tenant_table("department")


def _limit_memberships() -> None:
    op.add_column("membership", sa.Column("department_id", sa.Uuid()))
    op.drop_constraint(ROLE_UNIQUE, "membership")
    op.create_index(
        "membership_role_ix",
        "membership",
        ["tenant_id", "account_id", "organisation_id", "role"],
        unique=True,
        postgresql_where=sa.text("department_id is null"),
    )
    op.create_index(
        "membership_department_ix",
        "membership",
        ["tenant_id", "department_id", "account_id", "role"],
        unique=True,
        postgresql_where=sa.text("department_id is not null"),
    )
    op.create_index(op.f("membership_tenant_id_account_id_ix"), "membership", ["tenant_id", "account_id"])
    _refer("membership", "department_id", "department")
    _know_roles((*EARLIER_ROLES, *NEW_ROLES))


def _create_drafts() -> None:
    op.create_table(
        "grading_draft",
        sa.Column("tenant_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("assessment_id", sa.Uuid(), nullable=False),
        sa.Column("performance", sa.Text(), nullable=False),
        sa.Column("ethics", sa.Text(), nullable=False),
        sa.Column("remark", sa.Text()),
        sa.Column("drafted_by", sa.Uuid()),
        sa.Column("drafted_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "performance in ('pass', 'fail')", name=op.f("grading_draft_performance_known_ck")
        ),
        sa.CheckConstraint("ethics in ('pass', 'fail')", name=op.f("grading_draft_ethics_known_ck")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("grading_draft_pk")),
        sa.UniqueConstraint(
            "tenant_id", "assessment_id", name=op.f("grading_draft_tenant_id_assessment_id_uq")
        ),
    )
    _refer("grading_draft", "assessment_id", "assessment")
    secure_tenant_table("grading_draft")


def _refer(table: str, column: str, referred_table: str) -> None:
    op.create_foreign_key(
        op.f(f"{table}_tenant_id_{column}_fk"),
        table,
        referred_table,
        ["tenant_id", column],
        ["tenant_id", "id"],
    )


def _know_roles(roles: tuple[str, ...]) -> None:
    op.drop_constraint(op.f("membership_role_known_ck"), "membership")
    op.create_check_constraint(
        op.f("membership_role_known_ck"),
        "membership",
        f"role in ({', '.join(repr(role) for role in roles)})",
    )


def downgrade() -> None:
    op.drop_table("grading_draft")
    op.execute(MEMBERSHIPS_REMOVED)
    _know_roles(EARLIER_ROLES)
    op.drop_index(op.f("membership_tenant_id_account_id_ix"), "membership")
    op.drop_index("membership_department_ix", "membership")
    op.drop_index("membership_role_ix", "membership")
    op.drop_column("membership", "department_id")
    op.create_unique_constraint(
        ROLE_UNIQUE,
        "membership",
        ["tenant_id", "account_id", "organisation_id", "role"],
    )
    op.drop_table("department")
