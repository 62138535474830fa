"""Scores of exams on paper (线下成绩) in the console: imported by one person, confirmed by a second."""

from collections.abc import Iterable
from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.blueprints.console.navigation import (
    current_user_recusal_reason,
)
from dingkao.blueprints.console.scoring.blueprint import scoring
from dingkao.cycles.cycles import current_cycle, require_current_cycle
from dingkao.cycles.models import Cycle
from dingkao.errors import Forbidden, InvalidInput, Refusal
from dingkao.exams import paper_scores, score_imports, score_rows
from dingkao.exams.models.score_import_models import ScoreImport
from dingkao.integrations.spreadsheets.import_rows import ImportReport
from dingkao.integrations.spreadsheets.table_opening import MAX_IMPORT_FILE_BYTES
from dingkao.integrations.spreadsheets.xlsx_writer import write_xlsx
from dingkao.jobs.models import Job
from dingkao.people.name_lookups import account_name
from dingkao.people.scopes import in_scope
from dingkao.tenants import settings
from dingkao.web.access_control import current_grant, require
from dingkao.web.form_submission import form_page
from dingkao.web.forms import SpreadsheetForm
from dingkao.web.request_lifecycle import (
    auto_refreshing_page,
    limiter,
    xlsx_response,
)


@scoring.route("/office/offline-scores", methods=["GET", "POST"])
@require("scores.import")
@limiter.limit("60/hour", methods=["POST"])
def import_paper_scores() -> Response | tuple[str, int] | str:
    """Import a spreadsheet of scores, which a second person must confirm, or only check it; and a page of
    earlier imports. A refused file is named in the form. A POST raises NotFound before the first cycle."""
    form = SpreadsheetForm()
    if form.validate_on_submit():
        return _import_from_form(
            form,
            require_current_cycle(score_imports.NO_CYCLE_MESSAGE),
        )
    return form_page(_render_imports(current_cycle(), form, None))


def _import_from_form(form: SpreadsheetForm, cycle: Cycle) -> Response | tuple[str, int] | str:
    """Import the uploaded spreadsheet, or only check it: a redirect to the import, or the page with the
    report or the error."""
    try:
        outcome = _import_upload(form, cycle)
    except Refusal as refusal:
        form.add_refusal(InvalidInput(refusal.message, "file"))
        return form_page(_render_imports(cycle, form, None))
    return outcome if isinstance(outcome, Response) else _render_imports(cycle, form, outcome)


def _import_upload(form: SpreadsheetForm, cycle: Cycle) -> Response | ImportReport:
    """Import the uploaded spreadsheet, or only check it. Returns a redirect to the job or to the import; the
    report if this page must show it. Raises InvalidInput, TooLarge, InvalidState if the province allows no
    such imports, Unavailable."""
    upload = form.file.data
    outcome = score_imports.import_or_enqueue(
        upload.read(MAX_IMPORT_FILE_BYTES + 1),
        upload.filename or "",
        cycle,
        grant=current_grant(),
        dry_run="check" in request.form,
        by=current_user.as_actor(),
    )
    if isinstance(outcome, Job):
        return redirect(url_for("jobs.show_job", job_id=outcome.id), 303)
    return _report_import(*outcome)


def _report_import(report: ImportReport, score_import: ScoreImport | None) -> Response | ImportReport:
    """A redirect to the import, which exists already; the report if nothing was imported (None) or rows were
    refused, so that this page must show it. What was imported is said on the next page in both cases."""
    if score_import is None:
        return report
    imported = f"已导入{score_import.scores}条成绩，请由另一位经办人确认"
    if report.errors:
        flash(f"{imported}；另有{len(report.errors)}行被拒绝。")
        return report
    flash(f"{imported}。")
    return redirect(url_for("scoring.show_import", import_id=score_import.id), 303)


