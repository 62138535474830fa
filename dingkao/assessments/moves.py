"""The moves of a record (domain.md §11): each names where it starts, where it leads and who may make it."""

from typing import Any

from dingkao import clock
from dingkao.assessments.models import PARTS, PROCEDURES, STATES, VERDICTS, Assessment
from dingkao.cycles.models import Cycle
from dingkao.cycles.opening import is_open
from dingkao.database.model import db
from dingkao.errors import Forbidden, Invalid, Late, NotAllowed
from dingkao.journal.moves import move
from dingkao.journal.writing import Actor
from dingkao.people.models import Organisation
from dingkao.tenants import settings

LONGEST_REASON = 500
Marks = dict[str, Any] | None
INCLUDERS = ("institution_clerk", "institution_reviewer", "province_admin")


@move("not_included", to="included", actors=INCLUDERS, states=STATES)
def include(record: Assessment, *, by: Actor) -> None:
    """纳入 (§11 no. 1): the institution puts its doctor on the list; enrolment is open, the assessment organisation is known."""
    if not is_open(_cycle(record), "filing"):
        raise Late("当前不在报名阶段,不能纳入。如需补报,请联系省级管理员调整阶段日期。")
    institution = db.session.get_one(Organisation, (record.tenant_id, record.institution_id))
    if institution.assessment_organisation_id is None:
        raise Invalid(f"{institution.name}尚未指定所属考核机构,请先联系省级管理员指定。")
    record.assessor_id = institution.assessment_organisation_id


@move("included", to="not_included", actors=INCLUDERS, states=STATES)
def exclude(record: Assessment, *, by: Actor, reason: str) -> None:
    """取消纳入 (§11 no. 2), with a reason; nothing has been filed yet."""
    _reason(reason)


@move("included", to="draft", actors=("doctor",), states=STATES)
def begin_filing(record: Assessment, *, by: Actor) -> None:
    """开始填报 (§11 no. 3): the doctor's first save; the caller has seen that the user notice was read."""
    if not is_open(_cycle(record), "filing"):
        raise Late("当前不在报名阶段,不能填报。如需补报,请联系本机构。")


@move("draft", "institution_returned", to="institution_pending", actors=("doctor",), states=STATES)
def submit(record: Assessment, *, by: Actor, procedure: str) -> None:
    """提交 (§11 nos. 4 and 7): the filing is complete (the caller has checked it). What was returned may be handed in again while the
    review lasts, though enrolment is over."""
    cycle = _cycle(record)
    if procedure not in PROCEDURES:
        raise Invalid("请选择考核程序。", "procedure")
    if not is_open(cycle, "filing") and not (record.state == "institution_returned" and is_open(cycle, "review")):
        raise Late("报名已截止,不能提交。您填写的内容已保存,请联系本机构。")
    record.procedure, record.submitted_at, record.returned_reason, record.returned_marks = procedure, clock.now(), None, None
    _unopened(record)


@move("institution_pending", to="draft", actors=("doctor",), states=STATES)
def withdraw(record: Assessment, *, by: Actor) -> None:
    """撤回 (§11 no. 5): while nobody has opened it."""
    if record.opened_at is not None:
        raise NotAllowed("机构已开始审核,不能撤回。如需修改,请联系本机构退回。")


@move("institution_pending", "organisation_returned", to="institution_returned", actors=("institution_reviewer",), states=STATES)
def return_to_doctor(record: Assessment, *, by: Actor, reason: str, marks: Marks = None) -> None:
    """机构退回 (§11 no. 6), with a reason that the doctor reads and marks at the fields."""
    record.returned_reason, record.returned_marks = _reason(reason), marks
    _unopened(record)


@move("institution_pending", "organisation_returned", to="organisation_pending", actors=("institution_reviewer",), states=STATES)
def approve(record: Assessment, *, by: Actor, performance: str, ethics: str, opinion: str) -> None:
    """机构审核通过 (§11 no. 8): 工作成绩 and 职业道德 graded, the opinion signed by the reviewer."""
    if performance not in VERDICTS:
        raise Invalid("请评定工作成绩。", "performance")
    if ethics not in VERDICTS:
        raise Invalid("请评定职业道德。", "ethics")
    if len(opinion.strip()) > LONGEST_REASON:
        raise Invalid(f"审核意见请不要超过{LONGEST_REASON}字。", "text")
    record.performance, record.ethics, record.opinion = performance, ethics, opinion.strip() or "同意"
    record.graded_by, record.returned_reason, record.returned_marks = by.id, None, None
    _unopened(record)


