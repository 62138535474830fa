"""Creates sittings of demonstration doctors, the events during them, and their practice before."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.exams import (
    added_time,
    integrity_cases,
    integrity_events,
    sitting_completion,
    sittings,
)
from dingkao.exams.drawing import DrawnQuestion, load_layout
from dingkao.exams.models.sitting_models import Sitting, SittingAnswer
from dingkao.exams.papers import papers_for
from dingkao.journal.entries import Actor
from dingkao.practice import run_answers, run_starting, runs
from dingkao.practice.runs import RunQuestion
from dingkao.question_banks.models import QuestionVersion

BEGUN_ANSWERS = 6
"""How many questions are answered in a sitting that stays open."""


def sit_papers(record: Assessment, by: Actor, *, right: bool) -> None:
    """Sit the record's first two papers and hand them in; `right`: all answers are correct, else every
    third."""
    for paper in papers_for(record)[:2]:
        sitting = sittings.open_sitting(record, paper, by=by)
        _answer(sitting, load_layout(sitting.layout), right=right)
        sitting_completion.hand_in_sitting(record, sitting, by=by)


def begin_paper(record: Assessment, by: Actor) -> None:
    """Open the first paper and answer BEGUN_ANSWERS questions correctly."""
    paper = papers_for(record)[0]
    sitting = sittings.open_sitting(record, paper, by=by)
    _answer(
        sitting,
        load_layout(sitting.layout)[:BEGUN_ANSWERS],
        right=True,
    )


def _answer(sitting: Sitting, layout: Sequence[DrawnQuestion], *, right: bool) -> None:
    """Store an answer to each question of `layout`; `right`: all are correct, else every third."""
    versions = _versions_by_id([question.version for question in layout])
    for position, question in enumerate(layout):
        version = versions[question.version]
        is_right = right or position % 3 == 0
        answer = SittingAnswer(
            sitting_id=sitting.id,
            position=position,
            letters=version.answer if is_right else _wrong_answer(version),
            sequence=position + 1,
            tapped_at=clock.now(),
            received_at=clock.now(),
        )
        db.session.add(answer)
    db.session.flush()


def _versions_by_id(version_ids: Sequence[UUID]) -> dict[UUID, QuestionVersion]:
    """Returns version id → version."""
    query = select(QuestionVersion).where(in_array(QuestionVersion.id, version_ids))
    return {version.id: version for version in db.session.scalars(query)}


def create_monitoring_data(record: Assessment, state: str, by: Actor) -> None:
    """Create what was noticed during sittings: for a record in «testing», events and added time; for one in
    «scored», an integrity case."""
    own_sittings = list(sittings.sittings_by_paper(record).values())
    if state == "testing":
        for sitting in own_sittings:
            _note_interruption(record, sitting, by)
    elif state == "scored":
        for sitting in own_sittings[:1]:
            integrity_cases.open_case(
                record,
                sitting,
                reason="监考员发现作答期间有他人在旁指点",
                by=by,
            )


def _note_interruption(record: Assessment, sitting: Sitting, by: Actor) -> None:
    """Record that the doctor left the page and was offline, and add ten minutes to the sitting."""
    opened = int(sitting.opened_at.timestamp() * 1000)
    integrity_events.record_events(
        sitting,
        [
            {"kind": "left", "at": opened, "seconds": 0},
            {"kind": "offline", "at": opened + 1, "seconds": 0},
        ],
    )
    added_time.add_time(
        record,
        sitting,
        minutes=10,
        reason="本考点断网十分钟",
        by=by,
    )


def create_practice(record: Assessment, doctor: Doctor) -> None:
    """Create practice runs of the last weeks: fewer wrong answers each week, the last run unfinished, a
    question starred."""
    professional_bank = f"professional:{doctor.category}"
    for weeks_ago, bank, wrong_every in (
        (3, professional_bank, 2),
        (2, "common", 3),
        (1, professional_bank, 4),
        (0, professional_bank, 5),
    ):
        run = run_starting.start_run(record, doctor.category, bank=bank)
        run.begun_at = clock.now() - timedelta(weeks=weeks_ago)
        tapped = int(run.begun_at.timestamp() * 1000)
        questions = runs.run_questions(run, doctor.id)
        answered_questions = questions if weeks_ago else questions[:5]
        run_answers.record_offline_answers(
            run,
            doctor.id,
            [_practice_answer(question, tapped, wrong_every) for question in answered_questions],
            [{"position": 1, "starred": True}],
        )


def _practice_answer(question: RunQuestion, tapped: int, wrong_every: int) -> dict[str, Any]:
    """Returns the answer to a question of a run, as a phone sends it. Every `wrong_every`th is wrong;
    `tapped`: time in milliseconds since 1970."""
    version = question.version
    is_wrong = (question.position + 1) % wrong_every == 0
    return {
        "position": question.position,
        "letters": _wrong_answer(version) if is_wrong else version.answer,
        "tapped": tapped,
    }


def _wrong_answer(version: QuestionVersion) -> str:
    """Returns a single letter that is not the answer; of a question with several right letters it may be one
    of them, which is a wrong answer, too."""
    return str(next(letter for letter, _ in version.options if letter != version.answer))
