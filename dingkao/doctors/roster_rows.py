"""Validates one row of the roster, without a database: of a file (`roster`), or of the form for one doctor
(`single_entry`). What an import refuses, the form refuses too."""

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dingkao.doctors.code_lists import (
    CATEGORIES,
    DOCUMENT_TYPES,
    code_for,
    ethnicity_name,
    normalise_word,
)
from dingkao.doctors.optional_cells import (
    RowReader,
    WarnCallback,
    read_department,
    read_first_registered,
    read_practice,
    read_qualification,
    read_scope,
)
from dingkao.doctors.roster_columns import (
    CODE_COLUMNS,
    COLUMN_HEADINGS,
    CRITICAL_COLUMNS,
    DATE_COLUMNS,
    DOCTOR_FIELDS,
    KEPT_WHEN_EMPTY,
    PREFILLED_COLUMNS,
    REQUIRED_COLUMNS,
    TEXT_COLUMNS,
)
from dingkao.integrations.pdf.fonts import unprintable_characters
from dingkao.integrations.spreadsheets import sheet_reader
from dingkao.integrations.spreadsheets.import_rows import (
    EMPTY_WORDS,
    ImportReport,
    ImportRow,
)
from dingkao.people import identity_numbers, names
from dingkao.people.identity_numbers import IdentityDocument
from dingkao.tenants.encryption import normalise_text

MAX_NAME_LENGTH = 50
GENERIC_REGION_TYPES = ("香港/澳门/台湾身份证", "港澳台身份证")
_MOBILE_SEPARATORS = (
    re.compile("[/\u3001;\uff1b,\uff0c\n]+"),
    re.compile(r"\s+"),
)


@dataclass(frozen=True)
class RosterRow:
    """A valid row, in our own codes: the document number, the institution's registration number (机构登记号),
    and the values of the doctor, by DOCTOR_FIELDS. `provided_fields` names the fields that the row contains;
    the other values are defaults for a new doctor, and a known doctor's stored values stay unchanged."""

    number: str
    registration_number: str
    values: Mapping[str, Any]
    provided_fields: frozenset[str]

    def doctor_values(self) -> dict[str, Any]:
        """The values of the fields that the row provides, in the order of DOCTOR_FIELDS; None for an empty
        value."""
        return {name: self.values[name] or None for name in DOCTOR_FIELDS if name in self.provided_fields}


