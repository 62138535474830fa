"""The types of questions (题型): one table that all code, templates and scripts read.

A type says what it is called on screens, on paper and in files, how its questions are written, drawn and
shown, and by which rule they are scored. A new type is a new entry here and a migration of the CHECK of
`question.kind`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import filterfalse
from operator import attrgetter

from dingkao.tenants.encryption import normalise_text


def full_width(letters: str) -> str:
    """Latin letters as full-width characters."""
    return "".join(chr(ord(letter) + 0xFEE0) for letter in letters)


OPTION_LETTERS = "ABCDEFGHIJ"
"""The letters of options in order; a question has at most so many options."""
ANY_CASE_LETTERS = OPTION_LETTERS + OPTION_LETTERS.lower()
"""For a pattern's [ ]: option letters, capital or small."""
ANY_WIDTH_LETTERS = ANY_CASE_LETTERS + full_width(ANY_CASE_LETTERS)
"""For a pattern's [ ]: option letters, capital or small, half- or full-width."""


class SharedContent(StrEnum):
    """What the questions of a group share: the case above them (共用题干) or their options (备选答案)."""

    CASE = "case"
    OPTIONS = "options"


class ScoringRule(StrEnum):
    """How an answer is scored: exactly the key or nothing, or as the province decides (setting `x_rule`)."""

    EXACT = "exact"
    BY_PROVINCE = "by_province"


@dataclass(frozen=True)
class QuestionType:
    """One type of questions.

    `code`: what is stored (`question.kind`, the keys of `paper.counts`). Most types are named by their code
    (`A1型题`); one with a `short_label` is named by its `label`. `joint_code`: the code that types which
    share a case have in common (A3/A4). `own_options`: the options of every question of the type, the first
    one for a true statement. `default_share`: the type's percentage of a proposed paper.

    Words by which files name a type, besides code and label: `sheet_words` in a cell 题型, `heading_words` in
    a document's heading (without 题), `tag_words` in brackets before a question.
    """

    code: str
    label: str
    instruction: str
    short_label: str = ""
    joint_code: str = ""
    shares: SharedContent | None = None
    is_multiple: bool = False
    is_shuffled: bool = True
    own_options: tuple[tuple[str, str], ...] = ()
    scoring: ScoringRule = ScoringRule.EXACT
    default_share: int = 0
    sheet_words: tuple[str, ...] = ()
    heading_words: tuple[str, ...] = ()
    tag_words: tuple[str, ...] = ()

    @property
    def shares_options(self) -> bool:
        """Whether the questions of a group share their options."""
        return self.shares is SharedContent.OPTIONS

    @property
    def short_name(self) -> str:
        """The name for places with little room: A1, 判断."""
        return self.short_label or self.code

    @property
    def column_name(self) -> str:
        """The name in a table by types: A1型, 判断题."""
        return self.label if self.short_label else f"{self.code}型"

    @property
    def name(self) -> str:
        """What a question of the type is called: A1型题, 判断题."""
        return self.label if self.short_label else f"{self.code}型题"

    @property
    def choice_label(self) -> str:
        """The type in a list to choose from: A1 单句型最佳选择题, 判断题."""
        return self.label if self.short_label else f"{self.code} {self.label}"

    @property
    def heading(self) -> str:
        """The heading above a question on a screen: A1型题 单句型最佳选择题, 判断题."""
        return self.label if self.short_label else f"{self.name} {self.label}"

    @property
    def print_heading(self) -> str:
        """The heading above the questions of the type on paper: A1型题（单句型最佳选择题）, 判断题."""
        return self.label if self.short_label else f"{self.name}（{self.label}）"

    @property
    def note(self) -> str:
        """The text after the stem of a question: （多选）, or ""."""
        return "（多选）" if self.is_multiple else ""

    @property
    def is_true_false(self) -> bool:
        """Whether questions of the type are statements that are true or false; their options need not be
        written."""
        return bool(self.own_options)

    def heading_in_group(self, position: int, size: int) -> str:
        """The heading above the question at `position` (from 1) in a group of `size`, shown one by one."""
        if size == 1 or self.short_label:
            return self.heading
        return f"{self.joint_code or self.code}型题[{position}/{size}] {self.label}"

    def answer_text(self, answer: str, options: Iterable[tuple[str, str]]) -> str:
        """The key as people write it: its letters, or for a statement the word for true or false. `options`:
        the question's, (letter, text) each; only read for a statement, whose key must be one of their
        letters."""
        return dict(options)[answer] if self.is_true_false else answer


