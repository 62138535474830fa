"""Questions are found by their group, sittings by their paper: what asks for them goes through a bank, or a
province, some at a time."""

from alembic import op

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    op.create_index(
        op.f("question_tenant_id_group_id_ix"),
        "question",
        ["tenant_id", "group_id"],
    )
    op.create_index(
        op.f("sitting_tenant_id_paper_id_id_ix"),
        "sitting",
        ["tenant_id", "paper_id", "id"],
    )


def downgrade() -> None:
    op.drop_index(op.f("sitting_tenant_id_paper_id_id_ix"), "sitting")
    op.drop_index(op.f("question_tenant_id_group_id_ix"), "question")
