"""Changes of an institution's list in the console: transfers between institutions and exclusions after filing
began; asked for, consented to, refused, withdrawn."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response
from wtforms import StringField

from dingkao.assessments import enrolment_changes as changes
from dingkao.assessments import exclusions, transfers
from dingkao.assessments.change_list import CHANGE_LIST, DESK_FILTER, WAITING
from dingkao.assessments.current_records import cycle_of_doctor, record_in_cycle
from dingkao.assessments.enrolment_changes import ChangeGrants
from dingkao.assessments.models import (
    ASSESSMENT_STATES,
    CHANGE_KINDS,
    CHANGE_SIDES,
    CHANGE_STATES,
    TRANSFER_GROUNDS,
    EnrolmentChange,
)
from dingkao.blueprints.console.listing_pages import open_list
from dingkao.blueprints.console.navigation import console_blueprint
from dingkao.database.base import db
from dingkao.database.listing.definitions import ListRow
from dingkao.doctors.code_lists import CATEGORIES, LEVELS
from dingkao.doctors.doctor_queries import doctors_by_id, get_doctor
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidInput, InvalidState, RateLimited, Refusal
from dingkao.people import organisations
from dingkao.people.models import Organisation
from dingkao.people.name_lookups import account_names
from dingkao.people.scopes import scope_condition
from dingkao.web.access_control import current_grant, require
from dingkao.web.form_submission import form_page, submit_form
from dingkao.web.forms import MAX_CHOICES, Choice, EntityChoice, Form, Required, with_blank_choice
from dingkao.web.refused_responses import refused_response
from dingkao.web.request_lifecycle import limiter

enrolment_changes = console_blueprint("enrolment_changes")


class TransferForm(Form):
    """A transfer: the ground and the reason; the institution is a field of the subclasses."""

    ground = Choice("事由", [Required("请选择事由。")])
    reason = StringField("说明", [Required("请填写说明，对方会看到。")])

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.ground.choices = with_blank_choice(transfers.offered_grounds().items())


class TakeInForm(TransferForm):
    """A doctor registered elsewhere, whom an institution asks for."""

    name = StringField("姓名", [Required("请填写姓名。")])
    number = StringField("证件号码", [Required("请填写证件号码。")])
    institution = EntityChoice("转入机构", [Required("请选择转入机构。")])


class TakeInAnywhereForm(TakeInForm):
    """The same for users who may act for every institution of the province."""

    institution = StringField("转入机构", [Required("请填写转入机构的名称或登记号。")])


class HandOverForm(TransferForm):
    """The institution to which a doctor goes."""

    institution = StringField("转入机构", [Required("请填写转入机构的名称或登记号。")])


def change_grants() -> ChangeGrants:
    """Whose changes the current user sees, and on which sides the user decides."""
    return ChangeGrants(
        current_user.grant("transfers.view"),
        current_user.grant("transfers.manage"),
        current_user.grant("exclusions.approve"),
    )


@enrolment_changes.get("/office/changes")
@enrolment_changes.post("/office/changes/search", endpoint="search_changes")
@require("transfers.view")
def list_changes() -> str | Response:
    """The changes that the user sees; those that wait for the user unless the address says otherwise."""
    view = open_list(
        CHANGE_LIST,
        presets={DESK_FILTER: WAITING},
        links={"name": _change_address},
        endpoint="enrolment_changes.list_changes",
        search_endpoint="enrolment_changes.search_changes",
    )
    if isinstance(view, Response):
        return view
    return render_template(
        "console/enrolment_changes/list.html",
        view=view,
        is_waiting=view.state.filters.get(DESK_FILTER) == WAITING,
    )


def _change_address(row: ListRow) -> str:
    return url_for("enrolment_changes.show_change", change_id=row[0].id)


def _labels_context(shown_changes: list[EnrolmentChange], grants: ChangeGrants) -> dict[str, Any]:
    """Template variables with which changes are described: the names of their organisations, as far as
    `grants` may know them, and the code → label tables."""
    return {
        "places": changes.organisation_names_for(shown_changes, grants),
        "kinds": CHANGE_KINDS,
        "states": CHANGE_STATES,
        "side_labels": CHANGE_SIDES,
        "grounds": TRANSFER_GROUNDS,
    }


@enrolment_changes.get("/office/changes/<uuid:change_id>")
@require("transfers.view")
def show_change(change_id: UUID) -> str:
    """One change: who asked and why, who has consented, what happens to the record, and the decision. Raises
    NotFound."""
    return _render_change(changes.get_change(change_id, change_grants()))


def _render_change(change: EnrolmentChange, message: str | None = None) -> str:
    """The page of a change; `message`: why the last decision was refused."""
    grants = change_grants()
    doctor = doctors_by_id([change.doctor_id])[change.doctor_id]
    actors = (change.asked_by, change.institution_by, change.target_by, change.decided_by)
    decidable = changes.decidable_sides(change, grants)
    return render_template(
        "console/enrolment_changes/change.html",
        change=change,
        doctor=doctor,
        levels=LEVELS,
        categories=CATEGORIES,
        names=_actor_names(actors, change, grants),
        waiting_sides=changes.pending_sides(change),
        decidable=decidable,
        recused=changes.second_person_refusal(change, current_user.id) if decidable else None,
        may_withdraw=changes.may_withdraw(change, grants),
        hidden=changes.is_origin_hidden(change, grants),
        effect=_effect_text(change, doctor, grants),
        max_reason_length=changes.MAX_REASON_LENGTH,
        told=message,
        **_labels_context([change], grants),
    )


def _actor_names(
    actors: tuple[UUID | None, ...], change: EnrolmentChange, grants: ChangeGrants
) -> dict[UUID, str]:
    """The names of who acted, without those of another institution's staff that may not be known."""
    hidden = {change.institution_by} if changes.is_origin_hidden(change, grants) else set[UUID | None]()
    return account_names(actor for actor in actors if actor not in hidden)


