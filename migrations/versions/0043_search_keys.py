"""Doctors and organisations are found by keys: characters and readings of their names. The rows of a
database that has doctors are written by a job for each province, or by `dingkao roster index`."""

import sqlalchemy as sa
from alembic import op

from dingkao.database.migrations import secure_tenant_table

revision = "0043"
down_revision = "0042"

KEY_TEXT = sa.Text(collation="C")


def upgrade() -> None:
    op.create_table(
        "doctor_search_key",
        sa.Column("tenant_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", KEY_TEXT, nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("doctor_id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id", "key", "name_key", "doctor_id", name=op.f("doctor_search_key_pk")
        ),
    )
    op.create_table(
        "organisation_search_key",
        sa.Column("tenant_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", KEY_TEXT, nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id", "key", "organisation_id", name=op.f("organisation_search_key_pk")
        ),
    )
    for table, owner in (("doctor_search_key", "doctor"), ("organisation_search_key", "organisation")):
        op.create_foreign_key(
            op.f(f"{table}_tenant_id_{owner}_id_fk"),
            table,
            owner,
            ["tenant_id", f"{owner}_id"],
            ["tenant_id", "id"],
        )
        op.create_index(op.f(f"{table}_tenant_id_{owner}_id_ix"), table, ["tenant_id", f"{owner}_id"])
    op.create_index(
        op.f("doctor_search_key_tenant_id_organisation_id_key_name_key_doctor_id_ix"),
        "doctor_search_key",
        ["tenant_id", "organisation_id", "key", "name_key", "doctor_id"],
    )
    for table in ("doctor_search_key", "organisation_search_key"):
        secure_tenant_table(table)


def downgrade() -> None:
    op.drop_table("organisation_search_key")
    op.drop_table("doctor_search_key")
