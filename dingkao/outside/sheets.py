"""Tables people bring, as xlsx or csv: read with bounds, their header found wherever it stands, their rows numbered as the sheet does."""

import csv
import io
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any

import python_calamine
import xlsxwriter

from dingkao.errors import Invalid, TooLarge
from dingkao.tenants.secrets import normalised

MAX_BYTES = 64 * 1024 * 1024
MAX_UNPACKED = 1024 * 1024 * 1024
MAX_RATIO = 200
MAX_ENTRIES = 2000
HEADER_WITHIN = 20
MAX_CELLS, MAX_TEXT = 12_000_000, 1024 * 1024 * 1024
MAX_LINES, MOST_COLUMNS = 2_200_000, 1000
CHUNK = 1024 * 1024
EXCEL_ZERO = date(1899, 12, 30)
SERIALS = (18264, 73050)
"""Excel's serial numbers of 1950-01-01 and 2099-12-31: what lies outside was meant for something else, such as a year."""
KEPT_DIGITS = 15
"""Excel keeps so many digits of a number and makes the rest zeros."""
NOTHING = frozenset({"", "无", "/", "\\", "-", "--", "\u2014", "\u2014\u2014", "0", "NAN", "NONE", "NULL"})
"""What people write, normalised, where there is nothing to write."""
UNSEEN = ("Cc", "Cf", "Cs")
OWN_HEADINGS = frozenset({"序号", "编号", "行号", "NO", "行", "列", "原因", "处理办法"})
"""Headings nobody expects to be read: the running number, and what our own report of refused rows puts in front."""

_FAR = re.compile(rb"""\sr\s*=\s*["']([A-Z]*)([0-9]+)["']""")
_SHARED = re.compile(rb"<si\b.*?</si>", re.DOTALL)
_NAMED = re.compile(rb"""<c\b[^>]*\st="s"[^>]*>\s*<v>\s*([0-9]{1,9})""")
_TEXT_MARK = re.compile(r"^['\u2018\u2019\uff07](?=[\w+\-./:()]*$)")
_TIME = re.compile(r"[\sT]+[0-9]{1,2}[:\uff1a][0-9]{2}([:\uff1a][0-9.]+)?Z?$")
_DATE_MARKS = re.compile(r"[年月/.,\u3001\u2010-\u2015\u2212]")
_DATE = re.compile(r"([0-9]{4})-([0-9]{1,2})(?:-([0-9]{1,2}))?")
_LOST = re.compile(r"[0-9](\.[0-9]+)?E\+?[0-9]{2}")
_FOOT = re.compile(r"合计|小计|总计|填表人|填报人|审核人|制表人|备注|注:|说明|以下空白|共[0-9]+")
_ASIDE = re.compile(r"说明|示例|样例")
_BRACKETED = re.compile(r"[(\[{<\u3008\u300a\u300c\u3010\u3014](.+)[)\]}>\u3009\u300b\u300d\u3011\u3015]")
_NOTE = re.compile(r"(.+?)[(\[{<\u3008\u300a\u300c\u3010\u3014].*[)\]}>\u3009\u300b\u300d\u3011\u3015]")
_HEADING_NUMBER = re.compile(r"[0-9]{1,2}[.,:)\u3001](?=.)")
_HEADING_END = re.compile(r"(必填项|必填|选填项|选填)$")
_HEADING_MARKS = "*\u2605\u2606:.\u3001\u3002"


@dataclass(frozen=True)
class Fault:
    """What is wrong with a row: the sheet's own row number, the column's heading, why, and what to do about it."""

    row: int
    column: str
    reason: str
    remedy: str


