"""Integrity cases about a sitting (诚信核查): the assessment organisation opens one, the doctor is heard, one
person proposes an outcome and another one decides (domain.md §11 no. 16c, §12). The transitions take a locked
case and write a journal entry each."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, func, or_, select

from dingkao import clock
from dingkao.assessments import assessment_transitions as record_moves
from dingkao.assessments.doctor_notices import notify
from dingkao.assessments.models import Assessment
from dingkao.database.base import db, new_id
from dingkao.database.pagination import Page, fetch_page
from dingkao.errors import InvalidInput, InvalidState, NotFound
from dingkao.exams import sitting_completion
from dingkao.exams.models.monitoring_models import (
    CASE_OUTCOMES,
    CASE_STATES,
    IntegrityCase,
)
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import Sitting
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.journal.state_machine import transition
from dingkao.people.notice_catalogue import (
    CASE_DISMISSED,
    CASE_OPENED,
    CASE_VOIDED_ABSENT,
    CASE_VOIDED_RESIT,
)
from dingkao.people.permissions import roles_for
from dingkao.people.scopes import Grant, scope_condition
from dingkao.people.second_person import require_second_person
from dingkao.tenants import settings
from dingkao.tenants.settings import Setting

MAX_TEXT_LENGTH = 2000
OPEN_STATES = ("hearing", "proposed")
"""The states in which a case is not decided yet."""
MAX_RESIT_DELAY = timedelta(days=90)
settings.register(
    "hearing_days",
    Setting(
        "作答核查时医师说明期限（天）",
        3,
        kind="whole",
        group="考试",
        order=50,
        max_value=30,
    ),
)


def _is_before_grading(record: Assessment, sitting: Sitting) -> bool:
    """Whether a sitting is not voided and its record is testing or scored, so without a verdict."""
    return record.state in ("testing", "scored") and sitting.voided_at is None


def can_be_opened(
    record: Assessment,
    sitting: Sitting,
    cases: Iterable[IntegrityCase],
) -> bool:
    """Whether a case about the sitting may be opened now, by whoever is granted that; `cases` are those that
    it has had."""
    is_one_open = any(case.state in OPEN_STATES for case in cases)
    return _is_before_grading(record, sitting) and not is_one_open


def open_case(record: Assessment, sitting: Sitting, *, reason: str, by: Actor) -> IntegrityCase:
    """发起核查: open a case about a sitting whose record has no verdict yet (record locked for update). The
    doctor is notified and may make a statement for as many days as the province has set; an open sitting goes
    on. Writes a journal entry. Raises InvalidInput for a bad reason, InvalidState if the sitting is voided or
    has an open case, or its record is neither testing nor scored."""
    reason = _validate_text(reason, "reason", "请写明核查的原因和依据。")
    if not _is_before_grading(record, sitting):
        raise InvalidState("该医师的测评已进入评定或已作废，不能再发起核查。如结果已发布，请按结果更正办理。")
    open_cases = select(IntegrityCase.id).where(
        IntegrityCase.sitting_id == sitting.id, IntegrityCase.state.in_(OPEN_STATES)
    )
    if db.session.scalar(open_cases) is not None:
        raise InvalidState("这次作答已有正在办理的核查。")
    case = IntegrityCase(
        id=new_id(),
        sitting_id=sitting.id,
        assessment_id=record.id,
        reason=reason,
        opened_by=by.id,
        heard_until=clock.now() + timedelta(days=settings.value("hearing_days")),
    )
    db.session.add(case)
    db.session.flush()
    journal.write_entry(
        "integrity_case",
        case.id,
        "opened",
        by=by,
        sitting=str(sitting.id),
    )
    until = f"{clock.to_beijing(case.heard_until):%Y年%m月%d日 %H:%M}"
    notify(record, CASE_OPENED, until=until)
    return case


@transition(
    "hearing",
    "proposed",
    to="hearing",
    actors=roles_for("sitting.sit"),
    states=CASE_STATES,
    verb="state_view",
)
def submit_statement(case: IntegrityCase, *, by: Actor, statement: str) -> None:
    """陈述申辩: store the doctor's statement, as often as they like until the case is decided, even after
    `heard_until`; the caller has checked that it is their case. It cancels an outcome that was proposed,
    because that was proposed without it: the case is in hearing again. Raises InvalidInput, Forbidden,
    InvalidState."""
    case.statement, case.stated_at = (
        _validate_text(statement, "statement", "请填写您的说明。"),
        clock.now(),
    )
    case.outcome = case.opinion = case.proposed_by = case.proposed_at = case.resit_until = None


@transition(
    "hearing",
    to="proposed",
    actors=roles_for("cases.propose"),
    states=CASE_STATES,
    verb="propose",
)
def propose_outcome(
    case: IntegrityCase,
    *,
    by: Actor,
    outcome: str,
    opinion: str,
    resit_until: datetime | None = None,
) -> None:
    """提出处理意见: propose an outcome (one of CASE_OUTCOMES) after the doctor's statement, or after the time
    for it is over. `resit_until` is needed for the outcome "resit" only. Raises InvalidInput, Forbidden,
    InvalidState."""
    if case.stated_at is None and clock.now() < case.heard_until:
        raise InvalidState(
            f"医师尚未说明，说明期限为{clock.to_beijing(case.heard_until):%Y年%m月%d日 %H:%M}，"
            "期满或收到说明后才能提出处理意见。"
        )
    if outcome not in CASE_OUTCOMES:
        raise InvalidInput("请选择处理意见。", "outcome")
    resit_until = _validate_resit_until(resit_until) if outcome == "resit" else None
    case.outcome, case.opinion, case.resit_until = (
        outcome,
        _validate_text(opinion, "opinion", "请写明处理意见的依据。"),
        resit_until,
    )
    case.proposed_by, case.proposed_at = by.id, clock.now()


def _validate_resit_until(resit_until: datetime | None) -> datetime:
    """Return the moment; raises InvalidInput unless it lies within MAX_RESIT_DELAY from now."""
    now = clock.now()
    if resit_until is None or not now < resit_until <= now + MAX_RESIT_DELAY:
        raise InvalidInput(
            f"请填写重考截止时间，须在今后{MAX_RESIT_DELAY.days}天以内。",
            "resit_until",
        )
    return resit_until


@transition(
    "proposed",
    to="hearing",
    actors=roles_for("cases.decide"),
    states=CASE_STATES,
    verb="send_back",
)
def return_for_reconsideration(case: IntegrityCase, *, by: Actor, opinion: str) -> None:
    """退回重议: the province rejects the proposed outcome; the organisation has to propose again. Nobody is
    notified. Raises InvalidInput, Forbidden, InvalidState."""
    case.decision_opinion = _validate_text(opinion, "opinion", "请写明退回的原因。")
    case.outcome = case.opinion = case.proposed_by = case.proposed_at = case.resit_until = None


@transition(
    "proposed",
    to="dismissed",
    actors=roles_for("cases.decide"),
    states=CASE_STATES,
    verb="dismiss",
)
def confirm_dismissal(case: IntegrityCase, *, by: Actor, opinion: str = "") -> None:
    """确认不予处理: close the case; the sitting still counts. `confirm_proposal` calls it and notifies the
    doctor. Raises Forbidden if `by` opened the case or proposed the outcome, InvalidState if another outcome
    is proposed."""
    if case.outcome != "none":
        raise InvalidState("处理意见不是“不予处理”，请刷新页面后查看。")
    _record_decision(case, by, opinion)


@transition(
    "proposed",
    to="voided",
    actors=roles_for("cases.decide"),
    states=CASE_STATES,
    verb="void",
)
def confirm_voiding(
    case: IntegrityCase,
    *,
    by: Actor,
    record: Assessment,
    sitting: Sitting,
    opinion: str = "",
) -> None:
    """确认作废 (§11 no. 16c; record and sitting locked for update): the sitting no longer counts; one that is
    still open is handed in first; journal entries about both. As proposed, the record is ready again, and the
    doctor may sit the paper until `case.resit_until`, or it is absent, with a failed verdict, confirmed.
    `confirm_proposal` calls it and notifies the doctor. Raises Forbidden if `by` opened the case or proposed
    the outcome, InvalidState if another outcome is proposed or the record is neither testing nor scored any
    more."""
    if case.outcome not in ("resit", "absent"):
        raise InvalidState("处理意见不是“作废”，请刷新页面后查看。")
    _record_decision(case, by, opinion)
    if sitting.handed_in_at is None:
        sitting_completion.close_sitting(sitting, by=by)
    sitting.voided_at = clock.now()
    journal.write_entry(
        "sitting",
        sitting.id,
        "voided",
        by=by,
        case=str(case.id),
        outcome=case.outcome,
    )
    (record_moves.void_with_resit if case.outcome == "resit" else record_moves.void_as_absence)(record, by=by)


def confirm_proposal(
    case: IntegrityCase,
    record: Assessment,
    sitting: Sitting,
    *,
    by: Actor,
    opinion: str = "",
) -> str:
    """Confirm the proposed outcome (all three rows locked for update) and notify the doctor: dismiss the
    case, or void the sitting, whose record then is ready or absent; journal entries. `opinion` is cut to
    MAX_TEXT_LENGTH. Returns the message for the person who confirmed. Raises Forbidden if `by` opened the
    case or proposed the outcome, InvalidState."""
    if case.outcome == "none":
        confirm_dismissal(case, by=by, opinion=opinion)
        notify(record, CASE_DISMISSED, opinion=case.opinion)
    else:
        confirm_voiding(
            case,
            by=by,
            record=record,
            sitting=sitting,
            opinion=opinion,
        )
        if case.resit_until is not None:
            until = f"{clock.to_beijing(case.resit_until):%Y年%m月%d日 %H:%M}"
            notify(
                record,
                CASE_VOIDED_RESIT,
                until=until,
                opinion=case.opinion,
            )
        else:
            notify(record, CASE_VOIDED_ABSENT, opinion=case.opinion)
    return "已确认，医师会收到通知。"


def list_cases(
    record: Assessment,
) -> list[tuple[IntegrityCase, Sitting, Paper]]:
    """The record's cases, the newest first, each with its sitting and paper."""
    query = (
        select(IntegrityCase, Sitting, Paper)
        .join(
            Sitting,
            (Sitting.tenant_id == IntegrityCase.tenant_id) & (Sitting.id == IntegrityCase.sitting_id),
        )
        .join(
            Paper,
            (Paper.tenant_id == Sitting.tenant_id) & (Paper.id == Sitting.paper_id),
        )
        .where(IntegrityCase.assessment_id == record.id)
        .order_by(IntegrityCase.id.desc())
    )
    return [(case, sitting, paper) for case, sitting, paper in db.session.execute(query)]


