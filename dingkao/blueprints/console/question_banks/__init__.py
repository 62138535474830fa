"""Question banks in the console: files imported and exported; questions searched, written, approved,
retired."""

from dingkao.blueprints.console.question_banks import (
    banks,
    pictures,
    questions,
    shared,
)
from dingkao.blueprints.console.question_banks.blueprint import (
    question_banks,
)

__all__ = [
    "banks",
    "pictures",
    "question_banks",
    "questions",
    "shared",
]
