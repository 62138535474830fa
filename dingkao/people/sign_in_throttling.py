"""Slows down guessing without letting anybody lock out another person (security.md 5).

Counted, as keyed hashes, and in the same way for accounts that exist and that don't (limits:
`attempt_rules`):

- attempts on one account from one origin. Five are free; then each wrong one makes this origin wait, twice as
  long each time, up to 15 minutes. Only this origin waits: the owner signs in from another origin, or on a
  device known for the account, which is an origin of its own in any network.
- wrong attempts on one account from all origins. After thirty within an hour the account is under attack, and
  an unknown device has one free attempt instead of five, so that the owner's right password still works at
  once.
- wrong attempts from one origin on all accounts, and the number of accounts on which one origin has tried the
  same password. A hospital's hundred doctors behind one address don't reach these limits, a list of numbers
  does. The initial password is everyone's, and a whole hospital has its first morning: signing in with it has
  a higher limit of its own; with it, wrong numbers still count as wrong attempts.
- the number of accounts on which a password was wrong, from all origins: after sixty within an hour nobody
  signs in with it on an unknown device.

Codes of the second factor are counted in the same way, for account and origin. Who tries them knows the
password, and they have only six digits: after twenty wrong codes for an account in a day, unknown devices get
no further attempt. A device on which both factors were shown before still does.

Operators are counted with keys of the platform, in the same way.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import redis
import structlog

from dingkao.errors import Busy, InvalidInput
from dingkao.people.attempt_rules import rules_for
from dingkao.people.sign_in_attempts import (
    CodeAttempt,
    PasswordAttempt,
)

log = structlog.get_logger()
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class SignInThrottle:
    """Counts attempts in the cache (`connection`). If the cache doesn't respond, nobody is refused, and an
    error is logged."""

    connection: redis.Redis

    @contextmanager
    def attempting(self, attempt: PasswordAttempt | CodeAttempt) -> Iterator[None]:
        """Run the block as the attempt: InvalidInput raised in it counts as wrong, Busy as not made, no
        exception as right; after any other exception the attempt stays counted. Raises RateLimited if the
        attempt may not be made now."""
        self.require_allowed(attempt)
        try:
            yield
        except Busy:
            self._with_cache(rules_for(self.connection, attempt).withdraw)
            raise
        except InvalidInput:
            self.record_failure(attempt)
            raise
        self.reset_after_success(attempt)

    def require_allowed(self, attempt: PasswordAttempt | CodeAttempt) -> None:
        """Raise RateLimited if the attempt may not be made now, else count it. The result doesn't depend on
        whether the account exists."""
        refusal = self._with_cache(rules_for(self.connection, attempt).count_or_reject)
        if refusal is not None:
            raise refusal

    def record_failure(self, attempt: PasswordAttempt | CodeAttempt) -> None:
        """Record that the attempt, which `require_allowed` has counted, was wrong; the limits of account,
        origin and password count it (`attempt_rules`), unless the device is known."""
        self._with_cache(rules_for(self.connection, attempt).record_failure)

    def reset_after_success(self, attempt: PasswordAttempt | CodeAttempt) -> None:
        """Reset the wait of the attempt's account and origin, for it was right; a right initial password
        still counts as one more account that was tried from there."""
        self._with_cache(rules_for(self.connection, attempt).reset_after_success)

    @staticmethod
    def _with_cache(
        use_cache: Callable[[], ResultT],
    ) -> ResultT | None:
        """The result of `use_cache`; None, after logging it, if the cache doesn't respond."""
        try:
            return use_cache()
        except redis.RedisError as error:
            log.error("guard.down", kind=type(error).__name__)
            return None
