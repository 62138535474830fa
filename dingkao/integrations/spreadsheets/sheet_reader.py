"""Reads the rows of uploaded spreadsheets (workbooks or csv). Memory and time are limited; the header may be
in any of the first rows; rows have the numbers that the spreadsheet shows.

Values are read as people see them. A cell for which that is impossible is missing in the row's cells, and its
problem says why. The value of vertically merged cells counts in each of their rows. Rows hidden by a filter
are not read; a warning says so.
"""

import re
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import chain
from typing import Any

from dingkao.errors import InvalidInput, TooLarge
from dingkao.integrations.sandbox import runner
from dingkao.integrations.spreadsheets.cells import (
    HAS_RAISED_TEXT,
    IS_DATE,
    MERGED_AWAY,
    CellProblem,
    DamagedFile,
    ExpandsTooLarge,
    FormattedNumber,
    RichText,
    SheetTable,
    WrongFileType,
    cell_text,
    is_blank_cell,
    text_problem,
)
from dingkao.integrations.spreadsheets.header import (
    MAX_HEADER_ROW,
    Header,
    HeaderFinder,
    RowView,
)
from dingkao.integrations.spreadsheets.import_rows import (
    SCIENTIFIC_PATTERN,
    ImportReport,
    ImportRow,
    ReportedProblem,
)
from dingkao.integrations.spreadsheets.merged_cells import (
    AreaIndex,
    expand_merged,
)
from dingkao.integrations.spreadsheets.table_opening import (
    is_instruction_sheet,
    open_tables,
)
from dingkao.integrations.spreadsheets.unread_content import (
    UnusedColumns,
    sheet_problems,
)

DAMAGED_MESSAGE = (
    "文件已损坏，或者不是Excel工作簿（.xlsx）。请用Excel或WPS打开后另存为新文件，再上传；压缩包请先解压。"
)
EXPANDS_TOO_LARGE_MESSAGE = (
    "文件解开后过大，无法导入。请删去多余的工作表、图片和表格末尾的空白行列，或分成几个文件上传。"
)
TOO_COMPLEX_MESSAGE = (
    "文件内容过多或过于复杂，系统读不完。请删去多余的工作表、图片、格式和表格末尾的空白行列，"
    "或分成几个文件上传。"
)
MAX_PROBLEMS = 50_000
TOO_MANY_PROBLEMS_MESSAGE = "文件中有问题的地方太多，逐条列不完。请先按模板核对格式，再重新上传。"
_SUSPICIOUS_CHARACTERS = frozenset("#=_DE")
"""First characters of texts that may be errors or formulas (see `cells.text_problem`)."""
_THOUSANDS_PATTERN = re.compile(r"-?[0-9]{1,3}(,[0-9]{3})+(\.0*)?|-?[0-9]+\.0*")


def read_rows(
    content: bytes,
    columns: Mapping[str, Sequence[str]],
    required_columns: Sequence[str],
    report: ImportReport | None = None,
    *,
    date_columns: Collection[str] | None = None,
    code_columns: Collection[str] = (),
    rich_text_columns: Collection[str] = (),
) -> Iterator[ImportRow]:
    """Yields the rows below the header of every visible sheet that has one, read in a sandbox (`runner`).

    `columns`: our name → possible headings, the official one first; `required_columns`: those that must be
    there. `report` gets warnings about what is not read (columns, hidden rows, pictures). `date_columns`: the
    columns that may hold dates (None: all); `code_columns`: those whose numbers are codes, from which
    separators are removed; `rich_text_columns`: those in which sub- and superscript become markup. Raises
    InvalidInput (damaged, no header, a column missing), TooLarge, Unavailable.
    """
    column_kinds = (
        None if date_columns is None else frozenset(date_columns),
        frozenset(code_columns),
        frozenset(rich_text_columns),
    )
    items = runner.iterate(
        parse_in_child,
        content,
        columns,
        required_columns,
        *column_kinds,
        limit_message=TOO_COMPLEX_MESSAGE,
    )
    yield from collect_rows(items, report)


def parse_in_child(
    content: bytes,
    columns: Mapping[str, Sequence[str]],
    required_columns: Sequence[str],
    date_columns: frozenset[str] | None,
    code_columns: frozenset[str],
    rich_text_columns: frozenset[str],
) -> Iterator[ImportRow | ReportedProblem]:
    """The sandboxed part of `read_rows`: yields the rows, and between them the problems to report. Raises
    InvalidInput, TooLarge."""
    finder = HeaderFinder(columns, required_columns)
    return with_reported_problems(
        lambda report: _FileReader(
            finder,
            report,
            date_columns,
            code_columns,
            rich_text_columns,
        ).rows(content, columns)
    )


def with_reported_problems(
    read_into: Callable[[ImportReport], Iterator[ImportRow]],
) -> Iterator[ImportRow | ReportedProblem]:
    """Yields the rows of a reader that fills the report that it is given, each after the problems added by
    then, so that both can be passed on from another process."""
    report = ImportReport()
    for row in read_into(report):
        yield from _drain_report(report)
        yield row
    yield from _drain_report(report)


