"""The questions of a sitting as its doctor sees them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

from dingkao.exams.drawing import DrawnQuestion, load_layout
from dingkao.question_banks.question_texts import (
    QuestionText,
    load_question_texts,
)
from dingkao.question_banks.question_types import (
    SharedContent,
    shared_content,
)


@dataclass(frozen=True)
class ShownQuestion:
    """A question as the doctor sees it during a sitting, without key and explanation. `position`: from 0;
    `options`: (letter, text) in the order shown; `case_position` (from 1) and `case_size`: its place in its
    group and how many questions the group has, 1 and 1 without a group."""

    position: int
    kind: str
    case_stem: str
    stem: str
    options: list[tuple[str, str]]
    case_position: int
    case_size: int


def _share_content(before: QuestionText, version: QuestionText) -> bool:
    """Whether two neighbours in a layout belong to one group: they have the same type, and the same case or
    the same options."""
    if version.kind != before.kind:
        return False
    shared = shared_content(version.kind)
    if shared is SharedContent.CASE:
        return version.case_stem == before.case_stem
    return shared is SharedContent.OPTIONS and version.options == before.options


def sitting_questions(sitting: Any) -> list[ShownQuestion]:
    """The questions of a sitting (or mock exam, or row: whatever has a stored `layout`) in its order; the
    options in the order drawn, with their own letters."""
    layout = load_layout(sitting.layout)
    texts_by_version = load_question_texts(question.version for question in layout)
    texts = [texts_by_version[question.version] for question in layout]
    case_places = chain.from_iterable(map(_places_in_group, _group_sizes(texts)))
    return list(map(_shown_question, count(), layout, texts, case_places))


def _shown_question(
    position: int,
    question: DrawnQuestion,
    text: QuestionText,
    case_place: tuple[int, int],
) -> ShownQuestion:
    """One question as the doctor sees it; `case_place`: its place in its group and the group's size."""
    return ShownQuestion(
        position,
        text.kind,
        text.case_stem or "",
        text.stem,
        [(letter, text.options_by_letter[letter]) for letter in question.option_order],
        *case_place,
    )


def _group_sizes(texts: Sequence[QuestionText]) -> list[int]:
    """For each group of a layout, how many questions it has; a single question is a group of 1."""
    sizes: list[int] = []
    for before, text in zip((None, *texts), texts, strict=False):
        if before is not None and _share_content(before, text):
            sizes[-1] += 1
        else:
            sizes.append(1)
    return sizes


def _places_in_group(size: int) -> Iterator[tuple[int, int]]:
    """For each question of a group: its place (from 1) and the group's size."""
    return ((place, size) for place in range(1, size + 1))
