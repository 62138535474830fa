"""Correcting what doctors can't change themselves (更正): name, document, level, category, institution. A
value must meet the rules of a roster row; two persons have decided before (domain.md §11, §12)."""

from collections.abc import Mapping

from sqlalchemy import select, update

from dingkao.database.base import db
from dingkao.doctors.code_lists import (
    CATEGORIES,
    DOCUMENT_TYPES,
    LEVELS,
)
from dingkao.doctors.disclosure_limits import (
    UNLIMITED,
    DisclosureLimit,
)
from dingkao.doctors.doctor_queries import document_number_of
from dingkao.doctors.institution_moves import change_institution
from dingkao.doctors.models import Doctor
from dingkao.doctors.number_indices import (
    name_sort_key,
    number_index,
    number_tail_index,
)
from dingkao.doctors.roster_rows import MAX_NAME_LENGTH
from dingkao.doctors.search_indexing import update_search_keys
from dingkao.errors import InvalidInput, InvalidState
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people import identity_numbers
from dingkao.people.accounts import doctor_login_index
from dingkao.people.models import Account, Organisation
from dingkao.people.names import normalise_name
from dingkao.people.organisation_queries import find_by_registration_number
from dingkao.people.organisations import lock_open
from dingkao.tenants.encryption import (
    SecretLocation,
    current_vault,
    normalise_text,
)

FIELD_LABELS = {
    "name": "姓名",
    "document_type": "证件类型",
    "number": "证件号码",
    "level": "医师级别",
    "category": "执业类别",
    "institution": "主要执业机构登记号",
}
FIELD_CHOICES = {
    "document_type": DOCUMENT_TYPES,
    "level": LEVELS,
    "category": CATEGORIES,
}


def current_values(doctor: Doctor) -> dict[str, str]:
    """The stored values of a doctor, by the names of FIELD_LABELS: codes, the document number decrypted, and
    the institution as its 机构登记号. Raises encryption.DecryptionFailed."""
    registration_number = db.session.scalars(
        select(Organisation.registration_number).where(Organisation.id == doctor.organisation_id)
    ).one()
    return {
        "name": doctor.name,
        "document_type": doctor.document_type,
        "level": doctor.level,
        "category": doctor.category,
        "institution": registration_number,
        "number": document_number_of(doctor),
    }


def validate_changes(
    doctor: Doctor,
    values: Mapping[str, str],
    disclosure: DisclosureLimit = UNLIMITED,
) -> dict[str, str]:
    """Return those of `values` (by the names of FIELD_LABELS; an empty text means unchanged) that differ from
    the stored values, in the form in which they would be stored; other names are left out. Nothing is stored.
    `disclosure` limits how often a doctor learns that a number belongs to somebody else; when that is said
    here, it is counted at once. Raises InvalidInput naming the field."""
    stored_values = current_values(doctor)
    new_values = {name: _normalise(name, text) for name, text in values.items() if text.strip()}
    _require_listed(new_values)
    _require_short_name(new_values.get("name", ""))
    new_values["number"] = _validate_number(doctor, new_values, stored_values, disclosure)
    _require_institution(new_values)
    return {
        name: text
        for name, text in new_values.items()
        if name in FIELD_LABELS and text != stored_values[name]
    }


def _require_short_name(name: str) -> None:
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidInput(f"姓名请不要超过{MAX_NAME_LENGTH}字。", "name")


def _require_institution(values: Mapping[str, str]) -> None:
    """Raise InvalidInput if `values` name an institution that the province doesn't have, or that is closed
    and wasn't merged into an open one."""
    if "institution" in values and find_by_registration_number(values["institution"]) is None:
        raise InvalidInput(
            "没有找到该登记号的机构，请核对，或向机构询问登记号。",
            "institution",
        )


def _normalise(name: str, text: str) -> str:
    """The typed text of the field `name` in the form in which it is compared with the stored value."""
    if name == "name":
        return normalise_name(text)
    return normalise_text(text) if name in ("number", "institution") else text


def _require_listed(values: Mapping[str, str]) -> None:
    """Raise InvalidInput if a value of a field with fixed choices is none of them."""
    for name, text in values.items():
        if name in FIELD_CHOICES and text not in FIELD_CHOICES[name]:
            raise InvalidInput(f"请从列表中选择{FIELD_LABELS[name]}。", name)


def _validate_number(
    doctor: Doctor,
    new_values: Mapping[str, str],
    stored_values: Mapping[str, str],
    disclosure: DisclosureLimit,
) -> str:
    """Return the document number in the form in which it would be stored; the stored one if the new one
    differs only in brackets, dashes and blanks. Raises InvalidInput for a malformed number or one of another
    doctor."""
    stored_number = stored_values["number"]
    document_type = new_values.get("document_type", stored_values["document_type"])
    try:
        document = identity_numbers.parse_document(document_type, new_values.get("number", stored_number))
    except identity_numbers.InvalidNumber as error:
        raise InvalidInput(f"{error.reason}。{error.remedy}", "number") from error
    normalised_numbers = map(
        identity_numbers.normalise_number,
        (document.number, stored_number),
    )
    if len(set(normalised_numbers)) == 1:
        return stored_number
    _require_free_number(document.number, doctor, disclosure)
    return document.number


