"""Mock exams (模拟考试): a paper like the coming one, tried on the same page and with its time; it doesn't
count.

Its questions come from the practice share of the banks alone; one that has left that share since is not shown
any more, as in practice. The answers count as practice too: wrong ones get onto the list of wrong answers.
Mock exams don't change sittings, the record's state, exposures or item analysis.
"""

import math
import random
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, and_, delete, select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.arrays import in_array
from dingkao.database.base import db, new_id
from dingkao.errors import InvalidInput, InvalidState, NotFound
from dingkao.exams.answer_review import (
    ReviewedQuestion,
    compare_with_keys,
)
from dingkao.exams.answer_saving import validate_answer
from dingkao.exams.drawing import (
    draw_practice_layout,
    dump_layout,
    load_layout,
)
from dingkao.exams.effective_keys import (
    effective_keys,
    items_for_scoring,
    scored_item,
)
from dingkao.exams.scoring import ScoredItem, is_correct, score_tenths
from dingkao.exams.shown_questions import (
    ShownQuestion,
    sitting_questions,
)
from dingkao.exams.sitting_completion import GRACE_PERIOD
from dingkao.practice.history import AnsweredQuestion, update_history
from dingkao.practice.mock_offers import (
    MockOffer,
    available_offers,
    doctor_category,
)
from dingkao.practice.models import MockExam
from dingkao.practice.practice_access import closed_reason
from dingkao.practice.practice_banks import bank_code
from dingkao.question_banks.models import (
    SUBJECTS,
    Question,
    QuestionVersion,
)

MAX_KEPT = 20
"""How many mock exams of a doctor are stored; older ones are deleted."""
WITHDRAWN_MESSAGE = "本题已停用，不再显示，也不计分。请做下一题。"
NO_QUESTIONS_MESSAGE = "本省暂时没有开放{}练习题，不能开始模拟考试。请联系所属考核机构。"


class _QuestionInfo(NamedTuple):
    """The id of a question and the code of its practice bank."""

    question: UUID
    bank: str


def start_mock_exam(record: Assessment, subject: str) -> MockExam:
    """Return the record's mock exam of a subject that is under way, or start one; `record` is locked for
    update, so that two requests start only one. Before, the doctor's mock exams that are over, of any
    subject, are handed in; a new one deletes the earliest beyond MAX_KEPT. Raises InvalidState if practice is
    closed or its questions changed just now, InvalidInput if the subject is not offered or has no practice
    questions."""
    if reason := closed_reason(record):
        raise InvalidState(reason)
    offer = _get_offer(record, subject)
    close_overdue(record.doctor_id, grace=timedelta())
    return _exam_under_way(record.doctor_id, subject) or _create_mock_exam(record, offer)


def _get_offer(record: Assessment, subject: str) -> MockOffer:
    """The mock exam that the record may try in a subject. Raises InvalidInput."""
    for offer in available_offers(record):
        if offer.subject == subject:
            return offer
    raise InvalidInput("请选择要模拟的试卷。")


def _exam_under_way(doctor_id: UUID, subject: str) -> MockExam | None:
    """The doctor's mock exam of a subject that is not handed in; None if there is none."""
    is_under_way = (
        MockExam.handed_in_at.is_(None),
        MockExam.subject == subject,
    )
    return db.session.scalar(_doctor_query(doctor_id).where(*is_under_way).limit(1))


def _create_mock_exam(record: Assessment, offer: MockOffer) -> MockExam:
    """Create a mock exam that begins now, with questions drawn at random, and delete the doctor's earliest
    beyond MAX_KEPT. Raises InvalidInput if there are none, InvalidState if the practice share changed in the
    meantime."""
    if not offer.counts:
        raise InvalidInput(NO_QUESTIONS_MESSAGE.format(SUBJECTS[offer.subject]))
    rng = random.Random(secrets.randbits(62))  # noqa: S311 - the order of a trial, no secret
    layout = draw_practice_layout(
        offer.subject,
        doctor_category(record),
        offer.counts,
        rng,
        common_count=offer.humanities,
        cells=offer.cells,
    )
    _delete_earliest(record.doctor_id)
    now = clock.now()
    mock = MockExam(
        id=new_id(),
        assessment_id=record.id,
        subject=offer.subject,
        title=offer.title,
        layout=dump_layout(layout),
        points=dict(offer.marks),
        answers={},
        opened_at=now,
        closes_at=now + timedelta(minutes=offer.minutes),
    )
    db.session.add(mock)
    db.session.flush()
    return mock


