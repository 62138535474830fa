"""Codes sent by text message (验证码): six digits, valid for five minutes, once; bound to the purpose, the
account and the mobile number (security.md 3).

Every request is counted and answered in the same way, whether the number is the account's or not. If it
isn't, a random code that nobody learns is stored, so that neither the responses nor the time they take tell
which accounts exist (security.md 4).
"""

import secrets
from dataclasses import dataclass
from typing import Any

import redis
import structlog

from dingkao import clock
from dingkao.errors import InvalidInput, RateLimited
from dingkao.integrations.sms import BackgroundSender, SmsMessage
from dingkao.people import channel_accounts
from dingkao.people.notice_catalogue import SMS_CODE
from dingkao.people.sign_in_attempts import network_of
from dingkao.tenants import settings
from dingkao.tenants.encryption import current_vault
from dingkao.tenants.keys import cache_key
from dingkao.tenants.settings import Setting

CODE_SECONDS, MAX_TRIES, KEPT_SECONDS = 300, 5, 1800
CODE_MINUTES = CODE_SECONDS // 60
"""How long a code is valid. A carrier's approved template says it in words of its own (deploy/README.md), so
another number asks for another template."""
RESEND_SECONDS, MAX_PER_DAY = 60, 5
MAX_PER_ADDRESS_PER_HOUR = 1000
DAY_SECONDS, HOUR_SECONDS = 24 * 3600, 3600
log = structlog.get_logger()

# Checks a code. KEYS: the stored code. ARGV: hash of the typed code, now, how many wrong ones are allowed, 1
# to delete a right code. Returns «right», «none» (not stored), «late» (expired), «over» (too many wrong
# ones), or the number of wrong ones so far.
_CHECK_SCRIPT = """
local kept = redis.call('HMGET', KEYS[1], 'hash', 'until', 'tries')
if not kept[1] then return 'none' end
if tonumber(ARGV[2]) > tonumber(kept[2]) then return 'late' end
if tonumber(kept[3]) >= tonumber(ARGV[3]) then return 'over' end
if kept[1] == ARGV[1] then
  if ARGV[4] == '1' then redis.call('DEL', KEYS[1]) end
  return 'right'
end
return tostring(redis.call('HINCRBY', KEYS[1], 'tries', 1))
"""
_USED_UP_MESSAGE = f"验证码已输错{MAX_TRIES}次，不能再用，请点“发送验证码”重新获取。"
_REJECTION_MESSAGES = {
    "none": "验证码不正确或已使用。请核对手机号，点“发送验证码”重新获取。",
    "late": f"验证码已超过{CODE_MINUTES}分钟，请点“发送验证码”重新获取。",
    "over": _USED_UP_MESSAGE,
    str(MAX_TRIES): _USED_UP_MESSAGE,
}
settings.register(
    "sms_codes_a_day",
    Setting(
        "每天最多发送验证码（条）",
        200000,
        kind="whole",
        group="账户",
        order=40,
        min_value=100,
        max_value=1000000,
    ),
)


