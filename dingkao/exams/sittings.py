"""Sittings (作答) [S15] to [S18]: begun once, continued on any device, handed in by the doctor or at their
end. Times are the server's."""

import secrets
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, and_, func, select

from dingkao import clock
from dingkao.assessments import assessment_transitions
from dingkao.assessments.current_records import record_precedence
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database import clock_skew
from dingkao.database.base import db, new_id
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidState, NotFound
from dingkao.exams.admission import admissions_of
from dingkao.exams.drawing import draw_layout, dump_layout
from dingkao.exams.integrity_events import record_device_change
from dingkao.exams.models.hall_models import Slot
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import Sitting, SittingAnswer
from dingkao.exams.papers import (
    paper_progress,
    papers_due,
    papers_for,
    stage_lock_reason,
)
from dingkao.exams.start_codes import check_start_code
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.tenants.prepared_statements import (
    TENANT_PARAM,
    PreparedStatement,
    all_columns,
    date_param,
    uuid_param,
)


def get_exam_record(doctor_id: UUID, cycle_id: UUID, *, for_update: bool = False) -> Assessment:
    """The doctor's latest record in a cycle, in whatever state, locked if `for_update`. Raises NotFound."""
    query = (
        select(Assessment)
        .where(
            Assessment.doctor_id == doctor_id,
            Assessment.cycle_id == cycle_id,
        )
        .order_by(Assessment.id.desc())
        .limit(1)
    )
    record = db.session.scalar(for_update_query(query) if for_update else query)
    if record is None:
        raise NotFound("您未被主要执业机构纳入本周期考核。")
    return record


def current_sitter(account_id: UUID, *, for_update: bool = False) -> tuple[Assessment, Doctor] | None:
    """The account's record that counts at present (`record_precedence`), in whatever state, locked if
    `for_update`, and its doctor, with one query; None if there is none."""
    found = _SITTER_STATEMENT.fetch_object(
        Assessment,
        Doctor,
        for_update=(Assessment,) if for_update else (),
        account=account_id,
        today=clock.today(),
    )
    return (found[0], found[1]) if found else None


def _account_query(*columns: Any) -> Select[Any]:
    """The query for `columns` of the records of an account's doctor (parameter `account`), joined with the
    doctor."""
    return (
        select(*columns)
        .select_from(Assessment)
        .join(
            Doctor,
            and_(
                Doctor.tenant_id == Assessment.tenant_id,
                Doctor.id == Assessment.doctor_id,
            ),
        )
        .where(
            Assessment.tenant_id == TENANT_PARAM,
            Doctor.account_id == uuid_param("account"),
        )
    )


_SITTER_STATEMENT = PreparedStatement(
    lambda: (
        _account_query(*all_columns(Assessment, Doctor))
        .join(
            Cycle,
            and_(
                Cycle.tenant_id == Assessment.tenant_id,
                Cycle.id == Assessment.cycle_id,
            ),
        )
        .order_by(*record_precedence(Assessment, date_param("today")))
        .limit(1)
    )
)


def _sitting_page_query() -> Select[Any]:
    """The query for the sitting in the parameter `sitting`, provided it is of the account in `account`, with
    its paper's title and its answers [position, letters, sequence number]."""
    record = _account_query(Assessment.tenant_id, Assessment.id).subquery("record")
    answers = select(
        func.jsonb_agg(
            func.jsonb_build_array(
                SittingAnswer.position,
                SittingAnswer.letters,
                SittingAnswer.sequence,
            )
        )
    ).where(
        SittingAnswer.tenant_id == Sitting.tenant_id,
        SittingAnswer.sitting_id == Sitting.id,
    )
    return (
        select(
            Sitting.tenant_id,
            Sitting.id,
            Sitting.layout,
            Sitting.epoch,
            Sitting.device,
            Sitting.opened_at,
            Sitting.closes_at,
            Sitting.handed_in_at,
            Paper.title,
            answers.correlate(Sitting).scalar_subquery().label("answers"),
        )
        .join(
            record,
            and_(
                record.c.tenant_id == Sitting.tenant_id,
                record.c.id == Sitting.assessment_id,
            ),
        )
        .join(
            Paper,
            and_(
                Paper.tenant_id == Sitting.tenant_id,
                Paper.id == Sitting.paper_id,
            ),
        )
        .where(
            Sitting.tenant_id == TENANT_PARAM,
            Sitting.id == uuid_param("sitting"),
        )
    )


_SITTING_PAGE_STATEMENT = PreparedStatement(_sitting_page_query)