def collect_rows(
    items: Iterable[ImportRow | ReportedProblem],
    report: ImportReport | None,
) -> Iterator[ImportRow]:
    """Yields the rows among `items`, and adds the problems between them to `report` (None: they are dropped).
    Raises TooLarge beyond MAX_PROBLEMS."""
    for item in items:
        if isinstance(item, ImportRow):
            yield item
        elif report is not None:
            _add_problem(report, item)


def _add_problem(report: ImportReport, reported: ReportedProblem) -> None:
    """Add a problem to a report. Raises TooLarge beyond MAX_PROBLEMS."""
    (report.errors if reported.is_error else report.warnings).append(reported.problem)
    if len(report.errors) + len(report.warnings) > MAX_PROBLEMS:
        raise TooLarge(TOO_MANY_PROBLEMS_MESSAGE)


def _drain_report(report: ImportReport) -> Iterator[ReportedProblem]:
    """Yields the problems of a report, and removes them from it."""
    for problems, is_error in (
        (report.errors, True),
        (report.warnings, False),
    ):
        yield from (ReportedProblem(problem, is_error) for problem in problems)
        problems.clear()


@dataclass
class _FileReader:
    """Reads one file. The fields after `rich_text_columns` are its progress."""

    header_finder: HeaderFinder
    report: ImportReport
    date_columns: Collection[str] | None
    code_columns: frozenset[str]
    rich_text_columns: frozenset[str]
    has_found_header: bool = False
    has_found_rows: bool = False
    hidden_count: int = 0
    reported_headings: set[str] = field(default_factory=set)

    def rows(self, content: bytes, columns: Mapping[str, Sequence[str]]) -> Iterator[ImportRow]:
        """Yields the rows of all sheets that have the header. Raises InvalidInput, also if there is no such
        sheet or all rows are hidden; TooLarge."""
        with _as_refusals():
            for table in open_tables(content, self._has_header):
                if self._may_hold_rows(table):
                    yield from self._sheet_rows(table)
        self._require_header(columns)
        self._require_visible_rows()

    def _may_hold_rows(self, table: SheetTable) -> bool:
        """Whether a sheet is read: sheets with instructions or examples come last, and are read only if no
        other has the header."""
        return not self.has_found_header or not is_instruction_sheet(table.name)

    def _require_header(self, columns: Mapping[str, Sequence[str]]) -> None:
        """Raises InvalidInput, naming the missing columns, if no sheet had the header. `columns`: our name →
        headings, of which the first is named."""
        if self.has_found_header:
            return
        missing = "、".join(columns[name][0] for name in self.header_finder.missing_names())
        raise InvalidInput(f"没有找到表头，缺少列：{missing}。请下载模板，保留表头一行后重新上传。")

    def _require_visible_rows(self) -> None:
        """Raises InvalidInput if all rows below the header are hidden."""
        if self.hidden_count and not self.has_found_rows:
            raise InvalidInput(
                "表头下面的行都被筛选或隐藏了，没有可以导入的行。请取消筛选、取消隐藏后保存，再重新上传。"
            )

    def _has_header(self, rows: Sequence[Sequence[Any]]) -> bool:
        """Whether the first rows of a table without merged cells have the header."""
        views = [RowView(number, dict(enumerate(cells))) for number, cells in enumerate(rows, 1)]
        return self.header_finder.find(views) is not None

    def _sheet_rows(self, table: SheetTable) -> Iterator[ImportRow]:
        """Yields the visible rows of a sheet, if it has the header; then adds warnings about what is not read
        to the report. Raises DamagedFile, ExpandsTooLarge."""
        first_lines, lines = _take_first_lines(expand_merged(table))
        header = self.header_finder.find(first_lines)
        if header is None:
            return
        self.has_found_header = True
        sheet = _SheetContext(table, header, table.name if self.has_found_rows else "")
        unused = UnusedColumns(header, self.reported_headings)
        hidden_numbers = list[int]()
        last_header_row = header.last
        for line in chain(first_lines, lines):
            if line.number <= last_header_row:
                continue
            unused.observe(line)
            row = self._to_row(line, sheet)
            if row is not None and line.hidden:
                hidden_numbers.append(line.number)
            elif row is not None:
                self.has_found_rows = True
                yield row
        self.hidden_count += len(hidden_numbers)
        self.report.warnings += unused.problems()
        self.report.warnings += sheet_problems(table, header, sheet.name, hidden_numbers)

    def _to_row(self, line: RowView, sheet: "_SheetContext") -> ImportRow | None:
        """Returns a line as a row, to be called in the order of lines; None if it has nothing in our columns,
        or only values carried by merged cells, or repeats the header."""
        has_picture = bool(sheet.pictures.areas_at(line.number))
        if _is_empty(line, sheet.header) or self._repeats_header(line, sheet.header):
            return None
        values, problems = self._read_cells(line, sheet.header)
        return ImportRow(
            line.number,
            values,
            sheet.name,
            _first_cell(line),
            problems,
            has_picture,
            sheet.table.date_epoch,
            tuple(sheet.table.links.get(line.number, ())),
        )

    def _repeats_header(self, line: RowView, header: Header) -> bool:
        """Whether a line has the headings of the required columns again."""
        columns = [header.positions[name] for name in self.header_finder.required_columns]
        headings = [line.cells.get(column) for column in columns]
        return headings in ([row.cells.get(column) for column in columns] for row in header.rows)

    def _read_cells(self, line: RowView, header: Header) -> tuple[dict[str, Any], dict[str, CellProblem]]:
        """Returns our column name → cell of a line, and our column name → problem of the cells that can't be
        read."""
        cells = self._read_values(line, header)
        problems = {name: value for name, value in cells.items() if value.__class__ is CellProblem}
        for name in problems:
            del cells[name]
        return cells, problems

    def _read_values(self, line: RowView, header: Header) -> dict[str, Any]:
        """Returns our column name → cell or problem of a line. Texts and numbers, which most cells are, are
        read without a function call."""
        values: dict[str, Any] = {}
        for name, column in header.positions.items():
            value = line.cells.get(column, "")
            is_text = value.__class__ is str and value[:1] not in _SUSPICIOUS_CHARACTERS
            if not is_text and (value.__class__ is not float or name in self.code_columns):
                value = self._read_special_cell(name, value)
            elif not value and line.across:
                value = value if is_blank_cell(line.across.get(column)) else MERGED_AWAY
            values[name] = value
        return values

    def _read_special_cell(self, name: str, value: Any) -> Any:
        """Returns a cell in the form that the column `name` needs, or its problem."""
        if isinstance(value, str):
            return text_problem(value) or value
        if isinstance(value, RichText):
            return self._read_rich_text(name, value)
        if isinstance(value, FormattedNumber):
            return self._read_number(name, value)
        return self._read_date(name, value) if isinstance(value, date) else value

    def _read_number(self, name: str, value: FormattedNumber) -> Any:
        """Returns a formatted number in the form that the column `name` needs."""
        return _code_value(value) if name in self.code_columns else value

    def _read_rich_text(self, name: str, value: RichText) -> Any:
        """Returns text with sub- or superscript as markup, or a problem if the column `name` does not allow
        it."""
        if name in self.rich_text_columns and value.markup is not None:
            return value.markup
        return replace(HAS_RAISED_TEXT, displayed_text=value.plain)

    def _read_date(self, name: str, value: date) -> Any:
        """Returns a date, or a problem if the column `name` does not allow dates."""
        if self._may_hold_dates(name):
            return value
        return replace(IS_DATE, displayed_text=cell_text(value))

    def _may_hold_dates(self, name: str) -> bool:
        """Whether a column may hold dates."""
        return self.date_columns is None or name in self.date_columns


