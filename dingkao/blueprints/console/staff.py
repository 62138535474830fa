"""Staff in the console: who has which role at which organisation; invitations, one-time codes, closing and
reopening accounts, roles, lost second factors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, url_for
from flask_login import current_user
from werkzeug.wrappers import Response
from wtforms import StringField

from dingkao.blueprints.console.listing_pages import open_list
from dingkao.blueprints.console.navigation import console_blueprint
from dingkao.database.listing.definitions import ListRow
from dingkao.errors import InvalidInput, InvalidState
from dingkao.people import (
    accounts,
    administrator_invitations,
    authentication,
    organisation_queries,
    staff_accounts,
    staff_queries,
)
from dingkao.people.accounts import PROVINCE_ADMIN
from dingkao.people.administrator_invitations import LINK_VALID_DAYS
from dingkao.people.department_models import Department
from dingkao.people.departments import department_names, resolve_department
from dingkao.people.models import (
    ACCOUNT_STATES,
    Account,
    Membership,
    Organisation,
)
from dingkao.people.name_lookups import organisation_names
from dingkao.people.permissions import (
    ADDABLE_ROLE_LABELS,
    PROVINCE_ROLES,
    ROLE_LABELS,
    SCOPES,
    Scope,
)
from dingkao.people.staff_list import STAFF_LIST
from dingkao.web.access_control import require
from dingkao.web.form_submission import submit_form
from dingkao.web.forms import Choice, Form, Required

staff = console_blueprint("staff")


@dataclass(frozen=True)
class IssuedCredentials:
    """Credentials that are shown once: a one-time code to hand over, or the masked number to which a link was
    sent."""

    user_name: str
    code: str = ""
    mobile: str = ""


class StaffForm(Form):
    """The invitation of a member of staff."""

    user_name = StringField("用户名", [Required("请填写用户名，如 changzhi-jingban。")])
    name = StringField("姓名", [Required("请填写姓名。")])
    role = Choice(
        "角色",
        [Required("请选择角色。")],
        choices=list(ROLE_LABELS.items()),
    )
    organisation = StringField("机构登记号")
    department = StringField("科室")
    mobile = StringField("手机号码")


class MobileForm(Form):
    """The mobile number of an administrator whose account is not set up yet."""

    mobile = StringField("手机号码", [Required("请填写本人的11位手机号码。")])


class RoleForm(Form):
    """Another role for an account."""

    role = Choice(
        "角色",
        [Required("请选择角色。")],
        choices=list(ADDABLE_ROLE_LABELS.items()),
    )
    organisation = StringField("机构登记号")
    department = StringField("科室")


class CloseForm(Form):
    """The reason why an account is closed."""

    reason = StringField("停用原因", [Required("请填写停用原因，如“已调离”。")])


@staff.get("/office/staff")
@staff.post("/office/staff/search", endpoint="search_staff")
@require("staff.manage")
def list_staff() -> str | Response:
    """The staff of the province, and the form to invite somebody."""
    return _render_list(StaffForm(formdata=None), None)


@staff.post("/office/staff")
@require("staff.manage")
def invite() -> tuple[str | Response, int]:
    """Invite a member of staff. The one-time code is shown now and never again; an administrator gets a link
    by SMS, which nobody else sees. The response is the page itself and no redirect, because the code is
    stored nowhere from which a second request could show it. A refusal is shown in the form. Raises
    RateLimited."""
    form = StaffForm()
    credentials = submit_form(
        form,
        partial(_invite_from_form, form),
        refusals=(InvalidInput, InvalidState),
    )
    if credentials is None:
        return _render_list(form, None), 422
    return _render_list(StaffForm(formdata=None), credentials), 200


def _invite_from_form(form: StaffForm) -> IssuedCredentials:
    """Create the account and return its credentials. Raises InvalidInput, InvalidState, RateLimited."""
    user_name = form.user_name.data or ""
    name = form.name.data or ""
    actor = current_user.as_actor()
    if form.role.data == PROVINCE_ADMIN:
        mobile = form.mobile.data or ""
        account = administrator_invitations.invite_administrator(user_name, name, mobile, by=actor)
        return IssuedCredentials(
            user_name,
            mobile=authentication.masked_bound_mobile(account),
        )
    organisation = _organisation_of_role(form.role.data, form.organisation.data)
    account = accounts.create_staff(
        user_name,
        name,
        [(form.role.data, organisation)],
        by=actor,
        department=_department_of_role(organisation, form.department.data),
    )
    return IssuedCredentials(user_name, code=accounts.issue_code(account, by=actor))


def _organisation_of_role(role: str, registration_number: str | None) -> Organisation | None:
    """The open organisation with the typed 机构登记号, or into which that one was merged, at which a role is
    to be held; None for a role of the province's office, whatever was typed. Raises InvalidInput for the
    field `organisation`, also if the role takes an assessment organisation and it is none."""
    if role in PROVINCE_ROLES:
        return None
    organisation = organisation_queries.find_by_registration_number((registration_number or "").upper())
    if organisation is None:
        raise InvalidInput(
            "没有这个机构登记号，请在机构列表中核对。",
            "organisation",
        )
    if SCOPES[role] is Scope.ASSESSOR and not organisation.assesses:
        raise InvalidInput(
            f"{organisation.name}尚未指定为考核机构。",
            "organisation",
        )
    return organisation


def _department_of_role(organisation: Organisation | None, name: str | None) -> Department | None:
    """The department of the organisation that a form names; None if it names none or there is no
    organisation. Raises InvalidInput for the field `department`."""
    return resolve_department(organisation, name) if organisation and name else None


@staff.get("/office/staff/<uuid:account_id>")
@require("staff.manage")
def show_account(account_id: UUID) -> str:
    """One account: its state and roles, and the actions on it. Raises NotFound."""
    return _render_account(staff_queries.get_staff(account_id))


@staff.post("/office/staff/<uuid:account_id>/code")
@require("staff.manage")
def issue_code(account_id: UUID) -> str:
    """Issue a new one-time code for a member of staff, by which earlier ones become invalid, and show it
    once. Raises NotFound, Forbidden, InvalidState for a closed, an administrator's or the own account."""
    account = staff_accounts.get_staff_for_update(account_id, by=current_user.as_actor())
    code = staff_accounts.issue_staff_code(account, by=current_user.as_actor())
    return _render_account(
        account,
        messages=IssuedCredentials(account.user_name or "", code=code),
    )


