"""Cases about a sitting (诚信核查): opened by the assessment organisation, the doctor heard, decided by two persons (domain.md §11 no. 16c, §12)."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select

from dingkao import clock
from dingkao.assessments import moves as record_moves
from dingkao.assessments.models import Assessment
from dingkao.database.model import db, new_id
from dingkao.doctors.models import Doctor
from dingkao.errors import Forbidden, Invalid, NotAllowed
from dingkao.exams import sittings
from dingkao.exams.models import CASE_OUTCOMES, CASE_STATES, IntegrityCase, Paper, Sitting
from dingkao.journal import writing as journal
from dingkao.journal.moves import move
from dingkao.journal.writing import Actor
from dingkao.people import notifying
from dingkao.tenants import settings

LONGEST = 2000
OPEN = ("hearing", "proposed")
RESIT_MOST = timedelta(days=90)


def open_case(record: Assessment, sitting: Sitting, *, reason: str, by: Actor) -> IntegrityCase:
    """发起核查: a case about a sitting whose record has no verdict yet (record held locked); the doctor is told and may state their view
    for the province's number of days. Raises Invalid, NotAllowed."""
    reason = _words(reason, "reason", "请写明核查的原因和依据。")
    if record.state not in ("testing", "scored") or sitting.voided_at is not None:
        raise NotAllowed("该医师的测评已进入评定或已作废,不能再发起核查。如结果已发布,请按结果更正办理。")
    if db.session.scalar(select(IntegrityCase.id).where(IntegrityCase.sitting_id == sitting.id, IntegrityCase.state.in_(OPEN))) is not None:
        raise NotAllowed("这次作答已有正在办理的核查。")
    case = IntegrityCase(
        id=new_id(), sitting_id=sitting.id, assessment_id=record.id, reason=reason, opened_by=by.id,
        heard_until=clock.now() + timedelta(days=settings.value("hearing_days")),
    )  # fmt: skip
    db.session.add(case)
    db.session.flush()
    journal.write("integrity_case", case.id, "opened", by=by, sitting=str(sitting.id))
    until = f"{clock.beijing(case.heard_until):%Y年%m月%d日 %H:%M}"
    _tell(record, "考试情况需要您说明", f"所属考核机构正在核查您的一次作答。请在{until}前进入系统查看原因并作出说明;说明会作为处理依据。")
    return case


@move("hearing", "proposed", to="hearing", actors=("doctor",), states=CASE_STATES)
def state_view(case: IntegrityCase, *, by: Actor, statement: str) -> None:
    """陈述申辩: the doctor's view, once and again until an outcome is decided; a new one takes a proposal back, for it was made without it."""
    case.statement, case.stated_at = _words(statement, "statement", "请填写您的说明。"), clock.now()
    case.outcome = case.opinion = case.proposed_by = case.proposed_at = case.resit_until = None


@move("hearing", to="proposed", actors=("organisation_reviewer",), states=CASE_STATES)
def propose(case: IntegrityCase, *, by: Actor, outcome: str, opinion: str, resit_until: datetime | None = None) -> None:
    """提出处理意见: after the doctor was heard, or the days for it are over."""
    if case.stated_at is None and clock.now() < case.heard_until:
        raise NotAllowed(f"医师尚未说明,说明期限为{clock.beijing(case.heard_until):%Y年%m月%d日 %H:%M},期满或收到说明后才能提出处理意见。")
    if outcome not in CASE_OUTCOMES:
        raise Invalid("请选择处理意见。", "outcome")
    if outcome == "resit":
        if resit_until is None or not clock.now() < resit_until <= clock.now() + RESIT_MOST:
            raise Invalid("请填写重考截止时间,须在今后90天以内。", "resit_until")
    else:
        resit_until = None
    case.outcome, case.opinion, case.resit_until = outcome, _words(opinion, "opinion", "请写明处理意见的依据。"), resit_until
    case.proposed_by, case.proposed_at = by.id, clock.now()


@move("proposed", to="hearing", actors=("province_admin",), states=CASE_STATES)
def send_back(case: IntegrityCase, *, by: Actor, opinion: str) -> None:
    """退回重议: the province doesn't agree; the organisation proposes anew."""
    case.decision_opinion = _words(opinion, "opinion", "请写明退回的原因。")
    case.outcome = case.opinion = case.proposed_by = case.proposed_at = case.resit_until = None


