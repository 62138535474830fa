"""Tables whose rows repeat the institution and the assessment organisation of the record they are about, so
that an index finds them for the lists of either. Their models are registered here by the rooms above; with
whatever moves a record (`record_counts.counted_move`) its rows in them are written."""

from typing import Any, TypeVar

from sqlalchemy import update

from dingkao.assessments.models import Assessment
from dingkao.database.base import db

PLACE_COLUMNS = ("institution_id", "assessor_id")
ModelT = TypeVar("ModelT", bound=type[Any])
_models: list[Any] = []


def repeats_place(model: ModelT) -> ModelT:
    """Decorator: register a model with `assessment_id` and at least one of PLACE_COLUMNS, which is kept equal
    to that of the record."""
    _models.append(model)
    return model


def repeat_place(record: Assessment) -> None:
    """Write institution and assessment organisation of a locked record into the rows about it, of which none
    may wait to be flushed."""
    with db.session.no_autoflush:
        for model in _models:
            values = {name: getattr(record, name) for name in PLACE_COLUMNS if hasattr(model, name)}
            db.session.execute(
                update(model)
                .where(model.assessment_id == record.id)
                .values(values)
                .execution_options(synchronize_session="evaluate")
            )
