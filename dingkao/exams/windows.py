"""Until when a paper may be begun and by whom: the paper's own window, longer for who sits it again."""

from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import aliased

from dingkao.assessments.models import Assessment
from dingkao.database.model import db
from dingkao.exams.models import IntegrityCase, Paper, Sitting


def closes_for(record: Assessment, paper: Paper) -> datetime:
    """The end of the paper's window for this record: the paper's, or that of a re-sitting granted after it (§11 no. 16c)."""
    granted = db.session.scalar(select(func.max(IntegrityCase.resit_until)).where(
        IntegrityCase.assessment_id == record.id, _granted(), IntegrityCase.sitting_id == Sitting.id, Sitting.paper_id == paper.id
    ))  # fmt: skip
    return max(paper.closes_at, granted) if granted else paper.closes_at


def resits_after(moment: datetime) -> ColumnElement[bool]:
    """Whether the record of a query may still sit the query's paper again at a moment."""
    voided = aliased(Sitting)
    of_paper = and_(voided.tenant_id == IntegrityCase.tenant_id, voided.id == IntegrityCase.sitting_id, voided.paper_id == Paper.id)
    granted = select(IntegrityCase.id).join(voided, of_paper).where(
        IntegrityCase.tenant_id == Assessment.tenant_id, IntegrityCase.assessment_id == Assessment.id, _granted(), IntegrityCase.resit_until >= moment
    )  # fmt: skip
    return granted.correlate(Assessment, Paper).exists()


def _granted() -> ColumnElement[bool]:
    return and_(IntegrityCase.state == "voided", IntegrityCase.outcome == "resit")
