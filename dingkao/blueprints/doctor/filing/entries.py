"""The page of one entry of a list (such as education) [S8], and the proofs of an entry."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, request
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.blueprints.doctor.filing.blueprint import (
    filing,
    filing_dossier,
    filing_url,
    return_mark_at,
)
from dingkao.blueprints.doctor.filing.documents import save_proofs
from dingkao.blueprints.doctor.form_input import (
    first_text,
    read_form_values,
)
from dingkao.errors import InvalidInput, NotFound
from dingkao.filings import entry_lists, filing_documents
from dingkao.filings.dossier import (
    ENTRY_NOT_FOUND_MESSAGE,
    Dossier,
    get_entry_list,
)
from dingkao.filings.entry_list_fields import ENTRY_LISTS
from dingkao.filings.models import Document
from dingkao.filings.saving import StaleSave
from dingkao.web.access_control import require
from dingkao.web.request_lifecycle import limit_by_session, limiter


@filing.route(
    "/filing/list/<string:kind>/<string:entry>",
    methods=["GET", "POST"],
)
@require("filing.edit")
def list_entry(kind: str, entry: str) -> Response | tuple[str, int] | str:
    """The page that adds or edits an entry of the list `kind` (a key of ENTRY_LISTS). `entry`: its id, or
    «new». Errors are shown in the form. A filing that can't be changed leads to its page. Raises NotFound,
    InvalidState, DeadlinePassed."""
    get_entry_list(kind)  # raises NotFound if there is no such list
    dossier = filing_dossier(for_update=request.method == "POST")
    if not dossier.is_editable():
        return redirect(filing_url("show_filing"), 303)
    stored_entry = _get_entry_or_new(dossier, kind, entry)
    if request.method == "POST":
        return _save_entry(dossier, kind, entry, stored_entry)
    return _render_entry(
        dossier,
        kind,
        entry,
        stored_entry,
        entry_lists.entry_etag(stored_entry),
    ), 200


def _get_entry_or_new(dossier: Dossier, kind: str, entry: str) -> dict[str, Any]:
    """The stored entry with the id `entry`; an empty one for «new». Raises NotFound."""
    stored_entry = dossier.find_entry(kind, entry) or {}
    if entry != "new" and not stored_entry:
        raise NotFound(ENTRY_NOT_FOUND_MESSAGE)
    return stored_entry


def _save_entry(
    dossier: Dossier,
    kind: str,
    entry: str,
    stored_entry: Mapping[str, Any],
) -> Response | tuple[str, int]:
    """Save the entry of the form (journalled; the first save begins the filing) and redirect
    (`_leave_entry`), or render the page with what was typed: with errors (status 422), with the message that
    the list is full (422), or with the status of StaleSave if another page has changed it meanwhile; then
    nothing is saved. Raises InvalidState, DeadlinePassed."""
    try:
        entry_id, errors = entry_lists.save_entry(
            dossier,
            kind,
            entry,
            read_form_values(),
            by=current_user.as_actor(),
            etag=request.form.get("version"),
        )
    except (InvalidInput, StaleSave) as refusal:
        page = _render_typed_entry(
            dossier,
            kind,
            entry,
            stored_entry,
            message=refusal.message,
        )
        return page, refusal.status
    if errors:
        page = _render_typed_entry(
            dossier,
            kind,
            entry,
            stored_entry,
            errors=errors,
        )
        return page, InvalidInput.status
    return _leave_entry(kind, entry_id, is_new=entry == "new")


def _render_typed_entry(
    dossier: Dossier,
    kind: str,
    entry: str,
    stored_entry: Mapping[str, Any],
    *,
    errors: dict[str, str] | None = None,
    message: str = "",
) -> str:
    """The entry's page with what was typed, and the errors."""
    values = read_form_values()
    return _render_entry(
        dossier,
        kind,
        entry,
        {field.name: first_text(values, field.name) for field in ENTRY_LISTS[kind].fields},
        entry_lists.entry_etag(stored_entry),
        errors=errors,
        message=message,
    )


def _leave_entry(kind: str, entry_id: str, *, is_new: bool) -> Response:
    """A redirect after an entry was saved: to the step with its list; a new entry that can have proofs to its
    own page, on which they are uploaded."""
    entry_list = ENTRY_LISTS[kind]
    if entry_list.proofs and is_new:
        flash("已保存。有证明材料的，请在本页上传；没有的，可以直接返回。")
        return _redirect_to_files(kind, entry_id)
    return redirect(
        filing_url("step", number=entry_list.step, _anchor=kind),
        303,
    )


