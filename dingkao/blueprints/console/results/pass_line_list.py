"""Pass lines in the console: the effect of each, proposing, approving and withdrawing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.blueprints.console.navigation import (
    current_user_recusal_reason,
)
from dingkao.blueprints.console.results.blueprint import results
from dingkao.cycles.cycles import (
    current_cycle,
    get_cycle,
    require_current_cycle,
)
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.doctors.code_lists import CATEGORIES, LEVELS
from dingkao.errors import InvalidInput
from dingkao.jobs import enqueueing
from dingkao.jobs.models import Job
from dingkao.journal.entries import Actor
from dingkao.people.name_lookups import account_names
from dingkao.results import line_effects
from dingkao.results import pass_lines as rules
from dingkao.results.models import PassLine
from dingkao.web.access_control import require
from dingkao.web.forms import ticked_ids
from dingkao.web.refused_responses import refused_response
from dingkao.web.request_lifecycle import (
    auto_refreshing_page,
)

KINDS = tuple((category, level) for category in CATEGORIES for level in LEVELS)
MAX_TYPED_TENTHS = 10**6
NO_NUMBER_MESSAGE = "合格线请填写0至100的数，最多一位小数。"


@dataclass(frozen=True)
class PassLineRow:
    """The pass line of a category and level (the default if none was proposed; `line_tenths`: points in
    tenths), its effect (None if that isn't counted yet), whether the current user proposed it, and why the
    current user isn't independent of who did (None if that is no reason)."""

    category: str
    level: str
    line: PassLine | None
    line_tenths: int
    effect: line_effects.LineEffect | None
    is_own: bool
    recusal_reason: str | None

    @property
    def label(self) -> str:
        """The category and level as text."""
        return f"{CATEGORIES[self.category]} {LEVELS[self.level]}"

    @property
    def is_proposed(self) -> bool:
        """Whether the line waits for approval."""
        return _is_proposed(self.line)

    @property
    def may_approve(self) -> bool:
        """Whether the line waits for approval and the current user, as a second person, may approve it."""
        if self.is_own:
            return False
        return self.is_proposed and self.recusal_reason is None


@results.get("/office/lines")
@require("pass_lines.manage")
def pass_lines() -> FlaskResponse:
    """The pass lines with their effects; while these are being counted the page reloads itself."""
    cycle = current_cycle()
    context = _pass_lines_context(cycle) if cycle else {"rows": []}
    page = render_template("console/results/pass_lines.html", cycle=cycle, **context)
    return auto_refreshing_page(page, waits=enqueueing.is_under_way(context.get("job")))


def _pass_lines_context(cycle: Cycle) -> dict[str, Any]:
    """Template variables of the list of pass lines."""
    current_lines = rules.current_lines(cycle)
    tenths = {
        (category, level): _shown_tenths(current_lines.get((category, level)), level)
        for category, level in KINDS
    }
    effects = line_effects.line_effects(cycle, tenths)
    rows = [
        PassLineRow(
            category,
            level,
            line := current_lines.get((category, level)),
            tenths[category, level],
            (effects or {}).get((category, level)),
            line is not None and line.proposed_by == current_user.id,
            _recusal_reason(line),
        )
        for category, level in KINDS
    ]
    return {
        "rows": rows,
        "names": _names_of_actors(current_lines.values()),
        "uncounted": effects is None,
        **_counting_jobs(cycle),
    }


def _shown_tenths(line: PassLine | None, level: str) -> int:
    """The line in tenths of a point, or the level's default."""
    return line.line_tenths if line else rules.default_tenths(level)


def _is_proposed(line: PassLine | None) -> bool:
    """Whether there is a line and it waits for approval."""
    return line is not None and line.approved_at is None


def _recusal_reason(line: PassLine | None) -> str | None:
    """Why the current user may not approve the line that somebody else proposed; None if the user may, made
    the proposal, or the line isn't pending."""
    return current_user_recusal_reason(line.proposed_by) if line and _is_proposed(line) else None


def _names_of_actors(lines: Iterable[PassLine]) -> dict[UUID, str]:
    """The names of the accounts that proposed and approved the lines, by id."""
    return account_names(actor_id for line in lines for actor_id in (line.proposed_by, line.approved_by))


def _counting_jobs(cycle: Cycle) -> dict[str, Job | None]:
    """Template variables: `job`, the latest job that counts the scores of a large province, and `counted`,
    the latest completed one; both None if counting needs no job."""
    if not line_effects.needs_counting_job(cycle):
        return {"job": None, "counted": None}
    return {
        "job": enqueueing.latest_job_about(cycle.id, line_effects.COUNT_JOB),
        "counted": enqueueing.latest_job_about(cycle.id, line_effects.COUNT_JOB, done=True),
    }


@results.post("/office/lines/count")
@require("pass_lines.manage")
def count_scores() -> Response:
    """Enqueue a job that counts the scores of a large province, unless one that the same person asked for is
    unfinished. Raises NotFound before the first cycle."""
    line_effects.enqueue_counting(require_current_cycle(), by=current_user.as_actor())
    return redirect(url_for("results.pass_lines"), 303)


@results.post("/office/lines")
@require("pass_lines.manage")
def propose_line() -> Response | FlaskResponse:
    """Propose the line of one category and level, or the default for all that have none, which a second
    administrator must approve; a value that can't be a line is refused above the list. Raises NotFound before
    the first cycle, InvalidState."""
    propose = _propose_missing_lines if "all" in request.form else _propose_typed_line
    try:
        message = propose(require_current_cycle(), by=current_user.as_actor())
    except InvalidInput as refusal:
        db.session.rollback()
        flash(refusal.message, "refusal")
        return refused_response(pass_lines(), refusal)
    flash(message)
    return redirect(url_for("results.pass_lines"), 303)


def _propose_missing_lines(cycle: Cycle, *, by: Actor) -> str:
    """Propose the default for every category and level without a line; locks the cycle. Returns the sentence
    to show. Raises InvalidState if one was approved meanwhile."""
    current_lines = rules.current_lines(cycle)
    missing_kinds = [kind for kind in KINDS if kind not in current_lines]
    for category, level in missing_kinds:
        rules.propose_line(cycle, category, level, rules.default_tenths(level), by=by)
    return f"已按设置提出{len(missing_kinds)}条合格线，请由另一位省级管理员确认。"


def _propose_typed_line(cycle: Cycle, *, by: Actor) -> str:
    """Propose the line in the form, in place of an earlier proposal; locks the cycle. Returns the sentence to
    show. Raises InvalidInput, InvalidState if one is approved already."""
    rules.propose_line(
        cycle,
        request.form.get("category", ""),
        request.form.get("level", ""),
        _parse_tenths(request.form.get("line", "")),
        by=by,
    )
    return "已提出，请由另一位省级管理员确认。"


def _parse_tenths(text: str) -> int:
    """The typed points in tenths. Raises InvalidInput unless it is a number with at most one decimal
    place."""
    try:
        tenths = float(text) * 10
    except ValueError as error:
        raise InvalidInput(NO_NUMBER_MESSAGE) from error
    if not _is_whole(tenths):
        raise InvalidInput(NO_NUMBER_MESSAGE)
    return round(tenths)


def _is_whole(tenths: float) -> bool:
    """Whether a number is whole except for the rounding of binary fractions; False for nan, infinity, and
    what is greater than MAX_TYPED_TENTHS, with either sign."""
    return abs(tenths) <= MAX_TYPED_TENTHS and abs(tenths - round(tenths)) <= 1e-6


@results.post("/office/lines/approve")
@require("pass_lines.manage")
def approve_lines() -> Response:
    """Approve all ticked lines as the second person, or none; a job then gives verdicts to the doctors who
    have scores. Raises NotFound, Forbidden."""
    line_ids = ticked_ids("line")
    _approve_lines(line_ids, by=current_user.as_actor())
    if line_ids:
        flash(f"已确认{len(line_ids)}条合格线。正在评定已交卷医师的业务水平，可在“任务”中查看进度。")
    else:
        flash("请先勾选要确认的合格线。", "refusal")
    return redirect(url_for("results.pass_lines"), 303)


def _approve_lines(line_ids: Sequence[UUID], *, by: Actor) -> None:
    """Lock and approve the lines with these ids, and enqueue the jobs that apply the lines of their cycles;
    those that are approved already stay as they are. Raises NotFound for one that was withdrawn, Forbidden
    for the person who proposed one, or isn't independent of them."""
    lines = [rules.get_line_for_update(line_id) for line_id in line_ids]
    for line in lines:
        rules.approve_line(line, by=by)
    for cycle_id in {line.cycle_id for line in lines}:
        rules.enqueue_applying(get_cycle(cycle_id), by=by)


@results.post("/office/lines/<uuid:line_id>/withdraw")
@require("pass_lines.manage")
def withdraw_line(line_id: UUID) -> Response:
    """Withdraw a proposed line. Raises NotFound, InvalidState."""
    rules.withdraw_line(rules.get_line_for_update(line_id), by=current_user.as_actor())
    flash("已撤回。")
    return redirect(url_for("results.pass_lines"), 303)
