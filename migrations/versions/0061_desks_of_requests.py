"""Requests know the institution and the assessment organisation of their record and at which side they wait,
and are found by these for the lists of each side."""

import sqlalchemy as sa
from alembic import op

revision = "0061"
down_revision = "0060"

FILL = """
UPDATE request SET institution_id = record.institution_id, assessor_id = record.assessor_id
FROM assessment AS record
WHERE record.tenant_id = request.tenant_id AND record.id = request.assessment_id
"""
WAITING_SIDE = "case state when 'first_pending' then first_side when 'second_pending' then second_side end"
SUBMITTED = "request.state in ('first_pending', 'second_pending', 'granted', 'refused')"
WAITING = "request.waiting_side is not null"
OF_ORGANISATION = "(request.first_side = 'organisation' or request.second_side = 'organisation')"
OF_PROVINCE = "request.second_side in ('province', 'another')"
INDEXES = {
    "request_of_institution_ix": (["institution_id"], SUBMITTED),
    "request_of_assessor_ix": (["assessor_id"], f"{SUBMITTED} and {OF_ORGANISATION}"),
    "request_of_province_ix": ([], f"{SUBMITTED} and {OF_PROVINCE}"),
    "request_institution_waiting_ix": (["institution_id"], WAITING),
    "request_assessor_waiting_ix": (["assessor_id"], f"{WAITING} and {OF_ORGANISATION}"),
    "request_province_waiting_ix": ([], f"{WAITING} and {OF_PROVINCE}"),
    "request_assessor_desk_ix": (["assessor_id"], "request.waiting_side in ('organisation')"),
    "request_province_desk_ix": ([], "request.waiting_side in ('province', 'another')"),
}


def upgrade() -> None:
    op.add_column("request", sa.Column("institution_id", sa.Uuid()))
    op.add_column("request", sa.Column("assessor_id", sa.Uuid()))
    op.execute(FILL)
    op.alter_column("request", "institution_id", nullable=False)
    op.add_column("request", sa.Column("waiting_side", sa.Text(), sa.Computed(WAITING_SIDE, persisted=True)))
    op.drop_index("request_waiting_ix", "request")
    for name, (columns, condition) in INDEXES.items():
        op.create_index(name, "request", ["tenant_id", *columns, "id"], postgresql_where=sa.text(condition))


def downgrade() -> None:
    for name in INDEXES:
        op.drop_index(name, "request")
    op.create_index(
        "request_waiting_ix",
        "request",
        ["tenant_id", "state", "submitted_at", "id"],
        postgresql_where=sa.text("state in ('first_pending', 'second_pending')"),
    )
    for column in ("waiting_side", "assessor_id", "institution_id"):
        op.drop_column("request", column)
