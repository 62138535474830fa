"""Prolonging the window of a paper that is being sat, in an emergency (power, flood): only later, nothing else of it; and what follows.

The window is changed at once; sittings and messages follow as a job, a batch of doctors a transaction, for it may concern a whole province
in the middle of an exam. An open sitting that the window had cut short gets its own minutes back, and never more. What was begun in a slot
ends by the slot, so prolonging a slot (`ask_for_slot`) has the same effect on the sittings begun in it.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import redis
from flask import current_app
from sqlalchemy import and_, exists, func, or_, select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.assessments.notices import tell
from dingkao.cycles.models import Cycle
from dingkao.database.model import db
from dingkao.doctors.models import Doctor
from dingkao.errors import Invalid, NotAllowed
from dingkao.exams import integrity
from dingkao.exams.halls import SITTERS, Admission, admissions
from dingkao.exams.interruptions import added_to
from dingkao.exams.models import ExtraTime, Paper, Sitting, Slot, SlotPlace
from dingkao.exams.papers import their_papers
from dingkao.jobs import asking, performing
from dingkao.jobs.models import Job
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor
from dingkao.people.accounts import actor_of

PROLONG, BATCH = "prolong_sittings", 50
LEAST_REASON, LONGEST_REASON = 4, 200
LONGEST = timedelta(days=7)


class Concerned(NamedTuple):
    """Whom a paper's window concerns now: open sittings, those of them that it cuts short, and records that have not begun."""

    open: int
    cut_short: int
    to_come: int


def running(cycle: Cycle) -> list[Paper]:
    """The papers of a cycle whose window is not over and that somebody has begun."""
    begun = exists().where(Sitting.tenant_id == Paper.tenant_id, Sitting.paper_id == Paper.id)
    query = select(Paper).where(Paper.cycle_id == cycle.id, Paper.closes_at > clock.now(), begun)
    return list(db.session.scalars(query.order_by(Paper.category, Paper.level, Paper.subject, Paper.procedure)))


def concerned(paper: Paper) -> Concerned:
    """How many a paper's window concerns."""
    ends = Sitting.opened_at + func.make_interval(0, 0, 0, 0, 0, paper.minutes)
    is_open = (Sitting.paper_id == paper.id, Sitting.handed_in_at.is_(None), Sitting.voided_at.is_(None))
    opened = db.session.execute(select(func.count(), func.count().filter(Sitting.closes_at < ends)).where(*is_open)).one()
    to_come = select(func.count()).select_from(_sitters(paper).where(~_has_sat(paper)).subquery())
    return Concerned(opened[0], opened[1], db.session.scalar(to_come) or 0)


def slots_to_come(cycle: Cycle) -> int:
    """How many slots of a cycle are not over: they hold whoever has a place in them, whatever the paper's window."""
    return db.session.scalar(select(func.count()).select_from(Slot).where(Slot.cycle_id == cycle.id, Slot.closes_at > clock.now())) or 0


def judge(paper: Paper, *, closes_at: datetime, reason: str) -> None:
    """Raise Invalid naming the field, or NotAllowed, where a paper's window can't be moved so."""
    if clock.now() >= paper.closes_at:
        raise NotAllowed(f"“{paper.title}”的考试时间已过,不能再延长。已自动交卷的请在“考试监控”补时,未参加的请另行安排。")
    if not LEAST_REASON <= len(" ".join(reason.split())) <= LONGEST_REASON:
        raise Invalid(f"请填写延长的原因,{LEAST_REASON}至{LONGEST_REASON}字,医师会看到,如“本省部分地区停电”。", "reason")
    if closes_at <= paper.closes_at:
        raise Invalid(f"只能延长:新的结束时间应晚于“{paper.title}”现在的结束时间{_minute(paper.closes_at)}。", "closes_at")
    if closes_at > paper.closes_at + LONGEST:
        raise Invalid(f"一次最多延长{LONGEST.days}天,请核对日期。", "closes_at")


