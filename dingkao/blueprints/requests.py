"""A doctor's requests (申请): 免考 [S14], 延考, changes, corrections, 复核; made, filled in, handed in, followed."""

from typing import Any
from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.blueprints import of_province
from dingkao.blueprints.access import DOCTOR, allow
from dingkao.blueprints.web import limiter, per_session
from dingkao.cycles.opening import current_cycle
from dingkao.doctors import correcting
from dingkao.errors import Invalid, NotFound, TooLarge, Unavailable
from dingkao.filings import dossier as dossiers
from dingkao.filings.amending import CHANGEABLE
from dingkao.filings.dossier import Dossier
from dingkao.filings.fields import LISTS, STEPS, words
from dingkao.outside.pictures import MAX_BYTES
from dingkao.requests import making
from dingkao.requests.content import items_of
from dingkao.requests.deciding import answer_until
from dingkao.requests.models import KINDS, SIDES, Request
from dingkao.tenants import settings

requests = of_province("requests")
PURPOSES = {
    "exemption": "免考只免业务水平测评,工作成绩、职业道德仍须评定;与简易程序是两回事。",
    "deferral": "本次不能参加测评的,可申请推迟到以后的延考或补考。无正当理由不参加测评的,按不合格处理。",
    "change": "信息已提交审核后要修改填报内容的,在这里申请。审核同意前,原信息不变。",
    "correction": "姓名、证件、级别、类别、主要执业机构有误的,在这里申请更正,须上传证明材料,由两位经办人先后审核。",
    "appeal": "对考核结果有异议的,可申请复核。由原评定人以外的人员办理,复核不会使结果变差。",
}  # fmt: skip


def _dossier(*, lock: bool = False) -> Dossier:
    cycle = current_cycle()
    if cycle is None:
        raise NotFound("本省尚未开始新的考核周期。")
    return dossiers.dossier_of(current_user.doctor(), cycle, lock=lock)


def _mine(request_id: UUID) -> tuple[Request, Dossier]:
    """The request and its dossier, held locked where something is to change, record first."""
    changing = request.method == "POST"
    mine = _dossier(lock=changing)
    return making.request_of(request_id, mine.record, lock=changing), mine


@requests.get("/requests", endpoint="list")
@allow(DOCTOR)
def listing() -> str:
    """What was asked for and what became of it; what can be asked for now, and why not the rest."""
    mine = _dossier()
    rows = making.requests_of(mine.record)
    open_kinds = {row.kind for row in rows if row.state in making.OPEN}
    offered = [(kind, name, PURPOSES[kind], making.closed_because(mine, kind)) for kind, name in KINDS.items() if kind not in open_kinds]
    return render_template("requests/list.html", rows=[row for row in rows if row.state != "withdrawn"], kinds=KINDS, offered=offered)


@requests.route("/requests/new/<string:kind>", methods=["GET", "POST"])
@allow(DOCTOR)
def new(kind: str) -> Response | str:
    """What the request is for and whether one may make it, before anything is uploaded; then begin."""
    if kind not in KINDS:
        raise NotFound
    mine = _dossier(lock=request.method == "POST")
    if request.method == "POST":
        row = making.begin(mine, kind, by=current_user.actor())
        return redirect(url_for("requests.show", request_id=row.id), 303)
    existing = making.open_of(mine.record, kind)
    if existing:
        return redirect(url_for("requests.show", request_id=existing.id))
    standings = making.exemption_standings(mine) if kind == "exemption" else []
    until = making.appeal_until(mine) if kind == "appeal" else None
    return render_template(
        "requests/new.html", kind=kind, name=KINDS[kind], purpose=PURPOSES[kind], closed=making.closed_because(mine, kind), standings=standings,
        possible=kind != "exemption" or any(one.holds is not False for one in standings), until=until, reasons=settings.value("deferral_reasons"),
    )  # fmt: skip


@requests.get("/requests/<uuid:request_id>")
@allow(DOCTOR)
def show(request_id: UUID) -> str:
    """One request: to fill in while it isn't handed in, then where it is and what was decided."""
    row, mine = _mine(request_id)
    return _shown(row, mine)


