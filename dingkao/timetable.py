"""The scheduled tasks of the application and their intervals. Each runs in every province that is served, in
a worker of their own, so that slow jobs don't delay them."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time

import structlog

from dingkao import clock
from dingkao.assessments import office_notice_sending, record_counts, reminders
from dingkao.database.base import db
from dingkao.doctors import search_backfill
from dingkao.exams import (
    exposures,
    outage_detection,
    sitting_completion,
)
from dingkao.jobs import lost_jobs, worker
from dingkao.journal import checkpoints as journal_sealing
from dingkao.operators import act_log
from dingkao.operators import operator_accounts as operators
from dingkao.people import (
    import_checks,
    journal_verification,
    list_exports,
    notice_delivery,
    staff_accounts,
)
from dingkao.people.provinces import (
    province_states,
    served_province_codes,
)
from dingkao.results import pass_lines
from dingkao.tenants.context import in_tenant
from dingkao.uploads import chunked_uploads, file_encryption

log = structlog.get_logger()
VERIFICATION_TIME = time(2, 30)
"""When the journals are verified: that of each province (`verify_journal`), and that of the operators' acts
on the platform (`verify_acts`)."""
RECOUNT_TIME = time(3, 30)
"""When the totals of records by state are compared with the records."""


@dataclass(frozen=True)
class ScheduledTask:
    """A function that runs at intervals, or daily at a time of day, in each province that is served. It
    commits its own work or, in a province, leaves that to the caller.

    `interval_seconds`: the interval; for a daily task, how often it is checked whether the task is due.
    `include_suspended`: it also runs in provinces whose service is suspended. `platform`: it runs once,
    outside every province. `at`: the time of day in Beijing from which a daily task is due. `last_done`
    returns when the daily task last ran, which the task itself stores: it runs later on the same day if no
    worker ran at that time, and once only if it is started twice.
    """

    name: str
    interval_seconds: int
    run: Callable[[], object]
    platform: bool = False
    include_suspended: bool = False
    at: time | None = None
    last_done: Callable[[], datetime | None] = lambda: None

    def is_due(self, now: datetime) -> bool:
        """Returns whether the task is to run at `now` (with time zone): always, or for a daily task from its
        time of day until it has run or the day ends."""
        if self.at is None:
            return True
        today = clock.to_beijing(now)
        due_from = datetime.combine(today.date(), self.at, today.tzinfo)
        if today < due_from:
            return False
        last = self.last_done()
        return last is None or last < due_from


SCHEDULED_TASKS = (
    ScheduledTask("sweep", 10, lost_jobs.requeue_lost),
    ScheduledTask("close_overdue", 15, sitting_completion.close_overdue),
    ScheduledTask("find_outages", 15, outage_detection.detect_outages),
    ScheduledTask("apply_lines", 20, pass_lines.apply_approved_lines),
    ScheduledTask("fold_records", 20, record_counts.fold_moves),
    ScheduledTask(
        "recount_records",
        600,
        record_counts.recount_nightly,
        at=RECOUNT_TIME,
        last_done=record_counts.last_recounted_at,
    ),
    ScheduledTask("remind", 30, reminders.start_due_rounds),
    ScheduledTask("send_office_notices", 30, office_notice_sending.start_due_notices),
    ScheduledTask("count_office_notices", 60, office_notice_sending.count_deliveries),
    ScheduledTask("sweep_uploads", 60, chunked_uploads.delete_expired),
    ScheduledTask("delete_unconfirmed", 3600, import_checks.delete_unconfirmed),
    ScheduledTask("delete_exports", 600, list_exports.delete_expired_files),
    ScheduledTask(
        "seal_files",
        3600,
        file_encryption.enqueue_encryption_if_needed,
    ),
    ScheduledTask("index_names", 3600, search_backfill.enqueue_indexing_if_needed),
    ScheduledTask("ask_delivery", 30, notice_delivery.enqueue_delivery),
    ScheduledTask(
        "count_exposures",
        300,
        exposures.update_exposures_and_likeness,
    ),
    ScheduledTask(
        "seal_journal",
        60,
        journal_sealing.write_checkpoint,
        include_suspended=True,
    ),
    ScheduledTask(
        "verify_journal",
        600,
        journal_verification.enqueue_nightly,
        include_suspended=True,
        at=VERIFICATION_TIME,
        last_done=journal_verification.last_asked_at,
    ),
    ScheduledTask("close_unused", 6 * 3600, staff_accounts.close_unused_accounts),
    ScheduledTask("seal_acts", 60, act_log.write_checkpoint, platform=True),
    ScheduledTask(
        "verify_acts",
        600,
        act_log.verify_nightly,
        platform=True,
        at=VERIFICATION_TIME,
        last_done=act_log.last_verified_at,
    ),
    ScheduledTask(
        "close_unused_operators",
        6 * 3600,
        operators.close_unused_operators,
        platform=True,
    ),
)


def run_task(name: str) -> None:
    """Run the task `name` in every province it is for, or for the platform, where it is due; commits in each
    province. An error in one province is logged and does not stop the others. Raises StopIteration for an
    unknown name."""
    task = next(task for task in SCHEDULED_TASKS if task.name == name)
    if task.platform:
        with worker.application_context():
            _run_if_due(task, None)
        return
    for code in _provinces_of(task):
        with worker.application_context(), in_tenant(code):
            _run_if_due(task, code)


def _provinces_of(task: ScheduledTask) -> list[int]:
    """Returns the codes of the provinces in which a task runs."""
    with worker.application_context():
        return sorted(province_states() if task.include_suspended else served_province_codes())


def _run_if_due(task: ScheduledTask, province: int | None) -> None:
    """Run a task if it is due, in the current province (`province` is its code) or for the platform (None).
    In a province it is committed. An error, also of asking whether it is due, is logged, and what the task
    did in a province is rolled back."""
    try:
        if not task.is_due(clock.now()):
            return
        task.run()
        if province:
            db.session.commit()
    except Exception as fault:
        _log_fault(task, province, fault)
        if province:
            db.session.rollback()


def _log_fault(task: ScheduledTask, province: int | None, fault: Exception) -> None:
    """Log that a task failed: the type of the error and the code lines, without its message, which may
    contain personal data."""
    frames = traceback.extract_tb(fault.__traceback__)[-4:]
    log.exception(
        "duty.broken",
        duty=task.name,
        province=province,
        kind=type(fault).__name__,
        where=[f"{frame.filename}:{frame.lineno}" for frame in frames],
        exc_info=False,
    )
