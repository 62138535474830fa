"""Questions that are alike (相近题): the same words but for what people vary from copy to copy."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence

FILLERS = re.compile(r"下列|以下|下述|关于|有关|对于|哪一项|哪项|哪个|哪种|哪一个|何者|何种|什么|说法|叙述|描述|的|是|为|应|该|最|可能")
_BETWEEN = re.compile(r"[\W_]+")
ENOUGH = 10
"""So many characters that say something make a stem known by itself; a shorter one is asked of many things, and its options tell which."""


def likeness(kind: str, case_stem: str, stem: str, options: Iterable[Sequence[str]]) -> bytes:
    """Alike are questions whose case and stem agree without punctuation, blanks, widths, case of letters and fillers; of short stems and
    of B1 the options too, in whatever order."""
    words = _bare(f"{case_stem}\x1f{stem}")
    parts = [words]
    if kind == "B1" or len(words) < ENOUGH:
        parts += sorted(_bare(text) for _, text in options)
    return hashlib.sha256("\x1e".join(parts).encode()).digest()[:16]


def _bare(text: str) -> str:
    folded = _BETWEEN.sub("", unicodedata.normalize("NFKC", text).casefold())
    return FILLERS.sub("", folded) or folded
