"""Notices of an office to its own doctors in the console: writing with a preview, scheduling, cancelling, and
how far each is."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import (
    flash,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_login import current_user
from werkzeug.wrappers import Response
from wtforms import (
    BooleanField,
    HiddenField,
    SelectField,
    StringField,
)
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Optional

from dingkao import clock
from dingkao.assessments import office_notices as notices
from dingkao.assessments.models import (
    OFFICE_NOTICE_STATES,
    PROCEDURES,
    OfficeNotice,
)
from dingkao.assessments.notice_recipients import (
    MAX_CHOSEN,
    RECIPIENT_STATES,
    parse_chosen,
    recipients_label,
    require_chosen,
)
from dingkao.assessments.record_list import RECORD_LIST
from dingkao.blueprints.console.listing_pages import posted_page_address, selected_ids
from dingkao.blueprints.console.navigation import (
    console_blueprint,
)
from dingkao.cycles.cycles import require_current_cycle
from dingkao.cycles.models import Cycle
from dingkao.database.base import new_id
from dingkao.doctors.code_lists import CATEGORIES, LEVELS
from dingkao.errors import Forbidden, InvalidInput, InvalidState, NotFound
from dingkao.filings.review_list import REVIEW_LISTS
from dingkao.people.departments import normalise_department_name
from dingkao.people.models import Organisation
from dingkao.people.name_lookups import (
    account_names,
    organisation_names,
)
from dingkao.people.notice_catalogue import NOTICE_KINDS
from dingkao.people.organisations import resolve_choice
from dingkao.web.access_control import (
    current_grant,
    require,
)
from dingkao.web.form_submission import form_page
from dingkao.web.forms import (
    DateTimeField,
    Form,
    Required,
    TextArea,
)

office_notices = console_blueprint("office_notices")
CHOOSING_LISTS = {definition.name: definition for definition in (RECORD_LIST, *REVIEW_LISTS.values())}
"""The lists of records in which one chooses to whom a notice goes."""


def _choices(labels: Mapping[str, str], none: str | None = "不限") -> list[SelectChoice]:
    """The choices of a list, after one for none of them, called `none`, unless that is None."""
    blank = [] if none is None else [SelectChoice("", none)]
    return [
        *blank,
        *(SelectChoice(code, label) for code, label in labels.items()),
    ]


class NoticeForm(Form):
    """A notice to doctors: in whose name, to whom, what it says, by which channels, when. `notice_id` is made
    with the preview; `records`: ids of the records that were chosen in a list, "" where a filter chooses."""

    sender = SelectField(
        "以谁的名义",
        [Required("请选择以哪个单位的名义发送。")],
    )
    record_state = SelectField(
        "发给",
        choices=_choices(RECIPIENT_STATES, none=None),
        default="",
    )
    category = SelectField("执业类别", choices=_choices(CATEGORIES), default="")
    level = SelectField("级别", choices=_choices(LEVELS), default="")
    procedure = SelectField("考核程序", choices=_choices(PROCEDURES), default="")
    department = StringField("科室")
    institution = StringField("主要执业机构")
    title = StringField("标题", [Required("请填写标题。")])
    body = TextArea("正文", [Required("请填写正文。")])
    by_sms = BooleanField("短信提醒")
    by_wechat = BooleanField("微信提醒")
    send_at = DateTimeField("发送时间", [Optional()])
    notice_id = HiddenField()
    records = HiddenField()

    @property
    def chosen_count(self) -> int:
        """How many records were chosen in a list; 0 where a filter chooses."""
        return len((self.records.data or "").split())


class ReasonForm(Form):
    """Why a notice is cancelled."""

    reason = StringField(
        "取消原因",
        [Required("请填写取消原因，如“日期写错”。")],
    )


@office_notices.get("/office/notices")
@require("notices.to_own_doctors")
def list_notices() -> str:
    """A page of the notices that one's offices have written, the newest first."""
    page = notices.notices_page(current_grant(), request.args.get("after"))
    return render_template(
        "console/office_notices/list.html",
        page=page,
        states=OFFICE_NOTICE_STATES,
        recipients=recipients_label,
        senders=organisation_names(notice.organisation_id for notice in page.rows),
        writers=account_names(notice.created_by for notice in page.rows),
    )


