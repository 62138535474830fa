"""A client of the application, signed in as someone made for the test."""

import re
import uuid
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from dingkao import clock
from dingkao.database.base import db
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people import sign_in_sessions
from dingkao.people.accounts import create_staff
from dingkao.people.departments import add_departments, resolve_department
from dingkao.people.models import Organisation, SignInSession
from dingkao.people.permissions import SCOPES, Scope


def signed_in_client(
    application: Flask,
    in_province: Any,
    slug: str,
    role: str,
    organisation: str | None = None,
    *,
    department: str = "",
) -> FlaskClient:
    """A client with a session of a new member of staff of `slug`: `role`, at the organisation of that
    registration number; in its `department` of that name (for a role that is limited to one 内科, if nothing
    else is said), which is added where it is missing."""
    department = department or ("内科" if SCOPES[role] is Scope.DEPARTMENT else "")
    with in_province(slug):
        place = (
            db.session.scalar(select(Organisation).where(Organisation.registration_number == organisation))
            if organisation
            else None
        )
        if department and place:
            add_departments([(place.id, department)], by=TERMINAL_ACTOR)
        account = create_staff(
            f"t-{uuid.uuid4().hex[:12]}",
            "测试人员",
            [(role, place)],
            by=TERMINAL_ACTOR,
            department=resolve_department(place, department) if department and place else None,
        )
        account.state = "active"
        token = sign_in_sessions.start_session(account)
        db.session.flush()
        session = db.session.scalars(
            select(SignInSession).where(SignInSession.account_id == account.id)
        ).one()
        session.second_factor_at = clock.now()
        db.session.commit()
    client = application.test_client()
    client.set_cookie(f"dk-{slug}", token)
    client.account_id, client.slug = session.account_id, slug  # type: ignore[attr-defined]
    return client


def post_form(
    client: FlaskClient, address: str, page: str | None = None, *, follow_redirects: bool = False, **data: Any
) -> Any:
    """Post a form with the token that the page (by default the address itself) shows; with
    `follow_redirects` the page to which it leads."""
    token = re.search(
        r'name="csrf_token"[^>]*value="([^"]+)"', client.get(page or address).get_data(as_text=True)
    )
    assert token, "the page has no form"
    return client.post(address, data={"csrf_token": token[1]} | data, follow_redirects=follow_redirects)
