"""Papers (试卷): who gets which, assembled from what the banks have, drawn for each sitting from a seed or the same for everybody."""

import math
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import lru_cache
from itertools import permutations
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
)

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.model import db, new_id
from dingkao.doctors.codes import CATEGORIES, LEVELS
from dingkao.doctors.models import Doctor
from dingkao.errors import Invalid, NotAllowed
from dingkao.exams.assembling import Assembly, Cell, Plan, Sort, Sorts, assemble
from dingkao.exams.models import (
    PAPER_PROCEDURES,
    SUBJECTS,
    TYPES,
    ExtraTime,
    IntegrityCase,
    Paper,
    Question,
    QuestionVersion,
    Sitting,
    Slot,
    SlotPlace,
)
from dingkao.exams.resits import granted
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor
from dingkao.tenants import settings
from dingkao.tenants.asking import TENANT, Asked, an_id, whole
from dingkao.tenants.keys import cache_key

GROUPED_OPTIONS, UNSHUFFLED = "B1", "TF"
SHARES = {"A1": 40, "A2": 20, "A3": 10, "A4": 10, "B1": 10, "X": 10}
MOST_QUESTIONS, MOST_MINUTES, MOST_MARK, MOST_CELLS = 300, 600, 1000, 200
POOL_SECONDS, POOLS = 30.0, 64
FEW = 5
SHORT = "题库中的题目不足以组成这份试卷,请联系所属考核机构。"
SHORT_OF_PRACTICE = "练习题刚刚有变动,请返回后重新开始。"


class Drawn(NamedTuple):
    """One question of a sitting: its version, and the letters of its options in the order in which they are shown."""

    version: UUID
    order: str


class Unit(NamedTuple):
    """What is drawn whole: a question or a group; the version and the option letters of each in their order."""

    kind: str
    versions: tuple[tuple[UUID, str], ...]


Pool = dict[str, dict[Sorts, list[Unit]]]
"""By type and sorts: the units that may be drawn."""


class _Kept(NamedTuple):
    """What every drawing of a paper begins with, kept for a while by this process: units and plan, or the units of a fixed paper."""

    until: float
    pool: Pool
    plan: Plan
    fixed: list[Unit] | None


_kept: OrderedDict[str, _Kept] = OrderedDict()
_keeping = threading.Lock()


def written(layout: Sequence[Drawn]) -> list[str]:
    """A layout as a sitting's row keeps it, a short text a question: it is most of what a sitting takes."""
    return [f"{version} {order}" for version, order in layout]


def read(layout: Sequence[str]) -> list[Drawn]:
    """The layout that a sitting's row keeps."""
    return [Drawn(_version(entry[:36]), entry[37:]) for entry in layout]


_version = lru_cache(maxsize=8192)(UUID)  # many sit the same questions


# --- who sits which


def subjects_of(procedure: str | None) -> tuple[str, ...]:
    """The subjects that are sat under a procedure, in their order: 简易程序 公共知识 alone; 一般程序 both, or where the province has one combined
    paper, 业务水平 alone (domain.md §13)."""
    if procedure == "simple":
        return ("common",)
    return ("professional",) if settings.value("exam_stages") == "combined" else tuple(SUBJECTS)


def papers_for(record: Assessment) -> list[Paper]:
    """The papers that this record is to sit, 公共知识 first."""
    doctor = db.session.get_one(Doctor, (record.tenant_id, record.doctor_id))
    subjects = subjects_of(record.procedure)
    query = select(Paper).where(
        Paper.cycle_id == record.cycle_id, Paper.category == doctor.category, Paper.level == doctor.level, Paper.subject.in_(subjects),
        Paper.procedure.in_(("any", record.procedure)),
    )  # fmt: skip
    return sorted(db.session.scalars(query), key=lambda paper: subjects.index(paper.subject))


class Standing(NamedTuple):
    """The papers that a record is to sit, its sittings by paper without the voided ones, those of papers that are no longer its own among them,
    and whether the papers alone say when it may sit (`plain`)."""

    papers: list[Paper]
    begun: dict[UUID, Sitting]
    plain: bool