def prolong(paper: Paper, *, closes_at: datetime, reason: str, by: Actor) -> Job:
    """Move the end of a paper's window to a later moment; asks for the job that gives open sittings their time and tells the doctors. Raises
    Invalid naming the field, NotAllowed where the window is over."""
    row = db.session.scalars(select(Paper).where(Paper.id == paper.id).with_for_update().execution_options(populate_existing=True)).one()
    judge(row, closes_at=closes_at, reason=reason)
    before, row.closes_at, reason = row.closes_at, closes_at, " ".join(reason.split())
    db.session.flush()
    journal.write("paper", row.id, "prolonged", by=by, earlier=before.isoformat(), until=closes_at.isoformat(), reason=reason)
    arguments = {"paper": str(row.id), "before": before.isoformat(), "until": closes_at.isoformat(), "reason": reason}
    return asking.ask(PROLONG, f"延长考试时间:{row.title}", arguments, by=by.id)


def ask_for_slot(slot: Slot, *, by: Actor) -> Job:
    """Ask for what is open of a slot that was prolonged to get its time."""
    return asking.ask(PROLONG, "延长考试场次", {"slot": str(slot.id), "until": slot.closes_at.isoformat(), "reason": "考试场次延长"}, by=by.id)


@performing.job(PROLONG)
def follow(job: Job, progress: performing.Progress) -> dict[str, Any] | None:
    """Give open sittings their time and tell whom it concerns, a batch a transaction; how far it has got stands in the job, so that one that
    runs again tells nobody twice. One that a later prolonging has overtaken leaves it to that."""
    about, by = dict(job.arguments), actor_of(job.asked_by)
    # whoever was beginning under the old window is let finish: a sitting that is being written holds its paper
    paper = db.session.scalar(select(Paper).where(Paper.id == UUID(about["paper"])).with_for_update()) if "paper" in about else None
    slot = db.session.scalar(select(Slot).where(Slot.id == UUID(about["slot"]))) if "slot" in about else None
    window = paper or slot
    if window is None or window.closes_at != datetime.fromisoformat(about["until"]):
        return {"lifted": 0, "told": 0}
    db.session.commit()
    counts, query = {"lifted": about.get("lifted", 0), "told": about.get("told", 0)}, _sitters(paper) if paper else _of_slot(window.id)
    while ids := list(db.session.scalars(query.where(Assessment.id > UUID(about.get("after", UUID(int=0).hex))).order_by(Assessment.id).limit(BATCH))):
        lifted: list[UUID] = []
        records = select(Assessment).where(Assessment.id.in_(ids)).order_by(Assessment.id).with_for_update()
        for record in db.session.scalars(records.execution_options(populate_existing=True)).all():
            found = _follow(record, paper, about, by)
            lifted += found
            counts["told"] += bool(found) or (paper is not None and _tell_of_window(record, paper, about))
        counts["lifted"] += len(lifted)
        about |= counts | {"after": ids[-1].hex}
        job.arguments = dict(about)
        db.session.commit()
        _have_looked_at(lifted)
        progress(counts["told"], None)
    return counts


def _follow(record: Assessment, paper: Paper | None, about: dict[str, Any], by: Actor) -> list[UUID]:
    """The record's open sittings (of the paper, or all) that got time by it."""
    query = select(Sitting).where(Sitting.assessment_id == record.id, Sitting.handed_in_at.is_(None), Sitting.voided_at.is_(None))
    rows = db.session.scalars((query.where(Sitting.paper_id == paper.id) if paper else query).with_for_update().execution_options(populate_existing=True)).all()
    return [row.id for row in rows if lift(record, row, reason=about["reason"], by=by)]


