"""The job that concludes (综合评定) the records on the list of a committee's meeting, and keeps with each the
verdicts that the committee had before it."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select

from dingkao.assessments import assessment_transitions
from dingkao.assessments.models import Assessment
from dingkao.assessments.verdicts import is_passing
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.database.pagination import capped_count
from dingkao.errors import InvalidState, Refusal
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import SYSTEM_ACTOR, Actor
from dingkao.journal.state_machine import transition
from dingkao.people.accounts import load_actor
from dingkao.people.permissions import roles_for
from dingkao.results.meeting_lists import entries_query
from dingkao.results.meeting_members import members_of
from dingkao.results.models import (
    MEETING_STATES,
    GradingMeeting,
    GradingMeetingEntry,
)

JOB_NAME, BATCH_SIZE = "conclude_meeting", 200
DOUBTFUL_MESSAGE = "抽查有疑问，本次不评定"
FIRST_ID = UUID(int=0)


@transition(
    "draft",
    to="concluding",
    actors=roles_for("conclusions.decide"),
    states=MEETING_STATES,
)
def conclude_meeting(meeting: GradingMeeting, *, by: Actor) -> None:
    """The committee has decided: 综合评定 of the records on the list may begin. Only the state of the meeting
    (locked) changes, with a journal entry; `start_conclusion` also enqueues the job. Raises Forbidden;
    InvalidState unless it is a draft, while the list is being made, without a chair, and with a sampled
    record that nobody has checked."""
    if meeting.filled_at is None:
        raise InvalidState("名单还在生成，请稍候再评定。")
    if not any(member.role == "chair" for member in members_of(meeting)):
        raise InvalidState("请先在参加人员中加入主持人。")
    unchecked = capped_count(
        entries_query(meeting, "sampled").where(GradingMeetingEntry.sample_result.is_(None)),
        GradingMeetingEntry.assessment_id,
    )
    if unchecked:
        raise InvalidState(f"还有{unchecked}人抽查后没有登记结果，请先登记。")


@transition(
    "concluding",
    to="held",
    actors=("system",),
    states=MEETING_STATES,
)
def finish_meeting(meeting: GradingMeeting, *, by: Actor) -> None:
    """Every record on the list of a meeting (locked) has its outcome or the reason why it has none: store
    their digest, which those present sign, and write a journal entry. Raises Forbidden, InvalidState."""
    meeting.digest = outcomes_digest(meeting)


def outcomes_digest(meeting: GradingMeeting) -> bytes:
    """SHA-256 over the meeting's id and, in the order of their ids, each record on its list with its outcome
    (pass, fail, - without one)."""
    digest = hashlib.sha256(meeting.id.bytes)
    columns = (
        GradingMeetingEntry.assessment_id,
        GradingMeetingEntry.outcome,
    )
    query = select(*columns).where(GradingMeetingEntry.meeting_id == meeting.id)
    for assessment_id, outcome in db.session.execute(
        query.order_by(columns[0]).execution_options(yield_per=5000)
    ):
        digest.update(assessment_id.bytes + (outcome or "-").encode())
    return digest.digest()


def start_conclusion(meeting: GradingMeeting, *, by: Actor) -> Job:
    """Move the draft of a meeting (locked) to concluding, if its list is made, it has a chair and every
    sampled record is checked (`conclude_meeting`), with a journal entry, and enqueue the job that concludes
    its records. Raises Forbidden, InvalidState."""
    conclude_meeting(meeting, by=by)
    return enqueueing.enqueue(
        JOB_NAME,
        f"评定会综合评定（{meeting.held_on:%Y年%m月%d日}）",
        {"meeting": str(meeting.id)},
        by=by.id,
        subject=meeting.id,
    )


@worker.register_chunked_job(JOB_NAME)
def conclude_entries(job: Job, cursor: Cursor) -> Chunk:
    """Conclude the next records of a meeting's list, with the roles that the asker has now; locks the meeting
    and the records; those that the spot check doubts, and those that are no longer to be concluded, are left
    out with the reason. After the last one, finish the meeting. Does nothing for a meeting that isn't
    concluding."""
    query = select(GradingMeeting).where(GradingMeeting.id == UUID(job.arguments["meeting"]))
    meeting = db.session.scalar(query.with_for_update().execution_options(populate_existing=True))
    if meeting is None or meeting.state != "concluding":
        return Chunk(None)
    entries = _next_entries(meeting, UUID(cursor.get("after", str(FIRST_ID))))
    reasons = _conclude(entries, load_actor(job.asked_by))
    db.session.flush()
    is_last = len(entries) < BATCH_SIZE
    if is_last:
        finish_meeting(meeting, by=SYSTEM_ACTOR)
    return Chunk(
        None if is_last else {"after": str(entries[-1].assessment_id)},
        done=len(entries),
        total=None if cursor else _count_entries(meeting),
        counts={
            "concluded": len(entries) - reasons.total(),
            "left_out": reasons.total(),
        },
        reasons=reasons,
    )


def _count_entries(meeting: GradingMeeting) -> int | None:
    """How many records a meeting's list has, all of them counted."""
    query = select(func.count()).where(GradingMeetingEntry.meeting_id == meeting.id)
    return db.session.scalar(query)


def _next_entries(meeting: GradingMeeting, after: UUID) -> Sequence[GradingMeetingEntry]:
    """The next BATCH_SIZE entries of a meeting's list, by record's id after `after`."""
    query = select(GradingMeetingEntry).where(
        GradingMeetingEntry.meeting_id == meeting.id,
        GradingMeetingEntry.assessment_id > after,
    )
    return db.session.scalars(query.order_by(GradingMeetingEntry.assessment_id).limit(BATCH_SIZE)).all()


def _conclude(entries: Sequence[GradingMeetingEntry], by: Actor) -> Counter[str]:
    """Lock and conclude the records of these entries. An entry gets the verdicts and the outcome of its
    record stored, or the reason if it is left out, whatever refused it (Forbidden, too). Returns reason →
    number of those left out."""
    records = _lock_records([entry.assessment_id for entry in entries])
    reasons = Counter[str]()
    with journal.batched_entries():
        for entry in entries:
            reason = _conclude_entry(entry, records[entry.assessment_id], by)
            if reason:
                entry.left_out_reason = reason
                reasons[reason] += 1
    return reasons


def _lock_records(
    ids: Sequence[UUID],
) -> dict[UUID, Assessment]:
    """Lock these records, at most 5,000, in the order of their ids and return them, by id."""
    query = select(Assessment).where(in_array(Assessment.id, ids)).order_by(Assessment.id)
    locked = query.with_for_update().execution_options(populate_existing=True)
    return {record.id: record for record in db.session.scalars(locked)}


def _conclude_entry(
    entry: GradingMeetingEntry,
    record: Assessment,
    by: Actor,
) -> str | None:
    """Conclude one record (locked) and store its verdicts and outcome in the entry. Returns None, or the
    reason if it is left out."""
    if entry.sample_result == "doubtful":
        return DOUBTFUL_MESSAGE
    try:
        assessment_transitions.conclude(record, by=by)
    except Refusal as refusal:
        return refusal.message
    entry.performance, entry.ethics, entry.competence = (
        record.performance,
        record.ethics,
        record.competence,
    )
    entry.outcome = "pass" if is_passing(record) else "fail"
    return None
