"""Integrity events: what is noticed during a sitting (the page was left, the network failed, another device
went on). They are stored for people to judge; the system draws no conclusion from them.

Heartbeats of pages are stored in Valkey only: thousands of pages send one every half minute, and nobody needs
yesterday's. If none comes for MIN_SILENCE_SECONDS in a province, that silence is stored there too, for
`outage_detection` to examine.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import redis
from flask import current_app
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.dialects.postgresql import insert

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.arrays import in_array, split_into_batches
from dingkao.database.base import db, new_id
from dingkao.errors import InvalidInput
from dingkao.exams.models.monitoring_models import (
    INTEGRITY_EVENTS,
    IntegrityCase,
    IntegrityEvent,
)
from dingkao.exams.models.sitting_models import Sitting
from dingkao.tenants.context import current_tenant
from dingkao.tenants.keys import cache_key

MAX_EVENTS, MAX_EVENTS_PER_REQUEST = 500, 50
HEARTBEAT_VALID_SECONDS, RECHECK_SECONDS = 90, 180
HEARTBEATS_KEPT_SECONDS = 3 * 3600
MIN_SILENCE_SECONDS = 60
SILENCES_KEPT_SECONDS = 24 * 3600
MAX_SILENCES = 100
ANNOUNCEMENTS_KEY = "sitting-announcements"
"""The kind of the keys in Valkey under which announcements to a sitting's page are listed."""
HEARD_KEY = "sitting-heard"
"""The kind of the key in Valkey under which the sittings of a province are sorted by their last heartbeat."""
PAGE_EVENT_KINDS = ("left", "offline", "reopened")


def record_events(sitting: Sitting, values: Any) -> int:
    """Store events that a page noticed; an event that is sent again is stored once, and those beyond
    MAX_EVENTS of a sitting are dropped. `values`: at most MAX_EVENTS_PER_REQUEST of {kind (one of
    PAGE_EVENT_KINDS), at (milliseconds since 1970 by the server's clock), seconds (how long; 0 if missing)};
    times before the sitting or after now are moved to its beginning or to now. Whether the sitting is open is
    not asked. Returns how many events are new. Raises InvalidInput."""
    if not isinstance(values, list) or len(values) > MAX_EVENTS_PER_REQUEST:
        raise InvalidInput("请求无法识别，请刷新页面。")
    events = [_build_event(sitting, value) for value in values]
    events = events[: _events_left(sitting)]
    if not events:
        return 0
    statement = insert(IntegrityEvent).values(events).on_conflict_do_nothing().returning(IntegrityEvent.id)
    return len(db.session.scalars(statement).all())


def _events_left(sitting: Sitting) -> int:
    """How many more events of the sitting can be stored."""
    query = select(func.count()).where(IntegrityEvent.sitting_id == sitting.id)
    return max(0, MAX_EVENTS - (db.session.scalar(query) or 0))


def _build_event(sitting: Sitting, value: Any) -> dict[str, Any]:
    """The column values of an event that a page noticed, its time moved into the sitting, its length cut at
    now. Raises InvalidInput."""
    if not isinstance(value, Mapping):
        raise InvalidInput("请求无法识别，请刷新页面。")
    at: Any = value.get("at")
    seconds: Any = value.get("seconds", 0)
    _require_valid_event(value.get("kind"), at, seconds)
    now = clock.now()
    began = min(
        max(datetime.fromtimestamp(at / 1000, UTC), sitting.opened_at),
        now,
    )
    max_seconds = int((now - began).total_seconds())
    return {
        "tenant_id": current_tenant(),
        "id": new_id(),
        "sitting_id": sitting.id,
        "kind": value["kind"],
        "began_at": began,
        "seconds": min(max(0, seconds), max_seconds),
    }


def _require_valid_event(kind: Any, at: Any, seconds: Any) -> None:
    """Raise InvalidInput unless kind and times are ones that our page sends."""
    are_integers = type(at) is int and type(seconds) is int
    if not are_integers or kind not in PAGE_EVENT_KINDS or not 0 < at < 2**43:
        raise InvalidInput("请求无法识别，请刷新页面。")


def record_device_change(sitting: Sitting) -> None:
    """Store the event that the sitting goes on on another device, without flushing."""
    db.session.add(IntegrityEvent(sitting_id=sitting.id, kind="device", began_at=clock.now()))


