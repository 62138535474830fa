"""Certificates by record, and by state; records that have a result, or wait for one, in the order of their
list."""

import sqlalchemy as sa
from alembic import op

revision = "0056"
down_revision = "0055"

HAS_RESULT = sa.text("assessment.state in ('absent', 'grading', 'confirming', 'passed', 'failed')")


def upgrade() -> None:
    op.create_index(
        op.f("certificate_tenant_id_assessment_id_ix"), "certificate", ["tenant_id", "assessment_id"]
    )
    op.create_index(op.f("certificate_tenant_id_state_id_ix"), "certificate", ["tenant_id", "state", "id"])
    op.create_index(
        "assessment_result_ix",
        "assessment",
        ["tenant_id", "cycle_id", "id"],
        postgresql_where=HAS_RESULT,
    )
    op.create_index(
        "assessment_assessor_result_ix",
        "assessment",
        ["tenant_id", "assessor_id", "cycle_id", "id"],
        postgresql_where=HAS_RESULT,
    )


def downgrade() -> None:
    op.drop_index("assessment_assessor_result_ix", "assessment")
    op.drop_index("assessment_result_ix", "assessment")
    op.drop_index(op.f("certificate_tenant_id_state_id_ix"), "certificate")
    op.drop_index(op.f("certificate_tenant_id_assessment_id_ix"), "certificate")
