"""At which of several organisations somebody acts now, as text: the id of one, PROVINCE_OFFICE, or "" for all
at once. Of a request it is what the person has chosen; of a job, what had been chosen when it was asked for.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

from flask import g, has_request_context

PROVINCE_OFFICE = "province"
_current: ContextVar[str] = ContextVar("dingkao_acting_place", default="")


def place_code(organisation_id: UUID | None) -> str:
    """The code of an organisation, or of the province's office (None)."""
    return str(organisation_id) if organisation_id else PROVINCE_OFFICE


def current_place() -> str:
    """The place of the current request; outside a request, that of `acting_at`."""
    return str(g.get("acting_place", "")) if has_request_context() else _current.get()


def choose_place(code: str) -> None:
    """Let the rest of the current request be done at a place (`code`: see above); nothing is stored."""
    g.acting_place = code


@contextmanager
def acting_at(code: str) -> Iterator[None]:
    """Act at a place within the block. Has no effect within a request, whose own place counts."""
    token = _current.set(code)
    try:
        yield
    finally:
        _current.reset(token)
