"""The settings of a process: complete or refused, with every fault named at once."""

import base64

import pytest

from dingkao.settings import REQUIRED, Settings, SettingsMissing

KEY = base64.b64encode(bytes(32)).decode()


def test_all_missing_names_are_told_together():
    with pytest.raises(SettingsMissing) as told:
        Settings.from_environment({"DATABASE_URL": "postgresql+psycopg://x"})
    assert "DATABASE_URL" not in str(told.value).replace("PLATFORM_DATABASE_URL", "")
    for name in REQUIRED[1:]:
        assert name in str(told.value)


@pytest.mark.parametrize("key", ["short", "???", base64.b64encode(bytes(31)).decode()])
def test_a_data_key_of_another_length_is_refused(key):
    with pytest.raises(SettingsMissing, match="DATA_KEY"):
        Settings.from_environment(dict.fromkeys(REQUIRED, "x") | {"DATA_KEY": key})


def test_the_public_address_follows_the_port_and_loses_its_last_slash():
    given = dict.fromkeys(REQUIRED, "x") | {"DATA_KEY": KEY}
    assert Settings.from_environment(given | {"PORT": "8123"}).public_url == "http://127.0.0.1:8123"
    assert Settings.from_environment(given | {"PUBLIC_URL": "https://dk.example/"}).public_url == "https://dk.example"
