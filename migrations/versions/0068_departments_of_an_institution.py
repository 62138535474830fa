"""The doctors of an institution's department are found by an index: those of the whole institution were read
for each of its departments."""

from alembic import op

revision = "0068"
down_revision = "0067"

INDEX = "doctor_tenant_id_organisation_id_department_name_key_id_ix"


def upgrade() -> None:
    op.create_index(
        op.f(INDEX),
        "doctor",
        [
            "tenant_id",
            "organisation_id",
            "department",
            "name_key",
            "id",
        ],
    )


def downgrade() -> None:
    op.drop_index(op.f(INDEX), "doctor")
