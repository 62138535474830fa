"""Staff accounts (人员) after their creation: closing and reopening, giving and removing roles, resetting a
lost second factor, and closing unused accounts.

Administrators and operators may do all of this to other accounts but never to their own, so that there is
always an administrator left."""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select

from dingkao import clock
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.errors import (
    Forbidden,
    InvalidInput,
    InvalidState,
    NotFound,
)
from dingkao.integrations.sms import SmsMessage, send_after_commit
from dingkao.journal import entries as journal
from dingkao.journal.entries import SYSTEM_ACTOR, Actor
from dingkao.journal.state_machine import transition
from dingkao.people import (
    administrator_invitations,
    authentication,
    sign_in_sessions,
)
from dingkao.people.accounts import (
    PROVINCE_ADMIN,
    give_role,
    is_administrator,
    issue_code,
)
from dingkao.people.department_models import Department
from dingkao.people.models import (
    ACCOUNT_STATES,
    Account,
    Membership,
    Organisation,
)
from dingkao.people.notice_catalogue import SMS_ACCOUNT_UNUSED
from dingkao.people.permissions import ROLE_LABELS, roles_for
from dingkao.tenants import settings
from dingkao.tenants.context import current_tenant
from dingkao.tenants.registry import Province, by_code
from dingkao.tenants.settings import Setting

WARNING_DAYS = 14
BATCH_SIZE = 200
MAX_REASON_LENGTH = 200
ACCOUNT_CLOSED_MESSAGE = "该账号已停用，请先恢复账号。"
OWN_ACCOUNT_MESSAGE = "不能对自己的账号进行此项操作，请由另一位省级管理员办理。"
settings.register(
    "unused_days",
    Setting(
        "人员账号连续多少天未使用自动停用",
        180,
        kind="whole",
        group="账户",
        order=80,
        min_value=30,
        max_value=3650,
    ),
)


def get_staff_for_update(account_id: UUID, *, by: Actor) -> Account:
    """The staff account with that id, locked, for an action of `by`. The account of `by`, if it is staff, is
    locked too (in the order of ids, which prevents deadlocks) and must be that of an active administrator; an
    operator isn't checked here. Raises InvalidState if it is the own account, Forbidden, NotFound."""
    if account_id == by.id:
        raise InvalidState(OWN_ACCOUNT_MESSAGE)
    own_id = by.id if by.kind == "staff" else None
    accounts = _lock_staff({account_id, own_id})
    if by.kind == "staff":
        _require_active_administrator(accounts.get(own_id))
    if account_id not in accounts:
        raise NotFound
    return accounts[account_id]


