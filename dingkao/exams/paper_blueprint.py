"""The blueprint of a paper: validated as it is typed, and saved with the plans that assembly made for it."""

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select

from dingkao import clock
from dingkao.cycles.models import Cycle
from dingkao.database.base import db, new_id
from dingkao.doctors.code_lists import CATEGORIES, LEVELS
from dingkao.errors import InvalidInput, InvalidState
from dingkao.exams.assembly.blueprint_types import (
    Blueprint,
    BlueprintCell,
    PlanShare,
    Requirement,
    UnitCounts,
)
from dingkao.exams.assembly.paper_assembly import (
    assemble_paper,
    compute_requirements,
)
from dingkao.exams.drawing import choose_units
from dingkao.exams.models.paper_models import PAPER_PROCEDURES, Paper
from dingkao.exams.papers import has_sittings
from dingkao.exams.pool_cache import dump_mixture
from dingkao.exams.question_pool import (
    CandidatePool,
    UnitPool,
    largest_fillable,
    load_candidates,
    stock_signature,
    unit_counts,
)
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.question_banks.models import SUBJECTS
from dingkao.question_banks.question_types import (
    QUESTION_TYPES,
    SINGLE_CHOICE,
    TYPE_SHARES,
)

MAX_QUESTIONS = 300
MAX_MINUTES = 600
MAX_POINTS_TENTHS = 1000
DEFAULT_POINTS_TENTHS = 10
MAX_CELLS = 200


class CellInput(NamedTuple):
    """A cell as it is typed: `number` questions of a topic and difficulty (None: any); if `percent`, `number`
    percent of the paper."""

    topic: str | None
    difficulty: str | None
    number: int
    percent: bool = False

    def to_cell(self, question_count: int) -> BlueprintCell:
        """The cell that asks for `question_count` questions."""
        return BlueprintCell(
            self.topic,
            self.difficulty,
            question_count,
            self.number if self.percent else None,
        )


def distribute_cells(cell_inputs: Sequence[CellInput], total: int) -> list[BlueprintCell]:
    """Return the cells of a paper of `total` questions, with percents turned into numbers of questions.

    Each percent is rounded by itself. But if the percents of cells by difficulty alone, or by topic alone,
    add up to 100, their numbers add up to `total`: they are rounded down, and the remaining questions go to
    the cells with the largest remainders.
    """
    rounded = _round_shares(
        {index: cell for index, cell in enumerate(cell_inputs) if cell.percent},
        total,
    )
    return [cell.to_cell(rounded.get(index, cell.number)) for index, cell in enumerate(cell_inputs)]


def _round_shares(shares: Mapping[int, CellInput], total: int) -> dict[int, int]:
    """Turn percents into numbers of questions, each rounded by itself, or to `total` where those by topic or
    difficulty alone make up 100: index of the cell → number."""
    exact = {index: cell.number * total / 100 for index, cell in shares.items()}
    rounded = {index: math.floor(value + 0.5) for index, value in exact.items()}
    for unasked in ("topic", "difficulty"):
        rounded |= _round_to_total(
            {index: exact[index] for index in _whole_by(shares, unasked)},
            total,
        )
    return rounded


def _whole_by(shares: Mapping[int, CellInput], unasked: str) -> list[int]:
    """The indices of the cells that leave the field `unasked` ("topic" or "difficulty") open, if their
    percents add up to 100; else none."""
    open_shares = {index: cell.number for index, cell in shares.items() if getattr(cell, unasked) is None}
    return list(open_shares) if sum(open_shares.values()) == 100 else []


def _round_to_total(exact: Mapping[int, float], total: int) -> dict[int, int]:
    """Round numbers so that their sum is `total`: all are rounded down, then those with the largest
    remainders are increased by 1."""
    rounded = {index: math.floor(value) for index, value in exact.items()}
    missing_count = total - sum(rounded.values())
    by_remainder = sorted(exact, key=lambda index: rounded[index] - exact[index])
    for index in by_remainder[:missing_count]:
        rounded[index] += 1
    return rounded


