"""Absences are confirmed by the assessment organisation."""

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0049"


def upgrade() -> None:
    op.add_column("assessment", sa.Column("absence_note", sa.Text()))
    op.add_column(
        "assessment",
        sa.Column("absence_drafted_by", sa.Uuid()),
    )
    op.add_column(
        "assessment",
        sa.Column("absence_confirmed_by", sa.Uuid()),
    )


def downgrade() -> None:
    for column in (
        "absence_confirmed_by",
        "absence_drafted_by",
        "absence_note",
    ):
        op.drop_column("assessment", column)
