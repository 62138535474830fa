"""The client that somebody acts from, as the journal stores it: address and device."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from flask import has_request_context, request

from dingkao.tenants.devices import describe_device

MAX_ADDRESS_LENGTH = 45


@dataclass(frozen=True)
class Client:
    """A client: address (IPv4 or IPv6) and device (text of `devices.describe_device`); None if there is none,
    for example for the system itself."""

    address: str | None = None
    device: str | None = None


NO_CLIENT = Client()
_current: ContextVar[Client] = ContextVar("dingkao_client", default=NO_CLIENT)


@contextmanager
def acting_for(client: Client) -> Iterator[None]:
    """Make `client` the current one within the block: of a job, the client that asked for it; of a command,
    the terminal. Has no effect within a request, whose own client counts."""
    token = _current.set(client)
    try:
        yield
    finally:
        _current.reset(token)


def current_client() -> Client:
    """Returns the client of the current request; outside a request, that of `acting_for`."""
    if has_request_context():
        return Client(
            (request.remote_addr or "")[:MAX_ADDRESS_LENGTH] or None,
            describe_device(request.user_agent.string),
        )
    return _current.get()
