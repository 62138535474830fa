"""Looking up a certificate (查验): what anybody who has the serial may see, and nothing else."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import select

from dingkao.certificates.models import Certificate
from dingkao.certificates.serials import province_of_serial
from dingkao.database.base import db
from dingkao.journal import failed_attempts
from dingkao.journal.entries import Actor
from dingkao.people.provinces import province_states
from dingkao.tenants.context import in_tenant
from dingkao.tenants.encryption import current_vault
from dingkao.tenants.rls import read_only_transactions

PUBLIC_ACTOR = Actor("system", roles=frozenset({"public"}))
STATE_LABELS = {
    "issued": "有效",
    "revoked": "已撤销",
    "replaced": "已被新通知书替换",
}


@dataclass(frozen=True)
class CertificateInfo:
    """A certificate as the public page shows it. `state`: see STATE_LABELS. `suspended`: the province is not
    served at present; the certificate stays valid."""

    serial: str
    holder: str
    cycle: str
    issuer: str
    province: str
    issued_on: date
    state: str
    suspended: bool


def look_up(serial: str) -> CertificateInfo | None:
    """Returns the certificate with `serial` (normalised), also of a province that is not served at present;
    None if there is no such certificate. Called outside every province; what the database session holds is
    dropped."""
    province = province_of_serial(serial)
    state = province_states().get(province.code) if province else None
    if province is None or state is None:
        return None
    with in_tenant(province.code), read_only_transactions():
        certificate = db.session.scalar(select(Certificate).where(Certificate.serial == serial))
        db.session.remove()
    if certificate is None:
        return None
    return CertificateInfo(
        certificate.serial,
        certificate.holder_masked,
        certificate.cycle_label,
        province.commission,
        province.name,
        certificate.issued_on,
        certificate.state,
        suspended=state != "open",
    )


def log_unknown_serial(serial: str, origin: str) -> None:
    """Record, in the journal of the province that a well-formed serial names, that somebody looked up a
    serial which no certificate has; the caller has asked `look_up` before. Only a few are recorded per minute
    and `origin` (client address or network). It makes attempts to guess serials visible."""
    province = province_of_serial(serial)
    if province is None or province.code not in province_states():
        return
    with in_tenant(province.code):
        failed_attempts.record_attempt(
            current_vault().blind_index("verify-place", origin),
            "verification_failed",
            by=PUBLIC_ACTOR,
        )
