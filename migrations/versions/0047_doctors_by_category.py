"""Doctors of a category and level by name, also where there are few of them."""

from alembic import op

revision = "0047"
down_revision = "0046"


def upgrade() -> None:
    op.create_index(
        op.f("doctor_tenant_id_category_level_name_key_id_ix"),
        "doctor",
        ["tenant_id", "category", "level", "name_key", "id"],
    )


def downgrade() -> None:
    op.drop_index(op.f("doctor_tenant_id_category_level_name_key_id_ix"), "doctor")
