"""Whether two accounts count as two persons (两人办理): not if one has recently given the other access.

A person who gives a role, hands over a one-time code or enters a mobile number could also be the person
behind the account that received it. For some days (a setting) neither of the two approves what the other
proposed, nor do accounts that received access from them, and so on along the chain; nor do two members of the
province's office who received access from the same person. By then others have had time to notice the new
account.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    Select,
    and_,
    func,
    or_,
    select,
    true,
    union,
    update,
)

from dingkao import clock
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.database.pagination import CappedCount
from dingkao.errors import Forbidden
from dingkao.journal.entries import Actor
from dingkao.people.models import Appointment, Membership
from dingkao.people.permissions import PROVINCE_ROLES
from dingkao.tenants import settings
from dingkao.tenants.models import ProvinceSetting
from dingkao.tenants.settings import Setting

SETTING, CACHE_KEY = "recusal_days", "appointers"
MAX_LOOKED_AT = 4_000
"""Up to how many rows are counted as waiting for somebody."""
NO_END = datetime.max.replace(tzinfo=UTC)
RECUSED_MESSAGE = (
    "您与前一位办理人有任命关系（一方任命另一方或为其发放代码，或由同一人任命），"
    "{until}前不能办理对方经手的事项，请由另一人办理。"
)
BoundUntil = dict[UUID, datetime]
"""Account → when it ends that this account and another one don't count as two persons."""
settings.register(
    "recusal_days",
    Setting(
        "新任命人员与任命人互相回避的天数（两人办理的事项）",
        7,
        kind="whole",
        group="账户",
        order=70,
        min_value=1,
        max_value=90,
    ),
)


def record_appointment(account_id: UUID, kind: str, *, by: Actor) -> None:
    """Record that `by` has given an account a role, a code or a mobile number (`kind`: one of
    APPOINTMENT_KINDS). Until the recusal days are over the two don't count as two persons. Nothing is
    recorded of operators and the terminal, because they approve nothing, and of staff who do this to their
    own account."""
    if by.kind == "staff" and by.id is not None and by.id != account_id:
        db.session.add(
            Appointment(
                account_id=account_id,
                by_account_id=by.id,
                kind=kind,
                at=clock.now(),
            )
        )
        db.session().info.pop(CACHE_KEY, None)


def record_account_opened(account_id: UUID) -> None:
    """Let the recusal days of an account count from now, when it gets its first password."""
    db.session.execute(update(Appointment).where(Appointment.account_id == account_id).values(at=clock.now()))


def require_second_person(by: Actor, *earlier: UUID | None, same: str) -> None:
    """Raise Forbidden unless `by` may decide on what the accounts `earlier` proposed or did (None: nobody):
    with the message `same` if `by` is one of them, else with the recusal reason if they don't count as two
    persons. An actor without an account (the system, the terminal) always may. Whether `by` is granted the
    action is not asked here."""
    if by.id is not None and by.id in earlier:
        raise Forbidden(same)
    sentence = recusal_reason(by.id, *earlier)
    if sentence:
        raise Forbidden(sentence)


def recusal_reason(account_id: UUID | None, *earlier: UUID | None) -> str | None:
    """The sentence why an account may not decide on what the accounts `earlier` did, because they don't count
    as two persons; None if it may, or there is no account. An account that occurs in `earlier` itself is
    ignored here: callers check it."""
    if account_id is None:
        return None
    recused_until = bound_until(account_id, _others(account_id, earlier))
    if not recused_until:
        return None
    day = clock.to_beijing(max(recused_until.values()) + timedelta(days=1))
    return RECUSED_MESSAGE.format(until=f"{day:%Y年%m月%d日}")


def _others(account_id: UUID, earlier: Iterable[UUID | None]) -> set[UUID]:
    """The accounts in `earlier` except `account_id` and None."""
    return {other_id for other_id in earlier if other_id is not None and other_id != account_id}


def bound_until(account_id: UUID, others: Iterable[UUID]) -> BoundUntil:
    """Of the accounts `others` those that aren't a second person beside `account_id` (another one), each with
    the moment when this ends."""
    ends_by_account = {}
    for other_id in others:
        if ends := _recusal_ends(account_id, other_id):
            ends_by_account[other_id] = max(ends)
    return ends_by_account


def _recusal_ends(account_id: UUID, other_id: UUID) -> list[datetime]:
    """The ends of all reasons why two accounts don't count as two persons; empty if they do."""
    appointers = (
        _appointers_of(account_id).get(other_id),
        _appointers_of(other_id).get(account_id),
    )
    ends = [moment for moment in appointers if moment]
    shared = _ends_of_shared_appointers(account_id, other_id)
    if shared and _hold_province_roles(account_id, other_id):
        ends += shared
    return ends


def _ends_of_shared_appointers(account_id: UUID, other_id: UUID) -> list[datetime]:
    """The ends of the reasons that both accounts received access from the same person. The two accounts,
    which `_appointers_of` includes, don't count as such a person."""
    own_appointers = _appointers_of(account_id)
    other_appointers = _appointers_of(other_id)
    shared = own_appointers.keys() & other_appointers.keys() - {
        account_id,
        other_id,
    }
    return [min(own_appointers[appointer], other_appointers[appointer]) for appointer in shared]


