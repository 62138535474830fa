"""What a request's row repeats for lists, compared with what it is computed from."""

from typing import Any
from uuid import UUID

from sqlalchemy import select

from dingkao.assessments.models import Assessment
from dingkao.database.base import db, new_id
from dingkao.requests.models import Request


def add_draft(record_id: UUID, kind: str = "correction") -> Request:
    """A draft of a request about a record, added to the session, decided on by institution and organisation."""
    record = db.session.scalars(select(Assessment).where(Assessment.id == record_id)).one()
    request = Request(
        id=new_id(),
        assessment_id=record.id,
        institution_id=record.institution_id,
        assessor_id=record.assessor_id,
        kind=kind,
        state="draft",
        first_side="institution",
        second_side="organisation",
    )
    db.session.add(request)
    return request


def require_places_repeated(record_id: UUID) -> None:
    """There are requests about the record, and each stands where the record is and waits where its state
    says; raises AssertionError otherwise."""
    query = select(Request, Request.waiting_side, Assessment).join(
        Assessment, (Assessment.tenant_id == Request.tenant_id) & (Assessment.id == Request.assessment_id)
    )
    rows: list[Any] = list(
        db.session.execute(
            query.where(Assessment.id == record_id).execution_options(populate_existing=True)
        ).all()
    )
    assert rows
    for request, waiting_side, record in rows:
        assert (request.institution_id, request.assessor_id) == (record.institution_id, record.assessor_id)
        assert waiting_side == request.pending_side, request.state
