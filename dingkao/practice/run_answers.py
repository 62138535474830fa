"""Answers and stars given in a run: one at a time or, after a page was offline, many at once.

Answers are recorded even if practice has closed in the meantime, because they were tapped before.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from dingkao import clock
from dingkao.errors import InvalidInput, NotFound
from dingkao.exams.scoring import is_correct
from dingkao.practice.history import (
    AnsweredQuestion,
    update_history,
    update_stars,
)
from dingkao.practice.models import PracticeRun
from dingkao.practice.next_questions import RUN_LENGTH
from dingkao.practice.runs import RunQuestion, run_questions

MAX_MESSAGES = 4 * RUN_LENGTH
_LATEST_TAP = 2**43
"""Milliseconds since 1970; a greater number can't be the time of a tap."""

Answer = tuple[str, datetime]
"""The letters of an answer, and when it was given."""


def record_answer(
    run: PracticeRun,
    doctor_id: UUID,
    position: int,
    letters: list[str],
) -> None:
    """Record an answer to the question at `position` (from 0) in a run (locked for update), in the doctor's
    history and in the week's totals. If it has an answer already, that stays, because the key was shown after
    it. Raises InvalidInput, NotFound."""
    question = _question_at(run_questions(run, doctor_id), position)
    _record_answers(
        run,
        doctor_id,
        {
            question: (
                question.validate_letters(letters),
                clock.now(),
            )
        },
    )


def set_starred(run: PracticeRun, doctor_id: UUID, position: int, *, on: bool) -> None:
    """Add a star (标注) to the question at `position` (from 0), or remove it. Raises NotFound."""
    question = _question_at(run_questions(run, doctor_id), position)
    update_stars(doctor_id, {question.question_id: on})


def record_offline_answers(run: PracticeRun, doctor_id: UUID, answers: Any, stars: Any) -> None:
    """Record what a page stored while it was offline, in a run (locked for update) and in the doctor's
    history. May be repeated: the first answer to a position stays.

    `answers` and `stars` are the page's JSON: lists of objects {position, letters, tapped (milliseconds since
    1970 by the server's clock)} and {position, starred}. What our page would not have sent is ignored, and so
    are answers to withdrawn questions, and of each list what follows the first MAX_MESSAGES.
    """
    questions = run_questions(run, doctor_id)
    _record_answers(run, doctor_id, _offline_answers(run, questions, answers))
    starred = {
        question.question_id: message["starred"]
        for question, message in _messages_by_question(questions, stars)
        if isinstance(message.get("starred"), bool)
    }
    update_stars(doctor_id, starred)


def _offline_answers(
    run: PracticeRun,
    questions: Sequence[RunQuestion],
    messages: Any,
) -> dict[RunQuestion, Answer]:
    """Question → answer, from a page's messages; the first answer to each question."""
    offline_answers: dict[RunQuestion, Answer] = {}
    for question, message in _messages_by_question(questions, messages):
        answer = _offline_answer(run, question, message)
        if answer is not None:
            offline_answers.setdefault(question, answer)
    return offline_answers


def _offline_answer(
    run: PracticeRun,
    question: RunQuestion,
    message: Mapping[str, Any],
) -> Answer | None:
    """The answer in a page's message; None if the question doesn't allow it."""
    letters = message.get("letters")
    if not isinstance(letters, str):
        return None
    try:
        chosen = question.validate_letters(letters)
    except InvalidInput:
        return None
    return chosen, _bounded_tap_time(message.get("tapped"), run.begun_at)


def _messages_by_question(
    questions: Sequence[RunQuestion], messages: Any
) -> Iterator[tuple[RunQuestion, Mapping[str, Any]]]:
    """The well-formed messages of a page, each with the question at its position; at most MAX_MESSAGES."""
    if not isinstance(messages, list):
        return
    for message in messages[:MAX_MESSAGES]:
        position = message.get("position") if isinstance(message, Mapping) else None
        if type(position) is int and 0 <= position < len(questions):
            yield questions[position], message


def _bounded_tap_time(tapped: Any, begun_at: datetime) -> datetime:
    """The moment of a tap (milliseconds since 1970), but no earlier than the run and no later than now; now
    if it is not a valid time."""
    now = clock.now()
    if type(tapped) is not int or not 0 < tapped < _LATEST_TAP:
        return now
    return max(begun_at, min(now, datetime.fromtimestamp(tapped / 1000, UTC)))


def _question_at(questions: Sequence[RunQuestion], position: int) -> RunQuestion:
    """The question at a position (from 0). Raises NotFound."""
    if not 0 <= position < len(questions):
        raise NotFound
    return questions[position]


def _record_answers(
    run: PracticeRun,
    doctor_id: UUID,
    answers: Mapping[RunQuestion, Answer],
) -> None:
    """Add those of `answers` that are new to the run, the doctor's history and the week's totals. The run's
    lock prevents that two requests count one answer twice."""
    new_answers = {
        question: answer for question, answer in answers.items() if str(question.position) not in run.answers
    }
    if not new_answers:
        return
    new_letters = {str(question.position): letters for question, (letters, _) in new_answers.items()}
    run.answers = {**run.answers, **new_letters}
    update_history(
        doctor_id,
        [_answered_question(*new_answer) for new_answer in new_answers.items()],
    )


def _answered_question(question: RunQuestion, answer: Answer) -> AnsweredQuestion:
    """An answer as an entry of the doctor's history, right or wrong by the version's own key: corrections are
    not asked."""
    letters, moment = answer
    is_right = is_correct(question.version.answer, letters)
    return AnsweredQuestion(question.question_id, question.bank, moment, is_right)
