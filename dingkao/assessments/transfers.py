"""Transfers between institutions (转入转出, domain.md §11 no. 31): asked for by either institution or the
doctor, carried out once both institutions consent. The record goes on at the new institution with everything
that was filed; a submitted filing is reviewed from the beginning there."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from dingkao import clock
from dingkao.assessments import (
    assessment_transitions,
    change_transitions,
)
from dingkao.assessments.assessment_transitions import (
    SUBMITTED_STATES,
)
from dingkao.assessments.enrolment_changes import (
    ChangeGrants,
    pending_change_of,
    pending_sides,
    require_not_under_review,
    require_other_person,
    require_side,
    validate_reason,
)
from dingkao.assessments.models import (
    ASSESSMENT_STATES,
    CHANGE_SIDES,
    FINAL_STATES,
    TRANSFER_GROUNDS,
    Assessment,
    EnrolmentChange,
)
from dingkao.assessments.record_institution import (
    set_record_institution,
)
from dingkao.database.base import db, new_id
from dingkao.doctors.disclosure_limits import (
    HOUR_SECONDS,
    UNLIMITED,
    DisclosureLimit,
)
from dingkao.doctors.institution_moves import change_institution
from dingkao.doctors.models import Doctor
from dingkao.doctors.number_indices import candidate_number_indices
from dingkao.errors import (
    InvalidInput,
    InvalidState,
    RateLimited,
)
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.models import Organisation
from dingkao.people.name_lookups import organisation_names
from dingkao.people.names import is_same_name
from dingkao.people.notice_catalogue import (
    STAFF_TRANSFER_ASKED,
    STAFF_TRANSFER_CONSENTED,
    STAFF_TRANSFER_DONE,
    STAFF_TRANSFER_REFUSED,
    TRANSFER_ASKED,
    TRANSFER_DONE,
    TRANSFER_REFUSED,
    NoticeKind,
)
from dingkao.people.notices import notify_account
from dingkao.people.organisations import lock_open
from dingkao.people.staff_notices import notify_staff
from dingkao.tenants import settings
from dingkao.tenants.context import current_tenant
from dingkao.tenants.settings import Setting

MOVABLE_STATES = (
    "not_included",
    "included",
    "draft",
    "institution_returned",
    *SUBMITTED_STATES,
)
"""States of a record, all before 待测评, in which it may go on at another institution."""
INSTITUTION_SIDES = ("institution", "target")
RESIDENCY_GROUNDS = ("residency", "residency_end")
settings.register(
    "residents_included_by",
    Setting(
        "住院医师规范化培训学员由谁纳入考核",
        "base",
        kind="one",
        group="填报",
        order=15,
        choices={
            "base": "培训基地（可转入培训基地）",
            "employer": "工作单位（不转入培训基地）",
        },
    ),
)


def offered_grounds() -> dict[str, str]:
    """Code → label of the grounds for a transfer in this province: residents go to their training base only
    where the province has it include them (domain.md §1.2)."""
    base_includes = settings.value("residents_included_by") == "base"
    return {
        code: label
        for code, label in TRANSFER_GROUNDS.items()
        if base_includes or code not in RESIDENCY_GROUNDS
    }


def ask_to_take_in(
    target: Organisation,
    name: str,
    number: str,
    *,
    ground: str,
    reason: str,
    by: Actor,
    is_limited: bool,
) -> EnrolmentChange:
    """Ask for a doctor who is registered at another institution, named by name and document number together;
    asking is the consent of `target`. `is_limited`: the asker may not see every doctor of the province, so
    lookups that find somebody are counted. The doctor and those who decide at the other institution are told;
    journalled. The same asked again is what was asked before.

    Raises InvalidInput naming the field, InvalidState if another change is pending, a record has gone too far
    or an institution closed, and RateLimited once the institution has used up its lookups of the hour."""
    limit = DisclosureLimit.for_institution(target.id) if is_limited else UNLIMITED
    if limit.is_exhausted():
        raise RateLimited(
            f"本机构一小时内已有{limit.limit}次查到另一机构的医师，暂不能再查。请一小时后再试，"
            "或请省级管理员办理。",
            HOUR_SECONDS,
        )
    reason = validate_reason(reason)
    doctor = _find_doctor(name, number)
    if doctor.organisation_id == target.id:
        raise InvalidInput("该医师已在本机构的名单中，不需要转入。", "number")
    limit.record_disclosure()
    return _ask(
        doctor,
        target,
        "target",
        ground=ground,
        reason=reason,
        by=by,
    )


def _find_doctor(name: str, number: str) -> Doctor:
    """The doctor with that name and document number. Raises InvalidInput, with the same sentence whichever of
    the two does not match."""
    indices = candidate_number_indices(number).values()
    doctors = [db.session.scalar(select(Doctor).where(Doctor.number_index == index)) for index in indices]
    matching = [doctor for doctor in doctors if doctor and is_same_name(doctor.name, name)]
    if not number.strip() or not matching:
        raise InvalidInput(
            "没有查到姓名和证件号码都相符的医师，请核对。尚未登记的医师，请在“医师”页面添加。",
            "number",
        )
    return matching[0]


def ask_to_hand_over(
    doctor: Doctor,
    target: Organisation,
    *,
    ground: str,
    reason: str,
    by: Actor,
) -> EnrolmentChange:
    """Ask another institution to take a doctor; asking is the consent of the doctor's institution, which the
    caller has checked to be within the asker's grant. The doctor and those who decide at the other
    institution are told; journalled. The same asked again is what was asked before. Raises InvalidInput
    naming the field, InvalidState if another change is pending, a record has gone too far or an institution
    closed."""
    return _ask(
        doctor,
        target,
        "institution",
        ground=ground,
        reason=validate_reason(reason),
        by=by,
    )


def ask_as_doctor(
    doctor: Doctor,
    target: Organisation,
    *,
    ground: str,
    reason: str,
    by: Actor,
) -> EnrolmentChange:
    """A doctor asks to be moved; both institutions have to consent, and those who decide there are told;
    journalled. The same asked again is what was asked before. Raises InvalidInput naming the field,
    InvalidState if another change is pending, a record has gone too far or an institution closed."""
    return _ask(
        doctor,
        target,
        "doctor",
        ground=ground,
        reason=validate_reason(reason),
        by=by,
    )


def _ask(
    doctor: Doctor,
    target: Organisation,
    side: str,
    *,
    ground: str,
    reason: str,
    by: Actor,
) -> EnrolmentChange:
    """Store what `side` asks for, journal it and tell those whom it concerns (`_log_asked`); the same asked
    again is what was asked before. `reason` is validated before. Both institutions are kept open until the
    transaction ends. Raises InvalidInput, InvalidState."""
    if ground not in offered_grounds():
        raise InvalidInput("请选择事由。", "ground")
    if target.id == doctor.organisation_id:
        raise InvalidInput(
            "该医师现在就在这家机构，请填写要转入的机构。",
            "institution",
        )
    _require_movable(_active_records(doctor.id))
    lock_open(doctor.organisation_id, target.id)
    values: dict[str, Any] = {
        "tenant_id": current_tenant(),
        "id": new_id(),
        "kind": "transfer",
        "state": "pending",
        "doctor_id": doctor.id,
        "institution_id": doctor.organisation_id,
        "target_id": target.id,
        "asked_side": side,
        "ground": ground,
        "reason": reason,
        "asked_by": by.id,
        "asked_at": clock.now(),
        "changed_at": clock.now(),
    }
    if side != "doctor":
        values |= {f"{side}_by": by.id, f"{side}_at": clock.now()}
    change_id = db.session.scalar(
        insert(EnrolmentChange).values(values).on_conflict_do_nothing().returning(EnrolmentChange.id)
    )
    change = pending_change_of(doctor.id)
    if change_id is None:
        return _same_or_refuse(change, target, side)
    assert change is not None  # noqa: S101 - it was just inserted
    _log_asked(change, doctor, by)
    return change


def _same_or_refuse(change: EnrolmentChange | None, target: Organisation, side: str) -> EnrolmentChange:
    """The pending change if it is the one asked for again. Raises InvalidState if it is another."""
    if change and change.kind == "transfer" and (change.target_id, change.asked_side) == (target.id, side):
        return change
    raise InvalidState("该医师已有一项变动正在办理，请待其办结，或由提出方撤回后再提出。")


def _log_asked(change: EnrolmentChange, doctor: Doctor, by: Actor) -> None:
    """Journal what was asked for, and tell the doctor, if somebody else asked, and those who decide at the
    institutions whose consent is missing."""
    journal.write_entry(
        "enrolmentchange",
        change.id,
        "asked",
        by=by,
        side=change.asked_side,
    )
    if change.asked_side != "doctor":
        notify_account(
            doctor.account_id,
            TRANSFER_ASKED,
            institution=_target_name(change),
        )
    _notify_institutions(
        change,
        STAFF_TRANSFER_ASKED,
        sides=pending_sides(change),
        but=by.id,
        side=CHANGE_SIDES[change.asked_side],
    )


def _target_name(change: EnrolmentChange) -> str:
    """The name of the institution to which the doctor goes."""
    return organisation_names([change.target_id]).get(change.target_id or change.institution_id, "")


def _notify_institutions(
    change: EnrolmentChange,
    kind: NoticeKind,
    *,
    sides: Collection[str] = INSTITUTION_SIDES,
    but: UUID | None,
    **fields: object,
) -> None:
    """Write to those who decide on transfers at the institutions of these sides, except the account `but`.
    What is said names the institution to which the doctor goes, and never the other one, which may not be
    known yet."""
    doctor_name = db.session.scalar(select(Doctor.name).where(Doctor.id == change.doctor_id))
    ids_by_side = {"institution": change.institution_id, "target": change.target_id}
    for side in sides:
        if organisation_id := ids_by_side[side]:
            notify_staff(
                organisation_id,
                "transfers.manage",
                kind,
                but=but,
                doctor=doctor_name,
                institution=_target_name(change),
                **fields,
            )


def consent(
    change: EnrolmentChange,
    side: str,
    grants: ChangeGrants,
    *,
    by: Actor,
) -> bool:
    """Consent to a locked transfer for `side` (one of INSTITUTION_SIDES), journalled; with the second consent
    it is carried out (institution, records and doctor are locked for that; doctor and both institutions are
    told), and True is returned; after the first the other institution is told. Consenting again has no
    effect. Raises Forbidden, InvalidState, also for an exclusion, if a record has gone too far or is being
    reviewed, or if an institution is closed."""
    _require_transfer(change)
    if getattr(change, f"{side}_by", None) == by.id and change.state in ("pending", "carried_out"):
        return change.state == "carried_out"
    require_other_person(change, by)
    require_side(change, grants, side)
    setattr(change, f"{side}_by", by.id)
    setattr(change, f"{side}_at", clock.now())
    journal.write_entry("enrolmentchange", change.id, "consented", by=by, side=side)
    if missing := pending_sides(change):
        _notify_institutions(
            change, STAFF_TRANSFER_CONSENTED, sides=missing, but=by.id, side=CHANGE_SIDES[side]
        )
        return False
    _carry_out(change, by)
    return True


def _require_transfer(change: EnrolmentChange) -> None:
    """Raise InvalidState for a change of another kind: an exclusion has its own decisions (`exclusions`)."""
    if change.kind != "transfer":
        raise InvalidState("该事项不是转入转出，请刷新页面查看。")


def _carry_out(change: EnrolmentChange, by: Actor) -> None:
    """Lock the institution to which the doctor goes, the records that are not final and the doctor; move
    them, journal it, and tell the doctor and those who decide at both institutions. Raises InvalidState."""
    target = _lock_target(change)
    records = _active_records(change.doctor_id, for_update=True)
    doctor = db.session.scalars(select(Doctor).where(Doctor.id == change.doctor_id).with_for_update()).one()
    if doctor.organisation_id != change.institution_id:
        raise InvalidState("该医师已不在提出时的机构，请撤回后重新提出。")
    _require_movable(records)
    for record in records:
        _move_record(record, target, by)
    is_cleared = change_institution(doctor, target.id)
    journal.write_entry(
        "doctor",
        doctor.id,
        "transferred",
        by=by,
        change=str(change.id),
        department_cleared=is_cleared,
    )
    change_transitions.carry_out(change, by=by)
    notify_account(
        doctor.account_id,
        TRANSFER_DONE,
        institution=target.name,
        next=_next_step_text(records),
    )
    _notify_institutions(change, STAFF_TRANSFER_DONE, but=by.id)


def _lock_target(change: EnrolmentChange) -> Organisation:
    """The institution to which a transfer goes; it and its assessment organisation are kept open until the
    transaction ends. Raises InvalidState if one of them is closed."""
    target = db.session.get_one(Organisation, (change.tenant_id, change.target_id))
    lock_open(target.id, target.assessment_organisation_id)
    return target


def _active_records(doctor_id: UUID, *, for_update: bool = False) -> list[Assessment]:
    """The doctor's records without a final result, by id; locked with `for_update`."""
    query = (
        select(Assessment)
        .where(
            Assessment.doctor_id == doctor_id,
            Assessment.state.not_in(FINAL_STATES),
        )
        .order_by(Assessment.id)
    )
    return list(db.session.scalars(query.with_for_update() if for_update else query))