_TYPES = (
    QuestionType(
        code="A1",
        label="单句型最佳选择题",
        instruction="每一道题有五个备选答案，请选择一个最佳答案。",
        default_share=40,
        sheet_words=("单选", "单选题", "单项选择", "单项选择题"),
        heading_words=(
            "单选",
            "单项选择",
            "最佳选择",
            "单句型最佳选择",
        ),
        tag_words=("单选", "单项选择"),
    ),
    QuestionType(
        code="A2",
        label="病例摘要型最佳选择题",
        instruction="每一道题以一个小病例出现，有五个备选答案，请选择一个最佳答案。",
        default_share=20,
        heading_words=("病例摘要型最佳选择",),
    ),
    QuestionType(
        code="A3",
        label="病例组型最佳选择题",
        instruction="一个病例提供若干小题，每题请选择一个最佳答案。",
        joint_code="A3/A4",
        shares=SharedContent.CASE,
        default_share=10,
        sheet_words=("A3/A4",),
        heading_words=(
            "A3/A4",
            "A3、A4",
            "A3-A4",
            "病例组型最佳选择",
        ),
        tag_words=("A3/A4",),
    ),
    QuestionType(
        code="A4",
        label="病例串型最佳选择题",
        instruction="一个病例逐步展开若干小题，每题请选择一个最佳答案。",
        joint_code="A3/A4",
        shares=SharedContent.CASE,
        default_share=10,
        heading_words=("病例串型最佳选择",),
    ),
    QuestionType(
        code="B1",
        label="标准配伍题",
        instruction="一组题共用备选答案，每题请选择一个最佳答案，备选答案可以选用一次、多次或不选。",
        shares=SharedContent.OPTIONS,
        default_share=10,
        sheet_words=("B", "配伍题"),
        heading_words=(
            "B",
            "配伍",
            "配伍选择",
            "标准配伍",
            "共用备选答案",
            "共用备选答案单选",
        ),
    ),
    QuestionType(
        code="X",
        label="多项选择题",
        instruction="每一道题有两个或两个以上正确答案，请全部选出。",
        is_multiple=True,
        scoring=ScoringRule.BY_PROVINCE,
        default_share=10,
        sheet_words=("多选", "多选题", "多项选择", "多项选择题"),
        heading_words=("多选", "多项选择"),
        tag_words=("多选", "多项选择"),
    ),
    QuestionType(
        code="TF",
        label="判断题",
        short_label="判断",
        instruction="请判断每一道题的说法是否正确，正确的选A，错误的选B。",
        is_shuffled=False,
        own_options=(("A", "正确"), ("B", "错误")),
        sheet_words=("判断", "判断题", "是非", "是非题", "T/F"),
        heading_words=("判断", "是非", "判断正误", "正误判断"),
        tag_words=("判断", "是非"),
    ),
)

QUESTION_TYPES = {question_type.code: question_type for question_type in _TYPES}
"""Code → type, in the order of papers."""
QUESTION_TYPE_LABELS = {code: question_type.label for code, question_type in QUESTION_TYPES.items()}
TYPE_SHARES = {
    code: question_type.default_share
    for code, question_type in QUESTION_TYPES.items()
    if question_type.default_share
}
"""Code → percentage of a proposed paper, without types that have none."""
PROVINCE_SCORED_TYPES = frozenset(
    code for code, question_type in QUESTION_TYPES.items() if question_type.scoring is ScoringRule.BY_PROVINCE
)
MULTIPLE_TYPES = frozenset(
    code for code, question_type in QUESTION_TYPES.items() if question_type.is_multiple
)

SINGLE_CHOICE = QUESTION_TYPES["A1"]
"""The type of a question with one right answer, if its type isn't named."""
MULTIPLE_CHOICE = next(question_type for question_type in _TYPES if question_type.is_multiple)
"""The type of a question with several right answers, if its type isn't named."""
TRUE_FALSE = next(question_type for question_type in _TYPES if question_type.is_true_false)
"""The type of questions that are answered with true or false."""


