"""The console's list of changes of an institution's list: transfers, and exclusions after filing began; the
newest first."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select

from dingkao import clock
from dingkao.assessments.enrolment_changes import (
    FINISHED_STATES,
    ChangeGrants,
    organisation_names_for,
    pending_sides,
    visible_condition,
    waiting_condition,
)
from dingkao.assessments.models import (
    CHANGE_KINDS,
    CHANGE_SIDES,
    CHANGE_STATES,
    TRANSFER_GROUNDS,
    EnrolmentChange,
)
from dingkao.database.arrays import in_array
from dingkao.database.listing.definitions import (
    CellRows,
    ListColumn,
    ListDefinition,
    ListFilter,
    ListQuery,
    ListRow,
    ListSort,
    ListViewer,
    register,
)
from dingkao.database.listing.list_states import ListState
from dingkao.doctors.doctor_list import doctor_filter, doctor_search
from dingkao.doctors.models import Doctor
from dingkao.people.exported_lists import register_listing
from dingkao.people.organisation_filters import has_many_institutions, institution_filter
from dingkao.people.scopes import load_grant, scope_condition

DESK_FILTER, WAITING = "view", "waiting"
DESKS = {WAITING: "等您办理", "pending": "办理中", "finished": "已办结"}
ASKED_DAYS = {"3": "提出3天以上", "7": "提出7天以上", "30": "提出30天以上"}
HIDDEN_TEXT = "另一机构"


def _grants(viewer: ListViewer) -> ChangeGrants:
    """What the viewer sees and decides on. Sends queries."""
    return ChangeGrants(
        viewer.grant,
        load_grant("transfers.manage", viewer.account_id),
        load_grant("exclusions.approve", viewer.account_id),
    )


def _query(viewer: ListViewer, _state: ListState) -> ListQuery:
    """The query of the changes that the viewer sees, with their doctors. Sends queries for what the viewer is
    granted."""
    of_doctor = and_(Doctor.tenant_id == EnrolmentChange.tenant_id, Doctor.id == EnrolmentChange.doctor_id)
    return select(EnrolmentChange, Doctor).join(Doctor, of_doctor).where(visible_condition(_grants(viewer)))


def _desk_condition(value: str, viewer: ListViewer) -> ColumnElement[bool]:
    """The condition that a change waits for the viewer, is pending with anybody, or is finished."""
    if value == WAITING:
        return waiting_condition(_grants(viewer))
    return in_array(EnrolmentChange.state, ("pending",) if value == "pending" else FINISHED_STATES)


def _institution_condition(value: str, viewer: ListViewer) -> ColumnElement[bool]:
    """The condition that a change is of an institution, on either side; where the viewer may not know at
    which a doctor is (`enrolment_changes.is_origin_hidden`), only on the other."""
    is_known = or_(
        EnrolmentChange.asked_side != "target",
        EnrolmentChange.state == "carried_out",
        scope_condition(viewer.grant, institution=EnrolmentChange.institution_id),
    )
    return or_(
        EnrolmentChange.target_id == UUID(value),
        and_(EnrolmentChange.institution_id == UUID(value), is_known),
    )


def _matter_condition(value: str, _viewer: ListViewer) -> ColumnElement[bool]:
    """The condition that a change is of a kind (a key of CHANGE_KINDS), or for a ground (of
    TRANSFER_GROUNDS)."""
    if value in CHANGE_KINDS:
        return EnrolmentChange.kind == value
    return EnrolmentChange.ground == value


def _asked_condition(value: str, _viewer: ListViewer) -> ColumnElement[bool]:
    """The condition that a change was asked for at least so many days ago; `value`: a key of ASKED_DAYS."""
    return EnrolmentChange.asked_at <= clock.now() - timedelta(days=int(value))


def _state_text(change: EnrolmentChange) -> str:
    """The state, with whose consent is missing, or why it was refused."""
    sides = "，".join(f"待{CHANGE_SIDES[side]}同意" for side in pending_sides(change))
    return "：".join(filter(None, (CHANGE_STATES[change.state], sides or change.refusal)))


def _cells(rows: Sequence[ListRow], viewer: ListViewer) -> CellRows:
    """The texts of each row's cells, by column; numbers are masked, an institution that the viewer may not
    know is HIDDEN_TEXT."""
    places = organisation_names_for([row[0] for row in rows], _grants(viewer)) if rows else {}
    return [
        {
            "name": doctor.name,
            "number": doctor.number_masked,
            "matter": TRANSFER_GROUNDS.get(change.ground or "", CHANGE_KINDS[change.kind]),
            "institution": places.get(change.institution_id, HIDDEN_TEXT),
            "target": places.get(change.target_id, ""),
            "side": CHANGE_SIDES[change.asked_side],
            "asked": clock.minute_text(change.asked_at),
            "state": _state_text(change),
        }
        for change, doctor, *_ in rows
    ]


CHANGE_LIST = register(
    ListDefinition(
        name="enrolment_changes",
        title="转入转出和移出",
        action="transfers.view",
        query=_query,
        id_column=EnrolmentChange.id,
        columns=(
            ListColumn("name", "姓名", is_fixed=True),
            ListColumn("number", "证件号码", is_numeric=True),
            ListColumn("matter", "事项"),
            ListColumn("institution", "现机构"),
            ListColumn("target", "转入机构"),
            ListColumn("side", "提出方"),
            ListColumn("asked", "提出时间", is_numeric=True, sort="asked"),
            ListColumn("state", "情况"),
        ),
        cells=_cells,
        sorts=(ListSort("asked", "提出先后", (EnrolmentChange.id,), is_descending=True, is_indexed=True),),
        filters=(
            ListFilter(DESK_FILTER, "办理", _desk_condition, DESKS, is_indexed=True, counts=False),
            ListFilter(
                "matter",
                "事项",
                _matter_condition,
                {**TRANSFER_GROUNDS, "exclusion": CHANGE_KINDS["exclusion"]},
            ),
            ListFilter("asked", "提出", _asked_condition, ASKED_DAYS),
            institution_filter(EnrolmentChange.institution_id, has_many_institutions, _institution_condition),
            doctor_filter(EnrolmentChange.doctor_id),
        ),
        search=doctor_search,
        search_label="姓名、拼音、号码",
        unit="项",
    )
)

register_listing(CHANGE_LIST, "transfers.view")
