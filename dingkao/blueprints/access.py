"""Who may come in: each view says so by `allow`; a view that says nothing is shut."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from flask import Flask, Response, current_app, g, redirect, request, url_for
from flask_login import LoginManager, UserMixin, current_user
from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import select, update
from werkzeug.wrappers import Response as AnyResponse

from dingkao import clock
from dingkao.database.model import db
from dingkao.doctors.models import Doctor
from dingkao.errors import Forbidden
from dingkao.journal.writing import Actor
from dingkao.people import signing_in
from dingkao.people.devices import described
from dingkao.people.models import DISPLAYS, Account, Membership, SignInSession
from dingkao.settings import Settings
from dingkao.tenants.asking import TENANT, Asked, an_id, whole
from dingkao.tenants.context import current_tenant
from dingkao.tenants.door import PROVINCE, READING
from dingkao.tenants.registry import Province
from dingkao.tenants.rls import writing

ANYONE, TICKET, DOCTOR, STAFF, HALF, OPERATOR = "anyone", "ticket", "doctor", "staff", "half", "operator"
SEEN_EVERY_SECONDS = 120
DISPLAY_SECONDS = 365 * 24 * 3600
DEVICE_SECONDS, DEVICE_ACCOUNTS = 180 * 86400, 5
_DOCTOR = Asked(lambda: select(*whole(Doctor)).where(Doctor.tenant_id == TENANT, Doctor.account_id == an_id("account")))
View = TypeVar("View", bound=Callable[..., Any])


@dataclass
class Person(UserMixin):
    """Who is signed in: the account, its session, the roles it holds and where."""

    account: Account
    session: SignInSession
    memberships: list[Membership] = field(default_factory=list)

    @property
    def id(self) -> UUID:
        """The account's id."""
        return self.account.id

    @property
    def roles(self) -> frozenset[str]:
        """The roles held, anywhere in the province."""
        return frozenset(membership.role for membership in self.memberships)

    @property
    def complete(self) -> bool:
        """Whether the second factor, where one is asked, has been shown in this session."""
        return self.session.second_factor_at is not None or not signing_in.needs_second_factor(self.roles)

    def organisations(self, *roles: str) -> list[UUID]:
        """The organisations in which one of `roles` is held."""
        return [m.organisation_id for m in self.memberships if m.organisation_id and (not roles or m.role in roles)]

    def actor(self) -> Actor:
        """The person as rules and the journal know one."""
        organisations = self.organisations()
        return Actor(
            self.account.kind, self.account.id, self.roles, organisations[0] if len(set(organisations)) == 1 else None, self.account.name
        )

    def doctor(self) -> Doctor:
        """The doctor of a doctor's account."""
        if "doctor" not in g:
            [(g.doctor,)] = _DOCTOR.objects(Doctor, account=self.account.id)
        return g.doctor


def allow(*who: str) -> Callable[[View], View]:
    """Mark a view with those it is for: roles, or ANYONE, TICKET, DOCTOR, STAFF, HALF (second factor still to be shown), OPERATOR."""

    def mark(view: View) -> View:
        view.access = frozenset(who)  # type: ignore[attr-defined]
        return view

    return mark


def cookie_name(kind: str = "", elsewhere: Province | None = None) -> str:
    """The name of the cookie of this province, or of `elsewhere`: `__Host-` in front unless plain http is allowed by setting."""
    prefix = "" if Settings.in_force().plain_http else "__Host-"
    province = elsewhere or request.environ.get(PROVINCE)
    slug = province.slug if isinstance(province, Province) else "platform"
    return f"{prefix}dk-{slug}{'-' + kind if kind else ''}"


def set_cookie(response: AnyResponse, kind: str, value: str, seconds: int | None = None) -> None:
    """Set a cookie of this province: not for scripts, not for other sites."""
    secure = not Settings.in_force().plain_http
    response.set_cookie(cookie_name(kind), value, max_age=seconds, secure=secure, httponly=True, samesite="Lax", path="/")


