"""What those on duty tell doctors who sit."""

import sqlalchemy as sa
from alembic import op

from dingkao.database.migrations import secure_tenant_table

revision = "0049"
down_revision = "0048"

REFERENCES = (
    ("organisation_id", "organisation"),
    ("hall_id", "hall"),
    ("slot_id", "slot"),
    ("sitting_id", "sitting"),
)


def upgrade() -> None:
    op.create_table(
        "exam_announcement",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("hall_id", sa.Uuid()),
        sa.Column("slot_id", sa.Uuid()),
        sa.Column("sitting_id", sa.Uuid()),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("announced_by", sa.Uuid(), nullable=False),
        sa.Column(
            "announced_at",
            sa.DateTime(timezone=True),
            nullable=False,
        ),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint(
            "num_nonnulls(hall_id, slot_id, sitting_id) <= 1",
            name=op.f("exam_announcement_one_place_ck"),
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id",
            "id",
            name=op.f("exam_announcement_pk"),
        ),
    )
    for column, table in REFERENCES:
        op.create_foreign_key(
            op.f(f"exam_announcement_tenant_id_{column}_fk"),
            "exam_announcement",
            table,
            ["tenant_id", column],
            ["tenant_id", "id"],
        )
    op.create_index(
        op.f("exam_announcement_tenant_id_organisation_id_announced_at_ix"),
        "exam_announcement",
        ["tenant_id", "organisation_id", "announced_at"],
    )
    secure_tenant_table("exam_announcement")


def downgrade() -> None:
    op.drop_table("exam_announcement")