@staff.post("/office/staff/<uuid:account_id>/link")
@require("staff.manage")
def send_link(account_id: UUID) -> Response:
    """Send the setup link to an administrator, by SMS after the commit, for the first time or because
    password or second factor were lost, which removes both and ends the sessions. Raises NotFound, Forbidden,
    InvalidState (for other staff, too), RateLimited."""
    account = staff_accounts.get_staff_for_update(account_id, by=current_user.as_actor())
    staff_accounts.send_administrator_link(account, by=current_user.as_actor())
    mobile = authentication.masked_bound_mobile(account)
    flash(f"设置链接已发送到{account.name}的手机{mobile}，{LINK_VALID_DAYS}天内有效。")
    return redirect(url_for("staff.show_account", account_id=account.id), 303)


@staff.post("/office/staff/<uuid:account_id>/mobile")
@require("staff.manage")
def change_mobile(account_id: UUID) -> Response | tuple[str, int]:
    """Change the mobile number of an administrator whose account isn't set up yet, and send the link to it,
    by which earlier ones become invalid; a refused number is named in the form. Raises NotFound, Forbidden,
    InvalidState, RateLimited."""
    form = MobileForm()

    def change(account: Account) -> str:
        """Change the number as the form says, and return the sentence to show. Raises InvalidInput for the
        field `mobile`, InvalidState, RateLimited."""
        staff_accounts.change_mobile(
            account,
            form.mobile.data or "",
            by=current_user.as_actor(),
        )
        return f"已更正手机号码，设置链接已发送到{authentication.masked_bound_mobile(account)}。"

    return _perform_action(account_id, "mobile", form, change)


@staff.post("/office/staff/<uuid:account_id>/close")
@require("staff.manage")
def close_account(account_id: UUID) -> Response | tuple[str, int]:
    """Close an account, with a reason: its sessions end, its codes and links become invalid. Without a reason
    the page with that message. Raises NotFound, Forbidden, InvalidState."""
    form = CloseForm()

    def close(account: Account) -> str:
        """Close the account for the form's reason, and return the sentence to show."""
        staff_accounts.close_account(
            account,
            by=current_user.as_actor(),
            reason=form.reason.data or "",
        )
        return f"已停用{account.name}的账号，登录已全部退出。"

    return _perform_action(account_id, "close", form, close)


@staff.post("/office/staff/<uuid:account_id>/reopen")
@require("staff.manage")
def reopen_account(account_id: UUID) -> str:
    """Reopen a closed account, whose old password is removed: with a one-time code that is shown once, an
    administrator's, who loses the second factor too, with a link that is sent. Raises NotFound, Forbidden,
    InvalidState, RateLimited."""
    actor = current_user.as_actor()
    account = staff_accounts.get_staff_for_update(account_id, by=actor)
    staff_accounts.reopen_account(account, by=actor)
    if account.mobile_index is not None:
        mobile = authentication.masked_bound_mobile(account)
        return _render_account(account, messages=IssuedCredentials("", mobile=mobile))
    code = staff_accounts.issue_staff_code(account, by=actor)
    return _render_account(
        account,
        messages=IssuedCredentials(account.user_name or "", code=code),
    )


