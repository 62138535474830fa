"""The rules of `sign_in_throttling`: what is counted for an attempt to sign in or for a code of a second
factor, and when an attempt is rejected. The counters are in the cache."""

from typing import Any, NamedTuple

import redis
import structlog

from dingkao import clock
from dingkao.errors import RateLimited
from dingkao.people.sign_in_attempts import (
    CodeAttempt,
    PasswordAttempt,
)

FREE_TRIES, FREE_TRIES_UNDER_ATTACK = 5, 1
FIRST_WAIT_SECONDS = 30
MAX_WAIT_SECONDS = 900
REMEMBER_SECONDS = 3600
ATTACK_THRESHOLD = 30
MAX_WRONG_PER_ORIGIN, ORIGIN_WINDOW_SECONDS = 100, 600
MAX_SAME_PASSWORD_PER_ORIGIN = 10
MAX_INITIAL_PASSWORD_PER_ORIGIN = 2000
MAX_SAME_PASSWORD = 60
HOUR_SECONDS, DAY_SECONDS = 3600, 86400
MAX_CODES_PER_ACCOUNT = 20
TOO_MANY_TRIES_MESSAGE = "尝试次数过多，请{wait}后再试。忘记密码请点“忘记密码?”，或向本机构领取一次性代码。"
TOO_MANY_OPERATOR_TRIES_MESSAGE = "尝试次数过多，请{wait}后再试。"
TOO_MANY_CODES_MESSAGE = "动态口令输错次数过多，请{wait}后再试。多次不对的，请核对手机时间是否准确。"
CODES_BLOCKED_MESSAGE = (
    "该账号的动态口令今天已多次输错，为防他人试探，新设备暂时不能登录。"
    "请在以前登录过的设备上登录，并尽快修改密码；没有的，请联系管理员更换动态口令。"
)
log = structlog.get_logger()

# Counts one more attempt on an account from an origin. KEYS: the counter of the pair. ARGV: now, free
# attempts, first wait, longest wait, lifetime of the counter (seconds). Returns the seconds to wait; 0: it
# may be made.
_ADMIT_SCRIPT = """
local now, free = tonumber(ARGV[1]), tonumber(ARGV[2])
local tries = tonumber(redis.call('HGET', KEYS[1], 'tries') or '0')
local waits = tonumber(redis.call('HGET', KEYS[1], 'until') or '0') - now
if waits > 0 then return math.ceil(waits) end
tries = tries + 1
redis.call('HSET', KEYS[1], 'tries', tries)
if tries >= free then
  local wait = math.min(tonumber(ARGV[3]) * 2 ^ math.min(tries - free, 10), tonumber(ARGV[4]))
  redis.call('HSET', KEYS[1], 'until', now + wait)
end
redis.call('EXPIRE', KEYS[1], ARGV[5])
return 0
"""

# Takes the attempt counted last back, because it was not made: nobody has to wait for it. KEYS: the pair's
# counter.
_WITHDRAW_SCRIPT = """
local tries = tonumber(redis.call('HGET', KEYS[1], 'tries') or '0')
if tries < 1 then return 0 end
redis.call('HSET', KEYS[1], 'tries', tries - 1)
redis.call('HDEL', KEYS[1], 'until')
return 1
"""

# Counts one more code for an account from unknown devices. KEYS: the account's counter. ARGV: how many are
# allowed, within how many seconds. Returns the seconds to wait; 0: it may be tried.
_ADMIT_CODE_SCRIPT = """
local tries = tonumber(redis.call('GET', KEYS[1]) or '0')
if tries >= tonumber(ARGV[1]) then return math.max(redis.call('TTL', KEYS[1]), 1) end
redis.call('INCR', KEYS[1])
redis.call('EXPIRE', KEYS[1], ARGV[2], 'NX')
return 0
"""

# Takes one code off the account's counter, because it was right or not tried. KEYS: the account's counter.
_FORGIVE_CODE_SCRIPT = (
    "if tonumber(redis.call('GET', KEYS[1]) or '0') > 0 then return redis.call('DECR', KEYS[1]) end"
)


class _WrongTries(NamedTuple):
    """Counts of wrong attempts: on the account, from this origin (and the seconds until that counter ends),
    and the number of accounts on which this password was wrong, from this origin and from all, each within
    its own window."""

    of_account: int
    from_here: int
    seconds_left: int
    same_here: int
    same_anywhere: int


