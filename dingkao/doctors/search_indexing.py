"""Writes the keys by which doctors are found (`search_keys`), in the transaction in which a doctor is added
or gets another name, department or institution. Whoever writes one of these calls a function of this module;
tests/conventions/test_search_keys holds every module to it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select

from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.doctors.models import Doctor, DoctorSearchKey
from dingkao.doctors.search_keys import search_keys
from dingkao.people.name_grams import replace_key_rows

BATCH_SIZE = 500
COLUMNS = tuple(column.key for column in DoctorSearchKey.__table__.columns)


def search_key_rows(doctor: Mapping[str, Any]) -> set[tuple[Any, ...]]:
    """Returns the rows of keys of a doctor with these column values, each in the order of COLUMNS."""
    return {
        (doctor["tenant_id"], key, doctor["name_key"], doctor["id"], doctor["organisation_id"])
        for key in search_keys(doctor["name"], doctor.get("department"))
    }


def insert_search_keys(doctors: Iterable[Mapping[str, Any]]) -> None:
    """Insert the keys of new doctors, at least one, whose column values these are, after the doctors
    themselves."""
    key_rows = [
        dict(zip(COLUMNS, cells, strict=True)) for doctor in doctors for cells in search_key_rows(doctor)
    ]
    db.session.execute(insert(DoctorSearchKey), key_rows)


def update_search_keys(doctor_ids: Iterable[UUID]) -> int:
    """Make the keys of these doctors, at most 5,000 (more: arrays.TooManyValues), what their rows say, after
    changes of these were made, which are flushed, so that the doctors are locked; returns how many had other
    keys. An unknown id is passed over."""
    db.session.flush()
    columns = (
        Doctor.tenant_id,
        Doctor.id,
        Doctor.name,
        Doctor.name_key,
        Doctor.department,
        Doctor.organisation_id,
    )
    doctors = db.session.execute(select(*columns).where(in_array(Doctor.id, doctor_ids))).mappings()
    key_rows = {doctor["id"]: search_key_rows(dict(doctor)) for doctor in doctors}
    return replace_key_rows(DoctorSearchKey, "doctor_id", key_rows)


def reindex_search_keys(commit: Callable[[], None]) -> tuple[int, int]:
    """Compute the keys of all doctors of the current province, each batch locked. Returns how many were
    checked and how many of these had others. `commit` is called after each batch. Running it again changes
    nothing."""
    checked_count, changed_count, last_id = 0, 0, UUID(int=0)
    query = select(Doctor.id).order_by(Doctor.id).limit(BATCH_SIZE).with_for_update()
    while doctor_ids := db.session.scalars(query.where(Doctor.id > last_id)).all():
        checked_count += len(doctor_ids)
        changed_count += update_search_keys(doctor_ids)
        last_id = doctor_ids[-1]
        commit()
    return checked_count, changed_count
