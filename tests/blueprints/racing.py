"""Acts of two people at once: at the same moment, or one held at a known place while the other acts."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

SECONDS = 20
"""How long anybody waits for anybody before the test fails."""


def together(*acts: Callable[[], Any]) -> list[Any]:
    """Do all at the same moment; their results."""
    barrier = threading.Barrier(len(acts), timeout=SECONDS)

    def run(act: Callable[[], Any]) -> Any:
        barrier.wait()
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


@dataclass
class HeldAct:
    """An act that waits at a known place (`held`) until it is let go."""

    result: Future[Any]
    _let_go: threading.Event

    def let_go(self) -> Any:
        """Let it go on; its result."""
        self._let_go.set()
        return self.result.result(SECONDS)


@contextmanager
def held(module: Any, name: str, act: Callable[[], Any], *, after: bool = False) -> Iterator[HeldAct]:
    """Begin an act and hold it where it calls `module.name` for the first time, before the call or `after` it;
    whoever calls that later is not held. At the end of the block it is let go."""
    function, reached, go_on = getattr(module, name), threading.Event(), threading.Event()
    is_first = threading.Lock()

    def waiting(*arguments: Any, **keywords: Any) -> Any:
        if not is_first.acquire(blocking=False):
            return function(*arguments, **keywords)
        result = function(*arguments, **keywords) if after else None
        reached.set()
        assert go_on.wait(SECONDS)
        return result if after else function(*arguments, **keywords)

    with patch.object(module, name, waiting), ThreadPoolExecutor(1) as pool:
        future = pool.submit(act)
        try:
            future.add_done_callback(lambda _over: reached.set())
            assert reached.wait(SECONDS)
            assert not future.done(), future.result()
            yield HeldAct(future, go_on)
        finally:
            go_on.set()


@contextmanager
def begun(act: Callable[[], Any]) -> Iterator[Future[Any]]:
    """An act that has begun in a thread of its own; over at the end of the block."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(act)


def is_waiting(future: Future[Any], seconds: float = 0.25) -> bool:
    """Whether an act is not over after this while: it waits for a lock."""
    return not wait([future], timeout=seconds).done