def with_sittings(record: Assessment) -> Standing:
    """How a record stands with its papers, in one question."""
    doctor = db.session.get_one(Doctor, (record.tenant_id, record.doctor_id))
    subjects, about = subjects_of(record.procedure), (record.cycle_id, doctor.category, doctor.level)
    rows = _STANDING.objects(Paper, Sitting, record=record.id, cycle=about[0], category=about[1], level=about[2])
    papers = [
        paper for paper, _, _ in rows
        if (paper.cycle_id, paper.category, paper.level) == about and paper.subject in subjects and paper.procedure in ("any", record.procedure)
    ]  # fmt: skip
    begun = {paper.id: sitting for paper, sitting, _ in rows if sitting is not None}
    return Standing(sorted(papers, key=lambda paper: subjects.index(paper.subject)), begun, not any(more for _, _, more in rows))


def _standing() -> Select[Any]:
    """Papers for a category and level, and all those that `record` has begun, with its sittings."""
    sat = and_(Sitting.tenant_id == Paper.tenant_id, Sitting.paper_id == Paper.id, Sitting.assessment_id == an_id("record"), Sitting.voided_at.is_(None))
    fits = and_(Paper.cycle_id == an_id("cycle"), Paper.category == bindparam("category"), Paper.level == bindparam("level"))
    return select(*whole(Paper, Sitting), beside_papers()).select_from(Paper).outerjoin(Sitting, sat).where(Paper.tenant_id == TENANT, or_(fits, Sitting.id.is_not(None)))


_STANDING = Asked(_standing)


def beside_papers() -> ScalarSelect[Any]:
    """Whether `record` has extra time, a slot that may be its own, or a paper to sit again, as a column of a statement of Asked; most have none of
    them."""
    extra = exists().where(
        ExtraTime.tenant_id == Assessment.tenant_id, ExtraTime.cycle_id == Assessment.cycle_id, ExtraTime.doctor_id == Assessment.doctor_id
    )  # fmt: skip
    slot = exists().where(
        Slot.tenant_id == Assessment.tenant_id, Slot.cycle_id == Assessment.cycle_id, Slot.institution_id == Assessment.institution_id
    )  # fmt: skip
    place = exists().where(SlotPlace.tenant_id == Assessment.tenant_id, SlotPlace.assessment_id == Assessment.id)
    again = exists().where(IntegrityCase.tenant_id == Assessment.tenant_id, IntegrityCase.assessment_id == Assessment.id, granted())
    query = select(or_(extra, slot, place, again)).where(Assessment.tenant_id == TENANT, Assessment.id == an_id("record"))
    return query.scalar_subquery()


def wanted_subjects(record: Assessment) -> int:
    """How many papers this record has to sit, made or not."""
    return len(subjects_of(record.procedure))


def their_papers() -> tuple[ColumnElement[bool], ColumnElement[int]]:
    """The same asked of the database: which papers an Assessment joined with its Doctor is to sit, and how many they are."""
    simple, general = Assessment.procedure.is_not_distinct_from("simple"), subjects_of("general")
    theirs = and_(
        Paper.tenant_id == Assessment.tenant_id, Paper.cycle_id == Assessment.cycle_id, Paper.category == Doctor.category,
        Paper.level == Doctor.level, or_(Paper.procedure == "any", Paper.procedure == Assessment.procedure),
        or_(and_(simple, Paper.subject == "common"), and_(~simple, Paper.subject.in_(general))),
    )  # fmt: skip
    return theirs, case((simple, 1), else_=len(general))


def locked_because(paper: Paper, papers: Iterable[Paper], begun: Mapping[UUID, Sitting]) -> str | None:
    """Why a paper can't be begun though its window is open: where the province has the stages follow one another, 公共知识 is handed in
    first, and has reached the line that was named beforehand. None where nothing stands in the way."""
    if settings.value("exam_stages") != "sequential":
        return None
    order = list(SUBJECTS)
    for earlier in papers:
        if order.index(earlier.subject) >= order.index(paper.subject):
            continue
        sitting = begun.get(earlier.id)
        if sitting is None or sitting.handed_in_at is None:
            return f"请先完成“{SUBJECTS[earlier.subject]}”并交卷,再参加“{SUBJECTS[paper.subject]}”。"
        if _below_line(sitting):
            return f"“{SUBJECTS[earlier.subject]}”未达到{settings.value('exam_stage_line'):g}分,不能参加“{SUBJECTS[paper.subject]}”。"
    return None


def due(papers: list[Paper], begun: Mapping[UUID, Sitting]) -> list[Paper]:
    """Of a record's papers those that it has sat or still can: without those that an earlier stage has closed for good."""
    if settings.value("exam_stages") != "sequential":
        return papers
    shut = any(paper.subject == "common" and paper.id in begun and _below_line(begun[paper.id]) for paper in papers)
    return [paper for paper in papers if not shut or paper.subject == "common" or paper.id in begun]


