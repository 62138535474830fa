"""Practice (在线学习) [S12], [S13]: runs of up to fifty questions with the right answer shown at once; nothing of it counts."""

import random
import secrets
from typing import Any
from uuid import UUID

from sqlalchemy import select

from dingkao.assessments.models import Assessment
from dingkao.database.model import db, new_id
from dingkao.doctors.codes import CATEGORIES
from dingkao.errors import Invalid, NotAllowed, NotFound
from dingkao.exams.models import SUBJECTS, PracticeRun, QuestionVersion
from dingkao.exams.papers import available, practice_units

LENGTH = 50
NOT_YET = "在线学习在审核通过、进入待测评状态后开放。"
OVER = "测评已开始,在线学习已关闭。"


def closed_because(record: Assessment) -> str | None:
    """Why practice is closed to this record; None while it is open: 待测评, before the first sitting [S12]."""
    if record.state == "ready":
        return None
    return OVER if record.state in ("testing", "scored", "absent", "grading", "confirming", "passed", "failed") else NOT_YET


def banks(subject: str, category: str) -> dict[str, int]:
    """The banks one may practise in for a subject: category → how many questions; the doctor's own first. 公共知识 has one for all."""
    order = [category, *(code for code in CATEGORIES if code != category)] if subject == "professional" else [category]
    counted = {code: sum(available(subject, code, "practice").values()) for code in order}
    return {code: number for code, number in counted.items() if number}


def begin(record: Assessment, subject: str, category: str) -> PracticeRun:
    """A new run. Raises NotAllowed where practice is closed, Invalid where the bank has nothing to practise."""
    _open(record)
    if subject not in SUBJECTS or category not in CATEGORIES:
        raise Invalid("请选择考试题库。")
    units = practice_units(subject, category)
    if not units:
        raise Invalid("该题库暂时没有练习题,请选择其他题库,或联系所属考核机构。")
    chance = random.Random(secrets.randbits(62))  # noqa: S311 - the order of practice, no secret
    chance.shuffle(units)
    versions: list[UUID] = []
    for unit in units:
        if len(versions) + len(unit) <= LENGTH:
            versions += unit
    title = SUBJECTS[subject] + (f" · {CATEGORIES[category]}" if subject == "professional" else "")
    run = PracticeRun(id=new_id(), assessment_id=record.id, title=title, layout=[str(version) for version in versions], answers={}, starred=[])
    db.session.add(run)
    db.session.flush()
    return run


def last_run(record: Assessment) -> PracticeRun | None:
    """The run begun last, if it isn't finished."""
    run = db.session.scalar(select(PracticeRun).where(PracticeRun.assessment_id == record.id).order_by(PracticeRun.id.desc()).limit(1))
    return run if run and len(run.answers) < len(run.layout) else None


def run_of(run_id: UUID, record: Assessment, *, lock: bool = False) -> PracticeRun:
    """A run of this record. Raises NotFound, NotAllowed where practice is closed."""
    _open(record)
    query = select(PracticeRun).where(PracticeRun.id == run_id, PracticeRun.assessment_id == record.id)
    run = db.session.scalar(query.with_for_update() if lock else query)
    if run is None:
        raise NotFound
    return run


def question(run: PracticeRun, position: int) -> QuestionVersion:
    """The question at a position, counted from 0. Raises NotFound."""
    if not 0 <= position < len(run.layout):
        raise NotFound
    return db.session.scalars(select(QuestionVersion).where(QuestionVersion.id == UUID(run.layout[position]))).one()


def answer(run: PracticeRun, position: int, letters: list[str]) -> None:
    """Note an answer; the first one stands, for the right one is shown after it. Raises Invalid."""
    asked = question(run, position)
    known = [letter for letter, _ in asked.options]
    chosen = "".join(sorted(set(letters)))
    if not chosen or any(letter not in known for letter in chosen) or (len(chosen) > 1 and asked.kind != "X"):
        raise Invalid("请选择一个选项。" if asked.kind != "X" else "请至少选择一个选项。")
    if str(position) not in run.answers:
        given: dict[str, Any] = dict(run.answers)
        run.answers = given | {str(position): chosen}


def star(run: PracticeRun, position: int) -> None:
    """Mark (标注) a question, or take the mark off."""
    question(run, position)
    run.starred = [one for one in run.starred if one != position] if position in run.starred else [*run.starred, position]


def _open(record: Assessment) -> None:
    reason = closed_because(record)
    if reason:
        raise NotAllowed(reason)
