"""The changes by a corrected answer key as a file."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from dingkao.assessments.models import (
    ASSESSMENT_STATES,
    VERDICTS,
)
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
from dingkao.results.score_changes import changes_query

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


def _id_in_view(view: str, name: str) -> UUID:
    """The id that the address `view` gives under `name`: of what a list is of. Raises NotFound for a view
    that names none."""
    try:
        return UUID(view_arguments(view).get(name, ""))
    except ValueError as fault:
        raise NotFound from fault


def _verdict_label(verdict: str | None) -> str:
    """Returns a verdict as Chinese text; "" for None."""
    return VERDICTS.get(verdict or "", "")


def _view_of_changes(_grant: Grant, _account_id: UUID, view: str) -> ExportedView:
    """The changes by a correction (`correction` in the view), in whatever state, by sitting. Raises NotFound
    without it."""
    return ExportedView(
        CHANGE_HEADINGS,
        changes_query(_id_in_view(view, "correction")),
        [ScoreChange.sitting_id],
        _changes_rows,
    )


def _changes_rows(listed: Sequence[Sequence[Any]], _with_numbers: bool) -> Rows:
    """The file's rows of `listed` (ScoreChangeRow), in their order; numbers are always masked."""
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


CORRECTION_EXPORT = register_list(
    ExportedList("score_changes", "成绩变化", "corrections.export", _view_of_changes)
)
