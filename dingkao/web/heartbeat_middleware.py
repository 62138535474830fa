"""Heartbeats of the pages of sittings, handled before Flask because thousands of pages send one every half
minute.

A signed token names the sitting, as when an answer is saved. A heartbeat counts only while the database
responds too (each process checks that every few seconds), so that silence means that answers couldn't be
saved either. Heartbeats are not guaranteed to be stored.
"""

import json
import re
from collections.abc import Iterable
from typing import Any
from uuid import UUID
from wsgiref.types import (
    StartResponse,
    WSGIApplication,
    WSGIEnvironment,
)

import redis

from dingkao.config import AppConfig
from dingkao.errors import Refusal
from dingkao.exams import answer_saving, integrity_events
from dingkao.exams.integrity_events import HeartbeatReply
from dingkao.web.answer_middleware import (
    require_token_of,
    sitting_of_request,
)
from dingkao.web.request_lifecycle import security_headers

_PATH_PATTERN = re.compile(r"/sitting/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/pulse")


class HeartbeatMiddleware:
    """WSGI middleware beside the one for answers: handles POST /sitting/<id>/pulse and passes on all other
    requests."""

    def __init__(
        self,
        application: WSGIApplication,
        config: AppConfig,
        cache: redis.Redis,
    ) -> None:
        self.application, self.config, self.cache = (
            application,
            config,
            cache,
        )
        self.headers = [
            *security_headers(config),
            ("Content-Type", "application/json"),
            ("Cache-Control", "no-store"),
        ]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Respond with JSON: `look` is whether the page should request the state of its sitting; false if the
        database or the cache does not respond, and with status 400 for an invalid token. `announcements`, if
        there are any, are shown by the page."""
        sitting_id = sitting_of_request(_PATH_PATTERN, environ)
        if sitting_id is None:
            return self.application(environ, start_response)
        status, heartbeat = self._record(sitting_id, environ)
        reply: dict[str, Any] = {"look": heartbeat.has_to_look}
        if heartbeat.announcements:
            reply["announcements"] = [json.loads(announcement) for announcement in heartbeat.announcements]
        body = json.dumps(reply).encode()
        start_response(
            status,
            [*self.headers, ("Content-Length", str(len(body)))],
        )
        return [body]

    def _record(self, sitting_id: UUID, environ: WSGIEnvironment) -> tuple[str, HeartbeatReply]:
        """Record a heartbeat while the database responds; return the status line of the response, and what
        the page is told (nothing if no heartbeat was recorded). Raises neither refusals nor errors of the
        cache."""
        heartbeat = HeartbeatReply()
        try:
            token = answer_saving.read_token(
                environ.get("HTTP_X_SITTING", ""),
                self.config.secret_key,
            )
            require_token_of(token, sitting_id)
            if answer_saving.is_database_available(self.config.database_url):
                heartbeat = integrity_events.record_heartbeat(self.cache, sitting_id)
        except Refusal:
            return "400 Bad Request", heartbeat
        except redis.RedisError:
            return "200 OK", heartbeat
        return "200 OK", heartbeat
