"""Admission tickets (准考证): a number without personal data, issued when a record becomes 待测评."""

import secrets
from collections.abc import Collection
from uuid import UUID

from sqlalchemy import and_, select
from stdnum import luhn

from dingkao.assessments.models import Assessment
from dingkao.assessments.review_hooks import on_exclusion, on_ready
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.doctors.name_search import (
    Query,
    SearchForm,
    institution_condition,
    register_form,
)
from dingkao.exams.models.paper_models import AdmissionTicket
from dingkao.people.scopes import Grant
from dingkao.tenants.context import current_tenant
from dingkao.tenants.encryption import normalise_text

MAX_ATTEMPTS, NUMBER_LENGTH = 20, 12


def find_ticket(record: Assessment) -> AdmissionTicket | None:
    """The record's ticket; None before it is issued."""
    return db.session.scalar(select(AdmissionTicket).where(AdmissionTicket.assessment_id == record.id))


def ticket_numbers(record_ids: Collection[UUID]) -> dict[UUID, str]:
    """Record id → ticket number; records without a ticket are left out."""
    query = select(AdmissionTicket.assessment_id, AdmissionTicket.number).where(
        in_array(AdmissionTicket.assessment_id, record_ids)
    )
    return dict(db.session.execute(query).all())


@on_ready
def get_or_issue_ticket(record: Assessment) -> AdmissionTicket:
    """The record's ticket, issued now if it has none (record locked for update); called when a record becomes
    待测评. Its number: province (2 digits), year (2), 7 random digits, and a check digit (Luhn)."""
    return find_ticket(record) or _issue_ticket(record)


def _issue_ticket(record: Assessment) -> AdmissionTicket:
    """Issue a ticket with a number that is not taken. Raises RuntimeError if none is found in
    MAX_ATTEMPTS."""
    cycle = db.session.get_one(Cycle, (record.tenant_id, record.cycle_id))
    for _ in range(MAX_ATTEMPTS):
        body = f"{current_tenant() % 100:02d}{cycle.ends_on.year % 100:02d}{secrets.randbelow(10**7):07d}"
        number = body + luhn.calc_check_digit(body)
        if db.session.scalar(select(AdmissionTicket.id).where(AdmissionTicket.number == number)) is None:
            ticket = AdmissionTicket(assessment_id=record.id, number=number)
            db.session.add(ticket)
            db.session.flush()
            return ticket
    raise RuntimeError("no free ticket number was found")


@on_exclusion
def _revoke_ticket(record: Assessment) -> None:
    """Make the ticket of a record invalid whose doctor is taken off the list."""
    if ticket := find_ticket(record):
        db.session.delete(ticket)


def _ticket_queries(text: str, grant: Grant) -> list[Query]:
    """The query for the doctor whose ticket has exactly this number; none for a text that is no number of a
    ticket."""
    number = normalise_text(text)
    if len(number) != NUMBER_LENGTH or not number.isdecimal():
        return []
    is_of_ticket = and_(
        Assessment.tenant_id == AdmissionTicket.tenant_id,
        Assessment.id == AdmissionTicket.assessment_id,
    )
    is_doctor = and_(Doctor.tenant_id == Assessment.tenant_id, Doctor.id == Assessment.doctor_id)
    query = select(Doctor.id, Doctor.name_key).join(Assessment, is_doctor).join(AdmissionTicket, is_of_ticket)
    is_reached = institution_condition(grant, Doctor.organisation_id)
    return [query.where(AdmissionTicket.number == number, is_reached)]


register_form(SearchForm("ticket", "准考证号", _ticket_queries, is_of_number=True))
