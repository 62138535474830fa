"""`dingkao roster import SLUG FILE` and `dingkao roster index SLUG`."""

from pathlib import Path

import click

from dingkao.assessments.enrolment import enrol
from dingkao.cli.context import (
    in_province_context,
    print_import_report,
    print_result,
    refusals_as_click_errors,
)
from dingkao.cycles.cycles import current_cycle
from dingkao.database.base import db
from dingkao.doctors.number_reindexing import reindex_numbers
from dingkao.doctors.roster import import_roster
from dingkao.doctors.search_indexing import reindex_search_keys
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people.organisation_search import reindex_organisation_keys


@click.group("roster")
def command() -> None:
    """医师名单."""


@command.command("import")
@click.argument("slug")
@click.argument(
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option("--dry-run", is_flag=True, help="只检查，不写入")
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
def import_(slug: str, file: Path, dry_run: bool, as_json: bool) -> None:
    """把名单导入省份 SLUG;可重复执行."""
    with in_province_context(slug, must_be_open=True):
        with refusals_as_click_errors():
            report = import_roster(
                file.read_bytes(),
                by=TERMINAL_ACTOR,
                dry_run=dry_run,
                progress=None if dry_run else lambda _done: db.session.commit(),
            )
        if not dry_run and (cycle := current_cycle()):
            enrol(cycle)
        db.session.commit()
    print_import_report(report, as_json=as_json)


@command.command("index")
@click.argument("slug")
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
def index(slug: str, as_json: bool) -> None:
    """重建省份 SLUG 的查找索引:带括号、横线等符号的证件号码,医师和机构的名称;可重复执行."""
    with in_province_context(slug, must_be_open=True):
        numbers = reindex_numbers(db.session.commit)
        doctors = reindex_search_keys(db.session.commit)
        organisations = reindex_organisation_keys(db.session.commit)
    checked_count, changed_count = (
        sum(counts) for counts in zip(numbers, doctors, organisations, strict=True)
    )
    print_result(
        {"looked": checked_count, "changed": changed_count},
        as_json,
        f"已检查 {numbers[0]} 个证件号码、{doctors[0]} 位医师、{organisations[0]} 家机构，"
        f"更新 {changed_count} 个。",
    )