def _below_line(sitting: Sitting) -> bool:
    return sitting.handed_in_at is not None and (sitting.score_tenths or 0) < settings.value("exam_stage_line") * 10


# --- making one


def marks_of(paper: Paper) -> dict[str, int]:
    """Tenths of a point for one question of each of the paper's types."""
    return {kind: int(paper.marks.get(kind, 10)) for kind in TYPES if paper.counts.get(kind)}


def whole_marks(paper: Paper) -> int:
    """The marks of the whole paper, in tenths of a point."""
    return sum(tenths * int(paper.counts[kind]) for kind, tenths in marks_of(paper).items())


def cells_of(paper: Paper) -> list[Cell]:
    """The cells of a paper's blueprint."""
    return [Cell(**cell) for cell in paper.cells]


class Wish(NamedTuple):
    """A cell as it is typed: `number` questions, or percent of the paper."""

    topic: str | None
    difficulty: str | None
    number: int
    percent: bool = False


def shared_out(wishes: Sequence[Wish], total: int) -> list[Cell]:
    """The cells of a paper of `total` questions. Shares by difficulty alone, or by topic alone, that make up a hundred make up the whole:
    what rounding leaves goes to the largest remainders."""
    exact = {at: wish.number * total / 100 for at, wish in enumerate(wishes) if wish.percent}
    counted = {at: math.floor(part + 0.5) for at, part in exact.items()}
    for part in ([at for at in exact if wishes[at].topic is None], [at for at in exact if wishes[at].difficulty is None]):
        if sum(wishes[at].number for at in part) == 100:
            counted |= {at: math.floor(exact[at]) for at in part}
            lacking = total - sum(counted[at] for at in part)
            for at in sorted(part, key=lambda one: counted[one] - exact[one])[:lacking]:
                counted[at] += 1
    return [
        Cell(wish.topic, wish.difficulty, counted.get(at, wish.number), wish.number if wish.percent else None) for at, wish in enumerate(wishes)
    ]  # fmt: skip


def available(subject: str, category: str) -> dict[str, int]:
    """How many questions of each type the banks have for exams of a subject and category."""
    query = select(Question.kind, func.count()).where(_fit(subject, category)).group_by(Question.kind)
    counts = {row[0]: row[1] for row in db.session.execute(query)}
    return {kind: counts.get(kind, 0) for kind in TYPES}


def topics(subject: str, category: str) -> dict[tuple[str, str], int]:
    """The same by topic and difficulty; questions without a topic stand under the empty one."""
    query = select(Question.topic, Question.difficulty, func.count()).where(_fit(subject, category))
    return {(row[0] or "", row[1]): row[2] for row in db.session.execute(query.group_by(Question.topic, Question.difficulty))}


def assembled(subject: str, category: str, counts: Mapping[str, int], *, humanities: int = 0, cells: Sequence[Cell] = ()) -> Assembly:
    """What the banks make of a blueprint now: the plan, and what is short. Raises Invalid for a blueprint that is none in itself."""
    counts = {kind: number for kind, number in counts.items() if number}
    total = sum(counts.values())
    if subject not in SUBJECTS or category not in CATEGORIES or any(kind not in TYPES for kind in counts):
        raise Invalid("请从列表中选择科目、执业类别和题型。")
    if not counts or total > MOST_QUESTIONS or min(counts.values()) < 0:
        raise Invalid("题目总数应为1至300题。", "counts")
    if not 0 <= humanities <= total or (humanities and subject != "professional"):
        raise Invalid("公共知识题数应在题目总数以内,且只用于业务水平试卷。", "humanities")
    if len(cells) > MOST_CELLS or any(not 0 < cell.number <= total or (cell.topic is None and cell.difficulty is None) for cell in cells):
        raise Invalid(f"知识点和难度的每一格应为1至{total}题,用百分数填写的折合后不少于1题。", "cells")
    pool = _pool(subject, category, {cell.topic for cell in cells if cell.topic}, humanities=humanities > 0)
    return assemble(_stock(pool), counts, humanities=humanities, cells=cells)


