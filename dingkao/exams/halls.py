"""Halls, slots, extra time, start codes: when and where a doctor sits, beside the paper's own window (domain.md §12, §13)."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select

from dingkao import clock
from dingkao.assessments.enrolment import of_doctor
from dingkao.assessments.models import Assessment
from dingkao.assessments.notices import tell
from dingkao.cycles.models import Cycle
from dingkao.database.model import db, new_id
from dingkao.doctors.models import Doctor
from dingkao.errors import Invalid, Late, NotAllowed, NotFound
from dingkao.exams.models import SUBJECTS, ExtraTime, Hall, Paper, Slot, SlotPlace
from dingkao.exams.papers import beside_papers, subjects_of
from dingkao.exams.resits import resits_of
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor
from dingkao.people.models import Organisation
from dingkao.tenants.asking import Asked
from dingkao.tenants.secrets import Place, vault

CODE_SECONDS = 600
SITTERS = ("ready", "testing")
LONGEST_NAME, LONGEST_ADDRESS, LONGEST_REASON = 60, 120, 200
MOST_SEATS, MOST_MINUTES, MOST_PERCENT, LONGEST_SLOT = 5000, 300, 200, timedelta(days=60)


class WrongCode(Invalid):
    """The start code is not the invigilator's; each is counted against guessing."""


# --- what holds for one doctor


@dataclass(frozen=True)
class Admission:
    """When this doctor may begin a paper, and by when it ends: the paper's window, narrowed to a slot where there is one; extra time beside it.
    `again`: until when it may be sat again after a sitting was voided."""

    paper: Paper
    slot: Slot | None
    hall: Hall | None
    seat: int | None
    extra: int
    again: datetime | None = None

    @property
    def opens_at(self) -> datetime:
        """From when it may be begun."""
        return max(self.paper.opens_at, self.slot.opens_at) if self.slot else self.paper.opens_at

    @property
    def closes_at(self) -> datetime:
        """Until when it may be begun; longer than the paper's window where it may be sat again."""
        window = max(self.paper.closes_at, self.again) if self.again else self.paper.closes_at
        return min(window, self.slot.closes_at) if self.slot else window

    @property
    def minutes(self) -> int:
        """How long this doctor may answer."""
        return self.paper.minutes + self.extra

    def end(self, begun: datetime) -> datetime:
        """When a sitting begun at a moment ends: after the minutes, and never after the window, which is longer by the extra time."""
        return min(begun + timedelta(minutes=self.minutes), self.closes_at + timedelta(minutes=self.extra))

    def place(self) -> str:
        """Hall and seat in words; empty where there is no hall."""
        seat = f" 座位{self.seat}号" if self.seat else ""
        return f"{self.hall.name}({self.hall.address}){seat}" if self.hall else ""

    def refuse(self, moment: datetime) -> None:
        """Raise Late where it can't be begun at `moment`, saying when it can."""
        if moment < self.opens_at:
            if self.slot is None:
                raise Late(f"考试尚未开始,开始时间为{_minute(self.opens_at)}。")
            raise Late(f"您的考试场次为{_minute(self.opens_at)}至{_minute(self.closes_at)},请在场次时间内进入。")
        if moment >= self.closes_at:
            if self.slot is None or moment >= self.paper.closes_at:
                raise Late("考试时间已过,不能进入。请联系所属考核机构了解后续安排。")
            raise Late(f"您的考试场次({_minute(self.opens_at)}至{_minute(self.closes_at)})已结束,不能进入。请联系所属考核机构另行安排场次。")


_BESIDE_PAPERS = Asked(lambda: select(beside_papers()))


