"""Requests (申请) in the console: the pending ones, one request with its files, approving or refusing."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.assessments.current_records import records_by_id
from dingkao.assessments.models import (
    ASSESSMENT_STATES,
    VERDICT_PARTS,
    VERDICTS,
    Assessment,
)
from dingkao.blueprints.console.listing_pages import open_list
from dingkao.blueprints.console.navigation import (
    console_blueprint,
    count_decidable,
    current_user_recusal_reason,
)
from dingkao.database.base import db
from dingkao.doctors.code_lists import CATEGORIES, LEVELS
from dingkao.doctors.doctor_queries import doctors_by_id
from dingkao.errors import Forbidden, InvalidInput, NotFound, Refusal
from dingkao.integrations.pdf import page_images
from dingkao.people.name_lookups import (
    account_names,
    organisation_names,
)
from dingkao.people.organisations import find_organisation
from dingkao.requests import batch_decisions, decision_scope, decisions, request_files
from dingkao.requests.batch_decisions import BatchResult
from dingkao.requests.change_items import (
    load_items,
    unprintable_in_items,
)
from dingkao.requests.decision_scope import DecisionScope
from dingkao.requests.earlier_deciders import (
    EARLIER_DECIDER_COLUMNS,
    earlier_deciders,
    has_decided_first,
)
from dingkao.requests.models import REQUEST_KINDS, SIDES, Request
from dingkao.requests.request_list import DESK_FILTER, MINE, REQUEST_LISTS
from dingkao.requests.request_queries import INSTEAD_OF_TEST, scores_of
from dingkao.requests.request_transitions import MAX_OPINION_LENGTH
from dingkao.web.access_control import require
from dingkao.web.forms import ticked_ids

request_decisions = console_blueprint("request_decisions")


def decision_scopes() -> dict[str, DecisionScope]:
    """The sides for which the current user decides (institution, organisation, province) → its
    DecisionScope."""
    grant, first_grant = current_user.grant("requests.view"), current_user.grant("requests.decide_first")
    reached: dict[str, object] = {
        "institution": grant.institution_ids,
        "organisation": grant.assessor_ids,
        "province": grant.is_province,
    }
    return {
        side: decision_scope.scope_of(side, grant, first_grant, current_user.id)
        for side, is_reached in reached.items()
        if is_reached
    }


def waiting_counts() -> dict[str, tuple[int, int]]:
    """By side: how many requests wait for the current user, and how many only for others; for 待办."""
    return {side: _pending_counts(scope) for side, scope in decision_scopes().items()}


def _pending_counts(scope: DecisionScope) -> tuple[int, int]:
    """How many requests wait at a side for the current user, and how many only for others."""
    return count_decidable(
        decision_scope.pending_at_side_query(scope),
        *EARLIER_DECIDER_COLUMNS,
    )


def _current_scope() -> DecisionScope:
    """The side that the HTTP request names (`side`), or the user's first one; for views that require
    requests.view, whose users have one. Raises Forbidden for a side for which the user doesn't decide."""
    scopes = decision_scopes()
    side = request.values.get("side") or next(iter(scopes))
    if side not in scopes:
        raise Forbidden
    return scopes[side]


@request_decisions.get("/office/requests")
@request_decisions.post("/office/requests/search", endpoint="search_requests")
@require("requests.view")
def pending_requests() -> str | Response:
    """The requests that this side may see; those that wait for the current user unless the address says
    otherwise. Raises Forbidden."""
    scope = _current_scope()
    view = open_list(
        REQUEST_LISTS[scope.side],
        fixed={"side": scope.side},
        presets={DESK_FILTER: MINE},
        endpoint="request_decisions.pending_requests",
        search_endpoint="request_decisions.search_requests",
    )
    if isinstance(view, Response):
        return view
    is_mine = view.state.filters.get(DESK_FILTER) == MINE
    return render_template(
        "console/request_decisions/pending.html",
        view=view,
        others=_pending_counts(scope)[1] if is_mine else 0,
        desk=scope,
        desks=decision_scopes(),
        sides=SIDES,
        kinds=REQUEST_KINDS,
        batch_kind=view.state.filters.get("kind") if is_mine else None,
        batch_kinds=INSTEAD_OF_TEST,
    )


