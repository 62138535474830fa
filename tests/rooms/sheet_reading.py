"""A sheet of few columns, and what is read of it."""

from dingkao.integrations.spreadsheets import sheet_reader
from tests.workbook_builder import (
    WorkbookBuilder,
    text_cell,
)

COLUMNS = {
    "name": ("姓名",),
    "number": ("证件号码", "证件号"),
    "day": ("日期",),
    "note": ("备注",),
    "place": ("机构名称",),
}
NEEDED = ("name", "number")
HEADER = [text_cell("姓名"), text_cell("证件号码"), text_cell("备注"), text_cell("日期")]


def read(content, report=None, **kinds):
    return list(
        sheet_reader.read_rows(content, COLUMNS, NEEDED, report, **({"date_columns": ("day",)} | kinds))
    )


def notes(book, **kinds):
    """What is read of the third column below the header: its text, or the reason of its flaw."""
    return [
        import_row.problems["note"].reason if "note" in import_row.problems else import_row.text("note")
        for import_row in read(book.content(), **kinds)
    ]


def with_notes(*cells, **about):
    return WorkbookBuilder(
        [
            HEADER,
            *([text_cell(f"甲{index}"), text_cell(str(index)), cell] for index, cell in enumerate(cells)),
        ],
        **about,
    )