@move("organisation_pending", to="organisation_returned", actors=("organisation_reviewer",), states=STATES)
def return_to_institution(record: Assessment, *, by: Actor, reason: str, marks: Marks = None) -> None:
    """考核机构退回机构 (§11 no. 9): the grades are to be looked at again."""
    record.returned_reason, record.returned_marks = _reason(reason), marks
    _unopened(record)


@move("organisation_pending", to="institution_returned", actors=("organisation_reviewer",), states=STATES)
def return_past_institution(record: Assessment, *, by: Actor, reason: str, marks: Marks = None) -> None:
    """考核机构退回医师 (§11 no. 9): the doctor's data are to be mended."""
    record.returned_reason, record.returned_marks = _reason(reason), marks
    _unopened(record)


@move("organisation_pending", to="ready", actors=("organisation_reviewer",), states=STATES)
def accept(record: Assessment, *, by: Actor) -> None:
    """考核机构复核通过 (§11 no. 10), by another person than graded: four eyes by user, for a hospital may assess its own."""
    _another(record, by)
    if without_test(record.procedure):
        raise NotAllowed("本省简易程序不参加测评,请使用“通过并转综合评定”。")
    record.accepted_by = by.id


@move("organisation_pending", to="grading", actors=("organisation_reviewer",), states=STATES)
def accept_without_test(record: Assessment, *, by: Actor, competence: str) -> None:
    """考核机构复核通过, no test (§11 no. 10b): 简易程序 where the province has it sit nothing; 业务水平 is graded from the 述职报告."""
    _another(record, by)
    if not without_test(record.procedure):
        raise NotAllowed("该医师需要参加测评。")
    if competence not in VERDICTS:
        raise Invalid("请评定业务水平。", "competence")
    record.competence, record.accepted_by = competence, by.id


@move("ready", to="grading", actors=("organisation_reviewer",), states=STATES)
def exempt(record: Assessment, *, by: Actor) -> None:
    """免考通过 (§11 nos. 11 and 18; §1.5): 业务水平 counts as 合格, the two other parts stand as graded. Of 一般程序 alone."""
    if record.procedure != "general":
        raise NotAllowed("免考只适用于一般程序。")
    record.competence, record.exempted = "pass", True


@move("ready", to="deferred", actors=("organisation_reviewer",), states=STATES)
def defer(record: Assessment, *, by: Actor) -> None:
    """延考备案 (§11 no. 12; §1.6): the test is put off to a round of its own; not sitting now is no absence."""


@move("ready", to="testing", actors=("doctor",), states=STATES)
def begin_test(record: Assessment, *, by: Actor) -> None:
    """开始测评 (§11 no. 14): the caller has checked the paper's window and the ticket."""


@move("ready", "absent", to="testing", actors=("organisation_clerk", "organisation_reviewer", "province_admin"), states=STATES)
def sit_on_paper(record: Assessment, *, by: Actor) -> None:
    """线下测评 (§11 no. 14, on paper): the first score of an exam on paper is entered. Who was taken for absent because nothing was sat online
    was there after all."""
    record.competence = None


@move("testing", to="scored", actors=("doctor", "system"), states=STATES)
def finish_test(record: Assessment, *, by: Actor) -> None:
    """全部交卷 (§11 no. 16): every paper has been handed in, by the doctor or at its end."""


@move("ready", "testing", to="absent", actors=("organisation_reviewer", "system"), states=STATES)
def miss_test(record: Assessment, *, by: Actor) -> None:
    """缺考 (§11 no. 17): every window is over and a paper was never begun (the caller has checked it)."""
    record.competence = "fail"


@move("scored", to="testing", actors=("organisation_clerk", "organisation_reviewer", "province_admin"), states=STATES)
def reopen_test(record: Assessment, *, by: Actor) -> None:
    """重新打开作答 (§11 no. 15): time is given back to a paper that had been closed at its end (the caller has checked it)."""


@move("testing", "scored", to="ready", actors=("province_admin",), states=STATES)
def void_for_another(record: Assessment, *, by: Actor) -> None:
    """作答作废,准予重考 (§11 no. 16c): the doctor was heard, two persons decided."""


