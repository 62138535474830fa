"""Sittings (作答) [S15] to [S18]: opened once, resumed anywhere, handed in by the doctor or at the end. The server owns the time."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, func, or_, select, tuple_

from dingkao import clock
from dingkao.assessments import moves
from dingkao.assessments.models import Assessment
from dingkao.assessments.notices import tell
from dingkao.cycles.models import Cycle
from dingkao.cycles.opening import in_turn
from dingkao.database.model import db, new_id
from dingkao.doctors.models import Doctor
from dingkao.errors import NotAllowed, NotFound
from dingkao.exams.halls import admissions, check_code
from dingkao.exams.integrity import another_device
from dingkao.exams.marking import score_tenths
from dingkao.exams.models import Paper, Sitting, SittingAnswer
from dingkao.exams.papers import (
    draw,
    due,
    locked_because,
    read,
    their_papers,
    wanted_subjects,
    with_sittings,
    written,
)
from dingkao.exams.remarking import sheet_of
from dingkao.exams.resits import resits_after, resits_of
from dingkao.exams.words import words_of
from dingkao.journal import writing as journal
from dingkao.journal.writing import SYSTEM, Actor
from dingkao.tenants.asking import TENANT, Asked, a_day, an_id, whole

GRACE = timedelta(seconds=60)
AT_ONCE = 200
SECONDS_A_ROUND = 5.0


def record_of(doctor_id: UUID, cycle_id: UUID, *, lock: bool = False) -> Assessment:
    """The record that sits the exam. Raises NotFound."""
    query = select(Assessment).where(Assessment.doctor_id == doctor_id, Assessment.cycle_id == cycle_id).order_by(Assessment.id.desc()).limit(1)
    record = db.session.scalar(_locked(query) if lock else query)
    if record is None:
        raise NotFound("您未被主要执业机构纳入本周期考核。")
    return record


def sitter(account_id: UUID, *, lock: bool = False) -> tuple[Assessment, Doctor] | None:
    """Who sits, by account: the record of the present cycle (held locked where it is to change) and the doctor, in one question; None where
    there is no cycle yet or no record in it."""
    found = _SITTER.one(Assessment, Doctor, hold=(Assessment,) if lock else (), account=account_id, today=clock.today())
    return (found[0], found[1]) if found else None


def _of_account(*columns: Any) -> Select[Any]:
    """The record of an account in the present cycle, and its doctor."""
    cycle = select(Cycle.id).where(Cycle.tenant_id == TENANT).order_by(*in_turn(a_day("today"))).limit(1).scalar_subquery()
    return (
        select(*columns)
        .select_from(Assessment)
        .join(Doctor, and_(Doctor.tenant_id == Assessment.tenant_id, Doctor.id == Assessment.doctor_id))
        .where(Assessment.tenant_id == TENANT, Doctor.account_id == an_id("account"), Assessment.cycle_id == cycle)
        .order_by(Assessment.id.desc())
        .limit(1)
    )


_SITTER = Asked(lambda: _of_account(*whole(Assessment, Doctor)))


def _page() -> Select[Any]:
    record = _of_account(Assessment.tenant_id, Assessment.id).subquery("record")
    answers = select(func.jsonb_agg(func.jsonb_build_array(SittingAnswer.position, SittingAnswer.letters, SittingAnswer.sequence))).where(
        SittingAnswer.tenant_id == Sitting.tenant_id, SittingAnswer.sitting_id == Sitting.id
    )  # fmt: skip
    return (
        select(
            Sitting.tenant_id, Sitting.id, Sitting.layout, Sitting.epoch, Sitting.opened_at, Sitting.closes_at, Sitting.handed_in_at, Paper.title,
            answers.correlate(Sitting).scalar_subquery().label("answers"),
        )
        .join(record, and_(record.c.tenant_id == Sitting.tenant_id, record.c.id == Sitting.assessment_id))
        .join(Paper, and_(Paper.tenant_id == Sitting.tenant_id, Paper.id == Sitting.paper_id))
        .where(Sitting.tenant_id == TENANT, Sitting.id == an_id("sitting"))
    )  # fmt: skip


_PAGE = Asked(_page)


def page_of(sitting_id: UUID, account_id: UUID) -> Any:
    """What the page of answering stands on, in one question: the sitting of the account's record, its paper's title, and what is answered as
    (position, letters, sequence number). None where there is none such."""
    return _PAGE.first(sitting=sitting_id, account=account_id, today=clock.today())


def _locked(query: Select[Any]) -> Select[Any]:
    """The same query for a row to be changed: locked, and as it stands now, whatever this session has read of it before."""
    return query.with_for_update().execution_options(populate_existing=True)


def sitting_of(sitting_id: UUID, record: Assessment, *, lock: bool = False) -> Sitting:
    """A sitting of this record. Raises NotFound for anyone else's."""
    found = _SITTING.one(Sitting, hold=(Sitting,) if lock else (), sitting=sitting_id, record=record.id)
    if found is None:
        raise NotFound
    sitting: Sitting = found[0]
    return sitting