def make_paper(
    cycle: Cycle, *, subject: str, category: str, level: str, counts: Mapping[str, int], minutes: int, opens_at: datetime, closes_at: datetime,
    by: Actor, procedure: str = "any", marks: Mapping[str, int] | None = None, humanities: int = 0, cells: Sequence[Cell] = (),
    fixed: bool = False, paper: Paper | None = None,
) -> Paper:  # fmt: skip
    """Make the paper of a cycle, subject, category, level and procedure, or change it (or `paper`) while nobody has sat it. `fixed`: one layout
    for everybody, drawn now. Raises Invalid naming the field, NotAllowed."""
    if level not in LEVELS or procedure not in PAPER_PROCEDURES:
        raise Invalid("请从列表中选择级别和适用程序。", "procedure")
    if not 1 <= minutes <= MOST_MINUTES:
        raise Invalid("考试时长应为1至600分钟。", "minutes")
    if closes_at <= opens_at:
        raise Invalid("考试结束时间应晚于开始时间。", "closes_at")
    marks = {kind: (marks or {}).get(kind, 10) for kind, number in counts.items() if number}
    for kind, tenths in marks.items():
        if not 1 <= tenths <= MOST_MARK:
            raise Invalid(f"{kind}型题每题分值应为0.1至100分。", f"mark_{kind}")
    assembly = assembled(subject, category, counts, humanities=humanities, cells=cells)
    if not assembly.complete:
        raise Invalid(f"题库凑不成这份试卷:{assembly.lacking()}。请调整要求或先导入题目。", "counts")
    row = _row(cycle, subject, category, level, procedure, paper)
    row.title = f"{SUBJECTS[subject]}({CATEGORIES[category]} {LEVELS[level]}{'' if procedure == 'any' else ' ' + PAPER_PROCEDURES[procedure]})"
    row.counts, row.minutes, row.opens_at, row.closes_at = {kind: counts[kind] for kind in marks}, minutes, opens_at, closes_at
    row.procedure, row.marks, row.humanities, row.cells = procedure, dict(marks), humanities, [asdict(cell) for cell in cells]
    row.plan, row.fixed, row.made_at = _plan_written(assembly.plan), None, clock.now()
    if fixed:
        pool = _pool(subject, category, _named(cells), humanities=humanities > 0)
        chosen = _chosen(pool, assembly.plan, random.SystemRandom())
        row.fixed = [[str(version) for version, _ in unit.versions] for unit in chosen]
    db.session.flush()
    journal.write(
        "paper", row.id, "made", by=by, subject=subject, category=category, level=level, procedure=procedure, counts=dict(row.counts), marks=dict(marks),
        humanities=humanities, cells=len(cells), fixed=fixed, minutes=minutes,
    )  # fmt: skip
    return row


def _row(cycle: Cycle, subject: str, category: str, level: str, procedure: str, paper: Paper | None) -> Paper:
    """The row to be written, held locked: `paper`, or the one that stands under this key, or a new one. Two papers of a subject never fit
    one doctor."""
    db.session.scalars(select(Cycle.id).where(Cycle.id == cycle.id).with_for_update()).one()
    query = select(Paper).where(Paper.cycle_id == cycle.id, Paper.subject == subject, Paper.category == category, Paper.level == level)
    rows = db.session.scalars(query.with_for_update().execution_options(populate_existing=True)).all()
    mine = next((row for row in rows if (row.id == paper.id if paper else row.procedure == procedure)), None)
    for row in rows:
        if row is not mine and (procedure == "any" or row.procedure in ("any", procedure)):
            raise Invalid(f"已有一份适用{PAPER_PROCEDURES[row.procedure]}的同科目试卷,请先把它改为只适用另一种程序。", "procedure")
    if mine and sat(mine):
        raise NotAllowed("已有医师开始作答这份试卷,不能再更改。")
    if mine is None:
        mine = Paper(id=new_id(), cycle_id=cycle.id, subject=subject, category=category, level=level)
        db.session.add(mine)
    return mine


def sat(paper: Paper) -> bool:
    """Whether anybody has begun to sit it."""
    return db.session.scalar(select(Sitting.id).where(Sitting.paper_id == paper.id).limit(1)) is not None


def proposed_counts(subject: str, category: str, total: int) -> dict[str, int]:
    """How a paper of about `total` questions may be made up of what the banks have: the usual share of each type, as far as it goes
    with groups whole; what is lacking of the others is made up in A1."""
    counts, pool = {}, _pool(subject, category, set(), humanities=False)
    for kind, share in SHARES.items():
        counts[kind] = _within([len(unit.versions) for units in pool.get(kind, {}).values() for unit in units], round(total * share / 100))
    lacking = total - sum(counts.values())
    counts["A1"] += max(0, min(lacking, sum(len(units) for units in pool.get("A1", {}).values()) - counts["A1"]))
    return {kind: number for kind, number in counts.items() if number}


