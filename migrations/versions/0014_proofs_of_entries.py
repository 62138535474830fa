"""A proof may belong to one entry of a list. A doctor's proofs are found by the doctor, as before: that needs
no further index."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("document", sa.Column("entry_id", sa.Uuid()))
    op.create_check_constraint(
        op.f("document_entry_of_proof_ck"),
        "document",
        "entry_id is null or kind = 'proof'",
    )


def downgrade() -> None:
    op.drop_column("document", "entry_id")
