"""Nobody decides on a request on which they decided in an earlier step, nor on an appeal against their own
assessment (两人办理). These functions say who did so: for pages, lists and the refusal of a decision."""

from uuid import UUID

from sqlalchemy import case

from dingkao.assessments.models import Assessment
from dingkao.journal.entries import Actor
from dingkao.people.second_person import require_second_person
from dingkao.requests.models import Request

FIRST_DECIDER_MESSAGE = "两级审核不能是同一人，请由另一位经办人办理。"
ASSESSOR_MESSAGE = "原评定人、复核人不能办理本人评定的复核申请，请由另一位复核人办理。"
EARLIER_DECIDER_COLUMNS = (
    Request.first_by,
    case((Request.kind == "appeal", Assessment.graded_by)),
    case((Request.kind == "appeal", Assessment.accepted_by)),
)
"""The same persons as `earlier_deciders`, as columns of a query of waiting requests joined to their
records."""


def earlier_deciders(doctor_request: Request, record: Assessment) -> list[UUID | None]:
    """Returns the accounts that decided on the request before, or assessed what an appeal is about (None:
    nobody)."""
    return [
        *_first_deciders(doctor_request),
        *_assessors(doctor_request, record),
    ]


def has_decided_first(doctor_request: Request, decider_id: UUID | None) -> bool:
    """Whether the account decided first on a request that still waits."""
    return doctor_request.first_by == decider_id and doctor_request.pending_side is not None


def require_not_first_decider(doctor_request: Request, by: Actor) -> None:
    """Raises Forbidden if `by` decided on the request first, or may not be the second person to the one who
    did."""
    _require_second_person(by, _first_deciders(doctor_request), FIRST_DECIDER_MESSAGE)


def require_not_assessor(doctor_request: Request, record: Assessment, by: Actor) -> None:
    """Raises Forbidden if `by` assessed what an appeal is about, or may not be the second person to those who
    did."""
    _require_second_person(by, _assessors(doctor_request, record), ASSESSOR_MESSAGE)


def _first_deciders(doctor_request: Request) -> list[UUID | None]:
    """Returns [who decided first] for a request that waits for its second side, else []."""
    return [doctor_request.first_by] if doctor_request.state == "second_pending" else []


def _assessors(doctor_request: Request, record: Assessment) -> list[UUID | None]:
    """Returns [who graded, who accepted] the record that an appeal is about (None: nobody); [] for other
    requests."""
    return [record.graded_by, record.accepted_by] if doctor_request.kind == "appeal" else []


def _require_second_person(by: Actor, earlier: list[UUID | None], same: str) -> None:
    """Raises Forbidden, with the sentence `same`, if `by` is one of `earlier`; also if `by` may not be their
    second person."""
    if earlier:
        require_second_person(by, *earlier, same=same)
