"""Jobs about a whole province, run in chunks. Each chunk is one transaction, which stores its work together
with the cursor of the next chunk.

A function does one chunk: it gets the job's row and the cursor, and returns a `Chunk`. Its changes and the
new cursor are committed together, so that each chunk counts exactly once, even if the worker is killed.
Between two chunks a job can be paused or cancelled. After MAX_TURN_SECONDS it is queued again behind the
other jobs, for hours if necessary.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dingkao.errors import Refusal
from dingkao.jobs.models import Job

MAX_TURN_SECONDS = 20.0
MAX_NAMES, MAX_REASONS, MAX_SENTENCE_LENGTH = 200, 50, 300
OTHER_REASONS_LABEL = "其他原因"
Cursor = dict[str, Any]


@dataclass(frozen=True)
class Chunk:
    """The result of one chunk.

    `cursor` (JSON): where the next chunk begins, None at the end. `done`: how many of `total` items this
    chunk handled; `total` is set by the chunk that counts them, usually the first. The job's result adds up
    `counts` and `reasons` (reason → number of items left out), lists up to MAX_NAMES of `names` (name,
    reason), and takes the keys of `result` with their latest values.
    """

    cursor: Cursor | None
    done: int = 0
    total: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    names: Sequence[tuple[str, str]] = ()
    result: Mapping[str, Any] = field(default_factory=dict)


ChunkStep = Callable[[Job, Cursor], Chunk]
ChunkUndo = Callable[[Job, Cursor], Cursor | None]


def no_undo(_job: Job, _cursor: Cursor) -> None:
    """The default for a cancelled job: nothing is undone; what its chunks have committed stays."""


@dataclass(frozen=True)
class ChunkedWork:
    """The functions of a chunked job. `undo` returns the cursor from which a cancelled job undoes its work,
    or None if nothing is to be undone; it raises InvalidState if the job can no longer be cancelled."""

    step: ChunkStep
    undo: ChunkUndo = no_undo


class RetryLater(Refusal):
    """The next chunk can't be done now, for a temporary reason. The job shows this sentence, waits and is
    tried again, as long as it takes."""

    status = 503


def apply_chunk(job: Job, chunk: Chunk) -> None:
    """Add the result of a chunk to its job's locked row: cursor, progress, result. Doesn't commit, and leaves
    the state."""
    job.cursor, job.done = chunk.cursor, job.done + chunk.done
    job.total = chunk.total if chunk.total is not None else job.total
    job.result = _add_to_result(dict(job.result or {}), chunk)


def _add_to_result(result: dict[str, Any], chunk: Chunk) -> dict[str, Any]:
    """Returns the job's result (`result`, which may be changed) with that of the chunk added."""
    for name, number in chunk.counts.items():
        result[name] = result.get(name, 0) + number
    if chunk.reasons:
        result["reasons"] = _most_frequent(Counter(result.get("reasons", {})) + Counter(chunk.reasons))
    if chunk.names:
        names = [*result.get("names", []), *map(list, chunk.names)]
        result["names"] = names[:MAX_NAMES]
    return result | dict(chunk.result)


def _most_frequent(reasons: Counter[str]) -> dict[str, int]:
    """Returns the MAX_REASONS most frequent reasons, and the sum of the others: a reason may name an
    institution, and there are thousands."""
    by_sentence = Counter[str]()
    for sentence, number in reasons.items():
        by_sentence[sentence[:MAX_SENTENCE_LENGTH]] += number
    other_count = by_sentence.pop(OTHER_REASONS_LABEL, 0)
    most_frequent = dict(by_sentence.most_common(MAX_REASONS))
    other_count += by_sentence.total() - sum(most_frequent.values())
    return most_frequent | ({OTHER_REASONS_LABEL: other_count} if other_count else {})