_SITTING = Asked(
    lambda: select(*whole(Sitting)).where(Sitting.tenant_id == TENANT, Sitting.id == an_id("sitting"), Sitting.assessment_id == an_id("record"))
)
_BOTH = Asked(
    lambda: _of_account(*whole(Assessment, Doctor, Sitting))
    .join(Sitting, and_(Sitting.tenant_id == Assessment.tenant_id, Sitting.assessment_id == Assessment.id))
    .where(Sitting.id == an_id("sitting"))
)


def held(sitting_id: UUID, account_id: UUID) -> tuple[Assessment, Doctor, Sitting] | None:
    """The record of an account in the present cycle and a sitting of its, both held locked in this order, and the doctor; None where there is
    none such."""
    found = _BOTH.one(Assessment, Doctor, Sitting, hold=(Assessment, Sitting), sitting=sitting_id, account=account_id, today=clock.today())
    return (found[0], found[1], found[2]) if found else None


def sittings_of(record: Assessment) -> dict[UUID, Sitting]:
    """The record's sittings by paper, without the voided ones."""
    query = select(Sitting).where(Sitting.assessment_id == record.id, Sitting.voided_at.is_(None))
    return {row.paper_id: row for row in db.session.scalars(query)}


def open_sitting(record: Assessment, wanted: Paper | UUID, *, by: Actor, code: str | None = None) -> Sitting:
    """The sitting of the paper `wanted`, begun now unless it was begun before; `record` is held locked, so two presses open one. Its end is
    fixed here: the paper's minutes from now, and never after its window or the doctor's slot, both with extra time (halls.Admission).
    `code`: the start code, where an invigilator is present. Raises Late, NotAllowed, NotFound, Invalid, WrongCode."""
    papers, begun, plain = with_sittings(record)
    paper_id = wanted.id if isinstance(wanted, Paper) else wanted
    paper = next((one for one in papers if one.id == paper_id), None)
    if paper is None:
        raise NotFound
    if paper.id in begun:
        return begun[paper.id]
    now = clock.now()
    admission = admissions(record, [paper], plain=plain)[paper.id]
    admission.refuse(now)
    if locked := locked_because(paper, papers, begun):
        raise NotAllowed(locked)
    if admission.slot is not None and admission.slot.invigilated:
        check_code(admission.slot, code)
    with journal.together():
        if record.state == "ready":
            moves.begin_test(record, by=by)
        elif record.state != "testing":
            raise NotAllowed("您当前不在待测评状态,不能进入考试。请返回主页查看最新状态。")
        seed = secrets.randbits(62)
        sitting = Sitting(
            id=new_id(), assessment_id=record.id, paper_id=paper.id, seed=seed, layout=written(draw(paper, seed)), opened_at=now, epoch=1,
            closes_at=admission.end(now),
        )  # fmt: skip
        db.session.add(sitting)
        journal.write("sitting", sitting.id, "opened", by=by, paper=str(paper.id))
    return sitting