def find_case_for_update(
    case_id: UUID,
) -> tuple[IntegrityCase, Assessment, Sitting] | None:
    """A case, whosever it is, with its record and sitting, all locked for update, the record first as
    everywhere (so that no two transactions block each other); None if there is none."""
    query = select(IntegrityCase).where(IntegrityCase.id == case_id)
    case = db.session.scalar(query)
    if case is None:
        return None
    fresh = {"populate_existing": True}
    record = db.session.scalars(
        select(Assessment)
        .where(Assessment.id == case.assessment_id)
        .with_for_update()
        .execution_options(**fresh)
    ).one()
    sitting = db.session.scalars(
        select(Sitting).where(Sitting.id == case.sitting_id).with_for_update().execution_options(**fresh)
    ).one()
    return (
        db.session.scalars(query.with_for_update().execution_options(**fresh)).one(),
        record,
        sitting,
    )


def cases_page(grant: Grant, state: str, cursor: str | None, size: int) -> Page[IntegrityCase]:
    """A page of the cases within `grant`, the oldest first. `state`: a key of CASE_STATES, "all", or anything
    else for the open cases."""
    query = _cases_query(grant)
    if state in CASE_STATES:
        query = query.where(IntegrityCase.state == state)
    elif state != "all":
        query = query.where(IntegrityCase.state.in_(OPEN_STATES))
    return fetch_page(query, [IntegrityCase.id], cursor, size)


