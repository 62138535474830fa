"""Sheets of scores are read in parts: an import says whether its sheet has been read whole."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    op.add_column(
        "score_import",
        sa.Column(
            "complete",
            sa.Boolean(),
            nullable=False,
            server_default=sa.true(),
        ),
    )
    op.alter_column("score_import", "complete", server_default=None)


def downgrade() -> None:
    op.drop_column("score_import", "complete")
