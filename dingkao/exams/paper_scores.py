"""Scores of an exam on paper (线下成绩): one person imports a spreadsheet, another confirms it (domain.md
§12). Then each score becomes a sitting with an empty layout, handed in by "offline", and is treated as any
other sitting."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, func, select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db, new_id
from dingkao.database.pagination import Page, fetch_page
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidInput, InvalidState
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.score_import_models import (
    ImportedScore,
    ScoreImport,
)
from dingkao.exams.score_entry import ENTER_JOB
from dingkao.exams.score_validation import read_rows, validate_batch
from dingkao.integrations.sandbox import runner
from dingkao.integrations.spreadsheets.import_rows import ImportReport
from dingkao.jobs import enqueueing
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.journal.proposals import get_for_update, withdraw
from dingkao.people.second_person import require_second_person
from dingkao.tenants import settings
from dingkao.tenants.settings import Setting

MAX_INLINE_ROWS = 5000
PAGE_SIZE = 500
NOT_ALLOWED_MESSAGE = "本省不接受线下成绩导入。如需导入，请联系省级管理员在“设置”中开放。"
TOO_MANY_ROWS_MESSAGE = f"一次最多导入{MAX_INLINE_ROWS}行，请分成几个文件。"
INCOMPLETE_MESSAGE = "这批成绩的文件还没有读完，请在“任务”中查看进度；没有读完就停下的，请撤回后重新导入。"
settings.register(
    "offline_scores",
    Setting(
        "接受线下成绩导入",
        True,
        kind="yes_no",
        group="考试",
        order=20,
    ),
)


def import_scores(
    content: bytes,
    cycle: Cycle,
    *,
    restrict_to: Sequence[UUID] | None,
    organisation_id: UUID | None,
    by: Actor,
) -> tuple[ImportReport, ScoreImport | None]:
    """Validate a spreadsheet of scores and save the valid ones to be confirmed, with a journal entry; none is
    entered yet.

    `restrict_to`: the ids of the assessment organisations whose records the file may name (None: any).
    `organisation_id`: the id of the one that the import belongs to (None: the province). Returns the report
    and the import; None if nothing is to be confirmed. Raises InvalidInput, TooLarge, Unavailable,
    InvalidState if the province accepts no scores from paper, and runner.LimitExceeded if there are too many
    rows for one request (`score_imports` then enqueues a job).
    """
    require_imports_allowed()
    report = ImportReport()
    rows = list(islice(read_rows(content, report), MAX_INLINE_ROWS + 1))
    if not rows:
        raise InvalidInput(
            "文件中没有数据行，请在表头下面填写成绩后重新上传。",
            "file",
        )
    if len(rows) > MAX_INLINE_ROWS:
        raise runner.LimitExceeded(TOO_MANY_ROWS_MESSAGE)
    scores = validate_batch(rows, cycle, report, restrict_to=restrict_to, seen=set())
    if not scores:
        return report, None
    score_import = save_batch(new_id(), scores, cycle.id, organisation_id, by=by)
    score_import.complete = True
    journal.write_entry(
        "score_import",
        score_import.id,
        "proposed",
        by=by,
        scores=score_import.scores,
        refused=len(report.errors),
    )
    return report, score_import


def require_imports_allowed() -> None:
    """Raise InvalidState if the province accepts no scores from paper."""
    if not settings.value("offline_scores"):
        raise InvalidState(NOT_ALLOWED_MESSAGE)


def save_batch(
    import_id: UUID,
    scores: Mapping[tuple[UUID, UUID], int],
    cycle_id: UUID,
    organisation_id: UUID | None,
    *,
    by: Actor,
) -> ScoreImport:
    """Add scores to an import, which is locked, or created if there is none with this id. `scores`: (record
    id, paper id) → tenths of a point, none that the import has already. Whether the import is withdrawn is
    for the caller to ask. It can't be confirmed before the caller marks it complete."""
    score_import = find_import_for_update(import_id)
    if score_import is None:
        score_import = ScoreImport(
            id=import_id,
            cycle_id=cycle_id,
            organisation_id=organisation_id,
            scores=0,
            complete=False,
            proposed_by=by.id,
            proposed_at=clock.now(),
        )
        db.session.add(score_import)
    score_import.scores += len(scores)
    db.session.flush()
    db.session.add_all(
        ImportedScore(
            import_id=score_import.id,
            assessment_id=record_id,
            paper_id=paper_id,
            score_tenths=tenths,
        )
        for (record_id, paper_id), tenths in scores.items()
    )
    db.session.flush()
    return score_import


