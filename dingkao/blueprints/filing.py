"""Filing (填报信息) [S5], [S7] to [S11]: the notice, five steps, lists, photo, proofs, handing in, taking back."""

import json
from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, jsonify, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.blueprints import of_province
from dingkao.blueprints.access import DOCTOR, allow
from dingkao.blueprints.web import limiter, per_session
from dingkao.cycles.models import Cycle
from dingkao.cycles.opening import current_cycle, is_open
from dingkao.database.model import db
from dingkao.doctors.codes import CATEGORIES, DOCUMENT_TYPES, LEVELS, SEXES
from dingkao.errors import Invalid, NotFound, TooLarge, Unavailable
from dingkao.filings import dossier as dossiers
from dingkao.filings.dossier import Dossier, Stale
from dingkao.filings.fields import LISTS, STEPS, Field, as_form, mark_of, overlaps, words
from dingkao.filings.marks import Mark, marks_of
from dingkao.filings.procedure import NOT_AN_EXEMPTION
from dingkao.outside.pictures import MAX_BYTES
from dingkao.outside.storage import store
from dingkao.people import signing_in
from dingkao.people.identity import RESIDENT_KINDS, masked
from dingkao.people.organisations import organisation_of
from dingkao.requests.making import closed_because
from dingkao.tenants import settings

filing = of_province("filing")
LAST = max(STEPS)
LONGEST_PEN = 32
OVERLAPPING = ("education", "practice")
AFTERWARDS = {
    "institution_pending": "接下来由主要执业机构审核,再由考核机构复核。结果会显示在主页和消息中,请留意。",
    "organisation_pending": "主要执业机构已审核通过,正在等待考核机构复核。填报内容有错的,可以申请修改,由考核机构决定。",
    "organisation_returned": "材料正由主要执业机构重新核对,您暂时无需操作。如有错误,请联系本机构退回后修改。",
    "ready": "信息已通过审核,不能直接修改。填报内容有错的,可以申请修改,由机构和考核机构先后决定;考核程序不能再改。",
    "deferred": "延考已备案,所填信息现在不能修改,延考时间请留意消息。印在通知书上的内容有误的,可以申请更正。",
}
LOCKED = "测评开始后,所填信息不能修改。印在通知书上的内容有误的,可以申请更正,须由两位经办人先后审核。"


def _cycle() -> Cycle:
    cycle = current_cycle()
    if cycle is None:
        raise NotFound("本省尚未开始新的考核周期,开始后本机构会通知您。")
    return cycle


def _dossier(*, lock: bool = False) -> Dossier:
    return dossiers.dossier_of(current_user.doctor(), _cycle(), lock=lock)


@filing.route("/filing/notice", methods=["GET", "POST"])
@allow(DOCTOR)
def notice() -> Response | str:
    """The user notice [S5]; 「确定」 records that it was read."""
    cycle = _cycle()
    if request.method == "POST":
        dossiers.read_notice(current_user.doctor(), cycle, by=current_user.actor())
        return redirect(url_for("home.show"), 303)
    read = dossiers.has_read_notice(current_user.doctor(), cycle)
    return render_template("filing/notice.html", text=settings.value("user_notice"), cycle=cycle, read=read)


@filing.get("/filing")
@allow(DOCTOR)
def begin() -> Response | str:
    """Where filing goes on: the notice, the first step not complete, or what was handed in."""
    mine = _dossier()
    if not mine.editable():
        return redirect(url_for("filing.view"))
    if not dossiers.has_read_notice(mine.doctor, mine.cycle):
        return redirect(url_for("filing.notice"))
    if mine.filing is None:
        return redirect(url_for("filing.step", number=1))
    found = dossiers.lacks(mine)
    return redirect(url_for("filing.step", number=found[0].step) if found else url_for("filing.check"))


