"""Deciding a request: whose turn it is, agreeing or refusing, and what agreeing does."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, or_, select, true

from dingkao import clock
from dingkao.assessments import moves as record_moves
from dingkao.assessments.models import FINAL, PARTS, STATES, VERDICTS, Assessment
from dingkao.assessments.notices import tell
from dingkao.certificates import issuing
from dingkao.database.model import db, new_id
from dingkao.doctors import correcting
from dingkao.doctors.models import Doctor
from dingkao.errors import Forbidden, Invalid, NotAllowed, NotFound
from dingkao.filings import amending
from dingkao.filings.models import Document, Filing
from dingkao.filings.reviewing import held_by
from dingkao.journal.writing import Actor
from dingkao.outside.storage import store
from dingkao.people.models import Organisation
from dingkao.requests import moves
from dingkao.requests.content import Item, items_of
from dingkao.requests.making import FILE, OF_CHANGE, dossier_of_record, files_of
from dingkao.requests.models import KINDS, SIDES, Request
from dingkao.tenants import settings

NOT_MINE = "这项申请当前不由您办理。页面可能已过时,请返回列表刷新。"


@dataclass(frozen=True)
class Desk:
    """Who decides: a side (institution, organisation, province), its places (the province has none), the account, and whether it may
    decide as first or second; a clerk of an institution is a second person only."""

    side: str
    places: tuple[UUID, ...]
    account: UUID
    decides: bool
    seconds: bool

    def bound(self) -> ColumnElement[bool]:
        """The records this desk may see."""
        columns = {"institution": Assessment.institution_id, "organisation": Assessment.assessor_id}
        return columns[self.side].in_(self.places) if self.side in columns else true()

    def sees(self, record: Assessment) -> bool:
        """Whether the record is one of its own."""
        place = {"institution": record.institution_id, "organisation": record.assessor_id}.get(self.side)
        return self.side == "province" or place in self.places

    def may(self, row: Request) -> bool:
        """Whether it is this desk's turn, and not the same person's who decided first."""
        if row.waits_for == "another":
            return self.seconds and self.side in ("institution", "province") and row.first_by != self.account
        return self.decides and row.waits_for == self.side and row.first_by != self.account


def _of_record() -> ColumnElement[bool]:
    return and_(Assessment.tenant_id == Request.tenant_id, Assessment.id == Request.assessment_id)


def visible(desk: Desk) -> Select[Request]:
    """The requests, handed in, about records of this desk; a province sees those that come to it."""
    query = select(Request).join(Assessment, _of_record()).where(Request.submitted_at.is_not(None), Request.state != "withdrawn", desk.bound())
    if desk.side == "province":
        return query.where(or_(Request.second_side == "province", Request.second_side == "another"))
    return query if desk.side == "institution" else query.where(or_(Request.first_side == "organisation", Request.second_side == "organisation"))


def waiting(desk: Desk) -> Select[Request]:
    """Those whose turn it is at this desk."""
    first = and_(Request.state == "first_pending", Request.first_side == desk.side)
    second = and_(Request.state == "second_pending", Request.second_side == desk.side)
    turns = [first, second] if desk.decides else []
    if desk.seconds and desk.side in ("institution", "province"):
        turns.append(and_(Request.state == "second_pending", Request.second_side == "another"))
    return visible(desk).where(or_(*turns), Request.first_by.is_distinct_from(desk.account))


def locked(request_id: UUID, desk: Desk) -> tuple[Request, Assessment]:
    """A request and its record, both held locked, record first as everywhere. Raises NotFound for what this desk doesn't see."""
    query = select(Request).where(Request.id == request_id)
    row = db.session.scalar(query)
    if row is None or row.submitted_at is None:
        raise NotFound
    record = db.session.scalars(select(Assessment).where(Assessment.id == row.assessment_id).with_for_update()).one()
    row = db.session.scalars(query.with_for_update().execution_options(populate_existing=True)).one()
    if not desk.sees(record):
        raise NotFound
    return row, record


