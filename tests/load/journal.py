"""The journal at the size of a province: what sealing a minute costs with a million entries behind it, what
verifying costs, and whether a superuser's thousand edits, insertions and deletions are all named. `python -m
tests.load.journal [--entries N] [--acts N]`; JSON lines."""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from dingkao import clock
from dingkao.app import create_app
from dingkao.config import AppConfig
from dingkao.database.base import db, new_id
from dingkao.embedded.stack import Stack
from dingkao.journal import checkpoint_files, checkpoints, verification
from dingkao.journal import entries as journal
from dingkao.journal.findings import VerificationReport
from dingkao.journal.models import JournalEntry
from dingkao.tenants.context import in_tenant
from tests import conftest, journal_tampering
from tests.load.bench_stack import report_at_least, report_at_most, report_result

CODE, OF_A_SUBJECT, A_MINUTE = 44, 20, 100
COLUMNS = [column.name for column in JournalEntry.__table__.columns]
SUBJECTS = 4_000


@contextmanager
def engines() -> Iterator[Stack]:
    """The engines alone, in a home of their own, and the application on them in a province."""
    with tempfile.TemporaryDirectory(prefix="dingkao-journal-") as folder:
        stack = Stack(Path(folder) / "home", conftest.free_port(), lambda line: print(line, file=sys.stderr))  # noqa: T201
        try:
            stack.start_engines()
            with create_app(AppConfig.from_environment(stack.environment)).app_context(), in_tenant(CODE):
                yield stack
        finally:
            stack.stop()


def fill(owner: psycopg.Connection[Any], entries: int) -> None:
    """So many entries of the years before, as the application would have written them, brought in by COPY."""
    first = clock.now() - timedelta(days=900)
    names = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    with owner.cursor().copy(sql.SQL("COPY journal_entry ({}) FROM STDIN").format(names)) as copy:
        for start in range(0, entries, OF_A_SUBJECT):
            subject, last = new_id(), None
            for number in range(start, start + OF_A_SUBJECT):
                moment = first + timedelta(days=800) * (number / entries)
                uuid = UUID(
                    int=checkpoints.lowest_id_at(moment).int
                    + (7 << 76)
                    + (number << 20) % (1 << 62)
                    + (1 << 63)
                )
                journal_entry = JournalEntry(
                    tenant_id=CODE,
                    id=uuid,
                    subject_kind="assessment",
                    subject_id=subject,
                    verb="submitted",
                    at=moment,
                    actor_kind="doctor",
                    actor_id=subject,
                    actor_role="doctor",
                    state_before="draft",
                    state_after="institution_pending",
                    reason=None,
                    details={"number": number},
                    address="203.0.113.7",
                    device="安卓手机 · 微信",
                    previous=last,
                    form=journal.DIGEST_FORMAT,
                )
                journal_entry.seal = last = journal.entry_mac(journal_entry)
                copy.write_row(
                    [
                        Jsonb(journal_entry.details) if name == "details" else getattr(journal_entry, name)
                        for name in COLUMNS
                    ]
                )
    owner.commit()
    owner.execute("analyze journal_entry")
    owner.commit()


def minutes(count: int) -> float:
    """The median of what sealing a minute takes in which 100 entries were written, in ms."""
    durations = []
    for _ in range(count):
        journal_tampering.write_subjects(A_MINUTE, 1)
        began = time.perf_counter()
        assert checkpoints.write_checkpoint() == A_MINUTE
        durations.append(1000 * (time.perf_counter() - began))
    return median(durations)


def folded() -> VerificationReport:
    """Verify as the night's job does."""
    report, cursor = VerificationReport(), verification.initial_cursor()
    next_cursor: dict[str, Any] | None = cursor
    while next_cursor is not None:
        next_cursor, step_report = verification.verify_step(next_cursor, merge_batches=True)
        report.merge(step_report)
        db.session.commit()
    return report


def highest_memory() -> float:
    """The most memory that this process has held, in MB."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def main() -> None:
    """Fill, seal, verify, tamper, verify."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--acts", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=14)
    args = parser.parse_args()
    checkpoints.CLOCK_MARGIN = timedelta(seconds=-1)
    with engines() as stack, conftest.superuser_connection(stack.home) as owner:
        small = minutes(15)
        fill(owner, args.entries)
        for kind, number in (
            (checkpoint_files.HEAD_KIND, 0),
            *((checkpoint_files.BATCH_KIND, batch) for batch in range(1, 16)),
        ):
            checkpoint_files.current_store().delete(kind, UUID(int=number))
        # what was sealed before is younger than what was brought in: sealing begins anew
        began = time.perf_counter()
        while checkpoints.write_checkpoint():
            pass
        report_result(
            "journal_seal_backlog_rate",
            args.entries / (time.perf_counter() - began),
            "entries/s",
            None,
            None,
        )
        large = minutes(15)
        report_at_most("journal_seal_minute_ms", large, "ms", 500)
        report_at_most("journal_seal_growth", large / small, "x", 1.5)
        subjects = journal_tampering.write_subjects(SUBJECTS, 6)
        while checkpoints.write_checkpoint():
            pass
        Path("/proc/self/clear_refs").write_text("5")  # the highest memory is measured from here on
        began, worked = time.perf_counter(), time.process_time()
        report = folded()
        seconds = time.perf_counter() - began
        report_result("journal_verified", report.checked, "entries", None, report.is_clean)
        report_result("journal_verify_s", seconds, "s", None, None)
        report_result("journal_verify_cpu_s", time.process_time() - worked, "s", None, None)
        report_at_most("journal_verify_s_per_100k", 100_000 * seconds / report.checked, "s", 20)
        report_at_most("journal_verify_mb", highest_memory(), "MB", 500)
        tampered, besides = journal_tampering.apply_tampering(
            owner,
            subjects,
            args.acts,
            random.Random(args.seed),  # noqa: S311
        )
        report = verification.verify_all()
        findings = {(batch.kind, batch.entry) for batch in report.entries}
        detected, extra = (
            findings & tampered,
            {entry for what, entry in findings - tampered if what != "unlinked" or entry not in besides},
        )
        report_at_least(
            "journal_named", len(detected), f"of {len(tampered)} from {args.acts} acts", len(tampered)
        )
        report_at_most("journal_named_wrongly", len(extra), "entries", 0)


if __name__ == "__main__":
    main()
