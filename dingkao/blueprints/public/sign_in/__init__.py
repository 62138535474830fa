"""Pages before signing in: choosing the province, signing in, the first password, a forgotten password,
WeChat [S2 to S4]."""

from dingkao.blueprints.public.sign_in import (
    login,
    password_reset,
    password_setup,
    start,
    wechat,
)
from dingkao.blueprints.public.sign_in.blueprint import front, public

__all__ = [
    "front",
    "login",
    "password_reset",
    "password_setup",
    "public",
    "start",
    "wechat",
]
