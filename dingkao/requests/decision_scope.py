"""Who decides on which requests: the sides, and the queries of what each side sees and of what waits for
it."""

from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    false,
    select,
    true,
)

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.database.pagination import Page, fetch_page
from dingkao.errors import NotFound
from dingkao.people.scopes import Grant
from dingkao.people.second_person import second_person_condition
from dingkao.requests.earlier_deciders import (
    EARLIER_DECIDER_COLUMNS,
    has_decided_first,
)
from dingkao.requests.models import Request, shown_condition, submitted_condition, waiting_condition
from dingkao.tenants import settings
from dingkao.tenants.settings import Setting

NOBODY = UUID(int=0)
"""Instead of the account of whoever looks, where nobody is signed in."""
settings.register(
    "appeal_answer_days",
    Setting(
        "复核答复期限（天）",
        30,
        kind="whole",
        group="结果",
        order=30,
        min_value=1,
        max_value=365,
    ),
)
settings.register(
    "exemption_answer_days",
    Setting(
        "免考、延考申请办理期限（天）",
        12,
        kind="whole",
        group="免考与延考",
        order=90,
        min_value=1,
        max_value=90,
    ),
)


@dataclass(frozen=True)
class DecisionScope:
    """A side that decides (institution, organisation, province), and the person who acts for it.
    `organisation_ids`: the organisations for which the person acts, () for the province. `account`: the
    person's account. `can_decide`: may decide for the side; `can_decide_second`: may be the second person of
    a request that needs any second person («another»). A clerk of an institution may only do the latter."""

    side: str
    organisation_ids: tuple[UUID, ...]
    account: UUID
    can_decide: bool
    can_decide_second: bool

    def place_condition(self) -> ColumnElement[bool]:
        """Returns the SQL condition of the requests about records that this side may see."""
        if self.side == "institution":
            return in_array(Request.institution_id, self.organisation_ids)
        if self.side == "organisation":
            return in_array(Request.assessor_id, self.organisation_ids)
        return true()

    def includes(self, record: Assessment) -> bool:
        """Whether the record is one of those that this side may see (`place_condition`)."""
        if self.side == "institution":
            return record.institution_id in self.organisation_ids
        if self.side == "organisation":
            return record.assessor_id in self.organisation_ids
        return True

    @property
    def is_another(self) -> bool:
        """Whether the person may decide second on requests whose second side is «another», that is, any
        second person."""
        return self.can_decide_second and self.side in (
            "institution",
            "province",
        )

    @property
    def decided_sides(self) -> tuple[str, ...]:
        """The sides of a request for which the person may decide."""
        own_side = (self.side,) if self.can_decide else ()
        return (*own_side, "another") if self.is_another else own_side

    def can_act_on(self, doctor_request: Request) -> bool:
        """Whether the request waits for a side for which this person may decide, and this person did not
        decide on it first. Whether the side sees its record (`includes`) and whether the two count as two
        persons (`second_person`) is not asked."""
        if has_decided_first(doctor_request, self.account):
            return False
        return doctor_request.pending_side in self.decided_sides


def _record_join() -> ColumnElement[bool]:
    """The condition to join Request with its record."""
    return and_(
        Assessment.tenant_id == Request.tenant_id,
        Assessment.id == Request.assessment_id,
    )


def visible_requests_query(scope: DecisionScope) -> Select[Request]:
    """Returns the query of the submitted requests that this side may see. Province and organisation see only
    those that they decide on at some point."""
    return (
        select(Request)
        .join(Assessment, _record_join())
        .where(
            submitted_condition(),
            scope.place_condition(),
            shown_condition(scope.side),
        )
    )


def scope_of(side: str, grant: Grant, first_grant: Grant, account_id: UUID | None) -> DecisionScope:
    """Returns a person as one who decides for a side. `grant`: what the person reaches with requests.view;
    `first_grant`: with requests.decide_first; `account_id`: the person's account. Whether a person for the
    province is of it is not asked."""
    if side == "institution":
        own_ids, can_decide = grant.institution_ids, bool(first_grant.institution_ids)
    elif side == "organisation":
        own_ids, can_decide = grant.assessor_ids, bool(first_grant.assessor_ids)
    else:
        own_ids, can_decide = (), True
    return DecisionScope(
        side,
        own_ids,
        account_id or NOBODY,
        can_decide=can_decide,
        can_decide_second=side != "organisation",
    )


