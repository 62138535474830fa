"""Short messages (短信): one interface; an outbox for development and a carrier's HTTP interface for use."""

import base64
import hmac
import json
import urllib.parse
import urllib.request
import uuid
from dataclasses import dataclass
from typing import Protocol

import redis

from dingkao import clock
from dingkao.errors import Unavailable
from dingkao.settings import Settings
from dingkao.tenants.keys import cache_key

KEPT = 200
KEPT_SECONDS = 24 * 3600


class Sms(Protocol):
    """What sends a short message."""

    def send(self, mobile: str, parameters: dict[str, str], text: str) -> None:
        """Send; `text` is the whole message as people read it. Raises Unavailable when it could not be handed over."""


@dataclass
class Outbox:
    """Messages kept in the cache of the province for a day and shown on a page of their own; for development and demonstrations."""

    connection: redis.Redis

    def send(self, mobile: str, parameters: dict[str, str], text: str) -> None:
        """Keep the message."""
        key = cache_key("outbox")
        message = json.dumps({"mobile": mobile, "text": text, "at": clock.now().isoformat()}, ensure_ascii=False)
        with self.connection.pipeline() as pipeline:
            pipeline.lpush(key, message)
            pipeline.ltrim(key, 0, KEPT - 1)
            pipeline.expire(key, KEPT_SECONDS)
            pipeline.execute()

    def messages(self) -> list[dict[str, str]]:
        """The messages of this province, the newest first."""
        kept = self.connection.lrange(cache_key("outbox"), 0, -1)
        return [json.loads(message) for message in kept]  # type: ignore[union-attr]


@dataclass(frozen=True)
class AliyunSms:
    """The carrier's RPC interface (SendSms of 阿里云短信服务), signed with HMAC-SHA1 as it asks."""

    endpoint: str
    access_key: str
    secret: str
    sign_name: str
    template: str

    def send(self, mobile: str, parameters: dict[str, str], text: str) -> None:
        """Hand the message over; the carrier fills its template with `parameters`."""
        query = {
            "Action": "SendSms", "Version": "2017-05-25", "Format": "JSON", "RegionId": "cn-hangzhou", "AccessKeyId": self.access_key,
            "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0", "SignatureNonce": uuid.uuid4().hex,
            "Timestamp": clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"), "PhoneNumbers": mobile, "SignName": self.sign_name,
            "TemplateCode": self.template, "TemplateParam": json.dumps(parameters, ensure_ascii=False),
        }  # fmt: skip
        query["Signature"] = self.signature(query)
        request = urllib.request.Request(self.endpoint, urllib.parse.urlencode(query).encode(), method="POST")  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
                told = json.load(answer)
        except (OSError, ValueError) as fault:
            raise Unavailable("短信暂时发不出去,请稍后再试;也可以请本机构发放一次性代码。") from fault
        if told.get("Code") != "OK":
            raise Unavailable("短信暂时发不出去,请稍后再试;也可以请本机构发放一次性代码。")

    def signature(self, query: dict[str, str]) -> str:
        """The signature over the sorted query, as the interface defines it."""
        quote = urllib.parse.quote
        canonical = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(query.items()))
        text = f"POST&{quote('/', safe='')}&{quote(canonical, safe='~')}"
        return base64.b64encode(hmac.digest(f"{self.secret}&".encode(), text.encode(), "sha1")).decode()


def from_settings(settings: Settings, connection: redis.Redis) -> Sms:
    """The sender that the settings name."""
    told = settings.sms
    if told["SMS_ADAPTER"] == "aliyun":
        return AliyunSms(told["SMS_ENDPOINT"], told["SMS_ACCESS_KEY"], told["SMS_SECRET"], told["SMS_SIGN_NAME"], told["SMS_TEMPLATE"])
    return Outbox(connection)
