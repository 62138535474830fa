"""Staff in the console: who works where in which role, inviting, one-time codes."""

from typing import Any
from uuid import UUID

from flask import render_template, request
from flask_login import current_user
from sqlalchemy import select
from wtforms import StringField

from dingkao.blueprints.access import allow
from dingkao.blueprints.console import ADMIN, of_office
from dingkao.blueprints.forms import Choice, Form, Needed
from dingkao.database.model import db
from dingkao.database.pages import page
from dingkao.errors import Invalid, NotFound
from dingkao.people import accounts
from dingkao.people.models import ACCOUNT_STATES, PROVINCE_ROLES, ROLES, Account, Membership, Organisation

staff = of_office("staff")


class StaffForm(Form):
    """An invitation."""

    user_name = StringField("用户名", [Needed("请填写用户名,如 changzhi-jingban。")])
    name = StringField("姓名", [Needed("请填写姓名。")])
    role = Choice("角色", [Needed("请选择角色。")], choices=list(ROLES.items()))
    organisation = StringField("机构登记号")


@staff.get("/office/staff")
@allow(ADMIN)
def index() -> str:
    """The staff of the province."""
    return _page(StaffForm(formdata=None), None)


@staff.post("/office/staff")
@allow(ADMIN)
def invite() -> tuple[str, int]:
    """Invite someone: the one-time code is shown now and never again."""
    form, told = StaffForm(), None
    if form.validate_on_submit():
        try:
            place = None
            if form.role.data not in PROVINCE_ROLES:
                place = db.session.scalar(
                    select(Organisation).where(Organisation.registration_number == (form.organisation.data or "").upper())
                )
                if place is None:
                    raise Invalid("没有这个机构登记号,请在机构列表中核对。", "organisation")
                if form.role.data.startswith("organisation_") and not place.assesses:
                    raise Invalid(f"{place.name}尚未指定为考核机构。", "organisation")
            made = accounts.make_staff(form.user_name.data or "", form.name.data or "", [(form.role.data, place)], by=current_user.actor())
            told = (made.user_name, accounts.issue_code(made, by=current_user.actor()))
        except Invalid as refusal:
            form.refuse(refusal)
    return _page(form if told is None else StaffForm(formdata=None), told), 200 if told else 422


@staff.post("/office/staff/<uuid:account_id>/code")
@allow(ADMIN)
def code(account_id: UUID) -> str:
    """A new one-time code for a member of staff."""
    account = db.session.scalar(select(Account).where(Account.id == account_id, Account.kind == "staff").with_for_update())
    if account is None:
        raise NotFound
    return _page(StaffForm(formdata=None), (account.user_name, accounts.issue_code(account, by=current_user.actor())))


def _page(form: StaffForm, told: Any) -> str:
    found = page(select(Account).where(Account.kind == "staff"), [Account.id], request.args.get("after"))
    held = db.session.scalars(select(Membership).where(Membership.account_id.in_([row.id for row in found.rows]))).all()
    names = {
        row.id: row.name
        for row in db.session.scalars(select(Organisation).where(Organisation.id.in_([m.organisation_id for m in held if m.organisation_id])))
    }
    roles: dict[UUID, list[str]] = {}
    for one in held:
        roles.setdefault(one.account_id, []).append(f"{ROLES[one.role]} {names.get(one.organisation_id, '') if one.organisation_id else ''}")
    return render_template("staff/index.html", page=found, roles=roles, form=form, told=told, states=ACCOUNT_STATES)
