"""The photo and the proofs (证明材料) of a filing: checked, stored, listed, deleted. A file is stored at
once, and stays even if the transaction is rolled back; it is deleted by a job after the commit."""

import re
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from sqlalchemy import delete, select

from dingkao.assessments.current_records import cycle_of_doctor
from dingkao.assessments.models import Assessment
from dingkao.database.arrays import in_array
from dingkao.database.base import db, new_id
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidInput, NotFound
from dingkao.filings.assistance_marks import update_assistance_mark
from dingkao.filings.dossier import (
    ENTRY_NOT_FOUND_MESSAGE,
    Dossier,
    column_values,
    dossier_of,
    filing_of,
    removed_entry_key,
    require_changeable,
)
from dingkao.filings.entry_list_fields import ENTRY_LISTS
from dingkao.filings.fields import STEPS
from dingkao.filings.models import DOCUMENT_KINDS, Document, Filing
from dingkao.filings.photo_settings import photo_rules
from dingkao.filings.saving import (
    create_filing,
    get_or_create_filing,
    update_revision,
)
from dingkao.integrations.images import images
from dingkao.integrations.storage import current_store
from dingkao.jobs.enqueueing import enqueue
from dingkao.jobs.models import Job
from dingkao.jobs.worker import ProgressCallback, register_job
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.tenants.prepared_statements import (
    TENANT_PARAM,
    PreparedStatement,
    all_columns,
    uuid_param,
)
from dingkao.uploads import chunked_uploads as uploads

MAX_PROOFS = 10
MAX_PROOF_BYTES = images.MAX_DOCUMENT_BYTES
"""As much as `images.process_document` accepts."""
TOO_MANY_PROOFS_MESSAGE = "证明材料最多{}件，请先删除不需要的。"
_PROOF_LIMITS = uploads.UploadLimits(MAX_PROOF_BYTES)
_LISTS_WITH_PROOFS = {kind: entry_list for kind, entry_list in ENTRY_LISTS.items() if entry_list.proofs}


def save_photo(dossier: Dossier, content: bytes, *, by: Actor) -> UUID:
    """Store the photo (近期免冠照片) [S7], checked with the province's rules and re-encoded, together with
    hints of the checks; the earlier photo is deleted. The dossier is locked; a record that is only included
    becomes a draft. Journals it and counts a revision. Returns the document's id. Raises InvalidInput,
    TooLarge, Unavailable, InvalidState, DeadlinePassed."""
    portrait = images.process_portrait(content, photo_rules())
    filing = get_or_create_filing(dossier, None, by)
    photo_id = _store_photo(filing, portrait)
    update_revision(filing, by, "photo", 1)
    journal.write_entry(
        "filing",
        filing.id,
        "photo_kept",
        by=by,
        document=str(photo_id),
    )
    return photo_id


def replace_photo(dossier: Dossier, portrait: images.Portrait, *, by: Actor) -> None:
    """Make a checked photo that of the filing (record and filing are locked), whether the doctor has begun to
    file or not: neither the record's state nor what a page of the doctor may save changes. The earlier photo
    is deleted, and the change journalled. Raises Unavailable."""
    dossier.filing = dossier.filing or create_filing(dossier)
    photo_id = _store_photo(dossier.filing, portrait)
    db.session.flush()
    journal.write_entry(
        "filing",
        dossier.filing.id,
        "photo_imported",
        by=by,
        document=str(photo_id),
    )


def _store_photo(filing: Filing, portrait: images.Portrait) -> UUID:
    """Store a photo, make it that of a filing (row locked) and delete the earlier one. Returns the document's
    id. Raises Unavailable."""
    photo_id = new_id()
    current_store().put("photo", photo_id, portrait.content)
    document = Document(
        id=photo_id,
        doctor_id=filing.doctor_id,
        cycle_id=filing.cycle_id,
        kind="photo",
        name="照片",
        content_type="image/jpeg",
        size=len(portrait.content),
        hints=portrait.hints,
    )
    db.session.add(document)
    if filing.photo_id:
        _delete_document("photo", filing.photo_id)
    filing.photo_id = photo_id
    return photo_id


def photo_hints(filing: Filing | None) -> list[str]:
    """Returns the hints of the photo's checks as sentences, for doctor and reviewer."""
    codes = _hint_codes(filing.photo_id) if filing else []
    return [images.HINTS[code] for code in codes if code in images.HINTS]


