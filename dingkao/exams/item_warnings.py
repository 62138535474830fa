"""What is suspicious about a question, according to the figures of its analysis."""

from collections.abc import Iterable

from dingkao.exams.item_analysis import ItemFigures
from dingkao.exams.scoring import ScoredItem
from dingkao.question_banks.question_types import MULTIPLE_TYPES

MIN_ANSWERS, ENOUGH_ANSWERS = 10, 30
"""With fewer answers than MIN_ANSWERS a question gets no warning; with fewer than ENOUGH_ANSWERS its figures
are shown as uncertain."""
TOO_EASY_P, TOO_HARD_P, WEAK_DISCRIMINATION = 0.95, 0.2, 0.15


def item_warnings(item: ScoredItem, figures: ItemFigures, letters: str) -> list[str]:
    """Return what is suspicious about a question, as texts; nothing if it has fewer than MIN_ANSWERS answers.
    `letters`: those of its options."""
    if figures.answer_count < MIN_ANSWERS:
        return []
    key_letters = set("".join(item.keys))
    distractors = [letter for letter in letters if letter not in key_letters]
    warnings = (
        _negative_discrimination_warning(figures),
        _rivals_warning(item, figures, distractors),
        _difficulty_warning(figures),
        _weak_discrimination_warning(figures),
        _idle_options_warning(figures, distractors),
    )
    return list(filter(None, warnings))


def _negative_discrimination_warning(figures: ItemFigures) -> str:
    """The warning that weak doctors did better than good ones; "" if they didn't."""
    return "区分度为负，请核对答案" if _has_negative_discrimination(figures) else ""


def _has_negative_discrimination(figures: ItemFigures) -> bool:
    """Whether discrimination or point-biserial correlation is negative by more than a rounding error."""
    return any(
        value is not None and value < -1e-9 for value in (figures.discrimination, figures.point_biserial)
    )


def _rivals_warning(item: ScoredItem, figures: ItemFigures, distractors: Iterable[str]) -> str:
    """The warning that more of the upper group chose a wrong option than any right one; else "". Types with
    several right letters get none: there each option is chosen by itself."""
    if item.kind in MULTIPLE_TYPES:
        return ""
    key_letters = "".join(item.keys)
    most_right = max(_upper_counts(figures, key_letters).values(), default=0)
    counts = _upper_counts(figures, distractors)
    rivals = [letter for letter, upper_count in counts.items() if upper_count > most_right]
    return f"高分组多选{'、'.join(rivals)}，请核对答案" if rivals else ""


def _upper_counts(figures: ItemFigures, letters: Iterable[str]) -> dict[str, int]:
    """Letter → how many of the upper group chose it."""
    nobody = (0, 0, 0)
    return {letter: figures.choice_counts.get(letter, nobody)[1] for letter in letters}


def _difficulty_warning(figures: ItemFigures) -> str:
    """The warning that a question is too easy or too difficult; else ""."""
    if figures.difficulty >= TOO_EASY_P:
        return "过易"
    return "过难" if figures.difficulty <= TOO_HARD_P else ""


def _weak_discrimination_warning(figures: ItemFigures) -> str:
    """The warning that a question separates good from weak doctors too little; "" if it doesn't, or if
    another warning explains that already."""
    if _difficulty_warning(figures) or _has_negative_discrimination(figures):
        return ""
    return "区分度偏低" if _has_weak_discrimination(figures) else ""


def _has_weak_discrimination(figures: ItemFigures) -> bool:
    """Whether the discrimination is known and below WEAK_DISCRIMINATION."""
    return figures.discrimination is not None and figures.discrimination < WEAK_DISCRIMINATION


def _idle_options_warning(figures: ItemFigures, distractors: Iterable[str]) -> str:
    """The warning that nobody chose some of the wrong options; "" for fewer than ENOUGH_ANSWERS answers."""
    idle = [letter for letter in distractors if letter not in figures.choice_counts]
    if not idle or figures.answer_count < ENOUGH_ANSWERS:
        return ""
    return f"选项{'、'.join(idle)}无人选择"
