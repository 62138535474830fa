"""A doctor asks to be moved to another institution (变更主要执业机构), sees what became of it, withdraws
it."""

from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.assessments import enrolment_changes, transfers
from dingkao.assessments.enrolment_changes import (
    pending_change_of,
    pending_sides,
)
from dingkao.assessments.models import (
    CHANGE_SIDES,
    CHANGE_STATES,
    TRANSFER_GROUNDS,
)
from dingkao.database.base import db
from dingkao.errors import InvalidInput, Refusal
from dingkao.people import organisations
from dingkao.people.name_lookups import organisation_names
from dingkao.web.access_control import require
from dingkao.web.province_blueprint import province_blueprint
from dingkao.web.request_lifecycle import limit_by_session, limiter

transfer = province_blueprint("transfer")
MAX_SHOWN = 10


@transfer.route("/transfer", methods=["GET", "POST"])
@require("transfers.own")
@limiter.limit("20/hour", methods=["POST"], key_func=limit_by_session)
def own_transfer() -> Response | tuple[str, int] | str:
    """The doctor's latest MAX_SHOWN transfers, and the form that asks for one; a refusal is shown in it."""
    if request.method != "POST":
        return _render_transfer()
    try:
        _ask()
    except Refusal as refusal:
        db.session.rollback()
        field = getattr(refusal, "field", None) or "institution"
        return _render_transfer({field: refusal.message}), refusal.status
    flash("已提出，等待原机构和新机构同意。")
    return redirect(url_for("transfer.own_transfer"), 303)


def _ask() -> None:
    """Ask for the transfer of the form; those who decide at both institutions are notified. Raises
    InvalidInput, InvalidState."""
    words = request.form.get("institution", "").strip()
    if not words:
        raise InvalidInput("请填写新机构的名称或登记号。", "institution")
    transfers.ask_as_doctor(
        current_user.doctor(),
        organisations.resolve_organisation(words),
        ground=request.form.get("ground", ""),
        reason=request.form.get("reason", ""),
        by=current_user.as_actor(),
    )


def _render_transfer(errors: dict[str, str] | None = None) -> str:
    """The page; `errors`: messages by field name."""
    doctor = current_user.doctor()
    shown = enrolment_changes.transfers_of(doctor.id, MAX_SHOWN)
    return render_template(
        "doctor/transfers/transfer.html",
        rows=shown,
        places=organisation_names(
            [
                doctor.organisation_id,
                *(change.target_id for change in shown),
            ]
        ),
        institution_id=doctor.organisation_id,
        states=CHANGE_STATES,
        grounds=TRANSFER_GROUNDS,
        offered=transfers.offered_grounds(),
        sides={change.id: [CHANGE_SIDES[side] for side in pending_sides(change)] for change in shown},
        is_pending=pending_change_of(doctor.id) is not None,
        faults=errors or {},
    )


@transfer.post("/transfer/<uuid:change_id>/withdraw")
@require("transfers.own")
def withdraw(change_id: UUID) -> Response:
    """Withdraw the own transfer; one that is withdrawn already stays so. Raises NotFound, Forbidden for one
    that an institution asked for, InvalidState once it is decided."""
    change = enrolment_changes.get_own_transfer_for_update(change_id, current_user.doctor().id)
    enrolment_changes.withdraw_as_doctor(change, by=current_user.as_actor())
    flash("已撤回。")
    return redirect(url_for("transfer.own_transfer"), 303)