@filing.route("/filing/<int:number>", methods=["GET", "POST"])
@allow(DOCTOR)
def step(number: int) -> Response | tuple[str, int] | str:
    """One of the five steps."""
    if number not in STEPS:
        raise NotFound
    mine = _dossier(lock=request.method == "POST")
    if request.method != "POST":
        if not mine.editable():
            return redirect(url_for("filing.view"))
        if not dossiers.has_read_notice(mine.doctor, mine.cycle):
            return redirect(url_for("filing.notice"))
        return _step(mine, number, mine.part(number), {}, None)
    given, known, pen = request.form.to_dict(flat=False), _known(), _pen()
    try:
        faults = dossiers.save(mine, number, given, request.form.get("revision", 0, int), by=current_user.actor(), known=known, pen=pen)
    except Stale as stale:
        differ, faults = dossiers.differences(mine, number, given, known, pen), dict[str, str]()
        if differ:
            typed = mine.part(number) | _typed(mine, number, given, None if known is None else _own(mine, number, given, known))
            return _step(mine, number, typed, {}, stale.sentence, differ), 409
    if faults:
        return _step(mine, number, mine.part(number) | _typed(mine, number, given, faults), faults, None), 200
    if "list" in request.form:
        return _listing(mine, number, request.form["list"])
    if "next" in request.form:
        return redirect(_after(number), 303)
    if "back" in request.form and number > 1:
        return redirect(url_for("filing.step", number=number - 1), 303)
    if "stay" in request.form:
        place = request.form["stay"]
        sound = place.startswith(f"{request.script_root}/filing/") and place.isprintable()
        return redirect(place if sound else url_for("filing.step", number=number), 303)
    flash("已保存,尚未提交。全部填好后请在最后一步提交。")
    return redirect(url_for("filing.step", number=number), 303)


def _after(number: int) -> str:
    return url_for("filing.step", number=number + 1) if number < LAST else url_for("filing.check")


def _known() -> dict[str, str] | None:
    """The marks of what the page was shown, by field; None where it doesn't say."""
    try:
        known = json.loads(request.form.get("known", ""))
    except ValueError:
        return None
    return {str(name): str(mark) for name, mark in known.items()} if isinstance(known, dict) else None


def _pen() -> str:
    """By what a page that saves by itself is known; no more than a name."""
    pen = request.form.get("pen", "")
    return pen if pen.isalnum() and pen.isascii() and len(pen) <= LONGEST_PEN else ""


def _own(mine: Dossier, number: int, given: dict[str, list[str]], known: dict[str, str]) -> dict[str, str]:
    """The fields that the page itself has changed: of the others it may show what is out of date."""
    return {one.name: "" for one in mine.fields(number) if mark_of([text for text in given.get(one.name, []) if text]) != known.get(one.name)}


def _listing(mine: Dossier, number: int, told: str) -> Response:
    """Move an entry of a list on this step (move/KIND/ENTRY/PLACE), or put back the last one taken off (restore/KIND); its typed fields
    have been saved."""
    verb, kind, *rest = [*told.split("/"), "", ""][:5]
    if kind in LISTS and LISTS[kind].step == number:
        if verb == "restore":
            dossiers.restore_entry(mine, kind, by=current_user.actor())
        elif verb == "move" and rest[1].isascii() and rest[1].isdecimal():
            dossiers.move_entry(mine, kind, rest[0], int(rest[1][:3]), by=current_user.actor())
    return redirect(url_for("filing.step", number=number, _anchor=kind if kind in LISTS else None), 303)


@filing.post("/filing/<int:number>/keep")
@allow(DOCTOR)
def keep(number: int) -> FlaskResponse:
    """Keep by itself what is typed on a step, field by field: for the page's script. What was kept, what can't be and why, and where another
    page or device was quicker; each field for itself."""
    if number not in STEPS:
        raise NotFound
    mine, known = _dossier(lock=True), _known() or {}
    given = request.form.to_dict(flat=False)
    merged = dossiers.keep(mine, number, given, known, _pen(), by=current_user.actor())
    fields = {one.name: one for one in mine.fields(number)}
    told: dict[str, dict[str, object]] = {
        name: {"mark": mark_of(merged.values.get(name)), "fault": merged.faults.get(name)} for name in known if name in fields
    }  # fmt: skip
    for name, kept in merged.conflicts.items():
        told[name] |= {"theirs": as_form(kept), "words": words(fields[name], kept) or "空"}
    moment = clock.beijing(mine.filing.saved_at if mine.filing else clock.now())
    lacking = sorted({lack.step for lack in dossiers.lacks(mine)})
    return jsonify(fields=told, saved=f"{moment:%H:%M}", doubts=mine.doubts(number), lacking=lacking)


def _typed(mine: Dossier, number: int, given: dict[str, list[str]], only: dict[str, str] | None = None) -> dict[str, object]:
    """What was typed, as the page shows it again."""
    typed: dict[str, object] = {}
    for one in mine.fields(number):
        if only is None or one.name in only:
            typed[one.name] = given.get(one.name, []) if one.kind == "many" else (given.get(one.name) or [""])[0]
    return typed


