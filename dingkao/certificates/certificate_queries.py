"""Queries of certificates for pages about other things."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    select,
)

from dingkao.assessments.models import Assessment
from dingkao.certificates.models import Certificate
from dingkao.certificates.serials import normalise_serial, province_of_serial
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.database.row_lookups import has_row
from dingkao.doctors.models import Doctor
from dingkao.doctors.name_search import (
    Query,
    SearchForm,
    institution_condition,
    register_form,
)
from dingkao.errors import NotFound
from dingkao.people.scopes import Grant


def serials_of(certificate_ids: Iterable[UUID]) -> dict[UUID, str]:
    """Returns id → serial for at most 5,000 certificates; an unknown id is left out."""
    certificates = db.session.scalars(
        select(Certificate).where(in_array(Certificate.id, set(certificate_ids)))
    )
    return {certificate.id: certificate.serial for certificate in certificates}


def get_certificate_for_update(certificate_id: UUID) -> Certificate:
    """Returns a certificate of the province, at whatever institution and in any state, locked. Raises
    NotFound."""
    query = select(Certificate).where(Certificate.id == certificate_id)
    certificate = db.session.scalar(query.with_for_update())
    if certificate is None:
        raise NotFound
    return certificate


def certificate_with_doctor(
    certificate_id: UUID,
) -> tuple[Certificate, Doctor]:
    """Returns a certificate, at whatever institution and in any state, and its doctor. Raises
    sqlalchemy.exc.NoResultFound for an unknown id."""
    is_record = (Assessment.tenant_id == Certificate.tenant_id) & (Assessment.id == Certificate.assessment_id)
    is_doctor = (Doctor.tenant_id == Assessment.tenant_id) & (Doctor.id == Assessment.doctor_id)
    query = (
        select(Certificate, Doctor)
        .join(Assessment, is_record)
        .join(Doctor, is_doctor)
        .where(Certificate.id == certificate_id)
    )
    certificate, doctor = db.session.execute(query).one()
    return certificate, doctor


def uncertified_conditions(
    cycle: Cycle,
) -> tuple[ColumnElement[bool], ...]:
    """Returns the conditions, for a query of Assessment, that a record of the cycle passed and has never got
    a certificate: a revoked one counts as got."""
    issued = select(Certificate.id).where(
        Certificate.tenant_id == Assessment.tenant_id,
        Certificate.assessment_id == Assessment.id,
    )
    return (
        Assessment.cycle_id == cycle.id,
        Assessment.state == "passed",
        ~has_row(issued),
    )


def valid_certificate(record: Assessment) -> Certificate | None:
    """Returns the record's valid certificate (neither revoked nor replaced), or None."""
    return db.session.scalar(
        select(Certificate).where(
            Certificate.assessment_id == record.id,
            Certificate.state == "issued",
        )
    )


def latest_certificate(record: Assessment) -> Certificate | None:
    """Returns the certificate issued last for the record, valid or not, or None."""
    return db.session.scalar(
        select(Certificate)
        .where(Certificate.assessment_id == record.id)
        .order_by(Certificate.id.desc())
        .limit(1)
    )


def _serial_queries(text: str, grant: Grant) -> list[Query]:
    """Returns the query of the doctor with the certificate of exactly this serial, valid or not, if the grant
    reaches the institution; [] for a text that is no serial of any province."""
    serial = normalise_serial(text)
    if province_of_serial(serial) is None:
        return []
    is_record = (Assessment.tenant_id == Certificate.tenant_id) & (Assessment.id == Certificate.assessment_id)
    is_doctor = (Doctor.tenant_id == Assessment.tenant_id) & (Doctor.id == Assessment.doctor_id)
    query = select(Doctor.id, Doctor.name_key).join(Assessment, is_doctor).join(Certificate, is_record)
    is_reached = institution_condition(grant, Doctor.organisation_id)
    return [query.where(Certificate.serial == serial, is_reached)]


register_form(SearchForm("certificate", "证书编号", _serial_queries, is_of_number=True))
