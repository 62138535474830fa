"""Meetings of an assessment organisation's committee on 综合评定 (domain.md §11 no. 19, §12): a draft that a
clerk prepares (list, spot sample, those present), concluded by a reviewer, and signed by those present."""

from datetime import date
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    select,
)

from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db, new_id
from dingkao.database.pagination import (
    Page,
    fetch_page,
)
from dingkao.errors import (
    InvalidInput,
    InvalidState,
    NotFound,
)
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.organisation_succession import add_column_part
from dingkao.people.scopes import Grant
from dingkao.results.meeting_lists import enqueue_filling
from dingkao.results.models import (
    GradingMeeting,
)

MAX_TEXT_LENGTH, MAX_NOTES_LENGTH = 100, 2000


def create_meeting(
    cycle: Cycle,
    organisation_id: UUID,
    *,
    held_on: date,
    place: str,
    grant: Grant,
    by: Actor,
) -> GradingMeeting:
    """Create the draft of a meeting, with a journal entry, and enqueue the job that puts all waiting records
    of the organisation on its list. Raises InvalidInput for a bad place and unless `grant` names the
    organisation (one of the whole province doesn't), InvalidState while the organisation has another meeting
    of the cycle that is not held yet."""
    if organisation_id not in grant.assessor_ids:
        raise InvalidInput("请从列表中选择考核机构。", "organisation")
    meeting = GradingMeeting(
        id=new_id(),
        cycle_id=cycle.id,
        organisation_id=organisation_id,
        held_on=held_on,
        place=validate_text(place, "地点", "place"),
        created_by=by.id,
    )
    _require_no_draft(cycle, organisation_id)
    db.session.add(meeting)
    db.session.flush()
    journal.write_entry("grading_meeting", meeting.id, "drafted", by=by)
    enqueue_filling(meeting, by=by)
    return meeting


def _require_no_draft(cycle: Cycle, organisation_id: UUID) -> None:
    """Raise InvalidState if the organisation has a meeting of the cycle that is not held yet: a record is on
    one list at a time."""
    query = select(GradingMeeting.id).where(
        GradingMeeting.organisation_id == organisation_id,
        GradingMeeting.cycle_id == cycle.id,
        GradingMeeting.state != "held",
    )
    if db.session.scalar(query.limit(1)):
        raise InvalidState("本机构已有一次评定会在准备中，请先完成或删除它的草稿。")


def meetings_page(cycle: Cycle, grant: Grant, cursor: str | None) -> Page[GradingMeeting]:
    """A page of the cycle's meetings of the organisations that `grant` names (none for one of the whole
    province), the newest first."""
    query = select(GradingMeeting).where(GradingMeeting.cycle_id == cycle.id, _own_condition(grant))
    return fetch_page(query, [GradingMeeting.id], cursor, descending=True)


def get_meeting(
    meeting_id: UUID,
    grant: Grant,
    *,
    for_update: bool = False,
) -> GradingMeeting:
    """A meeting of an organisation that `grant` names (none for one of the whole province), locked if
    `for_update`. Raises NotFound for any other."""
    query = select(GradingMeeting).where(GradingMeeting.id == meeting_id, _own_condition(grant))
    meeting = db.session.scalar(query.with_for_update() if for_update else query)
    if meeting is None:
        raise NotFound
    return meeting


def require_draft(meeting: GradingMeeting) -> None:
    """Raise InvalidState unless the meeting is still a draft."""
    if meeting.state != "draft":
        raise InvalidState("评定会已经进行评定，不能再修改。")


def delete_draft(meeting: GradingMeeting, *, by: Actor) -> None:
    """Delete the draft of a meeting (locked) with its list and those present, with a journal entry; its
    records wait as before. Raises InvalidState unless it is a draft."""
    require_draft(meeting)
    journal.write_entry(
        "grading_meeting",
        meeting.id,
        "draft_deleted",
        by=by,
    )
    db.session.delete(meeting)


def change_notes(meeting: GradingMeeting, notes: str, *, by: Actor) -> None:
    """Store what was discussed at a meeting (locked), stripped, with a journal entry. Raises InvalidInput if
    `notes`, unstripped, are longer than MAX_NOTES_LENGTH, InvalidState unless the meeting is a draft."""
    require_draft(meeting)
    if len(notes) > MAX_NOTES_LENGTH:
        raise InvalidInput(
            f"会议记录请不要超过{MAX_NOTES_LENGTH}字，现有{len(notes)}字。",
            "notes",
        )
    meeting.notes = notes.strip()
    journal.write_entry(
        "grading_meeting",
        meeting.id,
        "notes_changed",
        by=by,
    )


def _own_condition(grant: Grant) -> ColumnElement[bool]:
    """The condition that a GradingMeeting is of an organisation that `grant` names; of none for a grant of
    the whole province."""
    return in_array(GradingMeeting.organisation_id, grant.assessor_ids)


def validate_text(value: str, label: str, field: str) -> str:
    """The text with single spaces for all white space. Raises InvalidInput for `field`, calling it `label`
    (Chinese), if it is empty or longer than MAX_TEXT_LENGTH."""
    value = " ".join(value.split())
    if not value:
        raise InvalidInput(f"请填写{label}。", field)
    if len(value) > MAX_TEXT_LENGTH:
        raise InvalidInput(f"{label}请不要超过{MAX_TEXT_LENGTH}字。", field)
    return value


add_column_part(
    "未结束的评定会",
    "次",
    GradingMeeting.organisation_id,
    in_array(GradingMeeting.state, ("draft", "concluding")),
    keeps_assessor=True,
)
