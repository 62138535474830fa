"""`dingkao operators add USER_NAME NAME` and `dingkao operators code USER_NAME`."""

import click

from dingkao.cli.surroundings import answer, application
from dingkao.errors import Refusal
from dingkao.operators import signing_in


@click.group("operators")
def command() -> None:
    """平台运营人员."""


@command.command("add")
@click.argument("user_name")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
def add(user_name: str, name: str, as_json: bool) -> None:
    """添加运营人员 USER_NAME(姓名 NAME),给出一次性代码;可重复执行."""
    _tell(lambda: signing_in.add(user_name, name), user_name, as_json)


@command.command("code")
@click.argument("user_name")
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
def code(user_name: str, as_json: bool) -> None:
    """给运营人员 USER_NAME 一个新的一次性代码;密码和动态口令随后重新设置."""
    _tell(lambda: signing_in.renew(user_name), user_name, as_json)


def _tell(issue: object, user_name: str, as_json: bool) -> None:
    with application():
        try:
            given = issue()  # type: ignore[operator]
        except Refusal as refusal:
            raise click.ClickException(refusal.sentence) from refusal
    answer({"user_name": user_name, "one_time_code": given}, as_json, f"{user_name} 的一次性代码 {given},3天内有效。请在 /platform/first 设置密码。")
