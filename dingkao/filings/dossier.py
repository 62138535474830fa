"""The dossier (填报): begun, saved step by step, checked, handed in; read by those who review it."""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Select, bindparam, delete, select

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
    LISTS,
    MOST_ENTRIES,
    PARTS,
    STEPS,
    Field,
    ListOf,
    Terms,
    as_form,
    counts,
    doubts,
    fields_of,
    judge,
    mark_of,
    missing,
    odd_dates,
    words,
)
from dingkao.filings.models import DOCUMENT_KINDS, Document, Filing, NoticeReading
from dingkao.filings.procedure import Facts, Ground, grounds_of, written, years_between
from dingkao.jobs.asking import ask
from dingkao.jobs.models import Job
from dingkao.jobs.performing import Progress, job
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor
from dingkao.outside import pictures
from dingkao.outside.storage import store
from dingkao.people.identity import RESIDENT_KINDS
from dingkao.tenants import settings
from dingkao.tenants.asking import TENANT, Asked, an_id, whole
from dingkao.tenants.secrets import Place, vault
from dingkao.uploads import taking as uploads

EDITABLE = ("included", "draft", "institution_returned")
SEALED = ("qualification", "practice")
MOST_PROOFS = 10
CHOSEN_FROM = "direct_fail_texts"
"""Beside the chosen codes, the words they had in the version of the list they were chosen from (manual.md [S10])."""
FULL = "证明材料最多{}件,请先删除不需要的。"
NO_ENTRY = "这条经历已被删除,请返回上一页查看。"
STALE = "您在另一页面或设备上保存过更新的内容。本页填写的内容还在下方,请核对后再次保存,将以本页为准。"


@dataclass
class Dossier:
    """A doctor's filing in a cycle with all that it stands on; `filing` is None until something has been saved."""

    record: Assessment
    doctor: Doctor
    cycle: Cycle
    filing: Filing | None
    _made: dict[int, tuple[dict[str, str], list[Field]]] = field(default_factory=dict, repr=False, compare=False)

    def fields(self, step: int) -> list[Field]:
        """The fields of a step for this doctor, in this province; made once for what was chosen, as a page asks for them many times."""
        chosen = chosen_from(self.filing)
        if step not in self._made or self._made[step][0] != chosen:
            made = fields_of(
                step, level=self.doctor.level, category=self.doctor.category, years=self.cycle.years,
                telling=self.doctor.document_type in RESIDENT_KINDS, terms=terms_of(self.filing),
            )  # fmt: skip
            self._made[step] = (dict(chosen), made)
        return self._made[step][1]

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

    def sound(self, step: int) -> dict[str, Any]:
        """What is kept of a step, or proposed and fit to be kept: what a page that was opened now shows."""
        fields, part = self.fields(step), self.part(step)
        if self.filing and getattr(self.filing, PARTS[step]).get("saved"):
            return {one.name: part[one.name] for one in fields if part.get(one.name) not in (None, "", [])}
        return judge(fields, {one.name: as_form(part.get(one.name)) for one in fields}, born=self.born())[0]

    def span(self) -> tuple[date, date]:
        """The days from which good and bad records count: those of the cycle, as far as they have come."""
        return self.cycle.starts_on, min(self.cycle.ends_on, clock.today())

    def doubts(self, step: int) -> dict[str, str]:
        """What is odd about a step and may be so, field → sentence; about the certificate numbers as the province has it checked (§2.3)."""
        kept, told = self.part(step), dict[str, str]()
        mode = settings.value("certificate_number_check") if step == 2 else "off"
        if mode != "off":
            number = vault().unseal(Place("doctor", "number", self.doctor.id), self.doctor.number_sealed)
            tail = "不影响提交。" if mode == "warn" else "更正后才能提交。"
            found = doubts(kept, number, level=self.doctor.level, category=self.doctor.category)
            told = {name: sentence + tail for name, sentence in found.items()}
        return told | odd_dates(kept)

    def removed(self, kind: str) -> str | None:
        """The name of the entry that was taken off a list last and can be put back."""
        part = getattr(self.filing, PARTS[LISTS[kind].step]) if self.filing else {}
        gone = part.get(_gone(kind))
        return gone["entry"].get("name") if gone else None

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


def _theirs(kind: type[Assessment | Filing]) -> Select[Any]:
    return select(*whole(kind)).where(kind.tenant_id == TENANT, kind.cycle_id == an_id("cycle"), kind.doctor_id == an_id("doctor"))


