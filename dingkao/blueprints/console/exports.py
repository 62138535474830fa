"""Lists of people as files, in the console: asking for one with a reason, the second person's decision."""

from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response
from wtforms import BooleanField, HiddenField, StringField

from dingkao.blueprints.console.listing_pages import page_address
from dingkao.blueprints.console.navigation import (
    console_blueprint,
    count_decidable,
    current_user_recusal_reason,
)
from dingkao.database.base import new_id
from dingkao.errors import InvalidInput
from dingkao.people import export_requests, exported_lists
from dingkao.people.exported_lists import ExportedList
from dingkao.people.list_exports import FILE_LIFETIME
from dingkao.people.list_files import MAX_PEOPLE, is_large
from dingkao.people.models import EXPORT_FORMATS, ExportRequest
from dingkao.people.name_lookups import account_names, organisation_names
from dingkao.web.access_control import require
from dingkao.web.form_submission import form_page, submit_form
from dingkao.web.forms import Form, Required
from dingkao.web.request_lifecycle import limiter

exports = console_blueprint("exports")
MAX_LISTED = 100


class ExportForm(Form):
    """What is asked for: the list, its view and the path of its page come with the page, the rest is
    chosen."""

    request_id = HiddenField()
    list = HiddenField()
    view = HiddenField()
    back = HiddenField()
    reason = StringField("用途", [Required("请填写用途，如“报送市卫健委”。")])
    is_unmasked = BooleanField("包含完整证件号码")


@exports.get("/office/exports/new")
@require("lists.export")
def new_export() -> str:
    """The form for the list `list`, narrowed to `view` (the query of its address), with a link back to its
    page (`back`, its path below the province's). Raises NotFound, Forbidden, InvalidInput for a view that the
    list doesn't know."""
    form = ExportForm(
        request_id=str(new_id()),
        list=request.args.get("list", ""),
        view=request.args.get("view", ""),
        back=request.args.get("back", ""),
    )
    return _render_form(form, _list_of(form))


@exports.post("/office/exports/new")
@require("lists.export")
@limiter.limit("60/hour")
def ask_for_export() -> Response | tuple[str, int] | str:
    """Ask for the file: its job is enqueued at once, or a second person must approve first. The same form
    sent again asks once; a refusal is shown in it. Raises NotFound, Forbidden, InvalidInput for a view that
    the list doesn't know."""
    form = ExportForm()
    listed = _list_of(form)
    export_request = submit_form(form, lambda: _ask(form, listed))
    if export_request is None:
        return form_page(_render_form(form, listed))
    if export_request.job_id is None:
        return redirect(url_for("exports.show_export", request_id=export_request.id), 303)
    return redirect(url_for("jobs.show_job", job_id=export_request.job_id), 303)


def _list_of(form: ExportForm) -> ExportedList:
    """The list that the form is about. Raises NotFound, Forbidden."""
    return exported_lists.get_list(form.list.data or "", by=current_user.as_actor())


def _ask(form: ExportForm, listed: ExportedList) -> ExportRequest:
    """Ask as the form says, and return the request; its job is enqueued unless a second person must approve
    first. A form sent again gets the request of before. Raises InvalidInput, NotFound for the id of somebody
    else's request."""
    wish = export_requests.ExportWish(
        listed,
        form.view.data or "",
        request.form.get("file_format", ""),
        form.reason.data or "",
        is_unmasked=form.is_unmasked.data,
    )
    return export_requests.ask(_form_id(form), wish, by=current_user.as_actor())


def _form_id(form: ExportForm) -> UUID:
    """The id under which the form asks. Raises InvalidInput for a text that is no id."""
    try:
        return UUID(form.request_id.data or "")
    except ValueError as fault:
        raise InvalidInput("页面已过期，请返回名单重新点“导出”。") from fault


