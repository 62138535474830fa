"""How many records of a cycle stand in which state, for the province, each institution and each assessment
organisation, without counting them: whatever changes a record's state or organisation writes a row of the
move in the same transaction (`counted_move`), and a duty adds these rows to the totals (`fold_moves`).

Rows of moves are only inserted, so that no two transactions wait for each other, which they would at the
total of a province. What isn't folded yet is added when the totals are read. At night the totals are compared
with the records themselves (`recount`).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from sqlalchemy import insert, select, text

from dingkao import clock
from dingkao.assessments.models import (
    ASSESSMENT_STATES,
    Assessment,
    RecordMove,
    RecountRound,
)
from dingkao.assessments.repeated_places import repeat_place
from dingkao.cycles.models import Cycle
from dingkao.database.base import db, new_id
from dingkao.people.scopes import Grant
from dingkao.tenants.context import current_tenant

log = structlog.get_logger()
MAX_FOLDED = 20_000
"""How many moves are added to the totals at a time."""
PROVINCE_ID = UUID(int=0)
"""The organisation of a province's totals."""

_SIDES_SQL = """
    CROSS JOIN LATERAL (VALUES
        ('province', CAST(:province AS uuid), move.from_state, -move.number),
        ('institution', move.from_institution_id, move.from_state, -move.number),
        ('assessor', move.from_assessor_id, move.from_state, -move.number),
        ('province', CAST(:province AS uuid), move.state, move.number),
        ('institution', move.institution_id, move.state, move.number),
        ('assessor', move.assessor_id, move.state, move.number)
    ) AS change (side, organisation_id, state, number)
    WHERE change.state IS NOT NULL AND change.organisation_id IS NOT NULL
"""
_FOLD = text(f"""
WITH move AS (
    DELETE FROM record_move WHERE tenant_id = :tenant AND id IN (
        SELECT id FROM record_move WHERE tenant_id = :tenant ORDER BY id LIMIT :most FOR UPDATE SKIP LOCKED
    ) RETURNING *
), folded AS (
    INSERT INTO record_total (tenant_id, cycle_id, side, organisation_id, state, number)
    SELECT :tenant, move.cycle_id, change.side, change.organisation_id, change.state, sum(change.number)
    FROM move {_SIDES_SQL}
    GROUP BY move.cycle_id, change.side, change.organisation_id, change.state
    ORDER BY move.cycle_id, change.side, change.organisation_id, change.state
    ON CONFLICT (tenant_id, cycle_id, side, organisation_id, state)
    DO UPDATE SET number = record_total.number + excluded.number RETURNING 1
)
SELECT (SELECT count(*) FROM move) AS moves, (SELECT count(*) FROM folded) AS totals
""")  # noqa: S608 - a text of ours
_READ = text(f"""
SELECT counted.state, sum(counted.number) FROM (
    SELECT total.state, total.number FROM record_total AS total
    WHERE total.tenant_id = :tenant AND total.cycle_id = :cycle AND total.side = :side
        AND total.organisation_id = ANY(:organisations)
    UNION ALL
    SELECT change.state, change.number FROM record_move AS move {_SIDES_SQL}
        AND move.tenant_id = :tenant AND move.cycle_id = :cycle AND change.side = :side
        AND change.organisation_id = ANY(:organisations)
) AS counted GROUP BY counted.state
""")  # noqa: S608 - a text of ours
_RECOUNT = text("""
WITH folded AS (
    DELETE FROM record_move WHERE tenant_id = :tenant RETURNING 1
), counted AS (
    SELECT record.cycle_id, place.side, place.organisation_id, record.state, count(*) AS number
    FROM assessment AS record CROSS JOIN LATERAL (VALUES
        ('province', CAST(:province AS uuid)),
        ('institution', record.institution_id),
        ('assessor', record.assessor_id)
    ) AS place (side, organisation_id)
    WHERE record.tenant_id = :tenant AND place.organisation_id IS NOT NULL
    GROUP BY record.cycle_id, place.side, place.organisation_id, record.state
), kept AS (
    SELECT cycle_id, side, organisation_id, state FROM record_total WHERE tenant_id = :tenant
), written AS (
    INSERT INTO record_total (tenant_id, cycle_id, side, organisation_id, state, number)
    SELECT :tenant, cycle_id, side, organisation_id, state, coalesce(counted.number, 0)
    FROM counted FULL JOIN kept USING (cycle_id, side, organisation_id, state)
    ON CONFLICT (tenant_id, cycle_id, side, organisation_id, state)
    DO UPDATE SET number = excluded.number WHERE record_total.number <> excluded.number RETURNING 1
)
SELECT (SELECT count(*) FROM written) AS changed, (SELECT count(*) FROM folded) AS moves
""")