def parse_blueprint(
    subject: str,
    category: str,
    counts: Mapping[str, int],
    *,
    common_count: int = 0,
    cells: Sequence[BlueprintCell] = (),
) -> Blueprint:
    """Return the blueprint of `counts` questions by type (types of 0 are left out), `common_count` of them of
    公共知识, and `cells`. Raises InvalidInput for an unknown code, and naming the field for a value out of
    its limits; whether the banks have the questions is not checked."""
    counts = {kind: number for kind, number in counts.items() if number}
    _require_known_codes(subject, category, counts)
    _require_valid_counts(counts)
    total = sum(counts.values())
    _require_valid_common_count(subject, common_count, total)
    _require_valid_cells(cells, total)
    return Blueprint(counts, common_count, cells)


def _require_known_codes(subject: str, category: str, kinds: Iterable[str]) -> None:
    """Raise InvalidInput unless subject, category and types are known codes."""
    is_known = subject in SUBJECTS and category in CATEGORIES and QUESTION_TYPES.keys() >= set(kinds)
    if not is_known:
        raise InvalidInput("请从列表中选择科目、执业类别和题型。")


def _require_valid_counts(counts: Mapping[str, int]) -> None:
    """Raise InvalidInput unless all counts are positive and their sum is at most MAX_QUESTIONS."""
    is_valid = min(counts.values(), default=0) > 0 and sum(counts.values()) <= MAX_QUESTIONS
    if not is_valid:
        raise InvalidInput(f"题目总数应为1至{MAX_QUESTIONS}题。", "counts")


def _require_valid_common_count(subject: str, common_count: int, total: int) -> None:
    """Raise InvalidInput unless `common_count` is at most `total`, and 0 for papers of 公共知识."""
    is_allowed = common_count == 0 or subject == "professional"
    if not is_allowed or not 0 <= common_count <= total:
        raise InvalidInput(
            "公共知识题数应在题目总数以内，且只用于业务水平试卷。",
            "humanities",
        )


def _require_valid_cells(cells: Sequence[BlueprintCell], total: int) -> None:
    """Raise InvalidInput for too many cells or an invalid one."""
    if len(cells) > MAX_CELLS or not all(_is_valid_cell(cell, total) for cell in cells):
        raise InvalidInput(
            f"知识点和难度的每一格应为1至{total}题，用百分数填写的折合后不少于1题。",
            "cells",
        )


def _is_valid_cell(cell: BlueprintCell, total: int) -> bool:
    """Whether a cell asks for a topic or a difficulty, and for no more questions than the paper's `total`."""
    asks_for_any = cell.topic is None and cell.difficulty is None
    return 0 < cell.number <= total and not asks_for_any


def requirements_now(subject: str, category: str, blueprint: Blueprint) -> list[Requirement]:
    """Each requirement of a blueprint with how much of it the banks can meet now."""
    candidates = load_candidates(subject, category, with_common=blueprint.common_count > 0)
    return compute_requirements(unit_counts(candidates.pool(blueprint)), blueprint)


class _PaperKey(NamedTuple):
    """The doctors that a paper is for, and its subject."""

    subject: str
    category: str
    level: str
    procedure: str

    def title(self) -> str:
        """The title of the paper."""
        group = f"{CATEGORIES[self.category]} {LEVELS[self.level]}"
        if self.procedure != "any":
            group += f" {PAPER_PROCEDURES[self.procedure]}"
        return f"{SUBJECTS[self.subject]}（{group}）"


