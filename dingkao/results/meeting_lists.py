"""The records on the list of a committee's meeting: the job that puts them there, and what of them is
shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    func,
    select,
    text,
)

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.database.pagination import (
    CappedCount,
    capped_count,
)
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal.entries import Actor
from dingkao.results.models import (
    GradingMeeting,
    GradingMeetingEntry,
)
from dingkao.tenants.context import current_tenant

FILL_JOB, FILL_SIZE = "fill_grading_meeting", 2000
FIRST_ID = UUID(int=0)
ENTRY_FILTERS = {
    "passing": "三项合格",
    "failing": "有不合格",
    "sampled": "抽查",
    "left_out": "未评定",
}
_FILL = text("""
WITH waiting AS (
    SELECT id FROM assessment
    WHERE tenant_id = :tenant AND assessor_id = :organisation AND cycle_id = :cycle AND id > :after
        AND (state = 'grading' OR (state = 'absent' AND absence_confirmed_by IS NOT NULL))
    ORDER BY id LIMIT :most
), listed AS (
    INSERT INTO grading_meeting_entry (tenant_id, meeting_id, assessment_id, sampled)
    SELECT :tenant, :meeting, id, false FROM waiting
    ON CONFLICT DO NOTHING RETURNING 1
)
SELECT (SELECT count(*) FROM waiting) AS seen, (SELECT count(*) FROM listed) AS listed,
    (SELECT id FROM waiting ORDER BY id DESC LIMIT 1) AS last
""")


@dataclass(frozen=True)
class ListedRecord:
    """A record on a meeting's list: its entry and the record."""

    entry: GradingMeetingEntry
    record: Assessment


def enqueue_filling(meeting: GradingMeeting, *, by: Actor) -> Job:
    """Enqueue the job that puts the records that wait when it runs on the meeting's list, also if it was
    asked for before: listed ones stay."""
    return enqueueing.enqueue(
        FILL_JOB,
        f"评定会名单（{meeting.held_on:%Y年%m月%d日}）",
        {"meeting": str(meeting.id)},
        by=by.id,
        subject=meeting.id,
    )


@worker.register_chunked_job(FILL_JOB)
def fill_list(job: Job, cursor: Cursor) -> Chunk:
    """Put the next waiting records of the organisation on the list of a draft, which is locked (absent
    doctors only if the absence is confirmed; none that another meeting still has on its list); after the last
    one, set `filled_at`. Does nothing for a meeting that is no draft any more."""
    query = select(GradingMeeting).where(GradingMeeting.id == UUID(job.arguments["meeting"]))
    meeting = db.session.scalar(query.with_for_update())
    if meeting is None or meeting.state != "draft":
        return Chunk(None)
    batch = db.session.execute(
        _FILL,
        {
            "tenant": current_tenant(),
            "organisation": meeting.organisation_id,
            "cycle": meeting.cycle_id,
            "meeting": meeting.id,
            "after": cursor.get("after", str(FIRST_ID)),
            "most": FILL_SIZE,
        },
    ).one()
    next_cursor = {"after": str(batch.last)} if batch.seen == FILL_SIZE else None
    if next_cursor is None:
        meeting.filled_at = clock.now()
    return Chunk(
        next_cursor,
        done=batch.listed,
        counts={"listed": batch.listed},
    )


def entries_query(meeting: GradingMeeting, entry_filter: str = "") -> Select[Any]:
    """The query of a meeting's entries, joined with their records; `entry_filter`: one of ENTRY_FILTERS, ""
    for all."""
    of_record = and_(
        Assessment.tenant_id == GradingMeetingEntry.tenant_id,
        Assessment.id == GradingMeetingEntry.assessment_id,
    )
    query = select(GradingMeetingEntry).join(Assessment, of_record)
    query = query.where(GradingMeetingEntry.meeting_id == meeting.id)
    return query.where(entry_condition(entry_filter)) if entry_filter else query


def entry_condition(entry_filter: str) -> ColumnElement[bool]:
    """The condition of one of ENTRY_FILTERS, for a query of entries with their records; passing and failing
    follow the records' present verdicts. Raises KeyError for an unknown one."""
    has_all_passed = and_(
        Assessment.performance == "pass",
        Assessment.ethics == "pass",
        Assessment.competence == "pass",
    )
    conditions: dict[str, ColumnElement[bool]] = {
        "passing": has_all_passed,
        "failing": func.coalesce(has_all_passed, False).is_(False),
        "sampled": GradingMeetingEntry.sampled.is_(True),
        "left_out": GradingMeetingEntry.left_out_reason.is_not(None),
    }
    return conditions[entry_filter]


def count_entries(meeting: GradingMeeting) -> CappedCount:
    """How many records the meeting's list has, counted up to the limit of CappedCount."""
    return capped_count(entries_query(meeting), GradingMeetingEntry.assessment_id)


def records_of(
    entries: Sequence[GradingMeetingEntry],
) -> list[ListedRecord]:
    """The entries of a page (at most 5,000) with their records, in their order."""
    ids = [entry.assessment_id for entry in entries]
    records = {
        record.id: record
        for record in db.session.scalars(select(Assessment).where(in_array(Assessment.id, ids)))
    }
    return [ListedRecord(entry, records[entry.assessment_id]) for entry in entries]