_RECORD = Asked(lambda: _theirs(Assessment).order_by(Assessment.id.desc()).limit(1))
_FILING = Asked(lambda: _theirs(Filing))


def dossier_of(doctor: Doctor, cycle: Cycle, *, lock: bool = False) -> Dossier:
    """The dossier of `doctor` in `cycle`; `lock` holds record and filing for a change. Raises NotFound where there is no record."""
    found = _RECORD.one(Assessment, hold=(Assessment,) if lock else (), cycle=cycle.id, doctor=doctor.id)
    if found is None or found[0].state == "not_included":
        raise NotFound("您未被主要执业机构纳入本周期考核,如需参加考核,请联系本机构相关负责人。")
    filed = _FILING.one(Filing, hold=(Filing,) if lock else (), cycle=cycle.id, doctor=doctor.id)
    return Dossier(found[0], doctor, cycle, filed[0] if filed else None)


def filing_of(record: Assessment) -> Filing | None:
    """What the doctor of `record` filed in its cycle."""
    return db.session.scalar(select(Filing).where(Filing.cycle_id == record.cycle_id, Filing.doctor_id == record.doctor_id))


@dataclass
class Merge:
    """What a page sent, beside what is kept: the values that may be kept now, what is wrong with others, and which were changed meanwhile
    by another page or device (field → what is kept)."""

    values: dict[str, Any]
    faults: dict[str, str]
    conflicts: dict[str, Any]
    changed: set[str]


def merge(
    fields: Collection[Field], before: Mapping[str, Any], given: Mapping[str, list[str]], known: Mapping[str, str] | None, *,
    pens: Mapping[str, str] | None = None, pen: str = "", born: date | None = None,
) -> Merge:  # fmt: skip
    """Bring together what is kept (`before`) and what a page sends, field by field. `known` has the mark of each value that the page was
    shown: a field that the page left alone stays as it is kept; one that the page changed is taken where the kept value is the known one,
    or was written by this very page (`pen`); else both are told and nothing is overwritten. Without `known` the page's word holds."""
    names = [one.name for one in fields if known is None or one.name in known]
    typed = {one.name: as_form(before.get(one.name)) for one in fields} | {name: given.get(name, []) for name in names}
    touched = {name for name in names if [text.strip() for text in typed[name] if text.strip()] != as_form(before.get(name))}
    kept, faults = judge(fields, typed, born=born, changed=touched)
    merged = Merge(dict(before), {name: faults[name] for name in names if name in faults}, {}, set())
    for name in names:
        mine, theirs = mark_of(kept.get(name)), mark_of(before.get(name))
        if name in faults or mine == theirs:
            continue
        if known is not None and theirs != known[name] and not (pen and (pens or {}).get(name) == pen):
            if mine != known[name]:
                merged.conflicts[name] = before.get(name)
            continue
        merged.changed.add(name)
        merged.values.pop(name, None)
        if kept.get(name) not in (None, "", []):
            merged.values[name] = kept[name]
    return merged


def save(
    dossier: Dossier, step: int, given: Mapping[str, list[str]], revision: int, *, by: Actor, known: Mapping[str, str] | None = None, pen: str = ""
) -> dict[str, str]:
    """Keep what was typed on a step: what is sound of it, even if incomplete; gives what is wrong with the rest, field → sentence. A page
    that says what it was shown (`known`) is brought together field by field (see `merge`); of another, the `revision` must be the last.
    Raises Stale where a newer save is known, NotAllowed, Late."""
    merged = _merged(dossier, step, given, known, pen)
    filing = _begun(dossier, revision if known is None else None, by)
    if merged.conflicts:
        raise Stale(STALE)
    _write(filing, dossier, step, merged, pen)
    _touch(filing, by, PARTS[step])
    return merged.faults


def keep(dossier: Dossier, step: int, given: Mapping[str, list[str]], known: Mapping[str, str], pen: str, *, by: Actor) -> Merge:
    """Keep by itself what a page sends while it is filled in: the fields that `known` names, each for itself; one that can't be kept holds
    none up. It leaves no entry in the journal: drafts keep a trail of their own. Raises NotAllowed, Late."""
    merged = _merged(dossier, step, given, known, pen)
    if merged.changed:
        filing = _begun(dossier, None, by)
        _write(filing, dossier, step, merged, pen)
        filing.revision += 1
        filing.saved_at = clock.now()
        db.session.flush()
    else:
        _changeable(dossier)
    return merged


