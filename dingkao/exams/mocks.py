"""Mock exams (模拟考试): a paper like the one to come, tried beforehand on its screen and by the clock; nothing of it counts.

Questions come from the practice share of the banks alone, and one that has left it since is shown no more, as in practice. What was answered
is practice too: the wrong ones come onto its list. Nothing here touches sittings, the record's state, exposures or analysis.
"""

import math
import random
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, and_, delete, select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.model import db, new_id
from dingkao.doctors.models import Doctor
from dingkao.errors import Invalid, NotAllowed, NotFound
from dingkao.exams.assembling import Cell
from dingkao.exams.halls import admissions
from dingkao.exams.marking import Item, right, score_tenths
from dingkao.exams.models import SUBJECTS, MockExam, Question, QuestionVersion
from dingkao.exams.papers import (
    SHARES,
    cells_of,
    draw_practice,
    marks_of,
    papers_for,
    practisable,
    read,
    subjects_of,
    written,
)
from dingkao.exams.practice import Answered, bank_of, closed_because, remember
from dingkao.exams.remarking import item_of, keys_of, marked
from dingkao.exams.reviewing import Reviewed, held_against
from dingkao.exams.saving import judged
from dingkao.exams.sittings import GRACE, ShownQuestion, questions_of

MINUTES, KEPT = 60, 20
WITHDRAWN = "本题已停用,不再显示,也不计分。请做下一题。"
NO_QUESTIONS = "本省暂时没有开放{}练习题,不能开始模拟考试。请联系所属考核机构。"


@dataclass(frozen=True)
class Offer:
    """What can be tried: `wanted` is how many questions the paper has, `counts` by type what the practice share has of them."""

    subject: str
    title: str
    wanted: int
    counts: Mapping[str, int]
    marks: Mapping[str, int]
    whole_minutes: int
    humanities: int = 0
    cells: Sequence[Cell] = ()

    @property
    def questions(self) -> int:
        """How many questions it has."""
        return sum(self.counts.values())

    @property
    def minutes(self) -> int:
        """How long it lasts: where questions are lacking less than the paper, so that it asks for the paper's pace."""
        return max(1, math.ceil(self.whole_minutes * self.questions / self.wanted))


def offered(record: Assessment) -> list[Offer]:
    """What the record may try, in the order of its subjects: its papers with the time it has for them, and where none is made yet, a paper of
    the usual make-up in an hour."""
    category = db.session.get_one(Doctor, (record.tenant_id, record.doctor_id)).category
    papers = papers_for(record)
    made, admitted = {paper.subject: paper for paper in papers}, admissions(record, papers) if papers else {}
    found = []
    for subject in subjects_of(record.procedure):
        if paper := made.get(subject):
            counts, humanities = {kind: int(number) for kind, number in paper.counts.items() if number}, paper.humanities
            title, marks, minutes, cells = paper.title, marks_of(paper), admitted[paper.id].minutes, cells_of(paper)
        else:
            counts, humanities = SHARES, 0
            title, marks, minutes, cells = SUBJECTS[subject], dict.fromkeys(SHARES, 10), MINUTES, []
        there = practisable(subject, category, counts, humanities=humanities)
        found.append(Offer(subject, title, sum(counts.values()), there, marks, minutes, humanities, cells))
    return found


def begin(record: Assessment, subject: str) -> MockExam:
    """The mock exam of a subject, begun now unless one is under way; `record` is held locked, so two presses begin one. Of those handed in
    the last few are kept. Raises NotAllowed where practice is closed, Invalid where there is nothing to try."""
    reason = closed_because(record)
    if reason:
        raise NotAllowed(reason)
    offer = next((one for one in offered(record) if one.subject == subject), None)
    if offer is None:
        raise Invalid("请选择要模拟的试卷。")
    close_overdue(record.doctor_id, grace=timedelta())
    under_way = db.session.scalar(_of_doctor(record.doctor_id).where(MockExam.handed_in_at.is_(None), MockExam.subject == subject).limit(1))
    if under_way is not None:
        return under_way
    if not offer.counts:
        raise Invalid(NO_QUESTIONS.format(SUBJECTS[subject]))
    category = db.session.get_one(Doctor, (record.tenant_id, record.doctor_id)).category
    chance = random.Random(secrets.randbits(62))  # noqa: S311 - the order of a trial, no secret
    layout = draw_practice(subject, category, offer.counts, chance, humanities=offer.humanities, cells=offer.cells)
    handed_in = list(db.session.scalars(_of_doctor(record.doctor_id).where(MockExam.handed_in_at.is_not(None)).with_only_columns(MockExam.id)))
    if gone := handed_in[KEPT - 1 :]:
        db.session.execute(delete(MockExam).where(MockExam.id.in_(gone)))
    now = clock.now()
    mock = MockExam(
        id=new_id(), assessment_id=record.id, subject=subject, title=offer.title, layout=written(layout), marks=dict(offer.marks), answers={},
        opened_at=now, closes_at=now + timedelta(minutes=offer.minutes),
    )  # fmt: skip
    db.session.add(mock)
    db.session.flush()
    return mock


# --- those of a doctor


def _of_doctor(doctor_id: UUID) -> Select[MockExam]:
    theirs = select(Assessment.id).where(Assessment.doctor_id == doctor_id)
    return select(MockExam).where(MockExam.assessment_id.in_(theirs)).order_by(MockExam.id.desc())


def mocks_of(doctor_id: UUID) -> list[MockExam]:
    """The doctor's mock exams, of whatever cycle, the latest first."""
    return list(db.session.scalars(_of_doctor(doctor_id)))


