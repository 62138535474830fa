"""Opens an uploaded file as tables: xlsx, xls, ods or csv, recognised by the content; other files are refused
with advice."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from dingkao.errors import InvalidInput, TooLarge
from dingkao.integrations.spreadsheets import ods, xls, xlsx
from dingkao.integrations.spreadsheets.cells import (
    SheetRow,
    SheetTable,
)
from dingkao.integrations.spreadsheets.header import (
    MAX_HEADER_ROW,
)
from dingkao.integrations.spreadsheets.sheet_extent import (
    MAX_CELLS,
    MAX_COLUMNS,
    MAX_CSV_ROWS,
)

MAX_IMPORT_FILE_BYTES = 64 * 1024 * 1024
"""The largest file that is imported: a spreadsheet, or questions as a Word document or GIFT. What comes in
the form itself, and not in chunks, is bounded by MAX_CONTENT_LENGTH too (dingkao/app.py)."""
TOO_LARGE_MESSAGE = f"文件超过{MAX_IMPORT_FILE_BYTES // 1024 // 1024} MB，请分成几个文件上传。"
READ_SIZE = 1024 * 1024
_INSTRUCTION_SHEET_PATTERN = re.compile(r"说明|示例|样例")
_FORCED_TEXT_PATTERN = re.compile(r'^="([^"]*)"$')
SAVE_AS_XLSX_ADVICE = "请用Excel或WPS打开，另存为“Excel工作簿（.xlsx）”，再重新上传。"
USE_TEMPLATE_ADVICE = "请下载模板，填写后上传。"
WEB_PAGE_MESSAGE = f"这个文件能用Excel打开，内容却是网页，不是Excel工作簿。{SAVE_AS_XLSX_ADVICE}"
OTHER_FILE_MESSAGES = (
    (
        b"%pdf",
        f"这是PDF文件，不是Excel工作簿（.xlsx）。{USE_TEMPLATE_ADVICE}",
    ),
    (
        b"{\\rtf",
        "这是RTF文档，不是表格。请用Word打开，把内容填到模板的表格中，保存为.xlsx后上传。",
    ),
    (
        (b"\x89png", b"\xff\xd8\xff", b"gif8"),
        f"这是图片，不是Excel工作簿（.xlsx）。{USE_TEMPLATE_ADVICE}",
    ),
    (
        (b"rar!", b"7z\xbc\xaf", b"\x1f\x8b"),
        "这是压缩包。请先解压，再上传其中的表格文件（.xlsx）。",
    ),
    (
        (b"<!doctype html", b"<table", b"<meta", b"<head", b"<style"),
        WEB_PAGE_MESSAGE,
    ),
)
"""Signatures, in small letters (see `_lowered_beginning`) → the message with which a file that begins with
one of them is refused."""
OLD_OFFICE_MESSAGES = {
    xls.WORD: (
        "这是旧版Word文档（.doc），不是表格。试题请在Word中另存为.docx，再上传；"
        "名单、成绩请填到模板的表格中，保存为.xlsx后上传。"
    ),
    xls.POWERPOINT: f"这是旧版PowerPoint演示文稿（.ppt），不是表格。{USE_TEMPLATE_ADVICE}",
    xls.PASSWORD_PROTECTED: xls.ENCRYPTED_MESSAGE,
    "": (
        "这是旧版Word文档（.doc）、旧版Excel文件（.xls）或带密码的文件，系统读不了。"
        f"Word文档请在Word中另存为.docx；表格{SAVE_AS_XLSX_ADVICE.removeprefix('请')}不要设密码。"
    ),
}
"""Kind of the compound file (`xls.compound_file_kind`) → the message with which it is refused."""
SNIFFED_BYTES = 4096
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")

HasHeader = Callable[[Sequence[Sequence[Any]]], bool]
"""A function that says whether the first rows of a table have the expected header."""


def open_tables(content: bytes, has_header: HasHeader) -> Iterator[SheetTable]:
    """Yields the sheets of a file, those with instructions or examples last; `has_header` is used to find the
    delimiter of csv. Raises InvalidInput, TooLarge, cells.DamagedFile, cells.ExpandsTooLarge."""
    _require_content(content)
    if ods.is_ods(content):
        yield from ods.read_sheets(content, is_instruction_sheet)
    elif content.startswith(b"PK"):
        yield from xlsx.read_sheets(content, is_instruction_sheet)
    elif content.startswith(xls.SIGNATURE[:4]):
        _require_old_workbook(content)
        yield from xls.read_sheets(content, is_instruction_sheet)
    else:
        _refuse_other_files(content)
        yield _csv_table(content, has_header)


def _require_content(content: bytes) -> None:
    """Raises TooLarge for a file that is too large, InvalidInput for an empty one."""
    if len(content) > MAX_IMPORT_FILE_BYTES:
        raise TooLarge(TOO_LARGE_MESSAGE)
    if not content:
        raise InvalidInput("文件是空的，请重新选择。")


def _require_old_workbook(content: bytes) -> None:
    """Raises InvalidInput for a compound file that is not a workbook."""
    kind = xls.compound_file_kind(content)
    if kind != xls.EXCEL:
        raise InvalidInput(OLD_OFFICE_MESSAGES[kind])


def _csv_table(content: bytes, has_header: HasHeader) -> SheetTable:
    """Returns the table of a text file. Raises InvalidInput, TooLarge."""
    rows = enumerate(_read_csv(content, has_header), 1)
    return SheetTable(
        "",
        (SheetRow(number, dict(enumerate(cells))) for number, cells in rows),
    )


def is_instruction_sheet(name: str) -> bool:
    """Whether the name of a sheet says that it has instructions or examples."""
    return _INSTRUCTION_SHEET_PATTERN.search(name) is not None


def _refuse_other_files(content: bytes) -> None:
    """Raises InvalidInput, with advice, for a file (`content`: the whole, as it was sent) that is neither
    workbook nor text, or text of another kind."""
    lowered = _lowered_beginning(content)
    message = _markup_message(lowered) or _signature_message(lowered) or _binary_message(content)
    if message:
        raise InvalidInput(message)


def _lowered_beginning(content: bytes) -> bytes:
    """Returns the first SNIFFED_BYTES of a file without the byte order mark of UTF-8 and blanks before them,
    its letters of ASCII small."""
    return content[:SNIFFED_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n").lower()


def _binary_message(content: bytes) -> str:
    """Returns why a file (its bytes as they are) that is not text is refused; "" for text."""
    is_text = content.startswith(_UTF16_MARKS) or b"\0" not in content[:SNIFFED_BYTES]
    return "" if is_text else f"文件不是Excel工作簿（.xlsx）或CSV文件。{USE_TEMPLATE_ADVICE}"


def _markup_message(lowered: bytes) -> str:
    """Returns why a file is refused that begins as an XML spreadsheet or a web page; "" for others.
    `lowered`: its beginning in small letters, without byte order mark and blanks before it."""
    if lowered.startswith(b"<?xml") and b"urn:schemas-microsoft-com:office:spreadsheet" in lowered:
        return f"这是“XML表格2003”文件。{SAVE_AS_XLSX_ADVICE}"
    return WEB_PAGE_MESSAGE if _is_web_page(lowered) else ""


def _is_web_page(lowered: bytes) -> bool:
    """Whether a file begins as a web page, or as one saved with its pictures. `lowered`: its beginning in
    small letters, without byte order mark and blanks before it."""
    if lowered.startswith(b"mime-version:"):
        return True
    return lowered.startswith(b"<") and b"<html" in lowered


def _signature_message(lowered: bytes) -> str:
    """Returns why a file is refused that begins with a signature of OTHER_FILE_MESSAGES; "" for others.
    `lowered`: its beginning in small letters, without byte order mark and blanks before it."""
    for signatures, message in OTHER_FILE_MESSAGES:
        if lowered.startswith(signatures):
            return message
    return ""


def _read_csv(content: bytes, has_header: HasHeader) -> Sequence[Sequence[str]]:
    """Returns the rows of a text file. Raises InvalidInput, TooLarge."""
    text = _decode_text(content).replace("\0", "")
    delimiter = _find_delimiter(text[:READ_SIZE], has_header)
    _require_moderate_extent(text, delimiter)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise InvalidInput("CSV文件无法读取，请在Excel中另存为xlsx后上传。") from error
    return [_without_forced_text(cells) for cells in rows] if '="' in text else rows


def _require_moderate_extent(text: str, delimiter: str) -> None:
    """Raises TooLarge for a text with too many rows or columns."""
    line_count = text.count("\n") + text.count("\r")
    cell_count = text.count(delimiter)
    max_cells = min(MAX_CELLS, MAX_COLUMNS * (line_count + 1))
    if line_count > MAX_CSV_ROWS or cell_count > max_cells:
        raise TooLarge("文件的行数或列数过多，无法导入。请删去末尾的空白行列，或分成几个文件上传。")


def _without_forced_text(cells: Sequence[str]) -> list[str]:
    """Returns a row in which ="0012", with which programs make Excel show 0012, is replaced by what is
    shown."""
    return [_FORCED_TEXT_PATTERN.sub(r"\1", cell) for cell in cells]


def _decode_text(content: bytes) -> str:
    """Returns the text of a file: UTF-16 with a byte order mark, else UTF-8, else GB 18030. Raises
    InvalidInput."""
    encodings = ("utf-16",) if content.startswith(_UTF16_MARKS) else ("utf-8-sig", "gb18030")
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise InvalidInput("文件的文字编码无法识别，请在Excel中另存为“CSV UTF-8”或xlsx后上传。")


def _find_delimiter(beginning: str, has_header: HasHeader) -> str:
    """Returns the delimiter of the cells: the one with which the first rows have the header, else the
    comma. `beginning`: the decoded text, as far as the header may reach."""
    for delimiter in ",\t;":
        if has_header(_first_rows(beginning, delimiter)):
            return delimiter
    return ","


def _first_rows(beginning: str, delimiter: str) -> Sequence[Sequence[str]]:
    """Returns the rows that may have the header, split by a delimiter; [] if it can't split them."""
    rows = csv.reader(io.StringIO(beginning, newline=""), delimiter=delimiter)
    try:
        return list(islice(rows, MAX_HEADER_ROW))
    except csv.Error:
        return []