def _within(sizes: Iterable[int], most: int) -> int:
    """The largest number of questions up to `most` that units of `sizes` make up whole."""
    sums = {0}
    for size in sizes:
        sums |= {reached + size for reached in sums if reached + size <= most}
        if most in sums:
            break
    return max(sums)


# --- drawing


def draw(paper: Paper, seed: int) -> list[Drawn]:
    """The layout of one sitting: question versions and the order in which options are shown. The same seed over the same banks draws the
    same, and every seed draws the same counts by type, topic and difficulty. Questions that share a case or their options stand together,
    B1's options in one order. Raises NotAllowed where the banks no longer suffice."""
    found = _drawn_from(paper)
    chance = random.Random(seed)  # noqa: S311 - a seed that is kept, so that a sitting can be shown again; no secret
    return _laid_out(_chosen(found.pool, found.plan, chance) if found.fixed is None else found.fixed, chance)


def _laid_out(units: Iterable[Unit], chance: random.Random) -> list[Drawn]:
    layout = []
    for unit in units:
        order = ""
        for version, letters in unit.versions:
            if unit.kind != GROUPED_OPTIONS or sorted(order) != sorted(letters):
                order = letters if unit.kind == UNSHUFFLED else _in_disorder(letters, chance)
            layout.append(Drawn(version, order))
    return layout


def _in_disorder(letters: str, chance: random.Random) -> str:
    """The letters in an order of chance: of few, one of all their orders, which are laid out once."""
    if len(letters) > FEW:
        return "".join(chance.sample(letters, len(letters)))
    orders = _orders(letters)
    return orders[int(chance.random() * len(orders))]


@lru_cache(maxsize=64)
def _orders(letters: str) -> list[str]:
    return ["".join(order) for order in permutations(letters)]


def practisable(subject: str, category: str, counts: Mapping[str, int], *, humanities: int = 0) -> dict[str, int]:
    """How much of `counts` by type the practice share can fill with groups whole: what a mock exam of that blueprint has."""
    fits = _fit(subject, category, "practice")
    if humanities:
        fits = or_(fits, _fit("common", category, "practice"))
    units = select(Question.kind, func.count().label("size")).where(fits).group_by(Question.kind, func.coalesce(Question.group_id, Question.id)).subquery()
    sizes: dict[str, list[int]] = {}
    for kind, size, number in db.session.execute(select(units.c.kind, units.c.size, func.count()).group_by(units.c.kind, units.c.size)):
        sizes.setdefault(kind, []).extend([size] * min(number, counts.get(kind, 0)))
    found = {kind: _within(sizes.get(kind, ()), counts[kind]) for kind in TYPES if kind in counts}
    return {kind: number for kind, number in found.items() if number}


def draw_practice(
    subject: str, category: str, counts: Mapping[str, int], chance: random.Random, *, humanities: int = 0, cells: Sequence[Cell] = (),
) -> list[Drawn]:  # fmt: skip
    """A layout of the practice share alone, as a sitting's would be: `counts` (see practisable) exactly, and of the share of 公共知识 and the
    cells what can be had. Raises NotAllowed where the share no longer suffices."""
    pool = _pool(subject, category, _named(cells), humanities=humanities > 0, purpose="practice")
    stock = _stock(pool)
    for wanted, asked in ((humanities, cells), (humanities, ()), (0, ())):
        assembly = assemble(stock, counts, humanities=wanted, cells=asked)
        if assembly.complete:
            return _laid_out(_chosen(pool, assembly.plan, chance), chance)
    raise NotAllowed(SHORT_OF_PRACTICE)


def _chosen(pool: Pool, plan: Plan, chance: random.Random) -> list[Unit]:
    """Units as the plan says, those of a type together and in no order of their sorts."""
    chosen: list[Unit] = []
    for kind in TYPES:
        units = [unit for sorts, number in plan.get(kind, {}).items() for unit in chance.sample(pool[kind][sorts], number)]
        chance.shuffle(units)
        chosen += units
    return chosen


