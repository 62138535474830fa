"""Organisations are renamed, merged and closed: their former names, and what became of them."""

import sqlalchemy as sa
from alembic import op

from dingkao.database.migrations import secure_tenant_table

revision = "0057"
down_revision = "0056"

TABLE = "organisation_former_name"


def upgrade() -> None:
    op.add_column("organisation", sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("organisation", sa.Column("successor_id", sa.Uuid(), nullable=True))
    op.create_check_constraint(
        op.f("organisation_successor_of_closed_ck"),
        "organisation",
        "successor_id is null or (closed_at is not null and successor_id <> id)",
    )
    op.create_foreign_key(
        op.f("organisation_tenant_id_successor_id_fk"),
        "organisation",
        "organisation",
        ["tenant_id", "successor_id"],
        ["tenant_id", "id"],
    )
    op.create_index(
        "organisation_successor_ix",
        "organisation",
        ["tenant_id", "successor_id"],
        postgresql_where=sa.text("successor_id is not null"),
    )
    op.create_table(
        TABLE,
        sa.Column("tenant_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("used_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("predecessor_id", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f(f"{TABLE}_pk")),
    )
    for column in ("organisation_id", "predecessor_id"):
        op.create_foreign_key(
            op.f(f"{TABLE}_tenant_id_{column}_fk"),
            TABLE,
            "organisation",
            ["tenant_id", column],
            ["tenant_id", "id"],
        )
    op.create_index(
        op.f(f"{TABLE}_tenant_id_organisation_id_id_ix"), TABLE, ["tenant_id", "organisation_id", "id"]
    )
    secure_tenant_table(TABLE)


def downgrade() -> None:
    op.drop_table(TABLE)
    op.drop_index("organisation_successor_ix", "organisation")
    op.drop_constraint(op.f("organisation_tenant_id_successor_id_fk"), "organisation")
    op.drop_constraint(op.f("organisation_successor_of_closed_ck"), "organisation")
    op.drop_column("organisation", "successor_id")
    op.drop_column("organisation", "closed_at")
