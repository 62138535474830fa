"""How many sittings of a paper count in its analysis is answered by an index alone."""

import sqlalchemy as sa
from alembic import op

revision = "0070"
down_revision = "0069"

INDEX = "sitting_counted_of_paper_ix"


def upgrade() -> None:
    op.create_index(
        op.f(INDEX),
        "sitting",
        ["tenant_id", "paper_id", "id"],
        postgresql_where=sa.text("handed_in_at is not null and voided_at is null"),
    )


def downgrade() -> None:
    op.drop_index(op.f(INDEX), "sitting")
