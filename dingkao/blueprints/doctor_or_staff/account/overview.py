"""The page 账号与安全, which leads to all others of the account."""

from collections.abc import Sequence

from flask import render_template
from flask_login import current_user

from dingkao import clock
from dingkao.assessments import doctor_codes
from dingkao.blueprints.doctor_or_staff.account.blueprint import (
    account,
    masked_mobile,
)
from dingkao.blueprints.public.sign_in.wechat import wechat_for_sign_in
from dingkao.people import sign_in_sessions
from dingkao.people.accounts import PROVINCE_ADMIN
from dingkao.people.models import Account, OneTimeCode
from dingkao.people.name_lookups import account_name
from dingkao.web.access_control import require


@account.get("/account")
@require("account.manage_own")
def show() -> str:
    """The page 账号与安全: what is bound, one-time codes issued, sessions."""
    own_account = current_user.account
    codes = _issued_codes(own_account)
    return render_template(
        "account/account.html",
        codes=codes,
        issuers={code.issued_by: account_name(code.issued_by) for code in codes},
        now=clock.now(),
        doctor=own_account.kind == "doctor",
        mobile=masked_mobile(),
        sessions=len(sign_in_sessions.live_sessions(own_account.id)),
        with_wechat=_has_wechat_page(own_account),
        bound=own_account.wechat_index is not None,
        administrator=PROVINCE_ADMIN in current_user.roles,
    )


def _issued_codes(own_account: Account) -> Sequence[OneTimeCode]:
    """The one-time codes issued to a doctor; none for staff."""
    return doctor_codes.issued_codes(own_account.id) if own_account.kind == "doctor" else []


def _has_wechat_page(own_account: Account) -> bool:
    """Whether the account is bound to WeChat, or may be."""
    if own_account.kind != "doctor":
        return False
    return wechat_for_sign_in() is not None or own_account.wechat_index is not None
