"""Papers printed for halls without phones (纸质考试): booklet, answer sheet and answer key of a fixed paper,
each with that paper's code."""

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, count, groupby
from operator import attrgetter
from typing import Any
from uuid import UUID

from markupsafe import Markup, escape
from sqlalchemy import select

from dingkao import clock
from dingkao.config import AppConfig
from dingkao.database.arrays import in_array, split_into_batches
from dingkao.database.base import db
from dingkao.errors import InvalidInput, InvalidState, NotFound
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.papers import points_by_type, total_points_tenths
from dingkao.exams.scoring import X_RULE_INSTRUCTIONS
from dingkao.integrations.pdf import formulas
from dingkao.integrations.pdf import rendering as sheets
from dingkao.integrations.storage import current_store
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.question_banks import markup, question_pictures
from dingkao.question_banks.models import QuestionVersion
from dingkao.question_banks.question_types import (
    QUESTION_TYPES,
    QuestionType,
    SharedContent,
    multiple_choice_names,
    shared_content,
)
from dingkao.tenants import settings as province_settings
from dingkao.tenants.context import current_tenant
from dingkao.tenants.registry import by_code

PRINT_JOB, DOCUMENT_KIND = "print_paper", "document"
_PICTURE = re.compile(r'src="/([0-9a-f]{32})"')
_FORMULA = re.compile(r'<img src="/formula/([0-9a-f]+)"')
PRINTS = {"booklet": "试卷册", "sheet": "答题卡", "key": "参考答案"}
ROWS, COLUMNS = 25, 4
"""The answer sheet has ROWS questions in a column and COLUMNS columns on a page."""
DIGITS = 12
"""How many boxes the answer sheet has for the digits of the ticket number."""
TEMPLATES = {
    "booklet": "booklet",
    "sheet": "answer_sheet",
    "key": "answer_key",
}
"""What is printed → its template in templates/print."""


@dataclass(frozen=True)
class PrintedQuestion:
    """A question in a booklet: its number on the paper (from 1), and its version."""

    number: int
    version: QuestionVersion


@dataclass(frozen=True)
class PrintedGroup:
    """Questions that are printed together: those that share a case or their options, or a single one.
    `options`: the shared options [letter, text], empty if each question has its own."""

    case_stem: str
    options: list[Any]
    questions: list[PrintedQuestion]

    @property
    def kind(self) -> str:
        """The type of all questions of the group."""
        return self.questions[0].version.kind


@dataclass(frozen=True)
class PrintedPart:
    """All questions of one type on a paper; `points_tenths`: tenths of a point for each."""

    type: QuestionType
    points_tenths: int
    groups: list[PrintedGroup]

    @property
    def questions(self) -> list[PrintedQuestion]:
        """All questions of the part, in order."""
        return list(chain.from_iterable(group.questions for group in self.groups))


def paper_code(paper: Paper) -> str:
    """The code (卷号) of a fixed paper with its present questions: eight characters that change with any
    question. Raises InvalidState for a paper that draws its questions for each sitting."""
    if paper.fixed is None:
        raise InvalidState("这份试卷为每位医师随机抽题，不能打印。请先把组卷方式改为“所有医师题目相同”。")
    version_ids = "|".join(chain.from_iterable(paper.fixed))
    return hashlib.sha256(version_ids.encode()).hexdigest()[:8].upper()


def paper_parts(paper: Paper) -> list[PrintedPart]:
    """A fixed paper as it is printed: by type, groups together, options in their own order. Raises
    InvalidState for a paper that is not fixed."""
    paper_code(paper)
    groups = _printed_groups(paper.fixed or [])
    points = points_by_type(paper)
    return [
        PrintedPart(QUESTION_TYPES[kind], points[kind], list(of_type))
        for kind, of_type in groupby(groups, key=attrgetter("kind"))
    ]


def _printed_groups(
    units: Sequence[Sequence[str]],
) -> list[PrintedGroup]:
    """The units of a fixed paper (ids of question versions), their questions numbered consecutively from
    1."""
    versions = _load_versions(chain.from_iterable(units))
    numbers = count(1)
    return [
        _printed_group([PrintedQuestion(next(numbers), versions[version_id]) for version_id in unit])
        for unit in units
    ]


def _load_versions(
    version_ids: Iterable[str],
) -> dict[str, QuestionVersion]:
    """Version id as text → question version."""
    query = select(QuestionVersion).where(in_array(QuestionVersion.id, map(UUID, version_ids)))
    return {str(version.id): version for version in db.session.scalars(query)}


def _printed_group(questions: list[PrintedQuestion]) -> PrintedGroup:
    """A group of these questions; their options are shared if their type shares options and there are
    several."""
    first = questions[0].version
    shares_options = shared_content(first.kind) is SharedContent.OPTIONS and len(questions) > 1
    return PrintedGroup(
        first.case_stem or "",
        first.options if shares_options else [],
        questions,
    )