def admissions(record: Assessment, papers: Sequence[Paper], moment: datetime | None = None, *, plain: bool | None = None) -> dict[UUID, Admission]:
    """What holds for each of a record's papers now, or held at a `moment` by the slots as they are. `plain`: that there is nothing beside the
    papers themselves, where the caller knows; else it is asked first. Who sits a paper again is held to a slot only while it is to come."""
    moment = moment or clock.now()
    if not _BESIDE_PAPERS.first(record=record.id)[0] if plain is None else plain:
        return {paper.id: Admission(paper, None, None, None, 0) for paper in papers}
    own = select(SlotPlace.slot_id).where(SlotPlace.tenant_id == record.tenant_id, SlotPlace.assessment_id == record.id)
    query = (
        select(ExtraTime, Slot, SlotPlace.seat, Hall)
        .select_from(Assessment)
        .outerjoin(ExtraTime, and_(
            ExtraTime.tenant_id == Assessment.tenant_id, ExtraTime.cycle_id == Assessment.cycle_id, ExtraTime.doctor_id == Assessment.doctor_id
        ))
        .outerjoin(Slot, and_(
            Slot.tenant_id == Assessment.tenant_id, Slot.cycle_id == Assessment.cycle_id,
            or_(Slot.institution_id == Assessment.institution_id, Slot.id.in_(own)),
        ))
        .outerjoin(SlotPlace, and_(
            SlotPlace.tenant_id == Slot.tenant_id, SlotPlace.slot_id == Slot.id, SlotPlace.assessment_id == Assessment.id
        ))
        .outerjoin(Hall, and_(Hall.tenant_id == Slot.tenant_id, Hall.id == Slot.hall_id))
        .where(Assessment.id == record.id).order_by(Slot.opens_at, Slot.id)
    )  # fmt: skip
    rows = db.session.execute(query).all()
    extra = rows[0][0] if rows else None
    found = [(row[1], row[2], row[3]) for row in rows if row[1] is not None]
    again = resits_of(record)
    told = {}
    for paper in papers:
        fitting = [one for one in found if one[0].subject in (None, paper.subject)]
        mine = [one for one in fitting if one[1] is not None] or fitting
        slot, seat, hall = _present(mine, moment) if mine else (None, None, None)
        if paper.id in again and slot is not None and slot.closes_at <= moment:
            slot, seat, hall = None, None, None
        told[paper.id] = Admission(paper, slot, hall, seat, extra_minutes(extra, paper.minutes), again.get(paper.id))
    return told


def _present(own: Sequence[tuple[Slot, int | None, Hall | None]], moment: datetime) -> tuple[Slot, int | None, Hall | None]:
    """Of slots in their order the one that is not over yet, else the last."""
    return next((one for one in own if moment < one[0].closes_at), own[-1])


def extra_minutes(extra: ExtraTime | None, minutes: int) -> int:
    """How many minutes more a doctor has for a paper of `minutes`."""
    if extra is None:
        return 0
    return extra.minutes if extra.minutes is not None else math.ceil(minutes * (extra.percent or 0) / 100)


# --- start codes


def start_code(slot: Slot, moment: datetime | None = None) -> tuple[str, datetime]:
    """The start code (开考码) of a slot, six digits, and until when it is shown; another every ten minutes, made anew from the province's key
    each time, so that none is kept."""
    step = int((moment or clock.now()).timestamp()) // CODE_SECONDS
    number = int.from_bytes(vault().blind_index("start_code", f"{slot.id}|{step}")[:8], "big") % 10**6
    return f"{number:06d}", datetime.fromtimestamp((step + 1) * CODE_SECONDS, tz=clock.now().tzinfo)


def check_code(slot: Slot, typed: str | None) -> None:
    """Raise Invalid where none was typed, and WrongCode for another than the slot's code of now or the one just before it."""
    given = "".join((typed or "").split())
    if not given:
        raise Invalid("请输入监考人员公布的6位开考码。", "code")
    moment = clock.now()
    if given not in (start_code(slot, moment)[0], start_code(slot, moment - timedelta(seconds=CODE_SECONDS))[0]):
        raise WrongCode("开考码不正确。请输入监考人员现在公布的6位数字。", "code")


# --- halls and slots


def keep_hall(organisation: Organisation, *, name: str, address: str, seats: int, by: Actor, hall: Hall | None = None) -> Hall:
    """Make a hall of an assessment organisation, or change one. Raises Invalid naming the field."""
    name, address = " ".join(name.split()), " ".join(address.split())
    if not organisation.assesses:
        raise Invalid(f"{organisation.name}不是考核机构,不能设考场。", "organisation")
    if not 1 <= len(name) <= LONGEST_NAME:
        raise Invalid(f"考场名称应为1至{LONGEST_NAME}字。", "name")
    if not 1 <= len(address) <= LONGEST_ADDRESS:
        raise Invalid(f"考场地址应为1至{LONGEST_ADDRESS}字。", "address")
    if not 1 <= seats <= MOST_SEATS:
        raise Invalid(f"座位数应为1至{MOST_SEATS}。", "seats")
    same = db.session.scalar(select(Hall).where(Hall.organisation_id == organisation.id, Hall.name == name))
    if same is not None and (hall is None or same.id != hall.id):
        raise Invalid("已有同名的考场,请换一个名称。", "name")
    if hall is not None:
        taken = db.session.scalar(select(func.max(SlotPlace.seat)).join(Slot, _of_slot()).where(Slot.hall_id == hall.id)) or 0
        if seats < taken:
            raise Invalid(f"已有场次编排到{taken}号座位,座位数不能少于{taken}。", "seats")
    else:
        hall = Hall(id=new_id(), organisation_id=organisation.id)
        db.session.add(hall)
    hall.name, hall.address, hall.seats = name, address, seats
    db.session.flush()
    journal.write("hall", hall.id, "kept", by=by, seats=seats)
    return hall


