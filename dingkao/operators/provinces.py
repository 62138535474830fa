"""What an operator may do to a province: open it, stop and resume its service. No personal data is seen here."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import update

from dingkao.database.model import db
from dingkao.errors import NotAllowed, NotFound
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor
from dingkao.operators.signing_in import act
from dingkao.people.opening import Opening, open_province, opened
from dingkao.tenants.context import entered
from dingkao.tenants.models import OpenedProvince
from dingkao.tenants.registry import PROVINCES, Province, by_slug


@dataclass(frozen=True)
class Listed:
    """A province of the registry and how it stands: unopened, open or closed."""

    province: Province
    state: str
    opened_at: object


def listed() -> list[Listed]:
    """All provinces, in the registry's order."""
    rows = {row.code: row for row in opened()}
    return [Listed(one, rows[one.code].state if one.code in rows else "unopened", rows[one.code].opened_at if one.code in rows else None) for one in PROVINCES]


def open_one(slug: str, *, operator: UUID, name: str) -> Opening:
    """Open a province; opened already and its administrator not signed in yet: a new one-time code. Raises NotFound."""
    province = _known(slug)
    with entered(province.code):
        opening = open_province(province, by=Actor("operator", operator, name=name))
        db.session.commit()
        db.session.remove()
    act(operator, "province_opened", province.code)
    return opening


def set_state(slug: str, state: str, *, operator: UUID, name: str) -> None:
    """Stop (closed) or resume (open) the service of a province; its data stay. Raises NotFound, NotAllowed where it was never opened."""
    province = _known(slug)
    if province.code not in {row.code for row in opened()}:
        raise NotAllowed(f"{province.name}尚未开通。")
    with db.engines["platform"].begin() as connection:
        connection.execute(update(OpenedProvince).where(OpenedProvince.code == province.code).values(state=state))
    with entered(province.code):
        journal.write("province", UUID(int=province.code), "service_resumed" if state == "open" else "service_stopped", by=Actor("operator", operator, name=name))
        db.session.commit()
        db.session.remove()
    act(operator, "province_resumed" if state == "open" else "province_stopped", province.code)


def _known(slug: str) -> Province:
    province = by_slug(slug)
    if province is None:
        raise NotFound("没有这个省份。")
    return province
