"""Rows that a chunked job stores between its chunks: encrypted in the object store, each part under job id,
series and number, so that a part that is written again replaces itself."""

import pickle
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID, uuid5

from dingkao.integrations.sandbox.plain_data import load_plain_data
from dingkao.integrations.storage import current_store

STORE_KIND = "job-part"


def save_part(job_id: UUID, series: str, number: int, rows: Sequence[Any]) -> None:
    """Store part `number` of a series, replacing an earlier one: rows of plain data, which may include our
    dataclasses. It stays after a rollback. Raises Unavailable."""
    content = zlib.compress(pickle.dumps(list(rows)), 1)
    current_store().put(STORE_KIND, _part_id(job_id, series, number), content)


def load_part(job_id: UUID, series: str, number: int) -> list[Any]:
    """Returns the rows of a part. Raises NotFound, Unavailable, storage's DecryptionFailed if it was
    altered, pickle.UnpicklingError if they are not plain data."""
    return list(
        load_plain_data(zlib.decompress(current_store().get(STORE_KIND, _part_id(job_id, series, number))))
    )


def iter_parts(job_id: UUID, series: str, numbers: Iterable[int]) -> Iterator[Any]:
    """Yields the rows of several parts in turn; only one part at a time is in memory. Raises NotFound for one
    that isn't there, and what `load_part` raises else, while it is read."""
    for number in numbers:
        yield from load_part(job_id, series, number)


def delete_parts(job_id: UUID, series: str, numbers: Iterable[int]) -> None:
    """Delete parts from the store at once, not with the transaction. Idempotent. Raises Unavailable."""
    for number in numbers:
        current_store().delete(STORE_KIND, _part_id(job_id, series, number))


def _part_id(job_id: UUID, series: str, number: int) -> UUID:
    """Returns the id under which a part is stored."""
    return uuid5(job_id, f"{series}/{number}")
