"""What a doctor has practised, over all runs: which questions were seen, wrong or marked, and how much a
week. Runs made before are counted in."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from dingkao.database.migrations import secure_tenant_table

revision = "0009"
down_revision = "0008"

BANKS = (
    "'professional:clinical', 'professional:dental', 'professional:public_health', "
    "'professional:chinese', 'common'"
)
NAMED = {
    "业务水平 · 临床": "professional:clinical", "业务水平 · 口腔": "professional:dental", "业务水平 · 公共卫生": "professional:public_health",
    "业务水平 · 中医": "professional:chinese",
}  # fmt: skip
ANSWERED = """
WITH answered AS (
    SELECT r.tenant_id, a.doctor_id, q.id AS question_id, r.id AS run_id, r.begun_at,
           one.letters = v.answer AS was_right,
           q.subject || CASE WHEN q.subject = 'professional' THEN ':' || q.category ELSE '' END AS bank
    FROM practice_run r
    JOIN assessment a ON a.tenant_id = r.tenant_id AND a.id = r.assessment_id
    CROSS JOIN LATERAL jsonb_each_text(r.answers) AS one (position, letters)
    JOIN question_version v ON v.tenant_id = r.tenant_id AND v.id = (r.layout ->> one.position::int)::uuid
    JOIN question q ON q.tenant_id = r.tenant_id AND q.id = v.question_id
)
"""
SEEN = (
    ANSWERED
    + """
INSERT INTO practised_question (tenant_id, doctor_id, question_id, seen_at, wrong)
SELECT DISTINCT ON (1, 2, 3) tenant_id, doctor_id, question_id, begun_at, NOT was_right
FROM answered ORDER BY 1, 2, 3, run_id DESC
"""
)
STARRED = """
INSERT INTO practised_question (tenant_id, doctor_id, question_id, seen_at, wrong, starred_at)
SELECT r.tenant_id, a.doctor_id, v.question_id, NULL::timestamptz, false, max(r.begun_at)
FROM practice_run r
JOIN assessment a ON a.tenant_id = r.tenant_id AND a.id = r.assessment_id
CROSS JOIN LATERAL jsonb_array_elements_text(r.starred) AS one (position)
JOIN question_version v ON v.tenant_id = r.tenant_id AND v.id = (r.layout ->> one.position::int)::uuid
GROUP BY 1, 2, 3
ON CONFLICT (tenant_id, doctor_id, question_id) DO UPDATE SET starred_at = excluded.starred_at
"""
WEEKS = (
    ANSWERED
    + """
INSERT INTO practice_week (tenant_id, doctor_id, monday, bank, answered, answered_right)
SELECT tenant_id, doctor_id, date_trunc('week', begun_at AT TIME ZONE 'Asia/Shanghai')::date, bank,
       count(*), count(*) FILTER (WHERE was_right)
FROM answered GROUP BY 1, 2, 3, 4
"""
)


def upgrade() -> None:
    op.create_table(
        "practised_question",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("doctor_id", sa.Uuid(), nullable=False),
        sa.Column("question_id", sa.Uuid(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("wrong", sa.Boolean(), nullable=False),
        sa.Column("starred_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "doctor_id"],
            ["doctor.tenant_id", "doctor.id"],
            name=op.f("practised_question_tenant_id_doctor_id_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "question_id"],
            ["question.tenant_id", "question.id"],
            name=op.f("practised_question_tenant_id_question_id_fk"),
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id",
            "doctor_id",
            "question_id",
            name=op.f("practised_question_pk"),
        ),
    )
    op.create_table(
        "practice_week",
        sa.Column(
            "tenant_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("doctor_id", sa.Uuid(), nullable=False),
        sa.Column("monday", sa.Date(), nullable=False),
        sa.Column("bank", sa.Text(), nullable=False),
        sa.Column("answered", sa.Integer(), nullable=False),
        sa.Column("answered_right", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            f"bank in ({BANKS})",
            name=op.f("practice_week_bank_known_ck"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "doctor_id"],
            ["doctor.tenant_id", "doctor.id"],
            name=op.f("practice_week_tenant_id_doctor_id_fk"),
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id",
            "doctor_id",
            "monday",
            "bank",
            name=op.f("practice_week_pk"),
        ),
    )
    for table in ("practised_question", "practice_week"):
        secure_tenant_table(table)
    for statement in (SEEN, STARRED, WEEKS):
        op.execute(statement)
    op.add_column(
        "practice_run",
        sa.Column("source", sa.Text(), nullable=False, server_default="bank"),
    )
    op.add_column("practice_run", sa.Column("bank", sa.Text(), nullable=True))
    cases = " ".join(f"WHEN '{title}' THEN '{bank}'" for title, bank in NAMED.items())
    op.execute(f"UPDATE practice_run SET bank = CASE title {cases} ELSE 'common' END")  # noqa: S608 - ours
    op.alter_column("practice_run", "source", server_default=None)
    op.drop_column("practice_run", "title")
    op.drop_column("practice_run", "starred")
    op.create_check_constraint(
        op.f("practice_run_source_known_ck"),
        "practice_run",
        "source in ('bank', 'wrong', 'starred')",
    )
    op.create_check_constraint(
        op.f("practice_run_bank_known_ck"),
        "practice_run",
        f"bank in ({BANKS})",
    )
    op.create_check_constraint(
        op.f("practice_run_bank_is_named_ck"),
        "practice_run",
        "(source = 'bank') = (bank is not null)",
    )


def downgrade() -> None:
    for name in ("source_known", "bank_known", "bank_is_named"):
        op.drop_constraint(op.f(f"practice_run_{name}_ck"), "practice_run")
    op.add_column(
        "practice_run",
        sa.Column("title", sa.Text(), nullable=False, server_default=""),
    )
    op.add_column(
        "practice_run",
        sa.Column("starred", JSONB(), nullable=False, server_default="[]"),
    )
    cases = " ".join(f"WHEN '{bank}' THEN '{title}'" for title, bank in NAMED.items())
    op.execute(f"UPDATE practice_run SET title = CASE bank {cases} ELSE '公共知识' END")  # noqa: S608 - ours
    op.alter_column("practice_run", "title", server_default=None)
    op.alter_column("practice_run", "starred", server_default=None)
    op.drop_column("practice_run", "source")
    op.drop_column("practice_run", "bank")
    op.drop_table("practice_week")
    op.drop_table("practised_question")
