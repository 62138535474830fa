"""One row of the register's export (电子化注册): the person, and what the register says about him or her."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from dingkao.doctors.code_lists import (
    CATEGORIES,
    LEVELS,
    SCOPES,
    code_for,
)
from dingkao.doctors.models import Doctor
from dingkao.doctors.number_indices import (
    candidate_number_indices,
)
from dingkao.doctors.roster_columns import (
    COLUMN_HEADINGS,
)
from dingkao.integrations.spreadsheets import sheet_reader
from dingkao.integrations.spreadsheets.import_rows import (
    EMPTY_WORDS,
    ImportReport,
    ImportRow,
)
from dingkao.people import identity_numbers
from dingkao.people.names import is_same_name, normalise_name
from dingkao.tenants.encryption import (
    SecretLocation,
    current_vault,
    normalise_text,
)

COLUMNS = {
    name: COLUMN_HEADINGS[name]
    for name in (
        "name",
        "number",
        "level",
        "category",
        "scope",
        "qualification",
        "practice",
        "institution",
        "registration_number",
    )
}
"""Our name → headings; those of the roster, which the register's export shares."""
REQUIRED_COLUMNS = ("name", "number")
CODE_COLUMNS = (
    "number",
    "qualification",
    "practice",
    "registration_number",
)
ENCRYPTED_COLUMNS = {
    "qualification": "资格证书编码",
    "practice": "执业证书编码",
}
MAX_INSTITUTION_LENGTH = 100
_RESIDENT_LIKE = re.compile("[0-9]+X?")
_SCOPE_SEPARATORS = re.compile("[;\uff1b,\uff0c\u3001/\n]")


class InvalidRegisterRow(ValueError):  # noqa: N818
    """The row can't be compared. `column`: our name of the wrong column; `reason` and `remedy`: sentences for
    the report."""

    def __init__(self, column: str, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.column, self.reason, self.remedy = (
            column,
            reason,
            remedy,
        )


@dataclass(frozen=True)
class RegisterEntry:
    """A person of the register. `indices`: number → blind index, of the document numbers that the row may
    mean; the other values are "" where the export says nothing."""

    row: ImportRow
    name: str
    indices: Mapping[str, bytes]
    institution: str
    registration_number: str
    level: str = ""
    category: str = ""
    scopes: frozenset[str] = field(default_factory=frozenset)


def read_rows(content: bytes, report: ImportReport) -> Iterator[ImportRow]:
    """Yield the rows of an export; problems of the file are added to `report`. Raises InvalidInput, TooLarge,
    Unavailable, also while the rows are read."""
    return sheet_reader.read_rows(
        content,
        COLUMNS,
        REQUIRED_COLUMNS,
        report,
        date_columns=(),
        code_columns=CODE_COLUMNS,
    )


def row_keys(row: ImportRow) -> list[bytes]:
    """The keys by which a person is recognised a second time in a file; empty without a number."""
    number = row.text("number")
    return list(candidate_number_indices(number).values()) if number else []


def validate_row(row: ImportRow) -> RegisterEntry:
    """Return what a row says; level, category and scopes that aren't known count as not said. Raises
    InvalidRegisterRow if name or number is missing or can't be read, or the number has lost digits in
    Excel."""
    for column in REQUIRED_COLUMNS:
        if column in row.problems:
            problem = row.problems[column]
            raise InvalidRegisterRow(column, problem.reason, problem.remedy)
        if not row.text(column):
            heading = COLUMNS[column][0]
            raise InvalidRegisterRow(
                column,
                f"{heading}未填写",
                f"请从注册系统重新导出，或补填{heading}。",
            )
    if row.has_lost_digits("number") and isinstance(row.cells["number"], float | int):
        raise InvalidRegisterRow(
            "number",
            "证件号码被Excel当作数字，后几位已丢失",
            "请从注册系统重新导出，不要用Excel另存。",
        )
    return RegisterEntry(
        row,
        normalise_name(row.text("name")),
        candidate_number_indices(row.text("number")),
        " ".join(row.text("institution").split())[:MAX_INSTITUTION_LENGTH],
        normalise_text(row.text("registration_number")),
        code_for("level", row.text("level")) or "",
        code_for("category", row.text("category")) or "",
        frozenset(_scope_codes(row.text("scope"))),
    )


def require_document_number(entry: RegisterEntry) -> str:
    """The document number of somebody who is not on the list, as it would be stored: that of a resident, or
    if it isn't one, of a passport. Raises InvalidRegisterRow if it is neither."""
    text = entry.row.text("number")
    for kind in ("resident", "passport"):
        try:
            return identity_numbers.parse_document(kind, text).number
        except identity_numbers.InvalidNumber as error:
            if kind == "resident" and _RESIDENT_LIKE.fullmatch(normalise_text(text)):
                raise InvalidRegisterRow("number", error.reason, error.remedy) from error
    raise InvalidRegisterRow(
        "number",
        "证件号码格式不正确",
        "请核对证件，填写完整的号码。",
    )


def _scope_codes(text: str) -> Iterator[str]:
    """The codes of the scopes that a cell names; none for what isn't known."""
    whole = code_for("scope", text)
    for word in [text] if whole else _SCOPE_SEPARATORS.split(text):
        if code := code_for("scope", word):
            yield code


def differences(entry: RegisterEntry, doctor: Doctor) -> list[list[str]]:
    """What list and register say differently about a doctor, without the institution: [label, value of the
    list, value of the register]; certificate numbers masked. What one of the two doesn't say is no
    difference. Raises encryption.DecryptionFailed."""
    found = []
    if not is_same_name(entry.name, doctor.name):
        found.append(["姓名", doctor.name, entry.name])
    if entry.level and entry.level != doctor.level:
        found.append(["级别", LEVELS[doctor.level], LEVELS[entry.level]])
    if entry.category and entry.category != doctor.category:
        found.append(
            [
                "执业类别",
                CATEGORIES[doctor.category],
                CATEGORIES[entry.category],
            ]
        )
    listed_scopes = frozenset(filter(None, (doctor.scope or "").split(",")))
    if entry.scopes and listed_scopes and entry.scopes != listed_scopes:
        found.append(
            [
                "执业范围",
                _scopes_text(listed_scopes),
                _scopes_text(entry.scopes),
            ]
        )
    return found + _differing_certificates(entry, doctor)


def _scopes_text(codes: frozenset[str]) -> str:
    return "、".join(SCOPES[code][1] for code in sorted(codes) if code in SCOPES)


def _differing_certificates(entry: RegisterEntry, doctor: Doctor) -> list[list[str]]:
    """[label, the stored number, that of the register], both masked, for each certificate number that both
    have and that differs."""
    found = []
    for column, label in ENCRYPTED_COLUMNS.items():
        number = normalise_text(entry.row.text(column))
        if number in EMPTY_WORDS or entry.row.has_lost_digits(column):
            continue
        stored = _stored_number(doctor, column)
        if stored and number != normalise_text(stored):
            found.append(
                [
                    label,
                    *map(
                        identity_numbers.mask_number,
                        (stored, number),
                    ),
                ]
            )
    return found


def _stored_number(doctor: Doctor, column: str) -> str:
    """The doctor's certificate number of that column, decrypted; "" if there is none."""
    encrypted = getattr(doctor, f"{column}_sealed")
    return (
        current_vault().decrypt(SecretLocation("doctor", column, doctor.id), encrypted) if encrypted else ""
    )
