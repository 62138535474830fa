"""Sessions know their device; accounts may be bound to WeChat; messages are marked when they went out."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

OUTWARD = "outward in ('none', 'waiting', 'sending', 'sent', 'failed')"


def upgrade() -> None:
    op.add_column(
        "sign_in_session",
        sa.Column("device", sa.Text(), nullable=False, server_default=""),
    )
    op.add_column(
        "account",
        sa.Column("wechat_sealed", sa.LargeBinary(), nullable=True),
    )
    op.add_column(
        "account",
        sa.Column("wechat_index", sa.LargeBinary(), nullable=True),
    )
    op.add_column(
        "account",
        sa.Column("wechat_bound_at", sa.DateTime(timezone=True), nullable=True),
    )
    op.create_unique_constraint(
        op.f("account_tenant_id_wechat_index_uq"),
        "account",
        ["tenant_id", "wechat_index"],
    )
    op.add_column(
        "notice",
        sa.Column("outward", sa.Text(), nullable=False, server_default="none"),
    )
    op.add_column(
        "notice",
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
    )
    op.add_column(
        "notice",
        sa.Column("sms_at", sa.DateTime(timezone=True), nullable=True),
    )
    op.add_column(
        "notice",
        sa.Column("wechat_at", sa.DateTime(timezone=True), nullable=True),
    )
    op.create_check_constraint(op.f("notice_outward_known_ck"), "notice", OUTWARD)
    op.create_index(
        "notice_outward_ix",
        "notice",
        ["tenant_id", "account_id", "outward"],
        postgresql_where=sa.text("outward in ('waiting', 'sending')"),
    )


def downgrade() -> None:
    op.drop_index("notice_outward_ix", "notice")
    op.drop_constraint(op.f("notice_outward_known_ck"), "notice")
    for column in ("wechat_at", "sms_at", "claimed_at", "outward"):
        op.drop_column("notice", column)
    op.drop_constraint(op.f("account_tenant_id_wechat_index_uq"), "account")
    for column in ("wechat_bound_at", "wechat_index", "wechat_sealed"):
        op.drop_column("account", column)
    op.drop_column("sign_in_session", "device")