def _shown(row: Request, mine: Dossier, typed: dict[str, Any] | None = None, faults: dict[str, str] | None = None) -> str:
    return render_template(
        "requests/show.html", row=row, dossier=mine, name=KINDS[row.kind], purpose=PURPOSES[row.kind], typed=typed or {}, faults=faults or {},
        standings=making.exemption_standings(mine) if row.kind == "exemption" and row.state == "draft" else [],
        reasons=settings.value("deferral_reasons") if row.kind == "deferral" else [], items=items_of(row), files=making.files_of(row), sides=SIDES,
        lacks=making.lacks(row, mine) if row.state == "draft" else [], steps={n: STEPS[n] for n in CHANGEABLE}, until=answer_until(row),
        wants_file=row.kind in making.WANTS_FILE, longest=making.LONGEST_NOTE, closed=making.closed_because(mine, row.kind) if row.state == "draft" else None,
    )  # fmt: skip


@requests.post("/requests/<uuid:request_id>/save")
@allow(DOCTOR)
def save(request_id: UUID) -> Response | tuple[str, int]:
    """Keep reason and note, then on to the files, the fields, or handing in."""
    row, mine = _mine(request_id)
    typed = {"reason": request.form.get("reason", ""), "note": request.form.get("note", "")}
    try:
        making.fill(row, mine, reason=typed["reason"], note=typed["note"])
        if "submit" in request.form:
            making.submit(row, mine, by=current_user.actor())
    except Invalid as refusal:
        if refusal.field in typed and typed[refusal.field]:
            return _shown(row, mine, typed, {refusal.field: refusal.sentence}), refusal.status
        return FlaskResponse(_shown(row, mine, typed, {refusal.field or "note": refusal.sentence}))
    if "submit" in request.form:
        flash("申请已提交。审核结果会显示在这里和消息中。")
    elif "stay" not in request.form:
        flash("已保存,尚未提交。")
    onward = request.form.get("stay", "")
    sound = onward.startswith(f"{request.script_root}/requests/") and onward.isprintable()
    return redirect(onward if sound else url_for("requests.show", request_id=row.id), 303)


@requests.post("/requests/<uuid:request_id>/withdraw")
@allow(DOCTOR)
def withdraw(request_id: UUID) -> Response:
    """Take it back."""
    row, _ = _mine(request_id)
    making.withdraw(row, by=current_user.actor())
    flash("申请已撤回。")
    return redirect(url_for("requests.list"), 303)


@requests.route("/requests/<uuid:request_id>/step/<int:number>", methods=["GET", "POST"])
@allow(DOCTOR)
def step(request_id: UUID, number: int) -> Response | tuple[str, int] | str:
    """What a change would change on one of the steps: the page as filed, what differs is asked for."""
    row, mine = _mine(request_id)
    if number not in CHANGEABLE or row.kind != "change":
        raise NotFound
    fields, faults, kept = mine.fields(number), dict[str, str](), mine.part(number)
    if request.method == "POST":
        given = request.form.to_dict(flat=False)
        faults = making.ask_fields(row, mine, number, given)
        if not faults:
            return redirect(url_for("requests.show", request_id=row.id), 303)
        kept = {one.name: given.get(one.name, []) if one.kind == "many" else (given.get(one.name) or [""])[0] for one in fields}
    else:
        kept |= {one["name"]: one["after"] for one in items_of(row) if (one["what"], one["place"]) == ("field", str(number))}
    page = render_template(
        "requests/step.html", row=row, number=number, title=STEPS[number], fields=fields, kept=kept, faults=faults, words=words,
        lists={kind: (of, mine.entries(kind)) for kind, of in LISTS.items() if of.step == number},
    )  # fmt: skip
    return (page, 422) if faults else page


