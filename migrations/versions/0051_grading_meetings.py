"""Meetings of an assessment organisation's committee on 综合评定."""

import sqlalchemy as sa
from alembic import op

from dingkao.database.migrations import secure_tenant_table

revision = "0051"
down_revision = "0050"

TABLES = (
    "grading_meeting",
    "grading_meeting_entry",
    "grading_meeting_member",
)
REFERENCES = (
    ("grading_meeting", "cycle_id", "cycle", None),
    (
        "grading_meeting",
        "organisation_id",
        "organisation",
        None,
    ),
    (
        "grading_meeting_entry",
        "meeting_id",
        "grading_meeting",
        "CASCADE",
    ),
    (
        "grading_meeting_entry",
        "assessment_id",
        "assessment",
        None,
    ),
    (
        "grading_meeting_member",
        "meeting_id",
        "grading_meeting",
        "CASCADE",
    ),
    (
        "grading_meeting_member",
        "account_id",
        "account",
        None,
    ),
)
VERDICTS = (
    "sample_result",
    "sample_note",
    "performance",
    "ethics",
    "competence",
    "outcome",
    "left_out_reason",
)


def upgrade() -> None:
    op.create_table(
        "grading_meeting",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("cycle_id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("held_on", sa.Date(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
        ),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            nullable=False,
        ),
        sa.Column("filled_at", sa.DateTime(timezone=True)),
        sa.Column("digest", sa.LargeBinary()),
        sa.CheckConstraint(
            "state in ('draft', 'concluding', 'held')",
            name=op.f("grading_meeting_state_known_ck"),
        ),
        sa.CheckConstraint(
            "(state = 'held') = (digest is not null)",
            name=op.f("grading_meeting_held_is_sealed_ck"),
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id",
            "id",
            name=op.f("grading_meeting_pk"),
        ),
    )
    op.create_table(
        "grading_meeting_entry",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("meeting_id", sa.Uuid(), nullable=False),
        sa.Column("assessment_id", sa.Uuid(), nullable=False),
        sa.Column("sampled", sa.Boolean(), nullable=False),
        *(sa.Column(name, sa.Text()) for name in VERDICTS),
        sa.CheckConstraint(
            "sample_result in ('sound', 'doubtful')",
            name=op.f("grading_meeting_entry_sample_result_known_ck"),
        ),
        sa.CheckConstraint(
            "outcome in ('pass', 'fail')",
            name=op.f("grading_meeting_entry_outcome_known_ck"),
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id",
            "meeting_id",
            "assessment_id",
            name=op.f("grading_meeting_entry_pk"),
        ),
    )
    op.create_table(
        "grading_meeting_member",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("meeting_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Uuid()),
        sa.Column("signed_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint(
            "role in ('chair', 'member', 'secretary')",
            name=op.f("grading_meeting_member_role_known_ck"),
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id",
            "id",
            name=op.f("grading_meeting_member_pk"),
        ),
    )
    for table, column, target, on_delete in REFERENCES:
        op.create_foreign_key(
            op.f(f"{table}_tenant_id_{column}_fk"),
            table,
            target,
            ["tenant_id", column],
            ["tenant_id", "id"],
            ondelete=on_delete,
        )
    op.create_index(
        op.f("grading_meeting_tenant_id_organisation_id_cycle_id_id_ix"),
        "grading_meeting",
        ["tenant_id", "organisation_id", "cycle_id", "id"],
    )
    op.create_index(
        "grading_meeting_entry_open_ix",
        "grading_meeting_entry",
        ["tenant_id", "assessment_id"],
        unique=True,
        postgresql_where=sa.text("outcome is null and left_out_reason is null"),
    )
    op.create_index(
        op.f("grading_meeting_entry_tenant_id_meeting_id_outcome_assessment_id_ix"),
        "grading_meeting_entry",
        [
            "tenant_id",
            "meeting_id",
            "outcome",
            "assessment_id",
        ],
    )
    op.create_index(
        op.f("grading_meeting_member_tenant_id_meeting_id_id_ix"),
        "grading_meeting_member",
        ["tenant_id", "meeting_id", "id"],
    )
    for table in TABLES:
        secure_tenant_table(table)


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
