"""The tasks of scoring that wait for the current user, for the dashboard."""

from flask import url_for
from flask_login import current_user

from dingkao.blueprints.console.navigation import count_decidable
from dingkao.exams import key_corrections, score_imports
from dingkao.exams.models.correction_models import KeyCorrection
from dingkao.exams.models.score_import_models import ScoreImport
from dingkao.results import score_changes


def pending_tasks() -> list[tuple[str, int, str, str, int]]:
    """Tasks to confirm or decide, also those with the count 0, of those that the current user is granted:
    label, how many items the current user may do, URL, link text, and how many only somebody else may do."""
    tasks = []
    if current_user.may("corrections.approve"):
        tasks += _correction_tasks()
    if current_user.may("scores.confirm"):
        tasks.append(_import_task())
    return tasks


def _import_task() -> tuple[str, int, str, str, int]:
    """The task to confirm imports of scores."""
    imports = score_imports.unconfirmed_imports_query(current_user.grant("scores.import"))
    return _task(
        "线下成绩等待您确认",
        "scoring.import_paper_scores",
        "去确认",
        count_decidable(imports, ScoreImport.proposed_by),
    )


def _correction_tasks() -> list[tuple[str, int, str, str, int]]:
    """The tasks to approve proposed corrections, and to decide on changes of published results."""
    to_approve = count_decidable(
        key_corrections.proposed_corrections_query(),
        KeyCorrection.proposed_by,
    )
    to_decide = count_decidable(score_changes.undecided_changes_query(), KeyCorrection.proposed_by)
    endpoint = "scoring.list_corrections"
    return [
        _task("更正答案等待您确认", endpoint, "去确认", to_approve),
        _task(
            "答案更正后，已发布的结果待决定",
            endpoint,
            "去决定",
            to_decide,
        ),
    ]


def _task(
    label: str,
    endpoint: str,
    button_text: str,
    counts: tuple[int, int],
) -> tuple[str, int, str, str, int]:
    """A task (see `pending_tasks`) with the numbers that `count_decidable` returned."""
    own_count, others_count = counts
    return (
        label,
        own_count,
        url_for(endpoint),
        button_text,
        others_count,
    )
