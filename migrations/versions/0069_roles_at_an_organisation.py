"""Whether an organisation has staff of a role is answered by an index alone."""

from alembic import op

revision = "0069"
down_revision = "0068"

INDEX = "membership_tenant_id_organisation_id_ix"
INDEX_WITH_ROLE = "membership_tenant_id_organisation_id_role_ix"


def upgrade() -> None:
    op.create_index(
        op.f(INDEX_WITH_ROLE),
        "membership",
        ["tenant_id", "organisation_id", "role"],
    )
    op.drop_index(op.f(INDEX), "membership")


def downgrade() -> None:
    op.create_index(
        op.f(INDEX),
        "membership",
        ["tenant_id", "organisation_id"],
    )
    op.drop_index(op.f(INDEX_WITH_ROLE), "membership")
