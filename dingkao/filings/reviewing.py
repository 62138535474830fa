"""Review (审核): whose turn it is, the lease that keeps two people off one record, and deciding many at once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Select, or_, select

from dingkao import clock
from dingkao.assessments import moves
from dingkao.assessments.enrolment import of_doctor
from dingkao.assessments.models import STATES, Assessment
from dingkao.assessments.notices import tell
from dingkao.cycles.models import Cycle
from dingkao.database.model import db
from dingkao.doctors.models import Doctor
from dingkao.errors import Forbidden, NotAllowed, NotFound, Refusal
from dingkao.filings.dossier import Dossier, filing_of
from dingkao.filings.marks import to_keep
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor
from dingkao.people.models import Account

LEASE = timedelta(minutes=30)
MOST_AT_ONCE = 500


@dataclass(frozen=True)
class Side:
    """Who reviews: the institution, or the assessment organisation; its places, the states it acts on, and whether it may decide."""

    name: str
    places: tuple[UUID, ...]
    decides: bool

    @property
    def states(self) -> tuple[str, ...]:
        """The states that wait for this side."""
        return ("institution_pending", "organisation_returned") if self.name == "institution" else ("organisation_pending",)

    def bound(self) -> ColumnElement[bool]:
        """The records this side may see."""
        column = Assessment.institution_id if self.name == "institution" else Assessment.assessor_id
        return column.in_(self.places)

    def sees(self, record: Assessment) -> bool:
        """Whether the record is one of its own."""
        return (record.institution_id if self.name == "institution" else record.assessor_id) in self.places


def waiting(cycle: Cycle, side: Side) -> Select[Assessment]:
    """The records that wait for `side`."""
    return select(Assessment).where(Assessment.cycle_id == cycle.id, Assessment.state.in_(side.states), side.bound())


def next_of(cycle: Cycle, side: Side, by: Actor) -> UUID | None:
    """The record that has waited longest and that nobody else holds."""
    free = or_(Assessment.leased_until.is_(None), Assessment.leased_until < clock.now(), Assessment.leased_by == by.id)
    return db.session.scalar(waiting(cycle, side).where(free).with_only_columns(Assessment.id).order_by(Assessment.submitted_at, Assessment.id).limit(1))


def locked(record_id: UUID, side: Side) -> Assessment:
    """The record, locked, if it is this side's. Raises NotFound."""
    record = db.session.scalar(select(Assessment).where(Assessment.id == record_id).with_for_update())
    if record is None or not side.sees(record):
        raise NotFound
    return record


def open_record(record: Assessment, side: Side, *, by: Actor) -> None:
    """Take the record up for review: a lease of 30 minutes, and the fact that it has been opened. Raises NotAllowed with the name of
    whoever holds it."""
    if not side.decides:
        raise Forbidden("经办人可以查看,审核决定由审核人作出。")
    if record.state not in side.states:
        raise NotAllowed(f"该记录当前为“{STATES[record.state]}”,不在您的待审核列表中。")
    _free(record, by)
    record.leased_by, record.leased_until = by.id, clock.now() + LEASE
    if record.opened_at is None:
        record.opened_at = clock.now()
    journal.write("assessment", record.id, "opened", by=by)


def held_by(record: Assessment) -> str | None:
    """The name of whoever holds the record now."""
    if record.leased_by is None or record.leased_until is None or record.leased_until < clock.now():
        return None
    return db.session.scalar(select(Account.name).where(Account.id == record.leased_by))