def save_paper(
    cycle: Cycle,
    *,
    subject: str,
    category: str,
    level: str,
    counts: Mapping[str, int],
    minutes: int,
    opens_at: datetime,
    closes_at: datetime,
    by: Actor,
    procedure: str = "any",
    marks: Mapping[str, int] | None = None,
    common_count: int = 0,
    cells: Sequence[BlueprintCell] = (),
    fixed: bool = False,
    paper: Paper | None = None,
) -> Paper:
    """Save the paper of a cycle for a subject, category, level and procedure; `paper` is the one to change
    (of the same subject, category and level: only its procedure may change), None for the one under these
    four, or a new one. It gets the plans of an assembly made now. Locks the cycle, writes a journal entry.

    `counts`: type → how many questions. `marks`: type → tenths of a point for one question, 10 for a type
    without. `minutes`: how long a sitting lasts. `fixed`: the same questions for everybody, drawn anew at
    each save, so that booklets printed before no longer fit. Raises InvalidInput naming the field (also if
    the banks can't meet the blueprint, or another paper of the subject is for the same doctors), InvalidState
    once somebody has begun the paper.
    """
    _require_known_group(level, procedure)
    _require_valid_times(minutes, opens_at, closes_at)
    points = _points_by_type(counts, marks or {})
    blueprint = parse_blueprint(
        subject,
        category,
        counts,
        common_count=common_count,
        cells=cells,
    )
    pool = load_candidates(subject, category, with_common=common_count > 0).pool(blueprint)
    stock = unit_counts(pool)
    mixture = _assemble(stock, blueprint)
    key = _PaperKey(subject, category, level, procedure)
    saved_paper = _paper_for_update(cycle, key, paper)
    saved_paper.title = key.title()
    saved_paper.procedure = procedure
    saved_paper.counts = dict(blueprint.counts)
    saved_paper.points = points
    saved_paper.common_count = common_count
    saved_paper.cells = [asdict(cell) for cell in cells]
    saved_paper.minutes = minutes
    saved_paper.opens_at = opens_at
    saved_paper.closes_at = closes_at
    saved_paper.plan = dump_mixture(mixture, stock_signature(stock, blueprint))
    saved_paper.fixed = _choose_fixed_units(pool, mixture) if fixed else None
    saved_paper.made_at = clock.now()
    db.session.flush()
    journal.write_entry(
        "paper",
        saved_paper.id,
        "made",
        by=by,
        subject=subject,
        category=category,
        level=level,
        procedure=procedure,
        counts=dict(saved_paper.counts),
        marks=points,
        humanities=common_count,
        cells=len(cells),
        fixed=fixed,
        minutes=minutes,
    )
    return saved_paper


def _require_known_group(level: str, procedure: str) -> None:
    """Raise InvalidInput unless level and procedure are known codes."""
    if level not in LEVELS or procedure not in PAPER_PROCEDURES:
        raise InvalidInput("请从列表中选择级别和适用程序。", "procedure")


def _require_valid_times(minutes: int, opens_at: datetime, closes_at: datetime) -> None:
    """Raise InvalidInput naming the field for an invalid length (minutes) or window."""
    if not 1 <= minutes <= MAX_MINUTES:
        raise InvalidInput(f"考试时长应为1至{MAX_MINUTES}分钟。", "minutes")
    if closes_at <= opens_at or closes_at == clock.end_of_minute(opens_at):
        raise InvalidInput("考试结束时间应晚于开始时间。", "closes_at")


def _points_by_type(counts: Mapping[str, int], marks: Mapping[str, int]) -> dict[str, int]:
    """Tenths of a point for one question, for each type that the paper has. Raises InvalidInput naming the
    field."""
    points = {kind: marks.get(kind, DEFAULT_POINTS_TENTHS) for kind, number in counts.items() if number}
    for kind, tenths in points.items():
        _require_valid_points(kind, tenths)
    return points


def _require_valid_points(kind: str, tenths: int) -> None:
    """Raise InvalidInput unless a question of the type earns 1 to MAX_POINTS_TENTHS tenths of a point."""
    if not 1 <= tenths <= MAX_POINTS_TENTHS:
        raise InvalidInput(f"{kind}型题每题分值应为0.1至100分。", f"mark_{kind}")


def _assemble(stock: UnitCounts, blueprint: Blueprint) -> list[PlanShare]:
    """The plans for a blueprint. Raises InvalidInput, saying what is short, if the banks can't meet it."""
    assembly = assemble_paper(stock, blueprint)
    if not assembly.is_complete:
        raise InvalidInput(
            f"题库凑不成这份试卷：{assembly.shortage_message()}。请调整要求或先导入题目。",
            "counts",
        )
    return assembly.mixture


