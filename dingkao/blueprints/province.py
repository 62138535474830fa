"""The province's settings (设置): one page, each change with a reason, a day from which it holds, and its history."""

from datetime import date, timedelta
from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import select
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.blueprints.access import allow
from dingkao.blueprints.console import ADMIN, AUDITOR, of_office
from dingkao.blueprints.forms import LONGEST
from dingkao.blueprints.web import limiter
from dingkao.certificates import seals
from dingkao.database.model import db
from dingkao.errors import Invalid, TooLarge, Unavailable
from dingkao.journal import writing as journal
from dingkao.outside.pictures import MAX_BYTES
from dingkao.people.models import Account
from dingkao.tenants import settings as province_settings
from dingkao.tenants.context import current_tenant
from dingkao.tenants.settings import SETTINGS, YES_NO

province = of_office("province")
FARTHEST = timedelta(days=5 * 365)
EDITED = [name for name, setting in SETTINGS.items() if setting.kind != "object"]


@province.route("/office/settings", methods=["GET", "POST"])
@allow(ADMIN)
def settings() -> Response | tuple[str, int] | str:
    """The page; what was changed on it gets a new version."""
    if request.method != "POST":
        return _page({}, {})
    typed = {name: request.form[name] for name in EDITED if name in request.form}
    faults, changed = {}, {}
    for name, text in typed.items():
        try:
            new = province_settings.judged(name, text)
        except Invalid as refusal:
            faults[name] = refusal.sentence
        else:
            held = province_settings.value(name)
            if new != (list(held) if isinstance(held, tuple) else held):
                changed[name] = new
    reason, start = request.form.get("reason", "").strip(), _day(request.form.get("effective_from", ""))
    if start is None:
        faults["effective_from"] = "生效日期无法识别,请写成2024-09-01。"
        start = clock.today()
    if (changed and not reason) or len(reason) > LONGEST:
        faults["reason"] = f"请填写修改原因,不超过{LONGEST}字。"
    elif not clock.today() <= start <= clock.today() + FARTHEST:
        faults["effective_from"] = "生效日期应为今天至五年内的一天。"
    if faults:
        return _page(typed | {"reason": reason}, faults), 422
    for name, new in changed.items():
        province_settings.change(name, new, by=current_user.id, reason=reason, effective_from=start)
    if changed:
        journal.write("province", UUID(int=current_tenant()), "settings_changed", by=current_user.actor(), reason=reason, names=sorted(changed))
    flash(f"已保存{len(changed)}项设置,自{start:%Y年%m月%d日}起生效。" if changed else "没有需要保存的修改。")
    return redirect(url_for("province.settings"), 303)


def _day(text: str) -> date | None:
    """The day that was typed; today where nothing was, None where it is none."""
    try:
        return date.fromisoformat(text) if text else clock.today()
    except ValueError:
        return None


def _page(typed: dict[str, str], faults: dict[str, str]) -> str:
    groups: dict[str, list[str]] = {}
    for name in EDITED:
        groups.setdefault(SETTINGS[name].group, []).append(name)
    held = {name: province_settings.value(name) for name in EDITED}
    texts = {name: ("yes" if value else "no") if isinstance(value, bool) else province_settings.as_text(value) for name, value in held.items()} | typed
    rows = province_settings.history()
    names = {row.id: row.name for row in db.session.scalars(select(Account).where(Account.id.in_({row.set_by for row in rows if row.set_by})))}
    return render_template(
        "province/settings.html", groups=groups, settings=SETTINGS, texts=texts, held=held, faults=faults, typed=typed, history=rows, names=names,
        shown=province_settings.shown, yes_no=YES_NO, today=clock.today(), sample=not province_settings.value("seal"),
    )  # fmt: skip


@province.get("/office/settings/seal.png")
@allow(ADMIN, AUDITOR)
def seal_picture() -> FlaskResponse:
    """The seal that is printed now."""
    found = seals.seal()
    return FlaskResponse(found.content, mimetype=found.content_type)


@province.post("/office/settings/seal")
@allow(ADMIN)
@limiter.limit("30/hour")
def seal() -> Response | tuple[str, int]:
    """Upload the province's seal."""
    given, reason = request.files.get("seal"), request.form.get("reason", "").strip()
    try:
        if not 0 < len(reason) <= LONGEST:
            raise Invalid(f"请填写更换公章的原因,不超过{LONGEST}字。", "seal")
        seals.upload(given.read(MAX_BYTES + 1) if given else b"", by=current_user.actor(), reason=reason)
    except (Invalid, TooLarge, Unavailable) as refusal:
        return _page({}, {"seal": refusal.sentence}), refusal.status
    flash("公章已启用,以后签发的通知书将使用新公章。")
    return redirect(url_for("province.settings"), 303)
