"""Real administrative divisions (GB/T 2260, as in python-stdnum) and numbers of resident ID cards in them."""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, cached_property
from importlib.resources import files

from stdnum.cn import ric

PROVINCE_OF_NAMES = {66: 65}
"""Provinces whose code has no divisions of its own → where their people are registered."""
_LINE_PATTERN = re.compile(r'  (\d{4}) county="([^"]+)"')
_PERIOD_PATTERN = re.compile(r"(?:\[(\d*)-(\d*)\])?([^,\[\]]+)")
YEAR_REPEATS = (
    (range(1955, 1962), 1), (range(1962, 1967), 3), (range(1967, 1973), 6), (range(1973, 1980), 8),
    (range(1980, 1990), 10), (range(1990, 1996), 7), (range(1996, 1999), 4), (range(1999, 2001), 1),
)  # fmt: skip
"""Years of birth → how many parts of the doctors were born in each."""
BIRTH_SLOTS = tuple(
    (year, part) for years, repeats in YEAR_REPEATS for year in years for part in range(repeats)
)
SEQUENCES_PER_SLOT, DAYS_PER_YEAR = 50, 365
ELSEWHERE_EVERY, ELSEWHERE_MIN = 7, 12
STRIDE = 7_368_787
"""A prime, so that serials that follow each other have numbers that don't."""


@dataclass(frozen=True)
class Division:
    """A county or district: its code, its name, the years in which cards were issued with the code."""

    code: str
    name: str
    first_year: int
    last_year: int


@cache
def all_divisions() -> tuple[Division, ...]:
    """Every county and district of mainland China, past ones too."""
    divisions, province = list[Division](), ""
    for line in (files("stdnum.cn") / "loc.dat").read_text(encoding="utf-8").splitlines():
        if re.match(r"\d\d ", line):
            province = line[:2]
        elif (match := _LINE_PATTERN.match(line)) and not match[1].endswith("00"):
            for since, until, name in _PERIOD_PATTERN.findall(match[2]):
                divisions.append(Division(province + match[1], name, int(since or 0), int(until or 9999)))
    return tuple(divisions)


@dataclass(frozen=True)
class NumberSpace:
    """The resident numbers of people registered in `province` (two digits) and, one in ELSEWHERE_EVERY, in
    other provinces."""

    province: int

    @cached_property
    def home(self) -> tuple[Division, ...]:
        """The divisions of the province, past ones too."""
        prefix = str(PROVINCE_OF_NAMES.get(self.province, self.province))
        return tuple(division for division in all_divisions() if division.code.startswith(prefix))

    @cached_property
    def present(self) -> tuple[Division, ...]:
        """The divisions of the province that there are now."""
        return tuple(division for division in self.home if division.last_year == 9999)

    @cached_property
    def codes_by_year(self) -> dict[int, tuple[str, ...]]:
        """Year of birth → codes of the divisions that a card may name."""
        prefix = self.home[0].code[:2]
        strangers = [division for division in all_divisions() if not division.code.startswith(prefix)]
        return {year: self._codes_in(year, strangers) for year in sorted({year for year, _ in BIRTH_SLOTS})}

    def _codes_in(self, year: int, strangers: list[Division]) -> tuple[str, ...]:
        """The codes at home in `year`, and a share of those of `strangers`."""
        home_codes = sorted({d.code for d in self.home if d.first_year <= year <= d.last_year})
        other_codes = sorted({d.code for d in strangers if d.first_year <= year <= d.last_year})
        other_count = max(len(home_codes) // ELSEWHERE_EVERY, ELSEWHERE_MIN)
        step = len(other_codes) // other_count
        return tuple(home_codes + other_codes[:: max(step, 1)][:other_count])

    @cached_property
    def size(self) -> int:
        """How many numbers of each sex there are at least."""
        fewest = min(map(len, self.codes_by_year.values()))
        return len(BIRTH_SLOTS) * fewest * DAYS_PER_YEAR * SEQUENCES_PER_SLOT

    def number_of(self, serial: int, sex: str) -> tuple[str, date]:
        """The resident number of person `serial`, with its birth date; no two serials have the same one.
        Raises ValueError for a serial beyond `size`."""
        if not 0 <= serial < self.size:
            raise ValueError(f"no number for person {serial}")
        rest, slot = divmod(serial * STRIDE % self.size, len(BIRTH_SLOTS))
        year, part = BIRTH_SLOTS[slot]
        codes = self.codes_by_year[year]
        rest, division = divmod(rest, len(codes))
        sequence, day = divmod(rest, DAYS_PER_YEAR)
        birth = date(year, 1, 1) + timedelta(days=day)
        order = 2 * (part * SEQUENCES_PER_SLOT + sequence) + (sex == "male")
        body = f"{codes[division]}{birth:%Y%m%d}{order:03d}"
        return body + ric.calc_check_digit(body + "0"), birth


@cache
def number_space(province: int) -> NumberSpace:
    """The numbers of a province's people."""
    return NumberSpace(province)
