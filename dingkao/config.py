"""The configuration of a process: read from the environment variables once, checked at start, never changed.

What differs by province (pass line, seal, dates) is data in tables (`tenants.settings`), never here.
"""

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flask import current_app

ROOT = Path(__file__).resolve().parents[1]
"""The folder of the clone; `dingkao/`, `templates/`, `migrations/` and `deploy/` are in it."""
REQUIRED = (
    "DATABASE_URL", "PLATFORM_DATABASE_URL", "REDIS_URL", "S3_ENDPOINT_URL",
    "S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_BUCKET", "SECRET_KEY", "DATA_KEY",
)  # fmt: skip

_SMS_PROVIDER_VARIABLES = (
    "SMS_ENDPOINT",
    "SMS_ACCESS_KEY",
    "SMS_SECRET",
    "SMS_SIGN_NAME",
    "SMS_TEMPLATE",
)
SMS_PROVIDERS = {
    "outbox": (),
    "aliyun": _SMS_PROVIDER_VARIABLES,
    "tencent": (*_SMS_PROVIDER_VARIABLES, "SMS_APP_ID"),
}
SMS_OPTIONAL = (
    "SMS_NOTICE_TEMPLATE",
    "SMS_LINK_TEMPLATE",
    "SMS_REGION",
)
WECHAT_REQUIRED = ("WECHAT_APP_ID", "WECHAT_SECRET")
WECHAT_OPTIONAL = {
    "WECHAT_TEMPLATE": "",
    "WECHAT_OPEN_URL": "https://open.weixin.qq.com",
    "WECHAT_API_URL": "https://api.weixin.qq.com",
}


MAX_DATA_KEYS = 31
"""The highest number of a data key. The number is the first byte of everything encrypted with that key; no
file of a known type begins with such a low byte, so encrypted and unencrypted files can be distinguished."""


class ConfigError(SystemExit):
    """Raised at start; names every variable that is missing, or one that is malformed."""


@dataclass(frozen=True)
class AppConfig:
    """The configuration of a process.

    URLs of PostgreSQL have SQLAlchemy's form (`postgresql+psycopg://…`). `home` is DINGKAO_HOME. `sms` holds
    the variables of the SMS adapter, `wechat` those of the official account (empty if WeChat is not
    configured). `data_keys`: number → 32-byte key of the vault; the first one encrypts, all decrypt.
    `plain_http`: cookies are also sent without TLS. `trusted_proxies` is the number of proxies whose
    `X-Forwarded-For` is trusted.
    """

    home: Path
    database_url: str
    platform_database_url: str
    redis_url: str
    s3_endpoint_url: str
    s3_access_key: str
    s3_secret_key: str
    s3_bucket: str
    secret_key: str
    data_keys: Mapping[int, bytes]
    public_url: str
    plain_http: bool
    demonstration: bool
    sms: Mapping[str, str]
    wechat: Mapping[str, str] = field(default_factory=dict)
    trusted_proxies: int = 0
    migrator_database_url: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "AppConfig":
        """Returns the configuration from `environment`, by default that of the process. Raises ConfigError,
        which names all variables that are missing, or one that is malformed."""
        variables = os.environ if environment is None else environment
        adapter = variables.get("SMS_ADAPTER", "outbox")
        if adapter not in SMS_PROVIDERS:
            raise ConfigError(f"SMS_ADAPTER must be one of {', '.join(SMS_PROVIDERS)}.")
        _require_variables(
            variables,
            (
                *REQUIRED,
                *SMS_PROVIDERS[adapter],
                *_wechat_names(variables),
            ),
        )
        local_url = f"http://127.0.0.1:{variables.get('PORT', '8000')}"
        return cls(
            home=Path(variables.get("DINGKAO_HOME", "var")).absolute(),
            database_url=variables["DATABASE_URL"],
            platform_database_url=variables["PLATFORM_DATABASE_URL"],
            migrator_database_url=variables.get("MIGRATOR_DATABASE_URL"),
            redis_url=variables["REDIS_URL"],
            s3_endpoint_url=variables["S3_ENDPOINT_URL"],
            s3_access_key=variables["S3_ACCESS_KEY"],
            s3_secret_key=variables["S3_SECRET_KEY"],
            s3_bucket=variables["S3_BUCKET"],
            secret_key=variables["SECRET_KEY"],
            data_keys=_parse_data_keys(variables["DATA_KEY"]),
            public_url=variables.get("PUBLIC_URL", local_url).rstrip("/"),
            plain_http=variables.get("DINGKAO_PLAIN_HTTP") == "1",
            demonstration=variables.get("DINGKAO_DEMONSTRATION") == "1",
            sms=_sms_variables(variables, adapter),
            wechat=_wechat_variables(variables),
            trusted_proxies=_parse_proxy_count(variables.get("TRUSTED_PROXIES", "0")),
        )

    @classmethod
    def current(cls) -> "AppConfig":
        """Returns the configuration of the current application. Raises RuntimeError outside an application
        context."""
        settings: AppConfig = current_app.extensions["settings"]
        return settings