@dataclass
class Report:
    """What an import did, row by row where something was wrong. Warnings never refuse a row."""

    accepted: int = 0
    changed: int = 0
    unchanged: int = 0
    errors: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The report as the terminal and the job's row keep it."""
        return {
            "accepted": self.accepted, "changed": self.changed, "unchanged": self.unchanged, "refused": len(self.errors),
            "errors": [asdict(fault) for fault in self.errors], "warnings": [asdict(fault) for fault in self.warnings],
        }  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One row: its number in the sheet and its cells by our own column names. An empty cell is ''; a column the sheet doesn't have is
    not among the cells. `sheet` names the sheet and is empty for the first one read; `lead` is the row's first filled cell, of
    whatever column."""

    number: int
    cells: Mapping[str, Any]
    sheet: str = ""
    lead: Any = ""

    def text(self, column: str) -> str:
        """A cell as text: a whole number without its point, a date as 2024-09-01, without blanks at the ends, without Excel's text mark
        (a leading apostrophe) and without characters nobody sees; breaks inside are kept."""
        return _text(self.cells.get(column, ""))

    def day(self, column: str) -> date | None:
        """A cell as a date, given as a date cell, a serial number of Excel's or a text such as 2024年9月1日; a month counts as its first
        day. None when empty. Raises ValueError when it is something else, a year alone included."""
        value = self.cells.get(column, "")
        if isinstance(value, datetime):
            return value.date()
        if isinstance(value, date):
            return value
        if isinstance(value, float | int) and not isinstance(value, bool):
            return _day_of_number(value)
        text = normalised(_TIME.sub("", self.text(column)))
        return _day_of_text(text) if text else None

    def lost_digits(self, column: str) -> bool:
        """Whether Excel has taken a long number for a quantity, so that its last digits are gone."""
        value = self.cells.get(column, "")
        if isinstance(value, float | int):
            return abs(value) >= 10**KEPT_DIGITS
        return isinstance(value, str) and _LOST.fullmatch(normalised(value)) is not None

    def where(self, column: str) -> str:
        """The heading `column` as a fault names it: of a sheet after the first with that sheet's name, for its rows are numbered anew."""
        return f"{column} ({self.sheet})" if self.sheet else column

    def is_foot(self, name: str, *without: str) -> bool:
        """Whether the row stands below a table and is none of its rows: a sum, a signature, a remark in its first filled cell or in `name`,
        and nothing in the columns `without`, which no real row lacks."""
        if any(self.text(column) for column in without):
            return False
        return any(_FOOT.match(normalised(text)) for text in (self.text(name), _text(self.lead)))


def read(content: bytes, columns: Mapping[str, Sequence[str]], needed: Sequence[str], report: Report | None = None) -> Iterator[Row]:
    """The rows below the header, of every visible sheet that has one. `columns`: our name → the headings it may stand under, the official
    one first; `needed`: those that must be there; `report` is warned of filled columns that aren't read. Raises Invalid (broken, no
    header, a column missing) and TooLarge (too big, a bomb)."""
    wanted = {name: [normalised(alias) for alias in aliases] for name, aliases in columns.items()}
    known = {alias for aliases in wanted.values() for alias in aliases}

    def positions_in(cells: Sequence[Any]) -> dict[str, int]:
        return _positions(cells, wanted, known)

    best: set[str] = set()
    told: set[str] = set()
    header_found = rows_found = False
    for sheet, table in _tables(content, lambda cells: not set(needed) - set(positions_in(cells))):
        candidates = [positions_in(cells) for cells in table[:HEADER_WITHIN]]
        best = max([best, *map(set, candidates)], key=len)
        header = next((index for index, positions in enumerate(candidates) if not set(needed) - set(positions)), None)
        if header is None or (header_found and _ASIDE.search(sheet)):
            continue
        header_found = True
        if report:
            report.warnings += _unused(table, header, candidates[header], told)
        later = sheet if rows_found else ""
        for row in _rows(table, header, candidates[header], needed, later):
            rows_found = True
            yield row
    if not header_found:
        missing = "、".join(columns[name][0] for name in needed if name not in best)
        raise Invalid(f"没有找到表头,缺少列:{missing}。请下载模板,保留表头一行后重新上传。")


def write(headings: Sequence[str], rows: Sequence[Sequence[Any]], sheet: str = "Sheet1") -> bytes:
    """An xlsx of text cells; nothing in it is taken for a formula."""
    buffer = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(buffer, options) as book:
        page, bold = book.add_worksheet(sheet), book.add_format({"bold": True, "text_wrap": True})
        page.freeze_panes(1, 0)
        for column, heading in enumerate(headings):
            page.write_string(0, column, heading, bold)
            page.set_column(column, column, max(12, min(40, len(heading) * 3)))
        for number, cells in enumerate(rows, 1):
            for column, cell in enumerate(cells):
                if isinstance(cell, int | float):
                    page.write_number(number, column, cell)
                else:
                    page.write_string(number, column, str(cell if cell is not None else ""))
    return buffer.getvalue()


def _text(value: Any) -> str:
    if isinstance(value, str):
        text = value
    elif value is None:
        return ""
    elif isinstance(value, bool):
        return "是" if value else "否"
    elif isinstance(value, float) and value.is_integer():
        return str(int(value))
    else:
        text = str(value.date() if isinstance(value, datetime) else value)
    if not text.isprintable():
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        text = "".join(one for one in text if one in "\n\t" or unicodedata.category(one) not in UNSEEN)
    return _TEXT_MARK.sub("", text.strip())


def _blank(cell: Any) -> bool:
    return not cell or cell.isspace() or not _text(cell) if isinstance(cell, str) else cell is None


