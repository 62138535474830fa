"""The dossier (填报): begun, saved step by step, checked, handed in; read by those who review it."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, select

from dingkao import clock
from dingkao.assessments import moves
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.cycles.opening import current_cycle, is_open, phases_of
from dingkao.database.model import db, new_id
from dingkao.doctors.codes import SCOPES
from dingkao.doctors.models import Doctor
from dingkao.errors import Invalid, Late, NotAllowed, NotFound
from dingkao.filings.fields import (
    GROUNDS,
    LISTS,
    MOST_ENTRIES,
    PARTS,
    REPORT_LEAST,
    STEPS,
    Field,
    ListOf,
    counts,
    fields_of,
    judge,
    missing,
    words,
)
from dingkao.filings.models import DOCUMENT_KINDS, Document, Filing, NoticeReading
from dingkao.jobs.asking import ask
from dingkao.jobs.models import Job
from dingkao.jobs.performing import Progress, job
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor
from dingkao.outside import pictures
from dingkao.outside.storage import store
from dingkao.people.identity import RESIDENT_KINDS
from dingkao.tenants import settings
from dingkao.tenants.secrets import Place, vault
from dingkao.uploads import taking as uploads

EDITABLE = ("included", "draft", "institution_returned")
SEALED = ("qualification", "practice")
MOST_PROOFS = 10
FULL = f"证明材料最多{MOST_PROOFS}件,请先删除不需要的。"
STALE = "您在另一页面或设备上保存过更新的内容。本页填写的内容还在下方,请核对后再次保存,将以本页为准。"


@dataclass
class Dossier:
    """A doctor's filing in a cycle with all that it stands on; `filing` is None until something has been saved."""

    record: Assessment
    doctor: Doctor
    cycle: Cycle
    filing: Filing | None

    def fields(self, step: int) -> list[Field]:
        """The fields of a step for this doctor."""
        good, clean = simple_years() if step == max(STEPS) else (0, 0)
        return fields_of(
            step, level=self.doctor.level, category=self.doctor.category, years=self.cycle.years,
            telling=self.doctor.document_type in RESIDENT_KINDS, good_years=good, clean_years=clean,
        )  # fmt: skip

    def born(self) -> date | None:
        """The day of birth: the roster's, else the one filed."""
        filed = self.filing.basic.get("birth_date") if self.filing else None
        return self.doctor.birth_date or (date.fromisoformat(filed) if filed else None)

    def part(self, step: int) -> dict[str, Any]:
        """What is kept of a step, or what the roster proposes where nothing is kept yet."""
        kept: dict[str, Any] = dict(getattr(self.filing, PARTS[step])) if self.filing else {}
        if step in (1, 2) and not kept.get("saved"):
            kept = self._proposed(step) | kept
        if step == 2:
            kept |= numbers_of(self.filing) if self.filing else {}
        return kept

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """The entries of a list."""
        return list(getattr(self.filing, PARTS[LISTS[kind].step]).get(kind, [])) if self.filing else []

    def editable(self) -> bool:
        """Whether the doctor may change it now; dates are looked at by the moves."""
        return self.record.state in EDITABLE

    def _proposed(self, step: int) -> dict[str, Any]:
        doctor = self.doctor
        if step == 1:
            given: dict[str, Any] = {
                "ethnicity": f"{doctor.ethnicity.removesuffix('族')}族" if doctor.ethnicity else None,
                "education": doctor.education, "sex": doctor.sex, "birth_date": doctor.birth_date.isoformat() if doctor.birth_date else None,
            }  # fmt: skip
        else:
            registered = doctor.first_registered
            given = {
                "scope": [code for code in (doctor.scope or "").split(",") if code in SCOPES], "department": doctor.department,
                "title": doctor.title, "registered": registered.isoformat() if registered else None,
                "specialty_years": years_between(registered, clock.today()) if registered else None,
            } | {
                name: vault().unseal(Place("doctor", name, doctor.id), sealed)
                for name, sealed in (("qualification", doctor.qualification_sealed), ("practice", doctor.practice_sealed)) if sealed
            }  # fmt: skip
        known = {one.name: one for one in self.fields(step)}
        return {
            name: value for name, value in given.items()
            if value and name in known and (known[name].kind != "one" or value in (known[name].choices or {}))
        }  # fmt: skip


