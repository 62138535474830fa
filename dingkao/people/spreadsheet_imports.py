"""The engine of all imports of large spreadsheets (rosters, institutions, questions, scores): a job of
chunks. The file is read once and its rows are stored in parts (of ROWS_PER_CHUNK, if nothing else is said);
each chunk imports one part; a report with the refused rows is built; then the parts are deleted. Everything
stored is encrypted.

A check (`dry_run`) is the same job: each part is imported and undone again, so that it tells exactly what the
import would do. It keeps the file, whose import can then be confirmed (`import_checks`).

A room describes its spreadsheet with a `SpreadsheetImport`. `authorize_action` checks who may upload a
spreadsheet in chunks, if it is too large for one request.
"""

import contextlib
from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from dingkao.database.arrays import split_into_batches
from dingkao.database.base import new_id
from dingkao.errors import Forbidden, InvalidInput, NotFound
from dingkao.integrations import job_parts
from dingkao.integrations.sandbox import runner
from dingkao.integrations.spreadsheets import xlsx_writer
from dingkao.integrations.spreadsheets.import_rows import (
    ImportReport,
    ImportRow,
)
from dingkao.integrations.spreadsheets.table_opening import (
    MAX_IMPORT_FILE_BYTES,
    TOO_LARGE_MESSAGE,
)
from dingkao.integrations.storage import current_store
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.accounts import load_actor
from dingkao.people.import_checks import (
    UPLOAD_KIND,
    delete_file,
    is_check,
    register_confirmable,
    undone_afterwards,
)
from dingkao.people.import_reports import (
    ReportLayout,
    problem_as_json,
)
from dingkao.people.permissions import grants
from dingkao.tenants.context import current_tenant
from dingkao.uploads import chunked_uploads

REPORT_KIND = "report"
ROWS_SERIES = "rows"
ERRORS_SERIES = "faults"
WARNINGS_SERIES = "warnings"
DUPLICATES_SERIES = "twice"
SEEN_SERIES = "seen"
ROWS_PER_CHUNK, MAX_ERRORS_SHOWN, LARGE_REPORT_ROWS = (
    1000,
    200,
    20_000,
)
COUNTS = ("accepted", "changed", "unchanged", "refused")
UPLOAD_LIMITS = chunked_uploads.UploadLimits(
    MAX_IMPORT_FILE_BYTES,
    TOO_LARGE_MESSAGE,
    16 * MAX_IMPORT_FILE_BYTES,
    1024 * 1024,
)
"""The limits for a spreadsheet uploaded in chunks."""
NO_ROWS_MESSAGE = "文件中没有数据行，请在表头下面填写后重新上传。"


def authorize_action(
    action: str,
) -> Callable[[UUID | None, Actor], None]:
    """The check, for `chunked_uploads`, of who may upload a spreadsheet for the whole province: staff who are
    granted `action`. The check raises Forbidden for others."""

    def require_granted(_subject: UUID | None, by: Actor) -> None:
        """Raise Forbidden unless `by` is staff and granted `action`; the subject is ignored."""
        if by.kind != "staff" or not grants(action, by.roles):
            raise Forbidden

    return require_granted


def journal_counts(verb: str, **details: str) -> Callable[[Job, dict[str, int]], None]:
    """What a SpreadsheetImport has as `on_finished`: it writes the province's journal entry `verb` with the
    counts of the import and `details`, as an act of who asked for the job."""

    def write_entry(job: Job, counts: dict[str, int]) -> None:
        """Write the entry `verb` about the province, by whoever asked for the job, with its counts (keys
        of COUNTS)."""
        journal.write_entry(
            "province",
            UUID(int=current_tenant()),
            verb,
            by=load_actor(job.asked_by),
            **details,
            accepted=counts["accepted"],
            changed=counts["changed"],
            unchanged=counts["unchanged"],
            refused=counts["refused"],
        )

    return write_entry


