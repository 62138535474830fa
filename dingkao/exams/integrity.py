"""What is noticed during a sitting: leaving the page, failures of the network, other devices. Kept for people to judge, judged by nobody else.

Signs of life of a page go through Valkey alone: thousands of pages give one every half minute, and nobody needs yesterday's.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import redis
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.dialects.postgresql import insert

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.model import db, new_id
from dingkao.errors import Invalid
from dingkao.exams.models import INTEGRITY_EVENTS, IntegrityCase, IntegrityEvent, Sitting
from dingkao.tenants.context import current_tenant
from dingkao.tenants.keys import cache_key

MOST_EVENTS, AT_ONCE = 500, 50
ALIVE_SECONDS, LOOK_SECONDS = 90, 180
OF_PAGES = ("left", "offline", "reopened")


def take_note(sitting: Sitting, given: Any) -> int:
    """Keep what a page noticed, once however often it is sent; the number of new events. `given` is a list of {kind, at (milliseconds since
    1970 by the server's clock), seconds}; what lies outside the sitting's time is put to its edge. Raises Invalid."""
    if not isinstance(given, list) or len(given) > AT_ONCE:
        raise Invalid("请求无法识别,请刷新页面。")
    rows = [_row(sitting, one) for one in given]
    left = MOST_EVENTS - (db.session.scalar(select(func.count()).where(IntegrityEvent.sitting_id == sitting.id)) or 0)
    rows = rows[: max(0, left)]
    if not rows:
        return 0
    written = insert(IntegrityEvent).values(rows).on_conflict_do_nothing().returning(IntegrityEvent.id)
    return len(db.session.scalars(written).all())


def _row(sitting: Sitting, one: Any) -> dict[str, Any]:
    at, seconds = (one.get("at"), one.get("seconds", 0)) if isinstance(one, Mapping) else (None, None)
    if one is None or type(at) is not int or type(seconds) is not int or one.get("kind") not in OF_PAGES or not 0 < at < 2**43:
        raise Invalid("请求无法识别,请刷新页面。")
    began = min(max(datetime.fromtimestamp(at / 1000, UTC), sitting.opened_at), clock.now())
    longest = int((clock.now() - began).total_seconds())
    return {
        "tenant_id": current_tenant(), "id": new_id(), "sitting_id": sitting.id, "kind": one["kind"], "began_at": began,
        "seconds": min(max(0, seconds), longest),
    }  # fmt: skip


def another_device(sitting: Sitting) -> None:
    """The sitting goes on on another device."""
    db.session.add(IntegrityEvent(sitting_id=sitting.id, kind="device", began_at=clock.now()))


def events_of(sitting: Sitting) -> list[IntegrityEvent]:
    """What was noticed, in the order in which it happened."""
    return list(db.session.scalars(select(IntegrityEvent).where(IntegrityEvent.sitting_id == sitting.id).order_by(IntegrityEvent.began_at)))


def counts_of(sittings: Iterable[UUID]) -> dict[UUID, dict[str, int]]:
    """How many events of which kind each sitting has."""
    counted: dict[UUID, dict[str, int]] = {}
    query = select(IntegrityEvent.sitting_id, IntegrityEvent.kind, func.count()).where(IntegrityEvent.sitting_id.in_(list(sittings)))
    for sitting, kind, number in db.session.execute(query.group_by(IntegrityEvent.sitting_id, IntegrityEvent.kind)):
        counted.setdefault(sitting, {})[kind] = number
    return counted


def in_words(counts: Mapping[str, int]) -> str:
    """Counts in words, in the order of the kinds: 离开作答页面2次."""
    return "、".join(f"{word}{counts[kind]}次" for kind, word in INTEGRITY_EVENTS.items() if counts.get(kind))


def alive(cache: redis.Redis, sitting: UUID) -> bool:
    """A page of the sitting says that it is there; whether it is to ask how the sitting stands, because something has changed."""
    pipeline = cache.pipeline(transaction=False)
    pipeline.set(cache_key("sitting-alive", sitting), 1, ex=ALIVE_SECONDS)
    pipeline.exists(cache_key("sitting-look", sitting))
    return bool(pipeline.execute()[1])


def have_looked_at(cache: redis.Redis, sitting: UUID) -> None:
    """Have the pages of the sitting ask soon how it stands."""
    cache.set(cache_key("sitting-look", sitting), 1, ex=LOOK_SECONDS)


def living(cache: redis.Redis, sittings: Sequence[UUID]) -> set[UUID]:
    """Those of the sittings whose page has given a sign of life in the last minute and a half; all of them where that can't be known."""
    if not sittings:
        return set()
    try:
        found: Any = cache.mget([cache_key("sitting-alive", one) for one in sittings])
    except redis.RedisError:
        return set(sittings)
    return {one for one, sign in zip(sittings, found, strict=True) if sign is not None}


def under_inquiry() -> ColumnElement[bool]:
    """Whether a case about a sitting of the query's record is still open: until it is decided there is no verdict on 业务水平."""
    open_one = select(IntegrityCase.id).where(
        IntegrityCase.tenant_id == Assessment.tenant_id, IntegrityCase.assessment_id == Assessment.id, IntegrityCase.state.in_(("hearing", "proposed"))
    )
    return open_one.correlate(Assessment).exists()
