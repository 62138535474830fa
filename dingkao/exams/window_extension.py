"""Extending the window of a paper that is being sat, in an emergency (power failure, flood): its end moves to
a later moment; nothing else of the paper changes.

The window is changed at once; sittings and notices follow in a chunked job, because it may affect a whole
province in the middle of an exam. An open sitting whose end the window had cut short gets back its own
minutes, never more. A sitting begun in a slot ends with the slot; therefore extending a slot
(`enqueue_for_slot`) does the same for the sittings begun in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, or_, select

from dingkao import clock
from dingkao.assessments.doctor_notices import notify
from dingkao.assessments.enrolment import doctor_join
from dingkao.assessments.models import TEST_STATES, Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.database.listing.list_counts import ChipCount
from dingkao.database.listing.list_pages import MAX_LOOKED_AT
from dingkao.database.row_lookups import has_row
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidInput, InvalidState
from dingkao.exams import integrity_events
from dingkao.exams.added_time import added_times_of
from dingkao.exams.admission import Admission, admissions_of
from dingkao.exams.models.hall_models import (
    ExtraTime,
    Slot,
    SlotPlace,
)
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.papers import paper_join_condition, sits_paper_condition
from dingkao.exams.sittings import for_update_query
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.accounts import load_actor
from dingkao.people.notice_catalogue import (
    SITTING_EXTENDED,
    WINDOW_EXTENDED,
)

EXTEND_JOB, BATCH_SIZE = "prolong_sittings", 50
MIN_REASON_LENGTH, MAX_REASON_LENGTH = 4, 200
MAX_EXTENSION = timedelta(days=7)


class AffectedCounts(NamedTuple):
    """What a paper's window affects now: how many sittings are open, how many of these it ends before their
    minutes are over, and how many records have not begun. At most MAX_LOOKED_AT sittings of the paper, and
    records of the cycle, are looked at."""

    open_sittings: ChipCount
    cut_short: ChipCount
    not_started: ChipCount


def running_papers(cycle: Cycle) -> list[Paper]:
    """The cycle's papers whose window is not over and that somebody has begun (voided sittings count), by
    category, level, subject and procedure."""
    begun = exists().where(
        Sitting.tenant_id == Paper.tenant_id,
        Sitting.paper_id == Paper.id,
    )
    query = select(Paper).where(
        Paper.cycle_id == cycle.id,
        Paper.closes_at > clock.now(),
        begun,
    )
    return list(
        db.session.scalars(
            query.order_by(
                Paper.category,
                Paper.level,
                Paper.subject,
                Paper.procedure,
            )
        )
    )


def count_affected(papers: Sequence[Paper]) -> dict[UUID, AffectedCounts]:
    """Returns id of a paper → how many sittings and records its window affects now, for papers of one
    cycle."""
    not_started = _count_not_started(papers)
    return {paper.id: AffectedCounts(*_count_open_sittings(paper), not_started[paper.id]) for paper in papers}


def _count_open_sittings(paper: Paper) -> tuple[ChipCount, ChipCount]:
    """How many sittings of a paper are open, of MAX_LOOKED_AT at most, and how many of these end before the
    paper's minutes are over."""
    ends = Sitting.opened_at + func.make_interval(0, 0, 0, 0, 0, paper.minutes)
    open_sittings = select((Sitting.closes_at < ends).label("is_cut_short")).where(
        Sitting.paper_id == paper.id,
        Sitting.handed_in_at.is_(None),
        Sitting.voided_at.is_(None),
    )
    looked_at = open_sittings.limit(MAX_LOOKED_AT).subquery()
    counts = select(func.count(), func.count().filter(looked_at.c.is_cut_short)).select_from(looked_at)
    open_count, cut_count = db.session.execute(counts).one()
    is_complete = open_count < MAX_LOOKED_AT
    return ChipCount(open_count, is_complete), ChipCount(cut_count, is_complete)


