"""Making or changing one paper: its blueprint (组卷蓝图), checked against the question banks."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from typing import Any, NamedTuple

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.blueprints.console.papers.blueprint import (
    DEFAULT_QUESTION_COUNT,
    papers,
    require_cycle,
)
from dingkao.blueprints.console.papers.forms import PaperForm
from dingkao.cycles.models import Cycle
from dingkao.doctors.code_lists import CATEGORIES, LEVELS
from dingkao.errors import InvalidInput, NotFound
from dingkao.exams import paper_blueprint
from dingkao.exams import papers as paper_rules
from dingkao.exams.assembly.blueprint_types import (
    BlueprintCell,
    Requirement,
)
from dingkao.exams.models.paper_models import PAPER_PROCEDURES, Paper
from dingkao.exams.question_pool import CandidatePool, load_candidates
from dingkao.question_banks.models import DIFFICULTIES, SUBJECTS
from dingkao.question_banks.question_types import (
    QUESTION_TYPE_LABELS,
    QUESTION_TYPES,
)
from dingkao.web.access_control import require
from dingkao.web.form_submission import (
    form_page_with_errors,
    submit_form,
)

CELL_PATTERN = re.compile(r"([0-9]{1,3})\s*([%\uff05]?)")
MAX_TOPICS = 60
CellTexts = dict[tuple[str, str], str]
"""(topic, difficulty) → the text of the cell; "" means any topic or any difficulty."""


@papers.route(
    "/office/papers/<string:subject>/<string:category>/<string:level>",
    methods=["GET", "POST"],
)
@require("papers.make")
def edit_paper(subject: str, category: str, level: str) -> Response | tuple[str, int] | str:
    """Make one paper, or change it while nobody has sat it. `procedure` in the address selects it if the
    group has one for each procedure. 「核对题库」 only shows what the banks lack, and saves nothing. A
    refusal is shown in the form. Raises NotFound, InvalidState for a paper that somebody has begun."""
    group = _paper_group(subject, category, level)
    cycle = require_cycle()
    procedure = request.args.get("procedure", "any")
    paper = _find_paper(cycle, group, procedure)
    candidates = load_candidates(subject, category)
    form = PaperForm(data=_initial_values(paper, subject, category, procedure))
    cell_texts = _typed_cells() if request.method == "POST" else _stored_cells(paper)
    typed_paper = _TypedPaper(cycle, group, form, cell_texts, paper)
    if submit_form(form, typed_paper.submit):
        flash("试卷已保存。")
        return redirect(url_for("papers.list_papers"), 303)
    page = render_template(
        "console/papers/edit.html",
        form=form,
        title=f"{SUBJECTS[subject]}（{CATEGORIES[category]} {LEVELS[level]}）",
        row=paper,
        locked=paper is not None and paper_rules.has_sittings(paper),
        requirements=typed_paper.requirements,
        topics=_topics(candidates, paper)[:MAX_TOPICS],
        typed=cell_texts,
        subject=subject,
        back=url_for("papers.list_papers"),
        **_stock_context(candidates),
    )
    return form_page_with_errors(page, form)


class _PaperGroup(NamedTuple):
    """For whom a paper is: subject, category and level."""

    subject: str
    category: str
    level: str


def _paper_group(subject: str, category: str, level: str) -> _PaperGroup:
    """The group in the address. Raises NotFound for unknown codes."""
    if subject not in SUBJECTS or category not in CATEGORIES or level not in LEVELS:
        raise NotFound
    return _PaperGroup(subject, category, level)


def _find_paper(cycle: Cycle, group: _PaperGroup, procedure: str) -> Paper | None:
    """The group's paper for a procedure; None if there is none."""
    same_group = paper_rules.papers_of_cycle(cycle).get(group, [])
    return next(
        (paper for paper in same_group if paper.procedure == procedure),
        None,
    )


def _stock_context(candidates: CandidatePool) -> dict[str, Any]:
    """Template variables: how many questions the banks have by type and by topic, how many are left aside
    because they are similar to others or are practised, and the labels."""
    return {
        "has": candidates.count_by_type(),
        "kinds": QUESTION_TYPE_LABELS,
        "stock": candidates.count_by_topic(),
        "difficulties": DIFFICULTIES,
        "twins": candidates.similar_skipped_count,
        "practised": candidates.practice_twin_count(),
    }


