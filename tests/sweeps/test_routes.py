"""Every route: says whom it is for, is kept to a province, and shows another province's people nothing."""

import re

import pytest
from flask import Flask

from dingkao.blueprints import access
from dingkao.database.model import db
from dingkao.doctors.models import Doctor
from dingkao.people.models import ROLES
from tests import material
from tests.blueprints.signed_in import client_of

OUTSIDE = {"front.pick", "healthz", "readyz", "verifying.ask", "verifying.show"}
PLATFORM = "platform."
KNOWN = {access.OPERATOR, access.ANYONE, access.TICKET, access.DOCTOR, access.STAFF, access.HALF, *ROLES}


def undeclared(app: Flask) -> list[str]:
    """Endpoints that don't say whom they are for."""
    return [name for name, view in app.view_functions.items() if not getattr(view, "access", None) or not view.access <= KNOWN]


def unguarded(app: Flask) -> list[str]:
    """Endpoints of no guarded blueprint, but for those named as outside every province."""
    guarded = {
        name for name in app.blueprints
        if any(function.__name__ == "refuse_without_province" for function in app.before_request_funcs.get(name, []))
    }  # fmt: skip
    return [name for name in app.view_functions if name not in OUTSIDE and not name.startswith(PLATFORM) and name.split(".")[0] not in guarded]


def test_every_route_says_whom_it_is_for(application):
    assert undeclared(application) == []


def test_every_route_of_a_province_is_guarded(application):
    assert unguarded(application) == []


def test_a_blueprint_without_its_guard_is_noticed(application):
    functions = application.before_request_funcs["office"]
    application.before_request_funcs["office"] = []
    try:
        assert "office.tasks" in unguarded(application)
    finally:
        application.before_request_funcs["office"] = functions


def addresses(app: Flask, method: str) -> list[str]:
    """The address of every guarded route that takes `method`, ids filled in."""
    some = {"uuid": "01a20d6d-6950-77af-8da9-61ade7289f87", "int": "1", "string": "some"}
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint not in OUTSIDE and not rule.endpoint.startswith(PLATFORM) and method in rule.methods]
    return [re.sub(r"<(?:(\w+)(?:\(.*?\))?:)?\w+>", lambda part: some[part[1] or "string"], rule.rule) for rule in rules]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_answers_without_a_province(application, provinces, method):
    client = application.test_client()
    for address in addresses(application, method):
        assert client.open(address, method=method, data={}).status_code in (400, 404), address


@pytest.mark.parametrize("role", ["province_admin", "institution_reviewer"])
def test_asking_for_the_head_of_a_page_writes_nothing(application, provinces, in_province, role):
    place = None if role == "province_admin" else material.registration_number(14, 1)
    client = client_of(application, in_province, "shanxi", role, place)
    for address in addresses(application, "GET"):
        assert client.head(f"/shanxi{address}").status_code < 500, address


def test_a_session_of_one_province_is_nothing_in_another(application, provinces, in_province):
    client = client_of(application, in_province, "shanxi", "province_admin")
    public = {f"/{rule}" for rule in ("login", "start", "outbox", "password/first", "password/reset", "wechat/begin", "wechat/back", "display")}
    public |= {address for address in addresses(application, "GET") if address.startswith(("/news", "/faq"))}
    for address in addresses(application, "GET"):
        if address in public:
            continue
        assert client.get(f"/shanxi{address}").status_code in (200, 403, 404), address
        foreign = client.get(f"/henan{address}")
        assert foreign.status_code == 302, address
        assert "/henan/login" in foreign.location


def test_one_provinces_lists_name_nobody_of_the_other(application, provinces, in_province):
    with in_province("henan"):
        theirs = [row.number_masked for row in db.session.query(Doctor)]
    client = client_of(application, in_province, "shanxi", "province_admin")
    shown = client.get("/shanxi/office/doctors").get_data(as_text=True)
    assert "140105" in shown
    assert not [number for number in theirs if number in shown]
    assert "41省" not in client.get("/shanxi/office/institutions").get_data(as_text=True)


def test_every_change_asks_for_the_forms_token(application, provinces, in_province):
    client = client_of(application, in_province, "shanxi", "province_admin")
    for address in addresses(application, "POST"):
        assert client.post(f"/shanxi{address}", data={}).status_code == 400, address