@move("testing", "scored", to="absent", actors=("province_admin",), states=STATES)
def void_as_absent(record: Assessment, *, by: Actor) -> None:
    """作答作废,按缺考处理 (§11 no. 16c): the doctor was heard, two persons decided."""
    record.competence = "fail"


@move("scored", to="grading", actors=("province_admin", "system"), states=STATES)
def apply_pass_line(record: Assessment, *, by: Actor, competence: str) -> None:
    """划线 (§11 no. 18): the approved pass line makes the scores a verdict on 业务水平."""
    if competence not in VERDICTS:
        raise Invalid("请先确定分数线。")
    record.competence = competence


@move("grading", "confirming", to="grading", actors=("system",), states=STATES)
def regrade(record: Assessment, *, by: Actor, competence: str) -> None:
    """更正答案后重新划线 (§11 no. 18): before publication the new score stands, and 综合评定 is made anew of the verdict that follows from it."""
    record.competence = competence


@move("grading", "absent", to="confirming", actors=("organisation_reviewer",), states=STATES)
def conclude(record: Assessment, *, by: Actor) -> None:
    """综合评定 (§11 no. 19): the three verdicts stand."""
    if None in (record.performance, record.ethics, record.competence):
        raise NotAllowed("三项评定尚不齐全,不能综合评定。")


@move("confirming", to="grading", actors=("province_admin",), states=STATES)
def object_to(record: Assessment, *, by: Actor, reason: str) -> None:
    """省级退回 (§11 no. 20): a spot check found something."""
    _reason(reason)


@move("confirming", to="passed", actors=("province_admin",), states=STATES)
def publish_pass(record: Assessment, *, by: Actor) -> None:
    """发布合格 (§11 no. 21): all three verdicts are 合格; the publication has been approved by a second person."""
    if not passes(record):
        raise NotAllowed("三项中有不合格,不能发布为合格。")


@move("confirming", to="failed", actors=("province_admin",), states=STATES)
def publish_fail(record: Assessment, *, by: Actor) -> None:
    """发布不合格 (§11 no. 21): any one verdict is 不合格 (办法: 三项之一不合格即不合格)."""
    if passes(record):
        raise NotAllowed("三项均合格,不能发布为不合格。")


@move("failed", to="passed", actors=("province_admin",), states=STATES)
def overturn(record: Assessment, *, by: Actor, verdicts: dict[str, str]) -> None:
    """复核改判为合格 (§11 no. 24): verdicts changed on appeal make all three 合格; the province confirms what the assessment organisation proposed."""
    _set_verdicts(record, verdicts)
    if not passes(record):
        raise NotAllowed("三项中仍有不合格,不能改判为合格。")


@move("failed", to="failed", actors=("province_admin",), states=STATES)
def amend(record: Assessment, *, by: Actor, verdicts: dict[str, str]) -> None:
    """复核更正单项 (§11 no. 24): a verdict is changed on appeal, another still is 不合格, and so is the result."""
    _set_verdicts(record, verdicts)
    if passes(record):
        raise NotAllowed("三项均合格,应改判为合格。")


def passes(record: Assessment) -> bool:
    """Whether all three verdicts are 合格."""
    return (record.performance, record.ethics, record.competence) == ("pass", "pass", "pass")


def without_test(procedure: str | None) -> bool:
    """Whether a record of this procedure goes without a test: 简易程序 in a province that has it sit nothing (§1.4)."""
    return procedure == "simple" and not settings.value("simple_sits_common_paper")


def _set_verdicts(record: Assessment, verdicts: dict[str, str]) -> None:
    for part, verdict in verdicts.items():
        if part not in PARTS or verdict not in VERDICTS:
            raise Invalid("请选择要变更的评定。")
        setattr(record, part, verdict)


def _cycle(record: Assessment) -> Cycle:
    return db.session.get_one(Cycle, (record.tenant_id, record.cycle_id))


def _reason(reason: str) -> str:
    if not reason.strip():
        raise Invalid("请填写原因。", "reason")
    if len(reason.strip()) > LONGEST_REASON:
        raise Invalid(f"原因请不要超过{LONGEST_REASON}字。", "reason")
    return reason.strip()


def _unopened(record: Assessment) -> None:
    record.opened_at = record.leased_by = record.leased_until = None


def _another(record: Assessment, by: Actor) -> None:
    if by.id == record.graded_by:
        raise Forbidden("评定人与复核人不能是同一人,请由另一位复核人办理。")
