"""The result of reading a spreadsheet: tables of rows of cells, each with the value that people see, or the
reason why it can't be read.

A cell is a str, int, float, bool, date or datetime; or a FormattedNumber, if the number's format shows
something else than its digits; or RichText, text with sub- or superscript; or a CellProblem.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from dingkao.integrations.spreadsheets.number_formats import (
    format_general,
)

EXCEL_ZERO, APPLE_ZERO = date(1899, 12, 30), date(1904, 1, 1)
"""The days from which serial numbers of dates count: usually, and in the 1904 system."""
MAX_RAISED_LENGTH = 200


@dataclass(frozen=True)
class CellProblem:
    """Why a cell can't be read, what to do about it, and the text that it shows, if known."""

    reason: str
    remedy: str
    displayed_text: str = ""


@dataclass(frozen=True)
class FormattedNumber:
    """A number whose format shows something else than its digits: 85% for 0.85, 007 for 7."""

    value: float
    text: str


@dataclass(frozen=True)
class RichText:
    """Text with sub- or superscript: `plain` without markup, `markup` with <sup> and <sub> (None if it can't
    be written so)."""

    plain: str
    markup: str | None


@dataclass
class SheetRow:
    """A row that has cells: its number (from 1), column (from 0) → cell, and whether it is hidden by a filter
    or by hand."""

    number: int
    cells: dict[int, Any]
    hidden: bool = False


Area = tuple[int, int, int, int]
"""First row, first column, last row, last column; rows counted from 1, columns from 0."""


@dataclass
class SheetTable:
    """One sheet. `lines`: its rows, which can be read once; `merged`: areas of merged cells; `pictures`:
    areas covered by pictures and other drawings; `hidden_columns`: (first, last); `date_epoch`: the day from
    which serial numbers count; `links`: row number → addresses outside the file that its cells lead to,
    complete when the row has been read."""

    name: str
    lines: Iterator[SheetRow]
    merged: list[Area] = field(default_factory=list)
    pictures: list[Area] = field(default_factory=list)
    hidden_columns: list[tuple[int, int]] = field(default_factory=list)
    date_epoch: date = EXCEL_ZERO
    links: dict[int, list[str]] = field(default_factory=dict)


class DamagedFile(ValueError):  # noqa: N818
    """A file is damaged, or not of the kind that it seems to be."""


class WrongFileType(DamagedFile):
    """A file is of another kind; `message` (Chinese) says which, and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ExpandsTooLarge(ValueError):  # noqa: N818
    """A file expands to more than is accepted."""


NOT_CALCULATED = CellProblem(
    "单元格的公式没有保存计算结果",
    "请用Excel或WPS打开文件，等公式计算完成后保存，再重新上传；或者把公式复制后“选择性粘贴”为数值。",
)
CONTAINS_PICTURE = CellProblem(
    "单元格里是图片",
    "表格中的图片不会导入，请改填文字；带图片的试题请用Word模板导入。",
)
STRUCK_OUT = CellProblem(
    "单元格里有加了删除线的文字，不知是否作废",
    "作废的内容请删去，有用的内容请去掉删除线。",
)
HAS_RAISED_TEXT = CellProblem("单元格里有上标或下标", "请改为普通文字。")
IS_DATE = CellProblem(
    "单元格是日期或时间",
    "Excel会把“3-5”这样的内容变成日期；请先把单元格设为文本格式，再重新填写。",
)
UNREADABLE = CellProblem(
    "单元格按所设的格式显示的内容无法读取",
    "请把单元格设为文本格式，再照显示的样子重新填写。",
)
MERGED_AWAY = CellProblem(
    "单元格与左边的单元格合并，没有自己的内容",
    "请取消合并，分别填写。",
)
ERROR_NAME_PATTERN = re.compile(
    r"#(?:N/A|REF!|VALUE!|NAME\?|DIV/0!|NUM!|NULL!|SPILL!|CALC!|FIELD!|BLOCKED!|CONNECT!|UNKNOWN!|BUSY!"
    r"|GETTING_DATA|EXTERNAL!|PYTHON!)|Err:[0-9]{3}"
)
_LINK = re.compile(r'(?:of:|oooc:)?=?HYPERLINK\("([^"]{1,2000})"', re.IGNORECASE)
_UNMARKABLE_CHARACTERS = frozenset("<>\n\r")
_PICTURE_FORMULA_PATTERN = re.compile(r"=?(?:_xlfn\.)?(?:DISPIMG|IMAGE)\(", re.IGNORECASE)


def error_problem(name: str) -> CellProblem:
    """Returns the problem of a cell that shows the error `name`, such as #N/A."""
    return CellProblem(f"单元格是错误值{name}", "请更正公式，或改填实际内容。", name)


