"""Moodle's GIFT format, read as Moodle documents it.

Questions are separated by blank lines (see `gift_questions`). What GIFT can't express (type, group, case,
subject and so on) is in a comment of ours before the question, which Moodle ignores (see `gift_writer`). A
question with content that can't be imported is refused, because without that content it would be another
question.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from dingkao.errors import InvalidInput, TooLarge
from dingkao.integrations.spreadsheets.import_rows import (
    ImportReport,
    ImportRow,
    RowProblem,
)
from dingkao.integrations.spreadsheets.table_opening import MAX_IMPORT_FILE_BYTES, TOO_LARGE_MESSAGE
from dingkao.question_banks.importers import headings, stray_lines
from dingkao.question_banks.importers.gift_questions import (
    GiftQuestion,
    parse_question,
)
from dingkao.question_banks.importers.gift_text import (
    FORMAT_PATTERN,
    TAG_PATTERN,
    InvalidQuestion,
    TextConverter,
    TextWithoutAnswers,
)
from dingkao.question_banks.importers.word_pictures import (
    SavePicture,
    preview_picture_name,
)
from dingkao.question_banks.question_types import OPTION_LETTERS

COMMENT_PREFIX = "// dingkao: "
COMMENT_COLUMNS = (
    "kind",
    "group",
    "case_stem",
    "subject",
    "category",
    "topic",
    "difficulty",
    "purpose",
)
TITLE_LENGTH, MAX_TEXT_SHOWN = 30, 20
SNIFFED_BYTES, SNIFFED_LINES, BINARY_SNIFFED_BYTES = 200_000, 20, 4096
UNCLEAR_CASE_MESSAGE = (
    "前面的说明文字“{}”像是共用题干，GIFT里不知它属于哪几题",
    (
        "请把它写进每一题的题干，或改用Word、Excel模板的共用题干；与下面的题目无关的，请删去，"
        "或在其后加一行“$CATEGORY:”。"
    ),
)
_SHEET_HEADER = re.compile(r"题干|题目|试题")
_TITLE = re.compile(r"::(.*?)(?<!\\)::", re.DOTALL)
_FOREIGN_CATEGORIES = (
    "",
    "top",
    "$course$",
    "$cat1$",
    "$system$",
    "$module$",
)
"""Parts of a category's path that Moodle adds itself, and the empty part before the first slash."""


