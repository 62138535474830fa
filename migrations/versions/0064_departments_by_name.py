"""Departments of a province are found by the beginning of their name."""

from alembic import op

revision = "0064"
down_revision = "0063"


def upgrade() -> None:
    op.create_index(
        "department_name_ix",
        "department",
        ["tenant_id", "name", "id"],
        postgresql_ops={"name": "text_pattern_ops"},
    )


def downgrade() -> None:
    op.drop_index("department_name_ix", "department")
