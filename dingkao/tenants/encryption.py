"""Encrypts personal numbers with a key of the province, and computes blind indexes by which they are found.

AES-256-GCM, with a key that is derived for each province from one of the installation's data keys. Data keys
have numbers, and the first byte of a ciphertext is the number of its key. Several can be in use, so that
values under an older key can be read while they are re-encrypted. A ciphertext is bound to province, table,
column and row, and can't be decrypted for another place. The blind index is keyed, because otherwise all
eighteen-digit numbers could be tried; it uses the key with the lowest number, since an index has no place for
the number of its key.
"""

import hmac
import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from uuid import UUID

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flask import Flask, current_app

from dingkao.tenants.characters import fold_lookalikes
from dingkao.tenants.context import current_tenant

NONCE_BYTES, TAG_BYTES = 12, 16
PLATFORM_OWNER = 0
MAX_NORMALISE_ROUNDS = 8


class DecryptionFailed(ValueError):  # noqa: N818
    """A value can't be decrypted: it is damaged, or belongs to another row, column or province, or its key is
    missing."""


@dataclass(frozen=True)
class SecretLocation:
    """Table, column and row of an encrypted value. They are authenticated with the value."""

    table: str
    column: str
    row: UUID

    def associated_data(self, tenant: int) -> bytes:
        """Returns the bytes that are authenticated with a value at this location, so that it can't be moved
        elsewhere."""
        return f"{tenant}|{self.table}|{self.column}|{self.row}".encode()


@dataclass(frozen=True)
class Vault:
    """Encrypts and decrypts values of the current province. `data_keys`: number (1 to 31) → 32-byte key; the
    first one encrypts, all decrypt. Outside a province the methods raise NoProvince, except those for the
    platform."""

    data_keys: Mapping[int, bytes] = field(repr=False)

    @property
    def _index_key(self) -> bytes:
        """The data key with the lowest number, for what can't store the number of its key: indexes, MACs and
        signatures."""
        return self.data_keys[min(self.data_keys)]

    @property
    def current_key_number(self) -> int:
        """The number of the data key that encrypts now."""
        return next(iter(self.data_keys))

    def looks_encrypted(self, content: bytes) -> bool:
        """Whether bytes begin with the number of a data key in use and are long enough for a ciphertext."""
        return (
            content[:1] in {bytes([number]) for number in self.data_keys}
            and len(content) >= 1 + NONCE_BYTES + TAG_BYTES
        )

    def encrypt(self, location: SecretLocation, plaintext: str) -> bytes:
        """Returns the ciphertext of `plaintext` for `location`: key number (1 byte), nonce, ciphertext with
        tag. It is different each time."""
        return self.encrypt_bytes(location, plaintext.encode())

    def encrypt_bytes(
        self,
        location: SecretLocation,
        plaintext: bytes,
        *,
        platform: bool = False,
    ) -> bytes:
        """Returns the ciphertext of bytes, such as a file's; with `platform` under the platform's key."""
        return self._encrypt(_owner_code(platform), location, plaintext)

    def encrypt_for_platform(self, location: SecretLocation, plaintext: str) -> bytes:
        """Returns the ciphertext of a text under the platform's key, which belongs to no province."""
        return self._encrypt(PLATFORM_OWNER, location, plaintext.encode())

    def decrypt_for_platform(self, location: SecretLocation, ciphertext: bytes) -> str:
        """Returns the text that was encrypted under the platform's key. Raises DecryptionFailed."""
        return self._decrypt(PLATFORM_OWNER, location, ciphertext).decode()

    def _encrypt(self, owner: int, location: SecretLocation, plaintext: bytes) -> bytes:
        """Returns the ciphertext of bytes under the key of the province (or platform) `owner`."""
        nonce = os.urandom(NONCE_BYTES)
        key = _derive_key(self.data_keys[self.current_key_number], owner, "seal")
        return (
            bytes([self.current_key_number])
            + nonce
            + AESGCM(key).encrypt(nonce, plaintext, location.associated_data(owner))
        )

    def decrypt(self, location: SecretLocation, ciphertext: bytes) -> str:
        """Returns the text that was encrypted for `location`. Raises DecryptionFailed."""
        return self.decrypt_bytes(location, ciphertext).decode()

    def decrypt_bytes(
        self,
        location: SecretLocation,
        ciphertext: bytes,
        *,
        platform: bool = False,
    ) -> bytes:
        """Returns the bytes that were encrypted for `location`, with `platform` under the platform's key.
        Raises DecryptionFailed."""
        return self._decrypt(_owner_code(platform), location, ciphertext)

    def _decrypt(self, owner: int, location: SecretLocation, ciphertext: bytes) -> bytes:
        """Returns the bytes of a ciphertext under the key of the province (or platform) `owner`. Raises
        DecryptionFailed."""
        if not self.looks_encrypted(ciphertext):
            raise DecryptionFailed("not sealed with a key that is open here")
        nonce = ciphertext[1 : 1 + NONCE_BYTES]
        body = ciphertext[1 + NONCE_BYTES :]
        try:
            return AESGCM(_derive_key(self.data_keys[ciphertext[0]], owner, "seal")).decrypt(
                nonce, body, location.associated_data(owner)
            )
        except (InvalidTag, ValueError) as fault:
            raise DecryptionFailed("does not open here") from fault

    def blind_index(self, purpose: str, text: str) -> bytes:
        """Returns 32 bytes by which `text` is found in this province for this purpose. Texts that are equal
        after `normalise_text` have the same index."""
        return self._index(current_tenant(), purpose, text)

    def platform_index(self, purpose: str, text: str) -> bytes:
        """Returns 32 bytes by which `text` is found among the platform's for this purpose; texts that are
        equal after `normalise_text` have the same index."""
        return self._index(PLATFORM_OWNER, purpose, text)

    def mac(self, purpose: str, content: bytes, *, platform: bool = False) -> bytes:
        """Returns 32 bytes that authenticate `content`, byte for byte, as written by this province (or the
        platform) for this purpose."""
        return hmac.digest(
            _derive_key(
                self._index_key,
                _owner_code(platform),
                f"mac|{purpose}",
            ),
            content,
            "sha256",
        )

    def sign(self, purpose: str, content: bytes, *, platform: bool = False) -> bytes:
        """Returns the Ed25519 signature (64 bytes) of `content` by this province, or the platform, for this
        purpose."""
        return _signing_key(self._index_key, _owner_code(platform), purpose).sign(content)

    def is_signed(
        self,
        purpose: str,
        content: bytes,
        signature: bytes,
        *,
        platform: bool = False,
    ) -> bool:
        """Whether `signature` is the signature of `content` by this province, or the platform, for this
        purpose."""
        try:
            _signing_key(self._index_key, _owner_code(platform), purpose).public_key().verify(
                signature, content
            )
        except InvalidSignature:
            return False
        return True

    def _index(self, owner: int, purpose: str, text: str) -> bytes:
        """Returns the blind index of a text for the province (or platform) `owner`."""
        key = _derive_key(self._index_key, owner, f"index|{purpose}")
        return hmac.digest(key, normalise_text(text).encode(), "sha256")