def _count_not_started(papers: Sequence[Paper]) -> dict[UUID, ChipCount]:
    """Returns id of a paper → how many records that are ready or testing have to sit it and have no valid
    sitting of it, among the first MAX_LOOKED_AT records of the papers' cycle; no window is asked."""
    if not papers:
        return {}
    flags = [
        and_(sits_paper_condition(paper), _has_no_sitting_condition(paper)).label(f"paper_{number}")
        for number, paper in enumerate(papers)
    ]
    records = (
        select(*flags)
        .select_from(Assessment)
        .join(Doctor, doctor_join())
        .where(Assessment.cycle_id == papers[0].cycle_id, Assessment.state.in_(TEST_STATES))
        .order_by(Assessment.state, Assessment.id)
    )
    looked_at: Any = records.limit(MAX_LOOKED_AT).subquery()
    sums = [func.count().filter(looked_at.c[flag.key]) for flag in flags]
    looked_count, *counts = db.session.execute(select(func.count(), *sums).select_from(looked_at)).one()
    is_complete = looked_count < MAX_LOOKED_AT
    return {paper.id: ChipCount(number, is_complete) for paper, number in zip(papers, counts, strict=True)}


def open_slot_count(cycle: Cycle) -> int:
    """How many slots of a cycle are not over. Who has a place in one is bound to the slot's time, whatever
    the paper's window."""
    return (
        db.session.scalar(
            select(func.count())
            .select_from(Slot)
            .where(
                Slot.cycle_id == cycle.id,
                Slot.closes_at > clock.now(),
            )
        )
        or 0
    )


def validate_extension(paper: Paper, *, closes_at: datetime, reason: str) -> None:
    """Check that the window of `paper` can be extended to `closes_at` for `reason`. Raises InvalidState if it
    is over, InvalidInput naming the field for a reason too short or too long (with single spaces for all
    white space) and for an end that is not later or too late."""
    if clock.now() >= paper.closes_at:
        raise InvalidState(
            f"“{paper.title}”的考试时间已过，不能再延长。已自动交卷的请在“考试监控”补时，未参加的请另行安排。"
        )
    if not MIN_REASON_LENGTH <= len(" ".join(reason.split())) <= MAX_REASON_LENGTH:
        raise InvalidInput(
            (
                f"请填写延长的原因，{MIN_REASON_LENGTH}至{MAX_REASON_LENGTH}字，医师会看到，"
                "如“本省部分地区停电”。"
            ),
            "reason",
        )
    if closes_at <= clock.end_of_minute(paper.closes_at):
        raise InvalidInput(
            f"只能延长：新的结束时间应晚于“{paper.title}”现在的结束时间{_format_minute(paper.closes_at)}。",
            "closes_at",
        )
    if clock.minute_of(closes_at) > paper.closes_at + MAX_EXTENSION:
        raise InvalidInput(
            f"一次最多延长{MAX_EXTENSION.days}天，请核对日期。",
            "closes_at",
        )


def extend_window(paper: Paper, *, closes_at: datetime, reason: str, by: Actor) -> Job:
    """Move the end of a paper's window to `closes_at`, with a journal entry, and enqueue the job that gives
    open sittings their time and notifies the doctors. `reason` is stored with single spaces for all white
    space. Locks the paper. Raises InvalidInput naming the field, InvalidState if the window is over."""
    query = select(Paper).where(Paper.id == paper.id).with_for_update()
    paper = db.session.scalars(query.execution_options(populate_existing=True)).one()
    validate_extension(paper, closes_at=closes_at, reason=reason)
    before, paper.closes_at, reason = (
        paper.closes_at,
        closes_at,
        " ".join(reason.split()),
    )
    db.session.flush()
    journal.write_entry(
        "paper",
        paper.id,
        "prolonged",
        by=by,
        earlier=before.isoformat(),
        until=closes_at.isoformat(),
        reason=reason,
    )
    arguments = {
        "paper": str(paper.id),
        "before": before.isoformat(),
        "until": closes_at.isoformat(),
        "reason": reason,
    }
    return enqueueing.enqueue(
        EXTEND_JOB,
        f"延长考试时间：{paper.title}",
        arguments,
        by=by.id,
        subject=paper.id,
    )


def enqueue_for_slot(slot: Slot, *, by: Actor) -> Job:
    """Enqueue the job that gives the open sittings of a slot their time; the caller has moved the slot's end
    before. Unlike for a paper, doctors who have not begun are not notified."""
    arguments = {
        "slot": str(slot.id),
        "until": slot.closes_at.isoformat(),
        "reason": "考试场次延长",
    }
    return enqueueing.enqueue(
        EXTEND_JOB,
        "延长考试场次",
        arguments,
        by=by.id,
        subject=slot.id,
    )


