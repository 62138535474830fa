"""Whether the banks can still fill every paper whose window is not over."""

from sqlalchemy import select

from dingkao import clock
from dingkao.database.base import db
from dingkao.errors import InvalidState
from dingkao.exams.assembly.blueprint_types import (
    Blueprint,
    Requirement,
)
from dingkao.exams.assembly.paper_assembly import compute_requirements
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.papers import blueprint_cells
from dingkao.exams.question_pool import load_candidates, unit_counts


def require_papers_assemblable(subject: str, category: str | None, purpose: str, act: str) -> None:
    """Raise InvalidState if a paper whose window is not over can't be drawn any more, now that questions of
    this subject and category (None: any) were taken out of use (in this transaction, before this call): a
    doctor could not begin it. Flushes, and locks all papers of the category, whatever their subject, whose
    window is not over. `purpose`: that of the questions; only "exam" matters. `act`: what was done, as text
    for the message."""
    if purpose != "exam":
        return
    db.session.flush()
    if short := _first_unfillable_paper(subject, category):
        raise InvalidState(
            f"{act}后，{short}，参加考试的医师将无法开始作答。请先补充题目，或在有人作答前修改这份试卷。"
        )


def _first_unfillable_paper(subject: str, category: str | None) -> str | None:
    """Which paper can't be drawn any more and what it lacks, as text; None if all can be. Only papers are
    checked that draw questions of this subject and category (None: any) and whose window is not over; with
    them all others of the category that are not over are locked, so that two requests that take out questions
    wait for each other."""
    query = select(Paper).where(Paper.closes_at > clock.now()).order_by(Paper.id).with_for_update()
    if category:
        query = query.where(Paper.category == category)
    papers = db.session.scalars(query)
    shortages = (_shortage_of(paper) for paper in papers if _draws_subject(paper, subject))
    return next(filter(None, shortages), None)


def _shortage_of(paper: Paper) -> str:
    """The first requirement of a paper that the banks can't meet, as text; "" if they meet all."""
    requirement = _first_unmet_requirement(paper)
    if requirement is None:
        return ""
    shortage = requirement.shortage_message()
    return f"试卷“{paper.title}”的{requirement.label}需要{requirement.required}道，{shortage}"


def _draws_subject(paper: Paper, subject: str) -> bool:
    """Whether a paper draws questions of the subject for each sitting (a fixed paper doesn't)."""
    has_a_share = paper.common_count > 0 and subject == "common"
    return paper.fixed is None and (subject == paper.subject or has_a_share)


def _first_unmet_requirement(paper: Paper) -> Requirement | None:
    """The first requirement of a paper that the banks can't meet even with questions whose copy is practised;
    None if they meet all."""
    blueprint = Blueprint(paper.counts, paper.common_count, blueprint_cells(paper))
    candidates = load_candidates(
        paper.subject,
        paper.category,
        with_common=paper.common_count > 0,
    )
    stock = unit_counts(candidates.pool(blueprint, with_practised=True))
    requirements = compute_requirements(stock, blueprint)
    return next((requirement for requirement in requirements if not requirement.is_met), None)