def answer_until(row: Request) -> date | None:
    """The last day for answering an appeal (办法: 30 days; domain.md §1.8); None for other kinds."""
    if row.kind != "appeal" or row.submitted_at is None:
        return None
    return clock.beijing(row.submitted_at).date() + timedelta(days=settings.value("appeal_answer_days"))


def refuse(row: Request, record: Assessment, desk: Desk, *, by: Actor, opinion: str) -> str:
    """不同意 (of an appeal: 维持原结果), with a reason the doctor reads (all held locked). Gives the sentence of what was done. Raises
    Invalid, Forbidden, NotAllowed."""
    _turn(row, record, desk, by)
    moves.refuse(row, by=by, opinion=opinion)
    if row.kind == "appeal":
        tell(record, "复核申请已答复", f"您的复核申请已有答复:维持原考核结果。答复意见:{opinion.strip()}")
    else:
        tell(record, f"{KINDS[row.kind]}申请未通过", f"您的{KINDS[row.kind]}申请未通过。原因:{opinion.strip()}")
    return "已答复:维持原结果。" if row.kind == "appeal" else "已退回,医师会收到理由。"


def agree(row: Request, record: Assessment, desk: Desk, *, by: Actor, opinion: str, verdicts: Mapping[str, str] | None = None) -> str:
    """同意 (all held locked): on to the second person where there is one, else what was asked for is done. `verdicts` are those that an
    appeal's first decision proposes. Gives the sentence of what was done. Raises Invalid, Forbidden, NotAllowed."""
    _turn(row, record, desk, by)
    if row.state == "first_pending" and row.second_side:
        if row.kind == "appeal":
            row.proposed = _proposal(record, verdicts or {}, opinion)
        moves.forward(row, by=by, opinion=opinion)
        whom = SIDES[row.second_side]
        tell(record, f"{KINDS[row.kind]}申请已通过一级审核", f"您的{KINDS[row.kind]}申请已通过{SIDES[row.first_side]}审核,正在等待{whom}复审。")
        return f"已同意,转{whom}复审。"
    told = _EFFECTS[row.kind](row, record, by)
    moves.grant(row, by=by, opinion=opinion)
    tell(record, f"{KINDS[row.kind]}申请已通过", told)
    return "已同意并办理完毕,医师会收到通知。"


def _turn(row: Request, record: Assessment, desk: Desk, by: Actor) -> None:
    if not desk.may(row):
        if row.first_by == by.id and row.waits_for:
            raise Forbidden("两级审核不能是同一人,请由另一位经办人办理。")
        raise NotAllowed(NOT_MINE)
    if row.kind == "appeal" and by.id in (record.graded_by, record.accepted_by):
        raise Forbidden("原评定人、复核人不能办理本人评定的复核申请,请由另一位复核人办理。")


def _proposal(record: Assessment, verdicts: Mapping[str, str], opinion: str) -> dict[str, str]:
    """The verdicts an appeal would change: to 合格 alone, for nobody is worse off for having asked. Raises Invalid."""
    wanted = {part: verdict for part, verdict in verdicts.items() if verdict and part in PARTS and verdict != getattr(record, part)}
    if not wanted or any(verdict != "pass" for verdict in wanted.values()):
        raise Invalid("请选择要改为合格的评定;维持原结果的,请点“维持原结果”。", "verdicts")
    if not opinion.strip():
        raise Invalid("请填写复核意见。", "opinion")
    return wanted


def _exempt(_row: Request, record: Assessment, by: Actor) -> str:
    _ready(record)
    record_moves.exempt(record, by=by)
    return "您的免考申请已通过,业务水平测评免考,不需要参加考试。请等待综合评定和考核结果。"


def _defer(_row: Request, record: Assessment, by: Actor) -> str:
    _ready(record)
    record_moves.defer(record, by=by)
    return "您的延考申请已通过并备案,本次不需要参加考试。延考时间另行通知,请留意消息。"


