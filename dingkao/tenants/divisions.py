"""Administrative divisions (GB/T 2260): from an institution's code to the health authority over it (管辖行政 of screen S6)."""

import csv
from functools import lru_cache
from importlib.resources import files

from dingkao.tenants.registry import Province


class UnknownDivision(ValueError):  # noqa: N818
    """The code is not six digits, or lies in another province."""


def health_authority(province: Province, division: str) -> str:
    """The name of the health authority over `division` (six digits): the county's 卫生健康局, the prefecture's 卫生健康委员会,
    else the province's commission. A code whose county has been abolished counts as its prefecture's. Raises UnknownDivision."""
    if not (len(division) == 6 and division.isdigit() and division[:2] in _codes(province)):
        raise UnknownDivision(division)
    names = _names()
    county, prefecture = names.get(division), names.get(division[:4] + "00")
    if not division.endswith("00") and county:
        return f"{county}卫生健康局"
    if not division.endswith("0000") and prefecture:
        return f"{prefecture}卫生健康委员会"
    return province.commission


def _codes(province: Province) -> tuple[str, ...]:
    return ("65", "66") if province.code == 66 else (str(province.code),) if province.code < 900 else tuple(str(n) for n in range(10, 100))


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    with (files("dingkao.tenants") / "divisions.csv").open(encoding="utf-8") as file:
        return {row[0]: row[1] for row in csv.reader(file)}
