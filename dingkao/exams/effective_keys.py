"""The keys by which questions are scored now: their own, or those of the corrections in force."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, any_, func, select

from dingkao.database.arrays import split_into_batches
from dingkao.exams.drawing import load_layout
from dingkao.exams.models.correction_models import KeyCorrection
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import Sitting, SittingAnswer
from dingkao.exams.scoring import DEFAULT_TENTHS, ScoredItem
from dingkao.question_banks.question_texts import (
    QuestionText,
    load_question_texts,
)
from dingkao.tenants.prepared_statements import (
    TENANT_PARAM,
    PreparedStatement,
    uuid_array_param,
    uuid_param,
)


class EffectiveKey(NamedTuple):
    """How a version is scored now, by its own key or the correction in force. `kind`: its type; `keys`: each
    is right by itself; `treatment`: "marked" (by the keys) or another of CORRECTION_TREATMENTS."""

    kind: str
    keys: tuple[str, ...]
    treatment: str


def _is_in_force() -> ColumnElement[bool]:
    """The condition that a KeyCorrection of one of the versions in the parameter `versions` is approved and
    not replaced."""
    return and_(
        KeyCorrection.tenant_id == TENANT_PARAM,
        KeyCorrection.version_id == any_(uuid_array_param("versions")),
        KeyCorrection.approved_at.is_not(None),
        KeyCorrection.superseded_at.is_(None),
    )


def _answer_sheet_query() -> Select[Any]:
    """One row of a sitting: its paper's points by type, the corrections in force [version, treatment, keys],
    and its answers [position, letters]; each of the lists is NULL if it would be empty."""
    corrections = select(
        func.jsonb_agg(
            func.jsonb_build_array(
                KeyCorrection.version_id,
                KeyCorrection.treatment,
                KeyCorrection.keys,
            )
        )
    ).where(_is_in_force())
    answers = select(
        func.jsonb_agg(func.jsonb_build_array(SittingAnswer.position, SittingAnswer.letters))
    ).where(
        SittingAnswer.tenant_id == TENANT_PARAM,
        SittingAnswer.sitting_id == uuid_param("sitting"),
    )
    return select(
        Paper.points,
        corrections.scalar_subquery(),
        answers.scalar_subquery(),
    ).where(
        Paper.tenant_id == TENANT_PARAM,
        Paper.id == uuid_param("paper"),
    )


_CORRECTIONS_STATEMENT = PreparedStatement(
    lambda: select(
        KeyCorrection.version_id,
        KeyCorrection.treatment,
        KeyCorrection.keys,
    ).where(_is_in_force())
)
_ANSWER_SHEET_STATEMENT = PreparedStatement(_answer_sheet_query)


def effective_keys(
    version_ids: Iterable[UUID],
) -> dict[UUID, EffectiveKey]:
    """Return version id → how it is scored now; versions that don't exist are left out."""
    texts = load_question_texts(version_ids)
    return _apply_corrections(texts, _iter_corrections(texts))


def _iter_corrections(version_ids: Iterable[UUID]) -> Iterator[Any]:
    """The corrections in force of some versions: (version, treatment, keys)."""
    for batch in split_into_batches(version_ids):
        yield from _CORRECTIONS_STATEMENT.fetch_rows(versions=batch)


def _apply_corrections(
    texts: Mapping[UUID, QuestionText], corrections: Iterable[Any]
) -> dict[UUID, EffectiveKey]:
    """Version id → how it is scored: by its own key, or by its correction among `corrections` (version,
    treatment, keys)."""
    corrected = {UUID(str(version)): (tuple(keys), treatment) for version, treatment, keys in corrections}
    return {
        version: EffectiveKey(
            text.kind,
            *corrected.get(version, ((text.answer,), "marked")),
        )
        for version, text in texts.items()
    }


def scored_items(sitting: Sitting) -> list[ScoredItem]:
    """The questions of a sitting in its order, as they are scored now. If corrections have left none that
    counts, all are credited: the doctor can still hand in, and doesn't lose by the corrections."""
    return scored_items_with_answers(sitting)[0]


def scored_items_with_answers(
    sitting: Sitting,
) -> tuple[list[ScoredItem], dict[int, str]]:
    """The questions of a sitting in its order, as they are scored now (all credited if none counts any more),
    and its answers, position (from 0) → letters, with one query."""
    versions = versions_of_layout(sitting)
    texts = load_question_texts(versions)
    [(points, corrections, answers)] = _ANSWER_SHEET_STATEMENT.fetch_rows(
        paper=sitting.paper_id,
        sitting=sitting.id,
        versions=list(texts),
    )
    keys = _apply_corrections(texts, corrections or ())
    return items_for_scoring(scored_item(keys[version], points) for version in versions), dict(answers or ())


def versions_of_layout(sitting: Sitting) -> list[UUID]:
    """The ids of a sitting's question versions in its order."""
    return [question.version for question in load_layout(sitting.layout)]


def items_for_scoring(
    items: Iterable[ScoredItem],
) -> list[ScoredItem]:
    """Return the questions as they are, or all credited, with DEFAULT_TENTHS each, if none of them counts."""
    item_list = list(items)
    if any_item_counts(item_list):
        return item_list
    return [item._replace(treatment="credited", tenths=DEFAULT_TENTHS) for item in item_list]


def any_item_counts(items: Iterable[ScoredItem]) -> bool:
    """Whether any question counts: not excluded, and worth more than 0."""
    return any(item.treatment != "excluded" and item.tenths for item in items)


def scored_item(key: EffectiveKey, points: dict[str, int]) -> ScoredItem:
    """A question as it is scored on a paper that gives `points`: type → tenths of a point for one question,
    DEFAULT_TENTHS for a type without."""
    tenths = int(points.get(key.kind, DEFAULT_TENTHS))
    return ScoredItem(key.kind, key.keys, tenths, key.treatment)
