"""What may happen only so often: counted within a province, for a time that begins with the first."""

from dingkao.tenants.keys import cache_key
from dingkao.tenants.rate_counters import current_count, increment, take_count


def test_the_time_begins_with_the_first_and_is_not_drawn_out(application, in_province, provinces):
    with in_province("shanxi"):
        cache, key = application.extensions["redis"], cache_key("trial", "x")
        assert increment("trial", "x", seconds=600) == 1
        cache.expire(key, 60)
        assert increment("trial", "x", seconds=600) == 2
        assert cache.ttl(key) <= 60
        assert (current_count("trial", "x"), take_count("trial", "x"), current_count("trial", "x")) == (
            2,
            2,
            0,
        )


def test_one_provinces_count_is_not_anothers(in_province, provinces):
    for slug in ("shanxi", "henan"):
        with in_province(slug):
            assert increment("trial", "y", seconds=600) == 1
