"""What operators can do with a province: open it, suspend and resume its service, appoint its first
administrators. They have no access to personal data of doctors.

Functions that take a slug are called outside every province, enter it themselves, and drop what the database
session holds; accounts that they return belong to no session.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import update

from dingkao.database.base import db
from dingkao.errors import InvalidState, NotFound
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.operators import act_log
from dingkao.people import administrator_invitations, staff_accounts
from dingkao.people.accounts import is_administrator
from dingkao.people.authentication import masked_bound_mobile
from dingkao.people.models import Account
from dingkao.people.provinces import (
    open_province,
    opened_provinces,
    province_states,
)
from dingkao.tenants.context import in_tenant
from dingkao.tenants.models import OpenedProvince
from dingkao.tenants.registry import PROVINCES, Province, by_slug


@dataclass(frozen=True)
class ProvinceStatus:
    """A province of the registry and its state: unopened, open or closed."""

    province: Province
    state: str
    opened_at: object

    @property
    def is_unopened(self) -> bool:
        """Whether the province has not been opened yet."""
        return self.state == "unopened"

    @property
    def is_open(self) -> bool:
        """Whether the province is in service."""
        return self.state == "open"


def list_provinces() -> list[ProvinceStatus]:
    """Returns all provinces with their states, in the registry's order."""
    opened_by_code = {opened.code: opened for opened in opened_provinces()}
    return [_status_of(province, opened_by_code.get(province.code)) for province in PROVINCES]


def _status_of(province: Province, opened: OpenedProvince | None) -> ProvinceStatus:
    """The state of a province of the registry, from its row (None: it was never opened)."""
    if opened is None:
        return ProvinceStatus(province, "unopened", None)
    return ProvinceStatus(province, opened.state, opened.opened_at)


def open_by_slug(slug: str, *, operator: UUID, name: str) -> None:
    """Open a province, which changes nothing for one that was opened before. `operator` and `name` are those
    of who acts, as in the functions below; all of them commit, and write the operator's act once that is
    done. Raises NotFound."""
    province = _require_known(slug)
    with in_tenant(province.code):
        open_province(province, by=Actor("operator", operator, name=name))
        db.session.commit()
        db.session.remove()
    act_log.record_act(operator, "province_opened", province.code)


def set_service_state(slug: str, state: str, *, operator: UUID, name: str) -> None:
    """Suspend (`state` closed) or resume (open) the service of a province; its data stay, and each process
    notices it within some seconds. The state is committed first, then a journal entry in the province, then
    the operator's act. Raises NotFound, InvalidState if it was never opened."""
    province = _require_opened(slug)
    with db.engines["platform"].begin() as connection:
        connection.execute(
            update(OpenedProvince).where(OpenedProvince.code == province.code).values(state=state)
        )
    with in_tenant(province.code):
        journal.write_entry(
            "province",
            UUID(int=province.code),
            "service_resumed" if state == "open" else "service_stopped",
            by=Actor("operator", operator, name=name),
        )
        db.session.commit()
        db.session.remove()
    act_log.record_act(
        operator,
        "province_resumed" if state == "open" else "province_stopped",
        province.code,
    )


def administrators(slug: str) -> list[tuple[Account, str]]:
    """Returns the administrators of a province, closed ones too, with their masked mobile numbers; the
    platform sees nobody else of its people. Raises NotFound, InvalidState."""
    province = _require_opened(slug)
    with in_tenant(province.code):
        accounts = [
            (account, masked_bound_mobile(account)) for account in staff_accounts.list_administrators()
        ]
        db.session.remove()
    return accounts


