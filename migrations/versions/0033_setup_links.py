"""Administrators have a mobile number of their own, and set password and second factor by a link that is sent
to it."""

import sqlalchemy as sa
from alembic import op

from dingkao.database.migrations import secure_tenant_table

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    op.add_column(
        "account",
        sa.Column("mobile_index", sa.LargeBinary(), nullable=True),
    )
    op.create_unique_constraint(
        op.f("account_tenant_id_mobile_index_uq"),
        "account",
        ["tenant_id", "mobile_index"],
    )
    op.create_table(
        "setup_link",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("setup_link_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "token_hash",
            name=op.f("setup_link_tenant_id_token_hash_uq"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "account_id"],
            ["account.tenant_id", "account.id"],
            name=op.f("setup_link_tenant_id_account_id_fk"),
        ),
    )
    op.create_index(
        op.f("setup_link_tenant_id_account_id_sent_at_ix"),
        "setup_link",
        ["tenant_id", "account_id", "sent_at"],
    )
    secure_tenant_table("setup_link")


def downgrade() -> None:
    op.drop_table("setup_link")
    op.drop_constraint(op.f("account_tenant_id_mobile_index_uq"), "account")
    op.drop_column("account", "mobile_index")