def _drawn_from(paper: Paper) -> _Kept:
    """What the paper is drawn from. Kept by this process for half a minute, so that a whole province can begin at once: a question taken
    out of use is drawn no more after that."""
    key, moment = cache_key("paper-pool", paper.id, paper.made_at.isoformat()), time.monotonic()
    with _keeping:
        kept = _kept.get(key)
        if kept and moment < kept.until:
            return kept
    if paper.fixed is None:
        pool = _pool(paper.subject, paper.category, _named(cells_of(paper)), humanities=paper.humanities > 0)
        found = _Kept(moment + POOL_SECONDS, pool, _standing_plan(paper, pool), None)
    else:
        found = _Kept(moment + POOL_SECONDS, {}, {}, _fixed_units(paper.fixed))
    with _keeping:
        _kept[key] = found
        while len(_kept) > POOLS:
            _kept.popitem(last=False)
    return found


def _standing_plan(paper: Paper, pool: Pool) -> Plan:
    """The plan of the paper while the banks can still fill it. Where questions have been taken out of use since, another to the same
    blueprint, and where there is none, one to its counts by type, for nobody who came to the exam is to be sent away over a share."""
    plan = _plan_read(paper.plan or {})
    if plan and all(len(pool.get(kind, {}).get(sorts, ())) >= number for kind, wanted in plan.items() for sorts, number in wanted.items()):
        return plan
    stock = _stock(pool)
    for humanities, cells in ((paper.humanities, cells_of(paper)), (paper.humanities, []), (0, [])):
        assembly = assemble(stock, paper.counts, humanities=humanities, cells=cells)
        if assembly.complete:
            return assembly.plan
    raise NotAllowed(SHORT)


def _fixed_units(fixed: Sequence[Sequence[str]]) -> list[Unit]:
    ids = [UUID(version) for unit in fixed for version in unit]
    query = select(QuestionVersion.id, QuestionVersion.kind, _letters()).where(QuestionVersion.id.in_(ids))
    found = {row[0]: (row[1], "".join(row[2])) for row in db.session.execute(query)}
    return [Unit(found[UUID(unit[0])][0], tuple((UUID(version), found[UUID(version)][1]) for version in unit)) for unit in fixed]


def _pool(subject: str, category: str, named: set[str], *, humanities: bool, purpose: str = "exam") -> Pool:
    """The units of all fitting questions, with 公共知识 among them for a paper that has a share of it; topics but for the `named` count as one."""
    fits = _fit(subject, category, purpose)
    if humanities:
        fits = or_(fits, _fit("common", category, purpose))
    query = (
        select(
            Question.group_id, Question.id, Question.kind, Question.subject, Question.topic, Question.difficulty, Question.current_version, _letters()
        )
        .join(QuestionVersion, and_(QuestionVersion.tenant_id == Question.tenant_id, QuestionVersion.id == Question.current_version))
        .where(fits).order_by(Question.group_position, Question.id)
    )  # fmt: skip
    gathered: dict[UUID, tuple[str, list[Sort], list[tuple[UUID, str]]]] = {}
    for group, question, kind, own, topic, difficulty, version, letters in db.session.execute(query):
        _, sorts, versions = gathered.setdefault(group or question, (kind, [], []))
        sorts.append(Sort(own, topic if topic in named else "", difficulty))
        versions.append((version, "".join(letters)))
    pool: Pool = {}
    for key in sorted(gathered):
        kind, sorts, versions = gathered[key]
        pool.setdefault(kind, {}).setdefault(tuple(sorted(sorts)), []).append(Unit(kind, tuple(versions)))
    return pool


def _letters() -> ColumnElement[Any]:
    return func.jsonb_path_query_array(QuestionVersion.options, literal_column("'$[*][0]'"))


def _fit(subject: str, category: str, purpose: str = "exam") -> ColumnElement[bool]:
    of_category: ColumnElement[bool] = Question.category == category
    if subject == "common":
        of_category = or_(Question.category.is_(None), of_category)
    return and_(Question.subject == subject, of_category, Question.purpose == purpose, Question.retired_at.is_(None))


def _stock(pool: Pool) -> dict[str, dict[Sorts, int]]:
    return {kind: {sorts: len(units) for sorts, units in kinds.items()} for kind, kinds in pool.items()}


def _named(cells: Iterable[Cell]) -> set[str]:
    return {cell.topic for cell in cells if cell.topic}


def _plan_written(plan: Plan) -> dict[str, Any]:
    return {kind: [[[list(sort) for sort in sorts], number] for sorts, number in wanted.items()] for kind, wanted in plan.items()}


def _plan_read(held: Mapping[str, Any]) -> Plan:
    return {kind: {tuple(Sort(*sort) for sort in sorts): number for sorts, number in wanted} for kind, wanted in held.items()}
