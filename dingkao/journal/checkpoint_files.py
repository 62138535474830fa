"""The files of checkpoints (`checkpoints`) in the object store: the head, batches and volumes, each signed
with a key that the database never sees.

A file has a signature (64 bytes), the length of the header (4 bytes, big-endian), the header (JSON) and the
records (64 bytes each).
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple
from uuid import UUID

from dingkao import clock
from dingkao.errors import NotFound
from dingkao.integrations.storage import ObjectStore, current_store
from dingkao.journal.ledgers import current_ledger
from dingkao.tenants.encryption import DecryptionFailed, current_vault

HEAD_KIND = "journal-head"
BATCH_KIND = "journal-batch"
VOLUME_KIND = "journal-volume"
RECORD_BYTES, SIGNATURE_BYTES, LENGTH_BYTES = 64, 64, 4


class InvalidCheckpoint(ValueError):  # noqa: N818
    """A file in the store is missing or was altered; the message (Chinese) says which."""


class CheckpointRecord(NamedTuple):
    """The record of one entry in a batch or volume: ids of entry and subject (16 bytes each), and the entry's
    digest (32)."""

    entry: UUID
    subject: UUID
    digest: bytes


@dataclass(frozen=True)
class CheckpointHeader:
    """The header of a batch or volume, which lists the entries with `after` < id <= `until`.

    `count`: number of records; `root`: their Merkle root (hex); `previous`: digest of the header of the
    preceding file of the same kind ("" for the first). For a volume, `first` and `last` are the numbers of
    the batches merged into it, and `tip` is the digest of the header of the last one.
    """

    province: int
    kind: str
    number: int
    after: UUID
    until: UUID
    count: int
    root: str
    previous: str
    first: int
    last: int
    tip: str
    at: str

    def digest(self) -> str:
        """Returns the SHA-256 digest of the header (hex), which the next file has as `previous`."""
        return hashlib.sha256(_header_text(self)).hexdigest()


@dataclass(frozen=True)
class CheckpointHead:
    """How far the checkpoints go.

    `number`: the last batch (0: none); `folded`: the last batch merged into a volume; `volumes`: number of
    volumes; `until`: id of the last entry listed; `entries`: how many are listed; `tip` and `bound`: digests
    of the headers of the last batch and volume; `since`: time of the first checkpoint, `at`: time of this
    file (ISO 8601).
    """

    province: int
    number: int
    folded: int
    volumes: int
    until: UUID
    entries: int
    tip: str
    bound: str
    since: str
    at: str


def load_head() -> CheckpointHead | None:
    """Returns the head, or None if there is no checkpoint yet. Raises InvalidCheckpoint, Unavailable."""
    head_file = _load_raw(HEAD_KIND, 0)
    if head_file is None:
        return None
    values, _ = head_file
    return CheckpointHead(**(values | {"until": UUID(values["until"])}))


def save_head(head: CheckpointHead) -> None:
    """Store the head with the current time. Raises Unavailable."""
    save_file(HEAD_KIND, 0, replace(head, at=now_text()), ())


def save_file(
    kind: str,
    number: int,
    header: CheckpointHeader | CheckpointHead,
    records: Sequence[CheckpointRecord],
) -> None:
    """Sign and store a file, replacing one of the same kind and number. Raises Unavailable."""
    header_bytes = _header_text(header)
    signature = current_vault().sign(kind, header_bytes, platform=current_ledger().is_platform)
    length = len(header_bytes).to_bytes(LENGTH_BYTES, "big")
    body = b"".join(map(_record_bytes, records))
    _store().put(
        kind,
        UUID(int=number),
        signature + length + header_bytes + body,
    )


def _record_bytes(record: CheckpointRecord) -> bytes:
    """Returns the 64 bytes of a record."""
    return record.entry.bytes + record.subject.bytes + record.digest


def _record_at(body: bytes, position: int) -> CheckpointRecord:
    """Returns the record that begins at the byte `position` of a file's records."""
    entry = body[position : position + 16]
    subject = body[position + 16 : position + 32]
    return CheckpointRecord(
        UUID(bytes=entry),
        UUID(bytes=subject),
        body[position + 32 : position + RECORD_BYTES],
    )


def delete_batch(number: int) -> None:
    """Delete a batch that is merged into a volume. Raises Unavailable."""
    _store().delete(BATCH_KIND, UUID(int=number))


def load_file(kind: str, number: int) -> tuple[CheckpointHeader, list[CheckpointRecord]]:
    """Returns header and records of a batch or volume. Raises InvalidCheckpoint if it is missing or was
    altered, Unavailable."""
    raw_file = _load_raw(kind, number)
    if raw_file is None:
        raise InvalidCheckpoint(f"{_object_id(kind, number)}缺失")
    values, body = raw_file
    header = CheckpointHeader(**(values | {name: UUID(values[name]) for name in ("after", "until")}))
    records = [_record_at(body, position) for position in range(0, len(body), RECORD_BYTES)]
    stated = header.kind, header.number, header.count, header.root
    if stated != (kind, number, len(records), merkle_root(records)):
        raise InvalidCheckpoint(f"{_object_id(kind, number)}与签名不符")
    return header, records


def merkle_root(records: Sequence[CheckpointRecord]) -> str:
    """Returns the root (hex) of the records' Merkle tree, as in RFC 6962."""
    level = [hashlib.sha256(b"\0" + _record_bytes(record)).digest() for record in records]
    while len(level) > 1:
        pairs = [_node_hash(level[left], level[left + 1]) for left in range(0, len(level) - 1, 2)]
        level = pairs + level[2 * len(pairs) :]
    return (level[0] if level else hashlib.sha256().digest()).hex()


def _node_hash(left_child: bytes, right_child: bytes) -> bytes:
    """The hash of an inner node of the Merkle tree."""
    return hashlib.sha256(b"\1" + left_child + right_child).digest()


def _load_raw(kind: str, number: int) -> tuple[dict[str, Any], bytes] | None:
    """Returns the header's values and the records' bytes of a file with a valid signature; None if there is
    no file. Raises InvalidCheckpoint, Unavailable."""
    try:
        content = _store().get(kind, UUID(int=number))
    except NotFound:
        return None
    except DecryptionFailed as fault:
        raise InvalidCheckpoint(f"{_object_id(kind, number)}无法打开，可能已被改动") from fault
    header_start = SIGNATURE_BYTES + LENGTH_BYTES
    header_end = header_start + int.from_bytes(content[SIGNATURE_BYTES:header_start], "big")
    signature = content[:SIGNATURE_BYTES]
    header_bytes = content[header_start:header_end]
    if not current_vault().is_signed(
        kind,
        header_bytes,
        signature,
        platform=current_ledger().is_platform,
    ):
        raise InvalidCheckpoint(f"{_object_id(kind, number)}签名无效")
    return json.loads(header_bytes), content[header_end:]


def _store() -> ObjectStore:
    """Returns the store of the current ledger's files."""
    return current_store().platform_store() if current_ledger().is_platform else current_store()


def _header_text(header: CheckpointHeader | CheckpointHead) -> bytes:
    """Returns the header as JSON, always the same for the same values, because it is signed."""
    return json.dumps(asdict(header), default=str, sort_keys=True).encode()


def _object_id(kind: str, number: int) -> str:
    """Returns the Chinese name of a file for messages."""
    return {
        HEAD_KIND: "封存首记录",
        BATCH_KIND: f"第{number}号封存记录",
        VOLUME_KIND: f"第{number}卷封存记录",
    }[kind]


def now_text() -> str:
    """Returns the current time as headers have it."""
    return clock.now().isoformat(timespec="seconds")
