"""Word's own formulas (OMML, ECMA-376 part 1 §22.1) as LaTeX, as far as questions use them: fractions, roots, scripts, brackets, sums, accents."""

import re
from typing import Any

from dingkao.exams import content

MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
LONGEST = 500
_WORDS = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]+")
_SPECIAL = re.compile(r"[\\{}$%&#_^~|]")
_SPELT = {
    "\\": "\\backslash ", "{": "\\{", "}": "\\}", "$": "\\text{USD}", "%": "\\%", "&": "\\&", "#": "\\#", "_": "\\_", "^": "\\wedge ", "~": "\\sim ",
    "|": "\\vert ",
}  # fmt: skip
_SUMS = {"": "\\int", "∫": "\\int", "∑": "\\sum", "∏": "\\prod", "∬": "\\iint", "∮": "\\oint"}
_ACCENTS = {"": "\\hat", "\u0302": "\\hat", "\u0304": "\\bar", "\u0305": "\\bar", "\u00af": "\\bar", "\u0303": "\\tilde", "\u0307": "\\dot", "\u20d7": "\\vec"}
_BRACKETS = {"": "(", "(": "(", ")": ")", "[": "[", "]": "]", "{": "\\{", "}": "\\}", "|": "\\vert ", "‖": "\\Vert ", "〈": "\\langle ", "〉": "\\rangle "}


class NotSimple(ValueError):  # noqa: N818
    """A formula has something in it that we have no LaTeX for."""


def latex(formula: Any) -> str:
    """A formula (m:oMath) as LaTeX, without the dollars around it. Raises NotSimple."""
    made = re.sub(r"\s+", " ", _all(formula)).strip()
    # what can't be shown again would be no formula
    if not made or len(made) > LONGEST or "$" in made or content.formula(made).startswith("<code>"):
        raise NotSimple
    return made


def _all(element: Any) -> str:
    return "".join(_one(child) for child in element if isinstance(child.tag, str))


def _one(element: Any) -> str:
    name = element.tag.removeprefix(MATH)
    if not element.tag.startswith(MATH):
        if any(True for _ in element.iter(f"{MATH}t")) or element.tag.endswith(("}r", "}drawing", "}pict", "}object")):
            raise NotSimple
        return ""
    if name == "r":
        return _run(element)
    if name.endswith("Pr"):
        return ""
    made = _MADE.get(name)
    if made is None:
        raise NotSimple
    return made(element)


def _run(element: Any) -> str:
    if any(child.tag.endswith(("}drawing", "}pict", "}object", "}sym")) for child in element):
        raise NotSimple
    text = "".join(part.text or "" for part in element.iter(f"{MATH}t"))
    pieces, start = [], 0
    for found in _WORDS.finditer(text):
        pieces += [_spelt(text[start : found.start()], element), f"\\text{{{found[0]}}}"]
        start = found.end()
    return "".join([*pieces, _spelt(text[start:], element)])


def _spelt(text: str, element: Any) -> str:
    """Letters of a run: upright where Word sets them so."""
    if not text.strip():
        return " " if text else ""
    made = _SPECIAL.sub(lambda found: _SPELT[found[0]], text)
    style = element.find(f"{MATH}rPr/{MATH}sty")
    upright = element.find(f"{MATH}rPr/{MATH}nor") is not None or (style is not None and style.get(f"{MATH}val") == "p")
    return f"\\mathrm{{{made}}}" if upright and re.search("[A-Za-z]", made) and "\\" not in made else made


def _part(element: Any, name: str) -> str:
    found = element.find(MATH + name)
    return "" if found is None else _all(found)


def _setting(element: Any, name: str) -> str | None:
    """A property's value; None where it is not set."""
    found = element.find(f"{MATH}{element.tag.removeprefix(MATH)}Pr/{MATH}{name}")
    return None if found is None else found.get(f"{MATH}val", "")


def _fraction(element: Any) -> str:
    above, below = _part(element, "num"), _part(element, "den")
    kind = _setting(element, "type")
    if kind == "noBar":
        raise NotSimple
    return f"{above}/{below}" if kind == "lin" else f"\\frac{{{above}}}{{{below}}}"


def _root(element: Any) -> str:
    degree = _part(element, "deg")
    return f"\\sqrt[{degree}]{{{_part(element, 'e')}}}" if degree.strip() else f"\\sqrt{{{_part(element, 'e')}}}"


def _scripts(element: Any) -> str:
    below, above = _part(element, "sub"), _part(element, "sup")
    base = _part(element, "e")
    return (f"{{{base}}}" if base else "{}") + (f"_{{{below}}}" if below else "") + (f"^{{{above}}}" if above else "")


def _sum(element: Any) -> str:
    sign = _setting(element, "chr") or ""
    if sign not in _SUMS:
        raise NotSimple
    below, above = _part(element, "sub"), _part(element, "sup")
    return _SUMS[sign] + (f"_{{{below}}}" if below else "") + (f"^{{{above}}}" if above else "") + f" {_part(element, 'e')}"


def _brackets(element: Any) -> str:
    inner = [_all(part) for part in element.findall(f"{MATH}e")]
    first, last = (_setting(element, name) for name in ("begChr", "endChr"))
    opening, closing = "(" if first is None else first or ".", ")" if last is None else last or "."
    if len(inner) != 1 or not {opening, closing} <= {*_BRACKETS, "."}:
        raise NotSimple
    return f"\\left{_BRACKETS.get(opening, '.')}{inner[0]}\\right{_BRACKETS.get(closing, '.')}"


def _accent(element: Any) -> str:
    sign = _setting(element, "chr") or ""
    if sign not in _ACCENTS:
        raise NotSimple
    return f"{_ACCENTS[sign]}{{{_part(element, 'e')}}}"


def _bar(element: Any) -> str:
    over = _setting(element, "pos") == "top"
    return f"\\{'overline' if over else 'underline'}{{{_part(element, 'e')}}}"


def _function(element: Any) -> str:
    return f"{_part(element, 'fName')} {_part(element, 'e')}"


_MADE = {
    "f": _fraction, "rad": _root, "sSub": _scripts, "sSup": _scripts, "sSubSup": _scripts, "nary": _sum, "d": _brackets, "acc": _accent, "bar": _bar,
    "func": _function, "box": lambda element: _part(element, "e"), "oMath": _all,
}  # fmt: skip
