"""Who may open a view. Each view names with `require` the action that a person must be granted
(`people/permissions`), or one of DOORS. A view that names nothing can be opened by nobody."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from flask import (
    Flask,
    Response,
    current_app,
    g,
    redirect,
    request,
    session,
    url_for,
)
from flask_login import LoginManager, UserMixin, current_user
from sqlalchemy import select, update
from werkzeug.wrappers import Response as AnyResponse

from dingkao import clock
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.errors import Forbidden, InvalidInput, RateLimited
from dingkao.journal import failed_attempts, state_machine
from dingkao.journal.entries import Actor
from dingkao.journal.state_machine import Stateful
from dingkao.people import authentication, sign_in_sessions
from dingkao.people.models import (
    DISPLAY_MODES,
    Account,
    Membership,
    SignInSession,
)
from dingkao.people.permissions import ACTION_ROLES, grants
from dingkao.people.scopes import Grant, at_current_place, grant_for
from dingkao.tenants.acting_place import choose_place
from dingkao.tenants.context import current_tenant
from dingkao.tenants.devices import describe_device
from dingkao.tenants.middleware import PROVINCE_KEY, SAFE_METHODS
from dingkao.tenants.prepared_statements import (
    TENANT_PARAM,
    PreparedStatement,
    all_columns,
    uuid_param,
)
from dingkao.tenants.registry import Province
from dingkao.tenants.rls import read_write_transactions
from dingkao.web.known_devices import remember_device
from dingkao.web.province_cookies import cookie_name, set_cookie

PUBLIC = "public"
PASSWORD_TICKET = "password_ticket"  # noqa: S105
BEFORE_SECOND_FACTOR = "before_second_factor"
DOORS = {
    PUBLIC: "open to everybody",
    PASSWORD_TICKET: "for a browser with a ticket to set a first password (sign_in/password_ticket)",
    BEFORE_SECOND_FACTOR: "for everybody who is signed in, even before the second factor was shown",
}
OPEN_WITHOUT_SESSION = (PUBLIC, PASSWORD_TICKET, "platform.operate")
"""What a view can require without a session of a province: two doors, and the action of operators, who have
sessions of the platform."""
LAST_SEEN_INTERVAL_SECONDS = 120
DISPLAY_COOKIE_SECONDS = 365 * 24 * 3600
MAX_PATH_LENGTH = 200
PLACE_COOKIE = "place"
"""The cookie in which the browser holds the place that was chosen; a place where the person holds no role
changes nothing."""
FORM_FIELD = "csrf_token"
_DOCTOR_STATEMENT = PreparedStatement(
    lambda: select(*all_columns(Doctor)).where(
        Doctor.tenant_id == TENANT_PARAM,
        Doctor.account_id == uuid_param("account"),
    )
)
ViewT = TypeVar("ViewT", bound=Callable[..., Any])


@dataclass
class CurrentUser(UserMixin):
    """The person who is signed in: the account, the session, and the roles with their organisations: those at
    the place where the person acts now (`memberships`), and all of them."""

    account: Account
    session: SignInSession
    memberships: list[Membership] = field(default_factory=list)
    all_memberships: list[Membership] = field(default_factory=list)

    @property
    def id(self) -> UUID:
        """The account's id."""
        return self.account.id

    @property
    def roles(self) -> frozenset[str]:
        """The codes of the roles held where the person acts now (`memberships`)."""
        return frozenset(membership.role for membership in self.memberships)

    @property
    def kinds(self) -> frozenset[str]:
        """What the table of permissions grants actions to: the account's kind and the `roles`."""
        return self.roles | {self.account.kind}

    def may(self, action: str) -> bool:
        """Whether the person is granted `action` where the person acts now. Raises KeyError for an unknown
        action."""
        return grants(action, self.kinds)

    def grant(self, action: str) -> Grant:
        """Whose records the person reaches with `action` where the person acts now; nobody's if it isn't
        granted there. Raises KeyError for an unknown action."""
        is_doctor = self.account.kind == "doctor"
        return grant_for(
            action,
            self.memberships,
            doctor_account_id=self.account.id if is_doctor else None,
        )

    @property
    def is_second_factor_shown(self) -> bool:
        """Whether this session needs no (further) second factor: it was shown, or none of the roles, wherever
        they are held, needs one."""
        roles = frozenset(membership.role for membership in self.all_memberships)
        return self.session.second_factor_at is not None or not authentication.needs_second_factor(roles)

    @property
    def organisation_ids(self) -> list[UUID]:
        """The ids of the organisations of `memberships`, each once; none for the province's office."""
        organisation_ids = (
            membership.organisation_id for membership in self.memberships if membership.organisation_id
        )
        return list(dict.fromkeys(organisation_ids))

    def as_actor(self) -> Actor:
        """The person as the actor of rules and journal entries, with `roles`, and with an organisation if
        `organisation_ids` has exactly one."""
        organisations = self.organisation_ids
        return Actor(
            self.account.kind,
            self.account.id,
            self.roles,
            organisations[0] if len(organisations) == 1 else None,
            self.account.name,
        )

    def doctor(self) -> Doctor:
        """The doctor to whom the account belongs, loaded once in a request. Raises ValueError for staff."""
        if "doctor" not in g:
            [(g.doctor,)] = _DOCTOR_STATEMENT.fetch_objects(Doctor, account=self.account.id)
        return g.doctor