def _choose_fixed_units(pool: UnitPool, mixture: list[PlanShare]) -> list[list[str]]:
    """One drawing, as a fixed paper stores it: for each unit the ids of its question versions."""
    units = choose_units(pool, mixture, random.SystemRandom())
    return [[str(version) for version, _ in unit.versions] for unit in units]


def _paper_for_update(cycle: Cycle, key: _PaperKey, paper: Paper | None) -> Paper:
    """The row to be written, locked: `paper`, or the one under this key, or a new one. Raises InvalidInput if
    another paper of the subject would be for the same doctors, InvalidState once somebody has begun the
    paper."""
    papers = _list_papers_for_update(cycle, key)
    saved_paper = _find_saved_paper(papers, key, paper)
    for other in papers:
        if other is not saved_paper:
            _require_other_doctors(key.procedure, other)
    if saved_paper is None:
        return _add_paper(cycle, key)
    if has_sittings(saved_paper):
        raise InvalidState("已有医师开始作答这份试卷，不能再更改。")
    return saved_paper


def lock_papers(cycle: Cycle) -> None:
    """Lock the cycle's row: until the transaction ends nobody else adds or changes one of its papers."""
    db.session.scalars(select(Cycle.id).where(Cycle.id == cycle.id).with_for_update()).one()


def _list_papers_for_update(cycle: Cycle, key: _PaperKey) -> Sequence[Paper]:
    """The papers of a cycle for a subject, category and level, whatever their procedure, locked; the
    cycle is locked too, so that nobody adds one."""
    lock_papers(cycle)
    query = select(Paper).where(
        Paper.cycle_id == cycle.id,
        Paper.subject == key.subject,
        Paper.category == key.category,
        Paper.level == key.level,
    )
    return db.session.scalars(query.with_for_update().execution_options(populate_existing=True)).all()


def _find_saved_paper(papers: Sequence[Paper], key: _PaperKey, paper: Paper | None) -> Paper | None:
    """`paper` as it is among `papers`, or without it the one for the key's procedure; None if there is
    none."""
    if paper is None:
        return {other.procedure: other for other in papers}.get(key.procedure)
    return {other.id: other for other in papers}.get(paper.id)


def _add_paper(cycle: Cycle, key: _PaperKey) -> Paper:
    """Add a row for the paper with the key's four parts; its other columns are set by the caller before a
    flush."""
    paper = Paper(
        id=new_id(),
        cycle_id=cycle.id,
        subject=key.subject,
        category=key.category,
        level=key.level,
        procedure=key.procedure,
    )
    db.session.add(paper)
    return paper


def _require_other_doctors(procedure: str, paper: Paper) -> None:
    """Raise InvalidInput if one doctor could sit both a paper for `procedure` and the saved `paper`."""
    if procedure == "any" or paper.procedure in ("any", procedure):
        raise InvalidInput(
            f"已有一份适用{PAPER_PROCEDURES[paper.procedure]}的同科目试卷，请先把它改为只适用另一种程序。",
            "procedure",
        )


def propose_counts(subject: str, category: str, total: int) -> dict[str, int]:
    """Propose how many questions of each type a paper of about `total` may have, from what the banks have of
    the subject: the usual percentage of each type (TYPE_SHARES), no more than whole groups can fill; what is
    missing to `total` is added to A1, as far as there are any. Types without questions are left out."""
    candidates = load_candidates(subject, category)
    counts = {
        kind: largest_fillable(candidates.unit_sizes(kind), round(total * share / 100))
        for kind, share in TYPE_SHARES.items()
    }
    _fill_up(counts, candidates, total)
    return {kind: number for kind, number in counts.items() if number}


def _fill_up(counts: dict[str, int], candidates: CandidatePool, total: int) -> None:
    """Add to the A1 questions in `counts` what is missing to `total`, as far as the banks have A1 questions
    left."""
    filler = SINGLE_CHOICE.code
    missing_count = total - sum(counts.values())
    unused_count = len(candidates.unit_sizes(filler)) - counts[filler]
    counts[filler] += max(0, min(missing_count, unused_count))