def _render_form(form: ExportForm, listed: ExportedList) -> str:
    """The page of the form. Raises InvalidInput for a view that the list doesn't know."""
    view = exported_lists.open_view(listed, form.view.data or "", current_user.id)
    people = exported_lists.count_people(view)
    return render_template(
        "console/exports/new.html",
        form=form,
        back_address=page_address(form.back.data or ""),
        kept_days=FILE_LIFETIME.days,
        title=export_requests.title_of(listed, view),
        headings=view.headings,
        people=people,
        is_large=is_large(listed, people),
        unit=listed.unit,
        max_people=MAX_PEOPLE,
        may_ask=not is_large(listed, people) or current_user.may("lists.export_large"),
        may_reveal=exported_lists.may_reveal(listed, by=current_user.as_actor()),
        formats=EXPORT_FORMATS,
        chosen_format=request.values.get("file_format", "xlsx"),
        max_reason_length=export_requests.MAX_REASON_LENGTH,
    )


# --- the second person


def pending_counts() -> tuple[int, int]:
    """How many requests the current user may decide on, and how many only somebody else may."""
    query = export_requests.waiting_query(current_user.grant("lists.export_large"))
    return count_decidable(query, ExportRequest.asked_by)


@exports.get("/office/exports")
@require("lists.export_large")
def list_exports() -> str:
    """The requests that wait for a second person, the user's own ones too; the oldest MAX_LISTED."""
    waiting = export_requests.list_waiting(current_user.grant("lists.export_large"), MAX_LISTED)
    return render_template(
        "console/exports/list.html",
        waiting=waiting,
        max_people=MAX_PEOPLE,
        names=account_names(export_request.asked_by for export_request in waiting),
        places=organisation_names(export_request.organisation_id for export_request in waiting),
        recused={
            export_request.id: current_user_recusal_reason(export_request.asked_by)
            for export_request in waiting
        },
    )


@exports.get("/office/exports/<uuid:request_id>")
@require("lists.export")
def show_export(request_id: UUID) -> str:
    """One request, for whoever asked for it and for those who may approve it. Raises NotFound."""
    export_request = _get_request(request_id)
    return render_template(
        "console/exports/export.html",
        export_request=export_request,
        formats=EXPORT_FORMATS,
        max_people=MAX_PEOPLE,
        own=export_request.asked_by == current_user.id,
        **_decision_context(export_request),
    )


def _decision_context(export_request: ExportRequest) -> dict[str, Any]:
    """Template variables: who asked and who approved, at which organisation, why the current user may not be
    the second person (None if that is no reason), and whether the current user may approve now."""
    recused = current_user_recusal_reason(export_request.asked_by)
    return {
        "names": account_names([export_request.asked_by, export_request.approved_by]),
        "place": "".join(organisation_names([export_request.organisation_id]).values()),
        "recused": recused,
        "may_approve": export_request.is_waiting
        and export_request.asked_by != current_user.id
        and recused is None
        and current_user.may("lists.export_large"),
    }


def _get_request(request_id: UUID) -> ExportRequest:
    """The request, locked in a POST, if the current user asked for it or may be asked to approve it. Raises
    NotFound."""
    return export_requests.get_request(
        request_id,
        current_user.grant("lists.export_large"),
        current_user.id,
        for_update=request.method == "POST",
    )


@exports.post("/office/exports/<uuid:request_id>/approve")
@require("lists.export_large")
def approve_export(request_id: UUID) -> Response:
    """Approve a request as the second person; its file is built for whoever asked. Raises NotFound,
    Forbidden, InvalidState."""
    export_requests.approve(_get_request(request_id), by=current_user.as_actor())
    flash("已确认，文件生成后由提出人下载。")
    return redirect(url_for("exports.list_exports"), 303)


@exports.post("/office/exports/<uuid:request_id>/withdraw")
@require("lists.export")
def withdraw_export(request_id: UUID) -> Response:
    """Withdraw one's own request, or reject another's that one may approve, and go to 我的任务. Raises
    NotFound, InvalidState once it is approved, or if it needs no approval."""
    export_request = _get_request(request_id)
    export_requests.withdraw(export_request, by=current_user.as_actor())
    flash("已撤回。" if export_request.asked_by == current_user.id else "已退回，不再导出。")
    return redirect(url_for("jobs.list_jobs"), 303)
