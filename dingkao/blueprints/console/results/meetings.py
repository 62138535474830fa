"""The committee's meetings on 综合评定 in the console: drafts with list, spot sample and those present; the
conclusion; the minutes and their signatures."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from flask import Response as FlaskResponse
from flask import (
    flash,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_login import current_user
from werkzeug.wrappers import Response
from wtforms import DateField, SelectField, StringField
from wtforms.fields.choices import SelectChoice

from dingkao.blueprints.console.listing_pages import open_list_of
from dingkao.blueprints.console.results.blueprint import (
    results,
)
from dingkao.cycles.cycles import (
    current_cycle,
    require_current_cycle,
)
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.errors import InvalidInput, InvalidState
from dingkao.jobs import enqueueing
from dingkao.people.name_lookups import (
    account_names,
    organisation_names,
)
from dingkao.results import (
    grading_meetings,
    meeting_conclusion,
    meeting_lists,
    meeting_members,
    meeting_minutes,
    meeting_samples,
)
from dingkao.results.meeting_entry_list import MEETING_ENTRY_LIST, MEETING_FILTER
from dingkao.results.models import (
    MEETING_STATES,
    MEMBER_ROLES,
    SAMPLE_RESULTS,
    GradingMeeting,
)
from dingkao.web.access_control import (
    current_grant,
    require,
)
from dingkao.web.form_submission import submit_form
from dingkao.web.forms import Form, Required

DOCX_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


class MeetingForm(Form):
    """A new meeting."""

    organisation = SelectField("考核机构", [Required("请选择考核机构。")])
    held_on = DateField("会议日期", [Required("请选择会议日期。")])
    place = StringField("地点", [Required("请填写地点，如“行政楼会议室”。")])


def _meeting_form() -> MeetingForm:
    """The form, empty or as it was sent, with the assessment organisations within the user's grant."""
    form = MeetingForm()
    names = organisation_names(current_grant().assessor_ids)
    form.organisation.choices = [SelectChoice(str(place), name) for place, name in names.items()]
    return form


@results.get("/office/meetings")
@require("meetings.prepare")
def list_meetings() -> str:
    """A page of the cycle's meetings of one's organisations, and the form of a new one."""
    return _render_list(_meeting_form())


def _render_list(form: MeetingForm) -> str:
    """The page: the meetings of the cycle (none before the first) after the cursor `after`, and the form of a
    new one."""
    cycle = current_cycle()
    context: dict[str, Any] = {}
    if cycle:
        page = grading_meetings.meetings_page(
            cycle,
            current_grant(),
            request.args.get("after"),
        )
        context = {
            "page": page,
            "places": organisation_names(meeting.organisation_id for meeting in page.rows),
            "names": account_names(meeting.created_by for meeting in page.rows),
        }
    return render_template(
        "console/results/meetings.html",
        cycle=cycle,
        form=form,
        states=MEETING_STATES,
        **context,
    )


@results.post("/office/meetings")
@require("meetings.prepare")
def create_meeting() -> Response | tuple[str, int]:
    """Create the draft of a meeting; its list is made by a job. A refusal is shown in the form. Raises
    NotFound before the first cycle."""
    cycle = require_current_cycle()
    form = _meeting_form()
    meeting = submit_form(
        form,
        lambda: _create_draft_from(form, cycle),
        refusals=(InvalidInput, InvalidState),
    )
    if meeting is None:
        db.session.rollback()
        return _render_list(form), InvalidInput.status
    flash("已建立评定会草稿，正在生成名单。")
    return redirect(
        url_for("results.show_meeting", meeting_id=meeting.id),
        303,
    )


def _create_draft_from(form: MeetingForm, cycle: Cycle) -> GradingMeeting:
    """Create the meeting's draft from a valid form; a job then makes its list. Raises InvalidInput,
    InvalidState while there is another draft."""
    return grading_meetings.create_meeting(
        cycle,
        UUID(form.organisation.data),
        held_on=form.held_on.data,
        place=form.place.data or "",
        grant=current_grant(),
        by=current_user.as_actor(),
    )


@results.get("/office/meetings/<uuid:meeting_id>")
@results.post("/office/meetings/<uuid:meeting_id>/search", endpoint="search_meeting")
@require("meetings.prepare")
def show_meeting(meeting_id: UUID) -> str | Response:
    """One meeting: its list with the three verdicts side by side, spot sample, those present, signatures.
    Raises NotFound."""
    return _render_meeting(
        grading_meetings.get_meeting(
            meeting_id,
            current_user.grant("meetings.prepare"),
        )
    )


