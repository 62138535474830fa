"""The transitions of a request: submitted, withdrawn, passed on to the second side, granted, refused. All
take a locked request, write a journal entry, and raise InvalidState in another state and Forbidden for
another actor, besides what the docstring names."""

from dingkao import clock
from dingkao.errors import InvalidInput
from dingkao.journal.entries import Actor
from dingkao.journal.state_machine import transition
from dingkao.people.permissions import roles_for
from dingkao.requests.earlier_deciders import (
    require_not_first_decider,
)
from dingkao.requests.models import REQUEST_STATES, Request

MAX_OPINION_LENGTH = 1000


@transition(
    "draft",
    to="first_pending",
    actors=roles_for("requests.own"),
    states=REQUEST_STATES,
)
def submit(doctor_request: Request, *, by: Actor) -> None:
    """提交申请. The caller has checked that nothing is missing."""
    doctor_request.submitted_at = clock.now()


@transition(
    "draft",
    "first_pending",
    to="withdrawn",
    actors=roles_for("requests.own"),
    states=REQUEST_STATES,
)
def withdraw(doctor_request: Request, *, by: Actor) -> None:
    """撤回申请, as long as nobody has decided. `submission.withdraw` also deletes the files of a draft."""


@transition(
    "draft",
    "first_pending",
    "second_pending",
    to="withdrawn",
    actors=roles_for("requests.own") | {"system"},
    states=REQUEST_STATES,
)
def lapse(doctor_request: Request, *, by: Actor, reason: str) -> None:
    """自动撤回: the request has lost its object, because the test has begun or another request was granted.
    Its state is then "withdrawn"."""


@transition(
    "first_pending",
    to="second_pending",
    actors=roles_for("requests.decide_first"),
    states=REQUEST_STATES,
)
def forward(doctor_request: Request, *, by: Actor, opinion: str) -> None:
    """第一级同意: the request is passed on to its second side. Raises InvalidInput for a long opinion."""
    (
        doctor_request.first_by,
        doctor_request.first_at,
        doctor_request.first_opinion,
    ) = (
        by.id,
        clock.now(),
        _validate_opinion(opinion) or "同意",
    )


@transition(
    "first_pending",
    "second_pending",
    to="granted",
    actors=roles_for("requests.decide_second"),
    states=REQUEST_STATES,
)
def grant(doctor_request: Request, *, by: Actor, opinion: str) -> None:
    """同意 by the last side. The caller has carried out the request. Raises InvalidInput for a long opinion,
    Forbidden for the person who decided first."""
    _record_decision(doctor_request, by, _validate_opinion(opinion) or "同意")


@transition(
    "first_pending",
    "second_pending",
    to="refused",
    actors=roles_for("requests.decide_second"),
    states=REQUEST_STATES,
)
def refuse(doctor_request: Request, *, by: Actor, opinion: str) -> None:
    """不同意, with a reason that the doctor reads (stored stripped). Raises InvalidInput without a reason or
    for a long one, Forbidden for the person who decided first."""
    if not opinion.strip():
        raise InvalidInput("请填写不同意的理由，医师会看到。", "opinion")
    _record_decision(doctor_request, by, _validate_opinion(opinion))


def _record_decision(doctor_request: Request, by: Actor, opinion: str) -> None:
    """Store the decision as the first or the second one. Raises Forbidden for the person who decided
    first."""
    if doctor_request.state == "second_pending":
        require_not_first_decider(doctor_request, by)
        (
            doctor_request.second_by,
            doctor_request.second_at,
            doctor_request.second_opinion,
        ) = (
            by.id,
            clock.now(),
            opinion,
        )
    else:
        (
            doctor_request.first_by,
            doctor_request.first_at,
            doctor_request.first_opinion,
        ) = (
            by.id,
            clock.now(),
            opinion,
        )


def _validate_opinion(text: str) -> str:
    """Returns the opinion without surrounding blanks. Raises InvalidInput if it is too long."""
    if len(text.strip()) > MAX_OPINION_LENGTH:
        raise InvalidInput(f"意见请不要超过{MAX_OPINION_LENGTH}字。", "opinion")
    return text.strip()
