"""Formulas as pictures for paper, whose printer knows no MathML: LaTeX drawn as SVG by ziamath in STIX Two Math.

The library is loaded with the first formula: it and its typeface take half a second, and most processes draw none.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from xml.sax.saxutils import escape

SIZE = 16
WIDE = re.compile("[\u2e80-\u303f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef]")
STAND_IN = "\u25a0"
NOWHERE = "\U0010fffd"
"""A character that no typeface has: drawn as a box, like every other that is not there."""
_VIEW = re.compile(r'viewBox="\S+ (\S+) (\S+) (\S+)"')
_SYMBOL = re.compile(r'<symbol id="([^"]+)" viewBox="0 (\S+) (\S+) \S+">')
_USE = re.compile(r'<use href="#([^"]+)" x="([^"]+)" y="([^"]+)" width="([^"]+)"[^>]*/>')


@dataclass(frozen=True)
class Drawn:
    """A formula as SVG; its width and what of it lies below the baseline, in ems."""

    svg: str
    width: float
    depth: float


@lru_cache(maxsize=512)
def drawn(latex: str) -> Drawn | None:
    """A formula as a picture at the height of the text around it; None where it can't be drawn and should stand as it was typed."""
    try:
        return _drawn(latex)
    except Exception:  # noqa: BLE001 - the library raises whatever its stack does, and each means the same here
        return None


def _drawn(latex: str) -> Drawn | None:
    import ziamath
    from ziamath.tex import tex2mml

    math = tex2mml(latex)
    # the typeface has no Chinese: each character's place is kept by a square, and the page's own type is put there
    words = WIDE.findall(math)
    if words and STAND_IN in math:
        return None
    svg = ziamath.Math(WIDE.sub(STAND_IN, math), size=SIZE).svg()
    symbols = {found[1]: (float(found[2]), float(found[3])) for found in _SYMBOL.finditer(svg)}
    if _glyph(NOWHERE) in symbols or "nan" in svg:
        return None
    if words:
        svg = _with_words(svg, words, symbols)
    view = _VIEW.search(svg)
    if view is None:
        return None
    top, width, height = (float(part) for part in view.groups())
    return Drawn(svg, width / SIZE, (top + height) / SIZE)


def _with_words(svg: str, words: list[str], symbols: dict[str, tuple[float, float]]) -> str:
    waiting, square = iter(words), _glyph(STAND_IN)

    def put(found: re.Match[str]) -> str:
        if found[1] != square:
            return found[0]
        top, wide = symbols[square]
        scale = float(found[4]) / wide
        return f'<text x="{found[2]}" y="{float(found[3]) - top * scale:.3f}" font-size="{float(found[4]):.3f}" font-family="serif">{escape(next(waiting))}</text>'

    made = _USE.sub(put, svg)
    if next(waiting, None) is not None:
        raise ValueError("a character was lost")
    return made


@lru_cache(maxsize=2)
def _glyph(character: str) -> str:
    """What a drawing calls a character's glyph."""
    import ziamath

    found = _SYMBOL.search(ziamath.Math(f"<math><mtext>{character}</mtext></math>", size=SIZE).svg())
    return found[1] if found else ""
