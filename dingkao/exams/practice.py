"""Practice (在线学习) [S12], [S13]: runs of up to fifty questions with the right answer shown at once; nothing of it counts.

Questions come from the practice share of the banks alone, and one that has left it (retired, or an exam question now) is shown no more,
not even in a run that was begun before. What was answered is kept though practice has closed meanwhile: it was tapped before.
"""

import random
import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Uuid, and_, any_, bindparam, func, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.cycles.opening import phases_of
from dingkao.database.model import db, new_id
from dingkao.errors import Invalid, NotAllowed, NotFound
from dingkao.exams.marking import right
from dingkao.exams.models import (
    PRACTICE_BANKS,
    PRACTICE_SOURCES,
    SUBJECTS,
    PracticeRun,
    PracticeWeek,
    PractisedQuestion,
    Question,
    QuestionVersion,
)
from dingkao.tenants import settings

LENGTH = 50
LISTS = {"wrong": "错题", "starred": "标注"}
NOT_INCLUDED = "您未被主要执业机构纳入本周期考核,在线学习暂不开放。如需参加考核,请联系本机构相关负责人。"
NOT_YET = "在线学习在审核通过、进入待测评状态后开放。"
OVER = "测评已开始,在线学习已关闭。"
PHASE_OVER = "考核阶段已经结束,在线学习已关闭。"
UNDER_REVIEW = ("included", "draft", "institution_pending", "institution_returned", "organisation_pending", "organisation_returned")
Columns = Select[*tuple[Any, ...]]
_NEVER = datetime.min.replace(tzinfo=UTC)
_LATEST = 2**43


def closed_because(record: Assessment) -> str | None:
    """Why practice is closed to this record; None while it is open."""
    examination = phases_of(db.session.get_one(Cycle, (record.tenant_id, record.cycle_id))).get("examination")
    return closed_in(record.state, examination.last_day if examination else None)


def closed_in(state: str, last_day: date | None) -> str | None:
    """Why practice is closed in a state, `last_day` being the examination's; None while it is open: from 待测评 to the first sitting
    [S12], or as the province has set it: from inclusion on, to the end of the examination phase."""
    if state == "not_included":
        return NOT_INCLUDED
    if state in UNDER_REVIEW and settings.value("practice_opens") == "reviewed":
        return NOT_YET
    if settings.value("practice_closes") == "first_sitting":
        return None if state in (*UNDER_REVIEW, "ready") else OVER
    return PHASE_OVER if last_day and clock.today() > last_day else None


# --- banks and lists


@dataclass(frozen=True)
class Bank:
    """A bank one may practise in: how many questions it has, and how many of them this doctor has answered before."""

    code: str
    name: str
    total: int
    seen: int


def banks(record: Assessment, category: str) -> dict[str, list[Bank]]:
    """The banks for each subject that the record is to be tested in, 业务水平 first; of its banks that of the doctor's category first."""
    subjects = ("common",) if record.procedure == "simple" else ("professional", "common")
    query: Columns = select(Question.subject, Question.category, func.count(), func.count(PractisedQuestion.seen_at)).select_from(Question)
    query = _with_practised(query, record.doctor_id).where(*_open_questions(), _for_category(category))
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for subject, of_category, total, seen in db.session.execute(query.group_by(Question.subject, Question.category)):
        code = bank_of(subject, of_category)
        found[code][0] += total
        found[code][1] += seen
    order = [f"professional:{category}", *PRACTICE_BANKS]
    known = sorted((code for code in found if code in PRACTICE_BANKS), key=order.index)
    return {
        subject: [Bank(code, PRACTICE_BANKS[code].removeprefix("业务水平 · "), *found[code]) for code in known if code.split(":")[0] == subject]
        for subject in subjects
    }


def bank_of(subject: str, category: str | None) -> str:
    """The code of the bank in which a question of this subject and category is practised: 公共知识 has one for all."""
    return subject if subject == "common" else f"{subject}:{category}"


def listed(doctor_id: UUID) -> dict[str, int]:
    """How many stand on the lists of wrong and of marked questions."""
    counts: Columns = select(func.count().filter(PractisedQuestion.wrong), func.count(PractisedQuestion.starred_at)).select_from(Question)
    wrong, starred = db.session.execute(_practised(counts, doctor_id)).one()
    return {"wrong": wrong, "starred": starred}


