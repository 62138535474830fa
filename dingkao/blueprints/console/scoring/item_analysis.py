"""Item analysis in the console: the cycle's papers, and the figures of a paper and of its questions."""

from itertools import product
from typing import Any
from uuid import UUID

from flask import Response as FlaskResponse
from flask import redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.blueprints.console.scoring.blueprint import scoring
from dingkao.cycles.cycles import current_cycle, get_cycle
from dingkao.errors import NotFound
from dingkao.exams import item_analysis as figures
from dingkao.exams import item_analysis_jobs, item_warnings
from dingkao.exams.models.paper_models import Paper, PaperAnalysis
from dingkao.exams.papers import get_paper
from dingkao.exams.scoring import CORRECTION_TREATMENTS
from dingkao.integrations.spreadsheets.xlsx_writer import write_xlsx
from dingkao.jobs.enqueueing import is_under_way
from dingkao.question_banks.question_texts import load_stems
from dingkao.results import pass_lines
from dingkao.web.access_control import require
from dingkao.web.request_lifecycle import (
    auto_refreshing_page,
    limiter,
    xlsx_response,
)

ITEM_ORDERS = {
    "order": "试题顺序",
    "flags": "有提示的在前",
    "p": "难度（由难到易）",
    "r": "区分度（由低到高）",
}
SHEET_HEADINGS = [
    "序号",
    "题型",
    "题干",
    "答案",
    "判分方式",
    "作答人数",
    "难度",
    "区分度（高低分组）",
    "区分度（点二列相关）",
    "未作答",
]


@scoring.get("/office/analyses")
@require("analysis.view")
def list_analyses() -> str:
    """The cycle's papers: how many sittings were handed in (counted as far as pages show), those with most
    first, and when each was analysed last."""
    cycle = current_cycle()
    papers = item_analysis_jobs.analysable_papers(cycle) if cycle else []
    counts = item_analysis_jobs.handed_in_counts(papers)
    return render_template(
        "console/scoring/analyses.html",
        cycle=cycle,
        papers=sorted(papers, key=lambda paper: -counts.get(paper.id, 0)),
        counts=counts,
        made=item_analysis_jobs.analyses_of_papers(papers),
        may=current_user.may("analysis.run"),
    )


@scoring.post("/office/analyses/<uuid:paper_id>")
@require("analysis.run")
@limiter.limit("60/hour")
def start_analysis(paper_id: UUID) -> Response:
    """Enqueue the job that analyses a paper, also again. Raises NotFound."""
    item_analysis_jobs.enqueue_analysis(get_paper(paper_id), by=current_user.as_actor())
    return redirect(url_for("scoring.show_analysis", paper_id=paper_id), 303)


@scoring.get("/office/analyses/<uuid:paper_id>")
@require("analysis.view")
def show_analysis(paper_id: UUID) -> FlaskResponse:
    """The analysis of one paper: the distribution of its scores, its reliability, and the figures of each
    question, in the order `order` of the address; none before it was analysed. While the job runs the page
    reloads itself. Raises NotFound."""
    paper = get_paper(paper_id)
    analysis = item_analysis_jobs.find_analysis(paper)
    job = item_analysis_jobs.latest_job_of(paper)
    waits = is_under_way(job)
    page = render_template(
        "console/scoring/analysis.html",
        paper=paper,
        made=analysis,
        job=job,
        waits=waits,
        may=current_user.may("analysis.run"),
        **(_analysis_figures(paper, analysis) if analysis else {}),
    )
    return auto_refreshing_page(page, waits=waits)


def _analysis_figures(paper: Paper, analysis: PaperAnalysis) -> dict[str, Any]:
    """Template variables for the analysis of a paper."""
    order = request.args.get("order", "order")
    items = _sort_items(analysis.content["items"], order)
    distribution, line_tenths = _score_distribution(paper, analysis)
    return {
        "lie": distribution,
        "line": line_tenths,
        "items": items,
        "words": load_stems(UUID(item["version"]) for item in items),
        "order": order,
        "orders": ITEM_ORDERS,
        "treatments": CORRECTION_TREATMENTS,
        "few": item_warnings.MIN_ANSWERS,
        "enough": item_warnings.ENOUGH_ANSWERS,
        "behind": item_analysis_jobs.handed_in_count(paper) != analysis.sittings,
        "uuid": UUID,
    }


