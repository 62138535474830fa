"""Looking through one's own answers after publication [S19], as far as the province allows: right and wrong alone, or the questions with keys
and explanations (domain.md §13)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from dingkao.assessments.models import FINAL, Assessment
from dingkao.database.model import db
from dingkao.errors import NotAllowed, NotFound
from dingkao.exams.marking import Item, share
from dingkao.exams.models import Paper, QuestionVersion, Sitting
from dingkao.exams.papers import Drawn, read
from dingkao.exams.remarking import items_of
from dingkao.exams.sittings import answers_of, sitting_of
from dingkao.exams.words import words_of as words_by_version
from dingkao.tenants import settings

PAGE = 5
CLOSED = "本省暂不开放查看本人作答。"
STANDINGS = {"right": "答对", "part": "部分得分", "wrong": "答错", "blank": "未作答", "credited": "全部给分", "excluded": "不计分"}


@dataclass(frozen=True)
class Reviewed:
    """One question of a sitting as its doctor looks at it again: its number, how it came out, what was chosen, the keys; `corrected`: its key
    was not the one it was drawn with."""

    number: int
    kind: str
    standing: str
    letters: str
    keys: tuple[str, ...]
    corrected: bool
    version: UUID
    order: str


def how() -> str:
    """What the province lets be seen: closed, verdicts or full."""
    return str(settings.value("answers_review"))


def may_review(record: Assessment) -> list[tuple[Sitting, str]]:
    """The sittings that can be looked through, with their papers' titles; empty before publication, and where the province keeps them shut."""
    if record.state not in FINAL or how() == "closed":
        return []
    joined = select(Sitting, Paper.title).join(Paper, (Paper.tenant_id == Sitting.tenant_id) & (Paper.id == Sitting.paper_id))
    joined = joined.where(Sitting.assessment_id == record.id, Sitting.voided_at.is_(None), Sitting.handed_in_at.is_not(None)).order_by(Paper.subject)
    return [(row[0], row[1]) for row in db.session.execute(joined) if row[0].layout]


def reviewed(record: Assessment, sitting_id: UUID) -> tuple[Sitting, list[Reviewed]]:
    """The questions of one sitting with how each came out. Raises NotFound, and NotAllowed where they are not to be seen."""
    if record.state not in FINAL:
        raise NotAllowed("考核结果发布后,才能查看本人作答。")
    if how() == "closed":
        raise NotAllowed(CLOSED)
    sitting = sitting_of(sitting_id, record)
    if sitting.voided_at is not None or sitting.handed_in_at is None or not sitting.layout:
        raise NotFound
    return sitting, held_against(read(sitting.layout), items_of(sitting), answers_of(sitting), sitting.x_rule)


def held_against(layout: Sequence[Drawn], items: Iterable[Item], answers: Mapping[int, str], rule: str) -> list[Reviewed]:
    """How each question of a layout came out: `items` as they are marked, `answers` position → letters."""
    drawn, found = words_by_version(one.version for one in layout), []
    for position, (one, item) in enumerate(zip(layout, items, strict=True)):
        letters = "".join(sorted(answers.get(position, "")))
        part = share(item, letters, rule)
        standing = item.treatment if item.treatment != "marked" else "blank" if not letters else "right" if part == 1 else "part" if part else "wrong"
        corrected = item.treatment != "marked" or item.keys != (drawn[one.version].answer,)
        found.append(Reviewed(position + 1, item.kind, standing, letters, item.keys, corrected, one.version, one.order))
    return found


def words_of(rows: list[Reviewed]) -> dict[UUID, QuestionVersion]:
    """The words of the questions `rows`."""
    return {row.id: row for row in db.session.scalars(select(QuestionVersion).where(QuestionVersion.id.in_([one.version for one in rows])))}
