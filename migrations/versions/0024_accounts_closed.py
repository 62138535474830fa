"""Accounts of staff and operators are closed and opened again: when their state changed, when they were last
used."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"

STAFF = "kind = 'staff'"
OF_ACCOUNT = ("changed_at", "used_at", "unused_told_at")
LAST_SEEN = """
UPDATE account SET used_at = seen.at
FROM (SELECT tenant_id, account_id, max(seen_at) AS at FROM sign_in_session GROUP BY 1, 2) seen
WHERE account.tenant_id = seen.tenant_id AND account.id = seen.account_id AND account.kind = 'staff'
"""
LAST_SEEN_OPERATOR = """
UPDATE platform.operator SET used_at = seen.at
FROM (SELECT operator_id, max(seen_at) AS at FROM platform.operator_session GROUP BY 1) seen
WHERE operator.id = seen.operator_id
"""


def upgrade() -> None:
    for column in OF_ACCOUNT:
        op.add_column(
            "account",
            sa.Column(column, sa.DateTime(timezone=True), nullable=True),
        )
    op.create_index(
        "account_staff_ix",
        "account",
        ["tenant_id", "id"],
        postgresql_where=sa.text(STAFF),
    )
    op.create_index(
        "account_staff_name_ix",
        "account",
        ["tenant_id", "name", "id"],
        postgresql_where=sa.text(STAFF),
    )
    op.add_column(
        "operator",
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        schema="platform",
    )
    op.execute(LAST_SEEN)
    op.execute(LAST_SEEN_OPERATOR)


def downgrade() -> None:
    op.drop_column("operator", "used_at", schema="platform")
    op.drop_index("account_staff_name_ix", "account")
    op.drop_index("account_staff_ix", "account")
    for column in reversed(OF_ACCOUNT):
        op.drop_column("account", column)
