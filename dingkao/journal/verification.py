"""Verifies the journal: every entry is compared with its MAC, with the entry it is chained to, and with the
checkpoints.

The steps go through the volumes, then the batches after them, then the entries that are not listed yet. A
step takes a few seconds, so that a chunked job can do them: `verify_step` does one and returns the cursor of
the next.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from dingkao import clock
from dingkao.journal import checkpoint_files, checkpoints
from dingkao.journal.checkpoint_files import (
    BATCH_KIND,
    VOLUME_KIND,
    CheckpointHead,
    CheckpointHeader,
    CheckpointRecord,
    InvalidCheckpoint,
)
from dingkao.journal.checkpoints import HIGHEST_ID, LOWEST_ID
from dingkao.journal.findings import Finding, VerificationReport
from dingkao.journal.ledgers import current_ledger

VOLUMES_STAGE = "volumes"
BATCHES_STAGE = "batches"
UNLISTED_STAGE = "rest"
ENTRIES_PER_STEP, FILES_PER_STEP, PAGE_SIZE = 50_000, 400, 5_000
MAX_LAG = timedelta(hours=2)
"""Longer than any transaction. An older valid entry that is not listed means that no checkpoints are
written."""
Cursor = dict[str, Any]


def verify_all(known_number: int = 0) -> VerificationReport:
    """Verify the whole current ledger. `known_number`: a number that the last batch is known to have had; a
    lower one now is reported. Raises Unavailable, and InvalidCheckpoint if the head is altered meanwhile."""
    report = VerificationReport()
    cursor: Cursor | None = initial_cursor(known_number)
    while cursor is not None:
        cursor, step_report = verify_step(cursor)
        report.merge(step_report)
    return report


def initial_cursor(known_number: int = 0) -> Cursor:
    """Returns the cursor of the first step; `known_number`: the number that the last batch is known to have
    had, 0 if none is."""
    return {
        "stage": VOLUMES_STAGE,
        "number": 0,
        "after": str(LOWEST_ID),
        "previous": "",
        "last": 0,
        "tip": "",
        "gap": False,
        "known": known_number,
    }


def verify_step(cursor: Cursor, *, merge_batches: bool = False) -> tuple[Cursor | None, VerificationReport]:
    """Do the step at the cursor. Returns the cursor of the next one (None at the end), and the step's report.
    `merge_batches`: verified batches are merged into a volume. Raises Unavailable, and InvalidCheckpoint if
    the head is altered while the step runs; before, that is a finding, and the end."""
    try:
        head = _load_own_head()
    except InvalidCheckpoint as fault:
        return None, VerificationReport(files=[f"{fault}；其余无法核验"])
    if head is None or cursor["stage"] == UNLISTED_STAGE:
        return _verify_unlisted(cursor, head)
    if cursor["stage"] == VOLUMES_STAGE:
        return _verify_volume(cursor, head)
    return _verify_batches(cursor, head, merge_batches=merge_batches)


def _load_own_head() -> CheckpointHead | None:
    """Returns the head. Raises InvalidCheckpoint if it was altered or belongs to another ledger,
    Unavailable."""
    head = checkpoint_files.load_head()
    if head is not None and head.province != current_ledger().owner_code():
        raise InvalidCheckpoint("封存首记录属于另一省份")
    return head


class _EntryComparison:
    """Compares entries of the ledger, added by id, with the records that list them, sorted by id. `unlisted`
    collects the records of entries with a right MAC that are not listed, also of those that are reported as
    unlinked. `first`: the ledger has no checkpoint yet."""

    def __init__(self, records: Sequence[CheckpointRecord], *, first: bool) -> None:
        self.report = VerificationReport(listed=len(records))
        self.unlisted: list[CheckpointRecord] = []
        self._remaining = iter(records)
        self._record = next(self._remaining, None)
        self._first = first

    def add(self, entry: Any) -> None:
        """Compare the next entry."""
        self.report.checked += 1
        self._report_missing_before(entry.id)
        problem = self._problem_of(entry)
        if problem is None and not entry.follows:
            problem = "unlinked"
        if problem is not None:
            self.report.entries.append(
                Finding(
                    problem,
                    entry.id,
                    current_ledger().entry_subject(entry),
                )
            )

    def finish(self) -> None:
        """Report the records whose entries are missing, and count the valid entries that are not listed."""
        self._report_missing_before(None)
        self.report.uncovered = len(self.unlisted)
        if self.unlisted:
            self.report.since = Finding("uncovered", self.unlisted[0].entry, None).made_at()

    def _report_missing_before(self, entry_id: UUID | None) -> None:
        """Report the records before the entry `entry_id` (None: all that are left) as missing entries."""
        while self._record is not None and (entry_id is None or self._record.entry < entry_id):
            self.report.entries.append(
                Finding(
                    "missing",
                    self._record.entry,
                    self._record.subject,
                )
            )
            self._record = next(self._remaining, None)

    def _problem_of(self, entry: Any) -> str | None:
        """Returns the kind of finding for an entry that was altered or not written by the system; None if it
        is valid."""
        if self._record is not None and self._record.entry == entry.id:
            is_unchanged = current_ledger().entry_digest(entry) == self._record.digest
            self._record = next(self._remaining, None)
            return None if is_unchanged else "changed"
        if not current_ledger().is_valid(entry, first=self._first):
            return "foreign"
        self.unlisted.append(checkpoints.checkpoint_record(entry))
        return None


def check_entries(
    after: UUID,
    until: UUID,
    records: Sequence[CheckpointRecord],
    limit: int | None = None,
    *,
    first: bool = False,
) -> tuple[VerificationReport, list[CheckpointRecord], UUID]:
    """Compare the entries with `after` < id <= `until` with `records`, which list them, sorted by id. Records
    without an entry are reported as missing, so `limit` (entries read at most) only goes with no records.

    `first`: the ledger has no checkpoint yet, so that an operators' act without a seal is valid. Returns the
    report, the records of the entries with a right MAC that are not listed, and the id of the last entry read
    (`after` if none).
    """
    comparison = _EntryComparison(records, first=first)
    last_id = after
    for entry in _entries(after, until, limit):
        comparison.add(entry)
        last_id = entry.id
    comparison.finish()
    return comparison.report, comparison.unlisted, last_id


def _entries(after: UUID, until: UUID, limit: int | None) -> Iterator[Any]:
    """Yields the entries with `after` < id <= `until` by id, at most `limit`, with `follows`."""
    last_id = after
    remaining = sys.maxsize if limit is None else limit
    while remaining > 0:
        size = min(remaining, PAGE_SIZE)
        page = current_ledger().fetch_linked_entries(last_id, until, size)
        yield from page
        if len(page) < size:
            return
        last_id, remaining = page[-1].id, remaining - len(page)


def _verify_volume(cursor: Cursor, head: CheckpointHead) -> tuple[Cursor, VerificationReport]:
    """Verify the next volume; after the last one, compare it with the head. A volume that can't be read is
    reported and skipped. Returns the cursor of the next step, and the report. Raises Unavailable."""
    number = cursor["number"] + 1
    if number > head.volumes:
        return _finish_volumes(cursor, head)
    try:
        header, records = checkpoint_files.load_file(VOLUME_KIND, number)
    except InvalidCheckpoint as fault:
        return cursor | {
            "number": number,
            "gap": True,
        }, VerificationReport(files=[str(fault)])
    report, _ = _verify_file(cursor, header, records)
    return cursor | _next_cursor(header) | {
        "last": header.last,
        "tip": header.tip,
    }, report


def _finish_volumes(cursor: Cursor, head: CheckpointHead) -> tuple[Cursor, VerificationReport]:
    """Compare the last volume with the head, and the head's last batch with the number that is known. Returns
    the cursor of the first batch after the volumes, and the report."""
    report = VerificationReport()
    if not cursor["gap"] and (cursor["previous"], cursor["last"]) != (
        head.bound,
        head.folded,
    ):
        report.files.append("封存首记录与最后一卷封存记录不符")
    if head.number < cursor["known"]:
        report.files.append(
            f"封存记录曾到第{cursor['known']}号，现在只到第{head.number}号，可能已被替换或从备份恢复"
        )
    batches_cursor = {
        "stage": BATCHES_STAGE,
        "number": head.folded,
        "previous": cursor["tip"],
        "volumes": head.volumes,
        "base": cursor,
    }
    return cursor | batches_cursor, report


def _next_cursor(header: CheckpointHeader) -> Cursor:
    """Returns the changes of the cursor after a verified file."""
    return {
        "number": header.number,
        "after": str(header.until),
        "previous": header.digest(),
        "gap": False,
    }


def _verify_file(
    cursor: Cursor,
    header: CheckpointHeader,
    records: Sequence[CheckpointRecord],
) -> tuple[VerificationReport, list[CheckpointRecord]]:
    """Compare the entries that a file lists, and check that the file follows the one before; if that one
    can't be read, compare the entries between them too. Returns the report, and the records of valid entries
    that are not listed."""
    report, unlisted = VerificationReport(), list[CheckpointRecord]()
    if cursor["gap"]:
        gap_report, unlisted, _ = check_entries(UUID(cursor["after"]), header.after, ())
        report.merge(gap_report)
    elif (header.previous, header.after) != (
        cursor["previous"],
        UUID(cursor["after"]),
    ):
        unit = "卷" if header.kind == VOLUME_KIND else "号"
        report.files.append(f"第{header.number}{unit}封存记录与前一份不相连")
    file_report, late, _ = check_entries(header.after, header.until, records)
    report.merge(file_report)
    return report, unlisted + late


@dataclass
class _VerifiedBatches:
    """The batches that one step verifies: `position` (the cursor so far), the report, the records that they
    list or should list, and the header of the last batch."""

    position: Cursor
    report: VerificationReport = field(default_factory=VerificationReport)
    records: list[CheckpointRecord] = field(default_factory=list)
    last_header: CheckpointHeader | None = None

    def add(
        self,
        header: CheckpointHeader,
        file_records: list[CheckpointRecord],
    ) -> None:
        """Verify the next batch."""
        file_report, unlisted = _verify_file(self.position, header, file_records)
        self.report.merge(file_report)
        self.records += sorted([*file_records, *unlisted])
        self.position |= _next_cursor(header)
        self.last_header = header

    def add_invalid(self, number: int, problem: str) -> None:
        """Skip a batch that can't be read, and report it."""
        self.report.files.append(problem)
        self.position |= {"number": number, "gap": True}


