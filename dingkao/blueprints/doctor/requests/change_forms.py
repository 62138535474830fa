"""The forms in which a doctor enters what a change or correction request would change (its items)."""

from typing import Any
from uuid import UUID

from flask import render_template, request
from werkzeug.wrappers import Response

from dingkao.blueprints.doctor.form_input import (
    FormValues,
    first_text,
    read_form_values,
    typed_value,
)
from dingkao.blueprints.doctor.requests.blueprint import (
    get_request,
    get_request_of_kind,
    redirect_to_request,
    requests,
)
from dingkao.doctors import corrections
from dingkao.errors import InvalidInput, NotFound
from dingkao.filings.amendments import AMENDABLE_STEPS
from dingkao.filings.dossier import Dossier
from dingkao.filings.entry_list_fields import (
    ENTRY_LISTS,
    entry_lists_of,
)
from dingkao.filings.field_values import display_value
from dingkao.filings.fields import STEPS, Field
from dingkao.integrations.pdf.fonts import unprintable_characters
from dingkao.requests import drafting
from dingkao.requests.change_items import load_items
from dingkao.requests.models import Request
from dingkao.web.access_control import require


@requests.route(
    "/requests/<uuid:request_id>/step/<int:number>",
    methods=["GET", "POST"],
)
@require("requests.own")
def change_step(request_id: UUID, number: int) -> Response | tuple[str, int] | str:
    """The form of one step (of AMENDABLE_STEPS) with its values as filed and those that the request already
    changes; the values that the doctor changes on it become items of the change request, and the filing stays
    as it is. Errors are shown in the form. Raises NotFound, and in a POST InvalidState unless the request is
    a draft."""
    doctor_request, dossier = get_request_of_kind(request_id, "change")
    if number not in AMENDABLE_STEPS:
        raise NotFound
    if request.method == "POST":
        return _save_step(doctor_request, dossier, number)
    values = dossier.step_values(number) | _requested_values(doctor_request, number)
    return _render_step(doctor_request, dossier, number, values, {})


def _save_step(doctor_request: Request, dossier: Dossier, number: int) -> Response | tuple[str, int]:
    """Store the changed fields as items of the request (locked) and redirect to it, or render the form with
    errors; then nothing is stored. Raises InvalidState unless the request is a draft."""
    form_values = read_form_values()
    errors = drafting.save_change_fields(doctor_request, dossier, number, form_values)
    if not errors:
        return redirect_to_request(doctor_request)
    typed_values = {field.name: typed_value(field, form_values) for field in dossier.fields(number)}
    page = _render_step(doctor_request, dossier, number, typed_values, errors)
    return page, InvalidInput.status


def _render_step(
    doctor_request: Request,
    dossier: Dossier,
    number: int,
    values: dict[str, Any],
    errors: dict[str, str],
) -> str:
    """The form of a step; `values` and `errors` by field name."""
    return render_template(
        "doctor/requests/change_step.html",
        row=doctor_request,
        number=number,
        title=STEPS[number],
        fields=dossier.fields(number),
        kept=values,
        faults=errors,
        words=display_value,
        lists={
            kind: (entry_list, dossier.entries(kind)) for kind, entry_list in entry_lists_of(number).items()
        },
    )


def _requested_values(doctor_request: Request, number: int) -> dict[str, Any]:
    """The new values in the request for the fields of a step, by field name."""
    return {
        item["name"]: item["after"]
        for item in load_items(doctor_request)
        if (item["what"], item["place"]) == ("field", str(number))
    }


@requests.route(
    "/requests/<uuid:request_id>/list/<string:kind>/<string:entry>",
    methods=["GET", "POST"],
)
@require("requests.own")
def change_entry(request_id: UUID, kind: str, entry: str) -> Response | tuple[str, int] | str:
    """The form of one entry of a list, as filed, which the change request would add, change or remove; the
    filing stays as it is. `entry`: its id, or «new». Errors are shown in the form. Raises NotFound, and in a
    POST InvalidState unless the request is a draft."""
    doctor_request, dossier = get_request_of_kind(request_id, "change")
    _require_amendable_list(kind)
    stored_values = _get_entry_or_new(dossier, kind, entry)
    if request.method == "POST":
        return _save_entry(doctor_request, dossier, kind, entry)
    return _render_entry(doctor_request, kind, entry, stored_values, {})