@requests.route("/requests/<uuid:request_id>/list/<string:kind>/<string:entry>", methods=["GET", "POST"])
@allow(DOCTOR)
def listed(request_id: UUID, kind: str, entry: str) -> Response | tuple[str, int] | str:
    """What a change would change of an entry of a list: added, changed, taken off."""
    row, mine = _mine(request_id)
    if kind not in LISTS or LISTS[kind].step not in CHANGEABLE or row.kind != "change":
        raise NotFound
    of, faults = LISTS[kind], dict[str, str]()
    kept: dict[str, Any] = next((one for one in mine.entries(kind) if one["id"] == entry), {})
    if entry != "new" and not kept:
        raise NotFound("这条经历已不存在,请返回上一页查看。")
    if request.method == "POST":
        given = request.form.to_dict(flat=False)
        faults = making.ask_entry(row, mine, kind, entry, None if "remove" in request.form else given)
        if not faults:
            return redirect(url_for("requests.show", request_id=row.id), 303)
        kept = {one.name: (given.get(one.name) or [""])[0] for one in of.fields}
    page = render_template("requests/entry.html", row=row, kind=kind, of=of, entry=entry, kept=kept, faults=faults)
    return (page, 422) if faults else page


@requests.route("/requests/<uuid:request_id>/correction", methods=["GET", "POST"])
@allow(DOCTOR)
def correction(request_id: UUID) -> Response | tuple[str, int] | str:
    """What a correction would change."""
    row, mine = _mine(request_id)
    if row.kind != "correction":
        raise NotFound
    fields, faults = making.correction_fields(mine), dict[str, str]()
    asked = {one["name"]: one["after"] for one in items_of(row)}
    if request.method == "POST":
        given = request.form.to_dict(flat=False)
        faults = making.ask_correction(row, mine, given)
        if not faults:
            return redirect(url_for("requests.show", request_id=row.id), 303)
        asked = {one.name: given.get(one.name, []) for one in fields if one.kind == "many"} | {name: texts[0] for name, texts in given.items() if name not in {one.name for one in fields if one.kind == "many"}}
    held = correcting.held(mine.doctor)
    page = render_template(
        "requests/correction.html", row=row, labels=correcting.LABELS, lists=correcting.LISTS, asked=asked, faults=faults, fields=fields,
        now={name: correcting.said(name, held[name]) for name in correcting.LABELS},
    )  # fmt: skip
    return (page, 422) if faults else page


@requests.post("/requests/<uuid:request_id>/items/<int:number>/remove")
@allow(DOCTOR)
def unasked(request_id: UUID, number: int) -> Response:
    """Take one item out."""
    row, _ = _mine(request_id)
    making.drop_item(row, number)
    return redirect(url_for("requests.show", request_id=row.id, _anchor="items"), 303)


@requests.route("/requests/<uuid:request_id>/files", methods=["GET", "POST"])
@allow(DOCTOR)
@limiter.limit("60/hour", methods=["POST"], key_func=per_session)
def files(request_id: UUID) -> Response | tuple[str, int] | str:
    """The proofs of a request: what was handed in, and more."""
    row, _ = _mine(request_id)
    fault, status = None, 200
    if request.method == "POST":
        given = [one for one in request.files.getlist("file") if one.filename]
        try:
            if not given:
                raise Invalid("请选择文件。", "file")
            for one in given:
                making.keep_file(row, one.filename or "", one.read(MAX_BYTES + 1), by=current_user.actor(), photo="photo" in request.form)
        except (Invalid, TooLarge, Unavailable) as refusal:
            fault, status = refusal.sentence, refusal.status
        else:
            flash("材料已上传。")
            return redirect(url_for("requests.files", request_id=row.id), 303)
    page = render_template("requests/files.html", row=row, name=KINDS[row.kind], files=making.files_of(row), fault=fault, most=making.MOST_FILES)
    return (page, status) if fault else page


@requests.get("/requests/<uuid:request_id>/files/<uuid:file_id>")
@allow(DOCTOR)
def file(request_id: UUID, file_id: UUID) -> FlaskResponse:
    """A file of one's own request."""
    row, _ = _mine(request_id)
    content, content_type = making.file_content(row, file_id)
    return FlaskResponse(content, mimetype=content_type, headers={"Content-Disposition": "inline"})


@requests.post("/requests/<uuid:request_id>/files/<uuid:file_id>/remove")
@allow(DOCTOR)
def file_removed(request_id: UUID, file_id: UUID) -> Response:
    """Take a file off."""
    row, _ = _mine(request_id)
    making.remove_file(row, file_id, by=current_user.actor())
    return redirect(url_for("requests.files", request_id=row.id), 303)
