"""Reminders (domain.md §6 no. 1): whoever has not handed in, or not sat the test, is told when the last day comes near. A province has
446,000 doctors, so they are told by rounds (a state, a last day, so many days before it), a batch a statement, a few batches a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from dingkao import clock
from dingkao.assessments.models import Reminding
from dingkao.cycles.models import Cycle
from dingkao.cycles.opening import current_cycle, phases_of
from dingkao.database.model import db, new_id
from dingkao.people import notifying
from dingkao.tenants import settings
from dingkao.tenants.context import current_tenant

BATCH, BATCHES = 2000, 5
HOURS = range(8, 21)


@dataclass(frozen=True)
class Reminder:
    """What doctors of a state are told: up to the end of which phase (the later one counts), what it is they have not done, and what to do."""

    phases: tuple[str, ...]
    what: str
    body: str
    leads: str


REMINDERS = {
    "draft": Reminder(("filing",), "报名", "您的报名信息已保存,尚未提交,机构无法审核。请在主页点击“填报信息”,检查无误后提交。", "filing"),
    "included": Reminder(("filing",), "报名", "您还没有填报。请在主页点击“填报信息”,填写完整后提交;只保存不提交,机构无法审核。", "filing"),
    "institution_returned": Reminder(
        ("filing", "review"), "重新提交", "您的报名信息已被退回,尚未重新提交。请在主页点击“填报信息”,按退回原因修改后重新提交。", "filing"
    ),
    "testing": Reminder(("examination",), "测评", "您还有试卷没有完成。请在主页点击“参加测评”,在截止时间前完成全部试卷。", "sitting"),
    "ready": Reminder(("examination",), "测评", "您还没有参加测评。请在主页点击“参加测评”,按时完成;无正当理由不参加的,考核不合格。", "sitting"),
}  # in this order a doctor who goes on to the next state meanwhile is not told a second time

TELL = text("""
WITH due AS (
    SELECT a.id, d.account_id, row_number() OVER (ORDER BY a.id) AS place
    FROM assessment AS a JOIN doctor AS d ON d.tenant_id = a.tenant_id AND d.id = a.doctor_id
    WHERE a.tenant_id = :tenant AND a.cycle_id = :cycle AND a.state = :state AND a.id > :reached
    ORDER BY a.id LIMIT :batch
), told AS (
    INSERT INTO notice (tenant_id, id, account_id, title, body, leads, outward, written_at)
    SELECT :tenant, fresh.id, due.account_id, :title, :body, :leads, :outward, :at
    FROM due JOIN unnest(CAST(:ids AS uuid[])) WITH ORDINALITY AS fresh (id, place) ON fresh.place = due.place
)
SELECT id, place FROM due ORDER BY place DESC LIMIT 1
""")
BEGINNING = "00000000-0000-0000-0000-000000000000"


def remind() -> int:
    """Go on with every round that is due, in the province entered, by day alone; the number of doctors told. Commits after each batch:
    the messages leave together with how far the round has got, so that nobody is told twice. Who comes into a state after its round is
    told at the next mark: what brought him there has just told him."""
    if clock.beijing(clock.now()).hour not in HOURS:
        return 0
    cycle = current_cycle()
    if cycle is None:
        return 0
    told, ended = 0, select(Reminding.state, Reminding.last_day, Reminding.days).where(Reminding.cycle_id == cycle.id, Reminding.ended_at.is_not(None))
    done = {tuple(row) for row in db.session.execute(ended)}
    for state, last_day, mark in due(cycle):
        if (state, last_day, mark) in done:
            continue
        while told < BATCH * BATCHES:
            batch = _batch(cycle, state, last_day, mark)
            db.session.commit()
            told += batch or 0
            if batch is None or batch < BATCH:
                break
    return told


def due(cycle: Cycle) -> Iterator[tuple[str, date, int]]:
    """The rounds that are due today: state, last day, and the mark that has been reached, the nearest to the last day. A mark that was
    missed, because nobody worked that day or the deadline was moved, is made up for until the next."""
    marks = sorted(int(part) for part in settings.value("reminder_days").split(",") if part)
    phases, today = phases_of(cycle), clock.today()
    for state, reminder in REMINDERS.items():
        wanted = [phases[kind] for kind in reminder.phases if kind in phases]
        if not wanted or today < min(phase.first_day for phase in wanted):
            continue
        last_day = max(phase.last_day for phase in wanted)
        left = (last_day - today).days
        mark = next((mark for mark in marks if mark >= left), None)
        if left >= 0 and mark is not None:
            yield state, last_day, mark


def _batch(cycle: Cycle, state: str, last_day: date, mark: int) -> int | None:
    """Tell the next doctors of a round; how many, or None where it has ended."""
    key = {"cycle_id": cycle.id, "state": state, "last_day": last_day, "days": mark}
    row = {"tenant_id": current_tenant(), "id": new_id(), "told": 0, "begun_at": clock.now()} | key
    db.session.execute(insert(Reminding).values(**row).on_conflict_do_nothing())
    theirs = select(Reminding).filter_by(**key).where(Reminding.ended_at.is_(None)).with_for_update()
    made = db.session.scalar(theirs.execution_options(populate_existing=True))
    if made is None:
        return None
    title, body = words(state, last_day, cycle.label)
    given: dict[str, Any] = {
        "tenant": current_tenant(), "cycle": cycle.id, "state": state, "reached": made.reached or BEGINNING, "batch": BATCH, "title": title,
        "body": body, "leads": REMINDERS[state].leads, "outward": notifying.outward(), "at": clock.now(), "ids": [new_id() for _ in range(BATCH)],
    }  # fmt: skip
    last = db.session.execute(TELL, given).one_or_none()
    told = last.place if last else 0
    made.told += told
    if last:
        made.reached = last.id
    if told < BATCH:
        made.ended_at = clock.now()
    return int(told)


def words(state: str, last_day: date, label: str) -> tuple[str, str]:
    """Title and body of a reminder as it is read today."""
    reminder, left = REMINDERS[state], (last_day - clock.today()).days
    when = f"还有{left}天" if left else "今天是最后一天"
    title = f"{reminder.what}即将截止:{when}"
    return title, f"{label}的{reminder.what}将于{last_day:%Y年%m月%d日}截止,{when}。{reminder.body}"
