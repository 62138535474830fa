"""What the home page shows to a doctor, read by one prepared statement, because everyone opens that page in
the last two days of a phase."""

from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import aliased
from sqlalchemy.sql.selectable import LateralFromClause

from dingkao import clock
from dingkao.assessments.current_records import record_precedence
from dingkao.assessments.models import FINAL_STATES, Assessment
from dingkao.assessments.procedure_tests import skips_test
from dingkao.cycles.models import Cycle, CyclePhase
from dingkao.doctors.models import Doctor
from dingkao.exams.models.paper_models import AdmissionTicket
from dingkao.exams.resits import latest_resit_column
from dingkao.filings.models import NoticeReading
from dingkao.filings.user_notice import user_notice_digest
from dingkao.people.models import Notice, Organisation
from dingkao.requests.models import OPEN_STATES, Request
from dingkao.results.models import Publication, PublicationEntry
from dingkao.tenants.prepared_statements import (
    TENANT_PARAM,
    PreparedStatement,
    date_param,
    uuid_param,
)


class DoctorOverview(NamedTuple):
    """A doctor in the current cycle. Before the first cycle the fields about a cycle are None; without a
    record, those about the record. `phases`: kind → [first day, last day] as ISO dates. `state`: as the
    doctor may see it, so it stays «confirming» until publication. `open_requests`: [kind, state] of each
    request in progress, drafts too, the newest first; None without any. `has_earlier_result`: there is a
    result in another cycle. `ticket`: the admission ticket's number."""

    name: str
    cycle_id: UUID | None
    starts_on: date | None
    ends_on: date | None
    phases: dict[str, list[str]] | None
    state: str | None
    record_id: UUID | None
    procedure: str | None
    exempted: bool | None
    open_requests: list[list[str]] | None
    returned_reason: str | None
    resit_until: datetime | None
    institution: str
    health_authority: str
    institution_contact: str | None
    assessor: str | None
    assessor_contact: str | None
    ticket: str | None
    unread_count: int
    has_read_notice: bool
    has_earlier_result: bool

    @property
    def sits_no_test(self) -> bool:
        """Whether the record has no test: exempted, or because of its procedure."""
        return bool(self.exempted) or skips_test(self.procedure)


def load_overview(account_id: UUID) -> DoctorOverview:
    """Returns the overview of the doctor with this account, by one query. Raises ValueError for an account of
    no doctor."""
    [row] = _OVERVIEW_STATEMENT.fetch_rows(
        account=account_id,
        today=clock.today(),
        digest=user_notice_digest(),
    )
    return DoctorOverview._make(row)


def _overview_query() -> Select[*tuple[Any, ...]]:
    """Returns the query whose columns are the fields of DoctorOverview. It compares each table with
    TENANT_PARAM, because it is compiled once for all provinces."""
    record = aliased(Assessment)
    institution = aliased(Organisation)
    assessor = aliased(Organisation)
    cycle = _current_cycle_of_doctor()
    institution_id = func.coalesce(record.institution_id, Doctor.organisation_id)
    assessor_id = func.coalesce(record.assessor_id, institution.assessment_organisation_id)
    is_of_cycle = and_(
        record.tenant_id == TENANT_PARAM,
        record.id == cycle.c.record_id,
    )
    is_institution = and_(
        institution.tenant_id == Doctor.tenant_id,
        institution.id == institution_id,
    )
    is_assessor = and_(
        assessor.tenant_id == Doctor.tenant_id,
        assessor.id == assessor_id,
    )
    is_ticket = and_(
        AdmissionTicket.tenant_id == Doctor.tenant_id,
        AdmissionTicket.assessment_id == record.id,
    )
    columns: dict[str, Any] = {
        "name": Doctor.name,
        "cycle_id": cycle.c.id,
        "starts_on": cycle.c.starts_on,
        "ends_on": cycle.c.ends_on,
        "phases": _phases(cycle),
        "state": _state_for_doctor(record),
        "record_id": record.id,
        "procedure": record.procedure,
        "exempted": record.exempted,
        "open_requests": _open_requests(record),
        "returned_reason": record.returned_reason,
        "resit_until": latest_resit_column(record),
        "institution": institution.name,
        "health_authority": institution.health_authority,
        "institution_contact": institution.contact,
        "assessor": assessor.name,
        "assessor_contact": assessor.contact,
        "ticket": AdmissionTicket.number,
        "unread_count": _unread_count(),
        "has_read_notice": _has_read_notice(cycle),
        "has_earlier_result": _has_earlier_result(cycle),
    }
    return (
        select(*(columns[name].label(name) for name in DoctorOverview._fields))
        .select_from(Doctor)
        .outerjoin(cycle, true())
        .outerjoin(record, is_of_cycle)
        .join(institution, is_institution)
        .outerjoin(assessor, is_assessor)
        .outerjoin(AdmissionTicket, is_ticket)
        .where(
            Doctor.tenant_id == TENANT_PARAM,
            Doctor.account_id == uuid_param("account"),
        )
    )


