"""The only place in which a record (考核记录) comes to another institution, or to the successor of one."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select

from dingkao.assessments.assessment_transitions import leave_desk
from dingkao.assessments.models import FINAL_STATES, Assessment
from dingkao.assessments.record_counts import counted_move
from dingkao.database.base import db
from dingkao.journal import entries as journal
from dingkao.people.models import Organisation
from dingkao.people.organisation_succession import Succession, add_obstacle, add_succession_part

STATES_BEFORE_APPROVAL = (
    "not_included",
    "included",
    "draft",
    "institution_pending",
    "institution_returned",
)
"""States in which another institution also means another assessment organisation."""


def set_record_institution(record: Assessment, institution: Organisation) -> None:
    """Make `institution` that of a locked record (nothing is journalled here), which leaves the desk of a
    reviewer (assignment, lease and recall end), and, as long as the organisation has not reviewed it, the
    assessment organisation that of the institution."""
    with counted_move(record):
        record.institution_id = institution.id
        leave_desk(record)
        if record.state in STATES_BEFORE_APPROVAL and institution.assessment_organisation_id:
            record.assessor_id = institution.assessment_organisation_id


def follow_succession(record: Assessment, predecessor_id: UUID, successor: Organisation) -> None:
    """Put `successor` in the place of an organisation that was merged into it, for a locked record, which
    stays with whoever has it (nothing is journalled here); as long as the organisation has not reviewed it,
    the assessment organisation becomes that of the successor."""
    with counted_move(record):
        if record.institution_id == predecessor_id:
            record.institution_id = successor.id
            if record.state in STATES_BEFORE_APPROVAL and successor.assessment_organisation_id:
                record.assessor_id = successor.assessment_organisation_id
        if record.assessor_id == predecessor_id:
            record.assessor_id = successor.id


def _open_records(column: Any, predecessor_id: UUID) -> Select[Any]:
    """The query of the records without a final result that have the organisation's id in `column`."""
    return select(Assessment).where(column == predecessor_id, Assessment.state.not_in(FINAL_STATES))


@add_obstacle
def _missing_assessor_obstacle(predecessor: Organisation, successor: Organisation) -> str | None:
    """The sentence that the successor needs an assessment organisation, as records that take part do; None if
    it has one, or no such record comes to it."""
    if successor.assessment_organisation_id is not None:
        return None
    taking_part = _open_records(Assessment.institution_id, predecessor.id).where(
        Assessment.state != "not_included"
    )
    if db.session.scalar(taking_part.with_only_columns(Assessment.id).limit(1)) is None:
        return None
    return f"{successor.name}尚未指定所属考核机构，请先指定。"


def _move_records(records: Sequence[Assessment], succession: Succession) -> None:
    """Let records go on at the successor, on the desk on which they are."""
    for record in records:
        journal.write_entry(
            "assessment",
            record.id,
            "transferred",
            by=succession.by,
            state=record.state,
            merged=str(succession.predecessor.id),
        )
        follow_succession(record, succession.predecessor.id, succession.successor)


add_succession_part(
    "未办结的考核记录",
    "条",
    lambda predecessor_id: _open_records(Assessment.institution_id, predecessor_id),
    _move_records,
)
add_succession_part(
    "所考核的未办结记录",
    "条",
    lambda predecessor_id: _open_records(Assessment.assessor_id, predecessor_id),
    _move_records,
    keeps_assessor=True,
)
