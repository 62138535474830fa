"""The questions of a shared bank are gone through in their order, some at a time."""

from alembic import op

revision = "0038"
down_revision = "0037"


def upgrade() -> None:
    op.create_index(
        op.f("shared_question_bank_id_position_ix"),
        "shared_question",
        ["bank_id", "position"],
        schema="platform",
    )


def downgrade() -> None:
    op.drop_index(
        op.f("shared_question_bank_id_position_ix"),
        "shared_question",
        schema="platform",
    )
