"""The transitions of a record (domain.md §11): each names the states it starts from, the state it leads to,
and who may make it. The caller has locked the record; notices are the caller's, too. The journal entry is
written with the state; a record that comes to another desk of the review has no lease any more. All raise
InvalidState in another state and Forbidden for another actor, besides what the docstring names."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from dingkao import clock
from dingkao.assessments.models import (
    ASSESSMENT_STATES,
    PROCEDURES,
    VERDICTS,
    Assessment,
)
from dingkao.assessments.procedure_tests import skips_test
from dingkao.assessments.record_counts import counted_move
from dingkao.assessments.review_hooks import run_exclusion_effects
from dingkao.assessments.verdicts import is_passing, require_verdict, set_verdicts, verdicts_of
from dingkao.cycles.cycles import is_phase_open
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.errors import DeadlinePassed, InvalidInput, InvalidState
from dingkao.journal.entries import Actor
from dingkao.journal.state_machine import transition
from dingkao.people.models import Organisation
from dingkao.people.permissions import roles_for
from dingkao.people.second_person import require_second_person

MAX_REASON_LENGTH = 500
ReturnedMarks = dict[str, Any] | None
SUBMITTED_STATES = ("institution_pending", "organisation_pending", "organisation_returned")
EXCLUDABLE_BY_OFFICE = ("draft", "institution_returned", *SUBMITTED_STATES, "ready")
"""States in which only the office above may let an institution take a doctor off the list."""


def record_transition(
    *from_states: str,
    to: str,
    action: str | tuple[str, ...] | None = None,
    by_system: bool = False,
    verb: str | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a transition of a record, which the caller has locked (parameters besides these:
    `journal.state_machine.transition`). It may be made by the roles with the permission `action` (or one of
    several), and by the system if `by_system`. `verb`: its name in the journal, if not that of the
    function."""
    actions = (action,) if isinstance(action, str) else action or ()
    roles = roles_for(*actions)
    actors = roles | {"system"} if by_system else roles
    declare = transition(
        *from_states,
        to=to,
        actors=actors,
        states=ASSESSMENT_STATES,
        verb=verb,
    )
    return lambda function: _counted(declare(function))


def _counted(move: Callable[..., Any]) -> Callable[..., Any]:
    """Make a transition count where its record stands before and after it (`record_counts`); the record is
    locked."""

    @wraps(move)
    def moved(record: Assessment, **arguments: Any) -> Any:
        with counted_move(record):
            return move(record, **arguments)

    return moved


@record_transition("not_included", to="included", action="enrolment.manage")
def include(record: Assessment, *, by: Actor) -> None:
    """纳入 (§11 no. 1): put a doctor on the list of its institution, and make the assessment organisation of
    that institution the record's. Of `by` only the roles are looked at: that the record is within their grant
    is for the caller to see to. The doctor is not notified here. Raises DeadlinePassed outside the filing
    phase, InvalidInput if the institution has no assessment organisation yet."""
    if not is_phase_open(_cycle(record), "filing"):
        raise DeadlinePassed("当前不在报名阶段，不能纳入。如需补报，请联系省级管理员调整阶段日期。")
    institution = db.session.get_one(Organisation, (record.tenant_id, record.institution_id))
    if institution.assessment_organisation_id is None:
        raise InvalidInput(f"{institution.name}尚未指定所属考核机构，请先联系省级管理员指定。")
    record.assessor_id = institution.assessment_organisation_id


@record_transition("included", to="not_included", action="enrolment.manage")
def exclude(record: Assessment, *, by: Actor, reason: str) -> None:
    """取消纳入 (§11 no. 2), possible only before anything was filed. The doctor is not notified here. Raises
    InvalidInput without a reason."""
    validate_reason(reason)


@record_transition(*EXCLUDABLE_BY_OFFICE, to="not_included", action="exclusions.approve")
def exclude_after_filing(record: Assessment, *, by: Actor, reason: str) -> None:
    """移出名单 after filing began (§11 no. 2): the institution proposed it, the office above consents. What
    was filed is kept; a seat in a slot is given back, with the admission ticket. Raises InvalidInput without
    a reason."""
    validate_reason(reason)
    record.returned_reason = record.return_marks = None
    leave_desk(record)
    run_exclusion_effects(record)