def load_sitting_page(sitting_id: UUID, account_id: UUID) -> Any:
    """Everything that the sitting's page needs, in one row: of the account's sitting (voided ones too)
    tenant_id, id, layout, epoch, device, opened_at, closes_at and handed_in_at, its paper's `title`, and
    `answers`, a list of [position, letters, sequence number] or None. None if the account has no such
    sitting."""
    return _SITTING_PAGE_STATEMENT.fetch_row(sitting=sitting_id, account=account_id)


def for_update_query(query: Select[Any]) -> Select[Any]:
    """The query with its rows locked and read anew, even if this session has read them before."""
    return query.with_for_update().execution_options(populate_existing=True)


def get_sitting(sitting_id: UUID, record: Assessment, *, for_update: bool = False) -> Sitting:
    """A sitting of this record, voided ones too, locked if `for_update`. Raises NotFound for any other."""
    found = _SITTING_STATEMENT.fetch_object(
        Sitting,
        for_update=(Sitting,) if for_update else (),
        sitting=sitting_id,
        record=record.id,
    )
    if found is None:
        raise NotFound
    sitting: Sitting = found[0]
    return sitting


_SITTING_STATEMENT = PreparedStatement(
    lambda: select(*all_columns(Sitting)).where(
        Sitting.tenant_id == TENANT_PARAM,
        Sitting.id == uuid_param("sitting"),
        Sitting.assessment_id == uuid_param("record"),
    )
)
_SITTING_AND_RECORD_STATEMENT = PreparedStatement(
    lambda: (
        _account_query(*all_columns(Assessment, Doctor, Sitting))
        .join(
            Sitting,
            and_(
                Sitting.tenant_id == Assessment.tenant_id,
                Sitting.assessment_id == Assessment.id,
            ),
        )
        .where(Sitting.id == uuid_param("sitting"))
    )
)


def find_sitting_for_update(sitting_id: UUID, account_id: UUID) -> tuple[Assessment, Doctor, Sitting] | None:
    """An account's sitting, voided ones too, with its record and doctor; record and sitting are locked, the
    record first (so that no two transactions block each other). None if the account has no such sitting."""
    found = _SITTING_AND_RECORD_STATEMENT.fetch_object(
        Assessment,
        Doctor,
        Sitting,
        for_update=(Assessment, Sitting),
        sitting=sitting_id,
        account=account_id,
    )
    return (found[0], found[1], found[2]) if found else None


def get_sitting_by_id(sitting_id: UUID) -> Sitting:
    """A sitting of the province whose id another row holds, so that it exists."""
    return db.session.scalars(select(Sitting).where(Sitting.id == sitting_id)).one()


def sittings_by_paper(record: Assessment) -> dict[UUID, Sitting]:
    """Paper id → the record's sitting, without voided ones."""
    query = select(Sitting).where(
        Sitting.assessment_id == record.id,
        Sitting.voided_at.is_(None),
    )
    return {sitting.paper_id: sitting for sitting in db.session.scalars(query)}


def open_sitting(
    record: Assessment,
    wanted: Paper | UUID,
    *,
    by: Actor,
    code: str | None = None,
    device: str | None = None,
) -> Sitting:
    """Return the record's sitting of the paper `wanted` (or with that id); it is begun now unless it was
    begun before, even if it is handed in by now. `record` is locked for update, so that two requests begin
    only one. Its end (the doctor's minutes from now, cut at the end of window or slot plus extra time:
    `Admission.sitting_end`) and its questions (`draw_layout`) are fixed here; the first one moves the record
    to testing. Writes journal entries. The caller has checked that the doctor entered with the ticket, and
    counts wrong start codes.

    `code`: the start code, needed if an invigilator is present. `device`: the name of the device on which it
    is begun. Raises NotFound for a paper that isn't the record's, DeadlinePassed, InvalidState (record's
    state, an earlier paper comes first, or the banks can't fill the paper), Forbidden, InvalidInput,
    start_codes.WrongStartCode, clock_skew.ClockSkewTooLarge.
    """
    progress = paper_progress(record)
    paper = _find_paper(progress.papers, wanted)
    if paper.id in progress.sittings:
        return progress.sittings[paper.id]
    if clock_skew.is_skew_too_large():
        raise clock_skew.ClockSkewTooLarge
    now = clock.now()
    admission = admissions_of(
        record,
        [paper],
        plain=progress.without_adjustments,
    )[paper.id]
    admission.require_open(now)
    if locked := stage_lock_reason(paper, progress.papers, progress.sittings):
        raise InvalidState(locked)
    _require_start_code(admission.slot, code)
    with journal.batched_entries():
        _begin_test(record, by=by)
        seed = secrets.randbits(62)
        sitting = Sitting(
            id=new_id(),
            assessment_id=record.id,
            paper_id=paper.id,
            assessor_id=record.assessor_id,
            seed=seed,
            layout=dump_layout(draw_layout(paper, seed)),
            opened_at=now,
            epoch=1,
            closes_at=admission.sitting_end(now),
            device=device,
        )
        db.session.add(sitting)
        journal.write_entry(
            "sitting",
            sitting.id,
            "opened",
            by=by,
            paper=str(paper.id),
        )
    return sitting