@dataclass(frozen=True)
class SmsCodes:
    """Sends and checks codes, which are stored only in the cache, as keyed hashes. A code is bound to a
    `purpose`, to the `subject` who may use it (an account's id, or the keyed hash of what was typed for one),
    to the `ticket` if there is one, and to the mobile number, which is in its normal form. If the cache
    doesn't respond, redis.RedisError comes out."""

    connection: redis.Redis
    background_sender: BackgroundSender

    def send(
        self,
        purpose: str,
        subject: str,
        mobile: str,
        *,
        address: str | None,
        may_receive: bool,
        ticket: str = "",
    ) -> None:
        """Store a new code, which makes the one before it invalid, and send it after the request.

        `may_receive`: whether the subject may be sent a code at this number at all. If not, everything is
        done but the sending, with a code that nobody is told. The message is withheld as silently if the
        number was sent enough, whoever asked (`_may_send`). `ticket`: what else the code is bound to besides
        the subject, such as the browser that asked; `consume` must name the same.

        Raises RateLimited, whether a message would go out or not: beyond one a minute and five a day for one
        subject and number, beyond a thousand an hour from one network (a hospital's doctors share one
        address), and beyond what the province allows a day.
        """
        self._require_within_limits(subject, mobile, address)
        code = f"{secrets.randbelow(1_000_000):06d}"
        may_send = self._may_send(mobile, may_receive=may_receive)
        stored_code = code if may_send else secrets.token_hex(8)
        self._store_code(
            purpose,
            f"{subject}|{ticket}",
            mobile,
            stored_code,
            is_sent=may_send,
        )
        text = SMS_CODE.format(code=code, minutes=CODE_MINUTES)
        self.background_sender.send_later(
            SmsMessage("code", mobile, {"code": code}, text) if may_send else None,
            channel_accounts.sms_sender(self.background_sender.sms),
        )

    def _require_within_limits(self, subject: str, mobile: str, address: str | None) -> None:
        """Count the request; raise RateLimited if the origin, the province, or the number with this subject
        has reached its limit."""
        recipient_hash = current_vault().blind_index("sms-limit", f"{subject}|{mobile}").hex()
        origin_hash = current_vault().blind_index("sms-place", network_of(address)).hex()[:16]
        if self._count("sms-place", HOUR_SECONDS, origin_hash) > MAX_PER_ADDRESS_PER_HOUR:
            raise RateLimited(
                "本网络获取验证码过于频繁，请一小时后再试，或向本机构领取一次性代码。",
                HOUR_SECONDS,
            )
        if self._is_budget_spent():
            raise RateLimited(
                "今天发出的验证码已达上限，请明天再试，或向本机构领取一次性代码。",
                HOUR_SECONDS,
            )
        if not self.connection.set(cache_key("sms-apart", recipient_hash), 1, nx=True, ex=RESEND_SECONDS):
            raise RateLimited(
                f"验证码已发送，请在{RESEND_SECONDS}秒后再获取。",
                RESEND_SECONDS,
            )
        if self._count("sms-day", DAY_SECONDS, recipient_hash) > MAX_PER_DAY:
            raise RateLimited(
                "该手机号今天获取验证码的次数已用完，请明天再试，或请本机构发放一次性代码。",
                HOUR_SECONDS,
            )

    def _is_budget_spent(self) -> bool:
        """Whether the province has sent as many codes today as its setting allows."""
        sent_today = int(self.connection.get(cache_key("sms-budget")) or 0)  # type: ignore[arg-type]
        return sent_today >= int(settings.value("sms_codes_a_day"))

    def _store_code(
        self,
        purpose: str,
        binding: str,
        mobile: str,
        code: str,
        *,
        is_sent: bool,
    ) -> None:
        """Store the hash of a code, replacing an earlier one, and count it for the province's day if it is
        sent."""
        key = self._key(purpose, binding, mobile)
        code_values = {
            "hash": self._hash(purpose, binding, mobile, code),
            "tries": 0,
            "until": clock.now().timestamp() + CODE_SECONDS,
        }
        with self.connection.pipeline() as pipeline:
            pipeline.delete(key)
            pipeline.hset(key, mapping=code_values)
            pipeline.expire(key, KEPT_SECONDS)
            pipeline.incrby(cache_key("sms-budget"), int(is_sent))
            pipeline.expire(cache_key("sms-budget"), DAY_SECONDS, nx=True)
            pipeline.execute()

    def consume(
        self,
        purpose: str,
        subject: str,
        mobile: str,
        code: str,
        *,
        ticket: str = "",
    ) -> None:
        """Check the typed code and delete it at once, even if the transaction is rolled back, so that it
        works once; after five wrong ones it is refused. `purpose`, `subject`, `mobile` and `ticket` as given
        to `send`. Raises InvalidInput for the field `sms_code`."""
        self._check(purpose, f"{subject}|{ticket}", mobile, code, takes=True)

    def require_right(self, purpose: str, subject: str, mobile: str, code: str) -> None:
        """Raise InvalidInput for the field `sms_code` unless the code is right; it isn't used up, but a wrong
        one counts. Only for codes without `ticket`. For checks that could still refuse the form before
        `consume`."""
        self._check(purpose, f"{subject}|", mobile, code, takes=False)

    def _check(self, purpose: str, binding: str, mobile: str, code: str, *, takes: bool) -> None:
        """Raise InvalidInput for the field `sms_code` unless the code is right; with `takes` delete a right
        one."""
        reply: Any = self.connection.eval(
            _CHECK_SCRIPT,
            1,
            self._key(purpose, binding, mobile),
            self._hash(purpose, binding, mobile, code),
            clock.now().timestamp(),
            MAX_TRIES,
            int(takes),
        )
        outcome = reply.decode() if isinstance(reply, bytes) else str(reply)
        if outcome != "right":
            raise InvalidInput(_rejection_message(outcome), "sms_code")

    def _may_send(self, mobile: str, *, may_receive: bool) -> bool:
        """Count a message to a number, and return whether it is sent: only if `may_receive`, and to one
        number at most one a minute and five a day, from any subject. A message beyond these is withheld
        silently: the page says the same, only the log shows it. Without `may_receive` the cache is used in
        the same way for a random number, so that the time tells nothing."""
        index = current_vault().blind_index("mobile", mobile).hex() if may_receive else secrets.token_hex(32)
        is_allowed = self._count_for_number(index, DAY_SECONDS if may_receive else 1)
        if may_receive and not is_allowed:
            log.warning("sms.number_has_enough")
        return may_receive and is_allowed

    def _count_for_number(self, index: str, seconds: int) -> bool:
        """Count a message to the number for `seconds`; return whether it may be sent."""
        is_apart = self.connection.set(
            cache_key("sms-number-apart", index),
            1,
            nx=True,
            ex=RESEND_SECONDS,
        )
        count = self._count("sms-number-day", seconds, index)
        return bool(is_apart) and count <= MAX_PER_DAY

    def _count(self, kind: str, seconds: int, *parts: str) -> int:
        """Add one to a counter of the cache, which ends after `seconds`, and return its value."""
        key = cache_key(kind, *parts)
        with self.connection.pipeline() as pipeline:
            pipeline.incr(key)
            pipeline.expire(key, seconds, nx=True)
            return int(pipeline.execute()[0])

    @staticmethod
    def _key(purpose: str, bound: str, mobile: str) -> str:
        """The cache key of the code for this purpose, binding and mobile number."""
        return cache_key(
            "sms-code",
            purpose,
            current_vault().blind_index("sms-code-of", f"{bound}|{mobile}").hex(),
        )

    @staticmethod
    def _hash(purpose: str, bound: str, mobile: str, code: str) -> str:
        """The keyed hash of a code, valid only for this purpose, binding and mobile number."""
        return current_vault().blind_index(f"sms-code|{purpose}|{bound}|{mobile}", code).hex()


def _rejection_message(outcome: str) -> str:
    """The message for a rejected code; `outcome`: what the check's script returned."""
    if outcome in _REJECTION_MESSAGES:
        return _REJECTION_MESSAGES[outcome]
    return f"验证码不正确，请按短信重新输入，还可以再试{MAX_TRIES - int(outcome)}次。"
