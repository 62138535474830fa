"""Questions and the content they share while a document is read, and the rows that are made of them."""

import re
from dataclasses import dataclass, field
from typing import Any

from dingkao.integrations.spreadsheets.import_rows import ImportRow
from dingkao.question_banks.importers import labels
from dingkao.question_banks.importers.numerals import fold_characters
from dingkao.question_banks.importers.question_parser.parser_problems import (
    EMPTY,
    EMPTY_OPTIONS,
    KEY_IN_STEM,
    NO_OPTIONS,
    OPTION_LETTERS_GAP,
    OPTIONS_UNCLEAR_IN_LINE,
    OWN_AND_SHARED,
    WITHOUT_CASE,
    format_problem,
)
from dingkao.question_banks.importers.tokens import Token
from dingkao.question_banks.importers.word_problems import (
    ParagraphProblem,
)
from dingkao.question_banks.question_types import (
    ANY_CASE_LETTERS,
    CASE_TYPE,
    OPTION_LETTERS,
    OPTIONS_TYPE,
    shares_options,
)

_TRUE_FALSE = re.compile(
    rf"\s*[(\[]?\s*(?:{labels.TRUE_FALSE_WORDS})\s*[)\]]?[。.]?\s*",
    re.IGNORECASE,
)
_SINGLE_LETTER = re.compile(rf"[(\[\s]*[{ANY_CASE_LETTERS}][)\]\s.。]*")
_LETTER_IN_BRACKETS = re.compile(
    rf"[(\[]\s*[{OPTION_LETTERS}](?:[\s,、]*[{OPTION_LETTERS}])*\s*[)\]]\s*[。.?:]?\s*$"
)
_UNMARKED_OPTIONS = re.compile(r"(?:^|\s)A\s+\S.*\sB\s+\S")


@dataclass
class DraftSharedContent:
    """A case or a list of options that several questions share, as far as it has been read. `line`: the
    number of the line that announces it, or of its first line, and `words`: that line's beginning; `label`:
    the name of its group; `first` and `last`: the numbers of its questions, both included, or `count`: how
    many they are, as far as that is written; `is_case`: True for a case, False for options, None while that
    is open; `text`: the case; `options`: letter → text; `problem`: why its questions are refused;
    `option_line`: the line of the last option, 0 without any; `members`: how many questions have used it."""

    line: int
    words: str
    label: str
    first: int | None = None
    last: int | None = None
    count: int | None = None
    is_case: bool | None = None
    text: str = ""
    options: dict[str, str] = field(default_factory=dict)
    problem: ParagraphProblem | None = None
    option_line: int = 0
    members: int = 0

    def add_problem(self, problem: ParagraphProblem | None) -> None:
        """Refuse all questions that share it; the first problem is the one reported. None is ignored."""
        self.problem = self.problem or problem

    def awaits_case_text(self) -> bool:
        """Whether it names its questions' numbers and has no text yet."""
        return self.last is not None and not self.text

    def may_be_case(self) -> bool:
        """Whether it may be a case, so that a line of text may belong to it."""
        return self.is_case is not False and not self.options

    def is_empty(self) -> bool:
        """Whether it has neither a case nor options yet."""
        return not self.text and not self.options

    def number_questions(self, number: int) -> None:
        """Set the numbers of its questions from that of the first one, if only their count is written."""
        if self.count is not None:
            self.first, self.last = number, number + self.count - 1

    def has_named_count(self) -> bool:
        """Whether it was used by as many questions as it names; if it names none, by at least one."""
        if not self.members or self.first is None or self.last is None:
            return bool(self.members)
        return self.members == self.last - self.first + 1

    def add_case_text(self, text: str) -> None:
        """Add a line to the text of the case; it is a case from then on."""
        self.is_case = True
        self.text = f"{self.text}\n{text}" if self.text else text

    def add_options(self, token: Token) -> None:
        """Add the options of a token. If they may be read wrongly, or a letter isn't the next one, the
        questions that share them are refused."""
        if token.is_doubtful:
            self.add_problem(OPTIONS_UNCLEAR_IN_LINE)
        for letter, text in token.options:
            if letter != next_letter(self.options):
                self.add_problem(OPTION_LETTERS_GAP)
            self.options[letter] = text
        self.option_line = token.line