def _verify_batches(
    cursor: Cursor, head: CheckpointHead, *, merge_batches: bool
) -> tuple[Cursor, VerificationReport]:
    """Verify the batches of one step, and with `merge_batches` merge them into a volume. Returns the cursor
    of the next step, and the report; if another process has merged batches meanwhile, the cursor behind the
    volumes known so far, and an empty report. Raises InvalidCheckpoint for an altered head, Unavailable."""
    batches = _read_batches(cursor, head)
    if batches is None:  # start again after the volumes that the other process has written
        return cursor["base"], VerificationReport()
    if batches.position["number"] >= head.number:
        _check_end_of_batches(batches.position, head, batches.report)
        batches.position["stage"] = UNLISTED_STAGE
    if merge_batches and batches.last_header is not None:
        batches.position |= _merge_verified_batches(cursor, batches.last_header, batches.records, head)
    return batches.position, batches.report


def _read_batches(cursor: Cursor, head: CheckpointHead) -> _VerifiedBatches | None:
    """Read and verify the batches of a step: FILES_PER_STEP at most, or until ENTRIES_PER_STEP records.
    Returns None if another process has merged some of them into a volume meanwhile. Raises Unavailable, and
    InvalidCheckpoint for an altered head."""
    if head.volumes > cursor["volumes"]:
        return None
    batches = _VerifiedBatches(dict(cursor))
    last_number = min(head.number, cursor["number"] + FILES_PER_STEP)
    while batches.position["number"] < last_number and len(batches.records) < ENTRIES_PER_STEP:
        number = batches.position["number"] + 1
        try:
            header, file_records = checkpoint_files.load_file(BATCH_KIND, number)
        except InvalidCheckpoint as fault:
            if _volume_count() > cursor["volumes"]:
                return None
            batches.add_invalid(number, str(fault))
        else:
            batches.add(header, file_records)
    return batches