def _redirect_to_files(kind: str, entry: str) -> Response:
    """A redirect to the files on an entry's page."""
    return redirect(
        filing_url(
            "list_entry",
            kind=kind,
            entry=entry,
            _anchor="files",
        ),
        303,
    )


def _render_entry(
    dossier: Dossier,
    kind: str,
    entry: str,
    values: Mapping[str, Any],
    version: str,
    *,
    errors: dict[str, str] | None = None,
    message: str = "",
    refused_files: list[tuple[str, str]] | None = None,
    uploaded_count: int = 0,
) -> str:
    """The page of an entry. `version`: the etag of the stored entry; `refused_files`: pairs of file name and
    error message."""
    entry_list = ENTRY_LISTS[kind]
    return render_template(
        "doctor/filing/entry.html",
        dossier=dossier,
        kind=kind,
        of=entry_list,
        entry=entry,
        kept=values,
        faults=errors or {},
        told=message,
        version=version,
        mark=return_mark_at(dossier, entry_list.step, kind),
        proofs=_proofs_of_entry(dossier, kind, entry),
        wrong=refused_files or [],
        uploaded=uploaded_count,
    )


def _proofs_of_entry(dossier: Dossier, kind: str, entry: str) -> list[Document]:
    """The proofs of the entry with the id `entry`; empty if entries of this list have none."""
    if not ENTRY_LISTS[kind].proofs:
        return []
    return filing_documents.proofs_by_entry(dossier.record).get(entry, [])


@filing.post("/filing/list/<string:kind>/<string:entry>/remove")
@require("filing.edit")
def remove_entry(kind: str, entry: str) -> Response:
    """Remove an entry from its list; until submission the one removed last can be restored. Raises NotFound,
    InvalidState, DeadlinePassed."""
    dossier = filing_dossier(for_update=True)
    entry_lists.remove_entry(dossier, kind, entry, by=current_user.as_actor())
    return redirect(
        filing_url("step", number=ENTRY_LISTS[kind].step, _anchor=kind),
        303,
    )


@filing.route(
    "/filing/list/<string:kind>/<string:entry>/proofs",
    methods=["GET", "POST"],
)
@require("filing.edit")
@limiter.limit("60/hour", methods=["POST"], key_func=limit_by_session)
def upload_entry_proofs(kind: str, entry: str) -> Response | tuple[str, int] | str:
    """Save the files of a form as proofs of an entry, the valid ones of several; the others are named. Opened
    with GET, or for a filing that can't be changed, it redirects to the entry's page. Raises NotFound,
    InvalidState, DeadlinePassed."""
    dossier = filing_dossier(for_update=request.method == "POST")
    stored_entry = _get_entry_with_proofs(dossier, kind, entry)
    if request.method != "POST" or not dossier.is_editable():
        return redirect(filing_url("list_entry", kind=kind, entry=entry), 303)
    upload = save_proofs(dossier, request.files.getlist("proof"), UUID(entry))
    if not upload.errors:
        flash(f"证明材料已上传{upload.saved_count}件。")
        return _redirect_to_files(kind, entry)
    page = _render_entry(
        filing_dossier(),
        kind,
        entry,
        stored_entry,
        entry_lists.entry_etag(stored_entry),
        refused_files=upload.errors,
        uploaded_count=upload.saved_count,
    )
    return page, upload.page_status


@filing.post("/filing/list/<string:kind>/<string:entry>/proofs/<uuid:document_id>/remove")
@require("filing.edit")
def remove_entry_proof(kind: str, entry: str, document_id: UUID) -> Response:
    """Delete a proof of the filing and return to the entry's page; does nothing if it is gone. Raises
    NotFound for an entry that is none or has no proofs, InvalidState, DeadlinePassed."""
    dossier = filing_dossier(for_update=True)
    _get_entry_with_proofs(dossier, kind, entry)
    filing_documents.remove_proof(dossier, document_id, by=current_user.as_actor())
    return _redirect_to_files(kind, entry)


def _get_entry_with_proofs(dossier: Dossier, kind: str, entry: str) -> dict[str, Any]:
    """The stored entry of a list whose entries can have proofs. Raises NotFound for any other."""
    if not get_entry_list(kind).proofs:
        raise NotFound
    stored_entry = dossier.find_entry(kind, entry)
    if stored_entry is None:
        raise NotFound(ENTRY_NOT_FOUND_MESSAGE)
    return stored_entry
