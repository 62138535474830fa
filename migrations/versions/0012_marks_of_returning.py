"""What a reviewer marks when returning stays with the record; a filing knows which page wrote a field
last."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("assessment", sa.Column("returned_marks", JSONB))
    op.add_column(
        "filing",
        sa.Column("pens", JSONB, nullable=False, server_default="{}"),
    )
    op.alter_column("filing", "pens", server_default=None)


def downgrade() -> None:
    op.drop_column("filing", "pens")
    op.drop_column("assessment", "returned_marks")
