"""A notice has a kind and the record it is about; the day a result was received is kept at the record.

Both were found by the wording of notices until now. Rows are filled in batches, each a transaction of its
own, so that no table is locked meanwhile; a run that was broken off can be repeated.
"""

from uuid import UUID

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"

BATCH = 5000
FIRST = UUID(int=0)
KINDS_BY_TITLE = {
    "您已被纳入本周期考核": "enrolled",
    "您已被移出本周期考核名单": "removed_from_list",
    "机构审核已通过": "institution_approved",
    "考试场次安排": "slot_assigned",
    "考试场次变更": "slot_changed",
    "考试场次取消": "slot_cancelled",
    "考试时间已延长": "window_extended",
    "试卷已到时自动交卷": "handed_in_by_system",
    "缺考": "absent",
    "线下测评成绩已登记": "paper_score_entered",
    "考试情况需要您说明": "case_opened",
    "考核结果已发布": "result_published",
    "考核结果已更正为合格": "result_changed_to_passed",
    "业务水平评定已更正": "verdict_corrected",
    "测评成绩已更正": "score_corrected",
    "免考申请已通过": "exemption_granted",
    "延考申请已通过": "deferral_granted",
    "信息修改申请已通过": "change_granted",
    "信息更正申请已通过": "correction_granted",
    "复核申请已答复": "appeal_upheld",
    "您的账号发放了一次性代码": "code_issued",
    "手机号码已修改": "mobile_changed",
    "审计日志核验发现异常": "journal_problem",
}
KINDS_BY_PATTERN = (
    ("报名信息被退回", "主要执业机构退回%", "returned_by_institution"),
    ("报名信息被退回", "考核机构退回%", "returned_by_organisation"),
    ("复核已通过", "个人报名信息已通过审核%", "accepted"),
    (
        "复核已通过",
        "您的报名信息已通过考核机构复核%",
        "accepted_without_test",
    ),
    ("作答时间已延长", "%您的作答截止时间由%", "sitting_extended"),
    ("作答时间已延长", "%试卷已重新打开%", "time_added_reopened"),
    ("作答时间已延长", "%您的作答时间已延长%", "time_added"),
    ("考试情况核查结果", "经核查不予处理%", "case_dismissed"),
    (
        "考试情况核查结果",
        "经核查，您的这次作答作废，可在%",
        "case_voided_resit",
    ),
    (
        "考试情况核查结果",
        "经核查，您的这次作答作废，按缺考处理%",
        "case_voided_absent",
    ),
    (
        "复核申请已通过",
        "您的复核申请已部分通过%",
        "appeal_granted_partly",
    ),
    ("复核申请已通过", "您的复核申请已通过%", "appeal_granted_passed"),
    ("%申请已通过一级审核", "%", "request_first_approved"),
    ("%申请未通过", "%", "request_refused"),
    ("%申请已撤回", "%", "request_lapsed"),
    ("报名即将截止%", "%您还没有填报%", "reminder_included"),
    ("报名即将截止%", "%尚未提交%", "reminder_draft"),
    ("重新提交即将截止%", "%", "reminder_returned"),
    ("测评即将截止%", "%您还没有参加测评%", "reminder_ready"),
    ("测评即将截止%", "%您还有试卷没有完成%", "reminder_testing"),
    ("重考即将截止%", "%", "reminder_resit"),
)
"""Pattern of the title, pattern of the body, kind; the first that fits counts."""

LAST_OF_BATCH = (
    "SELECT id FROM notice WHERE tenant_id = :tenant AND id > :after ORDER BY id OFFSET :skipped LIMIT 1"
)
RECEIPTS = """
WITH receipt AS (
    SELECT r.id,
        CASE WHEN message.id IS NULL THEN r.changed_at ELSE message.read_at END AS received_at,
        message.id AS notice_id
    FROM assessment AS r JOIN doctor AS d ON d.tenant_id = r.tenant_id AND d.id = r.doctor_id
    LEFT JOIN LATERAL (
        SELECT n.id, n.read_at FROM notice AS n
        WHERE n.tenant_id = :tenant AND n.account_id = d.account_id AND n.kind = 'result_published'
            AND n.written_at >= r.changed_at
            AND NOT EXISTS (
                SELECT FROM assessment AS later
                WHERE later.tenant_id = :tenant AND later.doctor_id = r.doctor_id
                    AND later.state IN ('passed', 'failed')
                    AND later.changed_at > r.changed_at AND later.changed_at <= n.written_at
            )
        ORDER BY n.id LIMIT 1
    ) AS message ON true
    WHERE r.tenant_id = :tenant AND r.state IN ('passed', 'failed')
), linked AS (
    UPDATE notice SET subject_id = receipt.id FROM receipt
    WHERE notice.tenant_id = :tenant AND notice.id = receipt.notice_id
)
UPDATE assessment SET result_received_at = receipt.received_at FROM receipt
WHERE assessment.tenant_id = :tenant AND assessment.id = receipt.id AND assessment.result_received_at IS NULL
"""
"""As the term of an appeal was counted until now: from the day the first notice of the result since the
record's last move was read, and from that move where there is no such notice."""


def upgrade() -> None:
    op.execute("ALTER TABLE assessment ADD COLUMN IF NOT EXISTS result_received_at timestamptz")
    op.execute("ALTER TABLE notice ADD COLUMN IF NOT EXISTS kind text NOT NULL DEFAULT 'legacy'")
    op.execute("ALTER TABLE notice ADD COLUMN IF NOT EXISTS subject_id uuid")
    with op.get_context().autocommit_block():
        connection = op.get_bind()
        for tenant in connection.scalars(sa.text("SELECT DISTINCT tenant_id FROM notice")).all():
            fill_kinds(connection, tenant)
        for tenant in connection.scalars(sa.text("SELECT DISTINCT tenant_id FROM assessment")).all():
            connection.execute(sa.text(RECEIPTS), {"tenant": tenant})
    op.execute("ALTER TABLE notice ALTER COLUMN kind DROP DEFAULT")


def fill_kinds(connection: sa.Connection, tenant: int) -> None:
    """Give a province's notices their kinds, a batch at a time; what fits none stays "legacy"."""
    title, body = sa.column("title"), sa.column("body")
    by_title = [(title == known, kind) for known, kind in KINDS_BY_TITLE.items()]
    by_pattern = [(title.like(one) & body.like(other), kind) for one, other, kind in KINDS_BY_PATTERN]
    notice = sa.table(
        "notice",
        sa.column("tenant_id"),
        sa.column("id", sa.Uuid),
        sa.column("kind"),
    )
    fill = sa.update(notice).values(kind=sa.case(*by_title, *by_pattern, else_="legacy"))
    fill = fill.where(notice.c.tenant_id == tenant, notice.c.kind == "legacy")
    after: UUID | None = FIRST
    while after is not None:
        last = connection.scalar(
            sa.text(LAST_OF_BATCH),
            {"tenant": tenant, "after": after, "skipped": BATCH - 1},
        )
        up_to_last = [notice.c.id <= last] if last is not None else []
        connection.execute(fill.where(notice.c.id > after, *up_to_last))
        after = last


def downgrade() -> None:
    op.drop_column("notice", "subject_id")
    op.drop_column("notice", "kind")
    op.drop_column("assessment", "result_received_at")
