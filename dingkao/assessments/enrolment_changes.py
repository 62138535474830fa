"""What transfers (`transfers`) and exclusions after filing began (`exclusions`) have in common: who has to
consent, whose changes a person sees, the lists of both desks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, or_, select

from dingkao import clock
from dingkao.assessments import change_transitions
from dingkao.assessments.models import LEASE_DURATION, Assessment, EnrolmentChange
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.database.pagination import capped_count
from dingkao.errors import (
    Forbidden,
    InvalidInput,
    InvalidState,
    NotFound,
)
from dingkao.journal.entries import Actor
from dingkao.people.models import Organisation
from dingkao.people.name_lookups import account_name
from dingkao.people.organisation_succession import Succession, add_succession_part
from dingkao.people.scopes import Grant, in_scope, scope_condition
from dingkao.people.second_person import (
    recusal_reason,
    require_second_person,
)

MAX_REASON_LENGTH = 200
SAME_PERSON_MESSAGE = "双方的同意须由两人分别作出，您已代表另一方办理，请由另一位经办人办理。"
FINISHED_STATES = ("carried_out", "refused", "withdrawn")


@dataclass(frozen=True)
class ChangeGrants:
    """Whose changes a person sees (`visible`), for which institutions the person consents (`consent`), and of
    which institutions the person is the office above (`office`)."""

    visible: Grant
    consent: Grant
    office: Grant


def office_condition(grant: Grant) -> ColumnElement[bool]:
    """The SQL condition of the exclusions on which an office with this grant decides: the only place that
    says which office is above an institution. Now it is the province; a role with the scope of a division
    (`Grant.divisions`) decides for the institutions in its division without a change here."""
    above = Grant(is_province=grant.is_province, divisions=grant.divisions)
    return and_(
        EnrolmentChange.kind == "exclusion",
        scope_condition(above, institution=EnrolmentChange.institution_id),
    )


def validate_reason(text: str) -> str:
    """The reason with runs of blanks replaced by one. Raises InvalidInput for the field `reason` if it is
    empty or longer than MAX_REASON_LENGTH."""
    reason = " ".join(text.split())
    if not reason:
        raise InvalidInput("请填写原因。", "reason")
    if len(reason) > MAX_REASON_LENGTH:
        raise InvalidInput(
            f"原因请不要超过{MAX_REASON_LENGTH}字，现有{len(reason)}字。",
            "reason",
        )
    return reason


def pending_sides(change: EnrolmentChange) -> tuple[str, ...]:
    """The sides whose consent is missing: «institution», «target» or «office»; none once it is decided."""
    if change.state != "pending":
        return ()
    if change.kind == "exclusion":
        return ("office",)
    consents = {
        "institution": change.institution_at,
        "target": change.target_at,
    }
    return tuple(side for side, moment in consents.items() if moment is None)


def decidable_sides(change: EnrolmentChange, grants: ChangeGrants) -> tuple[str, ...]:
    """Those of `pending_sides` for which a person may decide; a second person may still be needed."""
    reached = {
        "institution": lambda: in_scope(grants.consent, institution_id=change.institution_id),
        "target": lambda: in_scope(grants.consent, institution_id=change.target_id),
        "office": lambda: _matches(change, office_condition(grants.office)),
    }
    return tuple(side for side in pending_sides(change) if reached[side]())


def _matches(change: EnrolmentChange, condition: ColumnElement[bool]) -> bool:
    """Whether a stored change meets a SQL condition."""
    query = select(EnrolmentChange.id).where(EnrolmentChange.id == change.id, condition)
    return db.session.scalar(query) is not None


def earlier_actors(
    change: EnrolmentChange,
) -> tuple[UUID | None, ...]:
    """The accounts beside which another person has to consent now."""
    if change.kind == "exclusion":
        return (change.asked_by,)
    return change.institution_by, change.target_by


def second_person_refusal(change: EnrolmentChange, account_id: UUID) -> str | None:
    """The sentence why an account may not consent because of who acted before; None if it may."""
    earlier = earlier_actors(change)
    return SAME_PERSON_MESSAGE if account_id in earlier else recusal_reason(account_id, *earlier)


def require_other_person(change: EnrolmentChange, by: Actor) -> None:
    """Raise Forbidden unless `by` is a second person beside whoever acted before."""
    require_second_person(by, *earlier_actors(change), same=SAME_PERSON_MESSAGE)


def visible_condition(grants: ChangeGrants) -> ColumnElement[bool]:
    """The SQL condition of the changes that a person sees: of the institutions reached with `visible`, on
    either side."""
    return or_(
        scope_condition(
            grants.visible,
            institution=EnrolmentChange.institution_id,
        ),
        scope_condition(grants.visible, institution=EnrolmentChange.target_id),
    )


def waiting_condition(grants: ChangeGrants) -> ColumnElement[bool]:
    """The SQL condition that a change waits for a side on which the person decides."""
    is_mine = or_(
        and_(
            EnrolmentChange.kind == "transfer",
            EnrolmentChange.institution_at.is_(None),
            scope_condition(
                grants.consent,
                institution=EnrolmentChange.institution_id,
            ),
        ),
        and_(
            EnrolmentChange.kind == "transfer",
            EnrolmentChange.target_at.is_(None),
            scope_condition(
                grants.consent,
                institution=EnrolmentChange.target_id,
            ),
        ),
        office_condition(grants.office),
    )
    return and_(EnrolmentChange.state == "pending", is_mine)


def waiting_query(grants: ChangeGrants) -> Select[EnrolmentChange]:
    """The query of the changes that wait for a side on which the person decides."""
    return select(EnrolmentChange).where(waiting_condition(grants))


def count_waiting(grants: ChangeGrants) -> int:
    """How many changes wait for the person, counted as far as pages show (`capped_count`)."""
    return capped_count(waiting_query(grants))


def get_change(
    change_id: UUID,
    grants: ChangeGrants,
    *,
    for_update: bool = False,
) -> EnrolmentChange:
    """The change with that id, locked with `for_update`. Raises NotFound if the person may not see it."""
    query = select(EnrolmentChange).where(EnrolmentChange.id == change_id, visible_condition(grants))
    change = db.session.scalar(query.with_for_update() if for_update else query)
    if change is None:
        raise NotFound
    return change


def pending_change_of(doctor_id: UUID) -> EnrolmentChange | None:
    """The doctor's pending change; None if there is none."""
    return db.session.scalar(
        select(EnrolmentChange).where(
            EnrolmentChange.doctor_id == doctor_id,
            EnrolmentChange.state == "pending",
        )
    )


