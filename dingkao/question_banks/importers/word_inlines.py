"""The content of a Word paragraph in our own markup: runs of text, links, fields, formulas, pictures,
symbols."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from docx.document import Document

from dingkao.question_banks.importers import word_equations
from dingkao.question_banks.importers.document_lines import (
    DocumentLine,
)
from dingkao.question_banks.importers.word_elements import (
    ALTERNATIVES,
    DELETED,
    EMBEDDED_FILES,
    IGNORED,
    INSERTED,
    WRAPPINGS,
    choose_alternative,
    qn,
    text_value,
)
from dingkao.question_banks.importers.word_pictures import (
    PictureReader,
    SavePicture,
)
from dingkao.question_banks.importers.word_problems import (
    EMBEDDED_FILE,
    EMBEDDED_OBJECT,
    EMPTY_FIELD,
    FIELD,
    FORMULA,
    HIDDEN,
    LINKED,
    MEDIA,
    NOTE,
    STRUCK_OUT,
    SYMBOL,
    ParagraphProblem,
    unknown_problem,
)
from dingkao.question_banks.importers.word_styles import (
    WordStyles,
    font_name,
    is_any_enabled,
    is_enabled,
)
from dingkao.question_banks.unsupported_content import MEDIA as SOUNDS
from dingkao.question_banks.unsupported_content import (
    linked_file_kind,
)

ElementReader = Callable[[Any, DocumentLine], str]
"""Reads an element and returns its text; what can't be imported is added to the problems of the line."""
_INVISIBLE_FIELDS = frozenset({"XE", "TC", "RD", "TA", "SET", "ASK", "PRIVATE", "ADDIN"})
"""Fields that show nothing in the document."""
_BREAKS = frozenset(map(qn, ("w:br", "w:cr")))
_FIXED_TEXTS = {
    qn("w:tab"): "\t",
    qn("w:ptab"): "\t",
    qn("w:noBreakHyphen"): "-",
}
"""Elements of a run that are always the same text."""
_PROBLEMS_BY_TAG: dict[str, ParagraphProblem] = {
    qn("w:object"): EMBEDDED_OBJECT,
    qn("w:footnoteReference"): NOTE,
    qn("w:endnoteReference"): NOTE,
    **dict.fromkeys(EMBEDDED_FILES, EMBEDDED_FILE),
}
_PICTURES = frozenset(map(qn, ("w:drawing", "w:pict")))
_FORMULAS = (
    f"{word_equations.OMML_NAMESPACE}oMath",
    f"{word_equations.OMML_NAMESPACE}oMathPara",
)
_SCRIPT_TAGS = {"subscript": "sub", "superscript": "sup"}
MIN_BLANK_LENGTH = 4
_SYMBOL_TABLE = {
    0xF000 + code: sign
    for code, sign in (
        *zip(
            range(0x41, 0x5B),
            "ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ",
            strict=True,
        ),
        *zip(
            range(0x61, 0x7B),
            "αβχδεφγηιϕκλμνοπθρστυϖωξψζ",
            strict=True,
        ),
        (0xA3, "≤"),
        (0xA5, "∞"),
        (0xAC, "←"),
        (0xAD, "↑"),
        (0xAE, "→"),
        (0xAF, "↓"),
        (0xB0, "°"),
        (0xB1, "±"),
        (0xB3, "≥"),
        (0xB4, "×"),
        (0xB8, "÷"),
        (0xB9, "≠"),
        (0xBB, "≈"),
        (0xDE, "⇒"),
    )
}
"""Adobe's Symbol encoding, at the code points where Word stores it (U+F0xx); in other symbol fonts the same
code points mean other characters."""
_PRIVATE = re.compile("[\ue000-\uf8ff]")


@dataclass
class _Field:
    """A Word field (fldChar) that is being read. `code`: its instruction; `is_separated`: its result has
    begun; `is_shown`: its result has shown something."""

    code: str = ""
    is_separated: bool = False
    is_shown: bool = False


