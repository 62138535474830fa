"""Verifies the journal every night with a job of chunks, and notifies administrators and auditors if it finds
a problem."""

import hashlib
import json
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select

from dingkao.database.base import db
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import OPEN_STATES, Job
from dingkao.journal import checkpoint_files, verification
from dingkao.journal import entries as journal
from dingkao.journal.checkpoint_files import InvalidCheckpoint
from dingkao.journal.entries import Actor
from dingkao.journal.findings import (
    FINDING_LABELS,
    VerificationReport,
)
from dingkao.people import notices
from dingkao.people.job_repeats import allow_repeat
from dingkao.people.models import Account, Membership
from dingkao.people.notice_catalogue import JOURNAL_PROBLEM
from dingkao.people.permissions import roles_for

NOTIFIED_ROLES = roles_for("journal.verify")
JOB_NAME, JOB_TITLE = "verify_journal", "核验审计日志"
FINDINGS_KIND, MAX_FINDINGS_SHOWN = "journal", 200


def enqueue_nightly() -> None:
    """The scheduled task that enqueues the nightly verification, even if another one is under way."""
    enqueueing.enqueue(JOB_NAME, JOB_TITLE, {}, by=None)


def last_asked_at() -> datetime | None:
    """When a verification was last enqueued, by the scheduled task or by a person; None if none ever was."""
    return db.session.scalar(select(func.max(Job.asked_at)).where(Job.name == JOB_NAME))


def enqueue_verification(*, by: Actor) -> Job:
    """Enqueue a verification, journal that, and return its job; if one waits, runs or is paused, return
    that."""
    running = running_verification()
    if running is not None:
        return running
    job = enqueueing.enqueue(JOB_NAME, JOB_TITLE, {}, by=by.id)
    journal.write_entry("job", job.id, "verification_asked", by=by)
    return job


def _verify_again(_job: Job, by: Actor) -> Job:
    """Enqueue a verification anew, or return the one that waits, runs or is paused: how such a job is
    repeated (`job_repeats`)."""
    return enqueue_verification(by=by)


def running_verification() -> Job | None:
    """The oldest verification that is waiting, running or paused; None if there is none."""
    return db.session.scalar(
        select(Job)
        .where(
            Job.name == JOB_NAME,
            Job.state.in_(OPEN_STATES),
        )
        .order_by(Job.id)
        .limit(1)
    )


def last_completed(before: Job | None = None) -> Job | None:
    """The newest completed verification, or with `before` the newest that is older than this job; None if
    there is none."""
    query = select(Job).where(Job.name == JOB_NAME, Job.state == "done").order_by(Job.id.desc()).limit(1)
    return db.session.scalar(query.where(Job.id < before.id) if before else query)


def last_verified_batch() -> int:
    """The number of the last checkpointed batch when the journal was verified last; 0 if it never was."""
    last = last_completed()
    return int(findings_of(last)["number"]) if last else 0


def findings_of(job: Job) -> dict[str, Any]:
    """What a verification has found so far: counts by name (`checked`, `listed`, `uncovered` and the keys of
    FINDING_LABELS), `entries` (the first 200, each with `at`, `entry`, `what`, `subject`; see
    `Finding.as_dict`), `files` (the first 200 sentences), `mark` (a digest by which the same findings are
    recognised; "" if there are none), `since` (the first entry without checkpoint), and, at the end, `number`
    (of the last batch) and `until` (when it was written)."""
    zeros: dict[str, Any] = dict.fromkeys(
        ("checked", "listed", "uncovered", *FINDING_LABELS, "number"),
        0,
    )
    return (
        zeros
        | {
            "entries": [],
            "files": [],
            "mark": "",
            "since": None,
            "until": None,
        }
        | dict((job.result or {}).get(FINDINGS_KIND, {}))
    )


