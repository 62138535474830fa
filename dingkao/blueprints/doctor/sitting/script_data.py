"""Questions, answers and times as JSON for the scripts of an answering page (js/sitting.js); also for mock
exams."""

from datetime import datetime
from typing import Any

from dingkao import clock
from dingkao.exams.shown_questions import ShownQuestion
from dingkao.question_banks import markup
from dingkao.question_banks.question_types import (
    QUESTION_TYPES,
    SharedContent,
)
from dingkao.web.question_rendering import picture_url


def questions_as_json(
    questions: list[ShownQuestion],
) -> list[dict[str, Any]]:
    """The questions for js/sitting.js, without answer keys, in their order."""
    return [_question_as_json(question) for question in questions]


def _question_as_json(question: ShownQuestion) -> dict[str, Any]:
    """One question for js/sitting.js, its texts as HTML if they have markup."""
    return {
        "position": question.position,
        **_question_labels(question),
        "case": markup.for_script(question.case_stem, picture_url),
        "stem": markup.for_script(question.stem, picture_url),
        "options": [(letter, markup.for_script(text, picture_url)) for letter, text in question.options],
    }


def _question_labels(question: ShownQuestion) -> dict[str, Any]:
    """The labels of a question for js/sitting.js: the heading of its type; which question of its case it is
    ("" if it belongs to none); the note after the stem; and whether several letters may be chosen."""
    question_type = QUESTION_TYPES[question.kind]
    is_in_case = question.case_size > 1 and question_type.shares is SharedContent.CASE
    return {
        "heading": question_type.heading_in_group(question.case_position, question.case_size),
        "place": f"第{question.case_position}小题" if is_in_case else "",
        "note": question_type.note,
        "several": question_type.is_multiple,
    }


def status_as_json(sitting: Any, stored: dict[int, tuple[str, int]]) -> dict[str, Any]:
    """The state of a sitting or mock exam for js/sitting.js: the stored answers and their sequence numbers by
    position, the highest of these (0 for none), the server's time and the end, in milliseconds since 1970.
    `stored`: position (from 0) → letters and sequence number."""
    sequences = sequences_by_position(stored)
    return {
        "answers": {position: letters for position, (letters, _) in stored.items()},
        "sequences": sequences,
        "sequence": max(sequences.values(), default=0),
        "now": to_milliseconds(clock.now()),
        "closes": to_milliseconds(sitting.closes_at),
    }


def sequences_by_position(
    stored: dict[int, tuple[str, int]],
) -> dict[int, int]:
    """The sequence number of each stored answer, by position."""
    return {position: sequence for position, (_, sequence) in stored.items()}


def to_milliseconds(moment: datetime) -> int:
    """A moment in milliseconds since 1970, as scripts count."""
    return int(moment.timestamp() * 1000)
