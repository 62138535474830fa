"""What waits for those at an institution who prepare and see nothing else: 科室联络员, 人事 and 党办."""

from collections.abc import Iterator

from flask import url_for
from flask_login import current_user
from sqlalchemy import select

from dingkao.assessments.conduct_grades import (
    APPRAISAL,
    ETHICS,
    ended_years,
    lacks_grade_condition,
)
from dingkao.assessments.models import Assessment
from dingkao.blueprints.console.listing_pages import viewer_of
from dingkao.cycles.models import Cycle
from dingkao.database.listing.list_pages import list_query
from dingkao.database.listing.list_states import parse_state
from dingkao.database.pagination import CappedCount, capped_count
from dingkao.doctors.conduct_kinds import ConductKind
from dingkao.filings.grading_list import DRAFT_FILTER, GRADING_LIST, UNDRAFTED
from dingkao.people.scopes import scope_condition

PreparationTask = tuple[str, int, str, str]
"""What waits, how often, and where it is done: the address, and the words of its link."""


def iter_preparation_tasks(cycle: Cycle | None) -> Iterator[PreparationTask]:
    """Yields the tasks of the current user as a department's liaison, and as somebody who imports one kind of
    grades without seeing the doctors, also with the count 0; none before the first cycle."""
    if cycle is None:
        return
    if current_user.may(GRADING_LIST.action) and current_user.grant(GRADING_LIST.action).departments:
        yield (
            "科室医师尚未草拟评定",
            _count_undrafted(),
            url_for("gradings.list_records", draft=UNDRAFTED),
            "去草拟",
        )
    if current_user.may("doctors.view"):
        return
    for kind in (APPRAISAL, ETHICS):
        if current_user.may(kind.action) and current_user.grant(kind.action).institution_ids:
            yield (
                f"缺{kind.label}结果的医师",
                _count_ungraded(cycle, kind),
                url_for("conduct_records.import_records", kind=kind.code),
                "去上传",
            )


def _count_undrafted() -> CappedCount:
    """How many of the liaison's doctors have no draft."""
    state = parse_state(GRADING_LIST, {DRAFT_FILTER: [UNDRAFTED]})
    return capped_count(list_query(state, viewer_of(GRADING_LIST)), Assessment.id)


def _count_ungraded(cycle: Cycle, kind: ConductKind) -> CappedCount:
    """How many included doctors lack a grade of this kind for a year of the cycle that has ended."""
    return capped_count(
        select(Assessment).where(
            Assessment.cycle_id == cycle.id,
            Assessment.state != "not_included",
            scope_condition(current_user.grant(kind.action), institution=Assessment.institution_id),
            lacks_grade_condition(kind, ended_years(cycle)),
        )
    )