def dossier_of(doctor: Doctor, cycle: Cycle, *, lock: bool = False) -> Dossier:
    """The dossier of `doctor` in `cycle`; `lock` holds record and filing for a change. Raises NotFound where there is no record."""
    records = select(Assessment).where(Assessment.cycle_id == cycle.id, Assessment.doctor_id == doctor.id).order_by(Assessment.id.desc()).limit(1)
    filings = select(Filing).where(Filing.cycle_id == cycle.id, Filing.doctor_id == doctor.id)
    if lock:
        records, filings = records.with_for_update(), filings.with_for_update()
    record = db.session.scalar(records)
    if record is None or record.state == "not_included":
        raise NotFound("您未被主要执业机构纳入本周期考核,如需参加考核,请联系本机构相关负责人。")
    return Dossier(record, doctor, cycle, db.session.scalar(filings))


def filing_of(record: Assessment) -> Filing | None:
    """What the doctor of `record` filed in its cycle."""
    return db.session.scalar(select(Filing).where(Filing.cycle_id == record.cycle_id, Filing.doctor_id == record.doctor_id))


def save(dossier: Dossier, step: int, given: Mapping[str, list[str]], revision: int, *, by: Actor) -> dict[str, str]:
    """Keep what was typed on a step: what is sound of it, even if incomplete; gives what is wrong with the rest, field → sentence.
    Raises Stale where a newer save is known, NotAllowed, Late."""
    fields = dossier.fields(step)
    kept, faults = judge(fields, given, born=dossier.born())
    filing = _begun(dossier, revision, by)
    part = dict(getattr(filing, PARTS[step]))
    for one in fields:
        if one.name in SEALED and step == 2:
            if one.name not in faults:
                plain = kept.pop(one.name, None)
                setattr(filing, f"{one.name}_sealed", vault().seal(Place("filing", one.name, filing.id), plain) if plain else None)
        elif one.name not in faults:
            part.pop(one.name, None)
    part |= kept | {"saved": True}
    setattr(filing, PARTS[step], part)
    _touch(filing, by, PARTS[step])
    return faults


def differences(dossier: Dossier, step: int, given: Mapping[str, list[str]]) -> list[tuple[str, str, str]]:
    """Where a page that is older than what is kept differs from it: label, what the page has, what is kept."""
    typed, _ = judge(dossier.fields(step), given)
    kept = _kept(dossier, step)
    pairs = ((one, _words_of(one, typed.get(one.name), given), words(one, kept.get(one.name))) for one in dossier.fields(step))
    return [(one.label, mine or "空", theirs or "空") for one, mine, theirs in pairs if mine != theirs]


def version_of(entry: Mapping[str, Any]) -> str:
    """What an entry's page carries, so that it can be seen whether the entry was changed meanwhile."""
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()[:16]


def save_entry(dossier: Dossier, kind: str, entry: str, given: Mapping[str, list[str]], *, by: Actor, version: str | None = None) -> dict[str, str]:
    """Keep one entry of a list (`entry` is its id, or «new»); gives faults as `save` does and keeps nothing where there are any.
    Raises Stale where it is no longer the `version` that the page showed."""
    of = _list(kind)
    kept, faults = judge(of.fields, given, born=dossier.born())
    faults |= {one.name: f"请填写{one.label}。" for one in missing(of.fields, kept) if one.name not in faults}
    if faults:
        return faults
    filing = _begun(dossier, dossier.filing.revision if dossier.filing else 0, by)
    part = dict(getattr(filing, PARTS[of.step]))
    entries = [dict(one) for one in part.get(kind, [])]
    if entry == "new":
        if len(entries) >= MOST_ENTRIES:
            raise Invalid(f"{of.label}最多{MOST_ENTRIES}条,请合并后再添加。")
        if all({name: value for name, value in one.items() if name != "id"} != kept for one in entries):
            entries.append(kept | {"id": uuid4().hex})
    else:
        found = next((one for one in entries if one["id"] == entry), None)
        if found is None:
            raise NotFound("这条经历已被删除,请返回上一页查看。")
        if version and version != version_of(found):
            raise Stale(STALE)
        entries[entries.index(found)] = kept | {"id": entry}
    part[kind] = entries
    setattr(filing, PARTS[of.step], part)
    _touch(filing, by, kind)
    return {}