def _render_meeting(meeting: GradingMeeting) -> str | Response:
    """The page of a meeting, with the view of its list that the address describes, and the job that fills the
    list or concludes it; or the redirect to another view (`open_list`)."""
    view = open_list_of(
        MEETING_ENTRY_LIST,
        MEETING_FILTER,
        "meeting_id",
        meeting.id,
        endpoint="results.show_meeting",
        search_endpoint="results.search_meeting",
    )
    if isinstance(view, Response):
        return view
    members = meeting_members.members_of(meeting)
    own_member = next(
        (member for member in members if member.account_id == current_user.id),
        None,
    )
    return render_template(
        "console/results/meeting.html",
        meeting=meeting,
        view=view,
        organisation=organisation_names([meeting.organisation_id])[meeting.organisation_id],
        entry_count=meeting_lists.count_entries(meeting),
        members=members,
        colleagues=meeting_members.colleagues(meeting),
        states=MEETING_STATES,
        roles=MEMBER_ROLES,
        sample_results=SAMPLE_RESULTS,
        may_sign=meeting.digest is not None and own_member is not None and own_member.signed_at is None,
        job=enqueueing.latest_job_about(
            meeting.id,
            meeting_lists.FILL_JOB,
            meeting_conclusion.JOB_NAME,
        ),
        max_sample=meeting_samples.MAX_SAMPLE,
        max_notes_length=grading_meetings.MAX_NOTES_LENGTH,
    )


def _change_meeting(
    meeting_id: UUID,
    act: Callable[[GradingMeeting], None],
    message: str,
) -> Response | tuple[str | Response, int]:
    """Call `act` with the meeting, locked, and redirect to its page, at the same view of its list, with
    `message`; if `act` raises InvalidInput or InvalidState, the page with that, and all is rolled back.
    Raises NotFound, and what else `act` raises."""
    meeting = grading_meetings.get_meeting(meeting_id, current_grant(), for_update=True)
    try:
        act(meeting)
    except (InvalidInput, InvalidState) as refusal:
        db.session.rollback()
        flash(refusal.message, "refusal")
        return _render_meeting(grading_meetings.get_meeting(meeting_id, current_grant())), refusal.status
    flash(message)
    address = url_for("results.show_meeting", meeting_id=meeting_id)
    query = urlencode(request.args.to_dict())
    return redirect(f"{address}?{query}" if query else address, 303)


@results.post("/office/meetings/<uuid:meeting_id>/refill")
@require("meetings.prepare")
def refill_meeting(
    meeting_id: UUID,
) -> Response | tuple[str | Response, int]:
    """Add to the list of a draft, with a job, what waits by now. Refused, its page says why. Raises
    NotFound."""

    def refill(meeting: GradingMeeting) -> None:
        """Mark the list as not filled, and enqueue the job. Raises InvalidState unless it is a draft's."""
        grading_meetings.require_draft(meeting)
        meeting.filled_at = None
        meeting_lists.enqueue_filling(meeting, by=current_user.as_actor())

    return _change_meeting(meeting_id, refill, "正在更新名单。")


@results.post("/office/meetings/<uuid:meeting_id>/delete")
@require("meetings.prepare")
def delete_meeting(meeting_id: UUID) -> Response:
    """Delete the draft of a meeting. Raises NotFound, InvalidState."""
    meeting = grading_meetings.get_meeting(meeting_id, current_grant(), for_update=True)
    grading_meetings.delete_draft(meeting, by=current_user.as_actor())
    flash("已删除评定会草稿，医师仍在待评定名单中。")
    return redirect(url_for("results.list_meetings"), 303)


@results.post("/office/meetings/<uuid:meeting_id>/notes")
@require("meetings.prepare")
def save_meeting_notes(
    meeting_id: UUID,
) -> Response | tuple[str | Response, int]:
    """Store what was discussed at a meeting that is a draft. Refused, its page says why. Raises NotFound."""
    notes = request.form.get("notes", "")
    return _change_meeting(
        meeting_id,
        lambda meeting: grading_meetings.change_notes(meeting, notes, by=current_user.as_actor()),
        "已保存会议记录。",
    )


@results.post("/office/meetings/<uuid:meeting_id>/members")
@require("meetings.prepare")
def add_meeting_member(
    meeting_id: UUID,
) -> Response | tuple[str | Response, int]:
    """Add somebody present at a draft: a colleague by `account`, or another one by name; who is on the list
    already isn't added again. Refused, its page says why. Raises NotFound."""
    form = request.form
    account_id = _parse_id(form.get("account", ""))
    return _change_meeting(
        meeting_id,
        lambda meeting: meeting_members.add_member(
            meeting,
            form.get("name", ""),
            form.get("role", ""),
            account_id,
            by=current_user.as_actor(),
        ),
        "已加入参加人员。",
    )