def differences(
    dossier: Dossier, step: int, given: Mapping[str, list[str]], known: Mapping[str, str] | None = None, pen: str = ""
) -> list[tuple[Field, str, str]]:
    """Where a page that is older than what is kept differs from it: the field, what the page has, what is kept."""
    conflicts = _merged(dossier, step, given, known, pen).conflicts if known is not None else None
    typed, _ = judge(dossier.fields(step), given)
    kept = _kept(dossier, step)
    pairs = (
        (one, _words_of(one, typed.get(one.name), given), words(one, kept.get(one.name)))
        for one in dossier.fields(step) if conflicts is None or one.name in conflicts
    )  # fmt: skip
    return [(one, mine or "空", theirs or "空") for one, mine, theirs in pairs if mine != theirs]


def _merged(dossier: Dossier, step: int, given: Mapping[str, list[str]], known: Mapping[str, str] | None, pen: str) -> Merge:
    held = dossier.filing.pens if dossier.filing else {}
    pens = {place.partition(".")[2]: holder for place, holder in held.items() if place.startswith(f"{step}.")}
    return merge(dossier.fields(step), dossier.sound(step), given, known, pens=pens, pen=pen, born=dossier.born())


def _write(filing: Filing, dossier: Dossier, step: int, merged: Merge, pen: str) -> None:
    before = dict(getattr(filing, PARTS[step]))
    names = {one.name for one in dossier.fields(step)}
    part = {name: value for name, value in before.items() if name not in names} | {"saved": True}
    for name, value in merged.values.items():
        if name not in SEALED or step != 2:
            part[name] = value
    if step == 2:
        for name in SEALED:
            plain = merged.values.get(name)
            if plain != numbers_of(filing).get(name):
                setattr(filing, f"{name}_sealed", vault().seal(Place("filing", name, filing.id), plain) if plain else None)
    if step == 4:
        told, now = before.get(CHOSEN_FROM, {}), terms_of(filing).direct_fail
        part[CHOSEN_FROM] = {code: told.get(code) or now[code] for code in part.get("direct_fail_which", [])}
    setattr(filing, PARTS[step], part)
    pens = {place: holder for place, holder in filing.pens.items() if place not in {f"{step}.{name}" for name in merged.changed}}
    filing.pens = pens | ({f"{step}.{name}": pen for name in merged.changed} if pen else {})


def version_of(entry: Mapping[str, Any]) -> str:
    """What an entry's page carries, so that it can be seen whether the entry was changed meanwhile."""
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()[:16]


def save_entry(
    dossier: Dossier, kind: str, entry: str, given: Mapping[str, list[str]], *, by: Actor, version: str | None = None
) -> tuple[str, dict[str, str]]:
    """Keep one entry of a list (`entry` is its id, or «new»); gives its id, and faults as `save` does: where there are any nothing is
    kept. Raises Stale where it is no longer the `version` that the page showed."""
    of = _list(kind)
    kept, faults = judge(of.fields, given, born=dossier.born(), within=dossier.span())
    faults |= {one.name: f"请填写{one.label}。" for one in missing(of.fields, kept) if one.name not in faults}
    if faults:
        return entry, faults
    filing = _begun(dossier, None, by)
    part = dict(getattr(filing, PARTS[of.step]))
    entries = [dict(one) for one in part.get(kind, [])]
    if entry == "new":
        if len(entries) >= MOST_ENTRIES:
            raise Invalid(f"{of.label}最多{MOST_ENTRIES}条,请合并后再添加。")
        same = next((one for one in entries if {name: value for name, value in one.items() if name != "id"} == kept), None)
        entry = same["id"] if same else uuid4().hex
        if same is None:
            entries.append(kept | {"id": entry})
    else:
        found = next((one for one in entries if one["id"] == entry), None)
        if found is None:
            raise NotFound(NO_ENTRY)
        if version and version != version_of(found):
            raise Stale(STALE)
        entries[entries.index(found)] = kept | {"id": entry}
    part[kind] = entries
    setattr(filing, PARTS[of.step], part)
    _touch(filing, by, kind)
    return entry, {}


