"""A word sealed with each data key, by which a process knows whether its key is the database's."""

import sqlalchemy as sa
from alembic import op

from dingkao.database.migrations import grant_platform_table

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    op.create_table(
        "key_canary",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name="key_canary_pk"),
        schema="platform",
    )
    grant_platform_table("platform.key_canary", app="", platform="SELECT, INSERT")


def downgrade() -> None:
    op.drop_table("key_canary", schema="platform")