def _effect_text(change: EnrolmentChange, doctor: Doctor, grants: ChangeGrants) -> str | None:
    """What carrying out a pending change does to the record; None if it is decided, or if the person may not
    know the record yet."""
    if change.state != "pending" or changes.is_origin_hidden(change, grants):
        return None
    if change.kind == "exclusion":
        return "同意后移出本周期考核名单，已填报的内容保留；再次纳入后可继续填报。"
    cycle = cycle_of_doctor(doctor.id)
    record = record_in_cycle(doctor.id, cycle) if cycle else None
    if record is None:
        return "该医师没有考核记录，双方同意后转入新机构的名单。"
    state = ASSESSMENT_STATES[record.state]
    if record.state in transfers.SUBMITTED_STATES:
        return f"本周期考核为“{state}”，填报内容随同转入，由新机构重新审核、评定。"
    return f"本周期考核为“{state}”，随同转入新机构继续办理，已填报的内容不变。"


@enrolment_changes.post("/office/changes/<uuid:change_id>/consent")
@require("transfers.manage")
def consent(change_id: UUID) -> Response | tuple[str, int]:
    """Consent to a transfer for the side that the form names, and tell the other side; once both have
    consented it is carried out: doctor and unfinished records move to the new institution. A refusal is shown
    on the page. Raises NotFound."""
    return _decide(change_id, _consent)


def _consent(change: EnrolmentChange) -> str:
    """Consent as the form says, and return the sentence to show. Raises Forbidden for a side that isn't the
    user's, and for who acted for the other side or isn't independent of them, InvalidState."""
    side, by = request.form.get("side", ""), current_user.as_actor()
    is_done = transfers.consent(change, side, change_grants(), by=by)
    return "双方已同意，转入已办结。" if is_done else "已同意，等待另一方同意。"


@enrolment_changes.post("/office/changes/<uuid:change_id>/refuse")
@require("transfers.manage")
def refuse(change_id: UUID) -> Response | tuple[str, int]:
    """Refuse a transfer for the side that the form names, with a reason, which ends it; the doctor and the
    other side are told. A refusal of that is shown on the page. Raises NotFound."""
    return _decide(change_id, _refuse)


