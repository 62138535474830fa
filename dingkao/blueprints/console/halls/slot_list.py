"""The list of halls and slots; adding and changing slots."""

from collections.abc import Iterable
from functools import partial
from itertools import chain
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.blueprints.console.halls.blueprint import (
    halls,
    require_cycle,
)
from dingkao.blueprints.console.halls.forms import (
    SlotForm,
    chosen_assessor,
    chosen_hall,
    list_assessors,
    manage_scope,
    offer_choices,
)
from dingkao.blueprints.console.navigation import get_organisation
from dingkao.cycles.cycles import current_cycle, get_cycle
from dingkao.cycles.models import Cycle
from dingkao.exams import halls as hall_rules
from dingkao.exams import slots, window_extension
from dingkao.exams.models.hall_models import Hall, Slot
from dingkao.people import organisations
from dingkao.people.models import Organisation
from dingkao.people.name_lookups import organisation_names
from dingkao.question_banks.models import SUBJECTS
from dingkao.web.access_control import require
from dingkao.web.form_submission import form_page, submit_form
from dingkao.web.forms import MAX_CHOICES


@halls.get("/office/halls")
@require("halls.manage")
def list_halls() -> str:
    """The halls, a page of the cycle's slots with the numbers of seats taken, and the form of a new slot."""
    return _render_halls(SlotForm(formdata=None))


def _render_halls(slot_form: SlotForm) -> str:
    """The page of halls and slots (`after` in the address) with the form of a new slot, whose choices are set
    here; of halls, MAX_CHOICES at most whose name begins with what was typed (`hall`)."""
    cycle, scope = current_cycle(), manage_scope()
    assessors = list_assessors()
    name_prefix = request.args.get("hall", "").strip()
    listed_halls = hall_rules.list_halls(scope, name_prefix, MAX_CHOICES + 1)
    page = slots.slots_page(cycle, scope, request.args.get("after"))
    offer_choices(slot_form, assessors)
    if len(assessors) == 1 and not slot_form.is_submitted():
        slot_form.organisation.data = str(assessors[0].id)
    return render_template(
        "console/halls/list.html",
        cycle=cycle,
        halls=listed_halls[:MAX_CHOICES],
        further=len(listed_halls) > MAX_CHOICES,
        words=name_prefix,
        page=page,
        slots=page.rows,
        taken=slots.taken_seat_counts(page.rows),
        slot_form=slot_form,
        by_id=hall_rules.halls_by_id(slot.hall_id for slot in page.rows),
        subjects=SUBJECTS,
        places=_names_of_organisations(listed_halls, page.rows),
        moment=clock.now(),
    )


def _names_of_organisations(listed_halls: Iterable[Hall], listed_slots: Iterable[Slot]) -> dict[UUID, str]:
    """The names of the organisations of halls and slots, and of the institutions to which slots are limited,
    by id."""
    return organisation_names(
        [
            *(hall.organisation_id for hall in listed_halls),
            *chain.from_iterable((slot.organisation_id, slot.institution_id) for slot in listed_slots),
        ]
    )


@halls.post("/office/slots")
@require("halls.manage")
def add_slot() -> Response | tuple[str, int]:
    """Add a slot; a refusal is shown in the form. Raises NotFound, also before the first cycle."""
    form = SlotForm()
    cycle = require_cycle()
    offer_choices(form, list_assessors())
    response = submit_form(form, partial(_add_from_form, form, cycle))
    return response if response is not None else (_render_halls(form), 422)


def _add_from_form(form: SlotForm, cycle: Cycle) -> Response:
    """Add the slot of the form. Raises InvalidInput, NotFound."""
    slot = _save_slot(form, cycle, chosen_assessor(form.organisation.data), None)
    flash("场次已添加，请编排医师。")
    return redirect(url_for("halls.show_slot", slot_id=slot.id), 303)


@halls.route("/office/slots/<uuid:slot_id>/change", methods=["GET", "POST"])
@require("halls.manage")
def change_slot(slot_id: UUID) -> Response | tuple[str, int] | str:
    """Change the time, the hall and the participants of a slot, but not whose it is. Doctors who have a seat
    are notified of another time or hall. A refusal is shown in the form. Raises NotFound."""
    slot = slots.get_slot(slot_id, manage_scope(), for_update=request.method == "POST")
    owner = get_organisation(slot.organisation_id)
    form = SlotForm(data=_slot_values(slot))
    offer_choices(form, [owner], owner)
    response = submit_form(form, partial(_change_by_form, form, owner, slot))
    if response is not None:
        return response
    page = render_template("console/halls/edit_slot.html", slot=slot, form=form)
    return form_page(page)


def _change_by_form(form: SlotForm, owner: Organisation, slot: Slot) -> Response:
    """Change the slot as the form says; a later end applies to sittings that have begun, too, which a job
    extends. Raises InvalidInput, NotFound."""
    end_before, time_and_hall_before = slot.closes_at, slots.time_and_hall(slot)
    _save_slot(form, get_cycle(slot.cycle_id), owner, slot)
    if slot.closes_at > end_before:
        window_extension.enqueue_for_slot(slot, by=current_user.as_actor())
    has_notified = slots.time_and_hall(slot) != time_and_hall_before and slots.taken_seat_count(slot)
    flash("场次已保存，已编排的医师会收到变更消息。" if has_notified else "场次已保存。")
    return redirect(url_for("halls.show_slot", slot_id=slot.id), 303)


def _slot_values(slot: Slot) -> dict[str, object]:
    """The initial values of a slot's form."""
    institution_number = ""
    if slot.institution_id:
        institution_number = get_organisation(slot.institution_id).registration_number
    return {
        "organisation": str(slot.organisation_id),
        "opens_at": clock.to_beijing(slot.opens_at),
        "closes_at": clock.to_beijing(slot.closes_at),
        "hall": str(slot.hall_id or ""),
        "institution": institution_number,
        "subject": slot.subject or "",
        "invigilated": slot.invigilated,
    }


def _save_slot(
    form: SlotForm,
    cycle: Cycle,
    owner: Organisation,
    slot: Slot | None,
) -> Slot:
    """Change `slot` (locked) as the form says, and notify those with a seat of another time or hall, or add
    one for `owner`; return it. Locks the hall. Raises InvalidInput, NotFound."""
    hall = chosen_hall(form.hall.data, owner) if form.hall.data else None
    institution = organisations.resolve_organisation(form.institution.data) if form.institution.data else None
    return slots.save_slot(
        cycle,
        owner,
        opens_at=form.opens_at.moment,
        closes_at=form.closes_at.moment,
        hall=hall,
        institution=institution,
        subject=form.subject.data or None,
        invigilated=bool(form.invigilated.data),
        by=current_user.as_actor(),
        slot=slot,
    )
