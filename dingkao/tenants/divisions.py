"""Administrative divisions (GB/T 2260): from the text in an institution's cell to a code, and from a code to
the health authority (管辖行政 of screen S6)."""

import csv
import re
from functools import lru_cache
from importlib.resources import files

from dingkao.tenants.encryption import normalise_text
from dingkao.tenants.registry import Province

_CODE = re.compile(r"'?([0-9]{6}|[0-9]{4})([0-9]{3}|[0-9]{6})?(\.0+)?(?![0-9.])")
_DIRECTLY_ADMINISTERED = "直辖县级"
"""Part of the names of GB/T 2260 codes (419000, 659000 …) that group counties without a prefecture. There is
no authority for such a group."""


class UnknownDivision(ValueError):  # noqa: N818
    """The text names no division of the province, or more than one."""


def division_code(province: Province, text: str) -> str:
    """Returns the six-digit code that `text` means: the code itself, the four digits of a prefecture, the
    nine or twelve digits used in statistics, a code followed by a name, or a name that only one division of
    the province has. Of a code only the first two digits are compared with the province. Raises
    UnknownDivision."""
    word = normalise_text(text)
    code = _typed_code(word) or _code_for_name(province, word)
    if code is None or code[:2] not in _codes(province):
        raise UnknownDivision(text)
    return code


def _typed_code(word: str) -> str | None:
    """Returns the six-digit code at the beginning of a normalised text, or None. Four digits are a code only
    if no digits follow."""
    code_match = _CODE.match(word)
    if code_match is None or (len(code_match[1]) == 4 and code_match[2]):
        return None
    return code_match[1].ljust(6, "0")


def health_authority(province: Province, division: str) -> str:
    """Returns the name of the health authority over `division` (six digits): the county's 卫生健康局, the
    prefecture's 卫生健康委员会, else the province's commission. An abolished county belongs to its
    prefecture. Raises UnknownDivision."""
    if not _is_code_of(province, division):
        raise UnknownDivision(division)
    county = _names().get(division)
    prefecture = _names().get(division[:4] + "00")
    if county and not division.endswith("00"):
        return f"{county}卫生健康局"
    if prefecture and _is_in_prefecture(division, prefecture):
        return f"{prefecture}卫生健康委员会"
    return province.commission


def _is_in_prefecture(division: str, prefecture: str) -> bool:
    """Whether a division belongs to a prefecture, which has an authority, and not directly to the
    province."""
    return not division.endswith("0000") and _DIRECTLY_ADMINISTERED not in prefecture


def _is_code_of(province: Province, division: str) -> bool:
    return len(division) == 6 and division.isdigit() and division[:2] in _codes(province)


def _code_for_name(province: Province, word: str) -> str | None:
    """Returns the code of the only division of the province with the name `word` (normalised, with or without
    the province's name in front); None if there is none or several."""
    name = word.removeprefix(province.name)
    codes = [
        code
        for code, division_name in _names().items()
        if division_name == name and code[:2] in _codes(province)
    ]
    return codes[0] if len(codes) == 1 else None


def _codes(province: Province) -> tuple[str, ...]:
    """Returns the first two digits of the province's codes. 兵团 also uses those of 新疆; a sandbox province
    all."""
    if province.code == 66:
        return ("65", "66")
    if province.code < 900:
        return (str(province.code),)
    return tuple(map(str, range(10, 100)))


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    """Returns code → name of all divisions."""
    with (files("dingkao.tenants") / "divisions.csv").open(encoding="utf-8") as file:
        return {line[0]: line[1] for line in csv.reader(file)}
