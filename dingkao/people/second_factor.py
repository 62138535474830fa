"""The second factor of an account: a TOTP secret (动态口令), bound once, and codes that are valid once
each."""

import hmac

import pyotp

from dingkao import clock
from dingkao.errors import InvalidInput, InvalidState
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.account_queries import get_account_for_update
from dingkao.people.models import Account, SignInSession
from dingkao.people.sign_in_sessions import rotate_token
from dingkao.tenants.encryption import (
    SecretLocation,
    current_vault,
    normalise_text,
)

STEP_SECONDS = 30
"""The time step of RFC 6238 that authenticator apps assume."""
ACCEPTED_STEPS = (0, -1, 1)
"""Of which time steps a code may be, counted from the present one."""


def requires_setup_link(account: Account) -> bool:
    """Whether the second factor can only be bound with the link sent to the account's mobile number
    (administrators). An administrator appointed before such links existed has no number stored: False."""
    return account.mobile_index is not None


def confirm_second_factor(
    account: Account,
    session: SignInSession,
    offered: str | None,
    code: str,
) -> str:
    """Check a TOTP code for a session, note in it that the factor was shown, journal that, and return the
    session's new token; locks the account. A code is valid once, even if several sessions send it at the same
    time. If the account has no secret, `offered` (the secret that the page has shown, None: none) is bound,
    unless the account needs a setup link. The caller throttles attempts (SignInThrottle).

    Raises InvalidInput for the field `code`, InvalidState if there is no secret."""
    account = get_account_for_update(account.id)
    location = SecretLocation("account", "second_factor", account.id)
    secret = _second_factor_secret(account, location, offered)
    counter = matching_counter(secret, code)
    if counter is None or counter <= account.second_factor_counter:
        raise InvalidInput("动态口令不正确或已用过，请等待下一个6位数字。", "code")
    if account.second_factor_sealed is None:
        account.second_factor_sealed = current_vault().encrypt(location, secret)
    account.second_factor_counter = counter
    session.second_factor_at = clock.now()
    journal.write_entry(
        "account",
        account.id,
        "second_factor",
        by=Actor(account.kind, account.id),
    )
    return rotate_token(session)


def _second_factor_secret(account: Account, location: SecretLocation, offered: str | None) -> str:
    """The TOTP secret bound to the account, else `offered` if it may be bound on a page. Raises
    InvalidState."""
    if account.second_factor_sealed is not None:
        return current_vault().decrypt(location, account.second_factor_sealed)
    if offered is None or requires_setup_link(account):
        raise InvalidState("该账号尚未绑定动态口令。")
    return offered


def matching_counter(secret: str, code: str) -> int | None:
    """The number of the time step for which `code` is right, one of ACCEPTED_STEPS; None for a wrong code.
    Full-width digits and blanks in the code are accepted."""
    totp, typed_code = pyotp.TOTP(secret), normalise_text(code).encode()
    present_step = int(clock.now().timestamp()) // STEP_SECONDS
    for counter in (present_step + offset for offset in ACCEPTED_STEPS):
        if hmac.compare_digest(totp.generate_otp(counter).encode(), typed_code):
            return counter
    return None
