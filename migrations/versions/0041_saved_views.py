"""Views of lists saved under a name."""

import sqlalchemy as sa
from alembic import op

from dingkao.database.migrations import secure_tenant_table

revision = "0041"
down_revision = "0040"


def upgrade() -> None:
    op.create_table(
        "saved_view",
        sa.Column("tenant_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("list_name", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("is_shared", sa.Boolean(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "account_id"],
            ["account.tenant_id", "account.id"],
            name=op.f("saved_view_tenant_id_account_id_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "organisation_id"],
            ["organisation.tenant_id", "organisation.id"],
            name=op.f("saved_view_tenant_id_organisation_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("saved_view_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "account_id",
            "list_name",
            "name",
            name=op.f("saved_view_tenant_id_account_id_list_name_name_uq"),
        ),
    )
    op.create_index(
        "saved_view_shared_ix",
        "saved_view",
        ["tenant_id", "list_name", "organisation_id"],
        postgresql_where=sa.text("is_shared"),
    )
    secure_tenant_table("saved_view")


def downgrade() -> None:
    op.drop_table("saved_view")
