"""Lists of results as files: a publication, and the changes by a corrected answer key."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, exists, select

from dingkao.assessments.enrolment import doctor_join
from dingkao.assessments.models import (
    ASSESSMENT_STATES,
    VERDICTS,
    Assessment,
)
from dingkao.doctors.code_lists import CATEGORIES, LEVELS
from dingkao.doctors.models import Doctor
from dingkao.errors import NotFound
from dingkao.exams.models.correction_models import (
    SCORE_CHANGE_STATES,
    ScoreChange,
)
from dingkao.people.exported_lists import (
    ExportedList,
    ExportedView,
    register_list,
    view_arguments,
)
from dingkao.people.list_exports import Rows
from dingkao.people.name_lookups import organisation_names
from dingkao.people.scopes import Grant
from dingkao.results.models import Publication, PublicationEntry
from dingkao.results.score_changes import changes_query

PUBLICATION_HEADINGS = [
    "姓名",
    "证件号码",
    "级别",
    "执业类别",
    "机构",
    "工作成绩",
    "职业道德",
    "业务水平",
    "考核结果",
]
CHANGE_HEADINGS = [
    "姓名",
    "证件号码",
    "机构",
    "试卷",
    "原成绩",
    "新成绩",
    "原业务水平",
    "按新成绩业务水平",
    "评定是否变化",
    "考核状态",
    "处理",
    "理由",
]
PUBLISHED_LABELS = {"passed": "合格", "failed": "不合格"}


def _id_in_view(view: str, name: str) -> UUID:
    """The id of what a list is of. Raises NotFound for a view that names none."""
    try:
        return UUID(view_arguments(view).get(name, ""))
    except ValueError as fault:
        raise NotFound from fault


def _open_publication(_grant: Grant, _account_id: UUID, view: str) -> ExportedView:
    """The list of a publication (`publication` in the view), by name; empty until it is complete. Raises
    NotFound without it."""
    return ExportedView(
        PUBLICATION_HEADINGS,
        _published_query(_id_in_view(view, "publication")),
        [Doctor.name_key, Doctor.id],
        _published_rows,
    )


def _published_query(publication_id: UUID) -> Select[Doctor, Assessment, str]:
    """The query of the records on the complete list of a publication."""
    is_complete = exists().where(Publication.id == publication_id, Publication.gathered_at.is_not(None))
    return (
        select(Doctor, Assessment, PublicationEntry.verdict)
        .join(Assessment, doctor_join())
        .join(
            PublicationEntry,
            (PublicationEntry.tenant_id == Assessment.tenant_id)
            & (PublicationEntry.assessment_id == Assessment.id),
        )
        .where(PublicationEntry.publication_id == publication_id, is_complete)
    )


def _published_rows(listed: Sequence[Sequence[Any]], _with_numbers: bool) -> Rows:
    """The file's rows of a publication, numbers masked."""
    institutions = organisation_names(record.institution_id for _, record, _ in listed)
    return [
        _published_cells(doctor, record, verdict, institutions.get(record.institution_id, ""))
        for doctor, record, verdict in listed
    ]


def _published_cells(doctor: Doctor, record: Assessment, verdict: str, institution: str) -> list[Any]:
    """Returns the cells of a record's row in the export of a publication."""
    return [
        doctor.name,
        doctor.number_masked,
        LEVELS[doctor.level],
        CATEGORIES[doctor.category],
        institution,
        _verdict_label(record.performance),
        _verdict_label(record.ethics),
        _verdict_label(record.competence),
        PUBLISHED_LABELS[verdict],
    ]


def _verdict_label(verdict: str | None) -> str:
    """Returns a verdict as Chinese text; "" for None."""
    return VERDICTS.get(verdict or "", "")


def _open_changes(_grant: Grant, _account_id: UUID, view: str) -> ExportedView:
    """The changes by a correction (`correction` in the view), in whatever state, by sitting. Raises NotFound
    without it."""
    return ExportedView(
        CHANGE_HEADINGS,
        changes_query(_id_in_view(view, "correction")),
        [ScoreChange.sitting_id],
        _changes_rows,
    )


def _changes_rows(listed: Sequence[Sequence[Any]], _with_numbers: bool) -> Rows:
    """The file's rows of a correction, numbers masked."""
    institutions = organisation_names(doctor.organisation_id for _, doctor, _, _ in listed)
    return [
        _change_cells(change, doctor, title, state, institutions.get(doctor.organisation_id, ""))
        for change, doctor, title, state in listed
    ]


def _change_cells(change: ScoreChange, doctor: Doctor, title: str, state: str, institution: str) -> list[Any]:
    """Returns the cells of a change's row in the export of a correction; scores in points."""
    return [
        doctor.name,
        doctor.number_masked,
        institution,
        title,
        change.before_tenths / 10,
        change.after_tenths / 10,
        _verdict_label(change.verdict_before),
        _verdict_label(change.verdict_after),
        "是" if change.verdict_before != change.verdict_after else "否",
        ASSESSMENT_STATES[state],
        SCORE_CHANGE_STATES[change.state],
        change.reason or "",
    ]


PUBLICATION_EXPORT = register_list(ExportedList("results", "考核结果", "results.export", _open_publication))
CORRECTION_EXPORT = register_list(
    ExportedList("score_changes", "成绩变化", "corrections.export", _open_changes)
)
