"""A document's paragraphs and tables split into the tokens that questions consist of: numbers, options,
labels, headings, texts."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from dingkao.question_banks.importers import headings, labels
from dingkao.question_banks.importers.document_lines import (
    DocumentLine,
)
from dingkao.question_banks.importers.headings import Heading
from dingkao.question_banks.importers.numerals import (
    SECTION_FORMS,
    ParsedNumber,
    fold_characters,
    leading_number,
)
from dingkao.question_banks.importers.word_problems import (
    ParagraphProblem,
)
from dingkao.question_banks.question_types import OPTION_LETTERS

_HEADER = re.compile(r"题干|题目|试题|答案|正确答案|选项|解析|备选答案")
_LETTER_CELL = re.compile(rf"[(\[]?\s*[{OPTION_LETTERS}]\s*[)\].、:]?")


@dataclass
class Token:
    """A piece of a document. `kind`: "number" (perhaps a question's), "options", "label", "heading", "text",
    "table" or "problem"; `line`: the number of its paragraph, from 1; `original_text`: its text as written,
    in case it turns out to be only text (of a label «name:text»); `text`: what follows the number or label,
    the whole of a text or table, "" for others; `number`, `heading`, `problem`: what a token of that kind is,
    None for the others; `name` and `column`: those of a label, as in `labels.LinePart`; `options`: (letter,
    text) each; `is_doubtful`: options that may be read wrongly, or a table that may hold questions."""

    kind: str
    line: int
    original_text: str = ""
    text: str = ""
    number: ParsedNumber | None = None
    heading: Heading | None = None
    name: str = ""
    column: str = ""
    options: tuple[tuple[str, str], ...] = ()
    is_doubtful: bool = False
    problem: ParagraphProblem | None = None

    @property
    def number_form(self) -> str:
        """The name of the form of the number that it begins with, one of `numerals.FORM_RANKS` such as "dot"
        or "Han"; "" if it begins with none."""
        return self.number.form if self.number else ""


def tokenize(lines: Iterable[DocumentLine]) -> Iterator[Token]:
    """The tokens of a document's paragraphs and tables, in order. What can't be imported comes as tokens of
    the kind "problem" after each line of text of the paragraph in which it is, because any of them may be the
    one. Paragraphs are numbered from 1, empty ones too."""
    last_letter = ""
    for number, line in enumerate(lines, 1):
        for text in _line_texts(line):
            tokens = _tokenize_line(number, line, text, last_letter)
            last_letter = _last_letter(tokens, last_letter)
            yield from tokens
            yield from (Token("problem", number, problem=problem) for problem in line.problems)


def _last_letter(tokens: Sequence[Token], letter_before: str) -> str:
    """The letter of the option with which the tokens of a text end, "" if they don't end with one;
    `letter_before` for an empty text."""
    if not tokens:
        return letter_before
    return tokens[-1].options[-1][0] if tokens[-1].options else ""


def _line_texts(line: DocumentLine) -> list[str]:
    """A table's text as one; a paragraph's lines without blank ones; one empty text for an empty
    paragraph."""
    if line.cells:
        return [line.text]
    return _filled_lines(line.text) or [""]


def _filled_lines(text: str) -> list[str]:
    """The lines of a text that aren't blank, without spaces at their ends."""
    return [line.strip() for line in text.split("\n") if line.strip()]


def _tokenize_line(number: int, line: DocumentLine, text: str, last_letter: str) -> list[Token]:
    """The tokens of a table, or of one line of text in a paragraph; `number`: that of the paragraph."""
    if line.cells:
        return [_tokenize_table(number, line)]
    return _tokenize_text(number, text, last_letter, is_title=line.is_title) if text else []


def _tokenize_text(line: int, text: str, last_letter: str, *, is_title: bool) -> list[Token]:
    """The tokens of a text that isn't blank. `last_letter`: that of the option before it, because I may be a
    letter or a Roman number."""
    if heading := headings.parse_heading(text):
        return [_heading_token(line, text, heading)]
    parts = labels.split_line(text)
    if parts[0].column or _begins_with_option(parts[0], last_letter):
        return part_tokens(line, parts)
    if len(parts) > 1:
        return _tokenize_words_and_parts(line, text, parts)
    return _tokenize_words(line, text, is_title=is_title)


def _tokenize_words_and_parts(line: int, text: str, parts: Iterable[labels.LinePart]) -> list[Token]:
    """The tokens of a text that options or labels follow."""
    number = leading_number(text)
    return _tokenize_numbered(line, text, number) if number else part_tokens(line, parts)


def _tokenize_words(line: int, text: str, *, is_title: bool) -> list[Token]:
    """The tokens of a text without options or labels: a number, a heading or only text."""
    number = leading_number(text)
    heading = headings.possible_heading(text)
    if number and _may_be_of_question(number, heading):
        return _tokenize_numbered(line, text, number)
    heading = heading or _heading_of_style(is_title=is_title)
    return [_heading_token(line, text, heading)] if heading else line_tokens(line, text)


def _may_be_of_question(number: ParsedNumber, heading: Heading | None) -> bool:
    """Whether a number may be a question's: its line is no heading, or its form is not one of headings."""
    return heading is None or number.form not in SECTION_FORMS


def _heading_of_style(*, is_title: bool) -> Heading | None:
    """The heading that a paragraph is because of its style; None if its style is not a heading's."""
    return Heading(headings.SECTION) if is_title else None


def _heading_token(line: int, text: str, heading: Heading) -> Token:
    """The token of a heading."""
    return Token("heading", line, text, heading=heading)


def line_tokens(line: int, text: str) -> list[Token]:
    """The tokens of a text in which neither a heading nor a number is looked for: its options, its labels and
    the text before them."""
    return part_tokens(line, labels.split_line(text))


def part_tokens(line: int, parts: Iterable[labels.LinePart]) -> list[Token]:
    """The tokens of the parts of a line."""
    return [_part_token(line, part) for part in parts]


def _begins_with_option(part: labels.LinePart, last_letter: str) -> bool:
    """Whether a part has options; «I» counts as a Roman number unless the option before it was H."""
    if not part.options:
        return False
    return part.options[0][0] != "I" or last_letter == "H"


def _tokenize_numbered(line: int, text: str, number: ParsedNumber) -> list[Token]:
    """The token of a number with the stem after it, and those of the options and labels after that."""
    parts = labels.split_line(text[number.text_start :].strip())
    stem = parts.pop(0).text if parts and parts[0].is_words() else ""
    original_text = f"{text[: number.text_start]}{stem}" if parts else text
    numbered = Token("number", line, original_text, stem, number=number)
    return [numbered, *part_tokens(line, parts)]


def _part_token(line: int, part: labels.LinePart) -> Token:
    """The token of a part of a line."""
    if part.options:
        return Token(
            "options",
            line,
            part.text,
            options=part.options,
            is_doubtful=part.is_doubtful,
        )
    if part.column:
        original_text = f"{part.name}:{part.text}"
        return Token(
            "label",
            line,
            original_text,
            part.text,
            name=part.name,
            column=part.column,
        )
    return Token("text", line, part.text, part.text)


def _tokenize_table(line: int, table: DocumentLine) -> Token:
    """The token of a table with cells: options if each of its cells is one; else a table, doubtful if its
    cells may hold questions."""
    assert table.cells is not None  # noqa: S101 - the caller has looked
    cells = list(chain.from_iterable(map(_join_letters, table.cells)))
    parts_by_cell = [labels.split_line(cell) for cell in cells]
    parts = list(chain.from_iterable(parts_by_cell))
    if cells and all(map(_are_only_options, parts_by_cell)):
        return _options_of_table(line, table.text, parts)
    is_doubtful = _may_hold_questions(cells, parts)
    return Token(
        "table",
        line,
        table.text,
        table.text,
        is_doubtful=is_doubtful,
    )


def _may_hold_questions(cells: Iterable[str], parts: Iterable[labels.LinePart]) -> bool:
    """Whether a table's cells hold options or labels, or are headers of a table of questions."""
    if not all(part.is_words() for part in parts):
        return True
    return any(map(_HEADER.fullmatch, cells))


def _are_only_options(parts: Sequence[labels.LinePart]) -> bool:
    """Whether the parts of a cell are options and nothing else."""
    return len(parts) == 1 and bool(parts[0].options)


def _options_of_table(line: int, text: str, parts: Sequence[labels.LinePart]) -> Token:
    """The token of the options in a table's cells, in the order of their letters."""
    options = tuple(sorted(option for part in parts for option in part.options))
    is_doubtful = any(part.is_doubtful for part in parts)
    return Token(
        "options",
        line,
        text,
        options=options,
        is_doubtful=is_doubtful,
    )


def _join_letters(row: Sequence[str]) -> list[str]:
    """A row's cells that aren't blank; a letter in a cell of its own is joined with the text in the next
    one."""
    joined: list[str] = []
    for cell in filter(str.strip, row):
        if joined and _is_letter_of(joined[-1], cell):
            letter = fold_characters(joined[-1]).strip("([)]:.、 ")
            joined[-1] = f"{letter}.{cell}"
        else:
            joined.append(cell)
    return joined


def _is_letter_of(letter_cell: str, cell: str) -> bool:
    """Whether a cell is the letter of the option whose text is in the next cell."""
    if _LETTER_CELL.fullmatch(fold_characters(letter_cell)) is None:
        return False
    return not labels.split_line(cell)[0].options
