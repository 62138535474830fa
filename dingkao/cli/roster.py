"""`dingkao roster import SLUG FILE`."""

from pathlib import Path

import click

from dingkao.assessments.enrolment import enrol
from dingkao.cli.surroundings import answer, inside, leave
from dingkao.cycles.opening import current_cycle
from dingkao.database.model import db
from dingkao.doctors.roster import import_roster
from dingkao.errors import Refusal
from dingkao.journal.writing import TERMINAL


@click.group("roster")
def command() -> None:
    """医师名单."""


@command.command("import")
@click.argument("slug")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="只检查,不写入")
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
def import_(slug: str, file: Path, dry_run: bool, as_json: bool) -> None:
    """把名单导入省份 SLUG;可重复执行."""
    with inside(slug, opened=True):
        try:
            report = import_roster(file.read_bytes(), by=TERMINAL, dry_run=dry_run)
        except Refusal as refusal:
            raise click.ClickException(refusal.sentence) from refusal
        if not dry_run and (cycle := current_cycle()):
            enrol(cycle)
        db.session.commit()
    result = report.as_dict()
    lines = [f"新增 {report.accepted},更新 {report.changed},未变 {report.unchanged},拒绝 {len(report.errors)},提醒 {len(report.warnings)}"]
    lines += [f"第{fault.row}行 {fault.column}: {fault.reason}。{fault.remedy}" for fault in report.errors]
    lines += [f"提醒 第{fault.row}行 {fault.column}: {fault.reason}。{fault.remedy}" for fault in report.warnings]
    answer(result, as_json, "\n".join(lines))
    leave(len(report.errors))
