"""Previewing a paper, and printing it for halls without phones."""

from uuid import UUID

from flask import redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.blueprints.console.papers.blueprint import papers
from dingkao.errors import Forbidden
from dingkao.exams import drawing, paper_printing
from dingkao.exams import papers as paper_rules
from dingkao.exams.question_pool import load_candidates
from dingkao.question_banks.question_texts import versions_by_id
from dingkao.web.access_control import require
from dingkao.web.request_lifecycle import limiter

PRINT_DESCRIPTIONS = {
    "booklet": "全部试题，按题型排列，共用题干和备选答案的题在一起。",
    "sheet": "填涂用的答题卡，每张100题，四角有定位黑块。",
    "key": "按题号排列的答案和分值，供阅卷使用。",
}


@papers.get("/office/papers/<uuid:paper_id>/preview")
@require("papers.preview")
def preview_paper(paper_id: UUID) -> str:
    """One random layout (`seed`) of a paper with its answer keys; question editors may see it only before
    anybody has begun it. Raises NotFound, Forbidden, InvalidState if the banks can't fill it any more."""
    paper = paper_rules.get_paper(paper_id)
    if paper_rules.has_sittings(paper) and not current_user.may("papers.make"):
        raise Forbidden
    seed = request.args.get("seed", 1, int)
    version_ids = [drawn.version for drawn in drawing.draw_layout(paper, seed)]
    versions = versions_by_id(version_ids)
    candidates = load_candidates(
        paper.subject,
        paper.category,
        with_common=paper.common_count > 0,
    )
    return render_template(
        "console/papers/preview.html",
        paper=paper,
        versions=[versions[version_id] for version_id in version_ids],
        seed=seed,
        twins=candidates.similar_skipped_count,
        practised=candidates.practice_twin_count(),
    )


@papers.route("/office/papers/<uuid:paper_id>/print", methods=["GET", "POST"])
@require("papers.print_sheet")
@limiter.limit("60/hour", methods=["POST"])
def print_paper(paper_id: UUID) -> Response | str:
    """Enqueue the booklet, answer sheet or answer key of a fixed paper, each for users who are granted to
    print it (domain.md §12); who printed it is entered in the journal. Raises NotFound, InvalidState for a
    paper that isn't fixed, and in a POST Forbidden."""
    paper = paper_rules.get_paper(paper_id)
    allowed = [what for what in paper_printing.PRINTS if current_user.may(f"papers.print_{what}")]
    if request.method == "POST":
        what = request.form.get("what", "")
        if what not in allowed:
            raise Forbidden
        job = paper_printing.enqueue_print(paper, what, by=current_user.as_actor())
        return redirect(url_for("jobs.show_job", job_id=job.id), 303)
    return render_template(
        "console/papers/print.html",
        paper=paper,
        may=allowed,
        prints=paper_printing.PRINTS,
        about=PRINT_DESCRIPTIONS,
        code=paper_printing.paper_code(paper),
    )
