"""Which records somebody has filled in on the doctor's behalf (代填), beside their state."""

import sqlalchemy as sa
from alembic import op

revision = "0062"
down_revision = "0061"


def upgrade() -> None:
    op.add_column(
        "assessment",
        sa.Column("assisted", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.execute(
        "UPDATE assessment AS a SET assisted = true FROM filing AS f WHERE f.tenant_id = a.tenant_id"
        " AND f.doctor_id = a.doctor_id AND f.cycle_id = a.cycle_id AND f.assisted_at IS NOT NULL"
    )
    op.create_index(
        "assessment_assisted_ix",
        "assessment",
        ["tenant_id", "cycle_id", "state", "id"],
        postgresql_where=sa.text("assisted"),
    )


def downgrade() -> None:
    op.drop_index("assessment_assisted_ix", "assessment")
    op.drop_column("assessment", "assisted")
