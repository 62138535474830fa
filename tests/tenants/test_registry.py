"""The provinces: complete, unambiguous, and never in the way of an address of our own."""

from dingkao.tenants.registry import FIRST_SANDBOX_CODE, PROVINCES, RESERVED_SEGMENTS, by_code, by_slug


def test_there_are_thirty_two_each_found_by_its_slug_and_code():
    assert len(PROVINCES) == 32
    for province in PROVINCES:
        assert by_slug(province.slug) is province
        assert by_code(province.code) is province


def test_names_and_commissions_belong_to_one_province_only():
    for field in ("name", "short_name", "commission"):
        assert len({getattr(province, field) for province in PROVINCES}) == 32
    assert by_slug("shanxi").commission == "山西省卫生健康委员会"
    assert by_slug("shaanxi").commission == "陕西省卫生健康委员会"


def test_slugs_are_plain_and_keep_off_reserved_addresses():
    for province in PROVINCES:
        assert province.slug.isascii()
        assert province.slug.islower()
        assert province.slug not in RESERVED_SEGMENTS
        assert 11 <= province.code < FIRST_SANDBOX_CODE


def test_capitals_find_the_same_province_and_unknown_ones_none():
    assert by_slug("Shanxi") is by_slug("shanxi")
    assert by_slug("atlantis") is None
    assert by_slug("") is None
    assert by_code(71) is None
