"""Notices of offices to doctors who were chosen one by one."""

import sqlalchemy as sa
from alembic import op

revision = "0063"
down_revision = "0062"


def upgrade() -> None:
    op.add_column("office_notice", sa.Column("record_ids", sa.ARRAY(sa.Uuid())))


def downgrade() -> None:
    op.drop_column("office_notice", "record_ids")
