"""Who put whom into office of late: for seven days they are not two persons."""

import sqlalchemy as sa
from alembic import op

from dingkao.database.migrations import secure_tenant_table

revision = "0032"
down_revision = "0031"

# What was handed over in the days before: a code goes with every invitation.
CODES = """
INSERT INTO appointment (tenant_id, id, account_id, by_account_id, kind, at)
SELECT code.tenant_id, code.id, code.account_id, code.issued_by, 'code', code.issued_at
FROM one_time_code code
JOIN account appointed ON appointed.tenant_id = code.tenant_id AND appointed.id = code.account_id
JOIN account appointer ON appointer.tenant_id = code.tenant_id AND appointer.id = code.issued_by
WHERE appointed.kind = 'staff' AND appointer.kind = 'staff' AND code.account_id <> code.issued_by
"""


def upgrade() -> None:
    op.create_table(
        "appointment",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("by_account_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind in ('role', 'code', 'mobile')",
            name=op.f("appointment_kind_known_ck"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("appointment_pk")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "account_id"],
            ["account.tenant_id", "account.id"],
            name=op.f("appointment_tenant_id_account_id_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "by_account_id"],
            ["account.tenant_id", "account.id"],
            name=op.f("appointment_tenant_id_by_account_id_fk"),
        ),
    )
    op.create_index(
        op.f("appointment_tenant_id_account_id_at_ix"),
        "appointment",
        ["tenant_id", "account_id", "at"],
    )
    op.execute(CODES)
    secure_tenant_table("appointment")


def downgrade() -> None:
    op.drop_table("appointment")
