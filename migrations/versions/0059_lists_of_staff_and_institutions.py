"""Indexes of the console's lists of staff and of institutions."""

import sqlalchemy as sa
from alembic import op

revision = "0059"
down_revision = "0058"


def upgrade() -> None:
    op.create_index(
        op.f("organisation_tenant_id_division_name_id_ix"),
        "organisation",
        ["tenant_id", "division", "name", "id"],
    )
    op.create_index(
        op.f("membership_tenant_id_role_account_id_ix"), "membership", ["tenant_id", "role", "account_id"]
    )
    op.create_index(
        "account_staff_state_ix",
        "account",
        ["tenant_id", "state", "name", "id"],
        postgresql_where=sa.text("kind = 'staff'"),
    )
    op.create_index(
        "account_staff_used_ix",
        "account",
        ["tenant_id", "used_at"],
        postgresql_where=sa.text("kind = 'staff'"),
    )


def downgrade() -> None:
    op.drop_index("account_staff_used_ix", table_name="account")
    op.drop_index("account_staff_state_ix", table_name="account")
    op.drop_index(op.f("membership_tenant_id_role_account_id_ix"), table_name="membership")
    op.drop_index(op.f("organisation_tenant_id_division_name_id_ix"), table_name="organisation")