@contextmanager
def _as_refusals() -> Iterator[None]:
    """Raise InvalidInput or TooLarge, with what to do, for a file in the block that can't be read."""
    try:
        yield
    except WrongFileType as error:
        raise InvalidInput(error.message) from error
    except DamagedFile as error:
        raise InvalidInput(DAMAGED_MESSAGE) from error
    except ExpandsTooLarge as error:
        raise TooLarge(EXPANDS_TOO_LARGE_MESSAGE) from error


@dataclass
class _SheetContext:
    """A sheet whose rows are read: its header, its `name` ("" for the first one with rows), and the areas of
    its pictures."""

    table: SheetTable
    header: Header
    name: str
    pictures: AreaIndex = field(init=False)

    def __post_init__(self) -> None:
        """Index the areas of the pictures."""
        self.pictures = AreaIndex(self.table.pictures)


def _take_first_lines(
    lines: Iterator[RowView],
) -> tuple[list[RowView], Iterator[RowView]]:
    """Returns the lines that may have the header, and an iterator of those below."""
    first_lines: list[RowView] = []
    for line in lines:
        if line.number > MAX_HEADER_ROW:
            return first_lines, chain([line], lines)
        first_lines.append(line)
    return first_lines, lines


def _is_empty(line: RowView, header: Header) -> bool:
    """Whether a line has nothing in our columns except values carried by merged cells."""
    return all(
        column in line.carried or is_blank_cell(line.cells.get(column))
        for column in header.positions.values()
    )


def _first_cell(line: RowView) -> Any:
    """Returns the first filled cell of a line in any column, except those carried by merged cells; "" if
    there is none."""
    for column, cell in line.cells.items():
        if column not in line.carried and not is_blank_cell(cell):
            return cell
    return ""


def _code_value(number: FormattedNumber) -> Any:
    """Returns a number in a column of codes as it is shown (007), but its value if it is shown with thousands
    separators or as a power of ten."""
    is_quantity = _THOUSANDS_PATTERN.fullmatch(number.text) or SCIENTIFIC_PATTERN.fullmatch(number.text)
    return number.value if is_quantity else number.text