def _owner_code(platform: bool) -> int:
    """Returns the number from which keys are derived: the current province's code, or PLATFORM_OWNER."""
    return PLATFORM_OWNER if platform else current_tenant()


def normalise_text(text: str) -> str:
    """Returns a text in the form in which texts are compared: half-width, upper case, without blanks and
    invisible characters, with lookalike characters replaced by one form.

    Idempotent: removing a character outside ASCII may let its neighbours combine, so normalising is repeated
    until nothing changes, MAX_NORMALISE_ROUNDS times at most.
    """
    once = _to_half_width(text)
    for _ in range(MAX_NORMALISE_ROUNDS):
        if once.isascii() or once == text:
            break
        text, once = once, _to_half_width(once)
    return once


def _to_half_width(text: str) -> str:
    """Returns `text` after one round of normalising; see `normalise_text`."""
    joined = fold_lookalikes("".join(unicodedata.normalize("NFKC", text).split()))
    if not joined.isprintable():
        joined = "".join(
            character for character in joined if unicodedata.category(character) not in ("Cc", "Cf", "Cs")
        )
    return joined.upper()


@lru_cache(maxsize=256)
def _derive_key(data_key: bytes, tenant: int, purpose: str) -> bytes:
    """Returns the 32-byte key of a province and purpose, derived (HKDF) from a data key."""
    return HKDF(
        hashes.SHA256(),
        32,
        salt=None,
        info=f"dingkao|{tenant}|{purpose}".encode(),
    ).derive(data_key)


@lru_cache(maxsize=256)
def _signing_key(data_key: bytes, tenant: int, purpose: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(_derive_key(data_key, tenant, f"sign|{purpose}"))


def install(app: Flask, chosen: Vault) -> None:
    """Make `chosen` the vault of `app`."""
    app.extensions["vault"] = chosen


def current_vault() -> Vault:
    """Returns the vault of the current application. Raises RuntimeError outside an application context."""
    vault: Vault = current_app.extensions["vault"]
    return vault
