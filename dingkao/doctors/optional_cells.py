"""The optional cells of a roster row: a cell that can't be understood is left out with a warning, and the row
is still imported."""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import date

from dingkao import clock
from dingkao.doctors.certificate_numbers import (
    practice_warning,
    qualification_warning,
)
from dingkao.doctors.code_lists import (
    SCOPES,
    code_for,
)
from dingkao.doctors.roster_columns import (
    COLUMN_HEADINGS,
)
from dingkao.integrations.spreadsheets.import_rows import (
    EMPTY_WORDS,
    ImportRow,
)
from dingkao.people.departments import MAX_NAME_LENGTH, normalise_department_name
from dingkao.people.identity_numbers import IdentityDocument
from dingkao.tenants.encryption import normalise_text

MAX_SCOPES = 3
EARLIEST_REGISTRATION = date(1950, 1, 1)
NOT_IMPORTED_MESSAGE = "没有导入，原有的内容不变，没有的留空，"
"""The beginning of a remedy: what happens to a cell that is not understood."""
_SCOPE_SEPARATORS = re.compile("[;\uff1b,\uff0c]")
_FINE_SCOPE_SEPARATORS = re.compile("[\u3001/\n]")
WarnCallback = Callable[[str, str, str], None]
"""Called with the column's name, a reason and a remedy (sentences for the report) for each cell that is
unusual but not refused."""


@dataclass
class RowReader:
    """A row while it is read: `add_warning` reports warnings; `unclear_columns` collects the columns whose
    cells were not understood."""

    row: ImportRow
    add_warning: WarnCallback
    unclear_columns: set[str] = field(default_factory=set)

    def add_unclear(self, column: str, reason: str, remedy: str) -> None:
        """Warn that the cell of `column` is not understood and isn't imported."""
        self.add_warning(column, reason, NOT_IMPORTED_MESSAGE + remedy)
        self.unclear_columns.add(column)


def read_scope(reader: RowReader, category: str) -> str | None:
    """The codes of the scopes (执业范围) in the row, joined with commas; None if the cell has none that is
    known. Warns of unknown scopes, of scopes of another category than `category`, and of more than
    MAX_SCOPES."""
    codes: dict[str, str] = {}
    for code, word in _split_scopes(reader.row.text("scope")):
        if code is None:
            reader.add_unclear(
                "scope",
                f"不认识的执业范围“{word[:30]}”",
                "由医师填报时选择。",
            )
        else:
            _warn_of_other_category(reader, code, word, category)
            codes[code] = word
    if codes:
        reader.unclear_columns.discard("scope")
    _warn_of_many_scopes(reader, codes)
    return ",".join(codes) or None


def _warn_of_other_category(reader: RowReader, code: str, word: str, category: str) -> None:
    """Warn if the scope (its `code`, as written `word`) doesn't belong to the category; it is kept."""
    if SCOPES[code][0] not in ("any", category):
        reason = f"执业范围“{word[:30]}”不属于该执业类别"
        reader.add_warning("scope", reason, "已保留，请核对。")


def _warn_of_many_scopes(reader: RowReader, codes: Collection[str]) -> None:
    """Warn of more scopes than doctors may choose; all are kept."""
    if len(codes) > MAX_SCOPES:
        remedy = f"已全部保留，请核对；医师填报时最多选{MAX_SCOPES}项。"
        reader.add_warning("scope", f"执业范围超过{MAX_SCOPES}项", remedy)


def _split_scopes(text: str) -> Iterator[tuple[str | None, str]]:
    """Yield each scope of a cell as its code and its word; the code is None if the scope is unknown."""
    for word in _SCOPE_SEPARATORS.split(text):
        for part in _split_word(word):
            if part.strip():
                yield code_for("scope", part), part.strip()


def _split_word(word: str) -> list[str]:
    """The scopes within a word. The word is split at enumeration commas, slashes and line breaks only if it
    isn't itself a known scope, as 「医学检验、病理」 is."""
    return [word] if code_for("scope", word) else _FINE_SCOPE_SEPARATORS.split(word)


def read_department(reader: RowReader) -> str | None:
    """The normalised name of the department (科室); None if the cell is empty or, with a warning, the name is
    too long."""
    name = normalise_department_name(reader.row.text("department"))
    if len(name) > MAX_NAME_LENGTH:
        reader.add_unclear("department", f"科室名称超过{MAX_NAME_LENGTH}字", "请核对，只填写科室名称。")
        return None
    return name or None


def read_first_registered(reader: RowReader) -> date | None:
    """The day of the first registration; None if the cell is empty or, with a warning, isn't a date from 1950
    to today."""
    column = "first_registered"
    try:
        day = reader.row.date_value(column)
    except ValueError:
        reason = f"无法识别的日期“{reader.row.text(column)[:20]}”"
        reader.add_unclear(column, reason, "由医师填报时补充；日期请写成2024-09-01。")
        return None
    if day and not EARLIEST_REGISTRATION <= day <= clock.today():
        reader.add_unclear(column, "首次注册日期不合理", "由医师填报时补充。")
        return None
    return day


def read_qualification(
    reader: RowReader,
    document: IdentityDocument,
    level: str,
    category: str,
) -> str:
    """The 资格证书编码 of a row, "" if there is none. Warns if it is odd (`qualification_warning`)."""
    text = _read_certificate_number(reader, "qualification")
    warning = qualification_warning(text, document.number, level=level, category=category)
    _warn_of_certificate_number(reader, "qualification", warning)
    return text


def read_practice(reader: RowReader, level: str, category: str) -> str:
    """The 执业证书编码 of a row, "" if there is none. Warns if it is odd (`practice_warning`)."""
    text = _read_certificate_number(reader, "practice")
    warning = practice_warning(text, level=level, category=category)
    _warn_of_certificate_number(reader, "practice", warning)
    return text


def _read_certificate_number(reader: RowReader, column: str) -> str:
    """The certificate number in `column`, normalised; "" if the cell is empty, or, with a warning, if Excel
    has made a number of it and lost digits."""
    if reader.row.has_lost_digits(column):
        reason = f"{COLUMN_HEADINGS[column][-1]}被Excel当作数字，后几位已丢失"
        reader.add_unclear(
            column,
            reason,
            "由医师填报时补充；请先把该列设为文本格式再填写。",
        )
        return ""
    text = normalise_text(reader.row.text(column))
    return "" if text in EMPTY_WORDS else text


def _warn_of_certificate_number(reader: RowReader, column: str, warning: str | None) -> None:
    """Report `warning`, unless it is None; the number is imported as it is."""
    if warning:
        reader.add_warning(
            column,
            warning,
            f"已按所填导入，请核对{COLUMN_HEADINGS[column][-1]}。",
        )
