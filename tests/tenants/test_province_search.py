"""Finding a province: by its name, its pinyin, the first letters, as people type them."""

import pytest
from pypinyin import lazy_pinyin

from dingkao.tenants.registry import PROVINCES, search, search_terms


def slugs(typed):
    return [province.slug for province in search(typed, PROVINCES)]


@pytest.mark.parametrize("province", PROVINCES, ids=lambda province: province.slug)
def test_every_province_is_found_by_all_it_is_called(province):
    read = lazy_pinyin(province.short_name)
    if province.slug == "chongqing":
        read = ["chong", "qing"]
    if province.slug == "xizang":
        read = ["xi", "zang"]
    for query in (
        province.name,
        province.short_name,
        "".join(read),
        " ".join(read),
        "".join(syllable[0] for syllable in read),
        province.slug,
        province.short_name[0],
    ):
        assert province.slug in slugs(query), query
        assert province.slug in slugs(f" {query.upper()} "), query
    assert "".join(read) == search_terms(province)[2]


def test_the_two_that_are_read_alike_are_both_found_and_told_apart_by_their_names():
    assert slugs("shanxi") == slugs("shan xi") == ["shanxi", "shaanxi"]
    assert slugs("陕西") == ["shaanxi"]
    assert slugs("山西长治") == ["shanxi"]
    assert slugs("shaanxi") == ["shaanxi"]
    assert slugs("ＳＸ") == ["shanxi", "shaanxi"]
    assert slugs("hlj") == ["heilongjiang"]


def test_nothing_typed_is_everything_and_nonsense_is_nothing():
    assert len(slugs("")) == len(slugs(" - ")) == len(PROVINCES)
    assert slugs("xyz") == slugs("中国人") == slugs("省山") == []