def require(action: str) -> Callable[[ViewT], ViewT]:
    """Decorator: mark a view with the action that a person must be granted to open it, or with one of DOORS.
    Raises ValueError for anything else."""
    if action not in DOORS and action not in ACTION_ROLES:
        raise ValueError(f"neither an action nor a door: {action}")

    def mark_view(view: ViewT) -> ViewT:
        view.action = action  # type: ignore[attr-defined]
        return view

    return mark_view


def runs_unattended(view: ViewT) -> ViewT:
    """Decorator: mark a view that open pages ask for by themselves, so that asking does not count as use of
    the session, which otherwise would never be idle."""
    view.is_unattended = True  # type: ignore[attr-defined]
    return view


def required_action(endpoint: str) -> str | None:
    """The action or door with which the view of an endpoint is marked; None if it isn't marked. Raises
    KeyError if no view has that endpoint."""
    return getattr(current_app.view_functions[endpoint], "action", None)


def current_grant() -> Grant:
    """Whose records the current user reaches with the action of the requested view; nobody's for a view with
    a door or without a mark. Computed once in a request."""
    if "grant" not in g:
        action = required_action(request.endpoint or "")
        g.grant = Grant() if action is None or action in DOORS else current_user.grant(action)
    return g.grant


def is_granted(action: str) -> bool:
    """For templates, as `granted`: whether somebody is signed in and is granted `action`. Raises KeyError for
    an unknown action."""
    return current_user.is_authenticated and current_user.may(action)


def can_make(transition: str, row: Stateful) -> bool:
    """For templates, as `can`: whether the state of `row` and the roles of the current user allow the
    transition called `transition`. The page has fetched the row within the grant of its view; the
    transition's own checks (a second person, a phase) may still refuse. Raises KeyError if rows of this class
    have no such transition."""
    return state_machine.can_by_name(row, transition, _current_actor())


def _current_actor() -> Actor:
    """The current user, in a province or on the platform, as an actor; computed once in a request."""
    if "actor" not in g:
        if current_user.is_authenticated:
            g.actor = current_user.as_actor()
        else:
            g.actor = Actor("operator" if g.get("operator") else "anonymous")
    return g.actor


def set_session_cookie(response: AnyResponse, token: str) -> None:
    """Put the token of a session of the province, or of the platform, into its cookie, and make the CSRF
    token of forms that are open already invalid."""
    rotate_csrf_token()
    set_cookie(response, "", token)


def rotate_csrf_token() -> None:
    """Make the CSRF token of forms already open invalid, because another person uses the
    browser now, or may next."""
    session.pop(FORM_FIELD, None)
    g.pop(FORM_FIELD, None)


