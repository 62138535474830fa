"""Every file in the store is sealed: since when that is so in a province that was opened before."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    op.add_column(
        "province",
        sa.Column("files_sealed_at", sa.DateTime(timezone=True), nullable=True),
        schema="platform",
    )


def downgrade() -> None:
    op.drop_column("province", "files_sealed_at", schema="platform")
