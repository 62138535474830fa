"""The official account (微信公众号): identifying a person by web authorisation, and sending template
messages.

After Tencent's «微信公众号(服务号)开发文档»: «网页授权» (authorize with scope snsapi_base, then
sns/oauth2/access_token), «获取 Access token» (cgi-bin/token) and «发送模板消息»
(cgi-bin/message/template/send), https://developers.weixin.qq.com/doc/service/. Errors are reported as errcode
in an answer with status 200.
"""

import hashlib
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

import httpx2
import redis
import structlog

from dingkao.config import AppConfig
from dingkao.errors import InvalidInput, Unavailable
from dingkao.tenants.keys import cache_key

TIMEOUT_SECONDS = 5
TOKEN_REFRESH_MARGIN_SECONDS = 300
TOKEN_EXPIRED_CODES = (40001, 40014, 42001)
UNAVAILABLE_MESSAGE = "微信暂时连接不上，请稍后再试，或用证件号码和密码登录。"
AUTHORIZATION_EXPIRED_MESSAGE = "微信授权已失效，请重新从登录页点“微信登录”。"
log = structlog.get_logger()


class DeliveryFailed(Unavailable):
    """WeChat responds, but rejects this message: the person doesn't follow the account or has disabled its
    messages. Other messages may be accepted."""

    def __init__(self, code: int) -> None:
        super().__init__(UNAVAILABLE_MESSAGE)
        self.code = code


class WeChat(Protocol):
    """An adapter that identifies people by WeChat and sends them messages."""

    def authorize_url(self, back: str, state: str) -> str:
        """Returns the address to which a browser inside WeChat is sent; it returns to `back` with a code and
        `state`."""

    def openid(self, code: str) -> str:
        """Returns the openid of the person who came back with `code`. Raises InvalidInput for an invalid or
        used code, Unavailable."""

    def send(self, openid: str, parameters: Mapping[str, str], address: str) -> None:
        """Send a template message with a link to `address`. Raises DeliveryFailed, Unavailable,
        redis.RedisError."""


