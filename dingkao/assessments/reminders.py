"""Reminders (domain.md §6 no. 1): doctors who have not submitted, or not sat the test, are notified before
the last day. A province has up to 446,000 doctors, so notices are written in rounds (a state, a last day, a
number of days before it): each round is a chunked job, and each chunk one SQL statement."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from dingkao import clock
from dingkao.assessments.models import (
    ASSESSMENT_STATES,
    TEST_STATES,
    Assessment,
    ReminderRound,
)
from dingkao.cycles.cycles import current_cycle, phases_of
from dingkao.cycles.models import Cycle, CyclePhase
from dingkao.database.arrays import in_array
from dingkao.database.base import db, new_id
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor, RetryLater
from dingkao.jobs.models import Job
from dingkao.people import notices
from dingkao.people.notice_catalogue import (
    REMINDER_DRAFT,
    REMINDER_INCLUDED,
    REMINDER_READY,
    REMINDER_RESIT,
    REMINDER_RETURNED,
    REMINDER_TESTING,
    NoticeKind,
)
from dingkao.tenants import settings
from dingkao.tenants.context import current_tenant
from dingkao.tenants.settings import Setting

JOB_NAME, BATCH_SIZE = "remind", 2000
SENDING_HOURS = range(8, 21)
settings.register(
    "reminder_days",
    Setting(
        "截止前几天提醒医师（用逗号隔开，0为当天，不填则不提醒）",
        "7,3,1,0",
        kind="days",
        group="通知",
        order=70,
        max_value=60,
    ),
)


@dataclass(frozen=True)
class Reminder:
    """The reminder for doctors in a state. `phases`: the kinds of phases that bound it, of which the latest
    end counts; `deadline_label`: what has to be done by then (Chinese); `kind`: the notice with its texts."""

    phases: tuple[str, ...]
    deadline_label: str
    kind: NoticeKind


REMINDERS = {
    "draft": Reminder(("filing",), "报名", REMINDER_DRAFT),
    "included": Reminder(("filing",), "报名", REMINDER_INCLUDED),
    "institution_returned": Reminder(("filing", "review"), "重新提交", REMINDER_RETURNED),
    "testing": Reminder(("examination",), "测评", REMINDER_TESTING),
    "ready": Reminder(("examination",), "测评", REMINDER_READY),
    "resit": Reminder((), "重考", REMINDER_RESIT),
}  # in this order (see _has_earlier_round)
RESIT_STATE = "resit"
"""Stands for doctors who may sit a paper again until a day of their own; their records are in one of
TEST_STATES."""

RESIT_QUERY = """
    SELECT c.assessment_id, CAST(max(c.resit_until) AT TIME ZONE 'Asia/Shanghai' AS date) AS day
    FROM integrity_case AS c JOIN sitting AS s ON s.tenant_id = c.tenant_id AND s.id = c.sitting_id
    WHERE c.tenant_id = :tenant AND c.state = 'voided' AND c.outcome = 'resit' AND c.resit_until >= :at
        AND NOT EXISTS (
            SELECT FROM sitting AS anew
            WHERE anew.tenant_id = :tenant AND anew.assessment_id = s.assessment_id
                AND anew.paper_id = s.paper_id AND anew.voided_at IS NULL
        )
    GROUP BY c.assessment_id
