"""Uploads in chunks for static/js/chunked-upload.js: started, each chunk received, finished, cancelled.
Responses are JSON."""

from uuid import UUID

from flask import Response as FlaskResponse
from flask import jsonify, request
from flask_login import current_user

from dingkao.errors import InvalidInput, TooLarge
from dingkao.uploads import chunked_uploads
from dingkao.uploads.models import Upload
from dingkao.web.access_control import require
from dingkao.web.province_blueprint import province_blueprint
from dingkao.web.request_lifecycle import limit_by_session, limiter

uploads = province_blueprint("uploads")
MAX_CHUNK_BYTES = 1024 * 1024
INVALID_REQUEST_MESSAGE = "上传请求不完整，请刷新页面后重新选择文件。"


def _status_json(upload: Upload, status: int = 200) -> FlaskResponse:
    """The state of an upload: its id, bytes received, size in bytes, chunk size, state, and the id of the
    stored document when it is finished."""
    response = jsonify(
        id=str(upload.id),
        received=upload.received,
        size=upload.size,
        chunk=chunked_uploads.chunk_size_of(upload),
        state=upload.state,
        document=upload.document_id,
    )
    response.status_code = status
    return response


@uploads.post("/uploads")
@require("uploads.send")
@limiter.limit("120/hour", key_func=limit_by_session)
def start_upload() -> FlaskResponse:
    """Start an upload. The form has `purpose`, `subject` (an id or empty), `key` (an id that the sender
    chose), `name` and `size` (bytes). If an upload with this key exists, its state is returned; status 201 in
    both cases. Raises InvalidInput, TooLarge, RateLimited, NotFound, and what the purpose refuses."""
    form = request.form
    try:
        key = UUID(form.get("key", ""))
        subject = UUID(form["subject"]) if form.get("subject") else None
        size = int(form.get("size", ""))
    except ValueError as error:
        raise InvalidInput(INVALID_REQUEST_MESSAGE) from error
    return _status_json(
        chunked_uploads.start_upload(
            form.get("purpose", ""),
            subject,
            key,
            form.get("name", ""),
            size,
            by=current_user.as_actor(),
        ),
        201,
    )


@uploads.post("/uploads/<uuid:upload_id>/chunk")
@require("uploads.send")
@limiter.limit("3000/hour", key_func=limit_by_session)
def receive_chunk(upload_id: UUID) -> FlaskResponse:
    """Append a chunk: the body, which begins at `offset` bytes. If that isn't what follows the bytes
    received, status 409 with the number received; a chunk that was received before changes nothing. Raises
    TooLarge, InvalidInput for an incomplete chunk, NotFound, Unavailable."""
    _require_valid_length()
    offset = request.args.get("offset", -1, int)
    try:
        return _status_json(
            chunked_uploads.receive_chunk(
                upload_id,
                offset,
                request.get_data(),
                by=current_user.as_actor(),
            )
        )
    except chunked_uploads.WrongOffset as error:
        return _wrong_offset(error)


def _require_valid_length() -> None:
    """Raise TooLarge if a chunk is longer than this account may send, or has no Content-Length."""
    max_bytes = chunked_uploads.CHUNK_SIZE if current_user.account.kind == "doctor" else MAX_CHUNK_BYTES
    if request.content_length is None or request.content_length > max_bytes:
        raise TooLarge("文件片段过大，请刷新页面后重新上传。")


@uploads.post("/uploads/<uuid:upload_id>/finish")
@require("uploads.send")
@limiter.limit("240/hour", key_func=limit_by_session)
def finish_upload(upload_id: UUID) -> FlaskResponse:
    """Check and store the complete file, once; what that means, and which values beside it the form must
    have, is the purpose's. Status 409 if bytes are missing. Raises NotFound, Unavailable, and what the
    purpose refuses."""
    try:
        return _status_json(
            chunked_uploads.finish_upload(upload_id, request.form, by=current_user.as_actor())
        )
    except chunked_uploads.WrongOffset as error:
        return _wrong_offset(error)


@uploads.post("/uploads/<uuid:upload_id>/cancel")
@require("uploads.send")
def cancel_upload(upload_id: UUID) -> FlaskResponse:
    """Cancel an unfinished upload, whose chunks a scheduled task deletes later; a finished one stays. Raises
    NotFound."""
    chunked_uploads.cancel_upload(upload_id, by=current_user.as_actor())
    return jsonify(cancelled=True)


def _wrong_offset(
    error: chunked_uploads.WrongOffset,
) -> FlaskResponse:
    """Status 409, with the number of bytes received."""
    response = jsonify(error=error.message, received=error.received)
    response.status_code = error.status
    return response
