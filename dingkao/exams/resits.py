"""Resits: papers that may be sat again after their window, because a sitting was voided with permission to
sit again (domain.md §11 no. 16c)."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    and_,
    exists,
    func,
    select,
)
from sqlalchemy.orm import aliased

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.exams.models.monitoring_models import IntegrityCase
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import Sitting


def granted_resits(record: Assessment) -> dict[UUID, datetime]:
    """Paper id → until when this record may sit the paper again, for every paper with a resit granted, also
    when that time is over or the paper was sat again."""
    of_case = and_(
        Sitting.tenant_id == IntegrityCase.tenant_id,
        Sitting.id == IntegrityCase.sitting_id,
    )
    query = select(Sitting.paper_id, func.max(IntegrityCase.resit_until)).join(IntegrityCase, of_case)
    rows = db.session.execute(
        query.where(IntegrityCase.assessment_id == record.id, resit_granted_condition()).group_by(
            Sitting.paper_id
        )
    )
    return {paper_id: resit_until for paper_id, resit_until in rows if resit_until}


def may_resit_condition(moment: datetime) -> ColumnElement[bool]:
    """The condition that the query's Assessment has a resit of the query's Paper granted that ends at
    `moment` or later, whether or not the paper was sat again."""
    voided = aliased(Sitting)
    of_paper = and_(
        voided.tenant_id == IntegrityCase.tenant_id,
        voided.id == IntegrityCase.sitting_id,
        voided.paper_id == Paper.id,
    )
    cases = (
        select(IntegrityCase.id)
        .join(voided, of_paper)
        .where(
            IntegrityCase.tenant_id == Assessment.tenant_id,
            IntegrityCase.assessment_id == Assessment.id,
            resit_granted_condition(),
            IntegrityCase.resit_until >= moment,
        )
    )
    return cases.correlate(Assessment, Paper).exists()


def resit_granted_condition() -> ColumnElement[bool]:
    """The condition that an IntegrityCase has voided its sitting with permission to sit the paper again."""
    return and_(
        IntegrityCase.state == "voided",
        IntegrityCase.outcome == "resit",
    )


def latest_resit_column(
    record: type[Assessment],
) -> ScalarSelect[Any]:
    """A column: until when a record may sit a paper again that it has not sat again yet, the latest of such
    moments, which may be past; NULL if there is no such paper. `record`: Assessment, or an alias of it."""
    voided, again = aliased(Sitting), aliased(Sitting)
    of_case = and_(
        voided.tenant_id == IntegrityCase.tenant_id,
        voided.id == IntegrityCase.sitting_id,
    )
    sat_again = exists().where(
        again.tenant_id == voided.tenant_id,
        again.assessment_id == voided.assessment_id,
        again.paper_id == voided.paper_id,
        again.voided_at.is_(None),
    )
    query = (
        select(func.max(IntegrityCase.resit_until))
        .select_from(IntegrityCase)
        .join(voided, of_case)
        .where(
            IntegrityCase.tenant_id == record.tenant_id,
            IntegrityCase.assessment_id == record.id,
            resit_granted_condition(),
            ~sat_again,
        )
    )
    return query.correlate(record).scalar_subquery()


def has_begun_all_papers(record_id: UUID, paper_count: int) -> bool:
    """Whether a record has begun at least `paper_count` different papers, as many as it has to sit (voided
    sittings count), so that only resits are left."""
    sat = select(func.count(Sitting.paper_id.distinct())).where(Sitting.assessment_id == record_id)
    return (db.session.scalar(sat) or 0) >= paper_count


def last_test_day(
    phase_last_day: date | None,
    resit_until: datetime | None,
    *,
    only_resits_left: bool = False,
) -> date | None:
    """The last day of the examination for a doctor. That is `phase_last_day`, the last day of the cycle's
    examination phase, until it is over, then the day of `resit_until`, until which a paper may be sat again.
    `only_resits_left`: only resits are left, so that the day of `resit_until` applies at once. None if both
    are None."""
    if resit_until is None or (_is_lasting(phase_last_day) and not only_resits_left):
        return phase_last_day
    last_resit_day = clock.to_beijing(resit_until).date()
    return max(phase_last_day, last_resit_day) if phase_last_day else last_resit_day


def _is_lasting(phase_last_day: date | None) -> bool:
    """Whether a phase with this last day is not over."""
    return phase_last_day is not None and clock.today() <= phase_last_day


def last_test_day_of_record(record: Assessment, phase_last_day: date | None) -> date | None:
    """The last day of the examination for a record's doctor: that of the phase until it is over, then the day
    until which a paper may be sat again that hasn't been; None if there is none. `phase_last_day`: that of
    the cycle's examination phase, None without one."""
    if _is_lasting(phase_last_day):
        return phase_last_day
    query = select(latest_resit_column(Assessment)).where(Assessment.id == record.id)
    return last_test_day(phase_last_day, db.session.scalar(query))
