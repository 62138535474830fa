"""The console's list of institutions and assessment organisations."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, false, func, or_, select, true

from dingkao.database.arrays import in_array
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
from dingkao.database.row_lookups import has_row
from dingkao.errors import InvalidInput
from dingkao.people.exported_lists import register_listing
from dingkao.people.models import Account, Membership, Organisation
from dingkao.people.name_lookups import organisation_names
from dingkao.people.organisation_filters import institution_filter
from dingkao.people.organisations import matches_typed
from dingkao.people.permissions import roles_for
from dingkao.tenants.context import current_tenant
from dingkao.tenants.divisions import UnknownDivision, division_code, health_authority
from dingkao.tenants.registry import by_code

MAX_CATEGORY_LENGTH = 50
STATES = {"open": "在用", "merged": "已并入其他机构", "closed": "已撤销"}
NOT_ASSIGNED_TEXT = "未指定"
ASSESSOR_CHOICES = {"yes": "考核机构", "no": "其他机构"}


_STAFF_ACTIONS = {"clerk": "filings.assist", "reviewer": "filings.approve", "accepter": "filings.accept"}
"""Whom an institution needs: code → the action that one of the person's roles is granted."""


def _staff_query() -> Select[*tuple[Any, ...]]:
    """The query of one row for an organisation, correlated with it: a column for each of _STAFF_ACTIONS,
    whether somebody there whose account isn't closed may do that. One query, so that an organisation's staff
    is read once for all chips; and closed accounts, which are few, have an index of their own."""
    roles = {code: sorted(roles_for(action)) for code, action in _STAFF_ACTIONS.items()}
    closed_account = select(Account.id).where(
        Account.tenant_id == Membership.tenant_id,
        Account.id == Membership.account_id,
        Account.state == "closed",
    )
    return (
        select(
            *(
                func.coalesce(func.bool_or(in_array(Membership.role, granted)), false()).label(code)
                for code, granted in roles.items()
            )
        )
        .where(
            Membership.tenant_id == Organisation.tenant_id,
            Membership.organisation_id == Organisation.id,
            in_array(Membership.role, sorted(set().union(*roles.values()))),
            ~has_row(closed_account),
        )
        .correlate(Organisation)
    )


_STAFF = _staff_query().lateral("staff")


_MISSING: dict[str, tuple[str, Callable[[], ColumnElement[bool]]]] = {
    "assessor": ("未指定考核机构", lambda: Organisation.assessment_organisation_id.is_(None)),
    "clerk": ("没有经办人", lambda: ~_STAFF.c.clerk),
    "reviewer": ("没有审核人", lambda: ~_STAFF.c.reviewer),
    "accepter": ("没有复核人", lambda: and_(Organisation.assesses, ~_STAFF.c.accepter)),
    "contact": (
        "没有联系电话",
        lambda: or_(Organisation.contact.is_(None), Organisation.contact == ""),
    ),
}
"""What an institution may lack: code → label, condition."""


def _division_condition(value: str, _viewer: ListViewer) -> ColumnElement[bool]:
    """The condition that an institution is in a division, of which `value` is the code without trailing
    zeros."""
    after_last = str(int(value) + 1).zfill(len(value))
    return and_(Organisation.division >= value, Organisation.division < after_last)


def _is_division(value: str) -> bool:
    """Whether a text is a division's code without trailing zeros."""
    return value.isascii() and value.isdigit() and len(value) in (2, 4, 6) and not value.endswith("00")


def _division_label(value: str) -> str:
    """The name of the authority over a division; the code itself for an unknown one."""
    province = by_code(current_tenant())
    try:
        return health_authority(province, value.ljust(6, "0")) if province else value
    except UnknownDivision:
        return value


def _resolve_division(words: str) -> str:
    """The code of the division that was typed, without trailing zeros. Raises InvalidInput."""
    province = by_code(current_tenant())
    try:
        code = division_code(province, words) if province else ""
    except UnknownDivision as error:
        raise InvalidInput(
            f"没有找到行政区划“{words[:20]}”，请填写本省市、县的全名，或行政区划代码。", "division"
        ) from error
    return code.removesuffix("00").removesuffix("00")


def _state_condition(value: str, _viewer: ListViewer) -> ColumnElement[bool]:
    """The condition that an institution is in a state; `value`: a key of STATES."""
    if value == "merged":
        return Organisation.successor_id.is_not(None)
    if value == "closed":
        return and_(Organisation.closed_at.is_not(None), Organisation.successor_id.is_(None))
    return Organisation.closed_at.is_(None)


