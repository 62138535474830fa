"""The photo [S7] and the proofs: uploaded with a form, shown, deleted."""

from dataclasses import dataclass, field
from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request
from flask_login import current_user
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Response

from dingkao.blueprints.doctor.filing.blueprint import (
    LAST_STEP,
    filing,
    filing_dossier,
    filing_url,
    return_mark_at,
)
from dingkao.database.base import db
from dingkao.errors import (
    InvalidInput,
    NotFound,
    TooLarge,
    Unavailable,
)
from dingkao.filings import filing_documents
from dingkao.filings.dossier import Dossier
from dingkao.filings.photo_settings import max_photo_bytes
from dingkao.integrations.images.images import MAX_DOCUMENT_BYTES
from dingkao.integrations.storage import current_store
from dingkao.people.organisations import find_organisation
from dingkao.web.access_control import require
from dingkao.web.request_lifecycle import limit_by_session, limiter


@dataclass
class ProofUpload:
    """The result of uploading the files of a form: pairs of file name and error message of the refused files,
    the number of saved files, and the HTTP status of the last refusal."""

    errors: list[tuple[str, str]] = field(default_factory=list)
    saved_count: int = 0
    status: int = 200

    @property
    def page_status(self) -> int:
        """The status of the page that shows the errors: 200 if at least one file was saved, else the
        refusal's."""
        return 200 if self.saved_count else self.status


def save_proofs(
    dossier: Dossier,
    files: list[FileStorage],
    entry_id: UUID | None = None,
) -> ProofUpload:
    """Save the valid ones of a form's files as proofs (journalled; the first save begins the filing), of an
    entry if one is named; those refused are listed in the result's `errors`, and that none was chosen is one,
    too. While the store is unavailable none is saved: the transaction is rolled back, and the dossier (locked
    before) is no longer locked. Raises InvalidState, DeadlinePassed, NotFound for an entry that is gone."""
    files = _named_files(files)
    if not files:
        return ProofUpload(errors=[("", "请选择文件。")], status=InvalidInput.status)
    upload = ProofUpload()
    try:
        for file in files:
            _save_proof(dossier, file, entry_id, upload)
    except Unavailable as refusal:
        db.session.rollback()
        return ProofUpload(errors=[("", refusal.message)], status=refusal.status)
    return upload


def _named_files(files: list[FileStorage]) -> list[FileStorage]:
    """The files that were chosen; an empty file field sends one without a name."""
    return [file for file in files if file.filename]


def _save_proof(
    dossier: Dossier,
    file: FileStorage,
    entry_id: UUID | None,
    upload: ProofUpload,
) -> None:
    """Save one file as a proof and add the result to `upload`. Raises Unavailable, InvalidState,
    DeadlinePassed, NotFound for an entry that is gone; InvalidInput and TooLarge become an error of
    `upload`."""
    name = filing_documents.clean_file_name(file.filename or "")
    try:
        filing_documents.save_proof(
            dossier,
            name,
            file.read(filing_documents.MAX_PROOF_BYTES + 1),
            by=current_user.as_actor(),
            entry_id=entry_id,
        )
    except (InvalidInput, TooLarge) as refusal:
        upload.errors.append((name, refusal.message))
        upload.status = refusal.status
    else:
        upload.saved_count += 1


@filing.route("/filing/photo", methods=["GET", "POST"])
@require("filing.edit")
@limiter.limit("60/hour", methods=["POST"], key_func=limit_by_session)
def photo() -> Response | tuple[str, int] | str:
    """The page of the photo: choosing and saving it, and showing it as it will be printed, with hints about
    its quality; a refused photo is shown there. A filing that can't be changed leads to its page. Raises
    NotFound, InvalidState, DeadlinePassed."""
    dossier = filing_dossier(for_update=request.method == "POST")
    if not dossier.is_editable():
        return redirect(filing_url("show_filing"), 303)
    return _save_photo(dossier) if request.method == "POST" else _render_photo(dossier)


