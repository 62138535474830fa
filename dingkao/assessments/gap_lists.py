"""Who should take part in a cycle and doesn't (应考尽考): lists, and a message to all on one of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, select

from dingkao import clock
from dingkao.assessments.doctor_notices import notify
from dingkao.assessments.enrolment import doctor_join
from dingkao.assessments.models import Assessment
from dingkao.assessments.participation import (
    is_expected_condition,
)
from dingkao.cycles.cycles import phases_of
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.database.pagination import (
    CappedCount,
    Page,
    capped_count_query,
    fetch_page,
)
from dingkao.doctors.models import Doctor
from dingkao.errors import NotFound
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.accounts import load_actor
from dingkao.people.models import Account, Notice
from dingkao.people.notice_catalogue import (
    GAP_NOT_INCLUDED,
    GAP_NOT_SAT,
    GAP_NOT_SIGNED_IN,
    GAP_NOT_SUBMITTED,
    GAP_RETURNED,
    NoticeKind,
)
from dingkao.people.scopes import (
    Grant,
    load_grant,
    scope_condition,
)

ACTION, JOB_NAME = "participation.manage", "notify_gap"
PAGE_SIZE, NOTIFY_BATCH_SIZE = 100, 500
FIRST_ID = UUID(int=0)


@dataclass(frozen=True)
class GapList:
    """A list. `condition`: of the records on it, given the cycle; `kind`: the message to those on it;
    `reads_accounts`: the condition is about accounts too."""

    code: str
    label: str
    condition: Callable[[Cycle], ColumnElement[bool]]
    kind: NoticeKind
    reads_accounts: bool = False


def _has_state(
    *states: str,
) -> Callable[[Cycle], ColumnElement[bool]]:
    return lambda _cycle: in_array(Assessment.state, states)


def _not_sat(cycle: Cycle) -> ColumnElement[bool]:
    """Those recorded as absent; and after the examination those who have not finished it."""
    phase = phases_of(cycle).get("examination")
    is_over = phase is not None and clock.today() > phase.last_day
    return in_array(
        Assessment.state,
        ("absent", "ready", "testing") if is_over else ("absent",),
    )


GAP_LISTS = {
    gap_list.code: gap_list
    for gap_list in (
        GapList(
            "not_included",
            "应考未报名",
            lambda _cycle: and_(
                Assessment.state == "not_included",
                is_expected_condition(),
            ),
            GAP_NOT_INCLUDED,
        ),
        GapList(
            "not_signed_in",
            "已纳入未登录",
            lambda _cycle: and_(
                Assessment.state == "included",
                Account.kind == "doctor",
                Account.state == "initial",
            ),
            GAP_NOT_SIGNED_IN,
            reads_accounts=True,
        ),
        GapList(
            "not_submitted",
            "未提交",
            _has_state("included", "draft"),
            GAP_NOT_SUBMITTED,
        ),
        GapList(
            "returned",
            "退回未改",
            _has_state("institution_returned"),
            GAP_RETURNED,
        ),
        GapList("not_sat", "应考未考", _not_sat, GAP_NOT_SAT),
    )
}
"""Code → list, in the order of the doctor's way through the cycle."""


def get_gap_list(code: str) -> GapList:
    """The list with that code. Raises NotFound."""
    if code not in GAP_LISTS:
        raise NotFound
    return GAP_LISTS[code]


def _records_query(gap_list: GapList, cycle: Cycle, grant: Grant) -> Select[Any]:
    """The query of the records on a list that `grant` reaches by institution, in no order."""
    query = select(Assessment).where(
        Assessment.cycle_id == cycle.id,
        gap_list.condition(cycle),
        scope_condition(grant, institution=Assessment.institution_id),
    )
    if not gap_list.reads_accounts:
        return query
    return query.join(Doctor, doctor_join()).join(
        Account,
        and_(
            Account.tenant_id == Doctor.tenant_id,
            Account.id == Doctor.account_id,
        ),
    )


