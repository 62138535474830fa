"""Sheets of questions with what people and programs put into their cells: each question is the one that is
shown, or its column is named. Twenty sheets are made of each kind."""

from dataclasses import dataclass, field
from random import Random

import pytest

from dingkao.integrations.spreadsheets import import_rows
from dingkao.question_banks.importing import file_import, parsed_question, row_validation
from tests.rooms.test_sheet_display import FORMS
from tests.workbook_builder import (
    STRUCK,
    SUB,
    SUP,
    WorkbookBuilder,
    column,
    error_cell,
    formula_cell,
    number_cell,
    rich_text_cell,
    text_cell,
)

pytestmark = pytest.mark.usefixtures("in_this_process")

HEADINGS = ("题干", "选项A", "选项B", "选项C", "选项D", "答案")
FORMATS = {
    "plain": 0,
    "percent": 1,
    "percent.00": 2,
    "day": 3,
    "m-d": 4,
    "time": 5,
    "month": 6,
    "three digits": 7,
    "one decimal": 8,
    "struck": 9,
}
"""The styles of the sheets, by their places."""
LOOKS = {
    "codes": ["000", "0.0", 'm"月"d"日"'], "fonts": ["", STRUCK],
    "styles": [(0, 0), (9, 0), (10, 0), (14, 0), (16, 0), (20, 0), (166, 0), (164, 0), (165, 0), (0, 1)],
}  # fmt: skip


@dataclass
class Sheet:
    """Questions as cells, and what is to come of each: its stem, options and key, or the column it is refused
    for."""

    random: Random
    question_rows: list[list[str | None]] = field(default_factory=list)
    expected: list[list[str] | str] = field(default_factory=list)
    head: list[list[str | None]] = field(
        default_factory=lambda: [[text_cell(heading) for heading in HEADINGS]]
    )
    options: dict = field(default_factory=dict)

    def __post_init__(self):
        for number_ in range(self.random.randint(2, 6)):
            texts = [
                f"第{number_}种情况下的正常值是",
                *(f"{letter}{self.random.randrange(90)}" for letter in "甲乙丙丁"),
                self.random.choice("ABCD"),
            ]
            self.question_rows.append([text_cell(text) for text in texts])
            self.expected.append(texts)

    def any_row(self, but_last=0):
        return self.random.randrange(len(self.question_rows) - but_last)

    def show(self, cell, text, place=None):
        """Put a cell that shows `text` into an option, or into `place`."""
        row_index, place = self.any_row(), self.random.randint(1, 4) if place is None else place
        self.question_rows[row_index][place] = cell
        self.expected[row_index][place] = text

    def refuse(self, cell):
        """Put a cell that can't be read into a stem or an option."""
        row_index, place = self.any_row(), self.random.randint(0, 4)
        self.question_rows[row_index][place] = cell
        self.expected[row_index] = HEADINGS[place]

    def content(self):
        all_rows = [*self.head, *self.question_rows]
        forms = [form for form in FORMS if form.get("row_numbers", True) or None not in sum(all_rows, [])]
        return WorkbookBuilder(all_rows, **LOOKS, **self.options, **self.random.choice(forms)).content()


def raised(sheet):
    times, power = sheet.random.randint(1, 99), str(sheet.random.randint(2, 12))
    cell, text = sheet.random.choice(
        [
            (
                rich_text_cell((f"{times}×10", ""), (power, SUP), ("/L", "")),
                f"{times}×10<sup>{power}</sup>/L",
            ),
            (rich_text_cell(("PaCO", "<b/>"), ("2", SUB)), "PaCO<sub>2</sub>"),
            (rich_text_cell((str(times), ""), (power, SUP)), f"{times}<sup>{power}</sup>"),
            (rich_text_cell(("Ca", ""), ("2+", SUP), ("浓度", "")), "Ca<sup>2+</sup>浓度"),
        ]
    )
    sheet.show(cell, text, sheet.random.randint(0, 4))


def percent(sheet):
    share = sheet.random.randint(1, 999)
    cell, text = sheet.random.choice(
        [
            (number_cell(share / 100, FORMATS["percent"]), f"{share}%"),
            (number_cell(share / 10000, FORMATS["percent.00"]), f"{share / 100:.2f}%"),
        ]
    )
    sheet.show(cell, text)