def remove_entry(dossier: Dossier, kind: str, entry: str, *, by: Actor) -> None:
    """Take an entry off its list; what is gone already is no fault."""
    of = _list(kind)
    filing = _begun(dossier, dossier.filing.revision if dossier.filing else 0, by)
    part = dict(getattr(filing, PARTS[of.step]))
    part[kind] = [one for one in part.get(kind, []) if one["id"] != entry]
    setattr(filing, PARTS[of.step], part)
    _touch(filing, by, kind)


def photo_rules() -> pictures.Rules:
    """What the province asks of a photo (domain.md §13)."""
    checks = {check: settings.value(f"photo_{check}") for check in pictures.HINTS}
    return pictures.Rules(checks, (settings.value("photo_least_width"), settings.value("photo_least_height")), settings.value("photo_most_kb"))


def keep_photo(dossier: Dossier, content: bytes, *, by: Actor) -> UUID:
    """The photo (近期免冠照片) [S7]: checked by the province's rules, re-encoded, kept with what was remarked; the one before it is
    forgotten. Gives the document's id. Raises Invalid, TooLarge, Unavailable."""
    picture, hints = pictures.portrait(content, photo_rules())
    filing = _begun(dossier, dossier.filing.revision if dossier.filing else 0, by)
    photo = new_id()
    store().put("photo", photo, picture, "image/jpeg")
    row = Document(
        id=photo, doctor_id=dossier.doctor.id, cycle_id=dossier.cycle.id, kind="photo", name="照片", content_type="image/jpeg", size=len(picture),
        hints=hints,
    )  # fmt: skip
    db.session.add(row)
    if filing.photo_id:
        _forget("photo", filing.photo_id)
    filing.photo_id = photo
    _touch(filing, by, "photo")
    journal.write("filing", filing.id, "photo_kept", by=by, document=str(photo))
    return photo


def hints_of(filing: Filing | None) -> list[str]:
    """What the checks remarked on the photo, in words for the doctor and for who reviews."""
    row = db.session.scalar(select(Document).where(Document.id == filing.photo_id)) if filing and filing.photo_id else None
    return [pictures.HINTS[code] for code in (row.hints or [] if row else []) if code in pictures.HINTS]


def keep_proof(dossier: Dossier, name: str, content: bytes, *, by: Actor) -> UUID:
    """A proof (证明材料): a picture or a PDF, checked and rewritten. Gives the document's id. Raises Invalid, TooLarge, Unavailable."""
    rewritten, content_type = pictures.document(content)
    _begun(dossier, dossier.filing.revision if dossier.filing else 0, by)
    if len(proofs_of(dossier.record)) >= MOST_PROOFS:
        raise Invalid(FULL, "proof")
    proof = new_id()
    store().put("proof", proof, rewritten, content_type)
    row = Document(
        id=proof, doctor_id=dossier.doctor.id, cycle_id=dossier.cycle.id, kind="proof", name=plain_name(name),
        content_type=content_type, size=len(rewritten),
    )  # fmt: skip
    db.session.add(row)
    journal.write("document", proof, "proof_kept", by=by)
    return proof


def remove_proof(dossier: Dossier, proof: UUID, *, by: Actor) -> None:
    """Take a proof off; the store's object goes with it."""
    _begun(dossier, dossier.filing.revision if dossier.filing else 0, by)
    row = next((one for one in proofs_of(dossier.record) if one.id == proof), None)
    if row is not None:
        _forget("proof", proof)
        journal.write("document", proof, "proof_removed", by=by)


def proofs_of(record: Assessment) -> list[Document]:
    """The proofs handed in for the record's cycle."""
    query = select(Document).where(Document.doctor_id == record.doctor_id, Document.cycle_id == record.cycle_id, Document.kind == "proof")
    return list(db.session.scalars(query.order_by(Document.id)))


