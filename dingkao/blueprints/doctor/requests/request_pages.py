"""A doctor's requests: the list, the purpose of each kind, and one request: filled in, submitted,
withdrawn."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.blueprints.doctor.form_input import is_page_under
from dingkao.blueprints.doctor.requests.blueprint import (
    current_dossier,
    get_request,
    redirect_to_request,
    requests,
)
from dingkao.errors import InvalidInput, NotFound
from dingkao.filings.amendments import AMENDABLE_STEPS
from dingkao.filings.dossier import Dossier
from dingkao.filings.fields import STEPS
from dingkao.requests import (
    availability,
    drafting,
    request_files,
    request_queries,
    submission,
)
from dingkao.requests.change_items import (
    load_items,
    unprintable_in_items,
)
from dingkao.requests.decision_scope import answer_deadline
from dingkao.requests.models import (
    OPEN_STATES,
    REQUEST_KINDS,
    SIDES,
    Request,
)
from dingkao.tenants import settings
from dingkao.web.access_control import require

PURPOSE_TEXTS = {
    "exemption": "免考只免业务水平测评，工作成绩、职业道德仍须评定；与简易程序是两回事。",
    "deferral": ("本次不能参加测评的，可申请推迟到以后的延考或补考。无正当理由不参加测评的，按不合格处理。"),
    "change": "信息已提交审核后要修改填报内容的，在这里申请。审核同意前，原信息不变。",
    "correction": (
        "姓名、证件、级别、类别、主要执业机构有误的，在这里申请更正，须上传证明材料，由两位经办人先后审核。"
    ),
    "appeal": "对考核结果有异议的，可申请复核。由原评定人以外的人员办理，复核不会使结果变差。",
}


@requests.get("/requests", endpoint="list")
@require("requests.own")
def list_requests() -> str:
    """The doctor's requests that weren't withdrawn and their state, the newest first; the kinds that can be
    requested now, and why others can't. Raises NotFound."""
    dossier = current_dossier()
    doctor_requests = request_queries.list_requests(dossier.record)
    return render_template(
        "doctor/requests/list.html",
        rows=[own_request for own_request in doctor_requests if own_request.state != "withdrawn"],
        kinds=REQUEST_KINDS,
        offered=_list_offers(dossier, _open_kinds(doctor_requests)),
    )


def _open_kinds(doctor_requests: list[Request]) -> set[str]:
    """The kinds of which a request is open."""
    return {own_request.kind for own_request in doctor_requests if own_request.state in OPEN_STATES}


def _list_offers(dossier: Dossier, open_kinds: Collection[str]) -> list[tuple[str, str, str, str | None]]:
    """The kinds without an open request: code, name, purpose, and why it can't be requested now (None if it
    can)."""
    return [
        (
            kind,
            name,
            PURPOSE_TEXTS[kind],
            availability.unavailable_reason(dossier, kind),
        )
        for kind, name in REQUEST_KINDS.items()
        if kind not in open_kinds
    ]


@requests.route("/requests/new/<string:kind>", methods=["GET", "POST"])
@require("requests.own")
def new_request(kind: str) -> Response | str:
    """What a kind of request is for and whether the doctor may make it, shown before anything must be
    uploaded; a request of this kind that is open already is shown instead. POST creates a draft, or takes the
    one there is, and shows it. Raises NotFound, InvalidState."""
    if kind not in REQUEST_KINDS:
        raise NotFound
    dossier = current_dossier(for_update=request.method == "POST")
    if request.method == "POST":
        draft = drafting.get_or_create_draft(dossier, kind, by=current_user.as_actor())
        return redirect_to_request(draft)
    existing_request = request_queries.find_open_request(dossier.record, kind)
    if existing_request:
        return redirect(
            url_for(
                "requests.show_request",
                request_id=existing_request.id,
            )
        )
    return _render_new_request(dossier, kind)


def _render_new_request(dossier: Dossier, kind: str) -> str:
    """The page that says what a kind of request is for, and why it can't be made now (if so)."""
    return render_template(
        "doctor/requests/new.html",
        others=_other_test_replacements(dossier, kind),
        kind=kind,
        name=REQUEST_KINDS[kind],
        purpose=PURPOSE_TEXTS[kind],
        closed=availability.unavailable_reason(dossier, kind),
        **_exemption_facts(dossier, kind),
        until=availability.appeal_last_day(dossier) if kind == "appeal" else None,
        reasons=settings.value("deferral_reasons"),
    )