def _refuse(change: EnrolmentChange) -> str:
    """Refuse as the form says, and return the sentence to show. Raises InvalidInput without a reason,
    Forbidden, InvalidState."""
    transfers.refuse(
        change,
        request.form.get("side", ""),
        change_grants(),
        reason=request.form.get("reason", ""),
        by=current_user.as_actor(),
    )
    return "已回复不同意，医师和提出方会看到原因。"


@enrolment_changes.post("/office/changes/<uuid:change_id>/withdraw")
@require("transfers.manage")
def withdraw(change_id: UUID) -> Response | tuple[str, int]:
    """Withdraw what the user's side asked for. A refusal is shown on the page. Raises NotFound."""
    return _decide(change_id, _withdraw)


def _withdraw(change: EnrolmentChange) -> str:
    """Withdraw the change, and return the sentence to show. Raises Forbidden, InvalidState."""
    changes.withdraw(change, change_grants(), by=current_user.as_actor())
    return "已撤回。"


@enrolment_changes.post("/office/changes/<uuid:change_id>/exclude")
@require("exclusions.approve")
def approve_exclusion(change_id: UUID) -> Response | tuple[str, int]:
    """Let the institution exclude the doctor, which is done at once; both are told. A refusal is shown on the
    page. Raises NotFound."""
    return _decide(change_id, _approve_exclusion)


def _approve_exclusion(change: EnrolmentChange) -> str:
    """Approve the exclusion, and return the sentence to show. Raises Forbidden, InvalidState, also while the
    record is under review."""
    exclusions.approve(change, change_grants(), by=current_user.as_actor())
    return "已同意移出，医师会收到通知。"


@enrolment_changes.post("/office/changes/<uuid:change_id>/keep")
@require("exclusions.approve")
def refuse_exclusion(change_id: UUID) -> Response | tuple[str, int]:
    """Refuse the exclusion, with a reason that the institution is told: the doctor stays on the list. A
    refusal of that is shown on the page. Raises NotFound."""
    return _decide(change_id, _refuse_exclusion)


def _refuse_exclusion(change: EnrolmentChange) -> str:
    """Refuse the exclusion with the form's reason, and return the sentence to show. Raises InvalidInput
    without a reason, Forbidden, InvalidState."""
    by, reason = current_user.as_actor(), request.form.get("reason", "")
    exclusions.refuse(change, change_grants(), reason=reason, by=by)
    return "已回复不同意，机构会看到原因。"


def _decide(change_id: UUID, act: Callable[[EnrolmentChange], str]) -> Response | tuple[str, int]:
    """Lock the change, call `act` with it and redirect to its page with the sentence that it returns; any
    Refusal is shown on the page, with its status and what was typed. Raises NotFound for a change that the
    user doesn't see."""
    change = changes.get_change(change_id, change_grants(), for_update=True)
    try:
        message = act(change)
    except Refusal as refusal:
        db.session.rollback()
        page = _render_change(changes.get_change(change_id, change_grants()), refusal.message)
        return page, refusal.status
    flash(message)
    return redirect(url_for("enrolment_changes.show_change", change_id=change.id), 303)


@enrolment_changes.route("/office/changes/new", methods=["GET", "POST"])
@require("transfers.manage")
@limiter.limit("120/hour", methods=["POST"])
def ask_to_take_in() -> Response | tuple[str, int] | str:
    """Ask for a doctor who is registered at another institution; a refusal is shown in the form, also that
    the institution has found too many doctors within an hour (RateLimited)."""
    form = _take_in_form()
    try:
        change = submit_form(form, partial(_ask_to_take_in, form), refusals=(InvalidInput, InvalidState))
    except RateLimited as refusal:
        form.add_refusal(InvalidInput(refusal.message, "number"))
        return refused_response(_render_take_in(form), refusal)
    if change is None:
        return form_page(_render_take_in(form))
    flash("已提出转入，等待医师现在的机构同意。")
    return redirect(url_for("enrolment_changes.show_change", change_id=change.id), 303)


