"""Word's own formulas (OMML, ECMA-376 part 1 §22.1) converted to LaTeX, as far as questions use them:
fractions, roots, scripts, brackets, sums, accents."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from dingkao.question_banks import markup

OMML_NAMESPACE = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
MAX_LATEX_LENGTH = 500
_CJK_PATTERN = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]+")
_LATEX_SPECIAL_PATTERN = re.compile(r"[\\{}$%&#_^~|]")
_LATEX_ESCAPES = {
    "\\": "\\backslash ",
    "{": "\\{",
    "}": "\\}",
    "$": "\\text{USD}",
    "%": "\\%",
    "&": "\\&",
    "#": "\\#",
    "_": "\\_",
    "^": "\\wedge ",
    "~": "\\sim ",
    "|": "\\vert ",
}
_OPERATOR_COMMANDS = {
    "": "\\int",
    "∫": "\\int",
    "∑": "\\sum",
    "∏": "\\prod",
    "∬": "\\iint",
    "∮": "\\oint",
}
_ACCENTS = {
    "": "\\hat",
    "\u0302": "\\hat",
    "\u0304": "\\bar",
    "\u0305": "\\bar",
    "\u00af": "\\bar",
    "\u0303": "\\tilde",
    "\u0307": "\\dot",
    "\u20d7": "\\vec",
}
_BRACKETS = {
    "": ".",
    ".": ".",
    "(": "(",
    ")": ")",
    "[": "[",
    "]": "]",
    "{": "\\{",
    "}": "\\}",
    "|": "\\vert ",
    "‖": "\\Vert ",
    "〈": "\\langle ",
    "〉": "\\rangle ",
}
r"""OMML bracket → LaTeX after \left or \right; a missing bracket is a dot."""
T = TypeVar("T")


class UnsupportedEquation(ValueError):  # noqa: N818
    """A formula has content for which we have no LaTeX, or is too long."""


def omml_to_latex(formula: Any) -> str:
    """A formula (m:oMath) as LaTeX, without dollar signs. Raises UnsupportedEquation."""
    latex = re.sub(r"\s+", " ", _convert_children(formula)).strip()
    if not _can_be_shown(latex):
        raise UnsupportedEquation
    return latex


def _can_be_shown(latex: str) -> bool:
    """Whether a question can contain the formula: it is not too long, and our pages can show it."""
    if not 0 < len(latex) <= MAX_LATEX_LENGTH or "$" in latex:
        return False
    return not markup.formula_to_mathml(latex).startswith("<code>")


def _convert_children(element: Any) -> str:
    """The children of an element as LaTeX. Raises UnsupportedEquation."""
    return "".join(_convert_element(child) for child in element if isinstance(child.tag, str))


def _convert_element(element: Any) -> str:
    """An element as LaTeX; "" for its properties. Raises UnsupportedEquation."""
    if not element.tag.startswith(OMML_NAMESPACE):
        return _skip_foreign_element(element)
    name = element.tag.removeprefix(OMML_NAMESPACE)
    if name.endswith("Pr"):
        return ""
    convert = _supported_value(_CONVERTERS, name)
    return convert(element)


def _skip_foreign_element(element: Any) -> str:
    """ "" for an element outside OMML. Raises UnsupportedEquation if it shows something."""
    has_text = next(element.iter(f"{OMML_NAMESPACE}t"), None) is not None
    if has_text or element.tag.endswith(("}r", "}drawing", "}pict", "}object")):
        raise UnsupportedEquation
    return ""


def _supported_value(table: Mapping[str, T], key: str) -> T:
    """The value of `key` in a table. Raises UnsupportedEquation if it isn't there."""
    if key not in table:
        raise UnsupportedEquation
    return table[key]


def _convert_run(element: Any) -> str:
    r"""The text of a run as LaTeX, its Chinese as \text. Raises UnsupportedEquation."""
    if any(child.tag.endswith(("}drawing", "}pict", "}object", "}sym")) for child in element):
        raise UnsupportedEquation
    text = "".join(part.text or "" for part in element.iter(f"{OMML_NAMESPACE}t"))
    return "".join(_iter_text_latex(text, element))


def _iter_text_latex(text: str, run: Any) -> Iterator[str]:
    """The text of a run as pieces of LaTeX: Chinese and other characters alternately, in order."""
    start = 0
    for chinese in _CJK_PATTERN.finditer(text):
        yield _escape_latex(text[start : chinese.start()], run)
        yield f"\\text{{{chinese[0]}}}"
        start = chinese.end()
    yield _escape_latex(text[start:], run)


def _escape_latex(text: str, run: Any) -> str:
    """A text of a run with LaTeX's special characters escaped; upright letters if the run says so."""
    if text and not text.strip():
        return " "
    escaped = _LATEX_SPECIAL_PATTERN.sub(lambda match: _LATEX_ESCAPES[match[0]], text)
    return f"\\mathrm{{{escaped}}}" if _has_plain_letters(escaped) and _is_upright(run) else escaped


