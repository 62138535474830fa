"""Annual appraisals, gradings of medical ethics, good and bad records, penalties of doctors."""

import sqlalchemy as sa
from alembic import op

from dingkao.database.migrations import secure_tenant_table

revision = "0044"
down_revision = "0043"

KINDS = "('annual_appraisal', 'ethics_grading', 'good_record', 'bad_record', 'penalty')"


def upgrade() -> None:
    op.create_table(
        "conduct_record",
        sa.Column("tenant_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("doctor_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("record_key", sa.LargeBinary(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("grade", sa.Text(), nullable=True),
        sa.Column("occurred_on", sa.Date(), nullable=True),
        sa.Column("matter", sa.Text(), nullable=True),
        sa.Column("authority", sa.Text(), nullable=True),
        sa.Column("document", sa.Text(), nullable=True),
        sa.Column("imported_by", sa.Uuid(), nullable=True),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(f"kind in {KINDS}", name=op.f("conduct_record_kind_known_ck")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("conduct_record_pk")),
        sa.UniqueConstraint(
            "tenant_id",
            "doctor_id",
            "kind",
            "record_key",
            name=op.f("conduct_record_tenant_id_doctor_id_kind_record_key_uq"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "doctor_id"],
            ["doctor.tenant_id", "doctor.id"],
            name=op.f("conduct_record_tenant_id_doctor_id_fk"),
        ),
    )
    secure_tenant_table("conduct_record")


def downgrade() -> None:
    op.drop_table("conduct_record")