def gap_counts(cycle: Cycle, grant: Grant) -> dict[str, CappedCount]:
    """Code → how many records are on the list, counted as far as pages show."""
    counts = [
        capped_count_query(_records_query(gap_list, cycle, grant)).label(code)
        for code, gap_list in GAP_LISTS.items()
    ]
    row = db.session.execute(select(*counts)).one()
    return {code: CappedCount(number) for code, number in row._mapping.items()}


def gap_page(
    gap_list: GapList,
    cycle: Cycle,
    grant: Grant,
    cursor: str | None,
) -> Page[Assessment]:
    """A page of the records on a list that `grant` reaches by institution, by id."""
    return fetch_page(
        _records_query(gap_list, cycle, grant),
        [Assessment.id],
        cursor,
        PAGE_SIZE,
    )


def enqueue_message(gap_list: GapList, cycle: Cycle, *, by: Actor) -> Job:
    """Enqueue the message to all on a list whom `by` reaches; the job that is under way already, if it does
    the same."""
    latest = enqueueing.latest_job_about(cycle.id, JOB_NAME)
    if latest is not None and enqueueing.is_unfinished(latest) and _is_same(latest, gap_list, by):
        return latest
    return enqueueing.enqueue(
        JOB_NAME,
        f"通知{gap_list.label}的医师（{cycle.label}）",
        {"cycle": str(cycle.id), "list": gap_list.code},
        by=by.id,
        subject=cycle.id,
    )


def _is_same(job: Job, gap_list: GapList, by: Actor) -> bool:
    return job.asked_by == by.id and job.arguments["list"] == gap_list.code


@worker.register_chunked_job(JOB_NAME)
def notify_gap_batch(job: Job, cursor: Cursor) -> Chunk:
    """Write to the next doctors on a list. Who was written to about the same today is left out, whoever asked
    for it. The roles that the asker has now decide who is reached."""
    cycle = db.session.scalars(select(Cycle).where(Cycle.id == UUID(job.arguments["cycle"]))).one()
    gap_list = get_gap_list(job.arguments["list"])
    query = _records_query(gap_list, cycle, load_grant(ACTION, job.asked_by))
    last_id = UUID(cursor.get("after", str(FIRST_ID)))
    records = db.session.scalars(
        query.where(Assessment.id > last_id).order_by(Assessment.id).limit(NOTIFY_BATCH_SIZE)
    ).all()
    account_ids = _account_ids(record.doctor_id for record in records)
    told_today = _told_today(gap_list.kind, account_ids.values())
    notified_count = 0
    for record in records:
        account_id = account_ids[record.doctor_id]
        if account_id not in told_today:
            notify(
                record,
                gap_list.kind,
                account_id=account_id,
                cycle=cycle.label,
            )
            notified_count += 1
    db.session.flush()
    has_more = len(records) == NOTIFY_BATCH_SIZE
    if not has_more:
        journal.write_entry(
            "cycle",
            cycle.id,
            "gap_notified",
            by=load_actor(job.asked_by),
            list=gap_list.code,
        )
    return Chunk(
        {"after": str(records[-1].id)} if has_more else None,
        done=len(records),
        counts={
            "told": notified_count,
            "left_out": len(records) - notified_count,
        },
    )


def _account_ids(doctor_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """Doctor's id → account's id."""
    query = select(Doctor.id, Doctor.account_id).where(in_array(Doctor.id, set(doctor_ids)))
    return dict(db.session.execute(query).all())


def _told_today(kind: NoticeKind, account_ids: Iterable[UUID]) -> set[UUID]:
    """Those of the accounts to which a notice of this kind was written today (Beijing time), by whomever."""
    today = clock.to_beijing(clock.now())
    midnight = datetime.combine(today.date(), time(), today.tzinfo)
    query = select(Notice.account_id).where(
        in_array(Notice.account_id, set(account_ids)),
        Notice.kind == kind.code,
        Notice.written_at >= midnight,
    )
    return set(db.session.scalars(query))
