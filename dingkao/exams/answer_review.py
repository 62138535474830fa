"""Looking at one's own answers after publication [S19], as far as the province allows: only whether each was
right or wrong, or the questions with keys and explanations (domain.md §13)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from uuid import UUID

from sqlalchemy import Select, and_, select

from dingkao.assessments.models import FINAL_STATES, Assessment
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.errors import InvalidState, NotFound
from dingkao.exams.drawing import DrawnQuestion, load_layout
from dingkao.exams.effective_keys import scored_items
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.scoring import ScoredItem, score_share
from dingkao.exams.sittings import get_sitting, saved_answers
from dingkao.question_banks.models import QuestionVersion
from dingkao.question_banks.question_texts import (
    load_question_texts as words_by_version,
)
from dingkao.tenants import settings
from dingkao.tenants.settings import Setting

PAGE_SIZE = 5
CLOSED_MESSAGE = "本省暂不开放查看本人作答。"
VERDICT_LABELS = {
    "right": "答对",
    "part": "部分得分",
    "wrong": "答错",
    "blank": "未作答",
    "credited": "全部给分",
    "excluded": "不计分",
}
settings.register(
    "answers_review",
    Setting(
        "结果发布后医师查看本人作答",
        "closed",
        kind="one",
        group="考试",
        order=30,
        choices={
            "closed": "不开放",
            "verdicts": "只看对错",
            "full": "题目与解析",
        },
    ),
)


@dataclass(frozen=True)
class ReviewedQuestion:
    """One question of a sitting as its doctor sees it after publication, or of a mock exam. `number`: from 1.
    `kind`: a code of QUESTION_TYPES. `verdict`: one of VERDICT_LABELS, in a mock exam also "withdrawn".
    `letters`: what was chosen, in alphabetical order. `keys`: the keys accepted now. `corrected`: these are
    not the key that the question was drawn with. `version`: the question version's id. `order`: its options'
    letters in the order in which they were shown."""

    number: int
    kind: str
    verdict: str
    letters: str
    keys: tuple[str, ...]
    corrected: bool
    version: UUID
    order: str


def review_mode() -> str:
    """What the province lets doctors see: "closed", "verdicts" or "full"."""
    return str(settings.value("answers_review"))


def reviewable_sittings(
    record: Assessment,
) -> list[tuple[Sitting, str]]:
    """The record's sittings that its doctor may look at, each with its paper's title, by subject: handed in,
    not voided, with questions (scores from paper have none). Empty before publication, and if the province
    doesn't allow it."""
    if record.state not in FINAL_STATES or review_mode() == "closed":
        return []
    rows = db.session.execute(_handed_in_query(record))
    return [(sitting, title) for sitting, title in rows if sitting.layout]


def _handed_in_query(record: Assessment) -> Select[Sitting, str]:
    """A record's sittings that were handed in and are not voided, with their papers' titles, by subject."""
    paper_of_sitting = and_(
        Paper.tenant_id == Sitting.tenant_id,
        Paper.id == Sitting.paper_id,
    )
    return (
        select(Sitting, Paper.title)
        .join(Paper, paper_of_sitting)
        .where(
            Sitting.assessment_id == record.id,
            Sitting.voided_at.is_(None),
            Sitting.handed_in_at.is_not(None),
        )
        .order_by(Paper.subject)
    )


def review_sitting(record: Assessment, sitting_id: UUID) -> tuple[Sitting, list[ReviewedQuestion]]:
    """Return a sitting of the record and how each of its questions came out, in their order; with letters and
    keys whatever the mode, so the caller leaves out what `review_mode` doesn't allow. Raises NotFound if the
    record has no such sitting that was handed in, counts and has questions, InvalidState before publication
    and if the province doesn't allow it."""
    _require_review_open(record)
    sitting = get_sitting(sitting_id, record)
    if not _is_reviewable(sitting):
        raise NotFound
    return sitting, compare_with_keys(
        load_layout(sitting.layout),
        scored_items(sitting),
        saved_answers(sitting),
        sitting.x_rule,
    )


def _require_review_open(record: Assessment) -> None:
    """Raise InvalidState unless the record's result is published and the province lets doctors see their
    answers."""
    if record.state not in FINAL_STATES:
        raise InvalidState("考核结果发布后，才能查看本人作答。")
    if review_mode() == "closed":
        raise InvalidState(CLOSED_MESSAGE)


def _is_reviewable(sitting: Sitting) -> bool:
    """Whether a sitting was handed in, is not voided and has questions (scores from paper have none)."""
    return sitting.voided_at is None and sitting.handed_in_at is not None and bool(sitting.layout)


def compare_with_keys(
    layout: Sequence[DrawnQuestion],
    items: Iterable[ScoredItem],
    answers: Mapping[int, str],
    x_rule: str,
) -> list[ReviewedQuestion]:
    """Return how each question of `layout` came out. `items`: the questions as they are scored now, in the
    layout's order; `answers`: position (from 0) → letters; `x_rule`: one of X_RULES."""
    texts = words_by_version(question.version for question in layout)
    reviewed_questions = []
    for position, (question, item) in enumerate(zip(layout, items, strict=True)):
        letters = "".join(sorted(answers.get(position, "")))
        reviewed_questions.append(
            ReviewedQuestion(
                position + 1,
                item.kind,
                _verdict(item, letters, x_rule),
                letters,
                item.keys,
                item.treatment != "marked" or item.keys != (texts[question.version].answer,),
                question.version,
                question.option_order,
            )
        )
    return reviewed_questions


def _verdict(item: ScoredItem, letters: str, x_rule: str) -> str:
    """How an answer came out, one of VERDICT_LABELS: the treatment if the question is credited or excluded,
    else by its score."""
    if item.treatment != "marked":
        return item.treatment
    return _verdict_by_share(score_share(item, letters, x_rule)) if letters else "blank"


def _verdict_by_share(share: Fraction | int) -> str:
    """The verdict on an answer that earned `share` (0 to 1) of the question's points."""
    if share == 1:
        return "right"
    return "part" if share else "wrong"


def load_reviewed_versions(
    questions: list[ReviewedQuestion],
) -> dict[UUID, QuestionVersion]:
    """Version id → question version with all its texts and its explanation, for the reviewed questions."""
    version_ids = (question.version for question in questions)
    query = select(QuestionVersion).where(in_array(QuestionVersion.id, version_ids))
    return {version.id: version for version in db.session.scalars(query)}
