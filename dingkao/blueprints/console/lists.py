"""What every list of the console needs besides its own page: saved views, printing, and institutions and
departments suggested while their name is typed."""

from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, request
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.blueprints.console.listing_pages import posted_page_address, viewer_of
from dingkao.blueprints.console.navigation import console_blueprint
from dingkao.database.listing.definitions import get_definition
from dingkao.database.listing.list_pages import fetch_list_page
from dingkao.database.listing.list_states import parse_address
from dingkao.errors import Forbidden, InvalidInput, InvalidState
from dingkao.people import saved_views
from dingkao.people.department_search import suggest_department_names
from dingkao.people.organisation_filters import suggest_organisations
from dingkao.web.access_control import require
from dingkao.web.request_lifecycle import limiter

lists = console_blueprint("lists")
MAX_PRINTED = 1_000
"""How many rows of a view are printed; of more people a file takes a second person."""


@lists.get("/office/lists/institutions")
@require("console.open")
@limiter.limit("600/hour")
def suggest_institutions() -> dict[str, Any]:
    """JSON for scripts: the first institutions of the province that fit what was typed (`words`), the best
    first: `name`, and the 机构登记号 as `label`; none for nothing typed."""
    suggestions = suggest_organisations(request.args.get("words", ""))
    return {"suggestions": [{"name": name, "label": number} for name, number in suggestions]}


@lists.get("/office/lists/departments")
@require("console.open")
@limiter.limit("600/hour")
def suggest_departments() -> dict[str, Any]:
    """JSON for scripts: the first names of departments that fit what was typed (`words`), each once; none for
    nothing typed."""
    names = suggest_department_names(request.args.get("words", ""), current_user.memberships)
    return {"suggestions": [{"name": name, "label": ""} for name in names]}


@lists.get("/office/lists/<string:name>/print")
@require("console.open")
@limiter.limit("300/hour")
def print_list(name: str) -> str:
    """The first MAX_PRINTED rows of a view (`view`, its address) on one page, to be printed. Raises NotFound
    for an unknown list, Forbidden for one that the user may not see, InvalidInput for a view that no longer
    is one."""
    definition = get_definition(name)
    if not current_user.may(definition.action):
        raise Forbidden
    state = parse_address(definition, request.args.get("view", ""))
    return render_template(
        "console/lists/print.html",
        state=state,
        columns=[column for column in definition.columns if column.key in state.shown_columns],
        page=fetch_list_page(state, viewer_of(definition), MAX_PRINTED),
        max_printed=MAX_PRINTED,
        printed_at=clock.minute_text(clock.now()),
    )


@lists.post("/office/lists/views")
@require("views.save")
@limiter.limit("120/hour")
def save_view() -> Response:
    """Save the view that a list shows under a name, in place of one's own of that name, for oneself or with
    `shared` for one's colleagues, and go back to the list; a refusal is said there. Raises NotFound for an
    unknown list, Forbidden for one that the user may not see."""
    definition = get_definition(request.form.get("list", ""))
    if not current_user.may(definition.action):
        raise Forbidden
    try:
        state = parse_address(definition, request.form.get("view", ""))
        view = saved_views.save_view(
            state,
            request.form.get("name", ""),
            account_id=current_user.id,
            memberships=current_user.memberships,
            is_shared="shared" in request.form,
        )
    except (InvalidInput, InvalidState) as refusal:
        flash(refusal.message, "refusal")
    else:
        flash(f"已保存视图“{view.name}”。")
    return redirect(posted_page_address(), 303)


@lists.post("/office/lists/views/<uuid:view_id>/delete")
@require("views.save")
def delete_view(view_id: UUID) -> Response:
    """Delete a saved view of one's own, or one that colleagues share. Raises NotFound for any other."""
    name = saved_views.delete_view(view_id, account_id=current_user.id, memberships=current_user.memberships)
    flash(f"已删除视图“{name}”。")
    return redirect(posted_page_address(), 303)
