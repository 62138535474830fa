"""Review (审核) in the console: the queue of the records that wait. A record is a doctor's assessment in
the cycle (考核记录); its page, batches, what was sent on and who looks at what are in `review_pages`."""

from functools import partial

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.assessments.models import Assessment
from dingkao.blueprints.console.listing_pages import open_list
from dingkao.blueprints.console.navigation import console_blueprint, count_decidable
from dingkao.cycles.cycles import current_cycle, require_current_cycle
from dingkao.database.listing.definitions import ListRow
from dingkao.errors import Forbidden
from dingkao.filings import review
from dingkao.filings.review import ReviewScope
from dingkao.filings.review_assignment import list_colleagues
from dingkao.filings.review_list import REVIEW_LISTS
from dingkao.web.access_control import require

filing_review = console_blueprint("filing_review")


def review_scopes() -> dict[str, ReviewScope]:
    """The sides for which the current user reviews: «institution» and «organisation» → its ReviewScope."""
    reviewing = current_user.grant("filings.review")
    scopes = (
        review.scope_of(side, reviewing, current_user.grant(action))
        for side, action in review.DECIDING_ACTIONS.items()
    )
    return {scope.name: scope for scope in scopes if scope.organisation_ids}


def waiting_counts() -> dict[str, tuple[int, int]]:
    """By side on which the current user may decide: how many records wait for this user, and how many only
    for others; for 待办."""
    cycle = current_cycle()
    if cycle is None:
        return {}
    return {
        name: count_decidable(
            review.pending_query(cycle, scope),
            *scope.earlier_actor_columns,
        )
        for name, scope in review_scopes().items()
        if scope.can_decide
    }


def current_scope() -> ReviewScope:
    """The side (`side`: "institution" or "organisation") that the request names, or the user's first one; for
    views that require filings.review, whose users have one. Raises Forbidden for a side on which the user
    doesn't review."""
    scopes = review_scopes()
    name = request.values.get("side") or next(iter(scopes))
    if name not in scopes:
        raise Forbidden
    return scopes[name]


@filing_review.get("/office/review")
@filing_review.post("/office/review/search", endpoint="search_pending")
@require("filings.review")
def pending_records() -> str | Response:
    """The queue of the records that wait for the side in the address. Raises Forbidden."""
    scope = current_scope()
    cycle = current_cycle()
    if cycle is None:
        return render_template(
            "console/filing_review/pending.html",
            cycle=None,
        )
    view = open_list(
        REVIEW_LISTS[scope.name],
        fixed={"side": scope.name},
        links={"name": partial(_record_address, scope)},
        endpoint="filing_review.pending_records",
        search_endpoint="filing_review.search_pending",
    )
    if isinstance(view, Response):
        return view
    return render_template(
        "console/filing_review/pending.html",
        cycle=cycle,
        side=scope,
        both=len(review_scopes()) > 1,
        view=view,
        colleagues=list_colleagues(scope) if current_user.may("filings.assign") else {},
    )


def _record_address(scope: ReviewScope, row: ListRow) -> str:
    return url_for(
        "filing_review.show_record",
        record_id=row[0].id,
        side=scope.name,
    )


@filing_review.post("/office/review/next")
@require("filings.review")
def next_record() -> Response:
    """Lease the record that has waited longest, which its doctor then can't withdraw any more, and redirect
    to it, or to the queue if none waits. Raises Forbidden, NotFound before the first cycle, InvalidState if
    somebody else was faster."""
    return redirect(lease_next_record(current_scope()), 303)


def lease_next_record(
    scope: ReviewScope,
    after: Assessment | None = None,
) -> str:
    """Lock and lease, with a journal entry, the record that has waited longest among those that the current
    user may decide and that nobody else has, those given to the user first (with `after`, first those behind
    that; `review.find_next_pending_id`), so that its doctor can't withdraw it any more, and return the
    address of its page; where nothing waits, say so and return the address of the queue. Raises NotFound
    before the first cycle, InvalidState if somebody else was faster."""
    by = current_user.as_actor()
    record_id = review.find_next_pending_id(
        require_current_cycle(),
        scope,
        by,
        after=after,
    )
    if record_id is None:
        flash("没有等待您审核的记录了。")
        return url_for(
            "filing_review.pending_records",
            side=scope.name,
        )
    review.lease_record(
        review.get_record_for_update(record_id, scope),
        scope,
        by=by,
    )
    return url_for(
        "filing_review.show_record",
        record_id=record_id,
        side=scope.name,
    )