@office_notices.route("/office/notices/new", methods=["GET", "POST"])
@require("notices.to_own_doctors")
def write_notice() -> Response | tuple[str, int] | str:
    """Write a notice: the form, then its preview with the number of doctors, then sending. A list of the
    console fills in the filter by the address. A refusal is shown in the form. Raises NotFound before the
    first cycle, Forbidden for the id of somebody else's notice."""
    cycle = require_current_cycle()
    form = _notice_form()
    if "edit" in request.form:
        return _render_form(form)
    if not form.validate_on_submit():
        return form_page(_render_form(form))
    try:
        notice = _notice_of(form, cycle)
        if "send" in request.form:
            return _schedule(notice)
        preview = notices.preview(notice, cycle)
    except (InvalidInput, InvalidState) as refusal:
        form.add_refusal(
            InvalidInput(
                refusal.message,
                getattr(refusal, "field", None),
            )
        )
        return _render_form(form), InvalidInput.status
    form.notice_id.data = str(notice.id)
    return render_template(
        "console/office_notices/preview.html",
        form=form,
        notice=notice,
        preview=preview,
        recipients=recipients_label(notice),
        channels=_channel_labels(notice),
        is_now=notice.send_at <= clock.now(),
    )


@office_notices.post("/office/notices/new/<string:list_name>")
@require("notices.to_own_doctors")
def choose_recipients(list_name: str) -> Response | str:
    """Write a notice to the ticked doctors of a list of records, or all of its view: the form. Goes back to
    the list where nobody or too many are chosen. Raises NotFound for a list that doesn't choose, or before
    the first cycle, Forbidden for one that the user may not see, InvalidInput for a view that no longer is
    one."""
    require_current_cycle()
    definition = CHOOSING_LISTS.get(list_name)
    if definition is None:
        raise NotFound
    if not current_user.may(definition.action):
        raise Forbidden
    record_ids = selected_ids(definition, MAX_CHOSEN + 1)
    try:
        require_chosen(record_ids)
    except InvalidInput as refusal:
        flash(refusal.message, "refusal")
        return redirect(posted_page_address(), 303)
    senders = notices.senders(current_grant())
    form = NoticeForm(formdata=None, data={"records": " ".join(map(str, record_ids))})
    form.sender.choices = _choices(senders, none=None)
    return _render_form(form)


def _notice_form() -> NoticeForm:
    """The form, with the senders that the current user may choose; at first with the filter that the address
    names."""
    senders = notices.senders(current_grant())
    values = request.args.to_dict() | {"sender": next(iter(senders), "")}
    form = NoticeForm(data=values)
    form.sender.choices = _choices(senders, none=None)
    return form


def _notice_of(form: NoticeForm, cycle: Cycle) -> OfficeNotice:
    """The notice of the form, not stored; of the ticked channels those count that the province has switched
    on. Raises InvalidInput naming the field."""
    channels = {
        "sms": form.by_sms.data,
        "wechat": form.by_wechat.data,
    }
    notice = OfficeNotice(
        id=_notice_id(form),
        cycle_id=cycle.id,
        record_ids=parse_chosen(form.records.data or ""),
        record_state=form.record_state.data,
        category=form.category.data or None,
        level=form.level.data or None,
        procedure=form.procedure.data or None,
        department=normalise_department_name(form.department.data or "") or None,
        title=form.title.data or "",
        body=form.body.data or "",
        kind=notices.channel_kind(frozenset(name for name, chosen in channels.items() if chosen)).code,
        send_at=form.send_at.moment if form.send_at.data else clock.now(),
        created_by=current_user.id,
    )
    notices.set_sender(notice, form.sender.data, current_grant())
    if form.institution.data:
        notice.institution_id = resolve_choice(form.institution.data, *_institutions_of(notice)).id
    return notice


