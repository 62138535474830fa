"""Doctors whose names no font here can print: their certificates can't be issued, so staff are warned
before."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, literal, select, text, tuple_

from dingkao.assessments.enrolment import doctor_join
from dingkao.assessments.models import Assessment
from dingkao.certificates.certificate_queries import uncertified_conditions
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.doctors.models import RARE_NAME_SQL, Doctor
from dingkao.integrations.pdf.fonts import unprintable_characters
from dingkao.results.models import PublicationEntry

MAX_UNPRINTABLE_SHOWN, UNPRINTABLE_SCAN_SIZE = 200, 1000


def unprintable_in_publication(
    publication_id: UUID,
) -> list[tuple[Doctor, str]]:
    """Returns (doctor, unprintable characters), by name, of those in a publication who passed and whose name
    can't be printed; MAX_UNPRINTABLE_SHOWN at most. Other texts of the certificate are not looked at."""
    of_record = (Assessment.tenant_id == PublicationEntry.tenant_id) & (
        Assessment.id == PublicationEntry.assessment_id
    )
    query = select(Doctor).join(Assessment, doctor_join()).join(PublicationEntry, of_record)
    query = query.where(
        PublicationEntry.publication_id == publication_id,
        PublicationEntry.verdict == "passed",
    )
    return _find_unprintable(query)


def unprintable_in_cycle(cycle: Cycle) -> list[tuple[Doctor, str]]:
    """Returns (doctor, unprintable characters), by name, of those who passed in the cycle, never got a
    certificate (a revoked one counts as got), and whose name can't be printed; MAX_UNPRINTABLE_SHOWN at
    most."""
    query = select(Doctor).join(Assessment, doctor_join())
    return _find_unprintable(query.where(*uncertified_conditions(cycle)))


def _find_unprintable(query: Select[Any]) -> list[tuple[Doctor, str]]:
    """Returns (doctor, unprintable characters) of the doctors of `query` whose names can't be printed, by
    name. It starts from the few rare names of the province, through their index, and asks for those of them
    that no font prints; otherwise every name of a list with the whole province would have to be checked."""
    unprintable: list[tuple[Doctor, str]] = []
    for rare_names in _iter_rare_names():
        doctor_ids = [doctor_id for doctor_id, _, name in rare_names if unprintable_characters(name)]
        if doctor_ids:
            unprintable += _unprintable_among(query, doctor_ids)
        if len(unprintable) >= MAX_UNPRINTABLE_SHOWN:
            break
    return unprintable[:MAX_UNPRINTABLE_SHOWN]


def _iter_rare_names() -> Iterator[Sequence[Row[UUID, str, str]]]:
    """Yields (id, key of the name, name) of the province's doctors with rare names, by name,
    UNPRINTABLE_SCAN_SIZE at a time."""
    query = (
        select(Doctor.id, Doctor.name_key, Doctor.name)
        .where(text(f"doctor.{RARE_NAME_SQL}"))
        .order_by(Doctor.name_key, Doctor.id)
        .limit(UNPRINTABLE_SCAN_SIZE)
    )
    rare_names = db.session.execute(query).all()
    while rare_names:
        yield rare_names
        last_name = tuple_(
            literal(rare_names[-1].name_key),
            literal(rare_names[-1].id),
        )
        rare_names = db.session.execute(query.where(tuple_(Doctor.name_key, Doctor.id) > last_name)).all()


def _unprintable_among(query: Select[Any], doctor_ids: list[UUID]) -> list[tuple[Doctor, str]]:
    """Returns (doctor, unprintable characters) of the doctors of `query` who are among `doctor_ids`, by
    name."""
    doctors = db.session.scalars(
        query.where(in_array(Doctor.id, doctor_ids)).order_by(Doctor.name_key, Doctor.id)
    )
    return [(doctor, unprintable_characters(doctor.name)) for doctor in doctors]
