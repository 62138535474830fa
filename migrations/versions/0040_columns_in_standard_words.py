"""Columns in standard words; the rounds of reminders have a table named after what they are."""

from alembic import op

revision = "0040"
down_revision = "0039"

COLUMNS = (
    ("reminding", "days", "days_before"),
    ("reminding", "reached", "last_assessment_id"),
    ("reminding", "told", "notified_count"),
    ("account", "unused_told_at", "unused_warned_at"),
    ("admission_ticket", "drawn_as", "rendered_digest"),
    ("assessment", "returned_marks", "return_marks"),
    ("exposure_tally", "reached", "last_sitting_id"),
    ("filing", "pens", "client_ids"),
    ("imported_score", "left_out", "skipped_reason"),
    ("mock_exam", "marks", "points"),
    ("notice", "leads", "target"),
    ("notice", "outward", "delivery_state"),
    ("one_time_code", "waits", "awaits_approval"),
    ("paper", "humanities", "common_count"),
    ("paper", "marks", "points"),
    ("practised_question", "wrong", "is_wrong"),
    ("upload", "cleared", "pieces_deleted"),
)
"""Table, the column's former name, its name."""
CONSTRAINTS = (
    ("notice", "notice_leads_known_ck", "notice_target_known_ck"),
    (
        "notice",
        "notice_outward_known_ck",
        "notice_delivery_state_known_ck",
    ),
    ("paper", "paper_humanities_sane_ck", "paper_common_count_sane_ck"),
    (
        "reminding",
        "reminding_tenant_id_cycle_id_state_last_day_days_uq",
        "reminder_round_tenant_id_cycle_id_state_last_day_days_before_uq",
    ),
    (
        "reminding",
        "reminding_state_known_ck",
        "reminder_round_state_known_ck",
    ),
    (
        "reminding",
        "reminding_tenant_id_cycle_id_fk",
        "reminder_round_tenant_id_cycle_id_fk",
    ),
    ("reminding", "reminding_pk", "reminder_round_pk"),
)
"""Table, the constraint's former name, its name; an index that bears one follows."""
INDEXES = (
    ("notice_outward_ix", "notice_delivery_state_ix"),
    ("one_time_code_waits_ix", "one_time_code_awaits_approval_ix"),
)
POLICIES = ("own_province", "app")


def upgrade() -> None:
    for table, former, name in COLUMNS:
        op.alter_column(table, former, new_column_name=name)
    for table, former, name in CONSTRAINTS:
        op.execute(f"ALTER TABLE {table} RENAME CONSTRAINT {former} TO {name}")
    for former, name in INDEXES:
        op.execute(f"ALTER INDEX {former} RENAME TO {name}")
    for policy in POLICIES:
        op.execute(f"ALTER POLICY reminding_{policy} ON reminding RENAME TO reminder_round_{policy}")
    op.rename_table("reminding", "reminder_round")


def downgrade() -> None:
    op.rename_table("reminder_round", "reminding")
    for policy in POLICIES:
        op.execute(f"ALTER POLICY reminder_round_{policy} ON reminding RENAME TO reminding_{policy}")
    for former, name in INDEXES:
        op.execute(f"ALTER INDEX {name} RENAME TO {former}")
    for table, former, name in CONSTRAINTS:
        op.execute(f"ALTER TABLE {table} RENAME CONSTRAINT {name} TO {former}")
    for table, former, name in COLUMNS:
        op.alter_column(table, name, new_column_name=former)
