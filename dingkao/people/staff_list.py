"""The console's list of staff: who has which roles where, and when each last signed in."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select

from dingkao import clock
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.database.listing.definitions import (
    ANY_CHOICE,
    CellRows,
    ListColumn,
    ListDefinition,
    ListFilter,
    ListQuery,
    ListRow,
    ListSort,
    ListViewer,
    Totals,
    register,
)
from dingkao.database.listing.list_states import ListState
from dingkao.database.pagination import CappedCount, capped_count_query
from dingkao.people.accounts import staff_login_index
from dingkao.people.exported_lists import register_listing
from dingkao.people.models import ACCOUNT_STATES, Account, Membership
from dingkao.people.name_lookups import organisation_names
from dingkao.people.names import normalise_name
from dingkao.people.organisation_filters import INSTITUTION_FILTER, institution_filter
from dingkao.people.permissions import ROLE_LABELS
from dingkao.people.staff_accounts import closes_on
from dingkao.people.staff_queries import memberships_of_accounts

MAX_LISTED = 300
"""Up to so many accounts a list is given their ids."""
USED_CHOICES = {"never": "未使用过", "30": "30天以上未使用", "90": "90天以上未使用"}


def _query(_viewer: ListViewer, state: ListState) -> ListQuery:
    """Returns the query of the staff. Where a filter (which the list applies besides) leaves few, their ids
    are looked up before: sorted by name, PostgreSQL else reads everybody to find them. Sends a query for each
    such filter."""
    query = select(Account).where(Account.kind == "staff")
    for key, ids_query in _FEW_BY.items():
        if value := state.filters.get(key):
            account_ids = db.session.scalars(ids_query(value).limit(MAX_LISTED + 1)).all()
            if len(account_ids) <= MAX_LISTED:
                query = query.where(in_array(Account.id, account_ids))
    return query


def _holders_query(role: str) -> Select[UUID]:
    return select(Membership.account_id).where(Membership.role == role)


def _unused_query(value: str) -> Select[UUID]:
    return select(Account.id).where(Account.kind == "staff", _unused_since(value))


def _members_query(organisation_id: str) -> Select[UUID]:
    return select(Membership.account_id).where(Membership.organisation_id == UUID(organisation_id))


_FEW_BY: dict[str, Callable[[str], Select[UUID]]] = {
    "role": _holders_query,
    "used": _unused_query,
    INSTITUTION_FILTER: _members_query,
}
"""Filters of which some values leave few of all staff: key → the ids of a value's accounts."""


def _totals(state: ListState, _viewer: ListViewer) -> Totals:
    """Returns how many of all staff each choice leaves, counted up to MAX_COUNTED along an index of it; {}
    for a view that is narrowed, which the list counts."""
    if state.search or state.filters:
        return {}
    staff = select(Account).where(Account.kind == "staff")
    by_name = (Account.name, Account.id)
    counts = {
        "state": {ANY_CHOICE: capped_count_query(staff.order_by(*by_name))}
        | {
            code: capped_count_query(staff.where(Account.state == code).order_by(*by_name))
            for code in ACCOUNT_STATES
        },
        "role": {
            role: capped_count_query(
                _holders_query(role).distinct().order_by(Membership.account_id), Membership.account_id
            )
            for role in ROLE_LABELS
        },
        "used": {
            code: capped_count_query(staff.where(_unused_since(code)).order_by(Account.used_at))
            for code in USED_CHOICES
        },
    }
    numbers = iter(
        db.session.execute(select(*(count for of in counts.values() for count in of.values()))).one()
    )
    return {key: {code: CappedCount(next(numbers)) for code in of} for key, of in counts.items()}


