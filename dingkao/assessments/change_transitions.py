"""The transitions of a change of an institution's list (`EnrolmentChange`): carried out, refused, withdrawn.
All raise InvalidState in another state and Forbidden for another actor."""

from dingkao.assessments.models import (
    CHANGE_STATES,
    EnrolmentChange,
)
from dingkao.journal.entries import Actor
from dingkao.journal.state_machine import transition
from dingkao.people.permissions import roles_for


@transition(
    "pending",
    to="carried_out",
    actors=roles_for("transfers.manage", "exclusions.approve"),
    states=CHANGE_STATES,
)
def carry_out(change: EnrolmentChange, *, by: Actor) -> None:
    """办结. The caller has checked that every side consents, and has moved or excluded the doctor."""


@transition(
    "pending",
    to="refused",
    actors=roles_for("transfers.manage", "exclusions.approve"),
    states=CHANGE_STATES,
)
def refuse(change: EnrolmentChange, *, by: Actor, reason: str) -> None:
    """不同意, with a reason that the other sides read. The caller has validated the reason."""
    change.decided_by, change.refusal = by.id, reason


@transition(
    "pending",
    to="withdrawn",
    actors=roles_for("transfers.manage", "transfers.own"),
    states=CHANGE_STATES,
)
def withdraw(change: EnrolmentChange, *, by: Actor) -> None:
    """撤回 by the side that asked, before it is carried out or refused. The caller has checked that `by` acts
    for that side."""
