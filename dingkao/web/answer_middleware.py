"""Saves an answer of an exam: the most frequent request, handled before Flask, which alone would cost more
than everything else (architecture.md «The save path»).

The province middleware has set the province. A signed token in a header names the sitting. No cookie is read,
so that another site can't misuse one. The single statement in `exams/answer_saving` checks everything else.
"""

import json
import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any
from uuid import UUID
from wsgiref.types import (
    StartResponse,
    WSGIApplication,
    WSGIEnvironment,
)

import structlog

from dingkao import clock
from dingkao.config import AppConfig
from dingkao.errors import Refusal, Unavailable
from dingkao.exams import answer_saving
from dingkao.tenants.middleware import PROVINCE_KEY
from dingkao.web.request_lifecycle import security_headers

MAX_BODY_BYTES = 2_000
NO_RETRY_STATUSES = (400, 404, 409)
_PATH_PATTERN = re.compile(r"/sitting/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/answer")
log = structlog.get_logger()


def answer_url(script_root: str, sitting_id: UUID) -> str:
    """The URL to which the page of a sitting sends answers."""
    return f"{script_root}/sitting/{sitting_id}/answer"


def sitting_of_request(pattern: re.Pattern[str], environ: WSGIEnvironment) -> UUID | None:
    """The sitting's id in the path of a POST within a province that matches `pattern`, whose first group is
    the id; None for any other request."""
    if environ["REQUEST_METHOD"] != "POST" or PROVINCE_KEY not in environ:
        return None
    matched = pattern.fullmatch(environ["PATH_INFO"])
    return UUID(matched[1]) if matched else None


def require_token_of(token: answer_saving.SaveToken, sitting_id: UUID) -> None:
    """Raise MalformedAnswer if the token belongs to another sitting."""
    if token.sitting != sitting_id:
        raise answer_saving.MalformedAnswer("作答页面已失效，请刷新页面。")


class AnswerMiddleware:
    """WSGI middleware between the province middleware and the application: handles POST /sitting/<id>/answer
    and passes on all other requests."""

    def __init__(self, application: WSGIApplication, config: AppConfig) -> None:
        self.application, self.config = application, config
        self.headers = [
            *security_headers(config),
            ("Content-Type", "application/json"),
            ("Cache-Control", "no-store"),
        ]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Respond with JSON: with status 200 whether the answer was saved or a newer one was there (`kept`,
        what `save_answer` returns) and the server's time in milliseconds since 1970 (`now`), else a message
        (`error`), whether sending again is useless (`final`), and for AnswerRefused its reason
        (`refused`)."""
        sitting_id = sitting_of_request(_PATH_PATTERN, environ)
        if sitting_id is None:
            return self.application(environ, start_response)
        status, content = self._save(sitting_id, environ)
        body = json.dumps(content).encode()
        start_response(
            f"{status} {HTTPStatus(status).phrase}",
            [*self.headers, ("Content-Length", str(len(body)))],
        )
        return [body]

    def _save(self, sitting_id: UUID, environ: WSGIEnvironment) -> tuple[int, dict[str, Any]]:
        """Save the answer in the body; return the status and the content of the response. Raises nothing but
        RoleTooPowerful, which ends the process: an error in the program becomes Unavailable, and is
        logged."""
        try:
            token = answer_saving.read_token(
                environ.get("HTTP_X_SITTING", ""),
                self.config.secret_key,
            )
            require_token_of(token, sitting_id)
            word = answer_saving.save_answer(self.config.database_url, token, _read_body(environ))
        except answer_saving.AnswerRefused as refusal:
            return refusal.status, {
                "error": refusal.message,
                "final": True,
                "refused": refusal.why,
            }
        except Refusal as refusal:
            return refusal.status, {
                "error": refusal.message,
                "final": refusal.status in NO_RETRY_STATUSES,
            }
        except Exception as error:  # on any error the page keeps the answer and sends it again
            log.error("answer.broken", kind=type(error).__name__)
            return Unavailable.status, {
                "error": answer_saving.UNAVAILABLE_MESSAGE,
                "final": False,
            }
        return 200, {
            "kept": word,
            "now": int(clock.now().timestamp() * 1000),
        }


def _read_body(environ: WSGIEnvironment) -> Any:
    """The JSON in the body; None if it is no JSON, empty, or longer than MAX_BODY_BYTES."""
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        return json.loads(environ["wsgi.input"].read(length)) if 0 < length <= MAX_BODY_BYTES else None
    except (ValueError, RecursionError):
        return None