@record_transition(*SUBMITTED_STATES, to="institution_pending", action="transfers.manage", verb="transferred")
def restart_review(record: Assessment, *, by: Actor) -> None:
    """转入新机构 (§11 no. 31) of a submitted filing: it waits for the review of the new institution, which
    grades anew; what the doctor filed and when it was submitted stays. The caller sets the institution
    (`set_record_institution`)."""
    record.performance = record.ethics = record.opinion = record.graded_by = None
    record.returned_reason = record.return_marks = None
    leave_desk(record)


@record_transition("included", to="draft", action=("filing.edit", "filings.assist"), verb="begin_filing")
def start_filing(record: Assessment, *, by: Actor) -> None:
    """开始填报 (§11 no. 3): the doctor's first save. The caller has checked that the user notice was
    confirmed. Raises DeadlinePassed outside the filing phase."""
    if not is_phase_open(_cycle(record), "filing"):
        raise DeadlinePassed("当前不在报名阶段，不能填报。如需补报，请联系本机构。")


@record_transition(
    "draft",
    "institution_returned",
    to="institution_pending",
    action=("filing.submit", "filings.assist"),
)
def submit(record: Assessment, *, by: Actor, procedure: str) -> None:
    """提交 (§11 nos. 4 and 7). The caller has checked that the filing is complete. `procedure`: a key of
    PROCEDURES. A filing that the institution returned may be submitted again until the review phase ends.
    Raises InvalidInput, DeadlinePassed."""
    if procedure not in PROCEDURES:
        raise InvalidInput("请选择考核程序。", "procedure")
    if not is_time_to_file(record, _cycle(record)):
        raise DeadlinePassed("报名已截止，不能提交。您填写的内容已保存，请联系本机构。")
    record.procedure, record.submitted_at = procedure, clock.now()
    record.returned_reason = record.return_marks = None
    record.sent_by = record.sent_from = None
    reset_opening(record)


def is_time_to_file(record: Assessment, cycle: Cycle) -> bool:
    """Whether a filing may be changed and submitted today: while enrolment lasts, and what the institution
    has returned while the review lasts, too."""
    if is_phase_open(cycle, "filing"):
        return True
    return record.state == "institution_returned" and is_phase_open(cycle, "review")


@record_transition("institution_pending", to="draft", action="filing.withdraw")
def withdraw(record: Assessment, *, by: Actor) -> None:
    """撤回 (§11 no. 5). The caller has checked that the filing phase is open (`filing_submission.withdraw`).
    Raises InvalidState once a reviewer has opened it."""
    if record.opened_at is not None:
        raise InvalidState("机构已开始审核，不能撤回。如需修改，请联系本机构退回。")


@record_transition(
    "institution_pending",
    "organisation_returned",
    to="institution_returned",
    action="filings.approve",
)
def return_to_doctor(
    record: Assessment,
    *,
    by: Actor,
    reason: str,
    marks: ReturnedMarks = None,
) -> None:
    """机构退回 (§11 no. 6), with a reason and return marks at fields, both shown to the doctor. Raises
    InvalidInput without a reason."""
    _store_return(record, reason, marks, by)


@record_transition(
    "institution_pending",
    "organisation_returned",
    to="organisation_pending",
    action="filings.approve",
)
def approve(
    record: Assessment,
    *,
    by: Actor,
    performance: str,
    ethics: str,
    opinion: str,
    conduct_findings: Sequence[str] = (),
) -> None:
    """机构审核通过 (§11 no. 8): `performance` (工作成绩) and `ethics` (职业道德) are graded pass or fail;
    `opinion` is the reviewer's («同意» for an empty one); `conduct_findings`: codes of the cases of direct
    failure (§1.7) that were found. Raises InvalidInput."""
    require_verdict(performance, "performance", "请评定工作成绩。")
    require_verdict(ethics, "ethics", "请评定职业道德。")
    if len(opinion.strip()) > MAX_REASON_LENGTH:
        raise InvalidInput(f"审核意见请不要超过{MAX_REASON_LENGTH}字。", "text")
    record.performance, record.ethics = performance, ethics
    record.opinion, record.graded_by = (
        opinion.strip() or "同意",
        by.id,
    )
    record.conduct_findings = list(conduct_findings)
    record.returned_reason = record.return_marks = None
    _send_on(record, by)


