"""What a corrected key does to results: before publication the new score stands and the pass line is applied anew; a published result waits
for the province, and nobody's is made worse (domain.md §11 nos. 18, 24, 33)."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from dingkao import clock
from dingkao.assessments import moves
from dingkao.assessments.models import FINAL, Assessment
from dingkao.assessments.notices import tell
from dingkao.cycles.models import Cycle
from dingkao.database.model import db
from dingkao.doctors.models import Doctor
from dingkao.errors import Forbidden, Invalid, NotAllowed, NotFound, Refusal
from dingkao.exams import remarking
from dingkao.exams.models import KeyCorrection, Paper, ScoreChange, Sitting
from dingkao.exams.papers import wanted_subjects
from dingkao.exams.remarking import Rescored
from dingkao.jobs import asking, performing
from dingkao.jobs.models import Job
from dingkao.journal import writing as journal
from dingkao.journal.writing import SYSTEM, Actor
from dingkao.results import lines

PREVIEW, REMARK = "preview_correction", "remark"
CERTIFICATE = "issue_one"
WORSE = "按更正后的成绩,原为合格的将变为不合格。已发布的合格结果不因更正答案改为不合格,请选择“维持原结果”。"


@dataclass
class _Verdicts:
    """What the lines make of scores, with the lines of each cycle asked for once."""

    standing: dict[UUID, dict[tuple[str, str], Any]] = field(default_factory=dict)

    def of(self, record: Assessment, doctor: Doctor, scores: dict[UUID, int | None]) -> str | None:
        """The verdict that the approved line makes of a record's scores by sitting; None without a line, or where a paper was never sat."""
        if record.cycle_id not in self.standing:
            cycle = db.session.get_one(Cycle, (record.tenant_id, record.cycle_id))
            self.standing[record.cycle_id] = lines.standing(cycle)
        line = self.standing[record.cycle_id].get((doctor.category, doctor.level))
        if line is None or line.approved_at is None or len(scores) < wanted_subjects(record):
            return None
        return "pass" if lines.reaches(scores.values(), line.line_tenths) else "fail"


@dataclass(frozen=True)
class _Effect:
    """What a correction does to one sitting that was handed in."""

    record: Assessment
    found: Rescored
    before: str | None
    after: str | None

    @property
    def published(self) -> bool:
        return self.record.state in FINAL

    @property
    def changes(self) -> bool:
        return self.found.after is not None and self.found.after != self.found.sitting.score_tenths


def _effects(pairs: Sequence[tuple[UUID, UUID]], verdicts: _Verdicts, instead: KeyCorrection | None = None, *, lock: bool = False) -> list[_Effect]:
    """What the sittings of one batch, given with their records, score now (or with `instead`). Locked: the records first, as everywhere, so
    that whoever is just handing in by the old key is waited for."""
    of_records = select(Assessment).where(Assessment.id.in_({record for _, record in pairs})).order_by(Assessment.id)
    of_sittings = select(Sitting).where(Sitting.id.in_([sitting for sitting, _ in pairs]), Sitting.voided_at.is_(None)).order_by(Sitting.id)
    if lock:
        of_records, of_sittings = of_records.with_for_update(), of_sittings.with_for_update()
    records = {row.id: row for row in db.session.scalars(of_records.execution_options(populate_existing=True))}
    sittings = db.session.scalars(of_sittings.execution_options(populate_existing=True)).all()
    doctors = {row.id: row for row in db.session.scalars(select(Doctor).where(Doctor.id.in_({record.doctor_id for record in records.values()})))}
    scores: dict[UUID, dict[UUID, int | None]] = {one: {} for one in records}
    theirs = select(Sitting.assessment_id, Sitting.id, Sitting.score_tenths).where(Sitting.assessment_id.in_(records), Sitting.voided_at.is_(None))
    for record_id, sitting_id, tenths in db.session.execute(theirs):
        scores[record_id][sitting_id] = tenths
    effects = []
    for found in remarking.rescored(sittings, instead):
        record = records[found.sitting.assessment_id]
        doctor, mine = doctors[record.doctor_id], scores[record.id]
        before = record.competence if record.state in (*FINAL, "grading", "confirming") else verdicts.of(record, doctor, mine)
        after = verdicts.of(record, doctor, mine | {found.sitting.id: found.after}) or before
        effects.append(_Effect(record, found, before, after))
        if found.after is not None and record.state not in FINAL:
            mine[found.sitting.id] = found.after
    return effects


def ask_preview(row: KeyCorrection, *, by: Actor) -> Job:
    """Ask for what a proposed correction would change."""
    return asking.ask(PREVIEW, "更正答案:计算影响范围", {"correction": str(row.id)}, by=by.id)


