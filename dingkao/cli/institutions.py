"""`dingkao institutions import SLUG FILE`."""

from pathlib import Path

import click

from dingkao.cli.context import (
    exit_with_status,
    in_province_context,
    print_result,
)
from dingkao.database.base import db
from dingkao.errors import Refusal
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people.institution_imports import import_institutions


@click.group("institutions")
def command() -> None:
    """医疗、预防、保健机构."""


@command.command("import")
@click.argument("slug")
@click.argument(
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
def import_(slug: str, file: Path, as_json: bool) -> None:
    """把机构导入省份 SLUG;可重复执行."""
    with in_province_context(slug, must_be_open=True):
        try:
            report = import_institutions(file.read_bytes(), by=TERMINAL_ACTOR)
        except Refusal as refusal:
            raise click.ClickException(refusal.message) from refusal
        db.session.commit()
    lines = [
        (
            f"新增 {report.accepted}，更新 {report.changed}，未变 {report.unchanged}，拒绝 "
            f"{len(report.errors)}，提醒 {len(report.warnings)}"
        )
    ]
    lines += [f"第{fault.row}行 {fault.column}：{fault.reason}。{fault.remedy}" for fault in report.errors]
    lines += [
        f"提醒 第{fault.row}行 {fault.column}：{fault.reason}。{fault.remedy}" for fault in report.warnings
    ]
    print_result(report.as_dict(), as_json, "\n".join(lines))
    exit_with_status(len(report.errors))
