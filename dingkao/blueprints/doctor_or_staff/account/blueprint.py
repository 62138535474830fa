"""The blueprint of the own account's pages, and what several of them use."""

from contextlib import AbstractContextManager

from flask_login import current_user

from dingkao.people import authentication, identity_numbers
from dingkao.web.access_control import log_failures
from dingkao.web.province_blueprint import province_blueprint
from dingkao.web.request_lifecycle import limit_key

account = province_blueprint("account")


def account_rate_limit_key() -> str:
    """Rate limits against guessing the own password count each account, from all addresses."""
    return limit_key(f"account-{current_user.id}" if current_user.is_authenticated else None)


def log_wrong_credentials(
    *fields: str,
) -> AbstractContextManager[None]:
    """Write a journal entry if the block raises InvalidInput for one of `fields`, or RateLimited."""
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
