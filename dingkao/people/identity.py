"""Numbers that identify people: resident ID numbers and other documents, mobile numbers; how they are typed, checked and shown.

GB 11643-1999 for the resident ID number; the area code inside is never checked: areas are abolished, people keep their numbers.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime

from stdnum.cn import ric
from stdnum.exceptions import ValidationError

from dingkao import clock
from dingkao.tenants.secrets import normalised

RESIDENT_KINDS = ("resident", "residence_permit")
EARLIEST_BIRTH = date(1900, 1, 1)
_MOBILE = re.compile(r"1[3-9][0-9]{9}")
_SHORTEST, _LONGEST = 5, 30
_FORMS = {
    "hk_macao_permit": (re.compile(r"[HM]([0-9]{8}|[0-9]{10})"), "港澳居民来往内地通行证号码通常为H或M加8位或10位数字"),
    "taiwan_permit": (re.compile(r"[0-9]{8}|[0-9]{10,11}(\([A-Z0-9]+\))?"), "台湾居民来往大陆通行证号码通常为8位数字"),
    "foreign_permanent": (re.compile(r"[A-Z]{3}[0-9]{12}|9[0-9]{16}[0-9X]"), "外国人永久居留身份证号码通常为18位,旧版为15位"),
}
_OF_REGION = {
    "hong_kong": re.compile(r"[A-Z]{1,2}[0-9]{6}\(?[0-9A]\)?"),
    "macao": re.compile(r"[1578]/?[0-9]{6}(/[0-9]|\([0-9]\)|[0-9])"),
    "taiwan": re.compile(r"[A-Z][12489A-D][0-9]{8}"),
}


class NotANumber(ValueError):  # noqa: N818
    """A number isn't one; `reason` and `remedy` are sentences for a clerk."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True)
class Document:
    """A document number in the one form it is kept in, and what it says of its holder (None where it says nothing)."""

    number: str
    sex: str | None = None
    birth_date: date | None = None


def document(kind: str, text: str) -> Document:
    """`text` as a number of document type `kind` (a code of doctors' list). Full-width digits, blanks and a small x are mended,
    a resident number of 15 digits becomes 18. Raises NotANumber."""
    number = normalised(text)
    if kind not in RESIDENT_KINDS:
        if not _SHORTEST <= len(number) <= _LONGEST or not re.search("[A-Z0-9]", number):
            raise NotANumber("证件号码格式不正确", f"请核对证件,填写{_SHORTEST}至{_LONGEST}位的号码。")
        return _foreign(number) if kind == "foreign_permanent" else Document(number)
    number = folded(number)
    if re.fullmatch(r"[0-9]{15}", number):
        number = f"{number[:6]}19{number[6:]}"
        number += ric.calc_check_digit(number + "0")
    if not re.fullmatch(r"[0-9]{17}[0-9X]", number):
        raise NotANumber("证件号码不是18位居民身份证号", "请按身份证填写18位号码,末位可以是X;在Excel中请先把该列设为文本格式。")
    birth = _birth_date(number)
    if ric.calc_check_digit(number) != number[17]:
        raise NotANumber("证件号码校验位不符", "请对照身份证逐位核对,通常是其中一位录错。")
    return Document(number, "male" if int(number[16]) % 2 else "female", birth)


def oddity(kind: str, number: str) -> str | None:
    """What is odd about a `number` that `document` has taken for one of `kind` (domain.md §2.3), or None; such a number is not refused."""
    form, sentence = _FORMS.get(kind, (None, ""))
    if form and not form.fullmatch(number):
        return sentence
    if kind == "foreign_permanent" and len(number) == 18 and ric.calc_check_digit(number) != number[17]:
        return "外国人永久居留身份证号码校验位不符"
    return None


def kind_of_region(text: str) -> str | None:
    """Which of the three identity cards, of Hong Kong, Macao or Taiwan, has such a number; None where that can't be told."""
    kinds = [kind for kind, form in _OF_REGION.items() if form.fullmatch(normalised(text))]
    return kinds[0] if len(kinds) == 1 else None


def _foreign(number: str) -> Document:
    """The card of 2023 says of its holder what the resident's does, in the same places."""
    if not re.fullmatch(r"9[0-9]{16}[0-9X]", number) or ric.calc_check_digit(number) != number[17]:
        return Document(number)
    try:
        return Document(number, "male" if int(number[16]) % 2 else "female", _birth_date(number))
    except NotANumber:
        return Document(number)


def _birth_date(number: str) -> date:
    try:
        birth = ric.get_birth_date(number)
    except (ValidationError, ValueError):
        birth = None
    if isinstance(birth, datetime):
        birth = birth.date()
    if birth is None or not EARLIEST_BIRTH <= birth <= clock.today():
        raise NotANumber("证件号码中的出生日期不存在", "请对照身份证核对第7至14位(出生年月日)。")
    return birth


def birth_date_in(number: str) -> date | None:
    """The birth date that a resident ID number says, None where it says none."""
    if not re.fullmatch(r"[0-9]{17}[0-9X]", number):
        return None
    try:
        return _birth_date(number)
    except NotANumber:
        return None


def folded(text: str) -> str:
    """A number as numbers are told apart: letters and digits alone, for A123456(7), a123456 7 and Ａ１２３４５６（７） are one card."""
    return "".join(one for one in normalised(text) if one.isalnum())


def login_number(text: str) -> str:
    """What someone typed to sign in, in the form accounts are found by, whatever the document: brackets, dashes and strokes make no
    difference, fifteen digits are the eighteen (domain.md §6). A wrong number stays what it is and finds nobody."""
    number = folded(text)[:64]
    if re.fullmatch(r"[0-9]{15}", number):
        number = f"{number[:6]}19{number[6:]}"
        number += ric.calc_check_digit(number + "0")
    return number


def mobile(text: str) -> str:
    """`text` as a mainland mobile number of eleven digits; +86, blanks, brackets and dashes are taken off, and the point of a number made
    one by Excel. Raises NotANumber."""
    number = re.sub(r"[()]|(?<=[0-9)])[\-\u2010-\u2015]|\.0$", "", normalised(text))
    number = re.sub(r"^(\+?86|0086)(?=1[0-9]{10}$)", "", number)
    if not _MOBILE.fullmatch(number):
        raise NotANumber("手机号码不是有效的11位手机号", "请填写以1开头的11位手机号码;没有手机的可留空,由机构发放一次性代码。")
    return number


def masked(number: str) -> str:
    """A number as it is shown: a resident number keeps six and four, a mobile three and four, others their last three."""
    if len(number) == 18:
        return f"{number[:6]}********{number[-4:]}"
    if len(number) == 11 and number.isdigit():
        return f"{number[:3]}****{number[-4:]}"
    return "*" * max(len(number) - 3, 3) + number[-3:]
