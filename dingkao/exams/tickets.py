"""Admission tickets (准考证): a number without personal data, issued when a record becomes 待测评."""

import secrets

from sqlalchemy import select
from stdnum import luhn

from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.exams.models.paper_models import AdmissionTicket
from dingkao.tenants.context import current_tenant

MAX_ATTEMPTS = 20


def get_ticket(record: Assessment) -> AdmissionTicket | None:
    """The record's ticket; None before it is issued."""
    return db.session.scalar(select(AdmissionTicket).where(AdmissionTicket.assessment_id == record.id))


def get_or_issue_ticket(record: Assessment) -> AdmissionTicket:
    """The record's ticket, issued now if it has none (record locked for update). Its number: province (2
    digits), year (2), 7 random digits, and a check digit (Luhn)."""
    return get_ticket(record) or _issue_ticket(record)


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
