"""Attempts to sign in: the account, the password or code, and the origin, all as keyed hashes (security.md
5)."""

import hashlib
import hmac
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from dingkao.people import passwords
from dingkao.tenants.encryption import current_vault
from dingkao.tenants.keys import cache_key, platform_key


@dataclass(frozen=True)
class AttemptOrigin:
    """From which network (keyed hash) and device an attempt is made. `device`: the name of the device if
    somebody has signed in on it with this account before, else None; `platform`: an operator signs in, not a
    person of a province."""

    address_hash: str
    device: str | None = None
    platform: bool = False

    def cache_key(self, kind: str, *parts: str) -> str:
        """The cache key of a counter, of the province or of the platform."""
        return platform_key(kind, *parts) if self.platform else cache_key(kind, *parts)

    def account_key(self, kind: str, account: str) -> str:
        """The cache key of the attempts on an account from this origin; a known device is an origin of its
        own, in any network."""
        return self.cache_key(
            kind,
            account,
            f"d{self.device}" if self.device else self.address_hash,
        )

    def all_tries_key(self) -> str:
        """The cache key of all wrong attempts from this origin."""
        return self.cache_key("guard-place", self.address_hash)


@dataclass(frozen=True)
class PasswordAttempt:
    """An attempt to sign in. `account`: keyed hash of what was typed for it; `password`: keyed hash, cut so
    short that the password can't be recovered from it; `initial`: it is the initial password."""

    account: str
    password: str
    initial: bool
    origin: AttemptOrigin


@dataclass(frozen=True)
class CodeAttempt:
    """An attempt with a code of the second factor. `account`: keyed hash."""

    account: str
    origin: AttemptOrigin


def password_attempt(
    account: bytes,
    password: str,
    address: str | None,
    device: str | None,
    *,
    platform: bool = False,
) -> PasswordAttempt:
    """An attempt to sign in. `account`: the login index of what was typed; `address`: the IP address;
    `device`: the device's name if it is known for the account, else None."""
    index = current_vault().platform_index if platform else current_vault().blind_index
    password_key = index("sign-in-spray", hashlib.sha256(password.encode()).hexdigest()).hex()[:8]
    initial = hmac.compare_digest(password.encode(), passwords.INITIAL_PASSWORD.encode())
    return PasswordAttempt(
        account.hex(),
        password_key,
        initial,
        _origin(address, device, platform=platform),
    )


def code_attempt(
    account: bytes,
    address: str | None,
    device: str | None,
    *,
    platform: bool = False,
) -> CodeAttempt:
    """An attempt with a code of the second factor; parameters as in `password_attempt`."""
    return CodeAttempt(account.hex(), _origin(address, device, platform=platform))


def _origin(address: str | None, device: str | None, *, platform: bool) -> AttemptOrigin:
    """The origin of an attempt: the keyed hash of the address's network, and the device."""
    index = current_vault().platform_index if platform else current_vault().blind_index
    return AttemptOrigin(
        index("sign-in-place", network_of(address)).hex()[:16],
        device,
        platform,
    )


def network_of(address: str | None) -> str:
    """The network that counts as one origin: an IPv4 address itself, the upper 64 bits of an IPv6 address,
    because one household has as many of these as it likes; «unknown» if there is no address."""
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return "unknown"
    return _household_of(parsed) if isinstance(parsed, IPv6Address) else str(parsed)


def _household_of(parsed: IPv6Address) -> str:
    """The IPv4 address that is written as an IPv6 address, else the upper 64 bits as a number."""
    return str(parsed.ipv4_mapped or int(parsed) >> 64)
