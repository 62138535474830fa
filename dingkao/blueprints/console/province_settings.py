"""The province's settings (设置) on one page; each change has a reason, a day from which it applies, and is
kept in a history."""

import re
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from flask import Response as FlaskResponse
from flask import (
    current_app,
    flash,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.blueprints.console.navigation import console_blueprint
from dingkao.blueprints.console.proposed_acts import (
    show_act as proposal_page,
)
from dingkao.certificates import official_seals
from dingkao.errors import (
    InvalidInput,
    InvalidState,
    NotFound,
    TooLarge,
    Unavailable,
)
from dingkao.integrations.images.images import MAX_DOCUMENT_BYTES
from dingkao.integrations.sms import SmsMessage
from dingkao.journal import entries as journal
from dingkao.people import channel_accounts, proposed_acts
from dingkao.people.models import ProposedAct
from dingkao.people.name_lookups import account_names
from dingkao.people.notice_catalogue import SMS_CHANNEL_TEST
from dingkao.tenants import settings as province_settings
from dingkao.tenants.context import current_tenant
from dingkao.tenants.registry import by_code
from dingkao.tenants.settings import SETTINGS, YES_NO
from dingkao.web.access_control import require
from dingkao.web.forms import MAX_TEXT_LENGTH
from dingkao.web.request_lifecycle import limiter

settings_pages = console_blueprint("province_settings")
MOBILE = re.compile(r"1[3-9][0-9]{9}")
MAX_ADVANCE = timedelta(days=5 * 365)
PROPOSED_MESSAGE = "已提出，请另一位省级管理员确认，确认后生效。"
SETTING_GROUPS = (
    "联系方式",
    "填报",
    "账户",
    "分数线",
    "程序",
    "考试",
    "免考与延考",
    "结果",
    "在线学习",
    "证书",
    "通知",
)
"""The groups of settings in the order of the page; each setting's declaration names one of them."""


@settings_pages.route("/office/settings", methods=["GET", "POST"])
@require("settings.manage")
def edit_settings() -> Response | tuple[str, int] | str:
    """The settings page; each changed setting gets a new version. Refused values are shown in the page."""
    return _save_settings() if request.method == "POST" else _render_settings({}, {})


def _save_settings() -> Response | tuple[str, int]:
    """Save the settings that were changed on the page, from the typed day on, and redirect; with an error
    anywhere save none, and render it with the errors."""
    raw_values = {name: request.form[name] for name in _editable_settings() if name in request.form}
    changes, errors = _validated_changes(raw_values)
    reason = request.form.get("reason", "").strip()
    start = _parse_date(request.form.get("effective_from", ""))
    errors |= _reason_and_date_errors(reason, start, is_changed=bool(changes))
    if start is None or errors:
        return _render_settings(raw_values | {"reason": reason}, errors), 422
    _save_changes(changes, reason, start)
    message = f"已保存{len(changes)}项设置，自{start:%Y年%m月%d日}起生效。"
    flash(message if changes else "没有需要保存的修改。")
    return redirect(url_for("province_settings.edit_settings"), 303)


def _validated_changes(
    raw_values: dict[str, str],
) -> tuple[dict[str, Any], dict[str, str]]:
    """By the settings' names: the validated values that differ from the present ones, and the messages about
    invalid texts."""
    changes: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name, text in raw_values.items():
        try:
            value = province_settings.validate_value(name, text)
        except InvalidInput as refusal:
            errors[name] = refusal.message
            continue
        if value != _present_value(name):
            changes[name] = value
    return changes, errors


def _present_value(name: str) -> Any:
    """The value in force of the setting `name`, with the type that `validate_value` returns: a list where the
    stored value is a tuple."""
    present = province_settings.value(name)
    return list(present) if isinstance(present, tuple) else present


def _reason_and_date_errors(reason: str, start: date | None, *, is_changed: bool) -> dict[str, str]:
    """Messages about the reason and the day, by field; `start` is None if the day can't be read. A day out of
    range is reported only once the reason is valid."""
    errors = {} if start else {"effective_from": "生效日期无法识别，请写成2024-09-01。"}
    if not _is_reason_valid(reason, is_needed=is_changed):
        errors["reason"] = f"请填写修改原因，不超过{MAX_TEXT_LENGTH}字。"
    elif start and not _is_within_advance(start):
        errors["effective_from"] = "生效日期应为今天至五年内的一天。"
    return errors


def _is_reason_valid(reason: str, *, is_needed: bool) -> bool:
    """Whether the reason is short enough and, if `is_needed`, not empty."""
    return int(is_needed) <= len(reason) <= MAX_TEXT_LENGTH


def _is_within_advance(start: date) -> bool:
    """Whether a change may apply from that day: today or later, but at most MAX_ADVANCE ahead."""
    return clock.today() <= start <= clock.today() + MAX_ADVANCE


def _save_changes(changes: dict[str, Any], reason: str, start: date) -> None:
    """Store the changed values, by setting name, and a journal entry."""
    for name, value in changes.items():
        province_settings.change(
            name,
            value,
            by=current_user.id,
            reason=reason,
            effective_from=start,
        )
    if changes:
        journal.write_entry(
            "province",
            UUID(int=current_tenant()),
            "settings_changed",
            by=current_user.as_actor(),
            reason=reason,
            names=sorted(changes),
        )


def _parse_date(text: str) -> date | None:
    """The typed day; today for an empty text, None if it can't be read."""
    try:
        return date.fromisoformat(text) if text else clock.today()
    except ValueError:
        return None


def _editable_settings() -> list[str]:
    """The names of the settings on this page, in its order: all but those stored as objects."""
    names = [name for name, setting in SETTINGS.items() if setting.kind != "object"]
    return sorted(
        names,
        key=lambda name: (
            SETTING_GROUPS.index(SETTINGS[name].group),
            SETTINGS[name].order,
        ),
    )


def _render_settings(raw_values: dict[str, str], errors: dict[str, str]) -> str:
    """The settings page. `raw_values`: typed texts, and `errors`: messages, both by form field, which for
    settings is their name; empty if nothing was sent."""
    values = {name: province_settings.value(name) for name in _editable_settings()}
    versions = province_settings.history()
    return render_template(
        "console/province_settings/settings.html",
        groups=_settings_by_group(),
        settings=SETTINGS,
        texts=_field_texts(values) | raw_values,
        held=values,
        faults=errors,
        typed=raw_values,
        history=versions,
        names=account_names(version.set_by for version in versions),
        shown=province_settings.display_value,
        yes_no=YES_NO,
        today=clock.today(),
        sample=not province_settings.value("seal"),
        seal_waiting=_pending_proposal("seal"),
        max_reason_length=MAX_TEXT_LENGTH,
        max_seal_reason_length=proposed_acts.MAX_REASON_LENGTH,
    )


def _settings_by_group() -> dict[str, list[str]]:
    """Group → names of its settings, in the order of the page."""
    groups: dict[str, list[str]] = {}
    for name in _editable_settings():
        groups.setdefault(SETTINGS[name].group, []).append(name)
    return groups


def _field_texts(values: dict[str, Any]) -> dict[str, str]:
    """The texts of the form's fields for these values, by setting name."""
    return {name: _field_text(name, value) for name, value in values.items()}


def _field_text(name: str, value: Any) -> str:
    """A value as the text of its form field."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return province_settings.form_value(name, value)


@settings_pages.route("/office/settings/channels", methods=["GET", "POST"])
@require("settings.manage")
@limiter.limit("60/hour", methods=["POST"])
def edit_channels() -> Response | tuple[str, int] | str:
    """The province's own accounts for SMS and WeChat; secrets are never displayed again. A form that is sent
    proposes another account, which a second administrator must approve. Raises NotFound for an unknown
    channel."""
    return _save_channel(_channel_name()) if request.method == "POST" else _render_channels({}, {})


def _channel_name() -> str:
    """The channel that the form is about. Raises NotFound."""
    name = request.form.get("channel", "")
    if name not in channel_accounts.CHANNEL_FIELDS:
        raise NotFound
    return name


def _save_channel(name: str) -> Response | tuple[str, int]:
    """Propose the account in the form for the channel `name` (a key of CHANNEL_FIELDS), which a second
    administrator must approve, and redirect to the proposal, or render the page with the error."""
    raw_values = {field: request.form.get(field, "") for field in channel_accounts.CHANNEL_FIELDS[name]}
    raw_values["reason"] = request.form.get("reason", "").strip()
    try:
        act = _propose_account(name, raw_values)
    except InvalidInput as refusal:
        return _render_channels({name: raw_values}, {refusal.field or "": refusal.message}), 422
    except InvalidState as refusal:
        return _render_channels({name: raw_values}, {name: refusal.message}), 409
    flash(PROPOSED_MESSAGE)
    return redirect(url_for("proposed_acts.show_act", act_id=act.id), 303)


def _propose_account(name: str, raw_values: dict[str, str]) -> ProposedAct:
    """Propose the typed account, of which an empty secret keeps its present value, or the platform's if that
    was chosen. Raises InvalidInput, InvalidState if a proposal waits already."""
    reason = proposed_acts.validate_reason(raw_values["reason"], f"{name}-reason")
    value = (
        "" if request.form.get("use") == "platform" else channel_accounts.encrypt_account(name, raw_values)
    )
    return channel_accounts.propose_account(name, value, by=current_user.as_actor(), reason=reason)


@settings_pages.post("/office/settings/channels/test")
@require("settings.manage")
@limiter.limit("10/hour")
def send_test_sms() -> Response | tuple[str, int]:
    """Send a test SMS to the typed number, now, with the account in force, or with the proposed one that the
    form names; why it wasn't sent is said on the page that had the form. Raises NotFound."""
    mobile = request.form.get("mobile", "").strip()
    act = _proposed_account()
    if not MOBILE.fullmatch(mobile):
        flash("请填写11位手机号码。", "refusal")
        return _tested_account_page(act), InvalidInput.status
    name = getattr(by_code(current_tenant()), "short_name", "")
    message = SmsMessage(
        "notice",
        mobile,
        {"province": name},
        SMS_CHANNEL_TEST.format(province=name),
    )
    try:
        channel_accounts.sms_sender(current_app.extensions["sms"], act).send(message)
    except Unavailable as refusal:
        flash(_not_sent_text(refusal), "refusal")
        return _tested_account_page(act), InvalidInput.status
    flash("已交给服务商，请查看手机是否收到。")
    return redirect(_tested_account_address(act), 303)


def _tested_account_address(act: ProposedAct | None) -> str:
    """The URL of the page that had the form of the test SMS."""
    if act:
        return url_for("proposed_acts.show_act", act_id=act.id)
    return url_for("province_settings.edit_channels")


def _not_sent_text(refusal: Unavailable) -> str:
    """The message why a test SMS was not sent, with the carrier's error code if it answered."""
    code = getattr(refusal, "code", "")
    if code:
        return f"没有发出：服务商答复“{code}”，请核对账号、签名和模板。"
    return "没有发出：服务商暂时连接不上，请稍后再试。"


def _tested_account_page(act: ProposedAct | None) -> str:
    """The page that had the form of the test SMS: the proposed act, or the channels."""
    return proposal_page(act.id) if act else _render_channels({}, {})


def _proposed_account() -> ProposedAct | None:
    """The proposed SMS account that the form names; None if it names none. Raises NotFound for one that
    doesn't wait."""
    act_id = request.form.get("proposal")
    if not act_id:
        return None
    act = _pending_proposal(channel_accounts.SMS_ACCOUNT)
    if act is None or str(act.id) != act_id:
        raise NotFound
    return act


def _render_channels(raw_values: dict[str, dict[str, str]], errors: dict[str, str]) -> str:
    """The channels page. `raw_values`: channel → field → typed text; `errors`: field → message; empty if
    nothing was sent."""
    accounts = {name: channel_accounts.channel_account(name) for name in channel_accounts.CHANNEL_FIELDS}
    return render_template(
        "console/province_settings/channels.html",
        entries=channel_accounts.CHANNEL_FIELDS,
        labels=channel_accounts.CHANNEL_LABELS,
        carriers=channel_accounts.CARRIERS,
        held=accounts,
        texts=_texts_of_channels(accounts, raw_values),
        faults=errors,
        reasons={name: values["reason"] for name, values in raw_values.items()},
        waiting={name: _pending_proposal(name) for name in channel_accounts.CHANNEL_FIELDS},
        max_value_length=channel_accounts.MAX_VALUE_LENGTH,
        max_reason_length=proposed_acts.MAX_REASON_LENGTH,
    )


def _texts_of_channels(
    accounts: dict[str, dict[str, str] | None],
    raw_values: dict[str, dict[str, str]],
) -> dict[str, dict[str, str]]:
    """The texts of the form's fields by channel: what was typed, else the stored account."""
    return {
        name: _channel_texts(name, raw_values.get(name) or account or {})
        for name, account in accounts.items()
    }


def _channel_texts(name: str, values: dict[str, str]) -> dict[str, str]:
    """The texts of a channel's fields; those of secrets stay empty."""
    fields = channel_accounts.CHANNEL_FIELDS[name]
    return {field: "" if entry.is_secret else values.get(field, "") for field, entry in fields.items()}


def _pending_proposal(kind: str) -> ProposedAct | None:
    """The pending proposal of this kind for the province; None if there is none."""
    return proposed_acts.pending_about(kind, proposed_acts.province_subject())


@settings_pages.get("/office/settings/seal.png")
@require("proposed_acts.view")
def current_seal_image() -> FlaskResponse:
    """The image of the official seal in use. Raises NotFound, Unavailable."""
    seal = official_seals.current_seal()
    return FlaskResponse(seal.content, mimetype=seal.content_type)


@settings_pages.post("/office/settings/seal")
@require("settings.manage")
@limiter.limit("30/hour")
def propose_seal() -> Response | tuple[str, int]:
    """Propose an image as the province's official seal and redirect to the proposal, or render the page with
    the error."""
    upload = request.files.get("seal")
    reason = request.form.get("reason", "")
    content = upload.read(MAX_DOCUMENT_BYTES + 1) if upload else b""
    try:
        act = official_seals.propose_seal(content, by=current_user.as_actor(), reason=reason)
    except (
        InvalidInput,
        InvalidState,
        TooLarge,
        Unavailable,
    ) as refusal:
        return _render_settings({"seal-reason": reason}, {"seal": refusal.message}), refusal.status
    flash(PROPOSED_MESSAGE)
    return redirect(url_for("proposed_acts.show_act", act_id=act.id), 303)