@results.post("/office/meetings/<uuid:meeting_id>/members/<uuid:member_id>/remove")
@require("meetings.prepare")
def remove_meeting_member(meeting_id: UUID, member_id: UUID) -> Response | tuple[str | Response, int]:
    """Remove somebody who was not present from a draft. Refused, its page says why. Raises NotFound."""

    def remove(meeting: GradingMeeting) -> None:
        """Remove the member; an unknown one is ignored. Raises InvalidState unless the meeting is a draft."""
        grading_meetings.require_draft(meeting)
        meeting_members.remove_member(meeting, member_id, by=current_user.as_actor())

    return _change_meeting(meeting_id, remove, "已移除。")


@results.post("/office/meetings/<uuid:meeting_id>/sample")
@require("meetings.prepare")
def draw_meeting_sample(
    meeting_id: UUID,
) -> Response | tuple[str | Response, int]:
    """Draw as many more records of a draft for the spot check as were typed, or all that are left, by chance.
    Refused, as for what is no number, its page says why. Raises NotFound."""
    typed_size = request.form.get("size", "")
    size = int(typed_size) if typed_size.isascii() and typed_size.isdecimal() and len(typed_size) < 5 else 0
    return _change_meeting(
        meeting_id,
        lambda meeting: meeting_samples.draw_sample(meeting, size, by=current_user.as_actor()),
        f"已随机抽取至多{size}人（不足的全部抽取），请逐一核实并登记结果。",
    )


@results.post("/office/meetings/<uuid:meeting_id>/sample/<uuid:record_id>")
@require("meetings.prepare")
def save_sample_result(meeting_id: UUID, record_id: UUID) -> Response | tuple[str | Response, int]:
    """Store what the spot check of one record that was drawn showed, while the meeting is a draft. Refused,
    its page says why. Raises NotFound, also for a record that was not drawn."""
    form = request.form
    return _change_meeting(
        meeting_id,
        lambda meeting: meeting_samples.record_sample_result(
            meeting,
            record_id,
            form.get("result", ""),
            form.get("note", ""),
            by=current_user.as_actor(),
        ),
        "已登记抽查结果。",
    )


@results.post("/office/meetings/<uuid:meeting_id>/conclude")
@require("conclusions.decide")
def conclude_meeting(
    meeting_id: UUID,
) -> Response | tuple[str | Response, int]:
    """Let the committee's decision take effect, with a job; from now on the draft can't be changed. Refused,
    as without a chair or with an unchecked sample, its page says why. Raises NotFound, Forbidden."""
    return _change_meeting(
        meeting_id,
        lambda meeting: _start_conclusion(meeting),
        "正在按名单综合评定，完成后生成会议纪要。",
    )


def _start_conclusion(meeting: GradingMeeting) -> None:
    """Move the meeting (locked) from draft to concluding, and enqueue the job that concludes its records.
    Raises Forbidden; InvalidState while the list is being made, without a chair, or with a sampled record
    unchecked."""
    meeting_conclusion.start_conclusion(meeting, by=current_user.as_actor())


@results.post("/office/meetings/<uuid:meeting_id>/sign")
@require("meetings.prepare")
def sign_meeting(
    meeting_id: UUID,
) -> Response | tuple[str | Response, int]:
    """Sign the minutes as one of those present; again, it changes nothing. Refused, as before the conclusion,
    the meeting's page says why. Raises NotFound, Forbidden for who isn't listed with this account."""
    return _change_meeting(
        meeting_id,
        lambda meeting: meeting_members.sign_minutes(meeting, by=current_user.as_actor()),
        "已签署会议纪要。",
    )


@results.get("/office/meetings/<uuid:meeting_id>/minutes.pdf")
@require("meetings.prepare")
def meeting_minutes_pdf(meeting_id: UUID) -> FlaskResponse:
    """The minutes as PDF. Raises NotFound, InvalidState if there are none yet, Unavailable."""
    meeting = grading_meetings.get_meeting(meeting_id, current_grant())
    return _download(
        meeting_minutes.minutes_pdf(meeting),
        "application/pdf",
        "minutes.pdf",
    )


@results.get("/office/meetings/<uuid:meeting_id>/minutes.docx")
@require("meetings.prepare")
def meeting_minutes_docx(meeting_id: UUID) -> FlaskResponse:
    """The minutes as docx. Raises NotFound, InvalidState if there are none yet."""
    meeting = grading_meetings.get_meeting(meeting_id, current_grant())
    return _download(
        meeting_minutes.minutes_docx(meeting),
        DOCX_TYPE,
        "minutes.docx",
    )


def _download(content: bytes, media_type: str, name: str) -> FlaskResponse:
    return FlaskResponse(
        content,
        mimetype=media_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _parse_id(text: str) -> UUID | None:
    """The id in a text; None if it is no id."""
    try:
        return UUID(text)
    except ValueError:
        return None
