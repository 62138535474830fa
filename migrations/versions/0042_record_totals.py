"""Totals of records by state, kept by what moves records; queues of reviews in the order of waiting."""

import sqlalchemy as sa
from alembic import op

from dingkao.database.migrations import secure_tenant_table

revision = "0042"
down_revision = "0041"

STATES = (
    "('not_included', 'included', 'draft', 'institution_pending', 'institution_returned', "
    "'organisation_pending', 'organisation_returned', 'ready', 'deferred', 'testing', 'scored', 'absent', "
    "'grading', 'confirming', 'passed', 'failed')"
)
QUEUES = (
    ("assessment_institution_queue_ix", "institution_id", "'institution_pending', 'organisation_returned'"),
    ("assessment_assessor_queue_ix", "assessor_id", "'organisation_pending'"),
)


def upgrade() -> None:
    op.create_table(
        "record_move",
        sa.Column("tenant_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("cycle_id", sa.Uuid(), nullable=False),
        sa.Column("from_institution_id", sa.Uuid(), nullable=True),
        sa.Column("from_assessor_id", sa.Uuid(), nullable=True),
        sa.Column("from_state", sa.Text(), nullable=True),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("assessor_id", sa.Uuid(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint(f"from_state in {STATES}", name=op.f("record_move_from_state_known_ck")),
        sa.CheckConstraint(f"state in {STATES}", name=op.f("record_move_state_known_ck")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("record_move_pk")),
    )
    op.create_table(
        "record_total",
        sa.Column("tenant_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("cycle_id", sa.Uuid(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "side in ('province', 'institution', 'assessor')", name=op.f("record_total_side_known_ck")
        ),
        sa.CheckConstraint(f"state in {STATES}", name=op.f("record_total_state_known_ck")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "cycle_id"],
            ["cycle.tenant_id", "cycle.id"],
            name=op.f("record_total_tenant_id_cycle_id_fk"),
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "cycle_id", "side", "organisation_id", "state", name=op.f("record_total_pk")
        ),
    )
    op.create_table(
        "recount_round",
        sa.Column("tenant_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("recount_round_pk")),
    )
    op.execute("""
        INSERT INTO record_total (tenant_id, cycle_id, side, organisation_id, state, number)
        SELECT record.tenant_id, record.cycle_id, place.side, place.organisation_id, record.state, count(*)
        FROM assessment AS record CROSS JOIN LATERAL (VALUES
            ('province', CAST('00000000-0000-0000-0000-000000000000' AS uuid)),
            ('institution', record.institution_id),
            ('assessor', record.assessor_id)
        ) AS place (side, organisation_id)
        WHERE place.organisation_id IS NOT NULL
        GROUP BY record.tenant_id, record.cycle_id, place.side, place.organisation_id, record.state
    """)
    for table in ("record_move", "record_total", "recount_round"):
        secure_tenant_table(table)
    for name, column, states in QUEUES:
        op.create_index(
            name,
            "assessment",
            ["tenant_id", column, "cycle_id", "submitted_at", "id"],
            postgresql_where=sa.text(f"assessment.state in ({states})"),
        )
    op.create_index(
        op.f("doctor_tenant_id_department_name_key_id_ix"),
        "doctor",
        ["tenant_id", "department", "name_key", "id"],
    )


def downgrade() -> None:
    op.drop_index(op.f("doctor_tenant_id_department_name_key_id_ix"), "doctor")
    for name, *_ in QUEUES:
        op.drop_index(name, "assessment")
    for table in ("recount_round", "record_total", "record_move"):
        op.drop_table(table)
