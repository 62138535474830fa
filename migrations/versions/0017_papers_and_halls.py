"""Papers by procedure, with cells by topic and difficulty, a share of 公共知识 and a plan, drawn anew or the
same for everybody; halls, slots, places in them, extra time; with what a drawn ticket showed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from dingkao.database.migrations import secure_tenant_table

revision = "0017"
down_revision = "0016"

KEY = ["tenant_id", "cycle_id", "subject", "category", "level"]


def upgrade() -> None:
    op.add_column(
        "paper",
        sa.Column("procedure", sa.Text(), nullable=False, server_default="any"),
    )
    op.add_column(
        "paper",
        sa.Column(
            "humanities",
            sa.Integer(),
            nullable=False,
            server_default="0",
        ),
    )
    op.add_column(
        "paper",
        sa.Column("cells", JSONB, nullable=False, server_default="[]"),
    )
    op.add_column("paper", sa.Column("plan", JSONB))
    op.add_column("paper", sa.Column("fixed", JSONB))
    for column in ("procedure", "humanities", "cells"):
        op.alter_column("paper", column, server_default=None)
    op.create_check_constraint(
        op.f("paper_procedure_known_ck"),
        "paper",
        "procedure in ('any', 'general', 'simple')",
    )
    op.create_check_constraint(op.f("paper_humanities_sane_ck"), "paper", "humanities >= 0")
    op.drop_constraint(
        op.f("paper_tenant_id_cycle_id_subject_category_level_uq"),
        "paper",
    )
    op.create_unique_constraint(
        op.f("paper_tenant_id_cycle_id_subject_category_level_procedure_uq"),
        "paper",
        [*KEY, "procedure"],
    )
    op.add_column("admission_ticket", sa.Column("drawn_as", sa.LargeBinary()))
    _halls()
    _slots()
    _places()
    _extra_time()


def _table(name: str, *parts: sa.Column | sa.Constraint) -> None:
    own = (
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
    )
    op.create_table(
        name,
        *own,
        *parts,
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f(f"{name}_pk")),
    )
    secure_tenant_table(name)


def _within(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["tenant_id", column],
        [f"{other}.tenant_id", f"{other}.id"],
        name=op.f(f"{table}_tenant_id_{column}_fk"),
    )


def _halls() -> None:
    _table(
        "hall",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("seats", sa.Integer(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("seats between 1 and 5000", name=op.f("hall_seats_sane_ck")),
        sa.UniqueConstraint(
            "tenant_id",
            "organisation_id",
            "name",
            name=op.f("hall_tenant_id_organisation_id_name_uq"),
        ),
        _within("hall", "organisation_id", "organisation"),
    )


def _slots() -> None:
    _table(
        "slot",
        sa.Column("cycle_id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("hall_id", sa.Uuid()),
        sa.Column("institution_id", sa.Uuid()),
        sa.Column("subject", sa.Text()),
        sa.Column("opens_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closes_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("invigilated", sa.Boolean(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "subject in ('common', 'professional')",
            name=op.f("slot_subject_known_ck"),
        ),
        sa.CheckConstraint("opens_at < closes_at", name=op.f("slot_in_order_ck")),
        _within("slot", "cycle_id", "cycle"),
        _within("slot", "organisation_id", "organisation"),
        _within("slot", "hall_id", "hall"),
        _within("slot", "institution_id", "organisation"),
    )
    op.create_index(
        op.f("slot_tenant_id_cycle_id_institution_id_ix"),
        "slot",
        ["tenant_id", "cycle_id", "institution_id"],
    )
    op.create_index(
        op.f("slot_tenant_id_organisation_id_cycle_id_opens_at_ix"),
        "slot",
        ["tenant_id", "organisation_id", "cycle_id", "opens_at"],
    )


def _places() -> None:
    _table(
        "slot_place",
        sa.Column("slot_id", sa.Uuid(), nullable=False),
        sa.Column("assessment_id", sa.Uuid(), nullable=False),
        sa.Column("seat", sa.Integer(), nullable=False),
        sa.UniqueConstraint(
            "tenant_id",
            "slot_id",
            "seat",
            name=op.f("slot_place_tenant_id_slot_id_seat_uq"),
        ),
        sa.UniqueConstraint(
            "tenant_id",
            "slot_id",
            "assessment_id",
            name=op.f("slot_place_tenant_id_slot_id_assessment_id_uq"),
        ),
        _within("slot_place", "slot_id", "slot"),
        _within("slot_place", "assessment_id", "assessment"),
    )
    op.create_index(
        op.f("slot_place_tenant_id_assessment_id_ix"),
        "slot_place",
        ["tenant_id", "assessment_id"],
    )


def _extra_time() -> None:
    _table(
        "extra_time",
        sa.Column("cycle_id", sa.Uuid(), nullable=False),
        sa.Column("doctor_id", sa.Uuid(), nullable=False),
        sa.Column("minutes", sa.Integer()),
        sa.Column("percent", sa.Integer()),
        sa.Column("reason_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("granted_by", sa.Uuid()),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(minutes is null) <> (percent is null)",
            name=op.f("extra_time_one_measure_ck"),
        ),
        sa.CheckConstraint(
            "minutes between 1 and 300",
            name=op.f("extra_time_minutes_sane_ck"),
        ),
        sa.CheckConstraint(
            "percent between 1 and 200",
            name=op.f("extra_time_percent_sane_ck"),
        ),
        sa.UniqueConstraint(
            "tenant_id",
            "cycle_id",
            "doctor_id",
            name=op.f("extra_time_tenant_id_cycle_id_doctor_id_uq"),
        ),
        _within("extra_time", "cycle_id", "cycle"),
        _within("extra_time", "doctor_id", "doctor"),
    )


def downgrade() -> None:
    for table in ("extra_time", "slot_place", "slot", "hall"):
        op.drop_table(table)
    op.drop_column("admission_ticket", "drawn_as")
    op.drop_constraint(
        op.f("paper_tenant_id_cycle_id_subject_category_level_procedure_uq"),
        "paper",
    )
    op.create_unique_constraint(
        op.f("paper_tenant_id_cycle_id_subject_category_level_uq"),
        "paper",
        KEY,
    )
    op.drop_constraint(op.f("paper_humanities_sane_ck"), "paper")
    op.drop_constraint(op.f("paper_procedure_known_ck"), "paper")
    for column in ("fixed", "plan", "cells", "humanities", "procedure"):
        op.drop_column("paper", column)