def types_sharing(content: SharedContent) -> list[QuestionType]:
    """The types whose questions share `content`; the first is the type of a group whose type isn't named."""
    return [question_type for question_type in _TYPES if question_type.shares is content]


def shares_options(code: str | None) -> bool:
    """Whether questions of a type share their options with their group."""
    return shared_content(code) is SharedContent.OPTIONS


def shared_content(code: str | None) -> SharedContent | None:
    """What questions of a type share with their group; None if nothing, or for an unknown code."""
    question_type = QUESTION_TYPES.get(code or "")
    return question_type.shares if question_type else None


def is_true_false(code: str | None) -> bool:
    """Whether `code` is that of a type whose questions are true or false."""
    question_type = QUESTION_TYPES.get(code or "")
    return question_type is not None and question_type.is_true_false


CASE_TYPE, OPTIONS_TYPE = (
    types_sharing(SharedContent.CASE)[0],
    types_sharing(SharedContent.OPTIONS)[0],
)
"""The types of groups whose type isn't named: CASE_TYPE if they share a case, OPTIONS_TYPE if they share
options."""


def joined_codes(types: Iterable[QuestionType]) -> str:
    """The codes of the types, joined for a sentence: A3、A4."""
    return "、".join(question_type.code for question_type in types)


def joined_names(types: Iterable[QuestionType]) -> str:
    """The names of the types, joined for a sentence: A1、A2型题和判断题."""
    listed = list(types)
    codes = joined_codes(filterfalse(attrgetter("short_label"), listed))
    names = [f"{codes}型题"] if codes else []
    return "和".join(
        [
            *names,
            *(question_type.label for question_type in listed if question_type.short_label),
        ]
    )


def single_choice_names() -> str:
    """The names of the types with one right answer, for doctors."""
    return joined_names(question_type for question_type in _TYPES if not question_type.is_multiple)


def multiple_choice_names() -> str:
    """The names of the types with several right answers, for doctors."""
    return joined_names(question_type for question_type in _TYPES if question_type.is_multiple)


def _codes_by_sheet_word() -> dict[str, str]:
    """Word in a cell 题型, normalised → the code of the type that it names."""
    codes: dict[str, str] = {}
    for question_type in _TYPES:
        for word in (question_type.label, *question_type.sheet_words):
            codes[normalise_text(word)] = question_type.code
    return codes


_CODE_BY_SHEET_WORD = _codes_by_sheet_word()


def parse_type_word(text: str) -> str:
    """The code of the type that a cell names (A1, A1型题, 单选题, …); the normalised text itself, without
    型题 or 型, if it names none."""
    word = normalise_text(text)
    code = _CODE_BY_SHEET_WORD.get(word)
    if code:
        return code
    word = word.removesuffix("型题").removesuffix("型")
    return _CODE_BY_SHEET_WORD.get(word, word)


def heading_words() -> dict[str, QuestionType]:
    """Word in a document's heading (without 题 or 型题), in capitals → the type that it names."""
    words: dict[str, QuestionType] = {}
    for question_type in _TYPES:
        names = question_type.heading_words
        if not question_type.short_label:
            names = (question_type.code, *names)
        words |= dict.fromkeys(names, question_type)
    return words


def tag_words() -> list[str]:
    """The words that may name a type in brackets before a question (without 题 or 型题), the longest
    first."""
    words: set[str] = set()
    for question_type in _TYPES:
        if not question_type.short_label:
            words.add(question_type.code)
        words |= set(question_type.tag_words)
    return _longest_first(words)


def group_words() -> list[str]:
    """The words that name a type with groups in a line that announces shared content (codes and words of
    ASCII characters), the longest first."""
    words: set[str] = set()
    for question_type in filter(attrgetter("shares"), _TYPES):
        words |= {
            question_type.code,
            *filter(str.isascii, question_type.sheet_words),
        }
    return _longest_first(words)


def _longest_first(words: Iterable[str]) -> list[str]:
    """The words in the order in which a pattern has to try them: longer ones first."""
    return sorted(words, key=lambda word: (-len(word), word))
