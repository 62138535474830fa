"""The search in the console's top bar: doctors by name, pinyin, numbers, institution or department."""

from uuid import UUID

from flask import redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.assessments.models import ASSESSMENT_STATES
from dingkao.assessments.people_search import MAX_SHOWN, MatchGroup, search_people
from dingkao.blueprints.console.filing_review import review_scopes
from dingkao.blueprints.console.navigation import console_blueprint
from dingkao.doctors.name_search import MAX_TEXT_LENGTH, is_number
from dingkao.web.access_control import current_grant, require

people_search = console_blueprint("people_search")


@people_search.get("/office/search")
@require("people.search")
def find_people() -> str:
    """The doctors within the user's grant whom the text `q` finds, each once, by the form that found them
    first (name, number …), MAX_SHOWN of each."""
    return _render_results(request.args.get("q", "").strip())


@people_search.post("/office/search")
@require("people.search")
def submit_search() -> Response | str:
    """The doctors whom the posted text `q` finds: at an address of its own, which can be sent to a colleague;
    a document number is answered here, so that it stands in no address (domain.md §9)."""
    text = request.form.get("q", "").strip()
    if is_number(text):
        return _render_results(text)
    return redirect(url_for("people_search.find_people", q=text or None), 303)


def _render_results(text: str) -> str:
    """The page of the doctors whom `text` finds."""
    groups = search_people(text, current_grant())
    return render_template(
        "console/people_search/results.html",
        search_text=text,
        groups=groups,
        review_sides=_review_sides(groups),
        states=ASSESSMENT_STATES,
        is_too_long=len(text) > MAX_TEXT_LENGTH,
        max_length=MAX_TEXT_LENGTH,
        max_shown=MAX_SHOWN,
    )


def _review_sides(groups: list[MatchGroup]) -> dict[UUID, str]:
    """The side (`review_scopes`) on which the current user may open the records of these people, by record's
    id; records that may not be opened are left out."""
    if not current_user.may("filings.review"):
        return {}
    records = [person.record for group in groups for person in group.people if person.record]
    return {
        record.id: side
        for side, scope in review_scopes().items()
        for record in records
        if record.state != "not_included" and scope.includes(record)
    }