def shut_hall(hall: Hall, *, by: Actor) -> None:
    """Take a hall out of use, or back; its slots stay."""
    hall.closed_at = None if hall.closed_at else clock.now()
    journal.write("hall", hall.id, "closed" if hall.closed_at else "reopened", by=by)


def keep_slot(
    cycle: Cycle, organisation: Organisation, *, opens_at: datetime, closes_at: datetime, hall: Hall | None, institution: Organisation | None,
    subject: str | None, invigilated: bool, by: Actor, slot: Slot | None = None,
) -> Slot:  # fmt: skip
    """Make a slot of an assessment organisation in a cycle, or change one (held locked). Raises Invalid naming the field."""
    if not organisation.assesses:
        raise Invalid(f"{organisation.name}不是考核机构,不能设场次。", "organisation")
    if closes_at <= opens_at:
        raise Invalid("场次结束时间应晚于开始时间。", "closes_at")
    if closes_at - opens_at > LONGEST_SLOT:
        raise Invalid("一个场次不能超过60天,请核对日期。", "closes_at")
    if subject is not None and subject not in SUBJECTS:
        raise Invalid("请从列表中选择科目。", "subject")
    if hall is not None and hall.organisation_id != organisation.id:
        raise Invalid("请选择本考核机构的考场。", "hall")
    if hall is not None and hall.closed_at and (slot is None or slot.hall_id != hall.id):
        raise Invalid("该考场已停用,请选择其他考场。", "hall")
    if institution is not None and institution.assessment_organisation_id != organisation.id:
        raise Invalid(f"{institution.name}不由{organisation.name}考核,请重新选择机构。", "institution")
    if hall is None and institution is None and not invigilated and slot is None:
        raise Invalid("请选择考场或机构,否则没有医师属于这个场次。", "hall")
    windows = select(func.min(Paper.opens_at), func.max(Paper.closes_at)).where(Paper.cycle_id == cycle.id)
    first, last = db.session.execute(windows.where(Paper.subject == subject) if subject else windows).one()
    if first is None:
        raise Invalid("本周期还没有安排试卷,请先安排试卷再编排场次。", "opens_at")
    if opens_at < first or closes_at > last:
        raise Invalid(f"场次应在试卷开放时间({_minute(first)}至{_minute(last)})以内。", "opens_at")
    if hall is not None:
        _free(hall, opens_at, closes_at, slot)
    if slot is None:
        slot = Slot(id=new_id(), cycle_id=cycle.id, organisation_id=organisation.id)
        db.session.add(slot)
    elif hall is not None and (taken := _last_seat(slot)) > hall.seats:
        raise Invalid(f"已编排到{taken}号座位,该考场只有{hall.seats}座。请先移出医师或选择更大的考场。", "hall")
    elif subject != slot.subject and _last_seat(slot):
        raise Invalid("已有医师编入这个场次,不能更改科目。请先移出医师。", "subject")
    moved = slot.opens_at is not None and (slot.opens_at, slot.closes_at, slot.hall_id) != (opens_at, closes_at, hall.id if hall else None)
    slot.opens_at, slot.closes_at, slot.subject, slot.invigilated = opens_at, closes_at, subject, invigilated
    slot.hall_id, slot.institution_id = hall.id if hall else None, institution.id if institution else None
    db.session.flush()
    journal.write("slot", slot.id, "kept", by=by, opens=opens_at.isoformat(), closes=closes_at.isoformat(), invigilated=invigilated)
    if moved:
        for place, record in _placed(slot):
            tell(record, "考试场次变更", _told(slot, hall, place.seat))
    return slot


def _free(hall: Hall, opens_at: datetime, closes_at: datetime, slot: Slot | None) -> None:
    db.session.scalars(select(Hall.id).where(Hall.id == hall.id).with_for_update()).one()
    query = select(Slot).where(Slot.hall_id == hall.id, Slot.opens_at < closes_at, Slot.closes_at > opens_at)
    other = db.session.scalars(query.where(Slot.id != slot.id) if slot is not None else query).first()
    if other is not None:
        raise Invalid(f"该考场{_minute(other.opens_at)}至{_minute(other.closes_at)}已有场次,时间重叠。", "opens_at")