def struck_out_problem(displayed_text: str) -> CellProblem:
    """Returns the problem of a cell with struck-out text."""
    return replace(STRUCK_OUT, displayed_text=displayed_text)


def text_problem(text: str) -> CellProblem | None:
    """Returns the problem of a text that is the name of an error, or a formula that shows a picture, as
    programs write them; None for other texts. Both begin with one of # E = _ D."""
    if _is_error_name(text):
        return error_problem(text.strip())
    return CONTAINS_PICTURE if text[:1] in "=_D" and shows_picture(text) else None


def _is_error_name(text: str) -> bool:
    """Whether a text is the name of an error."""
    return text[:1] in "#E" and ERROR_NAME_PATTERN.fullmatch(text.strip()) is not None


def formula_link(formula: str) -> str:
    """Returns the address in a HYPERLINK formula, if it is written as text; else ""."""
    match = _LINK.match(formula)
    return match[1] if match else ""


def shows_picture(formula: str) -> bool:
    """Whether a formula shows a picture."""
    return _PICTURE_FORMULA_PATTERN.match(formula) is not None


@dataclass(frozen=True)
class TextRun:
    """A piece of a cell's text in one font: whether it is struck out, and `tag`: sup, sub or ""."""

    text: str
    is_struck_out: bool = False
    tag: str = ""


def cell_from_runs(runs: Iterable[TextRun]) -> Any:
    """Returns the text of `runs` as a cell: a str, RichText, or the problem of struck-out text."""
    runs = list(runs)
    plain = "".join(run.text for run in runs)
    visible_runs = [run for run in runs if run.text.strip()]
    if any(map(attrgetter("is_struck_out"), visible_runs)):
        return struck_out_problem(plain)
    if any(map(attrgetter("tag"), visible_runs)):
        return RichText(plain, _join_markup(runs))
    return plain


def _join_markup(runs: Iterable[TextRun]) -> str | None:
    """Returns the text of runs with markup; None if markup can't express it."""
    pieces: list[str] = []
    for tag, text in _merge_runs(runs):
        piece = _mark_up(tag, text)
        if piece is None:
            return None
        pieces.append(piece)
    return "".join(pieces)


def _mark_up(tag: str, text: str) -> str | None:
    """Returns a text with `tag` around its words; None if markup can't express it."""
    words = text.strip()
    if not tag or not words:
        return text
    return text.replace(words, f"<{tag}>{words}</{tag}>") if _can_be_marked_up(text) else None


def _can_be_marked_up(text: str) -> bool:
    """Whether a text is short enough for markup and has no characters that markup can't contain."""
    return len(text) <= MAX_RAISED_LENGTH and _UNMARKABLE_CHARACTERS.isdisjoint(text)


def _merge_runs(runs: Iterable[TextRun]) -> Iterator[tuple[str, str]]:
    """Yields (tag, text) of the runs; neighbours with the same tag are merged."""
    for tag, neighbours in groupby(runs, key=attrgetter("tag")):
        if text := "".join(run.text for run in neighbours):
            yield tag, text


_INVISIBLE_CATEGORIES = ("Cc", "Cf", "Cs")
_TEXT_PREFIX_PATTERN = re.compile(r"^['\u2018\u2019\uff07](?=[\w+\-./:()]*$)")


def cell_text(value: Any) -> str:
    """Returns a cell's value as text, without surrounding blanks: "" for None, a whole number without decimal
    point, a number with a format as it is shown, a boolean as 是 or 否, a date as 2024-09-01 (without its
    time), without Excel's text mark (a leading apostrophe) and invisible characters; line breaks inside are
    kept. Not for RichText and CellProblem."""
    if isinstance(value, str):
        return _visible_text(value)
    if isinstance(value, float):
        return format_general(value)
    return _other_text(value)


def _other_text(value: Any) -> str:
    """Returns a value that is neither str nor float as text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(value, FormattedNumber):
        return value.text
    return _visible_text(str(value.date() if isinstance(value, datetime) else value))


def _visible_text(text: str) -> str:
    """Returns a text without Excel's text mark, invisible characters and surrounding blanks."""
    if not text.isprintable():
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        text = "".join(character for character in text if _is_visible(character))
    return _TEXT_PREFIX_PATTERN.sub("", text.strip())


def _is_visible(character: str) -> bool:
    """Whether a character stays in a text: a line break, a tab, or whatever is no control or format
    character (zero-width, direction marks) and no half of a surrogate pair."""
    return character in "\n\t" or unicodedata.category(character) not in _INVISIBLE_CATEGORIES


def is_blank_cell(cell: Any) -> bool:
    """Whether a cell shows nothing: None, or a text without visible characters."""
    if not isinstance(cell, str):
        return cell is None
    return not cell or cell.isspace() or not cell_text(cell)
