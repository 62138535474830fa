"""Papers (试卷): who gets which, made from what the banks have, drawn anew for each sitting from a seed."""

import random
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select

from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.model import db, new_id
from dingkao.doctors.codes import CATEGORIES, LEVELS
from dingkao.doctors.models import Doctor
from dingkao.errors import Invalid, NotAllowed
from dingkao.exams.models import SUBJECTS, TYPES, Paper, Question, QuestionVersion, Sitting
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor

GROUPED_OPTIONS = "B1"
SHARES = {"A1": 40, "A2": 20, "A3": 10, "A4": 10, "B1": 10, "X": 10}


class Drawn(NamedTuple):
    """One question of a sitting: its version, and the letters of its options in the order in which they are shown."""

    version: UUID
    order: str


def written(layout: Sequence[Drawn]) -> list[str]:
    """A layout as a sitting's row keeps it, a short text a question: it is most of what a sitting takes."""
    return [f"{version} {order}" for version, order in layout]


def read(layout: Sequence[str]) -> list[Drawn]:
    """The layout that a sitting's row keeps."""
    return [Drawn(UUID(entry[:36]), entry[37:]) for entry in layout]




def papers_for(record: Assessment) -> list[Paper]:
    """The papers that this record is to sit, 公共知识 first: 一般程序 both subjects, 简易程序 公共知识 alone."""
    doctor = db.session.get_one(Doctor, (record.tenant_id, record.doctor_id))
    subjects = ("common",) if record.procedure == "simple" else tuple(SUBJECTS)
    query = select(Paper).where(
        Paper.cycle_id == record.cycle_id, Paper.category == doctor.category, Paper.level == doctor.level, Paper.subject.in_(subjects)
    )
    return sorted(db.session.scalars(query), key=lambda paper: subjects.index(paper.subject))


def wanted_subjects(record: Assessment) -> int:
    """How many papers this record has to sit, made or not."""
    return 1 if record.procedure == "simple" else len(SUBJECTS)


def available(subject: str, category: str) -> dict[str, int]:
    """How many questions of each type the banks have for exams of a subject and category."""
    query = select(Question.kind, func.count()).where(*_fit(subject, category)).group_by(Question.kind)
    counts = {row[0]: row[1] for row in db.session.execute(query)}
    return {kind: counts.get(kind, 0) for kind in TYPES}


def make_paper(
    cycle: Cycle, *, subject: str, category: str, level: str, counts: Mapping[str, int], minutes: int, opens_at: datetime, closes_at: datetime,
    by: Actor,
) -> Paper:  # fmt: skip
    """Make the paper of a cycle, subject, category and level, or change it while nobody has sat it. Raises Invalid naming the field,
    NotAllowed."""
    counts = {kind: number for kind, number in counts.items() if number}
    if subject not in SUBJECTS or category not in CATEGORIES or level not in LEVELS or any(kind not in TYPES for kind in counts):
        raise Invalid("请从列表中选择科目、执业类别、级别和题型。")
    if not 1 <= minutes <= 600:
        raise Invalid("考试时长应为1至600分钟。", "minutes")
    if closes_at <= opens_at:
        raise Invalid("考试结束时间应晚于开始时间。", "closes_at")
    if not counts or sum(counts.values()) > 300 or min(counts.values()) < 0:
        raise Invalid("题目总数应为1至300题。", "counts")
    for kind, number in counts.items():
        sizes = [len(unit) for unit in _units(subject, category, kind)]
        if sum(sizes) < number:
            raise Invalid(f"题库中可用于考试的{kind}型题只有{sum(sizes)}道,不足{number}道。请减少题数或先导入题目。", "counts")
        if not _reachable(sizes, number):
            raise Invalid(f"{kind}型题按组抽取(共用题干或备选答案的题不拆开),凑不成{number}道,请改为相近的数目。", "counts")
    paper = db.session.scalar(
        select(Paper)
        .where(Paper.cycle_id == cycle.id, Paper.subject == subject, Paper.category == category, Paper.level == level)
        .with_for_update()
    )
    if paper and sat(paper):
        raise NotAllowed("已有医师开始作答这份试卷,不能再更改。")
    if paper is None:
        paper = Paper(id=new_id(), cycle_id=cycle.id, subject=subject, category=category, level=level)
        db.session.add(paper)
    paper.title = f"{SUBJECTS[subject]}({CATEGORIES[category]} {LEVELS[level]})"
    paper.counts, paper.minutes, paper.opens_at, paper.closes_at = dict(counts), minutes, opens_at, closes_at
    db.session.flush()
    journal.write("paper", paper.id, "made", by=by, subject=subject, category=category, level=level, counts=dict(counts), minutes=minutes)
    return paper


