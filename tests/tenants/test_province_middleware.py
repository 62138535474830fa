"""The door: one address, one province."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from dingkao.database.base import db
from dingkao.tenants.middleware import PROVINCE_KEY, ProvinceMiddleware
from dingkao.tenants.registry import PROVINCES


def knock(path, **environ):
    """What the application behind the door is handed, or the (status, address) the door answered by
    itself."""
    environment, answered = {}, {}

    def application(inner, start_response):
        environment.update(inner)
        return []

    def start_response(status, headers):
        answered.update(status=status, location=dict(headers)["Location"])

    ProvinceMiddleware(application)({"PATH_INFO": path, "SCRIPT_NAME": "", **environ}, start_response)
    return environment or (answered["status"][:3], answered["location"])


@pytest.mark.parametrize("province", PROVINCES, ids=lambda province: province.slug)
def test_each_province_is_taken_off_the_path(province):
    environment = knock(f"/{province.slug}/home/x")
    assert environment[PROVINCE_KEY] is province
    assert (environment["SCRIPT_NAME"], environment["PATH_INFO"]) == (f"/{province.slug}", "/home/x")


@pytest.mark.parametrize(
    "path",
    ["/", "", "/platform/", "/verify/14X", "/static/a.css", "/atlantis/home", "//shanxi/home", "shanxi/"],
)
def test_every_other_address_is_left_alone_and_has_no_province(path):
    environment = knock(path)
    assert (environment["PATH_INFO"], environment["SCRIPT_NAME"]) == (path, "")
    assert PROVINCE_KEY not in environment


def test_a_province_in_the_environment_from_outside_is_not_believed():
    assert PROVINCE_KEY not in knock("/platform/", **{PROVINCE_KEY: PROVINCES[0]})


def test_two_provinces_in_one_path_are_the_first():
    environment = knock("/shanxi/henan/home")
    assert environment[PROVINCE_KEY].slug == "shanxi"
    assert environment["PATH_INFO"] == "/henan/home"


def test_capitals_and_a_missing_slash_lead_to_the_one_address():
    assert knock("/shanxi") == ("308", "/shanxi/")
    assert knock("/ShanXi/home", QUERY_STRING="a=1") == ("308", "/shanxi/home?a=1")


def test_an_address_can_not_break_out_of_the_header():
    status, location = knock("/SHANXI/a\r\nSet-Cookie: x=1")
    assert status == "308"
    assert "\r" not in location
    assert "\n" not in location


@pytest.mark.parametrize(
    ("method", "read_only"), [("GET", "on"), ("HEAD", "on"), ("POST", "off"), ("PUT", "off")]
)
def test_what_is_only_read_is_read_in_a_transaction_that_can_not_write(
    application, provinces, method, read_only
):
    modes = []

    def ask(environ, start_response):
        with application.app_context():
            modes.append(db.session.scalar(text("show transaction_read_only")))
        return []

    ProvinceMiddleware(ask)({"PATH_INFO": "/shanxi/", "REQUEST_METHOD": method}, lambda *_: None)
    assert modes == [read_only]


@given(st.text())
def test_any_path_gets_an_answer(path):
    knock("/" + path)
