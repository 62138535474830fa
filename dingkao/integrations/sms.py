"""Short messages (短信): one interface, an outbox for development, and the HTTP interfaces of two
carriers."""

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
from functools import partial
from typing import Any, Protocol

import httpx2
import redis
import structlog
from flask import current_app

from dingkao import clock
from dingkao.config import AppConfig
from dingkao.database.after_commit import do_after_commit
from dingkao.errors import Unavailable
from dingkao.tenants.context import current_tenant, in_tenant
from dingkao.tenants.keys import cache_key

MAX_OUTBOX_MESSAGES = 200
OUTBOX_SECONDS = 24 * 3600
HTTP_TIMEOUT = httpx2.Timeout(5, connect=3)
SENDER_THREADS = 4
UNAVAILABLE_MESSAGE = "短信暂时发不出去，请稍后再试；也可以请本机构发放一次性代码。"
log = structlog.get_logger()


@dataclass(frozen=True)
class SmsMessage:
    """A short message. `purpose` (code, notice or link) names the carrier's template, `parameters` fill it
    (Tencent by their order), `text` is the whole message as people read it; `mobile`: of the mainland,
    without +86."""

    purpose: str
    mobile: str
    parameters: Mapping[str, str]
    text: str


class CarrierRejected(Unavailable):
    """The carrier responds, but rejects this message; `code` is its error code. Other messages may be
    accepted."""

    def __init__(self, code: str) -> None:
        super().__init__(UNAVAILABLE_MESSAGE)
        self.code = code


class SmsSender(Protocol):
    """An adapter that sends short messages."""

    def send(self, message: SmsMessage) -> None:
        """Send the message now. Raises CarrierRejected if the carrier rejects it, Unavailable if the carrier
        can't be reached, both logged; the outbox raises redis.RedisError."""


@dataclass
class DevelopmentOutbox:
    """Stores messages in the province's cache for a day instead of sending them; a page shows them. For
    development and demonstrations."""

    connection: redis.Redis

    def send(self, message: SmsMessage) -> None:
        """Store the message in the present province's outbox, of which the newest MAX_OUTBOX_MESSAGES are
        kept. Raises redis.RedisError."""
        key = cache_key("outbox")
        entry = json.dumps(
            {
                "mobile": message.mobile,
                "text": message.text,
                "at": clock.now().isoformat(),
            },
            ensure_ascii=False,
        )
        with self.connection.pipeline() as pipeline:
            pipeline.lpush(key, entry)
            pipeline.ltrim(key, 0, MAX_OUTBOX_MESSAGES - 1)
            pipeline.expire(key, OUTBOX_SECONDS)
            pipeline.execute()

    def messages(self) -> list[dict[str, str]]:
        """Returns the messages of this province, the newest first: dicts of mobile, text and at (ISO time).
        Raises redis.RedisError."""
        entries = self.connection.lrange(cache_key("outbox"), 0, -1)
        return [json.loads(message) for message in entries]  # type: ignore[union-attr]


@dataclass(frozen=True)
class AliyunSms:
    """阿里云短信服务, API SendSms, version 2017-05-25, RPC style, signed with HMAC-SHA1 (signature version
    1.0), after the carrier's «短信服务 API 参考: SendSms» and «RPC 签名机制»,
    https://help.aliyun.com/zh/sms/developer-reference/api-dysmsapi-2017-05-25-sendsms.

    `templates`: the code of the approved template of each purpose; their variables are ${code} and
      ${province}.
    """

    endpoint: str
    access_key: str
    secret: str = field(repr=False)
    sign_name: str
    templates: Mapping[str, str]

    def send(self, message: SmsMessage) -> None:
        """Hand the message to Aliyun by HTTP. Sent is the template of its purpose, which Aliyun fills with
        `parameters`; `text` is not. Raises CarrierRejected if Aliyun refuses it or the purpose has no
        template, Unavailable if Aliyun can't be reached or its answer read."""
        query = {
            "Action": "SendSms",
            "Version": "2017-05-25",
            "Format": "JSON",
            "RegionId": "cn-hangzhou",
            "AccessKeyId": self.access_key,
            "SignatureMethod": "HMAC-SHA1",
            "SignatureVersion": "1.0",
            "SignatureNonce": uuid.uuid4().hex,
            "Timestamp": clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "PhoneNumbers": message.mobile,
            "SignName": self.sign_name,
            "TemplateCode": _template_code(self.templates, message),
            "TemplateParam": json.dumps(dict(message.parameters), ensure_ascii=False),
        }
        query["Signature"] = self.signature(query)
        answer = _call_carrier(self.endpoint, data=query)
        if answer.get("Code") != "OK":
            raise _rejection("aliyun", str(answer.get("Code")))

    def signature(self, query: Mapping[str, str]) -> str:
        """Returns the signature of a query that has none yet, as the interface defines it: its parameters
        sorted by name."""
        quote = urllib.parse.quote
        canonical = "&".join(
            f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(query.items())
        )
        text = f"POST&{quote('/', safe='')}&{quote(canonical, safe='~')}"
        return base64.b64encode(hmac.digest(f"{self.secret}&".encode(), text.encode(), "sha1")).decode()


