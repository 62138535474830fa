"""`dingkao operators add USER_NAME NAME`, `code`, `close` and `reopen USER_NAME`, `list`."""

from collections.abc import Callable
from typing import Any

import click

from dingkao import clock
from dingkao.cli.context import (
    application,
    print_result,
    refusals_as_click_errors,
)
from dingkao.operators import operator_accounts
from dingkao.operators.operator_accounts import OperatorListEntry
from dingkao.people.models import ACCOUNT_STATES


@click.group("operators")
def command() -> None:
    """平台运营人员."""


@command.command("add")
@click.argument("user_name")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
def add(user_name: str, name: str, as_json: bool) -> None:
    """添加运营人员 USER_NAME(姓名 NAME),给出一次性代码;可重复执行."""
    _print_code(
        lambda: operator_accounts.create_operator(user_name, name),
        user_name,
        as_json,
    )


@command.command("code")
@click.argument("user_name")
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
def code(user_name: str, as_json: bool) -> None:
    """给运营人员 USER_NAME 一个新的一次性代码;密码和动态口令随后重新设置."""
    _print_code(
        lambda: operator_accounts.issue_code(user_name),
        user_name,
        as_json,
    )


@command.command("close")
@click.argument("user_name")
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
def close(user_name: str, as_json: bool) -> None:
    """停用运营人员 USER_NAME；立即退出登录，可重复执行."""
    with application(), refusals_as_click_errors():
        operator_accounts.close_operator(user_name)
    print_result(
        {"user_name": user_name, "state": "closed"},
        as_json,
        f"{user_name} 已停用。",
    )


@command.command("reopen")
@click.argument("user_name")
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
def reopen(user_name: str, as_json: bool) -> None:
    """恢复已停用的运营人员 USER_NAME，给出一次性代码；密码和动态口令重新设置."""
    _print_code(
        lambda: operator_accounts.reopen_operator(user_name),
        user_name,
        as_json,
    )


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
def list_(as_json: bool) -> None:
    """列出运营人员、状态和最近使用时间."""
    with application():
        operators = operator_accounts.list_operators()
    print_result(
        {"operators": [_operator_row(operator) for operator in operators]},
        as_json,
        "\n".join(map(_operator_line, operators)),
    )


def _operator_row(operator: OperatorListEntry) -> dict[str, Any]:
    """Returns an operator as JSON values."""
    closes_on = operator.closes_on
    return {
        "user_name": operator.user_name,
        "name": operator.name,
        "state": operator.state,
        "used_at": operator.used_at.isoformat() if operator.used_at else None,
        "closes_on": clock.to_beijing(closes_on).date().isoformat() if closes_on else None,
    }


def _operator_line(operator: OperatorListEntry) -> str:
    """Returns an operator as one line for people."""
    state = ACCOUNT_STATES[operator.state]
    return f"{operator.user_name:<20} {operator.name}  {state}  {_use_text(operator)}"


def _use_text(operator: OperatorListEntry) -> str:
    """Returns when an operator was last active, and when the account will be closed for disuse."""
    parts = ["未使用过"]
    if operator.used_at:
        parts = [f"最近使用 {clock.to_beijing(operator.used_at):%Y-%m-%d %H:%M}"]
    if operator.closes_on:
        parts.append(f"将于 {clock.to_beijing(operator.closes_on):%Y-%m-%d} 自动停用")
    return "，".join(parts)


def _print_code(issue: Callable[[], str], user_name: str, as_json: bool) -> None:
    """Print the one-time code that `issue` returns. Raises click.ClickException for a refusal."""
    with application(), refusals_as_click_errors():
        issued = issue()
    print_result(
        {"user_name": user_name, "one_time_code": issued},
        as_json,
        f"{user_name} 的一次性代码 {issued}，{operator_accounts.CODE_VALID_DAYS}天内有效。"
        "请在 /platform/first 设置密码。",
    )
