"""Institutions and assessment organisations in the console: another name, merging one into another, closing
one, and opening it again."""

from functools import partial
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response
from wtforms import StringField

from dingkao.blueprints.console.navigation import console_blueprint, get_organisation
from dingkao.database.base import db
from dingkao.errors import InvalidInput, InvalidState
from dingkao.people import organisation_mergers, organisation_names, organisations
from dingkao.people.models import Organisation
from dingkao.people.name_lookups import organisation_names as names_by_id
from dingkao.people.organisation_queries import require_organisation
from dingkao.people.organisation_succession import count_parts
from dingkao.web.access_control import require
from dingkao.web.form_submission import form_page, form_page_with_errors, submit_form
from dingkao.web.forms import Form, Required

institution_changes = console_blueprint("institution_changes")


class RenameForm(Form):
    """Another name for an institution."""

    name = StringField("新名称", [Required("请填写新的机构名称。")])
    reason = StringField("依据", [Required("请填写依据，如批复文号。")])


class ClosingForm(Form):
    """The end of an institution: without a successor it must have nothing that is open."""

    institution = StringField("承接的机构")
    reason = StringField("依据", [Required("请填写依据，如批复文号。")])


@institution_changes.route("/office/institutions/<uuid:organisation_id>/name", methods=["GET", "POST"])
@require("institutions.manage")
def rename(organisation_id: UUID) -> Response | tuple[str, int] | str:
    """Give an institution another name, with a reason; a refusal is shown in the form. Raises NotFound,
    InvalidState for a closed one."""
    institution = get_organisation(organisation_id)
    organisation_mergers.require_open(institution)
    form = RenameForm()
    response = submit_form(form, partial(_save_name, institution, form))
    if response is not None:
        return response
    page = render_template(
        "console/institutions/rename.html",
        institution=institution,
        form=form,
        former_names=organisation_names.former_names(institution),
    )
    return form_page(page)


def _save_name(institution: Organisation, form: RenameForm) -> Response:
    """Store the name of the form. Raises InvalidInput."""
    former = institution.name
    organisation_names.rename(
        institution,
        form.name.data or "",
        reason=form.reason.data or "",
        by=current_user.as_actor(),
    )
    flash(f"已将“{former}”更名为“{institution.name}”；按原名称也能查到。")
    return redirect(_institution_address(institution.id), 303)


@institution_changes.route("/office/institutions/<uuid:organisation_id>/closing", methods=["GET", "POST"])
@require("institutions.manage")
def close(organisation_id: UUID) -> Response | tuple[str, int] | str:
    """Merge an institution into another one, or close it: first what would happen is shown, then it is
    confirmed. The row isn't locked here: a merger locks both in one order. Raises NotFound, Forbidden,
    InvalidState."""
    institution = require_organisation(organisation_id)
    form = ClosingForm()
    outcome = submit_form(form, partial(_preview_or_close, institution, form))
    if isinstance(outcome, Response):
        return outcome
    page = render_template(
        "console/institutions/closing.html",
        institution=institution,
        form=form,
        counts=count_parts(institution.id),
        preview=outcome,
        is_preview=outcome is not None,
    )
    return form_page_with_errors(page, form)


def _preview_or_close(institution: Organisation, form: ClosingForm) -> Response | Organisation | bool:
    """With the button that confirms, merge or close the institution and return where to go on; else the
    successor that was typed, or False for none, and nothing is changed. A merger is carried on by a job;
    closing closes the accounts of those who have a role there only. Raises InvalidInput, Forbidden for who
    may not close accounts, InvalidState."""
    reason, actor = form.reason.data or "", current_user.as_actor()
    is_confirmed = "confirmed" in request.form
    if form.institution.data:
        successor = organisations.resolve_choice(form.institution.data)
        if not is_confirmed:
            organisation_mergers.require_mergeable(institution, successor)
            return successor
        job = organisation_mergers.merge(institution.id, successor.id, reason=reason, by=actor)
        return redirect(url_for("jobs.show_job", job_id=job.id), 303)
    if not is_confirmed:
        _require_closable(institution)
        return False
    db.session.refresh(institution, with_for_update=True)
    organisation_mergers.close(institution, reason=reason, by=actor)
    flash(f"已撤销{institution.name}。")
    return redirect(_institution_address(institution.id), 303)


def _require_closable(institution: Organisation) -> None:
    """Raise InvalidInput for the field `institution` if the institution needs a successor, or another one is
    being merged into it; InvalidState if it is closed."""
    organisation_mergers.require_open(institution)
    try:
        organisation_mergers.require_nothing_open(institution)
    except InvalidState as refusal:
        raise InvalidInput(refusal.message, "institution") from refusal


@institution_changes.post("/office/institutions/<uuid:organisation_id>/reopening")
@require("institutions.manage")
def reopen(organisation_id: UUID) -> Response:
    """Open an institution again that was closed without a successor. Raises NotFound, InvalidState."""
    institution = get_organisation(organisation_id)
    organisation_mergers.reopen(institution, by=current_user.as_actor())
    flash(f"已恢复{institution.name}，请重新邀请工作人员。")
    return redirect(_institution_address(institution.id), 303)


def _institution_address(organisation_id: UUID) -> str:
    return url_for("institutions.show_institution", organisation_id=organisation_id)


def succession_text(institution: Organisation) -> str:
    """What became of an institution (merged into which, or closed), as people read it; "" for one that is
    open."""
    if institution.closed_at is None:
        return ""
    successor = names_by_id([institution.successor_id]).get(institution.successor_id or institution.id)
    return f"已并入{successor}" if successor else "已撤销"
