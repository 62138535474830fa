"""Sealed numbers open in their own row alone, and are found in their own province alone."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dingkao.tenants.context import NoProvince, entered
from dingkao.tenants.secrets import NotOurs, Place, Vault

VAULT = Vault(bytes(range(32)))
ROW, OTHER_ROW = UUID(int=1), UUID(int=2)
PLACE = Place("doctor", "document_number", ROW)
NUMBER = "110101199003077571"


@given(st.text())
def test_what_was_sealed_opens_again(text):
    with entered(14):
        assert VAULT.unseal(PLACE, VAULT.seal(PLACE, text)) == text


@pytest.mark.parametrize(
    "elsewhere",
    [Place("doctor", "document_number", OTHER_ROW), Place("doctor", "mobile", ROW), Place("account", "document_number", ROW)],
)
def test_a_value_moved_to_another_row_column_or_table_does_not_open(elsewhere):
    with entered(14):
        sealed = VAULT.seal(PLACE, NUMBER)
        with pytest.raises(NotOurs):
            VAULT.unseal(elsewhere, sealed)


def test_another_province_or_another_key_does_not_open_it():
    with entered(14):
        sealed = VAULT.seal(PLACE, NUMBER)
        with pytest.raises(NotOurs):
            Vault(bytes(32)).unseal(PLACE, sealed)
    with entered(41), pytest.raises(NotOurs):
        VAULT.unseal(PLACE, sealed)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_one_changed_byte_is_found(position, change):
    with entered(14):
        sealed = bytearray(VAULT.seal(PLACE, NUMBER))
        sealed[position % len(sealed)] ^= change
        with pytest.raises(NotOurs):
            VAULT.unseal(PLACE, bytes(sealed))


@given(st.binary(max_size=40))
def test_rubbish_is_refused_and_never_a_crash(rubbish):
    with entered(14), pytest.raises(NotOurs):
        VAULT.unseal(PLACE, rubbish)


def test_the_same_number_never_looks_the_same_and_shows_nothing_of_itself():
    with entered(14):
        first, second = VAULT.seal(PLACE, NUMBER), VAULT.seal(PLACE, NUMBER)
        assert first != second
        assert NUMBER.encode() not in first + VAULT.blind_index("document", NUMBER)
    assert "data_key" not in repr(VAULT)


def test_a_number_is_found_however_it_was_typed_and_only_in_its_province_and_purpose():
    with entered(14):
        index = VAULT.blind_index("document", "11010119900307757X")
        assert VAULT.blind_index("document", " 11010119900307757x ") == index
        assert VAULT.blind_index("document", "11010119900307757X") == index
        assert VAULT.blind_index("mobile", "11010119900307757X") != index
    with entered(41):
        assert VAULT.blind_index("document", "11010119900307757X") != index
    with pytest.raises(NoProvince):
        VAULT.blind_index("document", NUMBER)
