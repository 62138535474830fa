"""Paragraphs and tables of a Word document in our own markup: text, sub- and superscript, pictures, formulas,
automatic numbers.

Content without markup of ours is reported as a problem, so that nothing that a question's author sees gets
lost unnoticed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
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
    int_value,
    qn,
    text_value,
)
from dingkao.question_banks.importers.word_inlines import (
    InlineReader,
)
from dingkao.question_banks.importers.word_numbering import (
    ListNumbering,
)
from dingkao.question_banks.importers.word_pictures import (
    SavePicture,
)
from dingkao.question_banks.importers.word_problems import (
    EMBEDDED_FILE,
    MERGED,
    NESTED_TABLE,
    NUMBERED,
    unknown_problem,
)
from dingkao.question_banks.importers.word_styles import (
    CONTENTS_STYLES,
    TITLE_STYLES,
    WordStyles,
)
from dingkao.question_banks.markup import escape_table_cell

BlockReader = Callable[[Any], Iterable[DocumentLine]]
MAX_SPANNED_COLUMNS = 50
_INLINE_ELEMENTS = frozenset(map(qn, ("w:r", "w:hyperlink", "w:fldSimple", "w:dir", "w:bdo")))
_CELL_REVISIONS = frozenset(map(qn, ("w:cellIns", "w:cellDel", "w:cellMerge")))


class WordReader:
    """Reads a document's paragraphs and tables in order. `save_picture` stores a picture and returns its
    name; what it raises besides InvalidInput and TooLarge, which become problems, comes out while reading."""

    def __init__(self, document: Document, save_picture: SavePicture) -> None:
        self.document = document
        self.styles = WordStyles(document)
        self.inlines = InlineReader(document, self.styles, save_picture)
        self.numbering = ListNumbering(document, self.styles)
        self.readers: dict[str, BlockReader] = {
            qn("w:p"): self._paragraph,
            qn("w:tbl"): self._table,
            ALTERNATIVES: self._alternatives,
            **dict.fromkeys(DELETED, self._deletion),
            **dict.fromkeys(WRAPPINGS, self._wrapping),
            **dict.fromkeys(INSERTED, self._insertion),
            **dict.fromkeys(_INLINE_ELEMENTS, self._loose_inline),
        }

    @property
    def has_revisions(self) -> bool:
        """Whether the document has changes that nobody has accepted, as far as it was read."""
        return self.inlines.has_revisions

    def lines(self) -> Iterator[DocumentLine]:
        """All paragraphs and tables of the document, in order; to be read once, because automatic numbers are
        counted."""
        yield from self._blocks(self.document.element.body)

    def _blocks(self, parent: Any) -> Iterator[DocumentLine]:
        """The paragraphs and tables in an element."""
        for block in parent:
            if isinstance(block.tag, str) and block.tag not in IGNORED:
                yield from self._block(block)

    def _block(self, block: Any) -> Iterable[DocumentLine]:
        """The paragraphs and tables of one element of a document's body or of a cell."""
        is_formula = block.tag.startswith(word_equations.OMML_NAMESPACE)
        read = self.readers.get(
            block.tag,
            self._loose_inline if is_formula else _unread_block,
        )
        return read(block)

    def _alternatives(self, block: Any) -> Iterable[DocumentLine]:
        """The paragraphs and tables of the alternative that Word shows."""
        branch = choose_alternative(block)
        return _unread_block(block) if branch is None else self._blocks(branch)

    def _deletion(self, _block: Any) -> Iterable[DocumentLine]:
        """Nothing for what a revision deletes, as if it had been accepted; remembers that there are
        revisions."""
        self.inlines.has_revisions = True
        return ()

    def _insertion(self, block: Any) -> Iterable[DocumentLine]:
        """What a revision inserts, as if it had been accepted; remembers that there are revisions."""
        self.inlines.has_revisions = True
        return self._wrapping(block)

    def _wrapping(self, block: Any) -> Iterable[DocumentLine]:
        """The paragraphs and tables in an element around them; none for a table of contents."""
        return () if _is_contents(block) else self._blocks(block)

    def _loose_inline(self, element: Any) -> Iterable[DocumentLine]:
        """An element that belongs in a paragraph but is in none, as a line of its own."""
        line = DocumentLine("")
        line.text = self.inlines.read_element(element, line)
        return [line]

    def _paragraph(self, block: Any) -> Iterable[DocumentLine]:
        """A paragraph as a line, with its automatic number: an empty line for an entry of a table of
        contents; none if all of it and its paragraph mark are deleted, because Word doesn't count it then. If
        the mark alone is deleted, that is a problem."""
        style = self.inlines.paragraph_style = self.styles.paragraph_style(block)
        line = DocumentLine("", is_title=self.styles.has_name(style, TITLE_STYLES))
        line.text = self.inlines.read_children(block, line)
        if self._is_deleted(block.find(f"{qn('w:pPr')}/{qn('w:rPr')}")):
            if line.is_empty():
                return []
            line.add_problem(MERGED)
        self._add_number(block, line)
        return [DocumentLine("") if self.styles.has_name(style, CONTENTS_STYLES) else line]

    def _is_deleted(self, properties: Any) -> bool:
        """Whether the properties of a paragraph's mark or of a row (None if it has none) say that a revision
        deletes it. Remembers that there are revisions, if it is deleted or inserted by one."""
        changes = _children_by_tag(properties).keys()
        if changes & (DELETED | INSERTED):
            self.inlines.has_revisions = True
        return bool(changes & DELETED)

    def _add_number(self, block: Any, line: DocumentLine) -> None:
        """Count a paragraph in its list, and add its automatic number before its text unless it is empty; an
        unknown format is a problem."""
        number = self.numbering.next_number(block)
        if number is None:
            line.add_problem(NUMBERED)
        elif number and not line.is_empty():
            line.text = f"{number} {line.text.lstrip()}"

    def _table(self, table: Any) -> Iterable[DocumentLine]:
        """A table as one line of our markup, with its cells; rows that a revision deletes are left out."""
        line = DocumentLine("")
        line.cells = [
            self._row_cells(row, table, line)
            for row in _iter_rows(table)
            if not self._is_deleted(row.find(qn("w:trPr")))
        ]
        line.text = _table_markup(line.cells)
        return [line]

    def _row_cells(self, row: Any, table: Any, line: DocumentLine) -> list[str]:
        """The texts of a row's cells, one for each column of the table's grid, also the columns before the
        first cell."""
        skipped_columns = row.find(f"{qn('w:trPr')}/{qn('w:gridBefore')}")
        cells = [""] * min(int_value(skipped_columns, 0), MAX_SPANNED_COLUMNS)
        for cell in row.iter(qn("w:tc")):
            if next(cell.iterancestors(qn("w:tbl"))) is table:
                cells += self._cell_texts(cell, line)
        return cells

    def _cell_texts(self, cell: Any, line: DocumentLine) -> list[str]:
        """A cell's text ("" if it is merged into the one above), and "" for each further column that it
        spans. Its problems are added to the table's line."""
        properties = _children_by_tag(cell.find(qn("w:tcPr")))
        if _CELL_REVISIONS & properties.keys():
            line.add_problem(MERGED)
        words = self._cell_words(cell, line)
        span = min(
            int_value(properties.get(qn("w:gridSpan")), 1),
            MAX_SPANNED_COLUMNS,
        )
        return [
            "" if _is_covered(properties) else " ".join(words),
            *[""] * (span - 1),
        ]

    def _cell_words(self, cell: Any, line: DocumentLine) -> list[str]:
        """The words of a cell's paragraphs; a table in it is left out, as a problem. Problems are added to
        the table's line."""
        words: list[str] = []
        for inner in self._blocks(cell):
            if inner.cells is not None:
                line.add_problem(NESTED_TABLE)
                continue
            words += inner.text.split()
            for problem in inner.problems:
                line.add_problem(problem)
        return words


