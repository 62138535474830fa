"""Adds one doctor from a form, with the rules of a roster row and errors at the fields."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.dialects.postgresql import insert as insert_or_ignore

from dingkao import clock
from dingkao.database.base import db
from dingkao.doctors.disclosure_limits import (
    HOUR_SECONDS,
    UNLIMITED,
    DisclosureLimit,
)
from dingkao.doctors.models import Doctor
from dingkao.doctors.number_indices import number_index
from dingkao.doctors.roster_accounts import build_account_and_doctor
from dingkao.doctors.roster_rows import (
    InvalidRosterRow,
    RosterRow,
    validate_row,
)
from dingkao.doctors.search_indexing import insert_search_keys
from dingkao.errors import InvalidInput, RateLimited
from dingkao.integrations.spreadsheets.import_rows import ImportRow
from dingkao.journal import entries as journal
from dingkao.journal.entries import SYSTEM_ACTOR, Actor
from dingkao.people.departments import MAX_NAME_LENGTH, add_departments, normalise_department_name
from dingkao.people.models import Account, Organisation
from dingkao.people.organisation_queries import find_by_registration_number
from dingkao.people.organisations import lock_open
from dingkao.tenants import settings
from dingkao.tenants.encryption import normalise_text


def add_doctor(
    values: Mapping[str, str],
    *,
    by: Actor,
    restrict_to: Collection[UUID] | None = None,
) -> tuple[Doctor, list[str]]:
    """Put one doctor on the roster, with an account and without a record in any cycle
    (`add_doctor_with_record` makes that too). `values`: texts by column name, in the words a roster uses;
    `restrict_to`: ids of the institutions to which the doctor must belong (None: any of the province).
    Returns the doctor and the warnings, as sentences. The institution is locked, so that it stays open; the
    doctor's department is added to it if it is new; the journal is written; nobody is notified.

    Raises InvalidInput naming the field, also for a doctor who is on a roster already, InvalidState for an
    institution that is closed just now, and RateLimited if a clerk has typed doctors of another institution
    too often in this hour.
    """
    institution = _find_institution(values.get("registration_number", ""))
    warnings: list[str] = []
    roster_row = _validate(values, institution, warnings)
    organisation = _require_own_institution(institution, restrict_to)
    lock_open(organisation.id)
    disclosure = DisclosureLimit.for_institution(organisation.id) if restrict_to is not None else UNLIMITED
    _require_unknown(roster_row.number, organisation, disclosure)
    doctor = _insert_doctor(roster_row, organisation)
    if doctor is None:  # another form or roster has added the same number meanwhile
        _require_unknown(roster_row.number, organisation, disclosure)
        raise InvalidInput("该医师刚刚已被添加，请在医师列表中查看。", "number")
    journal.write_entry(
        "doctor",
        doctor.id,
        "added",
        by=by,
        organisation=str(organisation.id),
    )
    return doctor, warnings


def _require_own_institution(
    institution: Organisation | None,
    restrict_to: Collection[UUID] | None,
) -> Organisation:
    """Return the institution. Raises InvalidInput if it is None or none of `restrict_to`."""
    if institution is None or (restrict_to is not None and institution.id not in restrict_to):
        raise InvalidInput(
            "不是本机构的医师。本机构只能添加本机构的医师。",
            "registration_number",
        )
    return institution


def _insert_doctor(roster_row: RosterRow, organisation: Organisation) -> Doctor | None:
    """Insert the account and the doctor, with search keys, and the department if it is new to the institution
    (journalled); return the doctor. None if an account with that number exists already, also one that another
    transaction, which is waited for, has just added."""
    initial_until = clock.now() + timedelta(days=settings.value("initial_days"))
    account, doctor_values = build_account_and_doctor(roster_row, organisation, initial_until)
    account_id = db.session.scalar(
        insert_or_ignore(Account).values(account).on_conflict_do_nothing().returning(Account.id)
    )
    if account_id is None:
        return None
    db.session.execute(insert(Doctor).values(doctor_values))
    insert_search_keys([doctor_values])
    if department := doctor_values.get("department"):
        add_departments([(organisation.id, department)], by=SYSTEM_ACTOR)
    return db.session.scalars(select(Doctor).where(Doctor.id == doctor_values["id"])).one()


def _find_institution(
    registration_number: str,
) -> Organisation | None:
    return find_by_registration_number(normalise_text(registration_number))


def _validate(
    values: Mapping[str, str],
    organisation: Organisation | None,
    warnings: list[str],
) -> RosterRow:
    """The form as a valid roster row; sentences of warnings are appended to `warnings`. Raises InvalidInput
    naming the field."""
    institutions = {organisation.registration_number: organisation.name} if organisation else {}

    def add_warning(_column: str, reason: str, remedy: str) -> None:
        warnings.append(f"{reason}，{remedy}")

    try:
        roster_row = validate_row(ImportRow(1, values), institutions, add_warning)
    except InvalidRosterRow as error:
        raise InvalidInput(f"{error.reason}。{error.remedy}", error.column) from error
    if values.get("first_registered") and roster_row.values["first_registered"] is None:
        raise InvalidInput(
            "首次注册日期不合理。请对照执业证书填写，不清楚的可以留空，由医师填报时补充。",
            "first_registered",
        )
    if normalise_department_name(values.get("department", "")) and roster_row.values["department"] is None:
        raise InvalidInput(f"科室名称不超过{MAX_NAME_LENGTH}字。", "department")
    return roster_row


def _require_unknown(
    number: str,
    organisation: Organisation,
    disclosure: DisclosureLimit,
) -> None:
    """Raise InvalidInput if a doctor with that number is on a roster already, which counts as disclosed if it
    is another institution's; RateLimited, for any number not on the own roster, if that was disclosed too
    often in this hour."""
    known_organisation_id = db.session.scalar(
        select(Doctor.organisation_id).where(Doctor.number_index == number_index(number))
    )
    if known_organisation_id == organisation.id:
        raise InvalidInput(
            f"该医师已在{organisation.name}的名单中，不需要重复添加。",
            "number",
        )
    _require_not_exhausted(disclosure)
    if known_organisation_id is not None:
        disclosure.record_disclosure()
        raise InvalidInput(
            "该医师已在另一机构的名单中，请由原机构和本机构办理转入，不能重复添加。",
            "number",
        )


def _require_not_exhausted(disclosure: DisclosureLimit) -> None:
    """Raise RateLimited if the institution's disclosures of this hour are used up."""
    if disclosure.is_exhausted():
        raise RateLimited(
            f"本机构一小时内已有{disclosure.limit}次填写了另一机构的医师，暂不能再添加。"
            "请核对证件号码，一小时后再试，或请省级管理员添加。",
            HOUR_SECONDS,
        )
