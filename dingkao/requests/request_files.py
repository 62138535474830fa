"""The files of a request: proofs and the new photo."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from sqlalchemy import delete, select

from dingkao.assessments.models import Assessment
from dingkao.database.arrays import in_array
from dingkao.database.base import db, new_id
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidInput, NotFound
from dingkao.filings.filing_documents import clean_file_name
from dingkao.filings.photo_settings import photo_rules
from dingkao.integrations.images import images
from dingkao.integrations.storage import current_store
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.requests.drafting import require_draft
from dingkao.requests.models import Request, RequestFile
from dingkao.requests.request_queries import get_request
from dingkao.uploads import chunked_uploads as uploads

MAX_FILES = 10
FILE_KIND = "request-proof"


def list_files(doctor_request: Request) -> list[RequestFile]:
    """The files of a request, the oldest first."""
    query = select(RequestFile).where(RequestFile.request_id == doctor_request.id)
    return list(db.session.scalars(query.order_by(RequestFile.id)))


def files_by_request(request_ids: Iterable[UUID]) -> dict[UUID, list[RequestFile]]:
    """Request id → its files, the oldest first; requests without files are left out. For the requests of one
    page."""
    query = select(RequestFile).where(in_array(RequestFile.request_id, request_ids))
    files: dict[UUID, list[RequestFile]] = {}
    for file in db.session.scalars(query.order_by(RequestFile.id)):
        files.setdefault(file.request_id, []).append(file)
    return files


def save_file(
    doctor_request: Request,
    name: str,
    content: bytes,
    *,
    by: Actor,
    photo: bool = False,
) -> RequestFile:
    """Store a proof, or with `photo` the photo that is to replace the filed one (in place of an earlier one
    of the request), after checking and re-encoding it; the request is locked. Writes a journal entry. Raises
    InvalidInput (also beyond MAX_FILES), TooLarge, Unavailable, InvalidState unless it is a draft."""
    require_draft(doctor_request)
    if photo:
        rewritten = images.process_portrait(content, photo_rules())[0]
        content_type = "image/jpeg"
    else:
        rewritten, content_type = images.process_document(content)
    if photo:
        _delete_photo(doctor_request)
    _require_file_capacity(doctor_request)
    file = RequestFile(
        id=new_id(),
        request_id=doctor_request.id,
        kind="photo" if photo else "proof",
        name="新照片" if photo else clean_file_name(name),
        content_type=content_type,
        size=len(rewritten),
    )
    current_store().put(FILE_KIND, file.id, rewritten)
    db.session.add(file)
    db.session.flush()
    journal.write_entry(
        "request",
        doctor_request.id,
        "file_kept",
        by=by,
        file=str(file.id),
    )
    return file


def _delete_photo(doctor_request: Request) -> None:
    """Delete the request's photo, if it has one; its proofs stay."""
    for file in list_files(doctor_request):
        if file.kind == "photo":
            delete_file(file)


def _find_file(doctor_request: Request, file_id: UUID) -> RequestFile | None:
    """The request's file with this id; None if it has none."""
    return next(
        (file for file in list_files(doctor_request) if file.id == file_id),
        None,
    )


def remove_file(doctor_request: Request, file_id: UUID, *, by: Actor) -> None:
    """Delete a file of a draft (locked), with a journal entry; does nothing if the request has no such file.
    Raises InvalidState unless it is a draft."""
    require_draft(doctor_request)
    file = _find_file(doctor_request, file_id)
    if file:
        delete_file(file)
        journal.write_entry(
            "request",
            doctor_request.id,
            "file_removed",
            by=by,
            file=str(file_id),
        )


def file_content(doctor_request: Request, file_id: UUID) -> tuple[bytes, str]:
    """Returns a file of a request and its content type. Raises NotFound, Unavailable."""
    file = _find_file(doctor_request, file_id)
    if file is None:
        raise NotFound
    return current_store().get(FILE_KIND, file.id), file.content_type


def _require_file_capacity(doctor_request: Request) -> None:
    """Raises InvalidInput if the request has MAX_FILES files."""
    if len(list_files(doctor_request)) >= MAX_FILES:
        raise InvalidInput(f"材料最多{MAX_FILES}件，请先删除不需要的。", "file")


def delete_file(file: RequestFile) -> None:
    """Delete the row now, and enqueue the deletion of the file for after the commit; whose request it is of,
    and in which state, isn't asked."""
    db.session.execute(delete(RequestFile).where(RequestFile.id == file.id))
    enqueueing.enqueue(
        "forget_request_file",
        "删除材料",
        {"file": str(file.id)},
        by=None,
    )


@worker.register_job("forget_request_file")
def delete_file_job(job: Job, _report_progress: worker.ProgressCallback) -> None:
    """Delete the file from the store, if its row is deleted."""
    file_id = UUID(job.arguments["file"])
    if db.session.scalar(select(RequestFile.id).where(RequestFile.id == file_id)) is None:
        current_store().delete(FILE_KIND, file_id)


# --- uploads in chunks


def _own_request_for_update(subject: UUID | None, by: Actor) -> Request:
    """Returns the request `subject` of the doctor who acts; record and request are locked. Raises
    NotFound."""
    is_of_doctor = (Doctor.tenant_id == Assessment.tenant_id) & (Doctor.id == Assessment.doctor_id)
    record_ids = select(Request.assessment_id).where(Request.id == subject)
    record = db.session.scalar(
        select(Assessment)
        .join(Doctor, is_of_doctor)
        .where(Assessment.id.in_(record_ids), Doctor.account_id == by.id)
        .with_for_update(of=Assessment)
    )
    if record is None or subject is None:
        raise NotFound
    return get_request(subject, record, for_update=True)


def _authorize_upload(subject: UUID | None, by: Actor) -> None:
    """Raises NotFound, InvalidState or InvalidInput if no file can be added to the request now. Locks record
    and request."""
    doctor_request = _own_request_for_update(subject, by)
    require_draft(doctor_request)
    _require_file_capacity(doctor_request)


def _accept_upload(
    subject: UUID | None,
    name: str,
    content: bytes,
    by: Actor,
    _fields: Mapping[str, str],
) -> UUID:
    """Store an uploaded proof with the request `subject` of the doctor who acts, which is locked after its
    record; returns the file's id. Raises NotFound, InvalidState unless it is a draft, InvalidInput, TooLarge,
    Unavailable."""
    return save_file(_own_request_for_update(subject, by), name, content, by=by).id


uploads.register_purpose("request_proof", _authorize_upload, _accept_upload)
