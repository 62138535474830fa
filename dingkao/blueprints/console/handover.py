"""Handing over one's work, or that of a colleague (工作交接), in the console."""

from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.blueprints.console.navigation import console_blueprint
from dingkao.errors import InvalidInput, InvalidState, Refusal
from dingkao.journal.state_machine import can
from dingkao.people import handovers, staff_queries
from dingkao.people.handover_parts import Desk, count_open
from dingkao.people.proposed_acts import validate_reason
from dingkao.people.staff_accounts import close_handed_over
from dingkao.web.access_control import require

handover = console_blueprint("handover")


@handover.get("/office/handover/<uuid:account_id>")
@require("handover.open")
def show_desks(account_id: UUID) -> str:
    """What is open on each desk of an account, with the colleagues to whom it may go. Raises NotFound."""
    return _render(account_id, None)


@handover.post("/office/handover/<uuid:account_id>")
@require("handover.open")
def hand_over(account_id: UUID) -> Response | tuple[str, int]:
    """Hand over one desk; with the field `close` the account is closed too, which ends its sessions. A
    refusal is shown on the page of the desks. Raises NotFound, Forbidden."""
    try:
        return _hand_over_desk(_chosen_desk(account_id))
    except (InvalidInput, InvalidState) as refusal:
        return _render(account_id, refusal), refusal.status


def _hand_over_desk(desk: Desk) -> Response:
    """Hand over a desk as the form says (both accounts are locked), much of it by a job; with `close` the
    account is closed at once, its sessions, codes and links end. Redirects to the job or to the desks. Both
    persons are notified if anything is open. Raises InvalidInput, InvalidState, Forbidden, NotFound."""
    actor, closes = current_user.as_actor(), "close" in request.form
    reason = ""
    if closes:
        handovers.require_may_close(desk.holder_id, by=actor)
        reason = validate_reason(request.form.get("reason", ""))
    has_open = bool(count_open(desk))
    job = handovers.hand_over(
        desk,
        _parse_successor(request.form.get("successor", "")),
        by=actor,
        closes=closes,
        reason=reason,
    )
    outcome = "已办理工作交接，双方会收到消息。" if has_open else "没有待交接的事项。"
    flash(outcome + ("账号已停用。" if closes else ""))
    if job is not None:
        return redirect(url_for("jobs.show_job", job_id=job.id), 303)
    return redirect(url_for("handover.show_desks", account_id=desk.holder_id), 303)


def _parse_successor(text: str) -> UUID:
    """The id of the chosen colleague. Raises InvalidInput for the field `successor` for a text that is
    none."""
    try:
        return UUID(text)
    except ValueError as error:
        raise InvalidInput("请选择接手的同事。", "successor") from error


def _allowed_desks(account_id: UUID) -> list[Desk]:
    """The desks of an account that the current user may hand over. Raises NotFound for none."""
    return handovers.require_may_hand_over(
        account_id,
        handovers.desks_of(account_id),
        by=current_user.as_actor(),
        grant=current_user.grant("staff.invite_own"),
    )


def _chosen_desk(account_id: UUID) -> Desk:
    """The desk that the form names by its organisation's id ("" for the province's office). Raises
    InvalidInput for the field `organisation` for a desk that the user may not hand over, NotFound if there is
    none at all."""
    allowed = {str(desk.organisation_id or ""): desk for desk in _allowed_desks(account_id)}
    try:
        return allowed[request.form.get("organisation", "")]
    except KeyError as error:
        raise InvalidInput("请刷新页面后重试。", "organisation") from error


def _render(account_id: UUID, refusal: Refusal | None) -> str:
    """The page of an account's desks, with what was typed and why it was refused. Raises NotFound."""
    desks = [handovers.describe(desk) for desk in _allowed_desks(account_id)]
    holder = staff_queries.get_staff(account_id)
    return render_template(
        "console/handover/desks.html",
        holder=holder,
        is_own=account_id == current_user.id,
        desks=[(described, handovers.list_successors(described.desk)) for described in desks],
        may_close=holder.id != current_user.id and can(holder, close_handed_over, current_user.as_actor()),
        refusal=refusal,
        sent=request.form,
    )
