"""Handing in (交卷), by the doctor or by the page when the time is over, with the answers that could not be
sent before."""

import math
from functools import partial
from typing import Any
from uuid import UUID

import redis
from flask import (
    current_app,
    flash,
    jsonify,
    redirect,
    request,
    url_for,
)
from flask_login import current_user

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.blueprints.doctor.sitting.blueprint import (
    current_record,
    get_sitting_for_update,
    is_current_device,
    sitting,
)
from dingkao.blueprints.doctor.sitting.outstanding_answers import (
    END_TOLERANCE,
    newer_answers,
    parse_outstanding_answers,
    save_outstanding_answers,
)
from dingkao.config import AppConfig
from dingkao.errors import InvalidState
from dingkao.exams import (
    answer_saving,
    integrity_events,
    sitting_completion,
    sittings,
)
from dingkao.exams.models.sitting_models import Sitting
from dingkao.web.access_control import require

LATE_ANSWERS_MESSAGE = (
    "有答案在交卷或作答时间结束之后才送达，未能计入；此前已保存的答案全部计入。如因网络或服务中断所致，"
    "请联系所属考核机构补时。"
)
OTHER_DEVICE_MESSAGE = "您已在另一台设备上继续作答，请在那台设备上交卷，或刷新本页后继续。"


@sitting.post("/sitting/<uuid:sitting_id>/hand-in")
@require("sitting.sit")
def hand_in(sitting_id: UUID) -> Any:
    """「交卷」, by the doctor or, with `automatic`, by the page when the time is over, with the answers that
    it could not send before. If the database does not respond nothing is handed in, so that nothing is lost.
    Responds with the URL of the closing page (`end`) and the number of answers that came too `late`, which
    the page keeps. Raises InvalidState, NotFound, Unavailable."""
    outstanding = parse_outstanding_answers()
    record, own_sitting = _get_sitting(sitting_id, for_update=not outstanding)
    if own_sitting.handed_in_at is None:
        late_count = _save_and_hand_in(record, own_sitting, outstanding)
    else:
        late_count = _count_unscored(own_sitting, outstanding)
    return _closing_response(sitting_id, late_count)


def _get_sitting(sitting_id: UUID, *, for_update: bool) -> tuple[Assessment, Sitting]:
    """The assessment, which is locked, and the sitting, which is locked only with `for_update`: answers sent
    with the form are saved on another connection, which would wait for our lock."""
    if for_update:
        return get_sitting_for_update(sitting_id)
    record = current_record(for_update=True)
    return record, sittings.get_sitting(sitting_id, record)


def _save_and_hand_in(record: Assessment, own_sitting: Sitting, outstanding: list[Any]) -> int:
    """Save the answers sent with the form and hand in, which scores the sitting and after the last paper
    finishes the record's test, with journal entries; return how many answers came too late. The record is
    locked; the sitting only if no answers were sent, for they are saved, and committed, on another connection
    (`_get_sitting`), after which it is locked here. Raises InvalidState, Unavailable."""
    is_automatic = bool(request.form.get("automatic"))
    _require_may_hand_in(own_sitting, is_automatic=is_automatic)
    late_count = 0
    if outstanding:
        late_count = _save_outstanding(own_sitting, outstanding)
        own_sitting = sittings.get_sitting(own_sitting.id, record, for_update=True)
    sitting_completion.hand_in_sitting(
        record,
        own_sitting,
        by=current_user.as_actor(),
        by_page=is_automatic,
    )
    _record_heartbeat()
    return late_count


def _require_may_hand_in(own_sitting: Sitting, *, is_automatic: bool) -> None:
    """Raise InvalidState if the page hands in automatically though time was added, or if another device
    answers the sitting."""
    time_left = own_sitting.closes_at - clock.now()
    if is_automatic and time_left > END_TOLERANCE:
        minutes = math.ceil(time_left.total_seconds() / 60)
        raise InvalidState(f"作答时间已延长，还有{minutes}分钟，请继续作答。")
    if not is_current_device(own_sitting):
        raise InvalidState(OTHER_DEVICE_MESSAGE)


def _save_outstanding(own_sitting: Sitting, outstanding: list[Any]) -> int:
    """Save the answers sent with the form, on the connection on which answers are saved; return how many came
    too late. Raises Unavailable."""
    token = answer_saving.SaveToken(own_sitting.tenant_id, own_sitting.id, own_sitting.epoch)
    save = partial(answer_saving.save_answer, AppConfig.current().database_url, token)
    return save_outstanding_answers(outstanding, save)


def _count_unscored(own_sitting: Sitting, outstanding: list[Any]) -> int:
    """How many of the answers sent with the form are newer than those that were scored."""
    if not outstanding:
        return 0
    return len(newer_answers(outstanding, sittings.numbered_answers(own_sitting)))


def _record_heartbeat() -> None:
    """Store that somebody in the province could use the service now, if the cache responds."""
    try:
        integrity_events.record_province_heartbeat(current_app.extensions["redis"])
    except redis.RedisError:
        return


def _closing_response(sitting_id: UUID, late_count: int) -> Any:
    """For a script JSON: `end`, the URL of the closing page, and, only if answers came too late, `late`,
    their number. Else a redirect to that page, with a message if answers came too late."""
    address = url_for("sitting.closing_page", sitting_id=sitting_id)
    if request.accept_mimetypes.best == "application/json":
        late = {"late": late_count} if late_count else {}
        return jsonify(end=address, **late)
    if late_count:
        flash(LATE_ANSWERS_MESSAGE, "refusal")
    return redirect(address, 303)