def remove_entry(dossier: Dossier, kind: str, entry: str, *, by: Actor) -> None:
    """Take an entry off its list; the last one taken off can be put back until submission, with its proofs. What is gone already is no
    fault."""
    of = _list(kind)
    filing = _begun(dossier, None, by)
    part = dict(getattr(filing, PARTS[of.step]))
    entries = part.get(kind, [])
    place = next((place for place, one in enumerate(entries) if one["id"] == entry), None)
    if place is None:
        return
    part[_gone(kind)] = {"entry": entries[place], "place": place}
    part[kind] = entries[:place] + entries[place + 1 :]
    setattr(filing, PARTS[of.step], part)
    forget_loose_proofs(dossier, by=by)
    _touch(filing, by, kind)


def restore_entry(dossier: Dossier, kind: str, *, by: Actor) -> None:
    """Put back the entry that was taken off last; what is back already is no fault. Raises Invalid where the list is full."""
    of = _list(kind)
    filing = _begun(dossier, None, by)
    part = dict(getattr(filing, PARTS[of.step]))
    gone, entries = part.pop(_gone(kind), None), list(part.get(kind, []))
    if gone is None or any(one["id"] == gone["entry"]["id"] for one in entries):
        return
    if len(entries) >= MOST_ENTRIES:
        raise Invalid(f"{of.label}最多{MOST_ENTRIES}条,请先删除不需要的。")
    entries.insert(gone["place"], gone["entry"])
    part[kind] = entries
    setattr(filing, PARTS[of.step], part)
    _touch(filing, by, kind)


def move_entry(dossier: Dossier, kind: str, entry: str, place: int, *, by: Actor) -> None:
    """Put an entry at a place of its list (0 is the first); asked twice it stands there once. What is gone meanwhile is no fault."""
    of = _list(kind)
    filing = _begun(dossier, None, by)
    part = dict(getattr(filing, PARTS[of.step]))
    entries = list(part.get(kind, []))
    found = next((one for one in entries if one["id"] == entry), None)
    if found is None or not 0 <= place < len(entries) or entries[place] is found:
        return
    entries.remove(found)
    entries.insert(place, found)
    part[kind] = entries
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
    filing = _begun(dossier, None, by)
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


def keep_proof(dossier: Dossier, name: str, content: bytes, *, by: Actor, entry: UUID | None = None) -> UUID:
    """A proof (证明材料), of an `entry` of a list where one is named (domain.md §2.1, step 4): a picture or a PDF, checked and rewritten.
    Gives the document's id. Raises Invalid, TooLarge, Unavailable, NotFound for an entry that carries none."""
    rewritten, content_type = pictures.document(content)
    _begun(dossier, None, by)
    _room(dossier, entry)
    proof = new_id()
    store().put("proof", proof, rewritten, content_type)
    row = Document(
        id=proof, doctor_id=dossier.doctor.id, cycle_id=dossier.cycle.id, kind="proof", name=plain_name(name),
        content_type=content_type, size=len(rewritten), entry_id=entry,
    )  # fmt: skip
    db.session.add(row)
    journal.write("document", proof, "proof_kept", by=by)
    return proof


def remove_proof(dossier: Dossier, proof: UUID, *, by: Actor) -> None:
    """Take a proof off; the store's object goes with it."""
    _begun(dossier, None, by)
    if any(one.id == proof for one in _proofs(dossier.record)):
        _forget("proof", proof)
        journal.write("document", proof, "proof_removed", by=by)


def proofs_of(record: Assessment) -> list[Document]:
    """The proofs handed in for the record's cycle that belong to no entry of a list."""
    return [one for one in _proofs(record) if one.entry_id is None]


def proofs_by_entry(record: Assessment) -> dict[str, list[Document]]:
    """The proofs of entries of lists, by the entry's id."""
    found: dict[str, list[Document]] = {}
    for one in _proofs(record):
        if one.entry_id is not None:
            found.setdefault(one.entry_id.hex, []).append(one)
    return found


def proof_of(record: Assessment, proof: UUID) -> Document:
    """A proof of the record's, whether of an entry or not. Raises NotFound for any other, and while its entry is taken off."""
    row = next((one for one in _proofs(record) if one.id == proof), None)
    if row is None or (row.entry_id is not None and row.entry_id.hex not in _carriers(filing_of(record))):
        raise NotFound
    return row


