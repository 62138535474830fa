"""Who may be included in a cycle, after what institutions and offices have found out about each doctor: not
one with a final disposition (去向), nor one of whom the institution says that he or she is not its own
(待认领)."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, select

from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.doctors import dispositions
from dingkao.doctors.disposition_models import (
    DISPOSITIONS,
    OPEN_DISPOSITIONS,
    DoctorDisposition,
    UnclaimedDoctor,
)
from dingkao.doctors.models import Doctor
from dingkao.journal.entries import Actor
from dingkao.people.scopes import Grant, scope_condition

UNCLAIMED_MESSAGE = "本机构已申报不是本机构医师，正在待认领，不能纳入。"
FINAL_DISPOSITIONS = tuple(code for code in DISPOSITIONS if code not in OPEN_DISPOSITIONS)


def inclusion_obstacles(cycle: Cycle, doctor_ids: Collection[UUID]) -> dict[UUID, str]:
    """Doctor's id → why the doctor can't be included in `cycle`, as a sentence; of at most 5,000 doctors,
    without those who can. The phase, and whether they are included already, are not asked here."""
    reasons = {
        doctor_id: f"已登记去向“{DISPOSITIONS[disposition.disposition]}”，请先清除去向再纳入。"
        for doctor_id, disposition in dispositions.dispositions_of(doctor_ids, cycle.id).items()
        if dispositions.is_final(disposition.disposition)
    }
    unclaimed = select(UnclaimedDoctor.doctor_id).where(
        in_array(UnclaimedDoctor.doctor_id, doctor_ids),
        UnclaimedDoctor.settled_at.is_(None),
    )
    return reasons | dict.fromkeys(db.session.scalars(unclaimed), UNCLAIMED_MESSAGE)


def is_expected_condition() -> ColumnElement[bool]:
    """The SQL condition that nothing is known of a record's doctor why he or she should not take part."""
    disposed = exists().where(
        and_(
            DoctorDisposition.tenant_id == Assessment.tenant_id,
            DoctorDisposition.cycle_id == Assessment.cycle_id,
            DoctorDisposition.doctor_id == Assessment.doctor_id,
            DoctorDisposition.disposition.in_(FINAL_DISPOSITIONS),
        )
    )
    unclaimed = exists().where(
        and_(
            UnclaimedDoctor.tenant_id == Assessment.tenant_id,
            UnclaimedDoctor.doctor_id == Assessment.doctor_id,
            UnclaimedDoctor.settled_at.is_(None),
        )
    )
    return and_(~disposed, ~unclaimed)


@dataclass
class DispositionResult:
    """For how many doctors a disposition was stored or taken back, and the names of those who take part, with
    the reason why it was not."""

    stored_count: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)


def dispose(
    cycle: Cycle,
    record_ids: Iterable[UUID],
    code: str,
    note: str,
    *,
    grant: Grant,
    by: Actor,
) -> DispositionResult:
    """Store the disposition (去向) `code` of the doctors of those records of `cycle` (at most 5,000) that are
    within `grant` (locked here) and not included; "" takes it back; each is journalled. Records out of the
    grant are passed over; of a doctor who is included nothing changes, and the result names him or her with
    the reason. Raises InvalidInput naming the field."""
    code_and_note = dispositions.validate_disposition(code, note) if code else None
    rows = db.session.execute(
        select(Assessment, Doctor)
        .join(
            Doctor,
            and_(
                Doctor.tenant_id == Assessment.tenant_id,
                Doctor.id == Assessment.doctor_id,
            ),
        )
        .where(
            Assessment.cycle_id == cycle.id,
            in_array(Assessment.id, record_ids),
            scope_condition(grant, institution=Assessment.institution_id),
        )
        .order_by(Assessment.id)
        .with_for_update(of=Assessment)
    ).all()
    outside = [doctor.id for record, doctor in rows if record.state == "not_included"]
    result = DispositionResult(
        len(outside),
        [
            (doctor.name, "已纳入本周期考核，请先移出名单")
            for record, doctor in rows
            if record.state != "not_included"
        ],
    )
    if code_and_note:
        dispositions.set_dispositions(outside, cycle.id, *code_and_note, by=by)
    else:
        result.stored_count = dispositions.clear_dispositions(outside, cycle.id, by=by)
    return result