def _step(
    mine: Dossier, number: int, kept: dict[str, object], faults: dict[str, str], told: str | None,
    differ: list[tuple[Field, str, str]] | None = None,
) -> str:  # fmt: skip
    doctor = mine.doctor
    institution = organisation_of(mine.record.institution_id) if number == 2 else None
    mobile = signing_in.bound_mobile(current_user.account)
    facts = {
        1: [
            ("姓名", doctor.name), ("证件类型", DOCUMENT_TYPES[doctor.document_type]), ("证件号码", doctor.number_masked),
            *([] if doctor.document_type not in RESIDENT_KINDS else [
                ("性别", SEXES.get(doctor.sex or "", "")), ("出生日期", doctor.birth_date.strftime("%Y年%m月%d日") if doctor.birth_date else ""),
            ]),
            ("手机号码", masked(mobile) if mobile else "未绑定"),
        ],
        2: [("医师级别", LEVELS[doctor.level]), ("执业类别", CATEGORIES[doctor.category]), ("主要执业机构", institution.name if institution else "")],
    }.get(number, [])  # fmt: skip
    sound, lists = mine.sound(number), {kind: of for kind, of in LISTS.items() if of.step == number}
    returned = marks_of(mine)
    return render_template(
        "filing/step.html", dossier=mine, number=number, steps=STEPS, fields=mine.fields(number), kept=kept, faults=faults, told=told, facts=facts,
        differ=differ or [], lacking={lack.step for lack in dossiers.lacks(mine)}, words=words, last_day=dossiers.last_day(mine.cycle),
        doubts=mine.doubts(number), lists=lists, standing=_standing(mine) if number == LAST else None,
        known=json.dumps({one.name: mark_of(sound.get(one.name)) for one in mine.fields(number)}), after=_after(number),
        overlapping={kind: overlaps(mine.entries(kind)) for kind in OVERLAPPING if kind in lists},
        returned=returned, marked={one.anchor: one for one in returned if one.step == number}, to_mend={one.step for one in returned if not one.changed},
        proofs=dossiers.proofs_of(mine.record) if number == LAST else [],
        carried=dossiers.proofs_by_entry(mine.record) if any(of.proofs for of in lists.values()) else {},
    )  # fmt: skip


def _standing(mine: Dossier) -> dict[str, object]:
    """What speaks for 简易程序 as things are filled in, and whether it may be chosen."""
    found, chosen = dossiers.grounds(mine), mine.part(LAST).get("procedure")
    speaks = any(one.holds is not False for one in found)
    sits = "仍须参加" if settings.value("simple_sits_common_paper") else "本省不再参加"
    return {
        "grounds": found, "any": speaks, "shut": not speaks and not dossiers.flags_only() and chosen != "simple",
        "not_an_exemption": NOT_AN_EXEMPTION.format(sits),
    }  # fmt: skip


@filing.route("/filing/list/<string:kind>/<string:entry>", methods=["GET", "POST"])
@allow(DOCTOR)
def listed(kind: str, entry: str) -> Response | tuple[str, int] | str:
    """One entry of a list [S8]: added, edited. Of a list whose entries may carry proofs, a new one leads to its page with them."""
    if kind not in LISTS:
        raise NotFound
    of, mine = LISTS[kind], _dossier(lock=request.method == "POST")
    if not mine.editable():
        return redirect(url_for("filing.view"), 303)
    kept: dict[str, object] = next((one for one in mine.entries(kind) if one["id"] == entry), {})
    if entry != "new" and not kept:
        raise NotFound(dossiers.NO_ENTRY)
    version, faults, told, status = dossiers.version_of(kept), dict[str, str](), "", 200
    if request.method == "POST":
        given = request.form.to_dict(flat=False)
        try:
            saved, faults = dossiers.save_entry(mine, kind, entry, given, by=current_user.actor(), version=request.form.get("version"))
        except Stale as stale:
            told, status = stale.sentence, stale.status
        else:
            if not faults and of.proofs and entry == "new":
                flash("已保存。有证明材料的,请在本页上传;没有的,可以直接返回。")
                return redirect(url_for("filing.listed", kind=kind, entry=saved, _anchor="files"), 303)
            if not faults:
                return redirect(url_for("filing.step", number=of.step, _anchor=kind), 303)
            status = 422
        kept = {one.name: (given.get(one.name) or [""])[0] for one in of.fields}
    return _entry(mine, kind, entry, kept, version, faults=faults, told=told), status


def _entry(
    mine: Dossier, kind: str, entry: str, kept: dict[str, object], version: str, *, faults: dict[str, str] | None = None, told: str = "",
    wrong: list[tuple[str, str]] | None = None, uploaded: int = 0,
) -> str:  # fmt: skip
    of = LISTS[kind]
    return render_template(
        "filing/entry.html", dossier=mine, kind=kind, of=of, entry=entry, kept=kept, faults=faults or {}, told=told, version=version,
        mark=_mark(mine, of.step, kind), proofs=dossiers.proofs_by_entry(mine.record).get(entry, []) if of.proofs else [], wrong=wrong or [],
        uploaded=uploaded,
    )  # fmt: skip