def _require_movable(records: list[Assessment]) -> None:
    """Raise InvalidState if a record has gone too far to be moved."""
    for record in records:
        if record.state not in MOVABLE_STATES:
            raise InvalidState(
                f"该医师当前为“{ASSESSMENT_STATES[record.state]}”，本周期考核须在原机构完成，"
                "结果发布后再办理转出；通知书上的机构有误的，由医师申请信息更正。"
            )


def _move_record(record: Assessment, target: Organisation, by: Actor) -> None:
    """Let a locked record go on at `target`. Raises InvalidState if it needs an assessment organisation and
    `target` has none, or somebody is reviewing it."""
    require_not_under_review(record, by)
    if record.state != "not_included" and target.assessment_organisation_id is None:
        raise InvalidState(f"{target.name}尚未指定所属考核机构，请先联系省级管理员指定，再办理转入。")
    if record.state in SUBMITTED_STATES:
        assessment_transitions.restart_review(record, by=by)
    else:
        journal.write_entry(
            "assessment",
            record.id,
            "transferred",
            by=by,
            state=record.state,
        )
    set_record_institution(record, target)


def _next_step_text(records: list[Assessment]) -> str:
    """What the doctor has to know about the records after they were moved."""
    if any(record.state == "institution_pending" for record in records):
        return "您填报的内容已随同转入，由新机构重新审核，您无需再次填报。"
    if any(record.state in ("included", "draft", "institution_returned") for record in records):
        return "您已填报的内容都在，请继续填报并提交。"
    return "请联系新机构纳入考核。"


def refuse(
    change: EnrolmentChange,
    side: str,
    grants: ChangeGrants,
    *,
    reason: str,
    by: Actor,
) -> None:
    """Refuse a locked transfer for `side`, with a reason that the other sides and the doctor read: both are
    told. Refusing again has no effect. Raises InvalidInput, Forbidden, InvalidState (also for an
    exclusion)."""
    _require_transfer(change)
    if change.state == "refused":
        return
    require_side(change, grants, side)
    reason = validate_reason(reason)
    change_transitions.refuse(change, by=by, reason=reason)
    doctor = db.session.get_one(Doctor, (change.tenant_id, change.doctor_id))
    notify_account(doctor.account_id, TRANSFER_REFUSED, reason=reason)
    _notify_institutions(change, STAFF_TRANSFER_REFUSED, but=by.id, side=CHANGE_SIDES[side], reason=reason)
