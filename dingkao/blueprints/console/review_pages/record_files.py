"""Photo and proofs of a record under review: the files, and the pages of a PDF as pictures, because a page of
ours shows nothing but pictures beside the filing."""

from uuid import UUID

from flask import Response as FlaskResponse

from dingkao.blueprints.console.filing_review import current_scope, filing_review
from dingkao.errors import NotFound
from dingkao.filings import assistance, filing_documents, review
from dingkao.filings.dossier import filing_of
from dingkao.integrations.pdf import page_images
from dingkao.integrations.storage import current_store
from dingkao.web.access_control import require


@filing_review.get("/office/review/<uuid:record_id>/photo.jpg")
@require("filings.review")
def photo(record_id: UUID) -> FlaskResponse:
    """The photo in the doctor's filing as JPEG. Raises NotFound, also if there is none, Forbidden,
    Unavailable."""
    filing = filing_of(review.get_record(record_id, current_scope()))
    content = filing_documents.photo_content(filing) if filing else None
    if content is None:
        raise NotFound
    return FlaskResponse(content, mimetype="image/jpeg")


@filing_review.get("/office/review/<uuid:record_id>/signature")
@require("filings.review")
def signature(record_id: UUID) -> FlaskResponse:
    """The scan of the form that the doctor signed, of a filing that was filled in on the doctor's behalf.
    Raises NotFound, also if the doctor's last confirmation was by code, Forbidden, Unavailable."""
    filing = filing_of(review.get_record(record_id, current_scope()))
    content, content_type = assistance.signature_content(filing)
    return FlaskResponse(
        content,
        mimetype=content_type,
        headers={"Content-Disposition": "inline"},
    )


@filing_review.get(
    "/office/review/<uuid:record_id>/proof/<uuid:document_id>",
)
@require("filings.review")
def proof(record_id: UUID, document_id: UUID) -> FlaskResponse:
    """A proof that the doctor uploaded, of an entry or not. Raises NotFound, Forbidden, Unavailable."""
    record = review.get_record(record_id, current_scope())
    document = filing_documents.get_proof(record, document_id)
    content = current_store().get("proof", document.id)
    headers = {"Content-Disposition": "inline"}
    return FlaskResponse(
        content,
        mimetype=document.content_type,
        headers=headers,
    )


@filing_review.get(
    "/office/review/<uuid:record_id>/proof/<uuid:document_id>/page-<int:number>.jpg",
)
@require("filings.review")
def proof_page(
    record_id: UUID,
    document_id: UUID,
    number: int,
) -> FlaskResponse:
    """Page `number` (from 1) of a proof that is a PDF, as JPEG; how many pages it has is in the header
    X-Page-Count. Raises NotFound, also for a page beyond the last, Forbidden, InvalidInput for a PDF that
    can't be opened, TooLarge, Unavailable."""
    record = review.get_record(record_id, current_scope())
    document = filing_documents.get_proof(record, document_id)
    if document.content_type != "application/pdf":
        raise NotFound
    picture, page_count = page_images.render_page(
        current_store().get("proof", document.id),
        number,
    )
    return FlaskResponse(
        picture,
        mimetype="image/jpeg",
        headers={"X-Page-Count": str(page_count)},
    )
