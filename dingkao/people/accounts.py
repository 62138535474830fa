"""Accounts: how they are created, and given roles, mobile numbers and one-time codes."""

import secrets
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select, update

from dingkao import clock
from dingkao.database.base import db, new_id
from dingkao.errors import InvalidInput, InvalidState
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.department_models import Department
from dingkao.people.identity_numbers import normalise_login_number
from dingkao.people.models import (
    Account,
    Membership,
    OneTimeCode,
    Organisation,
)
from dingkao.people.names import normalise_name
from dingkao.people.organisations import lock_open
from dingkao.people.permissions import (
    PROVINCE_ROLES,
    ROLE_LABELS,
    SCOPES,
    Scope,
)
from dingkao.people.scopes import at_current_place
from dingkao.people.second_person import record_appointment
from dingkao.people.sign_in_sessions import end_all_sessions
from dingkao.tenants import settings
from dingkao.tenants.encryption import (
    SecretLocation,
    current_vault,
    normalise_text,
)
from dingkao.tenants.settings import Setting

CODE_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
CODE_LENGTH = 10
PROVINCE_ADMIN = "province_admin"
CODE_VALID_DAYS = 14
settings.register(
    "credential_mode",
    Setting(
        "首次登录方式",
        "initial_password",
        kind="one",
        group="账户",
        order=10,
        choices={
            "initial_password": "初始密码666666",
            "one_time_code": "一次性代码",
        },
    ),
)
settings.register(
    "initial_days",
    Setting(
        "初始凭证有效天数",
        90,
        kind="whole",
        group="账户",
        order=20,
        min_value=1,
        max_value=365,
    ),
)


def doctor_login_index(number: str) -> bytes:
    """The blind index by which a doctor's account is found from the document number as it was typed."""
    return current_vault().blind_index("login-number", normalise_login_number(number))


def staff_login_index(user_name: str) -> bytes:
    """The blind index by which a staff account is found from the user name; case, width and blanks are
    ignored."""
    return current_vault().blind_index("login-name", normalise_text(user_name))


def create_staff(
    user_name: str,
    name: str,
    roles: list[tuple[str, Organisation | None]],
    *,
    by: Actor,
    mobile: str | None = None,
    department: Department | None = None,
) -> Account:
    """Create a staff account with `roles` (pairs of role code and organisation) in the state «initial», flush
    it and journal it; the user name is stored as it is typed. `mobile`: a number in its normal form, stored
    as not confirmed yet; `department`: as in `give_role`, for each of the roles, whose organisations are kept
    open (locked). The caller then issues a one-time code (`issue_code`) or, to an administrator, who must
    have a `mobile`, sends a link (`administrator_invitations`). Raises InvalidInput naming the field, and
    InvalidState for an organisation that is closed."""
    _require_valid_user_name(user_name)
    account = Account(
        id=new_id(),
        kind="staff",
        login_index=_unused_login_index(user_name),
        user_name=user_name,
        name=normalise_name(name),
        initial_until=clock.now() + timedelta(days=settings.value("initial_days")),
    )
    db.session.add(account)
    db.session.flush()
    if mobile is not None:
        bind_mobile(
            account,
            mobile,
            administrator=any(role == PROVINCE_ADMIN for role, _ in roles),
        )
        account.mobile_bound_at = None
    for role, organisation in roles:
        give_role(account, role, organisation, by=by, department=department)
    journal.write_entry("account", account.id, "made", by=by, after=account.state)
    return account


def _unused_login_index(user_name: str) -> bytes:
    """The blind index of a user name that no account has yet. Raises InvalidInput if one has."""
    index = staff_login_index(user_name)
    if db.session.scalar(select(Account.id).where(Account.login_index == index)):
        raise InvalidInput(f"用户名“{user_name}”已被使用，请换一个。", "user_name")
    return index


def _require_valid_user_name(user_name: str) -> None:
    """Raise InvalidInput unless the name consists of 3 to 40 letters (of any script), digits, dots, hyphens
    and underscores, at least one a letter or digit."""
    letters = user_name.replace("-", "").replace("_", "").replace(".", "")
    if not 3 <= len(user_name) <= 40 or not letters.isalnum():
        raise InvalidInput("用户名请用3至40个字母、数字、点或横线。", "user_name")


