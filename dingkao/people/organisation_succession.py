"""What of an organisation goes to its successor when it is merged into another one: each room adds its own
parts here (`add_succession_part`), and what has to be put right before (`add_obstacle`)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select

from dingkao.database.base import db
from dingkao.journal.entries import Actor
from dingkao.people.models import ExportRequest, Organisation, SavedView

BATCH_SIZE = 200


@dataclass(frozen=True)
class Succession:
    """An organisation (`predecessor`) that is merged into another one, and who does it."""

    predecessor: Organisation
    successor: Organisation
    by: Actor


Query = Callable[[UUID], Select[Any]]
Move = Callable[[Sequence[Any], Succession], None]
Obstacle = Callable[[Organisation, Organisation], str | None]


@dataclass(frozen=True)
class SuccessionPart:
    """Rows that go to the successor: those of `query`, which leave it when `move` has moved them. `label` and
    `unit` as people read them; `keeps_open`: an organisation that has any is not closed without a
    successor; `keeps_assessor`: one that has any stays an assessment organisation."""

    label: str
    unit: str
    query: Query
    move: Move
    keeps_open: bool
    keeps_assessor: bool


@dataclass(frozen=True)
class PartCount:
    """How many rows of a part an organisation has."""

    part: SuccessionPart
    number: int


PARTS: list[SuccessionPart] = []
_obstacles: list[Obstacle] = []


def add_succession_part(
    label: str,
    unit: str,
    query: Query,
    move: Move,
    *,
    keeps_open: bool = True,
    keeps_assessor: bool = False,
) -> None:
    """Add a part (parameters as in SuccessionPart)."""
    PARTS.append(SuccessionPart(label, unit, query, move, keeps_open, keeps_assessor))


def add_column_part(
    label: str,
    unit: str,
    column: Any,
    *conditions: ColumnElement[bool],
    keeps_open: bool = True,
    keeps_assessor: bool = False,
) -> None:
    """Add the rows that have the organisation's id in `column` and meet the conditions: they get the
    successor's id there."""

    def query(predecessor_id: UUID) -> Select[Any]:
        """The query of the rows that have the organisation's id in `column` and meet the conditions."""
        return select(column.class_).where(column == predecessor_id, *conditions)

    add_succession_part(
        label,
        unit,
        query,
        move_column(column),
        keeps_open=keeps_open,
        keeps_assessor=keeps_assessor,
    )


def move_column(column: Any) -> Move:
    """The function that writes the successor's id into `column` of each row."""

    def move(entities: Sequence[Any], succession: Succession) -> None:
        """Write the successor's id into `column` of each row. Doesn't flush."""
        for entity in entities:
            setattr(entity, column.key, succession.successor.id)

    return move


def add_obstacle(obstacle: Obstacle) -> Obstacle:
    """Decorator: register a function that says what prevents that the first organisation is merged into the
    second; None if nothing does."""
    _obstacles.append(obstacle)
    return obstacle


def find_obstacles(predecessor: Organisation, successor: Organisation) -> list[str]:
    """The sentences of all obstacles to a merger of the first organisation into the second; empty if there is
    none."""
    sentences = (obstacle(predecessor, successor) for obstacle in _obstacles)
    return [sentence for sentence in sentences if sentence]


def count_parts(organisation_id: UUID) -> list[PartCount]:
    """What an organisation has, part by part; parts without rows are left out. Counts all rows."""
    return _count_parts(PARTS, organisation_id)


def count_assessor_parts(organisation_id: UUID) -> list[PartCount]:
    """What an organisation has of those parts alone for which it must be an assessment organisation, part by
    part; parts without rows are left out."""
    return _count_parts([part for part in PARTS if part.keeps_assessor], organisation_id)


def _count_parts(parts: Sequence[SuccessionPart], organisation_id: UUID) -> list[PartCount]:
    """What an organisation has of these parts; those without rows are left out."""
    counts = [PartCount(part, _count(part.query(organisation_id))) for part in parts]
    return [count for count in counts if count.number]


def _count(query: Select[Any]) -> int:
    """How many rows a query of one entity has."""
    counted = query.with_only_columns(func.count(), maintain_column_froms=True)
    return int(db.session.scalar(counted) or 0)


def move_next_batch(succession: Succession) -> int:
    """Move the next rows of the first part that has any, at most BATCH_SIZE, locked in the order of their
    ids; returns how many, 0 once nothing is left. Raises what the part's `move` raises."""
    for part in PARTS:
        query = part.query(succession.predecessor.id)
        model = query.column_descriptions[0]["entity"]
        locked = query.order_by(model.id).limit(BATCH_SIZE).with_for_update()
        entities = db.session.scalars(locked.execution_options(populate_existing=True)).all()
        if entities:
            part.move(entities, succession)
            return len(entities)
    return 0


add_column_part(
    "所考核的机构",
    "家",
    Organisation.assessment_organisation_id,
    Organisation.closed_at.is_(None),
    keeps_assessor=True,
)
add_column_part("本机构共用的视图", "个", SavedView.organisation_id, keeps_open=False)
add_column_part(
    "待确认的名单导出",
    "份",
    ExportRequest.organisation_id,
    ExportRequest.needs_approval.is_(True),
    ExportRequest.approved_at.is_(None),
    ExportRequest.withdrawn_at.is_(None),
    keeps_open=False,
)