class InlineReader:
    """Reads the elements in paragraphs, and stores the pictures. `paragraph_style`: the id of the present
    paragraph's style, set by who reads the paragraph; `fields`: the fields that have begun and not ended,
    innermost last; `has_revisions`: the document has changes that nobody has accepted, as far as it was read;
    `readers` and `run_readers`: tag → the function that reads such an element, in a run also the latter."""

    def __init__(
        self,
        document: Document,
        styles: WordStyles,
        save_picture: SavePicture,
    ) -> None:
        self.document = document
        self.styles = styles
        self.pictures = PictureReader(document, save_picture)
        self.paragraph_style = ""
        self.fields: list[_Field] = []
        self.has_revisions = False
        self.readers: dict[str, ElementReader] = {
            qn("w:r"): self._read_run,
            **dict.fromkeys(WRAPPINGS, self.read_children),
            qn("w:hyperlink"): self._read_hyperlink,
            **dict.fromkeys(INSERTED, self._read_insertion),
            **dict.fromkeys(DELETED, self._skip_deletion),
            ALTERNATIVES: self._read_alternatives,
            **dict.fromkeys(_FORMULAS, _read_formulas),
            **dict.fromkeys(_PICTURES, self.pictures.read),
            qn("w:fldChar"): self._read_field_mark,
            qn("w:fldSimple"): self._read_simple_field,
        }
        self.run_readers: dict[str, ElementReader] = {
            qn("w:sym"): _read_symbol,
            qn("w:instrText"): self._read_field_code,
        }

    def read_children(self, element: Any, line: DocumentLine) -> str:
        """The text of an element's children. What can't be imported is added to the problems of `line`."""
        return "".join(self.read_element(child, line) for child in element)

    def read_element(self, element: Any, line: DocumentLine) -> str:
        """The text of an element. What can't be imported is added to the problems of `line`."""
        if not isinstance(element.tag, str) or element.tag in IGNORED:
            return ""
        read = self.readers.get(element.tag, _report_unread)
        return read(element, line)

    def _read_insertion(self, element: Any, line: DocumentLine) -> str:
        """The text that a revision inserts, as if it had been accepted; remembers that there are
        revisions."""
        self.has_revisions = True
        return self.read_children(element, line)

    def _skip_deletion(self, _element: Any, _line: DocumentLine) -> str:
        """ "" for what a revision deletes, as if it had been accepted; remembers that there are revisions."""
        self.has_revisions = True
        return ""

    def _read_hyperlink(self, element: Any, line: DocumentLine) -> str:
        """The text of a link. One to a picture or a sound is a problem."""
        _check_link(self._link_target(element), line)
        return self.read_children(element, line)

    def _read_alternatives(self, element: Any, line: DocumentLine) -> str:
        """The text of the alternative that Word shows; "" and a problem if there is none."""
        branch = choose_alternative(element)
        if branch is None:
            return line.add_problem(unknown_problem(element))
        return self.read_children(branch, line)

    def _link_target(self, element: Any) -> str:
        """The address of a link out of the document; "" for a link inside it."""
        related = self.document.part.rels.get(element.get(qn("r:id"), ""))
        return related.target_ref if related is not None and related.is_external else ""

    def _read_simple_field(self, element: Any, line: DocumentLine) -> str:
        """The result of a field that is in one element (w:fldSimple). A formula (EQ), a link to a picture or
        a sound, and a field without a result are problems."""
        result = self.read_children(element, line)
        _check_field(element.get(qn("w:instr"), ""), bool(result.strip()), line)
        return result

    def _read_run(self, run: Any, line: DocumentLine) -> str:
        """The text of a run, in sub- or superscript tags if it is sub- or superscript. A run of nothing but
        underlined spaces becomes underscores; text that is struck out or hidden is a problem."""
        earlier_problems = len(line.problems)
        text = "".join(self._read_run_child(child, run, line) for child in run)
        if text or len(line.problems) > earlier_problems:
            self._note_shown_fields()
        properties = self.styles.run_properties(run, self.paragraph_style)
        if not text.strip():
            return _drawn_blank(text, properties)
        _check_visibility(properties, line)
        return _with_script_tag(text, properties)

    def _note_shown_fields(self) -> None:
        """Remember that the results of the present fields show something."""
        for field in self.fields:
            field.is_shown = field.is_shown or field.is_separated

    def _read_run_child(self, child: Any, run: Any, line: DocumentLine) -> str:
        """The text of an element in a run."""
        tag = child.tag
        if tag == qn("w:t"):
            return _read_text(child, run, line)
        if tag in _FIXED_TEXTS:
            return _FIXED_TEXTS[tag]
        if tag in _BREAKS:
            return _break_text(child)
        read = self.run_readers.get(tag, self.read_element)
        return read(child, line)

    def _read_field_code(self, element: Any, _line: DocumentLine) -> str:
        """Add to the instruction of the present field. Returns "": it is not shown."""
        if self.fields:
            self.fields[-1].code += element.text or ""
        return ""

    def _read_field_mark(self, element: Any, line: DocumentLine) -> str:
        """Process the beginning of a field, of its result, or its end. Returns ""."""
        kind = element.get(qn("w:fldCharType"))
        if kind == "begin":
            self.fields.append(_Field())
        elif self.fields:
            self._continue_field(kind, line)
        return ""

    def _continue_field(self, kind: str | None, line: DocumentLine) -> None:
        """Process a mark (`kind`: its w:fldCharType) of the innermost field: "separate" begins its result,
        "end" ends it, and then the field is checked."""
        if kind == "separate":
            self.fields[-1].is_separated = True
        elif kind == "end":
            field = self.fields.pop()
            _check_field(field.code, field.is_shown, line)