class PasswordRules:
    """The counters of one attempt to sign in. `pair`: of the account from this origin; `account`: from all
    origins; `origin_key`: of all accounts from this origin; `same_here`, `same_anywhere`: accounts on which
    this password was wrong."""

    def __init__(self, connection: redis.Redis, attempt: PasswordAttempt) -> None:
        origin, self.connection, self.attempt = (
            attempt.origin,
            connection,
            attempt,
        )
        self.pair = origin.account_key("guard-pair", attempt.account)
        self.account = origin.cache_key("guard-account", attempt.account)
        self.origin_key = origin.all_tries_key()
        self.same_here = origin.cache_key("guard-same", origin.address_hash, attempt.password)
        self.same_anywhere = origin.cache_key("guard-same", "any", attempt.password)

    def count_or_reject(self) -> RateLimited | None:
        """Count the attempt for the pair of account and origin and return None; or return why it may not be
        made now, and don't count it."""
        wait_seconds = self._count_or_wait()
        if not wait_seconds:
            return None
        message = TOO_MANY_OPERATOR_TRIES_MESSAGE if self.attempt.origin.platform else TOO_MANY_TRIES_MESSAGE
        return RateLimited(
            message.format(wait=_duration_text(wait_seconds)),
            wait_seconds,
        )

    def _count_or_wait(self) -> int:
        """Count the attempt and return 0; or return the seconds to wait, and don't count it."""
        if self.attempt.origin.device:
            return _count_try(self.connection, self.pair, FREE_TRIES)
        wrong_tries = self._wrong_tries()
        if wrong_tries.from_here >= MAX_WRONG_PER_ORIGIN:
            return max(wrong_tries.seconds_left, 1)
        if self._is_tried_widely(wrong_tries):
            return MAX_WAIT_SECONDS
        is_under_attack = wrong_tries.of_account >= ATTACK_THRESHOLD
        free = FREE_TRIES_UNDER_ATTACK if is_under_attack else FREE_TRIES
        return _count_try(self.connection, self.pair, free)

    def _wrong_tries(self) -> _WrongTries:
        """Read the counters of wrong attempts."""
        with self.connection.pipeline(transaction=False) as pipeline:
            pipeline.mget(self.account, self.origin_key)
            pipeline.ttl(self.origin_key)
            pipeline.pfcount(self.same_here)
            pipeline.pfcount(self.same_anywhere)
            (
                (of_account, from_here),
                seconds_left,
                same_here,
                same_anywhere,
            ) = pipeline.execute()
        return _WrongTries(
            _as_count(of_account),
            _as_count(from_here),
            int(seconds_left),
            same_here,
            same_anywhere,
        )

    def _is_tried_widely(self, wrong_tries: _WrongTries) -> bool:
        """Whether this password was wrong on more accounts than people share one by chance; of the initial
        password, which everybody has, only what this origin tried counts."""
        if wrong_tries.same_here >= _max_same_password(self.attempt):
            return True
        return wrong_tries.same_anywhere >= MAX_SAME_PASSWORD and not self.attempt.initial

    def withdraw(self) -> None:
        """Take back the attempt that `count_or_reject` counted, because it was not made; the pair then waits
        for nothing."""
        self.connection.eval(_WITHDRAW_SCRIPT, 1, self.pair)

    def record_failure(self) -> None:
        """Count a wrong password. An attempt on a device known for the account counts only for the pair, in
        `count_or_reject`."""
        attempt = self.attempt
        if attempt.origin.device:
            return
        with self.connection.pipeline(transaction=False) as pipeline:
            for key, seconds in (
                (self.account, HOUR_SECONDS),
                (self.origin_key, ORIGIN_WINDOW_SECONDS),
            ):
                pipeline.incr(key)
                pipeline.expire(key, seconds, nx=True)
            for key in (self.same_here, self.same_anywhere):
                pipeline.pfadd(key, attempt.account)
                pipeline.expire(key, HOUR_SECONDS, nx=True)
                pipeline.pfcount(key)
            results = pipeline.execute()
        # the results of incr(account), pfcount(same_here) and pfcount(same_anywhere)
        self._warn_of_attack(results[0], results[6], results[9])

    def _warn_of_attack(self, of_account: int, same_here: int, same_anywhere: int) -> None:
        """Log that this wrong attempt has just brought a count (as after it) to its limit; nothing below and
        above the limits."""
        reached = {
            "account": of_account == ATTACK_THRESHOLD,
            "place": same_here == _max_same_password(self.attempt),
            "spread": same_anywhere == MAX_SAME_PASSWORD,
        }
        if any(reached.values()):
            log.warning("sign_in.attack", **reached)

    def reset_after_success(self) -> None:
        """Reset the counter of the pair. Signing in with the initial password, which everybody knows, counts
        as one more account on which it was tried, so that nobody can find out number by number who has not
        signed in yet."""
        self.connection.delete(self.pair)
        if self.attempt.initial and not self.attempt.origin.device:
            self.connection.pfadd(self.same_here, self.attempt.account)
            self.connection.expire(self.same_here, HOUR_SECONDS, nx=True)