def _missing_condition(value: str, _viewer: ListViewer) -> ColumnElement[bool]:
    """The condition that an institution lacks something; one that is closed needs nothing."""
    return and_(Organisation.closed_at.is_(None), _MISSING[value][1]())


def _state_text(institution: Organisation, names: Mapping[UUID, str]) -> str:
    """The state; of an institution that was merged, with the name of its successor, of `names` by id."""
    if institution.closed_at is None:
        return STATES["open"]
    if institution.successor_id is None:
        return STATES["closed"]
    return f"已并入{names.get(institution.successor_id, '其他机构')}"


def _query(_viewer: ListViewer, _state: ListState) -> ListQuery:
    """The query of all institutions and assessment organisations, closed ones too, each with whom it has
    (`_staff_query`): PostgreSQL leaves that out where nothing is asked of it."""
    return select(Organisation).outerjoin(_STAFF, true())


def _cells(rows: Sequence[ListRow], _viewer: ListViewer) -> CellRows:
    """The texts of each row's cells, by column."""
    institutions = [row[0] for row in rows]
    names = organisation_names(
        organisation_id
        for institution in institutions
        for organisation_id in (institution.assessment_organisation_id, institution.successor_id)
    )
    return [
        {
            "name": institution.name,
            "number": institution.registration_number,
            "kind": ASSESSOR_CHOICES["yes"] if institution.assesses else "",
            "category": institution.category,
            "division": institution.division,
            "authority": institution.health_authority,
            "assessor": names.get(institution.assessment_organisation_id, NOT_ASSIGNED_TEXT),
            "contact": institution.contact or "",
            "state": _state_text(institution, names),
        }
        for institution in institutions
    ]


def _assessor_condition(value: str, _viewer: ListViewer) -> ColumnElement[bool]:
    return Organisation.assessment_organisation_id == UUID(value)


def _sort(key: str, label: str, *columns: Any) -> ListSort:
    """An order by columns with which an index begins."""
    return ListSort(key, label, (*columns, Organisation.name, Organisation.id), is_indexed=True)


INSTITUTION_LIST = register(
    ListDefinition(
        name="institutions",
        title="机构名单",
        action="institutions.view",
        query=_query,
        id_column=Organisation.id,
        columns=(
            ListColumn("name", "机构名称", is_fixed=True, sort="name"),
            ListColumn("number", "机构登记号", is_numeric=True, sort="number"),
            ListColumn("kind", "身份"),
            ListColumn("category", "机构类别"),
            ListColumn("division", "行政区划", is_default=False, is_numeric=True, sort="division"),
            ListColumn("authority", "管辖行政"),
            ListColumn("assessor", "所属考核机构"),
            ListColumn("contact", "联系电话"),
            ListColumn("state", "状态"),
        ),
        cells=_cells,
        sorts=(
            ListSort("name", "名称", (Organisation.name, Organisation.id), is_indexed=True),
            _sort("division", "行政区划", Organisation.division),
            _sort("number", "登记号", Organisation.registration_number),
        ),
        filters=(
            ListFilter(
                "division",
                "行政区划",
                _division_condition,
                accepts=_is_division,
                describe=_division_label,
                resolve=_resolve_division,
                is_indexed=True,
            ),
            replace(
                institution_filter(Organisation.assessment_organisation_id),
                key="assessor",
                label="所属考核机构",
                condition=_assessor_condition,
                is_for=lambda _viewer: True,
            ),
            ListFilter(
                "category",
                "机构类别",
                lambda value, _viewer: Organisation.category == value,
                accepts=lambda value: len(value) <= MAX_CATEGORY_LENGTH,
            ),
            ListFilter("state", "状态", _state_condition, STATES),
            ListFilter(
                "kind",
                "身份",
                lambda value, _viewer: Organisation.assesses.is_(value == "yes"),
                ASSESSOR_CHOICES,
            ),
            ListFilter(
                "lacks",
                "待补",
                _missing_condition,
                {code: label for code, (label, _) in _MISSING.items()},
            ),
        ),
        search=lambda words, _viewer: matches_typed(words),
        search_label="机构名称中的一段或登记号",
        unit="家",
    )
)

register_listing(INSTITUTION_LIST, "institutions.view", names_people=False)
