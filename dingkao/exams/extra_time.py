"""Extra time (延长作答时间) granted to individual doctors for the papers of a cycle."""

import math
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, and_, select

from dingkao import clock
from dingkao.assessments.enrolment import doctor_join
from dingkao.assessments.models import Assessment
from dingkao.assessments.people_search import find_first_ids
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db, new_id
from dingkao.database.pagination import Page, fetch_page
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidInput, NotFound
from dingkao.exams.models.hall_models import ExtraTime
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.scopes import Grant, scope_condition
from dingkao.tenants.encryption import SecretLocation, current_vault

MAX_REASON_LENGTH = 200
MAX_EXTRA_MINUTES = 300
MAX_EXTRA_PERCENT = 200


class ExtraTimeEntry(NamedTuple):
    """Extra time with its doctor and the doctor's record in the cycle."""

    extra_time: ExtraTime
    doctor: Doctor
    record: Assessment


def extra_minutes(extra_time: ExtraTime | None, minutes: int) -> int:
    """How many minutes more a doctor has for a paper of `minutes`; percents are rounded up to a whole
    minute."""
    if extra_time is None:
        return 0
    if extra_time.minutes is not None:
        return extra_time.minutes
    return math.ceil(minutes * (extra_time.percent or 0) / 100)


def grant_extra_time(
    doctor: Doctor,
    cycle: Cycle,
    *,
    minutes: int | None,
    percent: int | None,
    reason: str,
    by: Actor,
) -> ExtraTime:
    """Give a doctor extra time for all papers of a cycle, or change it; it applies to sittings that begin
    from now on. Writes a journal entry, without the reason.

    Exactly one of `minutes` and `percent` must be given. `reason` is stored stripped and encrypted, because
    it tells of the doctor's health. An earlier grant in the cycle is locked and replaced. Whether `by`
    reaches the doctor is not asked (`get_enrolled_doctor` does). Raises InvalidInput naming the field."""
    reason = reason.strip()
    _require_valid_extra_time(minutes, percent, reason)
    extra_time = find_extra_time(doctor, cycle, for_update=True)
    if extra_time is None:
        extra_time = ExtraTime(id=new_id(), cycle_id=cycle.id, doctor_id=doctor.id)
        db.session.add(extra_time)
    extra_time.minutes = minutes
    extra_time.percent = percent
    extra_time.granted_by = by.id
    extra_time.granted_at = clock.now()
    extra_time.reason_sealed = current_vault().encrypt(_reason_location(extra_time), reason)
    db.session.flush()
    journal.write_entry(
        "doctor",
        doctor.id,
        "extra_time_granted",
        by=by,
        minutes=minutes,
        percent=percent,
    )
    return extra_time


def _require_valid_extra_time(minutes: int | None, percent: int | None, reason: str) -> None:
    """Raise InvalidInput naming the field unless exactly one of `minutes` and `percent` is given, in its
    limits, with a reason (stripped) of 2 to MAX_REASON_LENGTH characters."""
    if (minutes is None) == (percent is None):
        raise InvalidInput("请填写延长分钟数或百分数，两者只填一项。", "minutes")
    if not _is_within(minutes, MAX_EXTRA_MINUTES):
        raise InvalidInput(f"延长分钟数应为1至{MAX_EXTRA_MINUTES}。", "minutes")
    if not _is_within(percent, MAX_EXTRA_PERCENT):
        raise InvalidInput(f"延长百分数应为1至{MAX_EXTRA_PERCENT}。", "percent")
    if not 2 <= len(reason) <= MAX_REASON_LENGTH:
        raise InvalidInput(
            f"请填写延长的原因，2至{MAX_REASON_LENGTH}字。",
            "reason",
        )


def _is_within(number: int | None, maximum: int) -> bool:
    """Whether a number is None, or between 1 and `maximum`."""
    return number is None or 1 <= number <= maximum


