"""Statements put together once, for what a whole province asks within the same minutes: beginning an exam, answering, handing in.

The ORM builds, keys and compiles a statement each time it is asked, which costs more than PostgreSQL's part in it. What stands here is compiled
at its first use and sent as text with its values; it gives columns, no objects. It names the province itself, beside the policy, as every
statement does.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import Date, Integer, Uuid, bindparam
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql.psycopg import dialect
from sqlalchemy.sql import ClauseElement

from dingkao.database.model import db
from dingkao.tenants.rls import one_session_one_province

TENANT = bindparam("tenant", type_=Integer)
"""The province; every table of a statement is held against it."""


def an_id(name: str) -> Any:
    """The place of an id."""
    return bindparam(name, type_=Uuid)


def ids(name: str) -> Any:
    """The place of a list of ids, for `= any(…)`: one text, however many there are."""
    return bindparam(name, type_=ARRAY(Uuid))


def a_day(name: str) -> Any:
    """The place of a date."""
    return bindparam(name, type_=Date)


class Asked:
    """A statement that is compiled once. `make` gives it; its values are bindparams, TENANT among them. `alone`: nothing that a session may
    hold back bears on it, so it is asked without writing that first."""

    def __init__(self, make: Callable[[], ClauseElement], *, alone: bool = False) -> None:
        self.make, self.alone = make, alone

    @cached_property
    def compiled(self) -> tuple[str, dict[str, Any]]:
        """The text, and the values that stand in the statement itself. Raises ValueError for one that names no province."""
        compiled = self.make().compile(dialect=dialect())
        if TENANT.key not in compiled.params:
            raise ValueError("a statement about a province's rows has to name the province")
        return str(compiled), dict(compiled.params)

    def rows(self, **given: Any) -> Sequence[Any]:
        """What it gives for these values."""
        session = db.session()
        tenant = one_session_one_province(session)
        if not self.alone:
            session.flush()
        text, values = self.compiled
        return session.connection().exec_driver_sql(text, values | given | {TENANT.key: tenant}).all()

    def first(self, **given: Any) -> Any:
        """The first of its rows, or None."""
        found = self.rows(**given)
        return found[0] if found else None
