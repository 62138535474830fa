"""A doctor's own certificate: its progress and its download."""

from typing import NamedTuple

from sqlalchemy import select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.certificates import (
    certificate_queries,
    certificate_rendering,
)
from dingkao.certificates.models import Certificate
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidState, NotFound
from dingkao.integrations.pdf.fonts import unprintable_characters
from dingkao.integrations.storage import current_store
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.tenants import settings


class CertificateProgress(NamedTuple):
    """The certificate issued last for a record (None: none yet). `unprintable`: if there is none yet, the
    characters of the doctor's name that no font has."""

    certificate: Certificate | None
    unprintable: str

    @property
    def is_awaited(self) -> bool:
        """Whether the certificate will be issued or drawn soon, so that the page should look again; not for a
        revoked or replaced one, or a name that can't be printed."""
        if self.certificate is None:
            return not self.unprintable
        return self.certificate.state == "issued" and self.certificate.drawn_at is None


def certificate_progress(record: Assessment, doctor: Doctor) -> CertificateProgress:
    """Returns the progress of the certificate of a record that passed and was published."""
    certificate = certificate_queries.latest_certificate(record)
    return CertificateProgress(
        certificate,
        unprintable_characters(doctor.name) if certificate is None else "",
    )


def get_downloadable_certificate(record: Assessment, *, for_update: bool = False) -> Certificate:
    """Returns the record's valid certificate, locked with `for_update`; whose record it is, the caller has
    checked. Raises NotFound if there is none or it is not drawn yet, InvalidState if the province issues
    certificates on paper only."""
    query = select(Certificate).where(
        Certificate.assessment_id == record.id,
        Certificate.state == "issued",
    )
    certificate = db.session.scalar(query.with_for_update() if for_update else query)
    if certificate is None or certificate.drawn_at is None:
        raise NotFound("通知书还没有生成，请稍后再看。")
    if not settings.value("certificate_download"):
        raise InvalidState("本省暂不提供通知书下载，请向本机构领取。")
    return certificate


def take_pdf(certificate: Certificate, *, by: Actor) -> bytes:
    """Returns the PDF of a certificate (locked; that it may be downloaded, `get_downloadable_certificate` has
    said), writes the journal each time, and sets `downloaded_at` at the first. Raises NotFound if the file is
    missing, Unavailable; encryption.DecryptionFailed (`storage`) if it was altered."""
    content = current_store().get(certificate_rendering.PDF_KIND, certificate.id)
    certificate.downloaded_at = certificate.downloaded_at or clock.now()
    journal.write_entry("certificate", certificate.id, "downloaded", by=by)
    return content