def forget_loose_proofs(dossier: Dossier, *, by: Actor) -> None:
    """Forget the proofs of entries that were taken off and can't be put back any more."""
    carriers = _carriers(dossier.filing) | _carriers(dossier.filing, gone=True)
    for entry, rows in proofs_by_entry(dossier.record).items():
        for row in rows if entry not in carriers else ():
            _forget("proof", row.id)
            journal.write("document", row.id, "proof_removed", by=by)


_PROOFS = Asked(
    lambda: select(*whole(Document))
    .where(Document.tenant_id == TENANT, Document.doctor_id == an_id("doctor"), Document.cycle_id == an_id("cycle"), Document.kind == "proof")
    .order_by(Document.id)
)


def _proofs(record: Assessment) -> list[Document]:
    return [row for row, in _PROOFS.objects(Document, doctor=record.doctor_id, cycle=record.cycle_id)]


def _carriers(filing: Filing | None, *, gone: bool = False) -> set[str]:
    """The ids of the entries that may carry proofs; with `gone`, of those that were taken off and can be put back."""
    found = set[str]()
    for kind, of in LISTS.items():
        part = getattr(filing, PARTS[of.step]) if filing and of.proofs else {}
        removed = part.get(_gone(kind))
        found |= {one["id"] for one in (([removed["entry"]] if removed else []) if gone else part.get(kind, []))}
    return found


def _room(dossier: Dossier, entry: UUID | None) -> None:
    """Raises Invalid where there are as many proofs as there may be, NotFound for an entry that carries none."""
    if entry is None:
        most, kept = MOST_PROOFS, proofs_of(dossier.record)
    elif entry.hex in _carriers(dossier.filing):
        most = next(of.proofs for kind, of in LISTS.items() if any(one["id"] == entry.hex for one in dossier.entries(kind)))
        kept = proofs_by_entry(dossier.record).get(entry.hex, [])
    else:
        raise NotFound(NO_ENTRY)
    if len(kept) >= most:
        raise Invalid(FULL.format(most), "proof")


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
        told += _unsound(dossier, step, kept)
        for kind, of in LISTS.items():
            if of.step == step and of.one_at_least and not dossier.entries(kind):
                told.append(Lack(step, kind, f"{of.label}至少填写一条。"))
    told += _lacks_of_conduct(dossier) + _lacks_of_procedure(dossier)
    places = {one.name: place for step in STEPS for place, one in enumerate(dossier.fields(step))} | {"photo": -1, "good_records": 0, "bad_records": 1}
    return sorted(told, key=lambda lack: (lack.step, places.get(lack.anchor, 0)))


def _unsound(dossier: Dossier, step: int, kept: Mapping[str, Any]) -> list[Lack]:
    """What was kept field by field, or while another rule held, and can't be handed in as it stands now."""
    fields = dossier.fields(step)
    _, faults = judge(fields, {one.name: as_form(kept.get(one.name)) for one in fields}, born=dossier.born())
    if step == 2 and settings.value("certificate_number_check") == "block":
        faults = {name: sentence for name, sentence in dossier.doubts(2).items() if name in SEALED} | faults
    told = [Lack(step, name, sentence) for name, sentence in faults.items()]
    for kind, of in LISTS.items():
        if of.step == step and counts(kind, kept):
            for entry in dossier.entries(kind):
                _, wrong = judge(of.fields, {one.name: as_form(entry.get(one.name)) for one in of.fields}, born=dossier.born(), within=dossier.span())
                told += [Lack(step, kind, f"{of.label}“{entry.get('name', '')}”:{sentence}") for sentence in wrong.values()]
    return told


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
    ground, known = kept.get("ground"), {one.code: one for one in grounds(dossier)}
    if not ground:
        told.append(Lack(5, "ground", "选择简易程序的,请选择适用条件。"))
    elif ground in known and ground not in eligible(dossier) and not flags_only():
        told.append(Lack(5, "ground", f"您目前不符合“{known[ground].text}”。{known[ground].why}请核对所填内容,或选择一般程序。"))
    least, now = terms_of(dossier.filing).report_least, written(str(kept.get("report", "")))
    if now < least:
        told.append(Lack(5, "report", f"述职报告不少于{least}字,现有{now}字。"))
    return told


def grounds(dossier: Dossier) -> list[Ground]:
    """The grounds for 简易程序 (§1.4) as things are filed, each with whether it holds and why."""
    conduct, registered = _kept(dossier, 4), dossier.part(2).get("registered")
    facts = Facts(
        date.fromisoformat(registered) if registered else None, dossier.cycle.ends_on, conduct.get("good_record"), conduct.get("bad_record"),
        len(dossier.entries("good_records")),
    )  # fmt: skip
    return grounds_of(facts, terms_of(dossier.filing), {"good": settings.value("simple_proof_good"), "clean": settings.value("simple_proof_clean")})