def _hint_codes(photo_id: UUID | None) -> list[str]:
    """Returns the stored hint codes of a photo, or []."""
    if photo_id is None:
        return []
    return db.session.scalar(select(Document.hints).where(Document.id == photo_id)) or []


def photo_content(filing: Filing) -> bytes | None:
    """Returns the photo as JPEG; None if there is none. Raises Unavailable, and NotFound if its file is
    missing."""
    return current_store().get("photo", filing.photo_id) if filing.photo_id else None


def save_proof(
    dossier: Dossier,
    name: str,
    content: bytes,
    *,
    by: Actor,
    entry_id: UUID | None = None,
) -> UUID:
    """Store a proof (证明材料), a picture or PDF that is checked and rewritten; for the entry `entry_id` of a
    list if given (domain.md §2.1, step 4). The dossier is locked; a record that is only included becomes a
    draft. Journals it, and counts no revision of the filing. Returns the document's id. Raises InvalidInput,
    TooLarge, Unavailable, InvalidState, DeadlinePassed, and NotFound for an entry without proofs."""
    rewritten, content_type = images.process_document(content)
    filing = get_or_create_filing(dossier, None, by)
    _require_proof_capacity(dossier, entry_id)
    update_assistance_mark(filing, _proof_step(dossier, entry_id), by)
    proof_id = new_id()
    current_store().put("proof", proof_id, rewritten)
    document = Document(
        id=proof_id,
        doctor_id=dossier.doctor.id,
        cycle_id=dossier.cycle.id,
        kind="proof",
        name=clean_file_name(name),
        content_type=content_type,
        size=len(rewritten),
        entry_id=entry_id,
    )
    db.session.add(document)
    journal.write_entry("document", proof_id, "proof_kept", by=by)
    return proof_id


def remove_proof(dossier: Dossier, proof_id: UUID, *, by: Actor) -> None:
    """Delete a proof, its file after the commit, and journal it; if the record has no such proof, only the
    filing is begun. The dossier is locked; the filing of a record that is only included is created and begun.
    Raises InvalidState, DeadlinePassed."""
    filing = get_or_create_filing(dossier, None, by)
    if proof := _find_proof(dossier.record, proof_id):
        update_assistance_mark(filing, _proof_step(dossier, proof.entry_id), by)
        _delete_proof(proof_id, by)


def _proof_step(dossier: Dossier, entry_id: UUID | None) -> int:
    """Returns the step on whose page a proof stands: that of its entry's list, or the last one."""
    if entry_id is not None:
        for kind, entry_list in _LISTS_WITH_PROOFS.items():
            if dossier.find_entry(kind, entry_id.hex):
                return entry_list.step
    return max(STEPS)


def unattached_proofs(record: Assessment) -> list[Document]:
    """Returns the proofs of the record's cycle that belong to no entry of a list."""
    return [proof for proof in _all_proofs(record) if proof.entry_id is None]


def filed_documents(dossier: Dossier) -> list[Document]:
    """Returns photo and proofs of a filing, the photo first, without proofs of entries that were removed."""
    return documents_by_doctor([dossier]).get(dossier.doctor.id, [])


def documents_by_doctor(dossiers: Sequence[Dossier]) -> dict[UUID, list[Document]]:
    """Returns the doctor's id → what `filed_documents` returns for the dossier, for dossiers of one cycle, at
    most 5,000, by one query; doctors without documents are left out."""
    if not dossiers:
        return {}
    filings = {dossier.doctor.id: dossier.filing for dossier in dossiers}
    query = select(Document).where(
        in_array(Document.doctor_id, filings), Document.cycle_id == dossiers[0].cycle.id
    )
    documents: dict[UUID, list[Document]] = {}
    for document in db.session.scalars(query.order_by(Document.id)):
        documents.setdefault(document.doctor_id, []).append(document)
    return {
        doctor_id: _filed_documents_among(filings[doctor_id], stored)
        for doctor_id, stored in documents.items()
    }


def _filed_documents_among(filing: Filing | None, documents: Sequence[Document]) -> list[Document]:
    """Returns those of a doctor's documents (by id) that `filed_documents` returns, in its order."""
    entry_ids = _listed_entry_ids(filing)
    photos = [document for document in documents if filing and document.id == filing.photo_id]
    return photos + [
        document
        for document in documents
        if document.kind == "proof" and (document.entry_id is None or document.entry_id.hex in entry_ids)
    ]


def proofs_by_entry(record: Assessment) -> dict[str, list[Document]]:
    """Returns the entry's id (32 hexadecimal digits) → proofs of that entry, also of removed ones."""
    proofs: dict[str, list[Document]] = {}
    for proof in _all_proofs(record):
        if proof.entry_id is not None:
            proofs.setdefault(proof.entry_id.hex, []).append(proof)
    return proofs


