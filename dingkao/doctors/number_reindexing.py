"""Computes the blind indices of document numbers again: numbers with brackets, slashes or dashes were once
indexed as they were typed."""

from collections.abc import Callable
from uuid import UUID

from sqlalchemy import select

from dingkao.database.base import db
from dingkao.doctors.doctor_queries import document_number_of
from dingkao.doctors.models import Doctor
from dingkao.doctors.number_indices import (
    number_index,
    number_tail_index,
)
from dingkao.people.identity_numbers import RESIDENT_TYPES

BATCH_SIZE = 500


def reindex_numbers(commit: Callable[[], None]) -> tuple[int, int]:
    """Compute the indices of all numbers of the current province that aren't resident numbers, each batch
    locked. Returns how many were checked and how many of these had another index. `commit` is called after
    each batch. Running it again changes nothing. A number that can't be decrypted, or that two doctors then
    have, breaks it off with the callee's error (DecryptionFailed, IntegrityError); the batches before are
    done."""
    checked_count, changed_count, last_id = 0, 0, UUID(int=0)
    query = (
        select(Doctor)
        .where(Doctor.document_type.not_in(RESIDENT_TYPES))
        .order_by(Doctor.id)
        .limit(BATCH_SIZE)
        .with_for_update()
    )
    while doctors := db.session.scalars(query.where(Doctor.id > last_id)).all():
        checked_count += len(doctors)
        changed_count += sum(_reindex(doctor) for doctor in doctors)
        last_id = doctors[-1].id
        commit()
    return checked_count, changed_count


def _reindex(doctor: Doctor) -> bool:
    """Set the indices of a locked doctor's number; return whether they have changed. A DecryptionFailed
    passes through."""
    number = document_number_of(doctor)
    old_indices = doctor.number_index, doctor.tail_index
    doctor.number_index, doctor.tail_index = (
        number_index(number),
        number_tail_index(number),
    )
    return old_indices != (doctor.number_index, doctor.tail_index)
