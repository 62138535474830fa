"""What a session holds back, sent as one statement: for what a whole province does within the same minutes.

The ORM sends each table's rows by themselves, one waiting for the other, and works out each time how. Here the statement for a choice of rows
is put together once, and PostgreSQL does all of it in one go. What it can't do, deleting, it leaves to the ORM.
"""

from functools import lru_cache
from typing import Any

from sqlalchemy import Column, inspect
from sqlalchemy.dialects.postgresql.psycopg import dialect
from sqlalchemy.orm import Mapper, Session, make_transient, make_transient_to_detached
from sqlalchemy.orm.exc import StaleDataError

from dingkao.tenants.asking import sent
from dingkao.tenants.rls import OfTenant, refuse_foreign_rows

_DIALECT = dialect()
_CHANGED, _NEW = "changed", "new"


def send(session: Session, *written: OfTenant) -> None:
    """Send the session's new and changed rows as one statement; afterwards they are clean, as after a flush. `written`: new rows that nobody
    looks at again, which leave with them without becoming the session's. Raises StaleDataError where a row that was changed is no longer there,
    and what a flush would raise."""
    if session.deleted or not all(isinstance(row, OfTenant) for row in (*session.new, *session.dirty)):
        session.flush()
    changed = [(row, names) for row in session.dirty if (names := _changes(row))]
    new = list(session.new)
    rows = [*(row for row, _ in changed), *new, *written]
    refuse_foreign_rows(session, rows)
    if not rows:
        return
    text, columns = _statement(
        (*((_CHANGED, inspect(row).mapper, names) for row, names in changed), *((_NEW, inspect(row).mapper, ()) for row in (*new, *written)))
    )
    values: dict[str, Any] = {}
    for row in (*new, *written):
        _complete(row)
    for row, named in zip(rows, columns, strict=True):
        values |= {place: process(getattr(row, name)) if process else getattr(row, name) for place, name, process in named}
    [(number,)] = sent(session, text, values)
    if number != len(rows):
        raise StaleDataError("a row that was to be changed isn't there any more")
    for row in rows[: len(rows) - len(written)]:
        make_transient(row)
        make_transient_to_detached(row)
        session.add(row)


def _changes(row: OfTenant) -> tuple[str, ...]:
    state = inspect(row)
    return tuple(name for name in _columns(state.mapper).keys() - state.unmodified if state.attrs[name].history.has_changes())


def _complete(row: OfTenant) -> None:
    """Give a new row what its columns have by default."""
    for name, column in _columns(inspect(row).mapper).items():
        if name not in row.__dict__:
            default: Any = column.default
            setattr(row, name, None if default is None else default.arg(None) if default.is_callable else default.arg)


@lru_cache(maxsize=256)
def _columns(mapper: Mapper[Any]) -> dict[str, Column[Any]]:
    return {attribute.key: attribute.columns[0] for attribute in mapper.column_attrs}  # type: ignore[misc]


Part = tuple[str, Mapper[Any], tuple[str, ...]]


@lru_cache(maxsize=256)
def _statement(parts: tuple[Part, ...]) -> tuple[str, list[list[tuple[str, str, Any]]]]:
    """The text for such a choice of rows, and for each row its places: their names in the text, the names of the values, and what makes those the
    driver's."""
    texts: list[str] = []
    wanted: list[list[tuple[str, str, Any]]] = []
    for at, (how, mapper, names) in enumerate(parts):
        columns = _columns(mapper)
        keys = [name for name, column in columns.items() if column.primary_key]
        given = list(columns) if how == _NEW else [*names, *keys]
        places = {name: f"%({name}_{at})s::{columns[name].type.compile(_DIALECT)}" for name in given}
        quoted = {name: _DIALECT.identifier_preparer.quote(columns[name].name) for name in columns}
        table = _DIALECT.identifier_preparer.format_table(mapper.local_table)
        if how == _NEW:
            act = f"INSERT INTO {table} ({', '.join(quoted.values())}) VALUES ({', '.join(places.values())})"  # noqa: S608 - names of our models
        else:
            whole = " AND ".join(f"{quoted[name]} = {places[name]}" for name in keys)
            act = f"UPDATE {table} SET {', '.join(f'{quoted[name]} = {places[name]}' for name in names)} WHERE {whole}"  # noqa: S608 - the same
        texts.append(f"sent_{at} AS ({act} RETURNING 1)")
        wanted.append([(f"{name}_{at}", name, columns[name].type.dialect_impl(_DIALECT).bind_processor(_DIALECT)) for name in given])
    counted = " UNION ALL ".join(f"TABLE sent_{at}" for at in range(len(parts)))
    return f"WITH {', '.join(texts)} SELECT count(*) FROM ({counted}) rows", wanted  # noqa: S608 - the same