def take_over(sitting: Sitting, *, by: Actor) -> None:
    """Go on with the sitting (held locked) on another device: saves of the one before are refused from now on."""
    if sitting.handed_in_at is None:
        sitting.epoch += 1
        another_device(sitting)
        journal.write("sitting", sitting.id, "taken_over", by=by, epoch=sitting.epoch)


def hand_in(record: Assessment, sitting: Sitting, *, by: Actor) -> None:
    """交卷: mark and close; both rows are held locked. Handed in already: nothing happens. With the last paper the test is over."""
    with journal.together(), db.session.no_autoflush:  # all of it is sent at the end; what is asked between doesn't turn on it
        if sitting.handed_in_at is None:
            close(sitting, by=by)
        _finish(record, by)


def close(sitting: Sitting, *, by: Actor) -> None:
    """Mark an open sitting (held locked) and take no more answers."""
    items, answers = sheet_of(sitting)
    sitting.score_tenths = score_tenths(items, answers, sitting.x_rule)
    sitting.handed_in_at, sitting.handed_in_by, sitting.epoch = clock.now(), by.kind, sitting.epoch + 1
    journal.write("sitting", sitting.id, "handed_in", by=by)


def close_overdue() -> int:
    """Hand in what is past its end and its minute of grace, and close the records for which no paper is to come; how many of both.
    A duty of the timetable: repeatable, each record in a transaction of its own, and what doesn't fit into a few seconds is left to
    the next round."""
    until = time.monotonic() + SECONDS_A_ROUND
    closed = 0
    rounds: tuple[tuple[Callable[[UUID], list[UUID]], Callable[[Assessment], int]], ...] = ((_late, _close_late), (_over, _close_over))
    for wanted, close in rounds:
        after = UUID(int=0)
        while time.monotonic() < until and (ids := wanted(after)):
            for record_id in ids:
                query = select(Assessment).where(Assessment.id == record_id).with_for_update(skip_locked=True)
                record = db.session.scalar(query.execution_options(populate_existing=True))
                if record is not None:
                    closed += close(record)
                db.session.commit()
            after = ids[-1]
    return closed


def _late(after: UUID) -> list[UUID]:
    """Records with a sitting past its end, the next of them after `after`."""
    overdue = select(Sitting.assessment_id).where(
        Sitting.handed_in_at.is_(None), Sitting.closes_at < clock.now() - GRACE, Sitting.assessment_id > after
    )
    return list(db.session.scalars(overdue.distinct().order_by(Sitting.assessment_id).limit(AT_ONCE)))


def _close_late(record: Assessment) -> int:
    overdue = select(Sitting).where(
        Sitting.assessment_id == record.id, Sitting.handed_in_at.is_(None), Sitting.closes_at < clock.now() - GRACE
    )
    rows = db.session.scalars(_locked(overdue)).all()
    for sitting in rows:
        hand_in(record, sitting, by=SYSTEM)
        tell(record, "试卷已到时自动交卷", "您有一份试卷作答时间已到,系统已自动交卷,已保存的答案全部计入。")
    return len(rows)


def _over(after: UUID) -> list[UUID]:
    """Records for which no paper is to come, though they wait for one, the next of them after `after`: all their papers are made, and
    each is handed in, or was never begun and is over. Asked of the database, so that many who wait never hide one who is done."""
    edge = clock.now() - GRACE
    groups = db.session.execute(select(Paper.cycle_id, Paper.category, Paper.level).where(Paper.closes_at < edge).distinct()).all()
    if not groups:
        return []
    theirs, wanted = their_papers()
    sat = and_(
        Sitting.tenant_id == Assessment.tenant_id, Sitting.assessment_id == Assessment.id, Sitting.paper_id == Paper.id, Sitting.voided_at.is_(None)
    )
    done = or_(Sitting.handed_in_at.is_not(None), and_(Sitting.id.is_(None), Paper.closes_at < edge, ~resits_after(edge)))
    query = (
        select(Assessment.id)
        .join(Doctor, and_(Doctor.tenant_id == Assessment.tenant_id, Doctor.id == Assessment.doctor_id))
        .join(Paper, theirs)
        .outerjoin(Sitting, sat)
        .where(
            Assessment.state.in_(("ready", "testing")), Assessment.id > after,
            tuple_(Assessment.cycle_id, Doctor.category, Doctor.level).in_([tuple(group) for group in groups]),
        )
        .group_by(Assessment.id, Assessment.procedure)
        .having(func.count().filter(~done) == 0, func.count() == wanted)
        .order_by(Assessment.id)
        .limit(AT_ONCE)
    )  # fmt: skip
    return list(db.session.scalars(query))


