"""Saving an answer, the hot path: answered before Flask begins, because Flask alone would cost more than all the rest of it (design.md).

The door has entered the province; the signed token in the header says for which sitting, and no cookie is looked at, so that no other
site can make use of one. The one statement in `exams/saving.py` checks everything else.
"""

import json
import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any
from uuid import UUID
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import structlog

from dingkao import clock
from dingkao.blueprints.web import headers_of
from dingkao.errors import Refusal, Unavailable
from dingkao.exams import saving
from dingkao.settings import Settings
from dingkao.tenants.door import PROVINCE

LONGEST = 2_000
FINAL = (400, 404, 409)
_PLACE = re.compile(r"/sitting/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/answer")
log = structlog.get_logger()


def address_of(script_root: str, sitting_id: UUID) -> str:
    """Where the page of a sitting sends its answers."""
    return f"{script_root}/sitting/{sitting_id}/answer"


class AnswerDoor:
    """WSGI middleware between the province's door and the application: keeps POST /sitting/<id>/answer, passes on all else."""

    def __init__(self, application: WSGIApplication, settings: Settings) -> None:
        self.application, self.settings = application, settings
        self.headers = [*headers_of(settings), ("Content-Type", "application/json"), ("Cache-Control", "no-store")]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer with what was kept and the server's time, or with a sentence and whether trying again is of no use."""
        place = _PLACE.fullmatch(environ["PATH_INFO"]) if environ["REQUEST_METHOD"] == "POST" and PROVINCE in environ else None
        if place is None:
            return self.application(environ, start_response)
        status, told = self._save(UUID(place[1]), environ)
        body = json.dumps(told).encode()
        start_response(f"{status} {HTTPStatus(status).phrase}", [*self.headers, ("Content-Length", str(len(body)))])
        return [body]

    def _save(self, sitting_id: UUID, environ: WSGIEnvironment) -> tuple[int, dict[str, Any]]:
        try:
            token = saving.read_token(environ.get("HTTP_X_SITTING", ""), self.settings.secret_key)
            if token.sitting != sitting_id:
                raise saving.Malformed("作答页面已失效,请刷新页面。")
            word = saving.save(self.settings.database_url, token, _given(environ))
        except Refusal as refusal:
            return refusal.status, {"error": refusal.sentence, "final": refusal.status in FINAL}
        except Exception as fault:  # whatever it is, the page keeps the answer and sends it again
            log.error("answer.broken", kind=type(fault).__name__)
            return Unavailable.status, {"error": saving.AWAY, "final": False}
        return 200, {"kept": word, "now": int(clock.now().timestamp() * 1000)}


def _given(environ: WSGIEnvironment) -> Any:
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        return json.loads(environ["wsgi.input"].read(length)) if 0 < length <= LONGEST else None
    except (ValueError, RecursionError):
        return None
