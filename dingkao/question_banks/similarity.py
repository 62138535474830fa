"""Similar questions (相近题): their texts are the same except for what usually varies from copy to copy."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence

from sqlalchemy import and_, func, or_, select

from dingkao.database.base import db
from dingkao.question_banks.models import Question, QuestionVersion
from dingkao.question_banks.question_types import (
    SharedContent,
    shared_content,
)

FILLER_WORDS_PATTERN = re.compile(
    r"下列|以下|下述|关于|有关|对于|哪一项|哪项|哪个|哪种|哪一个|"
    r"何者|何种|什么|说法|叙述|描述|的|是|为|应|该|最|可能"
)
MIN_TEXT_LENGTH = 10
"""A text of at least so many characters, without fillers, identifies a question; a shorter one may belong to
many, which only their options distinguish."""
MAX_SIMILAR_SHOWN = 50
LIKENESS_BATCH_SIZE = 500

_SEPARATORS = re.compile(r"[\W_]+")


def likeness_digest(
    kind: str,
    case_stem: str,
    stem: str,
    options: Iterable[Sequence[str]],
) -> bytes:
    """The digest (16 bytes) that similar questions have in common: of case stem and stem without punctuation,
    spaces, fillers, and differences between full and half width, capital and small letters. Options ((letter,
    text) each) count too, by their texts in any order, for short stems and for questions that share their
    options."""
    text = _normalise(f"{case_stem}\x1f{stem}")
    parts = [text]
    if shared_content(kind) is SharedContent.OPTIONS or len(text) < MIN_TEXT_LENGTH:
        parts += sorted(_normalise(option_text) for _, option_text in options)
    return hashlib.sha256("\x1e".join(parts).encode()).digest()[:16]


def _normalise(text: str) -> str:
    """The text without punctuation, spaces and fillers, in half-width small letters."""
    folded = _SEPARATORS.sub("", unicodedata.normalize("NFKC", text).casefold())
    return FILLER_WORDS_PATTERN.sub("", folded) or folded


def list_similar_groups(
    limit: int = MAX_SIMILAR_SHOWN,
) -> list[list[Question]]:
    """Groups of similar questions, in use or never approved yet, in one bank or several; any `limit` of them
    if there are more. A group has at least two questions, in the order of ids."""
    is_in_use = or_(Question.retired_at.is_(None), Question.approved_at.is_(None))
    repeated_likenesses = (
        select(Question.likeness)
        .where(is_in_use, Question.likeness.is_not(None))
        .group_by(Question.likeness)
        .having(func.count() > 1)
        .limit(limit)
    )
    query = select(Question).where(is_in_use, Question.likeness.in_(repeated_likenesses))
    groups: dict[bytes, list[Question]] = {}
    for question in db.session.scalars(query.order_by(Question.likeness, Question.id)):
        groups.setdefault(bytes(question.likeness or b""), []).append(question)
    return list(groups.values())


def fill_likeness() -> int:
    """Compute the likeness of the province's questions that have none, at most LIKENESS_BATCH_SIZE, by their
    current versions; ones locked elsewhere are skipped. Flushes, without committing. Returns how many."""
    join = and_(
        QuestionVersion.tenant_id == Question.tenant_id,
        QuestionVersion.id == Question.current_version,
    )
    query = (
        select(Question, QuestionVersion)
        .join(QuestionVersion, join)
        .where(Question.likeness.is_(None))
        .limit(LIKENESS_BATCH_SIZE)
        .with_for_update(of=Question, skip_locked=True)
    )
    questions = db.session.execute(query).all()
    for question, version in questions:
        question.likeness = likeness_digest(
            version.kind,
            version.case_stem or "",
            version.stem,
            version.options,
        )
    db.session.flush()
    return len(questions)
