"""Files come in pieces; a document keeps what was remarked on it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from dingkao.database.migrations import secure_tenant_table

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "upload",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("received", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("document_id", sa.Uuid(), nullable=True),
        sa.Column("cleared", sa.Boolean(), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state in ('open', 'done', 'cancelled')",
            name=op.f("upload_state_known_ck"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "account_id"],
            ["account.tenant_id", "account.id"],
            name=op.f("upload_tenant_id_account_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("upload_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "account_id",
            "key",
            name=op.f("upload_tenant_id_account_id_key_uq"),
        ),
    )
    op.create_index(
        op.f("upload_tenant_id_begun_at_ix"),
        "upload",
        ["tenant_id", "begun_at"],
        unique=False,
    )
    op.create_index(
        "upload_uncleared_ix",
        "upload",
        ["tenant_id", "begun_at"],
        unique=False,
        postgresql_where=sa.text("not cleared"),
    )
    secure_tenant_table("upload")
    op.add_column(
        "document",
        sa.Column("hints", postgresql.JSONB(), nullable=True),
    )


def downgrade() -> None:
    op.drop_column("document", "hints")
    op.drop_table("upload")
