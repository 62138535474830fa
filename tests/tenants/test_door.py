"""The door: one address, one province."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dingkao.tenants.door import PROVINCE, ProvinceDoor
from dingkao.tenants.registry import PROVINCES


def knock(path, **environ):
    """What the application behind the door is handed, or the (status, address) the door answered by itself."""
    seen, answered = {}, {}

    def application(inner, start_response):
        seen.update(inner)
        return []

    def start_response(status, headers):
        answered.update(status=status, location=dict(headers)["Location"])

    ProvinceDoor(application)({"PATH_INFO": path, "SCRIPT_NAME": "", **environ}, start_response)
    return seen or (answered["status"][:3], answered["location"])


@pytest.mark.parametrize("province", PROVINCES, ids=lambda province: province.slug)
def test_each_province_is_taken_off_the_path(province):
    seen = knock(f"/{province.slug}/home/x")
    assert seen[PROVINCE] is province
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == (f"/{province.slug}", "/home/x")


@pytest.mark.parametrize("path", ["/", "", "/platform/", "/verify/14X", "/static/a.css", "/atlantis/home", "//shanxi/home", "shanxi/"])
def test_every_other_address_is_left_alone_and_has_no_province(path):
    seen = knock(path)
    assert (seen["PATH_INFO"], seen["SCRIPT_NAME"]) == (path, "")
    assert PROVINCE not in seen


def test_a_province_in_the_environment_from_outside_is_not_believed():
    assert PROVINCE not in knock("/platform/", **{PROVINCE: PROVINCES[0]})


def test_two_provinces_in_one_path_are_the_first():
    seen = knock("/shanxi/henan/home")
    assert seen[PROVINCE].slug == "shanxi"
    assert seen["PATH_INFO"] == "/henan/home"


def test_capitals_and_a_missing_slash_lead_to_the_one_address():
    assert knock("/shanxi") == ("308", "/shanxi/")
    assert knock("/ShanXi/home", QUERY_STRING="a=1") == ("308", "/shanxi/home?a=1")


def test_an_address_can_not_break_out_of_the_header():
    status, location = knock("/SHANXI/a\r\nSet-Cookie: x=1")
    assert status == "308"
    assert "\r" not in location
    assert "\n" not in location


@given(st.text())
def test_any_path_gets_an_answer(path):
    knock("/" + path)
