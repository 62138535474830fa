"""Admission: when and where one doctor may begin a paper, by its window, slot, extra time and resits
(domain.md §12, §13)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, and_, or_, select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.errors import DeadlinePassed
from dingkao.exams.extra_time import extra_minutes
from dingkao.exams.models.hall_models import (
    ExtraTime,
    Hall,
    Slot,
    SlotPlace,
)
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.papers import adjustments_column
from dingkao.exams.resits import granted_resits
from dingkao.tenants.prepared_statements import PreparedStatement


@dataclass(frozen=True)
class Admission:
    """When and where one doctor may begin a paper, and when the sitting ends.

    It is the paper's window, narrowed to the slot if there is one. `seat`: the number of the seat in `hall`.
    `extra_minutes`: those that this doctor has more than the paper gives. `resit_until`: until when the paper
    may be sat again after a sitting of it was voided, which may be past; None if none was. Moments "until"
    are exclusive.
    """

    paper: Paper
    slot: Slot | None
    hall: Hall | None
    seat: int | None
    extra_minutes: int
    resit_until: datetime | None = None

    @property
    def opens_at(self) -> datetime:
        """From when it may be begun."""
        return max(self.paper.opens_at, self.slot.opens_at) if self.slot else self.paper.opens_at

    @property
    def window_ends_at(self) -> datetime:
        """When the paper is over for this doctor, whatever the slot: at the end of the paper's window, or at
        `resit_until` if that is later."""
        return max(self.paper.closes_at, self.resit_until) if self.resit_until else self.paper.closes_at

    @property
    def closes_at(self) -> datetime:
        """Until when it may be begun."""
        return min(self.window_ends_at, self.slot.closes_at) if self.slot else self.window_ends_at

    @property
    def minutes(self) -> int:
        """How many minutes this doctor has to answer."""
        return self.paper.minutes + self.extra_minutes

    def sitting_end(self, begun: datetime) -> datetime:
        """When a sitting that began at `begun` ends: after `minutes`, but no later than `closes_at` plus the
        extra time."""
        return min(
            begun + timedelta(minutes=self.minutes),
            self.closes_at + timedelta(minutes=self.extra_minutes),
        )

    def location_text(self) -> str:
        """The hall, its address and the seat as text; "" if there is no hall."""
        if self.hall is None:
            return ""
        seat = f" 座位{self.seat}号" if self.seat else ""
        return f"{self.hall.name}（{self.hall.address}）{seat}"

    def status_at(self, moment: datetime) -> str:
        """Whether the paper may be begun at `moment`: "early" (not yet), "open", "slot_over" (the slot has
        ended, but `window_ends_at`, which a resit may move, has not come: another slot can be given), or
        "over"."""
        if moment < self.opens_at:
            return "early"
        if moment < self.closes_at:
            return "open"
        return "slot_over" if moment < self.window_ends_at else "over"

    def require_open(self, moment: datetime) -> None:
        """Raise DeadlinePassed unless the paper may be begun at `moment`; the message says when it can be."""
        status = self.status_at(moment)
        if status == "open":
            return
        opens = format_minute(self.opens_at)
        closes = format_minute(self.closes_at)
        match status:
            case "early" if self.slot is None:
                raise DeadlinePassed(f"考试尚未开始，开始时间为{opens}。")
            case "early":
                raise DeadlinePassed(f"您的考试场次为{opens}至{closes}，请在场次时间内进入。")
            case "slot_over":
                raise DeadlinePassed(
                    f"您的考试场次（{opens}至{closes}）已结束，不能进入。请联系所属考核机构另行安排场次。"
                )
            case "over":
                raise DeadlinePassed("考试时间已过，不能进入。请联系所属考核机构了解后续安排。")


class _SlotOfRecord(NamedTuple):
    """A slot that a record may sit in, with its hall; `seat` is None if the record has no place in it (then
    it is a slot of the record's institution)."""

    slot: Slot
    seat: int | None
    hall: Hall | None

    def is_over(self, moment: datetime) -> bool:
        """Whether the slot has ended at `moment`."""
        return self.slot.closes_at <= moment


_ADJUSTMENTS_STATEMENT = PreparedStatement(lambda: select(adjustments_column()))


def admissions_of(
    record: Assessment,
    papers: Sequence[Paper],
    moment: datetime | None = None,
    *,
    plain: bool | None = None,
) -> dict[UUID, Admission]:
    """Return paper id → the admission of `record` to that paper, for each of `papers`, open or not. Which
    slot applies depends on `moment` (default: now).

    `plain`: True if the caller knows that the record has no slot, extra time or resit (nothing is queried
    then), False if it has some; None asks the database first."""
    is_plain = _has_no_adjustments(record) if plain is None else plain
    if is_plain:
        return {paper.id: Admission(paper, None, None, None, 0) for paper in papers}
    adjustments = _load_adjustments(record)
    at = moment or clock.now()
    return {paper.id: adjustments.admission_to(paper, at) for paper in papers}


class _Adjustments(NamedTuple):
    """What makes a record's admission differ from its papers' windows: its doctor's extra time; the slots in
    which it has a place or that are its institution's, the earliest first; and `resits`: paper id → until
    when the paper may be sat again."""

    extra_time: ExtraTime | None
    slots: list[_SlotOfRecord]
    resits: dict[UUID, datetime]

    def admission_to(self, paper: Paper, moment: datetime) -> Admission:
        """The admission to `paper`; which slot applies depends on `moment`."""
        minutes = extra_minutes(self.extra_time, paper.minutes)
        resit_until = self.resits.get(paper.id)
        slot_of_record = _slot_for_paper(self.slots, paper, moment)
        if slot_of_record is None or (resit_until is not None and slot_of_record.is_over(moment)):
            # a resit needs no slot once the record's slot is over
            return Admission(paper, None, None, None, minutes, resit_until)
        slot, seat, hall = slot_of_record
        return Admission(paper, slot, hall, seat, minutes, resit_until)


def _has_no_adjustments(record: Assessment) -> bool:
    """Whether the record has neither slot, extra time nor resit, asked of the database."""
    return not _ADJUSTMENTS_STATEMENT.fetch_row(record=record.id)[0]


def _load_adjustments(record: Assessment) -> _Adjustments:
    """The record's extra time, its slots (those with its place and its institution's, the earliest first) and
    its granted resits, over or not, from the database."""
    rows = db.session.execute(_adjustments_query(record)).all()
    extra_time = rows[0][0] if rows else None
    slots = [_SlotOfRecord(slot, seat, hall) for _, slot, seat, hall in rows if slot is not None]
    return _Adjustments(extra_time, slots, granted_resits(record))


def _adjustments_query(record: Assessment) -> Select[Any]:
    """Rows (ExtraTime, Slot, seat, Hall) of a record, one for each of its slots, the earliest first; a single
    one with slot None if it has none. Seat is None in a slot of its institution, the others where there is
    none."""
    slots_with_place = select(SlotPlace.slot_id).where(
        SlotPlace.tenant_id == record.tenant_id,
        SlotPlace.assessment_id == record.id,
    )
    extra_time_of_doctor = and_(
        ExtraTime.tenant_id == Assessment.tenant_id,
        ExtraTime.cycle_id == Assessment.cycle_id,
        ExtraTime.doctor_id == Assessment.doctor_id,
    )
    slot_of_record = and_(
        Slot.tenant_id == Assessment.tenant_id,
        Slot.cycle_id == Assessment.cycle_id,
        or_(
            Slot.institution_id == Assessment.institution_id,
            Slot.id.in_(slots_with_place),
        ),
    )
    place_of_record = and_(
        SlotPlace.tenant_id == Slot.tenant_id,
        SlotPlace.slot_id == Slot.id,
        SlotPlace.assessment_id == Assessment.id,
    )
    hall_of_slot = and_(Hall.tenant_id == Slot.tenant_id, Hall.id == Slot.hall_id)
    columns: tuple[Any, ...] = (ExtraTime, Slot, SlotPlace.seat, Hall)
    return (
        select(*columns)
        .select_from(Assessment)
        .outerjoin(ExtraTime, extra_time_of_doctor)
        .outerjoin(Slot, slot_of_record)
        .outerjoin(SlotPlace, place_of_record)
        .outerjoin(Hall, hall_of_slot)
        .where(Assessment.id == record.id)
        .order_by(Slot.opens_at, Slot.id)
    )


def _slot_for_paper(slots: Sequence[_SlotOfRecord], paper: Paper, moment: datetime) -> _SlotOfRecord | None:
    """Return the slot of a record that applies to `paper`, from `slots` in order of time. Slots in which the
    record has a place come before those of its institution; of these the first that is not over at `moment`,
    else the last. None if no slot is for the paper's subject."""
    of_subject = [entry for entry in slots if entry.slot.subject in (None, paper.subject)]
    candidates = _with_place(of_subject) or of_subject
    to_come = (entry for entry in candidates if not entry.is_over(moment))
    return next(to_come, candidates[-1] if candidates else None)


def _with_place(
    slots: Iterable[_SlotOfRecord],
) -> list[_SlotOfRecord]:
    """The slots in which the record has a place."""
    return [entry for entry in slots if entry.seat is not None]


def format_minute(moment: datetime) -> str:
    """A moment in Beijing time, to the minute: 2026年11月30日 09:00."""
    return f"{clock.to_beijing(moment):%Y年%m月%d日 %H:%M}"
