"""A sign of life of a page that answers: answered before Flask begins, because thousands of pages give one every half minute.

The signed token says for which sitting, as for saving an answer; nothing is asked of the database and nothing is promised.
"""

import json
import re
from collections.abc import Iterable
from uuid import UUID
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import redis

from dingkao.blueprints.web import headers_of
from dingkao.errors import Refusal
from dingkao.exams import integrity, saving
from dingkao.settings import Settings
from dingkao.tenants.door import PROVINCE

_PLACE = re.compile(r"/sitting/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/pulse")


class PulseDoor:
    """WSGI middleware beside the door for answers: keeps POST /sitting/<id>/pulse, passes on all else."""

    def __init__(self, application: WSGIApplication, settings: Settings, cache: redis.Redis) -> None:
        self.application, self.settings, self.cache = application, settings, cache
        self.headers = [*headers_of(settings), ("Content-Type", "application/json"), ("Cache-Control", "no-store")]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer whether the page is to ask how its sitting stands; where the cache is away, that it needn't."""
        place = _PLACE.fullmatch(environ["PATH_INFO"]) if environ["REQUEST_METHOD"] == "POST" and PROVINCE in environ else None
        if place is None:
            return self.application(environ, start_response)
        status, look = "200 OK", False
        try:
            token = saving.read_token(environ.get("HTTP_X_SITTING", ""), self.settings.secret_key)
            if token.sitting != UUID(place[1]):
                raise saving.Malformed("作答页面已失效,请刷新页面。")
            look = integrity.alive(self.cache, token.sitting)
        except Refusal:
            status = "400 Bad Request"
        except redis.RedisError:
            look = False
        body = json.dumps({"look": look}).encode()
        start_response(status, [*self.headers, ("Content-Length", str(len(body)))])
        return [body]