def _delete_earliest(doctor_id: UUID) -> None:
    """Delete the doctor's earliest mock exams that are handed in, so that MAX_KEPT remain including the one
    that begins."""
    query = _doctor_query(doctor_id).where(MockExam.handed_in_at.is_not(None))
    mock_ids = list(db.session.scalars(query.with_only_columns(MockExam.id)))
    if earliest_ids := mock_ids[MAX_KEPT - 1 :]:
        db.session.execute(delete(MockExam).where(in_array(MockExam.id, earliest_ids)))


# --- a doctor's mock exams


def _doctor_query(doctor_id: UUID) -> Select[MockExam]:
    """The query for a doctor's mock exams, the latest first."""
    record_ids = select(Assessment.id).where(Assessment.doctor_id == doctor_id)
    return select(MockExam).where(MockExam.assessment_id.in_(record_ids)).order_by(MockExam.id.desc())


def list_mock_exams(doctor_id: UUID) -> list[MockExam]:
    """The doctor's mock exams of all cycles, the latest first."""
    return list(db.session.scalars(_doctor_query(doctor_id)))


def get_mock_exam(mock_exam_id: UUID, doctor_id: UUID, *, for_update: bool = False) -> MockExam:
    """One of the doctor's mock exams, of any cycle, locked if `for_update`. Raises NotFound."""
    query = _doctor_query(doctor_id).where(MockExam.id == mock_exam_id)
    if for_update:
        query = query.with_for_update().execution_options(populate_existing=True)
    mock = db.session.scalar(query)
    if mock is None:
        raise NotFound
    return mock


def has_overdue(doctor_id: UUID) -> bool:
    """Whether the doctor has a mock exam that is not handed in although its end and grace period are over."""
    query = _doctor_query(doctor_id).where(
        MockExam.handed_in_at.is_(None),
        MockExam.closes_at < clock.now() - GRACE_PERIOD,
    )
    return db.session.scalar(query.with_only_columns(MockExam.id).limit(1)) is not None


def close_overdue(doctor_id: UUID, *, grace: timedelta = GRACE_PERIOD) -> None:
    """Hand in the doctor's mock exams of all subjects whose end was at least `grace` ago, which adds their
    answers to the practice history; each is locked."""
    query = _doctor_query(doctor_id).where(
        MockExam.handed_in_at.is_(None),
        MockExam.closes_at <= clock.now() - grace,
    )
    for mock in db.session.scalars(query.with_for_update().execution_options(populate_existing=True)).all():
        hand_in_mock_exam(mock, doctor_id)


# --- answering


def save_answer(mock_exam: MockExam, values: Any) -> str:
    """Store one answer in a mock exam (locked for update); `values`: the page's JSON, with position (from 0),
    letters, sequence and tapped, as for a sitting. Returns "saved", or "older" if an answer with this or a
    higher sequence is stored already. An answer tapped before the end is accepted up to GRACE_PERIOD after
    it, as in a sitting. Raises answer_saving.MalformedAnswer, NotFound, InvalidState."""
    position, letters, sequence, tapped = validate_answer(values)
    if position >= len(mock_exam.layout):
        raise NotFound("没有找到这道题，请刷新页面。")
    if mock_exam.handed_in_at is not None:
        raise InvalidState("这次模拟考试已交卷，不能再修改答案。")
    _require_in_time(mock_exam, tapped)
    if sequence <= numbered_answers(mock_exam).get(position, ("", 0))[1]:
        return "older"
    mock_exam.answers = dict(mock_exam.answers) | {str(position): [letters, sequence]}
    return "saved"


def _require_in_time(mock_exam: MockExam, tapped: datetime | None) -> None:
    """Raise InvalidState if the mock exam is over; an answer tapped before its end may arrive up to
    GRACE_PERIOD later."""
    was_tapped_in_time = tapped is not None and mock_exam.opened_at <= tapped <= mock_exam.closes_at
    grace = GRACE_PERIOD if was_tapped_in_time else timedelta()
    if clock.now() > mock_exam.closes_at + grace:
        raise InvalidState("作答时间已到，这个答案未能保存。")


def numbered_answers(
    mock_exam: MockExam,
) -> dict[int, tuple[str, int]]:
    """Position (from 0) → the letters answered ("" where the answer was taken back) and their sequence
    number; positions never answered are missing."""
    return {int(position): (letters, number) for position, (letters, number) in mock_exam.answers.items()}


def answers_by_position(mock_exam: MockExam) -> dict[int, str]:
    """Position (from 0) → the letters answered, "" where the answer was taken back; positions never answered
    are missing."""
    return {position: letters for position, (letters, _) in numbered_answers(mock_exam).items()}


