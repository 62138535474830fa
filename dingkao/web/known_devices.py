"""Devices on which accounts have signed in before, remembered in a signed cookie. On an unknown device the
sign-in throttle is stricter."""

import secrets

from flask import current_app, request
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.wrappers import Response as AnyResponse

from dingkao.tenants.middleware import PROVINCE_KEY
from dingkao.tenants.registry import Province
from dingkao.web.province_cookies import cookie_name, set_cookie

DEVICE_COOKIE_SECONDS, MAX_ACCOUNTS_PER_DEVICE = 180 * 86400, 5


def remember_device(response: AnyResponse, index: bytes) -> None:
    """Make this device known for the account with the login index `index`, because everything needed to sign
    in was shown on it, by a cookie on `response`. The latest MAX_ACCOUNTS_PER_DEVICE accounts are
    remembered."""
    device, known_accounts = _device_cookie_data()
    own_digest = _short_digest(index)
    other_digests = [digest for digest in known_accounts if digest != own_digest]
    accounts = [own_digest, *other_digests][:MAX_ACCOUNTS_PER_DEVICE]
    set_cookie(
        response,
        "device",
        _device_cookie_signer().dumps([device, accounts]),
        DEVICE_COOKIE_SECONDS,
    )


def device_name_if_known(index: bytes) -> str | None:
    """The name of this device if it is remembered that the account with the login index `index` has signed in
    on it; else None."""
    device, known_accounts = _device_cookie_data()
    return device if _short_digest(index) in known_accounts else None


def device_name() -> str | None:
    """The random name of this device, from its cookie; None if it has no cookie. For a forged or expired
    cookie a new name each time, which is stored nowhere."""
    return _device_cookie_data()[0] if cookie_name("device") in request.cookies else None


def _device_cookie_data() -> tuple[str, list[str]]:
    """The device's name and the digests of its known accounts, the latest first, from the cookie; a new
    random name, not stored here, and no accounts without a valid cookie."""
    try:
        device, known_accounts = _device_cookie_signer().loads(
            request.cookies.get(cookie_name("device"), ""),
            max_age=DEVICE_COOKIE_SECONDS,
        )
    except BadSignature:
        return secrets.token_hex(8), []
    return str(device), list(known_accounts)


def _device_cookie_signer() -> URLSafeTimedSerializer:
    """The signer of the device cookie of this province or of the platform."""
    province = request.environ.get(PROVINCE_KEY)
    province_key = province.code if isinstance(province, Province) else "platform"
    return URLSafeTimedSerializer(current_app.secret_key or "", salt=f"device-{province_key}")


def _short_digest(login_index: bytes) -> str:
    """The first 16 hexadecimal digits of a login index (a keyed hash), enough to tell accounts apart."""
    return bytes(login_index).hex()[:16]