@dataclass(frozen=True)
class SpreadsheetImport:
    """A kind of spreadsheet. `action`: what whoever imports it must be granted; `read_rows`: reads a file's
    rows in a sandbox and adds problems of the file to the report; `row_keys`: the keys by which duplicates
    within a file are recognised; `import_rows`: imports rows, given the keys imported so far, to which it
    adds; `columns`: our name → headings, for the report; `on_finished`: writes the journal entry, given the
    counts by COUNTS.
    `read`: replaces `read_rows` in the job if reading depends on the actor; `has_warnings`: the report
    includes warnings and has a column that tells them from errors; `after_rows`: what is done in chunks of
    its own after the last part, not by a check; its cursor is None when it is done; `verb`: the first word of
    the job's title; `rows_per_chunk`: how many rows are imported in one transaction, if not
    ROWS_PER_CHUNK.
    """

    name: str
    action: str
    read_rows: Callable[[bytes, ImportReport], Iterator[ImportRow]]
    row_keys: Callable[[ImportRow], Sequence[bytes]]
    import_rows: Callable[[Job, list[ImportRow], ImportReport, set[bytes]], None]
    columns: Mapping[str, Sequence[str]]
    on_finished: Callable[[Job, dict[str, int]], None]
    read: Callable[[bytes, ImportReport, Actor], Iterator[ImportRow]] | None = None
    has_warnings: bool = False
    after_rows: Callable[[Job, Cursor], Chunk] | None = None
    verb: str = "导入"
    rows_per_chunk: int | None = None

    def __post_init__(self) -> None:
        """Register the job, and let whoever is granted `action` confirm its checks."""
        worker.register_chunked_job(self.name, undo=_on_cancel)(self.step)
        register_confirmable(self.name, self.action)

    @property
    def report_layout(self) -> ReportLayout:
        """The columns of the report."""
        return ReportLayout(self.columns, self.has_warnings)

    def enqueue(
        self,
        content: bytes,
        title: str,
        *,
        by: Actor,
        dry_run: bool = False,
        **arguments: Any,
    ) -> Job:
        """Store a file, which stays in the store after a rollback, and enqueue the job that imports it, or
        only checks it (`dry_run`). A wrong type, a missing column or an empty file is refused now, unless the
        file is too large to be read within a request. `arguments`: further arguments of the job. Raises
        InvalidInput, TooLarge, Unavailable."""
        with contextlib.suppress(runner.LimitExceeded):
            if next(self.read_rows(content, ImportReport()), None) is None:
                raise InvalidInput(NO_ROWS_MESSAGE, "file")
        return self.enqueue_unchecked(content, title, by=by, dry_run=dry_run, **arguments)

    def enqueue_unchecked(
        self,
        content: bytes,
        title: str,
        *,
        by: Actor,
        dry_run: bool = False,
        **arguments: Any,
    ) -> Job:
        """Store a file, which stays in the store after a rollback, and enqueue the job that imports it, or
        only checks it (`dry_run`), without reading it: for one that was read already, or is too large.
        `title`: what the list of jobs shows, after the verb. Raises Unavailable."""
        upload = new_id()
        current_store().put(UPLOAD_KIND, upload, content)
        return enqueueing.enqueue(
            self.name,
            f"{'检查' if dry_run else self.verb}{title}",
            {"upload": str(upload), "dry_run": dry_run} | arguments,
            by=by.id,
            subject=upload if dry_run else None,
        )

    def step(self, job: Job, cursor: Cursor) -> Chunk:
        """Run one chunk of the job: read the file, import a part, do what follows the rows, write the report,
        or delete the parts. Raises Unavailable, what reading and importing raise, and InvalidState for a
        report with more rows than a sheet holds."""
        if "end" in cursor:
            return self._finish(job, cursor)
        if "forget" in cursor:
            return _delete_parts(job, cursor)
        if "after_rows" in cursor:
            return self._after_rows(job, cursor)
        return self._import_batch(job, cursor) if cursor else self._read(job)

    def _read(self, job: Job) -> Chunk:
        """Read the file and store its rows in parts, and the keys that occur more than once in it, for which
        the import must remember across parts what it has seen. Raises Unavailable and what reading raises."""
        report = ImportReport()
        keys = _KeysOfFile()
        number = 0
        row_count = 0
        rows = self._rows_of_file(job, report)
        batches = split_into_batches(rows, self.rows_per_chunk or ROWS_PER_CHUNK)
        for number, batch in enumerate(batches, 1):
            row_count += len(batch)
            keys.add(key for row in batch for key in self.row_keys(row))
            job_parts.save_part(job.id, ROWS_SERIES, number, batch)
        job_parts.save_part(job.id, DUPLICATES_SERIES, 0, sorted(keys.repeated))
        self._save_report_part(job, 0, [], report)
        counts = dict.fromkeys(COUNTS, 0) | {
            "refused": len(report.errors),
            "warned": len(report.warnings),
        }
        return Chunk(
            {"taken": 0, "parts": number},
            total=row_count,
            counts=counts,
            result=_first_problems(job, report),
        )

    def _rows_of_file(self, job: Job, report: ImportReport) -> Iterator[ImportRow]:
        """Yield the rows of the stored file; problems of the file are added to `report`. Raises Unavailable
        and what reading raises."""
        content = current_store().get(UPLOAD_KIND, UUID(job.arguments["upload"]))
        if self.read and not is_check(job):
            return self.read(content, report, load_actor(job.asked_by))
        return self.read_rows(content, report)

    def _import_batch(self, job: Job, cursor: Cursor) -> Chunk:
        """Import the next part, which a check takes back; after the last, go on to what follows the rows, or
        to the report. Raises Unavailable, and what importing raises."""
        number = cursor["taken"] + 1
        if number > cursor["parts"]:
            return Chunk(self._cursor_after_rows(job, cursor))
        rows = job_parts.load_part(job.id, ROWS_SERIES, number)
        report = ImportReport()
        repeated = set(job_parts.load_part(job.id, DUPLICATES_SERIES, 0))
        seen_before = _load_seen(job, number - 1) if repeated else set[bytes]()
        seen = set(seen_before)
        with undone_afterwards() if is_check(job) else contextlib.nullcontext():
            self.import_rows(job, rows, report, seen)
        if repeated:
            seen_of_repeated = sorted(seen_before | (seen & repeated))
            job_parts.save_part(job.id, SEEN_SERIES, number, seen_of_repeated)
        self._save_report_part(job, number, rows, report)
        return Chunk(
            {"taken": number, "parts": cursor["parts"]},
            done=len(rows),
            counts=_counts_of(report),
            result=_first_problems(job, report),
        )

    def _cursor_after_rows(self, job: Job, cursor: Cursor) -> Cursor:
        """The job's cursor when every part is imported."""
        if self.after_rows is None or is_check(job):
            return {
                "end": cursor["taken"],
                "parts": cursor["parts"],
            }
        return cursor | {"after_rows": {}}

    def _after_rows(self, job: Job, cursor: Cursor) -> Chunk:
        """The next chunk of what follows the rows; after the last, go on to the report. Raises ValueError if
        nothing follows."""
        if self.after_rows is None:
            raise ValueError(f"{self.name} does nothing after its rows")
        chunk = self.after_rows(job, cursor["after_rows"])
        if chunk.cursor is None:
            return replace(
                chunk,
                cursor={
                    "end": cursor["taken"],
                    "parts": cursor["parts"],
                },
            )
        return replace(chunk, cursor=cursor | {"after_rows": chunk.cursor})

    def _save_report_part(
        self,
        job: Job,
        number: int,
        rows: Sequence[ImportRow],
        report: ImportReport,
    ) -> None:
        """Store the report's rows for a part: its errors, and its warnings if the report has these. Part 0
        has the problems of the whole file. Raises Unavailable."""
        for series, word, faults in (
            (ERRORS_SERIES, "未导入", report.errors),
            (
                WARNINGS_SERIES,
                "提醒",
                report.warnings if self.has_warnings else [],
            ),
        ):
            if faults:
                lines = self.report_layout.lines(rows, faults, word)
                job_parts.save_part(job.id, series, number, lines)

    def _finish(self, job: Job, cursor: Cursor) -> Chunk:
        """Write the report, if there is anything to report, and the journal entry of an import; go on to
        deleting the parts. Raises Unavailable, and InvalidState for more rows than a sheet holds."""
        result = job.result or {}
        line_count = result.get("refused", 0)
        if self.has_warnings:
            line_count += result.get("warned", 0)
        if line_count:
            self._save_report(job, cursor["end"], line_count)
        if not is_check(job):
            self.on_finished(
                job,
                {name: result.get(name, 0) for name in COUNTS},
            )
        return Chunk(
            {"forget": cursor["parts"]},
            result={
                "report": bool(line_count),
                "checked": is_check(job),
            },
        )

    def _save_report(self, job: Job, last_part: int, line_count: int) -> None:
        """Build the report as xlsx from the stored parts and store it. Raises Unavailable, and InvalidState
        for more rows than a sheet holds."""
        report = xlsx_writer.write_xlsx(
            self.report_layout.headings(),
            _iter_problems(job, last_part),
            "导入报告" if self.has_warnings else "未导入的行",
            large=line_count > LARGE_REPORT_ROWS,
        )
        current_store().put(REPORT_KIND, job.id, report)


