"""State transitions, the only way to change a state. Each declares the states it starts from, the state it
leads to, and who may make it. Pages that show its button (`can`) and the transition itself use the same
declaration."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import wraps
from typing import Any, Protocol
from uuid import UUID

from dingkao import clock
from dingkao.errors import Forbidden, InvalidState
from dingkao.journal.entries import Actor, write_entry


class Stateful(Protocol):
    """A row with a state. The caller has locked it."""

    id: UUID
    state: str
    changed_at: Any


@dataclass(frozen=True)
class TransitionRule:
    """The declaration of a transition: the states it starts from, the state it leads to, and the roles (or
    kinds of actors) that may make it. `verb`: its name in the journal."""

    verb: str
    from_states: tuple[str, ...]
    to_state: str
    allowed_actors: frozenset[str]


TRANSITIONS: dict[tuple[str, str], TransitionRule] = {}
"""(class name of the row, name of the function) → declaration of each transition."""


def transition(
    *starts: str,
    to: str,
    actors: Collection[str],
    states: dict[str, str],
    verb: str | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a function as a transition of its first argument, a locked row, from one of the states
    `starts` to the state `to`.

    The decorated function checks actor and state, calls the function with its own checks, then changes the
    state and writes the journal entry, all in the caller's transaction. `actors`: roles or kinds of actors
    that may make it; `states`: state → Chinese name, for refusals; `verb`: the verb of the journal entry, by
    default the function's name. It is called with the row, `by`, perhaps `reason` (for the entry, and for the
    function if given), and what else the function takes; it returns what the function returns, and raises
    Forbidden, InvalidState and what the function raises.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        """Enter the function in TRANSITIONS by the class in its first annotation; returns `moved`."""
        rule = TransitionRule(verb or function.__name__, starts, to, frozenset(actors))

        @wraps(function)
        def moved(
            row: Stateful,
            *,
            by: Actor,
            reason: str | None = None,
            **more: Any,
        ) -> Any:
            """Check actor and state of a row that the caller has locked, call the function, then change the
            state and write the journal entry. Raises Forbidden, InvalidState, and what the function
            raises."""
            if not rule.allowed_actors & ({by.kind} | by.roles):
                raise Forbidden
            if row.state not in rule.from_states:
                raise InvalidState(
                    f"当前状态为“{states[row.state]}”，不能进行此操作。页面可能已过时，请刷新后查看最新状态。"
                )
            reason_argument = {"reason": reason} if reason is not None else {}
            result = function(row, by=by, **reason_argument, **more)
            previous_state, row.state, row.changed_at = (
                row.state,
                rule.to_state,
                clock.now(),
            )
            write_entry(
                type(row).__name__.lower(),
                row.id,
                rule.verb,
                by=by,
                before=previous_state,
                after=rule.to_state,
                reason=reason,
            )
            return result

        moved.rule = rule  # type: ignore[attr-defined]
        TRANSITIONS[_row_class_name(function), function.__name__] = rule
        return moved

    return decorate


def _row_class_name(function: Callable[..., Any]) -> str:
    """Returns the name of the class of a transition's first argument, from its annotation; "" if it has
    none."""
    annotation = next(iter(function.__annotations__.values()), None)
    return getattr(annotation, "__name__", "")


def can(stateful: Stateful, transition_function: Callable[..., Any], by: Actor) -> bool:
    """Whether the row's state and the roles of `by` allow a transition now. Its own checks may still refuse
    it."""
    rule: TransitionRule = transition_function.rule  # type: ignore[attr-defined]
    return _allows(rule, stateful, by)


def can_by_name(stateful: Stateful, name: str, by: Actor) -> bool:
    """Whether the row's state and the roles of `by` allow the transition with the function name `name` of
    this class of rows now; its own checks may still refuse it. Raises KeyError if there is none."""
    rule = TRANSITIONS[type(stateful).__name__, name]
    return _allows(rule, stateful, by)


def starts_from(row_class: type[Stateful], name: str, state: str) -> bool:
    """Whether the transition with the function name `name` of `row_class` may start from `state`. Raises
    KeyError if there is none."""
    return state in TRANSITIONS[row_class.__name__, name].from_states


def _allows(rule: TransitionRule, stateful: Stateful, by: Actor) -> bool:
    """Whether the row's state and the roles of `by` are among those of the rule."""
    return stateful.state in rule.from_states and bool(rule.allowed_actors & ({by.kind} | by.roles))