def _day_of_number(value: float) -> date:
    if SERIALS[0] <= value < SERIALS[1] + 1:
        return EXCEL_ZERO + timedelta(days=int(value))
    if 1900 <= value <= 2101 and value != int(value):
        year, month = divmod(round(value * 100), 100)
        # 2010.1 may have been typed as 2010.10: the number no longer tells
        if abs(value * 100 - round(value * 100)) > 1e-6 or month % 10 == 0:
            raise ValueError(value)
        return date(year, month, 1)
    if not 190000 <= value <= 99991231 or value != int(value):
        raise ValueError(value)
    return _day_of_text(str(int(value)))


def _day_of_text(text: str) -> date:
    text = _DATE_MARKS.sub("-", text).replace("日", "").replace("号", "").strip("-")
    if re.fullmatch("[0-9]{5}", text) and SERIALS[0] <= int(text) <= SERIALS[1]:
        return EXCEL_ZERO + timedelta(days=int(text))
    if re.fullmatch("[0-9]{6}|[0-9]{8}", text):
        text = "-".join(part for part in (text[:4], text[4:6], text[6:]) if part)
    found = _DATE.fullmatch(text)
    if not found:
        raise ValueError(text)
    return date(int(found[1]), int(found[2]), int(found[3] or 1))


def _positions(cells: Sequence[Any], wanted: Mapping[str, Sequence[str]], known: set[str]) -> dict[str, int]:
    standing: dict[str, int] = {}
    for position, cell in enumerate(cells):
        if isinstance(cell, str) and cell and (heading := _heading(cell, known)) in known:
            standing.setdefault(heading, position)
    found = {name: next((standing[alias] for alias in aliases if alias in standing), None) for name, aliases in wanted.items()}
    return {name: position for name, position in found.items() if position is not None}


def _heading(cell: str, known: set[str]) -> str:
    """A heading without what people put around it (a number, stars, brackets, a note, 必填), taken off piece by piece until it is one of
    the `known`, for some of those have brackets of their own."""
    heading = normalised(cell)[:200]
    while heading not in known:
        shorter = _HEADING_END.sub("", heading.strip(_HEADING_MARKS))
        if shorter == heading:
            shorter = _HEADING_NUMBER.sub("", heading, count=1) if _HEADING_NUMBER.match(heading) else heading
        if shorter == heading and (found := _BRACKETED.fullmatch(heading) or _NOTE.fullmatch(heading)):
            shorter = found[1]
        if shorter == heading:
            return heading
        heading = shorter
    return heading


def _unused(table: Sequence[Sequence[Any]], header: int, positions: Mapping[str, int], told: set[str]) -> Iterator[Fault]:
    for position, cell in enumerate(table[header]):
        heading = "".join(_text(cell).split()) if isinstance(cell, str) else ""
        plain = normalised(heading).strip(_HEADING_MARKS)
        if not plain or plain in OWN_HEADINGS or plain in told or position in positions.values():
            continue
        if any(len(cells) > position and not _blank(cells[position]) for cells in table[header + 1 :]):
            told.add(plain)
            yield Fault(header + 1, heading[:40], "未使用该列", "系统不认识这个列名,或同一内容另有一列;需要导入的请改用模板中的列名,否则可以不理会。")


def _rows(table: Sequence[Sequence[Any]], header: int, positions: Mapping[str, int], needed: Sequence[str], sheet: str) -> Iterator[Row]:
    heads = [(positions[name], table[header][positions[name]]) for name in needed]
    for index in range(header + 1, len(table)):
        cells = table[index]
        picked = {name: cells[position] if position < len(cells) else "" for name, position in positions.items()}
        if all(_blank(cell) for cell in picked.values()):
            continue
        if all(position < len(cells) and cells[position] == head for position, head in heads):
            continue
        yield Row(index + 1, picked, sheet, next(cell for cell in cells if not _blank(cell)))


def _tables(content: bytes, is_header: Callable[[Sequence[Any]], bool]) -> Iterator[tuple[str, Sequence[Sequence[Any]]]]:
    if len(content) > MAX_BYTES:
        raise TooLarge(f"文件超过{MAX_BYTES // 1024 // 1024} MB,请分成几个文件上传。")
    if not content:
        raise Invalid("文件是空的,请重新选择。")
    if content.startswith(b"PK"):
        yield from _workbook(content)
    elif content.startswith(b"\xd0\xcf\x11\xe0"):
        raise Invalid("这是旧版Excel文件(.xls)或带密码的文件。请在Excel中另存为“Excel工作簿(.xlsx)”,不要设密码,再上传。")
    elif b"\0" in content[:4096] and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Invalid("文件不是Excel工作簿(.xlsx)或CSV文件,请下载模板填写后上传。")
    else:
        yield "", _separated(content, is_header)