@dataclass(frozen=True)
class TencentSms:
    """腾讯云短信, action SendSms, version 2021-01-11, signed by TC3-HMAC-SHA256, after the carrier's «短信
    API 文档: 发送短信» and «签名方法 v3», https://cloud.tencent.com/document/product/382/55981.

    `templates`: the id of the approved template of each purpose; {1} is the code, or the province.
    """

    endpoint: str
    secret_id: str
    secret_key: str = field(repr=False)
    sign_name: str
    templates: Mapping[str, str]
    app_id: str
    region: str = "ap-guangzhou"

    def send(self, message: SmsMessage) -> None:
        """Hand the message to Tencent by HTTP. Sent is the template of its purpose, which Tencent fills with
        `parameters`; `text` is not. Raises CarrierRejected if Tencent refuses it or the purpose has no
        template, Unavailable if Tencent can't be reached or its answer read."""
        content = {
            "PhoneNumberSet": [f"+86{message.mobile}"],
            "SmsSdkAppId": self.app_id,
            "SignName": self.sign_name,
            "TemplateId": _template_code(self.templates, message),
            "TemplateParamSet": list(message.parameters.values()),
        }
        body = json.dumps(content)
        moment = int(clock.now().timestamp())
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "X-TC-Action": "SendSms",
            "X-TC-Version": "2021-01-11",
            "X-TC-Region": self.region,
            "X-TC-Timestamp": str(moment),
            "Authorization": tc3_authorization(
                self.secret_id,
                self.secret_key,
                "sms",
                self._host(),
                body,
                moment,
            ),
        }
        answer = _call_carrier(self.endpoint, content=body.encode(), headers=headers).get("Response") or {}
        codes = _status_codes(answer)
        if codes != ["Ok"]:
            raise _rejection("tencent", str(codes[0]))

    def _host(self) -> str:
        """Returns the host of the endpoint."""
        return urllib.parse.urlsplit(self.endpoint).netloc


def _status_codes(answer: Mapping[str, Any]) -> list[str | None]:
    """Returns the codes in Tencent's answer, at least one: of its error, or one for each number; None where
    it says none."""
    if "Error" in answer:
        return [answer["Error"].get("Code")]
    return [status.get("Code") for status in answer.get("SendStatusSet") or [{}]]


