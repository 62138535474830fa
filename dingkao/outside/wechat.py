"""The official account (微信公众号): who someone is by web authorisation, and template messages.

After Tencent's «微信公众号(服务号)开发文档»: «网页授权» (authorize with scope snsapi_base, then sns/oauth2/access_token), «获取 Access token»
(cgi-bin/token) and «发送模板消息» (cgi-bin/message/template/send), https://developers.weixin.qq.com/doc/service/. Errors come as errcode in an
answer of status 200.
"""

import hashlib
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx
import redis
import structlog

from dingkao.errors import Invalid, Unavailable
from dingkao.settings import Settings
from dingkao.tenants.keys import cache_key

PATIENCE_SECONDS = 5
EARLIER_SECONDS = 300
TOKEN_OVER = (40001, 40014, 42001)
DOWN = "微信暂时连接不上,请稍后再试,或用证件号码和密码登录。"
AGAIN = "微信授权已失效,请重新从登录页点“微信登录”。"
log = structlog.get_logger()


class NotDelivered(Unavailable):
    """WeChat answers, and doesn't take this message: the person doesn't follow the account, or has shut its messages off. Another may go."""

    def __init__(self, code: int) -> None:
        super().__init__(DOWN)
        self.code = code


class WeChat(Protocol):
    """What knows people by their WeChat and can send them a message."""

    def authorize_url(self, back: str, state: str) -> str:
        """Where a browser inside WeChat is sent, to come `back` with a code and `state`."""

    def openid(self, code: str) -> str:
        """Who came back with `code`. Raises Invalid for a code that is none or has been used, Unavailable."""

    def send(self, openid: str, parameters: Mapping[str, str], address: str) -> None:
        """A template message that leads to `address`. Raises NotDelivered, Unavailable."""


@dataclass(frozen=True)
class OfficialAccount:
    """The official account over HTTP. Its access token is shared by all processes through the cache of the province."""

    app_id: str
    secret: str = field(repr=False)
    template: str
    open_url: str
    api_url: str
    connection: redis.Redis

    def authorize_url(self, back: str, state: str) -> str:
        """The page of WeChat's that asks nothing (snsapi_base): parameters in the order its document gives, which it insists on."""
        query = {"appid": self.app_id, "redirect_uri": back, "response_type": "code", "scope": "snsapi_base", "state": state}
        return f"{self.open_url}/connect/oauth2/authorize?{urllib.parse.urlencode(query)}#wechat_redirect"

    def openid(self, code: str) -> str:
        """The openid, by the code. WeChat names client and secret in its own way, and errors too."""
        from authlib.integrations.requests_client import (  # where nobody comes by WeChat nobody waits for it to load
            OAuth2Session,
            OAuthError,
        )
        from requests import RequestException

        client = OAuth2Session(self.app_id, self.secret, token_endpoint_auth_method="wechat")  # noqa: S106 - the method's name
        client.register_client_auth_method(("wechat", _named_its_way))
        client.register_compliance_hook("access_token_response", _no_error)
        try:
            token = client.fetch_token(
                f"{self.api_url}/sns/oauth2/access_token", method="GET", grant_type="authorization_code", code=code, timeout=PATIENCE_SECONDS,
            )  # fmt: skip
        except (RequestException, OAuthError, ValueError) as fault:
            log.warning("wechat.down", kind=type(fault).__name__)
            raise Unavailable(DOWN) from fault
        if not token.get("openid"):
            raise Unavailable(DOWN)
        return str(token["openid"])

    def send(self, openid: str, parameters: Mapping[str, str], address: str) -> None:
        """Send; a token that is over though it was kept as good is fetched anew, once."""
        if not self.template:
            raise NotDelivered(40037)
        content = {
            "touser": openid, "template_id": self.template, "url": address, "data": {name: {"value": value} for name, value in parameters.items()},
        }  # fmt: skip
        for again in (False, True):
            told = self._ask("POST", "/cgi-bin/message/template/send", {"access_token": self._token(fresh=again)}, content)
            code = int(told.get("errcode", -1))
            if code == 0:
                return
            if code not in TOKEN_OVER:
                break
        if code in (-1, *TOKEN_OVER):
            raise Unavailable(DOWN)
        log.warning("wechat.not_delivered", code=code)
        raise NotDelivered(code)

    def _token(self, *, fresh: bool) -> str:
        key = cache_key("wechat-token", hashlib.sha256(self.app_id.encode()).hexdigest()[:16])
        kept = None if fresh else self.connection.get(key)
        if kept:
            return kept.decode() if isinstance(kept, bytes) else str(kept)
        told = self._ask("GET", "/cgi-bin/token", {"grant_type": "client_credential", "appid": self.app_id, "secret": self.secret})
        if not told.get("access_token"):
            log.warning("wechat.no_token", code=told.get("errcode"))
            raise Unavailable(DOWN)
        self.connection.set(key, told["access_token"], ex=max(int(told.get("expires_in", 7200)) - EARLIER_SECONDS, 60))
        return str(told["access_token"])

    def _ask(self, method: str, path: str, query: Mapping[str, str], content: Any = None) -> dict[str, Any]:
        try:
            told = httpx.request(method, f"{self.api_url}{path}", params=dict(query), json=content, timeout=PATIENCE_SECONDS).json()
        except (httpx.HTTPError, ValueError) as fault:
            log.warning("wechat.down", kind=type(fault).__name__)
            raise Unavailable(DOWN) from fault
        return told if isinstance(told, dict) else {}


def _named_its_way(client: Any, _method: str, uri: str, headers: Any, body: Any) -> tuple[str, Any, Any]:
    return f"{uri}&{urllib.parse.urlencode({'appid': client.client_id, 'secret': client.client_secret})}", headers, body


def _no_error(answer: Any) -> Any:
    told = answer.json()
    if isinstance(told, dict) and told.get("errcode"):
        log.warning("wechat.refused", code=told["errcode"])
        if told["errcode"] in (40029, 40163, 41008, 42003):  # no code, one that has been used, one that is over
            raise Invalid(AGAIN)
        raise Unavailable(DOWN)
    return answer


def from_settings(settings: Settings, connection: redis.Redis) -> WeChat | None:
    """The official account that the settings name; None where there is none."""
    told = settings.wechat
    if not told:
        return None
    return OfficialAccount(
        told["WECHAT_APP_ID"], told["WECHAT_SECRET"], told["WECHAT_TEMPLATE"], told["WECHAT_OPEN_URL"].rstrip("/"), told["WECHAT_API_URL"].rstrip("/"), connection
    )
