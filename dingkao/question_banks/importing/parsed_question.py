"""A question as it was read from a file, and the digests by which it and its group are recognised again."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dingkao.question_banks import markup
from dingkao.question_banks.question_types import (
    SharedContent,
    shared_content,
)
from dingkao.question_banks.similarity import likeness_digest

PROFESSIONAL_SUBJECT = "professional"


@dataclass(frozen=True)
class ParsedQuestion:
    """A valid question of a file. `kind`: its type's code; `group`: its 组号, "" if it has none; `options`:
    (letter, text) each; `answer`: the key's letters in order; `subject`, `category`, `difficulty`, `purpose`:
    codes.

    `provided_columns`: the columns about which the file says something. The other ones have the defaults of a
    new question, and don't change a known question.
    """

    kind: str
    group: str
    case_stem: str
    stem: str
    options: tuple[tuple[str, str], ...]
    answer: str
    explanation: str
    subject: str
    category: str | None
    difficulty: str
    purpose: str
    topic: str = ""
    provided_columns: frozenset[str] = field(default=frozenset(), compare=False)

    def option_texts(self) -> list[str]:
        """The texts of the options."""
        return [text for _, text in self.options]

    def needs_category(self) -> bool:
        """Whether the question is of 业务水平 and has no category: no paper would ever draw it, because
        papers of 业务水平 are for a category."""
        return self.subject == PROFESSIONAL_SUBJECT and not self.category

    def content_digest(self) -> bytes:
        """The digest of case, stem and options (and of the group's label if it shares these), by which the
        same question is recognised again; answer and explanation don't count."""
        return question_digest(
            self.kind,
            self.group,
            self.case_stem,
            self.stem,
            self.options,
        )

    def likeness(self) -> bytes:
        """The digest that questions with similar texts have in common (see `similarity.likeness_digest`)."""
        return likeness_digest(self.kind, self.case_stem, self.stem, self.options)

    def picture_names(self) -> list[str]:
        """The names of the pictures in the question's texts."""
        return markup.picture_names(
            self.case_stem,
            self.stem,
            self.explanation,
            *self.option_texts(),
        )

    def group_digest(self) -> bytes | None:
        """The digest by which the question's group is recognised again (see the function `group_digest`);
        None if it has no group."""
        if not self.group and shared_content(self.kind) is None:
            return None
        return group_digest(self.group, self.case_stem, self.option_texts())


def question_digest(
    kind: str,
    group: str,
    case_stem: str,
    stem: str,
    options: Iterable[Sequence[str]],
) -> bytes:
    """SHA-256 of a question's case, stem and options, by which the same question is recognised again.

    Answer and explanation don't count, because they may be corrected. If a group shares its options (B1), its
    label counts too, because the same stem may be asked with other options.
    """
    parts = [
        case_stem,
        stem,
        *(f"{letter}\x1f{text}" for letter, text in options),
    ]
    if group and shared_content(kind) is SharedContent.OPTIONS:
        parts.append(f"\x1d{group}")
    return hashlib.sha256("\x1e".join(parts).encode()).digest()


def group_digest(group: str, case_stem: str, option_texts: Iterable[str]) -> bytes:
    """SHA-256 of a group's label in its file and of what its questions share (the case, or else the options),
    by which the same group is recognised again."""
    shared_text = case_stem or "\x1f".join(option_texts)
    return hashlib.sha256(f"{group}\x1e{shared_text}".encode()).digest()


class InvalidQuestionRow(ValueError):  # noqa: N818
    """A row of a file that is refused; `problem`: the column's heading, the reason, the remedy."""

    def __init__(self, column: str, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.problem = (column, reason, remedy)


RowWarning = tuple[str, str, str]
"""Something in an accepted row that may be wrong: the column's heading, the reason, the remedy."""

NO_CATEGORY_MESSAGE = "业务水平的题没有执业类别，不会用于任何试卷"
NO_CATEGORY_WARNING: RowWarning = (
    "执业类别",
    NO_CATEGORY_MESSAGE,
    "请填写临床、口腔、公共卫生、中医之一，或在导入时选择。",
)