@dataclass(frozen=True)
class OfficialAccount:
    """The official account over HTTP. The processes of a province share its access token through the
    province's cache. Another province with the same account fetches its own, with which WeChat may end this
    one; `send` then fetches anew."""

    app_id: str
    secret: str = field(repr=False)
    template: str
    open_url: str
    api_url: str
    connection: redis.Redis

    def authorize_url(self, back: str, state: str) -> str:
        """Returns the address of WeChat's page that asks the user nothing (snsapi_base). WeChat requires the
        parameters in this order."""
        query = {
            "appid": self.app_id,
            "redirect_uri": back,
            "response_type": "code",
            "scope": "snsapi_base",
            "state": state,
        }
        return f"{self.open_url}/connect/oauth2/authorize?{urllib.parse.urlencode(query)}#wechat_redirect"

    def openid(self, code: str) -> str:
        """Returns the openid for the code, which can be used once. WeChat has its own names for client and
        secret, and its own form of errors. Raises InvalidInput for an invalid or used code, Unavailable."""
        # imported here: without sign-in by WeChat no process waits for it
        from authlib.integrations.httpx_client import (
            OAuth2Client,
            OAuthError,
        )

        client = OAuth2Client(
            self.app_id,
            self.secret,
            token_endpoint_auth_method="wechat",  # noqa: S106 - the method's name
        )
        client.register_client_auth_method(("wechat", _wechat_client_auth))
        client.register_compliance_hook("access_token_response", _check_error)
        try:
            token = client.fetch_token(
                f"{self.api_url}/sns/oauth2/access_token",
                method="GET",
                grant_type="authorization_code",
                code=code,
                timeout=TIMEOUT_SECONDS,
            )
        except (httpx2.HTTPError, OAuthError, ValueError) as fault:
            log.warning("wechat.down", kind=type(fault).__name__)
            raise Unavailable(UNAVAILABLE_MESSAGE) from fault
        if not token.get("openid"):
            raise Unavailable(UNAVAILABLE_MESSAGE)
        return str(token["openid"])

    def send(self, openid: str, parameters: Mapping[str, str], address: str) -> None:
        """Send a template message with a link to `address`; `parameters` fill the template. If the cached
        access token is rejected as expired, a new one is fetched once. Raises DeliveryFailed, also without a
        template; Unavailable, redis.RedisError."""
        if not self.template:
            raise DeliveryFailed(40037)
        content = {
            "touser": openid,
            "template_id": self.template,
            "url": address,
            "data": {name: {"value": value} for name, value in parameters.items()},
        }
        code = self._post_message(content, fresh=False)
        if code in TOKEN_EXPIRED_CODES:
            code = self._post_message(content, fresh=True)
        if code:
            self._raise_failure(code)

    def _post_message(self, content: Mapping[str, Any], *, fresh: bool) -> int:
        """Post a template message, with the cached token or a `fresh` one. Returns the answer's errcode (0:
        sent), -1 if it has none. Raises Unavailable, redis.RedisError."""
        answer = self._call(
            "POST",
            "/cgi-bin/message/template/send",
            {"access_token": self._token(fresh=fresh)},
            content,
        )
        return int(answer.get("errcode", -1))

    @staticmethod
    def _raise_failure(code: int) -> NoReturn:
        """Raises Unavailable for a code about WeChat or the token, else logs it and raises DeliveryFailed."""
        if code in (-1, *TOKEN_EXPIRED_CODES):
            raise Unavailable(UNAVAILABLE_MESSAGE)
        log.warning("wechat.not_delivered", code=code)
        raise DeliveryFailed(code)

    def _token(self, *, fresh: bool) -> str:
        """Returns the access token, from the province's cache unless `fresh`; a new one is cached until
        shortly before it ends. Raises Unavailable, redis.RedisError."""
        key = cache_key(
            "wechat-token",
            hashlib.sha256(self.app_id.encode()).hexdigest()[:16],
        )
        cached_token = None if fresh else self.connection.get(key)
        if cached_token:
            return cached_token.decode() if isinstance(cached_token, bytes) else str(cached_token)
        answer = self._fetch_token()
        self.connection.set(
            key,
            answer["access_token"],
            ex=max(
                int(answer.get("expires_in", 7200)) - TOKEN_REFRESH_MARGIN_SECONDS,
                60,
            ),
        )
        return str(answer["access_token"])

    def _fetch_token(self) -> dict[str, Any]:
        """Returns WeChat's answer with a new access token. Raises Unavailable."""
        answer = self._call(
            "GET",
            "/cgi-bin/token",
            {
                "grant_type": "client_credential",
                "appid": self.app_id,
                "secret": self.secret,
            },
        )
        if not answer.get("access_token"):
            log.warning("wechat.no_token", code=answer.get("errcode"))
            raise Unavailable(UNAVAILABLE_MESSAGE)
        return answer

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        content: Any = None,
    ) -> dict[str, Any]:
        """Returns the JSON of WeChat's answer; {} if it is no object. Raises Unavailable."""
        try:
            answer = httpx2.request(
                method,
                f"{self.api_url}{path}",
                params=dict(query),
                json=content,
                timeout=TIMEOUT_SECONDS,
            ).json()
        except (httpx2.HTTPError, ValueError) as fault:
            log.warning("wechat.down", kind=type(fault).__name__)
            raise Unavailable(UNAVAILABLE_MESSAGE) from fault
        return answer if isinstance(answer, dict) else {}


def _wechat_client_auth(client: Any, _method: str, uri: str, headers: Any, body: Any) -> tuple[str, Any, Any]:
    """Returns address, headers and body of the request with client id and secret in its query, as WeChat
    wants it. `uri` has a query already."""
    return (
        f"{uri}&{urllib.parse.urlencode({'appid': client.client_id, 'secret': client.client_secret})}",
        headers,
        body,
    )


def _check_error(answer: Any) -> Any:
    """Returns the answer of the token's address. Raises InvalidInput for an invalid or used code, Unavailable
    for any other error, ValueError if it is no JSON."""
    content = answer.json()
    if isinstance(content, dict) and content.get("errcode"):
        log.warning("wechat.refused", code=content["errcode"])
        if content["errcode"] in (
            40029,
            40163,
            41008,
            42003,
        ):  # no code, one that has been used, one that is over
            raise InvalidInput(AUTHORIZATION_EXPIRED_MESSAGE)
        raise Unavailable(UNAVAILABLE_MESSAGE)
    return answer


def from_settings(config: AppConfig, connection: redis.Redis) -> WeChat | None:
    """Returns the official account that the configuration names, or None."""
    settings = config.wechat
    if not settings:
        return None
    return OfficialAccount(
        settings["WECHAT_APP_ID"],
        settings["WECHAT_SECRET"],
        settings["WECHAT_TEMPLATE"],
        settings["WECHAT_OPEN_URL"].rstrip("/"),
        settings["WECHAT_API_URL"].rstrip("/"),
        connection,
    )
