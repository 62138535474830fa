"""Changes of published results by a corrected answer key: the province decides on each, and they are listed
(domain.md §11 nos. 18, 24, 33)."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select

from dingkao import clock
from dingkao.assessments import assessment_transitions
from dingkao.assessments.doctor_notices import notify
from dingkao.assessments.models import FINAL_STATES, Assessment
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.database.pagination import Page, fetch_page
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidInput, InvalidState, Refusal
from dingkao.exams import key_corrections
from dingkao.exams.models.correction_models import (
    SCORE_CHANGE_STATES,
    KeyCorrection,
    ScoreChange,
)
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import Sitting
from dingkao.jobs import enqueueing
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.notice_catalogue import (
    RESULT_CHANGED_TO_PASSED,
    SCORE_CORRECTED,
    VERDICT_CORRECTED,
)
from dingkao.people.second_person import require_second_person
from dingkao.results.pass_lines import VerdictCalculator

CERTIFICATE_JOB = "issue_one"
CHANGES_PAGE_SIZE = 100


WOULD_FAIL_MESSAGE = (
    "按更正后的成绩，原为合格的将变为不合格。已发布的合格结果不因更正答案改为不合格，请选择“维持原结果”。"
)


def decide_changes(
    correction: KeyCorrection,
    sittings: Iterable[UUID],
    *,
    adopt: bool,
    reason: str,
    by: Actor,
) -> tuple[int, list[str]]:
    """Decide on the waiting changes of `sittings`; others are ignored. `adopt` the new scores (采用新成绩),
    by which 业务水平 becomes 合格 if the line is reached now (and the result, with a new certificate, if the
    other verdicts are), or keep the published ones (维持原结果). `sittings`: their ids, at most 5,000;
    `reason` is stored stripped. Locks record, sitting and change of each, writes journal entries; notifies
    the doctors of adopted scores. Returns how many were decided, and the sentences why others were not.
    Raises InvalidInput without a reason, Forbidden for the person who proposed the correction, or one who
    doesn't count as a second person."""
    require_second_person(
        by,
        correction.proposed_by,
        same="提出更正的人不能决定已发布的结果，请由另一位省级管理员决定。",
    )
    if not 0 < len(reason.strip()) <= key_corrections.MAX_REASON_LENGTH:
        raise InvalidInput(
            f"请填写决定的理由，不超过{key_corrections.MAX_REASON_LENGTH}字。",
            "reason",
        )
    query = select(ScoreChange.assessment_id, ScoreChange.sitting_id).where(
        ScoreChange.correction_id == correction.id,
        in_array(ScoreChange.sitting_id, sittings),
    )
    query = query.order_by(ScoreChange.assessment_id, ScoreChange.sitting_id)
    decided_count = 0
    refusals = set[str]()
    verdicts = VerdictCalculator()
    for record_id, sitting_id in db.session.execute(query).all():
        record = db.session.scalars(_for_update_query(Assessment, record_id)).one()
        sitting = db.session.scalars(_for_update_query(Sitting, sitting_id)).one()
        change = _get_change_for_update(correction, sitting_id)
        if change.state != "waiting":
            continue
        try:
            if adopt:
                _adopt_new_score(change, record, sitting, verdicts, by)
        except Refusal as refusal:
            refusals.add(refusal.message)
        else:
            _write_decision(change, adopt=adopt, reason=reason.strip(), by=by)
            decided_count += 1
    return decided_count, sorted(refusals)


def _get_change_for_update(correction: KeyCorrection, sitting_id: UUID) -> ScoreChange:
    """Returns the change of a sitting by a correction, locked."""
    query = select(ScoreChange).where(
        ScoreChange.correction_id == correction.id,
        ScoreChange.sitting_id == sitting_id,
    )
    return db.session.scalars(query.with_for_update().execution_options(populate_existing=True)).one()


def _write_decision(change: ScoreChange, *, adopt: bool, reason: str, by: Actor) -> None:
    """Store and journal the decision on a change (locked); `reason` is stored as it is."""
    (
        change.state,
        change.reason,
        change.decided_by,
        change.changed_at,
    ) = (
        "applied" if adopt else "kept",
        reason,
        by.id,
        clock.now(),
    )
    db.session.flush()
    journal.write_entry(
        "sitting",
        change.sitting_id,
        "score_adopted" if adopt else "score_kept",
        by=by,
        reason=reason,
        correction=str(change.correction_id),
        before_tenths=change.before_tenths,
        after_tenths=change.after_tenths,
    )


def _for_update_query(model: Any, identity: UUID) -> Any:
    """Returns the query that gives a row by id, locks it and reads it anew."""
    return (
        select(model).where(model.id == identity).with_for_update().execution_options(populate_existing=True)
    )


def _adopt_new_score(
    change: ScoreChange,
    record: Assessment,
    sitting: Sitting,
    verdicts: VerdictCalculator,
    by: Actor,
) -> None:
    """Make the new score of a published result count (change, record and sitting are locked), and notify the
    doctor. Raises InvalidState if score or state have changed, or 合格 would become 不合格."""
    _require_unmoved(change, record, sitting)
    doctor = db.session.get_one(Doctor, (record.tenant_id, record.doctor_id))
    scores = _scores_of(record) | {sitting.id: change.after_tenths}
    verdict = verdicts.verdict_of(record, doctor, scores)
    if (record.competence, verdict) == ("pass", "fail"):
        raise InvalidState(WOULD_FAIL_MESSAGE)
    sitting.score_tenths = change.after_tenths
    if (record.competence, verdict) == ("fail", "pass"):
        _correct_competence(record, by=by)
    else:
        notify(record, SCORE_CORRECTED)


