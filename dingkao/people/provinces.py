"""Opens a province (开通省份): creates what it needs for work. Running it again changes nothing that
exists."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from dingkao import clock
from dingkao.database.base import db
from dingkao.journal.entries import Actor
from dingkao.people import administrator_invitations
from dingkao.people.models import Account
from dingkao.tenants import settings
from dingkao.tenants.context import current_tenant
from dingkao.tenants.models import OpenedProvince
from dingkao.tenants.registry import Province
from dingkao.tenants.settings import Setting

settings.register(
    "contact",
    Setting("客服电话", "", group="联系方式", order=10),
)
settings.register(
    "contact_hours",
    Setting(
        "客服时间",
        "工作日上午9:00-12:00 下午13:00-18:00",
        group="联系方式",
        order=20,
    ),
)


@dataclass(frozen=True)
class OpenedProvinceResult:
    """The result of opening a province, with the accounts of the administrators who were named."""

    province: Province
    administrators: list[Account]


def open_province(
    province: Province,
    *,
    by: Actor,
    administrators: Iterable[tuple[str, str]] = (),
) -> OpenedProvinceResult:
    """Open `province`, which must be the current one: insert its row on the platform (committed here) and
    appoint up to two `administrators` (pairs of name and mobile number), to whom links are sent when the
    caller commits. Run again, it only sends the link again to those who haven't set up their account; a
    closed province stays closed. Raises ValueError outside the province, InvalidInput, InvalidState,
    RateLimited."""
    if current_tenant() != province.code:
        raise ValueError("open a province from inside it")
    appointed = [
        administrator_invitations.appoint_first_administrator(name, mobile, by=by)
        for name, mobile in administrators
    ]
    with db.engines["platform"].begin() as connection:
        connection.execute(
            insert(OpenedProvince)
            .values(
                code=province.code,
                slug=province.slug,
                state="open",
                opened_at=clock.now(),
                files_sealed_at=clock.now(),
            )
            .on_conflict_do_nothing(index_elements=["code"])
        )
    return OpenedProvinceResult(province, appointed)


def opened_provinces() -> list[OpenedProvince]:
    """All provinces that were ever opened, by code, read with the platform's database engine, outside every
    province."""
    with db.engines["platform"].connect() as connection:
        province_rows = connection.execute(
            select(OpenedProvince.__table__).order_by(OpenedProvince.code)
        ).mappings()
        return [OpenedProvince(**province_row) for province_row in province_rows]


def served_province_codes() -> frozenset[int]:
    """The codes of the provinces that are served now: opened and not closed."""
    return frozenset(code for code, state in province_states().items() if state == "open")


def province_states() -> dict[int, str]:
    """Code → state of every province that was ever opened: «open» or «closed» (停用)."""
    return {province.code: province.state for province in opened_provinces()}