def _volume_count() -> int:
    """Returns the present number of volumes, from the head; 0 without one. Raises InvalidCheckpoint,
    Unavailable."""
    head = checkpoint_files.load_head()
    return head.volumes if head is not None else 0


def _check_end_of_batches(position: Cursor, head: CheckpointHead, report: VerificationReport) -> None:
    """Report it if the last batch that was read is not the one that the head names."""
    if position["gap"]:
        return
    if (position["previous"], UUID(position["after"])) != (
        head.tip,
        head.until,
    ):
        report.files.append("封存首记录与最后一份封存记录不符")


def _merge_verified_batches(
    cursor: Cursor,
    last: CheckpointHeader,
    records: list[CheckpointRecord],
    head: CheckpointHead,
) -> Cursor:
    """Write the verified batches after the last volume, up to the one with the header `last`, as a new
    volume, and delete them. `cursor`: as it was when the step began, so that its `after` is the id of the
    last entry before these batches; `records`: those of all entries that the batches list or should list;
    `head`: as it was when the step began. Returns the keys of the cursor that change; writes nothing and
    returns {} if another process has written a volume meanwhile: the next step then begins again after the
    volumes. Raises InvalidCheckpoint, Unavailable."""
    with checkpoints.checkpoint_lock(wait=True):
        current_head = checkpoint_files.load_head()
        if current_head is None or current_head.volumes != head.volumes:
            return {}
        after_id = UUID(cursor["after"])
        volume = checkpoints.merge_into_volume(current_head, after_id, last, sorted(records))
    return {
        "volumes": volume.number,
        "base": cursor["base"] | _next_cursor(volume) | {"last": volume.last, "tip": volume.tip},
    }