def withdraw_extra_time(extra_time: ExtraTime, *, by: Actor) -> None:
    """Delete extra time, with a journal entry; sittings begun before keep it."""
    journal.write_entry(
        "doctor",
        extra_time.doctor_id,
        "extra_time_withdrawn",
        by=by,
    )
    db.session.delete(extra_time)
    db.session.flush()


def find_extra_time(doctor: Doctor, cycle: Cycle, *, for_update: bool = False) -> ExtraTime | None:
    """A doctor's extra time in a cycle, locked and read anew if `for_update`, None if there is none; for the
    office's form alone. Sittings join ExtraTime in queries of their own (`admission`, `papers`,
    `window_extension`)."""
    query = select(ExtraTime).where(
        ExtraTime.doctor_id == doctor.id,
        ExtraTime.cycle_id == cycle.id,
    )
    if for_update:
        query = query.with_for_update().execution_options(populate_existing=True)
    return db.session.scalar(query)


def extra_time_reason(extra_time: ExtraTime) -> str:
    """The decrypted reason for the extra time. Raises encryption.DecryptionFailed."""
    return current_vault().decrypt(_reason_location(extra_time), extra_time.reason_sealed)


def _reason_location(extra_time: ExtraTime) -> SecretLocation:
    """Where the encrypted reason is stored, as encryption and decryption need it."""
    return SecretLocation("extra_time", "reason", extra_time.id)


def extra_time_page(cycle: Cycle, grant: Grant, cursor: str | None) -> Page[ExtraTimeEntry]:
    """A page of the extra time granted in a cycle to the doctors included in it whose records are within
    `grant`, the newest first."""
    extra_time_of_doctor = and_(
        ExtraTime.tenant_id == Doctor.tenant_id,
        ExtraTime.doctor_id == Doctor.id,
        ExtraTime.cycle_id == cycle.id,
    )
    query = _doctors_query(cycle, grant, ExtraTime).join(ExtraTime, extra_time_of_doctor)
    page = fetch_page(query, [ExtraTime.id], cursor, descending=True)
    doctor_ids = (extra_time.doctor_id for extra_time in page.rows)
    doctors_query = _doctors_query(cycle, grant, Doctor, Assessment).where(in_array(Doctor.id, doctor_ids))
    by_doctor = {doctor.id: (doctor, record) for doctor, record in db.session.execute(doctors_query)}
    entries = [ExtraTimeEntry(extra_time, *by_doctor[extra_time.doctor_id]) for extra_time in page.rows]
    return Page(entries, page.next_cursor)


def find_doctors(cycle: Cycle, grant: Grant, text: str) -> list[tuple[Doctor, Assessment]]:
    """Of the first doctors within `grant` whom `text` finds (`people_search.find_first_ids`: some twenty of
    each form), in that order, those who are included in the cycle, each with the record of it."""
    ids = find_first_ids(text, grant)
    query = _doctors_query(cycle, grant, Doctor, Assessment).where(in_array(Doctor.id, ids))
    doctors = [(doctor, record) for doctor, record in db.session.execute(query)]
    return sorted(doctors, key=lambda doctor_and_record: ids.index(doctor_and_record[0].id))


def get_enrolled_doctor(doctor_id: UUID, cycle: Cycle, grant: Grant) -> Doctor:
    """A doctor who is included in the cycle with a record within `grant`. Raises NotFound."""
    query = _doctors_query(cycle, grant, Doctor).where(Doctor.id == doctor_id)
    doctor: Doctor | None = db.session.scalars(query.limit(1)).first()
    if doctor is None:
        raise NotFound
    return doctor


def _doctors_query(cycle: Cycle, grant: Grant, *columns: Any) -> Select[Any]:
    """The query, in no order, for `columns` of the doctors who are included in the cycle with a record within
    `grant` (of the province or of an assessment organisation; an institution's reaches none), joined with
    that record."""
    return (
        select(*columns)
        .select_from(Assessment)
        .join(Doctor, doctor_join())
        .where(
            Assessment.cycle_id == cycle.id,
            Assessment.state != "not_included",
            scope_condition(grant, assessor=Assessment.assessor_id),
        )
    )
