"""The columns of the account and the doctor that a validated roster row creates, and the values that it
changes."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from dingkao.database.base import new_id
from dingkao.doctors.code_lists import ethnicity_name
from dingkao.doctors.models import Doctor
from dingkao.doctors.number_indices import (
    name_sort_key,
    number_index,
    number_tail_index,
)
from dingkao.doctors.roster_columns import (
    DOCTOR_FIELDS,
    ENCRYPTED_COLUMNS,
)
from dingkao.doctors.roster_rows import RosterRow
from dingkao.people import identity_numbers
from dingkao.people.accounts import doctor_login_index
from dingkao.people.models import Organisation
from dingkao.tenants.context import current_tenant
from dingkao.tenants.encryption import (
    SecretLocation,
    current_vault,
    normalise_text,
)


def build_account_and_doctor(
    row: RosterRow,
    organisation: Organisation,
    initial_until: datetime,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The column values of the account and of the doctor that a valid row creates; the account's initial
    credential is valid until `initial_until`."""
    account_id = new_id()
    doctor_id = new_id()
    tenant = current_tenant()
    number_location = SecretLocation("doctor", "number", doctor_id)
    values = {name: row.values[name] or None for name in DOCTOR_FIELDS}
    account = {
        "tenant_id": tenant,
        "id": account_id,
        "kind": "doctor",
        "login_index": doctor_login_index(row.number),
        "name": row.values["name"],
        "state": "initial",
        "initial_until": initial_until,
    }
    doctor = doctor_row_values(values, doctor_id) | {
        "tenant_id": tenant,
        "id": doctor_id,
        "account_id": account_id,
        "organisation_id": organisation.id,
        "number_index": number_index(row.number),
        "number_sealed": current_vault().encrypt(number_location, row.number),
        "tail_index": number_tail_index(row.number),
        "number_masked": identity_numbers.mask_number(row.number),
        "roster_digest": row_digest(row),
    }
    return account, doctor


def doctor_row_values(values: Mapping[str, Any], doctor_id: UUID) -> dict[str, Any]:
    """The columns of a doctor's row for `values` (by DOCTOR_FIELDS): sensitive values encrypted in
    «…_sealed», and `name_key` if there is a name."""
    columns: dict[str, Any] = {}
    for name, value in values.items():
        if name in ENCRYPTED_COLUMNS:
            columns[f"{name}_sealed"] = _encrypt(name, value, doctor_id)
        else:
            columns[name] = value
    if "name" in values:
        columns["name_key"] = name_sort_key(values["name"])
    return columns


def _encrypt(name: str, value: str | None, doctor_id: UUID) -> bytes | None:
    """The value of the doctor's field `name`, encrypted for this doctor; None for an empty value."""
    return current_vault().encrypt(SecretLocation("doctor", name, doctor_id), value) if value else None


def changed_values(doctor: Doctor, row: RosterRow) -> dict[str, Any]:
    """Those values of `row` (by DOCTOR_FIELDS) that differ from what is stored of `doctor`. Differences only
    in blanks, width or case are ignored. Raises encryption.DecryptionFailed."""
    return {
        name: value
        for name, value in row.doctor_values().items()
        if _comparable(value) != _comparable(_stored_value(doctor, name))
    }


def _comparable(value: Any) -> str:
    return normalise_text(str(value or ""))


def _stored_value(doctor: Doctor, name: str) -> Any:
    """What is stored of the doctor for the field `name`, decrypted, in the form a row has it."""
    if name in ENCRYPTED_COLUMNS:
        return _decrypt(name, doctor)
    if name == "ethnicity":
        return ethnicity_name(doctor.ethnicity or "")
    return getattr(doctor, name)


def _decrypt(name: str, doctor: Doctor) -> str | None:
    """The stored value of the doctor's encrypted field `name`; None if there is none."""
    encrypted = getattr(doctor, f"{name}_sealed")
    location = SecretLocation("doctor", name, doctor.id)
    return current_vault().decrypt(location, encrypted) if encrypted else None


def row_digest(row: RosterRow) -> bytes:
    """The keyed hash by which an unchanged row is recognised. It covers only the fields the row provides, so
    the same values in a file with fewer columns give another digest."""
    text = json.dumps(row.doctor_values(), ensure_ascii=False, default=str)
    return current_vault().blind_index("roster-row", text)
