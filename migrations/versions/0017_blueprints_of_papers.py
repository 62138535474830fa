"""Papers by procedure, with cells by topic and difficulty, a share of 公共知识 and a plan, drawn anew or the same for everybody."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0017"
down_revision = "0015"

KEY = ["tenant_id", "cycle_id", "subject", "category", "level"]


def upgrade() -> None:
    op.add_column("paper", sa.Column("procedure", sa.Text(), nullable=False, server_default="any"))
    op.add_column("paper", sa.Column("humanities", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("paper", sa.Column("cells", JSONB, nullable=False, server_default="[]"))
    op.add_column("paper", sa.Column("plan", JSONB))
    op.add_column("paper", sa.Column("fixed", JSONB))
    for column in ("procedure", "humanities", "cells"):
        op.alter_column("paper", column, server_default=None)
    op.create_check_constraint(op.f("paper_procedure_known_ck"), "paper", "procedure in ('any', 'general', 'simple')")
    op.create_check_constraint(op.f("paper_humanities_sane_ck"), "paper", "humanities >= 0")
    op.drop_constraint(op.f("paper_tenant_id_cycle_id_subject_category_level_uq"), "paper")
    op.create_unique_constraint(op.f("paper_tenant_id_cycle_id_subject_category_level_procedure_uq"), "paper", [*KEY, "procedure"])


def downgrade() -> None:
    op.drop_constraint(op.f("paper_tenant_id_cycle_id_subject_category_level_procedure_uq"), "paper")
    op.create_unique_constraint(op.f("paper_tenant_id_cycle_id_subject_category_level_uq"), "paper", KEY)
    op.drop_constraint(op.f("paper_humanities_sane_ck"), "paper")
    op.drop_constraint(op.f("paper_procedure_known_ck"), "paper")
    for column in ("fixed", "plan", "cells", "humanities", "procedure"):
        op.drop_column("paper", column)