class _KeysOfFile:
    """Which keys occur more than once in a file. Only hashes of keys are stored for the others, to save
    memory."""

    def __init__(self) -> None:
        self.repeated = set[bytes]()
        self._hashes = set[int]()

    def add(self, keys: Iterable[bytes]) -> None:
        """Add the keys of the next rows."""
        for key in keys:
            if hash(key) in self._hashes:
                self.repeated.add(key)
            self._hashes.add(hash(key))


def _load_seen(job: Job, number: int) -> set[bytes]:
    """Those repeated keys that were imported with the parts up to `number`; none for 0. Raises
    Unavailable."""
    return set(job_parts.load_part(job.id, SEEN_SERIES, number)) if number else set()


def _counts_of(report: ImportReport) -> dict[str, int]:
    """The numbers of rows in a report, by the names of COUNTS and «warned», as a job counts them."""
    return {
        "accepted": report.accepted,
        "changed": report.changed,
        "unchanged": report.unchanged,
        "refused": len(report.errors),
        "warned": len(report.warnings),
    }


def _on_cancel(_job: Job, cursor: Cursor) -> Cursor:
    """The cursor from which a cancelled job ends: imported rows stay, the report is written, and the journal
    entry of an import, and the parts are deleted."""
    return {
        "end": cursor.get("taken", 0),
        "parts": cursor.get("parts", 0),
    }


