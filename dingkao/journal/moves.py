"""Moves: the only way a state changes. Each says from where, to where and by whom; the button and the rule read the same words."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Protocol
from uuid import UUID

from dingkao import clock
from dingkao.errors import Forbidden, NotAllowed
from dingkao.journal.writing import Actor, write


class Stateful(Protocol):
    """A row with a state; the caller holds it locked."""

    id: UUID
    state: str
    changed_at: Any


@dataclass(frozen=True)
class Rule:
    """What a move asks: the states it starts from, the one it leads to, the roles (or kinds of actor) that may make it."""

    verb: str
    starts: tuple[str, ...]
    to: str
    actors: frozenset[str]


def move(*starts: str, to: str, actors: tuple[str, ...], states: dict[str, str]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function a move of its first argument, a locked row: actor and state are checked, the function's own guards run, then
    the state changes and the journal tells of it, in one transaction. `states` gives the states' Chinese names for the refusal.
    The move raises Forbidden, NotAllowed and whatever the function raises."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        rule = Rule(function.__name__, starts, to, frozenset(actors))

        @wraps(function)
        def moved(row: Stateful, *, by: Actor, reason: str | None = None, **more: Any) -> Any:
            if not rule.actors & ({by.kind} | by.roles):
                raise Forbidden
            if row.state not in rule.starts:
                raise NotAllowed(f"当前状态为“{states[row.state]}”,不能进行此操作。页面可能已过时,请刷新后查看最新状态。")
            given = {"reason": reason} if reason is not None else {}
            result = function(row, by=by, **given, **more)
            before, row.state, row.changed_at = row.state, rule.to, clock.now()
            write(type(row).__name__.lower(), row.id, rule.verb, by=by, before=before, after=rule.to, reason=reason)
            return result

        moved.rule = rule  # type: ignore[attr-defined]
        return moved

    return decorate


def can(row: Stateful, verb: Callable[..., Any], by: Actor) -> bool:
    """Whether `by` may make the move `verb` of `row` now, by state and role; its own guards may still refuse."""
    rule: Rule = verb.rule  # type: ignore[attr-defined]
    return row.state in rule.starts and bool(rule.actors & ({by.kind} | by.roles))