@worker.register_chunked_job(EXTEND_JOB)
def extend_step(job: Job, cursor: Cursor) -> Chunk:
    """Give the open sittings of the next records their time and notify the doctors affected. Open pages load
    a new end with their next heartbeat. If the end of the paper or slot was moved again since, or it is
    deleted, the job ends: that extension's job does it all. The first step locks a paper (a slot is not
    locked), every other one its records with their open sittings."""
    arguments, by = job.arguments, load_actor(job.asked_by)
    paper_or_slot = _load_paper_or_slot(arguments, for_update=not cursor)
    if paper_or_slot is None or paper_or_slot.closes_at != datetime.fromisoformat(arguments["until"]):
        return Chunk(None)
    if not cursor:
        # the first step only locks the paper: it waits for transactions that are beginning a sitting with the
        # old window, so that the next steps see these sittings
        return Chunk(
            {"after": str(UUID(int=0))},
            result={"lifted": 0, "told": 0},
        )
    paper = paper_or_slot if isinstance(paper_or_slot, Paper) else None
    record_ids = _next_record_ids(paper_or_slot, UUID(cursor["after"]))
    extended_ids, notified_count = list[UUID](), 0
    for record in _records_for_update(record_ids):
        sitting_ids = _extend_sittings_of(record, paper, arguments["reason"], by)
        extended_ids += sitting_ids
        # whoever has a longer sitting was told so by `extend_sitting`; the others are told of the window
        notified_count += bool(sitting_ids) or _notify_of_window(record, paper, arguments)
    integrity_events.request_recheck_of_all(extended_ids)
    return Chunk(
        {"after": str(record_ids[-1])} if len(record_ids) == BATCH_SIZE else None,
        done=len(record_ids),
        counts={"lifted": len(extended_ids), "told": notified_count},
    )


def _load_paper_or_slot(arguments: Mapping[str, Any], *, for_update: bool) -> Paper | Slot | None:
    """The paper or slot whose window was moved, as it is now; a paper is locked if `for_update`. None if it
    is deleted."""
    if "paper" in arguments:
        query = _window_owner_query(Paper, arguments["paper"])
        return db.session.scalar(query.with_for_update() if for_update else query)
    return db.session.scalar(_window_owner_query(Slot, arguments["slot"]))


def _next_record_ids(paper_or_slot: Paper | Slot, after: UUID) -> list[UUID]:
    """The next BATCH_SIZE ids, above `after`, of the records that the end of the paper or slot affects."""
    if isinstance(paper_or_slot, Paper):
        query = _record_ids_of_paper_query(paper_or_slot)
    else:
        query = _record_ids_in_slot_query(paper_or_slot.id)
    query = query.where(Assessment.id > after).order_by(Assessment.id)
    return list(db.session.scalars(query.limit(BATCH_SIZE)))


def _records_for_update(
    record_ids: Sequence[UUID],
) -> Sequence[Assessment]:
    """The records, locked in the order of ids and read anew."""
    query = select(Assessment).where(in_array(Assessment.id, record_ids)).order_by(Assessment.id)
    return db.session.scalars(query.with_for_update().execution_options(populate_existing=True)).all()


def _window_owner_query(kind: type[Any], identity: str) -> Any:
    """The query for the paper or slot with an id, read anew."""
    return select(kind).where(kind.id == UUID(identity)).execution_options(populate_existing=True)


def _extend_sittings_of(
    record: Assessment,
    paper: Paper | None,
    reason: str,
    by: Actor,
) -> list[UUID]:
    """Give the record's open sittings (of `paper`, or of any paper if None) their time, as `extend_sitting`;
    locks the sittings, the record is locked. Returns the ids of those whose end changed, whose pages are not
    told here."""
    query = select(Sitting).where(
        Sitting.assessment_id == record.id,
        Sitting.handed_in_at.is_(None),
        Sitting.voided_at.is_(None),
    )
    if paper:
        query = query.where(Sitting.paper_id == paper.id)
    sittings = db.session.scalars(for_update_query(query)).all()
    return [sitting.id for sitting in sittings if extend_sitting(record, sitting, reason=reason, by=by)]


def extend_sitting(record: Assessment, sitting: Sitting, *, reason: str, by: Actor) -> bool:
    """Move the end of an open sitting (record and sitting locked for update) to the one that its windows
    allow now; if that is later, write a journal entry and notify the doctor; the caller has open pages load
    it (`request_recheck`). Returns whether it changed; it never becomes earlier."""
    end = computed_end(record, sitting)
    if end <= sitting.closes_at:
        return False
    before, sitting.closes_at = sitting.closes_at, end
    journal.write_entry(
        "sitting",
        sitting.id,
        "prolonged",
        by=by,
        earlier=before.isoformat(),
        until=end.isoformat(),
        reason=reason,
    )
    notify(
        record,
        SITTING_EXTENDED,
        reason=reason,
        before=_format_minute(before),
        until=_format_minute(end),
    )
    return True