def _close_over(record: Assessment) -> int:
    before = record.state
    _finish(record, SYSTEM)
    return int(record.state != before)


def _to_come(record: Assessment, papers: list[Paper], begun: dict[UUID, Sitting]) -> bool:
    """Whether one of the papers can still be begun or is being sat."""
    open_ones = [paper for paper in papers if paper.id not in begun]
    now, again = clock.now(), resits_of(record) if open_ones else {}
    return any(one.handed_in_at is None for one in begun.values()) or any(
        now < max(paper.closes_at, again.get(paper.id, paper.closes_at)) + GRACE for paper in open_ones
    )


def _finish(record: Assessment, by: Actor) -> None:
    """Where no paper is to come: all handed in is 已交卷, one never begun is 缺考."""
    if record.state not in ("ready", "testing"):
        return
    papers, begun, _ = with_sittings(record)
    mine = due(papers, begun)
    if len(papers) < wanted_subjects(record) or _to_come(record, mine, begun):
        return
    if any(paper.id not in begun for paper in mine):
        moves.miss_test(record, by=SYSTEM)
        tell(record, "缺考", "您未在规定时间内参加全部测评,已记为缺考。请联系所属考核机构了解后续安排。")
    else:
        moves.finish_test(record, by=by)


@dataclass(frozen=True)
class ShownQuestion:
    """A question as the candidate sees it: no key, no explanation. `place` and `size`: which of how many that share a case."""

    position: int
    kind: str
    case_stem: str
    stem: str
    options: list[tuple[str, str]]
    place: int
    size: int


def questions_of(sitting: Any) -> list[ShownQuestion]:
    """The questions of a sitting, in its order; options in the order drawn, with their own letters."""
    layout = read(sitting.layout)
    versions = words_of(one.version for one in layout)
    shown: list[ShownQuestion] = []
    runs: list[list[int]] = []
    for position, one in enumerate(layout):
        version = versions[one.version]
        before = versions[layout[position - 1].version] if position else None
        shares = before is not None and version.kind == before.kind and (
            (version.kind in ("A3", "A4") and version.case_stem == before.case_stem) or (version.kind == "B1" and version.options == before.options)
        )  # fmt: skip
        if shares:
            runs[-1].append(position)
        else:
            runs.append([position])
    for run in runs:
        for place, position in enumerate(run, 1):
            version = versions[layout[position].version]
            options = [(letter, version.words[letter]) for letter in layout[position].order]
            shown.append(ShownQuestion(position, version.kind, version.case_stem or "", version.stem, options, place, len(run)))
    return shown


def answers_of(sitting: Sitting) -> dict[int, str]:
    """What has been answered: position → letters."""
    query = select(SittingAnswer.position, SittingAnswer.letters).where(SittingAnswer.sitting_id == sitting.id)
    return {row.position: row.letters for row in db.session.execute(query)}


def numbered_answers_of(sitting: Sitting) -> dict[int, tuple[str, int]]:
    """What has been answered, and under which sequence number it is kept: a page holds its own unsent answers against them."""
    query = select(SittingAnswer.position, SittingAnswer.letters, SittingAnswer.sequence).where(SittingAnswer.sitting_id == sitting.id)
    return {row.position: (row.letters, row.sequence) for row in db.session.execute(query)}