"""
"""The records with a paper that may still be sat again, and the last day for that; same rule as
exams.resits."""
RESIT_DAYS_QUERY = text(f"""
WITH again AS ({RESIT_QUERY})
SELECT DISTINCT again.day
FROM again JOIN assessment AS a ON a.tenant_id = :tenant AND a.id = again.assessment_id
WHERE a.cycle_id = :cycle AND a.state = ANY(:states) AND again.day > :after ORDER BY again.day
""")  # noqa: S608 - a constant
INSERT_NOTICES_QUERY = text(f"""
WITH again AS ({RESIT_QUERY}), due AS (
    SELECT a.id, d.account_id, row_number() OVER (ORDER BY a.id) AS place
    FROM assessment AS a JOIN doctor AS d ON d.tenant_id = a.tenant_id AND d.id = a.doctor_id
    LEFT JOIN again ON again.assessment_id = a.id
    WHERE a.tenant_id = :tenant AND a.cycle_id = :cycle AND a.state = ANY(:states) AND a.id > :reached
    AND CASE
        WHEN :resits THEN again.day = :last_day
        -- those who only have papers to sit again are reminded by their own last day
        WHEN again.day > :last_day THEN (
            SELECT count(DISTINCT s.paper_id) FROM sitting AS s
            WHERE s.tenant_id = :tenant AND s.assessment_id = a.id
        ) < CASE a.procedure WHEN 'simple' THEN 1 ELSE :papers END
        ELSE true END
    ORDER BY a.id LIMIT :batch
), told AS (
    INSERT INTO notice (
        tenant_id, id, account_id, kind, subject_id, title, body, target, delivery_state, written_at
    )
    SELECT :tenant, fresh.id, due.account_id, :kind, due.id, :title, :body, :leads, :outward, :at
    FROM due JOIN unnest(CAST(:ids AS uuid[])) WITH ORDINALITY AS fresh (id, place) ON fresh.place = due.place
)
SELECT id, place FROM due ORDER BY place DESC LIMIT 1
""")  # noqa: S608 - a constant
FIRST_ID = "00000000-0000-0000-0000-000000000000"


def start_due_rounds() -> int:
    """Scheduled task: start every round that is due in the current province, each as a job; only in daytime.
    Returns how many jobs were enqueued. Doesn't commit: the timetable does. A doctor who enters a state after
    its round is reminded at the next threshold; a notice about the change itself was just sent."""
    cycle = current_cycle() if _is_sending_hour() else None
    if cycle is None:
        return 0
    started_rounds = _started_rounds(cycle)
    new_rounds = [due_round for due_round in due_rounds(cycle) if due_round not in started_rounds]
    return sum(_start_round(cycle, *new_round) for new_round in new_rounds)


def _started_rounds(cycle: Cycle) -> set[tuple[str, date, int]]:
    """Returns the rounds of a cycle that were started: (state, last day, threshold in days)."""
    columns = (
        ReminderRound.state,
        ReminderRound.last_day,
        ReminderRound.days_before,
    )
    rows = db.session.execute(select(*columns).where(ReminderRound.cycle_id == cycle.id))
    return {(state, last_day, days_before) for state, last_day, days_before in rows}


def _start_round(cycle: Cycle, state: str, last_day: date, threshold_days: int) -> bool:
    """Store a round, and enqueue its job if any record is in its states; else it is stored as ended. Returns
    whether the job was enqueued; not if somebody has started the round meanwhile."""
    query = select(Assessment.id).where(
        Assessment.cycle_id == cycle.id,
        in_array(Assessment.state, _states_of_round(state)),
    )
    is_needed = db.session.scalar(query.limit(1)) is not None
    values = {
        "tenant_id": current_tenant(),
        "id": new_id(),
        "cycle_id": cycle.id,
        "state": state,
        "last_day": last_day,
        "days_before": threshold_days,
        "notified_count": 0,
        "begun_at": clock.now(),
        "ended_at": None if is_needed else clock.now(),
    }
    round_id = db.session.scalar(
        insert(ReminderRound).values(**values).on_conflict_do_nothing().returning(ReminderRound.id)
    )
    if round_id is None or not is_needed:
        return False
    _enqueue_round(round_id, state, threshold_days)
    return True


def _enqueue_round(round_id: UUID, state: str, threshold_days: int) -> None:
    """Enqueue the job that notifies the doctors of a round."""
    state_label = ASSESSMENT_STATES.get(state, "准予重考")
    title = f"提醒医师：{REMINDERS[state].deadline_label}（{state_label}，还有{threshold_days}天以内）"
    enqueueing.enqueue(
        JOB_NAME,
        title,
        {"reminding": str(round_id)},
        by=None,
        subject=round_id,
    )


def _is_sending_hour() -> bool:
    """Whether it is daytime in Beijing: reminders are written only then."""
    return clock.to_beijing(clock.now()).hour in SENDING_HOURS


def due_rounds(cycle: Cycle) -> Iterator[tuple[str, date, int]]:
    """Yields the rounds that are due today: state, last day, and the smallest threshold in days that has been
    reached. If a threshold was missed (no worker ran that day, or the deadline was moved), it is due until
    the next one."""
    thresholds = sorted(
        map(
            int,
            filter(None, settings.value("reminder_days").split(",")),
        )
    )
    if not thresholds:
        return
    phases = phases_of(cycle)
    for state, last_day in _phase_last_days(phases) + _resit_last_days(cycle, phases):
        threshold = _reached_threshold(last_day, thresholds)
        if threshold is not None:
            yield state, last_day, threshold


def _reached_threshold(last_day: date, thresholds: list[int]) -> int | None:
    """Returns the smallest of `thresholds` (days before `last_day`, ascending) that has been reached; None if
    none has, or the last day is over."""
    days_left = (last_day - clock.today()).days
    if days_left < 0:
        return None
    return next(
        (threshold for threshold in thresholds if threshold >= days_left),
        None,
    )


def _phase_last_days(
    phases: Mapping[str, CyclePhase],
) -> list[tuple[str, date]]:
    """Returns (state, last day of its phases) for each reminder of which a phase has begun; without
    RESIT_STATE."""
    last_days = []
    for state, reminder in REMINDERS.items():
        own_phases = [phases[kind] for kind in reminder.phases if kind in phases]
        if _has_any_begun(own_phases):
            last_days.append((state, max(phase.last_day for phase in own_phases)))
    return last_days


def _has_any_begun(phases: Iterable[CyclePhase]) -> bool:
    return any(clock.today() >= phase.first_day for phase in phases)


def _states_of_round(state: str) -> tuple[str, ...]:
    """Returns the states of the records that are notified by the round of `state`."""
    return TEST_STATES if state == RESIT_STATE else (state,)


def _resit_last_days(cycle: Cycle, phases: Mapping[str, CyclePhase]) -> list[tuple[str, date]]:
    """Returns (RESIT_STATE, day) for each day, after the end of the examination, that is the last one on
    which some doctors may sit a paper again."""
    if "examination" not in phases:
        return []
    parameters = {
        "tenant": current_tenant(),
        "cycle": cycle.id,
        "at": clock.now(),
        "states": list(TEST_STATES),
        "after": phases["examination"].last_day,
    }
    return [(RESIT_STATE, day) for day in db.session.scalars(RESIT_DAYS_QUERY, parameters)]


def _has_earlier_round(reminder_round: ReminderRound) -> bool:
    """Returns whether a round of a state that comes earlier in REMINDERS is unfinished. Then this round
    waits, because a doctor who moves on to the next state meanwhile would be reminded twice."""
    states = list(REMINDERS)[: list(REMINDERS).index(reminder_round.state)]
    query = select(ReminderRound.id).where(
        ReminderRound.cycle_id == reminder_round.cycle_id,
        in_array(ReminderRound.state, states),
        ReminderRound.ended_at.is_(None),
    )
    return db.session.scalar(query.limit(1)) is not None


def _find_round_for_update(job: Job) -> ReminderRound | None:
    """Returns the round of a job, ended or not, locked; None if there is none."""
    round_id = UUID(job.arguments["reminding"])
    return db.session.scalar(select(ReminderRound).where(ReminderRound.id == round_id).with_for_update())


def _on_cancel(job: Job, _cursor: Cursor) -> None:
    """End the round of a cancelled job; the notices that are written stay."""
    reminder_round = _find_round_for_update(job)
    if reminder_round is not None:
        reminder_round.ended_at = clock.now()


@worker.register_chunked_job(JOB_NAME, undo=_on_cancel)
def notify_batch(job: Job, _cursor: Cursor) -> Chunk:
    """Notify the next doctors of a round. The notices are committed together with the round's progress. A
    round that is no longer due (day over, another threshold) notifies nobody, and ends. Raises RetryLater at
    night, and while an earlier round is unfinished."""
    reminder_round = _find_round_for_update(job)
    if reminder_round is None or reminder_round.ended_at:
        return Chunk(None)
    cycle = db.session.get_one(Cycle, (reminder_round.tenant_id, reminder_round.cycle_id))
    if not _is_sending_hour():
        raise RetryLater(f"夜间不打扰医师，{SENDING_HOURS.start}点后自动继续。")
    if not _is_due(reminder_round, cycle):
        reminder_round.ended_at = clock.now()
        return Chunk(None)
    if _has_earlier_round(reminder_round):
        raise RetryLater("前一批提醒发完后自动继续。")
    count = _write_notices(reminder_round, cycle)
    next_cursor = None
    if count == BATCH_SIZE:
        next_cursor = {"reached": str(reminder_round.last_assessment_id)}
    else:
        reminder_round.ended_at = clock.now()
    return Chunk(next_cursor, done=count, counts={"told": count})


def _is_due(reminder_round: ReminderRound, cycle: Cycle) -> bool:
    """Returns whether the round is still one of `due_rounds`."""
    key = (
        reminder_round.state,
        reminder_round.last_day,
        reminder_round.days_before,
    )
    return key in due_rounds(cycle)


def _write_notices(reminder_round: ReminderRound, cycle: Cycle) -> int:
    """Write the notices of the next batch of a round, and store the round's progress. Returns how many."""
    parameters = _notice_parameters(reminder_round, cycle)
    last_row = db.session.execute(INSERT_NOTICES_QUERY, parameters).one_or_none()
    if last_row is None:
        return 0
    count = int(last_row.place)
    reminder_round.notified_count += count
    reminder_round.last_assessment_id = last_row.id
    return count