def _has_plain_letters(latex: str) -> bool:
    """Whether a piece of LaTeX has letters and no command."""
    return re.search("[A-Za-z]", latex) is not None and "\\" not in latex


def _is_upright(run: Any) -> bool:
    """Whether the run's letters are upright (not italic)."""
    if run.find(f"{OMML_NAMESPACE}rPr/{OMML_NAMESPACE}nor") is not None:
        return True
    style = run.find(f"{OMML_NAMESPACE}rPr/{OMML_NAMESPACE}sty")
    return style is not None and style.get(f"{OMML_NAMESPACE}val") == "p"


def _child_latex(element: Any, name: str) -> str:
    """The child `name` of an element as LaTeX; "" if there is none. Raises UnsupportedEquation."""
    child = element.find(OMML_NAMESPACE + name)
    return "" if child is None else _convert_children(child)


def _property_value(element: Any, name: str, default: str = "") -> str:
    """The value of an element's property; `default` if it is not set, "" if it is set without a value."""
    properties = f"{OMML_NAMESPACE}{element.tag.removeprefix(OMML_NAMESPACE)}Pr"
    child = element.find(f"{properties}/{OMML_NAMESPACE}{name}")
    return default if child is None else child.get(f"{OMML_NAMESPACE}val", "")


def _fraction(element: Any) -> str:
    """A fraction as LaTeX. Raises UnsupportedEquation, also for one without a bar."""
    kind = _property_value(element, "type")
    if kind == "noBar":
        raise UnsupportedEquation
    numerator = _child_latex(element, "num")
    denominator = _child_latex(element, "den")
    return f"{numerator}/{denominator}" if kind == "lin" else f"\\frac{{{numerator}}}{{{denominator}}}"


def _root(element: Any) -> str:
    """A root as LaTeX, with its degree if it has one. Raises UnsupportedEquation."""
    degree = _child_latex(element, "deg")
    base = _child_latex(element, "e")
    return f"\\sqrt[{degree}]{{{base}}}" if degree.strip() else f"\\sqrt{{{base}}}"


def _scripts(element: Any) -> str:
    """A base with its sub- and superscript as LaTeX. Raises UnsupportedEquation."""
    limits, base = _limits(element), _child_latex(element, "e")
    return (f"{{{base}}}" if base else "{}") + limits


def _limits(element: Any) -> str:
    """The sub- and superscript of an element as LaTeX; "" if there are none. Raises UnsupportedEquation."""
    below = _child_latex(element, "sub")
    above = _child_latex(element, "sup")
    return (f"_{{{below}}}" if below else "") + (f"^{{{above}}}" if above else "")


def _nary_operator(element: Any) -> str:
    """A sum, product or integral with its limits as LaTeX. Raises UnsupportedEquation, also for other
    operators."""
    command = _supported_value(_OPERATOR_COMMANDS, _property_value(element, "chr"))
    return f"{command}{_limits(element)} {_child_latex(element, 'e')}"


def _brackets(element: Any) -> str:
    """An expression in brackets, of which one may be missing, as LaTeX. Raises UnsupportedEquation, also for
    several expressions or other brackets."""
    contents = element.findall(f"{OMML_NAMESPACE}e")
    if len(contents) != 1:
        raise UnsupportedEquation
    opening = _supported_value(_BRACKETS, _property_value(element, "begChr", "("))
    closing = _supported_value(_BRACKETS, _property_value(element, "endChr", ")"))
    return f"\\left{opening}{_convert_children(contents[0])}\\right{closing}"


def _accent(element: Any) -> str:
    """An expression with an accent as LaTeX. Raises UnsupportedEquation, also for other accents."""
    command = _supported_value(_ACCENTS, _property_value(element, "chr"))
    return f"{command}{{{_child_latex(element, 'e')}}}"


def _bar(element: Any) -> str:
    """An expression with a bar above or below it as LaTeX. Raises UnsupportedEquation."""
    command = "overline" if _property_value(element, "pos") == "top" else "underline"
    return f"\\{command}{{{_child_latex(element, 'e')}}}"


def _function(element: Any) -> str:
    """A function and its argument as LaTeX. Raises UnsupportedEquation."""
    return f"{_child_latex(element, 'fName')} {_child_latex(element, 'e')}"


def _boxed(element: Any) -> str:
    """An expression in a box as LaTeX, without the box. Raises UnsupportedEquation."""
    return _child_latex(element, "e")


_CONVERTERS: dict[str, Callable[[Any], str]] = {
    "r": _convert_run,
    "f": _fraction,
    "rad": _root,
    "sSub": _scripts,
    "sSup": _scripts,
    "sSubSup": _scripts,
    "nary": _nary_operator,
    "d": _brackets,
    "acc": _accent,
    "bar": _bar,
    "func": _function,
    "box": _boxed,
    "oMath": _convert_children,
}
