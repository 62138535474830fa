"""The blueprint of the question banks' pages, and what several of them use."""

from dingkao.blueprints.console.navigation import console_blueprint
from dingkao.doctors.code_lists import CATEGORIES
from dingkao.question_banks.models import (
    DIFFICULTIES,
    QUESTION_PURPOSES,
    SUBJECTS,
)
from dingkao.question_banks.question_search import QUESTION_STATES
from dingkao.question_banks.question_types import QUESTION_TYPE_LABELS
from dingkao.web.question_rendering import question_context

question_banks = console_blueprint("question_banks")
question_banks.app_context_processor(question_context)
LABELS = {
    "subjects": SUBJECTS,
    "categories": CATEGORIES,
    "purposes": QUESTION_PURPOSES,
    "difficulties": DIFFICULTIES,
    "kinds": QUESTION_TYPE_LABELS,
    "states": QUESTION_STATES,
}
"""Template variables: the code → label tables of banks and questions."""