def photo_of(filing: Filing) -> bytes | None:
    """The photo, as JPEG; None where none was handed in. Raises Unavailable, NotFound."""
    return store().get("photo", filing.photo_id) if filing.photo_id else None


def numbers_of(filing: Filing) -> dict[str, str]:
    """The two certificate numbers in clear: for the doctor, for those who reveal them, for the certificate."""
    found = (("qualification", filing.qualification_sealed), ("practice", filing.practice_sealed))
    return {name: vault().unseal(Place("filing", name, filing.id), sealed) for name, sealed in found if sealed}


@dataclass(frozen=True)
class Lack:
    """Something that keeps the filing from being submitted: the step, where on it, and what to do."""

    step: int
    anchor: str
    sentence: str


def lacks(dossier: Dossier) -> list[Lack]:
    """What is still missing before submission, in the order of the steps."""
    told = []
    if dossier.filing is None or dossier.filing.photo_id is None:
        told.append(Lack(1, "photo", "请上传本人近期照片。"))
    for step in STEPS:
        kept = _kept(dossier, step)
        told += [Lack(step, one.name, f"请{'选择' if one.kind in ('one', 'many') else '填写'}{one.label}。" if one.kind != "tick" else "请勾选本人承诺。") for one in missing(dossier.fields(step), kept)]
        for kind, of in LISTS.items():
            if of.step == step and of.one_at_least and not dossier.entries(kind):
                told.append(Lack(step, kind, f"{of.label}至少填写一条。"))
    told += _lacks_of_conduct(dossier) + _lacks_of_procedure(dossier)
    places = {one.name: place for step in STEPS for place, one in enumerate(dossier.fields(step))} | {"photo": -1, "good_records": 0, "bad_records": 1}
    return sorted(told, key=lambda lack: (lack.step, places.get(lack.anchor, 0)))


def _lacks_of_conduct(dossier: Dossier) -> list[Lack]:
    kept, told = _kept(dossier, 4), []
    for answer, kind in (("good_record", "good_records"), ("bad_record", "bad_records")):
        if kept.get(answer) == "yes" and not dossier.entries(kind):
            told.append(Lack(4, kind, f"您选择了有{LISTS[kind].label},请至少填写一条。"))
    if kept.get("direct_fail") == "yes" and not kept.get("direct_fail_which"):
        told.append(Lack(4, "direct_fail_which", "请勾选属于哪种直接认定为不合格的情形。"))
    if kept.get("direct_fail") == "yes" and not kept.get("direct_fail_note"):
        told.append(Lack(4, "direct_fail_note", "您选择了有直接认定为不合格的情形,请填写说明。"))
    return told


def _lacks_of_procedure(dossier: Dossier) -> list[Lack]:
    kept, told = _kept(dossier, 5), list[Lack]()
    if kept.get("procedure") != "simple":
        return told
    ground = kept.get("ground")
    if not ground:
        told.append(Lack(5, "ground", "选择简易程序的,请选择适用条件。"))
    elif ground not in eligible(dossier):
        told.append(Lack(5, "ground", f"您目前不符合“{grounds()[ground]}”,请核对执业年限和行为记录,或选择一般程序。"))
    written = len("".join(str(kept.get("report", "")).split()))
    if written < REPORT_LEAST:
        told.append(Lack(5, "report", f"述职报告不少于{REPORT_LEAST}字,现有{written}字。"))
    return told


def eligible(dossier: Dossier) -> set[str]:
    """The grounds on which this doctor may choose 简易程序 (§1.4), by years of practice and what was declared."""
    years, conduct, found = years_of_practice(dossier), _kept(dossier, 4), set()
    good, clean = simple_years()
    if years >= good and conduct.get("good_record") == "yes":
        found.add("good")
    if years >= clean and conduct.get("bad_record") == "no":
        found.add("clean")
    return found


def years_of_practice(dossier: Dossier) -> int:
    """Whole years from the first registration as filed to the end of the cycle."""
    registered = _kept(dossier, 2).get("registered")
    return years_between(date.fromisoformat(registered), dossier.cycle.ends_on) if registered else 0