@performing.job(PREVIEW)
def preview(job: Job, progress: performing.Progress) -> dict[str, Any] | None:
    """Count what the correction would change; nothing is changed but the count."""
    row = _correction(job)
    counted: Counter[str] = Counter(sittings=0, open=0, changed=0, up=0, down=0, verdicts=0, published=0, published_verdicts=0, empty=0)
    verdicts, seen = _Verdicts(), 0
    for batch in remarking.drawn_by(row.version_id):
        effects = _effects(batch, verdicts, row)
        counted["sittings"] += len(effects)
        counted["open"] += len(batch) - len(effects)
        for one in effects:
            counted["empty"] += one.found.after is None
            if one.changes:
                counted.update(_kinds_of(one))
        seen += len(batch)
        progress(seen, None)
    row.preview = dict(counted)
    return {"sittings": counted["sittings"], "remarked": counted["changed"], "correction": str(row.id)}


def _kinds_of(one: _Effect) -> list[str]:
    after, before = one.found.after or 0, one.found.sitting.score_tenths or 0
    verdict = one.before != one.after
    names = ["changed", "up" if after > before else "down"]
    names += ["published"] if one.published else []
    return names + (["published_verdicts" if one.published else "verdicts"] if verdict else [])


def ask_remarking(row: KeyCorrection, *, by: Actor) -> Job:
    """Ask for everything that drew the version to be marked again."""
    return asking.ask(REMARK, "更正答案:重新判分", {"correction": str(row.id)}, by=by.id)


@performing.job(REMARK)
def remark(job: Job, progress: performing.Progress) -> dict[str, Any]:
    """Mark again what drew the version, a batch a transaction. What was marked before comes out the same, so it may run again."""
    row = _correction(job)
    if row.approved_at is None:
        raise NotAllowed("该更正尚未确认。")
    verdicts, seen = _Verdicts(), 0
    for batch in remarking.drawn_by(row.version_id) if row.superseded_at is None else ():
        for one in _effects(batch, verdicts, lock=True):
            _revise(row, one)
        seen += len(batch)
        db.session.commit()
        progress(seen, None)
    states = Counter(db.session.scalars(select(ScoreChange.state).where(ScoreChange.correction_id == row.id)))
    if row.remarked_at is None:
        row.remarked_at = clock.now()
        journal.write("key_correction", row.id, "remarked", by=SYSTEM, sittings=seen, changed=states["applied"], waiting=states["waiting"])
    return {"sittings": seen, "remarked": states["applied"], "waiting": states["waiting"], "correction": str(row.id)}


def _revise(row: KeyCorrection, one: _Effect) -> None:
    """One sitting: its new score stands, or waits where the result was published. What waited before with another score is out of date; what
    says the same already, or was decided so, is left."""
    sitting, before, after = one.found.sitting, one.found.sitting.score_tenths, one.found.after
    waiting = db.session.scalars(select(ScoreChange).where(ScoreChange.sitting_id == sitting.id, ScoreChange.state == "waiting").with_for_update()).all()
    if any((other.before_tenths, other.after_tenths) == (before, after) for other in waiting):
        return
    for other in waiting:
        other.state, other.changed_at = "superseded", clock.now()
    if not one.changes or after is None or before is None:
        db.session.flush()
        return
    known = db.session.get(ScoreChange, (sitting.tenant_id, row.id, sitting.id))
    if known is not None and known.state == "kept" and known.after_tenths == after:
        return
    if known is None:
        known = ScoreChange(correction_id=row.id, sitting_id=sitting.id, assessment_id=one.record.id, before_tenths=before, verdict_before=one.before)
        db.session.add(known)
    known.after_tenths, known.verdict_after, known.changed_at = after, one.after, clock.now()
    known.state = "waiting" if one.published else "applied"
    if one.published:
        known.before_tenths, known.verdict_before, known.reason, known.decided_by = before, one.before, None, None
        db.session.flush()
        return
    sitting.score_tenths = after
    db.session.flush()
    journal.write("sitting", sitting.id, "remarked", by=SYSTEM, correction=str(row.id), before_tenths=before, after_tenths=after)
    if one.record.state in ("grading", "confirming") and one.after is not None and one.after != one.record.competence:
        moves.regrade(one.record, by=SYSTEM, competence=one.after)


# --- what was published


def decide(row: KeyCorrection, sittings: Iterable[UUID], *, adopt: bool, reason: str, by: Actor) -> tuple[int, list[str]]:
    """Of published results: let the new score stand (采用新成绩), and with it 业务水平 becomes 合格 where it now reaches the line; or keep all as
    published (维持原结果). By another person than proposed the correction. How many, and why others not. Raises Invalid, Forbidden."""
    if by.id == row.proposed_by:
        raise Forbidden("提出更正的人不能决定已发布的结果,请由另一位省级管理员决定。")
    if not 0 < len(reason.strip()) <= remarking.LONGEST_REASON:
        raise Invalid(f"请填写决定的理由,不超过{remarking.LONGEST_REASON}字。", "reason")
    done, reasons, verdicts = 0, [], _Verdicts()
    wanted = select(ScoreChange.assessment_id, ScoreChange.sitting_id).where(ScoreChange.correction_id == row.id, ScoreChange.sitting_id.in_(list(sittings)))
    for record_id, sitting_id in db.session.execute(wanted.order_by(ScoreChange.assessment_id, ScoreChange.sitting_id)).all():
        record = db.session.scalars(_fresh(Assessment, record_id)).one()
        sitting = db.session.scalars(_fresh(Sitting, sitting_id)).one()
        query = select(ScoreChange).where(ScoreChange.correction_id == row.id, ScoreChange.sitting_id == sitting_id)
        change = db.session.scalars(query.with_for_update().execution_options(populate_existing=True)).one()
        if change.state != "waiting":
            continue
        try:
            if adopt:
                _adopt(change, record, sitting, verdicts, by)
        except Refusal as refusal:
            reasons.append(refusal.sentence)
            continue
        change.state, change.reason, change.decided_by, change.changed_at = "applied" if adopt else "kept", reason.strip(), by.id, clock.now()
        db.session.flush()
        journal.write(
            "sitting", sitting.id, "score_adopted" if adopt else "score_kept", by=by, reason=reason.strip(), correction=str(row.id),
            before_tenths=change.before_tenths, after_tenths=change.after_tenths,
        )  # fmt: skip
        done += 1
    return done, sorted(set(reasons))


