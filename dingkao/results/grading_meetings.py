"""Meetings of an assessment organisation's committee on 综合评定 (domain.md §11 no. 19, §12): a draft that a
clerk prepares (list, spot sample, those present), concluded by a reviewer, and signed by those present."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
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
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db, new_id
from dingkao.database.pagination import (
    CappedCount,
    Page,
    capped_count,
    fetch_page,
)
from dingkao.errors import (
    Forbidden,
    InvalidInput,
    InvalidState,
    NotFound,
)
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.journal.state_machine import transition
from dingkao.people.models import Account, Membership
from dingkao.people.permissions import roles_for
from dingkao.people.scopes import Grant
from dingkao.results.models import (
    MEETING_STATES,
    MEMBER_ROLES,
    SAMPLE_RESULTS,
    GradingMeeting,
    GradingMeetingEntry,
    GradingMeetingMember,
)
from dingkao.tenants.context import current_tenant

FILL_JOB, FILL_SIZE = "fill_grading_meeting", 2000
PAGE_SIZE, MAX_MEMBERS, MAX_SAMPLE = 100, 50, 200
MAX_TEXT_LENGTH, MAX_NOTES_LENGTH = 100, 2000
FIRST_ID = UUID(int=0)
ENTRY_FILTERS = {
    "all": "全部",
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
_SAMPLE = text("""
UPDATE grading_meeting_entry SET sampled = true
WHERE tenant_id = :tenant AND meeting_id = :meeting AND assessment_id IN (
    SELECT assessment_id FROM grading_meeting_entry
    WHERE tenant_id = :tenant AND meeting_id = :meeting AND NOT sampled
    ORDER BY md5(assessment_id::text || :seed) LIMIT :size
)
""")


@dataclass(frozen=True)
class ListedRecord:
    """A record on a meeting's list: its entry and the record."""

    entry: GradingMeetingEntry
    record: Assessment