@dataclass
class DraftQuestion:
    """A question as far as it has been read. `line`: that at which it begins; `number`: None if it was not
    found; then `name` says where it is missing. `carried_values`: columns that labels and headings above it
    set; `shared`: the content that it shares, None if none; `needs_case`: the heading above demands a case;
    `cells`: column → text; `options`: its own, letter → text; `part`: the column to which text is added
    ("unused" below a label that we have no column for); `has_only_label`: nothing but options has followed
    the label of its explanation; `has_lettered_explanation`: its explanation has lettered lines;
    `option_line`: the line of its last option, 0 without any; `problem`: why it is refused."""

    line: int
    number: int | None
    name: str
    carried_values: dict[str, str]
    shared: DraftSharedContent | None
    needs_case: bool
    cells: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    part: str = "stem"
    has_only_label: bool = True
    has_lettered_explanation: bool = False
    option_line: int = 0
    problem: ParagraphProblem | None = None

    def add_problem(self, problem: ParagraphProblem | None) -> None:
        """Refuse the question; the first problem is the one reported. None is ignored."""
        self.problem = self.problem or problem

    def set_part(self, column: str, text: str) -> None:
        """Begin the part `column` with `text`, which replaces what the column had."""
        self.cells[column], self.part = text, column

    def add_part_of(self, token: Token) -> None:
        """Add the options of a token, or begin the part that its label means; nothing for other tokens."""
        if token.options:
            self.add_options(token)
        elif token.column:
            self.set_part(token.column, token.text)

    def add_options(self, token: Token) -> None:
        """Add the options of a token; text that follows belongs to the last one. If they may be read wrongly,
        or it has one of the letters already, the question is refused."""
        if token.is_doubtful:
            self.add_problem(OPTIONS_UNCLEAR_IN_LINE)
        for letter, text in token.options:
            if letter in self.options:
                self.add_problem(OPTION_LETTERS_GAP)
            self.options[letter] = text
        self.part, self.option_line = "options", token.line

    def has_options(self) -> bool:
        """Whether it has options of its own or shared ones."""
        return bool(self.all_options())

    def all_options(self) -> dict[str, str]:
        """Letter → text of its own options, or else of the shared ones."""
        return self.options or self.shared_content.options

    @property
    def shared_content(self) -> DraftSharedContent:
        """The shared content that it uses; an empty one if it uses none."""
        return self.shared or _NOTHING_SHARED

    def uses_shared_options(self) -> bool:
        """Whether its type is B1, or its shared content has options."""
        return shares_options(self.carried_values.get("kind")) or bool(self.shared_content.options)

    def awaits_label(self, column: str) -> bool:
        """Whether a label of `column` may begin its next part: it has no such part yet, and it has options,
        key or explanation."""
        if not column or column in self.cells:
            return False
        return bool(self.options) or not self.cells.keys().isdisjoint(("answer", "explanation"))

    def awaits_options(self) -> bool:
        """Whether its first options may follow."""
        return self.part == "stem" and not self.options

    def key_letters(self) -> list[str]:
        """The option letters in its key, in the order written, with repetitions; none for a key such as 正确
        or without one."""
        key = fold_characters(self.cells.get("answer", ""))
        return [] if is_true_false_key(key) else re.findall(f"[{OPTION_LETTERS}]", key.upper())

    def key_mismatch(self) -> str:
        """ "no key", or "no options" if it has a key of letters without options, else ""."""
        if "answer" not in self.cells:
            return "no key"
        return "" if self.has_options() or not self.key_letters() else "no options"


_NOTHING_SHARED = DraftSharedContent(0, "", "")
"""The shared content of a question that shares nothing."""


def is_true_false_key(text: str) -> bool:
    """Whether a text (with folded characters) is a key such as 正确 or ×."""
    return _TRUE_FALSE.fullmatch(text) is not None


def has_unmarked_options(text: str) -> bool:
    """Whether a text holds options without marks after their letters, such as «A 甲 B 乙»."""
    return _UNMARKED_OPTIONS.search(fold_characters(text)) is not None


def append_line(cells: dict[str, str], name: str, text: str) -> None:
    """Add a line to the text of the cell `name`."""
    cells[name] = f"{cells[name]}\n{text}" if cells.get(name) else text


def next_letter(options: dict[str, str]) -> str:
    """The letter that the option after the last of `options` (letter → text, in order) has: "A" after none,
    "" after the last letter."""
    last = list(options)[-1] if options else ""
    return OPTION_LETTERS[OPTION_LETTERS.index(last) + 1 :][:1] if last else "A"


