"""Scoring in the console: item analysis of papers, corrections of answer keys and the scores that they
change, scores of exams on paper. One blueprint, with a file for each of these."""

from dingkao.blueprints.console.scoring import (
    item_analysis,
    key_corrections,
    paper_scores,
    pending_scoring_tasks,
)
from dingkao.blueprints.console.scoring.blueprint import scoring

__all__ = [
    "item_analysis",
    "key_corrections",
    "paper_scores",
    "pending_scoring_tasks",
    "scoring",
]
