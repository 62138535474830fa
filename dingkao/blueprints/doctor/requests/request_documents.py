"""The files of a doctor's request: listed, uploaded, shown, deleted."""

from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Response

from dingkao.blueprints.doctor.requests.blueprint import (
    get_request,
    requests,
)
from dingkao.database.base import db
from dingkao.errors import InvalidInput, TooLarge, Unavailable
from dingkao.integrations.images.images import MAX_DOCUMENT_BYTES
from dingkao.requests import request_files
from dingkao.requests.models import REQUEST_KINDS, Request
from dingkao.web.access_control import require
from dingkao.web.request_lifecycle import limit_by_session, limiter


@requests.route("/requests/<uuid:request_id>/files", methods=["GET", "POST"])
@require("requests.own")
@limiter.limit("60/hour", methods=["POST"], key_func=limit_by_session)
def files(request_id: UUID) -> Response | tuple[str, int] | str:
    """The page of the files of a request: the list, and uploading. If one of several files is refused, none
    is kept, and the page says why. Raises NotFound, and in a POST InvalidState unless it is a draft."""
    doctor_request, _ = get_request(request_id)
    if request.method != "POST":
        return _render_files(doctor_request)
    try:
        with db.session.begin_nested():
            _save_uploaded_files(doctor_request)
    except (InvalidInput, TooLarge, Unavailable) as refusal:
        return _render_files(doctor_request, refusal.message), refusal.status
    flash("材料已上传。")
    return redirect(url_for("requests.files", request_id=doctor_request.id), 303)


def _save_uploaded_files(doctor_request: Request) -> None:
    """Save the files of the form in their order. Raises InvalidInput, TooLarge, Unavailable, InvalidState at
    the first that is refused; the caller undoes the others (their files stay in the store)."""
    for file in _uploaded_files():
        request_files.save_file(
            doctor_request,
            file.filename or "",
            file.read(MAX_DOCUMENT_BYTES + 1),
            by=current_user.as_actor(),
            photo="photo" in request.form,
        )


def _uploaded_files() -> list[FileStorage]:
    """The files that were chosen in the form. Raises InvalidInput if there is none."""
    uploaded_files = [file for file in request.files.getlist("file") if file.filename]
    if not uploaded_files:
        raise InvalidInput("请选择文件。", "file")
    return uploaded_files


def _render_files(doctor_request: Request, error: str | None = None) -> str:
    """The page of the files; `error`: why the last upload was refused."""
    return render_template(
        "doctor/requests/files.html",
        row=doctor_request,
        name=REQUEST_KINDS[doctor_request.kind],
        files=request_files.list_files(doctor_request),
        fault=error,
        most=request_files.MAX_FILES,
    )


@requests.get("/requests/<uuid:request_id>/files/<uuid:file_id>")
@require("requests.own")
def request_file(request_id: UUID, file_id: UUID) -> FlaskResponse:
    """A file of the doctor's own request. Raises NotFound, Unavailable."""
    doctor_request, _ = get_request(request_id)
    content, content_type = request_files.file_content(doctor_request, file_id)
    return FlaskResponse(
        content,
        mimetype=content_type,
        headers={"Content-Disposition": "inline"},
    )


@requests.post("/requests/<uuid:request_id>/files/<uuid:file_id>/remove")
@require("requests.own")
def remove_file(request_id: UUID, file_id: UUID) -> Response:
    """Delete a file of a draft; does nothing if it is gone. Raises NotFound, InvalidState."""
    doctor_request, _ = get_request(request_id)
    request_files.remove_file(doctor_request, file_id, by=current_user.as_actor())
    return redirect(url_for("requests.files", request_id=doctor_request.id), 303)