def _sort_items(items: list[dict[str, Any]], order: str) -> list[dict[str, Any]]:
    """The items, each with its `number` (from 1, in the order of the paper), in an order of ITEM_ORDERS; for
    another word in that of the paper."""
    numbered = [item | {"number": number} for number, item in enumerate(items, 1)]
    keys = {
        "flags": _flags_key,
        "p": _difficulty_key,
        "r": _discrimination_key,
    }
    return sorted(numbered, key=keys[order]) if order in keys else numbered


def _flags_key(item: dict[str, Any]) -> tuple[Any, ...]:
    """Sort key: first items whose answer key should be checked, then other flagged items."""
    needs_check = any("核对" in flag for flag in item["flags"])
    return not needs_check, not item["flags"], item["number"]


def _difficulty_key(item: dict[str, Any]) -> tuple[Any, ...]:
    """Sort key: the smallest share of right answers, that is the hardest item, first."""
    return item["p"], item["number"]


def _discrimination_key(item: dict[str, Any]) -> tuple[Any, ...]:
    """Sort key: the lowest point-biserial correlation first, items without one last."""
    return item["r"] is None, item["r"] or 0.0, item["number"]


def _score_distribution(paper: Paper, analysis: PaperAnalysis) -> tuple[figures.Distribution | None, int]:
    """The distribution of the scores, and the pass line in tenths of a point that it uses: the current line,
    or the settings' default."""
    line = pass_lines.current_lines(get_cycle(paper.cycle_id)).get((paper.category, paper.level))
    tenths = line.line_tenths if line else pass_lines.default_tenths(paper.level)
    sittings_by_score = {int(score): count for score, count in analysis.content["scores"].items()}
    return figures.compute_distribution(sittings_by_score, tenths), tenths


@scoring.get("/office/analyses/<uuid:paper_id>/analysis.xlsx")
@require("analysis.export")
def export_analysis(paper_id: UUID) -> FlaskResponse:
    """The questions' figures as xlsx. Raises NotFound, also for a paper that was never analysed."""
    analysis = item_analysis_jobs.find_analysis(get_paper(paper_id))
    if analysis is None:
        raise NotFound("这份试卷还没有做过项目分析。")
    return xlsx_response(
        _analysis_xlsx(_sort_items(analysis.content["items"], "order")),
        "item-analysis.xlsx",
    )


def _analysis_xlsx(items: list[dict[str, Any]]) -> bytes:
    """The items as xlsx, one row each."""
    stems = load_stems(UUID(item["version"]) for item in items)
    letters = sorted(set().union(*(item["letters"] for item in items)))
    headings = [*SHEET_HEADINGS, *_choice_headings(letters), "提示"]
    sheet_rows = [_sheet_row(item, stems.get(UUID(item["version"]), ""), letters) for item in items]
    return write_xlsx(headings, sheet_rows, "项目分析")


def _choice_headings(letters: list[str]) -> list[str]:
    """The headings for the numbers of people who chose each option, in the order of `_choice_counts`."""
    return [f"选{letter}{group}" for letter, group in product(letters, ("", "（高分组）", "（低分组）"))]


def _sheet_row(item: dict[str, Any], stem: str, letters: list[str]) -> list[Any]:
    """The cells of an item; `letters`: all option letters that occur in the analysis."""
    return [
        item["number"],
        item["kind"],
        stem,
        "或".join(item["keys"]),
        CORRECTION_TREATMENTS[item["treatment"]],
        item["n"],
        item["p"],
        _format_cell(item["d"]),
        _format_cell(item["r"]),
        item["blank"],
        *(count for letter in letters for count in _choice_counts(item, letter)),
        "；".join(item["flags"]),
    ]


def _choice_counts(item: dict[str, Any], letter: str) -> Any:
    """How many people chose an option: in total, in the upper and in the lower group; "" three times if the
    item has no such option."""
    not_chosen = (0, 0, 0) if letter in item["letters"] else ("", "", "")
    return item["choices"].get(letter, not_chosen)


def _format_cell(value: float | None) -> float | str:
    return "" if value is None else value
