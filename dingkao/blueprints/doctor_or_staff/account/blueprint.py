"""The blueprint of the own account's pages, and what several of them use."""

from contextlib import AbstractContextManager

from flask_login import current_user

from dingkao.people import authentication, identity_numbers
from dingkao.web.access_control import log_failures
from dingkao.web.province_blueprint import province_blueprint
from dingkao.web.request_lifecycle import limit_key

account = province_blueprint("account")


def account_rate_limit_key() -> str:
    """The key of rate limits against guessing the own password: for each account, from all addresses; if
    nobody is signed in, for each network."""
    return limit_key(f"account-{current_user.id}" if current_user.is_authenticated else None)


def log_wrong_credentials(
    *fields: str,
) -> AbstractContextManager[None]:
    """Write a journal entry, which stays after the rollback, if the block raises InvalidInput for one of
    `fields`, or RateLimited; the exception is raised again."""
    return log_failures(
        "password_failed",
        current_user.account.login_index,
        current_user.as_actor(),
        *fields,
    )


def masked_mobile() -> str | None:
    """The bound mobile number as 138****1234; None if none is bound."""
    mobile = authentication.bound_mobile(current_user.account)
    return identity_numbers.mask_number(mobile) if mobile else None
