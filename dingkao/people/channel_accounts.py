"""A province's own channels: an account with an SMS carrier, and an official WeChat account.

Each is a setting with an encrypted value; a province without one uses the platform's account."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import redis

from dingkao.config import AppConfig
from dingkao.errors import InvalidInput
from dingkao.integrations.sms import AliyunSms, SmsSender, TencentSms
from dingkao.integrations.wechat_api import OfficialAccount, WeChat
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people import proposed_acts
from dingkao.people.models import ProposedAct
from dingkao.tenants import settings as province_settings
from dingkao.tenants.encryption import SecretLocation, current_vault
from dingkao.tenants.settings import Setting

CARRIERS = {"aliyun": "阿里云短信", "tencent": "腾讯云短信"}
CARRIER_ENDPOINTS = {
    "aliyun": "https://dysmsapi.aliyuncs.com/",
    "tencent": "https://sms.tencentcloudapi.com/",
}
MAX_VALUE_LENGTH = 200
_SETTING_ROW_ID = UUID(int=0)
province_settings.register(
    "sms_account",
    Setting(
        "短信账号",
        "",
        kind="object",
        group="通知",
        order=10,
        object_labels=("本省自有", "使用平台的"),
    ),
)
province_settings.register(
    "wechat_account",
    Setting(
        "微信公众号",
        "",
        kind="object",
        group="通知",
        order=20,
        object_labels=("本省自有", "使用平台的"),
    ),
)


@dataclass(frozen=True)
class ChannelField:
    """A field of a channel's form: its label, whether it is secret (never displayed again) and whether it may
    be empty."""

    label: str
    is_secret: bool = False
    is_optional: bool = False


SMS_ACCOUNT = "sms_account"
WECHAT_ACCOUNT = "wechat_account"
CHANNEL_FIELDS: Mapping[str, Mapping[str, ChannelField]] = {
    SMS_ACCOUNT: {
        "carrier": ChannelField("服务商"),
        "access_key": ChannelField("AccessKey ID（腾讯云为SecretId）"),
        "secret": ChannelField("AccessKey Secret（腾讯云为SecretKey）", is_secret=True),
        "sign_name": ChannelField("短信签名"),
        "code_template": ChannelField("验证码模板编号"),
        "notice_template": ChannelField("消息提醒模板编号", is_optional=True),
        "app_id": ChannelField("短信应用ID（仅腾讯云）", is_optional=True),
    },
    WECHAT_ACCOUNT: {
        "app_id": ChannelField("公众号AppID"),
        "secret": ChannelField("公众号AppSecret", is_secret=True),
        "template": ChannelField("消息提醒模板ID", is_optional=True),
    },
}
CHANNEL_LABELS = {
    SMS_ACCOUNT: "短信账号",
    WECHAT_ACCOUNT: "微信公众号",
}


def channel_account(name: str) -> dict[str, str] | None:
    """The province's account for the channel `name` (SMS_ACCOUNT or WECHAT_ACCOUNT) as field → value, by
    CHANNEL_FIELDS; None if the province uses the platform's."""
    return _decrypt(name, province_settings.value(name))


def _decrypt(name: str, sealed: str | None) -> dict[str, str] | None:
    """An account from the encrypted value of the channel's setting, by field; None for an empty value."""
    if not sealed:
        return None
    return dict(json.loads(current_vault().decrypt(_secret_location(name), base64.b64decode(sealed))))


def propose_account(name: str, value: str, *, by: Actor, reason: str) -> ProposedAct:
    """Propose the account `value` (from `encrypt_account`) for the channel `name`; "" proposes the platform's
    account. It takes two persons, because whoever has the SMS account can read every code sent with it. It is
    journalled; nobody is notified. Raises InvalidInput for a missing or too long reason, InvalidState if such
    a proposal is pending."""
    return proposed_acts.propose(
        name,
        proposed_acts.province_subject(),
        by=by,
        reason=reason,
        value=value,
    )


def proposal_changes(act: ProposedAct) -> list[tuple[str, str, str]]:
    """The fields of a proposed account, each with its label, present value and proposed value. Secret values
    aren't shown, only whether they are set or change."""
    present = channel_account(act.kind) or {}
    proposed = _decrypt(act.kind, act.value) or {}
    return [
        (
            entry.label,
            *_displayed_change(
                field,
                entry,
                present.get(field, ""),
                proposed.get(field, ""),
            ),
        )
        for field, entry in CHANNEL_FIELDS[act.kind].items()
    ]


def _displayed_change(field: str, entry: ChannelField, present: str, proposed: str) -> tuple[str, str]:
    """The present and the proposed value of a field, as text; secrets are not shown."""
    if field == "carrier":
        return CARRIERS.get(present, present), CARRIERS.get(proposed, proposed)
    if entry.is_secret:
        return "已设置" if present else "", _secret_change_text(present, proposed)
    return present, proposed


def _secret_change_text(old: str, new: str) -> str:
    """«不变» or «新密钥»; "" if no secret is proposed."""
    if not new:
        return ""
    return "不变" if new == old else "新密钥"


