"""Filings that somebody fills in on the doctor's behalf: marks and confirmation, and the signed form's
scan."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0053"
down_revision = "0052"

KINDS = "'photo', 'proof'"


def upgrade() -> None:
    op.add_column("filing", sa.Column("assistance", JSONB(), nullable=True))
    op.add_column("filing", sa.Column("assisted_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "filing_assisted_ix",
        "filing",
        ["tenant_id", "assisted_at", "id"],
        postgresql_where=sa.text("assisted_at is not null"),
    )
    _know_kinds(f"{KINDS}, 'signature'")


def downgrade() -> None:
    op.execute("DELETE FROM document WHERE kind = 'signature'")
    _know_kinds(KINDS)
    op.drop_index("filing_assisted_ix", "filing")
    op.drop_column("filing", "assisted_at")
    op.drop_column("filing", "assistance")


def _know_kinds(kinds: str) -> None:
    op.drop_constraint(op.f("document_kind_known_ck"), "document")
    op.create_check_constraint(op.f("document_kind_known_ck"), "document", f"kind in ({kinds})")
