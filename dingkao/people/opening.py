"""Opening a province (开通省份): what it needs to be worked in. Repeatable; nothing that is there is touched."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from dingkao import clock
from dingkao.database.model import db
from dingkao.journal.writing import Actor
from dingkao.people.accounts import issue_code, make_staff, staff_login_index
from dingkao.people.models import Account
from dingkao.tenants.context import current_tenant
from dingkao.tenants.models import OpenedProvince
from dingkao.tenants.registry import Province

ADMIN = "admin"


@dataclass(frozen=True)
class Opening:
    """What opening a province gave: the admin's user name, and a one-time code while that account is unopened."""

    province: Province
    admin: str
    code: str | None


def open_province(province: Province, *, by: Actor) -> Opening:
    """Open `province`, which must have been entered: its row of the platform's, the first administrator, a one-time code.
    Run again it issues a new code while nobody has signed in, and changes nothing else."""
    if current_tenant() != province.code:
        raise ValueError("open a province from inside it")
    account = db.session.scalar(select(Account).where(Account.login_index == staff_login_index(ADMIN)))
    if account is None:
        account = make_staff(ADMIN, f"{province.short_name}管理员", [("province_admin", None)], by=by)
    code = issue_code(account, by=by) if account.state == "initial" else None
    with db.engines["platform"].begin() as connection:
        connection.execute(
            insert(OpenedProvince)
            .values(code=province.code, slug=province.slug, state="open", opened_at=clock.now())
            .on_conflict_do_nothing(index_elements=["code"])
        )
    return Opening(province, ADMIN, code)


def opened() -> list[OpenedProvince]:
    """The provinces that have been opened, by code; asked of the platform's engine, outside every province."""
    with db.engines["platform"].connect() as connection:
        rows = connection.execute(select(OpenedProvince.__table__).order_by(OpenedProvince.code)).mappings()
        return [OpenedProvince(**row) for row in rows]


def opened_codes() -> frozenset[int]:
    """The codes of the provinces that are served now."""
    return frozenset(row.code for row in opened() if row.state == "open")