@worker.register_chunked_job(JOB_NAME)
def verify_step(job: Job, cursor: Cursor) -> Chunk:
    """Verify the next part of the whole journal, each night from its beginning, and merge verified batches
    into volumes; after the last part write a notice to NOTIFIED_ROLES if there are findings, and others than
    the last time. A lower number of batches than the last verification saw is a finding. Raises
    Unavailable."""
    next_cursor, report = verification.verify_step(
        cursor or verification.initial_cursor(last_verified_batch()),
        merge_batches=True,
    )
    findings = _merge_findings(findings_of(job), report)
    if next_cursor is None:
        findings |= _checkpointed_until()
        _notify(job, findings)
    return Chunk(
        next_cursor,
        done=report.checked,
        result={FINDINGS_KIND: findings},
    )


def _merge_findings(findings: dict[str, Any], report: VerificationReport) -> dict[str, Any]:
    """The `findings` so far (see `findings_of`), completed with those of one more part of the journal."""
    step_values = report.as_dict()
    moments = [moment for moment in (findings["since"], step_values["uncovered_since"]) if moment]
    return (
        findings
        | _add_numbers(findings, report)
        | {
            "entries": [*findings["entries"], *step_values["entries"]][:MAX_FINDINGS_SHOWN],
            "files": [*findings["files"], *step_values["files"]][:MAX_FINDINGS_SHOWN],
            "since": min(moments, default=None),
            "mark": _findings_digest(findings["mark"], report),
        }
    )


def _add_numbers(findings: dict[str, Any], report: VerificationReport) -> dict[str, int]:
    """The counts of the findings so far plus those of one more part."""
    return {
        "checked": findings["checked"] + report.checked,
        "listed": findings["listed"] + report.listed,
        "uncovered": findings["uncovered"] + report.uncovered,
    } | {kind: findings[kind] + _count_of(report, kind) for kind in FINDING_LABELS}


def _count_of(report: VerificationReport, kind: str) -> int:
    """How many entries of a part have a finding of this kind (a key of FINDING_LABELS)."""
    return sum(finding.kind == kind for finding in report.entries)


def _findings_digest(before: str, report: VerificationReport) -> str:
    """A digest of all findings so far, by which a later night recognises the same findings; "" while there
    are none."""
    if report.is_clean:
        return before
    content = [
        before,
        sorted((finding.kind, str(finding.entry)) for finding in report.entries),
        report.files,
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _checkpointed_until() -> dict[str, Any]:
    """The number and time of the last checkpoint; without a valid one, the number verified last. Raises
    Unavailable."""
    try:
        head = checkpoint_files.load_head()
    except InvalidCheckpoint:
        return {"number": last_verified_batch()}
    return {"number": head.number, "until": head.at} if head else {"number": last_verified_batch()}


def _notify(job: Job, findings: dict[str, Any]) -> None:
    """Write a notice to each active administrator and auditor, unless there are no findings or the same as
    the last time."""
    if not findings["mark"] or _was_found_last_time(job, findings["mark"]):
        return
    problems = _problems_text(findings)
    notified = select(Account.id).where(Account.state == "active", _notified_condition())
    for account_id in db.session.scalars(notified.order_by(Account.id)):
        notices.notify_account(account_id, JOURNAL_PROBLEM, findings=problems)


def _was_found_last_time(job: Job, digest: str) -> bool:
    """Whether the completed verification before `job` had the same findings."""
    last = last_completed(before=job)
    return last is not None and findings_of(last)["mark"] == digest


def _problems_text(findings: dict[str, Any]) -> str:
    """The findings as text for the notice: each kind with its count."""
    problems = [f"{FINDING_LABELS[kind]}的{findings[kind]}条" for kind in FINDING_LABELS if findings[kind]]
    problems += [f"封存记录异常{len(findings['files'])}处"] if findings["files"] else []
    return "，".join(problems)


def _notified_condition() -> ColumnElement[bool]:
    """The SQL condition that an account has one of NOTIFIED_ROLES."""
    administrator_condition = and_(
        Membership.tenant_id == Account.tenant_id,
        Membership.account_id == Account.id,
        Membership.role.in_(NOTIFIED_ROLES),
    )
    return select(Membership.id).where(administrator_condition).correlate(Account).exists()


allow_repeat(JOB_NAME, "journal.verify", _verify_again)
