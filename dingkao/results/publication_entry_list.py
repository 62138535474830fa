"""The console's list of a publication (发布清单): whose result it makes public, with the three verdicts."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, false, select

from dingkao.assessments.enrolment import doctor_join
from dingkao.assessments.models import VERDICT_PARTS, VERDICTS, Assessment
from dingkao.assessments.record_list import record_cells
from dingkao.database.listing.definitions import (
    CellRows,
    ListColumn,
    ListDefinition,
    ListFilter,
    ListQuery,
    ListRow,
    ListSort,
    ListViewer,
    Totals,
    register,
)
from dingkao.database.listing.id_filters import listed_in_filter
from dingkao.database.listing.list_states import ListState
from dingkao.doctors.doctor_list import (
    doctor_columns,
    doctor_filter,
    doctor_search,
    doctor_sorts,
    level_filters,
)
from dingkao.doctors.models import Doctor
from dingkao.people.exported_lists import register_listing
from dingkao.people.organisation_filters import institution_filter
from dingkao.results.models import Publication, PublicationEntry
from dingkao.results.publication_lists import get_publication

PUBLICATION_FILTER, VERDICT_FILTER = "publication", "verdict"
"""Keys of the filter that names a publication, without which the list is empty, and of that by result."""
PUBLISHED_LABELS = {"passed": "合格", "failed": "不合格"}


def _query(_viewer: ListViewer, state: ListState) -> ListQuery:
    """Returns the query of the records on the complete list of the publication that the state names, each
    with doctor and result, whoever views it; of none before it is complete, or if none is named."""
    of_record = and_(
        PublicationEntry.tenant_id == Assessment.tenant_id,
        PublicationEntry.assessment_id == Assessment.id,
    )
    query = (
        select(Assessment, Doctor, PublicationEntry.verdict)
        .join(PublicationEntry, of_record)
        .join(Doctor, doctor_join())
    )
    publication_id = state.filters.get(PUBLICATION_FILTER)
    if publication_id is None:
        return query.where(false())
    is_complete = exists().where(
        Publication.id == UUID(publication_id),
        Publication.gathered_at.is_not(None),
    )
    return query.where(_is_on_list_condition(publication_id), is_complete)


def _is_on_list_condition(publication_id: str) -> ColumnElement[bool]:
    """The condition that a PublicationEntry is on the list of the publication with this id (as text)."""
    return PublicationEntry.publication_id == UUID(publication_id)


def _totals(state: ListState, _viewer: ListViewer) -> Totals:
    """Returns filter by result → how many passed and how many did not, from the publication; {} if the state
    names none, or has a search or another filter. Raises NotFound."""
    publication_id = state.filters.get(PUBLICATION_FILTER)
    if publication_id is None or state.search or state.filters.keys() - {PUBLICATION_FILTER, VERDICT_FILTER}:
        return {}
    publication = get_publication(UUID(publication_id))
    return {VERDICT_FILTER: {"passed": publication.passed, "failed": publication.failed}}


def _cells(rows: Sequence[ListRow], _viewer: ListViewer) -> CellRows:
    """The cells of `rows` (record, doctor, result), in their order; the verdicts are the record's present
    ones."""
    return [
        cells
        | {part: VERDICTS.get(getattr(record, part) or "", "未评定") for part in VERDICT_PARTS}
        | {"result": PUBLISHED_LABELS[verdict]}
        for (record, _, verdict, *_), cells in zip(rows, record_cells(rows), strict=True)
    ]


PUBLICATION_ENTRY_LIST = register(
    ListDefinition(
        name="results",
        title="考核结果",
        action="results.view",
        query=_query,
        id_column=Assessment.id,
        columns=(
            *doctor_columns("sex", "department", "title"),
            *(ListColumn(part, label) for part, label in VERDICT_PARTS.items()),
            ListColumn("result", "结果"),
        ),
        cells=_cells,
        sorts=(
            ListSort("record", "建档先后", (PublicationEntry.assessment_id,), is_indexed=True),
            *doctor_sorts(PublicationEntry.assessment_id),
        ),
        filters=(
            listed_in_filter(PUBLICATION_FILTER, "发布清单", "一份发布清单", _is_on_list_condition),
            ListFilter(
                VERDICT_FILTER,
                "结果",
                lambda value, _viewer: PublicationEntry.verdict == value,
                PUBLISHED_LABELS,
            ),
            institution_filter(Assessment.institution_id, lambda _viewer: True),
            doctor_filter(Assessment.doctor_id),
            *level_filters(),
        ),
        search=doctor_search,
        search_label="姓名、拼音、号码、机构、科室",
        totals=_totals,
    )
)

register_listing(PUBLICATION_ENTRY_LIST, "results.export", order_columns=(Doctor.name_key, Doctor.id))