class Entry(NamedTuple):
    """A question on one of the lists, with its present words."""

    id: UUID
    bank: str
    version: QuestionVersion


def entries(doctor_id: UUID, which: str, *, page: int = 1, size: int = 20) -> list[Entry]:
    """A page of a list: wrong ones by when they were answered, marked ones by when they were marked, the latest first. One more than `size`
    is given where there is a further page."""
    by = PractisedQuestion.seen_at if which == "wrong" else PractisedQuestion.starred_at
    query: Columns = select(Question.id, Question.subject, Question.category, QuestionVersion).select_from(Question)
    query = _practised(query, doctor_id).join(QuestionVersion, and_(QuestionVersion.tenant_id == Question.tenant_id, QuestionVersion.id == Question.current_version))
    query = query.where(_on(which)).order_by(by.desc(), Question.id).limit(size + 1).offset((page - 1) * size)
    return [Entry(row[0], PRACTICE_BANKS.get(bank_of(row[1], row[2]), SUBJECTS[row[1]]), row[3]) for row in db.session.execute(query)]


def take_off(doctor_id: UUID, which: str, question_id: UUID | None = None) -> None:
    """Take a question off a list, or all of them."""
    change = update(PractisedQuestion).where(PractisedQuestion.doctor_id == doctor_id, _on(which))
    if question_id is not None:
        change = change.where(PractisedQuestion.question_id == question_id)
    db.session.execute(change.values({"wrong": False} if which == "wrong" else {"starred_at": None}))


def _on(which: str) -> ColumnElement[bool]:
    return PractisedQuestion.wrong.is_(True) if which == "wrong" else PractisedQuestion.starred_at.is_not(None)


def _open_questions() -> tuple[ColumnElement[bool], ...]:
    """The practice share of the banks."""
    return Question.purpose == "practice", Question.retired_at.is_(None)


def _for_category(category: str) -> ColumnElement[bool]:
    """Of 公共知识 what is for all or for this category."""
    return or_(Question.subject != "common", Question.category.is_(None), Question.category == category)


def _with_practised(query: Columns, doctor_id: Any) -> Columns:
    """With what the doctor has had to do with each question, where anything."""
    theirs = and_(
        PractisedQuestion.tenant_id == Question.tenant_id, PractisedQuestion.question_id == Question.id, PractisedQuestion.doctor_id == doctor_id
    )  # fmt: skip
    return query.outerjoin(PractisedQuestion, theirs)


def _practised(query: Columns, doctor_id: UUID) -> Columns:
    """Of what the doctor has had to do with, what is still in the practice share."""
    theirs = and_(PractisedQuestion.tenant_id == Question.tenant_id, PractisedQuestion.question_id == Question.id)
    return query.join(PractisedQuestion, theirs).where(PractisedQuestion.doctor_id == doctor_id, *_open_questions())


# --- which questions come next


class Known(NamedTuple):
    """A question that may be practised: its current version, and when the doctor answered it last."""

    version: UUID
    seen_at: datetime | None


def next_of(units: Iterable[Sequence[Known]], chance: random.Random, length: int = LENGTH) -> list[UUID]:
    """Up to `length` questions, those that share a case or options together: first what was never seen, in an order of chance, then what
    was seen longest ago. A unit counts by its member seen least recently; one that doesn't fit any more waits for the next run."""
    order = list(units)
    chance.shuffle(order)
    order.sort(key=lambda unit: min(one.seen_at or _NEVER for one in unit))
    chosen: list[UUID] = []
    for unit in order:
        if len(chosen) + len(unit) <= length:
            chosen += [one.version for one in unit]
    return chosen


