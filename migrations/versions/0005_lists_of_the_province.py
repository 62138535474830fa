"""The province's own lists by name, as quick as an institution's."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_index(
        "doctor_tenant_id_name_key_id_ix",
        "doctor",
        ["tenant_id", "name_key", "id"],
    )


def downgrade() -> None:
    op.drop_index("doctor_tenant_id_name_key_id_ix", "doctor")
