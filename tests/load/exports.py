"""A list of a whole province as a file, by the pages and the worker of a stack: how long it takes, how much
memory worker and web hold, and whether another reader finds in it what the database holds. JSON lines as of
`make bench`.

python -m tests.load.exports --doctors 446000
"""

import argparse
import csv
import http.client
import os
import re
import tempfile
import time
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import psycopg
from python_calamine import CalamineWorkbook

from tests import conftest
from tests.load.bench_stack import Bench, report_at_most, report_result
from tests.load.ground import descendants
from tests.load.province import (
    PAGE_MS,
    SimulatedAdministrator,
    WorkerKiller,
    admin,
    approved_job,
    ask_for_list,
    finished,
    load,
)

SLUG, MAX_MB = "shanxi", 300
BLOCK_BYTES = 256 * 1024
EXPECTED_QUERY = """
SELECT d.name, d.number_masked, o.name FROM assessment a
JOIN doctor d ON d.tenant_id = a.tenant_id AND d.id = a.doctor_id
JOIN organisation o ON o.tenant_id = a.tenant_id AND o.id = a.institution_id
WHERE a.tenant_id = 14 ORDER BY a.id
"""


def download(office: SimulatedAdministrator, job_page: str, path: Path) -> float:
    """Download a job's file to `path`, block by block; gives the seconds."""
    connection, began = http.client.HTTPConnection("127.0.0.1", office.port, timeout=300), time.monotonic()
    cookies = "; ".join(f"{name}={value}" for name, value in office.cookies.items())
    headers = {"Cookie": cookies, "Sec-Fetch-Site": "same-origin"}
    connection.request("GET", f"/{SLUG}{job_page}/sheet.xlsx", headers=headers)
    answer = connection.getresponse()
    assert answer.status == 200, answer.status
    with path.open("wb") as file:
        while block := answer.read(BLOCK_BYTES):
            file.write(block)
    connection.close()
    return time.monotonic() - began


def peak_of_web(bench: Bench) -> float:
    """The most memory, in MB, that a process of the web server has held."""
    [web] = [child for child in bench.stack.supervisor.children if child.name == "Web"]
    assert web.process
    peaks = []
    for process in descendants(web.process.pid):
        text = Path(f"/proc/{process}/status").read_text()
        peaks.append(int((re.findall(r"VmHWM:\s+(\d+)", text) or [0])[0]) / 1024)
    return max(peaks)


def rows_of_xlsx(path: Path) -> Iterator[list[Any]]:
    """The rows of a workbook's first sheet below its headings."""
    sheet_rows = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).iter_rows()
    next(sheet_rows)
    return sheet_rows


def rows_of_csv(path: Path) -> Iterator[list[Any]]:
    """The rows of a csv below its headings and above what it says of itself."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        csv_rows = csv.reader(file)
        next(csv_rows)
        for cells in csv_rows:
            if not cells:
                return
            yield cells


def count_differences(connection: psycopg.Connection[Any], file_rows: Iterator[list[Any]]) -> int:
    """How many rows of a file are not what the database holds, in order."""
    with connection.transaction(), connection.cursor(name="expected") as cursor:
        cursor.execute(EXPECTED_QUERY)
        return sum(
            file_row is None or expected is None or (file_row[0], file_row[1], file_row[4]) != expected
            for expected, file_row in zip_longest(cursor, file_rows)
        )


def export(bench: Bench, doctors: int, folder: Path) -> None:
    """Have the list as xlsx and as csv, and compare both with the database."""
    load(bench, SLUG, doctors, "not_included")
    office, colleague = (admin(bench, SLUG, f"export-{name}") for name in ("first", "second"))
    watcher = WorkerKiller(bench, 0)
    for file_format, rows_of in (("xlsx", rows_of_xlsx), ("csv", rows_of_csv)):
        place, took = ask_for_list(office, "records", "state=not_included", file_format)
        report_at_most(f"{file_format}_request_ms", took, "ms", PAGE_MS)
        job_page = approved_job(office, colleague, place)
        seconds = finished(bench, SLUG, "export_list", watcher)
        report_result(f"{file_format}_job_seconds", seconds, "s", None, None)
        path = folder / f"list.{file_format}"
        report_result(f"{file_format}_download_s", download(office, job_page, path), "s", None, None)
        report_result(f"{file_format}_mb", path.stat().st_size / 1e6, "MB", None, None)
        with bench.superuser() as connection:
            differences = count_differences(connection, rows_of(path))
        report_at_most(f"{file_format}_differences", differences, f"rows of {doctors}", 0)
    report_at_most("export_worker_peak_mb", watcher.memory, "MB", MAX_MB)
    report_at_most("export_web_peak_mb", peak_of_web(bench), "MB", MAX_MB)


def main() -> None:
    """Begin a stack, fill it, export."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--doctors", type=int, default=446_000)
    args = parser.parse_args()
    for name in conftest.FROM_OUTSIDE:
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(prefix="dingkao-exports-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        bench = Bench(Path(folder) / "home")
        try:
            export(bench, args.doctors, Path(folder))
        finally:
            bench.end()


if __name__ == "__main__":
    main()
