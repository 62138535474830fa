"""When practice is open to a record, and the message that says why it is closed."""

from datetime import date

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.cycles.cycles import phases_of
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.exams.resits import last_test_day_of_record
from dingkao.tenants import settings
from dingkao.tenants.settings import Setting

NOT_INCLUDED_MESSAGE = (
    "您未被主要执业机构纳入本周期考核，在线学习暂不开放。如需参加考核，请联系本机构相关负责人。"
)
NOT_YET_OPEN_MESSAGE = "在线学习在审核通过、进入待测评状态后开放。"
TEST_STARTED_MESSAGE = "测评已开始，在线学习已关闭。"
TEST_FINISHED_MESSAGE = "测评已结束，在线学习已关闭。"
DEFERRED_MESSAGE = "您的延考申请已通过，本次不参加测评。在线学习在延考安排好后重新开放。"
ABSENT_MESSAGE = "您未参加本次测评，测评已结束，在线学习已关闭。如安排补考，届时重新开放。"
EXEMPTED_MESSAGE = "您已免考，不需要参加测评，在线学习已关闭。"
PHASE_OVER_MESSAGE = "考核阶段已经结束，在线学习已关闭。"
STATES_BEFORE_READY = (
    "included",
    "draft",
    "institution_pending",
    "institution_returned",
    "organisation_pending",
    "organisation_returned",
)
CLOSED_MESSAGE_BY_STATE = {
    "testing": TEST_STARTED_MESSAGE,
    "deferred": DEFERRED_MESSAGE,
    "absent": ABSENT_MESSAGE,
}
settings.register(
    "practice_opens",
    Setting(
        "在线学习开放时间",
        "reviewed",
        kind="one",
        group="在线学习",
        order=10,
        choices={
            "reviewed": "两级审核通过、进入待测评后",
            "included": "纳入考核后",
        },
    ),
)
settings.register(
    "practice_closes",
    Setting(
        "在线学习关闭时间",
        "first_sitting",
        kind="one",
        group="在线学习",
        order=20,
        choices={
            "first_sitting": "首次进入考试时",
            "phase_end": "考核阶段结束时",
        },
    ),
)


def closed_reason(record: Assessment) -> str | None:
    """Why practice is closed to this record, as a message; None while it is open."""
    examination = phases_of(db.session.get_one(Cycle, (record.tenant_id, record.cycle_id))).get("examination")
    last_day = last_test_day_of_record(record, examination.last_day if examination else None)
    return closed_reason_in_state(record.state, last_day, exempted=record.exempted)


def closed_reason_in_state(state: str, last_day: date | None, *, exempted: bool = False) -> str | None:
    """Why practice is closed in a state, as a message; None while it is open.

    It is open from 待测评 to the first sitting [S12], or as the province has set it: from inclusion on, or to
    the end of the examination phase. `last_day`: the last day of the examination for this doctor; None if
    there is none. `exempted` only changes the message.
    """
    if state == "not_included":
        return NOT_INCLUDED_MESSAGE
    if state in STATES_BEFORE_READY and settings.value("practice_opens") == "reviewed":
        return NOT_YET_OPEN_MESSAGE
    if settings.value("practice_closes") == "first_sitting":
        return _reason_after_first_sitting(state, exempted=exempted)
    return _reason_after_phase(last_day)


def _reason_after_phase(last_day: date | None) -> str | None:
    """Why practice is closed if it closes with the examination phase; None until then."""
    return PHASE_OVER_MESSAGE if last_day and clock.today() > last_day else None


def _reason_after_first_sitting(state: str, *, exempted: bool) -> str | None:
    """Why practice is closed if it closes at the first sitting; None until then."""
    if state in (*STATES_BEFORE_READY, "ready"):
        return None
    return EXEMPTED_MESSAGE if exempted else CLOSED_MESSAGE_BY_STATE.get(state, TEST_FINISHED_MESSAGE)