def _ready(record: Assessment) -> None:
    if record.state != "ready":
        raise NotAllowed(f"医师当前状态为“{STATES[record.state]}”,已不在待测评,不能办理。请点“不同意”并说明原因。")


def _change(row: Request, record: Assessment, by: Actor) -> str:
    if record.state not in OF_CHANGE:
        raise NotAllowed(f"医师当前状态为“{STATES[record.state]}”,不能再修改填报信息。请点“不同意”并说明原因。")
    if record.leased_by not in (None, by.id) and (holder := held_by(record)):
        raise NotAllowed(f"{holder}正在审核该医师的记录,请由其办理,或稍后再试。")
    _apply(row, record, [one for one in items_of(row) if one["what"] != "doctor"], by)
    return "您申请修改的信息已更新。"


def _correct(row: Request, record: Assessment, by: Actor) -> str:
    items = items_of(row)
    values = {one["name"]: one["after"] for one in items if one["what"] == "doctor"}
    if values:
        doctor = db.session.scalars(select(Doctor).where(Doctor.id == record.doctor_id).with_for_update()).one()
        correcting.correct(doctor, values, by=by)
        if "institution" in values and record.state not in FINAL:
            _move_to(record, doctor.organisation_id)
    _apply(row, record, [one for one in items if one["what"] == "field"], by)
    reissued = issuing.reissue(record, by=by, reason="信息更正")
    told = "您申请更正的信息已更新。" + ("今后请使用新的证件号码登录。" if "number" in values else "")
    return told + ("考核结果通知书已重新签发,原通知书作废。" if reissued else "")


def _move_to(record: Assessment, organisation_id: UUID) -> None:
    institution = db.session.get_one(Organisation, (record.tenant_id, organisation_id))
    record.institution_id = institution.id
    if record.state in ("not_included", "included", "draft", "institution_pending", "institution_returned") and institution.assessment_organisation_id:
        record.assessor_id = institution.assessment_organisation_id


def _apply(row: Request, record: Assessment, items: list[Item], by: Actor) -> None:
    db.session.scalars(select(Filing.id).where(Filing.doctor_id == record.doctor_id, Filing.cycle_id == record.cycle_id).with_for_update()).one_or_none()
    dossier = dossier_of_record(record)
    for one in items:
        if one["what"] == "field":
            amending.change_field(dossier, int(one["place"]), one["name"], one["before"], one["after"])
        else:
            amending.change_entry(dossier, one["name"], one["before"], one["after"], by=by)
    photo = next((file for file in files_of(row) if file.kind == "photo"), None)
    if photo:
        document = Document(
            id=new_id(), doctor_id=record.doctor_id, cycle_id=record.cycle_id, kind="photo", name="照片", content_type=photo.content_type, size=photo.size
        )
        store().put("photo", document.id, store().get(FILE, photo.id), photo.content_type)
        db.session.add(document)
        amending.change_photo(dossier, document.id)


def _overturn(row: Request, record: Assessment, by: Actor) -> str:
    proposed = dict(row.proposed or {})
    after = {part: proposed.get(part, getattr(record, part)) for part in PARTS}
    names = "、".join(f"{PARTS[part]}改为{VERDICTS[verdict]}" for part, verdict in proposed.items())
    if set(after.values()) == {"pass"}:
        record_moves.overturn(record, by=by, verdicts=proposed)
        issuing.ask_issuing(record, by=by)
        return f"您的复核申请已通过:{names},考核结果改为合格。结果通知书生成后可在“考核结果”中查看。"
    record_moves.amend(record, by=by, verdicts=proposed)
    return f"您的复核申请已部分通过:{names}。其他评定仍有不合格,考核结果不变。"


_EFFECTS: dict[str, Callable[[Request, Assessment, Actor], str]] = {
    "exemption": _exempt, "deferral": _defer, "change": _change, "correction": _correct, "appeal": _overturn,
}  # fmt: skip