def bind_mobile(account: Account, mobile: str, *, administrator: bool) -> None:
    """Store a mobile number (in its normal form), encrypted, in an account, as confirmed by its owner now;
    the caller locks the account and journals it. An `administrator`'s number may belong to no other
    administrator, and is indexed so that it is found. Raises InvalidInput for the field `mobile`."""
    if administrator:
        account.mobile_index = _unshared_mobile_index(account, mobile)
    account.mobile_sealed = current_vault().encrypt(SecretLocation("account", "mobile", account.id), mobile)
    account.mobile_bound_at = clock.now()


def _unshared_mobile_index(account: Account, mobile: str) -> bytes:
    """The blind index of an administrator's number. Raises InvalidInput if another administrator has the
    number."""
    index = administrator_mobile_index(mobile)
    accounts_with_mobile = select(Account).where(Account.mobile_index == index, Account.id != account.id)
    if previous_account := db.session.scalar(accounts_with_mobile):
        closed = "（已停用）" if previous_account.state == "closed" else ""
        raise InvalidInput(
            f"该手机号码已登记给管理员“{previous_account.user_name}”{closed}，一个号码只能用于一位管理员。",
            "mobile",
        )
    return index


def require_unshared_mobile(account: Account, mobile: str) -> None:
    """Raise InvalidInput for the field `mobile` if the account is an administrator's and another
    administrator has the number `mobile` (in its normal form)."""
    if is_administrator(account.id):
        _unshared_mobile_index(account, mobile)


def administrator_mobile_index(mobile: str) -> bytes:
    """The blind index of an administrator's mobile number (in its normal form)."""
    return current_vault().blind_index("administrator-mobile", mobile)


def is_administrator(account_id: UUID) -> bool:
    """Whether an account, closed or not, holds the role of an administrator of the province."""
    role = select(Membership.id).where(
        Membership.account_id == account_id,
        Membership.role == PROVINCE_ADMIN,
    )
    return db.session.scalar(role.limit(1)) is not None


def give_role(
    account: Account,
    role: str,
    organisation: Organisation | None,
    *,
    by: Actor,
    department: Department | None = None,
) -> bool:
    """Give an account (locked) a role, at an organisation, which is kept open until the transaction ends
    (`lock_open`), or, for a role of the province's office, at None; end its sessions, journal it and record
    who appointed it (`second_person`). `department`: that of the organisation to which the role is limited,
    for a role with the scope of one. Returns True; False, and nothing is changed, if it has the role already.
    Raises InvalidInput, and InvalidState for an organisation that is closed."""
    _require_role_fits(account, role, organisation, by=by)
    if organisation is not None:
        lock_open(organisation.id)
    _require_department_fits(role, organisation, department)
    membership = Membership(
        account_id=account.id,
        organisation_id=organisation.id if organisation else None,
        department_id=department.id if department else None,
        role=role,
    )
    if _has_role(membership):
        return False
    db.session.add(membership)
    end_all_sessions(account.id)
    record_appointment(account.id, "role", by=by)
    journal.write_entry(
        "account",
        account.id,
        "role_given",
        by=by,
        role=role,
        organisation=str(membership.organisation_id or ""),
        **({"department": department.name} if department else {}),
    )
    return True


def _require_role_fits(
    account: Account,
    role: str,
    organisation: Organisation | None,
    *,
    by: Actor,
) -> None:
    """Raise InvalidInput for an unknown role, one with a missing or superfluous organisation, or an
    administrator without a mobile number (unless the terminal appoints one)."""
    if role not in ROLE_LABELS or (role in PROVINCE_ROLES) != (organisation is None):
        raise InvalidInput("请为该角色选择所属机构。", "role")
    if role == PROVINCE_ADMIN and by.id is not None and account.mobile_index is None:
        raise InvalidInput("请填写该管理员本人的手机号码。", "mobile")