def _lock_staff(
    account_ids: set[UUID | None],
) -> dict[UUID | None, Account]:
    """The staff accounts with these ids, locked in the order of ids and refreshed from the database."""
    query = (
        select(Account)
        .where(
            in_array(Account.id, account_ids - {None}),
            Account.kind == "staff",
        )
        .order_by(Account.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {account.id: account for account in db.session.scalars(query)}


def _require_active_administrator(account: Account | None) -> None:
    """Raise Forbidden unless there is an account, and it is that of an active administrator."""
    if account is None or account.state != "active" or not is_administrator(account.id):
        raise Forbidden


@transition(
    "initial",
    "active",
    to="closed",
    actors=roles_for("staff.manage", "platform.operate") | {"system"},
    states=ACCOUNT_STATES,
    verb="close",
)
def close_account(account: Account, *, by: Actor, reason: str) -> None:
    """停用 of a locked account: end its sessions and make its codes and links invalid; the state is set and
    journalled. Raises InvalidInput without a reason, Forbidden, InvalidState for the own account and for a
    closed one."""
    _end_access(account, by, reason)


@transition(
    "initial",
    "active",
    to="closed",
    actors=roles_for("staff.manage", "staff.close_own"),
    states=ACCOUNT_STATES,
    verb="close",
)
def close_handed_over(account: Account, *, by: Actor, reason: str) -> None:
    """停用 of a locked account together with the hand-over of the account's work (`handovers`), by whoever
    invites staff at the account's only organisation (which the caller checks), too: sessions, codes and links
    end, the state is set and journalled. Raises InvalidInput without a reason, Forbidden, InvalidState for
    the own account and for a closed one."""
    _end_access(account, by, reason)


def _end_access(account: Account, by: Actor, reason: str) -> None:
    """End the sessions of an account that is closed, and make its codes and links invalid. Raises
    InvalidInput, and InvalidState for the own account."""
    _require_reason(reason)
    if account.id == by.id:
        raise InvalidState(OWN_ACCOUNT_MESSAGE)
    sign_in_sessions.end_all_sessions(account.id)
    administrator_invitations.revoke_links(account)


def _require_reason(reason: str) -> None:
    """Raise InvalidInput for the field `reason` if it is empty or longer than MAX_REASON_LENGTH."""
    if not reason.strip() or len(reason) > MAX_REASON_LENGTH:
        raise InvalidInput(f"请填写停用原因，不超过{MAX_REASON_LENGTH}字。", "reason")


@transition(
    "closed",
    to="initial",
    actors=roles_for("staff.manage", "platform.operate"),
    states=ACCOUNT_STATES,
    verb="reopen",
)
def reopen_account(account: Account, *, by: Actor) -> None:
    """恢复 of a locked account, which is journalled: it must be opened again with a one-time code (which
    isn't issued here), an administrator's, who loses the second factor too, with the link that is sent now.
    Its initial term begins anew (`initial_days`). The old password is removed, because somebody else may have
    learnt it. Raises Forbidden, InvalidState (the account isn't closed, no link can be sent), RateLimited."""
    account.password_hash = None
    account.initial_until = clock.now() + timedelta(days=settings.value("initial_days"))
    if is_administrator(account.id):
        (
            account.second_factor_sealed,
            account.second_factor_counter,
        ) = (
            None,
            0,
        )
        administrator_invitations.send_link(account, by=by)


def issue_staff_code(account: Account, *, by: Actor) -> str:
    """Issue a one-time code for an account (the caller has locked it and checked the right of `by`) and
    return it (`accounts.issue_code`); earlier ones become invalid; it is journalled and recorded as an
    appointment. Raises InvalidState for a closed account, and for an administrator's, whose password nobody
    else may be able to set."""
    if account.state == "closed":
        raise InvalidState(ACCOUNT_CLOSED_MESSAGE)
    if is_administrator(account.id):
        raise InvalidState("省级管理员不发放一次性代码，请发送设置链接，由本人在手机上设置。")
    return issue_code(account, by=by)


def add_role(
    account: Account,
    role: str,
    organisation: Organisation | None,
    *,
    by: Actor,
    department: Department | None = None,
) -> bool:
    """Give an account (the caller has locked it and checked the right of `by`) another role, which ends its
    sessions, is journalled and recorded as an appointment, and return True; False if it has it already.
    `department`: as in `accounts.give_role`. Raises InvalidInput for the role of an administrator and as
    `give_role`, InvalidState for a closed account."""
    if role == PROVINCE_ADMIN:
        raise InvalidInput("省级管理员须单独邀请，不能由其他账号兼任。", "role")
    if account.state == "closed":
        raise InvalidState(ACCOUNT_CLOSED_MESSAGE)
    return give_role(account, role, organisation, by=by, department=department)


def remove_role(account: Account, membership_id: UUID, *, by: Actor) -> str:
    """Remove a role from an account (the caller has locked it), end its sessions and journal it; return the
    role's label. Raises NotFound, and InvalidState for an account's last role or the role of an
    administrator."""
    memberships = authentication.memberships_of(account.id)
    membership = _get_membership(memberships, membership_id)
    if membership.role == PROVINCE_ADMIN or len(memberships) == 1:
        raise InvalidState("不再需要此账号的，请停用账号；省级管理员的角色和账号的最后一个角色不能单独移除。")
    db.session.execute(delete(Membership).where(Membership.id == membership.id))
    sign_in_sessions.end_all_sessions(account.id)
    journal.write_entry(
        "account",
        account.id,
        "role_removed",
        by=by,
        role=membership.role,
        organisation=str(membership.organisation_id or ""),
    )
    return ROLE_LABELS[membership.role]


def _get_membership(memberships: list[Membership], membership_id: UUID) -> Membership:
    """The membership with that id. Raises NotFound."""
    for membership in memberships:
        if membership.id == membership_id:
            return membership
    raise NotFound("该角色已经移除。请刷新页面查看。")


def reset_second_factor(account: Account, *, by: Actor) -> None:
    """Remove a lost second factor from an account (the caller has locked it) and end its sessions; a new one
    is bound at the next sign-in. Raises Forbidden if `by` may neither manage staff nor operate the platform;
    InvalidState for a closed account, for one without a second factor, and for an administrator's, who sets a
    new one with a link (`send_administrator_link`)."""
    _require_manager(by)
    if account.state == "closed":
        raise InvalidState(ACCOUNT_CLOSED_MESSAGE)
    if is_administrator(account.id):
        raise InvalidState("省级管理员的动态口令由本人用设置链接更换，请发送设置链接。")
    if account.second_factor_sealed is None:
        raise InvalidState("该账号还没有绑定动态口令，下次登录时按提示绑定。")
    account.second_factor_sealed, account.second_factor_counter = (
        None,
        0,
    )
    sign_in_sessions.end_all_sessions(account.id)
    journal.write_entry("account", account.id, "second_factor_renewed", by=by)


def send_administrator_link(account: Account, *, by: Actor) -> None:
    """Send the setup link to an administrator (the caller has locked the account), after the commit; if the
    account is set up already, its password and second factor are removed and its sessions ended first. Raises
    Forbidden if `by` may neither manage staff nor operate the platform; InvalidState for a closed account,
    for one that is no administrator's, and where no link can be sent; RateLimited."""
    _require_manager(by)
    if account.state == "closed":
        raise InvalidState(ACCOUNT_CLOSED_MESSAGE)
    if not is_administrator(account.id):
        raise InvalidState("只有省级管理员用设置链接设置密码，其他人员请发放一次性代码。")
    if account.state == "initial":
        administrator_invitations.send_link(account, by=by)
    else:
        administrator_invitations.reset_credentials(account, by=by)


def _require_manager(by: Actor) -> None:
    """Raise Forbidden unless `by` may manage staff or operate the platform."""
    if roles_for("staff.manage", "platform.operate").isdisjoint({by.kind, *by.roles}):
        raise Forbidden


def change_mobile(account: Account, mobile: str, *, by: Actor) -> None:
    """Change the mobile number of an administrator (the caller has locked the account and checked the right
    of `by`), which sends a link to it unless the account is closed; an active account loses password, second
    factor and sessions. Another number is journalled and recorded as an appointment. Raises InvalidInput for
    the field `mobile`; InvalidState for an account that is no administrator's and, where `by` is staff, for
    one that is closed or set up; RateLimited."""
    if account.state == "closed" and by.kind == "staff":
        raise InvalidState(ACCOUNT_CLOSED_MESSAGE)
    if not is_administrator(account.id):
        raise InvalidState("只有省级管理员登记手机号码。")
    administrator_invitations.change_mobile(account, mobile, by=by)


# --- accounts that nobody uses


def last_used_at(account: Account) -> datetime:
    """The time of the last sign-in; the time of the account's creation if there was none."""
    return account.used_at or account.created_at


def closes_on(account: Account) -> datetime | None:
    """When an account will be closed because nobody uses it; None if it isn't active or its owner hasn't been
    warned since the last sign-in."""
    if account.state != "active" or account.unused_warned_at is None:
        return None
    if account.unused_warned_at <= last_used_at(account):
        return None
    due = last_used_at(account) + timedelta(days=settings.value("unused_days"))
    return max(due, account.unused_warned_at + timedelta(days=WARNING_DAYS))


def close_unused_accounts() -> None:
    """The scheduled task for unused staff accounts: warn WARNING_DAYS before, then close the active accounts
    that still were not used. The last active administrator's account stays open. Doctors' accounts, used once
    in a cycle, aren't concerned. Commits."""
    now, warning_term = clock.now(), timedelta(days=WARNING_DAYS)
    unused_since = now - timedelta(days=settings.value("unused_days"))
    last = func.coalesce(Account.used_at, Account.created_at)
    is_warned = Account.unused_warned_at > last
    _for_each_account(
        (last < unused_since + warning_term, is_warned.isnot(True)),
        _warn_unused,
    )
    _for_each_account(
        (
            last < unused_since,
            is_warned,
            Account.unused_warned_at <= now - warning_term,
        ),
        _close_account,
    )


def _for_each_account(
    which: tuple[ColumnElement[bool], ...],
    act: Callable[[Account], None],
) -> None:
    """Call `act` for each active staff account that meets the SQL conditions `which`; commits after each
    batch. Accounts that another transaction has locked are skipped."""
    query = select(Account).where(Account.kind == "staff", Account.state == "active", *which)
    last_id = UUID(int=0)
    while accounts := db.session.scalars(
        query.where(Account.id > last_id)
        .order_by(Account.id)
        .limit(BATCH_SIZE)
        .with_for_update(skip_locked=True)
    ).all():
        for account in accounts:
            act(account)
        last_id = accounts[-1].id
        db.session.commit()


def _warn_unused(account: Account) -> None:
    """Record and journal the warning of an account (locked) and, if the account has a mobile number, send it
    by SMS after the commit."""
    account.unused_warned_at = clock.now()
    mobile = authentication.bound_mobile(account)
    closing_time = closes_on(account)
    province = by_code(current_tenant())
    if mobile and closing_time and province:
        send_after_commit(_unused_warning(province, mobile, closing_time))
    journal.write_entry("account", account.id, "unused_told", by=SYSTEM_ACTOR)


def _unused_warning(province: Province, mobile: str, closing_time: datetime) -> SmsMessage:
    """The SMS that warns of the day on which an unused account will be closed."""
    name = province.short_name
    day = f"{clock.to_beijing(closing_time):%Y年%m月%d日}"
    text = SMS_ACCOUNT_UNUSED.format(province=name, days=settings.value("unused_days"), day=day)
    return SmsMessage("notice", mobile, {"province": name}, text)


def _close_account(account: Account) -> None:
    """Close an unused account, unless it is the last active administrator's: its sessions, codes and links
    end, and it is journalled."""
    if is_administrator(account.id) and _other_administrators(account.id) == 0:
        return
    close_account(
        account,
        by=SYSTEM_ACTOR,
        reason=f"连续{settings.value('unused_days')}天未使用，自动停用",
    )


def _other_administrators(account_id: UUID) -> int:
    """How many other active accounts have the role of an administrator."""
    other_count = (
        select(func.count(Account.id.distinct()))
        .join(
            Membership,
            (Membership.tenant_id == Account.tenant_id) & (Membership.account_id == Account.id),
        )
        .where(
            Membership.role == PROVINCE_ADMIN,
            Account.state == "active",
            Account.id != account_id,
        )
    )
    return int(db.session.scalar(other_count) or 0)


def list_administrators() -> list[Account]:
    """The administrators of the province, closed ones too, in the order in which their accounts were
    created."""
    query = (
        select(Account)
        .join(
            Membership,
            (Membership.tenant_id == Account.tenant_id) & (Membership.account_id == Account.id),
        )
        .where(Membership.role == PROVINCE_ADMIN)
        .order_by(Account.id)
    )
    return list(db.session.scalars(query))
