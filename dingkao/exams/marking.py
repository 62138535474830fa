"""Marking: a pure function of items, answers and the province's rule for X."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

SEVERAL = "X"
"""The type that has several right choices; of all others one choice is right."""
X_RULES = {"all": "全对才得分", "partial": "少选按比例得分,有错选不得分"}
X_TOLD = {"all": "多选、少选、错选均不得分", "partial": "少选的按选对选项所占的比例得分,有错选的不得分"}
"""The same as candidates are told it, on the notice and on the booklet."""
TREATMENTS = {"marked": "按答案判分", "credited": "全部给分", "excluded": "不计分"}
WORTH = 10
"""Tenths of a point that a question earns where its paper gives no marks for its type."""


class Item(NamedTuple):
    """A question of a sitting as it is marked: its type, the keys of which each is right by itself, what it earns in tenths of a point, and
    whether it is marked at all: credited to everyone (全部给分), or left out of the score (不计分)."""

    kind: str
    keys: tuple[str, ...]
    worth: int = WORTH
    treatment: str = "marked"


def right(key: str, letters: str) -> bool:
    """Whether an answer is exactly the key's letters, in whatever order."""
    return bool(letters) and set(letters) == set(key)


def share(item: Item, letters: str, rule: str = "all") -> Fraction | int:
    """What part of its marks an answer earns by the keys alone, of 0 to 1. Of X by «partial» each right choice earns its share and a wrong
    one takes all; of several keys the best counts."""
    chosen = set(letters)
    if not chosen:
        return 0
    if any(chosen == set(key) for key in item.keys):
        return 1
    if item.kind != SEVERAL or rule != "partial":
        return 0
    return max((Fraction(len(chosen), len(set(key))) for key in item.keys if chosen < set(key)), default=0)


def earned(item: Item, letters: str, rule: str = "all") -> Fraction | int:
    """What an answer earns in tenths of a point, with what the province has decided of the question."""
    if item.treatment == "excluded":
        return 0
    return item.worth if item.treatment == "credited" else item.worth * share(item, letters, rule)


def reachable(items: Sequence[Item]) -> int:
    """What all questions that count earn together, in tenths of a point."""
    return sum(item.worth for item in items if item.treatment != "excluded")


def score_tenths(items: Sequence[Item | str], answers: Mapping[int, str], rule: str = "all") -> int:
    """The score in tenths of a point of 100, half a tenth counting up: `items` by position (a bare key is an ordinary question), `answers`
    position → letters, `rule` one of X_RULES. Raises ValueError where nothing counts."""
    whole = [Item("", (one,)) if isinstance(one, str) else one for one in items]
    total = reachable(whole)
    if not total:
        raise ValueError("a paper without questions can't be marked")
    points = sum(earned(item, answers.get(position, ""), rule) for position, item in enumerate(whole))
    return int((points * 2000 + total) // (2 * total))