def _report_unread(element: Any, line: DocumentLine) -> str:
    """Add the problem of an element that can't be read. Returns ""."""
    problem = _PROBLEMS_BY_TAG.get(element.tag)
    if problem is None:
        is_formula = element.tag.startswith(word_equations.OMML_NAMESPACE)
        problem = FORMULA if is_formula else unknown_problem(element)
    return line.add_problem(problem)


def _check_link(address: str, line: DocumentLine) -> None:
    """Add a problem if a link leads to a picture or a sound, which is not in the document."""
    if kind := linked_file_kind(address):
        line.add_problem(MEDIA if kind == SOUNDS else LINKED)


def _check_field(code: str, is_shown: bool, line: DocumentLine) -> None:
    """Add a problem for a formula written as a field (EQ), for a link to a picture or a sound, and for a
    field that Word fills in itself and whose result is not in the file. `code`: its instruction; `is_shown`:
    its result has shown something."""
    name = next(iter(code.split()), "").upper()
    if name.startswith("EQ"):
        line.add_problem(FIELD)
        return
    if name == "HYPERLINK":
        _check_field_link(code, line)
    if not is_shown and name not in _INVISIBLE_FIELDS:
        line.add_problem(EMPTY_FIELD)


def _check_field_link(code: str, line: DocumentLine) -> None:
    """Add a problem if a field that is a link leads to a picture or a sound."""
    if address := re.search('"([^"]*)"', code):
        _check_link(address[1], line)


def _read_formulas(element: Any, line: DocumentLine) -> str:
    """A formula, or the formulas of a paragraph of them, as LaTeX between dollars; "" and a problem if one
    can't be converted."""
    try:
        return " ".join(f"${word_equations.omml_to_latex(formula)}$" for formula in _formulas_of(element))
    except word_equations.UnsupportedEquation:
        return line.add_problem(FORMULA)


def _formulas_of(element: Any) -> Iterable[Any]:
    """The formula itself, or the formulas of a paragraph of them."""
    if element.tag.endswith("}oMath"):
        return [element]
    return element.iterchildren(f"{word_equations.OMML_NAMESPACE}oMath")


def _read_text(element: Any, run: Any, line: DocumentLine) -> str:
    """The text of an element of a run (w:t)."""
    text = element.text or ""
    return text if _PRIVATE.search(text) is None else _read_symbols(text, font_name(run), line)


def _drawn_blank(text: str, properties: dict[str, Any]) -> str:
    """The spaces of a run, of which it has nothing else; underlined ones in one line become underscores, at
    least MIN_BLANK_LENGTH, because writers draw a blank to be filled in like that."""
    if text and "\n" not in text and is_enabled(properties, "w:u"):
        return "_" * max(MIN_BLANK_LENGTH, len(text))
    return text


def _check_visibility(properties: dict[str, Any], line: DocumentLine) -> None:
    """Add a problem if the text of a run is struck out or hidden."""
    if is_any_enabled(properties, "w:strike", "w:dstrike"):
        line.add_problem(STRUCK_OUT)
    if is_any_enabled(properties, "w:vanish", "w:webHidden"):
        line.add_problem(HIDDEN)


def _with_script_tag(text: str, properties: dict[str, Any]) -> str:
    """The text of a run, in a <sub> or <sup> tag if its properties say so, and it has neither a picture nor a
    line break."""
    tag = _SCRIPT_TAGS.get(text_value(properties.get(qn("w:vertAlign"))))
    if tag is None or "![" in text or "\n" in text:
        return text
    return f"<{tag}>{text}</{tag}>"


def _break_text(element: Any) -> str:
    """A line break; "" for a break of page or column."""
    return "\n" if element.get(qn("w:type"), "textWrapping") == "textWrapping" else ""


def _read_symbol(element: Any, line: DocumentLine) -> str:
    """The character of a symbol (w:sym); "" and a problem for a character of a font that we can't convert."""
    character = _symbol_character(element.get(qn("w:char"), ""))
    return _read_symbols(character, element.get(qn("w:font"), ""), line)


def _symbol_character(code: str) -> str:
    """The character of a symbol with the hexadecimal `code`, in the private range in which Word stores it in
    texts; U+E000, which no font has, if `code` is not a number."""
    number = int(code, 16) if re.fullmatch("[0-9A-Fa-f]{1,4}", code) else 0xE000
    return chr(number | 0xF000 if number < 0x100 else number)


def _read_symbols(text: str, font: str, line: DocumentLine) -> str:
    """A text in a symbol font with Symbol's characters as ordinary ones; "" and a problem if it has those of
    another font, or one that we don't know. Without characters of symbol fonts (private range) it stays as it
    is."""
    symbols = _PRIVATE.findall(text)
    if not symbols:
        return text
    if font.lower() != "symbol" or not _SYMBOL_TABLE.keys() >= set(map(ord, symbols)):
        return line.add_problem(SYMBOL)
    return text.translate(_SYMBOL_TABLE)
