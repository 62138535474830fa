"""Uploads in chunks (start, receive each chunk, finish), and the registry of upload purposes.

All chunks of an upload have the same size except the last. The row counts the received bytes and the store
holds the chunks, encrypted, so that a chunk sent twice changes nothing and a sender can ask how much has
arrived. A package gets its finished files through `register_purpose`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid5

from sqlalchemy import Select, case, delete, func, select

from dingkao import clock
from dingkao.database.base import db, new_id
from dingkao.errors import (
    InvalidInput,
    InvalidState,
    NotFound,
    RateLimited,
    TooLarge,
)
from dingkao.integrations.images.images import (
    MAX_DOCUMENT_BYTES,
    TOO_LARGE_MESSAGE,
)
from dingkao.integrations.storage import current_store
from dingkao.journal.entries import Actor
from dingkao.uploads.models import Upload

CHUNK_SIZE = 128 * 1024
MAX_OPEN_UPLOADS = 20
MAX_BYTES_PER_DAY = 200 * 1024 * 1024
UPLOAD_LIFETIME = timedelta(days=1)
CLEANUP_BATCH_SIZE = 200
UPLOAD_GONE_MESSAGE = "这次上传已取消或超过一天未完成，请重新选择文件。"


@dataclass(frozen=True)
class UploadLimits:
    """Limits of a purpose: `max_bytes` of a file, with the sentence (Chinese) for larger ones;
    `max_bytes_per_day` that one account may send (None: MAX_BYTES_PER_DAY); `chunk_size` in bytes (None:
    CHUNK_SIZE)."""

    max_bytes: int = MAX_DOCUMENT_BYTES
    too_large_message: str = TOO_LARGE_MESSAGE
    max_bytes_per_day: int | None = None
    chunk_size: int | None = None


AcceptUpload = Callable[[UUID | None, str, bytes, Actor, Mapping[str, str]], UUID]


@dataclass(frozen=True)
class UploadPurpose:
    """What an upload is for.

    `authorize` (subject, actor) raises a Refusal if the account may not upload for the subject now.
    `accept` (subject, file name, content, actor, other fields of the form) checks and stores the file and
    returns the document's id, or raises a Refusal.
    """

    authorize: Callable[[UUID | None, Actor], None]
    accept: AcceptUpload
    limits: UploadLimits = UploadLimits()


REGISTERED_PURPOSES: dict[str, UploadPurpose] = {}


class WrongOffset(InvalidState):
    """The chunk does not follow the bytes received so far; `received` is their number."""

    def __init__(self, received_bytes: int) -> None:
        super().__init__("文件没有接上，正在从断开处继续。")
        self.received = received_bytes


def register_purpose(
    purpose: str,
    authorize: Callable[[UUID | None, Actor], None],
    accept: AcceptUpload,
    limits: UploadLimits = UploadLimits(),
) -> None:
    """Register a purpose of uploads, by its name; see UploadPurpose. The package that accepts the files calls
    this when it is imported."""
    REGISTERED_PURPOSES[purpose] = UploadPurpose(authorize, accept, limits)


def chunk_size_of(upload: Upload) -> int:
    """Returns the chunk size of an upload in bytes."""
    purpose = REGISTERED_PURPOSES.get(upload.purpose)
    return (purpose and purpose.limits.chunk_size) or CHUNK_SIZE


def start_upload(
    purpose: str,
    subject: UUID | None,
    key: UUID,
    name: str,
    size: int,
    *,
    by: Actor,
) -> Upload:
    """Start an upload of `size` bytes, about the row `subject`. What the file holds is checked at its end, by
    the purpose's `accept`. `key` is chosen by the sender: with the key of an earlier upload of the account,
    that upload is returned in its present state and no new one starts, whatever else is given. Other starts
    of the account wait until the transaction ends.

    Raises InvalidInput for an empty file, TooLarge, RateLimited, NotFound for an unknown purpose, a cancelled
    upload or an actor without an account, and what the purpose's `authorize` raises."""
    if purpose not in REGISTERED_PURPOSES or by.id is None:
        raise NotFound
    earlier_upload = _find_earlier_upload(key, by)
    if earlier_upload is not None:
        return earlier_upload
    limits = REGISTERED_PURPOSES[purpose].limits
    _require_valid_size(size, limits)
    REGISTERED_PURPOSES[purpose].authorize(subject, by)
    _require_within_limits(by.id, size, limits.max_bytes_per_day or MAX_BYTES_PER_DAY)
    upload = Upload(
        id=new_id(),
        account_id=by.id,
        key=key,
        purpose=purpose,
        subject_id=subject,
        name=name[-200:],
        size=size,
    )
    db.session.add(upload)
    db.session.flush()
    return upload


def _find_earlier_upload(key: UUID, by: Actor) -> Upload | None:
    """Returns the account's upload that was started with `key`, or None. Raises NotFound if it was
    cancelled."""
    upload = db.session.scalar(_own_uploads(by).where(Upload.key == key))
    if upload is not None and upload.state == "cancelled":
        raise NotFound(UPLOAD_GONE_MESSAGE)
    return upload


def _require_valid_size(size: int, limits: UploadLimits) -> None:
    """Raises InvalidInput for an empty file, TooLarge for one above the purpose's limit."""
    if size <= 0:
        raise InvalidInput("文件是空的，请重新选择。")
    if size > limits.max_bytes:
        raise TooLarge(limits.too_large_message)


