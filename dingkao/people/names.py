"""The normal form of people's names, in which they are stored, displayed and searched."""

import re
import unicodedata

from dingkao.tenants.characters import (
    LEGACY_PRIVATE_CODES,
    MIDDLE_DOT,
    fold_lookalikes,
)
from dingkao.tenants.encryption import normalise_text

HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_HAN_ONLY_PATTERN = re.compile(f"[{HAN} ]+")
_MIDDLE_DOT_PATTERN = re.compile(rf"(?<=[{HAN}])\s*[.\u00b7]\s*(?=[{HAN}])")
_CIRCLE_PATTERN = re.compile(rf"(?<=[{HAN}])[\u25cb\u25ef](?=[{HAN}]|$)")


def normalise_name(name: str) -> str:
    """`name` in the form in which it is stored: half-width letters; standard ideographs instead of radicals
    and of old private codes; no invisible characters and no superfluous blanks, between ideographs none at
    all; one kind of middle dot, also for a full stop between ideographs."""
    text = fold_lookalikes(unicodedata.normalize("NFKC", name))
    text = "".join(
        character
        for character in text
        if character.isspace() or unicodedata.category(character) not in ("Cc", "Cf", "Cs")
    )
    text = _CIRCLE_PATTERN.sub(
        "\u3007",
        _MIDDLE_DOT_PATTERN.sub(MIDDLE_DOT, " ".join(text.split())),
    )
    return text.replace(" ", "") if _HAN_ONLY_PATTERN.fullmatch(text) else text


def is_same_name(name: str, other: str) -> bool:
    """Whether two names are the same; differences in blanks, width and case are ignored."""
    return normalise_text(normalise_name(name)) == normalise_text(normalise_name(other))


def legacy_code_characters(name: str) -> str:
    """The standard ideographs for those characters of `name` that have an old private code, joined; "" if
    there are none."""
    return "".join(
        LEGACY_PRIVATE_CODES[ord(character)] for character in name if ord(character) in LEGACY_PRIVATE_CODES
    )
