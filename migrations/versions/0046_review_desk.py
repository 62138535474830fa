"""The review desk: what a side has seen, ready-made phrases, batches of decisions, who has sent a record on
and to whom it was given, the reviewers' checks of conduct."""

import sqlalchemy as sa
from alembic import op

from dingkao.database.migrations import secure_tenant_table

revision = "0046"
down_revision = "0045"

SIDES = "('institution', 'organisation')"
RECALLABLE = "('institution_pending', 'organisation_returned', 'organisation_pending')"
ASSESSMENT_COLUMNS = (
    ("conduct_findings", "jsonb"),
    ("bad_record_check", "text"),
    ("sent_by", "uuid"),
    ("sent_from", "text"),
    ("assigned_to", "uuid"),
)
PARTIAL_INDEXES = {
    "assessment_sent_by_ix": ("sent_by", ["tenant_id", "sent_by", "changed_at", "id"]),
    "assessment_assigned_to_ix": ("assigned_to", ["tenant_id", "assigned_to", "cycle_id", "state", "id"]),
}
TABLES = ("review_snapshot", "review_phrase", "review_batch", "review_batch_item")


def upgrade() -> None:
    for name, kind in ASSESSMENT_COLUMNS:
        op.execute(f"ALTER TABLE assessment ADD COLUMN {name} {kind}")
    for name, values in (("bad_record_check", "('none', 'found')"), ("sent_from", RECALLABLE)):
        op.create_check_constraint(op.f(f"assessment_{name}_known_ck"), "assessment", f"{name} in {values}")
    for name, (column, columns) in PARTIAL_INDEXES.items():
        op.create_index(name, "assessment", columns, postgresql_where=sa.text(f"{column} is not null"))
    _create_snapshots()
    _create_phrases()
    _create_batches()
    for table in TABLES:
        secure_tenant_table(table)


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
    for name in PARTIAL_INDEXES:
        op.drop_index(name, "assessment")
    for name, _ in ASSESSMENT_COLUMNS:
        op.drop_column("assessment", name)


def _key_columns() -> list[sa.Column]:
    return [
        sa.Column("tenant_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
    ]


def _foreign_key(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["tenant_id", column],
        [f"{target}.tenant_id", f"{target}.id"],
        name=op.f(f"{table}_tenant_id_{column}_fk"),
    )


def _moment(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _create_snapshots() -> None:
    op.create_table(
        "review_snapshot",
        *_key_columns(),
        sa.Column("assessment_id", sa.Uuid(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("content_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("taken_by", sa.Uuid(), nullable=True),
        _moment("taken_at"),
        sa.CheckConstraint(f"side in {SIDES}", name=op.f("review_snapshot_side_known_ck")),
        _foreign_key("review_snapshot", "assessment_id", "assessment"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("review_snapshot_pk")),
        sa.UniqueConstraint(
            "tenant_id", "assessment_id", "side", name=op.f("review_snapshot_tenant_id_assessment_id_side_uq")
        ),
    )


def _create_phrases() -> None:
    op.create_table(
        "review_phrase",
        *_key_columns(),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        _moment("written_at"),
        _foreign_key("review_phrase", "organisation_id", "organisation"),
        _foreign_key("review_phrase", "account_id", "account"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("review_phrase_pk")),
    )
    for column in ("account_id", "organisation_id"):
        op.create_index(op.f(f"review_phrase_tenant_id_{column}_ix"), "review_phrase", ["tenant_id", column])


def _create_batches() -> None:
    op.create_table(
        "review_batch",
        *_key_columns(),
        sa.Column("cycle_id", sa.Uuid(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("recalled_batch_id", sa.Uuid(), nullable=True),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("asked_by", sa.Uuid(), nullable=True),
        _moment("asked_at"),
        _moment("ended_at", nullable=True),
        sa.CheckConstraint(f"side in {SIDES}", name=op.f("review_batch_side_known_ck")),
        sa.CheckConstraint("action in ('decide', 'recall')", name=op.f("review_batch_action_known_ck")),
        _foreign_key("review_batch", "cycle_id", "cycle"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("review_batch_pk")),
    )
    op.create_foreign_key(
        op.f("review_batch_tenant_id_recalled_batch_id_fk"),
        "review_batch",
        "review_batch",
        ["tenant_id", "recalled_batch_id"],
        ["tenant_id", "id"],
    )
    op.create_index(
        op.f("review_batch_tenant_id_asked_by_cycle_id_side_id_ix"),
        "review_batch",
        ["tenant_id", "asked_by", "cycle_id", "side", "id"],
    )
    op.create_table(
        "review_batch_item",
        *_key_columns(),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("assessment_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state in ('waiting', 'done', 'left_out')", name=op.f("review_batch_item_state_known_ck")
        ),
        _foreign_key("review_batch_item", "batch_id", "review_batch"),
        _foreign_key("review_batch_item", "assessment_id", "assessment"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("review_batch_item_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "batch_id",
            "assessment_id",
            name=op.f("review_batch_item_tenant_id_batch_id_assessment_id_uq"),
        ),
    )
    op.create_index(
        op.f("review_batch_item_tenant_id_batch_id_state_assessment_id_ix"),
        "review_batch_item",
        ["tenant_id", "batch_id", "state", "assessment_id"],
    )
