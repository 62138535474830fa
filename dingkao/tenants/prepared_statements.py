"""Statements that are compiled once, for what many doctors of a province do at the same time: starting an
exam, saving answers, handing in.

The ORM builds and compiles a statement at each call, which costs more than its execution. A PreparedStatement
is compiled at its first use and sent as text with its values. It returns columns, or objects of the session
for `all_columns`. Like every statement it names the province itself, in addition to row-level security.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import psycopg
from sqlalchemy import (
    Connection,
    Date,
    Integer,
    Select,
    Uuid,
    bindparam,
    inspect,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql.psycopg import dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import (
    InstrumentedAttribute,
    Mapper,
    Session,
    SessionTransaction,
    make_transient_to_detached,
)
from sqlalchemy.orm.attributes import set_committed_value

from dingkao.database import libpq
from dingkao.database.arrays import MAX_VALUES, TooManyValues
from dingkao.database.base import db
from dingkao.tenants.rls import OfTenant, session_tenant

TENANT_PARAM = bindparam("tenant", type_=Integer)
"""The placeholder of the province; a statement compares each of its tables with it."""

PREPARED_KEY = "dingkao prepared"
CONNECTION_KEY = "dingkao connection"
RowTypes = tuple[type[OfTenant], ...]


def uuid_param(name: str) -> Any:
    """The placeholder of an id."""
    return bindparam(name, type_=Uuid)


def uuid_array_param(name: str) -> Any:
    """Returns the placeholder of a list of ids, for `= any(…)`: the SQL is the same for every length."""
    return bindparam(name, type_=ARRAY(Uuid))


def date_param(name: str) -> Any:
    """The placeholder of a date."""
    return bindparam(name, type_=Date)


@lru_cache(maxsize=256)
def _column_names(mapper: Mapper[Any]) -> tuple[str, ...]:
    """Returns the names of a model's attributes that are columns."""
    return tuple(mapper.column_attrs.keys())


@lru_cache(maxsize=256)
def _primary_key_names(mapper: Mapper[Any]) -> tuple[str, ...]:
    """Returns the names of a model's attributes that form the primary key."""
    return tuple(mapper.get_property_by_column(column).key for column in mapper.primary_key)


def all_columns(
    *kinds: type[OfTenant],
) -> list[InstrumentedAttribute[Any]]:
    """Returns the columns of whole rows of these models, as `PreparedStatement.fetch_objects` needs them."""
    return [getattr(kind, name) for kind in kinds for name in _column_names(inspect(kind))]


class PreparedStatement:
    """A statement that is compiled once.

    `build` returns the SQLAlchemy statement; its values are bind parameters, among them TENANT_PARAM. With
    `skip_autoflush` the session is not flushed first, because no pending change can affect the result.
    """

    def __init__(
        self,
        build: Callable[[], Select[*tuple[Any, ...]]],
        *,
        skip_autoflush: bool = False,
    ) -> None:
        self.build, self.skip_autoflush = build, skip_autoflush
        self._compiled: dict[RowTypes, tuple[str, dict[str, Any]]] = {}

    def compiled(self, for_update: RowTypes = ()) -> tuple[str, dict[str, Any]]:
        """Returns the SQL and the constant values of the statement. With `for_update` it locks the rows of
        these models, in this order. Raises ValueError for a statement without TENANT_PARAM."""
        if for_update not in self._compiled:
            query = self.build().with_for_update(of=list(for_update)) if for_update else self.build()
            compiled = query.compile(dialect=dialect())
            if TENANT_PARAM.key not in compiled.params:
                raise ValueError("a statement about a province's rows has to name the province")
            self._compiled[for_update] = (
                str(compiled),
                dict(compiled.params),
            )
        return self._compiled[for_update]

    def fetch_rows(self, *, in_session: Session | None = None, **given: Any) -> list[Any]:
        """Returns the rows for the values `given` (without the province, which is added), as named tuples. It
        runs in the session `in_session`, by default the current one, which is flushed first unless
        `skip_autoflush`. Raises TooManyValues for a list above MAX_VALUES, and what `session_tenant` and
        `execute_in_session` raise."""
        return self._execute(given, (), with_column_names=True, in_session=in_session)

    def _execute(
        self,
        given: dict[str, Any],
        for_update: RowTypes,
        *,
        with_column_names: bool = False,
        in_session: Session | None = None,
    ) -> list[Any]:
        """Returns the rows for the values `given`; locks those of the models in `for_update`. The session is
        flushed first, unless `skip_autoflush`. Raises TooManyValues, and what `session_tenant` and
        `execute_in_session` raise."""
        _require_bounded(given)
        session = in_session or db.session()
        tenant = session_tenant(session)
        if not self.skip_autoflush and session.autoflush:
            session.flush()
        text, values = self.compiled(for_update)
        return execute_in_session(
            session,
            text,
            values | given | {TENANT_PARAM.key: tenant},
            with_column_names=with_column_names,
        )

    def fetch_objects(
        self,
        *kinds: type[OfTenant],
        for_update: RowTypes = (),
        **given: Any,
    ) -> list[tuple[Any, ...]]:
        """Returns the rows of a statement whose columns are `all_columns(*kinds)` and possibly others: for
        each row the session's objects, then the other columns. An object is None if an outer join found no
        row.

        The session is flushed first, unless `skip_autoflush`. The rows of models in `for_update` are locked,
        in this order. An object that is in the session already keeps its values, unless it is locked now:
        then it gets those of the database. Raises TooManyValues for a list above MAX_VALUES, and what
        `session_tenant` and `execute_in_session` raise.
        """
        session, results = db.session(), []
        for row in self._execute(given, for_update):
            values = iter(row)
            instances = [
                _object_in_session(
                    session,
                    kind,
                    {name: next(values) for name in _column_names(inspect(kind))},
                    fresh=kind in for_update,
                )
                for kind in kinds
            ]
            results.append((*instances, *values))
        return results

    def fetch_object(
        self,
        *kinds: type[OfTenant],
        for_update: RowTypes = (),
        **given: Any,
    ) -> tuple[Any, ...] | None:
        """The first result of `fetch_objects` (all rows are fetched, and locked with `for_update`), or None;
        raises as it does."""
        objects = self.fetch_objects(*kinds, for_update=for_update, **given)
        return objects[0] if objects else None

    def fetch_row(self, **given: Any) -> Any:
        """Returns the first of `fetch_rows` (all rows are fetched), or None; raises as it does."""
        fetched = self.fetch_rows(**given)
        return fetched[0] if fetched else None


