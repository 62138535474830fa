"""All rows of a view, for what is done to «全部符合条件的»: their ids in chunks, by id, so that a job goes on
where it stopped whatever happens to the rows meanwhile."""

from uuid import UUID

from sqlalchemy import func, select

from dingkao.database.base import db
from dingkao.database.listing.definitions import ListViewer
from dingkao.database.listing.list_pages import list_query
from dingkao.database.listing.list_states import ListState


def fetch_selected_ids(state: ListState, viewer: ListViewer, after: UUID | None, size: int) -> list[UUID]:
    """Returns the ids of the next `size` rows of a view, by id after `after` (None: from the first)."""
    id_column = state.definition.id_column
    query = list_query(state, viewer).with_only_columns(id_column)
    if after is not None:
        query = query.where(id_column > after)
    return list(db.session.scalars(query.order_by(id_column).limit(size)))


def count_selected(state: ListState, viewer: ListViewer) -> int:
    """Returns how many rows a view has, all counted; for jobs."""
    ids = list_query(state, viewer).with_only_columns(state.definition.id_column)
    return db.session.scalar(select(func.count()).select_from(ids.subquery())) or 0