def create_meeting(
    cycle: Cycle,
    organisation_id: UUID,
    *,
    held_on: date,
    place: str,
    grant: Grant,
    by: Actor,
) -> GradingMeeting:
    """Create the draft of a meeting, and enqueue the job that puts all waiting records of the organisation on
    its list. Raises InvalidInput, InvalidState while the organisation has another draft."""
    if organisation_id not in grant.assessor_ids:
        raise InvalidInput("请从列表中选择考核机构。", "organisation")
    meeting = GradingMeeting(
        id=new_id(),
        cycle_id=cycle.id,
        organisation_id=organisation_id,
        held_on=held_on,
        place=_validate_text(place, "地点", "place"),
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


def enqueue_filling(meeting: GradingMeeting, *, by: Actor) -> Job:
    """Enqueue the job that puts the records that wait now on the meeting's list."""
    return enqueueing.enqueue(
        FILL_JOB,
        f"评定会名单（{meeting.held_on:%Y年%m月%d日}）",
        {"meeting": str(meeting.id)},
        by=by.id,
        subject=meeting.id,
    )


@worker.register_chunked_job(FILL_JOB)
def fill_list(job: Job, cursor: Cursor) -> Chunk:
    """Put the next waiting records of the organisation on the list of a draft (absent doctors only if the
    absence is confirmed); after the last one, set `filled_at`. Does nothing for a meeting that is no draft
    any more."""
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


def meetings_page(cycle: Cycle, grant: Grant, cursor: str | None) -> Page[GradingMeeting]:
    """A page of the cycle's meetings of the organisations within `grant`, the newest first."""
    query = select(GradingMeeting).where(GradingMeeting.cycle_id == cycle.id, _own(grant))
    return fetch_page(query, [GradingMeeting.id], cursor, descending=True)


def get_meeting(
    meeting_id: UUID,
    grant: Grant,
    *,
    for_update: bool = False,
) -> GradingMeeting:
    """A meeting of an organisation within `grant`, locked if `for_update`. Raises NotFound."""
    query = select(GradingMeeting).where(GradingMeeting.id == meeting_id, _own(grant))
    meeting = db.session.scalar(query.with_for_update() if for_update else query)
    if meeting is None:
        raise NotFound
    return meeting


def require_draft(meeting: GradingMeeting) -> None:
    """Raise InvalidState unless the meeting is still a draft."""
    if meeting.state != "draft":
        raise InvalidState("评定会已经进行评定，不能再修改。")


def delete_draft(meeting: GradingMeeting, *, by: Actor) -> None:
    """Delete the draft of a meeting (locked); its records wait as before. Raises InvalidState."""
    require_draft(meeting)
    journal.write_entry(
        "grading_meeting",
        meeting.id,
        "draft_deleted",
        by=by,
    )
    db.session.delete(meeting)


def change_notes(meeting: GradingMeeting, notes: str, *, by: Actor) -> None:
    """Store what was discussed at a meeting (locked), stripped. Raises InvalidInput if it is too long,
    InvalidState unless it is a draft."""
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


def entries_query(meeting: GradingMeeting, entry_filter: str = "all") -> Select[Any]:
    """The query of a meeting's entries, joined with their records; `entry_filter`: one of ENTRY_FILTERS."""
    of_record = and_(
        Assessment.tenant_id == GradingMeetingEntry.tenant_id,
        Assessment.id == GradingMeetingEntry.assessment_id,
    )
    query = select(GradingMeetingEntry).join(Assessment, of_record)
    return query.where(
        GradingMeetingEntry.meeting_id == meeting.id,
        *_filter_conditions(entry_filter),
    )


def _filter_conditions(
    entry_filter: str,
) -> list[ColumnElement[bool]]:
    """The conditions of one of ENTRY_FILTERS; none for "all" and for an unknown code."""
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
    return [conditions[entry_filter]] if entry_filter in conditions else []


def count_entries(
    meeting: GradingMeeting,
) -> dict[str, CappedCount]:
    """Key of ENTRY_FILTERS → how many records of the meeting's list it shows, counted up to the limit of
    CappedCount."""
    return {
        name: capped_count(
            entries_query(meeting, name),
            GradingMeetingEntry.assessment_id,
        )
        for name in ENTRY_FILTERS
    }


def entries_page(
    meeting: GradingMeeting,
    entry_filter: str,
    cursor: str | None,
) -> Page[GradingMeetingEntry]:
    """A page of the meeting's list."""
    query = entries_query(meeting, entry_filter)
    return fetch_page(
        query,
        [GradingMeetingEntry.assessment_id],
        cursor,
        PAGE_SIZE,
    )


def records_of(
    entries: Sequence[GradingMeetingEntry],
) -> list[ListedRecord]:
    """The entries of a page with their records."""
    ids = [entry.assessment_id for entry in entries]
    records = {
        record.id: record
        for record in db.session.scalars(select(Assessment).where(in_array(Assessment.id, ids)))
    }
    return [ListedRecord(entry, records[entry.assessment_id]) for entry in entries]


def draw_sample(meeting: GradingMeeting, size: int, *, by: Actor) -> None:
    """Draw `size` more records of the list of a meeting (locked) for the spot check, by chance; fewer if
    fewer are left. Raises InvalidInput, InvalidState."""
    require_draft(meeting)
    if not 1 <= size <= MAX_SAMPLE:
        raise InvalidInput(f"抽查人数请填写1至{MAX_SAMPLE}。", "size")
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
    """Store what the spot check of one record showed: a key of SAMPLE_RESULTS, and a note (cut at
    MAX_NOTES_LENGTH), which a doubt needs. The meeting is locked. Raises InvalidInput, InvalidState; NotFound
    for a record that was not drawn."""
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


def members_of(
    meeting: GradingMeeting,
) -> Sequence[GradingMeetingMember]:
    """Those present, in the order in which they were added."""
    query = select(GradingMeetingMember).where(GradingMeetingMember.meeting_id == meeting.id)
    return db.session.scalars(query.order_by(GradingMeetingMember.id)).all()


def colleagues(meeting: GradingMeeting) -> dict[UUID, str]:
    """The organisation's staff who may prepare meetings and whose accounts are not closed, the first
    MAX_MEMBERS by name: account id → name."""
    of_account = (Membership.tenant_id == Account.tenant_id) & (Membership.account_id == Account.id)
    query = (
        select(Account.id, Account.name)
        .join(Membership, of_account)
        .where(
            Membership.organisation_id == meeting.organisation_id,
            in_array(
                Membership.role,
                roles_for("meetings.prepare"),
            ),
            Account.state != "closed",
        )
        .order_by(Account.name, Account.id)
        .distinct()
        .limit(MAX_MEMBERS)
    )
    return dict(db.session.execute(query).all())


def add_member(
    meeting: GradingMeeting,
    name: str,
    role: str,
    account_id: UUID | None,
    *,
    by: Actor,
) -> None:
    """Add somebody present at a meeting (locked): one of `colleagues` by account, whose name then counts, or
    another one by name. Who is on the list already isn't added again. Raises InvalidInput (also if the
    account is none of `colleagues`), InvalidState."""
    require_draft(meeting)
    if role not in MEMBER_ROLES:
        raise InvalidInput("请选择在会上的身份。", "role")
    present = members_of(meeting)
    if len(present) >= MAX_MEMBERS:
        raise InvalidInput(f"参加人员最多{MAX_MEMBERS}人。")
    if account_id is not None:
        name = colleagues(meeting).get(account_id, "")
    name = _validate_text(name, "姓名", "name")
    if any(member.name == name and member.account_id == account_id for member in present):
        return
    db.session.add(
        GradingMeetingMember(
            meeting_id=meeting.id,
            name=name,
            role=role,
            account_id=account_id,
        )
    )
    journal.write_entry(
        "grading_meeting",
        meeting.id,
        "member_added",
        by=by,
        role=role,
    )


def remove_member(meeting: GradingMeeting, member_id: UUID, *, by: Actor) -> None:
    """Remove somebody from those present at a meeting (locked); an unknown id is ignored. Raises
    InvalidState."""
    require_draft(meeting)
    for member in members_of(meeting):
        if member.id == member_id:
            db.session.delete(member)
            journal.write_entry(
                "grading_meeting",
                meeting.id,
                "member_removed",
                by=by,
            )


@transition(
    "draft",
    to="concluding",
    actors=roles_for("conclusions.decide"),
    states=MEETING_STATES,
)
def conclude_meeting(meeting: GradingMeeting, *, by: Actor) -> None:
    """The committee has decided: 综合评定 of the records on the list may begin. Only the state changes;
    `meeting_conclusion.start_conclusion` also enqueues the job. Raises Forbidden; InvalidState while the list
    is being made, without a chair, and with a sampled record that nobody has checked."""
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
    """Every record on the list has its outcome: store their digest, which those present sign."""
    meeting.digest = outcomes_digest(meeting)


def outcomes_digest(meeting: GradingMeeting) -> bytes:
    """SHA-256 of the outcomes on a meeting's list, by record."""
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


def sign_minutes(meeting: GradingMeeting, *, by: Actor) -> None:
    """Sign the minutes as one of those present; does nothing if they are signed already. Raises InvalidState
    before the meeting is concluded, Forbidden for somebody who was not present."""
    if meeting.state != "held" or meeting.digest is None:
        raise InvalidState("评定完成后才能签署。")
    member = next(
        (member for member in members_of(meeting) if member.account_id == by.id),
        None,
    )
    if member is None:
        raise Forbidden("您不在这次评定会的参加人员中，不能签署。")
    if member.signed_at is None:
        member.signed_at = clock.now()
        journal.write_entry(
            "grading_meeting",
            meeting.id,
            "signed",
            by=by,
            digest=meeting.digest.hex(),
        )


def _own(grant: Grant) -> ColumnElement[bool]:
    return in_array(GradingMeeting.organisation_id, grant.assessor_ids)


def _validate_text(value: str, label: str, field: str) -> str:
    """The text without surrounding blanks. Raises InvalidInput if it is empty or too long."""
    value = " ".join(value.split())
    if not value:
        raise InvalidInput(f"请填写{label}。", field)
    if len(value) > MAX_TEXT_LENGTH:
        raise InvalidInput(f"{label}请不要超过{MAX_TEXT_LENGTH}字。", field)
    return value
