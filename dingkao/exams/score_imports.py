"""Importing spreadsheets of scores from paper: small ones within the request, larger ones in batches by a
job."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select

from dingkao.cycles.cycles import require_current_cycle
from dingkao.cycles.models import Cycle
from dingkao.database.base import db, new_id
from dingkao.database.pagination import Page, fetch_page
from dingkao.errors import InvalidState, NotFound
from dingkao.exams import paper_scores, score_rows, score_validation
from dingkao.exams.models.score_import_models import ScoreImport
from dingkao.integrations.sandbox import runner
from dingkao.integrations.spreadsheets.import_rows import (
    ImportReport,
    ImportRow,
)
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.accounts import load_actor
from dingkao.people.organisation_succession import add_column_part
from dingkao.people.scopes import Grant, load_grant, scope_condition
from dingkao.people.spreadsheet_imports import (
    UPLOAD_LIMITS,
    SpreadsheetImport,
    authorize_action,
)
from dingkao.uploads import chunked_uploads

NO_CYCLE_MESSAGE = "本省还没有开始考核周期。"


def import_or_enqueue(
    content: bytes,
    name: str,
    cycle: Cycle,
    *,
    grant: Grant,
    dry_run: bool,
    by: Actor,
) -> tuple[ImportReport, ScoreImport | None] | Job:
    """Import a spreadsheet of scores and return the report and the import, which waits for a second person
    (None if nothing is to be confirmed); if it is too large for a request, or is only checked (`dry_run`),
    enqueue the job that does it, and return that.

    `name`: the file's name; `grant`: whose records it may name; the import belongs to the first of its
    organisations. Raises InvalidInput, TooLarge, InvalidState, Unavailable.
    """
    restrict_to = _allowed_assessors(grant)
    if dry_run:
        paper_scores.require_imports_allowed()
        return _enqueue(content, name, cycle, restrict_to, dry_run=True, by=by)
    try:
        return paper_scores.import_scores(
            content,
            cycle,
            restrict_to=restrict_to,
            organisation_id=_owning_organisation(restrict_to),
            by=by,
        )
    except runner.LimitExceeded:
        return _enqueue(content, name, cycle, restrict_to, dry_run=False, by=by)


def _allowed_assessors(grant: Grant) -> tuple[UUID, ...] | None:
    """The ids of the organisations whose records a file may name; None for any of the province."""
    return None if grant.is_province else grant.assessor_ids


def _owning_organisation(
    restrict_to: Sequence[UUID] | None,
) -> UUID | None:
    """The id of the organisation that an import belongs to; None for the province."""
    return restrict_to[0] if restrict_to else None


def _enqueue(
    content: bytes,
    name: str,
    cycle: Cycle,
    restrict_to: Sequence[UUID] | None,
    *,
    dry_run: bool,
    by: Actor,
) -> Job:
    """Store a spreadsheet and enqueue the job that imports it, or only checks it (`dry_run`); one that is
    empty or lacks a column is refused now, unless it is too large to be read within a request. Raises
    InvalidInput, TooLarge, Unavailable."""
    arguments = {
        "cycle": str(cycle.id),
        "only": None if restrict_to is None else list(map(str, restrict_to)),
        "import": str(new_id()),
    }
    return SCORE_IMPORT.enqueue(content, f"线下成绩 {name[:60]}", by=by, dry_run=dry_run, **arguments)


def _load_restriction(
    only: Sequence[str] | None,
) -> list[UUID] | None:
    """The organisations' ids from a job's arguments (see `_allowed_assessors`); None for any."""
    return None if only is None else list(map(UUID, only))


def _import_batch(
    job: Job,
    rows: list[ImportRow],
    report: ImportReport,
    seen: set[bytes],
) -> None:
    """Validate the next rows of a large spreadsheet and add their scores to the import; errors and counts are
    added to `report`, the keys of valid rows to `seen`. Raises InvalidState if the import was withdrawn in
    the meantime."""
    arguments = job.arguments
    cycle = db.session.scalars(select(Cycle).where(Cycle.id == UUID(arguments["cycle"]))).one()
    restrict_to = _load_restriction(arguments["only"])
    import_id = UUID(arguments["import"])
    scores = score_validation.validate_batch(
        rows,
        cycle,
        report,
        restrict_to=restrict_to,
        seen=seen,
        existing=import_id,
    )
    if not scores:
        return
    score_import = paper_scores.save_batch(
        import_id,
        scores,
        cycle.id,
        _owning_organisation(restrict_to),
        by=load_actor(job.asked_by),
    )
    if score_import.withdrawn_at:
        raise InvalidState("这批成绩已撤回，没有继续导入。")


def _finish_import(job: Job, counts: dict[str, int]) -> None:
    """Mark the job's import as complete, so that it waits for a second person, or withdraw it if the job was
    cancelled; writes a journal entry. `counts`: those of the report, with "refused". Does nothing if no row
    was valid, so that there is no import, or if somebody has withdrawn it meanwhile."""
    score_import = paper_scores.find_import_for_update(UUID(job.arguments["import"]))
    if score_import is None or score_import.withdrawn_at:
        return
    by = load_actor(job.asked_by)
    if job.undoing:
        paper_scores.withdraw_import(score_import, by=by)
        return
    score_import.complete = True
    journal.write_entry(
        "score_import",
        score_import.id,
        "proposed",
        by=by,
        scores=score_import.scores,
        refused=counts["refused"],
    )


SCORE_IMPORT = SpreadsheetImport(
    "import_scores",
    "scores.import",
    score_validation.read_rows,
    score_validation.row_keys,
    _import_batch,
    score_rows.COLUMNS,
    _finish_import,
)


# --- a large spreadsheet, uploaded in chunks


def _accept_upload(
    _subject: UUID | None,
    name: str,
    content: bytes,
    by: Actor,
    fields: Mapping[str, str],
) -> UUID:
    """Enqueue the import of an uploaded spreadsheet, or its check if the form has the field "check"; returns
    the job's id. Raises InvalidState if the province accepts no scores from paper, NotFound if it has no
    cycle, InvalidInput, TooLarge, Unavailable."""
    paper_scores.require_imports_allowed()
    cycle = require_current_cycle(NO_CYCLE_MESSAGE)
    restrict_to = _allowed_assessors(load_grant("scores.import", by.id))
    return _enqueue(
        content,
        name,
        cycle,
        restrict_to,
        dry_run="check" in fields,
        by=by,
    ).id


chunked_uploads.register_purpose(
    "scores",
    authorize_action("scores.import"),
    _accept_upload,
    UPLOAD_LIMITS,
)


def _visible_imports_query(grant: Grant) -> Select[Any]:
    """The query for the imports that `grant` reaches: all of the province, or those of its organisations."""
    return select(ScoreImport).where(scope_condition(grant, assessor=ScoreImport.organisation_id))


def unconfirmed_imports_query(grant: Grant) -> Select[Any]:
    """The query for the complete imports that `grant` reaches and that wait for confirmation."""
    return _visible_imports_query(grant).where(
        ScoreImport.complete,
        ScoreImport.approved_at.is_(None),
        ScoreImport.withdrawn_at.is_(None),
    )


def imports_page(grant: Grant, cycle_id: UUID | None, cursor: str | None) -> Page[ScoreImport]:
    """A page of the imports of a cycle that `grant` reaches, in whatever state, the newest first; an empty
    one if `cycle_id` is None."""
    query = _visible_imports_query(grant).where(ScoreImport.cycle_id == cycle_id)
    return fetch_page(query, [ScoreImport.id], cursor, descending=True)


def get_visible_import(import_id: UUID, grant: Grant) -> ScoreImport:
    """An import that a grant reaches. Raises NotFound."""
    score_import = db.session.scalar(_visible_imports_query(grant).where(ScoreImport.id == import_id))
    if score_import is None:
        raise NotFound
    return score_import


add_column_part(
    "待确认的线下成绩",
    "份",
    ScoreImport.organisation_id,
    ScoreImport.entered_at.is_(None),
    ScoreImport.withdrawn_at.is_(None),
    keeps_assessor=True,
)