def to_row(question: DraftQuestion) -> ImportRow:
    """The question as a row like a spreadsheet's, its options in cells option_A and so on. If it names no
    type, the one that shared content implies is set. If it can't be imported, its problem (kind, reason,
    remedy) is in the cell "refused"."""
    cells = _written_cells(question)
    options = question.all_options()
    cells |= {f"option_{letter}": text for letter, text in options.items()}
    if not cells.get("kind"):
        _fill_kind(cells, question.shared_content)
    problem = _first_problem(question, options, cells)
    if problem:
        cells["refused"] = problem
    return ImportRow(question.line, cells, question.name)


def _written_cells(question: DraftQuestion) -> dict[str, Any]:
    """What is written for a question, above it and in it, with its group and its case. What is written in it
    counts more; of what is above it, empty values are left out."""
    values = question.carried_values | question.cells
    written = {name: text for name, text in values.items() if text or name in question.cells}
    return written | _shared_cells(question.shared)


def _shared_cells(shared: DraftSharedContent | None) -> dict[str, str]:
    """The cells for the group and the case of a question that uses shared content."""
    if shared is None:
        return {}
    if shared.is_case and shared.text:
        return {"group": shared.label, "case_stem": shared.text}
    return {"group": shared.label}


def _fill_kind(cells: dict[str, Any], shared: DraftSharedContent) -> None:
    """Set the type of a question for which none is written, if shared content implies it: B1 for shared
    options, A3 for a case with a key of one letter; else the cell is removed."""
    cells.pop("kind", None)
    if shared.options:
        cells["kind"] = OPTIONS_TYPE.code
    elif shared.is_case and _SINGLE_LETTER.fullmatch(fold_characters(cells.get("answer", ""))):
        cells["kind"] = CASE_TYPE.code


def _first_problem(
    question: DraftQuestion,
    options: dict[str, str],
    cells: dict[str, Any],
) -> ParagraphProblem | None:
    """Why a question is refused: a problem met while reading it, or else something that it lacks; None if it
    isn't."""
    return question.problem or question.shared_content.problem or _missing_part(question, options, cells)


def _missing_part(
    question: DraftQuestion,
    options: dict[str, str],
    cells: dict[str, Any],
) -> ParagraphProblem | None:
    """What a question lacks, as far as the validation of rows doesn't report it in words that fit a document;
    None if nothing."""
    return (
        _shared_content_problem(question, cells)
        or _case_problem(question, cells)
        or _letters_problem(options)
        or _answer_problem(options, cells)
    )


def _shared_content_problem(question: DraftQuestion, cells: dict[str, Any]) -> ParagraphProblem | None:
    """What is wrong with the shared content that a question uses; None if nothing."""
    shared = question.shared
    if shared is None:
        return None
    if shared.is_case is False and _has_own_options(question, cells):
        return OWN_AND_SHARED
    return format_problem(EMPTY, shared.words) if shared.is_empty() else None


def _has_own_options(question: DraftQuestion, cells: dict[str, Any]) -> bool:
    """Whether a question has options of its own, even if they are within its stem."""
    return bool(question.options) or has_unmarked_options(cells.get("stem", ""))


def _case_problem(question: DraftQuestion, cells: dict[str, Any]) -> ParagraphProblem | None:
    """The problem that a question lacks the case it needs; None if it doesn't."""
    return WITHOUT_CASE if question.needs_case and not cells.get("case_stem") else None


def _letters_problem(
    options: dict[str, str],
) -> ParagraphProblem | None:
    """What is wrong with a question's options: one has no text, or their letters don't follow one another;
    None if nothing."""
    empty_letters = [letter for letter, text in options.items() if not text.strip()]
    if empty_letters:
        return format_problem(EMPTY_OPTIONS, empty_letters[0])
    return None if "".join(options) == OPTION_LETTERS[: len(options)] else OPTION_LETTERS_GAP


def _answer_problem(options: dict[str, str], cells: dict[str, Any]) -> ParagraphProblem | None:
    """What is wrong with a question's key: it needs options and there are none, or it is written in the stem;
    None if nothing."""
    answer = cells.get("answer", "")
    if not options and not is_true_false_key(fold_characters(answer)):
        return NO_OPTIONS
    if not answer.strip() and _LETTER_IN_BRACKETS.search(fold_characters(cells.get("stem", ""))):
        return KEY_IN_STEM
    return None