def simple_years() -> tuple[int, int]:
    """The years of practice that the province asks for 简易程序: with a good record, and without a bad one (§1.4)."""
    return settings.value("simple_years_with_good_record"), settings.value("simple_years_without_bad_record")


def grounds() -> dict[str, str]:
    """The grounds for 简易程序 in the province's words."""
    good, clean = simple_years()
    return {"good": GROUNDS["good"].format(good), "clean": GROUNDS["clean"].format(clean)}


def submit(dossier: Dossier, *, by: Actor) -> None:
    """Hand the filing in to the institution (§11 nos. 4 and 7). Raises Invalid with the first lack, NotAllowed, Late."""
    found = lacks(dossier)
    if found:
        raise Invalid(found[0].sentence)
    moves.submit(dossier.record, by=by, procedure=_kept(dossier, 5)["procedure"])


def withdraw(dossier: Dossier, *, by: Actor) -> None:
    """Take the filing back (§11 no. 5), while nobody has opened it and enrolment lasts: later it could not be handed in again.
    Raises NotAllowed, Late."""
    if not is_open(dossier.cycle, "filing"):
        raise Late("报名已截止,撤回后将不能重新提交,因此不能撤回。如需修改,请联系本机构退回。")
    moves.withdraw(dossier.record, by=by)


def has_read_notice(doctor: Doctor, cycle: Cycle) -> bool:
    """Whether the doctor has confirmed the user notice that stands now [S5]."""
    wanted = select(NoticeReading.id).where(
        NoticeReading.doctor_id == doctor.id, NoticeReading.cycle_id == cycle.id, NoticeReading.digest == notice_digest()
    )
    return db.session.scalar(wanted) is not None


def read_notice(doctor: Doctor, cycle: Cycle, *, by: Actor) -> None:
    """Note that the doctor has read and understood the user notice [S5]; once a cycle and version of the text."""
    db.session.scalars(select(Doctor.id).where(Doctor.id == doctor.id).with_for_update()).one()
    if not has_read_notice(doctor, cycle):
        db.session.add(NoticeReading(doctor_id=doctor.id, cycle_id=cycle.id, digest=notice_digest()))
        journal.write("doctor", doctor.id, "notice_read", by=by, cycle=str(cycle.id))


@dataclass(frozen=True)
class Section:
    """Part of a filing as a reviewer reads it: facts (label, value) and tables of entries."""

    title: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    tables: list[tuple[str, list[str], list[list[str]]]] = field(default_factory=list)


def shown(dossier: Dossier, *, revealed: bool = False) -> list[Section]:
    """The filing by sections; the two certificate numbers masked unless `revealed`."""
    sections = []
    for step, title in STEPS.items():
        kept = dossier.part(step)
        facts = []
        for one in dossier.fields(step):
            value = words(one, kept.get(one.name)) if counts(one.name, kept) else ""
            if one.name in SEALED and value and not revealed:
                value = value[:4] + "*" * max(len(value) - 8, 4) + value[-4:]
            if value or one.needed:
                facts.append((one.label, value or "未填写"))
        tables = []
        for kind, of in LISTS.items():
            if of.step == step and (of.one_at_least or dossier.entries(kind)) and counts(kind, kept):
                rows = [[words(one, entry.get(one.name)) or ("至今" if one.name == "until" else "") for one in of.fields] for entry in dossier.entries(kind)]
                tables.append((of.label, [one.label for one in of.fields], rows))
        sections.append(Section(title, facts, tables))
    return sections


def last_day(cycle: Cycle) -> date | None:
    """The last day of enrolment."""
    phase = phases_of(cycle).get("filing")
    return phase.last_day if phase else None


def years_between(earlier: date, later: date) -> int:
    """Whole years from one day to another."""
    return later.year - earlier.year - ((later.month, later.day) < (earlier.month, earlier.day))


class Stale(NotAllowed):
    """A newer save is known than the one this page shows."""


def _kept(dossier: Dossier, step: int) -> dict[str, Any]:
    if dossier.filing is None:
        return {}
    return dict(getattr(dossier.filing, PARTS[step])) | (numbers_of(dossier.filing) if step == 2 else {})