def _children_by_tag(element: Any) -> dict[str, Any]:
    """Tag → child, for the children of an element; {} if there is no element."""
    return {} if element is None else {child.tag: child for child in element}


def _is_covered(cell_properties: dict[str, Any]) -> bool:
    """Whether a cell is merged into the one above it."""
    merge = cell_properties.get(qn("w:vMerge"))
    return merge is not None and merge.get(qn("w:val")) != "restart"


def _table_markup(table: Sequence[Sequence[str]]) -> str:
    """A table in our markup: its rows between bars, a row of dashes below the first."""
    lines = [_row_markup(map(escape_table_cell, cells)) for cells in table]
    if table:
        lines.insert(1, _row_markup("-" for _ in table[0] or [""]))
    return "\n".join(lines)


def _row_markup(cells: Iterable[str]) -> str:
    """A row of a table between bars."""
    return f"|{'|'.join(cells)}|"


def _iter_rows(table: Any) -> Iterator[Any]:
    """A table's rows, including those inside wrapping elements."""
    for child in table:
        if child.tag == qn("w:tr"):
            yield child
        elif child.tag in WRAPPINGS:
            yield from _iter_rows(child)


def _is_contents(block: Any) -> bool:
    """Whether a block is a table of contents, which repeats text from elsewhere."""
    gallery = block.find(f"{qn('w:sdtPr')}/{qn('w:docPartObj')}/{qn('w:docPartGallery')}")
    return text_value(gallery) == "Table of Contents"


def _unread_block(block: Any) -> Iterable[DocumentLine]:
    """The line for a block that can't be read: only its problem."""
    problem = EMBEDDED_FILE if block.tag in EMBEDDED_FILES else unknown_problem(block)
    return [DocumentLine("", [problem])]