def _mark(mine: Dossier, number: int, anchor: str) -> Mark | None:
    return next((one for one in marks_of(mine) if (one.step, one.anchor) == (number, anchor)), None)


@filing.route("/filing/list/<string:kind>/<string:entry>/proofs", methods=["GET", "POST"])
@allow(DOCTOR)
@limiter.limit("60/hour", methods=["POST"], key_func=per_session)
def entry_proofs(kind: str, entry: str) -> Response | tuple[str, int] | str:
    """Files of a plain form for an entry; told of faults, on its page. Reloaded, it leads there."""
    mine = _dossier(lock=request.method == "POST")
    kept = _carrying(mine, kind, entry)
    if request.method != "POST" or not mine.editable():
        return redirect(url_for("filing.listed", kind=kind, entry=entry), 303)
    wrong, uploaded, status = _take(mine, UUID(entry))
    if not wrong:
        flash(f"证明材料已上传{uploaded}件。")
        return redirect(url_for("filing.listed", kind=kind, entry=entry, _anchor="files"), 303)
    mine = _dossier()
    return _entry(mine, kind, entry, kept, dossiers.version_of(kept), wrong=wrong, uploaded=uploaded), 200 if uploaded else status


@filing.post("/filing/list/<string:kind>/<string:entry>/proofs/<uuid:document_id>/remove")
@allow(DOCTOR)
def entry_proof_remove(kind: str, entry: str, document_id: UUID) -> Response:
    """Take a proof off an entry."""
    mine = _dossier(lock=True)
    _carrying(mine, kind, entry)
    dossiers.remove_proof(mine, document_id, by=current_user.actor())
    return redirect(url_for("filing.listed", kind=kind, entry=entry, _anchor="files"), 303)


def _carrying(mine: Dossier, kind: str, entry: str) -> dict[str, object]:
    """An entry that may carry proofs. Raises NotFound for any other."""
    if kind not in LISTS or not LISTS[kind].proofs:
        raise NotFound
    kept = next((one for one in mine.entries(kind) if one["id"] == entry), None)
    if kept is None:
        raise NotFound(dossiers.NO_ENTRY)
    return kept


def _take(mine: Dossier, entry: UUID | None = None) -> tuple[list[tuple[str, str]], int, int]:
    """Keep the proofs that a plain form has: what is wrong with which of them, how many were kept, the status. With the store down none is."""
    faults, kept, status = list[tuple[str, str]](), 0, 200
    chosen = [given for given in request.files.getlist("proof") if given.filename]
    if not chosen:
        faults, status = [("", "请选择文件。")], Invalid.status
    for given in chosen:
        name = dossiers.plain_name(given.filename or "")
        try:
            dossiers.keep_proof(mine, name, given.read(MAX_BYTES + 1), by=current_user.actor(), entry=entry)
        except (Invalid, TooLarge) as refusal:
            faults.append((name, refusal.sentence))
            status = refusal.status
        except Unavailable as refusal:
            db.session.rollback()
            return [("", refusal.sentence)], 0, refusal.status
        else:
            kept += 1
    return faults, kept, status


@filing.post("/filing/list/<string:kind>/<string:entry>/remove")
@allow(DOCTOR)
def unlisted(kind: str, entry: str) -> Response:
    """Take an entry off its list; it can be put back."""
    mine = _dossier(lock=True)
    dossiers.remove_entry(mine, kind, entry, by=current_user.actor())
    return redirect(url_for("filing.step", number=LISTS[kind].step, _anchor=kind), 303)


@filing.route("/filing/photo", methods=["GET", "POST"])
@allow(DOCTOR)
@limiter.limit("60/hour", methods=["POST"], key_func=per_session)
def photo() -> Response | tuple[str, int] | str:
    """The photo [S7]: chosen, checked, shown as it will be printed, with what was remarked on it."""
    mine = _dossier(lock=request.method == "POST")
    if not mine.editable():
        return redirect(url_for("filing.view"), 303)
    fault, status = None, 200
    if request.method == "POST":
        given = request.files.get("photo")
        try:
            dossiers.keep_photo(mine, given.read(MAX_BYTES + 1) if given else b"", by=current_user.actor())
        except (Invalid, TooLarge, Unavailable) as refusal:
            fault, status = refusal.sentence, refusal.status
        else:
            flash("照片已保存。请核对是否清晰、是否完整;不满意可以重新上传。")
            return redirect(url_for("filing.photo"), 303)
    institution = organisation_of(mine.record.institution_id)
    hints = dossiers.hints_of(mine.filing)
    return render_template("filing/photo.html", dossier=mine, fault=fault, hints=hints, institution=institution, mark=_mark(mine, 1, "photo")), status