def _get_entry_or_new(dossier: Dossier, kind: str, entry: str) -> dict[str, Any]:
    """The entry as filed; empty for «new». Raises NotFound."""
    stored_values = dossier.find_entry(kind, entry) or {}
    if entry != "new" and not stored_values:
        raise NotFound("这条经历已不存在，请返回上一页查看。")
    return stored_values


def _require_amendable_list(kind: str) -> None:
    """Raise NotFound for an unknown list, or one of a step that change requests may not change
    (AMENDABLE_STEPS)."""
    if kind not in ENTRY_LISTS or ENTRY_LISTS[kind].step not in AMENDABLE_STEPS:
        raise NotFound


def _save_entry(
    doctor_request: Request, dossier: Dossier, kind: str, entry: str
) -> Response | tuple[str, int]:
    """Store the changed entry, or with `remove` in the form its removal, as an item of the request (locked)
    and redirect to it, or render the form with errors; then nothing is stored. Raises InvalidState unless the
    request is a draft."""
    form_values = read_form_values()
    new_values = None if "remove" in request.form else form_values
    errors = drafting.save_change_entry(doctor_request, dossier, kind, entry, new_values)
    if not errors:
        return redirect_to_request(doctor_request)
    typed_values = {field.name: first_text(form_values, field.name) for field in ENTRY_LISTS[kind].fields}
    page = _render_entry(doctor_request, kind, entry, typed_values, errors)
    return page, InvalidInput.status


def _render_entry(
    doctor_request: Request,
    kind: str,
    entry: str,
    values: dict[str, Any],
    errors: dict[str, str],
) -> str:
    """The form of an entry (its id, or «new») of the list `kind`; `values` and `errors` by field name."""
    return render_template(
        "doctor/requests/change_entry.html",
        row=doctor_request,
        kind=kind,
        of=ENTRY_LISTS[kind],
        entry=entry,
        kept=values,
        faults=errors,
    )


@requests.route("/requests/<uuid:request_id>/correction", methods=["GET", "POST"])
@require("requests.own")
def correction(request_id: UUID) -> Response | tuple[str, int] | str:
    """The form of what a correction request would change; errors are shown in it. Raises NotFound, and in a
    POST InvalidState unless the request is a draft."""
    doctor_request, dossier = get_request_of_kind(request_id, "correction")
    if request.method == "POST":
        return _save_correction(doctor_request, dossier)
    new_values = {item["name"]: item["after"] for item in load_items(doctor_request)}
    return _render_correction(doctor_request, dossier, new_values, {})


def _save_correction(doctor_request: Request, dossier: Dossier) -> Response | tuple[str, int]:
    """Store what the submitted form would correct as the items of the request (locked), and redirect to it.
    With errors nothing is stored: the form with them and what was typed, with status 422. Raises InvalidState
    if the request is no longer a draft."""
    form_values = read_form_values()
    errors = drafting.save_correction(doctor_request, dossier, form_values)
    if not errors:
        return redirect_to_request(doctor_request)
    typed_values = _typed_corrections(drafting.correction_fields(dossier), form_values)
    page = _render_correction(doctor_request, dossier, typed_values, errors)
    return page, InvalidInput.status


def _typed_corrections(fields: list[Field], form_values: FormValues) -> dict[str, Any]:
    """What was typed in the form of a correction, in the form in which its page shows it again, by field
    name."""
    first_texts = {name: first_text(form_values, name) for name in form_values}
    return first_texts | {
        field.name: typed_value(field, form_values) for field in fields if field.kind == "many"
    }


def _render_correction(
    doctor_request: Request,
    dossier: Dossier,
    new_values: dict[str, Any],
    errors: dict[str, str],
) -> str:
    """The form of a correction, with the stored values beside `new_values`; these and `errors` by field
    name."""
    stored_values = corrections.current_values(dossier.doctor)
    return render_template(
        "doctor/requests/correction.html",
        row=doctor_request,
        labels=corrections.FIELD_LABELS,
        lists=corrections.FIELD_CHOICES,
        asked=new_values,
        faults=errors,
        fields=drafting.correction_fields(dossier),
        now={name: corrections.display_value(name, stored_values[name]) for name in corrections.FIELD_LABELS},
        boxes=unprintable_characters(dossier.doctor.name),
    )


@requests.post("/requests/<uuid:request_id>/items/<int:number>/remove")
@require("requests.own")
def remove_item(request_id: UUID, number: int) -> Response:
    """Remove item `number` (from 0) from a draft. Raises NotFound, InvalidState."""
    doctor_request, _ = get_request(request_id)
    drafting.remove_item(doctor_request, number)
    return redirect_to_request(doctor_request, "items")
