"""`python -m tests.rooms.export_memory ROWS`, by test_list_files: a list of generated rows becomes a file in
this process, which tells how many MB its memory grew meanwhile beyond that of a short list, the id under
which the file is stored, and in how many pieces."""

import hashlib
import json
import sys
from functools import partial
from pathlib import Path
from uuid import UUID

from dingkao.app import create_app
from dingkao.config import AppConfig
from dingkao.database.base import new_id
from dingkao.integrations import file_pieces
from dingkao.integrations.spreadsheets.xlsx_writer import write_xlsx_file
from dingkao.jobs import worker
from dingkao.people.list_exports import Export, ExportCursor, Rows, piece_count
from dingkao.tenants.context import in_tenant

TENANT, HEADINGS, CELL_LENGTH = 14, ["序号", "甲", "乙", "丙"], 125


def generated_row(number: int) -> list[object]:
    """Row `number` of the list: texts that can't be compressed."""
    cells = [hashlib.shake_128(f"{number}/{column}".encode()).hexdigest(CELL_LENGTH) for column in "甲乙丙"]
    return [number, *cells]


def fetch_rows(total: int, _subject: UUID, after: ExportCursor, limit: int) -> tuple[Rows, ExportCursor]:
    """As `Export.fetch_rows`, of `total` rows."""
    first = int(after[0]) if after else 0
    last = min(first + limit, total)
    return [generated_row(number) for number in range(first, last)], [str(last)] if last < total else None


def build(total: int) -> tuple[UUID, int]:
    """Build the file of a list of `total` rows; gives its id and the number of its pieces."""
    export = Export(
        f"trial_{total}",
        lambda _subject: "trial.xlsx",
        lambda _subject: total,
        partial(fetch_rows, total),
        lambda _subject, rows, path: write_xlsx_file(path, HEADINGS, rows, "清单"),
    )
    job = export.enqueue(new_id(), "试验", by=None)
    worker.run_inline(job)
    assert job.done == total
    return job.id, piece_count(job)


def peak_megabytes() -> float:
    """The most memory that this process has held since it was last reset."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def main() -> None:
    """Build a short list, then the one that is asked for; pieces are small, so that a few of them at once are
    not taken for a whole file."""
    file_pieces.PIECE_BYTES = 512 * 1024
    with create_app(AppConfig.from_environment()).app_context(), in_tenant(TENANT):
        build(2_000)
        Path("/proc/self/clear_refs").write_text("5")
        before = peak_megabytes()
        job_id, pieces = build(int(sys.argv[1]))
        print(json.dumps([peak_megabytes() - before, str(job_id), pieces]))  # noqa: T201


if __name__ == "__main__":
    main()
