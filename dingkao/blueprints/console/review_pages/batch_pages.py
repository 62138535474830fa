"""Batches of a review: the preview, the batch with its progress and report, recalling it."""

from datetime import UTC, datetime
from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.blueprints.console.filing_review import current_scope, filing_review
from dingkao.blueprints.console.listing_pages import selected_ids
from dingkao.cycles.cycles import require_current_cycle
from dingkao.database.base import new_id
from dingkao.errors import Forbidden, InvalidInput
from dingkao.filings import review_batches
from dingkao.filings.batch_review import MAX_BATCH, check_batch
from dingkao.filings.models import ReviewBatch
from dingkao.filings.review import CLERK_MESSAGE
from dingkao.filings.review_list import REVIEW_LISTS
from dingkao.jobs import control
from dingkao.jobs.enqueueing import is_under_way
from dingkao.web.access_control import require
from dingkao.web.forms import ticked_ids
from dingkao.web.request_lifecycle import auto_refreshing_page, xlsx_response


@filing_review.post("/office/review/batch")
@require("filings.review")
def batch_review() -> Response | str:
    """Decide on the ticked records, or those of the view, the first MAX_BATCH, at once: first the preview of
    who would be decided on and who is left out; once confirmed, the batch is begun, a large one by a job;
    sent again, it is only shown. What has changed since the preview is left out. If nobody is ticked, back to
    the queue. Raises Forbidden, NotFound before the first cycle, and for the id of somebody else's batch,
    InvalidInput for a view that no longer is one, or a page that is out of date."""
    scope, cycle = current_scope(), require_current_cycle()
    if not scope.can_decide:
        raise Forbidden(CLERK_MESSAGE)
    ids = selected_ids(REVIEW_LISTS[scope.name], MAX_BATCH)
    if not ids:
        flash("请先勾选要审核的医师。", "refusal")
        return redirect(
            url_for("filing_review.pending_records", side=scope.name),
            303,
        )
    by = current_user.as_actor()
    if "confirmed" not in request.form:
        seen_at = clock.now()
        return render_template(
            "console/filing_review/batch_preview.html",
            side=scope,
            batch=check_batch(cycle, scope, ids, by=by),
            batch_id=new_id(),
            seen_at=seen_at.isoformat(),
            max_batch=MAX_BATCH,
        )
    left_out = check_batch(cycle, scope, ticked_ids("left_out")[:MAX_BATCH], by=by).left_out
    reasons = {record_id: reason for record_id, _, reason in left_out}
    batch = review_batches.start_batch(
        cycle,
        scope,
        _submitted_batch_id(),
        ids,
        reasons,
        by=by,
        seen_at=_submitted_seen_at(),
    )
    return redirect(
        url_for("filing_review.show_batch", batch_id=batch.id, side=scope.name),
        303,
    )


def _submitted_batch_id() -> UUID:
    """The id that the page of the form gave to the batch; a new one for a form without. Raises InvalidInput
    for a text that is none."""
    text = request.form.get("batch", "")
    if not text:
        return new_id()
    try:
        return UUID(text)
    except ValueError:
        raise InvalidInput("页面已过时，请返回审核列表重新选择。") from None


def _submitted_seen_at() -> datetime:
    """When the preview was made, as its form says; now for a form without. Raises InvalidInput for a text
    that is no moment."""
    text = request.form.get("seen_at", "")
    if not text:
        return clock.now()
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInput("页面已过时，请返回审核列表重新选择。") from None


@filing_review.get("/office/review/batches")
@require("filings.review")
def list_batches() -> str:
    """A page of one's own batches of the cycle at the side in the address, the latest first. Raises NotFound
    before the first cycle, Forbidden."""
    scope, cycle = current_scope(), require_current_cycle()
    by = current_user.as_actor()
    return render_template(
        "console/filing_review/batches.html",
        side=scope,
        page=review_batches.batches_page(cycle, scope.name, by, request.args.get("after")),
        labels=review_batches.DONE_LABELS,
    )


@filing_review.get("/office/review/batches/<uuid:batch_id>")
@require("filings.review")
def show_batch(batch_id: UUID) -> FlaskResponse:
    """One's own batch: its progress, while the page reloads itself, then what came of it. Raises NotFound."""
    batch = review_batches.get_batch(batch_id, current_user.as_actor())
    return _render_batch(batch)


def _render_batch(
    batch: ReviewBatch,
    refusal: str = "",
) -> FlaskResponse:
    """The page of a batch of one's own; a batch that was handed over may have a job that wasn't, because it
    was cancelled. `refusal`: why the batch could not be recalled."""
    job = control.find_job(batch.job_id) if batch.job_id else None
    html = render_template(
        "console/filing_review/batch.html",
        batch=batch,
        job=job,
        counts=review_batches.count_items(batch),
        people=review_batches.left_out_people(batch),
        done_label=review_batches.DONE_LABELS[batch.side, batch.action],
        recall_id=new_id(),
        refusal=refusal,
    )
    return auto_refreshing_page(
        html,
        waits=job is not None and is_under_way(job),
    )


@filing_review.get(
    "/office/review/batches/<uuid:batch_id>/report.xlsx",
)
@require("filings.review")
def batch_report(batch_id: UUID) -> FlaskResponse:
    """Everybody of one's own batch (the first 2 * MAX_BATCH, by name; numbers masked), with what came of it,
    as xlsx. Raises NotFound."""
    batch = review_batches.get_batch(batch_id, current_user.as_actor())
    return xlsx_response(
        review_batches.batch_report(batch),
        "review.xlsx",
    )


@filing_review.post("/office/review/batches/<uuid:batch_id>/recall")
@require("filings.review")
def recall_batch(
    batch_id: UUID,
) -> Response | tuple[FlaskResponse, int]:
    """Recall what a batch (locked) has sent on, with a reason, as a batch of its own, to which this
    redirects; who may not recall a record is told so there. A refusal is shown on the page of the first.
    Raises NotFound, Forbidden."""
    by = current_user.as_actor()
    batch = review_batches.get_batch(batch_id, by, for_update=True)
    scope = current_scope()
    try:
        recall = review_batches.start_recall(
            batch,
            scope,
            _submitted_batch_id(),
            request.form.get("reason", ""),
            by=by,
        )
    except InvalidInput as refusal:
        return _render_batch(batch, refusal.message), refusal.status
    return redirect(
        url_for("filing_review.show_batch", batch_id=recall.id, side=batch.side),
        303,
    )
