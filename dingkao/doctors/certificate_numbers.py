"""Warnings about the two certificate numbers of a doctor (domain.md §2.3). Sources disagree on the details of
their form, so an odd number is never refused.

资格证书编码: 4 digits year, 2 province, 1 level, 2 category, then the ID number (18 digits, 15 on old
certificates).
执业证书编码: 1 digit level, 2 category, 6 area, 6 serial number.
"""

import re
from datetime import date

from dingkao import clock
from dingkao.doctors.code_lists import CATEGORIES, LEVELS
from dingkao.people.identity_numbers import birth_date_of, normalise_login_number, sex_of
from dingkao.tenants.registry import PROVINCES

FIRST_YEAR = 1950
_PREFIX_LENGTH = 9
_PROVINCES = frozenset(str(province.code) for province in PROVINCES)


_LEVEL_BY_DIGIT = dict(zip("12", LEVELS, strict=True))


_CATEGORY_BY_DIGIT = dict(zip("1234", CATEGORIES, strict=True))


def qualification_warning(
    text: str,
    number: str,
    *,
    level: str | None = None,
    category: str | None = None,
) -> str | None:
    """A short text on what is odd about the 资格证书编码 `text` (normalised) of a doctor whose identity
    document has `number`; None if nothing is, or `text` is empty. `level` and `category` (our codes) are
    compared unless they are None."""
    if not text:
        return None
    if not re.fullmatch("[0-9A-Z]{24}|[0-9A-Z]{27}", text):
        return "资格证书编码通常为27位"
    if not _has_document_number(text, number):
        return "资格证书编码中的证件号与本人证件号码不一致"
    if _is_year_wrong(text[:4]):
        return "资格证书编码开头4位通常是发证年份"
    if _is_province_wrong(text[4:6]):
        return "资格证书编码的第5、6位不是省份代码"
    return _code_warning("资格证书编码", text, 6, level, category)


def _has_document_number(text: str, number: str) -> bool:
    """Whether a 资格证书编码 ends with the document number of 18 digits, or with its old form of 15. True for
    a document number of another length, which can't be compared."""
    if len(number) != 18:
        return True
    return text[_PREFIX_LENGTH:] in (
        number,
        number[:6] + number[8:17],
    )


def identity_mismatch(text: str, number: str, *, birth_date: date | None, sex: str | None) -> str | None:
    """A short text if the 资格证书编码 `text` (normalised) contains the identity number of another person
    than the doctor, whose identity document has `number`; None if it does not, or nothing can be compared. A
    document of another kind than a resident number is compared by the doctor's birth date and sex."""
    contained = normalise_login_number(text[_PREFIX_LENGTH:])
    if len(number) == len(contained) == 18:  # noqa: PLR2004
        return None if contained == number else "资格证书编码中的证件号与本人证件号码不一致"
    contained_birth = birth_date_of(contained)
    if contained_birth is None:
        return None
    if birth_date not in (None, contained_birth):
        return "资格证书编码中证件号的出生日期与本人不一致"
    if sex not in (None, sex_of(contained)):
        return "资格证书编码中证件号的性别与本人不一致"
    return None


def _is_year_wrong(digits: str) -> bool:
    return digits.isdecimal() and not FIRST_YEAR <= int(digits) <= clock.today().year


def _is_province_wrong(digits: str) -> bool:
    return digits.isdecimal() and digits not in _PROVINCES


def practice_warning(
    text: str,
    *,
    level: str | None = None,
    category: str | None = None,
) -> str | None:
    """A short text on what is odd about the 执业证书编码 `text` (normalised); None if nothing is, or `text`
    is empty. `level` and `category` (our codes) are compared unless they are None."""
    if not text:
        return None
    if not re.fullmatch("[0-9A-Z]{15}", text):
        return "执业证书编码通常为15位"
    return _code_warning("执业证书编码", text, 0, level, category)


def _code_warning(
    number_name: str,
    text: str,
    level_index: int,
    level: str | None,
    category: str | None,
) -> str | None:
    """A warning if a digit contradicts `level` or `category` (our codes). `level_index`: the index of the
    level's digit in `text`, which the category's digit follows; `number_name`: the Chinese name of the
    certificate number."""
    if _is_other(_LEVEL_BY_DIGIT.get(text[level_index]), level):
        return f"{number_name}的第{level_index + 1}位与医师级别不一致"
    if _is_other(_CATEGORY_BY_DIGIT.get(text[level_index + 1]), category):
        return f"{number_name}的第{level_index + 2}、{level_index + 3}位与执业类别不一致"
    return None


def _is_other(code: str | None, expected: str | None) -> bool:
    """Whether both codes are known and differ from each other."""
    return bool(code and expected) and code != expected
