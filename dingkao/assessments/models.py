"""The table of records (考核记录): one doctor, one cycle, one round; and changes of an institution's list
that need others' consent. States change only through `assessment_transitions` and `change_transitions`."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    ColumnElement,
    Index,
    UniqueConstraint,
    Uuid,
    false,
    literal_column,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.base import Model, check_in, tenant_foreign_key
from dingkao.tenants.rls import OfTenant, TenantOwned

ASSESSMENT_STATES = {
    "not_included": "未纳入", "included": "待填报", "draft": "填报中", "institution_pending": "待机构审核", "institution_returned": "机构退回",
    "organisation_pending": "待考核机构复核", "organisation_returned": "考核机构退回", "ready": "待测评", "deferred": "已延考备案", "testing": "测评中",
    "scored": "已交卷待划线", "absent": "缺考", "grading": "待综合评定", "confirming": "待发布", "passed": "合格", "failed": "不合格",
}  # fmt: skip
ROUNDS = {
    "first": "首考",
    "makeup": "补考",
    "reassessment": "再次考核",
    "early": "提前考核",
}
VERDICT_PARTS = {
    "performance": "工作成绩",
    "ethics": "职业道德",
    "competence": "业务水平",
}
VERDICTS = {"pass": "合格", "fail": "不合格"}
BAD_RECORD_CHECKS = ("none", "found")
TEST_STATES = ("ready", "testing")
"""The states of those who sit, or still have to sit, the exam."""
RECALLABLE_STATES = ("institution_pending", "organisation_returned", "organisation_pending")
"""The states of a review desk, to which a record can be recalled."""
LEASE_DURATION = timedelta(minutes=30)
"""How long a reviewer who opens a record has it alone."""
PROCEDURES = {"general": "一般程序", "simple": "简易程序"}
FINAL_STATES = ("passed", "failed")
COUNTED_SIDES = ("province", "institution", "assessor")
CHANGE_KINDS = {"transfer": "变更主要执业机构", "exclusion": "移出考核名单"}
CHANGE_STATES = {
    "pending": "待办理",
    "carried_out": "已办结",
    "refused": "未同意",
    "withdrawn": "已撤回",
}
CHANGE_SIDES = {
    "institution": "现机构",
    "target": "转入机构",
    "doctor": "医师本人",
    "office": "上级卫生健康行政部门",
}
TRANSFER_GROUNDS = {
    "registration": "主要执业机构已变更注册",
    "residency": "进入住院医师规范化培训基地",
    "residency_end": "规范化培训结束，回到工作单位",
    "reorganised": "机构合并、更名或撤销",
}
REMINDER_STATES = (
    "included",
    "draft",
    "institution_returned",
    "ready",
    "testing",
    "resit",
)

STATES_BY_SIDE = {
    "institution": ("institution_pending", "organisation_returned"),
    "organisation": ("organisation_pending",),
}
"""Side → the states in which a record waits for its review."""


RESULT_STATES = ("absent", "grading", "confirming", *FINAL_STATES)
"""The states of records that wait for 综合评定 or for publication, or have a result."""


def queue_condition(side: str) -> ColumnElement[bool]:
    """The SQL condition that a record waits for the review of a side (a key of STATES_BY_SIDE)."""
    return _state_condition(STATES_BY_SIDE[side])


def result_condition() -> ColumnElement[bool]:
    """The SQL condition that a record is in one of RESULT_STATES."""
    return _state_condition(RESULT_STATES)


def _state_condition(states: Sequence[str]) -> ColumnElement[bool]:
    """The condition of a partial index and of the lists that are read from it. The states are written out:
    only then does PostgreSQL take that index, in which nothing has to be sorted."""
    codes = ", ".join(f"'{state}'" for state in states)
    return literal_column(f"assessment.state in ({codes})", Boolean)


OFFICE_NOTICE_STATES = {"scheduled": "待发送", "sending": "正在发送", "sent": "已发送", "cancelled": "已取消"}
OFFICE_NOTICE_SIDES = ("institution", "assessor", "province")


class Assessment(TenantOwned, Model):
    """The state of one doctor in one cycle and round, and three separate verdicts: 工作成绩, 职业道德,
    业务水平.

    Institution and assessment organisation are stored when the doctor is included. A reviewer who opens the
    record gets a lease on it (`leased_by`, `leased_until`). `exempted`: 业务水平 counts as 合格 without a
    test (免考). `result_received_at`: when the doctor read the notice of the published result; NULL until
    then. `conduct_findings`: the codes of the cases of direct failure (§1.7) that the institution's reviewer
    found; NULL until the checklist was answered. `bad_record_check`: what the assessment organisation's check
    of bad records found. `sent_by`, `sent_from`: the reviewer who was the last to send the record to another
    desk, and the state before; they stay when it can't be recalled any more. `assigned_to`: the reviewer of
    the present desk to whom it was given. `assisted`: somebody has begun to fill in the filing on the
    doctor's behalf (代填); it stays so for the cycle, also when the doctor goes on alone.
    In the state «absent» `absence_note` is what the assessment organisation found out, drafted by
    `absence_drafted_by`; the absence counts once `absence_confirmed_by` is set.
    """

    __tablename__ = "assessment"
    __table_args__ = (
        UniqueConstraint("tenant_id", "cycle_id", "doctor_id", "round"),
        Index(
            None,
            "tenant_id",
            "institution_id",
            "cycle_id",
            "state",
            "id",
        ),
        Index(
            None,
            "tenant_id",
            "assessor_id",
            "cycle_id",
            "state",
            "id",
        ),
        Index(None, "tenant_id", "cycle_id", "state", "id"),
        Index(None, "tenant_id", "doctor_id"),
        Index(
            "assessment_institution_queue_ix",
            "tenant_id",
            "institution_id",
            "cycle_id",
            "submitted_at",
            "id",
            postgresql_where=queue_condition("institution"),
        ),
        Index(
            "assessment_assessor_queue_ix",
            "tenant_id",
            "assessor_id",
            "cycle_id",
            "submitted_at",
            "id",
            postgresql_where=queue_condition("organisation"),
        ),
        Index(
            "assessment_result_ix",
            "tenant_id",
            "cycle_id",
            "id",
            postgresql_where=result_condition(),
        ),
        Index(
            "assessment_assessor_result_ix",
            "tenant_id",
            "assessor_id",
            "cycle_id",
            "id",
            postgresql_where=result_condition(),
        ),
        Index(
            "assessment_sent_by_ix",
            "tenant_id",
            "sent_by",
            "changed_at",
            "id",
            postgresql_where=text("sent_by is not null"),
        ),
        Index(
            "assessment_leased_by_ix",
            "tenant_id",
            "leased_by",
            "leased_until",
            postgresql_where=text("leased_by is not null"),
        ),
        Index(
            "assessment_assigned_to_ix",
            "tenant_id",
            "assigned_to",
            "cycle_id",
            "state",
            "id",
            postgresql_where=text("assigned_to is not null"),
        ),
        Index(
            "assessment_assisted_ix",
            "tenant_id",
            "cycle_id",
            "state",
            "id",
            postgresql_where=text("assisted"),
        ),
        check_in("state", tuple(ASSESSMENT_STATES)),
        check_in("round", tuple(ROUNDS)),
        check_in("procedure", tuple(PROCEDURES)),
        check_in("performance", tuple(VERDICTS)),
        check_in("ethics", tuple(VERDICTS)),
        check_in("competence", tuple(VERDICTS)),
        check_in("bad_record_check", BAD_RECORD_CHECKS),
        check_in("sent_from", RECALLABLE_STATES),
        CheckConstraint(
            "state not in ('passed', 'failed') or (performance is not null and ethics is not null)",
            name="final_is_graded",
        ),
        tenant_foreign_key("doctor_id", "doctor"),
        tenant_foreign_key("cycle_id", "cycle"),
        tenant_foreign_key("institution_id", "organisation"),
        tenant_foreign_key("assessor_id", "organisation"),
    )

    doctor_id: Mapped[UUID]
    cycle_id: Mapped[UUID]
    round: Mapped[str] = mapped_column(default="first")
    institution_id: Mapped[UUID]
    assessor_id: Mapped[UUID | None]
    state: Mapped[str] = mapped_column(default="not_included")
    changed_at: Mapped[datetime] = mapped_column(default=now)
    submitted_at: Mapped[datetime | None]
    procedure: Mapped[str | None]
    performance: Mapped[str | None]
    ethics: Mapped[str | None]
    competence: Mapped[str | None]
    opinion: Mapped[str | None]
    returned_reason: Mapped[str | None]
    return_marks: Mapped[dict[str, Any] | None]
    leased_by: Mapped[UUID | None]
    leased_until: Mapped[datetime | None]
    opened_at: Mapped[datetime | None]
    graded_by: Mapped[UUID | None]
    accepted_by: Mapped[UUID | None]
    conduct_findings: Mapped[list[Any] | None]
    bad_record_check: Mapped[str | None]
    sent_by: Mapped[UUID | None]
    sent_from: Mapped[str | None]
    assigned_to: Mapped[UUID | None]
    exempted: Mapped[bool] = mapped_column(default=False)
    assisted: Mapped[bool] = mapped_column(default=False, server_default=false())
    result_received_at: Mapped[datetime | None]
    absence_note: Mapped[str | None]
    absence_drafted_by: Mapped[UUID | None]
    absence_confirmed_by: Mapped[UUID | None]


class EnrolmentChange(TenantOwned, Model):
    """A change of an institution's list that needs others' consent (domain.md §11 nos. 2 and 31): a transfer,
    to which the doctor's institution and `target_id` consent, or an exclusion after filing began, to which
    the office above the institution consents.

    `asked_side` (of CHANGE_SIDES) asked for it, which counts as that side's consent. `institution_by` and
    `target_by`: who consented for the two institutions; `decided_by`: who approved an exclusion, or refused.
    `assessment_id`: the record that an exclusion is about, NULL for a transfer. A doctor has at most one
    pending change."""

    __tablename__ = "enrolment_change"
    __table_args__ = (
        Index(
            "enrolment_change_pending_ix",
            "tenant_id",
            "doctor_id",
            unique=True,
            postgresql_where=text("state = 'pending'"),
        ),
        Index(None, "tenant_id", "doctor_id", "id"),
        Index(None, "tenant_id", "institution_id", "state", "id"),
        Index(None, "tenant_id", "target_id", "state", "id"),
        Index(None, "tenant_id", "state", "id"),
        check_in("kind", tuple(CHANGE_KINDS)),
        check_in("state", tuple(CHANGE_STATES)),
        check_in("asked_side", tuple(CHANGE_SIDES)),
        check_in("ground", tuple(TRANSFER_GROUNDS)),
        CheckConstraint(
            "institution_by is null or target_by is null or institution_by <> target_by",
            name="two_persons",
        ),
        CheckConstraint(
            "kind <> 'exclusion' or state <> 'carried_out' or decided_by <> asked_by",
            name="office_is_another",
        ),
        tenant_foreign_key("doctor_id", "doctor"),
        tenant_foreign_key("assessment_id", "assessment"),
        tenant_foreign_key("institution_id", "organisation"),
        tenant_foreign_key("target_id", "organisation"),
    )

    kind: Mapped[str]
    state: Mapped[str] = mapped_column(default="pending")
    doctor_id: Mapped[UUID]
    assessment_id: Mapped[UUID | None]
    institution_id: Mapped[UUID]
    target_id: Mapped[UUID | None]
    asked_side: Mapped[str]
    ground: Mapped[str | None]
    reason: Mapped[str]
    asked_by: Mapped[UUID]
    asked_at: Mapped[datetime] = mapped_column(default=now)
    institution_by: Mapped[UUID | None]
    institution_at: Mapped[datetime | None]
    target_by: Mapped[UUID | None]
    target_at: Mapped[datetime | None]
    decided_by: Mapped[UUID | None]
    refusal: Mapped[str | None]
    changed_at: Mapped[datetime] = mapped_column(default=now)


class ReminderRound(TenantOwned, Model):
    """A round of reminders: the doctors in one state are reminded `days_before` the `last_day`. The row
    stores the last record that was notified, so an interrupted round continues there and reminds nobody
    twice. If a deadline is moved, new rounds begin for it."""

    __tablename__ = "reminder_round"
    __table_args__ = (
        UniqueConstraint(
            "tenant_id",
            "cycle_id",
            "state",
            "last_day",
            "days_before",
        ),
        check_in("state", REMINDER_STATES),
        tenant_foreign_key("cycle_id", "cycle"),
    )

    cycle_id: Mapped[UUID]
    state: Mapped[str]
    last_day: Mapped[date]
    days_before: Mapped[int]
    last_assessment_id: Mapped[UUID | None]
    notified_count: Mapped[int] = mapped_column(default=0)
    begun_at: Mapped[datetime] = mapped_column(default=now)
    ended_at: Mapped[datetime | None]


class RecordMove(TenantOwned, Model):
    """`number` records of a cycle that came from one state, institution and assessment organisation (NULL:
    they are new) to another; not yet among the totals. Written by whatever moves a record, deleted by the
    duty that adds it (`record_counts`)."""

    __tablename__ = "record_move"
    __table_args__ = (
        check_in("from_state", tuple(ASSESSMENT_STATES)),
        check_in("state", tuple(ASSESSMENT_STATES)),
    )  # no foreign keys: all who sit would lock the row of the cycle to check one

    cycle_id: Mapped[UUID]
    from_institution_id: Mapped[UUID | None]
    from_assessor_id: Mapped[UUID | None]
    from_state: Mapped[str | None]
    institution_id: Mapped[UUID]
    assessor_id: Mapped[UUID | None]
    state: Mapped[str]
    number: Mapped[int] = mapped_column(default=1, server_default="1")


class RecordTotal(OfTenant, Model):
    """How many records of a cycle are in a state: of the province (`organisation_id` is then
    record_counts.PROVINCE_ID), of an institution or of an assessment organisation, by `side`. What lies in
    `record_move` is to be added."""

    __tablename__ = "record_total"
    __table_args__ = (
        check_in("side", COUNTED_SIDES),
        check_in("state", tuple(ASSESSMENT_STATES)),
        tenant_foreign_key("cycle_id", "cycle"),
    )

    cycle_id: Mapped[UUID] = mapped_column(primary_key=True)
    side: Mapped[str] = mapped_column(primary_key=True)
    organisation_id: Mapped[UUID] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]


class RecountRound(OfTenant, Model):
    """When the totals of the province were last compared with its records."""

    __tablename__ = "recount_round"

    done_at: Mapped[datetime]


class OfficeNotice(TenantOwned, Model):
    """A notice of an office to those of its own doctors who meet a filter; each gets a copy
    (`people.Notice`).

    `side`: whose doctors: of the institution `organisation_id`, assessed by it, or of the province (without
    an organisation). `record_ids`: the records of the doctors who were chosen one by one; NULL where those
    get it who meet the filter: `record_state` (a state, «unsubmitted», or "" for all who are included), and
    if they are set `department`, `category`, `level`, `procedure`, `institution_id`. `title` and `body` are
    templates with fields (`office_notices.FIELDS`); `kind`: the catalogue's kind of the copies, which says by
    which channels they are announced. `last_assessment_id`: the last record whose doctor got a copy. The
    counts of what was announced and read are those of `counted_at`."""

    __tablename__ = "office_notice"
    __table_args__ = (
        Index(None, "tenant_id", "organisation_id", "id"),
        Index(
            "office_notice_scheduled_ix",
            "tenant_id",
            "send_at",
            postgresql_where=text("state = 'scheduled'"),
        ),
        Index(
            "office_notice_counted_ix",
            "tenant_id",
            "created_at",
            postgresql_where=text("written_count > 0"),
        ),
        check_in("state", tuple(OFFICE_NOTICE_STATES)),
        check_in("side", OFFICE_NOTICE_SIDES),
        CheckConstraint("(side = 'province') = (organisation_id is null)", name="side_has_organisation"),
        tenant_foreign_key("cycle_id", "cycle"),
        tenant_foreign_key("organisation_id", "organisation"),
        tenant_foreign_key("institution_id", "organisation"),
    )

    cycle_id: Mapped[UUID]
    organisation_id: Mapped[UUID | None]
    side: Mapped[str]
    record_ids: Mapped[list[UUID] | None] = mapped_column(ARRAY(Uuid))
    record_state: Mapped[str]
    department: Mapped[str | None]
    category: Mapped[str | None]
    level: Mapped[str | None]
    procedure: Mapped[str | None]
    institution_id: Mapped[UUID | None]
    title: Mapped[str]
    body: Mapped[str]
    kind: Mapped[str]
    send_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(default="scheduled")
    changed_at: Mapped[datetime] = mapped_column(default=now)
    created_by: Mapped[UUID]
    created_at: Mapped[datetime] = mapped_column(default=now)
    last_assessment_id: Mapped[UUID | None]
    written_count: Mapped[int] = mapped_column(default=0)
    sms_count: Mapped[int] = mapped_column(default=0)
    wechat_count: Mapped[int] = mapped_column(default=0)
    read_count: Mapped[int] = mapped_column(default=0)
    counted_at: Mapped[datetime | None]
