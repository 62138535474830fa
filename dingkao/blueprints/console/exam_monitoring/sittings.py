"""One sitting in the monitoring, and adding time to single sittings (补时)."""

from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.assessments.current_records import records_by_id
from dingkao.assessments.models import ASSESSMENT_STATES, Assessment
from dingkao.blueprints.console.exam_monitoring.blueprint import (
    exam_monitoring,
    filter_for,
    parse_uuid,
    request_recheck,
)
from dingkao.blueprints.console.exam_monitoring.live_page import (
    FILTERS_WITH_ADDED_TIME,
    address_of_page,
    render_monitoring,
)
from dingkao.database.base import db
from dingkao.errors import InvalidInput, NotFound, Refusal
from dingkao.exams import (
    added_time,
    announcements,
    integrity_cases,
    integrity_events,
    monitoring,
)
from dingkao.exams.models.monitoring_models import (
    CASE_STATES,
    INTEGRITY_EVENTS,
    IntegrityCase,
)
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.monitoring import PAGE_SIZE, SITTING_FILTERS
from dingkao.exams.sitting_descriptions import (
    describe_sittings,
)
from dingkao.people.name_lookups import account_names
from dingkao.tenants import settings
from dingkao.web.access_control import require
from dingkao.web.forms import MAX_MINUTES_DIGITS, parse_minutes


@exam_monitoring.post("/office/watching/time")
@require("monitoring.give_time")
def add_time_to_ticked() -> Response | tuple[str | Response, int]:
    """补时 for each of the ticked sittings separately, the first PAGE_SIZE of them, whose doctors are
    notified: why some get no time is said with their number, the others get it. If none gets time, the page
    is shown again with status 422, and keeps what was filled in."""
    sitting_ids = list(filter(None, map(parse_uuid, request.form.getlist("sitting"))))
    if not sitting_ids:
        return _render_not_added("请先勾选要补时的作答。")
    minutes = parse_minutes(request.form.get("minutes", ""))
    if minutes is None:
        return _render_not_added("补时分钟请填写整数，如10。")
    added_count, refusals = _add_time(sitting_ids[:PAGE_SIZE], minutes)
    reasons = _refusals_text(refusals, is_single=len(sitting_ids) == 1)
    if not added_count:
        return _render_not_added(f"没有补时。{reasons}")
    flash(f"已为{added_count}场作答补时{request.form.get('minutes', '').strip()}分钟。{reasons}")
    return redirect(_address_after_adding(), 303)


def _add_time(sitting_ids: list[UUID], minutes: int) -> tuple[int, dict[str, int]]:
    """Add time to each sitting, locked after its record; return how many got it, and for each reason of
    refusal how many sittings. Sittings that the user may not see are left out silently."""
    added_count = 0
    refusals: dict[str, int] = {}
    monitoring_filter = filter_for("monitoring.give_time")
    for sitting_id in sitting_ids:
        record_and_sitting = monitoring.find_visible_sitting_for_update(sitting_id, monitoring_filter)
        if record_and_sitting is None:
            continue
        try:
            _add_time_to(*record_and_sitting, minutes)
            added_count += 1
        except Refusal as refusal:
            refusals[refusal.message] = refusals.get(refusal.message, 0) + 1
    return added_count, refusals


def _add_time_to(record: Assessment, sitting: Sitting, minutes: int) -> None:
    """Add minutes to one sitting (both locked), for the form's reason, in a savepoint of its own; one that
    the page or the system has handed in lately is opened again. The doctor is notified, its page learns of it
    soon. Raises Refusal."""
    with db.session.begin_nested():
        added_time.add_time(
            record,
            sitting,
            minutes=minutes,
            reason=request.form.get("reason", ""),
            by=current_user.as_actor(),
        )
        request_recheck(sitting.id)


def _refusals_text(refusals: dict[str, int], *, is_single: bool) -> str:
    """The reasons of refusal, with the number of sittings unless there is only one."""
    if is_single:
        return "".join(refusals)
    return "".join(f"{number}场未补：{sentence}" for sentence, number in refusals.items())


