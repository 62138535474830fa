"""Making a request: what a doctor may ask for now and why not, filling it in, its files, handing it in, taking it back."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select

from dingkao import clock
from dingkao.assessments.models import FINAL, Assessment
from dingkao.cycles.models import Cycle
from dingkao.cycles.opening import phases_of
from dingkao.database.model import db, new_id
from dingkao.doctors import correcting
from dingkao.doctors.codes import CATEGORIES, SCOPES
from dingkao.doctors.models import Doctor
from dingkao.errors import Invalid, NotAllowed, NotFound
from dingkao.filings import amending
from dingkao.filings.dossier import Dossier, filing_of, photo_rules, plain_name
from dingkao.filings.fields import LISTS, Field, words
from dingkao.jobs import asking, performing
from dingkao.jobs.models import Job
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor
from dingkao.outside import pictures
from dingkao.outside.storage import store
from dingkao.people.models import Notice
from dingkao.requests import moves
from dingkao.requests.content import Item, items_of, keep_items, merged
from dingkao.requests.eligibility import Facts, Standing, exemptions
from dingkao.requests.models import KINDS, OPEN, Request, RequestFile
from dingkao.tenants import settings
from dingkao.uploads import taking as uploads

MOST_FILES, LONGEST_NOTE, LEAST_APPEAL = 10, 2000, 10
FILE = "request-proof"
PRINTED = ("scope", "qualification", "practice")
"""What a filing gives to the certificate; once the test has begun it may still be corrected, by two persons (§11)."""
WANTS_FILE = ("exemption", "deferral", "correction")
CHAINS = {
    "exemption": ("institution", "organisation"), "deferral": ("institution", "organisation"), "correction": ("institution", "another"),
    "appeal": ("organisation", "province"),
}  # fmt: skip
OF_CHANGE = {"institution_pending": ("institution", None), "organisation_pending": ("organisation", None), "ready": ("institution", "organisation")}
UNTESTED = ("not_included", "included", "draft", "institution_pending", "institution_returned", "organisation_pending", "organisation_returned", "ready", "deferred")


def requests_of(record: Assessment) -> list[Request]:
    """All requests about a record, the newest first."""
    return list(db.session.scalars(select(Request).where(Request.assessment_id == record.id).order_by(Request.id.desc())))


def request_of(request_id: UUID, record: Assessment, *, lock: bool = False) -> Request:
    """A request about this record. Raises NotFound for any other."""
    query = select(Request).where(Request.id == request_id, Request.assessment_id == record.id)
    row = db.session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise NotFound
    return row


def open_of(record: Assessment, kind: str) -> Request | None:
    """The record's request of a kind that is open, if there is one."""
    return db.session.scalar(select(Request).where(Request.assessment_id == record.id, Request.kind == kind, Request.state.in_(OPEN)))


def closed_because(dossier: Dossier, kind: str) -> str | None:
    """Why this cannot be asked for now, in a sentence; None where it can (§11 nos. 11, 12, 23 and its table of changes)."""
    return _CLOSED[kind](dossier)


def _exemption_closed(dossier: Dossier) -> str | None:
    record = dossier.record
    if not settings.value("exemption_open"):
        return "本省不接受免考申请。"
    if record.exempted:
        return "您的免考申请已通过。"
    if record.state != "ready":
        return "免考申请在通过审核、进入待测评状态后开放,测评开始后关闭。"
    if record.procedure != "general":
        return "免考只适用于一般程序;您的考核程序为简易程序。"
    if record.round == "makeup" and not settings.value("exemption_in_makeup"):
        return "补考不接受免考申请。"
    refused = sum(row.kind == "exemption" and row.state == "refused" for row in requests_of(record))
    if refused > settings.value("exemption_again"):
        return "您的免考申请未通过,不能再次申请,请按时参加测评。"
    return _test_over(dossier)


def _deferral_closed(dossier: Dossier) -> str | None:
    if not settings.value("deferral_open"):
        return "本省不接受延考申请。"
    if dossier.record.state == "deferred":
        return "您的延考申请已通过。"
    if dossier.record.state != "ready":
        return "延考申请在通过审核、进入待测评状态后开放,测评开始后关闭。"
    return _test_over(dossier)


def _test_over(dossier: Dossier) -> str | None:
    phase = phases_of(dossier.cycle).get("examination")
    return "考核阶段已结束,不能再申请。请联系所属考核机构了解后续安排。" if phase and clock.today() > phase.last_day else None


def _change_closed(dossier: Dossier) -> str | None:
    record = dossier.record
    if dossier.editable():
        return "您现在可以直接修改填报信息,不需要申请。"
    if record.state == "institution_pending" and record.opened_at is None:
        return "机构尚未开始审核,您可以撤回后直接修改,不需要申请。"
    if record.state not in OF_CHANGE:
        return "当前状态不能申请修改填报信息。姓名、证件等印在通知书上的内容有误的,请申请更正。"
    return None


