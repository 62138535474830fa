"""Outages that the system finds by itself: many pages fall silent at once while sittings end."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from uuid import UUID

import redis
from flask import current_app
from sqlalchemy import select

from dingkao import clock
from dingkao.database.arrays import in_array
from dingkao.database.base import db, new_id
from dingkao.exams import integrity_events
from dingkao.exams.models.monitoring_models import Outage
from dingkao.exams.models.sitting_models import Sitting, SittingAnswer
from dingkao.exams.outages import (
    COMPENSATION_WINDOW,
    log_outage,
    not_handed_in_condition,
)
from dingkao.exams.sitting_completion import GRACE_PERIOD
from dingkao.journal.entries import SYSTEM_ACTOR

MIN_SILENT_PAGES, MAX_SITTINGS_EXAMINED = 3, 2000
"""How many pages must fall silent together to count as many, and how many sittings are examined for that at
most."""
HEARTBEAT_BEFORE = timedelta(seconds=60)
"""A page counts as present at a silence's beginning if it sent a heartbeat within this time before."""
MAX_OPEN_SILENCE = timedelta(hours=2)
"""A silence that has not ended within this time isn't examined any more: probably the exams are over."""


def detect_outages() -> int:
    """A scheduled task: examine the silences that were stored, and save as outages those in which sittings
    ended whose pages had been present. Commits after each silence. Returns how many new outages there are; 0
    if the cache is unavailable. Raises redis.RedisError if the cache fails only later."""
    cache: redis.Redis = current_app.extensions["redis"]
    try:
        silences = integrity_events.list_silences(cache)
    except redis.RedisError:
        return 0
    return sum(_examine_silence(cache, *silence) for silence in silences)


def _examine_silence(cache: redis.Redis, began_at: datetime, ended_at: datetime | None) -> bool:
    """Examine a silence, save the outage that it is, if it is one, and commit; a silence that has ended is
    not examined again. Returns whether there is a new outage. Raises redis.RedisError."""
    is_new_outage = False
    if _is_recent_silence(began_at, ended_at):
        span = _outage_of_silence(cache, began_at, ended_at)
        is_new_outage = span is not None and _save_outage(*span)
        db.session.commit()
    if ended_at:
        integrity_events.mark_silence_examined(cache, began_at, ended_at)
    return is_new_outage


def _is_recent_silence(began_at: datetime, ended_at: datetime | None) -> bool:
    """Whether sittings could still get time for a silence that has ended; or whether one that lasts began
    within MAX_OPEN_SILENCE."""
    if ended_at:
        return clock.now() - ended_at < COMPENSATION_WINDOW
    return clock.now() - began_at < MAX_OPEN_SILENCE


def _outage_of_silence(
    cache: redis.Redis, began_at: datetime, ended_at: datetime | None
) -> tuple[datetime, datetime] | None:
    """Return the beginning and end of the outage that a silence is, or None if it is none. It is one if all
    of this holds: at least MIN_SILENT_PAGES pages had been present when it began; the time of at least one of
    these sittings ran out in it; it ran out for MIN_SILENT_PAGES of them, or so many pages came back after
    it; no answer was stored during it. An outage that lasts ends, for now, a grace period after the last of
    these sittings' ends. Raises redis.RedisError."""
    ends = _ends_of_open_sittings(began_at)
    heartbeats = integrity_events.last_heartbeats(cache, list(ends))
    since = began_at - HEARTBEAT_BEFORE
    present = _heard_since(heartbeats, since) | _answered_between(ends, since)
    ended = _ended_until(
        ended_at or clock.now(),
        [ends[sitting_id] for sitting_id in present],
    )
    came_back = _heard_since(heartbeats, ended_at) if ended_at else set()
    is_of_many = min(len(present), max(len(ended), len(came_back))) >= MIN_SILENT_PAGES
    if not ended or not is_of_many:
        return None
    until = ended_at or min(max(ended) + GRACE_PERIOD, clock.now())
    edge = timedelta(seconds=integrity_events.MIN_SILENCE_SECONDS / 2)
    return None if _answered_between(ends, began_at + edge, until - edge) else (began_at, until)


def _ends_of_open_sittings(moment: datetime) -> dict[UUID, datetime]:
    """Sitting id → when it ends, for the sittings open at `moment`; at most MAX_SITTINGS_EXAMINED, those that
    end first."""
    query = select(Sitting.id, Sitting.closes_at).where(
        Sitting.opened_at < moment,
        not_handed_in_condition(moment),
        Sitting.closes_at > moment,
    )
    rows = db.session.execute(query.order_by(Sitting.closes_at).limit(MAX_SITTINGS_EXAMINED))
    return dict(rows.all())


def _heard_since(heartbeats: Mapping[UUID, datetime], moment: datetime) -> set[UUID]:
    """The ids of the sittings whose page has sent a heartbeat since `moment`."""
    return {sitting_id for sitting_id, heard_at in heartbeats.items() if heard_at >= moment}


def _ended_until(moment: datetime, ends: Iterable[datetime]) -> list[datetime]:
    """The ends that are not after `moment`."""
    return [end for end in ends if end <= moment]


def _answered_between(
    sitting_ids: Iterable[UUID],
    since: datetime,
    until: datetime | None = None,
) -> set[UUID]:
    """The ids of those of the sittings of which an answer was received from `since` to `until` (None: to
    now)."""
    query = select(SittingAnswer.sitting_id).where(
        in_array(SittingAnswer.sitting_id, sitting_ids),
        SittingAnswer.received_at >= since,
    )
    if until:
        query = query.where(SittingAnswer.received_at <= until)
    return set(db.session.scalars(query.distinct()))


def _save_outage(began_at: datetime, ended_at: datetime) -> bool:
    """Save an outage of the whole province, or lengthen the earliest saved one that it overlaps or touches
    (locked); writes a journal entry if anything changes. Returns whether it is a new one."""
    query = select(Outage).where(
        Outage.organisation_id.is_(None),
        Outage.began_at <= ended_at,
        Outage.ended_at >= began_at,
    )
    known_outage = db.session.scalars(query.order_by(Outage.began_at).limit(1).with_for_update()).first()
    if known_outage is not None:
        _lengthen_outage(known_outage, began_at, ended_at)
        return False
    outage = Outage(id=new_id(), began_at=began_at, ended_at=ended_at)
    db.session.add(outage)
    db.session.flush()
    log_outage(outage, "found", by=SYSTEM_ACTOR)
    return True


def _lengthen_outage(outage: Outage, began_at: datetime, ended_at: datetime) -> None:
    """Extend a saved outage so that it covers the time from `began_at` to `ended_at`; writes a journal entry
    if it didn't."""
    span = (
        min(outage.began_at, began_at),
        max(outage.ended_at, ended_at),
    )
    if span != (outage.began_at, outage.ended_at):
        outage.began_at, outage.ended_at = span
        log_outage(outage, "lengthened", by=SYSTEM_ACTOR)
