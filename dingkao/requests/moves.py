"""The moves of a request: handed in, taken back, passed on to the second person, granted, refused."""

from dingkao import clock
from dingkao.errors import Forbidden, Invalid
from dingkao.journal.moves import move
from dingkao.journal.writing import Actor
from dingkao.requests.models import STATES, Request

LONGEST_OPINION = 1000
FIRST = ("institution_reviewer", "organisation_reviewer")
SECOND = (*FIRST, "institution_clerk", "province_admin")


@move("draft", to="first_pending", actors=("doctor",), states=STATES)
def submit(row: Request, *, by: Actor) -> None:
    """提交申请; the caller has seen that nothing lacks."""
    row.submitted_at = clock.now()


@move("draft", "first_pending", to="withdrawn", actors=("doctor",), states=STATES)
def withdraw(row: Request, *, by: Actor) -> None:
    """撤回申请, while nobody has decided."""


@move("first_pending", to="second_pending", actors=FIRST, states=STATES)
def forward(row: Request, *, by: Actor, opinion: str) -> None:
    """第一级同意: it goes on to the second."""
    row.first_by, row.first_at, row.first_opinion = by.id, clock.now(), _opinion(opinion) or "同意"


@move("first_pending", "second_pending", to="granted", actors=SECOND, states=STATES)
def grant(row: Request, *, by: Actor, opinion: str) -> None:
    """同意, by the last of the chain; the caller has done what was asked for."""
    _decided(row, by, _opinion(opinion) or "同意")


@move("first_pending", "second_pending", to="refused", actors=SECOND, states=STATES)
def refuse(row: Request, *, by: Actor, opinion: str) -> None:
    """不同意, with a reason that the doctor reads."""
    if not opinion.strip():
        raise Invalid("请填写不同意的理由,医师会看到。", "opinion")
    _decided(row, by, _opinion(opinion))


def _decided(row: Request, by: Actor, opinion: str) -> None:
    if row.state == "second_pending":
        if by.id == row.first_by:
            raise Forbidden("两级审核不能是同一人,请由另一位经办人办理。")
        row.second_by, row.second_at, row.second_opinion = by.id, clock.now(), opinion
    else:
        row.first_by, row.first_at, row.first_opinion = by.id, clock.now(), opinion


def _opinion(text: str) -> str:
    if len(text.strip()) > LONGEST_OPINION:
        raise Invalid(f"意见请不要超过{LONGEST_OPINION}字。", "opinion")
    return text.strip()