def second_person_condition(account_id: UUID | None, *columns: Any) -> ColumnElement[bool]:
    """The SQL condition that an account is a second person beside the accounts in all `columns` (ids of
    accounts, NULL for nobody): none of them is the account itself or one for which `recusal_reason` returns a
    reason. True without an account. Sends queries."""
    if account_id is None:
        return true()
    own_appointers = set(_appointers_of(account_id))
    bound_queries = [select(_appointment_closure({account_id}).c.account_id)]
    if _hold_province_roles(account_id):
        siblings = _appointment_closure(own_appointers - {account_id}).c.account_id
        office = in_array(Membership.role, PROVINCE_ROLES)
        bound_queries.append(
            select(siblings).join(Membership, Membership.account_id == siblings).where(office)
        )
    bound_accounts = union(*bound_queries).subquery()
    return and_(
        true(),
        *(
            or_(
                column.is_(None),
                and_(
                    ~in_array(column, own_appointers),
                    column.not_in(select(bound_accounts.c.account_id)),
                ),
            )
            for column in columns
        ),
    )


def count_decidable(query: Any, account_id: UUID, *columns: Any) -> tuple[int, int]:
    """How many rows of a query the owner of an account may decide on as a second person, and how many only
    somebody else may, among the first MAX_LOOKED_AT rows; shown as 1,000以上 above 1,000. `columns`: the
    columns with the accounts that acted before."""
    is_mine = second_person_condition(account_id, *columns).label("is_mine")
    looked_at = query.with_only_columns(is_mine, maintain_column_froms=True).limit(MAX_LOOKED_AT).subquery()
    counts = select(func.count().filter(looked_at.c.is_mine), func.count().filter(~looked_at.c.is_mine))
    own_count, other_count = db.session.execute(counts).one()
    return CappedCount(own_count), CappedCount(other_count)


def _appointment_closure(accounts: Iterable[UUID]) -> CTE:
    """A table of ids: the accounts that received access from `accounts` within the recusal days, and from
    these, and so on."""
    start = clock.now() - timedelta(days=recusal_days())
    first = select(Appointment.account_id).where(
        in_array(Appointment.by_account_id, accounts),
        Appointment.at > start,
    )
    table = first.cte(recursive=True)
    appointed_next = select(Appointment.account_id).join(
        table, Appointment.by_account_id == table.c.account_id
    )
    return table.union(appointed_next.where(Appointment.at > start))


def recusal_days() -> int:
    """The number of recusal days in force. After the setting was shortened, the longer term stays in force
    until it has passed since the change, so that nobody can end a recusal by changing the setting. Cached in
    the session."""
    today, remembered = clock.today(), settings.computed_values()
    if (SETTING, today) not in remembered:
        remembered[SETTING, today] = _longest_term(_setting_versions(today), today)
    days: int = remembered[SETTING, today]
    return days


def _longest_term(versions: Sequence[tuple[date, int]], today: date) -> int:
    """The longest term, in days, of the versions of the setting that hold `today`: the last one, and those
    that were replaced less than their own term ago."""
    days_in_force = [versions[-1][1]]
    for (start, value), (end, _) in zip(versions, versions[1:], strict=False):
        if start < end and end + timedelta(days=value) > today:
            days_in_force.append(value)
    return max(days_in_force)


def _setting_versions(today: date) -> list[tuple[date, int]]:
    """The values of the setting up to `today`, each with the day from which it is in force."""
    query = select(ProvinceSetting.effective_from, ProvinceSetting.value).where(
        ProvinceSetting.name == SETTING,
        ProvinceSetting.effective_from <= today,
    )
    versions: list[tuple[date, int]] = [(date.min, int(settings.SETTINGS[SETTING].default))]
    versions += [
        (effective_from, int(value))
        for effective_from, value in db.session.execute(query.order_by(ProvinceSetting.id)).all()
    ]
    return sorted(versions, key=lambda version: version[0])


def _appointers_of(account_id: UUID) -> BoundUntil:
    """The account itself, the accounts that gave it access within the recusal days, those that gave access to
    these, and so on, each with the end of the earliest appointment on the way. Cached in the session, because
    a page asks for many accounts."""
    remembered: dict[UUID, BoundUntil] = db.session().info.setdefault(CACHE_KEY, {})
    if account_id not in remembered:
        remembered[account_id] = _query_appointments(account_id, timedelta(days=recusal_days()))
    return remembered[account_id]


def _query_appointments(account_id: UUID, term: timedelta) -> BoundUntil:
    """Compute `_appointers_of` with one query per step along the chain; if several chains lead to an account,
    the one that ends last counts."""
    reached: BoundUntil = {account_id: NO_END}
    frontier, start = {account_id}, clock.now() - term
    while frontier:
        appointments = db.session.execute(_appointments_query(frontier, start)).all()
        frontier = set()
        for appointed, appointer, appointed_at in appointments:
            ends_at = min(reached[appointed], appointed_at + term)
            if appointer not in reached or ends_at > reached[appointer]:
                reached[appointer] = ends_at
                frontier.add(appointer)
    return reached


def _appointments_query(account_ids: set[UUID], start: datetime) -> Select[UUID, UUID, datetime]:
    """The query of who gave these accounts access since `start`, and when."""
    return select(
        Appointment.account_id,
        Appointment.by_account_id,
        Appointment.at,
    ).where(
        in_array(Appointment.account_id, account_ids),
        Appointment.at > start,
    )


def _hold_province_roles(*accounts: UUID) -> bool:
    """Whether each of the accounts holds a role of the province's own office."""
    query = select(Membership.account_id).where(
        in_array(Membership.account_id, accounts),
        in_array(Membership.role, PROVINCE_ROLES),
    )
    return set(db.session.scalars(query)) == set(accounts)