def chosen_ground(dossier: Dossier) -> Ground | None:
    """The ground on which 简易程序 was chosen, with whether it holds, for whoever reviews it; None for 一般程序."""
    kept = _kept(dossier, 5)
    return next((one for one in grounds(dossier) if one.code == kept.get("ground")), None) if kept.get("procedure") == "simple" else None


def eligible(dossier: Dossier) -> set[str]:
    """The grounds on which this doctor may choose 简易程序 (§1.4): those that hold, and those only the institution can tell."""
    return {one.code for one in grounds(dossier) if one.holds is not False}


def flags_only() -> bool:
    """Whether the province lets a doctor choose 简易程序 though nothing filed speaks for it, for the institution to look at."""
    return bool(settings.value("simple_without_ground") == "flag")


def terms_of(filing: Filing | None) -> Terms:
    """What the province asks differently now. What fails a doctor directly keeps, where it was chosen, the words it was chosen from."""
    value, chosen = settings.value, chosen_from(filing)
    return Terms(
        value("simple_years_with_good_record"), value("simple_years_without_bad_record"), tuple(value("simple_other_cases")),
        value("simple_report_least"), frozenset(value("filing_also_needed")), frozenset(value("filing_not_needed")),
        dict(sorted(({line[:2]: line for line in value("direct_fail_list")} | chosen).items())),
    )  # fmt: skip


def chosen_from(filing: Filing | None) -> dict[str, str]:
    """Of what fails a doctor directly, what was chosen: code → the words it was chosen from."""
    found: dict[str, str] = filing.performance.get(CHOSEN_FROM, {}) if filing else {}
    return found


def submit(dossier: Dossier, *, by: Actor) -> None:
    """Hand the filing in to the institution (§11 nos. 4 and 7). Raises Invalid with the first lack, NotAllowed, Late."""
    found = lacks(dossier)
    if found:
        raise Invalid(found[0].sentence)
    moves.submit(dossier.record, by=by, procedure=_kept(dossier, 5)["procedure"])
    filing = dossier.filing
    for step in STEPS:
        part = dict(getattr(filing, PARTS[step]))
        setattr(filing, PARTS[step], {name: value for name, value in part.items() if name not in {_gone(kind) for kind in LISTS}})
    forget_loose_proofs(dossier, by=by)
    if filing:
        filing.pens = {}


def withdraw(dossier: Dossier, *, by: Actor) -> None:
    """Take the filing back (§11 no. 5), while nobody has opened it and enrolment lasts: later it could not be handed in again.
    Raises NotAllowed, Late."""
    if not is_open(dossier.cycle, "filing"):
        raise Late("报名已截止,撤回后将不能重新提交,因此不能撤回。如需修改,请联系本机构退回。")
    moves.withdraw(dossier.record, by=by)


_NOTICE_READ = Asked(
    lambda: select(NoticeReading.id).where(
        NoticeReading.tenant_id == TENANT, NoticeReading.doctor_id == an_id("doctor"), NoticeReading.cycle_id == an_id("cycle"),
        NoticeReading.digest == bindparam("digest"),
    )
)  # fmt: skip


def has_read_notice(doctor: Doctor, cycle: Cycle) -> bool:
    """Whether the doctor has confirmed the user notice that stands now [S5]."""
    return bool(_NOTICE_READ.rows(doctor=doctor.id, cycle=cycle.id, digest=notice_digest()))


def read_notice(doctor: Doctor, cycle: Cycle, *, by: Actor) -> None:
    """Note that the doctor has read and understood the user notice [S5]; once a cycle and version of the text."""
    db.session.scalars(select(Doctor.id).where(Doctor.id == doctor.id).with_for_update()).one()
    if not has_read_notice(doctor, cycle):
        db.session.add(NoticeReading(doctor_id=doctor.id, cycle_id=cycle.id, digest=notice_digest()))
        journal.write("doctor", doctor.id, "notice_read", by=by, cycle=str(cycle.id))


