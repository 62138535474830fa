"""The only place in which a doctor of the roster comes to another institution (主要执业机构)."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from dingkao.doctors.disposition_models import UnclaimedDoctor
from dingkao.doctors.models import Doctor
from dingkao.doctors.register_models import RegisterComparison, RegisterDifference
from dingkao.doctors.search_indexing import update_search_keys
from dingkao.journal import entries as journal
from dingkao.people.notice_catalogue import INSTITUTION_MERGED
from dingkao.people.notices import notify_account
from dingkao.people.organisation_succession import (
    Succession,
    add_column_part,
    add_succession_part,
    move_column,
)


def change_institution(doctor: Doctor, organisation_id: UUID) -> bool:
    """Put a locked doctor on the roster of another institution, which the caller has locked so that it stays
    open (`lock_open`). The doctor is then found there, in no department; flushes. The row imported last is
    forgotten, so that the new institution's file is compared with what is stored. The records of the doctor
    stay where they are, and nothing is journalled: both are the caller's. Returns whether there was a
    department to leave, for the journal, which holds no names."""
    has_left_department = bool(doctor.department)
    doctor.department = None
    _put_on_roster([doctor], organisation_id)
    return has_left_department


def _put_on_roster(doctors: Sequence[Doctor], organisation_id: UUID) -> None:
    """Put locked doctors, at most 5,000, on the roster of another institution: they are found there
    (flushes), and the row imported last is forgotten. Departments stay as they are."""
    for doctor in doctors:
        doctor.organisation_id = organisation_id
        doctor.roster_digest = None
    update_search_keys([doctor.id for doctor in doctors])


def _move_doctors(doctors: Sequence[Doctor], succession: Succession) -> None:
    """Move doctors (locked) to the successor of their institution, with their departments; journal it, and
    notify each."""
    _put_on_roster(doctors, succession.successor.id)
    for doctor in doctors:
        journal.write_entry(
            "doctor",
            doctor.id,
            "transferred",
            by=succession.by,
            merged=str(succession.predecessor.id),
        )
        notify_account(
            doctor.account_id,
            INSTITUTION_MERGED,
            former=succession.predecessor.name,
            institution=succession.successor.name,
        )


add_succession_part(
    "医师",
    "人",
    lambda predecessor_id: select(Doctor).where(Doctor.organisation_id == predecessor_id),
    _move_doctors,
)
add_column_part(
    "待认领医师",
    "人",
    UnclaimedDoctor.disowned_by_id,
    UnclaimedDoctor.settled_at.is_(None),
    keeps_open=False,
)
add_succession_part(
    "注册库比对中未登记去向的",
    "人",
    lambda predecessor_id: select(RegisterDifference).where(
        RegisterDifference.organisation_id == predecessor_id,
        RegisterDifference.disposition.is_(None),
        RegisterDifference.comparison_id.in_(
            select(RegisterComparison.id).where(RegisterComparison.organisation_id == predecessor_id)
        ),
    ),
    move_column(RegisterDifference.organisation_id),
    keeps_open=False,
)
add_column_part("注册库比对", "次", RegisterComparison.organisation_id, keeps_open=False)