def _render_imports(
    cycle: Cycle | None,
    form: SpreadsheetForm,
    report: ImportReport | None,
) -> str:
    """The page with the form, the report of the spreadsheet just read, and the list of imports."""
    page = score_imports.imports_page(
        current_user.grant("scores.import"),
        cycle.id if cycle else None,
        request.args.get("after"),
    )
    return render_template(
        "console/scoring/import_paper_scores.html",
        cycle=cycle,
        form=form,
        report=report,
        page=page,
        rows=page.rows,
        names=_names_of_actors(page.rows),
        states=_import_state,
        open=settings.value("offline_scores"),
        closed=paper_scores.NOT_ALLOWED_MESSAGE,
        headings=_sheet_headings(),
    )


def _names_of_actors(
    imports: Iterable[ScoreImport],
) -> dict[UUID, tuple[str, str]]:
    """The names of the persons who imported and confirmed each import, by the import's id."""
    return {
        score_import.id: (
            account_name(score_import.proposed_by),
            account_name(score_import.approved_by),
        )
        for score_import in imports
    }


def _sheet_headings() -> list[str]:
    """The headings of a spreadsheet of scores."""
    return [names[0] for names in score_rows.COLUMNS.values()]


def _import_state(score_import: ScoreImport) -> str:
    """The state of an import as text."""
    if score_import.withdrawn_at:
        return "已撤回"
    if not score_import.complete:
        return "文件还没有读完"
    if score_import.approved_at is None:
        return "待另一位经办人确认"
    return "已登记" if score_import.entered_at else "已确认，正在登记"


@scoring.get("/office/offline-scores/template.xlsx")
@require("scores.import")
def offline_template() -> FlaskResponse:
    """An empty spreadsheet to be filled in, as xlsx."""
    return xlsx_response(
        write_xlsx(_sheet_headings(), [], "线下成绩"),
        "offline-scores-template.xlsx",
    )


@scoring.get("/office/offline-scores/<uuid:import_id>")
@require("scores.import")
def show_import(import_id: UUID) -> FlaskResponse:
    """One import: a page of its scores, and who confirms it; while they are being entered the page reloads
    itself. Raises NotFound."""
    score_import = _get_import(import_id)
    waits = score_import.approved_at is not None and score_import.entered_at is None
    page = render_template(
        "console/scoring/score_import.html",
        row=score_import,
        page=paper_scores.entries_page(score_import, request.args.get("after")),
        names=(
            account_name(score_import.proposed_by),
            account_name(score_import.approved_by),
        ),
        words=_import_state(score_import),
        own=score_import.proposed_by == current_user.id,
        recused=current_user_recusal_reason(score_import.proposed_by),
        left=paper_scores.skipped_reasons(score_import),
        waits=waits,
        may_approve=current_user.may("scores.confirm"),
        incomplete=paper_scores.INCOMPLETE_MESSAGE,
    )
    return auto_refreshing_page(page, waits=waits)


def _get_import(import_id: UUID) -> ScoreImport:
    """An import within the current user's grant. Raises NotFound."""
    return score_imports.get_visible_import(import_id, current_user.grant("scores.import"))


def _import_for_update(import_id: UUID) -> ScoreImport:
    """An import within the current user's grant, locked. Raises NotFound."""
    return paper_scores.get_import_for_update(_get_import(import_id).id)


@scoring.post("/office/offline-scores/<uuid:import_id>/approve")
@require("scores.confirm")
def approve_import(import_id: UUID) -> Response:
    """Confirm an import as the second person; a job then enters the scores. Confirmed already, it is only
    shown. Raises NotFound, Forbidden, InvalidState if it is withdrawn or incomplete."""
    score_import = _import_for_update(import_id)
    if not in_scope(current_grant(), assessor_id=score_import.organisation_id):
        raise Forbidden
    paper_scores.approve_import(score_import, by=current_user.as_actor())
    return redirect(url_for("scoring.show_import", import_id=import_id), 303)


@scoring.post("/office/offline-scores/<uuid:import_id>/withdraw")
@require("scores.import")
def withdraw_import(import_id: UUID) -> Response:
    """Withdraw an import that isn't confirmed. Raises NotFound, InvalidState."""
    paper_scores.withdraw_import(_import_for_update(import_id), by=current_user.as_actor())
    flash("已撤回，成绩没有登记。")
    return redirect(url_for("scoring.import_paper_scores"), 303)