def desk_condition(scope: DecisionScope) -> ColumnElement[bool]:
    """Returns the condition that a request waits for this side, no matter which person of it decides."""
    return waiting_condition(scope.decided_sides) if scope.decided_sides else false()


def decidable_condition(scope: DecisionScope) -> ColumnElement[bool]:
    """Returns the condition that nobody decided on a request earlier beside whom this person may not. Sends
    queries."""
    return second_person_condition(scope.account, *EARLIER_DECIDER_COLUMNS)


def pending_for_person_query(
    scope: DecisionScope,
) -> Select[Request]:
    """Returns the query of the requests that wait for this side and on which this person may decide, not
    having decided earlier."""
    return pending_at_side_query(scope).where(decidable_condition(scope))


def pending_at_side_query(scope: DecisionScope) -> Select[Request]:
    """Returns the query of the requests that wait for this side, no matter which person of it decides."""
    return visible_requests_query(scope).where(desk_condition(scope))


def pending_page(scope: DecisionScope, kind: str, cursor: str | None, size: int) -> Page[Request]:
    """Returns a page (of `size`) of the requests of a kind that wait for this person, the oldest first."""
    query = pending_for_person_query(scope).where(Request.kind == kind)
    return fetch_page(query, [Request.id], cursor, size)


def get_visible_request(request_id: UUID, scope: DecisionScope) -> tuple[Request, Assessment]:
    """Returns a submitted request about a record that this side may see, and the record; also a withdrawn one
    and one on which this side never decides, which `visible_requests_query` doesn't list. Raises NotFound."""
    query = select(Request, Assessment).join(Assessment, _record_join())
    request_and_record = db.session.execute(
        query.where(
            Request.id == request_id,
            Request.submitted_at.is_not(None),
        )
    ).one_or_none()
    if request_and_record is None or not scope.includes(request_and_record[1]):
        raise NotFound
    return request_and_record[0], request_and_record[1]


def get_request_for_update(request_id: UUID, scope: DecisionScope) -> tuple[Request, Assessment]:
    """Returns a submitted request about a record that this side may see, and the record, both locked, the
    record first; also a withdrawn one and one on which this side never decides. Raises NotFound."""
    query = select(Request).where(Request.id == request_id)
    doctor_request = _require_submitted(db.session.scalar(query))
    record = db.session.scalars(
        select(Assessment).where(Assessment.id == doctor_request.assessment_id).with_for_update()
    ).one()
    locked_query = query.with_for_update().execution_options(populate_existing=True)
    doctor_request = db.session.scalars(locked_query).one()
    if not scope.includes(record):
        raise NotFound
    return doctor_request, record


def _require_submitted(doctor_request: Request | None) -> Request:
    """Returns the request. Raises NotFound if it is None or was never submitted."""
    if doctor_request is None or doctor_request.submitted_at is None:
        raise NotFound
    return doctor_request


ANSWER_DAYS_SETTINGS = {
    "appeal": "appeal_answer_days",
    "exemption": "exemption_answer_days",
    "deferral": "exemption_answer_days",
}
"""Kinds of requests that are answered within a number of days → the setting with it."""


def answer_deadline(doctor_request: Request) -> date | None:
    """Returns the last day (Beijing) for answering an appeal (办法: 30 days; domain.md §1.8), a request for
    免考 or 延考; None for requests of other kinds, and before submission."""
    setting = ANSWER_DAYS_SETTINGS.get(doctor_request.kind)
    if setting is None or doctor_request.submitted_at is None:
        return None
    submitted_on = clock.to_beijing(doctor_request.submitted_at).date()
    return submitted_on + timedelta(days=settings.value(setting))
