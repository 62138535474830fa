"""Announcements to doctors who sit (domain.md §12, OC on duty in a hall): to all of an assessment
organisation, of a hall or a slot, and words to one.

A row is the announcement. The pages that are open get it with their next heartbeat from Valkey, where a list
for each sitting is kept; pages opened later, and all pages while Valkey is away, get it with the sitting's
state."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import redis
from flask import current_app
from sqlalchemy import ColumnElement, or_, select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.arrays import (
    in_array,
    split_into_batches,
)
from dingkao.database.base import db
from dingkao.errors import InvalidInput, NotFound
from dingkao.exams.integrity_events import ANNOUNCEMENTS_KEY
from dingkao.exams.models.hall_models import Hall, Slot
from dingkao.exams.models.monitoring_models import (
    ExamAnnouncement,
)
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.monitoring import (
    MonitoringFilter,
    open_sitting_ids,
)
from dingkao.exams.monitoring_locations import (
    Location,
    sitting_at_condition,
)
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.scopes import Grant, scope_condition
from dingkao.tenants.keys import cache_key

MAX_TEXT_LENGTH = 200
VALID_FOR = timedelta(hours=4)
"""How long an announcement is shown to those who open their page."""
BEFORE_SITTING = timedelta(minutes=30)
"""How long before a sitting began it may have been made to be shown there."""
MAX_PER_SITTING, MAX_LISTED, PIPELINE_SIZE = 5, 20, 1000


def announce(
    monitoring_filter: MonitoringFilter,
    text: str,
    *,
    by: Actor,
) -> int:
    """Tell `text` to all who sit at the filter's location, or without one to all whom the organisations of
    its scope assess: an announcement for each organisation, with a journal entry. Line ends and runs of
    spaces become one space. Open pages get it with their next heartbeat, even before the commit. Returns how
    many open sittings get it so: of each organisation the first MAX_OPEN_SITTINGS by id; the pages of others
    get it with the sitting's state. Raises InvalidInput; NotFound for a location outside the scope, and
    without a location for a scope that names no organisations (such as the whole province)."""
    text = _validate(text)
    reached_count = 0
    for organisation_id in _organisations_of(monitoring_filter):
        announcement = ExamAnnouncement(
            organisation_id=organisation_id,
            text=text,
            announced_by=by.id,
            **_place_of(monitoring_filter.location),
        )
        db.session.add(announcement)
        db.session.flush()
        sitting_ids = open_sitting_ids(
            replace(
                monitoring_filter,
                scope=Grant(assessor_ids=(organisation_id,)),
            )
        )
        _log(
            announcement,
            "announced",
            by=by,
            reached=len(sitting_ids),
        )
        _deliver(sitting_ids, _as_json(announcement))
        reached_count += len(sitting_ids)
    return reached_count


def announce_to_one(
    record: Assessment,
    sitting: Sitting,
    text: str,
    *,
    by: Actor,
) -> None:
    """Tell `text` to the doctor of one sitting, whose page gets it with its next heartbeat, even before the
    commit; writes a journal entry. `record`: the sitting's. Raises InvalidInput; also if the sitting is
    handed in."""
    if sitting.handed_in_at is not None:
        raise InvalidInput(
            "这场作答已经交卷，页面不再显示通知。可在“通知医师”中发消息。",
            "text",
        )
    announcement = ExamAnnouncement(
        organisation_id=record.assessor_id,
        sitting_id=sitting.id,
        text=_validate(text),
        announced_by=by.id,
    )
    db.session.add(announcement)
    db.session.flush()
    _log(announcement, "announced", by=by, reached=1)
    _deliver([sitting.id], _as_json(announcement))


def withdraw_announcement(
    announcement_id: UUID,
    monitoring_filter: MonitoringFilter,
    *,
    by: Actor,
) -> None:
    """Take an announcement back, locked, with a journal entry: pages opened from now on don't show it, and
    the open ones that the filter lets through put it away with their next heartbeat, even before the commit.
    Does nothing if it is taken back already. Raises NotFound for one that is not of an organisation of the
    filter's scope."""
    query = select(ExamAnnouncement).where(
        ExamAnnouncement.id == announcement_id,
        _own_condition(monitoring_filter.scope),
    )
    announcement = db.session.scalar(query.with_for_update())
    if announcement is None:
        raise NotFound
    if announcement.withdrawn_at is not None:
        return
    announcement.withdrawn_at = clock.now()
    _log(announcement, "withdrawn", by=by)
    _deliver(
        _sitting_ids_to_inform(announcement, monitoring_filter),
        _as_json(announcement),
    )


def recent_announcements(scope: Grant, sitting: Sitting | None = None) -> Sequence[ExamAnnouncement]:
    """The last MAX_LISTED announcements that the organisations of `scope` made in the last 24 hours, the
    newest first: those to `sitting`, or without one those to several. Withdrawn ones are among them."""
    of_sitting: ColumnElement[bool] = ExamAnnouncement.sitting_id.is_(None)
    if sitting is not None:
        of_sitting = ExamAnnouncement.sitting_id == sitting.id
    query = select(ExamAnnouncement).where(
        _own_condition(scope),
        of_sitting,
        ExamAnnouncement.announced_at > clock.now() - timedelta(days=1),
    )
    return db.session.scalars(query.order_by(ExamAnnouncement.announced_at.desc()).limit(MAX_LISTED)).all()