class RecordPlace(NamedTuple):
    """Where a record is counted."""

    institution_id: UUID
    assessor_id: UUID | None
    state: str


@contextmanager
def counted_move(record: Assessment) -> Iterator[None]:
    """Changes of a locked record's state or organisations within the block are counted: the row of the move
    is written with them, and so are the rows that repeat its organisations (`repeated_places`). If the block
    raises, nothing is counted."""
    before = _place_of(record)
    yield
    after = _place_of(record)
    if after[:2] != before[:2]:
        repeat_place(record)
    if after != before:
        db.session.add(
            RecordMove(
                cycle_id=record.cycle_id,
                from_institution_id=before.institution_id,
                from_assessor_id=before.assessor_id,
                from_state=before.state,
                **after._asdict(),
            )
        )


def count_new_records(cycle: Cycle, institution_ids: Iterable[UUID]) -> None:
    """Write the rows of the moves of records of a cycle that were created, not yet included, at these
    institutions (one id for each record)."""
    moves = [
        {
            "tenant_id": current_tenant(),
            "id": new_id(),
            "cycle_id": cycle.id,
            "institution_id": institution_id,
            "state": "not_included",
            "number": number,
        }
        for institution_id, number in Counter(institution_ids).items()
    ]
    if moves:
        db.session.execute(insert(RecordMove), moves)


def _place_of(record: Assessment) -> RecordPlace:
    """Where a record is counted now."""
    return RecordPlace(record.institution_id, record.assessor_id, record.state)


def fold_moves() -> int:
    """Add the moves that were written since to the totals, at most MAX_FOLDED; for the timetable. Moves that
    another transaction has locked are left. Doesn't commit. Returns how many."""
    moves, _ = db.session.execute(_FOLD, _parameters() | {"most": MAX_FOLDED}).one()
    return int(moves)


def recount() -> int:
    """Make the totals equal to the records, delete the moves, which they then include, and return how many
    differed. It counts all records of the province, in one statement, so that every move is either counted or
    still to be folded. Doesn't commit."""
    changed, _ = db.session.execute(_RECOUNT, _parameters()).one()
    return int(changed)


def recount_nightly() -> None:
    """Fold all moves, committing between, and compare the totals with the records; for the timetable. What
    differs is put right and logged, because some act has not counted its move. The timetable commits the
    rest."""
    while fold_moves() == MAX_FOLDED:
        db.session.commit()
    if changed := recount():
        log.warning("record_totals.differed", totals=changed)
    latest = db.session.scalar(select(RecountRound))
    if latest is None:
        db.session.add(RecountRound(done_at=clock.now()))
    else:
        latest.done_at = clock.now()


def last_recounted_at() -> datetime | None:
    """When the totals were last compared with the records; None if they never were."""
    return db.session.scalar(select(RecountRound.done_at))


def state_totals(cycle: Cycle, grant: Grant) -> dict[str, int]:
    """Returns state → number, for every state, of the cycle's records in the province, or at the institutions
    of a grant (its assessment organisations and departments don't count); exact, whatever the number."""
    if grant.is_province:
        return _totals(cycle, "province", [PROVINCE_ID])
    return _totals(cycle, "institution", grant.institution_ids)


def state_totals_of(
    cycle: Cycle,
    side: str,
    organisation_ids: Iterable[UUID],
) -> dict[str, int]:
    """Returns state → number, for every state, of the cycle's records of some organisations. `side`:
    institution or assessor."""
    return _totals(cycle, side, organisation_ids)


def _totals(
    cycle: Cycle,
    side: str,
    organisation_ids: Iterable[UUID],
) -> dict[str, int]:
    """State → number for some organisations of a side (COUNTED_SIDES), every state included, with what isn't
    folded yet."""
    parameters = _parameters() | {
        "cycle": cycle.id,
        "side": side,
        "organisations": list(organisation_ids),
    }
    numbers: Mapping[str, Any] = dict(db.session.execute(_READ, parameters).all())
    return {state: int(numbers.get(state, 0)) for state in ASSESSMENT_STATES}


def _parameters() -> dict[str, Any]:
    """The parameters that all statements here have."""
    return {"tenant": current_tenant(), "province": PROVINCE_ID}