def _save_photo(dossier: Dossier) -> Response | tuple[str, int]:
    """Save the photo of the form in place of an earlier one, which is deleted (journalled; the first save
    begins the filing), and redirect to its page, or render the page with the error. Raises InvalidState,
    DeadlinePassed."""
    file = request.files.get("photo")
    content = file.read(MAX_DOCUMENT_BYTES + 1) if file else b""
    try:
        filing_documents.save_photo(dossier, content, by=current_user.as_actor())
    except (InvalidInput, TooLarge, Unavailable) as refusal:
        return _render_photo(dossier, refusal.message), refusal.status
    flash("照片已保存。请核对是否清晰、是否完整；不满意可以重新上传。")
    return redirect(filing_url("photo"), 303)


def _render_photo(dossier: Dossier, error: str | None = None) -> str:
    """The page of the photo; `error`: why the last upload was refused."""
    return render_template(
        "doctor/filing/photo.html",
        dossier=dossier,
        fault=error,
        hints=filing_documents.photo_hints(dossier.filing),
        institution=find_organisation(dossier.record.institution_id),
        mark=return_mark_at(dossier, 1, "photo"),
        max_bytes=max_photo_bytes(),
        max_upload_bytes=MAX_DOCUMENT_BYTES,
    )


@filing.get("/filing/photo.jpg")
@require("filing.edit")
def photo_image() -> FlaskResponse:
    """The photo in the filing (`filing_dossier`) as JPEG. Raises NotFound, also if there is none,
    InvalidState, Unavailable."""
    dossier = filing_dossier()
    content = filing_documents.photo_content(dossier.filing) if dossier.filing else None
    if content is None:
        raise NotFound("还没有上传照片。")
    return FlaskResponse(content, mimetype="image/jpeg")


@filing.route("/filing/proof", methods=["GET", "POST"])
@require("filing.edit")
@limiter.limit("60/hour", methods=["POST"], key_func=limit_by_session)
def proofs() -> Response | tuple[str, int] | str:
    """The proofs that belong to no entry: the list, and uploading. Of several files the valid ones are saved,
    and the others are named. A filing that can't be changed leads to its page. Raises NotFound, InvalidState,
    DeadlinePassed."""
    dossier = filing_dossier(for_update=request.method == "POST")
    if not dossier.is_editable():
        return redirect(filing_url("show_filing"), 303)
    if request.method != "POST":
        return _render_proofs(dossier, ProofUpload())
    upload = save_proofs(dossier, request.files.getlist("proof"))
    if upload.errors:
        return _render_proofs(filing_dossier(), upload), upload.page_status
    flash(f"证明材料已上传{upload.saved_count}件。")
    return redirect(filing_url("proofs"), 303)


def _render_proofs(dossier: Dossier, upload: ProofUpload) -> str:
    """The page of the proofs, with the result of an upload."""
    return render_template(
        "doctor/filing/proofs.html",
        proofs=filing_documents.unattached_proofs(dossier.record),
        faults=upload.errors,
        kept=upload.saved_count,
        most=filing_documents.MAX_PROOFS,
        mark=return_mark_at(dossier, LAST_STEP, "proofs"),
    )


@filing.get("/filing/proof/<uuid:document_id>")
@require("filing.edit")
def proof_file(document_id: UUID) -> FlaskResponse:
    """A proof of the filing (`filing_dossier`), of an entry or not. Raises NotFound, InvalidState,
    Unavailable."""
    proof = filing_documents.get_proof(filing_dossier().record, document_id)
    content = current_store().get("proof", proof.id)
    headers = {"Content-Disposition": "inline"}
    return FlaskResponse(content, mimetype=proof.content_type, headers=headers)


@filing.post("/filing/proof/<uuid:document_id>/remove")
@require("filing.edit")
def remove_proof(document_id: UUID) -> Response:
    """Delete a proof, its file after the commit, with a journal entry; does nothing if it is gone. Raises
    NotFound, InvalidState, DeadlinePassed."""
    dossier = filing_dossier(for_update=True)
    filing_documents.remove_proof(dossier, document_id, by=current_user.as_actor())
    return redirect(filing_url("proofs"), 303)
