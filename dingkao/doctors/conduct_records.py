"""The conduct records of a doctor: listed, and removed where they are wrong."""

from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

from sqlalchemy import select

from dingkao import clock
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.doctors.conduct_kinds import CONDUCT_KINDS
from dingkao.doctors.conduct_models import ConductRecord
from dingkao.doctors.models import Doctor
from dingkao.errors import Forbidden, InvalidInput, NotFound
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.models import Organisation
from dingkao.people.scopes import Grant, in_scope

MAX_REASON_LENGTH = 200


def list_of_doctor(doctor_id: UUID) -> Sequence[ConductRecord]:
    """The records of a doctor that count, the newest year first."""
    query = select(ConductRecord).where(
        ConductRecord.doctor_id == doctor_id,
        ConductRecord.removed_at.is_(None),
    )
    return db.session.scalars(
        query.order_by(
            ConductRecord.year.desc(),
            ConductRecord.kind,
            ConductRecord.id,
        )
    ).all()


def records_of_doctors(
    doctor_ids: Iterable[UUID], first_year: int, last_year: int
) -> dict[UUID, list[ConductRecord]]:
    """Doctor's id → the records of these years that count, by year, for at most 5,000 doctors (more:
    arrays.TooManyValues); doctors without any are left out. `first_year`, `last_year`: both included."""
    query = (
        select(ConductRecord)
        .where(
            in_array(ConductRecord.doctor_id, set(doctor_ids)),
            ConductRecord.year >= first_year,
            ConductRecord.year <= last_year,
            ConductRecord.removed_at.is_(None),
        )
        .order_by(ConductRecord.year, ConductRecord.id)
    )
    records: dict[UUID, list[ConductRecord]] = {}
    for record in db.session.scalars(query):
        records.setdefault(record.doctor_id, []).append(record)
    return records


def remove(
    doctor_id: UUID,
    record_id: UUID,
    grant_of: Callable[[str], Grant],
    *,
    reason: str,
    by: Actor,
) -> None:
    """Mark a wrong record of a doctor as removed (it is locked), so that it counts no more, and journal it;
    it can be imported again. `grant_of`: action → the doctors for whom the person has it; that of the
    record's kind must reach the doctor. Raises NotFound if it is no record of the doctor or removed already,
    Forbidden, and InvalidInput without a reason or for one too long."""
    record = db.session.scalar(
        select(ConductRecord)
        .where(
            ConductRecord.id == record_id,
            ConductRecord.doctor_id == doctor_id,
            ConductRecord.removed_at.is_(None),
        )
        .with_for_update()
    )
    if record is None:
        raise NotFound("这条记录已不在名单中，可能刚刚已被移除。")
    doctor = db.session.scalars(select(Doctor).where(Doctor.id == record.doctor_id)).one()
    assessor_id = db.session.scalars(
        select(Organisation.assessment_organisation_id).where(Organisation.id == doctor.organisation_id)
    ).one()
    if not in_scope(
        grant_of(CONDUCT_KINDS[record.kind].action),
        institution_id=doctor.organisation_id,
        assessor_id=assessor_id,
    ):
        raise Forbidden
    if not 0 < len(reason.strip()) <= MAX_REASON_LENGTH:
        raise InvalidInput(
            f"请填写移除的原因，不超过{MAX_REASON_LENGTH}字。",
            "reason",
        )
    record.removed_at = clock.now()
    journal.write_entry(
        "conduct_record",
        record.id,
        "removed",
        by=by,
        reason=reason.strip(),
    )
