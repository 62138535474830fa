"""/platform: operators sign in, see the provinces, open them and appoint their first administrators. These
pages are outside every province and use a database engine that can't read any province's data."""

from dingkao.blueprints.platform import (
    administrators,
    provinces,
    shared_banks,
    sign_in,
)
from dingkao.blueprints.platform.access import platform

__all__ = [
    "administrators",
    "platform",
    "provinces",
    "shared_banks",
    "sign_in",
]
