"""Which mock exams a doctor may try: papers like the coming ones, as far as the practice share of the banks
has questions for them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.exams.admission import Admission, admissions_of
from dingkao.exams.assembly.blueprint_types import BlueprintCell
from dingkao.exams.drawing import (
    practice_counts,
)
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.papers import (
    blueprint_cells,
    papers_for,
    points_by_type,
    subjects_for_procedure,
)
from dingkao.question_banks.models import (
    SUBJECTS,
)
from dingkao.question_banks.question_types import TYPE_SHARES

FULL_LENGTH_MINUTES = 60


@dataclass(frozen=True)
class MockOffer:
    """A mock exam that can be tried. `paper_question_count`: how many questions the paper has; `counts`: type
    → how many of these the practice share can fill; `marks`: type → tenths of a point; `paper_minutes`: how
    long the doctor has for the paper; `humanities`: how many questions are of 公共知识."""

    subject: str
    title: str
    paper_question_count: int
    counts: Mapping[str, int]
    marks: Mapping[str, int]
    paper_minutes: int
    humanities: int = 0
    cells: Sequence[BlueprintCell] = ()

    @property
    def question_count(self) -> int:
        """How many questions the mock exam has."""
        return sum(self.counts.values())

    @property
    def minutes(self) -> int:
        """How many minutes it lasts: the paper's, reduced in proportion if questions are missing, so that the
        pace is the paper's."""
        return max(
            1,
            math.ceil(self.paper_minutes * self.question_count / self.paper_question_count),
        )


def available_offers(record: Assessment) -> list[MockOffer]:
    """The mock exams that the record may try, in the order of its subjects: one like each of its papers, with
    the time that this doctor has for it. For a subject without a saved paper, one of the usual make-up
    (TYPE_SHARES) of FULL_LENGTH_MINUTES. One for which the practice share has no questions is among them,
    with empty `counts`."""
    category = doctor_category(record)
    papers = papers_for(record)
    papers_by_subject = {paper.subject: paper for paper in papers}
    admissions = admissions_of(record, papers) if papers else {}
    return [
        _offer(
            subject,
            papers_by_subject.get(subject),
            admissions,
            category,
        )
        for subject in subjects_for_procedure(record.procedure)
    ]


def _offer(
    subject: str,
    paper: Paper | None,
    admissions: Mapping[UUID, Admission],
    category: str,
) -> MockOffer:
    """The mock exam for a subject. `paper`: None if none is saved yet; `admissions`: paper id → the record's
    admission."""
    if paper is None:
        return _usual_offer(subject, category)
    return _paper_offer(paper, admissions[paper.id].minutes, category)


def doctor_category(record: Assessment) -> str:
    """The category (执业类别) of the record's doctor."""
    return db.session.get_one(Doctor, (record.tenant_id, record.doctor_id)).category


def _usual_offer(subject: str, category: str) -> MockOffer:
    """The mock exam for a subject that has no paper yet."""
    return MockOffer(
        subject=subject,
        title=SUBJECTS[subject],
        paper_question_count=sum(TYPE_SHARES.values()),
        counts=practice_counts(subject, category, TYPE_SHARES),
        marks=dict.fromkeys(TYPE_SHARES, 10),
        paper_minutes=FULL_LENGTH_MINUTES,
    )


def _paper_offer(paper: Paper, minutes: int, category: str) -> MockOffer:
    """The mock exam for a paper for which the doctor has `minutes`."""
    counts = {kind: int(number) for kind, number in paper.counts.items() if number}
    return MockOffer(
        subject=paper.subject,
        title=paper.title,
        paper_question_count=sum(counts.values()),
        counts=practice_counts(
            paper.subject,
            category,
            counts,
            common_count=paper.common_count,
        ),
        marks=points_by_type(paper),
        paper_minutes=minutes,
        humanities=paper.common_count,
        cells=blueprint_cells(paper),
    )