def _correction_closed(_dossier: Dossier) -> str | None:
    return None


def _appeal_closed(dossier: Dossier) -> str | None:
    record = dossier.record
    if record.state not in FINAL:
        return "考核结果发布后,才能申请复核。"
    if any(row.kind == "appeal" and row.state in ("refused", "granted") for row in requests_of(record)):
        return "您的复核申请已有答复。"
    if record.state == "passed":
        return "您的考核结果为合格,不需要申请复核。"
    if clock.today() > appeal_until(dossier):
        return f"申请复核的期限为收到结果之日起{settings.value('appeal_days')}日,现已超过。"
    return None


_CLOSED = {"exemption": _exemption_closed, "deferral": _deferral_closed, "change": _change_closed, "correction": _correction_closed, "appeal": _appeal_closed}


def appeal_until(dossier: Dossier) -> date:
    """The last day for an appeal: so many days after the result was received, which is when its message was read, and today at the
    earliest while it hasn't been (办法: 30 days from receipt; domain.md §1.8)."""
    told = select(Notice).where(Notice.account_id == dossier.doctor.account_id, Notice.title == "考核结果已发布", Notice.written_at >= dossier.record.changed_at)
    message = db.session.scalar(told.order_by(Notice.id).limit(1))
    received = dossier.record.changed_at if message is None else message.read_at or clock.now()
    return clock.beijing(received).date() + timedelta(days=settings.value("appeal_days"))


def exemption_standings(dossier: Dossier) -> list[Standing]:
    """Every reason for 免考 in this province, and how it stands for this doctor."""
    filing, level = dossier.filing, dossier.doctor.level
    practice: Mapping[str, Any] = filing.practice if filing else {}
    qualified = practice.get("qualified")
    facts = Facts(
        level=level, since=dossier.cycle.starts_on, today=clock.today(), born=dossier.born(), employment=practice.get("employment"), title=practice.get("title"),
        titled=practice.get("titled"), qualified=date.fromisoformat(qualified) if qualified else None,
        trainings={one.get("name", ""): one.get("until") for one in dossier.entries("training")},
    )  # fmt: skip
    accepted = {code for code in ("residency", "promotion", "retired", "registered") if settings.value(f"exempt_{code}")}
    return exemptions(facts, accepted, settings.value("exempt_others"))


def begin(dossier: Dossier, kind: str, *, by: Actor) -> Request:
    """The request of a kind about the record (held locked): the one that is open, else a new one, not handed in. Raises NotFound,
    NotAllowed with the reason why it can't be asked for."""
    if kind not in KINDS:
        raise NotFound
    existing = open_of(dossier.record, kind)
    if existing:
        return existing
    reason = closed_because(dossier, kind)
    if reason:
        raise NotAllowed(reason)
    first, second = CHAINS[kind] if kind in CHAINS else OF_CHANGE[dossier.record.state]
    row = Request(id=new_id(), assessment_id=dossier.record.id, kind=kind, state="draft", first_side=first, second_side=second)
    db.session.add(row)
    db.session.flush()
    journal.write("request", row.id, "begun", by=by, kind=kind)
    return row


def fill(row: Request, dossier: Dossier, *, reason: str, note: str) -> None:
    """Keep reason and note of a request that isn't handed in (held locked). Raises Invalid naming the field, NotAllowed."""
    _unsent(row)
    if len(note) > LONGEST_NOTE:
        raise Invalid(f"说明请不要超过{LONGEST_NOTE}字,现有{len(note)}字。", "note")
    offered = _offered(row, dossier)
    if reason and reason not in offered:
        raise Invalid("请从列表中选择理由。", "reason")
    row.reason, row.reason_words, row.note = reason or None, offered.get(reason), note.strip() or None


def _offered(row: Request, dossier: Dossier) -> dict[str, str]:
    if row.kind == "exemption":
        return {one.code: one.label for one in exemption_standings(dossier) if one.holds is not False}
    return {text: text for text in settings.value("deferral_reasons")} if row.kind == "deferral" else {}


def ask_fields(row: Request, dossier: Dossier, step: int, given: Mapping[str, list[str]]) -> dict[str, str]:
    """Put what differs on a step's page into a change (held locked); gives faults as saving does and keeps nothing where there are any."""
    _unsent(row)
    changes, faults = amending.field_changes(dossier, step, dossier.fields(step), given)
    if not faults:
        keep_items(row, merged(items_of(row), _fields(step, changes), what="field", place=str(step)))
    return faults


