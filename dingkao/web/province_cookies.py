"""Cookies of a province: their names, and how they are set."""

from flask import request
from werkzeug.wrappers import Response as AnyResponse

from dingkao.config import AppConfig
from dingkao.tenants.middleware import PROVINCE_KEY
from dingkao.tenants.registry import Province


def cookie_name(kind: str = "", elsewhere: Province | None = None) -> str:
    """The name of the cookie `kind` ("" for the session) of the current province, or of `elsewhere`; outside
    provinces of the platform. It begins with `__Host-` unless the configuration allows plain http."""
    prefix = "" if AppConfig.current().plain_http else "__Host-"
    province = elsewhere or request.environ.get(PROVINCE_KEY)
    slug = province.slug if isinstance(province, Province) else "platform"
    return f"{prefix}dk-{slug}{'-' + kind if kind else ''}"


def set_cookie(
    response: AnyResponse,
    kind: str,
    value: str,
    seconds: int | None = None,
) -> None:
    """Set the cookie `kind` of this province, or outside provinces of the platform: HttpOnly (unreadable for
    scripts), SameSite=Lax (not sent with another site's forms), and Secure unless plain http is allowed.
    `seconds`: how long the browser keeps it, None until it is closed."""
    secure = not AppConfig.current().plain_http
    response.set_cookie(
        cookie_name(kind),
        value,
        max_age=seconds,
        secure=secure,
        httponly=True,
        samesite="Lax",
        path="/",
    )
