"""Whether an account is closed is answered by an index of the few that are."""

import sqlalchemy as sa
from alembic import op

revision = "0072"
down_revision = "0071"

INDEX = "account_closed_ix"


def upgrade() -> None:
    op.create_index(op.f(INDEX), "account", ["tenant_id", "id"], postgresql_where=sa.text("state = 'closed'"))


def downgrade() -> None:
    op.drop_index(op.f(INDEX), "account")
