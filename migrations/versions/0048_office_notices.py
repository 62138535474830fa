"""Notices of an institution, an assessment organisation or the province to its own doctors."""

import sqlalchemy as sa
from alembic import op

from dingkao.database.migrations import secure_tenant_table

revision = "0048"
down_revision = "0047"

STATES = "'scheduled', 'sending', 'sent', 'cancelled'"
SIDES = "'institution', 'assessor', 'province'"
REFERENCES = (
    ("cycle_id", "cycle"),
    ("organisation_id", "organisation"),
    ("institution_id", "organisation"),
)
TEXTS = (
    "side",
    "record_state",
    "title",
    "body",
    "kind",
    "state",
)
OPTIONAL_TEXTS = (
    "department",
    "category",
    "level",
    "procedure",
)
COUNTS = (
    "written_count",
    "sms_count",
    "wechat_count",
    "read_count",
)


def upgrade() -> None:
    op.create_table(
        "office_notice",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("cycle_id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid()),
        sa.Column("institution_id", sa.Uuid()),
        *(sa.Column(name, sa.Text(), nullable=False) for name in TEXTS),
        *(sa.Column(name, sa.Text()) for name in OPTIONAL_TEXTS),
        sa.Column(
            "send_at",
            sa.DateTime(timezone=True),
            nullable=False,
        ),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            nullable=False,
        ),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
        ),
        sa.Column("last_assessment_id", sa.Uuid()),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in COUNTS),
        sa.Column("counted_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint(
            f"state in ({STATES})",
            name=op.f("office_notice_state_known_ck"),
        ),
        sa.CheckConstraint(
            f"side in ({SIDES})",
            name=op.f("office_notice_side_known_ck"),
        ),
        sa.CheckConstraint(
            "(side = 'province') = (organisation_id is null)",
            name=op.f("office_notice_side_has_organisation_ck"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("office_notice_pk")),
    )
    for column, table in REFERENCES:
        op.create_foreign_key(
            op.f(f"office_notice_tenant_id_{column}_fk"),
            "office_notice",
            table,
            ["tenant_id", column],
            ["tenant_id", "id"],
        )
    op.create_index(
        op.f("office_notice_tenant_id_organisation_id_id_ix"),
        "office_notice",
        ["tenant_id", "organisation_id", "id"],
    )
    op.create_index(
        "office_notice_scheduled_ix",
        "office_notice",
        ["tenant_id", "send_at"],
        postgresql_where=sa.text("state = 'scheduled'"),
    )
    op.create_index(
        "office_notice_counted_ix",
        "office_notice",
        ["tenant_id", "created_at"],
        postgresql_where=sa.text("written_count > 0"),
    )
    secure_tenant_table("office_notice")
    op.add_column("notice", sa.Column("office_notice_id", sa.Uuid()))
    op.create_index(
        "notice_office_notice_ix",
        "notice",
        ["tenant_id", "office_notice_id"],
        postgresql_where=sa.text("office_notice_id is not null"),
    )


def downgrade() -> None:
    op.drop_index("notice_office_notice_ix", "notice")
    op.drop_column("notice", "office_notice_id")
    op.drop_table("office_notice")