def sign_in(response: AnyResponse, account: Account, *, second_factor_shown: bool = False) -> None:
    """Start a session, which locks the account and journals the sign-in, put its token into the cookie, and
    end the session that this browser had. `second_factor_shown`: the second factor was just checked. The
    device becomes known for the account, unless a second factor must still be shown. The account's display
    mode is used in the browser; if the account has none, the browser's is stored in it."""
    if current_user.is_authenticated:
        sign_in_sessions.end_session(current_user.session)
    device = describe_device(request.user_agent.string)
    set_session_cookie(
        response,
        sign_in_sessions.start_session(account, device, second_factor_shown=second_factor_shown),
    )
    if second_factor_shown or not _needs_second_factor(account):
        remember_device(response, account.login_index)
    _carry_display_mode(response, account)


def _needs_second_factor(account: Account) -> bool:
    """Whether one of the roles of an account, wherever it is held, needs a second factor."""
    roles = frozenset(membership.role for membership in _memberships_of(account))
    return authentication.needs_second_factor(roles)


def _memberships_of(account: Account) -> list[Membership]:
    """All roles of an account with their organisations; none of a doctor's."""
    return authentication.memberships_of(account.id) if account.kind == "staff" else []


def _carry_display_mode(response: AnyResponse, account: Account) -> None:
    """Store the browser's display mode in an account that has none, else send the account's to the
    browser."""
    display_mode = request.cookies.get(cookie_name("display"))
    if account.display is None and display_mode in DISPLAY_MODES:
        account.display = display_mode
    elif account.display and account.display != display_mode:
        set_cookie(
            response,
            "display",
            account.display,
            DISPLAY_COOKIE_SECONDS,
        )


@contextmanager
def log_failures(verb: str, login_index: bytes, by: Actor, *fields: str) -> Iterator[None]:
    """Write a journal entry with `verb` if the block raises InvalidInput (if `fields` are given, only for one
    of these fields) or RateLimited; the exception is raised again. The entry stays though the request is
    rolled back; of many in a minute only some are written (`failed_attempts.record_attempt`). `login_index`:
    of the account, or of what was typed for one; `by`: who acts, as far as that is proven."""
    try:
        yield
    except RateLimited:
        failed_attempts.record_attempt(login_index, verb, by=by, held=True)
        raise
    except InvalidInput as refusal:
        if not fields or refusal.field in fields:
            failed_attempts.record_attempt(login_index, verb, by=by)
        raise


def log_refused_access() -> None:
    """Write a journal entry, which outlasts the rollback of the request, that the current user was refused
    this page; of many in a minute only some are written, and none if nobody is signed in."""
    if current_user.is_authenticated:
        request_details = {
            "method": request.method,
            "endpoint": request.endpoint,
            "path": request.path[:MAX_PATH_LENGTH],
        }
        failed_attempts.record_attempt(
            current_user.account.login_index,
            "access_refused",
            by=current_user.as_actor(),
            **request_details,
        )


def install(app: Flask) -> None:
    """Load the user from the cookie, and check each view's action before it runs."""
    LoginManager(app).request_loader(_load_user)
    app.before_request(_guard_view)
    app.after_request(_note_session_use)


def _load_user(_request: Any) -> CurrentUser | None:
    """The user of the session whose token is in the province's cookie, with the roles held at the place that
    the cookie PLACE_COOKIE names, at which the request acts from now on; None if there is no valid session,
    or the request is in no province. Called by flask_login once in a request; sends queries."""
    token = request.cookies.get(cookie_name())
    if not token or not isinstance(request.environ.get(PROVINCE_KEY), Province):
        return None
    session_and_account = sign_in_sessions.load_session(token)
    if session_and_account is None:
        return None
    session, account = session_and_account
    memberships = _memberships_of(account)
    choose_place(request.cookies.get(cookie_name(PLACE_COOKIE), ""))
    return CurrentUser(account, session, at_current_place(memberships), memberships)


