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
_OTHER = re.compile(r"[A-Z0-9()\-字第号一-龥]{5,20}")


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
        if not _OTHER.fullmatch(number):
            raise NotANumber("证件号码格式不正确", "请核对证件,填写5至20位的字母或数字。")
        return Document(number)
    if re.fullmatch(r"[0-9]{15}", number):
        number = f"{number[:6]}19{number[6:]}"
        number += ric.calc_check_digit(number + "0")
    if not re.fullmatch(r"[0-9]{17}[0-9X]", number):
        raise NotANumber("证件号码不是18位居民身份证号", "请按身份证填写18位号码,末位可以是X;在Excel中请先把该列设为文本格式。")
    birth = _birth_date(number)
    if ric.calc_check_digit(number) != number[17]:
        raise NotANumber("证件号码校验位不符", "请对照身份证逐位核对,通常是其中一位录错。")
    return Document(number, "male" if int(number[16]) % 2 else "female", birth)


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


def login_number(text: str) -> str:
    """What someone typed to sign in, in the form accounts are found by; a wrong number stays what it is and finds nobody."""
    number = normalised(text)[:64]
    if re.fullmatch(r"[0-9]{15}", number):
        number = f"{number[:6]}19{number[6:]}"
        number += ric.calc_check_digit(number + "0")
    return number


def mobile(text: str) -> str:
    """`text` as a mainland mobile number of eleven digits; +86, blanks and dashes are taken off. Raises NotANumber."""
    number = re.sub(r"[\s\-‐-―]", "", normalised(text))
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
