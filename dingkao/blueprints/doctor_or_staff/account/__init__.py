"""Pages of the own account: second factor, password, mobile number, sessions on devices, WeChat, signing
out."""

from dingkao.blueprints.doctor_or_staff.account import (
    code_page,
    mobile_change,
    overview,
    password_change,
    sessions_page,
    wechat_binding,
)
from dingkao.blueprints.doctor_or_staff.account.blueprint import (
    account,
)

__all__ = [
    "account",
    "code_page",
    "mobile_change",
    "overview",
    "password_change",
    "sessions_page",
    "wechat_binding",
]
