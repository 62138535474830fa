"""Numbers that identify people (resident ID numbers, other documents, mobile numbers): parsing, checking,
masking.

The resident ID number follows GB 11643-1999; its area code is never checked, because areas are abolished and
people keep their numbers."""

import re
from dataclasses import dataclass
from datetime import date, datetime

from stdnum.cn import ric
from stdnum.exceptions import ValidationError

from dingkao import clock
from dingkao.tenants.encryption import normalise_text

RESIDENT_TYPES = ("resident", "residence_permit")
EARLIEST_BIRTH = date(1900, 1, 1)
_RESIDENT_NUMBER = re.compile(r"[0-9]{17}[0-9X]")
_MOBILE = re.compile(r"1[3-9][0-9]{9}")
_MIN_LENGTH, _MAX_LENGTH = 5, 30
_NUMBER_PATTERNS = {
    "hk_macao_permit": (
        re.compile(r"[HM]([0-9]{8}|[0-9]{10})"),
        "港澳居民来往内地通行证号码通常为H或M加8位或10位数字",
    ),
    "taiwan_permit": (
        re.compile(r"[0-9]{8}|[0-9]{10,11}(\([A-Z0-9]+\))?"),
        "台湾居民来往大陆通行证号码通常为8位数字",
    ),
    "foreign_permanent": (
        re.compile(r"[A-Z]{3}[0-9]{12}|9[0-9]{16}[0-9X]"),
        "外国人永久居留身份证号码通常为18位，旧版为15位",
    ),
}
_REGION_PATTERNS = {
    "hong_kong": re.compile(r"[A-Z]{1,2}[0-9]{6}\(?[0-9A]\)?"),
    "macao": re.compile(r"[1578]/?[0-9]{6}(/[0-9]|\([0-9]\)|[0-9])"),
    "taiwan": re.compile(r"[A-Z][12489A-D][0-9]{8}"),
}


