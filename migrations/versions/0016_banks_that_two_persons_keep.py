"""Banks that two persons keep: versions with who wrote and who approved them, exposures, likeness, pictures;
banks that the platform shares."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from dingkao.database.migrations import (
    grant_platform_table,
    secure_tenant_table,
)

revision = "0016"
down_revision = "0015"

OF_QUESTION = (
    "likeness",
    "proposed_version",
    "approved_at",
    "exposures",
)
OF_VERSION = (
    "about",
    "state",
    "made_by",
    "decided_by",
    "opinion",
    "changed_at",
)
OF_BANK = ("shared_bank_id", "shared_edition")


def _moment(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _kept(table: str, column: sa.Column, default: str) -> None:
    """A column that what is there gets `default` for, and what comes must fill itself."""
    column.server_default = sa.DefaultClause(sa.text(default))
    op.add_column(table, column)
    op.alter_column(table, column.name, server_default=None)


def upgrade() -> None:
    op.add_column("question_bank", sa.Column("shared_bank_id", sa.Uuid()))
    op.add_column("question_bank", sa.Column("shared_edition", sa.Integer()))
    op.add_column("question_group", sa.Column("label", sa.Text()))
    op.add_column("question", sa.Column("likeness", sa.LargeBinary()))
    op.add_column("question", sa.Column("proposed_version", sa.Uuid()))
    op.add_column("question", _moment("approved_at", nullable=True))
    _kept(
        "question",
        sa.Column("exposures", sa.Integer(), nullable=False),
        "0",
    )
    op.execute("update question set approved_at = now()")
    op.create_check_constraint(
        op.f("question_unapproved_is_out_of_use_ck"),
        "question",
        "approved_at is not null or retired_at is not null",
    )
    op.create_index(
        op.f("question_tenant_id_likeness_ix"),
        "question",
        ["tenant_id", "likeness"],
    )
    _kept(
        "question_version",
        sa.Column("about", JSONB, nullable=False),
        "'{}'",
    )
    _kept(
        "question_version",
        sa.Column("state", sa.Text(), nullable=False),
        "'approved'",
    )
    for name in ("made_by", "decided_by"):
        op.add_column("question_version", sa.Column(name, sa.Uuid()))
    op.add_column("question_version", sa.Column("opinion", sa.Text()))
    _kept("question_version", _moment("changed_at"), "now()")
    op.create_check_constraint(
        op.f("question_version_state_known_ck"),
        "question_version",
        "state in ('pending', 'approved', 'returned')",
    )
    op.create_check_constraint(
        op.f("question_version_two_persons_ck"),
        "question_version",
        "decided_by is null or made_by is null or decided_by <> made_by",
    )
    op.create_index(
        "question_version_pending_ix",
        "question_version",
        ["tenant_id", "id"],
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "question_picture",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("made_by", sa.Uuid()),
        _moment("made_at"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("question_picture_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "digest",
            name=op.f("question_picture_tenant_id_digest_uq"),
        ),
    )
    op.create_table(
        "exposure_tally",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("reached", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("exposure_tally_pk")),
    )
    secure_tenant_table("question_picture")
    secure_tenant_table("exposure_tally")
    op.create_table(
        "shared_bank",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        _moment("published_at", nullable=True),
        _moment("changed_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("shared_bank_pk")),
        sa.UniqueConstraint("name", name=op.f("shared_bank_name_uq")),
        schema="platform",
    )
    op.create_table(
        "shared_question",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("bank_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("cells", JSONB, nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("shared_question_pk")),
        sa.ForeignKeyConstraint(
            ["bank_id"],
            ["platform.shared_bank.id"],
            name=op.f("shared_question_bank_id_fk"),
        ),
        sa.UniqueConstraint(
            "bank_id",
            "digest",
            name=op.f("shared_question_bank_id_digest_uq"),
        ),
        schema="platform",
    )
    grant_platform_table("platform.shared_bank")
    grant_platform_table("platform.shared_question")


def downgrade() -> None:
    for table in ("shared_question", "shared_bank"):
        op.drop_table(table, schema="platform")
    op.drop_table("exposure_tally")
    op.drop_table("question_picture")
    op.drop_index("question_version_pending_ix", "question_version")
    for name in OF_VERSION:
        op.drop_column("question_version", name)
    op.drop_index(op.f("question_tenant_id_likeness_ix"), "question")
    for name in OF_QUESTION:
        op.drop_column("question", name)
    op.drop_column("question_group", "label")
    for name in OF_BANK:
        op.drop_column("question_bank", name)
