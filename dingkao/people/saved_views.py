"""Views of lists saved under a name: for oneself, or for one's colleagues too."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, and_, false, func, or_, select

from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.database.listing.list_states import ListState
from dingkao.errors import InvalidInput, InvalidState, NotFound
from dingkao.people.models import Membership, SavedView
from dingkao.people.permissions import PROVINCE_ROLES

MAX_VIEW_NAME_LENGTH, MAX_VIEWS = 30, 50
"""MAX_VIEWS: of one person and one list; as many are offered."""


def list_saved_views(
    list_name: str,
    account_id: UUID,
    memberships: Sequence[Membership],
) -> Sequence[SavedView]:
    """The views of a list that a person may use, by name, at most 2 * MAX_VIEWS: the own ones, and those that
    colleagues at an organisation or in the province's office share."""
    query = select(SavedView).where(
        SavedView.list_name == list_name,
        or_(SavedView.account_id == account_id, _shared_condition(memberships)),
    )
    return db.session.scalars(query.order_by(SavedView.name, SavedView.id).limit(2 * MAX_VIEWS)).all()


def save_view(
    state: ListState,
    name: str,
    *,
    account_id: UUID,
    memberships: Sequence[Membership],
    is_shared: bool,
) -> SavedView:
    """Save a view under a name, instead of what the person saved under it before. If `is_shared`, it is
    offered to the colleagues at the person's first organisation, or in the province's office. Flushes;
    nothing is journalled. Raises InvalidInput for the field `name`, InvalidState for one view too many."""
    tidy_name = " ".join(name.split())
    if not 0 < len(tidy_name) <= MAX_VIEW_NAME_LENGTH:
        raise InvalidInput(f"请填写视图名称，不超过{MAX_VIEW_NAME_LENGTH}字。", "name")
    own_views = select(SavedView).where(
        SavedView.account_id == account_id,
        SavedView.list_name == state.definition.name,
    )
    view = db.session.scalar(own_views.where(SavedView.name == tidy_name).with_for_update())
    if view is None:
        view_count = db.session.scalar(select(func.count()).select_from(own_views.subquery())) or 0
        if view_count >= MAX_VIEWS:
            raise InvalidState(f"一个列表最多保存{MAX_VIEWS}个视图，请先删除不用的。")
        view = SavedView(
            account_id=account_id,
            list_name=state.definition.name,
            name=tidy_name,
        )
        db.session.add(view)
    view.address, view.is_shared = state.address(), is_shared
    view.organisation_id = next(
        (membership.organisation_id for membership in memberships if membership.organisation_id), None
    )
    db.session.flush()
    return view


def delete_view(
    view_id: UUID,
    *,
    account_id: UUID,
    memberships: Sequence[Membership],
) -> str:
    """Delete a view of one's own, or one that colleagues share with somebody who has these memberships.
    Returns its name. Raises NotFound."""
    may_delete = or_(SavedView.account_id == account_id, _shared_condition(memberships))
    view = db.session.scalar(select(SavedView).where(SavedView.id == view_id, may_delete))
    if view is None:
        raise NotFound("没有这个视图，可能已被删除。")
    db.session.delete(view)
    return view.name


def _shared_condition(memberships: Sequence[Membership]) -> ColumnElement[bool]:
    """The SQL condition that a view is shared with somebody who has these memberships."""
    organisation_ids = [
        membership.organisation_id for membership in memberships if membership.organisation_id is not None
    ]
    of_office = any(membership.role in PROVINCE_ROLES for membership in memberships)
    audience = or_(
        in_array(SavedView.organisation_id, organisation_ids),
        SavedView.organisation_id.is_(None) if of_office else false(),
    )
    return and_(SavedView.is_shared, audience)
