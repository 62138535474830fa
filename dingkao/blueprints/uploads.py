"""Files in pieces, for the module static/js/uploading.js: begun, each piece, finished, given up. Answers are JSON."""

from uuid import UUID

from flask import Response as FlaskResponse
from flask import jsonify, request
from flask_login import current_user

from dingkao.blueprints import of_province
from dingkao.blueprints.access import DOCTOR, allow
from dingkao.blueprints.web import limiter, per_session
from dingkao.errors import Invalid, TooLarge
from dingkao.uploads import taking
from dingkao.uploads.models import Upload

uploads = of_province("uploads")
UNREADABLE = "上传请求不完整,请刷新页面后重新选择文件。"


def _told(row: Upload, status: int = 200) -> FlaskResponse:
    told = jsonify(id=str(row.id), received=row.received, size=row.size, chunk=taking.CHUNK, state=row.state, document=row.document_id)
    told.status_code = status
    return told


@uploads.post("/uploads")
@allow(DOCTOR)
@limiter.limit("120/hour", key_func=per_session)
def begin() -> FlaskResponse:
    """Begin: for what, the sender's key, name and size; begun already, the answer says where it stands."""
    form = request.form
    try:
        key, subject = UUID(form.get("key", "")), UUID(form["subject"]) if form.get("subject") else None
        size = int(form.get("size", ""))
    except ValueError as fault:
        raise Invalid(UNREADABLE) from fault
    return _told(taking.begin(form.get("purpose", ""), subject, key, form.get("name", ""), size, by=current_user.actor()), 201)


@uploads.post("/uploads/<uuid:upload_id>/chunk")
@allow(DOCTOR)
@limiter.limit("3000/hour", key_func=per_session)
def chunk(upload_id: UUID) -> FlaskResponse:
    """One piece: the body, at `offset`. Where it doesn't follow what is here, 409 says where the upload stands."""
    if request.content_length is None or request.content_length > taking.CHUNK:
        raise TooLarge("文件片段过大,请刷新页面后重新上传。")
    offset = request.args.get("offset", -1, int)
    try:
        return _told(taking.take(upload_id, offset, request.get_data(), by=current_user.actor()))
    except taking.Elsewhere as fault:
        return _elsewhere(fault)


@uploads.post("/uploads/<uuid:upload_id>/finish")
@allow(DOCTOR)
@limiter.limit("240/hour", key_func=per_session)
def finish(upload_id: UUID) -> FlaskResponse:
    """All of it is here: checked, rewritten, kept."""
    try:
        return _told(taking.finish(upload_id, by=current_user.actor()))
    except taking.Elsewhere as fault:
        return _elsewhere(fault)


@uploads.post("/uploads/<uuid:upload_id>/cancel")
@allow(DOCTOR)
def cancel(upload_id: UUID) -> FlaskResponse:
    """Give it up."""
    taking.cancel(upload_id, by=current_user.actor())
    return jsonify(cancelled=True)


def _elsewhere(fault: taking.Elsewhere) -> FlaskResponse:
    told = jsonify(error=fault.sentence, received=fault.received)
    told.status_code = fault.status
    return told
