"""Lists of results as spreadsheets (xlsx): a publication, and the changes by a corrected answer key."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, literal, select, tuple_

from dingkao.assessments.enrolment import doctor_join
from dingkao.assessments.models import (
    ASSESSMENT_STATES,
    VERDICTS,
    Assessment,
)
from dingkao.database.base import db
from dingkao.doctors.code_lists import CATEGORIES, LEVELS
from dingkao.doctors.models import Doctor
from dingkao.exams.models.correction_models import (
    SCORE_CHANGE_STATES,
    ScoreChange,
)
from dingkao.people.list_exports import (
    Export,
    ExportCursor,
    Rows,
    xlsx_builder,
)
from dingkao.results.models import PublicationEntry
from dingkao.results.score_changes import changes_after

PUBLISHED_LABELS = {"passed": "合格", "failed": "不合格"}


def _count_published(publication: UUID) -> int:
    """Returns how many records are on a publication's list."""
    return (
        db.session.scalar(
            select(func.count())
            .select_from(PublicationEntry)
            .where(PublicationEntry.publication_id == publication)
        )
        or 0
    )


def _published_rows(publication: UUID, after: ExportCursor, limit: int) -> tuple[Rows, ExportCursor]:
    """Returns the next rows of a publication's list by name, numbers masked, and the cursor after them."""
    query = (
        select(Doctor, Assessment, PublicationEntry.verdict)
        .join(Assessment, doctor_join())
        .join(
            PublicationEntry,
            (PublicationEntry.tenant_id == Assessment.tenant_id)
            & (PublicationEntry.assessment_id == Assessment.id),
        )
        .where(PublicationEntry.publication_id == publication)
    )
    if after:
        query = query.where(
            tuple_(Doctor.name_key, Doctor.id) > tuple_(literal(after[0]), literal(UUID(after[1])))
        )
    entries = db.session.execute(query.order_by(Doctor.name_key, Doctor.id).limit(limit)).all()
    cells = [_published_cells(doctor, record, verdict) for doctor, record, verdict in entries]
    if len(entries) < limit:
        return cells, None
    last_doctor = entries[-1][0]
    return cells, [last_doctor.name_key, str(last_doctor.id)]


def _published_cells(doctor: Doctor, record: Assessment, verdict: str) -> list[Any]:
    """Returns the cells of a record's row in the export of a publication."""
    return [
        doctor.name,
        doctor.number_masked,
        LEVELS[doctor.level],
        CATEGORIES[doctor.category],
        _verdict_label(record.performance),
        _verdict_label(record.ethics),
        _verdict_label(record.competence),
        PUBLISHED_LABELS[verdict],
    ]


def _verdict_label(verdict: str | None) -> str:
    """Returns a verdict as Chinese text; "" for None."""
    return VERDICTS.get(verdict or "", "")


def _count_changes(correction: UUID) -> int:
    """Returns how many changes a correction has made or left waiting."""
    return (
        db.session.scalar(
            select(func.count()).select_from(ScoreChange).where(ScoreChange.correction_id == correction)
        )
        or 0
    )


def _changes_rows(correction: UUID, after: ExportCursor, limit: int) -> tuple[Rows, ExportCursor]:
    """Returns the next rows of a correction's changes, numbers masked, and the cursor after them."""
    changes = changes_after(correction, UUID(after[0]) if after else None, limit)
    cells = [_change_cells(*change) for change in changes]
    return cells, [str(changes[-1][0].sitting_id)] if len(changes) == limit else None


def _change_cells(change: ScoreChange, doctor: Doctor, title: str, state: str) -> list[Any]:
    """Returns the cells of a change's row in the export of a correction; scores in points."""
    return [
        doctor.name,
        doctor.number_masked,
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


PUBLICATION_EXPORT = Export(
    "export_publication",
    "results.xlsx",
    _count_published,
    _published_rows,
    xlsx_builder(
        [
            "姓名",
            "证件号码",
            "级别",
            "执业类别",
            "工作成绩",
            "职业道德",
            "业务水平",
            "考核结果",
        ],
        "考核结果",
    ),
)
CORRECTION_EXPORT = Export(
    "export_correction",
    "score-changes.xlsx",
    _count_changes,
    _changes_rows,
    xlsx_builder(
        [
            "姓名",
            "证件号码",
            "试卷",
            "原成绩",
            "新成绩",
            "原业务水平",
            "按新成绩业务水平",
            "评定是否变化",
            "考核状态",
            "处理",
            "理由",
        ],
        "成绩变化",
    ),
)
