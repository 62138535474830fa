"""The list of the cycle's papers, made and missing; making all missing ones at once."""

from collections.abc import Iterable, Iterator
from itertools import product
from typing import NamedTuple
from uuid import UUID

from flask import flash, redirect, render_template, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.assessments.models import PROCEDURES
from dingkao.blueprints.console.papers.blueprint import (
    DEFAULT_COMMON_PERCENT,
    DEFAULT_QUESTION_COUNT,
    PAPER_FORM_LABELS,
    papers,
    require_cycle,
)
from dingkao.blueprints.console.papers.forms import WindowForm
from dingkao.cycles.cycles import current_cycle
from dingkao.cycles.models import Cycle
from dingkao.doctors.code_lists import CATEGORIES, LEVELS
from dingkao.errors import InvalidInput
from dingkao.exams import paper_blueprint
from dingkao.exams import papers as paper_rules
from dingkao.exams.models.paper_models import PAPER_PROCEDURES, Paper
from dingkao.question_banks.models import SUBJECTS
from dingkao.web.access_control import require


class _PaperRow(NamedTuple):
    """A row of the list: for whom a paper is, and the paper (None if it is missing)."""

    category: str
    level: str
    subject: str
    procedure: str
    paper: Paper | None


@papers.get("/office/papers")
@require("papers.view")
def list_papers() -> str:
    """The cycle's papers, made and missing."""
    return _render_papers(WindowForm(formdata=None))


def _render_papers(form: WindowForm) -> str:
    """The list of papers, with the form that makes all missing ones; empty before the first cycle."""
    cycle = current_cycle()
    rows = list(_iter_rows(cycle))
    return render_template(
        "console/papers/list.html",
        cycle=cycle,
        rows=rows,
        begun=_ids_of_begun_papers(rows),
        subjects=SUBJECTS,
        categories=CATEGORIES,
        levels=LEVELS,
        forms=PAPER_FORM_LABELS,
        procedures=PAPER_PROCEDURES,
        form=form,
        may_make=current_user.may("papers.make"),
        missing=any(row.paper is None for row in rows),
        whole=paper_rules.total_points_tenths,
        moment=clock.now(),
    )


def _ids_of_begun_papers(rows: Iterable[_PaperRow]) -> set[UUID]:
    """The ids of the papers that somebody has begun to sit."""
    papers_of_rows = (row.paper for row in rows if row.paper)
    return {paper.id for paper in papers_of_rows if paper_rules.has_sittings(paper)}


def _iter_rows(cycle: Cycle | None) -> Iterator[_PaperRow]:
    """Yield the papers that exist and those that are missing, by category, level and subject."""
    existing_papers = paper_rules.papers_of_cycle(cycle) if cycle else {}
    for category, level, subject in product(CATEGORIES, LEVELS, SUBJECTS):
        made_papers = existing_papers.get((subject, category, level), [])
        for paper in made_papers:
            yield _PaperRow(category, level, subject, paper.procedure, paper)
        for procedure in _missing_procedures(subject, made_papers):
            yield _PaperRow(category, level, subject, procedure, None)


def _missing_procedures(subject: str, made_papers: list[Paper]) -> list[str]:
    """The procedures for which a paper of this subject is still missing, according to the subjects sat under
    each (`papers.subjects_for_procedure`); «any» if there is no paper at all."""
    if not made_papers:
        return ["any"]
    made_procedures = {paper.procedure for paper in made_papers}
    if "any" in made_procedures:
        return []
    return [
        procedure
        for procedure in PROCEDURES
        if procedure not in made_procedures and subject in paper_rules.subjects_for_procedure(procedure)
    ]


@papers.post("/office/papers")
@require("papers.make")
def create_missing_papers() -> Response | tuple[str, int]:
    """Make every missing paper, each with about DEFAULT_QUESTION_COUNT questions, all with the same window;
    those that can't be made, as for lack of questions, are named with the reason, the others are made. What
    a colleague makes just then is waited for, and isn't missing any more. Raises NotFound before the first
    cycle."""
    cycle, form = require_cycle(), WindowForm()
    if not form.validate_on_submit():
        return _render_papers(form), 422
    paper_blueprint.lock_papers(cycle)
    missing_rows = [row for row in _iter_rows(cycle) if row.paper is None]
    problems: list[str | None] = []
    for category, subject in product(CATEGORIES, SUBJECTS):
        counts = paper_blueprint.propose_counts(subject, category, DEFAULT_QUESTION_COUNT)
        problems += [
            _create_or_explain(cycle, form, row, counts)
            for row in missing_rows
            if (row.category, row.subject) == (category, subject)
        ]
    flash(f"已生成{problems.count(None)}份试卷。" + " ".join(sorted({*filter(None, problems)})))
    return redirect(url_for("papers.list_papers"), 303)


def _create_or_explain(
    cycle: Cycle,
    form: WindowForm,
    row: _PaperRow,
    counts: dict[str, int],
) -> str | None:
    """Make the missing paper of a row, with `counts` questions by type. Returns None, or the sentence why it
    can't be made."""
    try:
        _create_paper(cycle, form, row, counts)
    except InvalidInput as refusal:
        reason = refusal.message if counts else "题库没有可用于考试的题目。"
        return f"{CATEGORIES[row.category]}{SUBJECTS[row.subject]}：{reason}"
    return None


def _create_paper(
    cycle: Cycle,
    form: WindowForm,
    row: _PaperRow,
    counts: dict[str, int],
) -> None:
    """Make the missing paper of a row, with `counts` questions by type; locks the cycle and writes a journal
    entry. Raises InvalidInput, also if the banks can't fill it."""
    opens_at, closes_at = form.window()
    paper_blueprint.save_paper(
        cycle,
        subject=row.subject,
        category=row.category,
        level=row.level,
        procedure=row.procedure,
        counts=counts,
        common_count=_default_common_count(row.subject, sum(counts.values())),
        minutes=form.minutes.data or 0,
        opens_at=opens_at,
        closes_at=closes_at,
        by=current_user.as_actor(),
    )


def _default_common_count(subject: str, total: int) -> int:
    """How many of a paper's questions are from 公共知识: a share of the professional paper if the province
    has one combined paper, else 0."""
    is_combined = "common" not in paper_rules.subjects_for_procedure("general")
    if is_combined and subject == "professional":
        return total * DEFAULT_COMMON_PERCENT // 100
    return 0