def _require_unmoved(change: ScoreChange, record: Assessment, sitting: Sitting) -> None:
    """Raises InvalidState if the sitting's score or the record's state has changed since the change was
    found."""
    has_same_score = sitting.voided_at is None and sitting.score_tenths == change.before_tenths
    if not has_same_score or record.state not in FINAL_STATES:
        raise InvalidState("该作答的成绩或医师的状态已有其他变化，不能采用。请选择“维持原结果”。")


def _scores_of(record: Assessment) -> dict[UUID, int | None]:
    """Returns the scores of a record's sittings without void ones: sitting id → tenths of a point (None: not
    scored yet)."""
    query = select(Sitting.id, Sitting.score_tenths).where(
        Sitting.assessment_id == record.id,
        Sitting.voided_at.is_(None),
    )
    return dict(db.session.execute(query).all())


def _correct_competence(record: Assessment, *, by: Actor) -> None:
    """Change 业务水平 to 合格, and the result with it (and enqueue its certificate) if the two other verdicts
    are 合格; notify the doctor."""
    if record.performance == record.ethics == "pass":
        assessment_transitions.change_to_passed(record, by=by, verdicts={"competence": "pass"})
        enqueueing.enqueue(
            CERTIFICATE_JOB,
            "签发结果通知书",
            {"record": str(record.id)},
            by=by.id,
        )
        notify(record, RESULT_CHANGED_TO_PASSED)
    else:
        assessment_transitions.amend_verdict(record, by=by, verdicts={"competence": "pass"})
        notify(record, VERDICT_CORRECTED)


ScoreChangeRow = tuple[ScoreChange, Doctor, str, str]
"""A change of a score, its doctor, the title of its paper, and the record's state."""


def changes_of_sittings(correction: KeyCorrection, sittings: Sequence[UUID]) -> list[ScoreChangeRow]:
    """Returns the changes by a correction, in whatever state, of the `sittings` of a page (their ids, at most
    5,000), by sitting."""
    return [
        (change[0], change[1], change[2], change[3])
        for change in db.session.execute(
            changes_query(correction.id)
            .where(in_array(ScoreChange.sitting_id, sittings))
            .order_by(ScoreChange.sitting_id)
        )
    ]


def changes_query(
    correction_id: UUID,
) -> Select[ScoreChange, Doctor, str, str]:
    """Returns the query of a correction's changes, in whatever state, as ScoreChangeRow, in no order."""
    return (
        select(ScoreChange, Doctor, Paper.title, Assessment.state)
        .join(
            Sitting,
            (Sitting.tenant_id == ScoreChange.tenant_id) & (Sitting.id == ScoreChange.sitting_id),
        )
        .join(
            Paper,
            (Paper.tenant_id == Sitting.tenant_id) & (Paper.id == Sitting.paper_id),
        )
        .join(
            Assessment,
            (Assessment.tenant_id == ScoreChange.tenant_id) & (Assessment.id == ScoreChange.assessment_id),
        )
        .join(
            Doctor,
            (Doctor.tenant_id == Assessment.tenant_id) & (Doctor.id == Assessment.doctor_id),
        )
        .where(ScoreChange.correction_id == correction_id)
    )


def counts_of(
    rows: Iterable[KeyCorrection],
) -> dict[UUID, Counter[str]]:
    """Returns for at most 5,000 corrections: correction id → state of a change → number of changes, for
    corrections without changes an empty Counter."""
    counts_by_correction: dict[UUID, Counter[str]] = {correction.id: Counter() for correction in rows}
    query = select(ScoreChange.correction_id, ScoreChange.state, func.count()).where(
        in_array(ScoreChange.correction_id, counts_by_correction)
    )
    for correction, state, number in db.session.execute(
        query.group_by(ScoreChange.correction_id, ScoreChange.state)
    ):
        counts_by_correction[correction][state] = number
    return counts_by_correction


def undecided_changes_query() -> Select[Any]:
    """Returns the query of the changes of published results that wait for a decision, joined with their
    corrections."""
    same_correction = (ScoreChange.tenant_id == KeyCorrection.tenant_id) & (
        ScoreChange.correction_id == KeyCorrection.id
    )
    return select(ScoreChange).join(KeyCorrection, same_correction).where(ScoreChange.state == "waiting")


def changes_page(correction: KeyCorrection, state: str, cursor: str | None) -> Page[ScoreChange]:
    """Returns a page of a correction's changes, by sitting: only those in `state`, if that is a state of
    changes."""
    query = select(ScoreChange).where(ScoreChange.correction_id == correction.id)
    if state in SCORE_CHANGE_STATES:
        query = query.where(ScoreChange.state == state)
    return fetch_page(query, [ScoreChange.sitting_id], cursor, CHANGES_PAGE_SIZE)
