"""Printing admission tickets for a slot or an institution."""

from functools import partial
from uuid import UUID

from flask import redirect, render_template, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.blueprints.console.halls.blueprint import (
    halls,
    require_cycle,
)
from dingkao.blueprints.console.halls.forms import TicketsForm
from dingkao.certificates import admission_tickets
from dingkao.exams import slots
from dingkao.jobs.models import Job
from dingkao.people import assessor_choices
from dingkao.web.access_control import require
from dingkao.web.form_submission import form_page, submit_form
from dingkao.web.request_lifecycle import limiter


@halls.post("/office/slots/<uuid:slot_id>/tickets")
@require("halls.tickets")
@limiter.limit("30/hour")
def slot_tickets(slot_id: UUID) -> Response:
    """Enqueue one PDF with the admission tickets of everyone who has a seat in a slot, with a journal entry,
    and redirect to the job, which fails if nobody has a ticket yet. Raises NotFound."""
    slot = slots.get_slot(slot_id, current_user.grant("halls.tickets"), for_update=True)
    job = admission_tickets.enqueue_slot_tickets(slot, by=current_user.as_actor())
    return redirect(url_for("jobs.show_job", job_id=job.id), 303)


@halls.route("/office/tickets", methods=["GET", "POST"])
@require("halls.tickets")
@limiter.limit("60/hour", methods=["POST"])
def institution_tickets() -> Response | tuple[str, int] | str:
    """Enqueue PDFs with the admission tickets of the doctors of an institution that the user's organisations
    assess; a refusal is shown in the form. Raises NotFound before the first cycle."""
    form = TicketsForm()
    job = submit_form(form, partial(_enqueue_tickets, form))
    if job is not None:
        return redirect(url_for("jobs.show_job", job_id=job.id), 303)
    return form_page(render_template("console/halls/institution_tickets.html", form=form))


def _enqueue_tickets(form: TicketsForm) -> Job:
    """Enqueue the tickets of the institution in the form, with a journal entry; for an assessment
    organisation only those of the doctors whom it assesses. Raises InvalidInput if the institution isn't
    known, or nobody there waits for the test or sits it; NotFound before the first cycle."""
    scope = current_user.grant("halls.tickets")
    institution = assessor_choices.resolve_assessed_institution(form.institution.data or "", scope)
    assessor_id = None if scope.is_province else institution.assessment_organisation_id
    return admission_tickets.enqueue_institution_tickets(
        institution,
        assessor_id,
        require_cycle(),
        by=current_user.as_actor(),
    )
