"""What a doctor has practised: the last answer to each question, its star, and totals by week and bank."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from dingkao import clock
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.practice.models import (
    PRACTICE_BANKS,
    PracticeWeek,
    PractisedQuestion,
)

MAX_WEEK_ROWS = 60


class AnsweredQuestion(NamedTuple):
    """An answered question of the practice share. `bank`: the code of its bank; `moment`: when it was
    answered."""

    question_id: UUID
    bank: str
    moment: datetime
    is_correct: bool


@dataclass(frozen=True)
class PracticeWeekTotals:
    """How many questions of a bank were answered in the week that begins on `monday`, and how many rightly;
    `bank` is its name."""

    monday: date
    bank: str
    answered: int
    answered_right: int

    @property
    def sunday(self) -> date:
        """The last day of the week."""
        return self.monday + timedelta(days=6)


def update_history(doctor_id: UUID, answered: Sequence[AnsweredQuestion]) -> None:
    """Add answered questions, each at most once, to the doctor's history (the list of wrong answers is made
    from it) and to the totals of their weeks. An answer older than the stored one counts in the totals alone.
    They count whatever is passed: the caller passes an answer only once."""
    if not answered:
        return
    in_order = sorted(answered)
    _upsert_history(doctor_id, in_order)
    _add_to_weeks(doctor_id, in_order)
    db.session.flush()


def _upsert_history(doctor_id: UUID, answered: Iterable[AnsweredQuestion]) -> None:
    """Store each question's last answer; one that is older than the stored one is ignored. A row whose
    `seen_at` is NULL is that of a question only starred so far: any answer is newer."""
    statement = insert(PractisedQuestion).values(
        [
            {
                "doctor_id": doctor_id,
                "question_id": question.question_id,
                "seen_at": question.moment,
                "is_wrong": not question.is_correct,
            }
            for question in answered
        ]
    )
    new_values = statement.excluded
    is_newer = or_(
        PractisedQuestion.seen_at.is_(None),
        PractisedQuestion.seen_at <= new_values.seen_at,
    )
    db.session.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "doctor_id", "question_id"],
            set_={
                "seen_at": new_values.seen_at,
                "is_wrong": new_values.is_wrong,
            },
            where=is_newer,
        )
    )


def _add_to_weeks(doctor_id: UUID, answered: Iterable[AnsweredQuestion]) -> None:
    """Add answered questions to the totals of their weeks and banks."""
    totals: dict[tuple[date, str], list[int]] = defaultdict(lambda: [0, 0])
    for question in answered:
        week = totals[week_start(question.moment), question.bank]
        week[0] += 1
        week[1] += question.is_correct
    statement = insert(PracticeWeek).values(
        [
            {
                "doctor_id": doctor_id,
                "monday": monday,
                "bank": bank,
                "answered": answered_count,
                "answered_right": right_count,
            }
            for (monday, bank), (
                answered_count,
                right_count,
            ) in sorted(totals.items())
        ]
    )
    added = statement.excluded
    db.session.execute(
        statement.on_conflict_do_update(
            index_elements=[
                "tenant_id",
                "doctor_id",
                "monday",
                "bank",
            ],
            set_={
                "answered": PracticeWeek.answered + added.answered,
                "answered_right": PracticeWeek.answered_right + added.answered_right,
            },
        )
    )


def update_stars(doctor_id: UUID, is_starred: Mapping[UUID, bool]) -> None:
    """Add or remove stars (标注) of a doctor; `is_starred`: question id → whether it is to have one. A star
    that exists keeps its time."""
    starred_ids = sorted(question_id for question_id, starred in is_starred.items() if starred)
    unstarred_ids = is_starred.keys() - starred_ids
    if unstarred_ids:
        _remove_stars(doctor_id, unstarred_ids)
    if starred_ids:
        _insert_stars(doctor_id, starred_ids)


def _remove_stars(doctor_id: UUID, question_ids: Iterable[UUID]) -> None:
    """Remove the stars of questions; a question without one stays as it is."""
    is_unstarred = in_array(PractisedQuestion.question_id, question_ids)
    db.session.execute(
        update(PractisedQuestion)
        .where(PractisedQuestion.doctor_id == doctor_id, is_unstarred)
        .values(starred_at=None)
    )


def _insert_stars(doctor_id: UUID, question_ids: Iterable[UUID]) -> None:
    """Add stars; a star that exists keeps its time."""
    statement = insert(PractisedQuestion).values(
        [
            {
                "doctor_id": doctor_id,
                "question_id": question_id,
                "is_wrong": False,
                "starred_at": clock.now(),
            }
            for question_id in question_ids
        ]
    )
    earliest_star = func.coalesce(PractisedQuestion.starred_at, statement.excluded.starred_at)
    db.session.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "doctor_id", "question_id"],
            set_={"starred_at": earliest_star},
        )
    )


def week_start(moment: datetime) -> date:
    """The Monday of the week in which `moment` lies, in Beijing time."""
    day = clock.to_beijing(moment).date()
    return day - timedelta(days=day.weekday())


def percent(part: int, whole: int) -> int:
    """`part` as a percentage of `whole`, rounded half up; 0 if `whole` is 0."""
    return (200 * part + whole) // (2 * whole) if whole else 0


def weekly_totals(doctor_id: UUID, limit: int = MAX_WEEK_ROWS) -> list[PracticeWeekTotals]:
    """The doctor's totals, a row for each week and bank, the latest week first; at most `limit` rows."""
    query = (
        select(PracticeWeek)
        .where(PracticeWeek.doctor_id == doctor_id)
        .order_by(PracticeWeek.monday.desc(), PracticeWeek.bank.desc())
        .limit(limit)
    )
    return [
        PracticeWeekTotals(
            week.monday,
            PRACTICE_BANKS[week.bank],
            week.answered,
            week.answered_right,
        )
        for week in db.session.scalars(query)
    ]


def bank_totals(doctor_id: UUID) -> dict[str, tuple[int, int]]:
    """Bank name → how many answers the doctor ever gave in practice, and how many rightly (a question
    answered in two runs counts twice); banks without any are left out."""
    query = (
        select(
            PracticeWeek.bank,
            func.sum(PracticeWeek.answered),
            func.sum(PracticeWeek.answered_right),
        )
        .where(PracticeWeek.doctor_id == doctor_id)
        .group_by(PracticeWeek.bank)
    )
    totals = {
        code: (int(answered_count), int(right_count))
        for code, answered_count, right_count in db.session.execute(query)
    }
    return {name: totals[code] for code, name in PRACTICE_BANKS.items() if code in totals}
