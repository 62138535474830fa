"""`dingkao province open SLUG` and `dingkao province list`."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

import click
from flask import current_app

from dingkao.cli.context import (
    application,
    in_province_context,
    print_result,
    refusals_as_click_errors,
)
from dingkao.database.base import db
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people import administrator_invitations
from dingkao.people.authentication import masked_bound_mobile
from dingkao.people.models import Account
from dingkao.people.provinces import open_province, province_states
from dingkao.tenants.registry import PROVINCES

ADMIN_HELP = "省级管理员的姓名和本人手机号码，最多两位；也可以以后在 /platform 任命"
NO_ADMINISTRATOR_MESSAGE = "还没有管理员：请用 --admin 姓名：手机 再次执行，或在 /platform 任命。"


@click.group("province")
def command() -> None:
    """省份."""


@command.command("open")
@click.argument("slug")
@click.option(
    "--admin",
    "admins",
    multiple=True,
    metavar="姓名：手机",
    help=ADMIN_HELP,
)
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
def open_(slug: str, admins: tuple[str, ...], as_json: bool) -> None:
    """开通省份 SLUG，把设置链接发到管理员的手机；可重复执行."""
    started = time.monotonic()
    administrators = [_parse_administrator(text) for text in admins]
    with in_province_context(slug) as province:
        with refusals_as_click_errors():
            opening = open_province(
                province,
                by=TERMINAL_ACTOR,
                administrators=administrators,
            )
        db.session.commit()
        current_app.extensions["background_sms"].wait_until_sent()
        is_link_unsent = _is_link_unsent(opening.administrators)
        administrator_rows = [_administrator_row(account) for account in opening.administrators]
    if is_link_unsent:
        click.echo(
            f"注意：{administrator_invitations.NO_TEMPLATE_MESSAGE}",
            err=True,
        )
    lines = [_administrator_line(row, is_link_unsent=is_link_unsent) for row in administrator_rows]
    sentence = "\n".join(
        [
            f"{province.name}已开通（{time.monotonic() - started:.1f} s）。",
            *(lines or [NO_ADMINISTRATOR_MESSAGE]),
        ]
    )
    print_result(
        {
            "slug": slug,
            "code": province.code,
            "administrators": administrator_rows,
        },
        as_json,
        sentence,
    )


def _is_link_unsent(administrators: Iterable[Account]) -> bool:
    """Returns whether one of the administrators still needs a link to set a password, and none can be
    sent."""
    return administrator_invitations.link_sending_blocked() and any(
        administrator.state == "initial" for administrator in administrators
    )


def _administrator_row(administrator: Account) -> dict[str, Any]:
    """Returns an administrator as JSON values."""
    return {
        "user_name": administrator.user_name,
        "name": administrator.name,
        "state": administrator.state,
        "mobile": masked_bound_mobile(administrator),
    }


def _administrator_line(row: Mapping[str, Any], *, is_link_unsent: bool) -> str:
    """Returns an administrator as one line for people; `row` is from `_administrator_row`."""
    link_text = (
        "设置链接没有发出"
        if is_link_unsent
        else f"设置链接已发送，{administrator_invitations.LINK_VALID_DAYS}天内有效"
    )
    words = {
        "initial": link_text,
        "active": "账号已启用",
        "closed": "账号已停用",
    }
    return f"管理员 {row['name']}（用户名 {row['user_name']}）：{words[str(row['state'])]}。"


def _parse_administrator(text: str) -> tuple[str, str]:
    """Returns name and mobile number of «姓名：手机». Raises click.BadParameter."""
    name, _, mobile = text.replace("：", ":").rpartition(":")
    if not name.strip() or not mobile.strip():
        raise click.BadParameter(f"“{text}”请写成 姓名：手机，如 王卫国：13800000000。")
    return name.strip(), mobile.strip()


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
def list_(as_json: bool) -> None:
    """列出全部省份及其状态."""
    with application():
        states = province_states()
    province_rows = [
        {
            "code": p.code,
            "slug": p.slug,
            "name": p.name,
            "state": states.get(p.code, "unopened"),
        }
        for p in PROVINCES
    ]
    words = {
        "open": "已开通",
        "closed": "已停用",
        "unopened": "未开通",
    }
    lines = [
        (
            f"{province_row['code']:>4}  {province_row['slug']:<14}{province_row['name']}  "
            f"{words[str(province_row['state'])]}"
        )
        for province_row in province_rows
    ]
    print_result({"provinces": province_rows}, as_json, "\n".join(lines))
