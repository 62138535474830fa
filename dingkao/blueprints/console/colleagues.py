"""Colleagues in the console: the staff of one's own organisations, and inviting others to them, one by one or
by a sheet."""

from functools import partial
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response
from wtforms import SelectField, StringField
from wtforms.fields.choices import SelectChoice

from dingkao.blueprints.console.navigation import (
    console_blueprint,
)
from dingkao.database.base import db
from dingkao.errors import InvalidInput, InvalidState
from dingkao.integrations.spreadsheets.import_rows import (
    ImportReport,
)
from dingkao.people import colleagues as own_staff
from dingkao.people import staff_queries
from dingkao.people.colleagues import Invitation
from dingkao.people.departments import department_names
from dingkao.people.models import ACCOUNT_STATES
from dingkao.people.name_lookups import organisation_names
from dingkao.people.permissions import ROLE_LABELS
from dingkao.web.access_control import (
    current_grant,
    require,
)
from dingkao.web.form_submission import submit_form
from dingkao.web.forms import (
    Form,
    Required,
    SpreadsheetForm,
)

colleagues = console_blueprint("colleagues")


class InvitationForm(Form):
    """The invitation of a colleague."""

    user_name = StringField(
        "用户名",
        [Required("请填写用户名，如 changzhi-jingban。")],
    )
    name = StringField("姓名", [Required("请填写姓名。")])
    seat = SelectField("角色", [Required("请选择角色。")])
    department = StringField("科室")


def _invitation_form(*, is_sent: bool) -> InvitationForm:
    """The form with the seats that the user may give; with what was typed if `is_sent`, else empty."""
    form = InvitationForm() if is_sent else InvitationForm(formdata=None)
    form.seat.choices = [SelectChoice(seat.code, seat.label) for seat in own_staff.seats(current_grant())]
    return form


@colleagues.get("/office/colleagues")
@require("staff.invite_own")
def list_colleagues() -> str:
    """A page of the staff of one's own organisations, also of closed accounts, and the forms to invite."""
    return _render_list(
        _invitation_form(is_sent=False),
        SpreadsheetForm(formdata=None),
    )


@colleagues.post("/office/colleagues")
@require("staff.invite_own")
def invite_colleague() -> tuple[str, int]:
    """Invite somebody. The one-time code is shown now and never again, so the response is the page itself; a
    refusal is shown in its form."""
    form = _invitation_form(is_sent=True)
    invitation = submit_form(
        form,
        partial(_invite_from_form, form),
        refusals=(InvalidInput, InvalidState),
    )
    file = SpreadsheetForm(formdata=None)
    if invitation is None:
        db.session.rollback()
        return _render_list(form, file), InvalidInput.status
    return _render_list(_invitation_form(is_sent=False), file, [invitation]), 200


def _invite_from_form(form: InvitationForm) -> Invitation:
    """Create the account of the form's colleague, and return the invitation with the one-time code, of which
    only a hash is stored. Raises InvalidInput, InvalidState for an organisation that is closed."""
    seat = own_staff.resolve_seat(form.seat.data, current_grant())
    user_name, name = (
        form.user_name.data or "",
        form.name.data or "",
    )
    return own_staff.invite(
        user_name,
        name,
        seat,
        by=current_user.as_actor(),
        department=form.department.data or "",
    )


@colleagues.post("/office/colleagues/sheet")
@require("staff.invite_own")
def invite_by_sheet() -> tuple[str, int]:
    """Invite everybody of a sheet, or with the button that checks only tell who would be; the codes are shown
    now and never again, beside who could not be invited. A sheet that can't be read is refused in its form.
    Raises TooLarge, Unavailable."""
    file = SpreadsheetForm()
    form = _invitation_form(is_sent=False)
    invited = submit_form(
        file,
        partial(_invite_from_sheet, file),
        field="file",
    )
    if invited is None:
        db.session.rollback()
        return _render_list(form, file), InvalidInput.status
    return _render_list(form, SpreadsheetForm(formdata=None), *invited), 200


def _invite_from_sheet(
    file: SpreadsheetForm,
) -> tuple[list[Invitation], ImportReport]:
    """Invite everybody of the uploaded sheet, or with the button that checks only tell who would be (then the
    codes returned are worth nothing). Raises InvalidInput, TooLarge, Unavailable."""
    take_sheet = own_staff.check_many if "check" in request.form else own_staff.invite_many
    return take_sheet(file.file.data.read(), current_grant(), by=current_user.as_actor())


@colleagues.post("/office/colleagues/seat")
@require("staff.invite_own")
def give_seat() -> Response | tuple[str, int]:
    """Give somebody who has an account already a role at one's own organisation, which ends their sessions,
    and notify them; who has it already is left as is. A refusal is shown in the form."""
    form = _invitation_form(is_sent=True)
    is_new = submit_form(form, partial(_give_seat_from_form, form), refusals=(InvalidInput, InvalidState))
    if is_new is None:
        db.session.rollback()
        return _render_list(form, SpreadsheetForm(formdata=None)), InvalidInput.status
    flash("已添加角色，本人会收到消息，重新登录后生效。" if is_new else "对方已有这个角色，没有变更。")
    return redirect(url_for("colleagues.list_colleagues"), 303)


def _give_seat_from_form(form: InvitationForm) -> bool:
    """Give the seat of the form to the account (locked) that user name and name mean together, which ends its
    sessions and is told to its owner, and return True; False if it has it already. Raises InvalidInput,
    InvalidState for an account or organisation that is closed."""
    return own_staff.give_seat(
        form.user_name.data or "",
        form.name.data or "",
        own_staff.resolve_seat(form.seat.data, current_grant()),
        by=current_user.as_actor(),
        department=form.department.data or "",
    )


def _render_list(
    form: InvitationForm,
    file: SpreadsheetForm,
    invitations: list[Invitation] | None = None,
    report: ImportReport | None = None,
) -> str:
    """A page of the list of colleagues (`after` in the address), with both forms. `invitations`: whose codes
    are shown once; `report`: of the sheet that was just read."""
    page = own_staff.colleagues_page(current_grant(), request.args.get("after"))
    return render_template(
        "console/colleagues/list.html",
        page=page,
        form=form,
        file=file,
        invitations=invitations or [],
        report=report,
        is_check="check" in request.form,
        states=ACCOUNT_STATES,
        roles=_roles_text([account.id for account in page.rows]),
        max_rows=own_staff.MAX_ROWS,
    )


def _roles_text(
    account_ids: list[UUID],
) -> dict[UUID, list[str]]:
    """Account id → its roles at one's own organisations, each as text; accounts without one are left out."""
    own_ids = current_grant().organisation_ids
    names = organisation_names(own_ids)
    memberships = staff_queries.memberships_of_accounts(account_ids)
    departments = department_names(membership.department_id for membership in memberships)
    roles: dict[UUID, list[str]] = {}
    for membership in memberships:
        if membership.organisation_id in names:
            department = departments.get(membership.department_id, "") if membership.department_id else ""
            text = f"{ROLE_LABELS[membership.role]} {names[membership.organisation_id]}{department}"
            roles.setdefault(membership.account_id, []).append(text)
    return roles