def receive_chunk(upload: UUID, offset: int, content: bytes, *, by: Actor) -> Upload:
    """Store the chunk (at once, even if the transaction is rolled back), of the account's upload with the id
    `upload`, that begins at byte `offset` (from 0), and return the upload, locked. A chunk that was received
    before, or one for a finished upload, changes nothing.

    Raises WrongOffset if it does not follow the bytes received so far, InvalidInput for a wrong length,
    NotFound for a missing or cancelled upload, Unavailable."""
    current = _upload_for_update(upload, by)
    if current.state == "done":
        return current
    _require_whole_chunk(current, offset, content)
    if offset == current.received:
        current_store().put("chunk", _chunk_id(current.id, offset), content)
        current.received = offset + len(content)
        db.session.flush()
    return current


def _require_whole_chunk(upload: Upload, offset: int, content: bytes) -> None:
    """Raise WrongOffset if a chunk begins neither where one that was received does nor after the last,
    InvalidInput for a wrong size."""
    chunk_size = chunk_size_of(upload)
    if offset not in range(0, upload.received + 1, chunk_size):
        raise WrongOffset(upload.received)
    if len(content) != min(chunk_size, upload.size - offset):
        raise InvalidInput("文件片段不完整，正在重新发送。")


def finish_upload(upload: UUID, fields: Mapping[str, str], *, by: Actor) -> Upload:
    """Pass the complete file of the account's upload with the id `upload` and the other fields of its form to
    the purpose's `accept`; does nothing if that was done before. The upload is locked; whether the account
    still may (`authorize`) isn't asked again, unless `accept` does. The chunks stay until the next clean-up.
    Raises WrongOffset if chunks are missing, NotFound, Unavailable, and what `accept` raises."""
    current = _upload_for_update(upload, by)
    if current.state == "done":
        return current
    if current.received < current.size:
        raise WrongOffset(current.received)
    content = b"".join(
        current_store().get("chunk", _chunk_id(current.id, offset))
        for offset in range(0, current.size, chunk_size_of(current))
    )
    current.document_id = REGISTERED_PURPOSES[current.purpose].accept(
        current.subject_id, current.name, content, by, fields
    )
    current.state = "done"
    db.session.flush()
    return current


def cancel_upload(upload: UUID, *, by: Actor) -> None:
    """Cancel the account's upload with the id `upload`, if it is unfinished; the next clean-up deletes its
    chunks. A finished one is left unchanged. Raises NotFound."""
    current = _upload_for_update(upload, by)
    if current.state == "open":
        current.state = "cancelled"
        db.session.flush()


def delete_expired() -> int:
    """The scheduled task that cleans up: it deletes the chunks of at most CLEANUP_BATCH_SIZE uploads that are
    finished, cancelled or older than a day from the store, and rows after a day (until then they count for
    the daily limit and answer repeated requests). Chunks are gone at once, before the commit; locked uploads
    are skipped. Returns the number of uploads cleaned up. Raises Unavailable."""
    expiry = clock.now() - UPLOAD_LIFETIME
    deletable = select(Upload).where(
        Upload.pieces_deleted.is_(False),
        (Upload.state != "open") | (Upload.begun_at < expiry),
    )
    uploads = list(
        db.session.scalars(
            deletable.order_by(Upload.begun_at).limit(CLEANUP_BATCH_SIZE).with_for_update(skip_locked=True)
        )
    )
    for upload in uploads:
        _delete_chunks(upload)
    db.session.flush()
    db.session.execute(delete(Upload).where(Upload.pieces_deleted.is_(True), Upload.begun_at < expiry))
    return len(uploads)


def _delete_chunks(upload: Upload) -> None:
    """Delete an upload's chunks from the store. An upload that is still open becomes cancelled."""
    chunk_size = chunk_size_of(upload)
    end = min(
        upload.received + chunk_size, upload.size
    )  # one more: a chunk may be stored whose count was rolled back
    for offset in range(0, end, chunk_size):
        current_store().delete("chunk", _chunk_id(upload.id, offset))
    upload.pieces_deleted = True
    upload.state = "cancelled" if upload.state == "open" else upload.state


def _require_within_limits(account: UUID, size: int, max_bytes_per_day: int) -> None:
    """Raises RateLimited if an account has too many open uploads, or would, with `size` bytes more, send more
    than `max_bytes_per_day` within a day. A cancelled upload counts with the bytes it sent. Takes a lock
    until the transaction ends, so that of two simultaneous starts one waits."""
    db.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(str(account), 0))))
    counted_bytes = case(
        (Upload.state == "cancelled", Upload.received),
        else_=Upload.size,
    )
    totals_query = select(
        func.count().filter(Upload.state == "open"),
        func.coalesce(func.sum(counted_bytes), 0),
    )
    open_count, sent_bytes = db.session.execute(
        totals_query.where(
            Upload.account_id == account,
            Upload.begun_at > clock.now() - UPLOAD_LIFETIME,
        )
    ).one()
    if open_count >= MAX_OPEN_UPLOADS:
        raise RateLimited("未完成的上传太多，请先完成或取消其中一些。", 600)
    if sent_bytes + size > max_bytes_per_day:
        raise RateLimited(
            f"一天内上传的文件合计不能超过{max_bytes_per_day // 1024 // 1024}MB，请明天再传。",
            3600,
        )


def _own_uploads(by: Actor) -> Select[Upload]:
    """Returns the query of the uploads of the account that acts."""
    return select(Upload).where(Upload.account_id == by.id)


def _upload_for_update(upload: UUID, by: Actor) -> Upload:
    """Returns an upload of the account that acts, locked. Raises NotFound if it is missing or cancelled."""
    current = db.session.scalar(
        _own_uploads(by)
        .where(Upload.id == upload)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if current is None or current.state == "cancelled":
        raise NotFound(UPLOAD_GONE_MESSAGE)
    return current


def _chunk_id(upload: UUID, offset: int) -> UUID:
    """Returns the id under which the chunk at `offset` is stored."""
    return uuid5(upload, str(offset))
