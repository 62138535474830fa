"""The spot sample of a committee's meeting: records drawn by chance from its list, and what their check
showed."""

from uuid import UUID

from sqlalchemy import (
    select,
    text,
)

from dingkao.database.base import db, new_id
from dingkao.errors import (
    InvalidInput,
    NotFound,
)
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.results.grading_meetings import MAX_NOTES_LENGTH, require_draft
from dingkao.results.models import (
    SAMPLE_RESULTS,
    GradingMeeting,
    GradingMeetingEntry,
)
from dingkao.tenants.context import current_tenant

MIN_SAMPLE, MAX_SAMPLE = 1, 200
_SAMPLE = text("""
UPDATE grading_meeting_entry SET sampled = true
WHERE tenant_id = :tenant AND meeting_id = :meeting AND assessment_id IN (
    SELECT assessment_id FROM grading_meeting_entry
    WHERE tenant_id = :tenant AND meeting_id = :meeting AND NOT sampled
    ORDER BY md5(assessment_id::text || :seed) LIMIT :size
)
""")


def draw_sample(meeting: GradingMeeting, size: int, *, by: Actor) -> None:
    """Draw `size` more records of the list of a meeting (locked) for the spot check, by chance; fewer if
    fewer are left. The journal has the seed. Raises InvalidInput for a size out of MIN_SAMPLE to MAX_SAMPLE,
    InvalidState unless the meeting is a draft."""
    require_draft(meeting)
    if not MIN_SAMPLE <= size <= MAX_SAMPLE:
        raise InvalidInput(f"抽查人数请填写{MIN_SAMPLE}至{MAX_SAMPLE}。", "size")
    seed = new_id().hex
    db.session.execute(
        _SAMPLE,
        {
            "tenant": current_tenant(),
            "meeting": meeting.id,
            "seed": seed,
            "size": size,
        },
    )
    journal.write_entry(
        "grading_meeting",
        meeting.id,
        "sample_drawn",
        by=by,
        size=size,
        seed=seed,
    )


def record_sample_result(
    meeting: GradingMeeting,
    assessment_id: UUID,
    result: str,
    note: str,
    *,
    by: Actor,
) -> None:
    """Store what the spot check of one record showed: a key of SAMPLE_RESULTS, and a note (with single spaces
    for all white space, cut at MAX_NOTES_LENGTH), which a doubt needs; writes a journal entry about the
    record. The meeting is locked. Raises InvalidInput, InvalidState unless it is a draft, NotFound for a
    record that was not drawn."""
    require_draft(meeting)
    if result not in SAMPLE_RESULTS:
        raise InvalidInput("请选择抽查结果。", "result")
    note = " ".join(note.split())
    if result == "doubtful" and not note:
        raise InvalidInput("有疑问的，请写明疑问。", "note")
    entry = db.session.scalar(
        select(GradingMeetingEntry)
        .where(
            GradingMeetingEntry.meeting_id == meeting.id,
            GradingMeetingEntry.assessment_id == assessment_id,
            GradingMeetingEntry.sampled,
        )
        .with_for_update()
    )
    if entry is None:
        raise NotFound
    entry.sample_result, entry.sample_note = (
        result,
        note[:MAX_NOTES_LENGTH] or None,
    )
    journal.write_entry(
        "assessment",
        assessment_id,
        "spot_checked",
        by=by,
        result=result,
        meeting=str(meeting.id),
    )
