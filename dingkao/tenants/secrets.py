"""Personal numbers at rest: sealed with a key of the province, found by a keyed hash.

AES-256-GCM, its key derived per province from the installation's data key. A sealed value is bound to province, table, column
and row: moved anywhere else it does not open. The blind index is keyed, because eighteen digits can be counted through.
"""

import hmac
import os
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flask import Flask, current_app

from dingkao.tenants.context import current_tenant

VERSION = b"\x01"
NONCE_BYTES = 12
PLATFORM = 0
ROUNDS = 8


class NotOurs(ValueError):  # noqa: N818
    """A sealed value does not open here: damaged, or taken from another row, column or province."""


@dataclass(frozen=True)
class Place:
    """Where a sealed value lives; part of what it is sealed with."""

    table: str
    column: str
    row: UUID

    def bound_to(self, tenant: int) -> bytes:
        return f"{tenant}|{self.table}|{self.column}|{self.row}".encode()


@dataclass(frozen=True)
class Vault:
    """Seals and opens the values of whichever province we are in; `data_key` is the installation's 32 bytes."""

    data_key: bytes = field(repr=False)

    def seal(self, place: Place, plain: str) -> bytes:
        """`plain` (text) sealed for `place`: version, nonce, ciphertext with tag. Never twice the same. Raises NoProvince outside."""
        return self.seal_bytes(place, plain.encode())

    def seal_bytes(self, place: Place, plain: bytes) -> bytes:
        """The same for bytes, such as a file's."""
        return self._seal(current_tenant(), place, plain)

    def seal_for_platform(self, place: Place, plain: str) -> bytes:
        """A text of the platform's own, which belongs to no province; sealed with a key that is none's."""
        return self._seal(PLATFORM, place, plain.encode())

    def unseal_for_platform(self, place: Place, sealed: bytes) -> str:
        """The text sealed for the platform; raises NotOurs."""
        return self._unseal(PLATFORM, place, sealed).decode()

    def _seal(self, owner: int, place: Place, plain: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        key = _derived(self.data_key, owner, "seal")
        return VERSION + nonce + AESGCM(key).encrypt(nonce, plain, place.bound_to(owner))

    def unseal(self, place: Place, sealed: bytes) -> str:
        """The text that was sealed for `place`; raises NotOurs for anything else."""
        return self.unseal_bytes(place, sealed).decode()

    def unseal_bytes(self, place: Place, sealed: bytes) -> bytes:
        """The bytes that were sealed for `place`; raises NotOurs for anything else."""
        return self._unseal(current_tenant(), place, sealed)

    def _unseal(self, owner: int, place: Place, sealed: bytes) -> bytes:
        if sealed[:1] != VERSION:
            raise NotOurs("sealed in a form this version doesn't know")
        nonce, body = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        try:
            return AESGCM(_derived(self.data_key, owner, "seal")).decrypt(nonce, body, place.bound_to(owner))
        except (InvalidTag, ValueError) as fault:
            raise NotOurs("does not open here") from fault

    def blind_index(self, purpose: str, text: str) -> bytes:
        """32 bytes by which `text` is found again in this province and for this purpose only; equal however it was typed."""
        key = _derived(self.data_key, current_tenant(), f"index|{purpose}")
        return hmac.digest(key, normalised(text).encode(), "sha256")


def normalised(text: str) -> str:
    """A number as it is compared: half-width, without blanks and characters nobody sees, capitals (x → X). What is normalised stays so:
    outside ASCII a character taken out may let its neighbours join, so it is done again until nothing changes."""
    once = _half_width(text)
    for _ in range(ROUNDS):
        if once.isascii() or (again := _half_width(once)) == once:
            break
        once = again
    return once


def _half_width(text: str) -> str:
    joined = "".join(unicodedata.normalize("NFKC", text).split())
    if not joined.isprintable():
        joined = "".join(one for one in joined if unicodedata.category(one) not in ("Cc", "Cf", "Cs"))
    return joined.upper()


@lru_cache(maxsize=256)
def _derived(data_key: bytes, tenant: int, purpose: str) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=None, info=f"dingkao|{tenant}|{purpose}".encode()).derive(data_key)


def install(app: Flask, chosen: Vault) -> None:
    """Make `chosen` the vault of `app`."""
    app.extensions["vault"] = chosen


def vault() -> Vault:
    """The vault of the application whose context we are in; raises RuntimeError outside."""
    chosen: Vault = current_app.extensions["vault"]
    return chosen