def begin(record: Assessment, category: str, *, bank: str = "", source: str = "bank") -> PracticeRun:
    """A new run over a bank or over one of the lists. Raises NotAllowed where practice is closed, Invalid where there is nothing to
    practise."""
    reason = closed_because(record)
    if reason:
        raise NotAllowed(reason)
    if source not in PRACTICE_SOURCES or (source == "bank" and bank not in PRACTICE_BANKS):
        raise Invalid("请选择考试题库。")
    if source == "bank":
        subject, _, of_category = bank.partition(":")
        where = [Question.subject == subject, Question.category == of_category if of_category else _for_category(category)]
    else:
        where = [_on(source)]
    units: dict[UUID, list[Known]] = {}
    query: Columns = select(Question.group_id, Question.id, Question.current_version, PractisedQuestion.seen_at).select_from(Question)
    query = _with_practised(query, record.doctor_id).where(*_open_questions(), *where)
    for group, question, version, seen_at in db.session.execute(query.order_by(Question.group_position, Question.id)):
        units.setdefault(group or question, []).append(Known(version, seen_at))
    if not units:
        raise Invalid("该题库暂时没有练习题,请选择其他题库,或联系所属考核机构。" if source == "bank" else f"{LISTS[source]}列表里没有可以练习的题。")
    chance = random.Random(secrets.randbits(62))  # noqa: S311 - the order of practice, no secret
    layout = [str(version) for version in next_of([units[key] for key in sorted(units)], chance)]
    run = PracticeRun(
        id=new_id(), assessment_id=record.id, source=source, bank=bank if source == "bank" else None, layout=layout, answers={}, begun_at=clock.now()
    )
    db.session.add(run)
    db.session.flush()
    return run


# --- a run


@dataclass(frozen=True, eq=False)
class Asked:
    """A question of a run, with its words (`version`). `place` and `size`: which of how many that share a case or options; `withdrawn`: no longer in the practice share."""

    position: int
    question_id: UUID
    bank: str
    version: Any
    place: int
    size: int
    withdrawn: bool
    starred: bool = False

    def judged(self, letters: Iterable[str]) -> str:
        """The choice in the order of its letters. Raises Invalid for what can't be one."""
        chosen = "".join(sorted(set(letters)))
        known = {letter for letter, _ in self.version.options}
        if self.withdrawn:
            raise Invalid("本题已停用,请做下一题。")
        if not chosen or not set(chosen) <= known or (len(chosen) > 1 and self.version.kind != "X"):
            raise Invalid("请至少选择一个选项,再按“确定”。" if self.version.kind == "X" else "请选择一个选项。")
        return chosen


def title_of(run: PracticeRun) -> str:
    """What the run is called."""
    return PRACTICE_BANKS[run.bank] if run.bank else PRACTICE_SOURCES[run.source]


def last_run(record: Assessment) -> PracticeRun | None:
    """The run begun last, if it isn't finished."""
    run = db.session.scalar(select(PracticeRun).where(PracticeRun.assessment_id == record.id).order_by(PracticeRun.id.desc()).limit(1))
    return run if run and len(run.answers) < len(run.layout) and not finished(run, questions_of(run, record.doctor_id)) else None


def run_of(run_id: UUID, doctor_id: UUID, *, lock: bool = False) -> PracticeRun:
    """A run of this doctor, of whatever cycle. Raises NotFound."""
    query = select(PracticeRun).where(
        PracticeRun.id == run_id, PracticeRun.assessment_id.in_(select(Assessment.id).where(Assessment.doctor_id == doctor_id))
    )
    run = db.session.scalar(query.with_for_update().execution_options(populate_existing=True) if lock else query)
    if run is None:
        raise NotFound
    return run


def questions_of(run: PracticeRun, doctor_id: UUID) -> list[Asked]:
    """The questions of a run in its order, with what the doctor has marked. Plain rows: this is asked with every page."""
    found = {str(row.id): row for row in db.session.execute(_run_question(), {"versions": run.layout, "doctor": doctor_id})}
    rows = [found[version] for version in run.layout]
    asked: list[Asked] = []
    start = 0
    for position, row in enumerate(rows):
        if not position or row.group_id is None or rows[position - 1].group_id != row.group_id:
            start = position
        end = position + 1
        while row.group_id and end < len(rows) and rows[end].group_id == row.group_id:
            end += 1
        withdrawn = row.purpose != "practice" or row.retired_at is not None
        bank = bank_of(row.subject, row.category)
        asked.append(Asked(position, row.question_id, bank, row, position - start + 1, end - start, withdrawn, row.starred_at is not None))
    return asked