def _find_paper(papers: Iterable[Paper], wanted: Paper | UUID) -> Paper:
    """The record's paper `wanted` (or with that id). Raises NotFound."""
    paper_id = wanted.id if isinstance(wanted, Paper) else wanted
    for paper in papers:
        if paper.id == paper_id:
            return paper
    raise NotFound


def _require_start_code(slot: Slot | None, code: str | None) -> None:
    """If an invigilator is present in the slot: raise InvalidInput without a code, WrongStartCode for a wrong
    one."""
    if slot is not None and slot.invigilated:
        check_start_code(slot, code)


def _begin_test(record: Assessment, *, by: Actor) -> None:
    """Move the record into the state 测评中, if this is its first paper. Raises InvalidState if it is in
    neither 待测评 nor 测评中, Forbidden."""
    if record.state == "ready":
        assessment_transitions.start_test(record, by=by)
    elif record.state != "testing":
        raise InvalidState("您当前不在待测评状态，不能进入考试。请返回主页查看最新状态。")


def switch_device(sitting: Sitting, *, by: Actor, device: str | None = None) -> None:
    """Let another device go on with the sitting (locked for update): from now on saves of the previous one
    are refused, and `save_answer` needs a new token. Stores an event and a journal entry. Does nothing if it
    is handed in."""
    if sitting.handed_in_at is None:
        sitting.epoch, sitting.device = sitting.epoch + 1, device
        record_device_change(sitting)
        journal.write_entry(
            "sitting",
            sitting.id,
            "taken_over",
            by=by,
            epoch=sitting.epoch,
        )


def saved_answers(sitting: Sitting) -> dict[int, str]:
    """Position (from 0) → the letters answered, "" where the answer was taken back; positions never answered
    are missing."""
    query = select(SittingAnswer.position, SittingAnswer.letters).where(
        SittingAnswer.sitting_id == sitting.id
    )
    return dict(db.session.execute(query).all())


def numbered_answers(sitting: Sitting) -> dict[int, tuple[str, int]]:
    """Position (from 0) → the letters answered ("" where the answer was taken back) and their sequence
    number, which the page compares with that of its own unsent answers. Positions never answered are missing.
    """
    query = select(
        SittingAnswer.position,
        SittingAnswer.letters,
        SittingAnswer.sequence,
    ).where(SittingAnswer.sitting_id == sitting.id)
    return {position: (letters, sequence) for position, letters, sequence in db.session.execute(query)}


class RemainingPapers(NamedTuple):
    """Papers that a record has not handed in: `open` are being sat or can be begun now or later (also if the
    slot is over, because another can be given), `missed` are over."""

    open: list[Paper]
    missed: list[Paper]


def remaining_papers(record: Assessment) -> RemainingPapers:
    """The papers that a record has to sit and has not handed in."""
    begun = sittings_by_paper(record)
    handed_in_ids = {paper_id for paper_id, sitting in begun.items() if sitting.handed_in_at is not None}
    papers = _papers_without(papers_due(papers_for(record), begun), handed_in_ids)
    missed_papers = _missed_papers(record, _papers_without(papers, begun))
    missed_ids = {paper.id for paper in missed_papers}
    return RemainingPapers(_papers_without(papers, missed_ids), missed_papers)


def _papers_without(papers: list[Paper], ids: Collection[UUID]) -> list[Paper]:
    """The papers whose ids are not among `ids`."""
    return [paper for paper in papers if paper.id not in ids]


def _missed_papers(record: Assessment, unbegun_papers: list[Paper]) -> list[Paper]:
    """Those of the papers that a record has not begun that are over for it: their windows, and resits
    granted; the end of a slot alone is none."""
    if not unbegun_papers:
        return []
    admissions = admissions_of(record, unbegun_papers)
    now = clock.now()
    return [paper for paper in unbegun_papers if admissions[paper.id].status_at(now) == "over"]
