"""Added time for all sittings that an outage affected, given together by one job, in chunks that the worker
commits (统一补时, domain.md §6 no. 7)."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, func, select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.errors import InvalidInput, InvalidState, Refusal
from dingkao.exams import added_time, integrity_events
from dingkao.exams.models.monitoring_models import Outage
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.outages import (
    COMPENSATION_OVER_MESSAGE,
    COMPENSATION_WINDOW,
    AffectedCounts,
    count_affected,
    time_ran_out_condition,
    waiting_sittings_query,
)
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.accounts import load_actor
from dingkao.people.scopes import Grant
from dingkao.tenants import settings

COMPENSATE_JOB, BATCH_SIZE = "compensate_outage", 50
RETURN_MINUTES, MIN_MINUTES = 10, 1
"""Minutes proposed beyond the outage's length, in which doctors can hear of the added time and come back."""
COMPENSATION_SCOPES = {
    "ended": "中断期间作答时间到时的",
    "all": "中断期间作答过的全部（包括现在仍在作答的）",
}


def proposed_minutes(outage: Outage) -> int:
    """How many minutes to propose: the length of the outage and RETURN_MINUTES, but no more than the province
    allows."""
    lost = math.ceil((outage.ended_at - outage.began_at).total_seconds() / 60)
    return int(
        min(
            lost + RETURN_MINUTES,
            settings.value("added_minutes_most"),
        )
    )


def enqueue_compensation(
    outage: Outage,
    grant: Grant,
    *,
    scope: str,
    minutes: int,
    reason: str,
    by: Actor,
) -> Job:
    """统一补时: enqueue the job that gives `minutes` to each sitting within `grant` that the outage affected
    and that has got none for it; writes a journal entry. `grant` names organisations: the job gives nothing
    for one of the whole province. `scope`: a key of COMPENSATION_SCOPES. Raises InvalidInput naming the
    field, InvalidState if the outage ended too long ago or no sitting waits for time."""
    _require_valid_minutes(minutes)
    if scope not in COMPENSATION_SCOPES:
        raise InvalidInput("请选择补时范围。", "scope")
    reason = added_time.validate_reason(reason)
    if clock.now() - outage.ended_at > COMPENSATION_WINDOW:
        raise InvalidState(COMPENSATION_OVER_MESSAGE)
    _require_waiting(count_affected(outage, grant), scope)
    journal.write_entry(
        "outage",
        outage.id,
        "compensation_asked",
        by=by,
        minutes=minutes,
        reason=reason,
        scope=scope,
    )
    arguments = {
        "outage": str(outage.id),
        "organisations": list(map(str, grant.assessor_ids)),
        "scope": scope,
        "minutes": minutes,
        "reason": reason,
    }
    return enqueueing.enqueue(
        COMPENSATE_JOB,
        "服务中断统一补时",
        arguments,
        by=by.id,
        subject=outage.id,
    )


def _require_valid_minutes(minutes: int) -> None:
    """Raise InvalidInput unless `minutes` is from MIN_MINUTES to what the province allows."""
    max_minutes = settings.value("added_minutes_most")
    if not MIN_MINUTES <= minutes <= max_minutes:
        raise InvalidInput(
            f"补时分钟应为{MIN_MINUTES}至{max_minutes}之间的整数。",
            "minutes",
        )


def _require_waiting(affected: AffectedCounts, scope: str) -> None:
    """Raise InvalidState if no sitting in the chosen `scope` waits for time."""
    waiting_count = affected.ended_waiting + (affected.running if scope == "all" else 0)
    if not waiting_count:
        raise InvalidState("没有等待补时的作答，可能已经补过。")


class _Compensation(NamedTuple):
    """The added time that each sitting affected by an outage gets, with the reason and who gives it."""

    outage: Outage
    minutes: int
    reason: str
    by: Actor

    def give(self, sitting_id: UUID, record_id: UUID) -> None:
        """Give the time to one sitting; its record is locked first, as everywhere, then the sitting. Raises a
        Refusal, as `add_time`."""
        record = _get_for_update(Assessment, record_id)
        sitting = _get_for_update(Sitting, sitting_id)
        added_time.add_time(
            record,
            sitting,
            minutes=self.minutes,
            reason=self.reason,
            by=self.by,
            outage_id=self.outage.id,
        )

    def try_to_give(self, sitting_id: UUID, record_id: UUID) -> str | None:
        """Give the time to one sitting within a savepoint. Returns None, or the message why it can't get
        any."""
        try:
            with db.session.begin_nested():
                self.give(sitting_id, record_id)
        except Refusal as refusal:
            return refusal.message
        return None


def _get_for_update(model: Any, row_id: UUID) -> Any:
    """A row by id, locked and read anew."""
    query = select(model).where(model.id == row_id).with_for_update()
    return db.session.scalars(query.execution_options(populate_existing=True)).one()


@worker.register_chunked_job(COMPENSATE_JOB)
def compensate_batch(job: Job, cursor: Cursor) -> Chunk:
    """Give time to the next sittings, each by itself, in the name of who asked, with the roles held now
    (`add_time`: locks, journal entries, notices); those that can't get any are counted by reason. Their open
    pages load the new end with the next heartbeat. Ends without doing anything if the outage is gone. A
    sitting gets it only once, even if a chunk is repeated, because only sittings without time for this outage
    are queried."""
    arguments, by = job.arguments, load_actor(job.asked_by)
    outage = db.session.scalar(select(Outage).where(Outage.id == UUID(arguments["outage"])))
    if outage is None:
        return Chunk(None)
    query = _sittings_to_compensate(outage, arguments)
    total = None if cursor else db.session.scalar(query.with_only_columns(func.count()))
    sittings = _next_sittings(query, UUID(cursor.get("after", UUID(int=0).hex)))
    compensation = _Compensation(outage, arguments["minutes"], arguments["reason"], by)
    reasons = {
        sitting_id: compensation.try_to_give(sitting_id, record_id) for sitting_id, record_id in sittings
    }
    compensated = [sitting_id for sitting_id, reason in reasons.items() if reason is None]
    integrity_events.request_recheck_of_all(compensated)
    return Chunk(
        {"after": sittings[-1].id.hex} if len(sittings) == BATCH_SIZE else None,
        done=len(sittings),
        total=total,
        counts={
            "compensated": len(compensated),
            "left_out": len(sittings) - len(compensated),
        },
        reasons=Counter(filter(None, reasons.values())),
    )


def _sittings_to_compensate(outage: Outage, arguments: Mapping[str, Any]) -> Select[Any]:
    """The sittings to which the job has to give time and that have none for this outage yet."""
    query = waiting_sittings_query(
        outage,
        Grant(assessor_ids=tuple(map(UUID, arguments["organisations"]))),
    )
    return query.where(time_ran_out_condition(outage)) if arguments["scope"] == "ended" else query


def _next_sittings(query: Select[Any], after: UUID) -> Sequence[Any]:
    """The next BATCH_SIZE sittings with ids above `after`: (sitting id, record id)."""
    batch = query.where(Sitting.id > after).order_by(Sitting.id).limit(BATCH_SIZE)
    return db.session.execute(batch.with_only_columns(Sitting.id, Sitting.assessment_id)).all()
