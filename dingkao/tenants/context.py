"""Which province we are in. One place holds it; everything that needs a province asks here and is refused when there is none."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_current: ContextVar[int | None] = ContextVar("dingkao_tenant", default=None)


class NoProvince(RuntimeError):  # noqa: N818
    """Something that belongs to a province was asked for outside every province: a fault of the program, not of the user."""


class WrongProvince(RuntimeError):  # noqa: N818
    """Something of one province was handed to another: a fault of the program, stopped before it reaches the database."""


def current_tenant() -> int:
    """The code of the province we are in; raises NoProvince outside."""
    tenant = _current.get()
    if tenant is None:
        raise NoProvince("no province has been entered")
    return tenant


@contextmanager
def entered(tenant: int) -> Iterator[int]:
    """Be in province `tenant` (its code) for the length of the block. One province can't be entered from inside another."""
    if isinstance(tenant, bool) or not isinstance(tenant, int) or tenant <= 0:
        raise WrongProvince(f"not a province's code: {tenant!r}")
    already = _current.get()
    if already not in (None, tenant):
        raise WrongProvince(f"province {tenant} asked for inside province {already}")
    token = _current.set(tenant)
    try:
        yield tenant
    finally:
        _current.reset(token)