def computed_end(record: Assessment, sitting: Sitting) -> datetime:
    """When a sitting would end if it had begun with the windows as they are now; added time is included.
    Extra time counts if it was granted before the sitting began."""
    paper = db.session.scalars(select(Paper).where(Paper.id == sitting.paper_id)).one()
    admission = admissions_of(record, [paper], sitting.opened_at)[paper.id]
    if admission.extra_minutes and not _had_extra_time_at(record, sitting.opened_at):
        admission = replace(admission, extra_minutes=0)
    added_minutes = sum(added_time.minutes for added_time in added_times_of(sitting.id))
    return admission.sitting_end(sitting.opened_at) + timedelta(minutes=added_minutes)


def _had_extra_time_at(record: Assessment, moment: datetime) -> bool:
    """Whether the record's doctor has extra time in the cycle that was granted, or last changed, by
    `moment`."""
    query = select(ExtraTime.id).where(
        ExtraTime.cycle_id == record.cycle_id,
        ExtraTime.doctor_id == record.doctor_id,
        ExtraTime.granted_at <= moment,
    )
    return db.session.scalar(query) is not None


def _notify_of_window(
    record: Assessment,
    paper: Paper | None,
    arguments: Mapping[str, Any],
) -> bool:
    """Notify a doctor who has not begun the paper, unless their slot ends before the old window did. Returns
    whether a notice was sent; none is for an extended slot (`paper` is None). `arguments`: those of the
    job."""
    if paper is None or _has_begun(record, paper):
        return False
    admission: Admission = admissions_of(record, [paper])[paper.id]
    end_before = datetime.fromisoformat(arguments["before"])
    if admission.slot is not None and admission.slot.closes_at <= end_before:
        return False
    notify(
        record,
        WINDOW_EXTENDED,
        reason=arguments["reason"],
        paper=paper.title,
        until=_format_minute(admission.closes_at),
    )
    return True


def _has_begun(record: Assessment, paper: Paper) -> bool:
    """Whether the record has a sitting of the paper that isn't voided."""
    query = select(Sitting.id).where(
        Sitting.assessment_id == record.id,
        Sitting.paper_id == paper.id,
        Sitting.voided_at.is_(None),
    )
    return db.session.scalar(query.limit(1)) is not None


def _record_ids_of_paper_query(paper: Paper) -> Any:
    """The query for the ids of the records that are ready or testing and have to sit the paper, begun or
    not."""
    theirs, _ = paper_join_condition()
    of_doctor = and_(
        Doctor.tenant_id == Assessment.tenant_id,
        Doctor.id == Assessment.doctor_id,
    )
    return (
        select(Assessment.id)
        .join(Doctor, of_doctor)
        .join(Paper, theirs)
        .where(Paper.id == paper.id, Assessment.state.in_(TEST_STATES))
    )


def _has_no_sitting_condition(paper: Paper) -> ColumnElement[bool]:
    """The condition that the query's Assessment has no sitting of the paper but voided ones."""
    sitting_id = select(Sitting.id).where(
        Sitting.tenant_id == Assessment.tenant_id,
        Sitting.assessment_id == Assessment.id,
        Sitting.paper_id == paper.id,
        Sitting.voided_at.is_(None),
    )
    return ~has_row(sitting_id)


def _record_ids_in_slot_query(slot_id: UUID) -> Any:
    """The query for the ids of the records, ready or testing, in a slot: those with a place in it and, if the
    slot is an institution's, all of that institution in its cycle."""
    placed = exists().where(
        SlotPlace.tenant_id == Assessment.tenant_id,
        SlotPlace.assessment_id == Assessment.id,
        SlotPlace.slot_id == slot_id,
    )
    whole = exists().where(
        Slot.tenant_id == Assessment.tenant_id,
        Slot.id == slot_id,
        Slot.cycle_id == Assessment.cycle_id,
        Slot.institution_id == Assessment.institution_id,
    )
    return select(Assessment.id).where(Assessment.state.in_(TEST_STATES), or_(placed, whole))


def _format_minute(moment: datetime) -> str:
    """A moment in Beijing time without the year: 11月30日 09:00."""
    return f"{clock.to_beijing(moment):%m月%d日 %H:%M}"