class InvalidRosterRow(ValueError):  # noqa: N818
    """The row is refused. `column`: our name of the wrong column; `reason` and `remedy`: sentences for the
    report."""

    def __init__(self, column: str, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.column = column
        self.reason = reason
        self.remedy = remedy


def validate_row(
    row: ImportRow,
    institutions: Mapping[str, str],
    add_warning: WarnCallback,
    default_document_type: str = "resident",
) -> RosterRow:
    """Validate a row and convert it to our codes. `institutions`: 机构登记号 → name of the province's
    institutions that the batch names; `default_document_type`: the type if the row names none; `add_warning`
    is called for what is unusual but accepted. Raises InvalidRosterRow for the first problem."""
    _check_unreadable_cells(row, add_warning)
    reader = RowReader(row, add_warning)
    name = _read_name(row, add_warning)
    document_type = _read_document_type(row, default_document_type)
    document = _read_document_number(row, document_type)
    sex = _read_sex(row, document_type, document, add_warning)
    registration_number = _read_registration_number(row, institutions)
    category, level = _read_category(row), _read_level(row)
    mobile = _read_mobile(row, add_warning)
    _warn_of_number(document_type, document, add_warning)
    _warn_of_institution(row, institutions[registration_number], add_warning)
    values: dict[str, Any] = {column: row.text(column) for column in TEXT_COLUMNS}
    values |= {
        "name": name,
        "document_type": document_type,
        "sex": sex,
        "birth_date": document.birth_date,
        "level": level,
        "category": category,
        "scope": read_scope(reader, category),
        "ethnicity": ethnicity_name(row.text("ethnicity")),
        "qualification": read_qualification(reader, document, level, category),
        "practice": read_practice(reader, level, category),
        "department": read_department(reader),
        "mobile": mobile,
        "first_registered": read_first_registered(reader),
    }
    provided_fields = _provided_fields(row, document, reader.unclear_columns)
    return RosterRow(document.number, registration_number, values, provided_fields)


def read_rows(content: bytes, report: ImportReport | None = None) -> Iterator[ImportRow]:
    """Yield the rows of a roster file (xlsx, xls, ods or csv); problems of the file are added to `report`
    (None: dropped). Raises InvalidInput, TooLarge, Unavailable, also while the rows are read."""
    return sheet_reader.read_rows(
        content,
        COLUMN_HEADINGS,
        REQUIRED_COLUMNS,
        report,
        date_columns=DATE_COLUMNS,
        code_columns=CODE_COLUMNS,
    )


def is_footer_or_empty(row: ImportRow) -> bool:
    """Whether a row has no doctor: it is a line below the table, or an unused row of a template."""
    if row.text("number"):
        return False
    if row.is_footer("name", "number"):
        return True
    return not _says_anything(row)


def _says_anything(row: ImportRow) -> bool:
    """Whether a row has a cell with more than what templates have filled in."""
    if {"name", "number"} & set(row.problems):
        return True
    return any(map(row.text, set(row.cells).difference(PREFILLED_COLUMNS)))


def _check_unreadable_cells(row: ImportRow, add_warning: WarnCallback) -> None:
    """Raise InvalidRosterRow if a cell of a critical column can't be read; an unreadable cell of another
    column is ignored with a warning."""
    for column, problem in row.problems.items():
        if column in CRITICAL_COLUMNS:
            raise InvalidRosterRow(column, problem.reason, problem.remedy)
        add_warning(
            column,
            problem.reason,
            f"这一项没有导入，系统中原有的内容不变。{problem.remedy}",
        )


def _provided_fields(
    row: ImportRow,
    document: IdentityDocument,
    unclear_columns: Collection[str],
) -> frozenset[str]:
    """The fields that the row provides a value for, an empty one included if an empty cell deletes the stored
    value."""
    columns = {column for column in row.cells if column not in KEPT_WHEN_EMPTY or row.text(column)}
    return frozenset(columns.difference(unclear_columns) | _fields_of_number(document))


def _fields_of_number(document: IdentityDocument) -> set[str]:
    """The fields that the document number contains (sex, birth date)."""
    fields = {"sex": document.sex, "birth_date": document.birth_date}
    return {name for name, value in fields.items() if value}


def _read_name(row: ImportRow, add_warning: WarnCallback) -> str:
    """The normalised name. Raises InvalidRosterRow if it is missing, no name or too long; warns of characters
    of old codes and of characters that can't be printed."""
    typed_name = row.text("name")
    name = names.normalise_name(typed_name)
    if not name:
        raise InvalidRosterRow("name", "姓名未填写", "请填写与身份证一致的姓名。")
    if not _is_name(name):
        raise InvalidRosterRow(
            "name",
            f"“{name[:20]}”不是姓名",
            "请填写与身份证一致的姓名。",
        )
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidRosterRow(
            "name",
            f"姓名超过{MAX_NAME_LENGTH}个字",
            "请核对，只填写姓名。",
        )
    _warn_of_legacy_characters(typed_name, add_warning)
    _warn_of_unprintable_characters(name, add_warning)
    return name


def _is_name(text: str) -> bool:
    return normalise_text(text) not in EMPTY_WORDS and any(map(_is_name_character, text))


def _is_name_character(character: str) -> bool:
    """Whether a character can occur in a name: a letter, 〇, or a character of a Unicode private area, which
    old systems used for rare ideographs."""
    return character.isalpha() or character == "\u3007" or unicodedata.category(character) == "Co"


def _warn_of_legacy_characters(typed_name: str, add_warning: WarnCallback) -> None:
    """Warn if the name had characters in old private codes, which were replaced."""
    if legacy_characters := names.legacy_code_characters(typed_name):
        add_warning(
            "name",
            f"姓名中有旧编码的字，已改为“{legacy_characters}”",
            "请对照身份证核对。",
        )


def _warn_of_unprintable_characters(name: str, add_warning: WarnCallback) -> None:
    """Warn if no font has some characters of the name, so that no certificate can be printed."""
    if boxes := unprintable_characters(name):
        add_warning(
            "name",
            f"姓名中的“{boxes}”无法打印在结果通知书上",
            "已按所填导入。请核对是否录错；确为生僻字的，请联系平台运营增加字体，否则不能签发通知书。",
        )


def _read_document_type(row: ImportRow, default: str) -> str:
    """Our code of the document type; `default` if the cell is empty. Of a word that only says Hong Kong,
    Macao or Taiwan, the number decides. Raises InvalidRosterRow for an unknown word, or if the number doesn't
    decide."""
    text = row.text("document_type")
    if not text:
        return default
    if normalise_word(text) in GENERIC_REGION_TYPES:
        return _region_type(row, text)
    return _require_code(
        "document_type",
        text,
        f"不认识的证件类型“{text[:20]}”",
        "请从模板的证件类型中选择，如居民身份证。",
    )


def _require_code(column: str, text: str, reason: str, remedy: str) -> str:
    """Our code for the `text` in `column`. Raises InvalidRosterRow with `reason` and `remedy` if the column's
    list has no such word."""
    kind = "document" if column == "document_type" else column
    code = code_for(kind, text)
    if code is None:
        raise InvalidRosterRow(column, reason, remedy)
    return code


def _region_type(row: ImportRow, text: str) -> str:
    """The document type (Hong Kong, Macao or Taiwan) recognised from the form of the number, for a row whose
    `text` only says that it is one of the three. Raises InvalidRosterRow if the form fits none or several."""
    kind = identity_numbers.region_of_identity_card(row.text("number"))
    if kind is None:
        choices = "、".join(
            map(
                DOCUMENT_TYPES.__getitem__,
                ("hong_kong", "macao", "taiwan"),
            )
        )
        reason = f"无法确定“{text}”是哪一种证件"
        raise InvalidRosterRow("document_type", reason, f"请填写以下之一：{choices}。")
    return kind


def _read_document_number(row: ImportRow, document_type: str) -> IdentityDocument:
    """The document number, parsed. Raises InvalidRosterRow if it is missing or malformed."""
    _require_readable_number(row)
    try:
        return identity_numbers.parse_document(document_type, row.text("number"))
    except identity_numbers.InvalidNumber as error:
        raise InvalidRosterRow("number", error.reason, error.remedy) from error


def _require_readable_number(row: ImportRow) -> None:
    """Raise InvalidRosterRow if the number is missing, or if Excel has stored it as a quantity and lost
    digits."""
    if not row.text("number"):
        raise InvalidRosterRow(
            "number",
            "证件号码未填写",
            "请填写证件号码；没有号码的医师无法登录。",
        )
    if row.has_lost_digits("number") and isinstance(row.cells["number"], float | int):
        raise InvalidRosterRow(
            "number",
            "证件号码被Excel当作数字，后几位已丢失",
            "请先把该列设为文本格式，再重新填写完整号码。",
        )


def _warn_of_number(
    document_type: str,
    document: IdentityDocument,
    add_warning: WarnCallback,
) -> None:
    """Warn if the document number is odd for its type (`number_warning`)."""
    warning = identity_numbers.number_warning(document_type, document.number)
    if warning:
        add_warning("number", warning, "已按所填导入，请对照证件核对。")


def _read_sex(
    row: ImportRow,
    document_type: str,
    document: IdentityDocument,
    add_warning: WarnCallback,
) -> str | None:
    """Our code of the sex, from the cell or, if it is empty, from the document number (None if that says
    nothing of it). If the two differ, raises InvalidRosterRow for a resident number and warns for other
    documents; raises it for an unknown word, too."""
    text = row.text("sex")
    if not text:
        return document.sex
    sex = _require_code(
        "sex",
        text,
        f"性别“{text[:20]}”无法识别",
        "请填写男或女。",
    )
    if document.sex and sex != document.sex:
        _report_other_sex(document_type, add_warning)
    return sex


def _report_other_sex(document_type: str, add_warning: WarnCallback) -> None:
    """Warn that the sex in the row and in the document number differ; raise InvalidRosterRow if it is a
    resident number, which is reliable."""
    if document_type in identity_numbers.RESIDENT_TYPES:
        raise InvalidRosterRow(
            "sex",
            "性别与证件号码不一致",
            "请对照身份证核对性别与证件号码（第17位单数为男、双数为女）。",
        )
    add_warning(
        "sex",
        "性别与证件号码不一致",
        "已按所填导入，请对照证件核对。",
    )


def _read_registration_number(row: ImportRow, institutions: Mapping[str, str]) -> str:
    """The institution's registration number (机构登记号). Raises InvalidRosterRow if it is missing, damaged
    by Excel, or none of `institutions`."""
    column = "registration_number"
    number = normalise_text(row.text(column))
    if not number:
        raise InvalidRosterRow(column, "机构登记号未填写", "请填写主要执业机构的登记号。")
    if row.has_lost_digits(column):
        raise InvalidRosterRow(
            column,
            "机构登记号被Excel当作数字，后几位已丢失",
            "请先把该列设为文本格式，再重新填写完整登记号。",
        )
    if number not in institutions:
        raise InvalidRosterRow(
            column,
            f"机构登记号{number[:50]}未在本省登记，或机构已撤销",
            "请核对登记号；机构尚未登记的，请先由省级管理员添加。",
        )
    return number


def _read_category(row: ImportRow) -> str:
    """Our code of the category (执业类别). Raises InvalidRosterRow if it is missing or unknown."""
    text = row.text("category")
    remedy = f"请填写以下之一：{'、'.join(CATEGORIES.values())}。"
    if not text:
        raise InvalidRosterRow("category", "执业类别未填写", remedy)
    reason = f"不认识的执业类别“{text[:20]}”"
    return _require_code("category", text, reason, remedy)


def _read_level(row: ImportRow) -> str:
    """Our code of the level; «physician» if the cell is empty. Raises InvalidRosterRow for an unknown
    word."""
    text = row.text("level") or "执业医师"
    return _require_code(
        "level",
        text,
        f"不认识的级别“{text[:20]}”",
        "请填写执业医师或执业助理医师。",
    )


def _read_mobile(row: ImportRow, add_warning: WarnCallback) -> str | None:
    """The mobile number, None if the cell is empty. Of a cell with several numbers the first is taken, with a
    warning. Raises InvalidRosterRow if there is none."""
    text = row.text("mobile")
    if normalise_text(text) in EMPTY_WORDS:
        return None
    try:
        return identity_numbers.parse_mobile(text)
    except identity_numbers.InvalidNumber as error:
        first_number = _first_mobile(text)
        if first_number is None:
            raise InvalidRosterRow("mobile", error.reason, error.remedy) from error
        remedy = f"已取第一个手机号码（尾号{first_number[-4:]}）。"
        add_warning("mobile", "一格中不止一个号码", remedy)
        return first_number


def _first_mobile(text: str) -> str | None:
    """The first valid mobile number of a cell with several; None if there is none."""
    for separator in _MOBILE_SEPARATORS:
        for part in separator.split(text):
            try:
                return identity_numbers.parse_mobile(part)
            except identity_numbers.InvalidNumber:
                continue
    return None


def _warn_of_institution(row: ImportRow, institution: str, add_warning: WarnCallback) -> None:
    """Warn if the name in the row isn't the name of the institution that the registration number belongs
    to."""
    text = row.text("institution")
    if text and normalise_text(text) != normalise_text(institution):
        reason = f"机构名称与登记号对应的“{institution}”不一致"
        add_warning("institution", reason, "以机构登记号为准，请核对。")
