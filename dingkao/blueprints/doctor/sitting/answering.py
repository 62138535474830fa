"""Answering [S17]: the page, what it requests while it is open, and continuing on another device."""

from typing import Any
from uuid import UUID

from flask import jsonify, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.blueprints.doctor.sitting.blueprint import (
    current_record,
    is_current_device,
    new_device_name,
    raise_sitting_not_found,
    remember_device_of,
    save_token,
    sitting,
    status_address,
)
from dingkao.blueprints.doctor.sitting.script_data import (
    questions_as_json,
    status_as_json,
    to_milliseconds,
)
from dingkao.exams import announcements, integrity_events, shown_questions, sittings
from dingkao.web.access_control import require
from dingkao.web.answer_middleware import answer_url
from dingkao.web.forms import read_json
from dingkao.web.known_devices import device_name
from dingkao.web.request_lifecycle import keeps_answers_on_phone

MAX_EVENTS_BYTES = 20_000


@sitting.get("/sitting/<uuid:sitting_id>")
@require("sitting.sit")
@keeps_answers_on_phone
def answer_page(sitting_id: UUID) -> Response | str:
    """[S17]: the answering page. A device on which the sitting wasn't answered before asks first, because
    continuing here (`switch_device`) ends the other device's page. A sitting that is handed in leads to its
    closing page. Raises NotFound."""
    own_sitting = sittings.load_sitting_page(sitting_id, current_user.id)
    if own_sitting is None:
        raise_sitting_not_found()
    if own_sitting.handed_in_at is not None:
        return redirect(url_for("sitting.closing_page", sitting_id=sitting_id))
    if not is_current_device(own_sitting):
        return _render_device_switch(own_sitting)
    data = _answer_page_data(own_sitting)
    return render_template(
        "doctor/sitting/answer.html",
        sitting=own_sitting,
        paper=own_sitting,
        data=data,
        first=data["questions"][0],
    )


def _render_device_switch(own_sitting: Any) -> str:
    """The page that asks whether to continue here, which ends the other device's page."""
    return render_template(
        "doctor/sitting/switch_device.html",
        sitting=own_sitting,
        paper=own_sitting,
        sure=device_name() is not None and own_sitting.device is not None,
    )


def _answer_page_data(own_sitting: Any) -> dict[str, Any]:
    """The data for js/sitting.js: questions, stored answers, the token, and the URLs to which the page
    sends."""
    stored = {position: (letters, sequence) for position, letters, sequence in own_sitting.answers or ()}
    return {
        "id": str(own_sitting.id),
        "questions": questions_as_json(shown_questions.sitting_questions(own_sitting)),
        "opened": to_milliseconds(own_sitting.opened_at),
        **status_as_json(own_sitting, stored),
        "token": save_token(own_sitting),
        "address": answer_url(request.script_root, own_sitting.id),
        "standing": status_address(own_sitting),
        "events": url_for("sitting.save_events", sitting_id=own_sitting.id),
        "end": url_for("sitting.closing_page", sitting_id=own_sitting.id),
    }


@sitting.get("/sitting/<uuid:sitting_id>/standing")
@require("sitting.sit")
def status(sitting_id: UUID) -> Any:
    """The state of the sitting as JSON. The page requests it when it is shown again, when the network is
    back, and every few minutes, which also keeps the session alive (saving answers doesn't). The page that
    may continue gets a new token for the present epoch. Raises NotFound."""
    own_sitting = sittings.get_sitting(sitting_id, current_record())
    is_open = own_sitting.handed_in_at is None
    is_mine = is_open and is_current_device(own_sitting)
    token = {"token": save_token(own_sitting)} if is_mine else {}
    return jsonify(
        open=is_open,
        mine=is_mine,
        **token,
        announcements=announcements.announcements_for(own_sitting) if is_open else [],
        **status_as_json(own_sitting, sittings.numbered_answers(own_sitting)),
    )


@sitting.post("/sitting/<uuid:sitting_id>/take-over")
@require("sitting.sit")
def switch_device(sitting_id: UUID) -> Response:
    """Continue on this device, which is remembered; the other device's page can't save any more. That is
    entered in the journal. Of a sitting that is handed in only its closing page is shown. Raises NotFound."""
    record = current_record(for_update=True)
    own_sitting = sittings.get_sitting(sitting_id, record, for_update=True)
    device = new_device_name()
    if own_sitting.device != device:
        sittings.switch_device(own_sitting, by=current_user.as_actor(), device=device)
    remember_device_of(own_sitting, device)
    return redirect(url_for("sitting.answer_page", sitting_id=sitting_id), 303)


@sitting.post("/sitting/<uuid:sitting_id>/events")
@require("sitting.sit")
def save_events(sitting_id: UUID) -> Any:
    """Store what the page has noticed (integrity-events.js), a JSON list, whether the sitting is still open
    or not; an event sent several times is stored once, too many are dropped. Raises NotFound, InvalidInput,
    also above MAX_EVENTS_BYTES."""
    integrity_events.record_events(
        sittings.get_sitting(sitting_id, current_record()),
        read_json(MAX_EVENTS_BYTES),
    )
    return jsonify(kept=True)