def find_import_for_update(import_id: UUID) -> ScoreImport | None:
    """An import, locked for update; None if there is none."""
    return db.session.scalar(select(ScoreImport).where(ScoreImport.id == import_id).with_for_update())


def get_import_for_update(import_id: UUID) -> ScoreImport:
    """An import, locked, whosever it is: the caller has asked `score_imports.get_visible_import`. Raises
    NotFound."""
    return get_for_update(ScoreImport, import_id)


def approve_import(score_import: ScoreImport, *, by: Actor) -> Job | None:
    """Confirm an import (locked for update) as the second person, with a journal entry, and enqueue the job
    that enters its scores; None if it is confirmed already. Raises Forbidden for the person who imported it
    and who isn't independent of them, InvalidState if it is withdrawn or incomplete."""
    if score_import.withdrawn_at:
        raise InvalidState("这批成绩已撤回，请重新导入。")
    if score_import.approved_at:
        return None
    if not score_import.complete:
        raise InvalidState(INCOMPLETE_MESSAGE)
    require_second_person(
        by,
        score_import.proposed_by,
        same="导入人与确认人不能是同一人，请由另一位经办人确认。",
    )
    score_import.approved_by, score_import.approved_at = (
        by.id,
        clock.now(),
    )
    journal.write_entry(
        "score_import",
        score_import.id,
        "approved",
        by=by,
        scores=score_import.scores,
    )
    return enqueueing.enqueue(
        ENTER_JOB,
        f"登记线下成绩（{score_import.scores}条）",
        {"import": str(score_import.id)},
        by=by.id,
        subject=score_import.id,
    )


def withdraw_import(score_import: ScoreImport, *, by: Actor) -> None:
    """Withdraw an import (locked), with a journal entry; does nothing if it is withdrawn already. Raises
    InvalidState once it is confirmed."""
    withdraw(
        score_import,
        by=by,
        refusal="这批成绩已确认登记，不能撤回。有误的请更正后重新导入。",
    )


def entries_page(
    score_import: ScoreImport, cursor: str | None = None
) -> Page[tuple[ImportedScore, Doctor, str]]:
    """A page of an import's scores, each with its doctor and the paper's title; within the page they are
    sorted by the doctor's name."""
    page = fetch_page(
        select(ImportedScore).where(ImportedScore.import_id == score_import.id),
        [ImportedScore.assessment_id, ImportedScore.paper_id],
        cursor,
        PAGE_SIZE,
    )
    query = _entries_query(score_import, {score.assessment_id for score in page.rows})
    keys_on_page = {(score.assessment_id, score.paper_id) for score in page.rows}
    entries = [
        (score, doctor, title)
        for score, doctor, title in db.session.execute(query)
        if (score.assessment_id, score.paper_id) in keys_on_page
    ]
    return Page(entries, page.next_cursor)


def _entries_query(score_import: ScoreImport, record_ids: set[UUID]) -> Select[Any]:
    """The query for the scores of some records in an import, with doctor and paper title, by the doctor's
    name."""
    columns: tuple[Any, ...] = (ImportedScore, Doctor, Paper.title)
    record_of_score = and_(
        Assessment.tenant_id == ImportedScore.tenant_id,
        Assessment.id == ImportedScore.assessment_id,
    )
    doctor_of_record = and_(
        Doctor.tenant_id == Assessment.tenant_id,
        Doctor.id == Assessment.doctor_id,
    )
    paper_of_score = and_(
        Paper.tenant_id == ImportedScore.tenant_id,
        Paper.id == ImportedScore.paper_id,
    )
    return (
        select(*columns)
        .select_from(ImportedScore)
        .join(Assessment, record_of_score)
        .join(Doctor, doctor_of_record)
        .join(Paper, paper_of_score)
        .where(
            ImportedScore.import_id == score_import.id,
            in_array(ImportedScore.assessment_id, record_ids),
        )
        .order_by(Doctor.name_key, Doctor.id, Paper.subject)
    )


def skipped_reasons(
    score_import: ScoreImport,
) -> list[tuple[str, int]]:
    """Why scores of an import were not entered: (reason, how many), by reason."""
    query = (
        select(ImportedScore.skipped_reason, func.count())
        .where(
            ImportedScore.import_id == score_import.id,
            ImportedScore.skipped_reason.is_not(None),
        )
        .group_by(ImportedScore.skipped_reason)
        .order_by(ImportedScore.skipped_reason)
    )
    return [(reason or "", count) for reason, count in db.session.execute(query)]
