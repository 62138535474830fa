"""A simulated browser: with its own cookies and IP address, it posts forms with the CSRF token of their
page."""

import re
import time
from typing import Any

import httpx2

from dingkao.demonstration.simulation.metrics import (
    Metrics,
    SimulationError,
)
from dingkao.errors import Busy

JOB_TIMEOUT_SECONDS = 300
BUSY_PAUSES_SECONDS = (2, 4, 8)
PROGRESS_MARKUP = "<progress"
_ID_PATTERN = re.compile("[0-9a-f-]{36}")
_TAG_PATTERN = re.compile("<[^>]+>")
_ALERT_PATTERN = re.compile(r'role="alert"[^>]*>(.*?)</', re.DOTALL)
_TOKEN_PATTERN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


class HttpBrowser:
    """A browser for the province `slug`. `base`: the server's URL; `number` chooses its address on a local
    server."""

    def __init__(self, base: str, slug: str, metrics: Metrics, number: int) -> None:
        transport = httpx2.HTTPTransport(local_address=_local_address(base, number))
        self.client = httpx2.Client(base_url=base, transport=transport, timeout=60)
        self.slug, self.metrics = slug, metrics
        self.token = self.current_path = ""

    def get(self, path: str) -> str:
        """Returns the page at a path of the province. Raises SimulationError for an error status."""
        return self.check_response(
            self.client.get(f"/{self.slug}{path}", follow_redirects=True),
            path,
        )

    def follow(self, address: str, name: str) -> str:
        """Returns the page of a link; `name` is the path for error messages. Raises SimulationError for an
        error status."""
        return self.check_response(self.client.get(address), name)

    def post(
        self,
        path: str,
        data: dict[str, Any] | None = None,
        *,
        page: str | None = None,
        files: Any = None,
    ) -> str:
        """Post a form of `page` (or of the last page), and return the page it leads to. If the server is
        busy, try again after some seconds. Raises SimulationError for an error status."""
        if page:
            self.get(page)
        values = {"csrf_token": self.token} | (data or {})
        response = self._post_until_served(f"/{self.slug}{path}", values, files)
        if response.status_code == 303:
            self.metrics.count()
            response = self.client.get(response.headers["location"], follow_redirects=True)
        return self.check_response(response, path)

    def _post_until_served(self, path: str, values: dict[str, Any], files: Any) -> httpx2.Response:
        """Post until the server is not busy, or BUSY_PAUSES_SECONDS are used up; returns the last
        response."""
        response = self.client.post(path, data=values, files=files)
        for pause_seconds in BUSY_PAUSES_SECONDS:
            if response.status_code != Busy.status:
                break
            self.metrics.count_busy()
            time.sleep(pause_seconds)
            response = self.client.post(path, data=values, files=files)
        return response

    def reload(self) -> str:
        """Returns the last page, fetched again. Raises SimulationError for an error status."""
        return self.check_response(self.client.get(self.current_path), self.current_path)

    def wait_for_job(self, page: str) -> str:
        """Reload the page of a job until the job has ended; returns the page. Raises SimulationError after
        JOB_TIMEOUT_SECONDS, or for an error status."""
        deadline = time.monotonic() + JOB_TIMEOUT_SECONDS
        while PROGRESS_MARKUP in page:
            if time.monotonic() > deadline:
                raise SimulationError("a job did not end")
            time.sleep(1)
            page = self.reload()
        return page

    def check_response(self, response: httpx2.Response, path: str) -> str:
        """Count a response, remember its address and its CSRF token, if it has one, and return its page.
        Raises SimulationError for an error status; `path` is named in the message."""
        self.metrics.count()
        self.current_path = response.url.path
        if response.status_code >= 400:
            alert = _ALERT_PATTERN.search(response.text)
            sentence = _TAG_PATTERN.sub("", alert[1]).strip() if alert else ""
            raise SimulationError(f"{response.status_code} at {_ID_PATTERN.sub('ID', path)}: {sentence}")
        token = _TOKEN_PATTERN.search(response.text)
        self.token = token[1] if token else self.token
        return response.text


def _local_address(base: str, number: int) -> str | None:
    """Returns a loopback address of its own for browser `number`, because rate limits count addresses; None
    if the server is on another machine."""
    if "127.0.0.1" not in base and "localhost" not in base:
        return None
    return f"127.{1 + number // 62500}.{number // 250 % 250}.{1 + number % 250}"
