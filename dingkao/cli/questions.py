"""`dingkao questions import SLUG FILE`, `dingkao questions share BANK FILE`, `dingkao questions export-shared
BANK FILE`."""

import sys
from pathlib import Path

import click

from dingkao.cli.context import (
    application,
    in_province_context,
    print_import_report,
    refusals_as_click_errors,
)
from dingkao.database.base import db
from dingkao.doctors.code_lists import CATEGORIES, code_for
from dingkao.integrations.spreadsheets.import_rows import (
    ImportReport,
    ImportRow,
)
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.question_banks import shared_bank_updates, shared_banks
from dingkao.question_banks.importing.file_import import (
    import_questions,
    read_rows,
)
from dingkao.question_banks.importing.known_questions import (
    first_row_without_category,
)
from dingkao.question_banks.importing.parsed_question import (
    NO_CATEGORY_MESSAGE,
)


@click.group("questions")
def command() -> None:
    """题库."""


@command.command("import")
@click.argument("slug")
@click.argument(
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option("--bank", help="题库名称，默认为文件名；没有则新建")
@click.option(
    "--category",
    type=click.Choice(list(CATEGORIES.values())),
    help="文件没有写执业类别的业务水平题目属于哪一类",
)
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
def import_(
    slug: str,
    file: Path,
    bank: str | None,
    category: str | None,
    as_json: bool,
) -> None:
    """把试题导入省份 SLUG 的题库;可重复执行."""
    content, name = file.read_bytes(), bank or file.stem
    code = code_for("category", category) if category else None
    with in_province_context(slug, must_be_open=True):
        with refusals_as_click_errors():
            uncategorised_row = None if code else _first_row_without_category(content, name, file)
            if uncategorised_row and sys.stdin.isatty():
                code, uncategorised_row = _ask_category(), None
            report = import_questions(
                content,
                bank_name=name,
                by=TERMINAL_ACTOR,
                category=code,
                name=file.name,
            )
        db.session.commit()
    if uncategorised_row:
        click.echo(
            (
                f"第{uncategorised_row.number}行起有{NO_CATEGORY_MESSAGE}。已照样导入；请加上 --category "
                "重新导入同一文件。"
            ),
            err=True,
        )
    print_import_report(report, as_json=as_json)


def _first_row_without_category(content: bytes, bank: str, file: Path) -> ImportRow | None:
    """Returns the first row of a file whose question has no known category (执业类别), or None. Raises
    InvalidInput, TooLarge, Unavailable for the file as a whole."""
    rows = read_rows(content, ImportReport(), name=file.name)
    return first_row_without_category(rows, bank)


def _ask_category() -> str | None:
    """Ask at the terminal which category such rows belong to; returns its code."""
    choice = click.prompt(
        NO_CATEGORY_MESSAGE + "。属于",
        type=click.Choice(list(CATEGORIES.values())),
    )
    return code_for("category", choice)


@command.command("share")
@click.argument("bank")
@click.argument(
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option("--whole", is_flag=True, help="这是全部题目，文件中没有的题目撤下")
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
def share(bank: str, file: Path, whole: bool, as_json: bool) -> None:
    """把试题导入全国共享题库 BANK，没有则新建；可重复执行。网页上读不完的大文件由此导入."""
    with application(), refusals_as_click_errors():
        report = shared_bank_updates.update_from_file(file.read_bytes(), bank, whole=whole)
    print_import_report(report, as_json=as_json)


@command.command("export-shared")
@click.argument("bank")
@click.argument(
    "file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
)
def export_shared(bank: str, file: Path) -> None:
    """把全国共享题库 BANK 的题目写入 FILE（xlsx）."""
    with application(), refusals_as_click_errors():
        shared_bank = _get_shared_bank(bank)
        file.write_bytes(shared_banks.shared_bank_xlsx(shared_bank))
    click.echo(f"已写入{shared_bank.question_count}题：{file}")


def _get_shared_bank(name: str) -> shared_banks.SharedBankInfo:
    """Returns the shared bank called `name`. Raises click.ClickException for an unknown one."""
    for shared_bank in shared_banks.list_shared_banks():
        if shared_bank.name == name:
            return shared_bank
    raise click.ClickException(f"没有名为“{name}”的共享题库。")
