"""Statements put together once, for what a whole province asks within the same minutes: beginning an exam, answering, handing in.

The ORM builds, keys and compiles a statement each time it is asked, which costs more than PostgreSQL's part in it. What stands here is compiled
at its first use and sent as text with its values; it gives columns, or the session's own objects where `whole` rows are asked for. It names the
province itself, beside the policy, as every statement does.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import psycopg
from sqlalchemy import Connection, Date, Integer, Select, Uuid, bindparam, inspect
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql.psycopg import dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import InstrumentedAttribute, Mapper, Session, SessionTransaction, make_transient_to_detached
from sqlalchemy.orm.attributes import set_committed_value

from dingkao.database import libpq
from dingkao.database.model import db
from dingkao.tenants.rls import OfTenant, one_session_one_province

TENANT = bindparam("tenant", type_=Integer)
"""The province; every table of a statement is held against it."""

PREPARED, CONNECTION = "dingkao prepared", "dingkao connection"
Kinds = tuple[type[OfTenant], ...]


def an_id(name: str) -> Any:
    """The place of an id."""
    return bindparam(name, type_=Uuid)


def ids(name: str) -> Any:
    """The place of a list of ids, for `= any(…)`: one text, however many there are."""
    return bindparam(name, type_=ARRAY(Uuid))


def a_day(name: str) -> Any:
    """The place of a date."""
    return bindparam(name, type_=Date)


@lru_cache(maxsize=256)
def _names(mapper: Mapper[Any]) -> tuple[str, ...]:
    return tuple(mapper.column_attrs.keys())


@lru_cache(maxsize=256)
def _keys(mapper: Mapper[Any]) -> tuple[str, ...]:
    return tuple(mapper.get_property_by_column(column).key for column in mapper.primary_key)


def whole(*kinds: type[OfTenant]) -> list[InstrumentedAttribute[Any]]:
    """The columns of whole rows, as `Asked.objects` reads them."""
    return [getattr(kind, name) for kind in kinds for name in _names(inspect(kind))]


class Asked:
    """A statement that is compiled once. `make` gives it; its values are bindparams, TENANT among them. `alone`: nothing that a session may
    hold back bears on it, so it is asked without writing that first."""

    def __init__(self, make: Callable[[], Select[*tuple[Any, ...]]], *, alone: bool = False) -> None:
        self.make, self.alone = make, alone
        self._compiled: dict[Kinds, tuple[str, dict[str, Any]]] = {}

    def compiled(self, hold: Kinds = ()) -> tuple[str, dict[str, Any]]:
        """The text, and the values that stand in the statement itself; with `hold` it locks the rows of these kinds, in this order. Raises
        ValueError for one that names no province."""
        if hold not in self._compiled:
            made = self.make().with_for_update(of=list(hold)) if hold else self.make()
            compiled = made.compile(dialect=dialect())
            if TENANT.key not in compiled.params:
                raise ValueError("a statement about a province's rows has to name the province")
            self._compiled[hold] = str(compiled), dict(compiled.params)
        return self._compiled[hold]

    def rows(self, **given: Any) -> list[Any]:
        """What it gives for these values, each row a tuple with the columns' names."""
        return self._rows(given, (), named=True)

    def _rows(self, given: dict[str, Any], hold: Kinds, *, named: bool = False) -> list[Any]:
        session = db.session()
        tenant = one_session_one_province(session)
        if not self.alone and session.autoflush:
            session.flush()
        text, values = self.compiled(hold)
        return sent(session, text, values | given | {TENANT.key: tenant}, named=named)

    def objects(self, *kinds: type[OfTenant], hold: Kinds = (), **given: Any) -> list[tuple[Any, ...]]:
        """Its rows, of `whole(*kinds)` and what else follows them, as objects of the session and that; None for one that an outer join didn't find.
        Those of the kinds in `hold` are locked, in this order. What the session has already stays as it is, unless it is locked now: then it
        becomes what the database says."""
        session, found = db.session(), []
        for row in self._rows(given, hold):
            values = iter(row)
            own = [_own(session, kind, {name: next(values) for name in _names(inspect(kind))}, fresh=kind in hold) for kind in kinds]
            found.append((*own, *values))
        return found

    def one(self, *kinds: type[OfTenant], hold: Kinds = (), **given: Any) -> tuple[Any, ...] | None:
        """The first of these, or None."""
        found = self.objects(*kinds, hold=hold, **given)
        return found[0] if found else None

    def first(self, **given: Any) -> Any:
        """The first of its rows, or None."""
        found = self.rows(**given)
        return found[0] if found else None


def sent(session: Session, text: str, values: dict[str, Any], *, named: bool = False) -> list[Any]:
    """The rows that PostgreSQL gives for a statement within the session's transaction, asked without SQLAlchemy's and the driver's cursors, which
    cost more than the statement. Raises what SQLAlchemy would."""
    connection = _connection(session)
    driver: Any = connection.connection.driver_connection
    for hear in connection.dispatch.before_cursor_execute:  # whoever listens to the engine hears these too: the province's guard first of all
        hear(connection, None, text, values, None, False)
    try:
        return libpq.rows(driver, connection.info.setdefault(PREPARED, {}), text, values, named=named)
    except psycopg.Error as fault:
        if gone := driver.closed:
            connection.invalidate(fault)
        raise DBAPIError.instance(
            text, None, fault, psycopg.Error, hide_parameters=True, connection_invalidated=gone, dialect=connection.dialect
        ) from fault  # fmt: skip


def _connection(session: Session) -> Connection:
    """The connection of the session's transaction, asked of SQLAlchemy once a transaction."""
    kept: tuple[SessionTransaction | None, Connection] | None = session.info.get(CONNECTION)
    if kept is None or kept[0] is None or kept[0] is not session.get_transaction():
        connection = session.connection()
        kept = session.info[CONNECTION] = session.get_transaction(), connection
    return kept[1]


def _own(session: Session, kind: type[OfTenant], values: dict[str, Any], *, fresh: bool) -> Any:
    """The session's object of a row."""
    mapper = inspect(kind)
    identity = tuple(values[key] for key in _keys(mapper))
    if identity[0] is None:
        return None
    held = session.identity_map.get(mapper.identity_key_from_primary_key(identity))
    if held is None:
        held = mapper.class_manager.new_instance()
        held.__dict__.update(values)
        make_transient_to_detached(held)
        session.add(held)
    elif fresh:
        for name, value in values.items():
            set_committed_value(held, name, value)
    return held
