"""The effects of a corrected answer key on sittings that were handed in: new scores, and the verdicts that
follow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from dingkao.assessments.models import FINAL_STATES, Assessment
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.exams import sitting_rescoring
from dingkao.exams.models.correction_models import KeyCorrection
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.sitting_rescoring import RescoredSitting
from dingkao.results.pass_lines import VerdictCalculator


@dataclass(frozen=True)
class CorrectionEffect:
    """The effect of corrections on one sitting. `uncorrected_score`: the score in tenths that it is compared
    with: the stored one, or for a correction not in force the one by those in force; `current_score`: the
    sitting scored with all of them. `verdict_before` and `verdict_after`: the verdict on 业务水平 with either
    score (None: no verdict yet)."""

    record: Assessment
    uncorrected_score: int | None
    current_score: RescoredSitting
    verdict_before: str | None
    verdict_after: str | None

    @property
    def is_published(self) -> bool:
        """Whether the record's result is public."""
        return self.record.state in FINAL_STATES

    @property
    def is_changed(self) -> bool:
        """Whether a question of the sitting still counts, and it gets another score."""
        return (
            self.current_score.new_score is not None
            and self.current_score.new_score != self.uncorrected_score
        )


def correction_effects(
    pairs: Sequence[tuple[UUID, UUID]],
    verdicts: VerdictCalculator,
    correction: KeyCorrection | None = None,
    *,
    for_update: bool = False,
) -> list[CorrectionEffect]:
    """Returns the effects on those sittings of a batch that were handed in, have questions and are not void,
    of the corrections in force, or as if `correction`, if given, were in force, too; by sitting id.

    `pairs`: (sitting id, record id), at most 5,000. With `for_update` records and then sittings are
    locked, so that a doctor who is just handing in with the old key is waited for. Of two sittings of an
    unpublished record the second one's verdicts follow from the first one's new score. Nothing is changed."""
    records, sittings = _load_batch(pairs, for_update=for_update)
    doctors = _doctors_of(records)
    scores = _scores_of(records)
    current_scores = _current_scores(sittings) if correction else {}
    effects = []
    for rescored in sitting_rescoring.rescore_sittings(sittings, correction):
        record = records[rescored.sitting.assessment_id]
        record_scores = scores[record.id]
        uncorrected = current_scores.get(rescored.sitting.id, rescored.sitting.score_tenths)
        effects.append(
            _effect_on_sitting(
                record,
                doctors[record.doctor_id],
                record_scores,
                uncorrected,
                rescored,
                verdicts,
            )
        )
        if rescored.new_score is not None and record.state not in FINAL_STATES:
            record_scores[rescored.sitting.id] = rescored.new_score
    return effects


def _effect_on_sitting(
    record: Assessment,
    doctor: Doctor,
    record_scores: dict[UUID, int | None],
    uncorrected: int | None,
    rescored: RescoredSitting,
    verdicts: VerdictCalculator,
) -> CorrectionEffect:
    """Returns the effect on one sitting with the verdicts before and after; `record_scores`: sitting id →
    score in tenths of all sittings of the record."""
    sitting = rescored.sitting
    verdict_before: str | None
    if record.state in (*FINAL_STATES, "grading", "confirming"):
        verdict_before = record.competence
    else:
        verdict_before = verdicts.verdict_of(record, doctor, record_scores)
    if uncorrected != sitting.score_tenths:
        with_uncorrected = record_scores | {sitting.id: uncorrected}
        verdict_before = verdicts.verdict_of(record, doctor, with_uncorrected) or verdict_before
    with_new_score = record_scores | {sitting.id: rescored.new_score}
    verdict_after = verdicts.verdict_of(record, doctor, with_new_score) or verdict_before
    return CorrectionEffect(record, uncorrected, rescored, verdict_before, verdict_after)


def _load_batch(
    pairs: Sequence[tuple[UUID, UUID]], *, for_update: bool
) -> tuple[dict[UUID, Assessment], Sequence[Sitting]]:
    """Returns the records by id and the sittings that are not void, both read again, and locked if
    `for_update`."""
    record_ids = {record_id for _, record_id in pairs}
    sitting_ids = [sitting_id for sitting_id, _ in pairs]
    records_query = select(Assessment).where(in_array(Assessment.id, record_ids)).order_by(Assessment.id)
    sittings_query = select(Sitting).where(in_array(Sitting.id, sitting_ids), Sitting.voided_at.is_(None))
    sittings_query = sittings_query.order_by(Sitting.id)
    if for_update:
        records_query, sittings_query = (
            records_query.with_for_update(),
            sittings_query.with_for_update(),
        )
    records = db.session.scalars(records_query.execution_options(populate_existing=True)).all()
    sittings = db.session.scalars(sittings_query.execution_options(populate_existing=True)).all()
    return {record.id: record for record in records}, sittings


def _doctors_of(
    records: Mapping[UUID, Assessment],
) -> dict[UUID, Doctor]:
    """The doctors of these records, by id."""
    doctor_ids = {record.doctor_id for record in records.values()}
    doctors = db.session.scalars(select(Doctor).where(in_array(Doctor.id, doctor_ids)))
    return {doctor.id: doctor for doctor in doctors}


def _scores_of(
    records: Mapping[UUID, Assessment],
) -> dict[UUID, dict[UUID, int | None]]:
    """Returns record id → sitting id → score in tenths (None: not scored yet), without void sittings; {} for
    a record without any."""
    scores: dict[UUID, dict[UUID, int | None]] = {record_id: {} for record_id in records}
    query = select(Sitting.assessment_id, Sitting.id, Sitting.score_tenths).where(
        in_array(Sitting.assessment_id, records),
        Sitting.voided_at.is_(None),
    )
    for record_id, sitting_id, tenths in db.session.execute(query):
        scores[record_id][sitting_id] = tenths
    return scores


def _current_scores(
    sittings: Sequence[Sitting],
) -> dict[UUID, int | None]:
    """Returns sitting id → score in tenths with the corrections in force (None: none of its questions
    counts), for those handed in. The stored score of a published result may differ, as long as a change by an
    earlier correction waits for a decision; a preview must show only the effect of its own correction."""
    return {
        rescored.sitting.id: rescored.new_score for rescored in sitting_rescoring.rescore_sittings(sittings)
    }
