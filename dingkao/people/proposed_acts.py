"""Acts of the province's office that take two administrators (两人办理, domain.md §12 ◔): one proposes an act
with a reason, another approves or rejects it; it has no effect before.

A room registers with `on_approval` what an approval does. `second_person` decides whether two accounts count
as two persons."""

from collections.abc import Callable, Iterable
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.dialects.postgresql import insert

from dingkao import clock
from dingkao.database.arrays import in_array
from dingkao.database.base import db, new_id
from dingkao.database.pagination import Page, fetch_page
from dingkao.errors import InvalidInput, InvalidState, NotFound
from dingkao.journal import entries as journal
from dingkao.journal import proposals
from dingkao.journal.entries import Actor
from dingkao.people.models import PROPOSED_ACT_KINDS, ProposedAct
from dingkao.people.second_person import require_second_person
from dingkao.tenants.context import current_tenant

MAX_REASON_LENGTH = 200
SAME_PERSON_MESSAGE = "提出人与确认人不能是同一人，请由另一位省级管理员确认。"
WITHDRAWN_MESSAGE = "该事项已撤回，请刷新页面查看。"
Effect = Callable[[ProposedAct, Actor], None]
_effects: dict[str, Effect] = {}


def on_approval(*kinds: str) -> Callable[[Effect], Effect]:
    """Decorator: register a function as the effect of approving acts of these kinds (keys of
    PROPOSED_ACT_KINDS). It is called with the act and the approving actor; a refusal that it raises prevents
    the approval."""

    def register(function: Effect) -> Effect:
        """Make the function the effect of approving acts of `kinds`; returns it unchanged."""
        _effects.update(dict.fromkeys(kinds, function))
        return function

    return register


def province_subject() -> UUID:
    """The subject id of acts and journal entries that concern the province as a whole."""
    return UUID(int=current_tenant())


def validate_reason(text: str, field: str = "reason") -> str:
    """The reason, tidied, as it is stored. Raises InvalidInput for `field` if it is empty or longer than
    MAX_REASON_LENGTH."""
    reason = " ".join(text.split())
    if not 0 < len(reason) <= MAX_REASON_LENGTH:
        raise InvalidInput(f"请填写原因，不超过{MAX_REASON_LENGTH}字。", field)
    return reason


def require_none_pending(kind: str, subject: UUID) -> None:
    """Raise InvalidState if an act of this kind about the same subject is pending: what somebody is about to
    approve must not be replaced."""
    if pending_about(kind, subject) is not None:
        raise InvalidState(
            f"已有一项“{PROPOSED_ACT_KINDS[kind]}”等待确认，请先由另一位省级管理员确认，或撤回后重新提出。"
        )


def propose(
    kind: str,
    subject: UUID,
    *,
    by: Actor,
    reason: str,
    value: str | None = None,
) -> ProposedAct:
    """Propose an act of `kind` about `subject`, with the proposed `value`, journal it, and return it. Whether
    `by` may propose it, and `value` fits, is not asked here. Raises InvalidInput for a missing or too long
    reason, and InvalidState if such an act is pending already."""
    values = {
        "tenant_id": current_tenant(),
        "id": new_id(),
        "kind": kind,
        "subject_id": subject,
        "value": value,
    }
    reason = validate_reason(reason)
    values |= {
        "reason": reason,
        "proposed_by": by.id,
        "proposed_at": clock.now(),
    }
    act_id = db.session.scalar(
        insert(ProposedAct).values(**values).on_conflict_do_nothing().returning(ProposedAct.id)
    )
    if act_id is None:
        require_none_pending(kind, subject)
        raise InvalidState(WITHDRAWN_MESSAGE)
    journal.write_entry(
        "proposed_act",
        act_id,
        "proposed",
        by=by,
        kind=kind,
        subject=str(subject),
        reason=reason,
    )
    return db.session.scalars(select(ProposedAct).where(ProposedAct.id == act_id)).one()


def pending_conditions() -> tuple[ColumnElement[bool], ...]:
    """The SQL conditions, of which all must hold, for an act that is neither approved nor withdrawn."""
    return ProposedAct.approved_at.is_(None), ProposedAct.withdrawn_at.is_(None)


def pending_about(kind: str, subject: UUID) -> ProposedAct | None:
    """The pending act of a kind about `subject`; None if there is none."""
    query = select(ProposedAct).where(
        ProposedAct.kind == kind,
        ProposedAct.subject_id == subject,
        *pending_conditions(),
    )
    return db.session.scalar(query)


def pending_ids_about(kind: str, subjects: Iterable[UUID]) -> dict[UUID, UUID]:
    """The ids of the pending acts of a kind about these subjects, at most 5,000, by the subject's id; one
    without is left out."""
    query = select(ProposedAct.subject_id, ProposedAct.id).where(
        ProposedAct.kind == kind,
        in_array(ProposedAct.subject_id, subjects),
        *pending_conditions(),
    )
    return dict(db.session.execute(query).all())


def pending_query() -> Select[ProposedAct]:
    """The query of all pending acts."""
    return select(ProposedAct).where(*pending_conditions())


def list_pending() -> list[ProposedAct]:
    """All pending acts, the oldest first."""
    return list(db.session.scalars(pending_query().order_by(ProposedAct.id)))


def finished_page(cursor: str | None) -> Page[ProposedAct]:
    """A page of the acts that were approved or withdrawn, those proposed last first; an invalid cursor gives
    the first page."""
    is_finished = ProposedAct.approved_at.is_not(None) | ProposedAct.withdrawn_at.is_not(None)
    return fetch_page(
        select(ProposedAct).where(is_finished),
        [ProposedAct.id],
        cursor,
        descending=True,
    )


def get_act(act_id: UUID) -> ProposedAct:
    """The act with that id. Raises NotFound."""
    act = db.session.scalar(select(ProposedAct).where(ProposedAct.id == act_id))
    if act is None:
        raise NotFound
    return act


def get_for_update(act_id: UUID) -> ProposedAct:
    """The act with that id, locked. Raises NotFound."""
    return proposals.get_for_update(ProposedAct, act_id)


def approve(act: ProposedAct, *, by: Actor) -> None:
    """Approve a locked act, carry it out (what `on_approval` registered for its kind) and journal it; `by`
    must be a second person beside the one who proposed it. Does nothing if it is approved already. Whether
    `by` is granted that isn't asked here. Raises Forbidden, InvalidState, and what the effect raises."""
    if act.withdrawn_at:
        raise InvalidState(WITHDRAWN_MESSAGE)
    if act.approved_at:
        return
    require_second_person(by, act.proposed_by, same=SAME_PERSON_MESSAGE)
    _effects[act.kind](act, by)
    act.approved_by, act.approved_at = by.id, clock.now()
    journal.write_entry("proposed_act", act.id, "approved", by=by, kind=act.kind)


def withdraw(act: ProposedAct, *, by: Actor) -> None:
    """Withdraw or reject a locked act, and journal it; does nothing if that is done. Whether `by` is granted
    that isn't asked here. Raises InvalidState if it is
    approved."""
    proposals.withdraw(act, by=by, refusal="该事项已确认办理，不能撤回。")
