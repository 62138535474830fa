"""The two certificate numbers of a doctor (domain.md §2.3): what is odd about one. Sources disagree on the details, so nothing is refused.

资格证书编码: 4 year, 2 province, 1 level, 2 category, then the ID number (18 digits, or 15 on old ones).
执业证书编码: 1 level, 2 category, 6 area, 6 serial.
"""

import re

from dingkao import clock
from dingkao.doctors.codes import CATEGORIES, LEVELS
from dingkao.tenants.registry import PROVINCES

FIRST_YEAR = 1950
_BEFORE_THE_ID = 9
_PROVINCES = frozenset(str(province.code) for province in PROVINCES)


def doubt_of_qualification(text: str, number: str, *, level: str | None = None, category: str | None = None) -> str | None:
    """What is odd about the 资格证书编码 `text` (normalised) of a doctor with the document `number`, or None. `level` and `category`
    are not compared where they aren't known."""
    if not text:
        return None
    if not re.fullmatch("[0-9A-Z]{24}|[0-9A-Z]{27}", text):
        return "资格证书编码通常为27位"
    if len(number) == 18 and text[_BEFORE_THE_ID:] not in (number, number[:6] + number[8:17]):
        return "资格证书编码中的证件号与本人证件号码不一致"
    if text[:4].isdecimal() and not FIRST_YEAR <= int(text[:4]) <= clock.today().year:
        return "资格证书编码开头4位通常是发证年份"
    if text[4:6].isdecimal() and text[4:6] not in _PROVINCES:
        return "资格证书编码的第5、6位不是省份代码"
    return _doubt_of_code("资格证书编码", text, 6, level, category)


def doubt_of_practice(text: str, *, level: str | None = None, category: str | None = None) -> str | None:
    """The same of the 执业证书编码."""
    if not text:
        return None
    if not re.fullmatch("[0-9A-Z]{15}", text):
        return "执业证书编码通常为15位"
    return _doubt_of_code("执业证书编码", text, 0, level, category)


def _doubt_of_code(what: str, text: str, at: int, level: str | None, category: str | None) -> str | None:
    levels, categories = list(LEVELS), list(CATEGORIES)
    if level and text[at] in "12" and levels[int(text[at]) - 1] != level:
        return f"{what}的第{at + 1}位与医师级别不一致"
    if category and text[at + 1] in "1234" and categories[int(text[at + 1]) - 1] != category:
        return f"{what}的第{at + 2}、{at + 3}位与执业类别不一致"
    return None
