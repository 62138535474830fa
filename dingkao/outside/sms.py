"""Short messages (短信): one interface; an outbox for development, and the HTTP interfaces of two carriers for use."""

import base64
import hashlib
import hmac
import json
import threading
import urllib.parse
import uuid
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import httpx
import redis
import structlog

from dingkao import clock
from dingkao.errors import Unavailable
from dingkao.settings import Settings
from dingkao.tenants.context import current_tenant, entered
from dingkao.tenants.keys import cache_key

KEPT = 200
KEPT_SECONDS = 24 * 3600
PATIENCE = httpx.Timeout(5, connect=3)
AT_ONCE = 4
DOWN = "短信暂时发不出去,请稍后再试;也可以请本机构发放一次性代码。"
log = structlog.get_logger()


@dataclass(frozen=True)
class Message:
    """A short message: `purpose` (code or notice) names the carrier's template, `parameters` fill it, `text` is the whole as people read it."""

    purpose: str
    mobile: str
    parameters: Mapping[str, str]
    text: str


class NotTaken(Unavailable):
    """The carrier answers, and doesn't take this message: `code` is its own word for why. Another message may go."""

    def __init__(self, code: str) -> None:
        super().__init__(DOWN)
        self.code = code


class Sms(Protocol):
    """What sends a short message."""

    def send(self, message: Message) -> None:
        """Send. Raises NotTaken where the carrier refuses this message, Unavailable where nothing can be handed over."""


@dataclass
class Outbox:
    """Messages kept in the cache of the province for a day and shown on a page of their own; for development and demonstrations."""

    connection: redis.Redis

    def send(self, message: Message) -> None:
        """Keep the message."""
        key = cache_key("outbox")
        kept = json.dumps({"mobile": message.mobile, "text": message.text, "at": clock.now().isoformat()}, ensure_ascii=False)
        with self.connection.pipeline() as pipeline:
            pipeline.lpush(key, kept)
            pipeline.ltrim(key, 0, KEPT - 1)
            pipeline.expire(key, KEPT_SECONDS)
            pipeline.execute()

    def messages(self) -> list[dict[str, str]]:
        """The messages of this province, the newest first."""
        kept = self.connection.lrange(cache_key("outbox"), 0, -1)
        return [json.loads(message) for message in kept]  # type: ignore[union-attr]


@dataclass(frozen=True)
class AliyunSms:
    """阿里云短信服务, API SendSms, version 2017-05-25, RPC style, signed with HMAC-SHA1 (signature version 1.0), after the carrier's
    «短信服务 API 参考: SendSms» and «RPC 签名机制», https://help.aliyun.com/zh/sms/developer-reference/api-dysmsapi-2017-05-25-sendsms.

    `templates`: the code of the approved template of each purpose; their variables are ${code} and ${province}.
    """

    endpoint: str
    access_key: str
    secret: str = field(repr=False)
    sign_name: str
    templates: Mapping[str, str]

    def send(self, message: Message) -> None:
        """Hand the message over; the carrier fills its template."""
        query = {
            "Action": "SendSms", "Version": "2017-05-25", "Format": "JSON", "RegionId": "cn-hangzhou", "AccessKeyId": self.access_key,
            "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0", "SignatureNonce": uuid.uuid4().hex,
            "Timestamp": clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"), "PhoneNumbers": message.mobile, "SignName": self.sign_name,
            "TemplateCode": _template(self.templates, message), "TemplateParam": json.dumps(dict(message.parameters), ensure_ascii=False),
        }  # fmt: skip
        query["Signature"] = self.signature(query)
        told = _ask(self.endpoint, data=query)
        if told.get("Code") != "OK":
            raise _refused("aliyun", str(told.get("Code")))

    def signature(self, query: Mapping[str, str]) -> str:
        """The signature over the sorted query, as the interface defines it."""
        quote = urllib.parse.quote
        canonical = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(query.items()))
        text = f"POST&{quote('/', safe='')}&{quote(canonical, safe='~')}"
        return base64.b64encode(hmac.digest(f"{self.secret}&".encode(), text.encode(), "sha1")).decode()


