"""Practice (在线学习) [S12], [S13]: runs of up to fifty questions, with the right answer shown at once; it
doesn't count.

Questions come from the practice share of the banks alone. One that has left it (retired, or for exams now) is
not shown any more, not even in a run that began before.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, and_, any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY

from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.errors import InvalidInput, NotFound
from dingkao.exams.scoring import is_correct
from dingkao.practice.models import (
    PRACTICE_BANKS,
    PRACTICE_SOURCES,
    PracticeRun,
    PractisedQuestion,
)
from dingkao.practice.practice_banks import bank_code
from dingkao.practice.practice_queries import AnySelect, join_history
from dingkao.question_banks.models import Question, QuestionVersion
from dingkao.question_banks.question_types import MULTIPLE_TYPES

NO_OPTION_MESSAGE = "请选择一个选项。"
NO_OPTIONS_MESSAGE = "请至少选择一个选项，再按“确定”。"


@dataclass(frozen=True, eq=False)
class RunQuestion:
    """A question of a run at `position` (from 0), with the texts of its version. `bank`: the code of its
    practice bank; `case_position` (from 1) and `size`: its place in its group and the group's size, 1 and 1
    without a group; `withdrawn`: it is no longer in the practice share."""

    position: int
    question_id: UUID
    bank: str
    version: Any
    case_position: int
    size: int
    withdrawn: bool
    starred: bool = False

    def validate_letters(self, letters: Iterable[str]) -> str:
        """Return the chosen letters in order. Raises InvalidInput if the question is withdrawn or doesn't
        allow the choice."""
        if self.withdrawn:
            raise InvalidInput("本题已停用，请做下一题。")
        chosen = "".join(sorted(set(letters)))
        is_multiple = self.version.kind in MULTIPLE_TYPES
        max_length = len(self.version.options) if is_multiple else 1
        if not 0 < len(chosen) <= max_length or not self._has_options(chosen):
            raise InvalidInput(NO_OPTIONS_MESSAGE if is_multiple else NO_OPTION_MESSAGE)
        return chosen

    def _has_options(self, letters: str) -> bool:
        """Whether each of the letters is that of an option."""
        return set(letters) <= {letter for letter, _ in self.version.options}


def run_title(run: PracticeRun) -> str:
    """The title of the run: the name of its bank or list."""
    return PRACTICE_BANKS[run.bank] if run.bank else PRACTICE_SOURCES[run.source]


def latest_unfinished_run(record: Assessment) -> PracticeRun | None:
    """The record's latest run; None if that is finished, or there is none."""
    query = select(PracticeRun).where(PracticeRun.assessment_id == record.id)
    run = db.session.scalar(query.order_by(PracticeRun.id.desc()).limit(1))
    if run is None or len(run.answers) >= len(run.layout):
        return None
    return None if is_finished(run, run_questions(run, record.doctor_id)) else run


def get_run(run_id: UUID, doctor_id: UUID, *, for_update: bool = False) -> PracticeRun:
    """A run of this doctor, of any cycle, locked if `for_update`. Raises NotFound."""
    query = select(PracticeRun).where(
        PracticeRun.id == run_id,
        PracticeRun.assessment_id.in_(select(Assessment.id).where(Assessment.doctor_id == doctor_id)),
    )
    if for_update:
        query = query.with_for_update().execution_options(populate_existing=True)
    run = db.session.scalar(query)
    if run is None:
        raise NotFound
    return run


def run_questions(run: PracticeRun, doctor_id: UUID) -> list[RunQuestion]:
    """The questions of a run in its order, with the doctor's stars. Plain rows, not objects of the session,
    because every page loads them."""
    arguments = {"versions": run.layout, "doctor": doctor_id}
    version_rows = {
        str(version.id): version for version in db.session.execute(_run_questions_query(), arguments)
    }
    versions = [version_rows[version_id] for version_id in run.layout]
    questions: list[RunQuestion] = []
    while len(questions) < len(versions):
        group = _group_at(versions, len(questions))
        questions += _group_questions(group, len(questions))
    return questions


def _group_at(versions: Sequence[Any], start: int) -> Sequence[Any]:
    """The version at `start` and those after it that belong to the same group."""
    end = start + 1
    group_id = versions[start].group_id
    while group_id and end < len(versions) and versions[end].group_id == group_id:
        end += 1
    return versions[start:end]


def _group_questions(group: Sequence[Any], start: int) -> list[RunQuestion]:
    """The questions of a group whose first question is at position `start`."""
    return [
        _run_question(version, start + index, index + 1, len(group)) for index, version in enumerate(group)
    ]


def _run_question(version: Any, position: int, case_position: int, size: int) -> RunQuestion:
    """A question of a run from its row in `_run_questions_query`."""
    return RunQuestion(
        position=position,
        question_id=version.question_id,
        bank=bank_code(version.subject, version.category),
        version=version,
        case_position=case_position,
        size=size,
        withdrawn=version.purpose != "practice" or version.retired_at is not None,
        starred=version.starred_at is not None,
    )


@lru_cache(maxsize=1)
def _run_questions_query() -> AnySelect:
    """The query for the questions of a run (parameters `versions` and `doctor`), built once."""
    text_columns = (
        QuestionVersion.kind,
        QuestionVersion.case_stem,
        QuestionVersion.stem,
        QuestionVersion.options,
        QuestionVersion.answer,
        QuestionVersion.explanation,
    )
    question_columns = (
        Question.group_id,
        Question.subject,
        Question.category,
        Question.purpose,
        Question.retired_at,
    )
    query: AnySelect = select(
        QuestionVersion.id,
        QuestionVersion.question_id,
        *text_columns,
        *question_columns,
        PractisedQuestion.starred_at,
    ).join(
        Question,
        and_(
            Question.tenant_id == QuestionVersion.tenant_id,
            Question.id == QuestionVersion.question_id,
        ),
    )
    version_ids = bindparam("versions", type_=ARRAY(Uuid(as_uuid=False)))
    return join_history(query, bindparam("doctor", type_=Uuid())).where(
        QuestionVersion.id == any_(version_ids)
    )


def is_finished(run: PracticeRun, questions: Sequence[RunQuestion]) -> bool:
    """Whether all questions of the run that aren't withdrawn are answered."""
    return all(question.withdrawn or str(question.position) in run.answers for question in questions)


def answer_verdicts(run: PracticeRun, questions: Sequence[RunQuestion]) -> dict[int, bool]:
    """Position of each answered question → whether the answer is right by the version's own key (corrections
    are not asked)."""
    answered = (question for question in questions if str(question.position) in run.answers)
    return {
        question.position: is_correct(
            question.version.answer,
            run.answers[str(question.position)],
        )
        for question in answered
    }
