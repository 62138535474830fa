"""The list of seats (座次表) of a slot or a hall: printed, copied, or had as a file."""

from flask import render_template
from werkzeug.wrappers import Response

from dingkao.blueprints.console.halls.blueprint import halls
from dingkao.blueprints.console.listing_pages import open_list
from dingkao.exams.monitoring_locations import location_name
from dingkao.exams.seat_list import PLACE_FILTER, SEAT_LIST
from dingkao.web.access_control import require


@halls.get("/office/seats")
@halls.post("/office/seats/search", endpoint="search_seats")
@require("halls.manage")
def list_seats() -> str | Response:
    """Who sits where in the slot or the hall that the address names; nobody without one."""
    view = open_list(SEAT_LIST, endpoint="halls.list_seats", search_endpoint="halls.search_seats")
    if isinstance(view, Response):
        return view
    place = view.state.filters.get(PLACE_FILTER, "")
    return render_template(
        "console/halls/seats.html",
        view=view,
        place=location_name(place) if view.page.rows else "",
        slot_id=place.removeprefix("slot-") if place.startswith("slot-") else None,
    )
