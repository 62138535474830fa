"""Papers that may be sat again after their window, because a sitting of theirs was voided with leave to (domain.md §11 no. 16c)."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import aliased

from dingkao.assessments.models import Assessment
from dingkao.database.model import db
from dingkao.exams.models import IntegrityCase, Paper, Sitting


def resits_of(record: Assessment) -> dict[UUID, datetime]:
    """Until when this record may sit which papers again, by the paper's id."""
    of_case = and_(Sitting.tenant_id == IntegrityCase.tenant_id, Sitting.id == IntegrityCase.sitting_id)
    query = select(Sitting.paper_id, func.max(IntegrityCase.resit_until)).join(IntegrityCase, of_case)
    rows = db.session.execute(query.where(IntegrityCase.assessment_id == record.id, granted()).group_by(Sitting.paper_id))
    return {row[0]: row[1] for row in rows if row[1]}


def resits_after(moment: datetime) -> ColumnElement[bool]:
    """Whether the record of a query may still sit the query's paper again at a moment."""
    voided = aliased(Sitting)
    of_paper = and_(voided.tenant_id == IntegrityCase.tenant_id, voided.id == IntegrityCase.sitting_id, voided.paper_id == Paper.id)
    cases = select(IntegrityCase.id).join(voided, of_paper).where(
        IntegrityCase.tenant_id == Assessment.tenant_id, IntegrityCase.assessment_id == Assessment.id, granted(), IntegrityCase.resit_until >= moment
    )  # fmt: skip
    return cases.correlate(Assessment, Paper).exists()


def granted() -> ColumnElement[bool]:
    """Whether the case of a query has voided its sitting with leave to sit again."""
    return and_(IntegrityCase.state == "voided", IntegrityCase.outcome == "resit")
