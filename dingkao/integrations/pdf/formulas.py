"""Formulas as pictures for PDF, because WeasyPrint knows no MathML: ziamath draws LaTeX as SVG with the font
STIX Two Math, in a sandbox.

The library is loaded with the first formula: it takes half a second with its font, and most processes draw
none. It draws everything in a row twice (first to measure its height), so each level of nesting doubles the
work; therefore the work is computed before drawing.
"""

import importlib
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from functools import lru_cache
from xml.sax.saxutils import escape

from dingkao.integrations.sandbox import runner

FONT_SIZE = 16
CJK_PATTERN = re.compile("[\u2e80-\u303f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef]")
PLACEHOLDER_GLYPH = "\u25a0"
UNMAPPED_CHARACTER = "\U0010fffd"
"""A character that no font has. It is drawn as the same box as every other missing character."""
ROW_ELEMENTS = frozenset({"math", "mrow", "mstyle", "mpadded", "mphantom", "mtd"})
MAX_ELEMENTS = 10_000
"""The most elements to draw, which takes about a second; those in rows count twice for each row around them.
A formula of a question has about a thousand."""
EXCEEDED = "公式过于复杂，画不出来。"
_VIEW = re.compile(r'viewBox="\S+ (\S+) (\S+) (\S+)"')
_SYMBOL = re.compile(r'<symbol id="([^"]+)" viewBox="0 (\S+) (\S+) \S+">')
_USE = re.compile(r'<use href="#([^"]+)" x="([^"]+)" y="([^"]+)" width="([^"]+)"[^>]*/>')


@dataclass(frozen=True)
class RenderedFormula:
    """A formula as an SVG picture; its width, and its depth below the baseline, in ems."""

    svg: str
    width: float
    depth: float


@lru_cache(maxsize=512)
def render_formula(latex: str) -> RenderedFormula | None:
    """Returns a formula (LaTeX, without dollar signs) as an SVG picture in the size of the surrounding text;
    None if it can't be drawn, so that it is printed as typed. Either is kept for the next call of this
    process. Raises Unavailable."""
    try:
        return runner.run(render_formula_in_child, latex, limit_message=EXCEEDED)
    except runner.LimitExceeded:
        return None


def render_formula_in_child(latex: str) -> RenderedFormula | None:
    """The sandboxed part of `render_formula`: the drawn formula; None if it is too complex or can't be
    drawn."""
    try:
        return _render(latex)
    except Exception:
        return None


def preload() -> None:
    """Load what a sandbox's fork server should have ready: the library and its font."""
    importlib.import_module("ziamath")
    _glyph(UNMAPPED_CHARACTER)


def _render(latex: str) -> RenderedFormula | None:
    """Returns the drawn formula; None if it is too complex or has something that can't be drawn. Raises
    whatever the library raises, such as for LaTeX that it can't parse."""
    from ziamath.tex import tex2mml

    math = tex2mml(latex)
    root = ET.fromstring(math)  # noqa: S314 - made just here, without a document type
    if _element_count(root) > MAX_ELEMENTS:
        return None
    svg = _draw(math)
    return _measure(svg) if svg else None


def _draw(math: str) -> str | None:
    """Returns MathML as SVG; None if something in it can't be drawn."""
    import ziamath

    # the font has no Chinese: a square is drawn for each such character, and then replaced by text in the
    # page's font
    words = CJK_PATTERN.findall(math)
    if words and PLACEHOLDER_GLYPH in math:
        return None
    svg = ziamath.Math(CJK_PATTERN.sub(PLACEHOLDER_GLYPH, math), size=FONT_SIZE).svg()
    symbols = {match[1]: (float(match[2]), float(match[3])) for match in _SYMBOL.finditer(svg)}
    if _glyph(UNMAPPED_CHARACTER) in symbols or "nan" in svg:
        return None
    return _insert_text(svg, words, symbols) if words else svg


def _measure(svg: str) -> RenderedFormula | None:
    """Returns an SVG picture with its size; None if it has no viewBox."""
    view = _VIEW.search(svg)
    if view is None:
        return None
    top, width, height = (float(part) for part in view.groups())
    return RenderedFormula(svg, width / FONT_SIZE, (top + height) / FONT_SIZE)


def _element_count(element: ET.Element) -> int:
    """Returns how many elements the library draws for this one; those in rows count twice for each row around
    them. Raises RecursionError if they are nested too deeply."""
    below = sum(map(_element_count, element))
    return 1 + below * (2 if element.tag.rpartition("}")[2] in ROW_ELEMENTS else 1)


def _insert_text(
    svg: str,
    words: list[str],
    symbols: dict[str, tuple[float, float]],
) -> str:
    """Returns the SVG with each placeholder square replaced by the next of `words`. Raises ValueError if one
    is left."""
    waiting, square = iter(words), _glyph(PLACEHOLDER_GLYPH)

    def put(found: re.Match[str]) -> str:
        """The text that replaces a placeholder square; any other glyph stays as it is."""
        if found[1] != square:
            return found[0]
        top, wide = symbols[square]
        scale = float(found[4]) / wide
        position = f'x="{found[2]}" y="{float(found[3]) - top * scale:.3f}"'
        font = f'font-size="{float(found[4]):.3f}" font-family="serif"'
        return f"<text {position} {font}>{escape(next(waiting))}</text>"

    text = _USE.sub(put, svg)
    if next(waiting, None) is not None:
        raise ValueError("a character was lost")
    return text


@lru_cache(maxsize=2)
def _glyph(character: str) -> str:
    """Returns the id that drawings have for a character's glyph, "" if there is none."""
    import ziamath

    symbol = _SYMBOL.search(ziamath.Math(f"<math><mtext>{character}</mtext></math>", size=FONT_SIZE).svg())
    return symbol[1] if symbol else ""
