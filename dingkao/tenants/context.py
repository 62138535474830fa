"""The current province, stored in one place. Code that needs it asks here; outside a province that raises
NoProvince."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_current: ContextVar[int | None] = ContextVar("dingkao_tenant", default=None)


class NoProvince(RuntimeError):  # noqa: N818
    """Something that belongs to a province was used outside every province: an error in the program, not the
    user's."""


class WrongProvince(RuntimeError):  # noqa: N818
    """Something of one province was used in another: an error in the program, stopped before it reaches the
    database."""


def current_tenant() -> int:
    """Returns the code of the current province. Raises NoProvince if there is none."""
    tenant = _current.get()
    if tenant is None:
        raise NoProvince("no province has been entered")
    return tenant


@contextmanager
def in_tenant(tenant: int) -> Iterator[int]:
    """Make `tenant` (a province's code) the current province within the block; that it was opened is not
    checked. A transaction stays in the province in which it began: whoever enters another one afterwards ends
    it within the block (`db.session.remove()`). Raises WrongProvince inside another province, or for what is
    no code."""
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