@record_transition(
    "organisation_pending",
    to="organisation_returned",
    action="filings.accept",
)
def return_to_institution(
    record: Assessment,
    *,
    by: Actor,
    reason: str,
    marks: ReturnedMarks = None,
) -> None:
    """考核机构退回机构 (§11 no. 9): the institution is to check its grades again. Raises InvalidInput without
    a reason."""
    _store_return(record, reason, marks, by)


@record_transition(
    "organisation_pending",
    to="institution_returned",
    action="filings.accept",
    verb="return_past_institution",
)
def return_to_doctor_by_organisation(
    record: Assessment,
    *,
    by: Actor,
    reason: str,
    marks: ReturnedMarks = None,
) -> None:
    """考核机构退回医师 (§11 no. 9): the doctor is to correct the filing. Raises InvalidInput without a
    reason."""
    _store_return(record, reason, marks, by)


@record_transition("organisation_pending", to="ready", action="filings.accept")
def accept(record: Assessment, *, by: Actor, bad_record_check: str = "none") -> None:
    """考核机构复核通过 (§11 no. 10), by another person than the one who graded; compared by person, because a
    hospital may assess its own doctors. `bad_record_check`: one of BAD_RECORD_CHECKS, not checked here.
    Raises InvalidState if this record's procedure has no test, Forbidden for the same person or one who
    doesn't count as a second one."""
    _require_second_person(record, by)
    if skips_test(record.procedure):
        raise InvalidState("本省简易程序不参加测评，请使用“通过并转综合评定”。")
    record.accepted_by, record.bad_record_check = by.id, bad_record_check
    _send_on(record, by)


@record_transition("organisation_pending", to="grading", action="filings.accept")
def accept_without_test(
    record: Assessment,
    *,
    by: Actor,
    competence: str,
    bad_record_check: str = "none",
) -> None:
    """考核机构复核通过 without a test (§11 no. 10b), in a province whose 简易程序 has none; `competence`
    (业务水平, pass or fail) is graded from the 述职报告; `bad_record_check` as in `accept`. Raises
    InvalidState if a test is required, InvalidInput without a verdict, Forbidden for the person who graded or
    one who doesn't count as a second one."""
    _require_second_person(record, by)
    if not skips_test(record.procedure):
        raise InvalidState("该医师需要参加测评。")
    require_verdict(competence, "competence", "请评定业务水平。")
    record.competence, record.accepted_by = competence, by.id
    record.bad_record_check = bad_record_check
    _send_on(record, by)


@record_transition("ready", to="grading", action="requests.exempt_or_defer")
def exempt(record: Assessment, *, by: Actor) -> None:
    """免考通过 (§11 nos. 11 and 18; §1.5): 业务水平 counts as 合格; the two other verdicts stay as graded.
    The caller has checked the reason (a request that institution and organisation approved,
    `requests.granted_effects`). Raises InvalidState for 简易程序."""
    if record.procedure != "general":
        raise InvalidState("免考只适用于一般程序。")
    record.competence, record.exempted = "pass", True


@record_transition("ready", to="deferred", action="requests.exempt_or_defer")
def defer(record: Assessment, *, by: Actor) -> None:
    """延考备案 (§11 no. 12; §1.6): the test is postponed to a later round; the doctor does not count as
    absent now. The caller has checked the reason, as for `exempt`."""


@record_transition("ready", to="testing", action="sitting.sit", verb="begin_test")
def start_test(record: Assessment, *, by: Actor) -> None:
    """开始测评 (§11 no. 14). The caller has checked the paper's window and the admission ticket."""


@record_transition(
    "ready",
    "absent",
    to="testing",
    action="scores.import",
    verb="sit_on_paper",
)
def record_paper_test(record: Assessment, *, by: Actor) -> None:
    """线下测评 (§11 no. 14, on paper): the first score of an exam on paper is imported. A doctor who was
    marked absent, because there was no online sitting, was present after all: that verdict and what was found
    out about the absence are removed."""
    record.competence = None
    _reset_absence(record)


@record_transition("testing", to="scored", action="sitting.sit", by_system=True)
def finish_test(record: Assessment, *, by: Actor) -> None:
    """全部交卷 (§11 no. 16): every paper has been handed in, by the doctor or automatically when its time was
    over."""


