"""The WSGI middleware that takes the province, the first segment of the path, off the address before routing.

Routes never mention the province, so no page can be reached in the wrong one: the segment moves into
SCRIPT_NAME and the WSGI environment, which the blueprint guard reads, and the province is the current one
while the application answers. Requests with a safe method (GET) use READ ONLY transactions.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from wsgiref.types import (
    StartResponse,
    WSGIApplication,
    WSGIEnvironment,
)

from dingkao.tenants.context import in_tenant
from dingkao.tenants.registry import Province, by_slug
from dingkao.tenants.rls import plans_by_value, read_only_transactions

PROVINCE_KEY = "dingkao.province"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
CONSOLE_PATH = "office"
"""What the addresses of the console begin with: its lists are planned by their values."""


class ProvinceMiddleware:
    """WSGI middleware around the application."""

    def __init__(self, application: WSGIApplication) -> None:
        self.application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Move a known province from the path to SCRIPT_NAME, and enter it (with READ ONLY transactions for a
        safe method, with plans by value for the console); redirect to the usual form of its address (small
        letters, slash at the end); pass on every other address unchanged."""
        environ.pop(PROVINCE_KEY, None)
        path = environ.get("PATH_INFO", "")
        slug, _, remainder = path.removeprefix("/").partition("/")
        province = by_slug(slug) if path.startswith("/") else None
        if province is None:
            return self.application(environ, start_response)
        if slug != province.slug or path == f"/{slug}":
            start_response(
                "308 Permanent Redirect",
                [
                    (
                        "Location",
                        _header_safe(_canonical_address(environ, province, remainder)),
                    ),
                    ("Content-Length", "0"),
                ],
            )
            return []
        environ["SCRIPT_NAME"] = f"{environ.get('SCRIPT_NAME', '')}/{province.slug}"
        environ["PATH_INFO"] = f"/{remainder}"
        environ[PROVINCE_KEY] = province
        with ExitStack() as inside:
            inside.enter_context(in_tenant(province.code))
            if environ.get("REQUEST_METHOD") in SAFE_METHODS:
                inside.enter_context(read_only_transactions())
            if remainder.split("/")[0] == CONSOLE_PATH:
                inside.enter_context(plans_by_value())
            return self.application(environ, start_response)


def _canonical_address(environ: WSGIEnvironment, province: Province, remainder: str) -> str:
    """Returns the usual form of an address within a province."""
    query = environ.get("QUERY_STRING")
    address = f"{environ.get('SCRIPT_NAME', '')}/{province.slug}/{remainder}"
    return f"{address}?{query}" if query else address


def _header_safe(address: str) -> str:
    """Returns an address fit for a header: WSGI decodes the path, so blanks, line breaks and non-ASCII
    characters are percent-encoded again."""
    return "".join(c if "!" <= c <= "~" else f"%{ord(c):02X}" for c in address)
