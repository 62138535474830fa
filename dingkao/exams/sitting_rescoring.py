"""Which sittings drew a question, and what sittings score by the present keys or with a proposed
correction."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from uuid import UUID

from sqlalchemy import Text, cast, select

from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.exams.effective_keys import (
    EffectiveKey,
    any_item_counts,
    effective_keys,
    scored_item,
    versions_of_layout,
)
from dingkao.exams.models.correction_models import KeyCorrection
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import Sitting, SittingAnswer
from dingkao.exams.scoring import score_tenths

BATCH_SIZE, SCAN_SIZE = 100, 5_000
"""At most so many sittings are scanned in one call, and at most BATCH_SIZE returned."""


@dataclass(frozen=True)
class RescoredSitting:
    """A sitting that was handed in, and its score by other keys in tenths of a point; `new_score` is None if
    none of its questions counts any more."""

    sitting: Sitting
    new_score: int | None


def sittings_with_version(version_id: UUID, after: UUID) -> tuple[list[tuple[UUID, UUID]], UUID | None]:
    """Return the next sittings with ids above `after` that drew the version and are not voided (handed in or
    not), as (sitting id, record id), and the id to continue after. At most BATCH_SIZE are returned and
    SCAN_SIZE scanned, so a batch may be empty; the id is None if there are no sittings left."""
    scanned = select(Sitting.id).where(Sitting.id > after).order_by(Sitting.id).limit(SCAN_SIZE).subquery()
    last_scanned = db.session.scalar(select(scanned.c.id).order_by(scanned.c.id.desc()).limit(1))
    if last_scanned is None:
        return [], None
    query = select(Sitting.id, Sitting.assessment_id).where(
        Sitting.id > after,
        Sitting.id <= last_scanned,
        Sitting.voided_at.is_(None),
        cast(Sitting.layout, Text).contains(f'"{version_id} ', autoescape=True),
    )
    rows = db.session.execute(query.order_by(Sitting.id).limit(BATCH_SIZE))
    sittings = [(sitting_id, record_id) for sitting_id, record_id in rows]
    return sittings, sittings[-1][0] if len(sittings) == BATCH_SIZE else last_scanned


def rescore_sittings(
    sittings: Sequence[Sitting], instead: KeyCorrection | None = None
) -> list[RescoredSitting]:
    """What those of the sittings (at most 5,000) that are handed in and have questions (voided ones too)
    score by the present keys, in their order; with `instead`, as if that correction were in force. Writes
    nothing."""
    handed_in = [sitting for sitting in sittings if sitting.handed_in_at is not None and sitting.layout]
    versions = {sitting.id: versions_of_layout(sitting) for sitting in handed_in}
    keys = _keys_with_correction(chain.from_iterable(versions.values()), instead)
    points = _points_of_papers({sitting.paper_id for sitting in handed_in})
    answers = _load_answers(list(versions))
    return [
        _rescore(
            sitting,
            [keys[version] for version in versions[sitting.id]],
            points[sitting.paper_id],
            answers[sitting.id],
        )
        for sitting in handed_in
    ]


def _rescore(
    sitting: Sitting,
    keys: Iterable[EffectiveKey],
    points: dict[str, int],
    answers: Mapping[int, str],
) -> RescoredSitting:
    """Score one sitting. `keys`: how its questions are scored, in its order; `points`: type → tenths of a
    point; `answers`: position → letters."""
    items = [scored_item(key, points) for key in keys]
    new_score = score_tenths(items, answers, sitting.x_rule) if any_item_counts(items) else None
    return RescoredSitting(sitting, new_score)


def _keys_with_correction(
    version_ids: Iterable[UUID], correction: KeyCorrection | None
) -> dict[UUID, EffectiveKey]:
    """Version id → how it is scored; `correction`, if given, replaces the one in force."""
    keys = effective_keys(set(version_ids))
    if correction is not None and correction.version_id in keys:
        keys[correction.version_id] = keys[correction.version_id]._replace(
            keys=tuple(correction.keys),
            treatment=correction.treatment,
        )
    return keys


def _points_of_papers(
    paper_ids: Iterable[UUID],
) -> dict[UUID, dict[str, int]]:
    """Paper id → its points by type."""
    query = select(Paper.id, Paper.points).where(in_array(Paper.id, paper_ids))
    return dict(db.session.execute(query).all())


def _load_answers(
    sitting_ids: Sequence[UUID],
) -> dict[UUID, dict[int, str]]:
    """Sitting id → position → letters; an empty dict for sittings without answers."""
    query = select(
        SittingAnswer.sitting_id,
        SittingAnswer.position,
        SittingAnswer.letters,
    ).where(in_array(SittingAnswer.sitting_id, sitting_ids))
    answers: dict[UUID, dict[int, str]] = defaultdict(dict)
    for sitting_id, position, letters in db.session.execute(query):
        answers[sitting_id][position] = letters
    return answers
