"""Sittings know their assessment organisation, and are found by it, by their record, and if they are open or
voided."""

import sqlalchemy as sa
from alembic import op

revision = "0058"
down_revision = "0057"

FILL = """
UPDATE sitting SET assessor_id = record.assessor_id FROM assessment AS record
WHERE record.tenant_id = sitting.tenant_id AND record.id = sitting.assessment_id
"""
PARTIAL_INDEXES = {
    "sitting_open_ix": "handed_in_at is null and voided_at is null",
    "sitting_voided_ix": "voided_at is not null",
}


def upgrade() -> None:
    op.add_column("sitting", sa.Column("assessor_id", sa.Uuid()))
    op.execute(FILL)
    for column in ("assessment_id", "assessor_id"):
        op.create_index(op.f(f"sitting_tenant_id_{column}_id_ix"), "sitting", ["tenant_id", column, "id"])
    for name, condition in PARTIAL_INDEXES.items():
        op.create_index(name, "sitting", ["tenant_id", "id"], postgresql_where=sa.text(condition))


def downgrade() -> None:
    for name in PARTIAL_INDEXES:
        op.drop_index(name, "sitting")
    for column in ("assessment_id", "assessor_id"):
        op.drop_index(op.f(f"sitting_tenant_id_{column}_id_ix"), "sitting")
    op.drop_column("sitting", "assessor_id")