@filing.get("/filing/photo.jpg")
@allow(DOCTOR)
def picture() -> FlaskResponse:
    """The doctor's own photo."""
    mine = _dossier()
    content = dossiers.photo_of(mine.filing) if mine.filing else None
    if content is None:
        raise NotFound("还没有上传照片。")
    return FlaskResponse(content, mimetype="image/jpeg")


@filing.route("/filing/proof", methods=["GET", "POST"])
@allow(DOCTOR)
@limiter.limit("60/hour", methods=["POST"], key_func=per_session)
def proof() -> Response | tuple[str, int] | str:
    """The proofs: what was handed in, and more. Of several files the sound ones are kept, and what is wrong is said at the others."""
    mine = _dossier(lock=request.method == "POST")
    if not mine.editable():
        return redirect(url_for("filing.view"), 303)
    faults, kept, status = list[tuple[str, str]](), 0, 200
    if request.method == "POST":
        faults, kept, status = _take(mine)
        if not faults:
            flash(f"证明材料已上传{kept}件。")
            return redirect(url_for("filing.proof"), 303)
        mine = _dossier()
    return render_template(
        "filing/proofs.html", proofs=dossiers.proofs_of(mine.record), faults=faults, kept=kept, most=dossiers.MOST_PROOFS, mark=_mark(mine, LAST, "proofs")
    ), 200 if kept else status


@filing.get("/filing/proof/<uuid:document_id>")
@allow(DOCTOR)
def proof_file(document_id: UUID) -> FlaskResponse:
    """A proof of one's own."""
    row = dossiers.proof_of(_dossier().record, document_id)
    return FlaskResponse(store().get("proof", row.id), mimetype=row.content_type, headers={"Content-Disposition": "inline"})


@filing.post("/filing/proof/<uuid:document_id>/remove")
@allow(DOCTOR)
def proof_remove(document_id: UUID) -> Response:
    """Take a proof off."""
    dossiers.remove_proof(_dossier(lock=True), document_id, by=current_user.actor())
    return redirect(url_for("filing.proof"), 303)


@filing.get("/filing/check")
@allow(DOCTOR)
def check() -> Response | str:
    """All of it once more, what is missing, and the button that hands it in."""
    mine = _dossier()
    if not mine.editable():
        return redirect(url_for("filing.view"))
    return render_template("filing/check.html", dossier=mine, sections=dossiers.shown(mine, revealed=True), lacks=dossiers.lacks(mine), steps=STEPS, proofs=dossiers.proofs_of(mine.record), last_day=dossiers.last_day(mine.cycle), returned=marks_of(mine))


@filing.post("/filing/submit")
@allow(DOCTOR)
def submit() -> Response:
    """Hand it in to the institution; pressed twice it is handed in once."""
    mine = _dossier(lock=True)
    if mine.record.state == "institution_pending":
        return redirect(url_for("filing.view"), 303)
    try:
        dossiers.submit(mine, by=current_user.actor())
    except Invalid as refusal:
        flash(refusal.sentence)
        return redirect(url_for("filing.check"), 303)
    return redirect(url_for("filing.view"), 303)


@filing.post("/filing/withdraw")
@allow(DOCTOR)
def withdraw() -> Response:
    """Take it back while nobody has opened it."""
    mine = _dossier(lock=True)
    if mine.record.state != "draft":
        dossiers.withdraw(mine, by=current_user.actor())
    flash("已撤回。修改后请重新提交,否则机构无法审核。")
    return redirect(url_for("filing.begin"), 303)


@filing.get("/filing/view")
@allow(DOCTOR)
def view() -> Response | str:
    """What was handed in, to read, and what follows or whom to ask."""
    mine = _dossier()
    if mine.editable():
        return redirect(url_for("filing.begin"))
    pending = mine.record.state == "institution_pending"
    institution = organisation_of(mine.record.institution_id)
    return render_template(
        "filing/view.html", dossier=mine, sections=dossiers.shown(mine, revealed=True), pending=pending, institution=institution,
        unopened=pending and mine.record.opened_at is None, enrolling=is_open(mine.cycle, "filing"),
        afterwards=AFTERWARDS.get(mine.record.state, LOCKED), proofs=dossiers.proofs_of(mine.record), may_change=closed_because(mine, "change") is None,
    )  # fmt: skip
