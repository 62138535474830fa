"""Long lists as files, made by a job of chunks: it stores the rows in encrypted parts, writes them to a file
on disk at the end, and stores that in pieces, so that memory does not grow with the list. Files are deleted
after FILE_LIFETIME. A room describes its list with an `Export`; lists of people: `export_requests`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select

from dingkao import clock
from dingkao.database.base import db
from dingkao.errors import NotFound
from dingkao.integrations import file_pieces, job_parts
from dingkao.integrations.spreadsheets.xlsx_writer import private_temp_dir
from dingkao.integrations.storage import current_store
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job

BATCH_SIZE, MAX_INLINE_ROWS = 2_000, 1_000
FILE_LIFETIME = timedelta(days=7)
FILES_PER_ROUND = 50
FILE_KIND, ROWS_SERIES = "sheet", "rows"
EXPIRED_MESSAGE = f"文件只保留{FILE_LIFETIME.days}天，已经删除。需要时请重新导出。"
ExportCursor = list[str] | None
Rows = list[Any]


@dataclass(frozen=True)
class Export:
    """A list that can be downloaded as a file. `job`: the job's name. The functions take the id of the list's
    subject: `file_name` returns the name of the file; `count` the number of rows; `fetch_rows` at most so
    many rows after a cursor (None: from the beginning), and the next cursor (None after the last);
    `write_file` writes the rows to a path."""

    job: str
    file_name: Callable[[UUID], str]
    count: Callable[[UUID], int]
    fetch_rows: Callable[[UUID, ExportCursor, int], tuple[Rows, ExportCursor]]
    write_file: Callable[[UUID, Iterator[Any], Path], None]

    def __post_init__(self) -> None:
        """Register the list's job, which deletes the stored parts if it is cancelled."""
        worker.register_chunked_job(self.job, undo=_on_cancel)(self.step)

    def is_short(self, subject: UUID) -> bool:
        """Whether the list has at most MAX_INLINE_ROWS rows, so that its file may be built within a request.
        Raises what `count` raises."""
        return self.count(subject) <= MAX_INLINE_ROWS

    def enqueue(self, subject: UUID, title: str, *, by: UUID | None) -> Job:
        """Enqueue the job that builds the file of a long list; `title`: what the list of jobs shows; `by`:
        the account for which it is. Whether one like it is under way isn't asked."""
        return enqueueing.enqueue(
            self.job,
            title,
            {"subject": str(subject)},
            by=by,
            subject=subject,
        )

    def step(self, job: Job, cursor: Cursor) -> Chunk:
        """One step of the job: store the next rows as a part, or after the last write the parts to the file,
        then delete the parts. What has been stored stays, even if the transaction is rolled back, and is
        replaced when the step runs again. Raises NotFound for an empty list, Unavailable, and what the list's
        functions raise."""
        if cursor.get("forget"):
            job_parts.delete_parts(job.id, ROWS_SERIES, range(cursor["parts"]))
            return Chunk(None)
        if cursor.get("whole"):
            return self._write_parts(job, cursor["parts"])
        return self._save_next_part(job, cursor)

    def _write_parts(self, job: Job, number: int) -> Chunk:
        """Write the file from all `number` parts, store it and note when it expires. Raises Unavailable, and
        what the list's functions raise."""
        subject = _subject_of(job)
        parts = job_parts.iter_parts(job.id, ROWS_SERIES, range(number))
        with private_temp_dir() as folder:
            path = folder / "file"
            self.write_file(subject, parts, path)
            stored_file = {"pieces": file_pieces.save_pieces(job.id, path), "bytes": path.stat().st_size}
        job.file_expires_at = clock.now() + FILE_LIFETIME
        return Chunk(
            {"parts": number, "forget": True},
            result={FILE_KIND: self.file_name(subject)} | stored_file,
        )

    def _save_next_part(self, job: Job, cursor: Cursor) -> Chunk:
        """Store the next rows, at most BATCH_SIZE, as a part; the first time they are counted, too. Raises
        NotFound if the list is empty, Unavailable, and what the list's functions raise."""
        number, subject = cursor.get("parts", 0), _subject_of(job)
        total = None if cursor else self.count(subject)
        list_rows, last_key = self.fetch_rows(subject, cursor.get("after"), BATCH_SIZE)
        if not list_rows and not number:
            raise NotFound("清单中没有内容。")
        if list_rows:
            job_parts.save_part(job.id, ROWS_SERIES, number, list_rows)
            number += 1
        return Chunk(
            _next_cursor(number, last_key),
            done=len(list_rows),
            total=total,
        )


def _next_cursor(number: int, last_key: ExportCursor) -> Cursor:
    """The job's cursor after `number` parts; `last_key` is None after the last row."""
    return {"parts": number} | ({"after": last_key} if last_key else {"whole": True})


def _subject_of(job: Job) -> UUID:
    return UUID(job.arguments["subject"])


def _on_cancel(_job: Job, cursor: Cursor) -> Cursor | None:
    """The cursor from which a cancelled job deletes its stored parts; None if there are none."""
    return {"parts": cursor["parts"], "forget": True} if cursor.get("parts") else None


def require_file(job: Job) -> str:
    """The name of the file that a job has built. Raises NotFound if there is none, or none any more."""
    result = job.result or {}
    if result.get("expired"):
        raise NotFound(EXPIRED_MESSAGE)
    if not result.get(FILE_KIND):
        raise NotFound("这项任务没有可下载的表格。")
    return str(result[FILE_KIND])


def piece_count(job: Job) -> int:
    """The number of pieces in which a job's file is read; 1 for a file from before there were pieces, and
    without a file."""
    return int((job.result or {}).get("pieces", 1))


def load_file_piece(job: Job, number: int) -> bytes:
    """Piece `number` (from 0) of the file that a job has built; files built before pieces were have one.
    Raises NotFound, Unavailable; encryption.DecryptionFailed (`storage`) if it was altered."""
    if "pieces" not in (job.result or {}):
        return current_store().get(FILE_KIND, job.id)
    return file_pieces.load_piece(job.id, number)


def delete_expired_files() -> int:
    """The scheduled task that deletes files older than FILE_LIFETIME, FILES_PER_ROUND at most, the oldest
    first, without those of jobs that are locked; returns how many. They are gone from the store at once,
    before the commit. Raises Unavailable."""
    expired_query = (
        select(Job)
        .where(Job.file_expires_at <= clock.now())
        .order_by(Job.file_expires_at)
        .limit(FILES_PER_ROUND)
        .with_for_update(skip_locked=True)
    )
    expired_jobs = db.session.scalars(expired_query).all()
    for job in expired_jobs:
        file_pieces.delete_pieces(job.id, piece_count(job))
        current_store().delete(FILE_KIND, job.id)
        job.file_expires_at, job.result = None, dict(job.result or {}) | {"expired": True}
    return len(expired_jobs)
