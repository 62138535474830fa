"""Which characters the fonts of this machine can print. A page takes a character from any font that has it,
so it is enough if one has it. The list of fonts comes from fontconfig, which WeasyPrint uses too. Which fonts
a page asks for first stands in the `.css` beside its template (templates/print)."""

import subprocess
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache

import structlog

FC_LIST_COMMAND = ("fc-list", "--format", "%{family}|%{charset}\n")
TIMEOUT_SECONDS = 20
PLACEHOLDER_FONTS = (
    "Last Resort",
    "LastResort",
    "Adobe Blank",
    "AdobeBlank",
    "Unicode BMP Fallback",
)
"""Fonts that print a box, or nothing, for every character, and therefore do not count."""
_UNASSIGNED = ("Cn", "Co", "Cs")
_BLANK = ("Cc", "Cf", "Zs", "Zl", "Zp")
log = structlog.get_logger()


def unprintable_characters(*texts: str) -> str:
    """Returns the characters of `texts` that would be printed as an empty box, each once, in order. Codes
    without an assigned character are always among them. The list of fonts is read once in a process, with the
    first character outside ASCII; if it can't be read, that is logged and only those are returned, until the
    process ends."""
    characters = dict.fromkeys("".join(texts))
    return "".join(character for character in characters if not _is_printable(character))


@lru_cache(maxsize=65536)
def _is_printable(character: str) -> bool:
    """Whether a character would be printed properly, or nothing has to be printed for it."""
    if character.isascii():
        return True
    category = unicodedata.category(character)
    if category in _UNASSIGNED and not _is_unassigned_ideograph(character):
        return False
    return category in _BLANK or _is_covered(ord(character))


def _is_covered(code: int) -> bool:
    """Whether some font has a code, or the list of fonts can't be read."""
    starts, ends = _covered_ranges()
    index = bisect_right(starts, code) - 1
    return not starts or index >= 0 and code <= ends[index]


def _is_unassigned_ideograph(character: str) -> bool:
    """Whether a code may be a Chinese character that Unicode has added after this version of Python."""
    return 0x20000 <= ord(character) <= 0x3FFFD


@lru_cache(maxsize=1)
def _covered_ranges() -> tuple[list[int], list[int]]:
    """Returns the ranges of codes that the fonts have, as sorted starts and ends; empty if the list of fonts
    can't be read."""
    try:
        listing = subprocess.run(  # noqa: S603
            FC_LIST_COMMAND,
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=True,
            text=True,
        ).stdout
    except (OSError, subprocess.SubprocessError) as fault:
        log.error("typefaces.unknown", kind=type(fault).__name__)
        return [], []
    return _merge_ranges(_parse_ranges(listing.splitlines()))


def _parse_ranges(lines: Iterable[str]) -> set[tuple[int, int]]:
    """Returns the ranges (first, last) of codes in lines of FC_LIST_COMMAND."""
    ranges: set[tuple[int, int]] = set()
    for line in lines:
        family, _, charset = line.rpartition("|")
        if not family.startswith(PLACEHOLDER_FONTS):
            ranges.update(map(_parse_range, charset.split()))
    return ranges


def _parse_range(text: str) -> tuple[int, int]:
    """Returns (first, last) of a range such as 4e00-9fff or 3007."""
    first, _, last = text.partition("-")
    return int(first, 16), int(last or first, 16)


def _merge_ranges(
    stretches: Iterable[tuple[int, int]],
) -> tuple[list[int], list[int]]:
    """Returns the ranges (first, last) merged, as sorted starts and ends, both included."""
    starts: list[int] = []
    ends: list[int] = []
    for first, last in sorted(stretches):
        if ends and first <= ends[-1] + 1:
            ends[-1] = max(ends[-1], last)
        else:
            starts.append(first)
            ends.append(last)
    return starts, ends