def _notice_parameters(reminder_round: ReminderRound, cycle: Cycle) -> dict[str, Any]:
    """The parameters of INSERT_NOTICES_QUERY for the next batch of a round."""
    state = reminder_round.state
    kind = REMINDERS[state].kind
    title, body = reminder_text(state, reminder_round.last_day, cycle.label)
    return {
        "tenant": current_tenant(),
        "cycle": cycle.id,
        "states": list(_states_of_round(state)),
        "resits": state == RESIT_STATE,
        "last_day": reminder_round.last_day,
        "papers": 1 if settings.value("exam_stages") == "combined" else 2,
        "reached": reminder_round.last_assessment_id or FIRST_ID,
        "batch": BATCH_SIZE,
        "title": title,
        "body": body,
        "kind": kind.code,
        "leads": kind.target,
        "outward": notices.initial_delivery_state(kind),
        "at": clock.now(),
        "ids": [new_id() for _ in range(BATCH_SIZE)],
    }


def reminder_text(state: str, last_day: date, label: str) -> tuple[str, str]:
    """Returns title and body of a reminder sent today. `state`: a key of REMINDERS; `label` is that of the
    cycle."""
    reminder = REMINDERS[state]
    days_left = (last_day - clock.today()).days
    fields = {
        "what": reminder.deadline_label,
        "when": f"还有{days_left}天" if days_left else "今天是最后一天",
        "cycle": label,
        "last_day": f"{last_day:%Y年%m月%d日}",
    }
    return reminder.kind.title_text(**fields), reminder.kind.body_text(**fields)
