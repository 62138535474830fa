"""The differences between list and register: written with their counts by office, listed, and given a
disposition (去向) each."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, insert, select
from sqlalchemy.dialects.postgresql import (
    insert as insert_or_update,
)

from dingkao import clock
from dingkao.database.arrays import in_array
from dingkao.database.base import db, new_id
from dingkao.database.pagination import Page, fetch_page
from dingkao.doctors.dispositions import (
    set_dispositions,
    validate_disposition,
)
from dingkao.doctors.register_models import (
    DIFFERENCE_KINDS,
    RegisterComparison,
    RegisterCount,
    RegisterDifference,
)
from dingkao.errors import NotFound
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.accounts import load_actor
from dingkao.people.scopes import Grant, scope_condition
from dingkao.tenants.context import current_tenant

PAGE_SIZE, SETTLE_BATCH_SIZE = 100, 500
SETTLE_JOB = "settle_differences"
FIRST_ID = UUID(int=0)
CountKey = tuple[str, str]
"""Division and kind."""


def insert_differences(
    comparison: RegisterComparison,
    differences: list[dict[str, Any]],
) -> None:
    """Write differences (at most 5,000 rows by column, which are completed in place) with the dispositions
    they had in the last completed comparison of the same list, and count them by division. Nothing is
    journalled."""
    if not differences:
        return
    earlier = _earlier_dispositions(
        comparison,
        [difference["number_index"] for difference in differences],
    )
    totals, settled = (
        Counter[tuple[str, str]](),
        Counter[tuple[str, str]](),
    )
    for difference in differences:
        key = (difference["division"], difference["kind"])
        totals[key] += 1
        kept = earlier.get((difference["number_index"], difference["kind"]), {})
        settled[key] += bool(kept)
        difference |= {
            "tenant_id": current_tenant(),
            "id": new_id(),
            "comparison_id": comparison.id,
            "disposition": None,
            "note": None,
            "settled_by": None,
            "settled_at": None,
        } | kept  # noqa: PLW2901 - the row itself is completed
    db.session.execute(insert(RegisterDifference), differences)
    _add_counts(comparison.id, totals, settled)


def _earlier_dispositions(
    comparison: RegisterComparison, indices: Iterable[bytes]
) -> dict[tuple[bytes, str], dict[str, Any]]:
    """(number index, kind) → the columns of the disposition that the person has in the last completed
    comparison of the same list before this one; those still to be contacted are left out."""
    last_id = db.session.scalar(
        select(RegisterComparison.id)
        .where(
            RegisterComparison.organisation_id == comparison.organisation_id,
            RegisterComparison.completed_at.is_not(None),
            RegisterComparison.id < comparison.id,
        )
        .order_by(RegisterComparison.id.desc())
        .limit(1)
    )
    if last_id is None:
        return {}
    columns = ("disposition", "note", "settled_by", "settled_at")
    rows = db.session.scalars(
        select(RegisterDifference).where(
            RegisterDifference.comparison_id == last_id,
            in_array(RegisterDifference.number_index, indices),
            RegisterDifference.disposition.is_not(None),
            RegisterDifference.disposition != "to_contact",
        )
    )
    return {
        (bytes(row.number_index), row.kind): {column: getattr(row, column) for column in columns}
        for row in rows
    }


def _add_counts(
    comparison_id: UUID,
    totals: Mapping[CountKey, int],
    settled: Mapping[CountKey, int],
) -> None:
    """Add to the counts of a comparison: (division, kind) → how many differences, how many with a
    disposition."""
    values = [
        {
            "tenant_id": current_tenant(),
            "id": new_id(),
            "comparison_id": comparison_id,
            "division": division,
            "kind": kind,
            "total": totals.get((division, kind), 0),
            "settled": settled.get((division, kind), 0),
        }
        for division, kind in sorted({*totals, *settled})
    ]
    if not values:
        return
    statement = insert_or_update(RegisterCount).values(values)
    db.session.execute(
        statement.on_conflict_do_update(
            index_elements=[
                "tenant_id",
                "comparison_id",
                "division",
                "kind",
            ],
            set_={
                "total": RegisterCount.total + statement.excluded.total,
                "settled": RegisterCount.settled + statement.excluded.settled,
            },
        )
    )


def comparisons_page(grant: Grant, cursor: str | None) -> Page[RegisterComparison]:
    """A page of the comparisons that `grant` reaches, running and cancelled ones too, the newest first. An
    invalid cursor gives the first page."""
    query = select(RegisterComparison).where(
        scope_condition(grant, institution=RegisterComparison.organisation_id)
    )
    return fetch_page(query, [RegisterComparison.id], cursor, descending=True)


def get_comparison(comparison_id: UUID, grant: Grant) -> RegisterComparison:
    """A comparison that `grant` reaches. Raises NotFound, also for one beyond it."""
    comparison = db.session.scalar(
        select(RegisterComparison).where(
            RegisterComparison.id == comparison_id,
            scope_condition(
                grant,
                institution=RegisterComparison.organisation_id,
            ),
        )
    )
    if comparison is None:
        raise NotFound
    return comparison


def counts_by_division(
    comparison: RegisterComparison,
) -> dict[str, dict[str, tuple[int, int]]]:
    """Division (six digits; "" for institutions outside the province) → kind → how many differences, and how
    many of them have a disposition; divisions in order, without kinds of which there is no difference."""
    counts: dict[str, dict[str, tuple[int, int]]] = {}
    query = select(RegisterCount).where(RegisterCount.comparison_id == comparison.id)
    for row in db.session.scalars(query.order_by(RegisterCount.division)):
        counts.setdefault(row.division, {})[row.kind] = (
            row.total,
            row.settled,
        )
    return counts


def total_counts(
    counts: Mapping[str, Mapping[str, tuple[int, int]]],
) -> dict[str, tuple[int, int]]:
    """Every kind → the sums of `counts_by_division`."""
    return {
        kind: (
            sum(by_kind.get(kind, (0, 0))[0] for by_kind in counts.values()),
            sum(by_kind.get(kind, (0, 0))[1] for by_kind in counts.values()),
        )
        for kind in DIFFERENCE_KINDS
    }


def differences_page(
    comparison: RegisterComparison,
    kind: str,
    division: str | None,
    cursor: str | None,
    *,
    open_only: bool,
) -> Page[RegisterDifference]:
    """A page of PAGE_SIZE of a comparison's differences, in the order in which they were found. `kind`: ""
    for all; `division`: None for all; `open_only`: those without a disposition. An invalid cursor gives the
    first page."""
    query = _differences_query(comparison.id, kind, division, open_only=open_only)
    return fetch_page(query, [RegisterDifference.id], cursor, PAGE_SIZE)


def _differences_query(
    comparison_id: UUID,
    kind: str,
    division: str | None,
    *,
    open_only: bool,
) -> Select[RegisterDifference]:
    """The differences of a comparison that a filter leaves; `kind`: "" for all; `division`: None for all;
    `open_only`: those without a disposition. In no order."""
    query = select(RegisterDifference).where(RegisterDifference.comparison_id == comparison_id)
    if kind:
        query = query.where(RegisterDifference.kind == kind)
    if division is not None:
        query = query.where(RegisterDifference.division == division)
    return query.where(RegisterDifference.disposition.is_(None)) if open_only else query


def settle(
    comparison: RegisterComparison,
    ids: Iterable[UUID],
    code: str,
    note: str,
    *,
    cycle_id: UUID | None,
    by: Actor,
) -> int:
    """Give those of the differences `ids` that belong to the comparison a disposition; one that is there
    already is replaced. They are locked, counted and journalled. Doctors who are on the list and not in the
    register get it in the cycle `cycle_id` too (None: in none). Flushes. Returns how many were given it.
    Raises InvalidInput naming the field, arrays.TooManyValues for more than 5,000 ids."""
    code, note_text = validate_disposition(code, note)
    query = select(RegisterDifference).where(
        RegisterDifference.comparison_id == comparison.id,
        in_array(RegisterDifference.id, ids),
    )
    rows = db.session.scalars(query.order_by(RegisterDifference.id).with_for_update()).all()
    _apply(
        comparison.id,
        rows,
        code,
        note_text,
        cycle_id=cycle_id,
        by=by,
    )
    return len(rows)


def _apply(
    comparison_id: UUID,
    rows: Sequence[RegisterDifference],
    code: str,
    note: str | None,
    *,
    cycle_id: UUID | None,
    by: Actor,
) -> None:
    """Store a disposition in locked differences, count and journal it, and store it in the cycle for doctors
    who are not in the register."""
    settled = Counter[CountKey]()
    with journal.batched_entries():
        for row in rows:
            settled[row.division, row.kind] += row.disposition is None
            journal.write_entry(
                "register_difference",
                row.id,
                "settled",
                by=by,
                before=row.disposition,
                after=code,
            )
            row.disposition, row.note = code, note
            row.settled_by, row.settled_at = by.id, clock.now()
    db.session.flush()
    _add_counts(comparison_id, {}, settled)
    if cycle_id is not None:
        gone = [row.doctor_id for row in rows if row.kind == "gone" and row.doctor_id]
        set_dispositions(gone, cycle_id, code, note, by=by)


def enqueue_settling(
    comparison: RegisterComparison,
    kind: str,
    division: str | None,
    code: str,
    note: str,
    *,
    cycle_id: UUID | None,
    by: Actor,
) -> Job:
    """Enqueue that every difference of the filter (`kind` "" and `division` None: all) that has no
    disposition when the job comes to it gets this one, and doctors not in the register in the cycle
    `cycle_id` too (None: in none). A second call enqueues a second job. Raises InvalidInput naming the
    field."""
    code, note_text = validate_disposition(code, note)
    return enqueueing.enqueue(
        SETTLE_JOB,
        f"登记去向：{DIFFERENCE_KINDS.get(kind, '全部差异')}",
        {
            "comparison": str(comparison.id),
            "kind": kind,
            "division": division,
            "code": code,
            "note": note_text,
            "cycle": str(cycle_id) if cycle_id else None,
        },
        by=by.id,
        subject=comparison.id,
    )


@worker.register_chunked_job(SETTLE_JOB)
def settle_batch(job: Job, cursor: Cursor) -> Chunk:
    """One step of the job: lock the next SETTLE_BATCH_SIZE differences of the filter that have no
    disposition, give them the one asked for, count and journal it, and set it in the cycle for doctors who
    are not in the register."""
    arguments = job.arguments
    comparison_id = UUID(arguments["comparison"])
    query = _differences_query(
        comparison_id,
        arguments["kind"],
        arguments["division"],
        open_only=True,
    )
    last_id = UUID(cursor.get("after", str(FIRST_ID)))
    rows = db.session.scalars(
        query.where(RegisterDifference.id > last_id)
        .order_by(RegisterDifference.id)
        .limit(SETTLE_BATCH_SIZE)
        .with_for_update()
    ).all()
    _apply(
        comparison_id,
        rows,
        arguments["code"],
        arguments["note"],
        cycle_id=UUID(arguments["cycle"]) if arguments["cycle"] else None,
        by=load_actor(job.asked_by),
    )
    next_cursor = {"after": str(rows[-1].id)} if len(rows) == SETTLE_BATCH_SIZE else None
    return Chunk(next_cursor, done=len(rows), counts={"settled": len(rows)})