def _workbook(content: bytes) -> Iterator[tuple[str, Sequence[Sequence[Any]]]]:
    broken = Invalid("文件已损坏或不是Excel工作簿(.xlsx)。请用Excel打开后另存为新文件,再上传。")
    bomb = TooLarge("文件解开后过大,无法导入。请删去多余的工作表、图片和表格末尾的空白行列,或分成几个文件上传。")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            unpacked = sum(entry.file_size for entry in entries)
            swollen = unpacked > 10 * 1024 * 1024 and unpacked > MAX_RATIO * len(content)
            if swollen or unpacked > MAX_UNPACKED or len(entries) > MAX_ENTRIES:
                raise bomb
            if any(_extent(archive, entry) > MAX_CELLS for entry in entries if entry.filename.startswith("xl/")):
                raise bomb
            if _text_named(archive, entries) > MAX_TEXT:
                raise bomb
    except (zipfile.BadZipFile, zlib.error, ValueError, OSError, NotImplementedError, EOFError, RuntimeError) as fault:
        raise broken from fault
    try:
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
        for name in _visible(book):
            # one at a time: the sheets of a book may be large, and only one is needed at once
            yield name, book.get_sheet_by_name(name).to_python(skip_empty_area=False)
    except (python_calamine.CalamineError, ValueError, OSError) as fault:
        raise broken from fault


def _visible(book: python_calamine.CalamineWorkbook) -> list[str]:
    """The sheets that can be seen, those that explain or give examples last."""
    shown, page = python_calamine.SheetVisibleEnum.Visible, python_calamine.SheetTypeEnum.WorkSheet
    names = [sheet.name for sheet in book.sheets_metadata if sheet.visible == shown and sheet.typ == page]
    return sorted(names, key=lambda name: _ASIDE.search(name) is not None)


def _extent(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> int:
    """How many cells a sheet spans, by its own references: the reader lays out the whole rectangle, so that one cell in the far
    corner would ask for hundreds of gigabytes. What the sheet says of its dimension is not believed."""
    rows, columns, rest = 0, 26, b""
    with archive.open(entry) as part:
        while chunk := part.read(CHUNK):
            chunk = rest + chunk
            for letters, number in _FAR.findall(chunk):
                if len(letters) > 1:
                    columns = max(columns, _column(letters))
                if len(number) < 9:
                    rows = max(rows, int(number))
            rest = chunk[-64:]
    return rows * columns


def _text_named(archive: zipfile.ZipFile, entries: Sequence[zipfile.ZipInfo]) -> int:
    """How much text a book's cells name, in bytes at the most: one long text may stand in a million cells, and the reader gives each its
    own. Counted out only where it might be too much."""
    shared = next((entry for entry in entries if entry.filename == "xl/sharedStrings.xml"), None)
    if shared is None:
        return 0
    lengths = [found.end() - found.start() for found in _SHARED.finditer(archive.read(shared))]
    sheets = [entry for entry in entries if entry.filename.startswith("xl/worksheets/") and entry.filename.endswith(".xml")]
    if max(lengths, default=0) * sum(archive.read(entry).count(b't="s"') for entry in sheets) <= MAX_TEXT:
        return 0
    named = (int(found[1]) for entry in sheets for found in _NAMED.finditer(archive.read(entry)))
    return sum(lengths[index] for index in named if index < len(lengths))


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters[:4]:
        number = number * 26 + letter - 64
    return number


def _separated(content: bytes, is_header: Callable[[Sequence[Any]], bool]) -> Sequence[Sequence[Any]]:
    text = _decoded(content).replace("\0", "")
    delimiter = _delimiter(text[:CHUNK], is_header)
    lines, cells = text.count("\n") + text.count("\r"), text.count(delimiter)
    if lines > MAX_LINES or cells > MAX_CELLS or cells > MOST_COLUMNS * (lines + 1):
        raise TooLarge("文件的行数或列数过多,无法导入。请删去末尾的空白行列,或分成几个文件上传。")
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as fault:
        raise Invalid("CSV文件无法读取,请在Excel中另存为xlsx后上传。") from fault


def _decoded(content: bytes) -> str:
    marked = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Invalid("文件的文字编码无法识别,请在Excel中另存为“CSV UTF-8”或xlsx后上传。")


def _delimiter(beginning: str, is_header: Callable[[Sequence[Any]], bool]) -> str:
    """What the cells are separated by: that by which one of the first lines is a header, else the comma."""
    for delimiter in ",\t;":
        try:
            if any(is_header(cells) for cells in islice(csv.reader(io.StringIO(beginning, newline=""), delimiter=delimiter), HEADER_WITHIN)):
                return delimiter
        except csv.Error:
            continue
    return ","
