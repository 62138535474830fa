"""The guard of every tenant blueprint: no province, no answer. Registered here alone, and swept by a test."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from flask import Blueprint, g, request

from dingkao.errors import NotFound
from dingkao.tenants.context import WrongProvince, current_tenant
from dingkao.tenants.door import PROVINCE
from dingkao.tenants.registry import Province

SECONDS, SECONDS_UNKNOWN = 5.0, 1.0


@dataclass
class _Known:
    """Which provinces are open, as last asked; asked again after five seconds, after one for a province that wasn't among them."""

    codes: frozenset[int] = frozenset()
    asked: float = float("-inf")

    def includes(self, code: int, opened: Callable[[], frozenset[int]]) -> bool:
        age = time.monotonic() - self.asked
        if age > (SECONDS if code in self.codes else SECONDS_UNKNOWN):
            self.codes, self.asked = opened(), time.monotonic()
        return code in self.codes


_known = _Known()


class UnknownProvince(NotFound):
    """The address names no province that is served; the page offers those that are."""


def guarded(name: str, import_name: str, opened: Callable[[], frozenset[int]]) -> Blueprint:
    """A blueprint of a province: each of its requests is refused unless the door has entered one that is open."""
    blueprint = Blueprint(name, import_name)

    def refuse_without_province() -> None:
        province = request.environ.get(PROVINCE)
        if not isinstance(province, Province):
            raise UnknownProvince("请先选择您执业所在的省份。")
        if province.code != current_tenant():
            raise WrongProvince("the door and the context disagree")
        if not _known.includes(province.code, opened):
            raise UnknownProvince(f"{province.name}尚未开通,请重新选择省份。")
        g.province = province

    blueprint.before_request(refuse_without_province)
    return blueprint
