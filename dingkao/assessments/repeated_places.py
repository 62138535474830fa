"""Tables whose rows repeat the institution and the assessment organisation of the record they are about, so
that an index finds them for the lists of either. Their models are registered here by the rooms above; with
whatever moves a record (`record_counts.counted_move`) its rows in them are written."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import update

from dingkao.assessments.models import Assessment
from dingkao.database.arrays import in_array
from dingkao.database.base import db

PLACE_COLUMNS = ("institution_id", "assessor_id")
ModelT = TypeVar("ModelT", bound=type[Any])
_models: list[Any] = []
_moved_ids: ContextVar[list[UUID] | None] = ContextVar("moved_ids", default=None)


def repeats_place(model: ModelT) -> ModelT:
    """Decorator: register a model with `assessment_id` and at least one of PLACE_COLUMNS, which is kept equal
    to that of the record."""
    _models.append(model)
    return model


@contextmanager
def batched_places() -> Iterator[None]:
    """Collect the records, at most 5,000, that are moved in the block, and write the rows about them at its
    end, by one statement for each table. If the block raises, nothing is written."""
    moved_ids: list[UUID] = []
    token = _moved_ids.set(moved_ids)
    try:
        yield
    finally:
        _moved_ids.reset(token)
    if moved_ids:
        db.session.flush()
        _repeat_places(moved_ids)


def repeat_place(record: Assessment) -> None:
    """Write institution and assessment organisation of a locked record into the rows about it, of which none
    may wait to be flushed; within `batched_places` at its end."""
    moved_ids = _moved_ids.get()
    if moved_ids is not None:
        moved_ids.append(record.id)
        return
    with db.session.no_autoflush:
        for model in _models:
            values = {name: getattr(record, name) for name in _place_columns_of(model)}
            db.session.execute(
                update(model)
                .where(model.assessment_id == record.id)
                .values(values)
                .execution_options(synchronize_session="evaluate")
            )


def _repeat_places(record_ids: list[UUID]) -> None:
    """Write institution and assessment organisation of these records, which are flushed, into the rows about
    them."""
    for model in _models:
        values = {name: getattr(Assessment, name) for name in _place_columns_of(model)}
        db.session.execute(
            update(model)
            .where(
                in_array(model.assessment_id, record_ids),
                model.tenant_id == Assessment.tenant_id,
                model.assessment_id == Assessment.id,
            )
            .values(values)
            .execution_options(synchronize_session="fetch")
        )


def _place_columns_of(model: Any) -> list[str]:
    """The names of PLACE_COLUMNS that a registered model has."""
    return [name for name in PLACE_COLUMNS if hasattr(model, name)]
