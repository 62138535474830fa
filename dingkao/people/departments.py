"""The departments (科室) of institutions: found by name, added, closed. Renaming one concerns its doctors
too (`doctors/department_renaming`)."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from dingkao import clock
from dingkao.database.arrays import in_array
from dingkao.database.base import db, new_id
from dingkao.errors import InvalidInput, NotFound
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.department_models import Department
from dingkao.people.models import Organisation
from dingkao.tenants.context import current_tenant

MAX_NAME_LENGTH = 50
UNKNOWN_MESSAGE = "该机构没有这个科室，或科室已停用。请按“科室”名单填写完整名称。"


def normalise_department_name(text: str) -> str:
    """A department's name in the form in which all are stored: without blanks around, and one between words.
    May be empty or too long."""
    return " ".join(text.split())


def validate_department_name(text: str) -> str:
    """The normalised name. Raises InvalidInput for the field `name` if it is empty or longer than
    MAX_NAME_LENGTH."""
    name = normalise_department_name(text)
    if not name:
        raise InvalidInput("请填写科室名称。", "name")
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidInput(f"科室名称不超过{MAX_NAME_LENGTH}字。", "name")
    return name


def resolve_department(organisation: Organisation, name: str) -> Department:
    """The open department of an organisation that was typed by its whole name; blanks are ignored at the ends
    and count once between words. Raises InvalidInput for the field `department`."""
    department = db.session.scalar(
        select(Department).where(
            Department.organisation_id == organisation.id,
            Department.name == normalise_department_name(name),
            Department.closed_at.is_(None),
        )
    )
    if department is None:
        raise InvalidInput(UNKNOWN_MESSAGE, "department")
    return department


def department_names(department_ids: Iterable[UUID | None]) -> dict[UUID, str]:
    """The names of the departments with these ids, at most 5,000 (else arrays.TooManyValues), by id. An
    unknown id is left out."""
    ids = {department_id for department_id in department_ids if department_id is not None}
    if not ids:
        return {}
    query = select(Department.id, Department.name).where(in_array(Department.id, ids))
    return dict(db.session.execute(query).all())


def get_department(department_id: UUID, *, for_update: bool = False) -> Department:
    """The department with that id, open or closed, locked with `for_update` (one that the session has loaded
    before isn't refreshed). Raises NotFound."""
    query = select(Department).where(Department.id == department_id)
    department = db.session.scalar(query.with_for_update() if for_update else query)
    if department is None:
        raise NotFound
    return department


def add_departments(names: Iterable[tuple[UUID, str]], *, by: Actor) -> int:
    """Add departments, pairs of institution's id and name in the form of `normalise_department_name`; those
    that are there, open or closed, stay as they are. Returns how many were added; each is journalled."""
    values = [
        {
            "tenant_id": current_tenant(),
            "id": new_id(),
            "organisation_id": organisation_id,
            "name": name,
            "created_at": clock.now(),
        }
        for organisation_id, name in sorted(set(names))
    ]
    if not values:
        return 0
    statement = insert(Department).values(values).on_conflict_do_nothing().returning(Department.id)
    added_ids = list(db.session.scalars(statement))
    with journal.batched_entries():
        for department_id in added_ids:
            journal.write_entry("department", department_id, "added", by=by)
    return len(added_ids)


def add_department(organisation: Organisation, text: str, *, by: Actor) -> str:
    """Add a department of the typed name to an institution, and return the name as it is stored. Raises
    InvalidInput for the field `name` if the text is no name, or the institution has a department of that
    name, open or closed."""
    name = validate_department_name(text)
    if not add_departments([(organisation.id, name)], by=by):
        raise InvalidInput(f"{organisation.name}已有科室“{name}”，停用的请恢复。", "name")
    return name


def close_department(department: Department, *, by: Actor) -> None:
    """Close a department (row locked): nobody is invited to it any more, and its doctors stay as they are.
    Does nothing for a closed one."""
    if department.closed_at is None:
        department.closed_at = clock.now()
        journal.write_entry("department", department.id, "closed", by=by)


def reopen_department(department: Department, *, by: Actor) -> None:
    """Open a closed department (row locked) again. Does nothing for an open one."""
    if department.closed_at is not None:
        department.closed_at = None
        journal.write_entry("department", department.id, "reopened", by=by)
