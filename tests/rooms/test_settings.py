"""The settings of a process: complete or refused, with every fault named at once."""

import base64

import pytest

from dingkao.config import REQUIRED, AppConfig, ConfigError

KEY = base64.b64encode(bytes(32)).decode()


def test_all_missing_names_are_told_together():
    with pytest.raises(ConfigError) as raised:
        AppConfig.from_environment({"DATABASE_URL": "postgresql+psycopg://x"})
    assert "DATABASE_URL" not in str(raised.value).replace("PLATFORM_DATABASE_URL", "")
    for name in REQUIRED[1:]:
        assert name in str(raised.value)


@pytest.mark.parametrize(
    "key",
    [
        "short",
        "???",
        base64.b64encode(bytes(31)).decode(),
        f"0:{KEY}",
        f"32:{KEY}",
        f"x:{KEY}",
        f"1:{KEY},1:{KEY}",
        f"{KEY},",
        "1:",
    ],
)
def test_a_data_key_of_another_length_is_refused(key):
    with pytest.raises(ConfigError, match="DATA_KEY"):
        AppConfig.from_environment(dict.fromkeys(REQUIRED, "x") | {"DATA_KEY": key})


def test_the_public_address_follows_the_port_and_loses_its_last_slash():
    environment = dict.fromkeys(REQUIRED, "x") | {"DATA_KEY": KEY}
    assert AppConfig.from_environment(environment | {"PORT": "8123"}).public_url == "http://127.0.0.1:8123"
    assert (
        AppConfig.from_environment(environment | {"PUBLIC_URL": "https://dk.example/"}).public_url
        == "https://dk.example"
    )


def test_keys_have_numbers_and_the_first_seals():
    environment = dict.fromkeys(REQUIRED, "x")
    assert AppConfig.from_environment(environment | {"DATA_KEY": KEY}).data_keys == {1: bytes(32)}
    data_keys = AppConfig.from_environment(environment | {"DATA_KEY": f"2:{KEY}, 1:{KEY}"}).data_keys
    assert list(data_keys) == [2, 1]


@pytest.mark.parametrize("number", ["", "two", "-1", "1.5"])
def test_a_number_of_proxies_that_is_none_is_refused_by_name(number):
    environment = dict.fromkeys(REQUIRED, "x") | {"DATA_KEY": KEY}
    assert AppConfig.from_environment(environment | {"TRUSTED_PROXIES": "2"}).trusted_proxies == 2
    with pytest.raises(ConfigError, match="TRUSTED_PROXIES"):
        AppConfig.from_environment(environment | {"TRUSTED_PROXIES": number})
