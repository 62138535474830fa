"""Corrected keys brought back into the question bank: the key by which a sitting's question is scored is
proposed as the key of the bank's question."""

from operator import attrgetter

from sqlalchemy import select

from dingkao.database.base import db
from dingkao.errors import InvalidState
from dingkao.exams.models.correction_models import KeyCorrection
from dingkao.journal.entries import Actor
from dingkao.question_banks.models import Question, QuestionVersion
from dingkao.question_banks.question_editing import (
    propose_version,
    values_about,
)
from dingkao.question_banks.question_search import get_question
from dingkao.question_banks.question_versions import (
    PENDING,
    newest_versions,
)

NOT_IN_FORCE_MESSAGE = "该更正尚未确认或已被取代，不能据此更正题库。"
BY_HAND_MESSAGE = "这道题在题库中已改动、停用，或更正后的判分不是一个答案，请到题目页修改。"


def bank_state_after_correction(
    correction: KeyCorrection,
) -> tuple[Question, str]:
    """Return the bank's question behind a corrected key, and how it differs from the correction.

    "same": it has the corrected key, in use or not; "pending": its newest version has that key and waits for
    approval; "retired": it is out of use; "differs": its key can be corrected automatically; "by_hand": its
    texts have changed since, or the correction gives no single key. Raises NotFound if the question is
    deleted.
    """
    query = select(QuestionVersion).where(QuestionVersion.id == correction.version_id)
    corrected_version = db.session.scalars(query).one()
    question = get_question(corrected_version.question_id)
    newest = newest_versions([question])[question.id]
    if newest.answer == _single_key(correction):
        return (
            question,
            "pending" if newest.state == PENDING else "same",
        )
    if _is_retired(question):
        return question, "retired"
    can_be_corrected = _single_key(correction) and _has_same_texts(newest, corrected_version)
    return question, "differs" if can_be_corrected else "by_hand"


def _is_retired(question: Question) -> bool:
    """Whether a question was in use and no longer is."""
    return question.approved_at is not None and question.retired_at is not None


def _single_key(correction: KeyCorrection) -> str | None:
    """The one key (one or more letters) that a correction gives a question; None if it gives several, or
    credits or excludes the question."""
    is_single = correction.treatment == "marked" and len(correction.keys) == 1
    return correction.keys[0] if is_single else None


def _has_same_texts(version: QuestionVersion, other: QuestionVersion) -> bool:
    """Whether two versions have the same type, case, stem and options; keys and explanations may differ."""
    texts = attrgetter("kind", "case_stem", "stem", "options")
    return bool(texts(version) == texts(other))


def propose_corrected_key(correction: KeyCorrection, *, by: Actor) -> bool:
    """Propose the corrected key as a new version of the bank's question (a second person has to approve it);
    locks the question. Writes a journal entry; another version that waits is superseded. Does nothing if the
    question has the key, or a version with it waits. Returns whether a version with the key waits now. Raises
    InvalidState if the correction is not in force, or the question is retired or has to be edited by hand;
    NotFound if it is deleted."""
    _require_in_force(correction)
    get_question(bank_state_after_correction(correction)[0].id, for_update=True)
    question, state = bank_state_after_correction(correction)
    if state == "differs":
        _propose_version_with_key(question, correction.keys[0], by=by)
    elif state not in ("same", "pending"):
        raise InvalidState(BY_HAND_MESSAGE)
    return state != "same"


def _require_in_force(correction: KeyCorrection) -> None:
    """Raise InvalidState unless the correction is approved and no later one replaced it."""
    if correction.approved_at is None or correction.superseded_at is not None:
        raise InvalidState(NOT_IN_FORCE_MESSAGE)


def _propose_version_with_key(question: Question, key: str, *, by: Actor) -> None:
    """Propose the newest texts of a question (locked) with `key` as their answer, with a journal entry; a
    version that waits is superseded."""
    newest = newest_versions([question])[question.id]
    text_names = (
        "kind",
        "case_stem",
        "stem",
        "options",
        "explanation",
    )
    texts = {name: getattr(newest, name) for name in text_names} | {"answer": key}
    propose_version(question, texts, values_about(question, newest), by=by)
