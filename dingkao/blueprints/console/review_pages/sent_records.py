"""What a reviewer has sent on (我送出的), and recalling it."""

from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.assessments.models import ASSESSMENT_STATES
from dingkao.blueprints.console.filing_review import current_scope, filing_review
from dingkao.cycles.cycles import require_current_cycle
from dingkao.database.base import db
from dingkao.doctors.doctor_queries import doctors_by_id
from dingkao.errors import Refusal
from dingkao.filings import recall, review
from dingkao.web.access_control import require


@filing_review.get("/office/review/sent")
@require("filings.review")
def sent_records() -> str:
    """A page of the records that the user was the last to send on, from the side `side` of the query (see
    `current_scope`) and after its cursor `after`, the latest first; also those that were opened or tested
    since. Raises NotFound before the first cycle, Forbidden."""
    return _render_sent()


def _render_sent(
    refusal: str = "",
    refused_id: UUID | None = None,
) -> str:
    """The page; `refusal`: why the record `refused_id` could not be recalled."""
    scope, cycle, by = current_scope(), require_current_cycle(), current_user.as_actor()
    page = recall.sent_page(cycle, scope, by, request.args.get("after"))
    return render_template(
        "console/filing_review/sent.html",
        side=scope,
        page=page,
        recallable_ids=recall.recallable_ids(page.rows, cycle, by),
        people=doctors_by_id(record.doctor_id for record in page.rows),
        states=ASSESSMENT_STATES,
        refusal=refusal,
        refused_id=refused_id,
    )


@filing_review.post("/office/review/<uuid:record_id>/recall")
@require("filings.review")
def recall_record(record_id: UUID) -> Response | tuple[str, int]:
    """Recall one record that one has sent on, with a reason; the doctor is notified. A refusal is shown at
    the record in the list. Raises NotFound, Forbidden."""
    scope = current_scope()
    record = review.get_record_for_update(record_id, scope)
    try:
        reason = request.form.get("reason", "")
        recall.recall_record(
            record,
            scope,
            by=current_user.as_actor(),
            reason=reason,
        )
    except Refusal as refusal:
        db.session.rollback()
        return _render_sent(refusal.message, record_id), refusal.status
    flash("已撤回，该记录回到您的待审核列表。")
    return redirect(
        url_for("filing_review.sent_records", side=scope.name),
        303,
    )
