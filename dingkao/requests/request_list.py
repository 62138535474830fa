"""The console's lists of requests, one for each side that decides: those who have waited longest first."""

from collections.abc import Callable, Sequence
from datetime import datetime, time, timedelta
from functools import partial

from sqlalchemy import ColumnElement, and_, false, not_, or_

from dingkao import clock
from dingkao.assessments.enrolment import doctor_join
from dingkao.assessments.models import Assessment
from dingkao.database.listing.definitions import (
    CellRows,
    ListColumn,
    ListDefinition,
    ListFilter,
    ListQuery,
    ListRow,
    ListSort,
    ListViewer,
    register,
)
from dingkao.database.listing.list_states import ListState
from dingkao.doctors.doctor_list import (
    doctor_cells,
    doctor_columns,
    doctor_filter,
    doctor_filters,
    doctor_search,
    doctor_sorts,
)
from dingkao.doctors.doctor_queries import document_number_of
from dingkao.doctors.models import Doctor
from dingkao.people.exported_lists import register_listing
from dingkao.people.name_lookups import organisation_names
from dingkao.people.organisation_filters import has_many_institutions, institution_filter
from dingkao.people.scopes import Grant, load_grant
from dingkao.requests.decision_scope import (
    ANSWER_DAYS_SETTINGS,
    DecisionScope,
    answer_deadline,
    decidable_condition,
    desk_condition,
    scope_of,
    visible_requests_query,
)
from dingkao.requests.models import (
    REQUEST_KINDS,
    REQUEST_STATES,
    SIDES,
    Request,
    finished_condition,
    waiting_condition,
)
from dingkao.tenants import settings

DESK_FILTER, MINE = "desk", "mine"
DESKS = {MINE: "等您办理", "others": "等其他人办理", "finished": "已办结"}
SHOWN_STATES = {code: REQUEST_STATES[code] for code in REQUEST_STATES if code not in ("draft", "withdrawn")}
WAITING_DAYS = {"3": "等待3天以上", "7": "等待7天以上", "30": "等待30天以上"}
DUE_DAYS = {"-1": "已超期", "3": "3天内到期", "7": "7天内到期"}
"""Days from today within which a request has to be answered: code of the filter → label."""


def _scope(side: str, viewer: ListViewer) -> DecisionScope:
    """The viewer as one who decides for a side. Sends a query, once for a viewer."""
    first_grant: Grant = viewer.once(
        ("decide_first",), lambda: load_grant("requests.decide_first", viewer.account_id)
    )
    return scope_of(side, viewer.grant, first_grant, viewer.account_id)


def _query(side: str, viewer: ListViewer, _state: ListState) -> ListQuery:
    """Returns the query of the requests that a side may see, each with record and doctor; of none for who
    isn't of that side."""
    query = visible_requests_query(_scope(side, viewer)).join(Doctor, doctor_join())
    is_of_office = side != "province" or viewer.grant.is_province
    return query.add_columns(Assessment, Doctor).where(*(() if is_of_office else (false(),)))


def _desk_condition(side: str, value: str, viewer: ListViewer) -> ColumnElement[bool]:
    """Returns the condition that a request is on one of DESKS: it waits for the viewer ("mine"), for others
    ("others"), or is decided ("finished"). Sends queries, once for a viewer."""
    if value == "finished":
        return finished_condition()
    scope = _scope(side, viewer)
    is_decidable = viewer.once(("decidable", side), lambda: decidable_condition(scope))
    is_mine = and_(desk_condition(scope), is_decidable)
    return is_mine if value == MINE else and_(waiting_condition(), not_(is_mine))


def _waiting_since_condition(value: str, _viewer: ListViewer) -> ColumnElement[bool]:
    """The condition that a Request was submitted at least so many days (24 hours each) ago."""
    return Request.submitted_at <= clock.now() - timedelta(days=int(value))


