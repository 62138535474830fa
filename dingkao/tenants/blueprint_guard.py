"""The guard of every tenant blueprint: it answers only within an open province. It is registered only here,
and a test checks it for all routes."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flask import Blueprint, current_app, g, request

from dingkao.errors import NotFound
from dingkao.tenants.context import WrongProvince, current_tenant
from dingkao.tenants.middleware import PROVINCE_KEY
from dingkao.tenants.registry import Province

REFRESH_SECONDS = 5.0


@dataclass
class _ProvinceStates:
    """The states of the opened provinces, cached for REFRESH_SECONDS. For a province that is not open in the
    cache, they are read again, so that it is served from the moment it is opened."""

    states: Mapping[int, str] = field(default_factory=dict)
    refreshed_at: float = float("-inf")

    def state_of(self, code: int, states: Callable[[], Mapping[int, str]]) -> str | None:
        """Returns the state of the province `code` (None: never opened); `states` reads the states of all."""
        if self.states.get(code) != "open" or time.monotonic() - self.refreshed_at > REFRESH_SECONDS:
            self.states, self.refreshed_at = (
                states(),
                time.monotonic(),
            )
        return self.states.get(code)


class UnknownProvince(NotFound):
    """The address names no province that is served; the error page offers those that are."""


def platform_blueprint(blueprint: Blueprint) -> Blueprint:
    """Register a guard with `blueprint`, and return it: its pages answer with NotFound below a province's
    address, so that they can't be reached from inside a province."""

    def refuse_in_province() -> None:
        """Raises NotFound below a province's address."""
        if PROVINCE_KEY in request.environ:
            raise NotFound

    blueprint.before_request(refuse_in_province)
    return blueprint


def tenant_blueprint(
    name: str,
    import_name: str,
    states: Callable[[], Mapping[int, str]],
) -> Blueprint:
    """Returns a blueprint of provinces: its requests are refused with UnknownProvince unless the middleware
    has entered an open province, which is then `g.province`. `states` returns code → state (open or closed)
    of every province that was ever opened; its answer is kept for REFRESH_SECONDS."""
    blueprint = Blueprint(name, import_name)

    def refuse_without_province() -> None:
        """Set `g.province`. Raises UnknownProvince without a province that is open, WrongProvince if the
        context has another one than the address."""
        province = request.environ.get(PROVINCE_KEY)
        if not isinstance(province, Province):
            raise UnknownProvince("请先选择您执业所在的省份。")
        if province.code != current_tenant():
            raise WrongProvince("the door and the context disagree")
        province_states: _ProvinceStates = current_app.extensions.setdefault(
            "open provinces", _ProvinceStates()
        )
        state = province_states.state_of(province.code, states)
        if state is None:
            raise UnknownProvince(f"{province.name}尚未开通，请重新选择省份。")
        if state != "open":
            raise UnknownProvince(
                f"{province.name}已暂停使用本平台，数据都保留；恢复时间请咨询{province.commission}。"
            )
        g.province = province

    blueprint.before_request(refuse_without_province)
    return blueprint