class CodeRules:
    """The counters of one code of a second factor. `strange`: the device isn't known for the account. The
    account's codes are counted before they are checked, so that many at the same moment can't exceed the
    limit."""

    def __init__(self, connection: redis.Redis, attempt: CodeAttempt) -> None:
        origin, self.connection, self.strange = (
            attempt.origin,
            connection,
            not attempt.origin.device,
        )
        self.pair = origin.account_key("guard-code-pair", attempt.account)
        self.account = origin.cache_key("guard-code", attempt.account)
        self.origin_key = origin.all_tries_key()

    def count_or_reject(self) -> RateLimited | None:
        """Count the code, for the pair and on an unknown device for the account too, and return None; or
        return why it may not be tried now; it counts for the pair even if it is the account that gets no
        more."""
        if self.strange and self._wrong_count() >= MAX_WRONG_PER_ORIGIN:
            seconds_left = int(self.connection.ttl(self.origin_key))  # type: ignore[arg-type]
            return _too_many_codes(max(seconds_left, 1))
        if wait_seconds := _count_try(self.connection, self.pair, FREE_TRIES):
            return _too_many_codes(wait_seconds)
        return self._count_or_block() if self.strange else None

    def _count_or_block(self) -> RateLimited | None:
        """Count the code for the account and return None; or return why the account gets no more codes from
        unknown devices today."""
        wait_seconds: Any = self.connection.eval(
            _ADMIT_CODE_SCRIPT,
            1,
            self.account,
            MAX_CODES_PER_ACCOUNT,
            DAY_SECONDS,
        )
        return RateLimited(CODES_BLOCKED_MESSAGE, int(wait_seconds)) if wait_seconds else None

    def _wrong_count(self) -> int:
        """How many wrong attempts came from this origin within the present window (ORIGIN_WINDOW_SECONDS)."""
        return _as_count(self.connection.get(self.origin_key))

    def withdraw(self) -> None:
        """Take back the counted code, which was not tried."""
        self.connection.eval(_WITHDRAW_SCRIPT, 1, self.pair)
        if self.strange:
            self.connection.eval(_FORGIVE_CODE_SCRIPT, 1, self.account)

    def record_failure(self) -> None:
        """Count a wrong code for its origin, and log when the account has reached its limit. On a device
        known for the account it counts only for the pair, in `count_or_reject`."""
        if not self.strange:
            return
        with self.connection.pipeline(transaction=False) as pipeline:
            pipeline.get(self.account)
            pipeline.incr(self.origin_key)
            pipeline.expire(self.origin_key, ORIGIN_WINDOW_SECONDS, nx=True)
            results = pipeline.execute()
        if _as_count(results[0]) >= MAX_CODES_PER_ACCOUNT:  # the result of get(account)
            log.warning("second_factor.attack")

    def reset_after_success(self) -> None:
        """Reset the counter of the pair; the right code isn't counted for the account."""
        self.connection.delete(self.pair)
        if self.strange:
            self.connection.eval(_FORGIVE_CODE_SCRIPT, 1, self.account)


def rules_for(connection: redis.Redis, attempt: PasswordAttempt | CodeAttempt) -> PasswordRules | CodeRules:
    """The rules for this kind of attempt."""
    return (
        PasswordRules(connection, attempt)
        if isinstance(attempt, PasswordAttempt)
        else CodeRules(connection, attempt)
    )


def _count_try(connection: redis.Redis, pair: str, free: int) -> int:
    """Count an attempt on the pair of account and origin (cache key `pair`) and return 0; or return the
    seconds to wait, and don't count it. The first `free` attempts needn't wait, the next waits
    FIRST_WAIT_SECONDS, and each further one twice as long as the one before, up to MAX_WAIT_SECONDS. The
    count is forgotten REMEMBER_SECONDS after the last counted attempt."""
    arguments = (
        clock.now().timestamp(),
        free,
        FIRST_WAIT_SECONDS,
        MAX_WAIT_SECONDS,
        REMEMBER_SECONDS,
    )
    return int(connection.eval(_ADMIT_SCRIPT, 1, pair, *arguments))  # type: ignore[arg-type]


def _too_many_codes(wait_seconds: int) -> RateLimited:
    """The refusal, to be returned or raised, of a code that may be tried only after so many seconds."""
    return RateLimited(
        TOO_MANY_CODES_MESSAGE.format(wait=_duration_text(wait_seconds)),
        wait_seconds,
    )


def _as_count(value: Any) -> int:
    """The number in a counter of the cache; 0 for a counter that doesn't exist."""
    return int(value or 0)


def _max_same_password(attempt: PasswordAttempt) -> int:
    """On how many accounts one origin may try this password within an hour."""
    return MAX_INITIAL_PASSWORD_PER_ORIGIN if attempt.initial else MAX_SAME_PASSWORD_PER_ORIGIN


def _duration_text(seconds: int) -> str:
    """So many seconds as people read it: below 90 in seconds, else in minutes, rounded up."""
    return f"{seconds}秒" if seconds < 90 else f"{-(-seconds // 60)}分钟"
