"""The blueprint of exam monitoring, and what its views have in common."""

from uuid import UUID

from flask import current_app
from flask_login import current_user

from dingkao.blueprints.console.navigation import console_blueprint
from dingkao.cycles.cycles import current_cycle
from dingkao.exams import integrity_events
from dingkao.exams.monitoring import MonitoringFilter

exam_monitoring = console_blueprint("exam_monitoring")


def filter_for(action: str) -> MonitoringFilter:
    """The filter of the current cycle's sittings that the current user reaches with `action`, at every
    location; its cycle is None before the first."""
    return MonitoringFilter(current_cycle(), current_user.grant(action))


def request_recheck(sitting_id: UUID) -> None:
    """Let the pages of a sitting request its state soon (in the response to their next heartbeat), whether
    the request is committed or not. If the cache doesn't respond, redis.RedisError ends the request (503,
    rolled back)."""
    integrity_events.request_recheck(current_app.extensions["redis"], sitting_id)


def parse_uuid(text: str) -> UUID | None:
    """The id in a text; None if it is no id."""
    try:
        return UUID(text)
    except ValueError:
        return None
