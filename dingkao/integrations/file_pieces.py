"""Large files in the store: a file on disk is stored in pieces, each encrypted by itself, and read piece by
piece, so that no process ever holds a whole file."""

from pathlib import Path
from uuid import UUID, uuid5

from dingkao.integrations.storage import current_store

STORE_KIND = "file-piece"
PIECE_BYTES = 4 * 1024 * 1024


def save_pieces(file_id: UUID, path: Path) -> int:
    """Store the file at `path` under `file_id`, and return the number of its pieces, at least one. Stored
    again, its pieces replace the earlier ones; if it had more before, the rest stay. All stay after a
    rollback. Raises Unavailable; OSError if `path` can't be read."""
    number = 0
    with path.open("rb") as file:
        while (piece := file.read(PIECE_BYTES)) or number == 0:
            current_store().put(STORE_KIND, _piece_id(file_id, number), piece)
            number += 1
    return number


def load_piece(file_id: UUID, number: int) -> bytes:
    """Returns the content of piece `number` (from 0) of a file. Raises NotFound, Unavailable;
    encryption.DecryptionFailed (`storage`) if it was altered."""
    return current_store().get(STORE_KIND, _piece_id(file_id, number))


def delete_pieces(file_id: UUID, count: int) -> None:
    """Delete the first `count` pieces of a file at once, not with the transaction. Idempotent. Raises
    Unavailable."""
    for number in range(count):
        current_store().delete(STORE_KIND, _piece_id(file_id, number))


def _piece_id(file_id: UUID, number: int) -> UUID:
    """Returns the id under which piece `number` of a file is stored."""
    return uuid5(file_id, f"piece/{number}")
