"""Halls: adding, changing, closing and reopening."""

from functools import partial
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.blueprints.console.halls.blueprint import halls
from dingkao.blueprints.console.halls.forms import (
    HallForm,
    chosen_assessor,
    list_assessors,
    manage_scope,
)
from dingkao.blueprints.console.navigation import get_organisation
from dingkao.exams import halls as hall_rules
from dingkao.exams.models.hall_models import Hall
from dingkao.people.models import Organisation
from dingkao.web.access_control import require
from dingkao.web.form_submission import form_page, submit_form


@halls.route("/office/halls/new", methods=["GET", "POST"])
@require("halls.manage")
def add_hall() -> Response | tuple[str, int] | str:
    """Add a hall; a refusal is shown in the form."""
    form = _new_hall_form()
    response = submit_form(form, partial(_add_from_form, form))
    return response if response is not None else _render_hall_form(form, None)


def _new_hall_form() -> HallForm:
    """The form of a new hall, empty or as it was sent; if only one organisation can be chosen, it is
    preselected."""
    form = HallForm()
    assessors = list_assessors()
    form.organisation.set_choices((str(assessor.id), assessor.name) for assessor in assessors)
    if request.method == "GET" and len(assessors) == 1:
        form.organisation.data = str(assessors[0].id)
    return form


def _add_from_form(form: HallForm) -> Response:
    """Add the hall of the form. Raises InvalidInput."""
    _save_hall(form, chosen_assessor(form.organisation.data))
    flash("考场已添加。")
    return redirect(url_for("halls.list_halls"), 303)


@halls.route("/office/halls/<uuid:hall_id>", methods=["GET", "POST"])
@require("halls.manage")
def edit_hall(hall_id: UUID) -> Response | tuple[str, int] | str:
    """Change a hall, but not whose it is; a refusal is shown in the form. Raises NotFound."""
    hall = hall_rules.get_hall(hall_id, manage_scope(), for_update=request.method == "POST")
    values = {
        "organisation": str(hall.organisation_id),
        "name": hall.name,
        "address": hall.address,
        "seats": hall.seats,
    }
    form = HallForm(data=values)
    owner = get_organisation(hall.organisation_id)
    form.organisation.set_choices([(str(owner.id), owner.name)])
    response = submit_form(form, partial(_change_by_form, form, owner, hall))
    return response if response is not None else _render_hall_form(form, hall)


def _change_by_form(form: HallForm, owner: Organisation, hall: Hall) -> Response:
    """Change the hall as the form says. Raises InvalidInput."""
    _save_hall(form, owner, hall)
    flash("考场已保存。")
    return redirect(url_for("halls.list_halls"), 303)


def _save_hall(form: HallForm, owner: Organisation, hall: Hall | None = None) -> None:
    """Change `hall` (locked) as the form says, or add one for `owner`. Raises InvalidInput."""
    hall_rules.save_hall(
        owner,
        name=form.name.data or "",
        address=form.address.data or "",
        seats=form.seats.data or 0,
        by=current_user.as_actor(),
        hall=hall,
    )


def _render_hall_form(form: HallForm, hall: Hall | None) -> tuple[str, int] | str:
    """The form of `hall`, or of a new one (None); with status 422 if it was refused."""
    page = render_template("console/halls/edit_hall.html", hall=hall, form=form)
    return form_page(page)


@halls.post("/office/halls/<uuid:hall_id>/shut")
@require("halls.manage")
def toggle_hall(hall_id: UUID) -> Response:
    """Close a hall for new slots, or open it again; those that it has stay. Raises NotFound."""
    hall = hall_rules.get_hall(hall_id, manage_scope(), for_update=True)
    hall_rules.toggle_hall_closed(hall, by=current_user.as_actor())
    flash("考场已停用，不再用于新的场次。" if hall.closed_at else "考场已恢复使用。")
    return redirect(url_for("halls.list_halls"), 303)