def _address_after_adding() -> str:
    """The URL of the page that had the form: of the sitting `back` in the address, else of the live page."""
    if sitting_id := parse_uuid(request.args.get("back", "")):
        return url_for("exam_monitoring.show_sitting", sitting_id=sitting_id)
    return address_of_page()


def _render_not_added(message: str) -> tuple[str | Response, int]:
    """The page that had the form, with the message why no time was added; status 422. Rolls back."""
    db.session.rollback()
    flash(message, "refusal")
    sitting_id = parse_uuid(request.args.get("back", ""))
    return render_sitting(sitting_id) if sitting_id else render_monitoring(), InvalidInput.status


@exam_monitoring.get("/office/watching/<uuid:sitting_id>")
@require("monitoring.view")
def show_sitting(sitting_id: UUID) -> str:
    """One sitting: its course, events, added time, integrity cases. Raises NotFound."""
    return render_sitting(sitting_id)


def render_sitting(sitting_id: UUID, message: str | None = None) -> str:
    """The page of one sitting; `message`: why something was refused. Raises NotFound."""
    sitting = monitoring.get_visible_sitting(sitting_id, filter_for("monitoring.view"))
    record = records_by_id([sitting.assessment_id])[sitting.assessment_id]
    added_times = added_time.added_times_of(sitting.id)
    cases = _cases_of(record, sitting)
    description = describe_sittings([sitting], integrity_events.connected_among([sitting.id]))[0]
    is_extensible = description["state"] in FILTERS_WITH_ADDED_TIME
    first_received, last_received = monitoring.answer_time_range(sitting)
    return render_template(
        "console/exam_monitoring/sitting.html",
        row=description,
        record=record,
        events=integrity_events.list_events(sitting),
        kinds=INTEGRITY_EVENTS,
        added=added_times,
        names=account_names(entry.added_by for entry in added_times),
        cases=cases,
        case_states=CASE_STATES,
        states=ASSESSMENT_STATES,
        views=SITTING_FILTERS,
        first=first_received,
        last=last_received,
        told=message,
        announcements=announcements.recent_announcements(filter_for("monitoring.view").scope, sitting),
        max_announcement_length=announcements.MAX_TEXT_LENGTH,
        moment=clock.now(),
        may_open_case=current_user.may("cases.open")
        and integrity_cases.can_be_opened(record, sitting, cases),
        may_give_time=current_user.may("monitoring.give_time") and is_extensible,
        days=settings.value("hearing_days"),
        max_case_length=integrity_cases.MAX_TEXT_LENGTH,
        max_minutes_digits=MAX_MINUTES_DIGITS,
        max_reason_length=added_time.MAX_REASON_LENGTH,
    )


def _cases_of(record: Assessment, sitting: Sitting) -> list[IntegrityCase]:
    """The integrity cases about a sitting of the assessment."""
    return [
        case
        for case, sitting_of_case, _ in integrity_cases.list_cases(record)
        if sitting_of_case.id == sitting.id
    ]


@exam_monitoring.post("/office/watching/<uuid:sitting_id>/case")
@require("cases.open")
def open_case(sitting_id: UUID) -> Response | tuple[str, int]:
    """发起核查: open an integrity case about a sitting, with a reason, and show it; the doctor is notified. A
    refusal is shown on the sitting's page. Raises NotFound."""
    record_and_sitting = monitoring.find_visible_sitting_for_update(sitting_id, filter_for("cases.open"))
    if record_and_sitting is None:
        raise NotFound
    try:
        case = integrity_cases.open_case(
            *record_and_sitting,
            reason=request.form.get("reason", ""),
            by=current_user.as_actor(),
        )
    except Refusal as refusal:
        db.session.rollback()
        return render_sitting(sitting_id, refusal.message), refusal.status
    flash("已发起核查，医师会收到通知并可作出说明。")
    return redirect(url_for("exam_monitoring.show_case", case_id=case.id), 303)