@lru_cache(maxsize=1)
def _run_question() -> Columns:
    """The question that asks for them, put together once."""
    words = (QuestionVersion.kind, QuestionVersion.case_stem, QuestionVersion.stem, QuestionVersion.options, QuestionVersion.answer, QuestionVersion.explanation)
    about = (Question.group_id, Question.subject, Question.category, Question.purpose, Question.retired_at)
    asked_for = bindparam("versions", type_=ARRAY(Uuid(as_uuid=False)))
    query: Columns = select(QuestionVersion.id, QuestionVersion.question_id, *words, *about, PractisedQuestion.starred_at).join(
        Question, and_(Question.tenant_id == QuestionVersion.tenant_id, Question.id == QuestionVersion.question_id)
    )
    return _with_practised(query, bindparam("doctor", type_=Uuid())).where(QuestionVersion.id == any_(asked_for))


def finished(run: PracticeRun, asked: Sequence[Asked]) -> bool:
    """Whether nothing is left to answer."""
    return all(one.withdrawn or str(one.position) in run.answers for one in asked)


def verdicts(run: PracticeRun, asked: Sequence[Asked]) -> dict[int, bool]:
    """What has been answered, and whether rightly, by position."""
    return {one.position: right(one.version.answer, run.answers[str(one.position)]) for one in asked if str(one.position) in run.answers}


# --- answering


def answer(run: PracticeRun, doctor_id: UUID, position: int, letters: list[str]) -> None:
    """Note an answer in a run held locked; the first one stands, for the right one is shown after it. Raises Invalid, NotFound."""
    one = _at(questions_of(run, doctor_id), position)
    _note(run, doctor_id, {one: (one.judged(letters), clock.now())})


def star(run: PracticeRun, doctor_id: UUID, position: int, *, on: bool) -> None:
    """Mark (标注) a question, or take the mark off. Raises NotFound."""
    _mark(doctor_id, {_at(questions_of(run, doctor_id), position): on})


def take_in(run: PracticeRun, doctor_id: UUID, answers: Any, stars: Any) -> None:
    """Note what a page kept while it had no network, in a run held locked. Repeatable: the first answer to a position stands. What our page
    would not have sent is passed over. `answers`: position, letters, tapped (milliseconds since 1970, by the server's clock); `stars`:
    position, starred."""
    asked = questions_of(run, doctor_id)
    given: dict[Asked, tuple[str, datetime]] = {}
    for one, told in _addressed(asked, answers):
        letters, tapped = told.get("letters"), told.get("tapped")
        try:
            if isinstance(letters, str) and one not in given:
                given[one] = one.judged(letters), _moment(tapped, run.begun_at)
        except Invalid:
            continue
    _note(run, doctor_id, given)
    _mark(doctor_id, {one: told["starred"] for one, told in _addressed(asked, stars) if isinstance(told.get("starred"), bool)})


def _addressed(asked: Sequence[Asked], told: Any) -> list[tuple[Asked, Mapping[str, Any]]]:
    rows = [row for row in told[: 4 * LENGTH] if isinstance(row, Mapping)] if isinstance(told, list) else []
    return [(asked[row["position"]], row) for row in rows if type(row.get("position")) is int and 0 <= row["position"] < len(asked)]


def _moment(tapped: Any, begun_at: datetime) -> datetime:
    """When it was tapped, as far as that can be believed: not before the run, not after now."""
    now = clock.now()
    if type(tapped) is not int or not 0 < tapped < _LATEST:
        return now
    return max(begun_at, min(now, datetime.fromtimestamp(tapped / 1000, UTC)))


def _at(asked: Sequence[Asked], position: int) -> Asked:
    if not 0 <= position < len(asked):
        raise NotFound
    return asked[position]


def _note(run: PracticeRun, doctor_id: UUID, given: Mapping[Asked, tuple[str, datetime]]) -> None:
    """What is new of `given` goes into the run, the doctor's history and the week's numbers; all of it or, by the run's lock, none twice."""
    new = [(one, *told) for one, told in given.items() if str(one.position) not in run.answers]
    if not new:
        return
    run.answers = dict(run.answers) | {str(one.position): letters for one, letters, _ in new}
    remember(doctor_id, [Answered(one.question_id, one.bank, moment, right(one.version.answer, letters)) for one, letters, moment in new])


class Answered(NamedTuple):
    """A question of the practice share that was answered: of which bank, when, and whether rightly."""

    question_id: UUID
    bank: str
    moment: datetime
    rightly: bool


