"""Articles, whom to call at an organisation, where a message leads, and which reminders have been sent."""

import sqlalchemy as sa
from alembic import op

from dingkao.database.migrations import secure_tenant_table

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "article",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("topic", sa.Text(), nullable=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("written_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "kind in ('news', 'faq')",
            name=op.f("article_kind_known_ck"),
        ),
        sa.CheckConstraint(
            "state in ('draft', 'published', 'withdrawn')",
            name=op.f("article_state_known_ck"),
        ),
        sa.CheckConstraint(
            "category in ('account', 'filing', 'procedure', 'exam', 'result', 'other')",
            name=op.f("article_category_known_ck"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("article_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "topic",
            name=op.f("article_tenant_id_topic_uq"),
        ),
    )
    op.create_index(
        op.f("article_tenant_id_kind_state_published_at_id_ix"),
        "article",
        ["tenant_id", "kind", "state", "published_at", "id"],
    )
    op.create_table(
        "reminding",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("cycle_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("reached", sa.Uuid(), nullable=True),
        sa.Column("told", sa.Integer(), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state in ('included', 'draft', 'institution_returned', 'ready', 'testing')",
            name=op.f("reminding_state_known_ck"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "cycle_id"],
            ["cycle.tenant_id", "cycle.id"],
            name=op.f("reminding_tenant_id_cycle_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("reminding_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "cycle_id",
            "state",
            "last_day",
            "days",
            name=op.f("reminding_tenant_id_cycle_id_state_last_day_days_uq"),
        ),
    )
    op.add_column("organisation", sa.Column("contact", sa.Text(), nullable=True))
    op.add_column("notice", sa.Column("leads", sa.Text(), nullable=True))
    op.create_check_constraint(
        op.f("notice_leads_known_ck"),
        "notice",
        "leads in ('filing', 'practice', 'sitting', 'result', 'requests')",
    )
    secure_tenant_table("article")
    secure_tenant_table("reminding")


def downgrade() -> None:
    op.drop_constraint(op.f("notice_leads_known_ck"), "notice")
    op.drop_column("notice", "leads")
    op.drop_column("organisation", "contact")
    op.drop_table("reminding")
    op.drop_table("article")
