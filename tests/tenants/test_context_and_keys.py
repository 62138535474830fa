"""Outside a province nothing is had; inside one, nothing of another."""

from threading import Thread
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dingkao.tenants.context import NoProvince, WrongProvince, current_tenant, in_tenant
from dingkao.tenants.keys import cache_key, object_key, require_own_key

FILE = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
provinces = st.sampled_from([14, 41, 66, 900])


def test_outside_every_province_there_is_none_and_no_key():
    for ask in (
        current_tenant,
        lambda: object_key("photo", FILE),
        lambda: cache_key("code"),
        lambda: require_own_key("t/14/photo/x"),
    ):
        with pytest.raises(NoProvince):
            ask()


def test_a_province_ends_with_its_block_even_when_that_fails():
    with pytest.raises(ZeroDivisionError), in_tenant(14):
        raise ZeroDivisionError
    with pytest.raises(NoProvince):
        current_tenant()


def test_one_province_is_not_entered_from_inside_another():
    with in_tenant(14):
        with pytest.raises(WrongProvince), in_tenant(41):
            pass
        with in_tenant(14):
            assert current_tenant() == 14


@pytest.mark.parametrize("code", [0, -1, True, "14", None, 14.0])
def test_only_a_positive_whole_number_is_a_province(code):
    with pytest.raises(WrongProvince), in_tenant(code):
        pass


def test_another_thread_starts_outside():
    tenants = []

    def look():
        try:
            tenants.append(current_tenant())
        except NoProvince:
            tenants.append(None)

    with in_tenant(14):
        thread = Thread(target=look)
        thread.start()
        thread.join()
    assert tenants == [None]


def test_keys_carry_the_province():
    with in_tenant(14):
        assert object_key("photo", FILE) == f"t/14/photo/{FILE}"
        assert cache_key("sms-code", "a") == "t:14:sms-code:a"
        assert require_own_key("t/14/photo/x") == "t/14/photo/x"


@pytest.mark.parametrize("key", ["t/1/photo/x", "t/140/photo/x", "t:41:code:x", "photo", ""])
def test_a_key_of_anyone_else_is_refused(key):
    with in_tenant(14), pytest.raises(WrongProvince):
        require_own_key(key)


@pytest.mark.parametrize("kind", ["../x", "photo/..", "", "a:b", "照片"])
def test_a_kind_can_not_leave_its_folder(kind):
    with in_tenant(14), pytest.raises(ValueError, match="kind"):
        object_key(kind, uuid4())


@given(provinces, provinces, st.lists(st.text(), max_size=3), st.lists(st.text(), max_size=3))
def test_no_two_things_share_a_cache_key(one, other, some, more):
    with in_tenant(one):
        first = cache_key("code", *some)
    with in_tenant(other):
        second = cache_key("code", *more)
    assert (first == second) == ((one, some) == (other, more))