@move("proposed", to="dismissed", actors=("province_admin",), states=CASE_STATES)
def dismiss(case: IntegrityCase, *, by: Actor, opinion: str = "") -> None:
    """确认不予处理: the sitting stands."""
    if case.outcome != "none":
        raise NotAllowed("处理意见不是“不予处理”,请刷新页面后查看。")
    _decided(case, by, opinion)


@move("proposed", to="voided", actors=("province_admin",), states=CASE_STATES)
def void(case: IntegrityCase, *, by: Actor, record: Assessment, sitting: Sitting, opinion: str = "") -> None:
    """确认作废 (§11 no. 16c; record and sitting held locked): the sitting counts for nothing. The paper may be sat again until the day named,
    or the doctor counts as absent."""
    if case.outcome not in ("resit", "absent"):
        raise NotAllowed("处理意见不是“作废”,请刷新页面后查看。")
    _decided(case, by, opinion)
    if sitting.handed_in_at is None:
        sittings.close(sitting, by=by)
    sitting.voided_at = clock.now()
    journal.write("sitting", sitting.id, "voided", by=by, case=str(case.id), outcome=case.outcome)
    (record_moves.void_for_another if case.outcome == "resit" else record_moves.void_as_absent)(record, by=by)


def decide(case: IntegrityCase, record: Assessment, sitting: Sitting, *, by: Actor, opinion: str = "") -> str:
    """Confirm what was proposed (all held locked); the sentence of what was done. Raises Forbidden, Invalid, NotAllowed."""
    if case.outcome == "none":
        dismiss(case, by=by, opinion=opinion)
        told = "经核查不予处理,您的作答有效。"
    else:
        void(case, by=by, record=record, sitting=sitting, opinion=opinion)
        told = (
            f"经核查,您的这次作答作废,可在{clock.beijing(case.resit_until):%Y年%m月%d日 %H:%M}前重新参加该试卷的考试。"  # type: ignore[arg-type]
            if case.outcome == "resit" else "经核查,您的这次作答作废,按缺考处理。对处理有异议的,可在结果发布后申请复核。"
        )  # fmt: skip
    _tell(record, "考试情况核查结果", f"{told}处理依据:{case.opinion}")
    return "已确认,医师会收到通知。"


def cases_of(record: Assessment) -> list[tuple[IntegrityCase, Sitting, Paper]]:
    """The record's cases, the newest first, each with its sitting and paper."""
    query = (
        select(IntegrityCase, Sitting, Paper)
        .join(Sitting, (Sitting.tenant_id == IntegrityCase.tenant_id) & (Sitting.id == IntegrityCase.sitting_id))
        .join(Paper, (Paper.tenant_id == Sitting.tenant_id) & (Paper.id == Sitting.paper_id))
        .where(IntegrityCase.assessment_id == record.id).order_by(IntegrityCase.id.desc())
    )  # fmt: skip
    return [(row[0], row[1], row[2]) for row in db.session.execute(query)]


def locked(case_id: UUID) -> tuple[IntegrityCase, Assessment, Sitting] | None:
    """A case with its record and sitting, all held locked, the record first as everywhere; None where there is none."""
    query = select(IntegrityCase).where(IntegrityCase.id == case_id)
    case = db.session.scalar(query)
    if case is None:
        return None
    fresh = {"populate_existing": True}
    record = db.session.scalars(select(Assessment).where(Assessment.id == case.assessment_id).with_for_update().execution_options(**fresh)).one()
    sitting = db.session.scalars(select(Sitting).where(Sitting.id == case.sitting_id).with_for_update().execution_options(**fresh)).one()
    return db.session.scalars(query.with_for_update().execution_options(**fresh)).one(), record, sitting


def _decided(case: IntegrityCase, by: Actor, opinion: str) -> None:
    if by.id in (case.proposed_by, case.opened_by):
        raise Forbidden("发起、提出处理意见和确认不能是同一人,请由另一位省级管理员确认。")
    case.decision_opinion = opinion.strip()[:LONGEST] or None
    case.decided_by, case.decided_at = by.id, clock.now()


def _words(text: str, field: str, lacking: str) -> str:
    text = text.strip()
    if len(text) < 4:
        raise Invalid(f"{lacking}不少于4字。", field)
    if len(text) > LONGEST:
        raise Invalid(f"请不要超过{LONGEST}字。", field)
    return text


def _tell(record: Assessment, title: str, body: str) -> None:
    account = db.session.scalars(select(Doctor.account_id).where(Doctor.id == record.doctor_id)).one()
    notifying.tell(account, title, body, leads="cases")


