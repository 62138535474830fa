"""Tables people bring, as xlsx or csv: read with bounds, their header found wherever it stands, their rows numbered as the sheet does."""

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
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
MAX_CELLS = 12_000_000
CHUNK = 1024 * 1024
_FAR = re.compile(rb"""\sr\s*=\s*["']([A-Z]*)([0-9]+)["']""")
EXCEL_ZERO = date(1899, 12, 30)


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
    """One row: its number in the sheet and its cells by our own column names; an absent or empty cell is ''."""

    number: int
    cells: Mapping[str, Any]

    def text(self, column: str) -> str:
        """A cell as text: a whole number without its point, a date as 2024-09-01, blanks at the ends taken off."""
        value = self.cells.get(column, "")
        if isinstance(value, bool):
            return "是" if value else "否"
        if isinstance(value, float) and value.is_integer():
            return str(int(value))
        if isinstance(value, datetime):
            value = value.date()
        return "" if value is None else str(value).strip().strip("\u200b\ufeff\u3000\u00a0'").strip()

    def day(self, column: str) -> date | None:
        """A cell as a date, given as a date cell, a serial number of Excel's or a text such as 2024年9月1日; None when empty.
        Raises ValueError when it is something else."""
        value = self.cells.get(column, "")
        if isinstance(value, datetime):
            return value.date()
        if isinstance(value, date):
            return value
        if isinstance(value, float | int) and not isinstance(value, bool) and 1 <= value < 100_000:
            return EXCEL_ZERO + timedelta(days=int(value))
        text = normalised(re.sub(r"[\sT]+[0-9]{1,2}[::][0-9]{2}([::][0-9.]+)?Z?$", "", self.text(column)))
        if not text:
            return None
        for mark in "年月/.":
            text = text.replace(mark, "-")
        text = text.replace("日", "")
        parts = text.strip("-").split("-")
        if len(parts) == 1 and len(text) == 8:
            parts = [text[:4], text[4:6], text[6:]]
        if len(parts) == 2:
            parts.append("1")
        year, month, day = (int(part[:4]) for part in parts)
        return date(year, month, day)


def read(content: bytes, columns: Mapping[str, Sequence[str]], needed: Sequence[str]) -> Iterator[Row]:
    """The rows below the header of the first sheet that has one. `columns`: our name → the headings it may stand under;
    `needed`: those that must be there. Raises Invalid (broken, no header, a column missing) and TooLarge (too big, a bomb)."""
    headings = {normalised(alias): name for name, aliases in columns.items() for alias in aliases}
    best: set[str] = set()
    for table in _tables(content):
        for index, cells in enumerate(table[:HEADER_WITHIN]):
            found = {_heading(cell): position for position, cell in reversed(list(enumerate(cells)))}
            positions = {headings[heading]: position for heading, position in found.items() if heading in headings}
            if not set(needed) - set(positions):
                yield from _rows(table, index + 1, positions)
                return
            best = max(best, set(positions), key=len)
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


def _heading(cell: Any) -> str:
    return normalised(str(cell)).strip("*★").replace("(必填)", "").rstrip(":") if isinstance(cell, str) else ""


def _rows(table: Sequence[Sequence[Any]], first: int, positions: Mapping[str, int]) -> Iterator[Row]:
    for index in range(first, len(table)):
        cells = table[index]
        picked = {name: cells[position] if position < len(cells) else "" for name, position in positions.items()}
        if any(not isinstance(cell, str) or cell.strip() for cell in picked.values()):
            yield Row(index + 1, picked)


def _tables(content: bytes) -> Iterator[Sequence[Sequence[Any]]]:
    if len(content) > MAX_BYTES:
        raise TooLarge(f"文件超过{MAX_BYTES // 1024 // 1024} MB,请分成几个文件上传。")
    if not content:
        raise Invalid("文件是空的,请重新选择。")
    if content.startswith(b"PK"):
        yield from _workbook(content)
    elif content.startswith(b"\xd0\xcf\x11\xe0"):
        raise Invalid("这是旧版Excel文件(.xls)或带密码的文件。请在Excel中另存为“Excel工作簿(.xlsx)”,不要设密码,再上传。")
    elif b"\0" in content[:4096]:
        raise Invalid("文件不是Excel工作簿(.xlsx)或CSV文件,请下载模板填写后上传。")
    else:
        yield _comma_separated(content)


def _workbook(content: bytes) -> Iterator[Sequence[Sequence[Any]]]:
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
    except (zipfile.BadZipFile, zlib.error, ValueError, OSError, NotImplementedError, EOFError, RuntimeError) as fault:
        raise broken from fault
    try:
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
        names = book.sheet_names
        sheets = [book.get_sheet_by_name(name) for name in names]
    except (python_calamine.CalamineError, ValueError, OSError) as fault:
        raise broken from fault
    for sheet in sheets:
        yield sheet.to_python(skip_empty_area=False)


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


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters[:4]:
        number = number * 26 + letter - 64
    return number


def _comma_separated(content: bytes) -> Sequence[Sequence[Any]]:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise Invalid("文件的文字编码无法识别,请在Excel中另存为“CSV UTF-8”或xlsx后上传。")
    try:
        return list(csv.reader(io.StringIO(text), delimiter="\t" if "\t" in text.split("\n", 1)[0] else ","))
    except csv.Error as fault:
        raise Invalid("CSV文件无法读取,请在Excel中另存为xlsx后上传。") from fault