def list_events(sitting: Sitting) -> list[IntegrityEvent]:
    """The sitting's events, the earliest first."""
    return list(
        db.session.scalars(
            select(IntegrityEvent)
            .where(IntegrityEvent.sitting_id == sitting.id)
            .order_by(IntegrityEvent.began_at)
        )
    )


def count_events(
    sitting_ids: Iterable[UUID],
) -> dict[UUID, dict[str, int]]:
    """Sitting id → kind → how many events, for at most 5,000 sittings; sittings and kinds without events are
    left out."""
    counted: dict[UUID, dict[str, int]] = {}
    query = select(IntegrityEvent.sitting_id, IntegrityEvent.kind, func.count()).where(
        in_array(IntegrityEvent.sitting_id, sitting_ids)
    )
    for sitting, kind, number in db.session.execute(
        query.group_by(IntegrityEvent.sitting_id, IntegrityEvent.kind)
    ):
        counted.setdefault(sitting, {})[kind] = number
    return counted


def describe_counts(counts: Mapping[str, int]) -> str:
    """Counts by kind as text, in the order of INTEGRITY_EVENTS: 离开作答页面2次、网络中断1次; "" if there are
    none."""
    return "、".join(f"{word}{counts[kind]}次" for kind, word in INTEGRITY_EVENTS.items() if counts.get(kind))


class HeartbeatReply(NamedTuple):
    """What a page is told upon its heartbeat: whether it has to load the sitting's status, because that has
    changed (see `request_recheck`), and announcements (see `announcements`), each as JSON."""

    has_to_look: bool = False
    announcements: Sequence[bytes] = ()


def record_heartbeat(cache: redis.Redis, sitting_id: UUID) -> HeartbeatReply:
    """Store the heartbeat of a sitting's page, by the sitting and among those of its province, which has one
    too, and the silence of the province that it ends, if there was one; returns what the page is told.
    Whether there is such a sitting isn't asked. Raises redis.RedisError."""
    now = _milliseconds(clock.now())
    pipeline = cache.pipeline(transaction=False)
    pipeline.set(
        cache_key("sitting-alive", sitting_id),
        now,
        ex=HEARTBEATS_KEPT_SECONDS,
    )
    pipeline.exists(cache_key("sitting-look", sitting_id))
    pipeline.lrange(cache_key(ANNOUNCEMENTS_KEY, sitting_id), 0, -1)
    pipeline.set(cache_key("sitting-sign"), now, get=True)
    heard_key = cache_key(HEARD_KEY)
    pipeline.zadd(heard_key, {sitting_id.bytes: now})
    pipeline.expire(heard_key, HEARTBEATS_KEPT_SECONDS)
    _, look, announcements, before, *_ = pipeline.execute()
    _record_silence(cache, before, now)
    return HeartbeatReply(bool(look), announcements)


def record_province_heartbeat(cache: redis.Redis) -> None:
    """Store a heartbeat of the province without one of a sitting: a page was served by everything that
    sittings need. Stores the silence that it ends, if there was one. Raises redis.RedisError."""
    now = _milliseconds(clock.now())
    _record_silence(
        cache,
        cache.set(cache_key("sitting-sign"), now, get=True),
        now,
    )


def _record_silence(cache: redis.Redis, before: Any, now: int) -> None:
    """Store the silence that this heartbeat ends, if the province's last one was at least MIN_SILENCE_SECONDS
    ago. `before`: when that was, None if unknown; both in milliseconds since 1970."""
    if before is None or now - int(before) < MIN_SILENCE_SECONDS * 1000:
        return
    key = cache_key("sitting-silences")
    pipeline = cache.pipeline()
    pipeline.rpush(key, _silence_member(_moment(before), _moment(now)))
    pipeline.ltrim(key, -MAX_SILENCES, -1)
    pipeline.expire(key, SILENCES_KEPT_SECONDS)
    pipeline.execute()


def list_silences(
    cache: redis.Redis,
) -> list[tuple[datetime, datetime | None]]:
    """Return the silences that are not examined yet, each from the last heartbeat of the province before it
    to the first one after it; then the present silence, if there is one, with None as its end. Raises
    redis.RedisError."""
    kept: Any = cache.lrange(cache_key("sitting-silences"), 0, -1)
    last: Any = cache.get(cache_key("sitting-sign"))
    found: list[tuple[datetime, datetime | None]] = []
    for text in kept:
        began, ended = text.split(b"|")
        found.append((_moment(began), _moment(ended)))
    if last is not None and clock.now() - _moment(last) >= timedelta(seconds=MIN_SILENCE_SECONDS):
        found.append((_moment(last), None))
    return found