def may_withdraw(change: EnrolmentChange, grants: ChangeGrants) -> bool:
    """Whether a member of staff acts for the side that asked for a pending change; False for one that the
    doctor asked for."""
    asking_id = change.target_id if change.asked_side == "target" else change.institution_id
    is_open = change.state == "pending" and change.asked_side != "doctor"
    return is_open and in_scope(grants.consent, institution_id=asking_id)


def withdraw(change: EnrolmentChange, grants: ChangeGrants, *, by: Actor) -> None:
    """Withdraw a locked change for the side that asked, journalled; nobody is notified. Does nothing if it is
    withdrawn. Raises Forbidden for another side, InvalidState once it is carried out or refused."""
    if change.state == "withdrawn":
        return
    if change.state == "pending" and not may_withdraw(change, grants):
        raise Forbidden("只有提出的一方可以撤回。不同意的，请点“不同意”并说明原因。")
    change_transitions.withdraw(change, by=by)


def require_side(change: EnrolmentChange, grants: ChangeGrants, side: str) -> None:
    """Raise InvalidState if `side` has nothing to decide any more, Forbidden if the person may not decide for
    it."""
    if side not in pending_sides(change):
        raise InvalidState("这一方已办理过，或该事项已办结。请刷新页面查看最新情况。")
    if side not in decidable_sides(change, grants):
        raise Forbidden


