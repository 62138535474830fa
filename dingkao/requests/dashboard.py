"""The numbers of the console's first page: what waits for an administrator or an organisation, and which
steps of setting up a province are done. It reads tables of most packages, so it is in the highest one."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select

from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.database.pagination import CappedCount, capped_count
from dingkao.doctors.models import Doctor
from dingkao.exams.models.paper_models import Paper
from dingkao.people import organisation_queries, staff_queries
from dingkao.people.scopes import Grant, scope_condition
from dingkao.question_banks.models import Question
from dingkao.results.models import Publication
from dingkao.tenants import settings


def proposed_publications_query(cycle: Cycle) -> Select[Publication]:
    """Returns the query of the publications that wait for approval: their list is complete, they are neither
    approved nor withdrawn, and no result on them has changed."""
    return select(Publication).where(
        Publication.cycle_id == cycle.id,
        Publication.gathered_at.is_not(None),
        Publication.approved_at.is_(None),
        Publication.withdrawn_at.is_(None),
        Publication.changed_at.is_(None),
    )


def count_to_conclude(cycle: Cycle, grant: Grant) -> CappedCount:
    """Returns how many records within `grant` wait for 综合评定, also absent ones whose absence is not
    confirmed; counted up to MAX_COUNTED."""
    query = select(Assessment).where(
        Assessment.cycle_id == cycle.id,
        scope_condition(grant, assessor=Assessment.assessor_id),
        Assessment.state.in_(("grading", "absent")),
    )
    return capped_count(query)


@dataclass(frozen=True)
class SetupProgress:
    """Which steps of setting up a province are done. `has_assessors`: every institution has an assessment
    organisation; `has_papers`: the current cycle has a paper."""

    has_contact: bool
    has_seal: bool
    has_institutions: bool
    has_assessors: bool
    has_second_administrator: bool
    has_organisation_staff: bool
    has_cycle: bool
    has_questions: bool
    has_papers: bool
    has_doctors: bool

    @property
    def is_complete(self) -> bool:
        """Whether all steps are done."""
        return all(vars(self).values())


def setup_progress(cycle: Cycle | None) -> SetupProgress:
    """Returns which steps are done; `cycle` is the current one, None before the first."""
    has_institutions = organisation_queries.has_organisations()
    has_papers = cycle is not None and _exists(select(Paper.id).where(Paper.cycle_id == cycle.id))
    return SetupProgress(
        has_contact=bool(settings.value("contact")),
        has_seal=bool(settings.value("seal")),
        has_institutions=has_institutions,
        has_assessors=has_institutions and not organisation_queries.has_organisation_without_assessor(),
        has_second_administrator=staff_queries.administrator_count() > 1,
        has_organisation_staff=staff_queries.has_organisation_staff(),
        has_cycle=cycle is not None,
        has_questions=_exists(select(Question.id)),
        has_papers=has_papers,
        has_doctors=_exists(select(Doctor.id)),
    )


def _exists(query: Select[Any]) -> bool:
    """Whether a query gives a row."""
    return db.session.scalar(query.limit(1)) is not None
