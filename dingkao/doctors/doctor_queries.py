"""Queries of doctors for pages and rules."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import select

from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.errors import Forbidden, NotFound
from dingkao.people.models import Account
from dingkao.people.scopes import Grant, in_scope
from dingkao.tenants.encryption import SecretLocation, current_vault


def doctors_by_id(ids: Iterable[UUID]) -> dict[UUID, Doctor]:
    """The doctors with these ids, at most 5,000 (more: arrays.TooManyValues), by id. An unknown id is left
    out."""
    doctors = db.session.scalars(select(Doctor).where(in_array(Doctor.id, set(ids))))
    return {doctor.id: doctor for doctor in doctors}


def doctor_of_account(account_id: UUID | None) -> Doctor | None:
    """The doctor to whom the account belongs; None for an account of staff or no account."""
    return db.session.scalar(select(Doctor).where(Doctor.account_id == account_id))


def get_doctor(doctor_id: UUID, grant: Grant, *, for_update: bool = False) -> Doctor:
    """The doctor with that id, locked with `for_update`. Raises NotFound, and Forbidden for a doctor outside
    `grant`, of which only the province and `institution_ids` count here."""
    query = select(Doctor).where(Doctor.id == doctor_id)
    doctor = db.session.scalar(query.with_for_update() if for_update else query)
    if doctor is None:
        raise NotFound
    if not in_scope(grant, institution_id=doctor.organisation_id):
        raise Forbidden
    return doctor


def account_of_doctor(doctor: Doctor, *, for_update: bool = False) -> Account:
    """The account of a doctor, locked with `for_update`."""
    query = select(Account).where(Account.id == doctor.account_id)
    return db.session.scalars(query.with_for_update() if for_update else query).one()


def document_number_of(doctor: Doctor) -> str:
    """The number of a doctor's identity document, decrypted. Raises encryption.DecryptionFailed."""
    location = SecretLocation("doctor", "number", doctor.id)
    return current_vault().decrypt(location, doctor.number_sealed)