def _require_variables(variables: Mapping[str, str], names: tuple[str, ...]) -> None:
    """Raises ConfigError, naming all that are missing, if one of the variables `names` is missing or
    empty."""
    missing = [name for name in names if not variables.get(name)]
    if missing:
        raise ConfigError(
            f"Missing settings: {', '.join(missing)}. `make run` writes them to $DINGKAO_HOME/environment; "
            "elsewhere set them in the environment of the process."
        )


def _parse_proxy_count(text: str) -> int:
    """Returns the number of trusted proxies. Raises ConfigError."""
    if not (text.isascii() and text.isdigit()):
        raise ConfigError("TRUSTED_PROXIES must be the number of proxies before this process: 0, 1 …")
    return int(text)


def _sms_variables(variables: Mapping[str, str], adapter: str) -> dict[str, str]:
    """Returns the variables of the SMS adapter `adapter`, name → value; optional ones that are not set are
    ""."""
    required = {name: variables[name] for name in SMS_PROVIDERS[adapter]}
    optional = {name: variables.get(name, "") for name in SMS_OPTIONAL}
    return {"SMS_ADAPTER": adapter} | required | optional


def _wechat_names(variables: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the names of the variables that WeChat requires: all of them if any of them is set, else
    none."""
    return WECHAT_REQUIRED if any(variables.get(name) for name in WECHAT_REQUIRED) else ()


def _wechat_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables of WeChat, name → value, with defaults for the optional ones; {} if WeChat is not
    configured."""
    names = _wechat_names(variables)
    if not names:
        return {}
    required = {name: variables[name] for name in names}
    return required | {name: variables.get(name) or default for name, default in WECHAT_OPTIONAL.items()}


def _parse_data_keys(text: str) -> dict[int, bytes]:
    """Returns number → key of DATA_KEY, in the form «2:…,1:…»; a key without a number has the number 1.
    Raises ConfigError."""
    parts = text.split(",")
    keys = dict(map(_parse_data_key, parts))
    are_valid = all(1 <= number <= MAX_DATA_KEYS and len(key) == 32 for number, key in keys.items())
    if not are_valid or len(keys) != len(parts):
        raise ConfigError(
            "DATA_KEY must be 32 bytes in base64, or several such keys with their numbers (1 to 31): 2:…,1:…"
        )
    return keys


def _parse_data_key(text: str) -> tuple[int, bytes]:
    """Returns number and key of one part, «2:…». Returns (0, b""), which the caller refuses, if it can't be
    read."""
    number, _, key = text.strip().rpartition(":")
    try:
        return int(number or "1"), base64.b64decode(key, validate=True)
    except ValueError:
        return 0, b""