def remove_slot(slot: Slot, *, by: Actor) -> None:
    """Remove a slot (held locked) that nobody has a place in. Raises NotAllowed."""
    if _last_seat(slot):
        raise NotAllowed("还有医师编在这个场次,请先移出。")
    journal.write("slot", slot.id, "removed", by=by)
    db.session.delete(slot)
    db.session.flush()


@dataclass
class Placed:
    """What came of placing doctors: how many, and each who was left out with the reason."""

    done: int = 0
    left_out: list[tuple[str, str]] = field(default_factory=list)


def candidates(slot: Slot, institution: UUID | None = None) -> Select[Assessment]:
    """The records that may be given a place in a slot: 待测评 or 测评中 under the organisation, of the slot's institution (or the one given) and
    subject, with no place yet in a slot of the same subject."""
    query = select(Assessment).join(Doctor, of_doctor()).where(
        Assessment.cycle_id == slot.cycle_id, Assessment.assessor_id == slot.organisation_id, Assessment.state.in_(SITTERS), ~_placed_elsewhere(slot)
    )  # fmt: skip
    wanted = slot.institution_id or institution
    if wanted is not None:
        query = query.where(Assessment.institution_id == wanted)
    if slot.subject is not None:
        sitting = [procedure for procedure in ("general", "simple") if slot.subject in subjects_of(procedure)]
        query = query.where(Assessment.procedure.in_(sitting))
    return query


def _placed_elsewhere(slot: Slot) -> ColumnElement[bool]:
    """Whether a record has a place in a slot that is for the same paper."""
    same = or_(Slot.subject.is_(None), Slot.subject == slot.subject) if slot.subject is not None else Slot.id.is_not(None)
    return exists(
        select(SlotPlace.id).join(Slot, _of_slot()).where(
            SlotPlace.tenant_id == Assessment.tenant_id, SlotPlace.assessment_id == Assessment.id, Slot.cycle_id == slot.cycle_id, same
        )
    )  # fmt: skip


def place(slot: Slot, ids: Iterable[UUID], *, by: Actor) -> Placed:
    """Give records places in a slot (held locked), the lowest seats that are free; those it has no room for, and those who can't be placed, are
    named. Each is told when, where and on which seat."""
    outcome, hall = Placed(), hall_of(slot)
    wanted = list(dict.fromkeys(ids))
    records = {row.id: row for row in db.session.scalars(select(Assessment).where(Assessment.id.in_(wanted)).order_by(Assessment.id).with_for_update())}
    fitting = set(db.session.scalars(candidates(slot).with_only_columns(Assessment.id).where(Assessment.id.in_(wanted))))
    names = _names([one.doctor_id for one in records.values()])
    taken = set(db.session.scalars(select(SlotPlace.seat).where(SlotPlace.slot_id == slot.id)))
    seats = iter(seat for seat in range(1, (hall.seats if hall else MOST_SEATS) + 1) if seat not in taken)
    for record_id in wanted:
        record = records.get(record_id)
        if record is None or record.assessor_id != slot.organisation_id:
            continue
        if record_id not in fitting:
            outcome.left_out.append((names[record.doctor_id], "不在待测评状态、不属于这个场次,或已编入其他场次"))
        elif (seat := next(seats, None)) is None:
            outcome.left_out.append((names[record.doctor_id], f"考场{hall.seats if hall else MOST_SEATS}座已满"))
        else:
            db.session.add(SlotPlace(slot_id=slot.id, assessment_id=record_id, seat=seat))
            tell(record, "考试场次安排", _told(slot, hall, seat))
            outcome.done += 1
    db.session.flush()
    journal.write("slot", slot.id, "placed", by=by, placed=outcome.done, left_out=len(outcome.left_out))
    return outcome


def place_all(slot: Slot, *, by: Actor, institution: UUID | None = None) -> Placed:
    """Fill a slot (held locked) with whoever waits, institution by institution, as far as there are seats."""
    hall, taken = hall_of(slot), db.session.scalar(select(func.count()).where(SlotPlace.slot_id == slot.id)) or 0
    room = max(0, (hall.seats if hall else MOST_SEATS) - taken)
    query = candidates(slot, institution).order_by(Assessment.institution_id, Doctor.name_key, Assessment.id).limit(room)
    return place(slot, list(db.session.scalars(query.with_only_columns(Assessment.id))), by=by)


def unplace(slot: Slot, ids: Iterable[UUID], *, by: Actor) -> int:
    """Take records out of a slot (held locked); each is told. How many."""
    wanted, gone = set(ids), 0
    for placed, record in _placed(slot):
        if record.id in wanted:
            db.session.delete(placed)
            tell(record, "考试场次取消", f"您原定{_minute(slot.opens_at)}的考试场次已取消,请留意新的安排,或联系所属考核机构。")
            gone += 1
    db.session.flush()
    journal.write("slot", slot.id, "unplaced", by=by, removed=gone)
    return gone