def remember(doctor_id: UUID, answered: Sequence[Answered]) -> None:
    """Put questions, each of them once, into the doctor's history, from which the list of wrong ones comes, and into the week's numbers."""
    if not answered:
        return
    weeks: dict[tuple[date, str], list[int]] = defaultdict(lambda: [0, 0])
    rows = []
    for one in sorted(answered):
        rows.append({"doctor_id": doctor_id, "question_id": one.question_id, "seen_at": one.moment, "wrong": not one.rightly})
        week = weeks[monday_of(one.moment), one.bank]
        week[0] += 1
        week[1] += one.rightly
    history = insert(PractisedQuestion).values(rows)
    db.session.execute(
        history.on_conflict_do_update(
            index_elements=["tenant_id", "doctor_id", "question_id"],
            set_={"seen_at": history.excluded.seen_at, "wrong": history.excluded.wrong},
            where=or_(PractisedQuestion.seen_at.is_(None), PractisedQuestion.seen_at <= history.excluded.seen_at),
        )
    )
    tally = insert(PracticeWeek).values(
        [
            {"doctor_id": doctor_id, "monday": monday, "bank": bank, "answered": answered, "answered_right": rightly}
            for (monday, bank), (answered, rightly) in sorted(weeks.items())
        ]
    )
    db.session.execute(
        tally.on_conflict_do_update(
            index_elements=["tenant_id", "doctor_id", "monday", "bank"],
            set_={
                "answered": PracticeWeek.answered + tally.excluded.answered,
                "answered_right": PracticeWeek.answered_right + tally.excluded.answered_right,
            },
        )
    )
    db.session.flush()


def _mark(doctor_id: UUID, wanted: Mapping[Asked, bool]) -> None:
    on = sorted(one.question_id for one, starred in wanted.items() if starred)
    off = [one.question_id for one, starred in wanted.items() if not starred]
    if off:
        db.session.execute(
            update(PractisedQuestion)
            .where(PractisedQuestion.doctor_id == doctor_id, PractisedQuestion.question_id.in_(off))
            .values(starred_at=None)
        )
    if on:
        marks = insert(PractisedQuestion).values(
            [{"doctor_id": doctor_id, "question_id": question, "wrong": False, "starred_at": clock.now()} for question in on]
        )
        db.session.execute(
            marks.on_conflict_do_update(
                index_elements=["tenant_id", "doctor_id", "question_id"],
                set_={"starred_at": func.coalesce(PractisedQuestion.starred_at, marks.excluded.starred_at)},
            )
        )


# --- progress


@dataclass(frozen=True)
class Week:
    """What was practised of a bank in a week."""

    monday: date
    bank: str
    answered: int
    answered_right: int

    @property
    def sunday(self) -> date:
        """Its last day."""
        return self.monday + timedelta(days=6)


def monday_of(moment: datetime) -> date:
    """The Monday of a moment's week in Beijing."""
    day = clock.beijing(moment).date()
    return day - timedelta(days=day.weekday())


def share(part: int, whole: int) -> int:
    """Per cent, rounded half up; 0 of nothing."""
    return (200 * part + whole) // (2 * whole) if whole else 0


def weeks(doctor_id: UUID, most: int = 60) -> list[Week]:
    """What was practised a week and a bank, the latest first."""
    query = select(PracticeWeek).where(PracticeWeek.doctor_id == doctor_id).order_by(PracticeWeek.monday.desc(), PracticeWeek.bank.desc()).limit(most)
    return [Week(row.monday, PRACTICE_BANKS[row.bank], row.answered, row.answered_right) for row in db.session.scalars(query)]


def totals(doctor_id: UUID) -> dict[str, tuple[int, int]]:
    """All that was ever practised, by the bank's name: how many answered, how many rightly."""
    query = select(PracticeWeek.bank, func.sum(PracticeWeek.answered), func.sum(PracticeWeek.answered_right))
    rows = db.session.execute(query.where(PracticeWeek.doctor_id == doctor_id).group_by(PracticeWeek.bank))
    found = {code: (int(answered), int(rightly)) for code, answered, rightly in rows}
    return {name: found[code] for code, name in PRACTICE_BANKS.items() if code in found}
