"""`dingkao accounts`: lists the accounts of the demonstration; `--fill` fills its provinces first."""

from typing import Any

import click
import pyotp
from flask import Flask

from dingkao.cli.context import (
    application,
    print_result,
    province_by_slug,
)
from dingkao.cli.process_settings import settings
from dingkao.database.base import db
from dingkao.demonstration.seed import (
    PASSWORD,
    list_accounts,
    seed_province,
)
from dingkao.operators import operator_accounts
from dingkao.people.passwords import INITIAL_PASSWORD
from dingkao.people.provinces import served_province_codes
from dingkao.tenants.context import in_tenant
from dingkao.tenants.registry import Province, by_slug

SLUGS = ("shanxi", "henan")
OPERATOR = "yunying"


def _first_sign_in_hint(account: dict[str, str]) -> str:
    """Returns, for an account that was never opened, the mobile number that gets the code of the first
    sign-in, or that there is none; "" for an opened account."""
    if account["password"] != INITIAL_PASSWORD:
        return ""
    return (
        f"手机号码 {account['mobile']}" if account.get("mobile") else "名单无手机号码，凭一次性代码首次登录"
    )


@click.command("accounts")
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
@click.option("--fill", is_flag=True, help="先填充演示省份")
def command(as_json: bool, fill: bool) -> None:
    """列出演示省份的账号、密码和当前动态口令."""
    if not settings().demonstration:
        raise click.ClickException("这不是演示环境，不列出账号。")
    with application() as app:
        if fill:
            _fill_demonstration(app)
        codes = served_province_codes()
        operator_secret = operator_accounts.second_factor_secret(OPERATOR)
        accounts = [_operator_account(operator_secret)] if operator_secret else []
        for slug in SLUGS:
            named_province = by_slug(slug)
            if named_province is not None and named_province.code in codes:
                accounts += _province_accounts(app, named_province)
    print_result(
        {"accounts": accounts},
        as_json,
        "\n".join(map(_account_line, accounts)),
    )


def _fill_demonstration(app: Flask) -> None:
    """Create the demonstration operator and the contents of the demonstration provinces; commits each."""
    if operator_accounts.second_factor_secret(OPERATOR) is None:
        operator_accounts.create_operator(OPERATOR, "平台运营")
        operator_accounts.set_demonstration_credentials(OPERATOR, PASSWORD, pyotp.random_base32())
    for slug in SLUGS:
        province = province_by_slug(slug)
        with app.app_context(), in_tenant(province.code):
            seed_province(province)
            db.session.commit()


def _operator_account(secret: str) -> dict[str, Any]:
    """Returns the demonstration's operator in the form of `_province_accounts`; `secret` is that of the
    second factor."""
    return {
        "province": "platform",
        "role": "平台运营",
        "user_name": OPERATOR,
        "password": PASSWORD,
        "code": pyotp.TOTP(secret).now(),
    }


def _province_accounts(app: Flask, province: Province) -> list[dict[str, Any]]:
    """Returns the accounts of the demonstration in a province as dicts of their attributes, with its slug as
    `province`."""
    with app.app_context(), in_tenant(province.code):
        return [{"province": province.slug, **account.__dict__} for account in list_accounts(province)]


def _account_line(account: dict[str, Any]) -> str:
    """Returns an account's line for people: address of its sign-in page, role, user name, password, and code
    or hint."""
    is_operator = account["province"] == "platform"
    page = "platform/sign-in" if is_operator else f"{account['province']}/login"
    is_staff = not account["role"].startswith(("医师", "平台"))
    address = f"{settings().public_url}/{page}{'?staff=1' if is_staff else ''}"
    code = account["code"] or _first_sign_in_hint(account)
    return f"{address}  {account['role']:<10} {account['user_name']:<20} {account['password']}  {code}"
