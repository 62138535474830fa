"""Renames a department together with what its doctors' rows say."""

from sqlalchemy import select, update

from dingkao.database.arrays import in_array, split_into_batches
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.doctors.search_indexing import BATCH_SIZE, update_search_keys
from dingkao.errors import InvalidInput
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.department_models import Department
from dingkao.people.departments import validate_department_name


def rename_department(department: Department, text: str, *, by: Actor) -> int:
    """Give a department (row locked) another name, and its doctors with it, who are locked and then found by
    that; journal it. Returns how many doctors it has; 0 for the name that it has already. Raises InvalidInput
    for the field `name` if the text is no name, or the institution has another department of that name, open
    or closed."""
    name, previous_name = validate_department_name(text), department.name
    if name == previous_name:
        return 0
    taken = select(Department.id).where(
        Department.organisation_id == department.organisation_id,
        Department.name == name,
    )
    if db.session.scalar(taken) is not None:
        raise InvalidInput(f"已有科室“{name}”。", "name")
    doctor_ids = db.session.scalars(
        select(Doctor.id)
        .where(
            Doctor.organisation_id == department.organisation_id,
            Doctor.department == previous_name,
        )
        .order_by(Doctor.id)
        .with_for_update()
    ).all()
    department.name = name
    for batch_ids in split_into_batches(doctor_ids, BATCH_SIZE):
        db.session.execute(update(Doctor).where(in_array(Doctor.id, batch_ids)).values(department=name))
        update_search_keys(batch_ids)
    journal.write_entry(
        "department",
        department.id,
        "renamed",
        by=by,
        before=previous_name,
        after=name,
        doctors=len(doctor_ids),
    )
    return len(doctor_ids)
