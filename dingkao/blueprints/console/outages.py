"""Outages in the console (服务中断): those that the system found, registering one for an assessment
organisation, and adding time for all sittings concerned."""

from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.blueprints.console.navigation import console_blueprint
from dingkao.database.base import db
from dingkao.errors import InvalidInput, InvalidState
from dingkao.exams import added_time, outage_compensation
from dingkao.exams import outages as rules
from dingkao.exams.models.monitoring_models import Outage
from dingkao.jobs.enqueueing import latest_job_about
from dingkao.jobs.models import Job
from dingkao.people.models import Organisation
from dingkao.people.organisation_queries import list_organisations
from dingkao.tenants import settings
from dingkao.web.access_control import current_grant, require
from dingkao.web.form_submission import submit_form
from dingkao.web.forms import (
    MAX_MINUTES_DIGITS,
    Choice,
    DateTimeField,
    EndTimeField,
    Form,
    Required,
    parse_minutes,
    with_blank_choice,
)

outages = console_blueprint("outages")


class OutageForm(Form):
    """An outage at one of the user's organisations; times are in Beijing time."""

    organisation = Choice("考核机构", [Required("请选择考核机构。")])
    began_at = DateTimeField("中断开始（北京时间）", [Required("请选择中断开始的时间。")])
    ended_at = EndTimeField("中断结束（北京时间）", [Required("请选择中断结束的时间。")])


def recent_outages() -> list[tuple[Outage, rules.AffectedCounts]]:
    """The outages for which time can still be added, of the whole province and of organisations that the user
    monitors, the latest end first, each with counts of the user's sittings that it concerns; outages that
    concern none are left out."""
    grant = current_user.grant("monitoring.view")
    outages_with_counts = [
        (outage, rules.count_affected(outage, grant)) for outage in rules.recent_outages(grant)
    ]
    return [(outage, counts) for outage, counts in outages_with_counts if any(counts)]


def count_sittings_awaiting_time() -> int:
    """How many sittings that ended during an outage wait for the current user to add time; 0 for who may
    not."""
    if not current_user.may("monitoring.give_time"):
        return 0
    return sum(counts.ended_waiting for _, counts in recent_outages())


def time_span_text(outage: Outage) -> str:
    """The outage's begin and end to the second, and its duration, as text."""
    began = clock.to_beijing(outage.began_at)
    ended = clock.to_beijing(outage.ended_at)
    until = f"{ended:%H:%M:%S}" if began.date() == ended.date() else f"{ended:%m月%d日 %H:%M:%S}"
    duration = _duration_text(round((outage.ended_at - outage.began_at).total_seconds()))
    return f"{began:%m月%d日 %H:%M:%S}至{until}（{duration}）"


def _duration_text(total_seconds: int) -> str:
    """A duration in seconds as text: «45秒», «3分20秒», «3分钟»."""
    minutes, seconds = divmod(total_seconds, 60)
    if not minutes:
        return f"{seconds}秒"
    return f"{minutes}分{seconds}秒" if seconds else f"{minutes}分钟"


@outages.get("/office/outages")
@require("monitoring.view")
def list_outages() -> str:
    """The recent outages, and the form that registers one."""
    return _render_outages(OutageForm(formdata=None))


def _render_outages(form: OutageForm) -> str:
    """The page of the recent outages, with the form that registers one, whose choices are set here."""
    own_organisations = _set_choices(form)
    return render_template(
        "console/outages/list.html",
        rows=recent_outages(),
        span=time_span_text,
        window_hours=rules.COMPENSATION_HOURS,
        form=form,
        may_register=current_user.may("monitoring.give_time") and bool(own_organisations),
    )


def _set_choices(form: OutageForm) -> list[Organisation]:
    """Offer in the form the organisations for which the current user may register an outage, and return them;
    a single one is preselected."""
    organisation_ids = current_user.grant("monitoring.give_time").assessor_ids
    own_organisations = list_organisations(organisation_ids)
    form.organisation.choices = with_blank_choice(
        (str(organisation.id), organisation.name) for organisation in own_organisations
    )
    if len(own_organisations) == 1 and not form.organisation.data:
        form.organisation.data = str(own_organisations[0].id)
    return own_organisations