def _take_in_form() -> TakeInForm:
    """The form; for users who act for some institutions only with these to choose from, a single one chosen
    already."""
    grant = current_grant()
    if grant.is_province:
        return TakeInAnywhereForm()
    own = organisations.list_institutions(grant, MAX_CHOICES + 1)
    form = TakeInForm(institution=str(own[0].id) if len(own) == 1 else None)
    form.institution.set_choices((str(place.id), place.name) for place in own)
    return form


def _ask_to_take_in(form: TakeInForm) -> EnrolmentChange:
    """Ask for the doctor of the form, who stays at the other institution until that consents; doctor and
    institution are told. Finding a doctor counts against the asking institution's limit, but not for users of
    the whole province. Raises InvalidInput, InvalidState, RateLimited."""
    grant = current_grant()
    target = organisations.resolve_choice(
        form.institution.data or "", scope_condition(grant, institution=Organisation.id)
    )
    return transfers.ask_to_take_in(
        target,
        form.name.data or "",
        form.number.data or "",
        ground=form.ground.data or "",
        reason=form.reason.data or "",
        by=current_user.as_actor(),
        is_limited=not grant.is_province,
    )


def _render_take_in(form: TakeInForm) -> str:
    return render_template("console/enrolment_changes/take_in.html", form=form)


@enrolment_changes.route("/office/doctors/<uuid:doctor_id>/transfer", methods=["GET", "POST"])
@require("transfers.manage")
def ask_to_hand_over(doctor_id: UUID) -> Response | tuple[str, int] | str:
    """Ask another institution to take a doctor of one's own; a refusal is shown in the form. Raises NotFound,
    Forbidden."""
    doctor = get_doctor(doctor_id, current_grant(), for_update=request.method == "POST")
    form = HandOverForm()
    change = submit_form(
        form, partial(_ask_to_hand_over, form, doctor), refusals=(InvalidInput, InvalidState)
    )
    if change is None:
        page = render_template("console/enrolment_changes/hand_over.html", form=form, doctor=doctor)
        return form_page(page)
    flash("已提出转出，等待转入机构同意。")
    return redirect(url_for("enrolment_changes.show_change", change_id=change.id), 303)


def _ask_to_hand_over(form: HandOverForm, doctor: Doctor) -> EnrolmentChange:
    """Ask the institution of the form to take the doctor, who stays until it consents; doctor and institution
    are told. Raises InvalidInput, InvalidState."""
    return transfers.ask_to_hand_over(
        doctor,
        organisations.resolve_organisation(form.institution.data or ""),
        ground=form.ground.data or "",
        reason=form.reason.data or "",
        by=current_user.as_actor(),
    )


@enrolment_changes.post("/office/doctors/<uuid:doctor_id>/exclusion")
@require("transfers.manage")
def propose_exclusion(doctor_id: UUID) -> Response:
    """Propose to the office above, with a reason, that a doctor whose filing has begun be excluded; one that
    waits already is shown as it is. A refusal leads back to the doctor with its message. Raises NotFound,
    Forbidden."""
    doctor = get_doctor(doctor_id, current_grant(), for_update=True)
    cycle = cycle_of_doctor(doctor.id)
    record = record_in_cycle(doctor.id, cycle) if cycle else None
    try:
        if record is None:
            raise InvalidState("该医师没有本周期的考核记录。")
        change = exclusions.propose(record, reason=request.form.get("reason", ""), by=current_user.as_actor())
    except (InvalidInput, InvalidState) as refusal:
        db.session.rollback()
        flash(refusal.message, "refusal")
        return redirect(url_for("doctors.show_doctor", doctor_id=doctor_id), 303)
    flash("已申请移出，等待上级卫生健康行政部门同意。")
    return redirect(url_for("enrolment_changes.show_change", change_id=change.id), 303)