def sign_in(response: AnyResponse, account: Account) -> None:
    """Begin a session and put its token into the cookie; whatever session this browser had is ended, the device is known from now on. How
    pages are shown comes with the account; what was chosen here goes to an account that has no choice yet."""
    if current_user.is_authenticated:
        signing_in.end_session(current_user.session)
    set_cookie(response, "", signing_in.begin_session(account, described(request.user_agent.string)))
    device, known = _devices()
    mine = _short(account.login_index)
    set_cookie(response, "device", _device_marks().dumps([device, [mine, *(one for one in known if one != mine)][:DEVICE_ACCOUNTS]]), DEVICE_SECONDS)
    chosen = request.cookies.get(cookie_name("display"))
    if account.display is None and chosen in DISPLAYS:
        account.display = chosen
    elif account.display and account.display != chosen:
        set_cookie(response, "display", account.display, DISPLAY_SECONDS)


def known_device(login_index: bytes) -> str | None:
    """The name of this device where the account typed has been signed in on it before; None on a strange one."""
    device, known = _devices()
    return device if _short(login_index) in known else None


def _devices() -> tuple[str, list[str]]:
    """The device's own name and the accounts that have been signed in on it, from its cookie; a fresh name where it has none."""
    try:
        device, known = _device_marks().loads(request.cookies.get(cookie_name("device"), ""), max_age=DEVICE_SECONDS)
    except BadSignature:
        return secrets.token_hex(8), []
    return str(device), list(known)


def _device_marks() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current_app.secret_key or "", salt=f"device-{current_tenant()}")


def _short(login_index: bytes) -> str:
    return bytes(login_index).hex()[:16]


def install(app: Flask) -> None:
    """Read the person from the cookie, and keep every view to those it is for."""
    manager = LoginManager(app)

    @manager.request_loader
    def load(_request: Any) -> Person | None:
        token = request.cookies.get(cookie_name())
        if not token or not isinstance(request.environ.get(PROVINCE), Province):
            return None
        found = signing_in.session_of(token)
        if found is None:
            return None
        session, account = found
        return Person(account, session, signing_in.memberships(account.id) if account.kind == "staff" else [])

    @app.before_request
    def keep() -> AnyResponse | None:
        if request.endpoint is None or request.endpoint == "static":
            return None
        view = app.view_functions[request.endpoint]
        access: frozenset[str] = getattr(view, "access", frozenset())
        if access & {ANYONE, TICKET, OPERATOR} or PROVINCE not in request.environ:
            return None  # the blueprint's own guard comes next: of a province, of the platform
        if not current_user.is_authenticated:
            if cookie_name("ticket") in request.cookies:
                raise Forbidden("您还没有设置新密码,请先返回登录页登录,按提示设置后再使用。")
            return _to_sign_in()
        if HALF in access:
            return None
        if not current_user.complete:
            return redirect(url_for("account.second_factor"))
        kinds = {current_user.account.kind} | current_user.roles
        if not access & kinds:
            raise Forbidden
        return None

    @app.after_request
    def seen(response: Response) -> Response:
        if "_login_user" in g and g._login_user.is_authenticated:
            _mark_seen(g._login_user.session, response)
        return response


def _mark_seen(session: SignInSession, response: Response) -> None:
    """Note that a session is in use; together with what the request itself has changed, where it may change anything and did."""
    if (clock.now() - session.seen_at).total_seconds() <= SEEN_EVERY_SECONDS:
        return
    if request.method not in READING and response.status_code < 400:
        session.seen_at = clock.now()
        return
    with writing(), db.engine.begin() as connection:
        connection.execute(
            update(SignInSession)
            .where(SignInSession.tenant_id == current_tenant(), SignInSession.id == session.id)
            .values(seen_at=clock.now())
        )


def _to_sign_in() -> AnyResponse:
    if request.method == "GET" and not request.headers.get("X-Requested-With"):
        return redirect(url_for("public.login", next=request.full_path.rstrip("?")))
    return redirect(url_for("public.login", ended=1), 303)