def appoint_administrator(
    slug: str, administrator_name: str, mobile: str, *, operator: UUID, name: str
) -> Account:
    """Appoint one of the first two administrators, with this name and mobile number, and send the setup link
    once that is committed (here); one who has this number already stays as is, and gets a link only if the
    account isn't set up yet. The operator's act is written. Raises NotFound, InvalidState, InvalidInput,
    RateLimited."""
    province = _require_opened(slug)
    with in_tenant(province.code):
        try:
            account = administrator_invitations.appoint_first_administrator(
                administrator_name,
                mobile,
                by=Actor("operator", operator, name=name),
            )
            db.session.commit()
        finally:
            db.session.remove()
    act_log.record_act(operator, "administrator_appointed", province.code)
    return account


def close_administrator(
    slug: str,
    account_id: UUID,
    reason: str,
    *,
    operator: UUID,
    name: str,
) -> None:
    """Close an administrator's account, which ends its sessions and makes its links invalid; commits, and
    writes the operator's act. Raises NotFound, InvalidState, InvalidInput without a reason."""
    with _administrator_for_update(
        slug,
        account_id,
        "administrator_closed",
        operator=operator,
        name=name,
    ) as (
        account,
        actor,
    ):
        staff_accounts.close_account(account, by=actor, reason=reason)


def reopen_administrator(slug: str, account_id: UUID, *, operator: UUID, name: str) -> None:
    """Reopen a closed administrator's account without its old password and second factor, and send a setup
    link; commits, and writes the operator's act. Raises NotFound, InvalidState, RateLimited."""
    verb = "administrator_reopened"
    with _administrator_for_update(slug, account_id, verb, operator=operator, name=name) as (account, actor):
        staff_accounts.reopen_account(account, by=actor)


def send_administrator_link(slug: str, account_id: UUID, *, operator: UUID, name: str) -> None:
    """Send a setup link to an administrator who lost password or phone, or has not signed in yet. Earlier
    credentials and links become invalid, and sessions end. Commits, and writes the operator's act. Raises
    NotFound, InvalidState, RateLimited."""
    with _administrator_for_update(
        slug,
        account_id,
        "administrator_renewed",
        operator=operator,
        name=name,
    ) as (
        account,
        actor,
    ):
        staff_accounts.send_administrator_link(account, by=actor)


def change_mobile(
    slug: str,
    account_id: UUID,
    mobile: str,
    *,
    operator: UUID,
    name: str,
) -> None:
    """Store another mobile number of an administrator, and send the setup link to it, unless the account is
    closed; an account that is set up loses password and second factor, and its sessions end. Commits, and
    writes the operator's act. Raises NotFound, InvalidState, InvalidInput, RateLimited."""
    verb = "administrator_mobile_changed"
    with _administrator_for_update(slug, account_id, verb, operator=operator, name=name) as (account, actor):
        staff_accounts.change_mobile(account, mobile, by=actor)


@contextmanager
def _administrator_for_update(
    slug: str,
    account_id: UUID,
    verb: str,
    *,
    operator: UUID,
    name: str,
) -> Iterator[tuple[Account, Actor]]:
    """Yield an administrator's locked account, in its province, and the operator as the actor; afterwards
    commit, and write the operator's act `verb`; if the block raises, neither. Raises NotFound if the account
    is not an administrator's, InvalidState."""
    province = _require_opened(slug)
    actor = Actor("operator", operator, name=name)
    with in_tenant(province.code):
        try:
            if not is_administrator(account_id):
                raise NotFound("没有这位省级管理员。请刷新页面查看。")
            yield (
                staff_accounts.get_staff_for_update(account_id, by=actor),
                actor,
            )
            db.session.commit()
        finally:
            db.session.remove()
    act_log.record_act(operator, verb, province.code)


def _require_opened(slug: str) -> Province:
    """Returns the province of a slug. Raises NotFound for an unknown one, InvalidState if it was never
    opened."""
    province = _require_known(slug)
    if province.code not in province_states():
        raise InvalidState(f"{province.name}尚未开通。")
    return province


def _require_known(slug: str) -> Province:
    """Returns the province of a slug. Raises NotFound for an unknown one."""
    province = by_slug(slug)
    if province is None:
        raise NotFound("没有这个省份。")
    return province
