"""What is noticed during a sitting, minutes given back, and cases about a sitting with a hearing and two
persons."""

import sqlalchemy as sa
from alembic import op

from dingkao.database.migrations import secure_tenant_table

revision = "0019"
down_revision = "0018"

LEADS = "'filing', 'practice', 'sitting', 'result', 'requests'"
TABLES = ("integrity_event", "added_time", "integrity_case")


def _of_sitting(table: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("sitting_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f(f"{table}_pk")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "sitting_id"],
            ["sitting.tenant_id", "sitting.id"],
            name=op.f(f"{table}_tenant_id_sitting_id_fk"),
        ),
    ]


def _leads(leads: str) -> None:
    op.drop_constraint(op.f("notice_leads_known_ck"), "notice")
    op.create_check_constraint(op.f("notice_leads_known_ck"), "notice", f"leads in ({leads})")


def upgrade() -> None:
    _leads(f"{LEADS}, 'cases'")
    op.create_table(
        "integrity_event",
        *_of_sitting("integrity_event"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "kind in ('left', 'offline', 'reopened', 'device')",
            name=op.f("integrity_event_kind_known_ck"),
        ),
        sa.UniqueConstraint(
            "tenant_id",
            "sitting_id",
            "kind",
            "began_at",
            name=op.f("integrity_event_tenant_id_sitting_id_kind_began_at_uq"),
        ),
    )
    op.create_table(
        "added_time",
        *_of_sitting("added_time"),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("added_by", sa.Uuid(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reopened", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "minutes between 1 and 120",
            name=op.f("added_time_minutes_sane_ck"),
        ),
    )
    op.create_index(
        op.f("added_time_tenant_id_sitting_id_ix"),
        "added_time",
        ["tenant_id", "sitting_id"],
    )
    op.create_table(
        "integrity_case",
        *_of_sitting("integrity_case"),
        sa.Column("assessment_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("opened_by", sa.Uuid(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("heard_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("statement", sa.Text()),
        sa.Column("stated_at", sa.DateTime(timezone=True)),
        sa.Column("outcome", sa.Text()),
        sa.Column("opinion", sa.Text()),
        sa.Column("proposed_by", sa.Uuid()),
        sa.Column("proposed_at", sa.DateTime(timezone=True)),
        sa.Column("decided_by", sa.Uuid()),
        sa.Column("decided_at", sa.DateTime(timezone=True)),
        sa.Column("decision_opinion", sa.Text()),
        sa.Column("resit_until", sa.DateTime(timezone=True)),
        sa.CheckConstraint(
            "state in ('hearing', 'proposed', 'dismissed', 'voided')",
            name=op.f("integrity_case_state_known_ck"),
        ),
        sa.CheckConstraint(
            "outcome in ('resit', 'absent', 'none')",
            name=op.f("integrity_case_outcome_known_ck"),
        ),
        sa.CheckConstraint(
            "decided_by is null or decided_by <> proposed_by",
            name=op.f("integrity_case_two_persons_ck"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "assessment_id"],
            ["assessment.tenant_id", "assessment.id"],
            name=op.f("integrity_case_tenant_id_assessment_id_fk"),
        ),
    )
    op.create_index(
        "integrity_case_open_ix",
        "integrity_case",
        ["tenant_id", "sitting_id"],
        unique=True,
        postgresql_where=sa.text("state in ('hearing', 'proposed')"),
    )
    op.create_index(
        op.f("integrity_case_tenant_id_assessment_id_ix"),
        "integrity_case",
        ["tenant_id", "assessment_id"],
    )
    op.create_index(
        op.f("integrity_case_tenant_id_state_id_ix"),
        "integrity_case",
        ["tenant_id", "state", "id"],
    )
    for table in TABLES:
        secure_tenant_table(table)


def downgrade() -> None:
    op.execute("UPDATE notice SET leads = 'sitting' WHERE leads = 'cases'")
    _leads(LEADS)
    for table in reversed(TABLES):
        op.drop_table(table)
