"""Statements handed to the driver's own library (libpq) in one call, for what a whole province sends within the same minutes: the driver's
cursor would cost several times that call.
"""

import itertools
import re
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import FeatureNotSupported, InvalidSqlStatementName, error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGresult

PREPARED = 200
"""How many statements a connection keeps prepared; more are sent whole each time."""

STALE = (FeatureNotSupported, InvalidSqlStatementName)
"""What a prepared statement answers with once a migration has changed the type of a column, or somebody has thrown it away: then all of that
connection are prepared anew."""

_serial = itertools.count()
_PLACE = re.compile(r"%(?:\((\w+)\)s|(%))")
Names = dict[tuple[str, tuple[int, ...]], bytes]


def call(driver: psycopg.Connection[Any], name: bytes, values: Sequence[Buffer | None], formats: Sequence[int] | None = None) -> PGresult:
    """What a prepared statement gives. Raises psycopg.Error."""
    return answered(driver, driver.pgconn.exec_prepared(name, cast(Sequence[Buffer], values), formats))


def prepare(driver: psycopg.Connection[Any], name: bytes, text: bytes, types: Sequence[int] = ()) -> None:
    """Prepare a statement with places like `$1`. Raises psycopg.Error."""
    answered(driver, driver.pgconn.prepare(name, text, types))


def answered(driver: psycopg.Connection[Any], result: PGresult) -> PGresult:
    """The result, if it is one. Raises the psycopg.Error that a cursor would: OperationalError where the connection is gone."""
    if result.status in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        return result
    if driver.pgconn.status == ConnStatus.BAD:
        raise psycopg.OperationalError(result.get_error_message())
    raise error_from_result(result)


def rows(driver: psycopg.Connection[Any], names: Names, text: str, values: Mapping[str, Any], *, named: bool = False) -> list[Any]:
    """The rows that a statement with places like `%(name)s` gives: tuples, with the columns' names where they are to be `named`. It is prepared
    once on its connection; `names` is where that is remembered, as long as the connection lives. Raises psycopg.Error."""
    numbered, places = _numbered(text)
    transformer = Transformer(driver)
    given = transformer.dump_sequence([values[place] for place in places], _formats(len(places)))
    key, formats = (text, transformer.types or ()), transformer.formats
    if key not in names and len(names) < PREPARED:
        name = b"dingkao_%d" % next(_serial)
        prepare(driver, name, numbered, key[1])
        names[key] = name
    try:
        if key in names:
            result = call(driver, names[key], given, formats)
        else:
            result = answered(driver, driver.pgconn.exec_params(numbered, given, key[1], formats))
    except STALE:
        names.clear()
        raise
    transformer.set_pgresult(result)
    form = _named(*(result.fname(at) for at in range(result.nfields))) if named else tuple
    return transformer.load_rows(0, result.ntuples, form)


@lru_cache(maxsize=512)
def _numbered(text: str) -> tuple[bytes, tuple[str, ...]]:
    """The text with numbered places, `$1`, and what they are called."""
    places: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        return "%" if found[2] else f"${places.setdefault(found[1], len(places) + 1)}"

    return _PLACE.sub(number, text).encode(), tuple(places)


@lru_cache(maxsize=512)
def _named(*columns: bytes) -> Callable[[Sequence[Any]], Any]:
    return namedtuple("Row", [name.decode() for name in columns], rename=True)._make  # type: ignore[attr-defined]


@lru_cache(maxsize=512)
def _formats(number: int) -> list[PyFormat]:
    return [PyFormat.AUTO] * number
