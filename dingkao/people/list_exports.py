"""Long lists as files. A short list is built within the request; a long one by a job of chunks that stores
its rows in encrypted parts and joins them at the end. A room describes its list with an `Export`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from dingkao.errors import InvalidState, NotFound
from dingkao.integrations import job_parts
from dingkao.integrations.spreadsheets import xlsx_writer
from dingkao.integrations.storage import current_store
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal.entries import Actor

BATCH_SIZE, MAX_INLINE_ROWS = 2_000, 1_000
FILE_KIND, ROWS_SERIES = "sheet", "rows"
ExportCursor = list[str] | None
Rows = list[Any]


@dataclass(frozen=True)
class Export:
    """A list that can be downloaded as a file. `job`: the job's name; `name`: the file's name. The functions
    take the id of the list's subject: `count` returns the number of rows; `fetch_rows` at most so many rows
    after a cursor (None: from the beginning), and the next cursor (None after the last); `build_file` makes
    the file from the rows."""

    job: str
    name: str
    count: Callable[[UUID], int]
    fetch_rows: Callable[[UUID, ExportCursor, int], tuple[Rows, ExportCursor]]
    build_file: Callable[[UUID, Iterator[Any]], bytes]

    def __post_init__(self) -> None:
        worker.register_chunked_job(self.job, undo=_on_cancel)(self.step)

    def is_short(self, subject: UUID) -> bool:
        """Whether the list is short enough for its file to be built within a request."""
        return self.count(subject) <= MAX_INLINE_ROWS

    def build_inline(self, subject: UUID, *, too_long: str) -> bytes:
        """Build the file of a short list. Raises InvalidState with the message `too_long` for a list that
        needs a job."""
        if not self.is_short(subject):
            raise InvalidState(too_long)
        list_rows, _ = self.fetch_rows(subject, None, MAX_INLINE_ROWS)
        return self.build_file(subject, iter(list_rows))

    def enqueue(self, subject: UUID, title: str, *, by: Actor) -> Job:
        """Enqueue the job that builds the file of a long list; `title`: what the list of jobs shows."""
        return enqueueing.enqueue(
            self.job,
            title,
            {"subject": str(subject)},
            by=by.id,
            subject=subject,
        )

    def step(self, job: Job, cursor: Cursor) -> Chunk:
        """One step of the job: store the next rows as a part, or after the last join the parts to the file,
        then delete the parts. Raises NotFound for an empty list."""
        if cursor.get("forget"):
            job_parts.delete_parts(job.id, ROWS_SERIES, range(cursor["parts"]))
            return Chunk(None)
        if cursor.get("whole"):
            return self._join_parts(job, cursor["parts"])
        return self._save_next_part(job, cursor)

    def _join_parts(self, job: Job, number: int) -> Chunk:
        """Build the file from all parts and store it."""
        parts = job_parts.iter_parts(job.id, ROWS_SERIES, range(number))
        current_store().put(
            FILE_KIND,
            job.id,
            self.build_file(_subject_of(job), parts),
        )
        return Chunk(
            {"parts": number, "forget": True},
            result={FILE_KIND: self.name},
        )

    def _save_next_part(self, job: Job, cursor: Cursor) -> Chunk:
        """Store the next rows as a part. Raises NotFound if the list is empty."""
        number, subject = cursor.get("parts", 0), _subject_of(job)
        list_rows, last_key = self.fetch_rows(subject, cursor.get("after"), BATCH_SIZE)
        total = None if cursor else self.count(subject)
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


def xlsx_builder(headings: Sequence[str], title: str) -> Callable[[UUID, Iterator[Any]], bytes]:
    """A function for `Export.build_file` that writes the rows as xlsx, with `headings` and the sheet's name
    `title`."""
    return lambda _subject, rows: xlsx_writer.write_xlsx(headings, rows, title, large=True)


def _on_cancel(_job: Job, cursor: Cursor) -> Cursor | None:
    """Delete the stored parts of a cancelled job, if there are any."""
    return {"parts": cursor["parts"], "forget": True} if cursor.get("parts") else None


def exported_file(job: Job) -> bytes:
    """The file that a job has built. Raises NotFound, Unavailable."""
    if not (job.result or {}).get(FILE_KIND):
        raise NotFound("这项任务没有可下载的表格。")
    return current_store().get(FILE_KIND, job.id)