def mark_silence_examined(cache: redis.Redis, began_at: datetime, ended_at: datetime) -> None:
    """Remove a silence from the list of those to examine. Raises redis.RedisError."""
    cache.lrem(
        cache_key("sitting-silences"),
        1,
        _silence_member(began_at, ended_at),
    )


def _silence_member(began_at: datetime, ended_at: datetime) -> str:
    """A silence as it is stored: "began|ended", in milliseconds."""
    return f"{_milliseconds(began_at)}|{_milliseconds(ended_at)}"


def _milliseconds(moment: datetime) -> int:
    """A moment in milliseconds since 1970."""
    return round(moment.timestamp() * 1000)


def _moment(milliseconds: Any) -> datetime:
    """The moment for milliseconds since 1970."""
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)


def request_recheck(cache: redis.Redis, sitting_id: UUID) -> None:
    """Make the sitting's pages load its status with each heartbeat of the next RECHECK_SECONDS. Raises
    redis.RedisError."""
    cache.set(cache_key("sitting-look", sitting_id), 1, ex=RECHECK_SECONDS)


def request_recheck_of_all(sitting_ids: Iterable[UUID]) -> None:
    """Request a recheck for each of the sittings. If the cache is unavailable nothing happens: the pages then
    learn of the change when they try to hand in."""
    try:
        for sitting_id in sitting_ids:
            request_recheck(current_app.extensions["redis"], sitting_id)
    except redis.RedisError:
        return


def last_heartbeats(cache: redis.Redis, sitting_ids: Sequence[UUID]) -> dict[UUID, datetime]:
    """Return sitting id → when its page sent its last heartbeat; sittings without a stored one are left out.
    Raises redis.RedisError."""
    heartbeats: dict[UUID, datetime] = {}
    for batch in split_into_batches(sitting_ids):
        moments: Any = cache.mget([cache_key("sitting-alive", sitting_id) for sitting_id in batch])
        heartbeats |= {
            sitting_id: _moment(moment)
            for sitting_id, moment in zip(batch, moments, strict=True)
            if moment is not None
        }
    return heartbeats


def connected_among(sitting_ids: Sequence[UUID]) -> set[UUID]:
    """The sittings whose page has sent a heartbeat within HEARTBEAT_VALID_SECONDS; all of them if the cache
    is unavailable."""
    try:
        heartbeats = last_heartbeats(current_app.extensions["redis"], sitting_ids)
    except redis.RedisError:
        return set(sitting_ids)
    since = _connected_since()
    return {sitting_id for sitting_id, heard_at in heartbeats.items() if heard_at > since}


def connected_in_province(most: int) -> set[UUID] | None:
    """The sittings of the province, handed in ones too, whose page has sent a heartbeat within
    HEARTBEAT_VALID_SECONDS; None if they are more than `most`, or the cache is unavailable. Older ones are
    removed from the order of heartbeats."""
    heard_key, since = cache_key(HEARD_KEY), _milliseconds(_connected_since())
    pipeline = current_app.extensions["redis"].pipeline(transaction=False)
    pipeline.zremrangebyscore(heard_key, "-inf", since)
    pipeline.zrange(heard_key, 0, most)
    try:
        _, members = pipeline.execute()
    except redis.RedisError:
        return None
    return {UUID(bytes=member) for member in members} if len(members) <= most else None


def _connected_since() -> datetime:
    """A page whose last heartbeat came after this moment is connected."""
    return clock.now() - timedelta(seconds=HEARTBEAT_VALID_SECONDS)


def open_case_condition() -> ColumnElement[bool]:
    """The condition that an Assessment has an open integrity case: until that is decided it gets no verdict
    on 业务水平."""
    open_one = select(IntegrityCase.id).where(
        IntegrityCase.tenant_id == Assessment.tenant_id,
        IntegrityCase.assessment_id == Assessment.id,
        IntegrityCase.state.in_(("hearing", "proposed")),
    )
    return open_one.correlate(Assessment).exists()