def _list(kind: str) -> ListOf:
    if kind not in LISTS:
        raise NotFound
    return LISTS[kind]


def _changeable(dossier: Dossier) -> None:
    """Raises NotAllowed or Late where the doctor can't change the filing now."""
    if not dossier.editable():
        raise NotAllowed("信息已提交,不能直接修改。机构开始审核前可以撤回;审核开始后请联系本机构退回。")
    if dossier.record.state == "included":
        if not has_read_notice(dossier.doctor, dossier.cycle):
            raise NotAllowed("请先在主页阅读用户告知书并点击“确定”,再填报信息。")
    elif not is_open(dossier.cycle, "filing") and not (dossier.record.state == "institution_returned" and is_open(dossier.cycle, "review")):
        raise Late("报名已截止,不能再修改。您已保存的内容还在,请联系本机构。")


def _begun(dossier: Dossier, revision: int, by: Actor) -> Filing:
    """The filing, begun where it isn't; refused where the record can't be changed now or the page is older than what is kept."""
    _changeable(dossier)
    if dossier.record.state == "included":
        moves.begin_filing(dossier.record, by=by)
    if dossier.filing is None:
        dossier.filing = Filing(
            id=new_id(), doctor_id=dossier.doctor.id, cycle_id=dossier.cycle.id, revision=0, basic={}, practice={}, experience={}, performance={},
            procedure={},
        )  # fmt: skip
        db.session.add(dossier.filing)
        db.session.flush()
    elif dossier.filing.revision != revision:
        raise Stale(STALE)
    return dossier.filing


def _touch(filing: Filing, by: Actor, part: str) -> None:
    filing.revision += 1
    filing.saved_at = clock.now()
    db.session.flush()
    journal.write("filing", filing.id, "saved", by=by, part=part, revision=filing.revision)


def _forget(kind: str, document: UUID) -> None:
    """The row goes now, the file after the commit: a change that is undone must not have lost it."""
    db.session.execute(delete(Document).where(Document.id == document))
    ask("forget_file", f"删除{DOCUMENT_KINDS[kind]}", {"kind": kind, "document": str(document)}, by=None)


@job("forget_file")
def forget_file(row: Job, _tell: Progress) -> None:
    """Remove from the store a file whose row is gone."""
    document = UUID(row.arguments["document"])
    if db.session.scalar(select(Document.id).where(Document.id == document)) is None:
        store().remove(row.arguments["kind"], document)


def _words_of(one: Field, value: Any, given: Mapping[str, list[str]]) -> str:
    return words(one, value) or "、".join(text.strip() for text in given.get(one.name, []) if text.strip())


def plain_name(name: str) -> str:
    """A file's name as it is shown: its last part, without characters nobody sees."""
    last = re.split(r"[/\\]", name)[-1]
    return "".join(one for one in last if one.isprintable()).strip()[-100:] or "证明材料"


def _own(by: Actor, *, lock: bool) -> Dossier:
    """The dossier in the present cycle of the doctor whose account acts."""
    doctor, cycle = db.session.scalar(select(Doctor).where(Doctor.account_id == by.id)), current_cycle()
    if doctor is None or cycle is None:
        raise NotFound
    return dossier_of(doctor, cycle, lock=lock)


def _admit_photo(_subject: UUID | None, by: Actor) -> None:
    _changeable(_own(by, lock=False))


def _admit_proof(_subject: UUID | None, by: Actor) -> None:
    mine = _own(by, lock=False)
    _changeable(mine)
    if len(proofs_of(mine.record)) >= MOST_PROOFS:
        raise Invalid(FULL, "proof")


uploads.register("filing_photo", _admit_photo, lambda _subject, _name, content, by: keep_photo(_own(by, lock=True), content, by=by))
uploads.register("filing_proof", _admit_proof, lambda _subject, name, content, by: keep_proof(_own(by, lock=True), name, content, by=by))


def notice_digest() -> bytes:
    """By what the user notice that stands now is known."""
    return hashlib.sha256(str(settings.value("user_notice")).encode()).digest()
