"""The console's first page: the tasks that wait for the current user (待办), and for a new province the setup
steps still to be done."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from flask import render_template, url_for
from flask_login import current_user

from dingkao.assessments import absences, doctor_codes, enrolment_changes
from dingkao.assessments.enrolment import count_records_by_state
from dingkao.assessments.gap_lists import GAP_LISTS, count_listed
from dingkao.assessments.models import Assessment
from dingkao.blueprints.console import outages, request_decisions
from dingkao.blueprints.console.enrolment_changes import change_grants
from dingkao.blueprints.console.exam_monitoring.cases import (
    pending_case_counts,
)
from dingkao.blueprints.console.exports import pending_counts as pending_exports
from dingkao.blueprints.console.filing_review import waiting_counts
from dingkao.blueprints.console.navigation import (
    console_blueprint,
    count_decidable,
)
from dingkao.blueprints.console.preparation_tasks import iter_preparation_tasks
from dingkao.blueprints.console.proposed_acts import pending_counts
from dingkao.blueprints.console.scoring.pending_scoring_tasks import (
    pending_tasks as scoring_tasks,
)
from dingkao.blueprints.console.setup_steps import open_setup_steps
from dingkao.cycles.cycles import current_cycle, phases_of
from dingkao.cycles.models import PHASES, Cycle
from dingkao.database.arrays import in_array
from dingkao.people import organisation_queries
from dingkao.people.departments import department_names
from dingkao.people.name_lookups import organisation_names
from dingkao.people.permissions import ROLE_LABELS
from dingkao.people.scopes import Grant
from dingkao.people.staff_notices import count_unread
from dingkao.requests.dashboard import (
    count_to_conclude,
    proposed_publications_query,
)
from dingkao.requests.models import SIDES
from dingkao.results import pass_lines
from dingkao.results.models import PassLine, Publication
from dingkao.web.access_control import require

dashboard = console_blueprint("dashboard")


@dataclass(frozen=True)
class Task:
    """A task that waits: how many items for the current user, the URL of the page on which it is done with
    its link text, and how many items only another person may do."""

    label: str
    count: int
    address: str
    action_label: str
    count_for_others: int = 0


@dashboard.get("/office")
@require("console.open")
def show_tasks() -> str:
    """待办: the tasks that wait for the current user, each with a link, in the order of the work; apart from
    them those that only somebody else may do, and the open setup steps."""
    cycle = current_cycle()
    tasks = _all_tasks(cycle)
    return render_template(
        "console/dashboard/tasks.html",
        waiting=[task for task in tasks if task.count],
        others=[task for task in tasks if task.count_for_others],
        roles=_roles_with_organisations(),
        cycle=cycle,
        names=PHASES,
        phases=phases_of(cycle) if cycle else {},
        steps=open_setup_steps(cycle) if current_user.may("cycle.manage") else [],
    )


def _all_tasks(cycle: Cycle | None) -> list[Task]:
    """All tasks of the current user, also those with the count 0."""
    return [
        *_tasks_of_roles(cycle),
        *_request_tasks(),
        *_code_request_tasks(),
        *_export_tasks(),
        *_change_tasks(),
        *_exam_tasks(),
        *(Task(*pending_task) for pending_task in scoring_tasks()),
        *(Task(*pending_task) for pending_task in iter_preparation_tasks(cycle)),
        Task("未读消息", count_unread(current_user.id), url_for("inbox.list_notices"), "去查看"),
    ]


def _tasks_of_roles(cycle: Cycle | None) -> list[Task]:
    """The tasks of an administrator, of an institution's and of an assessment organisation's staff, of those
    that the current user is at the place acted at."""
    tasks: list[Task] = []
    if current_user.may("cycle.manage"):
        tasks += _administrator_tasks(cycle)
    if current_user.grant("filings.review").institution_ids:
        tasks += _institution_tasks(cycle)
    if current_user.grant("filings.review").assessor_ids:
        tasks += _organisation_tasks(cycle)
    return tasks


def _export_tasks() -> list[Task]:
    """Lists asked for as files that wait for a second person; none for who may not approve them."""
    if not current_user.may("lists.export_large"):
        return []
    export_count, other_exports = pending_exports()
    address = url_for("exports.list_exports")
    return [Task("名单导出等待您确认", export_count, address, "去确认", other_exports)]


def _exam_tasks() -> list[Task]:
    """Integrity cases to be handled, and sittings for which time was lost in an outage, both 0 for who may do
    neither."""
    case_count, other_cases = pending_case_counts()
    return [
        Task(
            "诚信核查等待您办理",
            case_count,
            url_for("exam_monitoring.list_cases"),
            "去办理",
            other_cases,
        ),
        Task(
            "服务中断期间到时，待补时的作答",
            outages.count_sittings_awaiting_time(),
            url_for("outages.list_outages"),
            "去补时",
        ),
    ]


def _roles_with_organisations() -> list[tuple[str, str]]:
    """The roles that the current user holds at the place acted at, as pairs of label and organisation name,
    with the department's where the role has one ("" for the province's office)."""
    memberships = current_user.memberships
    names = organisation_names(current_user.organisation_ids)
    names |= department_names(membership.department_id for membership in memberships)
    return [
        (
            ROLE_LABELS[membership.role],
            "".join(
                names[named_id]
                for named_id in (membership.organisation_id, membership.department_id)
                if named_id is not None
            ),
        )
        for membership in memberships
    ]


def _request_tasks() -> list[Task]:
    """Requests of doctors to be decided on, by side."""
    return [
        Task(
            f"医师申请等待您办理（{SIDES[side]}）",
            count,
            url_for("request_decisions.pending_requests", side=side),
            "去办理",
            other_count,
        )
        for side, (
            count,
            other_count,
        ) in request_decisions.waiting_counts().items()
    ]


def _change_tasks() -> list[Task]:
    """Transfers and exclusions that wait for the current user's consent; none for who manages no
    transfers."""
    if not current_user.may("transfers.manage"):
        return []
    return [
        Task(
            "转入转出、移出名单等待您办理",
            enrolment_changes.count_waiting(change_grants()),
            url_for("enrolment_changes.list_changes"),
            "去办理",
        )
    ]


def _code_request_tasks() -> list[Task]:
    """Requests for one-time codes that the current user may issue as the second person, and those that only
    another may, fifty of each at the most; none for who issues no codes."""
    if not current_user.may("doctors.issue_code"):
        return []
    grant = current_user.grant("doctors.issue_code")
    decidable, undecidable = (
        doctor_codes.doctors_with_pending_requests(grant, by=current_user.id, others=of_others)
        for of_others in (False, True)
    )
    return [
        Task(
            "一次性代码等待您审核发放",
            len(decidable),
            _address_of_first([*decidable, *undecidable]),
            "去审核",
            len(undecidable),
        )
    ]


def _address_of_first(doctor_ids: Sequence[UUID]) -> str:
    """The URL of the first of these doctors; "" if there is none."""
    return url_for("doctors.show_doctor", doctor_id=doctor_ids[0]) if doctor_ids else ""


def _administrator_tasks(cycle: Cycle | None) -> list[Task]:
    """An administrator's tasks; without a current cycle only those about institutions and proposed acts."""
    unassigned_count = organisation_queries.count_without_assessor()
    act_count, other_acts = pending_counts()
    institutions_url = url_for("institutions.list_institutions")
    acts_url = url_for("proposed_acts.list_acts")
    tasks = [
        Task(
            "尚未指定考核机构的机构",
            unassigned_count,
            institutions_url,
            "去指定",
        ),
        Task(
            "公章、证书、账号事项等待您确认",
            act_count,
            acts_url,
            "去确认",
            other_acts,
        ),
    ]
    return tasks + _administrator_tasks_of_cycle(cycle) if cycle else tasks


