"""Binds a second factor on a page: the form carries the new secret, signed, until a code computed with it was
entered."""

from typing import Any

import pyotp
import segno
from flask import current_app
from itsdangerous import BadSignature, URLSafeTimedSerializer

OFFERED_SECRET_SECONDS = 1800


def offered_secret(form: Any, salt: str) -> str:
    """The TOTP secret in the form's hidden field `offer`, if it is signed and not older than
    OFFERED_SECRET_SECONDS; else a new one. It is put into the field, signed anew. `salt` names the account,
    so that the offer is valid for it only. Nothing is stored: binding it is the caller's."""
    offers = URLSafeTimedSerializer(current_app.secret_key or "", salt=salt)
    try:
        secret = str(offers.loads(form.offer.data or "", max_age=OFFERED_SECRET_SECONDS))
    except BadSignature:
        secret = pyotp.random_base32()
    form.offer.data = offers.dumps(secret)
    return secret


def qr_code_data_uri(secret: str, name: str, issuer: str) -> str:
    """The QR code that an authenticator app scans, as a data URI of an SVG image. `name`: the user name;
    `issuer`: what the app shows beside it."""
    return segno.make(otpauth_uri(secret, name, issuer), error="m").svg_data_uri(scale=4)


def otpauth_uri(secret: str, name: str, issuer: str) -> str:
    """The otpauth: URI that opens the authenticator app on the same phone. `name`: the user name; `issuer`:
    what the app shows beside it."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=issuer)