def decide(
    record: Assessment, side: Side, decision: str, *, by: Actor, performance: str = "", ethics: str = "", competence: str = "", text: str = "",
    marks: Mapping[str, str] | None = None,
) -> str:  # fmt: skip
    """Make one decision on a locked record and tell the doctor; gives the sentence of what was done. Returning may carry `marks` at the
    fields (see filings/marks.py), which make a reason where none is typed. Raises whatever the move raises, and NotFound for a decision this
    side doesn't have."""
    kept = None
    if marks and decision.startswith("return"):
        kept = to_keep(_dossier(record), marks)
        text = text.strip() or f"请修改:{'、'.join(one['label'] for one in (kept or {}).values())}。"
    _free(record, by)
    if kept:
        journal.write("assessment", record.id, "marked", by=by, fields=sorted(kept))
    match side.name, decision:
        case "institution", "approve":
            moves.approve(record, by=by, performance=performance, ethics=ethics, opinion=text)
            tell(record, "机构审核已通过", "您的报名信息已通过主要执业机构审核,正在等待考核机构复核。")
            return "已通过,转考核机构复核。"
        case "institution", "return":
            moves.return_to_doctor(record, by=by, reason=text, marks=kept)
            tell(record, "报名信息被退回", f"主要执业机构退回了您的报名信息,请修改后重新提交。退回原因:{record.returned_reason}")
            return "已退回医师修改。"
        case "organisation", "accept":
            if moves.without_test(record.procedure):
                moves.accept_without_test(record, by=by, competence=competence)
                tell(record, "复核已通过", "您的报名信息已通过考核机构复核。按本省规定,简易程序不参加测评,请等待考核结果。")
                return "复核通过,转综合评定。"
            moves.accept(record, by=by)
            tell(record, "复核已通过", "个人报名信息已通过审核,请关注后续考试通知,在主页点击“参加测评”,按时完成测评。")
            return "复核通过,已转待测评。"
        case "organisation", "return_institution":
            moves.return_to_institution(record, by=by, reason=text, marks=kept)
            return "已退回机构核对。"
        case "organisation", "return_doctor":
            moves.return_past_institution(record, by=by, reason=text, marks=kept)
            tell(record, "报名信息被退回", f"考核机构退回了您的报名信息,请修改后重新提交。退回原因:{record.returned_reason}")
            return "已退回医师修改。"
    raise NotFound


@dataclass
class Batch:
    """What would be, or was, decided at once: whom, and whom not with the reason."""

    ready: list[tuple[UUID, str]] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)


def weigh(cycle: Cycle, side: Side, ids: Iterable[UUID], *, by: Actor, lock: bool = False) -> Batch:
    """Which of the records `ids` can be decided at once by `side`, and why not the others: each that needs a look stays out."""
    query = select(Assessment, Doctor.name).join(Doctor, of_doctor()).where(Assessment.cycle_id == cycle.id, Assessment.id.in_(list(ids)), side.bound())
    if lock:
        query = query.with_for_update(of=Assessment)
    batch = Batch()
    for record, name in db.session.execute(query.order_by(Assessment.id).limit(MOST_AT_ONCE)):
        reason = _why_not(record, side, by)
        if reason:
            batch.left_out.append((name, reason))
        else:
            batch.ready.append((record.id, name))
    return batch


def decide_many(cycle: Cycle, side: Side, ids: Iterable[UUID], *, by: Actor) -> tuple[Batch, list[Assessment]]:
    """Approve (grades 合格, opinion 同意) or accept all of `ids` that can be; what has changed since the preview stays out. Gives the
    report and the records that moved."""
    batch, moved = weigh(cycle, side, ids, by=by, lock=True), []
    done = Batch(left_out=batch.left_out)
    for record_id, name in batch.ready:
        record = locked(record_id, side)
        try:
            if side.name == "institution":
                decide(record, side, "approve", by=by, performance="pass", ethics="pass", text="同意")
            else:
                decide(record, side, "accept", by=by, competence="pass")
        except Refusal as refusal:
            done.left_out.append((name, refusal.sentence))
        else:
            done.ready.append((record_id, name))
            moved.append(record)
    return done, moved


def _dossier(record: Assessment) -> Dossier:
    doctor = db.session.scalars(select(Doctor).where(Doctor.id == record.doctor_id)).one()
    return Dossier(record, doctor, db.session.get_one(Cycle, (record.tenant_id, record.cycle_id)), filing_of(record))


def _why_not(record: Assessment, side: Side, by: Actor) -> str | None:
    if record.state not in side.states:
        return f"当前为“{STATES[record.state]}”,不需要审核"
    if record.leased_by not in (None, by.id) and (holder := held_by(record)):
        return f"{holder}正在审核"
    if side.name == "organisation":
        if record.graded_by == by.id:
            return "由您评定,须由另一位复核人办理"
        if moves.without_test(record.procedure):
            return "简易程序须逐人评定业务水平"
        if "fail" in (record.performance, record.ethics):
            return "机构评定有不合格,须逐人复核"
        return None
    if record.state == "organisation_returned":
        return "考核机构退回的,须逐人核对"
    filing = filing_of(record)
    conduct = filing.performance if filing else {}
    if conduct.get("bad_record") == "yes" or conduct.get("direct_fail") == "yes":
        return "申报有不良记录或直接不合格情形,须逐人审核"
    if "fail" in (conduct.get("quantity"), conduct.get("quality"), conduct.get("ordered_tasks")):
        return "自评有不合格,须逐人审核"
    return None


def _free(record: Assessment, by: Actor) -> None:
    if record.leased_by not in (None, by.id) and (holder := held_by(record)):
        raise NotAllowed(f"{holder}正在审核这条记录,请先审核其他记录,或稍后再试。")
