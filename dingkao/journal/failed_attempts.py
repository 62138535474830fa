"""Journal entries of refused attempts: failed sign-ins, wrong codes, refused pages (security.md 15).

The subject of such an entry is computed from the login that was typed, so that existing and unknown accounts
leave the same traces, and no row is locked. Only a few entries are written per minute; the next entry has the
number of those not written.
"""

from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from dingkao.journal import entries
from dingkao.journal.entries import Actor
from dingkao.tenants.rate_counters import increment, take_count

SUBJECT_KIND = "attempts"
MINUTE_SECONDS, DAY_SECONDS = 60, 86400
MAX_PER_ACCOUNT, MAX_PER_PROVINCE = 3, 600
log = structlog.get_logger()


def attempt_subject(login_index: bytes) -> UUID:
    """Returns the subject id of attempts on the account with this `login_index`."""
    return UUID(bytes=bytes(login_index[:16]))


def record_attempt(login_index: bytes, verb: str, *, by: Actor, **details: Any) -> None:
    """Write an entry about a refused attempt in a separate transaction: per minute at most MAX_PER_ACCOUNT of
    a verb for an account, and MAX_PER_PROVINCE in all.

    `by`: who acts, as far as that is proven; else an actor without id. Without the cache every attempt is
    entered. If the entry can't be written, that is logged and nothing is raised.
    """
    subject = attempt_subject(login_index)
    per_account = increment("attempts", verb, subject, seconds=MINUTE_SECONDS)
    if (
        per_account > MAX_PER_ACCOUNT
        or increment("attempts-of-all", seconds=MINUTE_SECONDS) > MAX_PER_PROVINCE
    ):
        increment("attempts-unwritten", subject, seconds=DAY_SECONDS)
        return
    if unwritten := take_count("attempts-unwritten", subject):
        details["unwritten"] = unwritten
    try:
        entries.write_entry_in_own_transaction(SUBJECT_KIND, subject, verb, by=by, **details)
    except SQLAlchemyError as fault:
        log.error("attempt.unwritten", verb=verb, kind=type(fault).__name__)