def tc3_authorization(
    secret_id: str,
    secret_key: str,
    service: str,
    host: str,
    body: str,
    moment: int,
) -> str:
    """Returns the Authorization header of a POST of JSON, as «签名方法 v3» defines it. `moment`: seconds
    since 1970; its date is in UTC."""
    day = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")
    scope = f"{day}/{service}/tc3_request"
    canonical = "\n".join(
        (
            "POST",
            "/",
            "",
            f"content-type:application/json; charset=utf-8\nhost:{host}\n",
            "content-type;host",
            hashlib.sha256(body.encode()).hexdigest(),
        )
    )
    text = f"TC3-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"TC3{secret_key}".encode()
    for part in (day, service, "tc3_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"Credential={secret_id}/{scope}"
    return f"TC3-HMAC-SHA256 {credential}, SignedHeaders=content-type;host, Signature={signature}"


def _template_code(templates: Mapping[str, str], message: SmsMessage) -> str:
    """Returns the carrier's template for the purpose of the message. Raises CarrierRejected, and logs it, if
    there is none."""
    template = templates.get(message.purpose)
    if not template:
        log.warning("sms.no_template", purpose=message.purpose)
        raise CarrierRejected(f"no template for {message.purpose}")
    return template


def _call_carrier(endpoint: str, **request: Any) -> dict[str, Any]:
    """POST to the carrier (`request`: arguments of httpx2.post). Returns the JSON of its answer with any
    status, because its errors are in the body. Raises Unavailable, and logs it, if it doesn't answer, or
    without a JSON object."""
    try:
        answer = httpx2.post(endpoint, timeout=HTTP_TIMEOUT, **request).json()
    except (httpx2.HTTPError, ValueError) as fault:
        log.warning("sms.down", kind=type(fault).__name__)
        raise Unavailable(UNAVAILABLE_MESSAGE) from fault
    if not isinstance(answer, dict):
        log.warning("sms.down", kind=type(answer).__name__)
        raise Unavailable(UNAVAILABLE_MESSAGE)
    return answer


def _rejection(carrier: str, code: str) -> CarrierRejected:
    """Log that the carrier rejects a message with `code`; returns the error to raise."""
    log.warning("sms.not_taken", carrier=carrier, code=code[:80])
    return CarrierRejected(code)


@dataclass
class BackgroundSender:
    """Sends messages after the response of the request that asked for them: the response time then doesn't
    tell whether a message was sent (security.md 4), and a slow carrier delays nobody. A failed message is not
    repeated; the user asks again."""

    sms: SmsSender
    _pool: ThreadPoolExecutor | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _last: Future[None] | None = None

    def send_later(
        self,
        message: SmsMessage | None,
        sender: SmsSender | None = None,
    ) -> None:
        """Send `message` soon by another thread, in the present province, with `sender` if the province has
        its own. With None, the same is done without sending, so that the time is the same. Failures are only
        logged."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(SENDER_THREADS, "sms")
            self._last = self._pool.submit(
                self._send,
                current_tenant(),
                message,
                sender or self.sms,
            )

    def wait_until_sent(self) -> None:
        """Wait, 15 seconds at most, until the message that was asked for last was handled; earlier ones may
        still be under way. Raises TimeoutError."""
        if self._last:
            self._last.result(timeout=15)

    def _send(
        self,
        tenant: int,
        message: SmsMessage | None,
        sender: SmsSender,
    ) -> None:
        """Send a message in its province; a failure is logged, not raised. None sends nothing."""
        if message is None:
            return
        try:
            with in_tenant(tenant):
                sender.send(message)
        except Unavailable:
            return  # logged by the sender
        except Exception as fault:
            log.error("sms.broken", kind=type(fault).__name__)


def send_after_commit(message: SmsMessage) -> None:
    """Send a message in the background after the session's transaction is committed; after a rollback, also
    of the savepoint in which this is asked for, it is discarded. A failure is only logged. It always uses the
    platform's account: whoever administers a province's own account can read there what it sends, and a link
    in a message makes its reader an administrator."""
    do_after_commit(partial(_send_in_province, current_tenant(), message))


def _send_in_province(tenant: int, message: SmsMessage) -> None:
    """Hand a message of the province `tenant` to the sender in the background."""
    with in_tenant(tenant):
        current_app.extensions["background_sms"].send_later(message)


def from_settings(config: AppConfig, connection: redis.Redis) -> SmsSender:
    """Returns the sender of the platform's account that the configuration names: one of a carrier, or the
    outbox, which uses `connection`."""
    settings = config.sms
    templates = {
        "code": settings.get("SMS_TEMPLATE", ""),
        "notice": settings.get("SMS_NOTICE_TEMPLATE", ""),
        "link": settings.get("SMS_LINK_TEMPLATE", ""),
    }
    match settings["SMS_ADAPTER"]:
        case "aliyun":
            return AliyunSms(
                settings["SMS_ENDPOINT"],
                settings["SMS_ACCESS_KEY"],
                settings["SMS_SECRET"],
                settings["SMS_SIGN_NAME"],
                templates,
            )
        case "tencent":
            return TencentSms(
                settings["SMS_ENDPOINT"],
                settings["SMS_ACCESS_KEY"],
                settings["SMS_SECRET"],
                settings["SMS_SIGN_NAME"],
                templates,
                settings["SMS_APP_ID"],
                settings.get("SMS_REGION") or "ap-guangzhou",
            )
    return DevelopmentOutbox(connection)
