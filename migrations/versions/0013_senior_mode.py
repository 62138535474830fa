"""An account remembers how pages are shown to its holder: as they are, or in senior mode."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("account", sa.Column("display", sa.Text()))
    op.create_check_constraint(
        op.f("account_display_known_ck"),
        "account",
        "display in ('standard', 'senior')",
    )


def downgrade() -> None:
    op.drop_column("account", "display")