def _guard_view() -> AnyResponse | None:
    """Return None if the user may open the view, else a redirect to the sign-in page or to the page of the
    second factor. Raises Forbidden if the view isn't for this user, or nobody is signed in and a first
    password is still to be set (`_sign_in_first`)."""
    if _is_open_without_session(request.endpoint):
        return None
    if not current_user.is_authenticated:
        return _sign_in_first()
    return _guard_action(required_action(request.endpoint or ""))


def _is_open_without_session(endpoint: str | None) -> bool:
    """Whether the view of an endpoint (None: there is no such page) needs no session of a province. For a
    request outside provinces the guard of the view's blueprint decides."""
    if endpoint is None or endpoint == "static":
        return True
    return PROVINCE_KEY not in request.environ or required_action(endpoint) in OPEN_WITHOUT_SESSION


def _sign_in_first() -> AnyResponse:
    """A redirect to the sign-in page. Raises Forbidden if the browser still has a ticket to set a first
    password."""
    if cookie_name("ticket") in request.cookies:
        raise Forbidden("您还没有设置新密码，请先返回登录页登录，按提示设置后再使用。")
    return _redirect_to_sign_in()


def _guard_action(action: str | None) -> AnyResponse | None:
    """Return None if a user who is signed in may open a view with `action` (None: a view that names none,
    which nobody may open), or a redirect to the page of the second factor if that is still to be shown.
    Raises Forbidden."""
    if action == BEFORE_SECOND_FACTOR:
        return None
    if not current_user.is_second_factor_shown:
        return redirect(url_for("account.second_factor"))
    if action is None or not current_user.may(action):
        raise Forbidden
    return None


def _note_session_use(response: Response) -> Response:
    """Store after the request, at most every LAST_SEEN_INTERVAL_SECONDS, that the session was used, unless
    the view runs unattended or nobody is signed in. Returns the response as it is."""
    view = current_app.view_functions.get(request.endpoint or "")
    if getattr(view, "is_unattended", False):
        return response
    if "_login_user" in g and g._login_user.is_authenticated:
        _update_last_seen(g._login_user.session, response)
    return response


def _update_last_seen(session: SignInSession, response: Response) -> None:
    """Store that a session was used now, at most every LAST_SEEN_INTERVAL_SECONDS. After a request that
    changed something the request's commit stores it, which comes later; after one that only read or was
    refused, a transaction of its own."""
    if (clock.now() - session.seen_at).total_seconds() <= LAST_SEEN_INTERVAL_SECONDS:
        return
    if request.method not in SAFE_METHODS and response.status_code < 400:
        session.seen_at = clock.now()
        return
    with read_write_transactions(), db.engine.begin() as connection:
        connection.execute(
            update(SignInSession)
            .where(
                SignInSession.tenant_id == current_tenant(),
                SignInSession.id == session.id,
            )
            .values(seen_at=clock.now())
        )


def _redirect_to_sign_in() -> AnyResponse:
    """A redirect to the sign-in page, of staff for pages of the console, else of doctors. After signing in
    the user returns to the requested page or, in the console, to the page whose form was sent, and
    static/js/restore-form-input.js fills in what was typed."""
    staff = 1 if request.path.startswith("/office") else None
    if _is_page_request():
        asked_page = request.full_path.rstrip("?")
        return redirect(url_for("public.login", staff=staff, next=asked_page))
    form_page = _form_page_path() if staff else None
    address = url_for("public.login", staff=staff, ended=1, next=form_page)
    return redirect(address, 303)


def _is_page_request() -> bool:
    """Whether the browser, not a script, requested a page."""
    return request.method == "GET" and not request.headers.get("X-Requested-With")


def _form_page_path() -> str | None:
    """The path of the console's page from which a form was sent, according to the Referer header; None if it
    names none or another site's."""
    referrer = urlsplit(request.referrer or "")
    inside = referrer.netloc == request.host and referrer.path.startswith(f"{request.script_root}/office")
    if not inside:
        return None
    path = referrer.path.removeprefix(request.script_root)
    return f"{path}?{referrer.query}" if referrer.query else path
