"""Acts of the province's office that one administrator proposes and another approves; and reminders of papers
that may be sat again."""

import sqlalchemy as sa
from alembic import op

from dingkao.database.migrations import secure_tenant_table

revision = "0036"
down_revision = "0035"

KINDS = "('seal', 'revocation', 'sms_account', 'wechat_account')"
REMINDED = "'included', 'draft', 'institution_returned', 'ready', 'testing'"


def upgrade() -> None:
    op.create_table(
        "proposed_act",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("proposed_by", sa.Uuid(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("approved_by", sa.Uuid(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(f"kind in {KINDS}", name=op.f("proposed_act_kind_known_ck")),
        sa.CheckConstraint(
            "approved_by is null or approved_by <> proposed_by",
            name=op.f("proposed_act_two_persons_ck"),
        ),
        sa.CheckConstraint(
            "approved_at is null or withdrawn_at is null",
            name=op.f("proposed_act_approved_or_withdrawn_ck"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("proposed_act_pk")),
    )
    op.create_index(
        "proposed_act_waits_ix",
        "proposed_act",
        ["tenant_id", "kind", "subject_id"],
        unique=True,
        postgresql_where=sa.text("approved_at is null and withdrawn_at is null"),
    )
    secure_tenant_table("proposed_act")
    op.create_index(
        op.f("appointment_tenant_id_by_account_id_at_ix"),
        "appointment",
        ["tenant_id", "by_account_id", "at"],
    )
    _remind(f"{REMINDED}, 'resit'")


def downgrade() -> None:
    op.execute("DELETE FROM reminding WHERE state = 'resit'")
    _remind(REMINDED)
    op.drop_index(op.f("appointment_tenant_id_by_account_id_at_ix"), "appointment")
    op.drop_table("proposed_act")


def _remind(states: str) -> None:
    op.drop_constraint(op.f("reminding_state_known_ck"), "reminding")
    op.create_check_constraint(
        op.f("reminding_state_known_ck"),
        "reminding",
        f"state in ({states})",
    )
