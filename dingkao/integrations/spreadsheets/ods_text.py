"""Texts of cells in OpenDocument's spreadsheets (.ods): the effects of styles, and the runs of paragraphs."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lxml import etree

from dingkao.integrations.spreadsheets.cells import TextRun

MAX_REPEATED = 1000
"""The most repetitions of a blank, or of a cell or row that is not empty."""
_SCRIPT_POSITION_PATTERN = re.compile(r"(super|sub|-?[0-9.]+%)")


@dataclass(frozen=True)
class TextStyle:
    """The effects of a style: text struck out, `tag` (sup, sub or ""), a sheet hidden."""

    is_struck_out: bool = False
    tag: str = ""
    is_hidden: bool = False

    def inside(self, outer: "TextStyle") -> "TextStyle":
        """Returns the style of text with this style inside text with the style `outer`; `is_hidden`, which is
        about sheets, is not taken over."""
        return TextStyle(
            outer.is_struck_out or self.is_struck_out,
            self.tag or outer.tag,
        )


class StyleTable:
    """The styles of a file, by name."""

    def __init__(self) -> None:
        self.styles: dict[str, TextStyle] = {}

    def style_of(self, element: Any, name: str = "style-name") -> TextStyle:
        """Returns the style that an attribute of an element names; a style without effects if it names none,
        or one not read yet."""
        return self.styles.get(attribute(element, name), _NO_STYLE)

    def read(self, element: Any) -> None:
        """Store the style of a style element, with what it inherits from its parent if that was read
        before."""
        parent = self.style_of(element, "parent-style-name")
        is_struck_out = parent.is_struck_out
        tag = parent.tag
        is_hidden = parent.is_hidden
        for properties in element.iterchildren("{*}text-properties"):
            is_struck_out = _is_struck_out(properties, is_struck_out)
            tag = _script_tag(attribute(properties, "text-position"), tag)
        for properties in element.iterchildren("{*}table-properties"):
            is_hidden = attribute(properties, "display") == "false"
        self.styles[attribute(element, "name")] = TextStyle(is_struck_out, tag, is_hidden)


_NO_STYLE = TextStyle()


def _is_struck_out(properties: Any, inherited: bool) -> bool:
    """Whether text properties strike text out; `inherited` if they say nothing about it."""
    line = attribute(properties, "text-line-through-style") or attribute(properties, "text-line-through-type")
    return line != "none" if line else inherited


def _script_tag(position: str, inherited_tag: str) -> str:
    """Returns the tag for a text-position such as «super 58%» or «-33% 58%»: sup, sub or ""; `inherited_tag`
    if it says nothing."""
    match = _SCRIPT_POSITION_PATTERN.match(position)
    if not match:
        return inherited_tag
    if match[1].startswith(("sub", "-")):
        return "sub"
    return "" if match[1] == "0%" else "sup"


def iter_text_runs(cell: Any, styles: StyleTable) -> Iterator[TextRun]:
    """Yields the runs of a cell's paragraphs, with line breaks between the paragraphs. Raises, for a damaged
    file, ValueError for a count that is no number and RuntimeError for ruby without a base."""
    style = styles.style_of(cell)
    for index, paragraph in enumerate(cell.iterchildren("{*}p")):
        if index:
            yield TextRun("\n")
        yield from _element_runs(paragraph, style, styles)


def _element_runs(element: Any, style: TextStyle, styles: StyleTable) -> Iterator[TextRun]:
    """Yields the runs of a text element; `style` is that of its own text."""
    yield _styled_run(element.text, style)
    for child in element:
        yield from _child_runs(child, style, styles)
        yield _styled_run(child.tail, style)


def _child_runs(child: Any, style: TextStyle, styles: StyleTable) -> Iterator[TextRun]:
    """Yields the runs of an element inside text: a span, a link, the base of ruby, spaces; nothing for other
    elements."""
    name = etree.QName(child).localname if isinstance(child.tag, str) else ""
    if name in ("span", "a"):
        yield from _element_runs(child, styles.style_of(child).inside(style), styles)
    elif name == "ruby":
        base = next(child.iterchildren("{*}ruby-base"))
        yield from _element_runs(base, style, styles)
    elif name in _SPACES:
        yield _styled_run(_SPACES[name](child), style)


def _styled_run(text: str | None, style: TextStyle) -> TextRun:
    """Returns a text in a style as a run."""
    return TextRun(text or "", style.is_struck_out, style.tag)


_SPACES: dict[str, Callable[[Any], str]] = {
    "s": lambda element: " " * min(repeated(element, "c"), MAX_REPEATED),
    "tab": lambda _: "\t",
    "line-break": lambda _: "\n",
}
"""Element for white space → the function that returns its characters."""


def attribute(element: Any, name: str) -> str:
    """Returns an attribute by its local name, ignoring those of the extension calcext; "" if it is
    missing."""
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] == name and "calcext" not in key:
            return str(value)
    return ""


def repeated(element: Any, name: str) -> int:
    """Returns the count in the attribute `name`, at least 1. Raises ValueError if it is no number."""
    return max(1, int(attribute(element, name) or 1))
