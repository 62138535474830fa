"""Accounts: made, found, handed a one-time code."""

import secrets
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select, update

from dingkao import clock
from dingkao.database.model import db, new_id
from dingkao.errors import Invalid, NotAllowed
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor
from dingkao.people.identity import login_number
from dingkao.people.models import PROVINCE_ROLES, ROLES, Account, Membership, OneTimeCode, Organisation, SignInSession
from dingkao.tenants import settings
from dingkao.tenants.secrets import normalised, vault

CODE_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
CODE_LENGTH = 10
CODE_DAYS = 14


def doctor_login_index(number: str) -> bytes:
    """By what a doctor's account is found: the ID number as typed."""
    return vault().blind_index("login-number", login_number(number))


def staff_login_index(user_name: str) -> bytes:
    """By what a member of staff's account is found: the user name, capitals or not."""
    return vault().blind_index("login-name", normalised(user_name))


def make_staff(user_name: str, name: str, roles: list[tuple[str, Organisation | None]], *, by: Actor) -> Account:
    """An account of staff with its roles, not yet opened; hand over a code by `issue_code`. Raises Invalid."""
    if not 3 <= len(user_name) <= 40 or not user_name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise Invalid("用户名请用3至40个字母、数字、点或横线。", "user_name")
    index = staff_login_index(user_name)
    if db.session.scalar(select(Account.id).where(Account.login_index == index)):
        raise Invalid(f"用户名“{user_name}”已被使用,请换一个。", "user_name")
    account = Account(
        id=new_id(), kind="staff", login_index=index, user_name=user_name, name=name,
        initial_until=clock.now() + timedelta(days=settings.value("initial_days")),
    )  # fmt: skip
    db.session.add(account)
    db.session.flush()
    for role, organisation in roles:
        give_role(account, role, organisation, by=by)
    journal.write("account", account.id, "made", by=by, after=account.state)
    return account


def give_role(account: Account, role: str, organisation: Organisation | None, *, by: Actor) -> None:
    """Add a role; a province's role has no organisation, every other has one. Sessions begun with fewer rights end. Repeatable. Raises
    Invalid."""
    if role not in ROLES or (role in PROVINCE_ROLES) != (organisation is None):
        raise Invalid("请为该角色选择所属机构。", "role")
    organisation_id = organisation.id if organisation else None
    held = select(Membership.id).where(
        Membership.account_id == account.id, Membership.role == role, Membership.organisation_id.is_not_distinct_from(organisation_id)
    )
    if db.session.scalar(held) is None:
        db.session.add(Membership(account_id=account.id, organisation_id=organisation_id, role=role))
        db.session.execute(
            update(SignInSession).where(SignInSession.account_id == account.id, SignInSession.ended_at.is_(None)).values(ended_at=clock.now())
        )
        journal.write("account", account.id, "role_given", by=by, role=role, organisation=str(organisation_id or ""))


def new_code() -> str:
    """A fresh one-time code: 50 bits in letters and digits that aren't mistaken for each other, written 5-5."""
    code = "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH))
    return f"{code[:5]}-{code[5:]}"


def issue_code(account: Account, *, by: Actor) -> str:
    """A one-time code for `account`, shown once and kept as a keyed hash; codes issued before lose their force, and an account
    nobody has opened is renewed (security.md 1)."""
    db.session.execute(
        update(OneTimeCode).where(OneTimeCode.account_id == account.id, OneTimeCode.used_at.is_(None)).values(used_at=clock.now())
    )
    code = new_code()
    row = OneTimeCode(
        account_id=account.id, code_hash=code_hash(account.id, code), issued_by=by.id, expires_at=clock.now() + timedelta(days=CODE_DAYS)
    )
    db.session.add(row)
    if account.state == "initial":
        account.initial_until = clock.now() + timedelta(days=settings.value("initial_days"))
    journal.write("account", account.id, "code_issued", by=by)
    return code


def renew_initial(account: Account, *, by: Actor) -> None:
    """Let the initial credential of an account that nobody has opened hold for another term (security.md 1); the caller holds it locked.
    Raises NotAllowed."""
    if account.state != "initial":
        raise NotAllowed("该账号已启用或已停用,没有可延长的初始凭证。忘记密码的,请发放一次性代码。")
    account.initial_until = clock.now() + timedelta(days=settings.value("initial_days"))
    journal.write("account", account.id, "initial_renewed", by=by)


def actor_of(account_id: UUID | None) -> Actor:
    """Who asked for slow work, with the roles held now; somebody without any where the account is gone."""
    account = db.session.scalar(select(Account).where(Account.id == account_id))
    held = db.session.scalars(select(Membership).where(Membership.account_id == account_id)).all()
    return Actor("staff", account_id, frozenset(one.role for one in held), name=account.name if account else "")


def code_hash(account_id: UUID, code: str) -> bytes:
    """The keyed hash under which a one-time code of `account_id` is kept."""
    return vault().blind_index(f"one-time-code|{account_id}", code.replace("-", ""))