def hall_of(slot: Slot) -> Hall | None:
    """The hall of a slot."""
    return db.session.get(Hall, (slot.tenant_id, slot.hall_id)) if slot.hall_id else None


def _placed(slot: Slot) -> list[tuple[SlotPlace, Assessment]]:
    joined = select(SlotPlace, Assessment).join(Assessment, and_(Assessment.tenant_id == SlotPlace.tenant_id, Assessment.id == SlotPlace.assessment_id))
    return [(row[0], row[1]) for row in db.session.execute(joined.where(SlotPlace.slot_id == slot.id).order_by(SlotPlace.seat))]


def _last_seat(slot: Slot) -> int:
    return db.session.scalar(select(func.max(SlotPlace.seat)).where(SlotPlace.slot_id == slot.id)) or 0


def _of_slot() -> ColumnElement[bool]:
    return and_(Slot.tenant_id == SlotPlace.tenant_id, Slot.id == SlotPlace.slot_id)


def _names(ids: Sequence[UUID]) -> dict[UUID, str]:
    return {row[0]: row[1] for row in db.session.execute(select(Doctor.id, Doctor.name).where(Doctor.id.in_(ids)))}


def _told(slot: Slot, hall: Hall | None, seat: int) -> str:
    where = f",考场:{hall.name}({hall.address}),座位{seat}号" if hall else ""
    which = f"“{SUBJECTS[slot.subject]}”" if slot.subject else "测评"
    return f"您的{which}场次为{_minute(slot.opens_at)}至{_minute(slot.closes_at)}{where}。请在场次时间内进入考试。"


# --- extra time


def grant_extra(doctor: Doctor, cycle: Cycle, *, minutes: int | None, percent: int | None, reason: str, by: Actor) -> ExtraTime:
    """Give a doctor extra time for all papers of a cycle, or change it; it counts for what is begun from now on. Raises Invalid naming the field."""
    if (minutes is None) == (percent is None):
        raise Invalid("请填写延长分钟数或百分数,两者只填一项。", "minutes")
    if minutes is not None and not 1 <= minutes <= MOST_MINUTES:
        raise Invalid(f"延长分钟数应为1至{MOST_MINUTES}。", "minutes")
    if percent is not None and not 1 <= percent <= MOST_PERCENT:
        raise Invalid(f"延长百分数应为1至{MOST_PERCENT}。", "percent")
    if not 2 <= len(reason.strip()) <= LONGEST_REASON:
        raise Invalid(f"请填写延长的原因,2至{LONGEST_REASON}字。", "reason")
    row = extra_of(doctor, cycle, lock=True)
    if row is None:
        row = ExtraTime(id=new_id(), cycle_id=cycle.id, doctor_id=doctor.id)
        db.session.add(row)
    row.minutes, row.percent, row.granted_by, row.granted_at = minutes, percent, by.id, clock.now()
    row.reason_sealed = vault().seal(Place("extra_time", "reason", row.id), reason.strip())
    db.session.flush()
    journal.write("doctor", doctor.id, "extra_time_granted", by=by, minutes=minutes, percent=percent)
    return row


def withdraw_extra(row: ExtraTime, *, by: Actor) -> None:
    """Take extra time back; what has been begun keeps it."""
    journal.write("doctor", row.doctor_id, "extra_time_withdrawn", by=by)
    db.session.delete(row)
    db.session.flush()


def extra_of(doctor: Doctor, cycle: Cycle, *, lock: bool = False) -> ExtraTime | None:
    """A doctor's extra time in a cycle."""
    query = select(ExtraTime).where(ExtraTime.doctor_id == doctor.id, ExtraTime.cycle_id == cycle.id)
    return db.session.scalar(query.with_for_update() if lock else query)


def reason_of(row: ExtraTime) -> str:
    """Why it was given."""
    return vault().unseal(Place("extra_time", "reason", row.id), row.reason_sealed)


def slot_of(slot_id: UUID, bound: Sequence[UUID] | None, *, lock: bool = False) -> Slot:
    """A slot of one of the organisations `bound` (None: the province). Raises NotFound."""
    query = select(Slot).where(Slot.id == slot_id)
    if bound is not None:
        query = query.where(Slot.organisation_id.in_(bound))
    row = db.session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise NotFound
    return row


def _minute(moment: datetime) -> str:
    return f"{clock.beijing(moment):%Y年%m月%d日 %H:%M}"