@record_transition(
    "ready",
    "testing",
    to="absent",
    action="sittings.mark_absent",
    by_system=True,
    verb="miss_test",
)
def mark_absent(record: Assessment, *, by: Actor) -> None:
    """缺考 (§11 no. 17). The caller has checked that every window is over and that some paper was never
    begun. 业务水平 becomes 不合格. It counts once the organisation has confirmed it (`confirm_absence`)."""
    record.competence = "fail"
    _reset_absence(record)


@record_transition("absent", to="absent", action="sittings.mark_absent")
def confirm_absence(record: Assessment, *, by: Actor) -> None:
    """缺考确认 (§11 no. 17): the assessment organisation (`by`, stored with the record) has looked into it;
    the state stays. Raises InvalidState if it is confirmed already."""
    if record.absence_confirmed_by is not None:
        raise InvalidState("缺考已经确认，不需要再次确认。")
    record.absence_confirmed_by = by.id


@record_transition("scored", "absent", to="testing", action="sittings.reopen")
def reopen_test(record: Assessment, *, by: Actor) -> None:
    """重新打开作答 (§11 no. 15): the doctor gets time back for a paper that was closed automatically (the
    caller has checked that); the verdict on 业务水平 and what was found out about an absence are removed. If
    another paper was missed, the verdict 缺考 waits until this one is closed again."""
    record.competence = None
    _reset_absence(record)


@record_transition(
    "testing",
    "scored",
    to="ready",
    action="cases.decide",
    verb="void_for_another",
)
def void_with_resit(record: Assessment, *, by: Actor) -> None:
    """作答作废,准予重考 (§11 no. 16c): the sitting is void and the doctor may sit the paper again; decided by
    two persons after the doctor was heard. The caller (`exams/integrity_cases`) has checked that and voids
    the sitting."""


@record_transition(
    "testing",
    "scored",
    to="absent",
    action="cases.decide",
    verb="void_as_absent",
)
def void_as_absence(record: Assessment, *, by: Actor) -> None:
    """作答作废,按缺考处理 (§11 no. 16c): the sitting is void and counts as absence, which `by` thereby
    confirms; decided by two persons after the doctor was heard. The caller (`exams/integrity_cases`) has
    checked that and voids the sitting."""
    record.competence = "fail"
    _reset_absence(record)
    record.absence_confirmed_by = by.id


@record_transition("scored", to="grading", action="pass_lines.manage", by_system=True)
def apply_pass_line(record: Assessment, *, by: Actor, competence: str) -> None:
    """划线 (§11 no. 18): the approved pass line turns the scores into the verdict `competence` on 业务水平.
    Raises InvalidInput if it is neither pass nor fail."""
    if competence not in VERDICTS:
        raise InvalidInput("请先确定分数线。")
    record.competence = competence


@record_transition(
    "grading",
    "confirming",
    to="grading",
    by_system=True,
    verb="regrade",
)
def reapply_pass_line(record: Assessment, *, by: Actor, competence: str) -> None:
    """更正答案后重新划线 (§11 no. 18): before publication, a new score changes the verdict on 业务水平, and
    综合评定 has to be made again. `competence`: pass or fail, not checked here. The caller has asked
    `publication_lists.is_frozen`, and calls `mark_list_changed` afterwards."""
    record.competence = competence


@record_transition("grading", "absent", to="confirming", action="conclusions.decide")
def conclude(record: Assessment, *, by: Actor) -> None:
    """综合评定 (§11 no. 19). Raises InvalidState unless all three verdicts exist, and for an absence that the
    organisation has not confirmed."""
    if None in verdicts_of(record):
        raise InvalidState("三项评定尚不齐全，不能综合评定。")
    if record.state == "absent" and record.absence_confirmed_by is None:
        raise InvalidState("缺考尚未确认，请先在“缺考确认”中确认。")


@record_transition(
    "confirming",
    to="grading",
    action="results.return_record",
    verb="object_to",
)
def return_for_objection(record: Assessment, *, by: Actor, reason: str) -> None:
    """省级退回 (§11 no. 20) to the assessment organisation, after a spot check; the verdicts stay, 综合评定
    has to be made again. The caller has asked `publication_lists.is_frozen`, and calls `mark_list_changed`
    afterwards: `results.publishing.return_record`. Raises InvalidInput without a reason."""
    validate_reason(reason)


