"""The only place in which a doctor of the roster comes to another institution (主要执业机构)."""

from uuid import UUID

from dingkao.doctors.models import Doctor
from dingkao.doctors.search_indexing import update_search_keys


def change_institution(doctor: Doctor, organisation_id: UUID) -> None:
    """Put a locked doctor on the roster of another institution, where the doctor is then found. The row
    imported last is forgotten, so that the new institution's file is compared with what is stored. The
    records of the doctor stay where they are, and nothing is journaled: both are the caller's."""
    doctor.organisation_id = organisation_id
    doctor.roster_digest = None
    update_search_keys([doctor.id])
