"""What the application says to the database, and whether each statement over a province's table names the province itself."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

from tests.tenants.models import TABLE_NAMES

_NAMED = re.compile(rf"\b(?:FROM|JOIN|UPDATE)\s+({'|'.join(TABLE_NAMES)})\b(?:\s+AS\s+(\w+))?", re.IGNORECASE)


@contextmanager
def heard(engine: Engine) -> Iterator[list[str]]:
    """The statements `engine` is sent within the block."""
    said: list[str] = []

    def listen(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        said.append(statement)

    event.listen(engine, "before_cursor_execute", listen)
    try:
        yield said
    finally:
        event.remove(engine, "before_cursor_execute", listen)


def without_province(statements: list[str]) -> list[str]:
    """Those SELECTs, UPDATEs and DELETEs that read or change a province's table and don't compare its tenant_id."""
    return [
        statement
        for statement in statements
        for table, alias in _NAMED.findall(statement)
        if not re.search(rf"(?:WHERE|ON|AND)\b[\s(]*(?:{alias or table}\.)?tenant_id = ", statement)
    ]