def _search(words: str, _viewer: ListViewer) -> ColumnElement[bool]:
    """The condition that an account has this user name, or else a name that begins with the words: by the
    one operator for beginnings that uses an index under row-level security. Sends a query."""
    has_user_name = Account.login_index == staff_login_index(words)
    account_id = db.session.scalar(select(Account.id).where(Account.kind == "staff", has_user_name))
    if account_id is not None:
        return Account.id == account_id
    return Account.name.op("^@", is_comparison=True)(normalise_name(words))


def _has_membership(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """The condition that an account has a membership that meets another one: looked up for each account."""
    own = select(Membership.id).where(Membership.account_id == Account.id, condition).limit(1)
    return own.scalar_subquery().is_not(None)


def _unused_since(value: str) -> ColumnElement[bool]:
    """The condition that an account was never used, or not since some days; `value`: a key of
    USED_CHOICES."""
    if value == "never":
        return Account.used_at.is_(None)
    return Account.used_at <= clock.now() - timedelta(days=int(value))


def _cells(rows: Sequence[ListRow], _viewer: ListViewer) -> CellRows:
    """The texts of each row's cells, by column."""
    accounts = [row[0] for row in rows]
    roles = _role_texts(account.id for account in accounts)
    return [
        {
            "name": account.name,
            "user_name": account.user_name or "",
            "roles": "；".join(roles.get(account.id, ())),
            "state": _state_text(account),
            "used": clock.minute_text(account.used_at) or USED_CHOICES["never"],
            "created": clock.minute_text(account.created_at),
        }
        for account in accounts
    ]


def _role_texts(account_ids: Iterable[UUID]) -> dict[UUID, list[str]]:
    """Account id → the texts of its roles, each with its organisation; an account without a role is left
    out."""
    memberships = memberships_of_accounts(account_ids)
    names = organisation_names(membership.organisation_id for membership in memberships)
    texts: dict[UUID, list[str]] = {}
    for membership in memberships:
        organisation_id = membership.organisation_id
        name = names.get(organisation_id, "") if organisation_id else ""
        text = f"{ROLE_LABELS[membership.role]} {name}".strip()
        texts.setdefault(membership.account_id, []).append(text)
    return texts


def _state_text(account: Account) -> str:
    """The state, and when the account will be closed because nobody uses it."""
    label, closing = ACCOUNT_STATES[account.state], closes_on(account)
    if closing is None:
        return label
    return f"{label}，长期未使用，将于{clock.to_beijing(closing):%Y年%m月%d日}自动停用"


STAFF_LIST = register(
    ListDefinition(
        name="staff",
        title="工作人员名单",
        action="staff.manage",
        query=_query,
        id_column=Account.id,
        columns=(
            ListColumn("name", "姓名", is_fixed=True, sort="name"),
            ListColumn("user_name", "用户名"),
            ListColumn("roles", "角色"),
            ListColumn("state", "状态"),
            ListColumn("used", "最近使用", is_numeric=True),
            ListColumn("created", "建立时间", is_default=False, is_numeric=True, sort="created"),
        ),
        cells=_cells,
        sorts=(
            ListSort("name", "姓名", (Account.name, Account.id), is_indexed=True),
            ListSort("created", "建立时间", (Account.created_at, Account.id), is_descending=True),
        ),
        filters=(
            replace(
                institution_filter(Membership.organisation_id),
                condition=lambda value, _viewer: _has_membership(Membership.organisation_id == UUID(value)),
                is_for=lambda _viewer: True,
            ),
            ListFilter(
                "role",
                "角色",
                lambda value, _viewer: _has_membership(Membership.role == value),
                ROLE_LABELS,
            ),
            ListFilter(
                "state",
                "状态",
                lambda value, _viewer: Account.state == value,
                ACCOUNT_STATES,
                is_indexed=True,
            ),
            ListFilter(
                "used",
                "最近使用",
                lambda value, _viewer: _unused_since(value),
                USED_CHOICES,
            ),
        ),
        search=_search,
        search_label="姓名开头或用户名",
        totals=_totals,
    )
)

register_listing(STAFF_LIST, "staff.manage")
