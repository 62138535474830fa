"""Admission tickets (准考证): a number without personal data, issued when a record becomes 待测评."""

import secrets
from collections.abc import Collection, Sequence
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
    """Record id → ticket number, for at most 5,000 records; those without a ticket are left out."""
    query = select(AdmissionTicket.assessment_id, AdmissionTicket.number).where(
        in_array(AdmissionTicket.assessment_id, record_ids)
    )
    return dict(db.session.execute(query).all())


def get_or_issue_ticket(record: Assessment) -> AdmissionTicket:
    """The record's ticket, issued now if it has none (record locked for update). Raises RuntimeError as
    `_issue`."""
    return find_ticket(record) or _issue([record])[0]


@on_ready
def issue_tickets(records: Sequence[Assessment]) -> None:
    """Issue a ticket for each of these records (locked for update, of one cycle, at most 5,000) that has
    none; called when records become 待测评."""
    issued = ticket_numbers([record.id for record in records])
    if lacking := [record for record in records if record.id not in issued]:
        _issue(lacking)


def _issue(records: Sequence[Assessment]) -> list[AdmissionTicket]:
    """Issue tickets for records (at least one) of one cycle that have none. Returns them in that order,
    flushed. Their numbers have NUMBER_LENGTH digits: province (2), year (2), random ones, and a check digit
    (Luhn). Raises RuntimeError if no free numbers are found in MAX_ATTEMPTS."""
    cycle = db.session.get_one(Cycle, (records[0].tenant_id, records[0].cycle_id))
    tickets = [
        AdmissionTicket(assessment_id=record.id, number=number)
        for record, number in zip(records, _free_numbers(cycle, len(records)), strict=True)
    ]
    db.session.add_all(tickets)
    db.session.flush()
    return tickets


def _free_numbers(cycle: Cycle, count: int) -> list[str]:
    """Returns `count` different ticket numbers that are not taken. Raises RuntimeError if that many are not
    found in MAX_ATTEMPTS."""
    free = set[str]()
    for _ in range(MAX_ATTEMPTS):
        drawn = {_random_number(cycle) for _ in range(count - len(free))}
        taken = db.session.scalars(
            select(AdmissionTicket.number).where(in_array(AdmissionTicket.number, drawn))
        )
        free |= drawn - set(taken)
        if len(free) == count:
            return list(free)
    raise RuntimeError("no free ticket numbers were found")


def _random_number(cycle: Cycle) -> str:
    """Returns a number for a ticket of the cycle (province, the year of its end, random digits, check digit),
    taken or not."""
    beginning = f"{current_tenant() % 100:02d}{cycle.ends_on.year % 100:02d}"
    random_length = NUMBER_LENGTH - len(beginning) - 1
    body = f"{beginning}{secrets.randbelow(10**random_length):0{random_length}d}"
    return body + luhn.calc_check_digit(body)


@on_exclusion
def _revoke_ticket(record: Assessment) -> None:
    """Delete the ticket of a record whose doctor is taken off the list; does nothing if it has none."""
    if ticket := find_ticket(record):
        db.session.delete(ticket)


def _ticket_queries(text: str, grant: Grant) -> list[Query]:
    """The query (doctor id, name key) for the doctor whose ticket has exactly this number, in whatever cycle,
    provided `grant` reaches the doctor's institution; no query for a text that is no number of a ticket."""
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
