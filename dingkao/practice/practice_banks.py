"""The banks in which doctors may practise (PRACTICE_BANKS): 公共知识, and 业务水平 of each category."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.practice.models import PRACTICE_BANKS, PractisedQuestion
from dingkao.practice.practice_queries import (
    AnySelect,
    category_condition,
    join_history,
    practice_conditions,
)
from dingkao.question_banks.models import Question

_PROFESSIONAL_PREFIX = "业务水平 · "


@dataclass(frozen=True)
class PracticeBank:
    """A bank in which doctors may practise: its code in PRACTICE_BANKS, its name (of 业务水平 only that of
    the category), how many questions it has for the doctor (`total`), and how many of these they have
    answered."""

    code: str
    name: str
    total: int
    answered_count: int

    @property
    def subject(self) -> str:
        """The code of the subject of the bank's questions."""
        return self.code.partition(":")[0]


def bank_code(subject: str, category: str | None) -> str:
    """The code of the practice bank of a question with this subject and category; 公共知识 has one bank for
    all categories."""
    return subject if subject == "common" else f"{subject}:{category}"


def list_practice_banks(record: Assessment, category: str) -> dict[str, list[PracticeBank]]:
    """Subject → its practice banks that have questions, of all categories; for the subjects in which the
    record is tested, 业务水平 first; an empty list for a subject without any. Among its banks that of
    `category`, the doctor's, is first."""
    subjects = ("common",) if record.procedure == "simple" else ("professional", "common")
    counts = _bank_counts(record, category)
    own_code = f"professional:{category}"
    codes = sorted(
        PRACTICE_BANKS.keys() & counts.keys(),
        key=[own_code, *PRACTICE_BANKS].index,
    )
    banks = [_practice_bank(code, counts[code]) for code in codes]
    return {subject: [bank for bank in banks if bank.subject == subject] for subject in subjects}


def _practice_bank(code: str, counts: Sequence[int]) -> PracticeBank:
    """The bank with its counts: how many questions, and how many of them the doctor has answered."""
    name = PRACTICE_BANKS[code].removeprefix(_PROFESSIONAL_PREFIX)
    return PracticeBank(code, name, *counts)


def _bank_counts(record: Assessment, category: str) -> dict[str, list[int]]:
    """Bank code → [how many questions it has, how many of them the doctor has answered]; of 公共知识 only
    questions for `category`. Banks without questions are left out."""
    query: AnySelect = select(
        Question.subject,
        Question.category,
        func.count(),
        func.count(PractisedQuestion.seen_at),
    ).select_from(Question)
    query = (
        join_history(query, record.doctor_id)
        .where(*practice_conditions(), category_condition(category))
        .group_by(Question.subject, Question.category)
    )
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for (
        subject,
        question_category,
        total,
        answered_count,
    ) in db.session.execute(query):
        bank_total = counts[bank_code(subject, question_category)]
        bank_total[0] += total
        bank_total[1] += answered_count
    return counts