def _require_department_fits(
    role: str,
    organisation: Organisation | None,
    department: Department | None,
) -> None:
    """Raise InvalidInput for the field `department` unless a role with the scope of a department has an open
    one of its organisation, and any other role none."""
    if (SCOPES[role] is Scope.DEPARTMENT) != (department is not None):
        raise InvalidInput("请填写科室；只有科室联络员需要填写科室。", "department")
    if department is None or organisation is None:
        return
    if department.organisation_id != organisation.id or department.closed_at is not None:
        raise InvalidInput("请填写该机构的科室，已停用的科室除外。", "department")


def _has_role(membership: Membership) -> bool:
    """Whether the account has the role already at the organisation (None: in the province's office) and
    department of `membership`, which isn't stored yet."""
    membership_query = select(Membership.id).where(
        Membership.account_id == membership.account_id,
        Membership.role == membership.role,
        Membership.organisation_id.is_not_distinct_from(membership.organisation_id),
        Membership.department_id.is_not_distinct_from(membership.department_id),
    )
    return db.session.scalar(membership_query) is not None


def generate_code() -> str:
    """A new one-time code «XXXXX-XXXXX»: 50 random bits in letters and digits that can't be confused with
    each other."""
    code = "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH))
    return f"{code[:5]}-{code[5:]}"


def issue_code(account: Account, *, by: Actor, asked_by: UUID | None = None) -> str:
    """Issue a one-time code for `account` (locked or new, and not closed: the caller sees to that), valid for
    CODE_VALID_DAYS days, and return it; only its keyed hash is stored. Earlier codes, and requests for one,
    become invalid, and an account in the state «initial» may be opened for another `initial_days` days
    (security.md 1). The code's issue is journalled and, for staff, recorded as an appointment. `asked_by`:
    the account that requested the code, if two persons issue it."""
    _use_up_codes(account)
    code = generate_code()
    one_time_code = OneTimeCode(
        account_id=account.id,
        code_hash=code_hash(account.id, code),
        issued_by=by.id,
        asked_by=asked_by,
        expires_at=clock.now() + timedelta(days=CODE_VALID_DAYS),
    )
    db.session.add(one_time_code)
    if account.kind == "staff":
        record_appointment(account.id, "code", by=by)
    if account.state == "initial":
        account.initial_until = clock.now() + timedelta(days=settings.value("initial_days"))
    journal.write_entry(
        "account",
        account.id,
        "code_issued",
        by=by,
        **({"asked_by": str(asked_by)} if asked_by else {}),
    )
    return code


def _use_up_codes(account: Account) -> None:
    """Make all unused codes of the account invalid, also those that await a second person's approval."""
    unused_codes = update(OneTimeCode).where(
        OneTimeCode.account_id == account.id,
        OneTimeCode.used_at.is_(None),
    )
    db.session.execute(unused_codes.values(used_at=clock.now(), awaits_approval=False))


def extend_initial_credential(account: Account, *, by: Actor) -> None:
    """Let the initial credential of a locked account be valid for another `initial_days` days from now (the
    province's setting; security.md 1), and journal it. Raises InvalidState unless the account is in the state
    «initial»."""
    if account.state != "initial":
        raise InvalidState("该账号已启用或已停用，没有可延长的初始凭证。忘记密码的，请发放一次性代码。")
    account.initial_until = clock.now() + timedelta(days=settings.value("initial_days"))
    journal.write_entry("account", account.id, "initial_renewed", by=by)


def load_actor(account_id: UUID | None) -> Actor:
    """The actor for whom a job runs: the member of staff who enqueued it, with the roles held now, of
    somebody with several organisations only those at the place chosen then (`at_current_place`); without
    roles and name if there is no such account, also for None. It is of the kind «staff» whatever the account
    is."""
    account = db.session.scalar(select(Account).where(Account.id == account_id))
    memberships = db.session.scalars(select(Membership).where(Membership.account_id == account_id)).all()
    return Actor(
        "staff",
        account_id,
        frozenset(membership.role for membership in at_current_place(memberships)),
        name=account.name if account else "",
    )


def code_hash(account_id: UUID, code: str) -> bytes:
    """The keyed hash that is stored for a one-time code of `account_id`; hyphens, blanks, case and width are
    ignored."""
    return current_vault().blind_index(f"one-time-code|{account_id}", code.replace("-", ""))