def ask_entry(row: Request, dossier: Dossier, kind: str, entry: str, given: Mapping[str, list[str]] | None) -> dict[str, str]:
    """Put a new entry of a list, one changed, or one taken off (`given` None) into a change (held locked). Raises Invalid."""
    _unsent(row)
    before, after, faults = amending.entry_change(dossier, kind, entry, given)
    if faults:
        return faults
    place = f"{kind}/{before['id'] if before else after['id'] if after else entry}"
    said = (amending.entry_words(kind, before), amending.entry_words(kind, after))
    fresh = [_item("entry", place, kind, LISTS[kind].label, before, after, said)] if before != after else []
    keep_items(row, merged(items_of(row), fresh, what="entry", place=place))
    return {}


def correction_fields(dossier: Dossier) -> list[Field]:
    """What a correction may change of the filing: the scopes, of whichever category, because they go with it; and once the test has begun
    whatever else the certificate prints (§11)."""
    if dossier.filing is None:
        return []
    every = {code: name if of == "any" else f"{CATEGORIES[of]}:{name}" for code, (of, name) in SCOPES.items()}
    names = PRINTED if dossier.record.state not in UNTESTED else PRINTED[:1]
    return [replace(one, choices=every, needed=False) if one.name == "scope" else one for one in dossier.fields(2) if one.name in names]


def ask_correction(row: Request, dossier: Dossier, given: Mapping[str, list[str]]) -> dict[str, str]:
    """Put what differs from what stands into a correction (held locked); what is left empty stays. Gives faults, field → sentence, and
    keeps nothing where there are any."""
    _unsent(row)
    typed = {name: texts[0] for name, texts in given.items() if name in correcting.LABELS and texts}
    fields = [one for one in correction_fields(dossier) if any(text.strip() for text in given.get(one.name, []))]
    changes, faults = amending.field_changes(dossier, 2, fields, given)
    try:
        wanted, now = correcting.judged(dossier.doctor, typed), correcting.held(dossier.doctor)
    except Invalid as refusal:
        return faults | {refusal.field or "name": refusal.sentence}
    if faults:
        return faults
    fresh = [
        _item("doctor", "roster", name, correcting.LABELS[name], now[name], text, (correcting.said(name, now[name]), correcting.said(name, text)))
        for name, text in wanted.items()
    ]  # fmt: skip
    items = merged(items_of(row), fresh, what="doctor", place="roster")
    keep_items(row, merged(items, _fields(2, changes), what="field", place="2"))
    return {}


def drop_item(row: Request, number: int) -> None:
    """Take an item, counted from 0, out of a request that isn't handed in (held locked)."""
    _unsent(row)
    items = items_of(row)
    keep_items(row, [one for index, one in enumerate(items) if index != number])


def files_of(row: Request) -> list[RequestFile]:
    """The files handed in with a request."""
    return list(db.session.scalars(select(RequestFile).where(RequestFile.request_id == row.id).order_by(RequestFile.id)))


def keep_file(row: Request, name: str, content: bytes, *, by: Actor, photo: bool = False) -> RequestFile:
    """A proof, or the photo that is to take the old one's place: checked and rewritten (held locked). Raises Invalid, TooLarge, Unavailable,
    NotAllowed."""
    _unsent(row)
    kept, content_type = (pictures.portrait(content, photo_rules())[0], "image/jpeg") if photo else pictures.document(content)
    _room(row)
    for earlier in files_of(row):
        if photo and earlier.kind == "photo":
            _forget(earlier)
    file = RequestFile(
        id=new_id(), request_id=row.id, kind="photo" if photo else "proof", name="新照片" if photo else plain_name(name), content_type=content_type, size=len(kept)
    )
    store().put(FILE, file.id, kept, content_type)
    db.session.add(file)
    db.session.flush()
    journal.write("request", row.id, "file_kept", by=by, file=str(file.id))
    return file


def remove_file(row: Request, file_id: UUID, *, by: Actor) -> None:
    """Take a file off a request that isn't handed in (held locked); gone already is no fault."""
    _unsent(row)
    found = next((one for one in files_of(row) if one.id == file_id), None)
    if found:
        _forget(found)
        journal.write("request", row.id, "file_removed", by=by, file=str(file_id))


def file_content(row: Request, file_id: UUID) -> tuple[bytes, str]:
    """A file of a request and its content type. Raises NotFound, Unavailable."""
    found = next((one for one in files_of(row) if one.id == file_id), None)
    if found is None:
        raise NotFound
    return store().get(FILE, found.id), found.content_type


@dataclass(frozen=True)
class Lack:
    """What keeps a request from being handed in: where, and what to do."""

    anchor: str
    sentence: str


