"""The door: the first segment of an address is the province, taken off before any route is looked for.

Routes never mention the province and none can be reached in the wrong one: it moves into SCRIPT_NAME, is left for the guard in the
WSGI environment, and is entered for as long as the application answers. What is only read is read in READ ONLY transactions.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from dingkao.tenants.context import entered
from dingkao.tenants.registry import by_slug
from dingkao.tenants.rls import reading

PROVINCE = "dingkao.province"
READING = ("GET", "HEAD", "OPTIONS")


class ProvinceDoor:
    """WSGI middleware around the application."""

    def __init__(self, application: WSGIApplication) -> None:
        self.application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Move a known province from the path to SCRIPT_NAME; leave every other address as it is."""
        environ.pop(PROVINCE, None)
        path = environ.get("PATH_INFO", "")
        slug, _, rest = path.removeprefix("/").partition("/")
        province = by_slug(slug) if path.startswith("/") else None
        if province is None:
            return self.application(environ, start_response)
        if slug != province.slug or path == f"/{slug}":
            query = environ.get("QUERY_STRING")
            address = f"{environ.get('SCRIPT_NAME', '')}/{province.slug}/{rest}" + (f"?{query}" if query else "")
            start_response("308 Permanent Redirect", [("Location", _header(address)), ("Content-Length", "0")])
            return []
        environ["SCRIPT_NAME"] = f"{environ.get('SCRIPT_NAME', '')}/{province.slug}"
        environ["PATH_INFO"] = f"/{rest}"
        environ[PROVINCE] = province
        with ExitStack() as inside:
            inside.enter_context(entered(province.code))
            if environ.get("REQUEST_METHOD") in READING:
                inside.enter_context(reading())
            return self.application(environ, start_response)


def _header(address: str) -> str:
    """An address fit for a header line: WSGI hands the path decoded, so blanks, breaks and non-ASCII are written out again."""
    return "".join(c if "!" <= c <= "~" else f"%{ord(c):02X}" for c in address)
