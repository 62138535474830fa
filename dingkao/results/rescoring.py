"""Applying a corrected answer key to results. Before publication the new score counts and the pass line is
applied again; a published result waits for the province's decision, and none is made worse (domain.md §11
nos. 18, 24, 33)."""

from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select

from dingkao import clock
from dingkao.assessments import assessment_transitions
from dingkao.database.base import db
from dingkao.errors import InvalidState, NotFound
from dingkao.exams import sitting_rescoring
from dingkao.exams.models.correction_models import (
    KeyCorrection,
    ScoreChange,
)
from dingkao.exams.models.sitting_models import Sitting
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor, RetryLater
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import SYSTEM_ACTOR, Actor
from dingkao.results import publication_lists
from dingkao.results.correction_effects import (
    CorrectionEffect,
    correction_effects,
)
from dingkao.results.pass_lines import VerdictCalculator
from dingkao.results.score_changes import counts_of

FIRST_ID = UUID(int=0)
COUNT_NAMES = (
    "sittings",
    "open",
    "changed",
    "up",
    "down",
    "verdicts",
    "published",
    "published_verdicts",
    "empty",
)
PREVIEW_JOB, REMARK_JOB = "preview_correction", "remark"


def enqueue_preview(correction: KeyCorrection, *, by: Actor) -> Job:
    """Enqueue the counting of what a proposed correction would change. The counts are stored as
    `correction.preview`, without which it can't be approved."""
    return enqueueing.enqueue(
        PREVIEW_JOB,
        "更正答案：计算影响范围",
        {"correction": str(correction.id)},
        by=by.id,
        subject=correction.id,
    )


@worker.register_chunked_job(PREVIEW_JOB)
def preview_batch(job: Job, cursor: Cursor) -> Chunk:
    """Count what the correction would change among the next sittings. Nothing else is changed; after the last
    sitting the counts are stored with the correction. Raises NotFound."""
    correction = _get_correction(job)
    batch, last_id = sitting_rescoring.sittings_with_version(
        correction.version_id,
        UUID(cursor.get("after", str(FIRST_ID))),
    )
    counts = Counter(cursor.get("counted") or dict.fromkeys(COUNT_NAMES, 0))
    effects = correction_effects(batch, VerdictCalculator(), correction)
    counts["sittings"] += len(effects)
    counts["open"] += len(batch) - len(effects)
    for effect in effects:
        counts.update(_change_kinds(effect))
    if last_id is None:
        correction.preview = dict(counts)
    result = {
        "sittings": counts["sittings"],
        "remarked": counts["changed"],
        "correction": str(correction.id),
    }
    return Chunk(
        {"after": str(last_id), "counted": dict(counts)} if last_id else None,
        done=len(batch),
        result=result,
    )


def _change_kinds(effect: CorrectionEffect) -> list[str]:
    """Returns the names of the counts (COUNT_NAMES) to which a sitting adds one."""
    if effect.current_score.new_score is None:
        return ["empty"]
    if not effect.is_changed:
        return []
    is_better = effect.current_score.new_score > (effect.uncorrected_score or 0)
    kinds = ["changed", "up" if is_better else "down"]
    if effect.is_published:
        kinds.append("published")
    if effect.verdict_before != effect.verdict_after:
        kinds.append("published_verdicts" if effect.is_published else "verdicts")
    return kinds


def enqueue_remarking(correction: KeyCorrection, *, by: Actor) -> Job:
    """Enqueue the rescoring of all sittings that drew the question's version; the correction must be
    approved. Asked again, it goes over them all again, which changes nothing twice."""
    return enqueueing.enqueue(
        REMARK_JOB,
        "更正答案：重新判分",
        {"correction": str(correction.id)},
        by=by.id,
        subject=correction.id,
    )


@worker.register_chunked_job(REMARK_JOB)
def remark_batch(job: Job, cursor: Cursor) -> Chunk:
    """Lock and rescore the next sittings that drew the version, and their records. Idempotent. Raises
    RetryLater while a list is being published, because its records must not change; afterwards they are
    published results. Raises InvalidState if the correction is not approved, NotFound. One that another
    correction has replaced rescores nothing."""
    correction = _get_correction(job)
    if correction.approved_at is None:
        raise InvalidState("该更正尚未确认。")
    batch, last_id = _next_sittings(correction, UUID(cursor.get("after", str(FIRST_ID))))
    effects = correction_effects(batch, VerdictCalculator(), for_update=True)
    _require_no_publishing(effects)
    for effect in effects:
        _apply_effect(correction, effect)
    result: dict[str, Any] = {"correction": str(correction.id)}
    if not last_id:
        earlier_count = (job.result or {}).get("sittings", 0)
        result |= _finish_remarking(correction, earlier_count + len(batch))
    return Chunk(
        {"after": str(last_id)} if last_id else None,
        done=len(batch),
        counts={"sittings": len(batch)},
        result=result,
    )


def _next_sittings(correction: KeyCorrection, after: UUID) -> tuple[Sequence[tuple[UUID, UUID]], UUID | None]:
    """Returns the next (sitting id, record id) that drew the version, and the last id looked at (None at the
    end); none if another correction has replaced this one."""
    if correction.superseded_at is not None:
        return [], None
    return sitting_rescoring.sittings_with_version(correction.version_id, after)