def _administrator_tasks_of_cycle(cycle: Cycle) -> list[Task]:
    """An administrator's tasks in the cycle: pass lines, publications, results that wait for either, doctors
    who aren't included."""
    line_count, other_lines = count_decidable(pass_lines.proposed_lines_query(cycle), PassLine.proposed_by)
    publication_count, other_publications = count_decidable(
        proposed_publications_query(cycle), Publication.proposed_by
    )
    records = count_records_by_state(cycle, states=("scored", "confirming", "not_included"))
    lines_url = url_for("results.pass_lines")
    publications_url = url_for("results.publications")
    return [
        Task(
            "合格线等待您确认",
            line_count,
            lines_url,
            "去确认",
            other_lines,
        ),
        Task(
            "发布清单等待您确认",
            publication_count,
            publications_url,
            "去确认",
            other_publications,
        ),
        Task(
            "已交卷，合格线未生效",
            records["scored"],
            lines_url,
            "看合格线",
        ),
        Task(
            "综合评定完成，待发布",
            records["confirming"],
            publications_url,
            "去发布",
        ),
        Task(
            "未纳入本周期的医师",
            records["not_included"],
            url_for("enrolment.inclusion"),
            "去纳入",
        ),
    ]


def _institution_tasks(cycle: Cycle | None) -> list[Task]:
    """The tasks of an institution's staff in the cycle: its doctors' assessments, and those who have not
    signed in."""
    if cycle is None:
        return []
    institution_ids = current_user.grant("enrolment.manage").institution_ids
    unopened = GAP_LISTS["not_signed_in"]
    own_grant = Grant(
        institution_ids=current_user.grant(
            unopened.definition.action,
        ).institution_ids,
    )
    return [
        *_institution_tasks_of_cycle(cycle, institution_ids),
        Task(
            "已纳入，还没有登录过的医师",
            count_listed(unopened, cycle, own_grant),
            url_for("participation.list_gaps", list=unopened.code),
            "看名单",
        ),
    ]


