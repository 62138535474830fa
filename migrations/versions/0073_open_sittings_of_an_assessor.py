"""An assessment organisation's open sittings are found without those that were handed in to it."""

import sqlalchemy as sa
from alembic import op

revision = "0073"
down_revision = "0072"

INDEX = "sitting_open_of_assessor_ix"


def upgrade() -> None:
    op.create_index(
        op.f(INDEX),
        "sitting",
        ["tenant_id", "assessor_id", "id"],
        postgresql_where=sa.text("handed_in_at is null and voided_at is null"),
    )


def downgrade() -> None:
    op.drop_index(op.f(INDEX), "sitting")