def announcements_for(
    sitting: Sitting,
) -> list[dict[str, Any]]:
    """What the page of a sitting shows, as JSON for js/sitting.js, the newest last: the last MAX_PER_SITTING
    that concern it, were made no earlier than BEFORE_SITTING before it began, are younger than VALID_FOR and
    not withdrawn."""
    at_slot = Location(
        "",
        "",
        or_(
            Slot.id == ExamAnnouncement.slot_id,
            Slot.hall_id == ExamAnnouncement.hall_id,
        ),
    )
    is_for_all = ExamAnnouncement.hall_id.is_(None) & ExamAnnouncement.slot_id.is_(None)
    concerns_sitting = or_(
        ExamAnnouncement.sitting_id == sitting.id,
        ExamAnnouncement.sitting_id.is_(None) & or_(is_for_all, sitting_at_condition(at_slot)),
    )
    query = (
        select(ExamAnnouncement)
        .join(
            Assessment,
            (Assessment.tenant_id == ExamAnnouncement.tenant_id)
            & (Assessment.assessor_id == ExamAnnouncement.organisation_id),
        )
        .join(
            Sitting,
            (Sitting.tenant_id == Assessment.tenant_id) & (Sitting.assessment_id == Assessment.id),
        )
        .where(
            Assessment.id == sitting.assessment_id,
            Sitting.id == sitting.id,
            ExamAnnouncement.announced_at >= sitting.opened_at - BEFORE_SITTING,
            ExamAnnouncement.announced_at > clock.now() - VALID_FOR,
            ExamAnnouncement.withdrawn_at.is_(None),
            concerns_sitting,
        )
        .order_by(ExamAnnouncement.announced_at.desc())
        .limit(MAX_PER_SITTING)
    )
    return [_as_json(announcement) for announcement in reversed(db.session.scalars(query).all())]


def _validate(text: str) -> str:
    """The text with single spaces for all white space, as it is told. Raises InvalidInput (field "text") if
    it is empty or longer than MAX_TEXT_LENGTH."""
    text = " ".join(text.split())
    if not text:
        raise InvalidInput("请填写要告诉医师的内容。", "text")
    if len(text) > MAX_TEXT_LENGTH:
        raise InvalidInput(
            f"通知请不要超过{MAX_TEXT_LENGTH}字，现有{len(text)}字。",
            "text",
        )
    return text


def _place_of(location: Location | None) -> dict[str, UUID]:
    """The columns of an announcement that say where it is told: none for all places."""
    if location is None:
        return {}
    kind, _, place_id = location.code.partition("-")
    return {f"{kind}_id": UUID(place_id)}


def _organisations_of(
    monitoring_filter: MonitoringFilter,
) -> list[UUID]:
    """The organisations in whose name it is told: that of the location, else those of the scope. Raises
    NotFound for a location outside the scope, and without a location for a scope that names no
    organisations."""
    location = monitoring_filter.location
    if location is None:
        organisation_ids = list(monitoring_filter.scope.assessor_ids)
    else:
        table = Hall if location.code.startswith("hall-") else Slot
        place_id = next(iter(_place_of(location).values()))
        query = select(table.organisation_id).where(
            table.id == place_id,
            scope_condition(
                monitoring_filter.scope,
                assessor=table.organisation_id,
            ),
        )
        organisation_ids = list(db.session.scalars(query))
    if not organisation_ids:
        raise NotFound
    return organisation_ids


def _sitting_ids_to_inform(
    announcement: ExamAnnouncement,
    monitoring_filter: MonitoringFilter,
) -> list[UUID]:
    """The ids of the sittings whose pages have to learn that an announcement is taken back: the one it was
    for, else the open ones that the filter lets through (also those that never had it, which ignore it)."""
    if announcement.sitting_id is not None:
        return [announcement.sitting_id]
    return open_sitting_ids(monitoring_filter)


def _own_condition(scope: Grant) -> ColumnElement[bool]:
    """The condition that an ExamAnnouncement is of an organisation of `scope`; of any for the province."""
    if scope.is_province:
        return scope_condition(scope)
    return in_array(ExamAnnouncement.organisation_id, scope.assessor_ids)


def _as_json(
    announcement: ExamAnnouncement,
) -> dict[str, Any]:
    """An announcement for js/sitting.js: id, text, when (as 14:05 in Beijing), whether it was taken back."""
    return {
        "id": str(announcement.id),
        "text": announcement.text,
        "at": f"{clock.to_beijing(announcement.announced_at):%H:%M}",
        "withdrawn": announcement.withdrawn_at is not None,
    }


def _log(
    announcement: ExamAnnouncement,
    verb: str,
    *,
    by: Actor,
    **details: Any,
) -> None:
    """Write the journal entry of an announcement."""
    journal.write_entry(
        "exam_announcement",
        announcement.id,
        verb,
        by=by,
        **details,
    )


def _deliver(sitting_ids: Iterable[UUID], content: dict[str, Any]) -> None:
    """Append an announcement to the lists that the heartbeats of these sittings read; each keeps its last
    MAX_PER_SITTING, for VALID_FOR. If Valkey is away nothing happens: pages then learn of it when they ask
    how the sitting stands."""
    encoded = json.dumps(content, ensure_ascii=False)
    cache: redis.Redis = current_app.extensions["redis"]
    try:
        for batch in split_into_batches(sitting_ids, PIPELINE_SIZE):
            pipeline = cache.pipeline(transaction=False)
            for key in (cache_key(ANNOUNCEMENTS_KEY, sitting_id) for sitting_id in batch):
                pipeline.rpush(key, encoded)
                pipeline.ltrim(key, -MAX_PER_SITTING, -1)
                pipeline.expire(key, VALID_FOR)
            pipeline.execute()
    except redis.RedisError:
        return