@dataclass
class _TypedPaper:
    """A paper as it was typed for a group, replacing `paper` if that isn't None. `requirements`: for each
    requirement of the typed blueprint what the banks have; None until it is looked up."""

    cycle: Cycle
    group: _PaperGroup
    form: PaperForm
    cell_texts: CellTexts
    paper: Paper | None
    requirements: list[Requirement] | None = None

    def submit(self) -> bool:
        """Look up what the banks have and, unless 「核对题库」 was pressed, save the paper; return whether it
        was saved. Raises InvalidInput naming the field, InvalidState."""
        counts, points = self.form.counts(), self.form.points()
        cells = paper_blueprint.distribute_cells(_parse_cells(self.cell_texts), sum(counts.values()))
        self.requirements = self._look_up(cells)
        is_check = bool(request.form.get("check"))
        if not is_check:
            self._save(points, cells)
        return not is_check

    def _look_up(self, cells: list[BlueprintCell]) -> list[Requirement]:
        """The requirements of the typed blueprint, each with what the banks have. Raises InvalidInput."""
        subject, category, _ = self.group
        typed_blueprint = paper_blueprint.parse_blueprint(
            subject,
            category,
            self.form.counts(),
            common_count=self.form.humanities.data or 0,
            cells=cells,
        )
        return paper_blueprint.requirements_now(subject, category, typed_blueprint)

    def _save(self, points: dict[str, int], cells: list[BlueprintCell]) -> None:
        """Save the typed paper, in place of `paper` if there is one; locks the cycle, writes a journal entry.
        Raises InvalidInput, InvalidState once somebody has begun it."""
        opens_at, closes_at = self.form.window()
        paper_blueprint.save_paper(
            self.cycle,
            **self.group._asdict(),
            counts=self.form.counts(),
            marks=points,
            minutes=self.form.minutes.data or 0,
            opens_at=opens_at,
            closes_at=closes_at,
            procedure=self.form.procedure.data,
            common_count=self.form.humanities.data or 0,
            cells=cells,
            fixed=self.form.form.data == "fixed",
            paper=self.paper,
            by=current_user.as_actor(),
        )


def _topics(candidates: CandidatePool, paper: Paper | None) -> list[str]:
    """The topics of which the banks have questions, and those in the paper's blueprint, sorted."""
    topics: set[str | None] = {topic for topic, _ in candidates.count_by_topic()}
    if paper is not None:
        topics |= {cell.topic for cell in paper_rules.blueprint_cells(paper)}
    return sorted(filter(None, topics))


def _initial_values(paper: Paper | None, subject: str, category: str, procedure: str) -> dict[str, Any]:
    """The initial values of the form: the stored paper, or a proposal from what the banks have."""
    if paper is not None:
        return _stored_values(paper)
    counts = paper_blueprint.propose_counts(subject, category, DEFAULT_QUESTION_COUNT)
    return {
        **_counts_of_all_types(counts),
        "procedure": procedure if procedure in PAPER_PROCEDURES else "any",
    }


def _counts_of_all_types(counts: Mapping[str, int]) -> dict[str, int]:
    """`counts` completed with 0 for question types that it doesn't have."""
    return {kind: counts.get(kind, 0) for kind in QUESTION_TYPES}


def _stored_values(paper: Paper) -> dict[str, Any]:
    """The stored paper, by form field."""
    points = paper_rules.points_by_type(paper)
    return {
        **_counts_of_all_types(paper.counts),
        **{f"mark_{kind}": Decimal(tenths) / 10 for kind, tenths in points.items()},
        "minutes": paper.minutes,
        "opens_at": clock.to_beijing(paper.opens_at),
        "closes_at": clock.to_beijing(paper.closes_at),
        "procedure": paper.procedure,
        "humanities": paper.common_count,
        "form": "drawn" if paper.fixed is None else "fixed",
    }


def _typed_cells() -> CellTexts:
    """The typed cells, without empty ones. Their fields are called cell-INDEX-DIFFICULTY; INDEX counts the
    topics of the form from 1, 0 means any topic."""
    topics = enumerate(["", *request.form.getlist("topic")])
    cell_texts = {
        (topic, difficulty): request.form.get(f"cell-{index}-{difficulty}", "").strip()
        for (index, topic), difficulty in product(topics, ("", *DIFFICULTIES))
    }
    return {cell: text for cell, text in cell_texts.items() if text}


def _stored_cells(paper: Paper | None) -> CellTexts:
    """The cells of a stored paper, as they would be typed."""
    cells = paper_rules.blueprint_cells(paper) if paper else []
    return {(cell.topic or "", cell.difficulty or ""): _cell_text(cell) for cell in cells}


def _cell_text(cell: BlueprintCell) -> str:
    """«20%» for a cell with a share, else the number of questions."""
    return f"{cell.share}%" if cell.share else str(cell.number)


def _parse_cells(cell_texts: CellTexts) -> list[paper_blueprint.CellInput]:
    """The typed cells as numbers or percentages; cells of 0 are left out. Raises InvalidInput for the field
    `cells`."""
    cells = [_parse_cell(topic, difficulty, text) for (topic, difficulty), text in cell_texts.items()]
    return [cell for cell in cells if cell.number]


def _parse_cell(topic: str, difficulty: str, text: str) -> paper_blueprint.CellInput:
    """The text of a cell (such as «5» or «20%») as a number or percentage. Raises InvalidInput for the field
    `cells`."""
    match = CELL_PATTERN.fullmatch(text)
    if not match or not (topic or difficulty):
        raise InvalidInput(
            "知识点和难度的单元格请填写题数（如5）或占全卷的百分数（如20%）。",
            "cells",
        )
    return paper_blueprint.CellInput(
        topic or None,
        difficulty or None,
        int(match[1]),
        percent=bool(match[2]),
    )