def _fresh(model: Any, identity: UUID) -> Any:
    return select(model).where(model.id == identity).with_for_update().execution_options(populate_existing=True)


def _adopt(change: ScoreChange, record: Assessment, sitting: Sitting, verdicts: _Verdicts, by: Actor) -> None:
    if sitting.voided_at is not None or sitting.score_tenths != change.before_tenths or record.state not in FINAL:
        raise NotAllowed("该作答的成绩或医师的状态已有其他变化,不能采用。请选择“维持原结果”。")
    doctor = db.session.get_one(Doctor, (record.tenant_id, record.doctor_id))
    rows = db.session.execute(select(Sitting.id, Sitting.score_tenths).where(Sitting.assessment_id == record.id, Sitting.voided_at.is_(None)))
    scores: dict[UUID, int | None] = {row[0]: row[1] for row in rows}
    verdict = verdicts.of(record, doctor, scores | {sitting.id: change.after_tenths})
    if record.competence == "pass" and verdict == "fail":
        raise NotAllowed(WORSE)
    sitting.score_tenths = change.after_tenths
    if record.competence == "fail" and verdict == "pass":
        if record.performance == record.ethics == "pass":
            moves.overturn(record, by=by, verdicts={"competence": "pass"})
            asking.ask(CERTIFICATE, "签发结果通知书", {"record": str(record.id)}, by=by.id)
            tell(record, "考核结果已更正为合格", "因试题答案更正重新判分,您的业务水平评定改为合格,考核结果改为合格。结果通知书生成后可在“考核结果”中查看。")
        else:
            moves.amend(record, by=by, verdicts={"competence": "pass"})
            tell(record, "业务水平评定已更正", "因试题答案更正重新判分,您的业务水平评定改为合格。其他评定仍有不合格,考核结果不变。")
    else:
        tell(record, "测评成绩已更正", "因试题答案更正重新判分,您的测评成绩有变化,考核结果不变。")


# --- to be looked at


def changes_of(row: KeyCorrection, sittings: Sequence[UUID] | None = None) -> list[tuple[ScoreChange, Doctor, str, str]]:
    """What a correction changed or left waiting (of `sittings` alone, where they are given): the change, the doctor, the paper's title, the
    record's state."""
    joined = (
        select(ScoreChange, Doctor, Paper.title, Assessment.state)
        .join(Sitting, (Sitting.tenant_id == ScoreChange.tenant_id) & (Sitting.id == ScoreChange.sitting_id))
        .join(Paper, (Paper.tenant_id == Sitting.tenant_id) & (Paper.id == Sitting.paper_id))
        .join(Assessment, (Assessment.tenant_id == ScoreChange.tenant_id) & (Assessment.id == ScoreChange.assessment_id))
        .join(Doctor, (Doctor.tenant_id == Assessment.tenant_id) & (Doctor.id == Assessment.doctor_id))
        .where(ScoreChange.correction_id == row.id)
    )
    if sittings is not None:
        joined = joined.where(ScoreChange.sitting_id.in_(sittings))
    return [(one[0], one[1], one[2], one[3]) for one in db.session.execute(joined.order_by(ScoreChange.sitting_id))]


def counts_of(rows: Iterable[KeyCorrection]) -> dict[UUID, Counter[str]]:
    """How many changes of each correction are in which state."""
    counted: dict[UUID, Counter[str]] = {row.id: Counter() for row in rows}
    query = select(ScoreChange.correction_id, ScoreChange.state, func.count()).where(ScoreChange.correction_id.in_(counted))
    for correction, state, number in db.session.execute(query.group_by(ScoreChange.correction_id, ScoreChange.state)):
        counted[correction][state] = number
    return counted


def job_of(row: KeyCorrection) -> Job | None:
    """The job asked for last about a correction."""
    query = select(Job).where(Job.name.in_((PREVIEW, REMARK)), Job.arguments["correction"].astext == str(row.id))
    return db.session.scalar(query.order_by(Job.id.desc()).limit(1))


def _correction(job: Job) -> KeyCorrection:
    row = db.session.scalar(select(KeyCorrection).where(KeyCorrection.id == UUID(job.arguments["correction"])))
    if row is None:
        raise NotFound
    return row
