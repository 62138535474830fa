"""Flushing a session by one statement, for requests that many doctors of a province send at the same time.

A flush of the ORM sends the rows of each table separately and waits for each answer. Here the SQL for a
combination of rows is built once and cached, and PostgreSQL executes it in one round trip. Deletions are left
to the ORM.
"""

from functools import lru_cache
from typing import Any

from sqlalchemy import Column, inspect
from sqlalchemy.dialects.postgresql.psycopg import dialect
from sqlalchemy.orm import (
    Mapper,
    Session,
    make_transient,
    make_transient_to_detached,
)
from sqlalchemy.orm.exc import StaleDataError

from dingkao.tenants.prepared_statements import execute_in_session
from dingkao.tenants.rls import OfTenant, require_own_rows

_DIALECT = dialect()
_CHANGED_STATE, _NEW_STATE = "changed", "new"


def bulk_flush(session: Session, *written: OfTenant) -> None:
    """Send the session's new and changed rows by one statement; afterwards they are clean, as after a flush.
    If some are to be deleted or belong to no province, the ORM flushes the session first. `written`: further
    new rows, which are inserted without becoming part of the session. Raises StaleDataError if a changed row
    no longer exists, rls.WrongProvince, and what a flush would raise."""
    if _needs_orm(session):
        session.flush()
    updates = _pending_updates(session)
    inserted = [*session.new, *written]
    instances = [*(instance for instance, _ in updates), *inserted]
    require_own_rows(session, instances)
    if not instances:
        return
    text, placeholders = _build_statement(_flush_parts(updates, inserted))
    for instance in inserted:
        _apply_defaults(instance)
    [(row_count,)] = execute_in_session(session, text, _placeholder_values(instances, placeholders))
    if row_count != len(instances):
        raise StaleDataError("a row that was to be changed isn't there any more")
    for instance in instances[: len(instances) - len(written)]:
        _make_clean(session, instance)


def _make_clean(session: Session, instance: OfTenant) -> None:
    """Make an object clean, as it was loaded from the database."""
    make_transient(instance)
    make_transient_to_detached(instance)
    session.add(instance)


def _needs_orm(session: Session) -> bool:
    """Whether the session has changes that only the ORM can send: deletions, or rows of no province."""
    return bool(session.deleted) or not all(map(_is_of_tenant, (*session.new, *session.dirty)))


def _is_of_tenant(instance: object) -> bool:
    return isinstance(instance, OfTenant)


def _pending_updates(
    session: Session,
) -> list[tuple[OfTenant, tuple[str, ...]]]:
    """Returns the session's changed rows, each with the names of its changed columns."""
    changes = ((instance, _changed_columns(instance)) for instance in session.dirty)
    return [(instance, names) for instance, names in changes if names]


def _placeholder_values(
    instances: list[OfTenant],
    placeholders: "list[list[_Placeholder]]",
) -> dict[str, Any]:
    """Returns placeholder → value, converted for the driver."""
    values: dict[str, Any] = {}
    for instance, instance_placeholders in zip(instances, placeholders, strict=True):
        for placeholder, name, process in instance_placeholders:
            value = getattr(instance, name)
            values[placeholder] = process(value) if process else value
    return values


def _changed_columns(instance: OfTenant) -> tuple[str, ...]:
    """Returns the names of an object's attributes that have changed."""
    state = inspect(instance)
    return tuple(
        name
        for name in _columns(state.mapper).keys() - state.unmodified
        if state.attrs[name].history.has_changes()
    )


def _apply_defaults(instance: OfTenant) -> None:
    """Set those attributes of a new row that have no value yet to the defaults of their columns, without one
    to None: a default that only the database knows does not hold here."""
    for name, column in _columns(inspect(instance).mapper).items():
        if name not in instance.__dict__:
            setattr(instance, name, _default_value(column))


def _default_value(column: Column[Any]) -> Any:
    """Returns the default of a column in the model for a new row, or None."""
    default: Any = column.default
    if default is None:
        return None
    return default.arg(None) if default.is_callable else default.arg