def as_formatted(sheet):
    tenths = sheet.random.randint(1, 999)
    cell, text = sheet.random.choice(
        [
            (number_cell(tenths % 90, FORMATS["three digits"]), f"{tenths % 90:03}"),
            (number_cell(tenths / 10 + 0.01, FORMATS["one decimal"]), f"{tenths / 10:.1f}"),
            (number_cell((tenths + 10) / 10 - 1), f"{tenths / 10:g}"),
            (number_cell(tenths * 0.1), f"{tenths / 10:g}"),
            (formula_cell("A1", f"{tenths}次"), f"{tenths}次"),
        ]
    )
    sheet.show(cell, text)


def day(sheet):
    style = FORMATS[sheet.random.choice(["day", "m-d", "time", "month"])]
    sheet.refuse(number_cell(sheet.random.randint(43000, 47000) + sheet.random.choice([0, 0.25]), style))


def struck(sheet):
    sheet.refuse(
        sheet.random.choice(
            [
                text_cell("作废", FORMATS["struck"]),
                rich_text_cell(("甲", ""), ("乙", STRUCK)),
                number_cell(5, FORMATS["struck"]),
                rich_text_cell(("乙", STRUCK + "<b/>"), ("丙", "")),
            ]
        )
    )


def without_value(sheet):
    sheet.refuse(
        sheet.random.choice(
            [
                error_cell(sheet.random.choice(["#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#SPILL!"])),
                formula_cell("A1"),
                formula_cell("A1", "#N/A", "e"),
                formula_cell('_xlfn.DISPIMG("ID_1",1)', "x"),
            ]
        )
    )


def picture(sheet):
    first = sheet.any_row()
    last = sheet.random.randint(first, len(sheet.question_rows) - 1)
    first_column = sheet.random.randrange(9)
    sheet.options["anchors"] = [(first + 2, first_column, last + 2, first_column + 1)]
    sheet.expected[first : last + 1] = ["图片"] * (last + 1 - first)


def merged_to_the_right(sheet):
    row_index, place = sheet.any_row(), sheet.random.randint(1, 4)
    sheet.question_rows[row_index][place] = None
    sheet.options["merged"] = [f"{column(place - 1)}{row_index + 2}:{column(place)}{row_index + 2}"]
    sheet.expected[row_index] = HEADINGS[place]


def merged_downwards(sheet):
    first, place = sheet.any_row(but_last=1), sheet.random.randint(0, 5)
    last = sheet.random.randint(first + 1, len(sheet.question_rows) - 1)
    sheet.options["merged"] = [f"{column(place)}{first + 2}:{column(place)}{last + 2}"]
    for index in range(first + 1, last + 1):
        sheet.question_rows[index][place] = None
        sheet.expected[index][place] = sheet.expected[first][place]


def heading_in_two_rows(sheet):
    low = sheet.random.choice([["A", "B", "C", "D"], ["选项A", "选项B", "选项C", "选项D"]])
    sheet.head = [
        [text_cell("题干"), text_cell("选项"), None, None, None, text_cell("答案")],
        [None, *map(text_cell, low), None],
    ]
    sheet.options["merged"] = sheet.random.choice([["A1:A2", "B1:E1", "F1:F2"], ["B1:E1"], []])


def hidden_rows(sheet):
    hidden = sorted(
        sheet.random.sample(
            range(len(sheet.question_rows)), sheet.random.randint(1, len(sheet.question_rows) - 1)
        )
    )
    sheet.options["hidden"] = [row_index + 2 for row_index in hidden]
    sheet.expected = [outcome for row_index, outcome in enumerate(sheet.expected) if row_index not in hidden]


KINDS = (
    raised, percent, as_formatted, day, struck, without_value, picture, merged_to_the_right, merged_downwards, heading_in_two_rows, hidden_rows,
)  # fmt: skip


def what_is_read(content, report):
    """Each question as it came in, or the column that it was refused for."""
    for import_row in file_import.read_rows(content, report):
        try:
            question = row_validation.validate_row(import_row)[0]
        except parsed_question.InvalidQuestionRow as refused:
            yield refused.problem[0]
        else:
            yield [question.stem, *(text for _, text in question.options), question.answer]


@pytest.mark.parametrize("kind", KINDS)
def test_twenty_sheets_of_each_kind_give_what_is_shown_or_name_the_column(kind):
    for seed in range(20):
        sheet, report = Sheet(Random(f"{kind.__name__} {seed}")), import_rows.ImportReport()  # noqa: S311 - to be the same each time
        kind(sheet)
        assert list(what_is_read(sheet.content(), report)) == sheet.expected, seed
        warnings_text = " ".join(warning.reason for warning in report.warnings)
        assert (f"有{len(sheet.options.get('hidden', ()))}行被筛选或隐藏" in warnings_text) == (
            kind is hidden_rows
        )
        assert ("个图片或图形" in warnings_text) == (kind is picture)
