"""Codes by short message (验证码): six digits, five minutes, once; bound to what they are for, to the account and to the number (security.md 3)."""

import hmac
import secrets
from dataclasses import dataclass
from uuid import UUID

import redis

from dingkao.errors import Invalid, TooMany
from dingkao.outside.sms import Sms
from dingkao.tenants.keys import cache_key
from dingkao.tenants.secrets import vault

SECONDS, TRIES = 300, 5
APART_SECONDS, A_DAY = 60, 5
WRONG = "验证码不正确或已过期,请重新获取。"


@dataclass(frozen=True)
class SmsCodes:
    """Sends and checks codes; they live in the cache alone, as keyed hashes."""

    connection: redis.Redis
    sms: Sms

    def send(self, purpose: str, account_id: UUID, mobile: str) -> None:
        """Send a new code; the one before it loses its force. Raises TooMany: one a minute, five a day to one number."""
        index = vault().blind_index("mobile", mobile).hex()
        if not self.connection.set(cache_key("sms-apart", index), 1, nx=True, ex=APART_SECONDS):
            raise TooMany("验证码已发送,请在60秒后再获取。", APART_SECONDS)
        day = cache_key("sms-day", index)
        sent = int(self.connection.incr(day))  # type: ignore[arg-type]
        if sent == 1:
            self.connection.expire(day, 24 * 3600)
        if sent > A_DAY:
            raise TooMany("该手机号今天获取验证码的次数已用完,请明天再试,或请本机构发放一次性代码。", 3600)
        code = f"{secrets.randbelow(1_000_000):06d}"
        key = self._key(purpose, account_id)
        with self.connection.pipeline() as pipeline:
            pipeline.delete(key)
            pipeline.hset(key, mapping={"hash": self._hash(purpose, account_id, mobile, code), "tries": 0})
            pipeline.expire(key, SECONDS)
            pipeline.execute()
        self.sms.send(mobile, {"code": code}, f"【定考】验证码{code},5分钟内有效。请勿告诉他人。")

    def spend(self, purpose: str, account_id: UUID, mobile: str, code: str) -> None:
        """Take the code if it is right; it is gone then, and after five wrong ones. Raises Invalid on the field sms_code."""
        key = self._key(purpose, account_id)
        tries = int(self.connection.hincrby(key, "tries", 1))  # type: ignore[arg-type]
        kept = self.connection.hget(key, "hash")
        right = kept is not None and tries <= TRIES and hmac.compare_digest(
            kept if isinstance(kept, bytes) else str(kept).encode(), self._hash(purpose, account_id, mobile, code).encode()
        )
        if kept is None:
            self.connection.delete(key)
        if not right:
            raise Invalid(WRONG, "sms_code")
        if not self.connection.delete(key):
            raise Invalid(WRONG, "sms_code")

    @staticmethod
    def _key(purpose: str, account_id: UUID) -> str:
        return cache_key("sms-code", purpose, account_id)

    @staticmethod
    def _hash(purpose: str, account_id: UUID, mobile: str, code: str) -> str:
        return vault().blind_index(f"sms-code|{purpose}|{account_id}|{mobile}", code).hex()
