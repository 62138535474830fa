"""Admission tickets (准考证): a number that names nobody, issued when a record becomes 待测评."""

import secrets

from sqlalchemy import select
from stdnum import luhn

from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.model import db
from dingkao.exams.models import AdmissionTicket
from dingkao.tenants.context import current_tenant

TRIES = 20


def ticket_of(record: Assessment) -> AdmissionTicket | None:
    """The record's ticket; None before it is issued."""
    return db.session.scalar(select(AdmissionTicket).where(AdmissionTicket.assessment_id == record.id))


def issue_ticket(record: Assessment) -> AdmissionTicket:
    """The record's ticket, made where there is none: province, year, seven random digits, a check digit (Luhn). The caller holds
    the record locked."""
    found = ticket_of(record)
    if found is not None:
        return found
    cycle = db.session.get_one(Cycle, (record.tenant_id, record.cycle_id))
    for _ in range(TRIES):
        body = f"{current_tenant() % 100:02d}{cycle.ends_on.year % 100:02d}{secrets.randbelow(10**7):07d}"
        number = body + luhn.calc_check_digit(body)
        if db.session.scalar(select(AdmissionTicket.id).where(AdmissionTicket.number == number)) is None:
            ticket = AdmissionTicket(assessment_id=record.id, number=number)
            db.session.add(ticket)
            db.session.flush()
            return ticket
    raise RuntimeError("no free ticket number was found")
