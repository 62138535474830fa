"""Queries of the requests about a record, and of its scores."""

from uuid import UUID

from sqlalchemy import or_, select

from dingkao.assessments.models import Assessment
from dingkao.assessments.review_hooks import recall_obstacle
from dingkao.database.base import db
from dingkao.errors import NotFound
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import Sitting
from dingkao.requests.models import OPEN_STATES, Request
from dingkao.tenants.prepared_statements import (
    TENANT_PARAM,
    PreparedStatement,
    all_columns,
    uuid_param,
)

INSTEAD_OF_TEST = ("exemption", "deferral")


def list_requests(record: Assessment) -> list[Request]:
    """All requests about a record, the newest first."""
    query = select(Request).where(Request.assessment_id == record.id).order_by(Request.id.desc())
    return list(db.session.scalars(query))


def find_latest_request(record: Assessment, kind: str) -> Request | None:
    """Returns the record's newest request of a kind, in whatever state but withdrawn, or None."""
    query = select(Request).where(
        Request.assessment_id == record.id,
        Request.kind == kind,
        Request.state != "withdrawn",
    )
    return db.session.scalar(query.order_by(Request.id.desc()).limit(1))


def get_request(request_id: UUID, record: Assessment, *, for_update: bool = False) -> Request:
    """Returns a request about this record, locked with `for_update`. Raises NotFound for any other
    request."""
    query = select(Request).where(Request.id == request_id, Request.assessment_id == record.id)
    doctor_request = db.session.scalar(query.with_for_update() if for_update else query)
    if doctor_request is None:
        raise NotFound
    return doctor_request


def find_open_request(record: Assessment, kind: str) -> Request | None:
    """Returns the record's open request of a kind, a draft or one that waits, or None."""
    return db.session.scalar(
        select(Request).where(
            Request.assessment_id == record.id,
            Request.kind == kind,
            Request.state.in_(OPEN_STATES),
        ),
    )


def open_test_replacements(record: Assessment) -> list[Request]:
    """Returns the record's open requests for 免考 or 延考, which would replace the test, the oldest first;
    not locked."""
    rows = _TEST_REPLACEMENTS_STATEMENT.fetch_objects(Request, record=record.id)
    return [doctor_request for (doctor_request,) in rows]


_TEST_REPLACEMENTS_STATEMENT = PreparedStatement(
    lambda: (
        select(*all_columns(Request))
        .where(
            Request.tenant_id == TENANT_PARAM,
            Request.assessment_id == uuid_param("record"),
            or_(*(Request.kind == kind for kind in INSTEAD_OF_TEST)),
            or_(*(Request.state == state for state in OPEN_STATES)),
        )
        .order_by(Request.id)
    ),
)


def scores_of(record: Assessment) -> list[tuple[str, int | None]]:
    """Returns (title of the paper, score in tenths of a point) for each sitting of a record that is not void,
    in no order; the score is None before it is scored."""
    query = (
        select(Paper.title, Sitting.score_tenths)
        .join(
            Sitting,
            (Sitting.tenant_id == Paper.tenant_id) & (Sitting.paper_id == Paper.id),
        )
        .where(
            Sitting.assessment_id == record.id,
            Sitting.voided_at.is_(None),
        )
    )
    return [(title, tenths) for title, tenths in db.session.execute(query)]


@recall_obstacle
def _request_obstacle(record: Assessment) -> str | None:
    """The sentence why a record can't be recalled: a request of the doctor waits for a decision; None if none
    does."""
    submitted = select(Request.id).where(
        Request.assessment_id == record.id,
        Request.state.in_(("first_pending", "second_pending")),
    )
    if db.session.scalar(submitted.limit(1)) is None:
        return None
    return "该医师有申请正在办理，不能撤回。请先办理申请。"