@dataclass(frozen=True)
class Section:
    """Part of a filing as a reviewer reads it: facts (label, value) and tables of entries; `marks` and `table_marks` name, beside each,
    what a returning reviewer may mark; `table_proofs` has, beside each table, the proofs of each row, None where its rows carry none."""

    title: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    tables: list[tuple[str, list[str], list[list[str]]]] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    table_marks: list[str] = field(default_factory=list)
    table_proofs: list[list[list[Document]] | None] = field(default_factory=list)


def shown(dossier: Dossier, *, revealed: bool = False) -> list[Section]:
    """The filing by sections; the two certificate numbers masked unless `revealed`."""
    sections, carried = [], proofs_by_entry(dossier.record)
    for step, title in STEPS.items():
        kept = dossier.part(step)
        facts, marks, table_marks, table_proofs = [], [], [], []
        for one in dossier.fields(step):
            value = words(one, kept.get(one.name)) if counts(one.name, kept) else ""
            if one.name in SEALED and value and not revealed:
                value = value[:4] + "*" * max(len(value) - 8, 4) + value[-4:]
            if value or one.needed:
                facts.append((one.label, value or "未填写"))
                marks.append(f"{step}.{one.name}")
        tables = []
        for kind, of in LISTS.items():
            if of.step == step and (of.one_at_least or dossier.entries(kind)) and counts(kind, kept):
                rows = [[words(one, entry.get(one.name)) or ("至今" if one.name == "until" else "") for one in of.fields] for entry in dossier.entries(kind)]
                tables.append((of.label, [one.label for one in of.fields], rows))
                table_marks.append(f"{step}.{kind}")
                table_proofs.append([carried.get(entry["id"], []) for entry in dossier.entries(kind)] if of.proofs else None)
        sections.append(Section(title, facts, tables, marks, table_marks, table_proofs))
    return sections


def last_day(cycle: Cycle) -> date | None:
    """The last day of enrolment."""
    phase = phases_of(cycle).get("filing")
    return phase.last_day if phase else None


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


def _gone(kind: str) -> str:
    return f"{kind}_removed"


def _changeable(dossier: Dossier) -> None:
    """Raises NotAllowed or Late where the doctor can't change the filing now."""
    if not dossier.editable():
        raise NotAllowed("信息已提交,不能直接修改。机构开始审核前可以撤回;审核开始后请联系本机构退回。")
    if dossier.record.state == "included":
        if not has_read_notice(dossier.doctor, dossier.cycle):
            raise NotAllowed("请先在主页阅读用户告知书并点击“确定”,再填报信息。")
    elif not is_open(dossier.cycle, "filing") and not (dossier.record.state == "institution_returned" and is_open(dossier.cycle, "review")):
        raise Late("报名已截止,不能再修改。您已保存的内容还在,请联系本机构。")


def _begun(dossier: Dossier, revision: int | None, by: Actor) -> Filing:
    """The filing, begun where it isn't; refused where the record can't be changed now, or the page, by its `revision`, is older than what
    is kept."""
    _changeable(dossier)
    if dossier.record.state == "included":
        moves.begin_filing(dossier.record, by=by)
    if dossier.filing is None:
        dossier.filing = Filing(
            id=new_id(), doctor_id=dossier.doctor.id, cycle_id=dossier.cycle.id, revision=0, basic={}, practice={}, experience={}, performance={},
            procedure={}, pens={},
        )  # fmt: skip
        db.session.add(dossier.filing)
        db.session.flush()
    elif revision is not None and dossier.filing.revision != revision:
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
    _room(mine, None)


def _admit_entry_proof(subject: UUID | None, by: Actor) -> None:
    mine = _own(by, lock=False)
    _changeable(mine)
    _room(mine, _named(subject))


def _keep_entry_proof(subject: UUID | None, name: str, content: bytes, by: Actor) -> UUID:
    return keep_proof(_own(by, lock=True), name, content, by=by, entry=_named(subject))


def _named(subject: UUID | None) -> UUID:
    if subject is None:
        raise NotFound
    return subject


uploads.register("filing_photo", _admit_photo, lambda _subject, _name, content, by: keep_photo(_own(by, lock=True), content, by=by))
uploads.register("filing_proof", _admit_proof, lambda _subject, name, content, by: keep_proof(_own(by, lock=True), name, content, by=by))
uploads.register("filing_entry_proof", _admit_entry_proof, _keep_entry_proof)


def notice_digest() -> bytes:
    """By what the user notice that stands now is known."""
    return hashlib.sha256(str(settings.value("user_notice")).encode()).digest()