def display_value(name: str, value: str) -> str:
    """A value of the field `name` as text for people: a label for a code, the institution's name; a document
    number masked."""
    if name == "number":
        return identity_numbers.mask_number(value)
    if name == "institution":
        organisation = find_by_registration_number(value)
        return f"{organisation.name}（{value}）" if organisation else value
    return FIELD_CHOICES.get(name, {}).get(value, value)


def apply_correction(doctor: Doctor, values: Mapping[str, str], *, by: Actor) -> None:
    """Store the corrected `values` (by the names of FIELD_LABELS, checked here again) in a locked doctor and
    its account, whose sign-in name follows the document number; bring the search keys up to date, forget the
    roster row imported last, and journal it, also where nothing differs any more. Another category deletes
    the scopes, another institution the department; that of the doctor's records stays. The caller has seen
    that two persons approved it. Flushes, and locks the institution. Raises InvalidInput, and InvalidState if
    another doctor has got the number, or the institution was closed, just now."""
    changes = validate_changes(doctor, values)
    if "name" in changes:
        _change_name(doctor, changes["name"])
    if "number" in changes or "document_type" in changes:
        _change_document(
            doctor,
            changes.get("document_type", doctor.document_type),
            changes.get("number"),
        )
    is_cleared = _change_practice(doctor, changes)
    doctor.roster_digest = None
    update_search_keys([doctor.id])
    journal.write_entry(
        "doctor",
        doctor.id,
        "corrected",
        by=by,
        fields=sorted(changes),
        department_cleared=is_cleared,
    )


def _change_practice(doctor: Doctor, changes: Mapping[str, str]) -> bool:
    """Store another level, category or institution, which is locked so that it stays open. The scopes are
    deleted if the category changes, because they belonged to it. Returns whether the doctor has left a
    department with the institution. Raises InvalidState for an institution that is closed meanwhile."""
    doctor.level = changes.get("level", doctor.level)
    if "category" in changes:
        doctor.category, doctor.scope = changes["category"], None
    if "institution" in changes:
        organisation = find_by_registration_number(changes["institution"])
        if organisation:
            lock_open(organisation.id)
            return change_institution(doctor, organisation.id)
    return False


def _change_name(doctor: Doctor, name: str) -> None:
    """Store another name in the doctor and the account."""
    doctor.name, doctor.name_key = name, name_sort_key(name)
    db.session.execute(update(Account).where(Account.id == doctor.account_id).values(name=name))


def _change_document(doctor: Doctor, document_type: str, number: str | None) -> None:
    """Store another document type (a code) or number (None: keep the stored number) in a locked doctor, with
    the sex and birth date that the number contains (those that it lacks stay), and the account's sign-in
    name. The values have passed `validate_changes`; others raise InvalidNumber, a ValueError. Raises
    InvalidState if another doctor has the number."""
    document = identity_numbers.parse_document(document_type, number or document_number_of(doctor))
    if _is_taken(document.number, doctor):
        raise InvalidState("该证件号码已登记在另一位医师名下，不能更正为此号码。")
    doctor.document_type = document_type
    doctor.sex = document.sex or doctor.sex
    doctor.birth_date = document.birth_date or doctor.birth_date
    _store_number(doctor, document.number)


def _store_number(doctor: Doctor, number: str) -> None:
    """Store the document number encrypted, masked and as blind indices, and the login index of the account,
    which is derived from it."""
    location = SecretLocation("doctor", "number", doctor.id)
    doctor.number_sealed = current_vault().encrypt(location, number)
    doctor.number_index = number_index(number)
    doctor.tail_index = number_tail_index(number)
    doctor.number_masked = identity_numbers.mask_number(number)
    login_index = doctor_login_index(number)
    db.session.execute(update(Account).where(Account.id == doctor.account_id).values(login_index=login_index))


def _require_free_number(number: str, doctor: Doctor, disclosure: DisclosureLimit) -> None:
    """Raise InvalidInput if another doctor has the number, which then counts as disclosed, or if that was
    disclosed too often to the person who asks."""
    if disclosure.is_exhausted():
        raise InvalidInput(
            "您填写的证件号码多次与他人重复，请核对，一小时后再试。",
            "number",
        )
    if _is_taken(number, doctor):
        disclosure.record_disclosure()
        raise InvalidInput("该证件号码已登记在另一位医师名下，请核对。", "number")


def _is_taken(number: str, doctor: Doctor) -> bool:
    """Whether another doctor has the document number."""
    query = select(Doctor.id).where(
        Doctor.number_index == number_index(number),
        Doctor.id != doctor.id,
    )
    return db.session.scalar(query) is not None
