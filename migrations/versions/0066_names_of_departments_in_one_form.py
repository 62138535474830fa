"""Names of departments are kept in one form, without blanks around and with one between words, also those
that rosters had otherwise; departments of an institution that thereby have one name become one. Names of
shared banks lose the blanks around them."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0066"
down_revision = "0065"

BLANKS = r"[\s\u001c-\u001f\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+"
"""What `str.split` takes for blanks, as a pattern of PostgreSQL."""


def in_one_form(column: str) -> str:
    """The SQL expression of the name in a column, in the form of `normalise_department_name`."""
    return f"btrim(regexp_replace({column}, '{BLANKS}', ' ', 'g'))"


NAMES_OF_DOCTORS = f"""
UPDATE doctor SET department = nullif({in_one_form("department")}, '')
WHERE department <> {in_one_form("department")}
"""  # noqa: S608 - constants
DEPARTMENTS_OF_ONE_NAME = f"""
SELECT tenant_id, id, organisation_id, {in_one_form("name")} AS new_name, closed_at FROM department
WHERE (tenant_id, organisation_id, {in_one_form("name")}) IN (
    SELECT tenant_id, organisation_id, {in_one_form("name")} FROM department
    WHERE name <> {in_one_form("name")}
)
ORDER BY tenant_id, organisation_id, new_name, name <> {in_one_form("name")}, created_at, id
"""  # noqa: S608 - constants
"""The departments whose name changes, and those that have the new one already, which come first."""
ROLES_HELD_TWICE_REMOVED = """
DELETE FROM membership AS twice USING membership AS other
WHERE twice.tenant_id = :tenant_id AND twice.department_id = :id
    AND other.tenant_id = twice.tenant_id AND other.department_id = :survivor_id
    AND other.account_id = twice.account_id AND other.role = twice.role
"""
ROLES_MOVED = """
UPDATE membership SET department_id = :survivor_id WHERE tenant_id = :tenant_id AND department_id = :id
"""
DUPLICATE_REMOVED = "DELETE FROM department WHERE tenant_id = :tenant_id AND id = :id"
SURVIVOR_NAMED = """
UPDATE department SET name = :new_name, closed_at = :closed_at WHERE tenant_id = :tenant_id AND id = :id
"""
SHARED_BANKS_NAMED = f"""
UPDATE platform.shared_bank AS bank SET name = regexp_replace(name, '^{BLANKS}|{BLANKS}$', '', 'g')
WHERE name ~ '^{BLANKS}|{BLANKS}$' AND NOT EXISTS (
    SELECT FROM platform.shared_bank AS other
    WHERE other.id <> bank.id AND regexp_replace(other.name, '^{BLANKS}|{BLANKS}$', '', 'g')
        = regexp_replace(bank.name, '^{BLANKS}|{BLANKS}$', '', 'g')
)
"""  # noqa: S608 - constants
"""Of two banks that would have one name, each keeps its own: their questions are the operators' to sort."""


def upgrade() -> None:
    connection = op.get_bind()
    connection.execute(sa.text(NAMES_OF_DOCTORS))
    departments = connection.execute(sa.text(DEPARTMENTS_OF_ONE_NAME)).all()
    for same_name in _iter_groups(departments):
        _merge(connection, same_name)
    connection.execute(sa.text(SHARED_BANKS_NAMED))


def _iter_groups(departments: Iterable[Any]) -> Iterator[list[Any]]:
    """Yield the departments of each institution that are to have one name."""
    for _, same_name in groupby(departments, attrgetter("tenant_id", "organisation_id", "new_name")):
        yield list(same_name)


def _merge(connection: sa.Connection, departments: list[Any]) -> None:
    """Make one of the departments, the first, which gets the roles of the others; it is open if any is."""
    survivor, *duplicates = departments
    for duplicate in duplicates:
        ids = {"tenant_id": duplicate.tenant_id, "id": duplicate.id, "survivor_id": survivor.id}
        connection.execute(sa.text(ROLES_HELD_TWICE_REMOVED), ids)
        connection.execute(sa.text(ROLES_MOVED), ids)
        connection.execute(sa.text(DUPLICATE_REMOVED), {"tenant_id": duplicate.tenant_id, "id": duplicate.id})
    closed_at = (
        None if any(department.closed_at is None for department in departments) else survivor.closed_at
    )
    values = {
        "new_name": survivor.new_name,
        "closed_at": closed_at,
        "tenant_id": survivor.tenant_id,
        "id": survivor.id,
    }
    connection.execute(sa.text(SURVIVOR_NAMED), values)


def downgrade() -> None:
    """The names stay as they are."""
