"""Enrolment (报名): a record for every doctor of the roster, and putting doctors on the list by the hundred."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, insert, select

from dingkao.assessments import moves
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.model import db, new_id
from dingkao.doctors.models import Doctor
from dingkao.errors import Invalid, Refusal
from dingkao.jobs import asking, performing
from dingkao.jobs.models import Job
from dingkao.journal.writing import Actor
from dingkao.people import notifying
from dingkao.people.accounts import actor_of
from dingkao.tenants.context import current_tenant

BATCH, AT_ONCE, NAMED = 5000, 200, 200


@dataclass
class Inclusion:
    """What putting doctors on the list did: how many, and whom not, with the reason."""

    done: int = 0
    left_out: list[tuple[str, str]] = field(default_factory=list)


def enrol(cycle: Cycle, doctor: Doctor | None = None) -> int:
    """Make a record, not yet included, for every doctor (or for `doctor` alone) who has none in `cycle`; the number made. Repeatable:
    run after each roster."""
    theirs = and_(Assessment.tenant_id == Doctor.tenant_id, Assessment.doctor_id == Doctor.id, Assessment.cycle_id == cycle.id)
    missing = select(Doctor.id, Doctor.organisation_id).outerjoin(Assessment, theirs).where(Assessment.id.is_(None))
    if doctor is not None:
        missing = missing.where(Doctor.id == doctor.id)
    rows = [
        {
            "tenant_id": current_tenant(), "id": new_id(), "doctor_id": doctor_id, "cycle_id": cycle.id, "round": "first",
            "institution_id": organisation, "state": "not_included",
        }
        for doctor_id, organisation in db.session.execute(missing)
    ]  # fmt: skip
    for start in range(0, len(rows), BATCH):
        db.session.execute(insert(Assessment), rows[start : start + BATCH])
    return len(rows)


def of_doctor() -> ColumnElement[bool]:
    """The join of a record to its doctor."""
    return and_(Doctor.tenant_id == Assessment.tenant_id, Doctor.id == Assessment.doctor_id)


def include(cycle: Cycle, ids: Iterable[UUID], *, by: Actor, institutions: list[UUID] | None) -> Inclusion:
    """Put the records `ids` of `cycle` on the list; `institutions` bounds whose they may be (None: the whole province). Those already
    on it are left as they are; who can't be included is told with the reason."""
    wanted = select(Assessment, Doctor).join(Doctor, of_doctor()).where(Assessment.cycle_id == cycle.id, Assessment.id.in_(list(ids)))
    if institutions is not None:
        wanted = wanted.where(Assessment.institution_id.in_(institutions))
    outcome = Inclusion()
    for record, doctor in db.session.execute(wanted.order_by(Assessment.id).with_for_update(of=Assessment)):
        if record.state != "not_included":
            continue
        try:
            moves.include(record, by=by)
        except Refusal as refusal:
            outcome.left_out.append((doctor.name, refusal.sentence))
            continue
        outcome.done += 1
        notifying.tell(doctor.account_id, "您已被纳入本周期考核", f"您已被主要执业机构纳入{cycle.label}考核,请及时填报信息并提交。", leads="filing")
    return outcome


def ask_inclusion(cycle: Cycle, *, by: Actor, institutions: list[UUID] | None) -> Job:
    """Ask for everyone who isn't on the list yet to be put on it: slow work, for a province has a hundred thousand."""
    bounds = None if institutions is None else [str(one) for one in institutions]
    return asking.ask("include_all", f"纳入全部医师({cycle.label})", {"cycle": str(cycle.id), "institutions": bounds}, by=by.id)


@performing.job("include_all")
def include_all(job: Job, progress: performing.Progress) -> dict[str, Any]:
    """Put on the list, a few hundred a transaction, whoever isn't on it and can be; the others are told with the reason."""
    cycle = db.session.scalars(select(Cycle).where(Cycle.id == UUID(job.arguments["cycle"]))).one()
    bounds = job.arguments["institutions"]
    institutions = None if bounds is None else [UUID(one) for one in bounds]
    waiting = select(Assessment.id).where(Assessment.cycle_id == cycle.id, Assessment.state == "not_included")
    if institutions is not None:
        waiting = waiting.where(Assessment.institution_id.in_(institutions))
    ids = list(db.session.scalars(waiting.order_by(Assessment.id)))
    done, left_out, by = 0, list[tuple[str, str]](), actor_of(job.asked_by)
    for start in range(0, len(ids), AT_ONCE):
        outcome = include(cycle, ids[start : start + AT_ONCE], by=by, institutions=institutions)
        db.session.commit()
        done, left_out = done + outcome.done, left_out + outcome.left_out
        progress(min(start + AT_ONCE, len(ids)), len(ids))
    return {"included": done, "left_out": len(left_out), "reasons": Counter(reason for _, reason in left_out), "names": left_out[:NAMED]}


def exclude(cycle: Cycle, ids: Iterable[UUID], *, by: Actor, institutions: list[UUID] | None, reason: str) -> Inclusion:
    """Take the records `ids` off the list again, with a reason; who has begun to file stays and is told with the reason. Bounds as for
    `include`. Raises Invalid without a reason."""
    if not 0 < len(reason.strip()) <= moves.LONGEST_REASON:
        raise Invalid(f"请填写移出名单的原因,不超过{moves.LONGEST_REASON}字。", "reason")
    wanted = select(Assessment, Doctor).join(Doctor, of_doctor()).where(Assessment.cycle_id == cycle.id, Assessment.id.in_(list(ids)))
    if institutions is not None:
        wanted = wanted.where(Assessment.institution_id.in_(institutions))
    outcome = Inclusion()
    for record, doctor in db.session.execute(wanted.order_by(Assessment.id).with_for_update(of=Assessment)):
        if record.state == "not_included":
            continue
        try:
            moves.exclude(record, by=by, reason=reason)
        except Refusal as refusal:
            outcome.left_out.append((doctor.name, refusal.sentence))
            continue
        outcome.done += 1
        told = f"主要执业机构已将您移出{cycle.label}考核名单,原因:{reason.strip()}。如有疑问请联系本机构。"
        notifying.tell(doctor.account_id, "您已被移出本周期考核名单", told)
    return outcome
