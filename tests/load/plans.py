"""The console at real size: every page of it, with each filter, order and search, as staff of every role; the
plans of its statements are read. JSON lines as of `make bench`; what a plan does that it may not is said on
standard error.

python -m tests.load.plans --doctors 446000
"""

import argparse
import os
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from dingkao.database.base import db
from dingkao.database.listing.list_pages import MAX_LOOKED_AT, MAX_SORTED
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people.permissions import ROLE_LABELS
from dingkao.people.provinces import open_province
from tests import actors, conftest
from tests.load import synthetic
from tests.load.bench_stack import Bench, report_at_least, report_at_most, report_result
from tests.load.synthetic_records import EVERY_STATE
from tests.plan_reading import (
    ExecutedStatement,
    PlanLimits,
    PlanProblem,
    collected_plans,
    large_tables,
    plan_problems,
)
from tests.plan_walk import PlanWalk

SLUG, CODE = "henan", 41
MAX_ROWS = max(MAX_SORTED, MAX_LOOKED_AT) + 1
"""What a list looks at, with the one that tells that there are more."""
MAX_READ, MAX_REMOVED = MAX_ROWS + 100, 1_000
"""Beside the rows of a list what is looked up for those of its page."""
EXPORT_PAGE = "/office/exports/new"
"""Counts its view exactly, whatever its filters: by this number a second person must agree (domain.md §12)."""
LARGE_TABLE = 10_000
LOAD_SECONDS = 90
MAX_SHOWN = 8
"""Pages that are named of those that took longest."""


@dataclass(frozen=True)
class LoadCost:
    """What loading took: seconds, and seconds of CPU of this process, those it begot and the database."""

    seconds: float
    cpu_seconds: float


def load_every_state(bench: Bench, slug: str, doctors: int) -> tuple[list[UUID], LoadCost]:
    """A province of so many doctors in every state, in a cycle whose phases are open; their ids, and what
    loading them cost."""
    with bench.inside(slug) as province, bench.unpinned():
        open_province(province, by=TERMINAL_ACTOR)
        cycle = actors.open_cycle_today()
        db.session.commit()
        began_at, cpu_before = time.monotonic(), _cpu_seconds(bench)
        with bench.superuser() as connection:
            ids = synthetic.load(connection, cycle.id, doctors, state=EVERY_STATE)
            cost = LoadCost(time.monotonic() - began_at, _cpu_seconds(bench) - cpu_before)
    figures = f"{cost.seconds:.1f} s, {cost.cpu_seconds:.1f} s of CPU"
    print(f"{doctors} doctors of {slug} loaded in {figures}", file=sys.stderr)  # noqa: T201
    return ids, cost


def _cpu_seconds(bench: Bench) -> float:
    """Seconds of CPU so far of this process, its ended children, and the server."""
    return sum(os.times()[:4]) + bench.cpu()


def walk(bench: Bench, doctors: int, examples: int) -> None:
    """Look at every page and report on the plans."""
    plan_walk = PlanWalk(bench.application, bench.inside, SLUG, CODE, doctors, examples)
    pages, shown_problems = Counter[str](), dict[str, None]()
    with bench.application.app_context():
        engine = db.engine
    with bench.superuser() as superuser:
        superuser.execute("vacuum (analyze)")
        limits = PlanLimits(MAX_READ, MAX_REMOVED, MAX_ROWS, large_tables(superuser, LARGE_TABLE))
        with collected_plans(engine, superuser) as collector:
            for _, pages_of_role in plan_walk.walk(collector, tuple(ROLE_LABELS)):
                pages.update(pages_of_role)
                problems = dict.fromkeys(map(str, _problems_of(collector.statements, limits, doctors)))
                for problem in problems:  # said at once: a walk that is cut short has told them
                    if problem not in shown_problems:
                        print(problem, file=sys.stderr, flush=True)  # noqa: T201
                shown_problems |= problems
    page_milliseconds = Counter[str]()
    for statement in collector.statements:
        page_milliseconds[statement.page] += statement.milliseconds  # type: ignore[assignment]
    for page, milliseconds in page_milliseconds.most_common(MAX_SHOWN):
        print(f"{milliseconds:.1f} ms of the database for {page}", file=sys.stderr)  # noqa: T201
    report_result("plan_pages", pages.total(), "pages", None, None)
    report_at_least("plan_statements", len(collector.statements), "statements", pages.total())
    report_at_most("plan_problems", len(shown_problems), "statements", 0)


def _problems_of(
    statements: list[ExecutedStatement], limits: PlanLimits, doctors: int
) -> Iterator[PlanProblem]:
    """What is wrong with the statements; a filter of the export's page may throw everybody away."""
    counting = [statement for statement in statements if EXPORT_PAGE in statement.page]
    others = [statement for statement in statements if EXPORT_PAGE not in statement.page]
    yield from plan_problems(others, limits)
    yield from plan_problems(counting, replace(limits, removed=doctors))


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--doctors", type=int, default=446_000)
    parser.add_argument("--examples", type=int, default=3, help="pages of one kind that are looked at")
    options = parser.parse_args()
    for name in conftest.FROM_OUTSIDE:
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(prefix="dingkao-plans-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        bench = Bench(Path(folder) / f"home-{secrets.token_hex(3)}")
        try:
            _, cost = load_every_state(bench, SLUG, options.doctors)
            report_at_most("load_seconds", cost.seconds, "s", LOAD_SECONDS)
            report_result("load_cpu_seconds", cost.cpu_seconds, "s", None, None)
            walk(bench, options.doctors, options.examples)
        finally:
            bench.end()


if __name__ == "__main__":
    main()
