"""The closing page of a sitting [S18]."""

from typing import Any
from uuid import UUID

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from dingkao.assessments.models import FINAL_STATES, Assessment
from dingkao.blueprints.doctor.sitting.blueprint import (
    current_record,
    save_token,
    sitting,
    status_address,
)
from dingkao.blueprints.doctor.sitting.script_data import (
    sequences_by_position,
)
from dingkao.exams import sittings
from dingkao.exams.models.sitting_models import (
    AUTOMATIC_HAND_IN,
    Sitting,
)
from dingkao.exams.papers import get_paper
from dingkao.web.access_control import require
from dingkao.web.answer_middleware import answer_url


@sitting.get("/sitting/<uuid:sitting_id>/end")
@require("sitting.sit")
def closing_page(sitting_id: UUID) -> Response | str:
    """[S18]: the closing page. It shows no score, which only the province publishes. A voided sitting leads
    to the list of cases, one that isn't handed in to the page on which it is answered. Raises NotFound."""
    record = current_record()
    own_sitting = sittings.get_sitting(sitting_id, record)
    if own_sitting.voided_at is not None:
        return redirect(url_for("sitting.list_cases"))
    if own_sitting.handed_in_at is None:
        return redirect(url_for("sitting.answer_page", sitting_id=sitting_id))
    return _render_closing_page(record, own_sitting)


def _render_closing_page(record: Assessment, own_sitting: Sitting) -> str:
    """The closing page of a sitting of `record` that is handed in and not voided: how many questions were
    answered, which papers remain."""
    remaining = sittings.remaining_papers(record)
    stored = sittings.numbered_answers(own_sitting)
    return render_template(
        "doctor/sitting/closing_page.html",
        sitting=own_sitting,
        paper=get_paper(own_sitting.paper_id),
        answered=sum(letters != "" for letters, _sequence in stored.values()),
        left=remaining.open,
        missed=remaining.missed,
        at_its_end=own_sitting.handed_in_by in AUTOMATIC_HAND_IN,
        waiting=_late_answers_data(record, own_sitting, stored),
    )


def _late_answers_data(
    record: Assessment,
    own_sitting: Sitting,
    stored: dict[int, tuple[str, int]],
) -> dict[str, Any]:
    """The data for js/after-sitting.js, which reports answers that are still on the phone, and sends them if
    the sitting is reopened. `stored`: position (from 0) → letters ("" for none) and sequence number."""
    return {
        "id": str(own_sitting.id),
        "sequences": sequences_by_position(stored),
        "published": record.state in FINAL_STATES,
        "by_doctor": own_sitting.handed_in_by == "doctor",
        "address": answer_url(request.script_root, own_sitting.id),
        "token": save_token(own_sitting),
        "standing": status_address(own_sitting),
        "page": url_for("sitting.answer_page", sitting_id=own_sitting.id),
    }
