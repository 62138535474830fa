"""Ready-made phrases of reviewers (常用语)."""

from uuid import UUID

from flask import redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.blueprints.console.filing_review import current_scope, filing_review
from dingkao.errors import InvalidInput
from dingkao.filings import review_phrases
from dingkao.people.name_lookups import organisation_names
from dingkao.web.access_control import require
from dingkao.web.forms import ticked_ids


@filing_review.get("/office/review/phrases")
@require("filings.review")
def phrases() -> str:
    """One's own phrases, and those of one's organisations. Raises Forbidden for a side on which the user
    doesn't review."""
    return _render_phrases()


def _render_phrases(refusal: str = "") -> str:
    """The page; `refusal`: why a phrase was not added. Raises Forbidden."""
    scope = current_scope()
    return render_template(
        "console/filing_review/phrases.html",
        side=scope,
        phrases=review_phrases.list_phrases(scope.organisation_ids, current_user.id),
        organisations=organisation_names(scope.organisation_ids),
        default_phrases=review_phrases.DEFAULT_PHRASES,
        max_length=review_phrases.MAX_PHRASE_LENGTH,
        refusal=refusal,
    )


@filing_review.post("/office/review/phrases")
@require("filings.review")
def add_phrase() -> Response | tuple[str, int]:
    """Add a phrase: one's own, or by a reviewer that of an organisation for which the person decides, which
    is journalled; one that is there already isn't added again. If it is refused, the page says why. Raises
    Forbidden."""
    scope = current_scope()
    is_shared = "shared" in request.form
    try:
        review_phrases.add_phrase(
            _chosen_organisation_id(scope.deciding_ids if is_shared else scope.organisation_ids),
            request.form.get("text", ""),
            shared=is_shared,
            by=current_user.as_actor(),
        )
    except InvalidInput as refusal:
        return _render_phrases(refusal.message), refusal.status
    return redirect(
        url_for("filing_review.phrases", side=scope.name),
        303,
    )


def _chosen_organisation_id(allowed_ids: tuple[UUID, ...]) -> UUID:
    """The organisation chosen in the form, the first of `allowed_ids` if none is. Raises InvalidInput unless
    it is one of these."""
    organisation_id = next(iter((*ticked_ids("organisation"), *allowed_ids)), None)
    if organisation_id is None or organisation_id not in allowed_ids:
        raise InvalidInput("本机构共用的常用语由审核人添加。", "text")
    return organisation_id


@filing_review.post("/office/review/phrases/<uuid:phrase_id>/remove")
@require("filings.review")
def remove_phrase(phrase_id: UUID) -> Response:
    """Delete a phrase of one's own, or by a reviewer one of an organisation for which the person decides,
    which is journalled; does nothing if it is gone. Raises NotFound for any other, Forbidden."""
    scope = current_scope()
    review_phrases.remove_phrase(phrase_id, scope.deciding_ids, by=current_user.as_actor())
    return redirect(
        url_for("filing_review.phrases", side=scope.name),
        303,
    )