def lacks(row: Request, dossier: Dossier) -> list[Lack]:
    """What is still missing."""
    told, files = [], files_of(row)
    if row.kind in ("exemption", "deferral") and row.reason not in _offered(row, dossier):
        told.append(Lack("reason", f"请选择{KINDS[row.kind]}申请理由。"))
    if row.kind == "appeal" and len("".join((row.note or "").split())) < LEAST_APPEAL:
        told.append(Lack("note", f"请写明对结果有异议的理由,不少于{LEAST_APPEAL}字。"))
    items = items_of(row)
    if row.kind in ("change", "correction") and not items and not any(one.kind == "photo" for one in files):
        told.append(Lack("items", "请先填写要修改的内容。" if row.kind == "change" else "请先填写要更正的内容。"))
    scoped = next((one["after"] for one in items if one["name"] == "scope"), None)
    for one in items:
        if one["what"] == "doctor" and one["name"] == "category" and not (scoped and all(SCOPES[code][0] in (one["after"], "any") for code in scoped)):
            told.append(Lack("items", "更正执业类别的,请同时填写该类别的执业范围。"))
    if row.kind in WANTS_FILE and not any(one.kind == "proof" for one in files):
        told.append(Lack("files", "请上传证明材料。"))
    return told


def submit(row: Request, dossier: Dossier, *, by: Actor) -> None:
    """Hand it in (both rows held locked); handed in already: nothing happens. Raises Invalid with the first lack, NotAllowed."""
    if row.state == "first_pending":
        return
    reason = closed_because(dossier, row.kind)
    if reason:
        raise NotAllowed(reason)
    found = lacks(row, dossier)
    if found:
        raise Invalid(found[0].sentence, found[0].anchor)
    if row.kind == "change":
        row.first_side, row.second_side = OF_CHANGE[dossier.record.state]
    moves.submit(row, by=by)


def withdraw(row: Request, *, by: Actor) -> None:
    """Take it back (held locked), while nobody has decided; taken back already: nothing happens. Files of what was never handed in are
    forgotten. Raises NotAllowed."""
    if row.state == "withdrawn":
        return
    if row.state == "draft":
        for file in files_of(row):
            _forget(file)
    moves.withdraw(row, by=by)


def dossier_of_record(record: Assessment) -> Dossier:
    """The dossier that a record stands on, whatever its state."""
    doctor = db.session.get_one(Doctor, (record.tenant_id, record.doctor_id))
    return Dossier(record, doctor, db.session.get_one(Cycle, (record.tenant_id, record.cycle_id)), filing_of(record))


def _fields(step: int, changes: list[tuple[Field, Any, Any]]) -> list[Item]:
    return [_item("field", str(step), one.name, one.label, old, new, (words(one, old), words(one, new))) for one, old, new in changes]


def _item(what: str, place: str, name: str, label: str, before: Any, after: Any, said: tuple[str, str]) -> Item:
    return {"what": what, "place": place, "name": name, "label": label, "before": before, "after": after, "said": (said[0] or "空", said[1] or "空")}


def _unsent(row: Request) -> None:
    if row.state != "draft":
        raise NotAllowed("申请已提交,不能再修改。尚未审核的,可以撤回后重新申请。")


def _room(row: Request) -> None:
    if len(files_of(row)) >= MOST_FILES:
        raise Invalid(f"材料最多{MOST_FILES}件,请先删除不需要的。", "file")


def _forget(file: RequestFile) -> None:
    """The row goes now, the file after the commit."""
    db.session.execute(delete(RequestFile).where(RequestFile.id == file.id))
    asking.ask("forget_request_file", "删除材料", {"file": str(file.id)}, by=None)


@performing.job("forget_request_file")
def forget_request_file(job: Job, _tell: performing.Progress) -> None:
    """Remove from the store a file whose row is gone."""
    file = UUID(job.arguments["file"])
    if db.session.scalar(select(RequestFile.id).where(RequestFile.id == file)) is None:
        store().remove(FILE, file)


def _own(subject: UUID | None, by: Actor) -> Request:
    """The request `subject` of the doctor who acts, held locked, its record first."""
    records = select(Assessment).join(Doctor, (Doctor.tenant_id == Assessment.tenant_id) & (Doctor.id == Assessment.doctor_id))
    theirs = select(Request.assessment_id).where(Request.id == subject)
    record = db.session.scalar(records.where(Assessment.id.in_(theirs), Doctor.account_id == by.id).with_for_update(of=Assessment))
    if record is None or subject is None:
        raise NotFound
    return request_of(subject, record, lock=True)


def _admit(subject: UUID | None, by: Actor) -> None:
    row = _own(subject, by)
    _unsent(row)
    _room(row)


uploads.register("request_proof", _admit, lambda subject, name, content, by: keep_file(_own(subject, by), name, content, by=by).id)