def _people_of(doctor_requests: Iterable[Request]) -> dict[str, Any]:
    """Template variables: the assessments of the requests, with doctors and names of institutions."""
    records = records_by_id(doctor_request.assessment_id for doctor_request in doctor_requests)
    return {
        "records": records,
        "people": doctors_by_id(record.doctor_id for record in records.values()),
        "places": organisation_names(record.institution_id for record in records.values()),
    }


@request_decisions.get("/office/requests/<uuid:request_id>")
@require("requests.view")
def show_request(request_id: UUID) -> str:
    """One request: old values beside new ones, files, earlier decisions; the decision at the bottom. Raises
    NotFound, Forbidden."""
    scope = _current_scope()
    return _render_request(*decision_scope.get_visible_request(request_id, scope), scope)


def _render_request(
    doctor_request: Request,
    record: Assessment,
    scope: DecisionScope,
    typed: dict[str, str] | None = None,
    message: str | None = None,
) -> str:
    """The page of a request. `typed`: a form that was refused with `message`."""
    items = load_items(doctor_request)
    recusal_reason = current_user_recusal_reason(*earlier_deciders(doctor_request, record))
    is_appeal = doctor_request.kind == "appeal"
    return render_template(
        "console/request_decisions/request.html",
        boxes=unprintable_in_items(items),
        row=doctor_request,
        record=record,
        desk=scope,
        doctor=doctors_by_id([record.doctor_id])[record.doctor_id],
        institution=find_organisation(record.institution_id),
        names=account_names([doctor_request.first_by, doctor_request.second_by]),
        scores=scores_of(record) if is_appeal else [],
        kinds=REQUEST_KINDS,
        sides=SIDES,
        items=items,
        files=request_files.list_files(doctor_request),
        states=ASSESSMENT_STATES,
        verdicts=VERDICTS,
        parts=VERDICT_PARTS,
        levels=LEVELS,
        categories=CATEGORIES,
        reason_assessment=batch_decisions.reason_assessment(doctor_request, record),
        may=scope.can_act_on(doctor_request) and not recusal_reason,
        typed=typed or {},
        max_opinion_length=MAX_OPINION_LENGTH,
        told=message,
        until=decision_scope.answer_deadline(doctor_request),
        proposing=is_appeal and doctor_request.state == "first_pending",
        mine_before=has_decided_first(doctor_request, current_user.id),
        recused=recusal_reason,
    )


@request_decisions.get("/office/requests/batch")
@require("requests.view")
def show_batch() -> str:
    """The page of requests for 免考 or 延考 that wait, each beside its proofs, to be decided on together;
    免考 if the address names no kind. Raises NotFound for another kind, Forbidden."""
    return _render_batch(_current_scope(), BatchResult())


def _render_batch(scope: DecisionScope, result: BatchResult) -> str:
    """The page of requests to be decided on together, up to `batch_decisions.MAX_SHOWN`, with the `result` of
    the last decision. Raises NotFound for a kind that isn't decided in batches."""
    kind = request.values.get("kind") or INSTEAD_OF_TEST[0]
    if kind not in INSTEAD_OF_TEST:
        raise NotFound
    page = decision_scope.pending_page(scope, kind, request.args.get("after"), batch_decisions.MAX_SHOWN)
    files = request_files.files_by_request(doctor_request.id for doctor_request in page.rows)
    people = _people_of(page.rows)
    assessments = {
        doctor_request.id: batch_decisions.reason_assessment(
            doctor_request, people["records"][doctor_request.assessment_id]
        )
        for doctor_request in page.rows
    }
    return render_template(
        "console/request_decisions/batch.html",
        page=page,
        kind=kind,
        kinds=REQUEST_KINDS,
        desk=scope,
        files=files,
        assessments=assessments,
        alone={
            doctor_request.id: batch_decisions.reason_to_look_alone(
                files.get(doctor_request.id, ()), assessments[doctor_request.id]
            )
            for doctor_request in page.rows
        },
        until={
            doctor_request.id: decision_scope.answer_deadline(doctor_request) for doctor_request in page.rows
        },
        today=clock.today(),
        result=result,
        max_opinion_length=MAX_OPINION_LENGTH,
        **people,
    )