def _other_test_replacements(dossier: Dossier, kind: str) -> list[str]:
    """The names of open requests by which no exam would be sat; empty if `kind` isn't such a request
    itself."""
    if kind not in request_queries.INSTEAD_OF_TEST:
        return []
    open_requests = request_queries.open_test_replacements(dossier.record)
    return [REQUEST_KINDS[open_request.kind] for open_request in open_requests]


def _exemption_facts(dossier: Dossier, kind: str) -> dict[str, Any]:
    """The reasons for 免考, and whether one of them may be met; for another kind no reasons."""
    if kind != "exemption":
        return {"standings": [], "possible": True}
    reasons = availability.exemption_reasons(dossier)
    return {
        "standings": reasons,
        "possible": any(reason.is_met is not False for reason in reasons),
    }


@requests.get("/requests/<uuid:request_id>")
@require("requests.own")
def show_request(request_id: UUID) -> str:
    """One request: a draft can be filled in; of a submitted one its state and the decisions are shown. Raises
    NotFound."""
    return _render_request(*get_request(request_id))


def _render_request(
    doctor_request: Request,
    dossier: Dossier,
    typed: dict[str, Any] | None = None,
    errors: dict[str, str] | None = None,
) -> str:
    """The page of a request. `typed`: the texts of a form that was refused with `errors`, both by field
    name."""
    items = load_items(doctor_request)
    return render_template(
        "doctor/requests/request.html",
        boxes=unprintable_in_items(items),
        row=doctor_request,
        dossier=dossier,
        name=REQUEST_KINDS[doctor_request.kind],
        purpose=PURPOSE_TEXTS[doctor_request.kind],
        typed=typed or {},
        faults=errors or {},
        items=items,
        files=request_files.list_files(doctor_request),
        sides=SIDES,
        until=answer_deadline(doctor_request),
        **_draft_facts(doctor_request, dossier),
    )


def _draft_facts(doctor_request: Request, dossier: Dossier) -> dict[str, Any]:
    """Template variables of what the page shows only for a draft; none for a request that isn't one."""
    kind = doctor_request.kind
    if doctor_request.state != "draft":
        return {}
    return {
        "standings": availability.exemption_reasons(dossier) if kind == "exemption" else [],
        "reasons": settings.value("deferral_reasons"),
        "steps": {step: STEPS[step] for step in AMENDABLE_STEPS},
        "wants_file": kind in submission.KINDS_REQUIRING_FILE,
        "max_note_length": drafting.MAX_NOTE_LENGTH,
        "closed": availability.unavailable_reason(dossier, kind),
    }


@requests.post("/requests/<uuid:request_id>/save")
@require("requests.own")
def save_request(request_id: UUID) -> Response | tuple[str, int]:
    """Save reason and note of a draft; then submit (`submit`), go on to the page of the request that `stay`
    names, or show the request. A refusal is shown on its page. Raises NotFound, InvalidState."""
    doctor_request, dossier = get_request(request_id)
    reason = request.form.get("reason", "")
    note = request.form.get("note", "")
    try:
        drafting.save_draft(doctor_request, dossier, reason=reason, note=note)
        if "submit" in request.form:
            submission.submit(doctor_request, dossier, by=current_user.as_actor())
    except InvalidInput as refusal:
        typed = {"reason": reason, "note": note}
        return _show_refusal(doctor_request, dossier, typed, refusal)
    _flash_saved()
    target = request.form.get("stay", "")
    if is_page_under(target, "/requests/"):
        return redirect(target, 303)
    return redirect_to_request(doctor_request)


def _show_refusal(
    doctor_request: Request,
    dossier: Dossier,
    typed: dict[str, str],
    refusal: InvalidInput,
) -> tuple[str, int]:
    """The page of the request with the error. The status is the refusal's only if something was typed in the
    wrong field: the rest of the form is saved, and only something is missing."""
    errors = {refusal.field or "note": refusal.message}
    page = _render_request(doctor_request, dossier, typed, errors)
    return page, refusal.status if typed.get(refusal.field or "") else 200


def _flash_saved() -> None:
    """The message after saving or submitting."""
    if "submit" in request.form:
        flash("申请已提交。审核结果会显示在这里和消息中。")
    elif "stay" not in request.form:
        flash("已保存，尚未提交。")


@requests.post("/requests/<uuid:request_id>/withdraw")
@require("requests.own")
def withdraw_request(request_id: UUID) -> Response:
    """Withdraw a draft, whose files are deleted, or a request on which nobody has decided. Raises NotFound,
    InvalidState."""
    doctor_request, _ = get_request(request_id)
    submission.withdraw(doctor_request, by=current_user.as_actor())
    flash("申请已撤回。")
    return redirect(url_for("requests.list"), 303)
