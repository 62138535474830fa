"""Every route: says whom it is for, is kept to a province, and shows another province's people nothing."""

import re
from pathlib import Path

import pytest
from flask import Flask

from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.people.permissions import ACTION_ROLES
from dingkao.web import access_control
from tests import sample_data
from tests.blueprints.signed_in_client import signed_in_client

OUTSIDE = {
    "front.choose_province",
    "healthz",
    "readyz",
    "certificate_lookup.lookup_form",
    "certificate_lookup.show_certificate",
}
PLATFORM = "platform."


def undeclared(app: Flask) -> list[str]:
    """Endpoints that don't say whom they are for."""
    return [
        name
        for name, view in app.view_functions.items()
        if getattr(view, "action", None) not in {*access_control.DOORS, *ACTION_ROLES}
    ]


def unguarded(app: Flask) -> list[str]:
    """Endpoints of no guarded blueprint, but for those named as outside every province."""
    guarded = {
        name
        for name in app.blueprints
        if any(
            function.__name__ == "refuse_without_province"
            for function in app.before_request_funcs.get(name, [])
        )
    }
    return [
        name
        for name in app.view_functions
        if name not in OUTSIDE and not name.startswith(PLATFORM) and name.split(".")[0] not in guarded
    ]


def test_every_route_says_whom_it_is_for(application):
    assert undeclared(application) == []


def test_every_route_of_a_province_is_guarded(application):
    assert unguarded(application) == []


def test_a_blueprint_without_its_guard_is_noticed(application):
    functions = application.before_request_funcs["dashboard"]
    application.before_request_funcs["dashboard"] = []
    try:
        assert "dashboard.show_tasks" in unguarded(application)
    finally:
        application.before_request_funcs["dashboard"] = functions


def test_every_route_that_a_page_names_is_there(application):
    """Of what a page shows but seldom, too."""
    templates = Path(application.root_path).parent / "templates"
    references = {
        (file.name, endpoint)
        for file in templates.rglob("*.html")
        for endpoint in re.findall(r"""url_for\(\s*['"]([\w.]+)['"]""", file.read_text())
    }
    assert len(references) > 100
    assert [
        reference for reference in sorted(references) if reference[1] not in application.view_functions
    ] == []


def addresses(app: Flask, method: str) -> list[str]:
    """The address of every guarded route that takes `method`, ids filled in."""
    examples = {"uuid": "01a20d6d-6950-77af-8da9-61ade7289f87", "int": "1", "string": "some"}
    rules = [
        rule
        for rule in app.url_map.iter_rules()
        if rule.endpoint not in OUTSIDE and not rule.endpoint.startswith(PLATFORM) and method in rule.methods
    ]
    return [
        re.sub(r"<(?:(\w+)(?:\(.*?\))?:)?\w+>", lambda part: examples[part[1] or "string"], rule.rule)
        for rule in rules
    ]


@pytest.fixture(scope="module")
def admin(application, provinces, in_province):
    """A client of an administrator of 山西."""
    return signed_in_client(application, in_province, "shanxi", "province_admin")


@pytest.fixture(scope="module")
def pages(application, admin):
    """What the administrator gets of every route, by address."""
    return {address: admin.get(f"/shanxi{address}") for address in addresses(application, "GET")}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_answers_without_a_province(application, provinces, method):
    client = application.test_client()
    for address in addresses(application, method):
        assert client.open(address, method=method, data={}).status_code in (400, 404), address


@pytest.mark.parametrize("role", ["province_admin", "institution_reviewer"])
def test_asking_for_the_head_of_a_page_writes_nothing(application, provinces, in_province, role):
    place = None if role == "province_admin" else sample_data.registration_number(14, 1)
    client = signed_in_client(application, in_province, "shanxi", role, place)
    for address in addresses(application, "GET"):
        assert client.head(f"/shanxi{address}").status_code < 500, address


def test_a_session_of_one_province_is_nothing_in_another(application, admin, pages):
    public = {
        f"/{rule}"
        for rule in (
            "login",
            "start",
            "outbox",
            "password/first",
            "password/reset",
            "wechat/begin",
            "wechat/back",
            "display",
            "setup",
            "setup/some",
        )
    }
    public |= {address for address in addresses(application, "GET") if address.startswith(("/news", "/faq"))}
    for address, page in pages.items():
        if address in public:
            continue
        assert page.status_code in (200, 403, 404), address
        foreign = admin.get(f"/henan{address}")
        assert foreign.status_code == 302, address
        assert "/henan/login" in foreign.location


def test_one_provinces_lists_name_nobody_of_the_other(application, provinces, in_province):
    with in_province("henan"):
        foreign_numbers = [doctor.number_masked for doctor in db.session.query(Doctor)]
    client = signed_in_client(application, in_province, "shanxi", "province_admin")
    text = client.get("/shanxi/office/doctors").get_data(as_text=True)
    assert "140105" in text
    assert not [number for number in foreign_numbers if number in text]
    assert "41省" not in client.get("/shanxi/office/institutions").get_data(as_text=True)


@pytest.fixture(scope="module")
def tokenless(application, admin):
    """What the administrator gets of every change that is asked for without the form's token, by address."""
    return {address: admin.post(f"/shanxi{address}", data={}) for address in addresses(application, "POST")}


def test_every_change_asks_for_the_forms_token(tokenless):
    for address, answer in tokenless.items():
        assert answer.status_code == 400, address


def test_no_answer_lets_itself_be_framed_or_brings_in_what_is_not_ours(admin, pages, tokenless):
    door = "/shanxi/sitting/01a20d6d-6950-77af-8da9-61ade7289f87"
    answers = [*pages.values(), *tokenless.values()]
    answers += [admin.post(f"{door}/{what}", data={}) for what in ("answer", "pulse")]
    answers += [
        admin.get(address)
        for address in (
            "/",
            "/verify",
            "/verify/14",
            "/platform/",
            "/platform/sign-in",
            "/healthz",
            "/readyz",
            "/nowhere",
        )
    ]
    assert {answer.status_code for answer in answers} >= {200, 302, 400, 403, 404}
    for answer in answers:
        policy = dict(
            part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";")
        )
        assert {
            name: policy.get(name) for name in ("default-src", "frame-ancestors", "base-uri")
        } == dict.fromkeys(("default-src", "frame-ancestors", "base-uri"), "'none'"), answer.request.path
        assert (policy["script-src"], policy["style-src"], policy["form-action"]) == (
            "'self'",
            "'self'",
            "'self'",
        ), answer.request.path
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