def _first_problems(job: Job, report: ImportReport) -> dict[str, Any]:
    """The first MAX_ERRORS_SHOWN errors and warnings of the job, with those of `report`, as lists of JSON
    objects for the job's page."""
    result = job.result or {}
    return {
        name: [
            *result.get(name, []),
            *map(problem_as_json, faults),
        ][:MAX_ERRORS_SHOWN]
        for name, faults in (
            ("errors", report.errors),
            ("warnings", report.warnings),
        )
    }


def _iter_problems(job: Job, taken: int) -> Iterator[list[Any]]:
    """Yield the report's rows of the parts 0 to `taken`: all errors, then all warnings. A part without any
    isn't stored. Raises Unavailable."""
    for series in (ERRORS_SERIES, WARNINGS_SERIES):
        for number in range(taken + 1):
            with contextlib.suppress(NotFound):
                yield from job_parts.load_part(job.id, series, number)


def _delete_parts(job: Job, cursor: Cursor) -> Chunk:
    """Delete all stored parts and the file, which a check keeps unless it was cancelled: the job's last step.
    Raises Unavailable."""
    for series in (
        ROWS_SERIES,
        ERRORS_SERIES,
        WARNINGS_SERIES,
        SEEN_SERIES,
    ):
        job_parts.delete_parts(job.id, series, range(cursor["forget"] + 1))
    job_parts.delete_parts(job.id, DUPLICATES_SERIES, [0])
    if not is_check(job) or job.undoing:
        delete_file(job)
    return Chunk(None)