def lift(record: Assessment, sitting: Sitting, *, reason: str, by: Actor) -> bool:
    """Give an open sitting (both rows held locked) what its window leaves it of its own minutes now; whether it got any. Never earlier than
    it ended before, and added time comes on top."""
    end = end_of(record, sitting)
    if end <= sitting.closes_at:
        return False
    before, sitting.closes_at = sitting.closes_at, end
    journal.write("sitting", sitting.id, "prolonged", by=by, earlier=before.isoformat(), until=end.isoformat(), reason=reason)
    tell(record, "作答时间已延长", f"因{reason},您的作答截止时间由{_minute(before)}延长至{_minute(end)}。请继续作答。")
    return True


def end_of(record: Assessment, sitting: Sitting) -> datetime:
    """When a sitting would end, had it been begun with the windows as they are now: after its minutes, those that were added included. Extra
    time counts if it was given before the sitting began."""
    paper = db.session.scalars(select(Paper).where(Paper.id == sitting.paper_id)).one()
    admission = admissions(record, [paper], sitting.opened_at)[paper.id]
    if admission.extra and not _given_before(record, sitting.opened_at):
        admission = replace(admission, extra=0)
    return admission.end(sitting.opened_at) + timedelta(minutes=sum(one.minutes for one in added_to(sitting.id)))


def _given_before(record: Assessment, moment: datetime) -> bool:
    query = select(ExtraTime.id).where(ExtraTime.cycle_id == record.cycle_id, ExtraTime.doctor_id == record.doctor_id, ExtraTime.granted_at <= moment)
    return db.session.scalar(query) is not None


def _tell_of_window(record: Assessment, paper: Paper, about: dict[str, Any]) -> bool:
    """Tell one who has not begun, unless a slot closes before the window would have."""
    if db.session.scalar(select(Sitting.id).where(Sitting.assessment_id == record.id, Sitting.paper_id == paper.id, Sitting.voided_at.is_(None)).limit(1)):
        return False
    admission: Admission = admissions(record, [paper])[paper.id]
    if admission.slot is not None and admission.slot.closes_at <= datetime.fromisoformat(about["before"]):
        return False
    tell(record, "考试时间已延长", f"因{about['reason']},“{paper.title}”的考试时间已延长,请在{_minute(admission.closes_at)}前进入考试。")
    return True


def _sitters(paper: Paper) -> Any:
    """The ids of the records that may still sit a paper, or are sitting it."""
    theirs, _ = their_papers()
    of_doctor = and_(Doctor.tenant_id == Assessment.tenant_id, Doctor.id == Assessment.doctor_id)
    return select(Assessment.id).join(Doctor, of_doctor).join(Paper, theirs).where(Paper.id == paper.id, Assessment.state.in_(SITTERS))


def _has_sat(paper: Paper) -> Any:
    return exists().where(
        Sitting.tenant_id == Assessment.tenant_id, Sitting.assessment_id == Assessment.id, Sitting.paper_id == paper.id, Sitting.voided_at.is_(None)
    )


def _of_slot(slot_id: UUID) -> Any:
    """The ids of the records that sit in a slot: those with a place in it, and where it is an institution's, all of that."""
    placed = exists().where(SlotPlace.tenant_id == Assessment.tenant_id, SlotPlace.assessment_id == Assessment.id, SlotPlace.slot_id == slot_id)
    whole = exists().where(
        Slot.tenant_id == Assessment.tenant_id, Slot.id == slot_id, Slot.cycle_id == Assessment.cycle_id, Slot.institution_id == Assessment.institution_id
    )
    return select(Assessment.id).where(Assessment.state.in_(SITTERS), or_(placed, whole))


def _have_looked_at(sittings: Sequence[UUID]) -> None:
    """Their pages learn of it at the next sign of life; without it they learn at the end, when they would hand in."""
    try:
        for one in sittings:
            integrity.have_looked_at(current_app.extensions["redis"], one)
    except redis.RedisError:
        return


def _minute(moment: datetime) -> str:
    return f"{clock.beijing(moment):%m月%d日 %H:%M}"