def require_not_under_review(record: Assessment, by: Actor) -> None:
    """Raise InvalidState while another person is reviewing the record."""
    is_leased = record.leased_until is not None and record.leased_until > clock.now()
    if is_leased and record.leased_by not in (None, by.id):
        raise InvalidState(
            f"{account_name(record.leased_by)}正在审核该医师的记录，"
            f"请待其审核后（最多{LEASE_DURATION // timedelta(minutes=1)}分钟）再办理。"
        )


def organisation_names_for(changes: Iterable[EnrolmentChange], grants: ChangeGrants) -> dict[UUID, str]:
    """Names of the institutions of `changes` by id, as far as the person may know them. An institution that
    asked for a doctor by the number learns only that the doctor is registered elsewhere (security.md 25),
    until the transfer is carried out."""
    ids = set[UUID]()
    for change in changes:
        ids.update(filter(None, (change.target_id,)))
        if not is_origin_hidden(change, grants):
            ids.add(change.institution_id)
    query = select(Organisation.id, Organisation.name).where(in_array(Organisation.id, ids))
    return dict(db.session.execute(query).all()) if ids else {}


def is_origin_hidden(change: EnrolmentChange, grants: ChangeGrants) -> bool:
    """Whether the person may not know yet at which institution the doctor is."""
    return (
        change.asked_side == "target"
        and change.state != "carried_out"
        and not in_scope(grants.visible, institution_id=change.institution_id)
    )


def get_own_transfer_for_update(change_id: UUID, doctor_id: UUID) -> EnrolmentChange:
    """A doctor's own transfer, locked. Raises NotFound for any other change."""
    query = select(EnrolmentChange).where(
        EnrolmentChange.id == change_id,
        EnrolmentChange.doctor_id == doctor_id,
        EnrolmentChange.kind == "transfer",
    )
    change = db.session.scalar(query.with_for_update())
    if change is None:
        raise NotFound
    return change


def withdraw_as_doctor(change: EnrolmentChange, *, by: Actor) -> None:
    """Withdraw a doctor's own transfer (locked), journalled; nobody is notified. Does nothing if it is
    withdrawn. Raises Forbidden for one that an institution asked for, InvalidState once it is carried out or
    refused."""
    if change.asked_side != "doctor":
        raise Forbidden("这项变动由机构提出，如有异议请联系机构。")
    if change.state != "withdrawn":
        change_transitions.withdraw(change, by=by)


def transfers_of(doctor_id: UUID, limit: int) -> list[EnrolmentChange]:
    """The newest transfers of a doctor, in whatever state, at most `limit`, the newest first."""
    query = select(EnrolmentChange).where(
        EnrolmentChange.doctor_id == doctor_id,
        EnrolmentChange.kind == "transfer",
    )
    return list(db.session.scalars(query.order_by(EnrolmentChange.id.desc()).limit(limit)))


def _pending_changes(predecessor_id: UUID) -> Select[EnrolmentChange]:
    """The query of the pending changes on one side of which the organisation is."""
    return select(EnrolmentChange).where(
        EnrolmentChange.state == "pending",
        (EnrolmentChange.institution_id == predecessor_id) | (EnrolmentChange.target_id == predecessor_id),
    )


def _move_changes(changes: Sequence[EnrolmentChange], succession: Succession) -> None:
    """Let changes (locked) go on with the successor on that side; a transfer between the two has become
    needless and is withdrawn."""
    former_id, successor_id = succession.predecessor.id, succession.successor.id
    for change in changes:
        change.institution_id = successor_id if change.institution_id == former_id else change.institution_id
        change.target_id = successor_id if change.target_id == former_id else change.target_id
        if change.institution_id == change.target_id:
            change_transitions.withdraw(change, by=succession.by)


add_succession_part("待办的转入转出、移出名单", "项", _pending_changes, _move_changes)
