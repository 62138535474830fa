"""Reads the plans of what an application asks its database: PostgreSQL explains each statement as it runs it
(auto_explain) and says so to the client, so that what is read is what was done."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Engine, event

EXPLAINING = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_format": "json",
    "auto_explain.log_level": "notice",
    "auto_explain.log_parameter_max_length": "0",
}
_PLAN_PATTERN = re.compile(r"duration: ([\d.]+) ms\s+plan:\n(.*)", re.DOTALL)
MAX_QUERY_SHOWN = 300
READ_BELOW = ("Subquery Scan", "CTE Scan")
"""Scans of what other nodes have read, where it is limited: a filter of theirs throws away no more than that."""


@dataclass(frozen=True)
class ExecutedStatement:
    """A statement that was executed for a page: its SQL, its plan as EXPLAIN (ANALYZE, FORMAT JSON) has it,
    its milliseconds."""

    page: str
    query: str
    plan: dict[str, Any]
    milliseconds: float


@dataclass
class PlanCollector:
    """Collects the plans of what is executed; `page` is what it is executed for."""

    page: str = ""
    statements: list[ExecutedStatement] = field(default_factory=list)

    def receive(self, diagnostic: Any) -> None:
        """Take a notice of the server that tells a plan."""
        match = _PLAN_PATTERN.match(diagnostic.message_primary or "")
        if match:
            explained = json.loads(match[2])
            self.statements.append(
                ExecutedStatement(self.page, explained["Query Text"], explained["Plan"], float(match[1]))
            )


@contextmanager
def collected_plans(
    engine: Engine, superuser: psycopg.Connection[Any], **settings: str
) -> Iterator[PlanCollector]:
    """What collects the plans of all that `engine` executes in the block. `superuser`: a connection that
    commits by itself, to the same database; `settings`: what else PostgreSQL is told for these sessions."""
    collector = PlanCollector()

    def listen(driver: Any, _record: Any) -> None:
        driver.add_notice_handler(collector.receive)

    names = EXPLAINING | settings
    who = sql.SQL("ALTER ROLE {} IN DATABASE {} ").format(
        sql.Identifier(engine.url.username or ""), sql.Identifier(engine.url.database or "")
    )
    for name, value in names.items():
        superuser.execute(
            who + sql.SQL("SET {} = {}").format(sql.Identifier(*name.split(".")), sql.Literal(value))
        )
    event.listen(engine, "connect", listen)
    engine.dispose()
    try:
        yield collector
    finally:
        event.remove(engine, "connect", listen)
        superuser.execute(who + sql.SQL("RESET ALL"))
        engine.dispose()


@dataclass(frozen=True)
class PlanLimits:
    """What a statement of a page may do: rows that one node of its plan reads, that a filter throws away, and
    that are sorted. In `large_tables` it may not read one row after another."""

    read: int
    removed: int
    sorted: int
    large_tables: frozenset[str] = frozenset()


@dataclass(frozen=True)
class PlanProblem:
    """What a plan does that grows with the province."""

    statement: ExecutedStatement
    sentence: str

    def __str__(self) -> str:
        query = " ".join(self.statement.query.split())
        return f"{self.statement.page}: {self.sentence}: {query[:MAX_QUERY_SHOWN]}"


def large_tables(superuser: psycopg.Connection[Any], at_least: int) -> frozenset[str]:
    """The tables of provinces that have so many rows, as far as they were analysed."""
    tables = superuser.execute(
        "select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid "
        "where c.relkind = 'r' and a.attname = 'tenant_id' and c.reltuples >= %s",
        (at_least,),
    )
    return frozenset(name for (name,) in tables)


def plan_problems(statements: list[ExecutedStatement], limits: PlanLimits) -> list[PlanProblem]:
    """What is wrong with these statements, each kind of statement and problem once."""
    problems = dict[tuple[str, str], PlanProblem]()
    for statement in statements:
        for kind, sentence in _node_problems(statement.plan, limits):
            problems.setdefault((statement.query, kind), PlanProblem(statement, sentence))
    return list(problems.values())


def _node_problems(node: dict[str, Any], limits: PlanLimits) -> Iterator[tuple[str, str]]:
    """What a node of a plan and those below do beyond the limits: what it is, and the same with numbers."""
    children = node.get("Plans", [])
    for child in children:
        yield from _node_problems(child, limits)
    kind = node["Node Type"]
    if kind == "Sort" and (rows_sorted := _rows(children[0])) > limits.sorted:
        yield "sort", f"sorts {rows_sorted} rows"
    if "Scan" not in kind:
        return
    place = f"{kind} {node.get('Relation Name', '')} {node.get('Index Name', '')}".strip()
    if kind.endswith("Seq Scan") and node.get("Relation Name") in limits.large_tables:
        yield place, f"{place}: one row after another"
    rows_removed = _total(node, "Rows Removed by Filter") + _total(node, "Rows Removed by Index Recheck")
    if rows_removed > limits.removed and kind not in READ_BELOW:
        yield f"{place} filter", f"{place}: a filter throws {rows_removed} rows away"
    elif (rows_read := _rows(node)) > limits.read:
        yield f"{place} read", f"{place}: reads {rows_read} rows"


def _rows(node: dict[str, Any]) -> int:
    return _total(node, "Actual Rows")


def _total(node: dict[str, Any], name: str) -> int:
    """A figure of a node over all its loops, which PostgreSQL tells as their mean."""
    return round(node.get(name, 0) * node.get("Actual Loops", 1))
