"""Styles of a Word document: how text looks unless its run says otherwise."""

import re
from collections.abc import Iterator
from typing import Any

from docx.document import Document

from dingkao.question_banks.importers.word_elements import (
    qn,
    text_value,
)

TITLE_STYLES = re.compile(r"(sub)?title|heading *[0-9]?|标题.*", re.IGNORECASE)
CONTENTS_STYLES = re.compile(r"toc.*|目录.*", re.IGNORECASE)
_OFF = ("0", "false", "off", "none")


class WordStyles:
    """The styles of a document by id. `matches` and `properties` cache results."""

    def __init__(self, document: Document) -> None:
        self.elements = {
            style.get(qn("w:styleId"), ""): style
            for style in document.styles.element.iterchildren(qn("w:style"))
        }
        self.matches: dict[tuple[str, re.Pattern[str]], bool] = {}
        self.properties: dict[str, dict[str, Any]] = {"": {}}

    @staticmethod
    def paragraph_style(paragraph: Any) -> str:
        """The id of the style that a paragraph names; "" if it names none."""
        return text_value(paragraph.find(f"{qn('w:pPr')}/{qn('w:pStyle')}"))

    def style_chain(self, style_id: str) -> Iterator[Any]:
        """The style with that id and those that it is based on, the nearest first; none for an unknown id."""
        visited: set[str] = set()
        while style_id in self.elements and style_id not in visited:
            visited.add(style_id)
            yield self.elements[style_id]
            style_id = text_value(self.elements[style_id].find(qn("w:basedOn")))

    def has_name(self, style_id: str, names: re.Pattern[str]) -> bool:
        """Whether the whole name of a style, or of one that it is based on, matches `names`; False for an
        unknown id."""
        if (style_id, names) not in self.matches:
            self.matches[style_id, names] = any(map(names.fullmatch, self._chain_names(style_id)))
        return self.matches[style_id, names]

    def _chain_names(self, style_id: str) -> Iterator[str]:
        """The names of a style and of those that it is based on."""
        for style in self.style_chain(style_id):
            name = style.find(qn("w:name"))
            if name is not None:
                yield text_value(name)

    def run_properties(self, run: Any, paragraph_style: str) -> dict[str, Any]:
        """Tag → property of a run, not to be changed. Its own properties override those of its own style,
        which override those of its paragraph's style. `paragraph_style`: the id of that, "" for none."""
        inherited = self._style_properties(paragraph_style)
        properties = run.find(qn("w:rPr"))
        if properties is None:
            return inherited
        style_id = text_value(properties.find(qn("w:rStyle")))
        own_properties = {element.tag: element for element in properties}
        return inherited | self._style_properties(style_id) | own_properties

    def _style_properties(self, style_id: str) -> dict[str, Any]:
        """Tag → run property of a style, with those that it inherits."""
        if style_id not in self.properties:
            self.properties[style_id] = self._collect_properties(style_id)
        return self.properties[style_id]

    def _collect_properties(self, style_id: str) -> dict[str, Any]:
        """Tag → run property of a style; its own ones override those of the styles that it is based on."""
        properties: dict[str, Any] = {}
        for style in reversed(list(self.style_chain(style_id))):
            properties |= {element.tag: element for element in style.iterfind(f"{qn('w:rPr')}/*")}
        return properties


def is_enabled(properties: dict[str, Any], name: str) -> bool:
    """Whether a property that can be on or off, such as w:strike, is on."""
    element = properties.get(qn(name))
    return element is not None and element.get(qn("w:val"), "1") not in _OFF


def is_any_enabled(properties: dict[str, Any], *names: str) -> bool:
    """Whether one of several properties that can be on or off is on."""
    return any(is_enabled(properties, name) for name in names)


def font_name(run: Any) -> str:
    """The font that a run names; "" if it names none."""
    fonts = run.find(f"{qn('w:rPr')}/{qn('w:rFonts')}")
    if fonts is None:
        return ""
    return str(fonts.get(qn("w:ascii")) or fonts.get(qn("w:hAnsi")) or "")
