"""Keys of the cache and the object store, which have no provinces of their own. All keys of both are built
here."""

import re
from uuid import UUID

from dingkao.tenants.context import WrongProvince, current_tenant

PLATFORM_PREFIX = "platform/"
_KIND = re.compile(r"[a-z][a-z-]{1,30}")


def object_key(kind: str, identity: UUID) -> str:
    """Returns the object store's key of a file of the current province: `t/<code>/<kind>/<id>`. Raises
    context.NoProvince, ValueError for a malformed kind."""
    return f"{province_prefix()}{_validate_kind(kind)}/{identity}"


def platform_object_key(kind: str, identity: UUID) -> str:
    """Returns the object store's key of a file of the platform: `platform/<kind>/<id>`. Raises ValueError for
    a malformed kind."""
    return f"{PLATFORM_PREFIX}{_validate_kind(kind)}/{identity}"


def province_prefix() -> str:
    """Returns the prefix of all keys of the current province in the object store. Raises
    context.NoProvince."""
    return f"t/{current_tenant()}/"


def cache_key(kind: str, *parts: object) -> str:
    """Returns the cache's key of something of the current province: `t:<code>:<kind>:<part>…`, with colons
    within a part escaped. Raises context.NoProvince, ValueError for a malformed kind."""
    return _join_key("t", str(current_tenant()), _validate_kind(kind), *parts)


def platform_key(kind: str, *parts: object) -> str:
    """Returns the cache's key of something of the platform: `platform:<kind>:<part>…`. Raises ValueError for
    a malformed kind."""
    return _join_key("platform", _validate_kind(kind), *parts)


def require_own_key(key: str) -> str:
    """Returns `key` if it belongs to the current province. Raises WrongProvince for any other."""
    tenant = current_tenant()
    if not key.startswith((f"t/{tenant}/", f"t:{tenant}:")):
        raise WrongProvince(f"a key of another province was used in province {tenant}")
    return key


def _join_key(*parts: object) -> str:
    return ":".join(str(part).replace("%", "%25").replace(":", "%3A") for part in parts)


def _validate_kind(kind: str) -> str:
    """Returns `kind`. Raises ValueError unless it is two or more small letters and hyphens."""
    if not _KIND.fullmatch(kind):
        raise ValueError(f"not a kind of key: {kind!r}")
    return kind