@dataclass(frozen=True)
class TencentSms:
    """腾讯云短信, action SendSms, version 2021-01-11, signed by TC3-HMAC-SHA256, after the carrier's «短信 API 文档: 发送短信» and
    «签名方法 v3», https://cloud.tencent.com/document/product/382/55981.

    `templates`: the id of the approved template of each purpose; {1} is the code, or the province.
    """

    endpoint: str
    secret_id: str
    secret_key: str = field(repr=False)
    sign_name: str
    templates: Mapping[str, str]
    app_id: str
    region: str = "ap-guangzhou"

    def send(self, message: Message) -> None:
        """Hand the message over; the carrier fills its template."""
        content = {
            "PhoneNumberSet": [f"+86{message.mobile}"], "SmsSdkAppId": self.app_id, "SignName": self.sign_name,
            "TemplateId": _template(self.templates, message), "TemplateParamSet": list(message.parameters.values()),
        }  # fmt: skip
        body = json.dumps(content)
        moment = int(clock.now().timestamp())
        headers = {
            "Content-Type": "application/json; charset=utf-8", "X-TC-Action": "SendSms", "X-TC-Version": "2021-01-11", "X-TC-Region": self.region,
            "X-TC-Timestamp": str(moment), "Authorization": tc3_authorization(self.secret_id, self.secret_key, "sms", self._host(), body, moment),
        }  # fmt: skip
        told = _ask(self.endpoint, content=body.encode(), headers=headers).get("Response") or {}
        codes = [told["Error"].get("Code")] if "Error" in told else [one.get("Code") for one in told.get("SendStatusSet") or [{}]]
        if codes != ["Ok"]:
            raise _refused("tencent", str(codes[0]))

    def _host(self) -> str:
        return urllib.parse.urlsplit(self.endpoint).netloc


def tc3_authorization(secret_id: str, secret_key: str, service: str, host: str, body: str, moment: int) -> str:
    """The header of a POST of JSON, as «签名方法 v3» defines it; `moment` is in seconds, the day in it that of UTC."""
    day = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")
    scope = f"{day}/{service}/tc3_request"
    canonical = "\n".join((
        "POST", "/", "", f"content-type:application/json; charset=utf-8\nhost:{host}\n", "content-type;host", hashlib.sha256(body.encode()).hexdigest(),
    ))  # fmt: skip
    text = f"TC3-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"TC3{secret_key}".encode()
    for part in (day, service, "tc3_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    return f"TC3-HMAC-SHA256 Credential={secret_id}/{scope}, SignedHeaders=content-type;host, Signature={signature}"


def _template(templates: Mapping[str, str], message: Message) -> str:
    template = templates.get(message.purpose)
    if not template:
        raise NotTaken(f"no template for {message.purpose}")
    return template


def _ask(endpoint: str, **request: Any) -> dict[str, Any]:
    """What the carrier answers, whatever the status; its errors are told in the body."""
    try:
        told = httpx.post(endpoint, timeout=PATIENCE, **request).json()
    except (httpx.HTTPError, ValueError) as fault:
        log.warning("sms.down", kind=type(fault).__name__)
        raise Unavailable(DOWN) from fault
    if not isinstance(told, dict):
        raise Unavailable(DOWN)
    return told


def _refused(carrier: str, code: str) -> NotTaken:
    log.warning("sms.not_taken", carrier=carrier, code=code[:80])
    return NotTaken(code)


@dataclass
class Later:
    """Hands messages over after the request that asked for them, so that nobody can tell by the time it took whether one was sent
    (security.md 4), and no carrier's slowness is anybody's. A message that doesn't go is asked for again by the one who waits for it."""

    sms: Sms
    _pool: ThreadPoolExecutor | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _last: Future[None] | None = None

    def hand_over(self, message: Message | None) -> None:
        """Send `message` soon; with None the same is done but for the sending."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(AT_ONCE, "sms")
            self._last = self._pool.submit(self._send, current_tenant(), message)

    def settle(self) -> None:
        """Wait until what was handed over last has been dealt with."""
        if self._last:
            self._last.result(timeout=15)

    def _send(self, tenant: int, message: Message | None) -> None:
        if message is None:
            return
        try:
            with entered(tenant):
                self.sms.send(message)
        except Unavailable:
            return  # logged where it was found
        except Exception as fault:
            log.error("sms.broken", kind=type(fault).__name__)  # noqa: TRY400 - never the values


def from_settings(settings: Settings, connection: redis.Redis) -> Sms:
    """The sender that the settings name."""
    told = settings.sms
    templates = {"code": told.get("SMS_TEMPLATE", ""), "notice": told.get("SMS_NOTICE_TEMPLATE", "")}
    match told["SMS_ADAPTER"]:
        case "aliyun":
            return AliyunSms(told["SMS_ENDPOINT"], told["SMS_ACCESS_KEY"], told["SMS_SECRET"], told["SMS_SIGN_NAME"], templates)
        case "tencent":
            return TencentSms(
                told["SMS_ENDPOINT"], told["SMS_ACCESS_KEY"], told["SMS_SECRET"], told["SMS_SIGN_NAME"], templates, told["SMS_APP_ID"],
                told.get("SMS_REGION") or "ap-guangzhou",
            )  # fmt: skip
    return Outbox(connection)
