"""`dingkao questions import SLUG FILE`."""

from pathlib import Path

import click

from dingkao.cli.surroundings import answer, inside, leave
from dingkao.database.model import db
from dingkao.errors import Refusal
from dingkao.exams.importing import import_questions
from dingkao.journal.writing import TERMINAL


@click.group("questions")
def command() -> None:
    """题库."""


@command.command("import")
@click.argument("slug")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--bank", help="题库名称,默认为文件名;没有则新建")
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
def import_(slug: str, file: Path, bank: str | None, as_json: bool) -> None:
    """把试题导入省份 SLUG 的题库;可重复执行."""
    with inside(slug, opened=True):
        try:
            report = import_questions(file.read_bytes(), bank=bank or file.stem, by=TERMINAL)
        except Refusal as refusal:
            raise click.ClickException(refusal.sentence) from refusal
        db.session.commit()
    lines = [f"新增 {report.accepted},更新 {report.changed},未变 {report.unchanged},拒绝 {len(report.errors)},提醒 {len(report.warnings)}"]
    lines += [f"第{fault.row}行 {fault.column}: {fault.reason}。{fault.remedy}" for fault in report.errors]
    lines += [f"提醒 第{fault.row}行 {fault.column}: {fault.reason}。{fault.remedy}" for fault in report.warnings]
    answer(report.as_dict(), as_json, "\n".join(lines))
    leave(len(report.errors))
