"""Administrative divisions (GB/T 2260): from what stands in an institution's cell to a code, and to the health authority over it (管辖行政
of screen S6)."""

import csv
import re
from functools import lru_cache
from importlib.resources import files

from dingkao.tenants.registry import Province
from dingkao.tenants.secrets import normalised

_CODE = re.compile(r"'?([0-9]{6}|[0-9]{4})([0-9]{3}|[0-9]{6})?(\.0+)?(?![0-9.])")
_DIRECTLY_ADMINISTERED = "直辖县级"
"""What GB/T 2260 calls the codes (419000, 659000 …) under which counties without a prefecture stand: no authority has that name."""


class UnknownDivision(ValueError):  # noqa: N818
    """No division of the province, or not one alone."""


def division_of(province: Province, text: str) -> str:
    """The six-digit code that `text` means: the code itself, its prefecture's four digits, the nine or twelve digits of statistics, a code
    with its name behind it, or a name that is the only one in the province. Raises UnknownDivision."""
    word = normalised(text)
    found = _CODE.match(word)
    code = found[1].ljust(6, "0") if found and (len(found[1]) == 6 or not found[2]) else _code_of_name(province, word)
    if code is None or code[:2] not in _codes(province):
        raise UnknownDivision(text)
    return code


def health_authority(province: Province, division: str) -> str:
    """The name of the health authority over `division` (six digits): the county's 卫生健康局, the prefecture's 卫生健康委员会,
    else the province's commission. A code whose county has been abolished counts as its prefecture's. Raises UnknownDivision."""
    if not (len(division) == 6 and division.isdigit() and division[:2] in _codes(province)):
        raise UnknownDivision(division)
    names = _names()
    county, prefecture = names.get(division), names.get(division[:4] + "00")
    if not division.endswith("00") and county:
        return f"{county}卫生健康局"
    if not division.endswith("0000") and prefecture and _DIRECTLY_ADMINISTERED not in prefecture:
        return f"{prefecture}卫生健康委员会"
    return province.commission


def _code_of_name(province: Province, word: str) -> str | None:
    name = word.removeprefix(province.name)
    codes = [code for code, known in _names().items() if known == name and code[:2] in _codes(province)]
    return codes[0] if len(codes) == 1 else None


def _codes(province: Province) -> tuple[str, ...]:
    return ("65", "66") if province.code == 66 else (str(province.code),) if province.code < 900 else tuple(str(n) for n in range(10, 100))


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    with (files("dingkao.tenants") / "divisions.csv").open(encoding="utf-8") as file:
        return {row[0]: row[1] for row in csv.reader(file)}
