"""Recognises passwords made of words that an attacker would try first: names of the product, the province or
the person, years, neighbouring keys."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import chain, islice, product

from dingkao.tenants.characters import fold_lookalikes
from dingkao.tenants.registry import Province, search_terms

PRODUCT_WORDS = (
    "定考",
    "dingkao",
    "定期考核",
    "dingqikaohe",
    "考核",
    "kaohe",
    "医师",
    "yishi",
    "doctor",
)
COMMON_WORDS = (
    "password",
    "mima",
    "admin",
    "welcome",
    "iloveyou",
    "woaini",
)
KEYBOARD_ROWS = (
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "1234567890",
    "!@#$%^&*()",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik",
    "qazwsxedcrfvtgbyhnujmik",
)
MIN_SEQUENCE = 4
MIN_ASCII_WORD, MIN_HAN_WORD = 3, 2
MIN_OTHER_CHARACTERS, MIN_DISTINCT_CHARACTERS = 5, 4
MAX_PINYIN_READINGS = 64
_LOOKALIKES: tuple[dict[int, int], ...] = (
    {},
    str.maketrans("0134578@$!", "oieastbasi"),
    str.maketrans("0134578@$!", "oleastbasi"),
)
_YEAR = re.compile(r"(?=(?:19|20)\d\d)")
_SEPARATORS = re.compile(r"[\s\-_.·•・]+")


def is_guessable(
    password: str,
    names: Iterable[str],
    province: Province | None = None,
) -> bool:
    """Whether a password contains a guessable part (a word of `_guessable_words`, a year, neighbouring keys)
    and, outside such parts, fewer than MIN_OTHER_CHARACTERS letters and digits, or fewer than
    MIN_DISTINCT_CHARACTERS different ones.
    Case and width are ignored, and digits typed for letters (0 for o) count as these letters. `names`: the
    person's name and user name; `province`: in which the account is, None for an operator."""
    text = _folded(password)
    covered = _covered_positions(text, _guessable_words(names, province))
    if not covered:
        return False
    other_characters = [
        character
        for position, character in enumerate(text)
        if position not in covered and character.isalnum()
    ]
    has_few = len(other_characters) < MIN_OTHER_CHARACTERS
    return has_few or len(set(other_characters)) < MIN_DISTINCT_CHARACTERS


def _covered_positions(text: str, words: Iterable[str]) -> set[int]:
    """The indices of all characters of a folded text that belong to a guessable part; `words` are folded."""
    covered = set[int]()
    for start, length in _find_guessable_parts(text, words):
        covered.update(range(start, start + length))
    return covered


def _find_guessable_parts(text: str, words: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Yield the index and length of each guessable word, year and run of neighbouring keys in the text."""
    yield from _find_words(text, words)
    yield from ((match.start(), 4) for match in _YEAR.finditer(text))
    yield from _find_key_runs(text)


def _find_words(text: str, words: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Yield the index and length of each of `words` in the text, also if digits or signs are typed for
    letters (_LOOKALIKES)."""
    variants = {text.translate(table) for table in _LOOKALIKES}
    for word, variant in product(words, variants):
        for position in _positions_of(word, variant):
            yield position, len(word)


def _find_key_runs(text: str) -> Iterator[tuple[int, int]]:
    """Yield the index and length of each MIN_SEQUENCE characters that are neighbouring keys; runs that are
    longer come as several that overlap."""
    for position in range(len(text) - MIN_SEQUENCE + 1):
        if _are_neighbouring_keys(text[position : position + MIN_SEQUENCE]):
            yield position, MIN_SEQUENCE


def _positions_of(word: str, text: str) -> Iterator[int]:
    """The indices at which the word begins in the text, overlapping ones too."""
    return (position for position in range(len(text)) if text.startswith(word, position))


def _are_neighbouring_keys(keys: str) -> bool:
    """Whether characters stand beside each other in one of KEYBOARD_ROWS, in either direction."""
    return any(keys in keyboard_row or keys[::-1] in keyboard_row for keyboard_row in KEYBOARD_ROWS)


def _guessable_words(names: Iterable[str], province: Province | None) -> set[str]:
    """The words that are guessable for this person: of the product, the province and the names, all in
    half-width lower case; words shorter than MIN_ASCII_WORD or MIN_HAN_WORD are left out."""
    words = {
        *PRODUCT_WORDS,
        *COMMON_WORDS,
        *(search_terms(province) if province else ()),
    }
    words.update(*map(_words_of_name, names))
    return set(filter(_is_long_enough, map(_folded, words)))


def _words_of_name(name: str) -> set[str]:
    """The name, its parts (古丽努尔 and 买买提 of 古丽努尔·买买提), the parts written together and, for a
    Chinese name, the pinyin of these; as they are written, and one may be empty."""
    parts = _SEPARATORS.split(fold_lookalikes(name))
    written_words = {*parts, "".join(parts)}
    readings = () if name.isascii() else map(_pinyin_readings, written_words)
    return written_words.union({name}, *readings)


def _is_long_enough(word: str) -> bool:
    """Whether a folded word is long enough to count: a shorter one stands in many passwords by chance."""
    return len(word) >= (MIN_ASCII_WORD if word.isascii() else MIN_HAN_WORD)


def _pinyin_readings(name: str) -> set[str]:
    """The pinyin of a Chinese name without separators, in every reading of its characters (the first
    MAX_PINYIN_READINGS combinations of them): the whole name, the given name, the first two characters, and
    each character. ü is written v, u and, as in passports, yu."""
    from pypinyin import (
        Style,
        pinyin,
    )  # its dictionaries take half a second to load

    syllables = pinyin(name, style=Style.NORMAL, heteronym=True)
    readings_found = set(chain.from_iterable(syllables))
    for name_reading in islice(product(*syllables), MAX_PINYIN_READINGS):
        readings_found |= {
            "".join(name_reading),
            "".join(name_reading[1:]),
            "".join(name_reading[:2]),
        }
    return {word.replace("v", spelling) for word in readings_found for spelling in ("v", "u", "yu")}


def _folded(text: str) -> str:
    """A text in half-width, lower case."""
    return unicodedata.normalize("NFKC", text).lower()
