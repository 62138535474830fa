"""What rooms beside and above the review have to do with its decisions, registered by them: what
happens when a record becomes 待测评 or its doctor is taken off the list, and what was done with a record
since, so that it can't be recalled."""

from collections.abc import Callable, Sequence

from dingkao.assessments.models import Assessment

ReadyEffect = Callable[[Sequence[Assessment]], object]
Obstacle = Callable[[Assessment], str | None]
ExclusionEffect = Callable[[Assessment], object]
_ready_effects: list[ReadyEffect] = []
_exclusion_effects: list[ExclusionEffect] = []
_obstacles: list[Obstacle] = []


def on_ready(function: ReadyEffect) -> ReadyEffect:
    """Decorator: register a function that is called with the records (of one cycle) that the review makes
    待测评."""
    _ready_effects.append(function)
    return function


def run_ready_effects(records: Sequence[Assessment]) -> None:
    """Call what was registered with `on_ready`, for locked records of one cycle, if there is any: they get
    admission tickets."""
    for effect in _ready_effects if records else ():
        effect(records)


def on_exclusion(function: ExclusionEffect) -> ExclusionEffect:
    """Decorator: register a function that is called with each record whose doctor is taken off the list after
    filing began, before its state changes."""
    _exclusion_effects.append(function)
    return function


def run_exclusion_effects(record: Assessment) -> None:
    """Call what was registered with `on_exclusion`, for a locked record: its seats in slots and its admission
    ticket are deleted."""
    for effect in _exclusion_effects:
        effect(record)


def recall_obstacle(function: Obstacle) -> Obstacle:
    """Decorator: register a function that says what was done since with a record that was sent on, as a
    sentence that prevents its recall; None if nothing was."""
    _obstacles.append(function)
    return function


def find_recall_obstacle(record: Assessment) -> str | None:
    """Returns the first sentence of what was registered with `recall_obstacle`, or None."""
    return next(
        filter(None, (obstacle(record) for obstacle in _obstacles)),
        None,
    )
