"""What commands work in: the application, and a province."""

import getpass
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from flask import Flask

from dingkao.app import create_app
from dingkao.cli.process_settings import settings
from dingkao.errors import Refusal
from dingkao.integrations.spreadsheets.import_rows import (
    ImportReport,
    RowProblem,
)
from dingkao.people.provinces import province_states
from dingkao.tenants.clients import Client, acting_for
from dingkao.tenants.context import in_tenant
from dingkao.tenants.registry import Province, by_slug


@contextmanager
def application() -> Iterator[Flask]:
    """Create the application and enter its context. The journal names the terminal and its user as the
    client. Raises click.ClickException if no stack was ever started here, and what `settings` and
    `create_app` raise."""
    app = create_app(settings())
    with (
        app.app_context(),
        acting_for(Client(device=_terminal_client())),
    ):
        yield app


def _terminal_client() -> str:
    """Returns the text that names this terminal in the journal."""
    try:
        return f"命令行 · {getpass.getuser()}"
    except (OSError, KeyError):  # a user without a name
        return "命令行"


@contextmanager
def in_province_context(slug: str, *, must_be_open: bool = False) -> Iterator[Province]:
    """Enter the application and the province `slug`; nothing is committed. Raises click.BadParameter for an
    unknown slug, and what `application` raises; with `must_be_open`, click.ClickException for a province that
    was never opened or is suspended."""
    province = province_by_slug(slug)
    with application():
        if must_be_open:
            _require_open(province)
        with in_tenant(province.code):
            yield province


def province_by_slug(slug: str) -> Province:
    """Returns the province of a slug. Raises click.BadParameter for an unknown one."""
    province = by_slug(slug)
    if province is None:
        raise click.BadParameter(f"没有代号为 {slug} 的省份；dingkao province list 列出全部代号。")
    return province


def _require_open(province: Province) -> None:
    """Raises click.ClickException for a province that was never opened or is suspended."""
    state = province_states().get(province.code)
    if state is None:
        raise click.ClickException(
            f"{province.name}尚未开通。请先执行 dingkao province open {province.slug}。"
        )
    if state != "open":
        raise click.ClickException(f"{province.name}已停用。请先在平台的省份页恢复服务。")


@contextmanager
def refusals_as_click_errors() -> Iterator[None]:
    """Raise a Refusal of the block as click.ClickException, whose message click prints before it ends the
    command with status 1."""
    try:
        yield
    except Refusal as refusal:
        raise click.ClickException(refusal.message) from refusal


def print_import_report(report: ImportReport, *, as_json: bool) -> None:
    """Print the result of an import and the problems of its rows, and exit with status 2 if rows were
    refused."""
    counts = (
        f"新增 {report.accepted}，更新 {report.changed}，未变 {report.unchanged}，拒绝 "
        f"{len(report.errors)}，提醒 {len(report.warnings)}"
    )
    errors = [_problem_line(problem) for problem in report.errors]
    warnings = [f"提醒 {_problem_line(problem)}" for problem in report.warnings]
    print_result(
        report.as_dict(),
        as_json,
        "\n".join([counts, *errors, *warnings]),
    )
    exit_with_status(len(report.errors))


def _problem_line(problem: RowProblem) -> str:
    """Returns a row's problem as one line."""
    return f"第{problem.row}行 {problem.column}：{problem.reason}。{problem.remedy}"


def print_result(result: dict[str, Any], as_json: bool, message: str) -> None:
    """Print `result` as one JSON object if `as_json`, else `message`."""
    click.echo(json.dumps(result, ensure_ascii=False) if as_json else message)


def exit_with_status(refused_count: int) -> None:
    """Exit with status 2 if rows were refused."""
    if refused_count:
        sys.exit(2)
