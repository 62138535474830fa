"""The acts of operators are chained and sealed like a province's journal; what verifying them found is
kept."""

import sqlalchemy as sa
from alembic import op

from dingkao.database.migrations import grant_platform_table

revision = "0035"
down_revision = "0034"


def upgrade() -> None:
    for name in ("previous", "seal"):
        op.add_column(
            "operator_act",
            sa.Column(name, sa.LargeBinary()),
            schema="platform",
        )
    op.create_table(
        "act_verification",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("checked", sa.Integer(), nullable=False),
        sa.Column("uncovered", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("found", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="act_verification_pk"),
        schema="platform",
    )
    grant_platform_table("platform.act_verification", app="", platform="SELECT, INSERT")


def downgrade() -> None:
    op.drop_table("act_verification", schema="platform")
    for name in ("seal", "previous"):
        op.drop_column("operator_act", name, schema="platform")