def mock_of(mock_id: UUID, doctor_id: UUID, *, lock: bool = False) -> MockExam:
    """One of this doctor's. Raises NotFound."""
    query = _of_doctor(doctor_id).where(MockExam.id == mock_id)
    mock = db.session.scalar(query.with_for_update().execution_options(populate_existing=True) if lock else query)
    if mock is None:
        raise NotFound
    return mock


def overdue(doctor_id: UUID) -> bool:
    """Whether one is past its end and its minute of grace and not handed in."""
    query = _of_doctor(doctor_id).where(MockExam.handed_in_at.is_(None), MockExam.closes_at < clock.now() - GRACE)
    return db.session.scalar(query.with_only_columns(MockExam.id).limit(1)) is not None


def close_overdue(doctor_id: UUID, *, grace: timedelta = GRACE) -> None:
    """Hand in what is past its end."""
    query = _of_doctor(doctor_id).where(MockExam.handed_in_at.is_(None), MockExam.closes_at <= clock.now() - grace)
    for mock in db.session.scalars(query.with_for_update().execution_options(populate_existing=True)).all():
        hand_in(mock, doctor_id)


# --- answering


def save(mock: MockExam, given: Any) -> str:
    """Keep one answer in a mock exam held locked: «saved», or «older» where a newer one is kept already. What was tapped before the end is
    taken for a minute after it, as in a sitting. Raises saving.Malformed, NotFound, NotAllowed."""
    position, letters, sequence, tapped = judged(given)
    if position >= len(mock.layout):
        raise NotFound("没有找到这道题,请刷新页面。")
    if mock.handed_in_at is not None:
        raise NotAllowed("这次模拟考试已交卷,不能再修改答案。")
    now = clock.now()
    if now > mock.closes_at and not (tapped is not None and tapped <= mock.closes_at and now <= mock.closes_at + GRACE):
        raise NotAllowed("作答时间已到,这个答案未能保存。")
    if sequence <= numbered_answers_of(mock).get(position, ("", 0))[1]:
        return "older"
    mock.answers = dict(mock.answers) | {str(position): [letters, sequence]}
    return "saved"


def numbered_answers_of(mock: MockExam) -> dict[int, tuple[str, int]]:
    """What has been answered, and under which sequence number it is kept."""
    return {int(position): (letters, number) for position, (letters, number) in mock.answers.items()}


def answers_of(mock: MockExam) -> dict[int, str]:
    """What has been answered: position → letters."""
    return {position: letters for position, (letters, _) in numbered_answers_of(mock).items()}


def shown(mock: MockExam) -> list[ShownQuestion]:
    """The questions as the page of answering shows them; of one that has left the practice share nothing but that."""
    there = _share_of(one.version for one in read(mock.layout))
    versions = [one.version for one in read(mock.layout)]
    return [
        one if versions[one.position] in there else replace(one, case_stem="", stem=WITHDRAWN, options=[], place=1, size=1) for one in questions_of(mock)
    ]  # fmt: skip


def hand_in(mock: MockExam, doctor_id: UUID) -> None:
    """交卷, by hand or because the time is over: mark a mock exam held locked, and put what was answered into the doctor's practice. Handed in
    already: nothing happens."""
    if mock.handed_in_at is not None:
        return
    layout, answers = read(mock.layout), answers_of(mock)
    there = _share_of(one.version for one in layout)
    items = _items(mock, there)
    mock.score_tenths = score_tenths(items, answers, mock.x_rule)
    mock.handed_in_at = min(clock.now(), mock.closes_at)
    practised = []
    for position, (one, item) in enumerate(zip(layout, items, strict=True)):
        letters = answers.get(position, "")
        if letters and one.version in there and item.treatment == "marked":
            about = there[one.version]
            practised.append(Answered(about.question, about.bank, mock.handed_in_at, any(right(key, letters) for key in item.keys)))
    remember(doctor_id, practised)


class _About(NamedTuple):
    question: UUID
    bank: str


def _share_of(versions: Iterable[UUID]) -> dict[UUID, _About]:
    """Of `versions` those whose question is still in the practice share."""
    query = select(QuestionVersion.id, Question.id, Question.subject, Question.category).join(
        Question, and_(Question.tenant_id == QuestionVersion.tenant_id, Question.id == QuestionVersion.question_id)
    )
    query = query.where(QuestionVersion.id.in_(list(versions)), Question.purpose == "practice", Question.retired_at.is_(None))
    return {version: _About(question, bank_of(subject, category)) for version, question, subject, category in db.session.execute(query)}


def _items(mock: MockExam, there: Mapping[UUID, _About]) -> list[Item]:
    """The questions as they are marked: by the keys that stand now, and without those that were withdrawn meanwhile."""
    versions = [one.version for one in read(mock.layout)]
    keys = keys_of(versions)
    items = (item_of(keys[version], mock.marks) for version in versions)
    return marked(item if version in there else item._replace(treatment="excluded") for item, version in zip(items, versions, strict=True))


# --- afterwards


def minutes_taken(mock: MockExam) -> int:
    """How long one that is handed in took, in minutes begun."""
    return math.ceil((mock.handed_in_at - mock.opened_at).total_seconds() / 60) if mock.handed_in_at else 0


def reviewed(mock: MockExam) -> list[Reviewed]:
    """How each question came out; of one that has left the practice share nothing but «withdrawn». Raises NotAllowed before it is handed in."""
    if mock.handed_in_at is None:
        raise NotAllowed("这次模拟考试还没有交卷,交卷后才能查看答案和解析。")
    layout = read(mock.layout)
    there = _share_of(one.version for one in layout)
    rows = held_against(layout, _items(mock, there), answers_of(mock), mock.x_rule)
    return [row if row.version in there else replace(row, standing="withdrawn", letters="", keys=(), corrected=False) for row in rows]