def enqueue_print(paper: Paper, what: str, *, by: Actor) -> Job:
    """Enqueue the job that prints `what` (a key of PRINTS), even if one is under way, and journal it: who
    printed an answer key must be known. Raises InvalidInput for anything else to print, InvalidState for a
    paper that is not fixed."""
    if what not in PRINTS:
        raise InvalidInput("请选择要打印的内容。")
    code = paper_code(paper)
    journal.write_entry("paper", paper.id, f"{what}_printed", by=by, code=code)
    return enqueueing.enqueue(
        PRINT_JOB,
        f"打印{PRINTS[what]}：{paper.title}",
        {"paper": str(paper.id), "what": what},
        by=by.id,
    )


def _to_print_html(text: str | None) -> Markup:
    """A question's text as HTML for print. Pictures are embedded; formulas become pictures, because the PDF
    renderer knows no MathML. Raises Unavailable."""
    html = str(markup.to_html(text or "", _picture_placeholder, _formula_placeholder))
    html = _PICTURE.sub(_picture_source, html)
    html = _FORMULA.sub(_formula_image, html)
    return Markup(html)  # noqa: S704 - escaped by markup.to_html, the names are ours


def _picture_placeholder(name: str) -> str:
    """The address under which `markup.to_html` lets a picture through; `_picture_source` replaces it."""
    return f"/{name}"


def _picture_source(match: re.Match[str]) -> str:
    """The `src` attribute with the embedded picture, for a match of _PICTURE."""
    return f'src="{_picture_data_uri(match[1])}"'


def _formula_image(match: re.Match[str]) -> str:
    """For a match of _FORMULA: the `img` tag up to its address, now with the embedded picture; the rest of
    the tag (alt) follows in the HTML."""
    return _rendered_formula(bytes.fromhex(match[1]).decode())


def _formula_placeholder(latex: str) -> str:
    """The HTML that `markup.to_html` lets through for a formula; `_formula_image` replaces its address. A
    formula that can't be drawn is shown as it was typed. Raises Unavailable."""
    if formulas.render_formula(latex) is None:
        return f"<code>{escape(latex)}</code>"
    return f'<img src="/formula/{latex.encode().hex()}" alt="{escape(latex)}">'


def _rendered_formula(latex: str) -> str:
    """An `img` tag with a formula as an embedded SVG picture, raised or lowered to the text's baseline;
    without alt and the closing bracket, which `_formula_image` leaves in the HTML."""
    formula = formulas.render_formula(latex)
    assert formula is not None  # noqa: S101 - _formula_placeholder lets only drawable ones through
    source = base64.b64encode(formula.svg.encode()).decode()
    return (
        f'<img class="formula" src="data:image/svg+xml;base64,{source}" style="width: '
        f'{formula.width:.3f}em; vertical-align: {-formula.depth:.3f}em"'
    )


def _picture_data_uri(name: str) -> str:
    """A picture as a data URI; an empty one if the picture is deleted."""
    try:
        content, media_type = question_pictures.load_picture(name)
    except NotFound:
        return "data:,"
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


@worker.register_job(PRINT_JOB)
def print_paper_job(job: Job, _progress: worker.ProgressCallback) -> dict[str, Any]:
    """Render a print and store it, encrypted, under the job's id for whoever asked; may be repeated. Raises
    InvalidState, TooLarge, Unavailable, InvalidInput if a page can't be drawn."""
    paper = db.session.scalars(select(Paper).where(Paper.id == UUID(job.arguments["paper"]))).one()
    current_store().put(
        DOCUMENT_KIND,
        job.id,
        render_print(paper, job.arguments["what"]),
    )
    return {"document": True}


def render_print(paper: Paper, what: str) -> bytes:
    """Booklet, answer sheet or answer key (`what`, a key of PRINTS) as PDF. Raises InvalidState for a paper
    that is not fixed, TooLarge, Unavailable, InvalidInput if a page can't be drawn."""
    parts, province = paper_parts(paper), by_code(current_tenant())
    questions = list(chain.from_iterable(part.questions for part in parts))
    pages = split_into_batches(questions, ROWS * COLUMNS)
    return sheets.render_pdf_sandboxed(
        TEMPLATES[what],
        words=_to_print_html,
        paper=paper,
        parts=parts,
        code=paper_code(paper),
        issuer=province.commission if province else "",
        total=len(questions),
        whole=f"{total_points_tenths(paper) / 10:g}",
        sample=AppConfig.current().demonstration,
        digits=DIGITS,
        x_told=X_RULE_INSTRUCTIONS[province_settings.value("x_rule")],
        multiple_types=multiple_choice_names(),
        day=f"{clock.today():%Y年%m月%d日}",
        sheets=[list(split_into_batches(page, ROWS)) for page in pages],
    )
