"""The list of institutions by name comes from an index alone, with the ids that order equal names."""

from alembic import op

revision = "0071"
down_revision = "0070"

INDEX, INDEX_WITH_ID = "organisation_tenant_id_name_ix", "organisation_tenant_id_name_id_ix"


def upgrade() -> None:
    op.create_index(op.f(INDEX_WITH_ID), "organisation", ["tenant_id", "name", "id"])
    op.drop_index(op.f(INDEX), "organisation")


def downgrade() -> None:
    op.create_index(op.f(INDEX), "organisation", ["tenant_id", "name"])
    op.drop_index(op.f(INDEX_WITH_ID), "organisation")
