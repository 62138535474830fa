"""To whom a notice of an office goes: those of its own doctors who meet a filter, or who were chosen one by
one in a list of records."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select, true

from dingkao.assessments.enrolment import doctor_join
from dingkao.assessments.models import ASSESSMENT_STATES, Assessment, OfficeNotice
from dingkao.assessments.record_list import UNSUBMITTED_STATES
from dingkao.database.arrays import in_array
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidInput

MAX_CHOSEN = 1_000
"""How many doctors may be chosen one by one for a notice; more are reached by its filter."""
ALL_INCLUDED = ""
RECIPIENT_STATES = {
    ALL_INCLUDED: "全部已纳入的医师",
    "unsubmitted": "全部未提交的医师",
    **ASSESSMENT_STATES,
}
"""Whom a notice may go to, by the state of the record."""


def parse_chosen(text: str) -> list[UUID] | None:
    """The ids of the chosen records that a form carries, parted by blanks; None for none. How many and whose
    they are is not asked here. Raises InvalidInput for anything else."""
    try:
        return [UUID(word) for word in text.split()] or None
    except ValueError:
        raise InvalidInput("所选医师已失效，请回到名单重新选择。", "records") from None


def require_chosen(record_ids: Sequence[UUID]) -> None:
    """Raise InvalidInput unless somebody is chosen, and no more than a notice may be sent to."""
    if not record_ids:
        raise InvalidInput("请先勾选要通知的医师。", "records")
    if len(record_ids) > MAX_CHOSEN:
        raise InvalidInput(
            f"一次最多选{MAX_CHOSEN:,}人。请缩小范围，或在“通知医师”中写通知，按条件发送。", "records"
        )


def validate_recipients(notice: OfficeNotice) -> None:
    """Raise InvalidInput naming the field for a notice to a state that is none, to nobody chosen, or to too
    many."""
    if notice.record_ids is not None:
        require_chosen(notice.record_ids)
    if notice.record_state not in RECIPIENT_STATES:
        raise InvalidInput("请从列表中选择医师的状态。", "record_state")


def recipients_label(notice: OfficeNotice) -> str:
    """To whom a notice goes, by state or number, in words; the filter's other parts are not named."""
    if notice.record_ids is not None:
        return f"在名单中选择的{len(notice.record_ids):,}人"
    return RECIPIENT_STATES[notice.record_state]


def recipients_query(
    notice: OfficeNotice,
) -> Select[Assessment, Doctor]:
    """The query of the records and doctors to whom a notice goes, in no order."""
    query = select(Assessment, Doctor).join(Doctor, doctor_join())
    return query.where(
        Assessment.cycle_id == notice.cycle_id,
        _side_condition(notice),
        *_chosen_conditions(notice),
    )


def _chosen_conditions(notice: OfficeNotice) -> list[ColumnElement[bool]]:
    """SQL conditions that a record is one of those that were chosen, or else meets the notice's filter."""
    if notice.record_ids is not None:
        return [in_array(Assessment.id, notice.record_ids)]
    return [_state_condition(notice.record_state), *_filter_conditions(notice)]


def _state_condition(
    record_state: str,
) -> ColumnElement[bool]:
    """SQL: whether a record is one of a key of RECIPIENT_STATES, each of which is a state or a group of
    them."""
    if record_state == "unsubmitted":
        return in_array(Assessment.state, UNSUBMITTED_STATES)
    if record_state == ALL_INCLUDED:
        return in_array(
            Assessment.state,
            [state for state in ASSESSMENT_STATES if state != "not_included"],
        )
    return Assessment.state == record_state


def _side_condition(
    notice: OfficeNotice,
) -> ColumnElement[bool]:
    """The condition that a record is of the sender: at its institution, assessed by it, or any for the
    province."""
    if notice.side == "institution":
        return Assessment.institution_id == notice.organisation_id
    if notice.side == "assessor":
        return Assessment.assessor_id == notice.organisation_id
    return true()


def _filter_conditions(
    notice: OfficeNotice,
) -> list[ColumnElement[bool]]:
    """SQL conditions for the filters that the notice has; none for those that are empty."""
    column_filters = (
        (Doctor.department, notice.department),
        (Doctor.category, notice.category),
        (Doctor.level, notice.level),
        (Assessment.procedure, notice.procedure),
        (Assessment.institution_id, notice.institution_id),
    )
    return [column == value for column, value in column_filters if value]