@proposed_acts.on_approval(SMS_ACCOUNT, WECHAT_ACCOUNT)
def apply_proposed_account(act: ProposedAct, by: Actor) -> None:
    """Store the proposed account in the setting, in force from today, and journal it: the effect of the
    approval."""
    province_settings.change(
        act.kind,
        act.value or "",
        by=act.proposed_by,
        reason=act.reason,
    )
    journal.write_entry(
        "province",
        proposed_acts.province_subject(),
        "settings_changed",
        by=by,
        reason=act.reason,
        names=[act.kind],
        proposed_by=str(act.proposed_by),
    )


def encrypt_account(name: str, values: Mapping[str, str]) -> str:
    """Validate the texts typed for the channel `name` and return them as the encrypted value of the setting,
    which isn't stored here. An empty secret keeps its present value. Raises InvalidInput with the name of the
    form's field, `name`-`field`."""
    present = channel_account(name) or {}
    account = {
        field: _validate_field(
            name,
            field,
            entry,
            values.get(field, "").strip(),
            present.get(field, ""),
        )
        for field, entry in CHANNEL_FIELDS[name].items()
    }
    if name == SMS_ACCOUNT:
        _require_known_carrier(account)
    sealed = current_vault().encrypt(
        _secret_location(name),
        json.dumps(account, ensure_ascii=False),
    )
    return base64.b64encode(sealed).decode()


def _validate_field(
    name: str,
    field: str,
    entry: ChannelField,
    text: str,
    present: str,
) -> str:
    """The value of one field: `text`, or for a secret that was left empty the `present` value. Raises
    InvalidInput for the form's field `name`-`field`."""
    value = text or _value_left_empty(entry, present)
    if not value and not entry.is_optional:
        raise InvalidInput(f"请填写{entry.label}。", f"{name}-{field}")
    if len(value) > MAX_VALUE_LENGTH:
        raise InvalidInput(
            f"{entry.label}请不要超过{MAX_VALUE_LENGTH}字。",
            f"{name}-{field}",
        )
    return value


def _value_left_empty(entry: ChannelField, present: str) -> str:
    """The value of a field that was left empty: of a secret the `present` one, else ""."""
    return present if entry.is_secret else ""


def _require_known_carrier(account: Mapping[str, str]) -> None:
    """Raise InvalidInput for an unknown carrier, or a Tencent account without app id."""
    if account["carrier"] not in CARRIERS:
        raise InvalidInput("请选择短信服务商。", f"{SMS_ACCOUNT}-carrier")
    if account["carrier"] == "tencent" and not account["app_id"]:
        raise InvalidInput(
            "使用腾讯云短信，请填写短信应用ID。",
            f"{SMS_ACCOUNT}-app_id",
        )


def sms_sender(platform: SmsSender, proposal: ProposedAct | None = None) -> SmsSender:
    """The sender of this province's codes and notices; links to administrators always go by the platform's
    account (`sms.send_after_commit`), and it refuses them. With a `proposal`, to test it: the proposed
    account, or the `platform`'s sender if that is proposed; else the province's own account, else the
    `platform`'s sender."""
    own_account = _decrypt(SMS_ACCOUNT, proposal.value) if proposal else channel_account(SMS_ACCOUNT)
    if own_account is None:
        return platform
    templates = {
        "code": own_account["code_template"],
        "notice": own_account["notice_template"],
    }
    endpoint = _endpoint(own_account["carrier"])
    if own_account["carrier"] == "tencent":
        return TencentSms(
            endpoint,
            own_account["access_key"],
            own_account["secret"],
            own_account["sign_name"],
            templates,
            own_account["app_id"],
        )
    return AliyunSms(
        endpoint,
        own_account["access_key"],
        own_account["secret"],
        own_account["sign_name"],
        templates,
    )


def wechat_account(platform: WeChat | None, connection: redis.Redis) -> WeChat | None:
    """This province's official WeChat account: its own, else the `platform`'s, which may be None. Whether
    people may sign in with it is not asked here. `connection`: the cache, which holds WeChat's access
    token."""
    own_account = channel_account(WECHAT_ACCOUNT)
    if own_account is None:
        return platform
    wechat_config = AppConfig.current().wechat
    open_url = wechat_config.get("WECHAT_OPEN_URL") or "https://open.weixin.qq.com"
    api_url = wechat_config.get("WECHAT_API_URL") or "https://api.weixin.qq.com"
    return OfficialAccount(
        own_account["app_id"],
        own_account["secret"],
        own_account["template"],
        open_url.rstrip("/"),
        api_url.rstrip("/"),
        connection,
    )


def _endpoint(carrier: str) -> str:
    """The URL of a carrier: the platform's configured one if it uses the same carrier, else the carrier's
    public one."""
    sms_config = AppConfig.current().sms
    is_same_carrier = sms_config.get("SMS_ADAPTER") == carrier
    return (sms_config.get("SMS_ENDPOINT") if is_same_carrier else None) or CARRIER_ENDPOINTS[carrier]


def _secret_location(name: str) -> SecretLocation:
    """Where the encrypted account of the channel `name` is stored: its decryption needs the same location."""
    return SecretLocation("province_setting", name, _SETTING_ROW_ID)