@outages.post("/office/outages")
@require("monitoring.give_time")
def register_outage() -> Response | tuple[str, int]:
    """登记服务中断: register an outage of one of the user's organisations, and show it; no time is added yet.
    A refusal is shown in the form."""
    form = OutageForm()
    own_organisations = {str(organisation.id): organisation for organisation in _set_choices(form)}
    outage = submit_form(form, partial(_register_from_form, form, own_organisations))
    if outage is None:
        return _render_outages(form), 422
    return redirect(url_for("outages.show_outage", outage_id=outage.id), 303)


def _register_from_form(form: OutageForm, own_organisations: dict[str, Organisation]) -> Outage:
    """Register the outage of the form. Raises InvalidInput."""
    return rules.register_outage(
        own_organisations[form.organisation.data],
        began_at=form.began_at.moment,
        ended_at=_not_after_now(form.ended_at.moment),
        by=current_user.as_actor(),
    )


def _not_after_now(end: datetime) -> datetime:
    """The typed end; now, if it is the end of the current minute, which isn't over yet."""
    is_current_minute = clock.minute_of(end) == clock.minute_of(clock.now())
    return min(end, clock.now()) if is_current_minute else end


@outages.get("/office/outages/<uuid:outage_id>")
@require("monitoring.view")
def show_outage(outage_id: UUID) -> str:
    """One outage: the sittings that it concerns, and the form that adds time to all of them. Raises
    NotFound."""
    return _render_outage(rules.get_outage(outage_id, current_grant()))


def _render_outage(outage: Outage, messages: str | None = None) -> str:
    """The page of an outage, with what was typed; `messages`: why it was refused."""
    return render_template(
        "console/outages/outage.html",
        row=outage,
        span=time_span_text(outage),
        many=rules.count_affected(outage, current_user.grant("monitoring.view")),
        told=messages,
        given=_proposed_compensation(outage) | request.form.to_dict(),
        scopes=outage_compensation.COMPENSATION_SCOPES,
        most=settings.value("added_minutes_most"),
        max_minutes_digits=MAX_MINUTES_DIGITS,
        max_reason_length=added_time.MAX_REASON_LENGTH,
        may_register=current_user.may("monitoring.give_time"),
        job=_own_compensation_job(outage),
        open=outage in rules.recent_outages(current_user.grant("monitoring.view")),
    )


def _proposed_compensation(outage: Outage) -> dict[str, Any]:
    """The initial values of the form that adds time."""
    began = clock.to_beijing(outage.began_at)
    ended = clock.to_beijing(outage.ended_at)
    return {
        "minutes": outage_compensation.proposed_minutes(outage),
        "scope": "ended",
        "reason": f"{began:%m月%d日%H:%M}至{ended:%H:%M}服务中断",
    }


def _own_compensation_job(outage: Outage) -> Job | None:
    """The latest job that adds time for the outage, if the current user enqueued it."""
    job = latest_job_about(outage.id, outage_compensation.COMPENSATE_JOB)
    return job if job and job.asked_by == current_user.id else None


@outages.post("/office/outages/<uuid:outage_id>/time")
@require("monitoring.give_time")
def compensate_outage(
    outage_id: UUID,
) -> Response | tuple[str, int]:
    """统一补时: enqueue a job that adds time to the sittings concerned that the form's scope means and that
    got none for this outage; a refusal is shown on the page. Raises NotFound."""
    grant = current_grant()
    outage, form = rules.get_outage(outage_id, grant), request.form
    try:
        job = outage_compensation.enqueue_compensation(
            outage,
            grant,
            scope=form.get("scope", ""),
            # enqueue_compensation refuses 0
            minutes=parse_minutes(form.get("minutes", "")) or 0,
            reason=form.get("reason", ""),
            by=current_user.as_actor(),
        )
    except (InvalidInput, InvalidState) as refusal:
        db.session.rollback()
        return _render_outage(
            rules.get_outage(outage_id, current_grant()),
            refusal.message,
        ), refusal.status
    flash("已开始统一补时，有关医师会收到消息。")
    return redirect(url_for("jobs.show_job", job_id=job.id), 303)
