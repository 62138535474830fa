"""Which questions a practice run brings next, and how many: those never seen first, then those seen longest
ago."""

import random
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, select

from dingkao.database.base import db
from dingkao.practice.models import PractisedQuestion
from dingkao.practice.practice_queries import (
    AnySelect,
    join_history,
    practice_conditions,
)
from dingkao.question_banks.models import Question

RUN_LENGTH = 50
_NEVER = datetime.min.replace(tzinfo=UTC)


class PracticeCandidate(NamedTuple):
    """A question that may be practised: the id of its current version, and when the doctor answered it last
    (None: never)."""

    version: UUID
    seen_at: datetime | None


def draw_next_questions(units: Mapping[UUID, Sequence[PracticeCandidate]]) -> list[UUID]:
    """The version ids of a new run of at most RUN_LENGTH questions over `units` (from `candidate_units`)."""
    rng = random.Random(secrets.randbits(62))  # noqa: S311 - the order of practice, no secret
    return choose_next_questions([units[key] for key in sorted(units)], rng)


def choose_next_questions(
    units: Iterable[Sequence[PracticeCandidate]],
    rng: random.Random,
    length: int = RUN_LENGTH,
) -> list[UUID]:
    """Choose up to `length` version ids; questions that share a case or options (a unit) stay together. First
    come those never seen, in a random order, then those seen longest ago. A unit is as old as its question
    seen least recently; one that doesn't fit any more is left to the next run."""
    order = list(units)
    rng.shuffle(order)
    order.sort(key=_least_recently_seen)
    chosen: list[UUID] = []
    for unit in order:
        if len(chosen) + len(unit) <= length:
            chosen += [candidate.version for candidate in unit]
    return chosen


def _least_recently_seen(
    unit: Sequence[PracticeCandidate],
) -> datetime:
    """When the question of a unit seen least recently was seen; _NEVER comes first."""
    return min(candidate.seen_at or _NEVER for candidate in unit)


def candidate_units(
    doctor_id: UUID, conditions: Iterable[ColumnElement[bool]]
) -> dict[UUID, list[PracticeCandidate]]:
    """Group id (or question id, for a question without a group) → its questions in the group's order, for the
    questions of the practice share that fulfil `conditions`."""
    columns = (
        Question.group_id,
        Question.id,
        Question.current_version,
        PractisedQuestion.seen_at,
    )
    query: AnySelect = select(*columns).select_from(Question)
    query = (
        join_history(query, doctor_id)
        .where(*practice_conditions(), *conditions)
        .order_by(Question.group_position, Question.id)
    )
    units: dict[UUID, list[PracticeCandidate]] = {}
    for group_id, question_id, version, seen_at in db.session.execute(query):
        units.setdefault(group_id or question_id, []).append(PracticeCandidate(version, seen_at))
    return units
