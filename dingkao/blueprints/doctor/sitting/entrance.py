"""The entrance to the exam [S15]: name, ticket number and consent; then the papers."""

from flask import redirect, render_template, request, session, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.blueprints.doctor.sitting.blueprint import (
    current_record,
    has_entered,
    sitting,
)
from dingkao.exams import sittings
from dingkao.exams.admission import admissions_of
from dingkao.exams.models.paper_models import AdmissionTicket
from dingkao.exams.papers import (
    expected_paper_count,
    papers_for,
    stage_lock_reason,
)
from dingkao.exams.tickets import find_ticket
from dingkao.journal import entries as journal
from dingkao.journal import failed_attempts
from dingkao.people.names import is_same_name
from dingkao.web.access_control import require

WRONG_NAME_MESSAGE = "姓名与报名信息不一致，请核对。"
WRONG_NUMBER_MESSAGE = "准考证号不正确。准考证号显示在主页上，可以复制。"


@sitting.route("/sitting", methods=["GET", "POST"])
@require("sitting.sit")
def list_papers() -> Response | tuple[str, int] | str:
    """[S15]: the form of name, ticket number and consent; after it, in this browser's session, the list of
    papers; before a ticket is issued, the page that says why. Raises NotFound."""
    record = current_record(for_update=request.method == "POST")
    ticket = find_ticket(record)
    if ticket is None:
        return render_template("doctor/sitting/closed.html", state=record.state)
    if request.method == "POST":
        return _enter(record, ticket)
    if has_entered(record):
        return _render_papers(record, ticket)
    return _render_entrance(ticket, {})


def _enter(record: Assessment, ticket: AdmissionTicket) -> Response | tuple[str, int]:
    """Check what was typed: let the doctor go on to the papers, which the journal notes, or render the form
    with errors, of which the journal notes a wrong name or number. A failed attempt doesn't end an earlier
    entrance."""
    errors = _entry_errors(ticket.number)
    if not errors:
        journal.write_entry(
            "assessment",
            record.id,
            "exam_entered",
            by=current_user.as_actor(),
        )
        session["entered"] = str(record.id)
        return redirect(url_for("sitting.list_papers"), 303)
    if not {WRONG_NAME_MESSAGE, WRONG_NUMBER_MESSAGE}.isdisjoint(errors.values()):
        _record_failed_entry(errors)
    return _render_entrance(ticket, errors), 422


def _entry_errors(number: str) -> dict[str, str]:
    """Error messages about the typed name, ticket number and consent, by field; empty if all are right.
    `number`: the right ticket number."""
    messages = {
        "name": _name_error(),
        "number": _number_error(number),
        "consent": None if request.form.get("consent") else "请先阅读并同意《隐私协议》。",
    }
    return {field: message for field, message in messages.items() if message}


def _name_error() -> str | None:
    """The message about the typed name; None if it is the account's (`is_same_name`)."""
    name = request.form.get("name", "").strip()
    if not name:
        return "请输入姓名。"
    return None if is_same_name(name, current_user.account.name) else WRONG_NAME_MESSAGE


def _number_error(number: str) -> str | None:
    """The message about the typed ticket number; None if it is `number`, blanks aside."""
    typed_number = request.form.get("number", "").replace(" ", "")
    if not typed_number:
        return "请输入准考证号。准考证号显示在主页上，可以复制。"
    return None if typed_number == number else WRONG_NUMBER_MESSAGE


def _record_failed_entry(errors: dict[str, str]) -> None:
    """Enter in the journal that a wrong name or number was typed, which stays after the rollback; of `errors`
    only the fields."""
    failed_attempts.record_attempt(
        current_user.account.login_index,
        "exam_entry_failed",
        by=current_user.as_actor(),
        fields=sorted(errors),
    )


def _render_entrance(ticket: AdmissionTicket, errors: dict[str, str]) -> str:
    """The form of name, ticket number and consent, with what was typed; `errors` by field name."""
    return render_template(
        "doctor/sitting/enter.html",
        ticket=ticket,
        faults=errors,
        given=request.form,
    )


def _render_papers(record: Assessment, ticket: AdmissionTicket) -> str:
    """The list of papers of the assessment: when and in which hall, whether begun or handed in, or why one
    can't be begun yet."""
    papers = papers_for(record)
    begun = sittings.sittings_by_paper(record)
    return render_template(
        "doctor/sitting/papers.html",
        papers=papers,
        begun=begun,
        moment=clock.now(),
        ticket=ticket,
        lacking=len(papers) < expected_paper_count(record),
        locked={paper.id: stage_lock_reason(paper, papers, begun) for paper in papers},
        admitted=admissions_of(record, papers),
    )


@sitting.get("/sitting/privacy")
@require("sitting.sit")
def privacy() -> str:
    """The page with the 《隐私协议》."""
    return render_template("doctor/sitting/privacy.html")
