"""Codes by short message (验证码): six digits, five minutes, once; bound to what they are for, to the account and to the number (security.md 3).

Whoever asks is counted and answered the same, whether the number is the account's or not: where it isn't, a code that nobody is told is
kept all the same, so that neither the answers nor the time they take tell who exists (security.md 4).
"""

import secrets
from dataclasses import dataclass

import redis
import structlog

from dingkao import clock
from dingkao.errors import Invalid, TooMany
from dingkao.outside.sms import Later, Message
from dingkao.people.guarding import place_of
from dingkao.tenants import settings
from dingkao.tenants.keys import cache_key
from dingkao.tenants.secrets import vault

SECONDS, TRIES, KEPT_SECONDS = 300, 5, 1800
APART_SECONDS, A_DAY = 60, 5
OF_A_PLACE_AN_HOUR = 1000
DAY, HOUR = 24 * 3600, 3600
log = structlog.get_logger()

# Take a code if it is right and can still be taken: «right», «none», «late», «over», or how many wrong ones there have been.
_SPEND = """
local kept = redis.call('HMGET', KEYS[1], 'hash', 'until', 'tries')
if not kept[1] then return 'none' end
if tonumber(ARGV[2]) > tonumber(kept[2]) then return 'late' end
if tonumber(kept[3]) >= tonumber(ARGV[3]) then return 'over' end
if kept[1] == ARGV[1] then redis.call('DEL', KEYS[1]) return 'right' end
return tostring(redis.call('HINCRBY', KEYS[1], 'tries', 1))
"""


@dataclass(frozen=True)
class SmsCodes:
    """Sends and checks codes; they live in the cache alone, as keyed hashes. What a code is for: a `purpose`, the `subject` who may use it
    (an account's id, or the keyed hash of what was typed for one, and the ticket where there is one) and the mobile number."""

    connection: redis.Redis
    later: Later

    def send(self, purpose: str, subject: str, mobile: str, *, address: str | None, due: bool, ticket: str = "") -> None:
        """Keep a new code, so that the one before it loses its force, and send it after the request if it is `due`: if the number is the
        subject's. Raises TooMany, due or not: one a minute and five a day to one number for one subject, a thousand an hour from one
        place (a hospital's doctors share one address), and what the province allows a day."""
        who = vault().blind_index("sms-limit", f"{subject}|{mobile}").hex()
        place = vault().blind_index("sms-place", place_of(address)).hex()[:16]
        budget = int(settings.value("sms_codes_a_day"))
        if self._count("sms-place", HOUR, place) > OF_A_PLACE_AN_HOUR:
            raise TooMany("本网络获取验证码过于频繁,请一小时后再试,或向本机构领取一次性代码。", HOUR)
        if int(self.connection.get(cache_key("sms-budget")) or 0) >= budget:  # type: ignore[arg-type]
            raise TooMany("今天发出的验证码已达上限,请明天再试,或向本机构领取一次性代码。", HOUR)
        if not self.connection.set(cache_key("sms-apart", who), 1, nx=True, ex=APART_SECONDS):
            raise TooMany("验证码已发送,请在60秒后再获取。", APART_SECONDS)
        if self._count("sms-day", DAY, who) > A_DAY:
            raise TooMany("该手机号今天获取验证码的次数已用完,请明天再试,或请本机构发放一次性代码。", HOUR)
        code = f"{secrets.randbelow(1_000_000):06d}"
        sent = self._may_go(mobile, due=due)
        bound = f"{subject}|{ticket}"
        key = self._key(purpose, bound, mobile)
        with self.connection.pipeline() as pipeline:
            pipeline.delete(key)
            kept = self._hash(purpose, bound, mobile, code if sent else secrets.token_hex(8))
            pipeline.hset(key, mapping={"hash": kept, "tries": 0, "until": clock.now().timestamp() + SECONDS})
            pipeline.expire(key, KEPT_SECONDS)
            pipeline.incrby(cache_key("sms-budget"), int(sent))
            pipeline.expire(cache_key("sms-budget"), DAY, nx=True)
            pipeline.execute()
        text = f"【定考】验证码{code},5分钟内有效。请勿告诉他人。"
        self.later.hand_over(Message("code", mobile, {"code": code}, text) if sent else None)

    def spend(self, purpose: str, subject: str, mobile: str, code: str, *, ticket: str = "") -> None:
        """Take the code if it is right; it is gone then, and after five wrong ones. Raises Invalid on the field sms_code."""
        bound = f"{subject}|{ticket}"
        typed = self._hash(purpose, bound, mobile, code)
        told = self.connection.eval(_SPEND, 1, self._key(purpose, bound, mobile), typed, clock.now().timestamp(), TRIES)
        match told.decode() if isinstance(told, bytes) else str(told):
            case "right":
                return
            case "none":
                raise Invalid("验证码不正确或已使用。请核对手机号,点“发送验证码”重新获取。", "sms_code")
            case "late":
                raise Invalid("验证码已超过5分钟,请点“发送验证码”重新获取。", "sms_code")
            case "over" | "5":
                raise Invalid("验证码已输错5次,不能再用,请点“发送验证码”重新获取。", "sms_code")
            case wrong:
                raise Invalid(f"验证码不正确,请按短信重新输入,还可以再试{TRIES - int(wrong)}次。", "sms_code")

    def _may_go(self, mobile: str, *, due: bool) -> bool:
        """Whether a message goes out: one number is sent one a minute and five a day, whoever asks. The same is asked of the cache where
        nothing would go."""
        index = vault().blind_index("mobile", mobile).hex() if due else secrets.token_hex(32)
        apart = self.connection.set(cache_key("sms-number-apart", index), 1, nx=True, ex=APART_SECONDS)
        enough = self._count("sms-number-day", DAY if due else 1, index) > A_DAY
        if due and (enough or not apart):
            log.warning("sms.number_has_enough")
        return due and bool(apart) and not enough

    def _count(self, kind: str, seconds: int, *parts: str) -> int:
        key = cache_key(kind, *parts)
        with self.connection.pipeline() as pipeline:
            pipeline.incr(key)
            pipeline.expire(key, seconds, nx=True)
            return int(pipeline.execute()[0])

    @staticmethod
    def _key(purpose: str, bound: str, mobile: str) -> str:
        return cache_key("sms-code", purpose, vault().blind_index("sms-code-of", f"{bound}|{mobile}").hex())

    @staticmethod
    def _hash(purpose: str, bound: str, mobile: str, code: str) -> str:
        return vault().blind_index(f"sms-code|{purpose}|{bound}|{mobile}", code).hex()