@staff.post("/office/staff/<uuid:account_id>/roles")
@require("staff.manage")
def add_role(account_id: UUID) -> Response | tuple[str, int]:
    """Give an account another role, which ends its sessions; one that it has already changes nothing. A
    refused role, organisation or department is named in the form. Raises NotFound, Forbidden,
    InvalidState."""
    form = RoleForm()

    def add(account: Account) -> str:
        """Add the role of the form, and return the sentence to show. Raises InvalidInput naming the field,
        InvalidState."""
        organisation = _organisation_of_role(form.role.data, form.organisation.data)
        is_new = staff_accounts.add_role(
            account,
            form.role.data,
            organisation,
            by=current_user.as_actor(),
            department=_department_of_role(organisation, form.department.data),
        )
        if not is_new:
            return f"{account.name}已有角色“{ROLE_LABELS[form.role.data]}”，没有变更。"
        return f"已添加角色“{ROLE_LABELS[form.role.data]}”，{account.name}重新登录后生效。"

    return _perform_action(account_id, "role", form, add)


@staff.post("/office/staff/<uuid:account_id>/roles/<uuid:membership_id>/remove")
@require("staff.manage")
def remove_role(account_id: UUID, membership_id: UUID) -> Response:
    """Remove a role from an account, which ends its sessions. Raises NotFound, Forbidden, InvalidState, also
    for its last role and an administrator's."""
    account = staff_accounts.get_staff_for_update(account_id, by=current_user.as_actor())
    name = staff_accounts.remove_role(account, membership_id, by=current_user.as_actor())
    flash(f"已移除角色“{name}”，{account.name}的登录已全部退出。")
    return redirect(url_for("staff.show_account", account_id=account.id), 303)


@staff.post("/office/staff/<uuid:account_id>/second-factor")
@require("staff.manage")
def reset_second_factor(account_id: UUID) -> Response:
    """Remove a lost second factor of staff who are no administrators (these: `send_link`), which ends their
    sessions. Raises NotFound, Forbidden, InvalidState."""
    account = staff_accounts.get_staff_for_update(account_id, by=current_user.as_actor())
    staff_accounts.reset_second_factor(account, by=current_user.as_actor())
    flash(f"{account.name}原来的动态口令已失效，下次登录时重新绑定。")
    return redirect(url_for("staff.show_account", account_id=account.id), 303)


def _perform_action(
    account_id: UUID,
    name: str,
    form: Form,
    act: Callable[[Account], str],
) -> Response | tuple[str, int]:
    """If the form is valid, call `act` with the locked account and show the sentence that it returns; else,
    or if `act` raises InvalidInput, render the account's page with the form, which the template knows as
    `name`. Raises NotFound, Forbidden, InvalidState, and what else `act` raises."""
    account = staff_accounts.get_staff_for_update(account_id, by=current_user.as_actor())
    message = submit_form(form, partial(act, account))
    if message is None:
        return _render_account(account, **{name: form}), 422
    flash(message)
    return redirect(url_for("staff.show_account", account_id=account.id), 303)


def _render_account(
    account: Account,
    *,
    messages: IssuedCredentials | None = None,
    **forms: Any,
) -> str:
    """The page of an account. `messages`: credentials to be shown once; `forms`: refused forms, by the name
    that the template has for them."""
    memberships = authentication.memberships_of(account.id)
    roles = frozenset(membership.role for membership in memberships)
    return render_template(
        "console/staff/account.html",
        account=account,
        told=messages,
        role=forms.get("role") or RoleForm(formdata=None),
        close=forms.get("close") or CloseForm(formdata=None),
        mobile=forms.get("mobile") or MobileForm(formdata=None),
        number=authentication.masked_bound_mobile(account),
        administrator=PROVINCE_ADMIN in roles,
        roles=_roles_text(memberships).get(account.id, []),
        changeable_roles=ADDABLE_ROLE_LABELS,
        states=ACCOUNT_STATES,
        own=account.id == current_user.id,
        needs_second_factor=authentication.needs_second_factor(roles),
        closes_on=staff_accounts.closes_on(account),
    )


def _render_list(form: StaffForm, messages: IssuedCredentials | None) -> str | Response:
    """The list of staff. `messages`: credentials to be shown once. The redirect to a view's address where one
    was typed."""
    view = open_list(
        STAFF_LIST,
        links={"name": _account_address},
        endpoint="staff.list_staff",
        search_endpoint="staff.search_staff",
    )
    if isinstance(view, Response):
        return view
    return render_template("console/staff/list.html", view=view, form=form, told=messages)


def _account_address(row: ListRow) -> str:
    return url_for("staff.show_account", account_id=row[0].id)


def _roles_text(
    memberships: Sequence[Membership],
) -> dict[UUID, list[tuple[Membership, str]]]:
    """Account id → its memberships, each with role, organisation and department as text; accounts without one
    are left out."""
    names = organisation_names(membership.organisation_id for membership in memberships)
    departments = department_names(membership.department_id for membership in memberships)
    roles: dict[UUID, list[tuple[Membership, str]]] = {}
    for membership in memberships:
        organisation_id = membership.organisation_id
        organisation_name = names.get(organisation_id, "") if organisation_id else ""
        department = departments.get(membership.department_id, "") if membership.department_id else ""
        text = f"{ROLE_LABELS[membership.role]} {organisation_name}{department}".strip()
        roles.setdefault(membership.account_id, []).append((membership, text))
    return roles