def get_proof(record: Assessment, proof_id: UUID) -> Document:
    """Returns a proof of the record, with or without an entry. Raises NotFound for another one, or if its
    entry was removed."""
    proof = _find_proof(record, proof_id)
    if proof is None or _is_entry_removed(record, proof):
        raise NotFound
    return proof


def _find_proof(record: Assessment, proof_id: UUID) -> Document | None:
    """Returns the record's proof with that id, or None."""
    return next(
        (proof for proof in _all_proofs(record) if proof.id == proof_id),
        None,
    )


def _is_entry_removed(record: Assessment, proof: Document) -> bool:
    """Whether the proof belongs to an entry that is no longer in its list."""
    if proof.entry_id is None:
        return False
    return proof.entry_id.hex not in _listed_entry_ids(filing_of(record))


def delete_orphaned_proofs(dossier: Dossier, *, by: Actor) -> None:
    """Delete the proofs of entries that were removed and can no longer be restored, and journal it; their
    files go after the commit."""
    entry_ids = _listed_entry_ids(dossier.filing) | _removed_entry_ids(dossier.filing)
    for entry_id, proofs in proofs_by_entry(dossier.record).items():
        if entry_id not in entry_ids:
            _delete_proofs(proofs, by)


def _delete_proofs(proofs: Iterable[Document], by: Actor) -> None:
    for proof in proofs:
        _delete_proof(proof.id, by)


_PROOFS_STATEMENT = PreparedStatement(
    lambda: (
        select(*all_columns(Document))
        .where(
            Document.tenant_id == TENANT_PARAM,
            Document.doctor_id == uuid_param("doctor"),
            Document.cycle_id == uuid_param("cycle"),
            Document.kind == "proof",
        )
        .order_by(Document.id)
    ),
)


def _all_proofs(record: Assessment) -> list[Document]:
    """Returns all proofs of the record's doctor in its cycle, the oldest first, also those of removed
    entries."""
    proof_rows = _PROOFS_STATEMENT.fetch_objects(Document, doctor=record.doctor_id, cycle=record.cycle_id)
    return [proof for (proof,) in proof_rows]


def _listed_entry_ids(filing: Filing | None) -> set[str]:
    """Returns the ids (32 hexadecimal digits) of the entries, without removed ones, of the lists that have
    proofs."""
    entry_ids = set[str]()
    for kind, entry_list in _LISTS_WITH_PROOFS.items():
        entries = column_values(filing, entry_list.step).get(kind, [])
        entry_ids.update(entry["id"] for entry in entries)
    return entry_ids


def _removed_entry_ids(filing: Filing | None) -> set[str]:
    """Returns the ids (32 hexadecimal digits) of the removed entries that can be restored with their
    proofs."""
    entry_ids = set[str]()
    for kind, entry_list in _LISTS_WITH_PROOFS.items():
        removed = column_values(filing, entry_list.step).get(removed_entry_key(kind))
        if removed:
            entry_ids.add(removed["entry"]["id"])
    return entry_ids


def _require_proof_capacity(dossier: Dossier, entry_id: UUID | None) -> None:
    """Raises InvalidInput if the filing (or the entry) has as many proofs as allowed, NotFound for an entry
    without proofs."""
    if entry_id is None:
        max_proofs = MAX_PROOFS
        proofs = unattached_proofs(dossier.record)
    elif entry_id.hex in _listed_entry_ids(dossier.filing):
        max_proofs = _max_entry_proofs(dossier, entry_id)
        proofs = proofs_by_entry(dossier.record).get(entry_id.hex, [])
    else:
        raise NotFound(ENTRY_NOT_FOUND_MESSAGE)
    if len(proofs) >= max_proofs:
        raise InvalidInput(TOO_MANY_PROOFS_MESSAGE.format(max_proofs), "proof")


def _max_entry_proofs(dossier: Dossier, entry_id: UUID) -> int:
    """Returns how many proofs an entry may have; 0 for one that is in no list."""
    for kind, entry_list in ENTRY_LISTS.items():
        if dossier.find_entry(kind, entry_id.hex):
            return entry_list.proofs
    return 0


def _delete_proof(proof_id: UUID, by: Actor) -> None:
    """Delete a proof with its file (after the commit), and journal it."""
    _delete_document("proof", proof_id)
    journal.write_entry("document", proof_id, "proof_removed", by=by)