def get_visible_case(case_id: UUID, grant: Grant) -> IntegrityCase:
    """A case within `grant`. Raises NotFound."""
    case: IntegrityCase | None = db.session.scalar(_cases_query(grant).where(IntegrityCase.id == case_id))
    if case is None:
        raise NotFound
    return case


def get_visible_case_for_update(case_id: UUID, grant: Grant) -> tuple[IntegrityCase, Assessment, Sitting]:
    """A case within `grant` with its record and sitting, all locked. Raises NotFound."""
    query = _cases_query(grant).where(IntegrityCase.id == case_id).with_only_columns(IntegrityCase.id)
    if db.session.scalar(query) is None:
        raise NotFound
    case_with_rows = find_case_for_update(case_id)
    if case_with_rows is None:
        raise NotFound
    return case_with_rows


def proposed_cases_query(grant: Grant) -> Select[Any]:
    """The query for the cases within `grant` whose proposed outcome waits for a decision."""
    return _cases_query(grant).where(IntegrityCase.state == "proposed")


def count_ready_to_propose(grant: Grant) -> int:
    """How many cases within `grant` are ready for a proposal: the doctor has made a statement, or the time
    for it is over."""
    was_heard = or_(
        IntegrityCase.stated_at.is_not(None),
        IntegrityCase.heard_until <= clock.now(),
    )
    query = _cases_query(grant).where(IntegrityCase.state == "hearing", was_heard)
    return int(db.session.scalar(select(func.count()).select_from(query.subquery())) or 0)


def _cases_query(grant: Grant) -> Select[Any]:
    """The query for the cases of records within `grant`, joined with their records."""
    record_of_case = and_(
        Assessment.tenant_id == IntegrityCase.tenant_id,
        Assessment.id == IntegrityCase.assessment_id,
    )
    return (
        select(IntegrityCase)
        .join(Assessment, record_of_case)
        .where(scope_condition(grant, assessor=Assessment.assessor_id))
    )


def _record_decision(case: IntegrityCase, by: Actor, opinion: str) -> None:
    """Store who decides, when, and their opinion, stripped and cut to MAX_TEXT_LENGTH. Raises Forbidden if
    they opened the case or proposed the outcome."""
    same = "发起、提出处理意见和确认不能是同一人，请由另一位省级管理员确认。"
    require_second_person(by, case.proposed_by, case.opened_by, same=same)
    case.decision_opinion = opinion.strip()[:MAX_TEXT_LENGTH] or None
    case.decided_by, case.decided_at = by.id, clock.now()


def _validate_text(text: str, field: str, prompt: str) -> str:
    """Return the text without spaces at its ends. Raises InvalidInput naming `field` if it is too short,
    saying `prompt`, or too long."""
    text = text.strip()
    if len(text) < 4:
        raise InvalidInput(f"{prompt}不少于4字。", field)
    if len(text) > MAX_TEXT_LENGTH:
        raise InvalidInput(f"请不要超过{MAX_TEXT_LENGTH}字。", field)
    return text