def _current_cycle_of_doctor() -> LateralFromClause:
    """Returns the doctor's current cycle as a subquery: id, starts_on, ends_on, and record_id, the doctor's
    record in it (NULL without one); no row before the first cycle."""
    record = aliased(Assessment)
    is_of_doctor = and_(
        record.tenant_id == Cycle.tenant_id,
        record.cycle_id == Cycle.id,
        record.doctor_id == Doctor.id,
    )
    return (
        select(
            Cycle.id,
            Cycle.starts_on,
            Cycle.ends_on,
            record.id.label("record_id"),
        )
        .outerjoin(record, is_of_doctor)
        .where(Cycle.tenant_id == TENANT_PARAM)
        .order_by(*record_precedence(record, date_param("today")))
        .limit(1)
        .correlate(Doctor)
        .lateral("own_cycle")
    )


def _phases(cycle: LateralFromClause) -> ScalarSelect[Any]:
    """Returns the column with the phases of the cycle, see DoctorOverview."""
    days = func.json_build_array(CyclePhase.first_day, CyclePhase.last_day)
    return (
        select(func.json_object_agg(CyclePhase.kind, days))
        .where(
            CyclePhase.tenant_id == TENANT_PARAM,
            CyclePhase.cycle_id == cycle.c.id,
        )
        .scalar_subquery()
    )


def _state_for_doctor(record: Any) -> ColumnElement[Any]:
    """Returns the column of the record's state. If the record is on a published list but not settled yet, it
    is the verdict published last (as `publishing.state_for_doctor`)."""
    is_of_entry = and_(
        Publication.tenant_id == PublicationEntry.tenant_id,
        Publication.id == PublicationEntry.publication_id,
    )
    published_verdict = (
        select(PublicationEntry.verdict)
        .join(Publication, is_of_entry)
        .where(
            PublicationEntry.tenant_id == TENANT_PARAM,
            PublicationEntry.assessment_id == record.id,
            Publication.published_at.is_not(None),
        )
        .order_by(Publication.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    return case(
        (
            record.state == "confirming",
            func.coalesce(published_verdict, record.state),
        ),
        else_=record.state,
    )


def _open_requests(record: Any) -> ScalarSelect[Any]:
    """Returns the column with the record's open requests, see DoctorOverview."""
    is_open = or_(*(Request.state == state for state in OPEN_STATES))
    kind_and_state = func.json_build_array(Request.kind, Request.state)
    return (
        select(func.json_agg(aggregate_order_by(kind_and_state, Request.id.desc())))
        .where(
            Request.tenant_id == TENANT_PARAM,
            Request.assessment_id == record.id,
            is_open,
        )
        .scalar_subquery()
    )


def _unread_count() -> ScalarSelect[Any]:
    """Returns the column with the number of the account's unread notices."""
    return (
        select(func.count())
        .where(
            Notice.tenant_id == TENANT_PARAM,
            Notice.account_id == uuid_param("account"),
            Notice.read_at.is_(None),
        )
        .scalar_subquery()
    )


def _has_read_notice(cycle: LateralFromClause) -> ColumnElement[bool]:
    """Returns the column whether the doctor has confirmed the present text of the user notice in the
    cycle."""
    return exists().where(
        NoticeReading.tenant_id == TENANT_PARAM,
        NoticeReading.doctor_id == Doctor.id,
        NoticeReading.cycle_id == cycle.c.id,
        NoticeReading.digest == bindparam("digest"),
    )


def _has_earlier_result(
    cycle: LateralFromClause,
) -> ColumnElement[bool]:
    """Returns the column whether the doctor has a result in another cycle."""
    earlier_record = aliased(Assessment)
    is_final = or_(*(earlier_record.state == state for state in FINAL_STATES))
    is_of_another_cycle = or_(
        cycle.c.record_id.is_(None),
        earlier_record.id != cycle.c.record_id,
    )
    return exists().where(
        earlier_record.tenant_id == TENANT_PARAM,
        earlier_record.doctor_id == Doctor.id,
        is_final,
        is_of_another_cycle,
    )


_OVERVIEW_STATEMENT = PreparedStatement(_overview_query)
