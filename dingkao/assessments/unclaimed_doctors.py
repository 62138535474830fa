"""Doctors whom their institution disowns (待认领): they wait until an office assigns another institution, or
the institution takes them back."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.dialects.postgresql import insert

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.assessments.record_institution import set_record_institution
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db, new_id
from dingkao.database.pagination import (
    CappedCount,
    Page,
    capped_count,
    fetch_page,
)
from dingkao.doctors.disposition_models import UnclaimedDoctor
from dingkao.doctors.institution_moves import change_institution
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidInput, NotFound
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.models import Organisation
from dingkao.people.organisations import lock_open
from dingkao.people.scopes import Grant, scope_condition
from dingkao.tenants.context import current_tenant

MAX_REASON_LENGTH = 200
INCLUDED_MESSAGE = "已纳入本周期考核，请先移出名单"


@dataclass
class DisownResult:
    """How many doctors now wait to be claimed, and the others: name and reason."""

    reported_count: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)


def disown(
    cycle: Cycle,
    record_ids: Iterable[UUID],
    reason: str,
    *,
    grant: Grant,
    by: Actor,
) -> DisownResult:
    """Report that the doctors of these records (at most 5,000) of `cycle`, within `grant` (locked here), are
    not of their institution; those who are included already are skipped, those who were reported before don't
    change, and records out of the grant are passed over. Each report is journalled. Raises InvalidInput for
    the field `reason`."""
    text = reason.strip()
    if not 0 < len(text) <= MAX_REASON_LENGTH:
        raise InvalidInput(
            f"请填写申报不是本机构医师的原因，不超过{MAX_REASON_LENGTH}字。",
            "reason",
        )
    rows = db.session.execute(
        select(Assessment, Doctor)
        .join(
            Doctor,
            (Doctor.tenant_id == Assessment.tenant_id) & (Doctor.id == Assessment.doctor_id),
        )
        .where(
            Assessment.cycle_id == cycle.id,
            in_array(Assessment.id, record_ids),
            scope_condition(grant, institution=Doctor.organisation_id),
        )
        .order_by(Assessment.id)
        .with_for_update(of=Assessment)
    ).all()
    result = DisownResult()
    for record, doctor in rows:
        if record.state != "not_included":
            result.skipped.append((doctor.name, INCLUDED_MESSAGE))
        else:
            result.reported_count += _report(doctor, text, by)
    return result


def _report(doctor: Doctor, reason: str, by: Actor) -> bool:
    """Let a doctor wait to be claimed, and journal it; returns False if the doctor does already."""
    values = {
        "tenant_id": current_tenant(),
        "id": new_id(),
        "doctor_id": doctor.id,
        "disowned_by_id": doctor.organisation_id,
        "reason": reason,
        "reported_by": by.id,
        "reported_at": clock.now(),
    }
    unclaimed_id = db.session.scalar(
        insert(UnclaimedDoctor).values(values).on_conflict_do_nothing().returning(UnclaimedDoctor.id)
    )
    if unclaimed_id is None:
        return False
    journal.write_entry(
        "unclaimed_doctor",
        unclaimed_id,
        "reported",
        by=by,
        reason=reason,
    )
    return True


def _open_query(grant: Grant) -> Select[UnclaimedDoctor]:
    """Those who wait and whom `grant` reaches: offices all, institutions those they have reported."""
    return select(UnclaimedDoctor).where(
        UnclaimedDoctor.settled_at.is_(None),
        scope_condition(grant, institution=UnclaimedDoctor.disowned_by_id),
    )


def unclaimed_page(grant: Grant, cursor: str | None) -> Page[UnclaimedDoctor]:
    """A page of those who wait and whom `grant` reaches, who has waited longest first; an invalid cursor
    gives the first page."""
    return fetch_page(_open_query(grant), [UnclaimedDoctor.id], cursor)


def count_unclaimed(grant: Grant) -> CappedCount:
    """How many wait whom `grant` reaches, counted as far as pages show."""
    return capped_count(_open_query(grant).order_by(UnclaimedDoctor.id))


def _get_for_update(unclaimed_id: UUID, grant: Grant) -> UnclaimedDoctor:
    """One who waits and whom `grant` reaches, locked. Raises NotFound."""
    unclaimed = db.session.scalar(
        _open_query(grant).where(UnclaimedDoctor.id == unclaimed_id).with_for_update()
    )
    if unclaimed is None:
        raise NotFound("该医师已不在待认领名单中，可能刚刚已被认领或撤回。")
    return unclaimed


def take_back(unclaimed_id: UUID, *, grant: Grant, by: Actor) -> None:
    """Lock a report within `grant`, take it back, and journal that: the doctor is of the institution after
    all. Raises NotFound."""
    unclaimed = _get_for_update(unclaimed_id, grant)
    _settle(unclaimed, by)
    journal.write_entry("unclaimed_doctor", unclaimed.id, "taken_back", by=by)


def assign(
    unclaimed_id: UUID,
    organisation: Organisation,
    cycle: Cycle | None,
    *,
    grant: Grant,
    by: Actor,
) -> Doctor:
    """Put a doctor who waits on the list of an institution, with the record of `cycle` if it is not included
    (None: without one); the report, the institution, the doctor and the record are locked here. The doctor
    comes into no department, and the doctor's search keys follow; it is journalled, nobody is notified.
    Returns the doctor. Raises NotFound, InvalidInput for the institution that has disowned the doctor,
    InvalidState for one that is closed."""
    unclaimed = _get_for_update(unclaimed_id, grant)
    if organisation.id == unclaimed.disowned_by_id:
        raise InvalidInput(
            "这就是申报不是本机构医师的机构，请选择另一机构。",
            "institution",
        )
    lock_open(organisation.id, organisation.assessment_organisation_id)
    doctor = db.session.scalars(
        select(Doctor).where(Doctor.id == unclaimed.doctor_id).with_for_update()
    ).one()
    is_cleared = change_institution(doctor, organisation.id)
    if cycle is not None:
        _move_record(doctor, organisation, cycle)
    unclaimed.assigned_to_id = organisation.id
    _settle(unclaimed, by)
    journal.write_entry(
        "unclaimed_doctor",
        unclaimed.id,
        "assigned",
        by=by,
        organisation=str(organisation.id),
        department_cleared=is_cleared,
    )
    return doctor


def _move_record(doctor: Doctor, organisation: Organisation, cycle: Cycle) -> None:
    """Lock and move the doctor's record of the cycle, if it is not included."""
    record = db.session.scalar(
        select(Assessment)
        .where(
            Assessment.doctor_id == doctor.id,
            Assessment.cycle_id == cycle.id,
            Assessment.state == "not_included",
        )
        .with_for_update()
    )
    if record is not None:
        set_record_institution(record, organisation)


def _settle(unclaimed: UnclaimedDoctor, by: Actor) -> None:
    """Note that a report is settled, and by whom, and flush."""
    unclaimed.settled_by, unclaimed.settled_at = (
        by.id,
        clock.now(),
    )
    db.session.flush()
