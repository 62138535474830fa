"""Who handed in is known exactly, which device goes on with a sitting, and outages whose sittings are given
time together."""

import sqlalchemy as sa
from alembic import op

from dingkao.database.migrations import secure_tenant_table

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    op.add_column("sitting", sa.Column("device", sa.Text()))
    # what a page handed in at its end was written down as the doctor's own act; nobody presses 交卷 in the
    # last two seconds
    op.execute(
        "UPDATE sitting SET handed_in_by = 'page' WHERE handed_in_by = 'doctor' AND handed_in_at >= "
        "closes_at - interval '2 seconds'"
    )
    op.create_check_constraint(
        op.f("sitting_handed_in_by_known_ck"),
        "sitting",
        "handed_in_by in ('doctor', 'page', 'system', 'staff', 'operator', 'offline')",
    )
    op.create_table(
        "outage",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid()),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("registered_by", sa.Uuid()),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("began_at < ended_at", name=op.f("outage_in_order_ck")),
        sa.CheckConstraint(
            "(organisation_id is null) = (registered_by is null)",
            name=op.f("outage_registered_by_an_organisation_ck"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("outage_pk")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "organisation_id"],
            ["organisation.tenant_id", "organisation.id"],
            name=op.f("outage_tenant_id_organisation_id_fk"),
        ),
    )
    op.create_index(
        op.f("outage_tenant_id_ended_at_ix"),
        "outage",
        ["tenant_id", "ended_at"],
    )
    secure_tenant_table("outage")
    op.add_column("added_time", sa.Column("outage_id", sa.Uuid()))
    op.create_foreign_key(
        op.f("added_time_tenant_id_outage_id_fk"),
        "added_time",
        "outage",
        ["tenant_id", "outage_id"],
        ["tenant_id", "id"],
    )
    op.create_index(
        "added_time_of_outage_ix",
        "added_time",
        ["tenant_id", "outage_id", "sitting_id"],
        unique=True,
        postgresql_where=sa.text("outage_id is not null"),
    )


def downgrade() -> None:
    op.drop_index("added_time_of_outage_ix", "added_time")
    op.drop_constraint(op.f("added_time_tenant_id_outage_id_fk"), "added_time")
    op.drop_column("added_time", "outage_id")
    op.drop_table("outage")
    op.drop_constraint(op.f("sitting_handed_in_by_known_ck"), "sitting")
    op.execute("UPDATE sitting SET handed_in_by = 'doctor' WHERE handed_in_by = 'page'")
    op.drop_column("sitting", "device")