def _notice_id(form: NoticeForm) -> UUID:
    """The id made with the preview, else a new one."""
    try:
        return UUID(form.notice_id.data or "")
    except ValueError:
        return new_id()


def _institutions_of(notice: OfficeNotice) -> list[Any]:
    """The SQL conditions that an institution is one of those whose doctors the sender reaches."""
    if notice.side == "institution":
        return [Organisation.id == notice.organisation_id]
    if notice.side == "assessor":
        return [Organisation.assessment_organisation_id == notice.organisation_id]
    return []


def _schedule(notice: OfficeNotice) -> Response:
    """Store the notice, to be sent at its time, and redirect to its page; sent twice, it is stored once.
    Raises InvalidInput, InvalidState, Forbidden."""
    stored = notices.schedule(notice, by=current_user.as_actor())
    flash("已安排发送，发送进度和阅读情况在这里查看。")
    return redirect(
        url_for(
            "office_notices.show_notice",
            notice_id=stored.id,
        ),
        303,
    )


def _render_form(form: NoticeForm) -> str:
    """The page on which a notice is written, with what was typed."""
    return render_template(
        "console/office_notices/write.html",
        form=form,
        fields=notices.FIELDS,
        available=notices.available_channels(),
        max_title_length=notices.MAX_TITLE_LENGTH,
        chooses_institution=current_grant().is_province or bool(current_grant().assessor_ids),
    )


@office_notices.get("/office/notices/<uuid:notice_id>")
@require("notices.to_own_doctors")
def show_notice(notice_id: UUID) -> str:
    """One notice: what it says, to whom it goes, how many doctors have it and have read it. Raises
    NotFound."""
    return _render_notice(
        notices.get_notice_of(current_grant(), notice_id),
        ReasonForm(formdata=None),
    )


@office_notices.post("/office/notices/<uuid:notice_id>/cancel")
@require("notices.to_own_doctors")
def cancel_notice(
    notice_id: UUID,
) -> Response | tuple[str, int]:
    """Cancel a notice that is not sent completely, with a reason, without which the page is shown again; who
    has it already keeps it. Raises NotFound, InvalidState."""
    notice = notices.get_notice_of(current_grant(), notice_id, for_update=True)
    form = ReasonForm()
    if not form.validate_on_submit():
        return _render_notice(notice, form), InvalidInput.status
    notices.cancel(
        notice,
        by=current_user.as_actor(),
        reason=form.reason.data,
    )
    flash("已取消发送。已经写给医师的，医师仍能看到。")
    return redirect(
        url_for(
            "office_notices.show_notice",
            notice_id=notice.id,
        ),
        303,
    )


def _render_notice(notice: OfficeNotice, form: ReasonForm) -> str:
    """The page of a notice, with the form that cancels it."""
    return render_template(
        "console/office_notices/notice.html",
        notice=notice,
        form=form,
        states=OFFICE_NOTICE_STATES,
        sender=notices.sender_name(notice),
        filters=_filter_labels(notice),
        channels=_channel_labels(notice),
        writer=account_names([notice.created_by]).get(notice.created_by, ""),
    )


def _filter_labels(notice: OfficeNotice) -> list[str]:
    """To whom a notice goes, in words."""
    institution = organisation_names([notice.institution_id]).get(notice.institution_id or UUID(int=0))
    labels = (
        recipients_label(notice),
        notice.category and CATEGORIES[notice.category],
        notice.level and LEVELS[notice.level],
        notice.procedure and PROCEDURES[notice.procedure],
        notice.department,
        institution,
    )
    return [label for label in labels if label]


def _channel_labels(notice: OfficeNotice) -> list[str]:
    """By which channels doctors get a notice, in words."""
    names = {"sms": "短信提醒", "wechat": "微信提醒"}
    channels = NOTICE_KINDS[notice.kind].channels
    return [
        "站内消息",
        *(label for channel, label in names.items() if channel in channels),
    ]
