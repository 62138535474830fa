"""Changes of an institution's list that need others' consent: transfers between institutions, exclusions
after filing began."""

import sqlalchemy as sa
from alembic import op

from dingkao.database.migrations import secure_tenant_table

revision = "0052"
down_revision = "0051"

TABLE = "enrolment_change"
KINDS = "('transfer', 'exclusion')"
STATES = "('pending', 'carried_out', 'refused', 'withdrawn')"
SIDES = "('institution', 'target', 'doctor', 'office')"
GROUNDS = "('registration', 'residency', 'residency_end', 'reorganised')"
REFERENCES = (
    ("doctor_id", "doctor"),
    ("assessment_id", "assessment"),
    ("institution_id", "organisation"),
    ("target_id", "organisation"),
)
INDEXES = (
    ("doctor_id", "id"),
    ("institution_id", "state", "id"),
    ("target_id", "state", "id"),
    ("state", "id"),
)


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("tenant_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("doctor_id", sa.Uuid(), nullable=False),
        sa.Column("assessment_id", sa.Uuid(), nullable=True),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("target_id", sa.Uuid(), nullable=True),
        sa.Column("asked_side", sa.Text(), nullable=False),
        sa.Column("ground", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Uuid(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("institution_by", sa.Uuid(), nullable=True),
        sa.Column("institution_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("target_by", sa.Uuid(), nullable=True),
        sa.Column("target_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("refusal", sa.Text(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(f"kind in {KINDS}", name=op.f(f"{TABLE}_kind_known_ck")),
        sa.CheckConstraint(f"state in {STATES}", name=op.f(f"{TABLE}_state_known_ck")),
        sa.CheckConstraint(f"asked_side in {SIDES}", name=op.f(f"{TABLE}_asked_side_known_ck")),
        sa.CheckConstraint(f"ground in {GROUNDS}", name=op.f(f"{TABLE}_ground_known_ck")),
        sa.CheckConstraint(
            "institution_by is null or target_by is null or institution_by <> target_by",
            name=op.f(f"{TABLE}_two_persons_ck"),
        ),
        sa.CheckConstraint(
            "kind <> 'exclusion' or state <> 'carried_out' or decided_by <> asked_by",
            name=op.f(f"{TABLE}_office_is_another_ck"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f(f"{TABLE}_pk")),
    )
    for column, target in REFERENCES:
        op.create_foreign_key(
            op.f(f"{TABLE}_tenant_id_{column}_fk"),
            TABLE,
            target,
            ["tenant_id", column],
            ["tenant_id", "id"],
        )
    for columns in INDEXES:
        name = "_".join(("tenant_id", *columns))
        op.create_index(op.f(f"{TABLE}_{name}_ix"), TABLE, ["tenant_id", *columns])
    op.create_index(
        f"{TABLE}_pending_ix",
        TABLE,
        ["tenant_id", "doctor_id"],
        unique=True,
        postgresql_where=sa.text("state = 'pending'"),
    )
    secure_tenant_table(TABLE)


def downgrade() -> None:
    op.drop_table(TABLE)
