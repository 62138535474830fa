"""Names in places that know nothing of provinces: the cache and the store. Every key of either is made here."""

import re
from uuid import UUID

from dingkao.tenants.context import WrongProvince, current_tenant

_KIND = re.compile(r"[a-z][a-z-]{1,30}")


def object_key(kind: str, identity: UUID) -> str:
    """The store's key of a file of this province: `t/<code>/<kind>/<id>`. Raises NoProvince outside a province."""
    return f"t/{current_tenant()}/{_kind(kind)}/{identity}"


def cache_key(kind: str, *parts: object) -> str:
    """The cache's key of something of this province: `t:<code>:<kind>:<part>…`; a part with a colon in it can't pose as two."""
    return ":".join(["t", str(current_tenant()), _kind(kind), *(str(part).replace("%", "%25").replace(":", "%3A") for part in parts)])


def own_key(key: str) -> str:
    """The same key, if it is this province's; raises WrongProvince for any other, however it was come by."""
    tenant = current_tenant()
    if not key.startswith((f"t/{tenant}/", f"t:{tenant}:")):
        raise WrongProvince(f"a key of another province was used in province {tenant}")
    return key


def _kind(kind: str) -> str:
    if not _KIND.fullmatch(kind):
        raise ValueError(f"not a kind of key: {kind!r}")
    return kind