def _finish_remarking(correction: KeyCorrection, sitting_count: int) -> dict[str, int]:
    """Store and journal, the first time only, the end of the rescoring of `sitting_count` sittings. Returns
    how many changes were applied and how many wait for a decision."""
    changes = counts_of([correction])[correction.id]
    if correction.remarked_at is None:
        correction.remarked_at = clock.now()
        journal.write_entry(
            "key_correction",
            correction.id,
            "remarked",
            by=SYSTEM_ACTOR,
            sittings=sitting_count,
            changed=changes["applied"],
            waiting=changes["waiting"],
        )
    return {
        "remarked": changes["applied"],
        "waiting": changes["waiting"],
    }


def _require_no_publishing(
    effects: Sequence[CorrectionEffect],
) -> None:
    """Raises RetryLater while a list of the cycle of a record that is 待发布 is being published; locks these
    cycles for share."""
    cycle_ids = {effect.record.cycle_id for effect in effects if effect.record.state == "confirming"}
    if any(map(publication_lists.is_frozen, cycle_ids)):
        raise RetryLater("考核结果正在发布，发布完成后自动继续。")


def _apply_effect(correction: KeyCorrection, effect: CorrectionEffect) -> None:
    """Apply the new score of one sitting (it and its record are locked), or let the change wait for a
    decision if its result is published.

    A waiting change to another score is superseded. Nothing happens if the same change waits already, or
    was decided against before."""
    sitting = effect.current_score.sitting
    new_score = effect.current_score.new_score
    old_score = sitting.score_tenths
    if _supersede_unless_same(sitting, old_score, new_score):
        return
    if not effect.is_changed or new_score is None or old_score is None:
        db.session.flush()
        return
    change = db.session.get(ScoreChange, (sitting.tenant_id, correction.id, sitting.id))
    if change is not None and (change.state, change.after_tenths) == (
        "kept",
        new_score,
    ):
        return
    if change is None:
        change = _add_change(correction, effect, old_score)
    change.after_tenths, change.verdict_after = (
        new_score,
        effect.verdict_after,
    )
    change.changed_at = clock.now()
    if effect.is_published:
        _let_wait(change, effect, old_score)
    else:
        change.state = "applied"
        _apply_new_score(correction, effect, new_score)


def _add_change(
    correction: KeyCorrection,
    effect: CorrectionEffect,
    old_score: int,
) -> ScoreChange:
    """Create the change of a sitting's score by a correction; the caller sets its new score and state."""
    change = ScoreChange(
        correction_id=correction.id,
        sitting_id=effect.current_score.sitting.id,
        assessment_id=effect.record.id,
        before_tenths=old_score,
        verdict_before=effect.verdict_before,
    )
    db.session.add(change)
    return change


def _let_wait(change: ScoreChange, effect: CorrectionEffect, old_score: int) -> None:
    """Let a change of the score `old_score` (tenths) wait for the province's decision; an earlier decision on
    it is removed."""
    change.state, change.reason, change.decided_by = (
        "waiting",
        None,
        None,
    )
    change.before_tenths, change.verdict_before = (
        old_score,
        effect.verdict_before,
    )
    db.session.flush()


def _supersede_unless_same(sitting: Sitting, old_score: int | None, new_score: int | None) -> bool:
    """Lock the waiting changes of a sitting, by whatever correction. If one from `old_score` to `new_score`
    (tenths) is among them, return True; else let all be superseded and return False."""
    query = select(ScoreChange).where(
        ScoreChange.sitting_id == sitting.id,
        ScoreChange.state == "waiting",
    )
    waiting_changes = db.session.scalars(query.with_for_update()).all()
    if (old_score, new_score) in {(change.before_tenths, change.after_tenths) for change in waiting_changes}:
        return True
    for change in waiting_changes:
        change.state, change.changed_at = "superseded", clock.now()
    return False


def _apply_new_score(
    correction: KeyCorrection,
    effect: CorrectionEffect,
    new_score: int,
) -> None:
    """Store the new score of a sitting whose result is not published, with a journal entry. If its record has
    a verdict already (grading, confirming) and that changes, apply the pass line again: it is in grading
    then, its 综合评定 has to be made anew, and a list that waits for approval with it can't be approved any
    more. The caller has asked `_require_no_publishing`."""
    sitting, record = effect.current_score.sitting, effect.record
    old_score, sitting.score_tenths = sitting.score_tenths, new_score
    db.session.flush()
    journal.write_entry(
        "sitting",
        sitting.id,
        "remarked",
        by=SYSTEM_ACTOR,
        correction=str(correction.id),
        before_tenths=old_score,
        after_tenths=new_score,
    )
    verdict = effect.verdict_after
    has_line_applied = record.state in ("grading", "confirming")
    if has_line_applied and verdict is not None and verdict != record.competence:
        assessment_transitions.reapply_pass_line(record, by=SYSTEM_ACTOR, competence=verdict)
        publication_lists.mark_list_changed(record)


def latest_job_of(correction: KeyCorrection) -> Job | None:
    """Returns the latest job, preview or rescoring, about a correction, in whatever state, or None."""
    return enqueueing.latest_job_about(correction.id, PREVIEW_JOB, REMARK_JOB)


def _get_correction(job: Job) -> KeyCorrection:
    """Returns the correction of a job. Raises NotFound."""
    correction = db.session.scalar(
        select(KeyCorrection).where(KeyCorrection.id == UUID(job.arguments["correction"]))
    )
    if correction is None:
        raise NotFound
    return correction
