"""Statements sent by one call of the driver's C library (libpq), for what many doctors of a province send at
the same time: the driver's cursor would cost several times as much.

The name of a prepared statement is made of its text and types, so a name always means the same statement.
Behind a pooler, the next transaction may be on another connection without the prepared statement, so there
statements are sent with their text.
"""

import hashlib
import re
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import (
    FeatureNotSupported,
    InvalidSqlStatementName,
    error_from_result,
)
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGresult

MAX_PREPARED = 200
"""The most statements that are prepared on a connection; others are sent with their text each time."""

STALE_STATEMENT_ERRORS = (
    FeatureNotSupported,
    InvalidSqlStatementName,
)
"""The errors of a prepared statement after a migration changed the type of a column, or after the server
deleted the statement. Then all statements of that connection are prepared again."""

_PLACEHOLDER_PATTERN = re.compile(r"%(?:\((\w+)\)s|(%))")
PreparedNames = dict[tuple[str, tuple[int, ...]], bytes]


def is_direct_connection(driver: psycopg.Connection[Any]) -> bool:
    """Returns whether the connection leads to PostgreSQL itself and not to a pooler, which reports another
    process number to its clients. Raises psycopg.Error."""
    result = checked_result(driver, driver.pgconn.exec_(b"select pg_backend_pid()"))
    return int(result.get_value(0, 0) or 0) == driver.pgconn.backend_pid


@lru_cache(maxsize=1024)
def statement_name(text: bytes, types: Sequence[int] = ()) -> bytes:
    """Returns the name under which a statement with values of these types (PostgreSQL's type ids) is
    prepared; it is the same in every process."""
    return (
        b"dingkao_"
        + hashlib.sha256(text + b"\0" + ",".join(map(str, types)).encode()).hexdigest()[:32].encode()
    )


def execute_prepared(
    driver: psycopg.Connection[Any],
    name: bytes,
    values: Sequence[Buffer | None],
    formats: Sequence[int] | None = None,
) -> PGresult:
    """Returns the result of the prepared statement `name` for `values`, in PostgreSQL's text or binary form
    and in the order of the placeholders. `formats`: for each value 1 if it is binary, 0 if it is text (None:
    all are text). Raises psycopg.Error."""
    return checked_result(
        driver,
        driver.pgconn.exec_prepared(name, cast(Sequence[Buffer], values), formats),
    )


def execute_unprepared(
    driver: psycopg.Connection[Any],
    text: bytes,
    values: Sequence[Buffer | None],
    types: Sequence[int] | None = None,
    formats: Sequence[int] | None = None,
) -> PGresult:
    """Returns the result of a statement with placeholders like `$1` that is sent with its text; `values` and
    `formats` as for `execute_prepared`, `types`: PostgreSQL's type ids. Raises psycopg.Error."""
    return checked_result(
        driver,
        driver.pgconn.exec_params(text, cast(Sequence[Buffer], values), types, formats),
    )


def prepare(
    driver: psycopg.Connection[Any],
    name: bytes,
    text: bytes,
    types: Sequence[int] = (),
) -> None:
    """Prepare a statement with placeholders like `$1`. Raises psycopg.Error."""
    checked_result(driver, driver.pgconn.prepare(name, text, types))


def checked_result(driver: psycopg.Connection[Any], result: PGresult) -> PGresult:
    """Returns `result` unless it is an error. Raises the psycopg.Error that a cursor would raise;
    OperationalError if the connection is lost."""
    if result.status in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        return result
    if driver.pgconn.status == ConnStatus.BAD:
        raise psycopg.OperationalError(result.get_error_message())
    raise error_from_result(result)


def fetch_rows(
    driver: psycopg.Connection[Any],
    names: PreparedNames | None,
    text: str,
    values: Mapping[str, Any],
    *,
    with_column_names: bool = False,
) -> list[Any]:
    """Returns the rows of a statement with placeholders like `%(name)s`, as tuples; as named tuples
    `with_column_names`.

    `names`: the prepared statements of the connection, which this function extends; None if nothing is to be
    prepared. Raises psycopg.Error, KeyError if `values` lacks a placeholder's value. After one of
    STALE_STATEMENT_ERRORS `names` is empty, so that a repetition prepares anew.
    """
    numbered, places = _number_placeholders(text)
    transformer = Transformer(driver)
    parameters = transformer.dump_sequence(
        [values[place] for place in places],
        _automatic_formats(len(places)),
    )
    types = transformer.types or ()
    name = _prepared_name(driver, names, text, numbered, types)
    try:
        if name is not None:
            result = execute_prepared(driver, name, parameters, transformer.formats)
        else:
            result = execute_unprepared(
                driver,
                numbered,
                parameters,
                types,
                transformer.formats,
            )
    except STALE_STATEMENT_ERRORS:
        if names:
            names.clear()
        raise
    transformer.set_pgresult(result)
    make_row = _row_maker(result) if with_column_names else tuple
    return transformer.load_rows(0, result.ntuples, make_row)


def _row_maker(result: PGresult) -> Callable[[Sequence[Any]], Any]:
    """Returns the function that makes a named tuple of a row of `result`."""
    return _row_type(*(result.fname(index) for index in range(result.nfields)))


def _prepared_name(
    driver: psycopg.Connection[Any],
    names: PreparedNames | None,
    text: str,
    numbered: bytes,
    types: Sequence[int],
) -> bytes | None:
    """Returns the name of the prepared statement for a text and the types of its values, and prepares it if
    necessary; `numbered`: the text with placeholders like `$1`. None if nothing is to be prepared or the
    connection has MAX_PREPARED already."""
    if names is None:
        return None
    key = text, tuple(types)
    if key not in names and len(names) < MAX_PREPARED:
        name = statement_name(numbered, types)
        prepare(driver, name, numbered, types)
        names[key] = name
    return names.get(key)


@lru_cache(maxsize=512)
def _number_placeholders(text: str) -> tuple[bytes, tuple[str, ...]]:
    """Returns the text with numbered placeholders ($1, $2 …), and the placeholders' names in that order."""
    places: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        """The numbered placeholder for a match of the pattern; "%" for "%%"."""
        return "%" if found[2] else f"${places.setdefault(found[1], len(places) + 1)}"

    return _PLACEHOLDER_PATTERN.sub(number, text).encode(), tuple(places)


@lru_cache(maxsize=512)
def _row_type(*columns: bytes) -> Callable[[Sequence[Any]], Any]:
    """Returns the function that makes a named tuple of a row with these columns."""
    names = [name.decode() for name in columns]
    return namedtuple("Row", names, rename=True)._make  # type: ignore[attr-defined]


@lru_cache(maxsize=512)
def _automatic_formats(number: int) -> list[PyFormat]:
    """Returns for each of `number` values that the driver chooses the format, text or binary."""
    return [PyFormat.AUTO] * number