@request_decisions.post("/office/requests/batch")
@require("requests.view")
def apply_batch() -> Response | tuple[str, int] | str:
    """Approve or refuse the ticked requests (locked with their records), each in a savepoint of its own,
    notify the doctors, then show those that still wait; who was left out is named with the reason, and so is
    a refusal of all. Raises NotFound, Forbidden."""
    scope = _current_scope()
    try:
        result = batch_decisions.decide_batch(
            ticked_ids("request"),
            scope,
            decision=request.form.get("decision", ""),
            opinion=request.form.get("opinion", ""),
            by=current_user.as_actor(),
        )
    except InvalidInput as refusal:
        db.session.rollback()
        flash(refusal.message, "refusal")
        return _render_batch(scope, BatchResult()), refusal.status
    flash(f"已办理{result.decided_count}项申请，医师会收到通知。")
    return _render_batch(scope, result)


@request_decisions.post("/office/requests/<uuid:request_id>/decide")
@require("requests.view")
def decide_request(request_id: UUID) -> Response | tuple[str, int]:
    """Approve or refuse a request (locked, with its record) for the side that the form names, and go to those
    that wait. An approved one goes to the second side, if it needs one, or is carried out; the doctor is
    notified. A refusal is shown on its page, with what was typed. Raises NotFound, Forbidden."""
    scope = _current_scope()
    doctor_request, record = decision_scope.get_request_for_update(request_id, scope)
    try:
        message = _apply_decision(doctor_request, record, scope)
    except Refusal as refusal:
        db.session.rollback()
        request_and_record = decision_scope.get_visible_request(request_id, scope)
        page = _render_request(
            *request_and_record,
            scope,
            request.form.to_dict(),
            refusal.message,
        )
        return page, refusal.status
    flash(message)
    return redirect(
        url_for("request_decisions.pending_requests", side=scope.side),
        303,
    )


def _apply_decision(doctor_request: Request, record: Assessment, scope: DecisionScope) -> str:
    """Decide on the request (locked, with its record) as the form says, notify the doctor, and return the
    sentence to show. Raises InvalidInput, Forbidden, InvalidState, Unavailable, and NotFound, also if the
    form has no decision."""
    form = request.form
    common: dict[str, Any] = {
        "by": current_user.as_actor(),
        "opinion": form.get("opinion", ""),
    }
    if form.get("decision") == "agree":
        verdicts = {part: form.get(part, "") for part in VERDICT_PARTS}
        return decisions.approve_request(doctor_request, record, scope, verdicts=verdicts, **common)
    if form.get("decision") == "refuse":
        return decisions.refuse_request(doctor_request, record, scope, **common)
    raise NotFound


@request_decisions.get("/office/requests/<uuid:request_id>/files/<uuid:file_id>")
@require("requests.view")
def request_file(request_id: UUID, file_id: UUID) -> FlaskResponse:
    """A file of a request. Raises NotFound, Forbidden, Unavailable."""
    content, content_type = _load_file(request_id, file_id)
    return FlaskResponse(
        content,
        mimetype=content_type,
        headers={"Content-Disposition": "inline"},
    )


@request_decisions.get("/office/requests/<uuid:request_id>/files/<uuid:file_id>/page-<int:number>.jpg")
@require("requests.view")
def request_file_page(request_id: UUID, file_id: UUID, number: int) -> FlaskResponse:
    """Page `number` (from 1) of a file of a request that is a PDF, as JPEG; how many pages it has is in the
    header X-Page-Count. Raises NotFound, also for a page beyond the last, Forbidden, InvalidInput for a PDF
    that can't be opened, TooLarge, Unavailable."""
    content, content_type = _load_file(request_id, file_id)
    if content_type != "application/pdf":
        raise NotFound
    picture, page_count = page_images.render_page(content, number)
    return FlaskResponse(picture, mimetype="image/jpeg", headers={"X-Page-Count": str(page_count)})


def _load_file(request_id: UUID, file_id: UUID) -> tuple[bytes, str]:
    """A file of a request that the user's side may see, and its content type. Raises NotFound, Forbidden,
    Unavailable."""
    doctor_request, _ = decision_scope.get_visible_request(request_id, _current_scope())
    return request_files.file_content(doctor_request, file_id)