def _institution_tasks_of_cycle(cycle: Cycle, institution_ids: tuple[UUID, ...]) -> list[Task]:
    """The tasks of an institution's staff in the cycle: reviews, and assessments in states before that."""
    records = count_records_by_state(
        cycle,
        in_array(Assessment.institution_id, institution_ids),
        states=(
            "not_included",
            "included",
            "draft",
            "institution_returned",
        ),
    )
    review_count, _ = waiting_counts().get("institution", (0, 0))
    review_url = url_for("filing_review.pending_records", side="institution")
    lists = (
        ("已纳入，还没有填报", "included"),
        ("填报中，还没有提交", "draft"),
        ("退回后还没有重新提交", "institution_returned"),
    )
    return [
        Task("待机构审核", review_count, review_url, "去审核"),
        Task(
            "未纳入本周期的医师",
            records["not_included"],
            url_for("enrolment.inclusion"),
            "去纳入",
        ),
        *(
            Task(
                label,
                records[state],
                url_for("enrolment.inclusion", state=state),
                "看名单",
            )
            for label, state in lists
        ),
    ]


def _organisation_tasks(cycle: Cycle | None) -> list[Task]:
    """The tasks of an assessment organisation's staff in the cycle: reviews, and 综合评定."""
    if cycle is None:
        return []
    review_count, other_count = waiting_counts().get("organisation", (0, 0))
    review_url = url_for("filing_review.pending_records", side="organisation")
    return [
        Task(
            "待考核机构复核",
            review_count,
            review_url,
            "去复核",
            other_count,
        ),
        Task(
            "缺考待确认",
            _count_unconfirmed_absences(cycle),
            url_for("absences.list_absences"),
            "去确认",
        ),
        Task(
            "待综合评定",
            _count_to_conclude(cycle),
            url_for("results.conclusions"),
            "去评定",
        ),
    ]


def _count_unconfirmed_absences(cycle: Cycle) -> int:
    """How many absences of the cycle, drafted or not, wait to be confirmed by the current user's
    organisations."""
    return absences.count_unconfirmed(cycle, current_user.grant("absences.prepare"))


def _count_to_conclude(cycle: Cycle) -> int:
    """How many assessments wait for 综合评定 within the current user's grant, also absent ones whose absence
    isn't confirmed, counted as far as pages show; 0 for who may not conclude."""
    if not current_user.may("conclusions.decide"):
        return 0
    return count_to_conclude(cycle, current_user.grant("conclusions.decide"))
