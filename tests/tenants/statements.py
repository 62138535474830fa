"""What the application says to the database, and whether each statement over a province's table names the
province itself."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

from tests.tenants.models import TABLE_NAMES

_TABLE_REFERENCE = re.compile(
    rf"\b(?:FROM|JOIN|UPDATE)\s+({'|'.join(TABLE_NAMES)})\b(?:\s+AS\s+(\w+))?", re.IGNORECASE
)


@contextmanager
def captured_statements(engine: Engine) -> Iterator[list[str]]:
    """The statements `engine` is sent within the block."""
    statements: list[str] = []

    def listen(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", listen)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", listen)


def statements_without_tenant(statements: list[str]) -> list[str]:
    """Those SELECTs, UPDATEs and DELETEs that read or change a province's table and don't compare its
    tenant_id."""
    return [
        statement
        for statement in statements
        for table, alias in _TABLE_REFERENCE.findall(statement)
        if not re.search(rf"(?:WHERE|ON|AND)\b[\s(]*(?:{alias or table}\.)?tenant_id = ", statement)
    ]
