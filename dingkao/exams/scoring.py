"""Scoring: a pure function of questions, answers and the province's rule for type X."""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from dingkao.question_banks.question_types import (
    PROVINCE_SCORED_TYPES,
)
from dingkao.tenants import settings
from dingkao.tenants.settings import Setting

X_RULES = {
    "all": "全对才得分",
    "partial": "少选按比例得分，有错选不得分",
}
"""A new rule is a branch in `score_share`, its instruction below, and a migration of the CHECKs of
`sitting.x_rule` and `mock_exam.x_rule`."""
X_RULE_INSTRUCTIONS = {
    "all": "多选、少选、错选均不得分",
    "partial": "少选的按选对选项所占的比例得分，有错选的不得分",
}
"""The rules of X_RULES as doctors read them, on the notice and in the booklet."""
CORRECTION_TREATMENTS = {
    "marked": "按答案判分",
    "credited": "全部给分",
    "excluded": "不计分",
}
"""What a key correction can do with a question: score it by keys, give everyone all points, or exclude it
from the score."""
SCORE_SCALE_TEXT = "成绩和合格线都按百分制（满分100分）：卷面得分除以卷面满分，再乘以100。"
"""How scores and pass lines are read, on every page that shows one beside a paper's own points."""
DEFAULT_TENTHS = 10
"""Tenths of a point for a question if its paper says nothing about its type."""
settings.register(
    "x_rule",
    Setting(
        "多项选择题（X型）评分（对以后开始的作答生效）",
        "all",
        kind="one",
        group="考试",
        order=10,
        choices=X_RULES,
    ),
)


class ScoredItem(NamedTuple):
    """A question of a sitting as it is scored. `kind`: its type; `keys`: each is right by itself; `tenths`:
    its points, in tenths; `treatment`: "marked" (scored by the keys), "credited" (全部给分: everyone earns
    all points) or "excluded" (不计分)."""

    kind: str
    keys: tuple[str, ...]
    tenths: int = DEFAULT_TENTHS
    treatment: str = "marked"


def is_correct(key: str, letters: str) -> bool:
    """Whether the answer `letters` has exactly the key's letters, in any order; False for no answer."""
    return bool(letters) and set(letters) == set(key)


def score_share(item: ScoredItem, letters: str, x_rule: str = "all") -> Fraction | int:
    """What part of its points an answer earns by the keys alone, from 0 to 1, whatever the treatment. For
    type X with the rule "partial" each right letter earns its part, and one wrong letter loses all; of
    several keys the best one for the doctor counts."""
    chosen = set(letters)
    if not chosen:
        return 0
    keys = [set(key) for key in item.keys]
    if chosen in keys:
        return 1
    if item.kind in PROVINCE_SCORED_TYPES and x_rule == "partial":
        return _partial_share(chosen, keys)
    return 0


def _partial_share(chosen: set[str], keys: Iterable[set[str]]) -> Fraction | int:
    """What part of a key's letters was chosen if no wrong letter was; of several keys the best one for the
    doctor."""
    return max(
        (Fraction(len(chosen), len(key)) for key in keys if chosen < key),
        default=0,
    )


def earned_tenths(item: ScoredItem, letters: str, x_rule: str = "all") -> Fraction | int:
    """How many tenths of a point an answer earns, by keys and treatment."""
    if item.treatment == "excluded":
        return 0
    return item.tenths if item.treatment == "credited" else item.tenths * score_share(item, letters, x_rule)


def max_tenths(items: Sequence[ScoredItem]) -> int:
    """The tenths of a point of all questions that count."""
    return sum(item.tenths for item in items if item.treatment != "excluded")


def score_tenths(
    items: Sequence[ScoredItem | str],
    answers: Mapping[int, str],
    x_rule: str = "all",
) -> int:
    """Return the score in tenths of a point of 100, rounded half up. `items`: the questions by position (a
    bare key stands for a question of DEFAULT_TENTHS); `answers`: position (from 0) → letters; `x_rule`: one
    of X_RULES. Raises ValueError if no question counts."""
    scored = [_ordinary_item(item) for item in items]
    total = max_tenths(scored)
    if not total:
        raise ValueError("a paper without questions can't be marked")
    points = sum(
        earned_tenths(item, answers.get(position, ""), x_rule) for position, item in enumerate(scored)
    )
    return int((points * 2000 + total) // (2 * total))


def _ordinary_item(item: ScoredItem | str) -> ScoredItem:
    """The item, or the item of a bare key."""
    return ScoredItem("", (item,)) if isinstance(item, str) else item
