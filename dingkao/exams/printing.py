"""Papers on paper, for halls without phones (纸质考试): booklet, answer sheet and key of a fixed paper, each with the mark of this very paper."""

import base64
import hashlib
import re
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

from markupsafe import Markup, escape
from sqlalchemy import select

from dingkao import clock
from dingkao.database.model import db
from dingkao.errors import Invalid, NotAllowed, NotFound
from dingkao.exams import content, picturing
from dingkao.exams.marking import X_TOLD
from dingkao.exams.models import TYPES, Paper, QuestionVersion
from dingkao.exams.papers import GROUPED_OPTIONS, marks_of, whole_marks
from dingkao.jobs import asking, performing
from dingkao.jobs.models import Job
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor
from dingkao.outside import formulas
from dingkao.outside import paper as sheets
from dingkao.outside.storage import store
from dingkao.settings import Settings
from dingkao.tenants import settings as province_settings
from dingkao.tenants.context import current_tenant
from dingkao.tenants.registry import by_code

PRINT, DOCUMENT = "print_paper", "document"
_PICTURE = re.compile(r'src="/([0-9a-f]{32})"')
_FORMULA = re.compile(r'<img src="/formula/([0-9a-f]+)"')
PRINTS = {"booklet": "试卷册", "sheet": "答题卡", "key": "参考答案"}
EXPLAINED = {
    "A1": "每一道题有五个备选答案,请选择一个最佳答案。", "A2": "每一道题以一个小病例出现,有五个备选答案,请选择一个最佳答案。",
    "A3": "一个病例提供若干小题,每题请选择一个最佳答案。", "A4": "一个病例逐步展开若干小题,每题请选择一个最佳答案。",
    "B1": "一组题共用备选答案,每题请选择一个最佳答案,备选答案可以选用一次、多次或不选。", "X": "每一道题有两个或两个以上正确答案,请全部选出。",
    "TF": "请判断每一道题的说法是否正确,正确的选A,错误的选B。",
}  # fmt: skip
ROWS, COLUMNS = 25, 4
DIGITS = 12


@dataclass(frozen=True)
class Printed:
    """A question in a booklet: its number on the paper, and its version."""

    number: int
    version: QuestionVersion


@dataclass(frozen=True)
class Group:
    """What stands together: questions that share a case or their options, or one by itself."""

    case_stem: str
    options: list[Any]
    questions: list[Printed]


@dataclass(frozen=True)
class Part:
    """The questions of one type."""

    kind: str
    name: str
    explained: str
    tenths: int
    groups: list[Group]

    @property
    def questions(self) -> list[Printed]:
        """All of them, in order."""
        return [question for group in self.groups for question in group.questions]


def code_of(paper: Paper) -> str:
    """The mark of a fixed paper as it now is (卷号): another as soon as a question of it is. Raises NotAllowed for one drawn anew each time."""
    if paper.fixed is None:
        raise NotAllowed("这份试卷为每位医师随机抽题,不能打印。请先把组卷方式改为“所有医师题目相同”。")
    return hashlib.sha256("|".join(version for unit in paper.fixed for version in unit).encode()).hexdigest()[:8].upper()


def parts_of(paper: Paper) -> list[Part]:
    """A fixed paper as it is printed: by type, groups together, options in their own order. Raises NotAllowed."""
    code_of(paper)
    units = [[UUID(version) for version in unit] for unit in paper.fixed or []]
    query = select(QuestionVersion).where(QuestionVersion.id.in_([version for unit in units for version in unit]))
    versions = {row.id: row for row in db.session.scalars(query)}
    number, groups = 0, list[tuple[str, Group]]()
    for unit in units:
        printed = [Printed(number + place, versions[version]) for place, version in enumerate(unit, 1)]
        number += len(unit)
        first = printed[0].version
        shared = first.options if first.kind == GROUPED_OPTIONS and len(unit) > 1 else []
        groups.append((first.kind, Group(first.case_stem or "", shared, printed)))
    marks = marks_of(paper)
    return [
        Part(kind, TYPES[kind], EXPLAINED[kind], marks[kind], [group for _, group in own]) for kind, own in groupby(groups, key=lambda one: one[0])
    ]  # fmt: skip


def ask(paper: Paper, what: str, *, by: Actor) -> Job:
    """Ask for a print; that it was, and of what, is journalled, the key above all. Raises Invalid, NotAllowed."""
    if what not in PRINTS:
        raise Invalid("请选择要打印的内容。")
    code = code_of(paper)
    journal.write("paper", paper.id, f"{what}_printed", by=by, code=code)
    return asking.ask(PRINT, f"打印{PRINTS[what]}:{paper.title}", {"paper": str(paper.id), "what": what}, by=by.id)


def _on_paper(text: str | None) -> Markup:
    """A question's words as they stand on paper: pictures come along, and formulas as pictures, for the printer knows no MathML."""
    made = str(content.rendered(text or "", lambda name: f"/{name}", _placed))
    made = _PICTURE.sub(lambda found: f'src="{_inlined(found[1])}"', made)
    return Markup(_FORMULA.sub(lambda found: _drawn(bytes.fromhex(found[1]).decode()), made))  # noqa: S704 - sieved by content.rendered, the names are ours


def _placed(latex: str) -> str:
    """A formula as it comes through the sieve, as the picture it is going to be; as it was typed where it can't be drawn."""
    if formulas.drawn(latex) is None:
        return f"<code>{escape(latex)}</code>"
    return f'<img src="/formula/{latex.encode().hex()}" alt="{escape(latex)}">'


def _drawn(latex: str) -> str:
    made = formulas.drawn(latex)
    assert made is not None  # noqa: S101 - what can't be drawn stands as typed
    source = base64.b64encode(made.svg.encode()).decode()
    return f'<img class="formula" src="data:image/svg+xml;base64,{source}" style="width: {made.width:.3f}em; vertical-align: {-made.depth:.3f}em"'


def _inlined(name: str) -> str:
    try:
        made, kind = picturing.picture(name)
    except NotFound:
        return "data:,"
    return f"data:{kind};base64,{base64.b64encode(made).decode()}"


@performing.job(PRINT)
def print_paper(job: Job, _progress: performing.Progress) -> dict[str, Any]:
    """Draw a print and keep it, sealed, for whoever asked; repeatable."""
    paper = db.session.scalars(select(Paper).where(Paper.id == UUID(job.arguments["paper"]))).one()
    store().put(DOCUMENT, job.id, draw(paper, job.arguments["what"]), "application/pdf", sealed=True)
    return {"document": True}


def draw(paper: Paper, what: str) -> bytes:
    """Booklet, answer sheet or key as PDF. Raises NotAllowed."""
    parts, province = parts_of(paper), by_code(current_tenant())
    questions = [question for part in parts for question in part.questions]
    pages = [questions[start : start + ROWS * COLUMNS] for start in range(0, len(questions), ROWS * COLUMNS)]
    return sheets.pdf(
        what, words=_on_paper, paper=paper, parts=parts, code=code_of(paper), issuer=province.commission if province else "", total=len(questions),
        whole=f"{whole_marks(paper) / 10:g}", sample=Settings.in_force().demonstration, digits=DIGITS,
        x_told=X_TOLD[province_settings.value("x_rule")], day=f"{clock.today():%Y年%m月%d日}",
        sheets=[[page[start : start + ROWS] for start in range(0, len(page), ROWS)] for page in pages],
    )  # fmt: skip
