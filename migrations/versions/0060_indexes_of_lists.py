"""Doctors of a category by name, of both levels; assessment organisations by name; the open sittings of a
paper; the records that somebody has leased."""

import sqlalchemy as sa
from alembic import op

revision = "0060"
down_revision = "0059"


def upgrade() -> None:
    op.create_index(
        op.f("doctor_tenant_id_category_name_key_id_ix"),
        "doctor",
        ["tenant_id", "category", "name_key", "id"],
    )
    op.drop_index(op.f("doctor_tenant_id_category_level_name_key_id_ix"), "doctor")
    op.create_index(
        "organisation_assessor_ix",
        "organisation",
        ["tenant_id", "name", "id"],
        postgresql_where=sa.text("assesses"),
    )
    op.create_index(
        "sitting_open_of_paper_ix",
        "sitting",
        ["tenant_id", "paper_id", "id"],
        postgresql_where=sa.text("handed_in_at is null and voided_at is null"),
    )
    op.create_index(
        "assessment_leased_by_ix",
        "assessment",
        ["tenant_id", "leased_by", "leased_until"],
        postgresql_where=sa.text("leased_by is not null"),
    )


def downgrade() -> None:
    op.drop_index("assessment_leased_by_ix", "assessment")
    op.drop_index("sitting_open_of_paper_ix", "sitting")
    op.drop_index("organisation_assessor_ix", "organisation")
    op.create_index(
        op.f("doctor_tenant_id_category_level_name_key_id_ix"),
        "doctor",
        ["tenant_id", "category", "level", "name_key", "id"],
    )
    op.drop_index(op.f("doctor_tenant_id_category_name_key_id_ix"), "doctor")
