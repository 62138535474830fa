"""Sealed numbers open in their own row alone, and are found in their own province alone."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dingkao.tenants.context import NoProvince, in_tenant
from dingkao.tenants.encryption import DecryptionFailed, SecretLocation, Vault

VAULT = Vault({1: bytes(range(32))})
ROW_ID, OTHER_ROW_ID = UUID(int=1), UUID(int=2)
PLACE = SecretLocation("doctor", "document_number", ROW_ID)
NUMBER = "110101199003077571"
BY_THE_FIRST_VERSION = (
    "01f2f383e6576b1d051be8fe0c5724d11a14d266e3217cdb3d428512cbb684fd8b04617c441efb7f3b80d8fa27bb5f"
)


@given(st.text())
def test_what_was_sealed_opens_again(text):
    with in_tenant(14):
        assert VAULT.decrypt(PLACE, VAULT.encrypt(PLACE, text)) == text


@pytest.mark.parametrize(
    "elsewhere",
    [
        SecretLocation("doctor", "document_number", OTHER_ROW_ID),
        SecretLocation("doctor", "mobile", ROW_ID),
        SecretLocation("account", "document_number", ROW_ID),
    ],
)
def test_a_value_moved_to_another_row_column_or_table_does_not_open(elsewhere):
    with in_tenant(14):
        sealed = VAULT.encrypt(PLACE, NUMBER)
        with pytest.raises(DecryptionFailed):
            VAULT.decrypt(elsewhere, sealed)


def test_another_province_or_another_key_does_not_open_it():
    with in_tenant(14):
        sealed = VAULT.encrypt(PLACE, NUMBER)
        with pytest.raises(DecryptionFailed):
            Vault({1: bytes(32)}).decrypt(PLACE, sealed)
    with in_tenant(41), pytest.raises(DecryptionFailed):
        VAULT.decrypt(PLACE, sealed)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_one_changed_byte_is_found(position, change):
    with in_tenant(14):
        sealed = bytearray(VAULT.encrypt(PLACE, NUMBER))
        sealed[position % len(sealed)] ^= change
        with pytest.raises(DecryptionFailed):
            VAULT.decrypt(PLACE, bytes(sealed))


@given(st.binary(max_size=40))
def test_rubbish_is_refused_and_never_a_crash(rubbish):
    with in_tenant(14), pytest.raises(DecryptionFailed):
        VAULT.decrypt(PLACE, rubbish)


def test_the_same_number_never_looks_the_same_and_shows_nothing_of_itself():
    with in_tenant(14):
        first, second = VAULT.encrypt(PLACE, NUMBER), VAULT.encrypt(PLACE, NUMBER)
        assert first != second
        assert NUMBER.encode() not in first + VAULT.blind_index("document", NUMBER)
    assert repr(VAULT) == "Vault()"


def test_a_number_is_found_however_it_was_typed_and_only_in_its_province_and_purpose():
    with in_tenant(14):
        index = VAULT.blind_index("document", "11010119900307757X")
        assert VAULT.blind_index("document", " 11010119900307757x ") == index
        assert VAULT.blind_index("document", "11010119900307757X") == index
        assert VAULT.blind_index("mobile", "11010119900307757X") != index
    with in_tenant(41):
        assert VAULT.blind_index("document", "11010119900307757X") != index
    with pytest.raises(NoProvince):
        VAULT.blind_index("document", NUMBER)


def test_what_is_sealed_names_its_key_and_two_can_be_open_at_once():
    old_vault, new_vault = Vault({1: bytes(32)}), Vault({2: bytes(range(32)), 1: bytes(32)})
    with in_tenant(14):
        old_sealed, new_sealed = old_vault.encrypt(PLACE, NUMBER), new_vault.encrypt(PLACE, NUMBER)
        assert (old_sealed[0], new_sealed[0]) == (1, 2)
        assert new_vault.decrypt(PLACE, old_sealed) == new_vault.decrypt(PLACE, new_sealed) == NUMBER
        for vault, sealed in (
            (old_vault, new_sealed),
            (Vault({2: bytes(range(32))}), old_sealed),
            (new_vault, bytes([1]) + new_sealed[1:]),
        ):
            with pytest.raises(DecryptionFailed):
                vault.decrypt(PLACE, sealed)
        assert old_vault.blind_index("document", NUMBER) == new_vault.blind_index("document", NUMBER)


def test_what_was_sealed_by_the_first_version_opens():
    with in_tenant(14):
        sealed = bytes.fromhex(BY_THE_FIRST_VERSION)
        assert VAULT.decrypt(PLACE, sealed) == NUMBER
