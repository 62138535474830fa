"""延长考试时间: a later end for papers that are being sat, in an emergency."""

from datetime import datetime
from functools import partial
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.blueprints.console.papers.blueprint import (
    papers,
    require_cycle,
)
from dingkao.blueprints.console.papers.forms import ExtendWindowForm
from dingkao.database.base import db
from dingkao.errors import InvalidInput, InvalidState
from dingkao.exams import window_extension
from dingkao.exams.models.paper_models import Paper
from dingkao.question_banks.models import SUBJECTS
from dingkao.web.access_control import require
from dingkao.web.form_submission import (
    form_page_with_errors,
    submit_form,
)
from dingkao.web.forms import ticked_ids
from dingkao.web.request_lifecycle import limiter


@papers.route("/office/papers/prolong", methods=["GET", "POST"])
@require("papers.extend_window")
@limiter.limit("60/hour", methods=["POST"])
def extend_window() -> Response | tuple[str, int] | str:
    """Extend papers that are being sat. The first submission shows how many sittings are concerned and
    changes nothing; the second one confirms what was shown. A refusal is shown in the form. Raises NotFound
    before the first cycle."""
    cycle = require_cycle()
    running_papers = window_extension.running_papers(cycle)
    picked_papers = _picked_papers(running_papers)
    form = ExtendWindowForm()
    outcome = submit_form(
        form,
        partial(_extend_or_ask, form, picked_papers),
        refusals=(InvalidInput, InvalidState),
    )
    if isinstance(outcome, Response):
        return outcome
    page = render_template(
        "console/papers/extend_window.html",
        form=form,
        papers=running_papers,
        picked={paper.id for paper in picked_papers},
        asked=outcome or "",
        subjects=SUBJECTS,
        concerned=window_extension.count_affected(running_papers),
        slots=window_extension.open_slot_count(cycle),
        max_reason_length=window_extension.MAX_REASON_LENGTH,
        max_days=window_extension.MAX_EXTENSION.days,
    )
    return form_page_with_errors(page, form)


def _extend_or_ask(form: ExtendWindowForm, picked_papers: list[Paper]) -> Response | str:
    """Extend the papers and redirect, if the form confirms exactly what was shown; else return the text to be
    confirmed. Raises InvalidInput, InvalidState, with nothing changed."""
    closes_at, reason = form.closes_at.moment, form.reason.data or ""
    try:
        _require_valid_extension(picked_papers, closes_at, reason)
        confirmation = _confirmation_of(picked_papers, closes_at)
        if request.form.get("confirm") != confirmation:
            return confirmation
        _extend(picked_papers, closes_at, reason)
    except (InvalidInput, InvalidState):
        db.session.rollback()
        raise
    return redirect(url_for("papers.list_papers"), 303)


def _picked_papers(running_papers: list[Paper]) -> list[Paper]:
    """Of the papers that are being sat, the ticked ones; before the form is sent, the one in the address, or
    all. Others that are named are left out."""
    picked_ids = _picked_ids()
    if picked_ids is None:
        return running_papers
    return [paper for paper in running_papers if paper.id in picked_ids]


def _picked_ids() -> set[UUID] | None:
    """The ids of the papers that the form or the address names; None for all."""
    if request.method == "POST":
        return set(ticked_ids("paper"))
    named_id = request.args.get("paper", type=UUID)
    return None if named_id is None else {named_id}


def _require_valid_extension(picked_papers: list[Paper], closes_at: datetime, reason: str) -> None:
    """Raise InvalidInput or InvalidState if no paper is picked or one can't be extended like this."""
    if not picked_papers:
        raise InvalidInput("请勾选要延长的试卷。")
    for paper in picked_papers:
        window_extension.validate_extension(paper, closes_at=closes_at, reason=reason)


def _confirmation_of(picked_papers: list[Paper], closes_at: datetime) -> str:
    """What is shown to be confirmed, the end and the papers' ids, as a text that the form sends back: if
    something else was typed meanwhile, it isn't confirmed."""
    return " ".join(
        (
            closes_at.isoformat(),
            *sorted(str(paper.id) for paper in picked_papers),
        )
    )


def _extend(picked_papers: list[Paper], closes_at: datetime, reason: str) -> None:
    """Extend the papers, which are locked in the order of ids so that two requests can't deadlock, enqueue
    for each the job that gives open sittings the time and notifies the doctors, and say so on the next page.
    Raises InvalidInput, InvalidState."""
    for paper in sorted(picked_papers, key=lambda paper: paper.id):
        window_extension.extend_window(
            paper,
            closes_at=closes_at,
            reason=reason,
            by=current_user.as_actor(),
        )
    flash(f"已延长{len(picked_papers)}份试卷的结束时间。作答中的医师随即得到时间，有关医师会收到消息。")
