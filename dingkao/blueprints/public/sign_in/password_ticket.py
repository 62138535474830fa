"""The ticket with which a browser may set a password, after the initial password or a one-time code was
accepted."""

import hashlib
import secrets
from dataclasses import dataclass
from uuid import UUID

from flask import current_app, request
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.wrappers import Response

from dingkao.errors import InvalidInput
from dingkao.people.account_queries import find_account
from dingkao.people.authentication import SignInResult
from dingkao.people.models import Account
from dingkao.tenants.context import current_tenant
from dingkao.tenants.keys import cache_key
from dingkao.web.province_cookies import cookie_name, set_cookie
from dingkao.web.request_lifecycle import limit_key

PASSWORD_TICKET_SECONDS = 600
TICKET_EXPIRED_MESSAGE = "登录步骤已超过10分钟，请重新登录后继续，已填写的密码没有保存。"
PASSWORD_ALREADY_SET_MESSAGE = "密码已经设置过，请用新密码登录。"  # noqa: S105


@dataclass(frozen=True)
class PasswordTicket:
    """The right to set the password of `account` once. `by_code`: it was given for a one-time code, not the
    initial password; `number`: identifies the ticket."""

    account: Account
    by_code: bool
    number: str


def ticket_rate_limit_key() -> str:
    """The key of the page's rate limit: for each ticket, because a whole hospital sets passwords behind one
    address; requests without one count together."""
    return limit_key(hashlib.sha256(_ticket_cookie().encode()).hexdigest())


def set_ticket_cookie(response: Response, result: SignInResult) -> None:
    """Give the browser a single-use ticket, valid for 10 minutes, with which it may set the password of the
    account in `result`, which is not signed in by it."""
    ticket = [
        str(result.account.id),
        result.by_code,
        secrets.token_hex(8),
    ]
    set_cookie(
        response,
        "ticket",
        _ticket_signer().dumps(ticket),
        PASSWORD_TICKET_SECONDS,
    )


def current_ticket() -> PasswordTicket:
    """The browser's ticket, if it is of this province, not older than 10 minutes, unused, and the account's
    password may still be set with it. The account is locked in a POST. Raises InvalidInput with the reason
    for any other, also for none."""
    account_id, by_code, number = _read_ticket_cookie()
    account = find_account(UUID(account_id), for_update=request.method == "POST")
    if account is None or not _may_set_password(account, by_code=by_code):
        raise InvalidInput(PASSWORD_ALREADY_SET_MESSAGE)
    if current_app.extensions["redis"].exists(_used_ticket_key(number)):
        raise InvalidInput(PASSWORD_ALREADY_SET_MESSAGE)
    return PasswordTicket(account, by_code, number)


def _read_ticket_cookie() -> tuple[str, bool, str]:
    """The account's id, whether a one-time code was shown, and the ticket's number. Raises InvalidInput."""
    try:
        account_id, by_code, number = _ticket_signer().loads(
            _ticket_cookie(), max_age=PASSWORD_TICKET_SECONDS
        )
    except (BadSignature, ValueError) as error:
        raise InvalidInput(TICKET_EXPIRED_MESSAGE) from error
    return account_id, by_code, number


def _may_set_password(account: Account, *, by_code: bool) -> bool:
    """Whether the credential is still valid: an active account has a password already, which only a one-time
    code may replace."""
    return account.state != "closed" and (account.state != "active" or by_code)


def use_up_ticket(ticket: PasswordTicket, response: Response) -> None:
    """Make the ticket invalid, whether the request is committed or not, and remove it from the browser."""
    current_app.extensions["redis"].set(_used_ticket_key(ticket.number), 1, ex=PASSWORD_TICKET_SECONDS)
    delete_ticket_cookie(response)


def delete_ticket_cookie(response: Response) -> None:
    """Remove the ticket from the browser."""
    response.delete_cookie(cookie_name("ticket"))


def _ticket_cookie() -> str:
    """The signed ticket in the browser's cookie; "" without one."""
    return request.cookies.get(cookie_name("ticket"), "")


def _ticket_signer() -> URLSafeTimedSerializer:
    """The signer of tickets of the current province, which accepts no other province's."""
    return URLSafeTimedSerializer(
        current_app.secret_key or "",
        salt=f"first-password-{current_tenant()}",
    )


def _used_ticket_key(number: str) -> str:
    """The key in the cache that exists once the ticket with this number is used."""
    return cache_key("ticket-spent", number)
