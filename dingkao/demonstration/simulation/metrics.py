"""The counts of a simulation, and the error that ends one of its steps."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


class SimulationError(RuntimeError):
    """An unexpected response. The message names the path and contains no personal data."""


@dataclass
class Metrics:
    """Counts of all browsers: `requests`, and of them `busy` (refused because the server was busy); `errors`:
    messages; `phases`: name → seconds."""

    requests: int = 0
    busy: int = 0
    errors: list[str] = field(default_factory=list)
    phases: dict[str, float] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure the seconds of the block as phase `name`."""
        started_at = time.monotonic()
        yield
        self.phases[name] = round(time.monotonic() - started_at, 2)

    def count(self) -> None:
        """Count one request."""
        with self.lock:
            self.requests += 1

    def count_busy(self) -> None:
        """Count one request that was refused because the server was busy."""
        with self.lock:
            self.requests += 1
            self.busy += 1
