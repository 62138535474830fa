"""The guard of every tenant blueprint: no province, no answer. Registered here alone, and swept by a test."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from flask import Blueprint, current_app, g, request

from dingkao.errors import NotFound
from dingkao.tenants.context import WrongProvince, current_tenant
from dingkao.tenants.door import PROVINCE
from dingkao.tenants.registry import Province

SECONDS = 5.0


@dataclass
class _Known:
    """Which provinces are open, as last asked; asked again after five seconds, and at once for one that wasn't among them, so that a
    province is served from the moment it is opened."""

    codes: frozenset[int] = frozenset()
    asked: float = float("-inf")

    def includes(self, code: int, opened: Callable[[], frozenset[int]]) -> bool:
        if code not in self.codes or time.monotonic() - self.asked > SECONDS:
            self.codes, self.asked = opened(), time.monotonic()
        return code in self.codes


class UnknownProvince(NotFound):
    """The address names no province that is served; the page offers those that are."""


def outside(blueprint: Blueprint) -> Blueprint:
    """Make `blueprint` one of no province: below a province's address it doesn't exist, so that nothing of it (a limit, a cookie, a
    certificate of another province) is looked at from inside one."""

    def refuse_in_province() -> None:
        if PROVINCE in request.environ:
            raise NotFound

    blueprint.before_request(refuse_in_province)
    return blueprint


def guarded(name: str, import_name: str, opened: Callable[[], frozenset[int]]) -> Blueprint:
    """A blueprint of a province: each of its requests is refused unless the door has entered one that is open."""
    blueprint = Blueprint(name, import_name)

    def refuse_without_province() -> None:
        province = request.environ.get(PROVINCE)
        if not isinstance(province, Province):
            raise UnknownProvince("请先选择您执业所在的省份。")
        if province.code != current_tenant():
            raise WrongProvince("the door and the context disagree")
        known: _Known = current_app.extensions.setdefault("open provinces", _Known())
        if not known.includes(province.code, opened):
            raise UnknownProvince(f"{province.name}尚未开通,请重新选择省份。")
        g.province = province

    blueprint.before_request(refuse_without_province)
    return blueprint