def _due_condition(value: str, _viewer: ListViewer) -> ColumnElement[bool]:
    """Returns the condition that a request waits and its last day to be answered (`answer_deadline`; only
    appeals, 免考 and 延考 have one) is at most `value` days after today; "-1": it is past."""
    today = clock.to_beijing(clock.now())
    midnight = datetime.combine(today.date(), time(), today.tzinfo)
    is_due = (
        and_(
            Request.kind == kind,
            Request.submitted_at < midnight + timedelta(days=int(value) + 1 - settings.value(setting)),
        )
        for kind, setting in ANSWER_DAYS_SETTINGS.items()
    )
    return and_(waiting_condition(), or_(*is_due))


def _days_left_text(doctor_request: Request) -> str:
    """How many days are left to answer a request, as a text; "" if it has no term or doesn't wait."""
    deadline = answer_deadline(doctor_request)
    if deadline is None or doctor_request.pending_side is None:
        return ""
    days = (deadline - clock.today()).days
    return f"已超期{-days}天" if days < 0 else f"剩{days}天" if days else "今天到期"


def _cells(rows: Sequence[ListRow], _viewer: ListViewer) -> CellRows:
    """The cells of `rows` (request, record, doctor), in their order."""
    institutions = organisation_names(record.institution_id for _, record, *_ in rows)
    return [
        doctor_cells(doctor, institutions[record.institution_id])
        | {
            "kind": REQUEST_KINDS[doctor_request.kind],
            "reason": doctor_request.reason_words or doctor_request.note or "",
            "submitted": clock.minute_text(doctor_request.submitted_at),
            "state": doctor_request.state_label,
            "due": _days_left_text(doctor_request),
        }
        for doctor_request, record, doctor, *_ in rows
    ]


def _request_list(side: str) -> ListDefinition:
    """The list of the requests on which a side (institution, organisation or province) decides."""
    query: Callable[[ListViewer, ListState], ListQuery] = partial(_query, side)
    return ListDefinition(
        name=f"{side}_requests",
        title=f"{SIDES[side]}办理的申请",
        action="requests.view",
        query=query,
        id_column=Request.id,
        columns=(
            *doctor_columns("sex", "level", "category", "department", "title"),
            ListColumn("kind", "申请"),
            ListColumn("reason", "理由"),
            ListColumn("submitted", "提交时间", is_numeric=True, sort="submitted"),
            ListColumn("state", "状态"),
            ListColumn("due", "期限"),
        ),
        cells=_cells,
        sorts=(
            ListSort("begun", "申请先后", (Request.id,), is_indexed=True),
            ListSort("submitted", "提交时间", (Request.submitted_at, Request.id)),
            *doctor_sorts(Request.id),
        ),
        filters=(
            institution_filter(
                Request.institution_id,
                has_many_institutions if side == "institution" else lambda _viewer: True,
            ),
            ListFilter(
                DESK_FILTER,
                "办理",
                partial(_desk_condition, side),
                DESKS,
                is_indexed=True,
                counts=False,
            ),
            ListFilter("kind", "申请", lambda value, _viewer: Request.kind == value, REQUEST_KINDS),
            ListFilter("state", "状态", lambda value, _viewer: Request.state == value, SHOWN_STATES),
            ListFilter("waiting", "等待", _waiting_since_condition, WAITING_DAYS),
            ListFilter("due", "期限", _due_condition, DUE_DAYS),
            doctor_filter(Assessment.doctor_id),
            *doctor_filters(),
        ),
        search=doctor_search,
        search_label="姓名、拼音、号码、机构、科室",
        unit="项",
    )


REQUEST_LISTS = {side: register(_request_list(side)) for side in ("institution", "organisation", "province")}
"""Side → its list."""

for _side, _definition in REQUEST_LISTS.items():
    register_listing(
        _definition,
        "requests.view",
        reveal_action="filings.reveal_numbers" if _side != "province" else "doctors.reveal_numbers",
        full_number=lambda row: document_number_of(row[2]),
    )