class InvalidNumber(ValueError):  # noqa: N818
    """The text is no valid number; `reason` and `remedy` are sentences for a clerk."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True)
class IdentityDocument:
    """A document number in its normal form, and the sex and birth date that it contains (None if it
    doesn't)."""

    number: str
    sex: str | None = None
    birth_date: date | None = None


def parse_document(kind: str, text: str) -> IdentityDocument:
    """Parse `text` as a number of the document type `kind` (a code of `doctors/code_lists`). Full-width
    digits, blanks and a small x are corrected; a resident number of 15 digits gets 18. Raises InvalidNumber.
    """
    number = normalise_text(text)
    if kind in RESIDENT_TYPES:
        return _parse_resident_number(normalise_number(number))
    if not _MIN_LENGTH <= len(number) <= _MAX_LENGTH or not re.search("[A-Z0-9]", number):
        raise InvalidNumber(
            "证件号码格式不正确",
            f"请核对证件，填写{_MIN_LENGTH}至{_MAX_LENGTH}位的号码。",
        )
    return _parse_foreign_card(number) if kind == "foreign_permanent" else IdentityDocument(number)


def _parse_resident_number(text: str) -> IdentityDocument:
    """A resident ID number with 18 digits, and the sex and birth date in it. `text`: as `normalise_number`
    returns it, of 15 digits, too. Raises InvalidNumber for a wrong form, a date before 1900 or to come, or a
    wrong check digit."""
    number = _with_18_digits(text)
    if not _RESIDENT_NUMBER.fullmatch(number):
        raise InvalidNumber(
            "证件号码不是18位居民身份证号",
            "请按身份证填写18位号码，末位可以是X；在Excel中请先把该列设为文本格式。",
        )
    birth = _birth_date(number)
    if _has_wrong_check_digit(number):
        raise InvalidNumber(
            "证件号码校验位不符",
            "请对照身份证逐位核对，通常是其中一位录错。",
        )
    return IdentityDocument(number, sex_of(number), birth)


def _with_18_digits(number: str) -> str:
    """A resident number of fifteen digits converted to the present eighteen; any other text unchanged."""
    if not re.fullmatch(r"[0-9]{15}", number):
        return number
    number = f"{number[:6]}19{number[6:]}"
    return number + ric.calc_check_digit(number + "0")


def _has_wrong_check_digit(number: str) -> bool:
    """Whether the last of 18 characters isn't the check digit of those before it."""
    return bool(ric.calc_check_digit(number) != number[17])


def sex_of(number: str) -> str:
    """«male» or «female», of a resident number with 18 digits: the 17th digit is odd for men."""
    return "male" if int(number[16]) % 2 else "female"


def number_warning(kind: str, number: str) -> str | None:
    """A sentence on what is odd about a `number` that `parse_document` has accepted for the document type
    `kind` (domain.md §2.3); None if nothing is. Odd numbers aren't refused."""
    form, sentence = _NUMBER_PATTERNS.get(kind, (None, ""))
    if form and not form.fullmatch(number):
        return sentence
    if kind == "foreign_permanent" and _is_wrong_card(number):
        return "外国人永久居留身份证号码校验位不符"
    return None


def _is_wrong_card(number: str) -> bool:
    """Whether a foreigner's card of 18 characters has a wrong check digit; False for the older form, which
    has none."""
    return len(number) == 18 and _has_wrong_check_digit(number)


def region_of_identity_card(text: str) -> str | None:
    """The document type (hong_kong, macao, taiwan) whose numbers have the form of `text`; None if none has,
    or several."""
    kinds = [kind for kind, form in _REGION_PATTERNS.items() if form.fullmatch(normalise_text(text))]
    return kinds[0] if len(kinds) == 1 else None


def _parse_foreign_card(number: str) -> IdentityDocument:
    """The permanent residence card of foreigners; the version of 2023 contains sex and birth date in the same
    places as a resident number, others contain nothing."""
    if not re.fullmatch(r"9[0-9]{16}[0-9X]", number) or _has_wrong_check_digit(number):
        return IdentityDocument(number)
    try:
        return IdentityDocument(number, sex_of(number), _birth_date(number))
    except InvalidNumber:
        return IdentityDocument(number)


def _birth_date(number: str) -> date:
    """The birth date in a number of 18 characters. Raises InvalidNumber unless it is a date from 1900 to
    today."""
    birth = _stated_birth_date(number)
    if birth is None or not EARLIEST_BIRTH <= birth <= clock.today():
        raise InvalidNumber(
            "证件号码中的出生日期不存在",
            "请对照身份证核对第7至14位（出生年月日）。",
        )
    return birth


def _stated_birth_date(number: str) -> date | None:
    """The birth date in a number of 18 characters; None if it is no date."""
    try:
        birth = ric.get_birth_date(number)
    except (ValidationError, ValueError):
        return None
    return birth.date() if isinstance(birth, datetime) else birth


def birth_date_of(number: str) -> date | None:
    """The birth date in a resident number of 18 characters, in its normal form; None if the text is no such
    number or has no possible date. The check digit isn't looked at."""
    if not _RESIDENT_NUMBER.fullmatch(number):
        return None
    try:
        return _birth_date(number)
    except InvalidNumber:
        return None


def normalise_number(text: str) -> str:
    """A number in the form in which numbers are compared, only letters and digits: A123456(7), a123456 7 and
    Ａ１２３４５６（７） are the same card."""
    return "".join(character for character in normalise_text(text) if character.isalnum())


def normalise_login_number(text: str) -> str:
    """A number typed to sign in, in the form by which accounts are found: brackets, dashes and slashes are
    removed, fifteen digits become eighteen (domain.md §6). A wrong number isn't refused; it finds no account.
    """
    return _with_18_digits(normalise_number(text)[:64])


def parse_mobile(text: str) -> str:
    """Parse `text` as a mainland mobile number of eleven digits. The prefix 86, blanks, brackets and dashes
    are removed, and the «.0» of a number that Excel has stored as a quantity. Raises InvalidNumber."""
    number = re.sub(
        r"[()]|(?<=[0-9)])[\-\u2010-\u2015]|\.0$",
        "",
        normalise_text(text),
    )
    number = re.sub(r"^(\+?86|0086)(?=1[0-9]{10}$)", "", number)
    if not _MOBILE.fullmatch(number):
        raise InvalidNumber(
            "手机号码不是有效的11位手机号",
            "请填写以1开头的11位手机号码；没有手机的可留空，由机构发放一次性代码。",
        )
    return number


def mask_number(number: str) -> str:
    """A number (in its normal form) as it is displayed: of one with 18 characters the first six and last four
    characters are visible, of one with eleven digits the first three and last four, of others the last
    three."""
    if len(number) == 18:
        return f"{number[:6]}********{number[-4:]}"
    if len(number) == 11 and number.isdigit():
        return f"{number[:3]}****{number[-4:]}"
    return "*" * max(len(number) - 3, 3) + number[-3:]