def _require_bounded(values: dict[str, Any]) -> None:
    """Raises TooManyValues for a list of more than MAX_VALUES values."""
    for name, value in values.items():
        if isinstance(value, list) and len(value) > MAX_VALUES:
            raise TooManyValues(f"{len(value)} values for {name}")


def execute_in_session(
    session: Session,
    text: str,
    values: dict[str, Any],
    *,
    with_column_names: bool = False,
) -> list[Any]:
    """Returns the rows of an SQL text with placeholders like `%(name)s` within the session's transaction, as
    tuples, or named tuples `with_column_names`. The session is not flushed. It bypasses the cursors of
    SQLAlchemy and the driver, which cost more than the statement. Raises the exceptions that SQLAlchemy would
    raise."""
    connection = _driver_connection(session)
    driver: Any = connection.connection.driver_connection
    for hear in (
        connection.dispatch.before_cursor_execute
    ):  # the listeners of the engine are called here too, above all the guard of rls.py
        hear(connection, None, text, values, None, False)
    try:
        if PREPARED_KEY not in connection.info:
            connection.info[PREPARED_KEY] = {} if libpq.is_direct_connection(driver) else None
        return libpq.fetch_rows(
            driver,
            connection.info[PREPARED_KEY],
            text,
            values,
            with_column_names=with_column_names,
        )
    except psycopg.Error as fault:
        if is_closed := driver.closed:
            connection.invalidate(fault)
        raise DBAPIError.instance(
            text,
            None,
            fault,
            psycopg.Error,
            hide_parameters=True,
            connection_invalidated=is_closed,
            dialect=connection.dialect,
        ) from fault


def _driver_connection(session: Session) -> Connection:
    """Returns the connection of the session's transaction; cached for the transaction."""
    cached: tuple[SessionTransaction | None, Connection] | None = session.info.get(CONNECTION_KEY)
    if cached is None or cached[0] is None or cached[0] is not session.get_transaction():
        connection = session.connection()
        cached = session.info[CONNECTION_KEY] = (
            session.get_transaction(),
            connection,
        )
    return cached[1]


def _object_in_session(
    session: Session,
    kind: type[OfTenant],
    values: dict[str, Any],
    *,
    fresh: bool,
) -> Any:
    """Returns the session's object for a row (`values`), or None if the row is empty. `fresh`: an object that
    is in the session already gets these values."""
    mapper = inspect(kind)
    identity = tuple(values[key] for key in _primary_key_names(mapper))
    if identity[0] is None:
        return None
    instance = session.identity_map.get(mapper.identity_key_from_primary_key(identity))
    if instance is None:
        instance = mapper.class_manager.new_instance()
        instance.__dict__.update(values)
        make_transient_to_detached(instance)
        session.add(instance)
    elif fresh:
        for name, value in values.items():
            set_committed_value(instance, name, value)
    return instance
