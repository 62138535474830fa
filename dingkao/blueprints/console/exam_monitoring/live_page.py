"""The live page: how many sittings are in each state, and a list of those in one state."""

from typing import Any

from flask import redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.blueprints.console import outages
from dingkao.blueprints.console.exam_monitoring.blueprint import (
    exam_monitoring,
    filter_for,
)
from dingkao.blueprints.console.listing_pages import ListView, open_list, viewer_of
from dingkao.database.listing.definitions import ListRow
from dingkao.database.listing.list_states import parse_state
from dingkao.exams import added_time, announcements, monitoring
from dingkao.exams.monitoring import (
    MAX_OPEN_SITTINGS,
    MonitoringFilter,
)
from dingkao.exams.monitoring_locations import (
    Location,
    find_location,
    list_locations,
)
from dingkao.exams.sitting_list import (
    PLACE_FILTER,
    SITTING_LIST,
    VIEW_FILTER,
    WAITING,
    first_view,
    list_of_view,
)
from dingkao.web.access_control import require
from dingkao.web.forms import MAX_MINUTES_DIGITS

MAX_HALL_WORDS, REFRESH_SECONDS = 50, 15
FILTERS_WITH_ADDED_TIME = ("answering", "lost", "handed_in")
EMPTY_MESSAGES = {
    "answering": "现在没有人在作答。",
    "lost": "没有断线的作答。",
    WAITING: "没有待测评的医师。",
    "handed_in": "还没有人交卷。",
    "noticed": "没有情况记录。",
    "voided": "没有作废的作答。",
}


@exam_monitoring.get("/office/watching")
@exam_monitoring.post("/office/watching/search", endpoint="search_sittings")
@require("monitoring.view")
def monitoring_page() -> str | Response:
    """How many sittings are in each state (all, or those of one hall or slot), and those in one state. The
    page updates itself (js/live-regions.js)."""
    return render_monitoring()


def render_monitoring() -> str | Response:
    """The live page, according to the address: state, location, what is searched. Without a state, the first
    in which there is anybody. Or a redirect: from a location out of reach to the page of all, after a search
    to its address (`open_list`)."""
    locations, has_more_locations, location = locations_of_page()
    if location is None and find_location(request.args.get(PLACE_FILTER, "")):
        return redirect(url_for("exam_monitoring.monitoring_page"), 303)
    view = _open_view()
    if isinstance(view, Response):
        return view
    chosen, scope = view.state.filters.get(VIEW_FILTER, ""), filter_for("monitoring.view").scope
    monitoring_filter = MonitoringFilter(filter_for("monitoring.view").cycle, scope, location)
    return render_template(
        "console/exam_monitoring/monitoring.html",
        view=view,
        chosen=chosen,
        empty=EMPTY_MESSAGES.get(chosen, "还没有作答。"),
        moment=clock.now(),
        refresh_seconds=REFRESH_SECONDS,
        cycle=monitoring_filter.cycle,
        places=locations,
        further=has_more_locations,
        hall_words=_hall_words(),
        uncounted=monitoring.has_uncounted_sittings(monitoring_filter),
        counted=MAX_OPEN_SITTINGS,
        place=location.code if location else None,
        place_label=location.label if location else None,
        outages=_outages_awaiting_time(),
        announcements=announcements.recent_announcements(scope),
        max_announcement_length=announcements.MAX_TEXT_LENGTH,
        max_minutes_digits=MAX_MINUTES_DIGITS,
        max_reason_length=added_time.MAX_REASON_LENGTH,
        may=current_user.may("monitoring.give_time") and chosen in FILTERS_WITH_ADDED_TIME,
    )


def _open_view() -> ListView | Response:
    """The list of those in the state that the address names, or in the first in which there is anybody; after
    a search the redirect to its address (`open_list`)."""
    arguments = request.args.to_dict(flat=False)
    chosen, preset, viewer = request.args.get(VIEW_FILTER, ""), "", viewer_of(SITTING_LIST)
    if not chosen:
        chosen = preset = first_view(parse_state(SITTING_LIST, arguments), viewer)
    return open_list(
        list_of_view(chosen),
        presets={VIEW_FILTER: preset},
        links={} if chosen == WAITING else {"name": _sitting_address},
        viewer=viewer,
        endpoint="exam_monitoring.monitoring_page",
        search_endpoint="exam_monitoring.search_sittings",
    )


def _sitting_address(row: ListRow) -> str:
    return url_for("exam_monitoring.show_sitting", sitting_id=row[0].id)


def address_of_page() -> str:
    """The address of the view of the live page that the arguments of this request name."""
    state = parse_state(list_of_view(request.args.get(VIEW_FILTER, "")), request.args.to_dict(flat=False))
    arguments: dict[str, Any] = state.explicit_arguments()
    return url_for("exam_monitoring.monitoring_page", **arguments)


def locations_of_page() -> tuple[list[Location], bool, Location | None]:
    """The halls and slots to choose from, whether there are more, and the one that the address names (None if
    it names none, or one out of reach); none at all before the first cycle."""
    code = request.args.get(PLACE_FILTER, "")
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
    """What was typed (`hall` in the address) to narrow down the halls and slots to choose from; cut off after
    MAX_HALL_WORDS characters."""
    return request.args.get("hall", "").strip()[:MAX_HALL_WORDS]


def _outages_awaiting_time() -> list[tuple[Any, str, int]]:
    """The recent outages during which sittings ended: the outage, its time as text, and how many sittings
    wait for added time."""
    return [
        (outage, outages.time_span_text(outage), counts.ended_waiting)
        for outage, counts in outages.recent_outages()
        if counts.ended_waiting
    ]
