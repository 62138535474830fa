"""草拟评定 in the console: a department's liaison, or the institution's clerk, drafts the verdicts on work
and ethics; the institution's reviewer sees them beside the record and decides."""

from collections import Counter
from functools import partial
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response
from wtforms import StringField

from dingkao.assessments.conduct_grades import conduct_of, proposed_grades
from dingkao.assessments.models import ASSESSMENT_STATES, VERDICT_PARTS, VERDICTS
from dingkao.blueprints.console.listing_pages import (
    open_list,
    posted_view_address,
    selected_ids,
)
from dingkao.blueprints.console.navigation import console_blueprint
from dingkao.cycles.cycles import current_cycle, require_current_cycle
from dingkao.database.base import db
from dingkao.database.listing.definitions import ListRow
from dingkao.errors import InvalidInput
from dingkao.filings import grading_drafts, presentation
from dingkao.filings.dossier import dossier_of_record
from dingkao.filings.grading_drafts import MAX_DRAFTED, MAX_REMARK_LENGTH, DraftedVerdicts
from dingkao.filings.grading_list import GRADING_LIST
from dingkao.people.name_lookups import account_name
from dingkao.web.access_control import current_grant, require
from dingkao.web.form_submission import form_page, submit_form
from dingkao.web.forms import Choice, Form

gradings = console_blueprint("gradings")
PERFORMANCE_STEP = 4
"""The step of the filing in which doctors say what work they did; of the others, nothing is shown here."""


class DraftForm(Form):
    """The draft of one doctor's verdicts."""

    performance = Choice("工作成绩", choices=list(VERDICTS.items()))
    ethics = Choice("职业道德", choices=list(VERDICTS.items()))
    remark = StringField("说明")


@gradings.get("/office/gradings")
@gradings.post("/office/gradings/search", endpoint="search_records")
@require("gradings.draft")
def list_records() -> str | Response:
    """The doctors for whom one may draft, with what is drafted."""
    if current_cycle() is None:
        return render_template("console/gradings/list.html", view=None)
    view = open_list(
        GRADING_LIST,
        links={"name": _record_address},
        endpoint="gradings.list_records",
        search_endpoint="gradings.search_records",
    )
    if isinstance(view, Response):
        return view
    return render_template(
        "console/gradings/list.html",
        view=view,
        verdicts=VERDICTS,
        max_remark_length=MAX_REMARK_LENGTH,
    )


def _record_address(row: ListRow) -> str:
    return url_for("gradings.draft_record", record_id=row[0].id)


@gradings.post("/office/gradings")
@require("gradings.draft")
def draft_records() -> Response:
    """Draft the same verdicts for the ticked records, or all of the view, the first MAX_DRAFTED of them; who
    is left out is said above the list, as is a refusal. Raises NotFound before the first cycle."""
    try:
        result = grading_drafts.save_drafts(
            require_current_cycle(),
            selected_ids(GRADING_LIST, MAX_DRAFTED),
            DraftedVerdicts(*(request.form.get(name, "") for name in ("performance", "ethics", "remark"))),
            grant=current_grant(),
            by=current_user.as_actor(),
        )
    except InvalidInput as refusal:
        db.session.rollback()
        flash(refusal.message, "refusal")
    else:
        flash(f"已草拟{result.drafted}人，由机构审核人决定。{_left_out_text(result.left_out)}")
    return redirect(posted_view_address(GRADING_LIST, "gradings.list_records"), 303)


def _left_out_text(left_out: Counter[str]) -> str:
    """How many records were left out and why; "" for none."""
    return "".join(f"{count}人未草拟：{reason.rstrip('。')}。" for reason, count in sorted(left_out.items()))


@gradings.route("/office/gradings/<uuid:record_id>", methods=["GET", "POST"])
@require("gradings.draft")
def draft_record(record_id: UUID) -> Response | tuple[str, int] | str:
    """One doctor's record as far as it bears on the verdicts: what the doctor says of the work done, what was
    imported about conduct; and the draft, which the form changes. Raises NotFound, also for a record outside
    one's scope."""
    record, doctor = grading_drafts.get_record(record_id, current_grant())
    draft = grading_drafts.draft_of(record)
    form = DraftForm(obj=draft)
    message = submit_form(form, partial(_draft_from_form, form, record_id))
    if message is not None:
        flash(message)
        return redirect(url_for("gradings.list_records"), 303)
    dossier = dossier_of_record(record)
    page = render_template(
        "console/gradings/record.html",
        form=form,
        doctor=doctor,
        record=record,
        draft=draft,
        drafter=account_name(draft.drafted_by) if draft else "",
        states=ASSESSMENT_STATES,
        verdicts=VERDICTS,
        parts=VERDICT_PARTS,
        proposed=proposed_grades(conduct_of(record)),
        is_draftable=record.state in grading_drafts.DRAFTABLE_STATES,
        filed=presentation.display_sections(dossier)[PERFORMANCE_STEP - 1],
        max_remark_length=MAX_REMARK_LENGTH,
    )
    return form_page(page)


def _draft_from_form(form: DraftForm, record_id: UUID) -> str:
    """Draft what the form says for one record. Returns the sentence to show. Raises InvalidInput, also for a
    record that can't be drafted, NotFound before the first cycle."""
    result = grading_drafts.save_drafts(
        require_current_cycle(),
        [record_id],
        DraftedVerdicts(form.performance.data or "", form.ethics.data or "", form.remark.data or ""),
        grant=current_grant(),
        by=current_user.as_actor(),
    )
    if not result.drafted:
        raise InvalidInput(next(iter(result.left_out), "这条记录不在本周期，不能草拟。"))
    return "已保存草拟，由机构审核人决定。"
