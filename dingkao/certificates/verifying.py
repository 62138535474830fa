"""Verifying (查验): what anybody with a serial may know, and nothing else."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import select

from dingkao.certificates.models import Certificate
from dingkao.certificates.numbering import province_of
from dingkao.database.model import db
from dingkao.people.opening import opened_codes
from dingkao.tenants.context import entered
from dingkao.tenants.rls import reading

STATES = {"issued": "有效", "revoked": "已撤销", "replaced": "已被新通知书替换"}


@dataclass(frozen=True)
class Verified:
    """A certificate as the public page shows it."""

    serial: str
    holder: str
    cycle: str
    issuer: str
    issued_on: date
    state: str


def verify(serial: str) -> Verified | None:
    """The certificate of `serial`, in whichever open province it names; None for anything else."""
    province = province_of(serial)
    if province is None or province.code not in opened_codes():
        return None
    with entered(province.code), reading():
        row = db.session.scalar(select(Certificate).where(Certificate.serial == serial))
        found = Verified(row.serial, row.holder_masked, row.cycle_label, province.commission, row.issued_on, row.state) if row else None
        db.session.remove()
    return found