def _delete_document(kind: str, document_id: UUID) -> None:
    """Delete the row now, and enqueue the deletion of the file for after the commit, because a rollback must
    not lose the file."""
    db.session.execute(delete(Document).where(Document.id == document_id))
    arguments = {"kind": kind, "document": str(document_id)}
    enqueue(
        "forget_file",
        f"删除{DOCUMENT_KINDS[kind]}",
        arguments,
        by=None,
    )


@register_job("forget_file")
def delete_file_job(job: Job, _report_progress: ProgressCallback) -> None:
    """Delete the file from the store, if its row is deleted. Raises Unavailable."""
    document_id = UUID(job.arguments["document"])
    if db.session.scalar(select(Document.id).where(Document.id == document_id)) is None:
        current_store().delete(job.arguments["kind"], document_id)


def clean_file_name(name: str) -> str:
    """Returns a file's name for display: its last part, without invisible characters, of which the last 100
    characters at most; 证明材料 if nothing is left."""
    base_name = re.split(r"[/\\]", name)[-1]
    visible_name = "".join(filter(str.isprintable, base_name))
    return visible_name.strip()[-100:] or "证明材料"


# --- uploads in chunks


def _own_dossier(by: Actor, *, for_update: bool) -> Dossier:
    """Returns the dossier of the doctor who acts, in the doctor's current cycle. Raises NotFound."""
    doctor = db.session.scalar(select(Doctor).where(Doctor.account_id == by.id))
    cycle = cycle_of_doctor(doctor.id) if doctor else None
    if doctor is None or cycle is None:
        raise NotFound
    return dossier_of(doctor, cycle, for_update=for_update)


def _required_entry_id(subject: UUID | None) -> UUID:
    """Returns the id. Raises NotFound if it is None."""
    if subject is None:
        raise NotFound
    return subject


def _authorize_photo(_subject: UUID | None, by: Actor) -> None:
    """Raises InvalidState, DeadlinePassed or NotFound if the doctor can't change the filing now."""
    require_changeable(_own_dossier(by, for_update=False))


def _authorize_proof(_subject: UUID | None, by: Actor) -> None:
    """Raises InvalidState, DeadlinePassed or NotFound if the doctor can't change the filing now, InvalidInput
    if it has as many proofs without an entry as allowed."""
    dossier = _own_dossier(by, for_update=False)
    require_changeable(dossier)
    _require_proof_capacity(dossier, None)


def _authorize_entry_proof(subject: UUID | None, by: Actor) -> None:
    """Raises InvalidState, DeadlinePassed or NotFound if the doctor can't change the filing now, InvalidInput
    if the entry `subject` has as many proofs as allowed, NotFound for an entry without proofs."""
    dossier = _own_dossier(by, for_update=False)
    require_changeable(dossier)
    _require_proof_capacity(dossier, _required_entry_id(subject))


def _accept_photo(
    _subject: UUID | None,
    _name: str,
    content: bytes,
    by: Actor,
    _fields: Mapping[str, str],
) -> UUID:
    """Store an uploaded photo of the doctor who acts (dossier locked here); returns its id. Raises what
    `save_photo` raises, and NotFound for who takes no part."""
    return save_photo(_own_dossier(by, for_update=True), content, by=by)


def _accept_proof(
    _subject: UUID | None,
    name: str,
    content: bytes,
    by: Actor,
    _fields: Mapping[str, str],
) -> UUID:
    """Store an uploaded proof of the doctor who acts (dossier locked here); returns its id. Raises what
    `save_proof` raises, and NotFound for who takes no part."""
    return save_proof(_own_dossier(by, for_update=True), name, content, by=by)


def _accept_entry_proof(
    subject: UUID | None,
    name: str,
    content: bytes,
    by: Actor,
    _fields: Mapping[str, str],
) -> UUID:
    """Store an uploaded proof of the entry `subject` of the doctor who acts (dossier locked here); returns
    its id. Raises what `save_proof` raises, and NotFound without an entry and for who takes no part."""
    dossier = _own_dossier(by, for_update=True)
    return save_proof(
        dossier,
        name,
        content,
        by=by,
        entry_id=_required_entry_id(subject),
    )


uploads.register_purpose("filing_photo", _authorize_photo, _accept_photo)
uploads.register_purpose("filing_proof", _authorize_proof, _accept_proof, _PROOF_LIMITS)
uploads.register_purpose("filing_entry_proof", _authorize_entry_proof, _accept_entry_proof, _PROOF_LIMITS)