def _verify_unlisted(cursor: Cursor, head: CheckpointHead | None) -> tuple[Cursor | None, VerificationReport]:
    """Verify the next entries that no checkpoint lists yet; valid ones are only counted. After the last one,
    report it if they have not been listed for longer than MAX_LAG, or if all checkpoints are gone."""
    report, _, last_id = check_entries(
        UUID(cursor["after"]),
        HIGHEST_ID,
        (),
        ENTRIES_PER_STEP,
        first=head is None,
    )
    unlisted_since = cursor.get("since") or _iso_text(report.since)
    if report.checked == ENTRIES_PER_STEP:
        return cursor | {
            "stage": UNLISTED_STAGE,
            "after": str(last_id),
            "since": unlisted_since,
        }, report
    if head is None and cursor["known"]:
        report.files.append(f"封存记录曾到第{cursor['known']}号，现在一份也没有")
    if unlisted_since:
        report.files += _lag_problems(datetime.fromisoformat(unlisted_since))
    return None, report


def _iso_text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _lag_problems(unlisted_since: datetime) -> list[str]:
    """Returns a sentence if valid entries have not been listed for longer than MAX_LAG."""
    if clock.now() - unlisted_since <= MAX_LAG:
        return []
    return [f"{clock.to_beijing(unlisted_since):%Y年%m月%d日 %H:%M}以来的记录没有封存"]
