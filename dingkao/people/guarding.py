"""Guessing is slowed down, and nobody can lock out another (security.md 5).

What is counted, all of it by keyed hashes, and for accounts that exist and those that don't alike:
- tries of one account from one place. Five are free, then each wrong one makes that place wait, twice as long each time, up to a quarter
  of an hour. The place alone waits: the account's owner comes from another, or on a device that has been signed in on before, which counts
  as a place of its own wherever it is.
- wrong tries of one account from anywhere. Past thirty in an hour the account is under attack, and a strange place has one free try instead
  of five; it still has that one, so the owner's right password gets in at once from wherever it is typed.
- wrong tries from one place over all accounts, and how many accounts one place has tried the same password on: a hospital's hundred doctors
  behind one address don't reach these, a list of numbers does. The initial password is everyone's, and a whole hospital has its first
  morning, so getting in by it has a bound of its own; numbers that are nobody's count as wrong tries all the same.
- how many accounts a password has been wrong on, from wherever: past sixty in an hour nobody gets in by it from a strange place.
"""

import hashlib
import hmac
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

import redis
import structlog

from dingkao import clock
from dingkao.errors import TooMany
from dingkao.people import passwords
from dingkao.tenants.keys import cache_key
from dingkao.tenants.secrets import vault

FREE, FREE_UNDER_ATTACK = 5, 1
FIRST_WAIT, LONGEST_WAIT, REMEMBERED = 30, 900, 3600
UNDER_ATTACK = 30
OF_A_PLACE, PLACE_SECONDS = 100, 600
SAME_HERE, SAME_HERE_INITIAL, SAME_ANYWHERE = 10, 2000, 60
HOUR = 3600
log = structlog.get_logger()

# One try more of an account from a place, unless it has to wait: the seconds to wait, 0 where the try may be made.
_ADMIT = """
local now, free = tonumber(ARGV[1]), tonumber(ARGV[2])
local tries = tonumber(redis.call('HGET', KEYS[1], 'tries') or '0')
local waits = tonumber(redis.call('HGET', KEYS[1], 'until') or '0') - now
if waits > 0 then return math.ceil(waits) end
tries = tries + 1
redis.call('HSET', KEYS[1], 'tries', tries)
if tries >= free then
  redis.call('HSET', KEYS[1], 'until', now + math.min(tonumber(ARGV[3]) * 2 ^ math.min(tries - free, 10), tonumber(ARGV[4])))
end
redis.call('EXPIRE', KEYS[1], ARGV[5])
return 0
"""


@dataclass(frozen=True)
class Try:
    """A try to sign in: of which account (as typed, keyed), with which password (keyed, and too short to find it again), from where.
    `device` names the device where it has been signed in on with this account before."""

    account: str
    password: str
    place: str
    initial: bool
    device: str | None = None


@dataclass(frozen=True)
class Guard:
    """Counts tries in the cache. Where the cache doesn't answer nobody is kept out, and that is logged."""

    connection: redis.Redis

    def admit(self, one: Try) -> None:
        """Let the try be made, or raise TooMany; made or not, it looks the same for every account."""
        try:
            waits = self._waits(one)
        except redis.RedisError as fault:
            log.error("guard.down", kind=type(fault).__name__)
            return
        if waits:
            raise TooMany(f"尝试次数过多,请{_spoken(waits)}后再试。忘记密码请点“忘记密码?”,或向本机构领取一次性代码。", waits)

    def wrong(self, one: Try) -> None:
        """The try was wrong. A device known for the account counts against itself alone."""
        if one.device:
            return
        keys = _Keys(one)
        try:
            with self.connection.pipeline(transaction=False) as pipeline:
                for key, seconds in ((keys.account, HOUR), (keys.place, PLACE_SECONDS)):
                    pipeline.incr(key)
                    pipeline.expire(key, seconds, nx=True)
                for key in (keys.same_here, keys.same_anywhere):
                    pipeline.pfadd(key, one.account)
                    pipeline.expire(key, HOUR, nx=True)
                    pipeline.pfcount(key)
                told = pipeline.execute()
        except redis.RedisError as fault:
            log.error("guard.down", kind=type(fault).__name__)
            return
        if told[0] == UNDER_ATTACK or told[9] == SAME_ANYWHERE or told[6] == _same_here(one):
            log.warning("sign_in.attack", account=told[0] == UNDER_ATTACK, place=told[6] == _same_here(one), spread=told[9] == SAME_ANYWHERE)

    def right(self, one: Try) -> None:
        """The try was right: its place begins anew with this account. The initial password is everyone's, so that getting in by it counts
        as trying it: nobody finds out by it, number after number, who has not signed in yet."""
        keys = _Keys(one)
        try:
            self.connection.delete(keys.pair)
            if one.initial and not one.device:
                self.connection.pfadd(keys.same_here, one.account)
                self.connection.expire(keys.same_here, HOUR, nx=True)
        except redis.RedisError as fault:
            log.error("guard.down", kind=type(fault).__name__)

    def _waits(self, one: Try) -> int:
        keys, free = _Keys(one), FREE
        if not one.device:
            with self.connection.pipeline(transaction=False) as pipeline:
                pipeline.mget(keys.account, keys.place)
                pipeline.ttl(keys.place)
                pipeline.pfcount(keys.same_here)
                pipeline.pfcount(keys.same_anywhere)
                (of_account, of_place), left, here, anywhere = pipeline.execute()
            if int(of_place or 0) >= OF_A_PLACE:
                return max(int(left), 1)
            if here >= _same_here(one) or (anywhere >= SAME_ANYWHERE and not one.initial):
                return LONGEST_WAIT
            free = FREE_UNDER_ATTACK if int(of_account or 0) >= UNDER_ATTACK else FREE
        return int(self.connection.eval(_ADMIT, 1, keys.pair, clock.now().timestamp(), free, FIRST_WAIT, LONGEST_WAIT, REMEMBERED))  # type: ignore[arg-type]


def attempt(account: bytes, password: str, address: str | None, device: str | None) -> Try:
    """A try; `account` is the keyed hash of what was typed."""
    password_key = vault().blind_index("sign-in-spray", hashlib.sha256(password.encode()).hexdigest()).hex()[:8]
    place = vault().blind_index("sign-in-place", place_of(address)).hex()[:16]
    initial = hmac.compare_digest(password.encode(), passwords.INITIAL.encode())
    return Try(account.hex(), password_key, place, initial, device)


def place_of(address: str | None) -> str:
    """Whom an address stands for: itself, or of the long ones the network, because one household has as many as it likes."""
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or int(parsed) >> 64)
    return str(parsed)


def _same_here(one: Try) -> int:
    return SAME_HERE_INITIAL if one.initial else SAME_HERE


def _spoken(seconds: int) -> str:
    return f"{seconds}秒" if seconds < 90 else f"{-(-seconds // 60)}分钟"


class _Keys:
    """The cache's keys that a try touches."""

    def __init__(self, one: Try) -> None:
        self.pair = cache_key("guard-pair", one.account, f"d{one.device}" if one.device else one.place)
        self.account = cache_key("guard-account", one.account)
        self.place = cache_key("guard-place", one.place)
        self.same_here = cache_key("guard-same", one.place, one.password)
        self.same_anywhere = cache_key("guard-same", "any", one.password)
