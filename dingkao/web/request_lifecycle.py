"""What all requests and responses have in common: one commit, headers, cookies of the province, rate limits,
the variables of templates."""

import hashlib
import json
from typing import Any

import structlog
from flask import Flask, Request, Response, g, request
from flask.sessions import SecureCookieSessionInterface
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_wtf.csrf import CSRFProtect
from werkzeug.datastructures import ImmutableMultiDict, MultiDict
from werkzeug.utils import cached_property

from dingkao import clock
from dingkao.config import AppConfig
from dingkao.database.base import UNSTORABLE_PATTERN, db
from dingkao.people.sign_in_attempts import network_of
from dingkao.tenants.bulk_flush import bulk_flush
from dingkao.tenants.middleware import PROVINCE_KEY
from dingkao.tenants.registry import Province
from dingkao.web import error_handlers, template_filters
from dingkao.web.access_control import ViewT, can_make, is_granted
from dingkao.web.province_cookies import cookie_name

log = structlog.get_logger()
csrf = CSRFProtect()
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'"
    "; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
REFRESH_SECONDS = 3
REDIS_TIMEOUTS = {"socket_timeout": 1, "socket_connect_timeout": 1}


def limit_key(whom: str | None = None) -> str:
    """The key under which a view's rate limit counts, within the province or the platform: `whom` if given,
    else the network of the client's address."""
    province = request.environ.get(PROVINCE_KEY)
    province_key = province.code if isinstance(province, Province) else "platform"
    return f"{province_key}|{whom or network_of(get_remote_address())}"


def limit_by_session() -> str:
    """The key of a rate limit for each session's cookie, because a hospital's doctors may share one address;
    requests without the cookie count together."""
    return limit_key(hashlib.sha256(request.cookies.get(cookie_name(), "").encode()).hexdigest())


limiter = Limiter(key_func=limit_key, headers_enabled=False, swallow_errors=True)


class SanitizedRequest(Request):
    """A request whose form and query have only characters that PostgreSQL can store: NUL and lone surrogates
    are removed."""

    @cached_property
    def form(self) -> ImmutableMultiDict[str, str]:
        """The form's values, sanitized."""
        return _remove_unstorable(super().form)

    @cached_property
    def args(self) -> ImmutableMultiDict[str, str]:
        """The query's values, sanitized."""
        return _remove_unstorable(super().args)


def _remove_unstorable(
    values: MultiDict[str, str],
) -> ImmutableMultiDict[str, str]:
    """The names and values of a form or a query without the characters that PostgreSQL stores in no text: NUL
    and lone surrogates (UNSTORABLE_PATTERN)."""
    return ImmutableMultiDict(
        [
            (
                UNSTORABLE_PATTERN.sub("", name),
                UNSTORABLE_PATTERN.sub("", text),
            )
            for name, text in values.items(multi=True)
        ]
    )


class ProvinceSessionInterface(SecureCookieSessionInterface):
    """Flask's session in a signed cookie: the CSRF token, messages for the next page, and what the pages of a
    sitting note about the browser. The cookie is named after the province like all others; who is signed in
    stands in another one."""

    def get_cookie_name(self, app: Flask) -> str:
        """The name of the session's cookie."""
        return cookie_name("form")

    def get_cookie_secure(self, app: Flask) -> bool:
        """True unless the configuration allows plain http."""
        return not AppConfig.current().plain_http


def install(app: Flask) -> None:
    """Configure logging, cookies, CSRF protection, rate limits, templates, error handlers, and what is done
    after each view of `app`: the commit and the headers."""
    structlog.configure(
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.add_log_level,
            structlog.processors.JSONRenderer(),
        ]
    )
    app.request_class = SanitizedRequest
    app.session_interface = ProvinceSessionInterface()
    app.config.update(
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        WTF_CSRF_TIME_LIMIT=12 * 3600,
        WTF_CSRF_SSL_STRICT=False,
    )
    app.config.update(
        RATELIMIT_STORAGE_URI=app.extensions["settings"].redis_url,
        RATELIMIT_STORAGE_OPTIONS=REDIS_TIMEOUTS,
    )
    csrf.init_app(app)
    limiter.init_app(app)
    app.after_request(commit_request)
    app.after_request(set_headers)
    app.after_request(redirect_for_script)
    app.context_processor(template_context)
    template_filters.install(app)
    error_handlers.install(app)


def commit_request(response: Response) -> Response:
    """Commit the province's session if the response is no error, else roll it back: a request takes effect
    completely or not at all. After the commit, what waits for it is done: jobs are queued, messages sent
    (`do_after_commit`). Does nothing outside provinces, or if the request has no session. Other commits are
    transactions of their own: failed attempts, what a page's GET notes, operators' acts. Raises what the
    database and these actions raise, for which the error handlers then answer instead of the view."""
    if request.environ.get(PROVINCE_KEY) is None or not db.session.registry.has():
        return response
    if response.status_code < 400:
        bulk_flush(db.session())
        db.session.commit()
    else:
        db.session.rollback()
    return response


def redirect_for_script(response: Response) -> Response:
    """For a script that posted a form (static/js/local-drafts.js): turn a redirect (303) into JSON with its
    target (`leads`), which a browser would hide from the script."""
    if response.status_code == 303 and request.headers.get("X-Keeping"):
        response.set_data(json.dumps({"leads": response.headers.pop("Location")}))
        response.status_code, response.mimetype = (
            200,
            "application/json",
        )
    return response


def security_headers(config: AppConfig) -> list[tuple[str, str]]:
    """The security headers of every response (security.md 17)."""
    directives = [
        ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "same-origin"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        (
            "Permissions-Policy",
            "camera=(), geolocation=(), microphone=()",
        ),
    ]
    return (
        directives
        if config.plain_http
        else [
            *directives,
            (
                "Strict-Transport-Security",
                "max-age=31536000; includeSubDomains",
            ),
        ]
    )


def set_headers(response: Response) -> Response:
    """Add the security headers, and `Cache-Control: no-store` if the view has set no caching."""
    for name, text in security_headers(AppConfig.current()):
        response.headers.setdefault(name, text)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def template_context() -> dict[str, Any]:
    """The variables that all templates have: `province` (None outside provinces), whether this is a
    `demonstration`, the time `now` in Beijing, and the functions `can` and `granted`."""
    settings = AppConfig.current()
    return {
        "province": g.get("province"),
        "demonstration": settings.demonstration,
        "now": clock.to_beijing(clock.now()),
        "can": can_make,
        "granted": is_granted,
    }


def auto_refreshing_page(page: str, *, waits: bool) -> Response:
    """A page about work in progress; if `waits`, the browser reloads it after REFRESH_SECONDS, with or
    without scripts."""
    return Response(
        page,
        headers={"Refresh": str(REFRESH_SECONDS)} if waits else {},
        mimetype="text/html",
    )


def xlsx_response(content: bytes, name: str) -> Response:
    """An xlsx file as a download called `name` (ASCII, without quotes)."""
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    return Response(
        content,
        mimetype=kind,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def text_response(content: bytes, name: str) -> Response:
    """A text in UTF-8 as a download called `name` (ASCII, without quotes)."""
    return Response(
        content,
        mimetype="text/plain",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def keeps_answers_on_phone(view: ViewT) -> ViewT:
    """Decorator: mark a view whose page keeps answers on the phone until they are saved; the error page then
    says that they aren't lost."""
    view.answers_on_phone = True  # type: ignore[attr-defined]
    return view