def sat(paper: Paper) -> bool:
    """Whether anybody has begun to sit it."""
    return db.session.scalar(select(Sitting.id).where(Sitting.paper_id == paper.id).limit(1)) is not None


def draw(paper: Paper, seed: int) -> list[Drawn]:
    """The layout of one sitting: question versions and the order in which options are shown. The same seed over the same banks draws
    the same. Questions that share a case or their options stand together, B1's options in one order."""
    chance = random.Random(seed)  # noqa: S311 - a seed that is kept, so that a sitting can be shown again; no secret
    drawn: list[tuple[UUID, str]] = []
    for kind in TYPES:
        units = _units(paper.subject, paper.category, kind)
        chance.shuffle(units)
        for unit in _pick(units, paper.counts.get(kind, 0)):
            drawn += [(version, str(chance.getrandbits(32)) if kind != GROUPED_OPTIONS else str(unit[0])) for version in unit]
    versions = {
        row.id: row for row in db.session.scalars(select(QuestionVersion).where(QuestionVersion.id.in_([version for version, _ in drawn])))
    }
    layout = []
    for version, shuffle in drawn:
        letters = [letter for letter, _ in versions[version].options]
        random.Random(f"{seed}|{shuffle}").shuffle(letters)  # noqa: S311
        layout.append(Drawn(version, "".join(letters)))
    return layout


def proposed_counts(subject: str, category: str, total: int) -> dict[str, int]:
    """How a paper of about `total` questions may be made up of what the banks have: the usual share of each type, as far as it goes
    with groups whole; what is lacking of the others is made up in A1."""
    counts = {}
    for kind, share in SHARES.items():
        sizes = [len(unit) for unit in _units(subject, category, kind)]
        wanted = min(sum(sizes), round(total * share / 100))
        counts[kind] = next(number for number in range(wanted, -1, -1) if _reachable(sizes, number))
    lacking = total - sum(counts.values())
    counts["A1"] += max(0, min(lacking, available(subject, category)["A1"] - counts["A1"]))
    return {kind: number for kind, number in counts.items() if number}


def _fit(subject: str, category: str) -> list[ColumnElement[bool]]:
    of_category: ColumnElement[bool] = Question.category == category
    if subject == "common":
        of_category = or_(Question.category.is_(None), of_category)
    return [Question.subject == subject, of_category, Question.purpose == "exam", Question.retired_at.is_(None)]


def _units(subject: str, category: str, kind: str) -> list[list[UUID]]:
    """The current versions of all fitting questions, those of a group together and in their order."""
    query = select(Question.group_id, Question.id, Question.current_version).where(*_fit(subject, category), Question.kind == kind)
    units: dict[UUID, list[UUID]] = {}
    for group, question, version in db.session.execute(query.order_by(Question.group_position, Question.id)):
        units.setdefault(group or question, []).append(version)
    return [units[key] for key in sorted(units)]


def _reachable(sizes: Sequence[int], number: int) -> bool:
    sums = {0}
    for size in sizes:
        sums |= {reached + size for reached in sums if reached + size <= number}
    return number in sums


def _pick(units: list[list[UUID]], number: int) -> list[list[UUID]]:
    """Units of `number` questions together, the earliest of the list that fit. Raises NotAllowed where the banks no longer suffice."""
    reached: dict[int, list[int]] = {0: []}
    for index, unit in enumerate(units):
        if number in reached:
            break
        for total, chosen in list(reached.items()):
            grown = total + len(unit)
            if grown <= number and grown not in reached:
                reached[grown] = [*chosen, index]
    if number not in reached:
        raise NotAllowed("题库中的题目不足以组成这份试卷,请联系所属考核机构。")
    return [units[index] for index in reached[number]]