@lru_cache(maxsize=256)
def _columns(mapper: Mapper[Any]) -> dict[str, Column[Any]]:
    """Returns attribute name → column of a model."""
    return {attribute.key: attribute.columns[0] for attribute in mapper.column_attrs}  # type: ignore[misc]


FlushPart = tuple[str, Mapper[Any], tuple[str, ...]]
_Placeholder = tuple[str, str, Any]
"""Name of a placeholder, name of the attribute whose value it gets, and the function that converts the value
for the driver (None: not needed)."""


def _flush_parts(
    updates: list[tuple[OfTenant, tuple[str, ...]]],
    inserted: list[OfTenant],
) -> tuple[FlushPart, ...]:
    """Returns, for each row, whether it is changed or new, its mapper, and the names of its changed
    columns."""
    return (
        *((_CHANGED_STATE, inspect(instance).mapper, names) for instance, names in updates),
        *((_NEW_STATE, inspect(instance).mapper, ()) for instance in inserted),
    )


@lru_cache(maxsize=256)
def _build_statement(
    parts: tuple[FlushPart, ...],
) -> tuple[str, list[list[_Placeholder]]]:
    """Returns the SQL for a combination of rows, and for each row its placeholders."""
    built = [_build_part(number, *part) for number, part in enumerate(parts)]
    expressions = ", ".join(f"sent_{number} AS ({sql} RETURNING 1)" for number, (sql, _) in enumerate(built))
    results = " UNION ALL ".join(f"TABLE sent_{number}" for number in range(len(built)))
    text = f"WITH {expressions} SELECT count(*) FROM ({results}) rows"  # noqa: S608 - names of our models
    return text, [placeholders for _, placeholders in built]


def _build_part(
    number: int,
    kind: str,
    mapper: Mapper[Any],
    changed: tuple[str, ...],
) -> tuple[str, list[_Placeholder]]:
    """Returns the INSERT or UPDATE of row `number`, and its placeholders. `kind`: new or changed."""
    columns = _columns(mapper)
    keys = [name for name, column in columns.items() if column.primary_key]
    sent_names = list(columns) if kind == _NEW_STATE else [*changed, *keys]
    placeholders: list[_Placeholder] = []
    sql_values: dict[str, str] = {}
    for name in sent_names:
        column_type = columns[name].type
        processor = column_type.dialect_impl(_DIALECT).bind_processor(_DIALECT)
        placeholders.append((f"{name}_{number}", name, processor))
        sql_values[name] = f"%({name}_{number})s::{column_type.compile(_DIALECT)}"
    sql = (
        _insert_sql(mapper, sql_values)
        if kind == _NEW_STATE
        else _update_sql(mapper, sql_values, changed, keys)
    )
    return sql, placeholders


def _insert_sql(mapper: Mapper[Any], sql_values: dict[str, str]) -> str:
    """Returns the INSERT of a row; `sql_values`: attribute name → placeholder."""
    names = ", ".join(_quoted_column(mapper, name) for name in sql_values)
    placeholders = ", ".join(sql_values.values())
    return f"INSERT INTO {_quoted_table(mapper)} ({names}) VALUES ({placeholders})"  # noqa: S608


def _update_sql(
    mapper: Mapper[Any],
    sql_values: dict[str, str],
    changed: tuple[str, ...],
    keys: list[str],
) -> str:
    """Returns the UPDATE of a row: sets the columns `changed`, and finds the row by `keys`."""
    assignments = ", ".join(f"{_quoted_column(mapper, name)} = {sql_values[name]}" for name in changed)
    condition = " AND ".join(f"{_quoted_column(mapper, name)} = {sql_values[name]}" for name in keys)
    return f"UPDATE {_quoted_table(mapper)} SET {assignments} WHERE {condition}"  # noqa: S608


def _quoted_table(mapper: Mapper[Any]) -> str:
    return _DIALECT.identifier_preparer.format_table(mapper.local_table)


def _quoted_column(mapper: Mapper[Any], name: str) -> str:
    return _DIALECT.identifier_preparer.quote(_columns(mapper)[name].name)
