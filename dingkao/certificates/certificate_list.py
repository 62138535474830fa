"""The console's list of certificates: those that are valid, revoked or replaced, the newest first."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import aliased

from dingkao.assessments.enrolment import doctor_join
from dingkao.assessments.models import Assessment
from dingkao.certificates.models import CERTIFICATE_STATES, Certificate
from dingkao.database.arrays import in_looked_up
from dingkao.database.listing.definitions import (
    CellRows,
    ListColumn,
    ListDefinition,
    ListFilter,
    ListQuery,
    ListRow,
    ListSort,
    ListViewer,
    register,
)
from dingkao.database.listing.list_states import ListState
from dingkao.doctors.doctor_list import (
    doctor_cells,
    doctor_columns,
    doctor_filter,
    doctor_search,
    doctor_sorts,
)
from dingkao.doctors.doctor_queries import document_number_of
from dingkao.doctors.models import Doctor
from dingkao.people.exported_lists import register_listing
from dingkao.people.name_lookups import organisation_names
from dingkao.people.organisation_filters import institution_filter
from dingkao.people.scopes import scope_condition


def _query(viewer: ListViewer, _state: ListState) -> ListQuery:
    """Returns the query of the certificates of records at the institutions that the viewer's grant reaches:
    each with its doctor and the institution's id. Both always exist; by the outer joins PostgreSQL leaves out
    what nothing is asked of."""
    is_record = (Assessment.tenant_id == Certificate.tenant_id) & (Assessment.id == Certificate.assessment_id)
    return (
        select(Certificate, Doctor, Assessment.institution_id)
        .outerjoin(Assessment, is_record)
        .outerjoin(Doctor, doctor_join())
        .where(scope_condition(viewer.grant, institution=Assessment.institution_id))
    )


def _institution_condition(value: str, _viewer: ListViewer) -> ColumnElement[bool]:
    """Returns the condition that a certificate is of a record at an institution."""
    record = aliased(Assessment)
    record_ids = select(record.id).where(record.institution_id == UUID(value))
    return in_looked_up(Certificate.assessment_id, record_ids)


def _cells(rows: Sequence[ListRow], _viewer: ListViewer) -> CellRows:
    """Returns for each row of `_query` the texts of the list's columns by key; numbers are masked."""
    institutions = organisation_names(institution_id for _, _, institution_id, *_ in rows)
    return [
        doctor_cells(doctor, institutions[institution_id])
        | {
            "serial": certificate.serial,
            "cycle": certificate.cycle_label,
            "issued": f"{certificate.issued_on:%Y年%m月%d日}",
            "state": CERTIFICATE_STATES[certificate.state],
            "reason": certificate.state_reason or "",
        }
        for certificate, doctor, institution_id, *_ in rows
    ]


CERTIFICATE_LIST = register(
    ListDefinition(
        name="certificates",
        title="考核结果通知书",
        action="certificates.view",
        query=_query,
        id_column=Certificate.id,
        columns=(
            ListColumn("serial", "证书编号", is_fixed=True, is_numeric=True),
            *doctor_columns("sex", "level", "category", "department", "title"),
            ListColumn("cycle", "周期"),
            ListColumn("issued", "签发日期", is_numeric=True, sort="issued"),
            ListColumn("state", "状态"),
            ListColumn("reason", "撤销或替换原因", is_default=False),
        ),
        cells=_cells,
        sorts=(
            ListSort("issued", "签发先后", (Certificate.id,), is_descending=True, is_indexed=True),
            *doctor_sorts(Certificate.id),
        ),
        filters=(
            replace(institution_filter(Assessment.institution_id), condition=_institution_condition),
            doctor_filter(Doctor.id),
            ListFilter(
                "state",
                "状态",
                lambda value, _viewer: Certificate.state == value,
                CERTIFICATE_STATES,
                is_indexed=True,
            ),
        ),
        search=doctor_search,
        search_label="证书编号、姓名、拼音、号码、机构",
        unit="份",
    )
)

register_listing(
    CERTIFICATE_LIST,
    "certificates.view",
    reveal_action="doctors.reveal_numbers",
    full_number=lambda row: document_number_of(row[1]),
)
