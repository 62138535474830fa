"""Who of several reviewers looks at which records: assignment and hand-over."""

from collections.abc import Callable
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.blueprints.console.filing_review import current_scope, filing_review
from dingkao.cycles.cycles import require_current_cycle
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.errors import InvalidInput, NotFound
from dingkao.filings import review_assignment
from dingkao.filings.review import ReviewScope
from dingkao.web.access_control import require
from dingkao.web.forms import ticked_ids


@filing_review.get("/office/review/assignment")
@require("filings.assign")
def assignment() -> str:
    """The page on which waiting records are given to colleagues. Raises NotFound before the first cycle,
    Forbidden."""
    return _render_assignment()


def _render_assignment(refusal: str = "") -> str:
    """The page; `refusal`: why the form was refused. Raises NotFound before the first cycle, Forbidden."""
    scope, cycle = current_scope(), require_current_cycle()
    return render_template(
        "console/filing_review/assignment.html",
        side=scope,
        colleagues=review_assignment.list_colleagues(scope),
        workload=review_assignment.count_assigned(cycle, scope),
        most=review_assignment.MAX_ASSIGNED,
        refusal=refusal,
    )


@filing_review.post("/office/review/assign/<way>")
@require("filings.assign")
def assign_records(way: str) -> Response | tuple[str, int]:
    """Give waiting records to colleagues as the form says; `way`: ticked, department, evenly, or handover.
    Redirects to the page on which the form stood, with how many were given; a refused form is shown again
    with the reason. Raises NotFound for another way, or without a current cycle, Forbidden."""
    if way not in _WAYS:
        raise NotFound
    scope, cycle = current_scope(), require_current_cycle()
    try:
        number = _WAYS[way](cycle, scope)
    except InvalidInput as refusal:
        db.session.rollback()
        return _render_assignment(refusal.message), refusal.status
    flash(f"已分配{number}人。" if number else "没有可分配的记录。")
    if way == "ticked":
        return redirect(
            url_for("filing_review.pending_records", side=scope.name),
            303,
        )
    return redirect(
        url_for("filing_review.assignment", side=scope.name),
        303,
    )


def _submitted_colleague(name: str = "colleague") -> UUID:
    """The account of the first colleague that the form's field `name` names. Raises InvalidInput for that
    field without one."""
    ids = ticked_ids(name)
    if not ids:
        raise InvalidInput("请选择审核人。", name)
    return ids[0]


def _assign_ticked(cycle: Cycle, scope: ReviewScope) -> int:
    """Give those of the ticked records that wait, the first MAX_ASSIGNED of them (locked), to the form's
    colleague; leases stay. Returns how many. Raises Forbidden for who doesn't decide, InvalidInput without a
    colleague, or for somebody who is none."""
    colleague = _submitted_colleague()
    return review_assignment.assign_records(
        cycle,
        scope,
        ticked_ids(),
        colleague,
        by=current_user.as_actor(),
    )


def _assign_department(cycle: Cycle, scope: ReviewScope) -> int:
    """Give the waiting records (locked) of the form's department to its colleague, at most MAX_ASSIGNED, also
    those that others have; leases stay. Returns how many the colleague didn't have. Raises Forbidden for who
    doesn't decide, InvalidInput without department or colleague, or for somebody who is none."""
    return review_assignment.assign_department(
        cycle,
        scope,
        request.form.get("department", ""),
        _submitted_colleague(),
        by=current_user.as_actor(),
    )


def _assign_evenly(cycle: Cycle, scope: ReviewScope) -> int:
    """Give the waiting records (locked) that nobody has or has leased to the form's colleagues in turn, at
    most MAX_ASSIGNED. Returns how many. Raises Forbidden for who doesn't decide, InvalidInput without
    colleagues, or for somebody who is none."""
    return review_assignment.assign_evenly(
        cycle,
        scope,
        ticked_ids("colleague"),
        by=current_user.as_actor(),
    )


def _hand_over_reviews(cycle: Cycle, scope: ReviewScope) -> int:
    """Give the waiting records (locked) that the form's leaver was given, or has leased and nobody was given,
    to its successor, at most MAX_ASSIGNED; the leaver's leases end. Returns how many. Raises Forbidden for
    who doesn't decide, InvalidInput without one of both, for one who is no colleague, or if both are the
    same."""
    return review_assignment.hand_over_reviews(
        cycle,
        scope,
        _submitted_colleague("leaver"),
        _submitted_colleague("successor"),
        by=current_user.as_actor(),
    )


_WAYS: dict[str, Callable[[Cycle, ReviewScope], int]] = {
    "ticked": _assign_ticked,
    "department": _assign_department,
    "evenly": _assign_evenly,
    "handover": _hand_over_reviews,
}
"""Last part of the address → how records are given."""