@dataclass
class _GiftBlock:
    """The lines of one question, without comments. `line`: the number of its first line in the file, from 1
    (0 while it has none); `comment`: our comment on it, column → value, {} without one; `last_comment`: our
    comment after the last line of text, {} without one: it belongs to the line of text after it, which may be
    the next question's."""

    line: int = 0
    comment: dict[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    last_comment: dict[str, Any] = field(default_factory=dict)

    def add_line(self, number: int, line: str) -> None:
        """Add a line (number `number`, from 1) of the file that is not blank. Comments are not added; ours is
        remembered for the text that follows."""
        content = line.strip()
        if content.startswith("//"):
            # a comment does not end a question; ours is about the text that follows
            self.last_comment = _parse_comment(content) or self.last_comment
            return
        self.line = self.line or number
        self.comment, self.last_comment = self.comment or self.last_comment, {}
        self.lines.append(line)

    def begins_with_category(self) -> bool:
        """Whether the first line names a category."""
        return bool(self.lines) and self.lines[0].lstrip().upper().startswith("$CATEGORY:")


def is_gift(content: bytes) -> bool:
    """Whether a file, by its beginning, looks like GIFT: text with braces, a title, a category or a comment,
    and no header of a spreadsheet of questions."""
    if _is_binary(content):
        return False
    text = content[:SNIFFED_BYTES].decode("utf-8-sig", "ignore")
    first_lines = list(islice(filter(str.strip, text.splitlines()), SNIFFED_LINES))
    if any(map(_is_sheet_header, first_lines)):
        return False
    return "{" in text or any(map(_begins_like_gift, first_lines))


def _is_binary(content: bytes) -> bool:
    """Whether a file is an Office file or, by a zero byte near its beginning, not text."""
    return content.startswith((b"PK", b"\xd0\xcf\x11\xe0")) or b"\0" in content[:BINARY_SNIFFED_BYTES]


def _begins_like_gift(line: str) -> bool:
    """Whether a line begins as a GIFT title, category or comment does."""
    return line.lstrip().startswith(("::", "$CATEGORY", "//"))


def _is_sheet_header(line: str) -> bool:
    """Whether a line is the header of a spreadsheet of questions, and not a choice or a text about the
    answers of questions."""
    if "答案" not in line or "{" in line or line.lstrip().startswith(("~", "=", "#")):
        return False
    return _SHEET_HEADER.search(line) is not None and any(mark in line for mark in ",;\t")


def read_questions(
    content: bytes,
    report: ImportReport,
    save_picture: SavePicture | None = None,
) -> Iterator[ImportRow]:
    """The questions of a GIFT file as rows like those of a spreadsheet, numbered by their first line. What
    can't be imported is added to the errors of `report`, what should be checked to its warnings. Pictures in
    the file are passed to `save_picture`; without it they get names but are not stored. Raises, when the
    first row is asked for, InvalidInput for a file that isn't UTF-8, TooLarge; and what `save_picture` raises
    besides these two, for which the question is refused."""
    reader = _GiftReader(TextConverter(save_picture or preview_picture_name), report)
    for block in _split_blocks(_decode(content)):
        row = reader.read(block)
        if row is not None:
            yield row


def _decode(content: bytes) -> str:
    """The file as text. Raises InvalidInput if it is not UTF-8, TooLarge."""
    if len(content) > MAX_IMPORT_FILE_BYTES:
        raise TooLarge(TOO_LARGE_MESSAGE)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput("GIFT文件应为UTF-8编码，请用记事本另存为UTF-8后上传。") from error


@dataclass
class _GiftReader:
    """Reads one question after another. `topic`: that of the present category; `case`: the beginning of a
    text that the following questions may share, "" if there is none. Pictures are stored by `converter`; what
    that raises besides InvalidQuestion comes out."""

    converter: TextConverter
    report: ImportReport
    topic: str = ""
    case: str = ""

    def read(self, block: _GiftBlock) -> ImportRow | None:
        """The row of a block, whose category line is taken off; None if it has no question, or one that can't
        be imported, which is added to the report. What our comment says of the topic counts more than the
        category."""
        self._read_category(block)
        text = "\n".join(block.lines).strip()
        question = self._parse(block, text) if text else None
        if question is None:
            return None
        if self.topic:
            question.cells["topic"] = self.topic
        return ImportRow(block.line, _apply_comment(question.cells, block.comment))

    def _parse(self, block: _GiftBlock, text: str) -> GiftQuestion | None:
        """The question of a block; its warnings are added to the report. None if it can't be imported, which
        is added to the report."""
        name = _question_name(text)
        try:
            question = parse_question(text, self.converter, is_ours=bool(block.comment))
            name = _shorten(question.title) or name
            self._refuse_unclear_case(block, question)
        except InvalidQuestion as invalid:
            self._report_invalid(block, name, invalid)
            return None
        self.report.warnings += [RowProblem(block.line, name, *warning) for warning in question.warnings]
        return question

    def _read_category(self, block: _GiftBlock) -> None:
        """If the block begins with a category, take it off and remember its topic; a text that questions
        share ends there."""
        if block.begins_with_category():
            self.topic = _category_topic(block.lines.pop(0))
            self.case = ""
            block.line += 1

    def _refuse_unclear_case(self, block: _GiftBlock, question: GiftQuestion) -> None:
        """Raise InvalidQuestion for a question below a text that it may share, unless our comment gives it a
        case or its stem begins like one."""
        has_own_case = block.comment.get("case_stem") or stray_lines.starts_like_case(question.cells["stem"])
        if self.case and not has_own_case:
            reason, remedy = UNCLEAR_CASE_MESSAGE
            raise InvalidQuestion(reason.format(self.case), remedy)

    def _report_invalid(self, block: _GiftBlock, name: str, invalid: InvalidQuestion) -> None:
        """Add a question that can't be imported to the report. A text without answers that may be a case
        which the following questions share is remembered as such; any other text without answers ends the one
        before."""
        self.report.errors.append(RowProblem(block.line, name, *invalid.problem))
        if isinstance(invalid, TextWithoutAnswers):
            self.case = invalid.text[:MAX_TEXT_SHOWN] if _may_be_shared_case(invalid.text) else ""


def _question_name(text: str) -> str:
    """The name, in the report, of a question that can't be read: its title, or the words that it begins
    with."""
    title = _TITLE.match(text)
    words = title[1] if title else FORMAT_PATTERN.sub("", text.partition("{")[0])
    return _shorten(TAG_PATTERN.sub("", words).replace("\\", "")) or "题目"


def _shorten(text: str) -> str:
    """The beginning of a text in one line, to be used as a name."""
    return " ".join(text.split())[:TITLE_LENGTH]


def _may_be_shared_case(text: str) -> bool:
    """Whether a text without answers may be shared by the questions below it: a case, or a heading that
    announces one."""
    if stray_lines.mentions_patient(text):
        return True
    lines = map(str.strip, TAG_PATTERN.sub("\n", text).split("\n"))
    return any(_may_be_heading(line) for line in lines if line)


def _may_be_heading(line: str) -> bool:
    """Whether a line is a heading, or may be one."""
    return bool(headings.parse_heading(line) or headings.possible_heading(line))


def _split_blocks(text: str) -> Iterator[_GiftBlock]:
    """The questions of a file, separated at blank lines, with our comments on them. A comment between two
    questions belongs to the one below it; what is only comments gives none."""
    block = _GiftBlock()
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        if line.strip():
            block.add_line(number, line)
        elif block.lines:
            yield block
            block = _GiftBlock(last_comment=block.last_comment)
    if block.lines:
        yield block


def _parse_comment(line: str) -> dict[str, Any]:
    """What a comment of ours says, column → value as JSON had it, not checked; {} for other comments and
    unreadable ones. `line`: without white space around it."""
    prefix = COMMENT_PREFIX.strip()
    if not line.startswith(prefix):
        return {}
    try:
        comment = json.loads(line[len(prefix) :])
    except (ValueError, RecursionError):
        return {}
    return comment if isinstance(comment, dict) else {}


def _apply_comment(cells: dict[str, Any], comment: Mapping[str, Any]) -> dict[str, Any]:
    """Cells with what our comment adds: columns and the options' original letters. Values of a wrong type are
    ignored. The case is removed from the stem, before which it is written for other programs."""
    columns = {name: text for name in COMMENT_COLUMNS if isinstance(text := comment.get(name), str)}
    cells = cells | columns
    if case := columns.get("case_stem"):
        cells["stem"] = cells["stem"].removeprefix(f"{case}\n\n")
    return _restore_letters(cells, comment.get("letters"))


def _restore_letters(cells: dict[str, Any], letters: Any) -> dict[str, Any]:
    """Cells with options and key under their original letters, if our comment gives them; the options are
    taken out of `cells`."""
    read_letters = "".join(letter for letter in OPTION_LETTERS if f"option_{letter}" in cells)
    if not _are_letters(letters, len(read_letters)):
        return cells
    options = {
        f"option_{original}": cells.pop(f"option_{letter}")
        for letter, original in zip(read_letters, letters, strict=True)
    }
    answer = cells["answer"].translate(str.maketrans(read_letters, letters))
    return cells | options | {"answer": answer}


def _are_letters(letters: Any, number: int) -> bool:
    """Whether a comment's value is a string of `number` option letters, none of them twice."""
    if not isinstance(letters, str) or len(letters) != number:
        return False
    return len(set(letters)) == number and set(letters) <= set(OPTION_LETTERS)


def _category_topic(line: str) -> str:
    """The topic that a category line names: the last part of its path that Moodle has not added itself, "" if
    there is none. A slash within a part is doubled in GIFT."""
    path = line.split(":", 1)[1].strip().replace("//", "\x00")
    parts = [part.replace("\x00", "/").strip() for part in path.split("/")]
    own_parts = (part for part in reversed(parts) if part.lower() not in _FOREIGN_CATEGORIES)
    return next(own_parts, "")
