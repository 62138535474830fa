"""Checks of a question that need the questions beside it."""

from collections.abc import Sequence
from itertools import pairwise

from dingkao.question_banks.importers.question_parser.draft_question import (
    DraftQuestion,
)
from dingkao.question_banks.importers.question_parser.parser_problems import (
    KEYS_MAY_BE_SHIFTED,
    POSSIBLE_COMBINED_KEYS,
    REPEATED_KEY_LETTERS,
    UNCERTAIN_START,
    format_problem,
)


def check_neighbours(questions: Sequence[DraftQuestion]) -> None:
    """Refuse questions, all of a document in their order, because of their neighbours: lettered lines in an
    explanation may be the options that the next question lacks; a key of several letters may include the key
    that the question before lacks; and between a question with a key too many and one with none, all keys may
    be shifted. Also refused is a key that has a letter twice."""
    for previous, question in pairwise(questions):
        _check_lettered_explanation(previous, question)
        _check_combined_keys(previous, question)
    for question in questions:
        _check_repeated_letters(question)
    _check_shifted_keys(questions)


def _check_lettered_explanation(previous: DraftQuestion, question: DraftQuestion) -> None:
    """Refuse a question whose explanation may hold the options of the next one."""
    if previous.has_lettered_explanation and not question.has_options():
        previous.add_problem(UNCERTAIN_START)


def _check_combined_keys(previous: DraftQuestion, question: DraftQuestion) -> None:
    """Refuse a question whose key of several letters may include that of the previous one, which has none."""
    if "answer" not in previous.cells and len(question.key_letters()) > 1:
        question.add_problem(POSSIBLE_COMBINED_KEYS)


def _check_repeated_letters(question: DraftQuestion) -> None:
    """Refuse a question whose key has a letter twice."""
    letters = question.key_letters()
    if len(set(letters)) < len(letters):
        question.add_problem(format_problem(REPEATED_KEY_LETTERS, question.cells["answer"]))


def _check_shifted_keys(questions: Sequence[DraftQuestion]) -> None:
    """If some questions lack a key and others have one too many, refuse all from the first to the last of
    these."""
    mismatches = _key_mismatches(questions)
    if len(set(mismatches.values())) > 1:
        for question in questions[min(mismatches) : max(mismatches) + 1]:
            question.add_problem(KEYS_MAY_BE_SHIFTED)


def _key_mismatches(
    questions: Sequence[DraftQuestion],
) -> dict[int, str]:
    """Position → what is missing ("no key" or "no options"), for the questions that lack a key or have one of
    letters without options."""
    mismatches = ((position, question.key_mismatch()) for position, question in enumerate(questions))
    return {position: mismatch for position, mismatch in mismatches if mismatch}