def questions_for_display(mock_exam: MockExam) -> list[ShownQuestion]:
    """The questions as the page shows them; one that has left the practice share shows only that it has."""
    versions = [drawn.version for drawn in load_layout(mock_exam.layout)]
    available = _available_questions(versions)
    return [
        question if versions[question.position] in available else _withdrawn_question(question)
        for question in sitting_questions(mock_exam)
    ]


def _withdrawn_question(question: ShownQuestion) -> ShownQuestion:
    """The question with a message in place of its texts."""
    return replace(
        question,
        case_stem="",
        stem=WITHDRAWN_MESSAGE,
        options=[],
        case_position=1,
        case_size=1,
    )


def hand_in_mock_exam(mock_exam: MockExam, doctor_id: UUID) -> None:
    """交卷, by the doctor or because the time is over: score a mock exam (locked for update) by the keys in
    force now and add its answers to the doctor's practice history. The hand-in counts at its end at the
    latest. Does nothing if it is handed in already."""
    if mock_exam.handed_in_at is not None:
        return
    layout = load_layout(mock_exam.layout)
    answers = answers_by_position(mock_exam)
    available = _available_questions(drawn.version for drawn in layout)
    items = _scored_items(mock_exam, available)
    mock_exam.score_tenths = score_tenths(items, answers, mock_exam.x_rule)
    handed_in_at = min(clock.now(), mock_exam.closes_at)
    mock_exam.handed_in_at = handed_in_at
    answered = [
        _answered_mock_question(
            available.get(drawn.version),
            item,
            answers.get(position),
            handed_in_at,
        )
        for position, (drawn, item) in enumerate(zip(layout, items, strict=True))
    ]
    update_history(doctor_id, list(filter(None, answered)))


def _answered_mock_question(
    question: _QuestionInfo | None,
    item: ScoredItem,
    letters: str | None,
    moment: datetime,
) -> AnsweredQuestion | None:
    """An answered question for the practice history; None if it was not answered, is not scored by its key,
    or has left the practice share (`question` is None)."""
    if not letters or question is None or item.treatment != "marked":
        return None
    is_right = any(is_correct(key, letters) for key in item.keys)
    return AnsweredQuestion(question.question, question.bank, moment, is_right)


def _available_questions(
    version_ids: Iterable[UUID],
) -> dict[UUID, _QuestionInfo]:
    """Version id → its question, for the versions whose question is still in the practice share."""
    query = select(
        QuestionVersion.id,
        Question.id,
        Question.subject,
        Question.category,
    ).join(
        Question,
        and_(
            Question.tenant_id == QuestionVersion.tenant_id,
            Question.id == QuestionVersion.question_id,
        ),
    )
    query = query.where(
        in_array(QuestionVersion.id, version_ids),
        Question.purpose == "practice",
        Question.retired_at.is_(None),
    )
    return {
        version: _QuestionInfo(question, bank_code(subject, category))
        for version, question, subject, category in db.session.execute(query)
    }


def _scored_items(mock_exam: MockExam, available: Mapping[UUID, _QuestionInfo]) -> list[ScoredItem]:
    """The questions as they are scored: by the keys in force now; those that have left the practice share are
    excluded."""
    versions = [drawn.version for drawn in load_layout(mock_exam.layout)]
    keys = effective_keys(versions)
    items = []
    for version in versions:
        item = scored_item(keys[version], mock_exam.points)
        items.append(item if version in available else item._replace(treatment="excluded"))
    return items_for_scoring(items)


# --- afterwards


def minutes_taken(mock_exam: MockExam) -> int:
    """How many minutes a mock exam took, rounded up; 0 before it is handed in."""
    if not mock_exam.handed_in_at:
        return 0
    return math.ceil((mock_exam.handed_in_at - mock_exam.opened_at).total_seconds() / 60)


def review_questions(mock_exam: MockExam) -> list[ReviewedQuestion]:
    """How each question was answered, by the keys in force now, while the score stays that of handing in. One
    that has left the practice share has no answer and keys, and the verdict "withdrawn". Raises InvalidState
    before the mock exam is handed in."""
    if mock_exam.handed_in_at is None:
        raise InvalidState("这次模拟考试还没有交卷，交卷后才能查看答案和解析。")
    layout = load_layout(mock_exam.layout)
    available = _available_questions(drawn.version for drawn in layout)
    items = _scored_items(mock_exam, available)
    questions = compare_with_keys(
        layout,
        items,
        answers_by_position(mock_exam),
        mock_exam.x_rule,
    )
    return [
        question if question.version in available else _withdrawn_review(question) for question in questions
    ]


def _withdrawn_review(question: ReviewedQuestion) -> ReviewedQuestion:
    """The question without answer and keys, with the verdict "withdrawn"."""
    return replace(
        question,
        verdict="withdrawn",
        letters="",
        keys=(),
        corrected=False,
    )