@record_transition("confirming", to="passed", action="results.publish")
def publish_pass(record: Assessment, *, by: Actor) -> None:
    """发布合格 (§11 no. 21), only by `results.publishing`: the record is on a public list, which a second
    person has approved. Raises InvalidState unless all three verdicts are 合格."""
    if not is_passing(record):
        raise InvalidState("三项中有不合格，不能发布为合格。")


@record_transition("confirming", to="failed", action="results.publish")
def publish_fail(record: Assessment, *, by: Actor) -> None:
    """发布不合格 (§11 no. 21; 办法: 三项之一不合格即不合格), only by `results.publishing`, of a record on a
    public list, which a second person has approved. Raises InvalidState if all three verdicts are 合格."""
    if is_passing(record):
        raise InvalidState("三项均合格，不能发布为不合格。")


@record_transition("failed", to="passed", action="results.overturn", verb="overturn")
def change_to_passed(record: Assessment, *, by: Actor, verdicts: dict[str, str]) -> None:
    """复核改判为合格 (§11 no. 24): after an appeal or a corrected answer key, `verdicts` (part → pass or
    fail) make all three 合格. The caller notifies the doctor and enqueues the certificate. Raises
    InvalidInput; InvalidState if one is still 不合格."""
    set_verdicts(record, verdicts)
    if not is_passing(record):
        raise InvalidState("三项中仍有不合格，不能改判为合格。")


@record_transition("failed", to="failed", action="results.overturn", verb="amend")
def amend_verdict(record: Assessment, *, by: Actor, verdicts: dict[str, str]) -> None:
    """复核更正单项 (§11 no. 24): after an appeal or a corrected answer key, `verdicts` (part → pass or fail)
    are changed, but another is 不合格, so the result stays 不合格. The days for an appeal begin again. The
    caller notifies the doctor. Raises InvalidInput; InvalidState if all are 合格."""
    set_verdicts(record, verdicts)
    if is_passing(record):
        raise InvalidState("三项均合格，应改判为合格。")
    record.result_received_at = clock.now()


def _cycle(record: Assessment) -> Cycle:
    return db.session.get_one(Cycle, (record.tenant_id, record.cycle_id))


def _store_return(record: Assessment, reason: str, marks: ReturnedMarks, by: Actor) -> None:
    """Store reason and return marks, and let the record go to the next desk (`_send_on`). Raises InvalidInput
    for the field `reason` if there is none or it is too long."""
    record.returned_reason, record.return_marks = (
        validate_reason(reason),
        marks,
    )
    _send_on(record, by)


def _send_on(record: Assessment, by: Actor) -> None:
    """Before the state changes, store who sends the record on, and from which state, so that it can be
    recalled; nobody has opened it at the next desk, and the lease ends. What was returned comes back to
    whoever had it at the institution."""
    reviewer = record.graded_by if record.state == "organisation_pending" else by.id
    record.assigned_to = reviewer if record.returned_reason else None
    record.sent_by, record.sent_from = by.id, record.state
    reset_opening(record)


def validate_reason(reason: str) -> str:
    """Returns the reason without surrounding blanks. Raises InvalidInput for the field `reason` if it is
    empty or longer than MAX_REASON_LENGTH."""
    stripped_reason = reason.strip()
    if not stripped_reason:
        raise InvalidInput("请填写原因。", "reason")
    if len(stripped_reason) > MAX_REASON_LENGTH:
        raise InvalidInput(f"原因请不要超过{MAX_REASON_LENGTH}字。", "reason")
    return stripped_reason


def leave_desk(record: Assessment) -> None:
    """Take the record off the desk at which it is: it is nobody's any more, and nobody may recall it."""
    record.assigned_to = record.sent_by = record.sent_from = None
    reset_opening(record)


def reset_opening(record: Assessment) -> None:
    """Make the record unopened again: nobody has opened it, and nobody has a lease."""
    record.opened_at = record.leased_by = record.leased_until = None


def _reset_absence(record: Assessment) -> None:
    """Forget what the organisation drafted or confirmed about an earlier absence."""
    record.absence_note = record.absence_drafted_by = record.absence_confirmed_by = None


def _require_second_person(record: Assessment, by: Actor) -> None:
    """Raises Forbidden if `by` is the person who graded the record, or doesn't count as a second person
    beside them."""
    require_second_person(
        by,
        record.graded_by,
        same="评定人与复核人不能是同一人，请由另一位复核人办理。",
    )
