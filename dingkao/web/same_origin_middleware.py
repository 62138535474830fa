"""Requests that change something are accepted only from our own pages, before anything else reads them
(security.md 8).

A browser names the page that sends a request in Origin, and its relation to our site in Sec-Fetch-Site; no
page can forge either. A request with neither doesn't come from a browser that would send another site's
request with our cookies; the CSRF token of the form is checked as well.
"""

import json
from collections.abc import Iterable
from urllib.parse import urlsplit
from wsgiref.types import (
    StartResponse,
    WSGIApplication,
    WSGIEnvironment,
)

import structlog

from dingkao.config import AppConfig
from dingkao.tenants.middleware import SAFE_METHODS
from dingkao.web.request_lifecycle import security_headers

SAME_SITE_VALUES = ("same-origin", "none")
DEFAULT_PORTS = {"http": 80, "https": 443}
REFUSED_MESSAGE = (
    "这次操作不是从本平台的页面发出的，为安全起见没有办理。请直接打开本平台的网址，登录后重新操作。"
)
REFUSED_PAGE = (
    '<!doctype html><html lang="zh-CN"><meta charset="utf-8"><meta name="viewport" '
    'content="width=device-width, initial-scale=1">'
    f'<title>未能完成</title><h1>未能完成</h1><p>{REFUSED_MESSAGE}</p><p><a href="/">返回首页</a></p></html>'
)
log = structlog.get_logger()


class SameOriginMiddleware:
    """WSGI middleware around everything else: refuses a request that may change something and was sent from a
    page of another site."""

    def __init__(self, application: WSGIApplication, config: AppConfig) -> None:
        self.application = application
        self.public = parse_origin(config.public_url)
        self.headers = [
            *security_headers(config),
            ("Cache-Control", "no-store"),
        ]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Pass on requests that only read, and those sent from one of our pages; respond 403 to others."""
        if environ["REQUEST_METHOD"] in SAFE_METHODS or self._is_same_origin(environ):
            return self.application(environ, start_response)
        log.warning(
            "request.cross_site",
            site=environ.get("HTTP_SEC_FETCH_SITE"),
            origin=environ.get("HTTP_ORIGIN"),
            host=environ.get("HTTP_HOST"),
        )
        kind, body = _refused_content(environ)
        start_response(
            "403 Forbidden",
            [
                *self.headers,
                ("Content-Type", kind),
                ("Content-Length", str(len(body))),
            ],
        )
        return [body]

    def _is_same_origin(self, environ: WSGIEnvironment) -> bool:
        """Whether neither header names another site (or another host of ours); so also without both."""
        site = environ.get("HTTP_SEC_FETCH_SITE", "same-origin")
        origin = environ.get("HTTP_ORIGIN")
        if site not in SAME_SITE_VALUES:
            return False
        return origin is None or self._is_own_origin(origin, environ)

    def _is_own_origin(self, origin: str, environ: WSGIEnvironment) -> bool:
        """Whether `origin` is the requested one, or the configured public one (a proxy may have changed the
        Host header)."""
        named_origin = parse_origin(origin)
        asked_origin = parse_origin(f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST', '')}")
        return named_origin is not None and named_origin in (
            self.public,
            asked_origin,
        )


def _refused_content(environ: WSGIEnvironment) -> tuple[str, bytes]:
    """The content type and the body of the refusal: JSON for a script, else a page."""
    if "application/json" in environ.get("HTTP_ACCEPT", ""):
        return "application/json", json.dumps({"error": REFUSED_MESSAGE}).encode()
    return "text/html; charset=utf-8", REFUSED_PAGE.encode()


def parse_origin(address: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of a URL, the port by default that of the scheme (0 for an unknown one); None if
    it has no scheme or host, as «null» has none, or isn't a valid URL."""
    try:
        parts = urlsplit(address)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.scheme and parts.hostname else None
