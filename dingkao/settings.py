"""What the process is told from outside: read from the environment once, checked at start, passed down and never changed.

What differs by province (pass line, seal, dates) is data in tables, never here.
"""

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flask import current_app

REQUIRED = (
    "DATABASE_URL", "PLATFORM_DATABASE_URL", "REDIS_URL", "S3_ENDPOINT_URL",
    "S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_BUCKET", "SECRET_KEY", "DATA_KEY",
)  # fmt: skip

_CARRIER = ("SMS_ENDPOINT", "SMS_ACCESS_KEY", "SMS_SECRET", "SMS_SIGN_NAME", "SMS_TEMPLATE")
SMS = {"outbox": (), "aliyun": _CARRIER, "tencent": (*_CARRIER, "SMS_APP_ID")}
SMS_BESIDES = ("SMS_NOTICE_TEMPLATE", "SMS_REGION")
WECHAT = ("WECHAT_APP_ID", "WECHAT_SECRET")
WECHAT_BESIDES = {"WECHAT_TEMPLATE": "", "WECHAT_OPEN_URL": "https://open.weixin.qq.com", "WECHAT_API_URL": "https://api.weixin.qq.com"}


class SettingsMissing(SystemExit):
    """Raised at start, naming every setting that is missing or malformed, so that all can be mended at once."""


@dataclass(frozen=True)
class Settings:
    """One process's settings. URLs of PostgreSQL are in SQLAlchemy's form (`postgresql+psycopg://…`); `sms` names the
    adapter of short messages and holds what it asks for; `wechat` is the official account's, empty where there is none; `trusted_proxies`
    counts the proxies whose word on addresses is taken."""

    home: Path
    database_url: str
    platform_database_url: str
    redis_url: str
    s3_endpoint_url: str
    s3_access_key: str
    s3_secret_key: str
    s3_bucket: str
    secret_key: str
    data_key: bytes
    public_url: str
    plain_http: bool
    demonstration: bool
    sms: Mapping[str, str]
    wechat: Mapping[str, str] = field(default_factory=dict)
    trusted_proxies: int = 0
    migrator_database_url: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Read and check all settings; raises SettingsMissing naming all that are absent or malformed."""
        given = os.environ if environment is None else environment
        adapter = given.get("SMS_ADAPTER", "outbox")
        if adapter not in SMS:
            raise SettingsMissing(f"SMS_ADAPTER must be one of {', '.join(SMS)}.")
        wechat = WECHAT if any(given.get(name) for name in WECHAT) else ()
        missing = [name for name in (*REQUIRED, *SMS[adapter], *wechat) if not given.get(name)]
        if missing:
            raise SettingsMissing(
                f"Missing settings: {', '.join(missing)}. `make run` writes them to $DINGKAO_HOME/environment; "
                "elsewhere set them in the environment of the process."
            )
        return cls(
            home=Path(given.get("DINGKAO_HOME", "var")).absolute(),
            database_url=given["DATABASE_URL"],
            platform_database_url=given["PLATFORM_DATABASE_URL"],
            migrator_database_url=given.get("MIGRATOR_DATABASE_URL"),
            redis_url=given["REDIS_URL"],
            s3_endpoint_url=given["S3_ENDPOINT_URL"],
            s3_access_key=given["S3_ACCESS_KEY"],
            s3_secret_key=given["S3_SECRET_KEY"],
            s3_bucket=given["S3_BUCKET"],
            secret_key=given["SECRET_KEY"],
            data_key=_data_key(given["DATA_KEY"]),
            public_url=given.get("PUBLIC_URL", f"http://127.0.0.1:{given.get('PORT', '8000')}").rstrip("/"),
            plain_http=given.get("DINGKAO_PLAIN_HTTP") == "1",
            demonstration=given.get("DINGKAO_DEMONSTRATION") == "1",
            sms={"SMS_ADAPTER": adapter} | {name: given[name] for name in SMS[adapter]} | {name: given.get(name, "") for name in SMS_BESIDES},
            wechat={name: given[name] for name in wechat} | {name: given.get(name) or value for name, value in WECHAT_BESIDES.items() if wechat},
            trusted_proxies=int(given.get("TRUSTED_PROXIES", "0")),
        )

    @classmethod
    def in_force(cls) -> "Settings":
        """Those of the application whose context we are in; raises RuntimeError outside."""
        settings: Settings = current_app.extensions["settings"]
        return settings


def _data_key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != 32:
        raise SettingsMissing("DATA_KEY must be 32 bytes in base64.")
    return key
