"""The live page: how many sittings are in each state, and a list of the sittings in one state."""

from dataclasses import replace
from typing import Any, NamedTuple
from uuid import UUID

from flask import render_template, request
from flask_login import current_user

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.blueprints.console import outages
from dingkao.blueprints.console.exam_monitoring.blueprint import (
    connected_among,
    exam_monitoring,
    filter_for,
)
from dingkao.database.pagination import Page
from dingkao.exams import added_time, announcements, monitoring
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.monitoring import (
    MAX_OPEN_SITTINGS,
    SITTING_FILTERS,
    MonitoringFilter,
)
from dingkao.exams.monitoring_locations import (
    Location,
    list_locations,
)
from dingkao.exams.sitting_descriptions import (
    describe_people,
    describe_sittings,
)
from dingkao.web.access_control import require
from dingkao.web.forms import MAX_MINUTES_DIGITS

MAX_HALL_WORDS = 50
FILTERS_WITH_ADDED_TIME = ("answering", "lost", "handed_in")


class _OpenSittings(NamedTuple):
    """The ids of the sittings not handed in, and of those among them whose page has recently sent a
    heartbeat."""

    ids: list[UUID]
    connected_ids: set[UUID]


@exam_monitoring.get("/office/watching")
@require("monitoring.view")
def monitoring_page() -> str:
    """How many sittings are in each state (all, or those of one hall or slot), and the sittings in one state.
    The page updates itself (js/live-regions.js)."""
    return render_monitoring()


def render_monitoring() -> str:
    """The live page, according to the address: state, location, name. Without a state, the first in which
    there is anybody."""
    locations, has_more_locations, location = locations_of_page()
    word = request.args.get("name", "").strip()
    monitoring_filter = replace(filter_for("monitoring.view"), location=location, search_text=word)
    open_ids = monitoring.open_sitting_ids(monitoring_filter)
    open_sittings = _OpenSittings(open_ids, connected_among(open_ids))
    counts = monitoring.count_sittings_by_state(
        monitoring_filter,
        len(open_ids),
        len(open_sittings.connected_ids),
    )
    view = request.args.get("view", "")
    if view not in SITTING_FILTERS:
        view = next((state for state in SITTING_FILTERS if counts[state]), "answering")
    return render_template(
        "console/exam_monitoring/monitoring.html",
        view=view,
        views=SITTING_FILTERS,
        counts=counts,
        word=word,
        moment=clock.now(),
        cycle=monitoring_filter.cycle,
        places=locations,
        further=has_more_locations,
        hall_words=_hall_words(),
        uncounted=monitoring.uncounted_open_sittings(monitoring_filter, len(open_ids)),
        counted=MAX_OPEN_SITTINGS,
        place=location.code if location else None,
        place_label=location.label if location else None,
        outages=_outages_awaiting_time(),
        announcements=announcements.recent_announcements(monitoring_filter.scope),
        max_announcement_length=announcements.MAX_TEXT_LENGTH,
        max_minutes_digits=MAX_MINUTES_DIGITS,
        max_reason_length=added_time.MAX_REASON_LENGTH,
        may=current_user.may("monitoring.give_time") and view in FILTERS_WITH_ADDED_TIME,
        **_listed(view, monitoring_filter, open_sittings),
    )


def locations_of_page() -> tuple[list[Location], bool, Location | None]:
    """The halls and slots to choose from, whether there are more, and the one that the address names (None
    for all)."""
    code = request.args.get("place", "")
    monitoring_filter = filter_for("monitoring.view")
    if monitoring_filter.cycle is None:
        return [], False, None
    locations, has_more = list_locations(
        monitoring_filter.cycle,
        monitoring_filter.scope,
        code,
        _hall_words(),
    )
    chosen = next(
        (location for location in locations if location.code == code),
        None,
    )
    return locations, has_more, chosen


def _hall_words() -> str:
    """What was typed to narrow down the halls and slots to choose from."""
    return request.args.get("hall", "").strip()[:MAX_HALL_WORDS]


def _outages_awaiting_time() -> list[tuple[Any, str, int]]:
    """The recent outages during which sittings ended: the outage, its time as text, and how many sittings
    wait for added time."""
    return [
        (outage, outages.time_span_text(outage), counts.ended_waiting)
        for outage, counts in outages.recent_outages()
        if counts.ended_waiting
    ]


def _listed(
    view: str,
    monitoring_filter: MonitoringFilter,
    open_sittings: _OpenSittings,
) -> dict[str, Any]:
    """The rows of the page's table: assessments that haven't begun, or sittings."""
    cursor = request.args.get("after")
    if view == "waiting":
        records: Page[Assessment] = monitoring.waiting_page(monitoring_filter, cursor)
        return {
            "page": records,
            "rows": [],
            "waiting": describe_people(records.rows),
        }
    page: Page[Sitting]
    if view == "answering":
        page = monitoring.sittings_page_among(monitoring_filter, open_sittings.connected_ids, cursor)
    elif view == "lost":
        lost_ids = set(open_sittings.ids) - open_sittings.connected_ids
        page = monitoring.sittings_page_among(monitoring_filter, lost_ids, cursor)
    else:
        page = monitoring.sittings_page(monitoring_filter, view, cursor)
    rows = describe_sittings(page.rows, open_sittings.connected_ids)
    return {"page": page, "rows": rows, "waiting": {}}
