"""What must hold before a record is approved or accepted, besides what its transition checks (domain.md §11
nos. 8 and 10): the reviewer is not the doctor, the cases of direct failure (§1.7) and bad records were
looked for, and the test is far enough away."""

from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, select, true

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.cycles.cycles import phases_of
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.errors import DeadlinePassed, Forbidden, InvalidInput, InvalidState
from dingkao.filings.assistance_marks import assistant_ids
from dingkao.filings.dossier import Dossier
from dingkao.journal.entries import Actor
from dingkao.people.accounts import doctor_login_index
from dingkao.people.models import Account
from dingkao.tenants import settings
from dingkao.tenants.settings import Setting

FOUND_CHOICES = {"none": "已逐项核对，未发现", "found": "发现"}
BAD_RECORD_CHOICES = {"none": "已核查，无不良执业行为记录", "found": "有不良执业行为记录"}
ASSISTANT_MESSAGE = "您代填过这份材料，须由另一位审核人审核。"
OWN_ACCOUNTS_KEY = "own accounts of reviewers"
OWN_RECORD_MESSAGE = "这是您本人的考核记录，须由另一位审核人办理。"
settings.register(
    "review_days_before_test",
    Setting(
        "机构审核意见应在测评开始前多少天报送",
        30,
        kind="whole",
        group="程序",
        order=90,
        min_value=0,
        max_value=180,
    ),
)
settings.register(
    "late_review",
    Setting(
        "测评前不足规定天数时",
        "warn",
        kind="one",
        group="程序",
        order=91,
        choices={
            "off": "不检查",
            "warn": "提示，仍可审核通过",
            "block": "不能审核通过",
        },
    ),
)


def own_record_reason(doctor: Doctor, by: Actor) -> str | None:
    """Returns why `by` may not decide on the doctor's record because both are the same person: the same
    account, or a user name that is the doctor's number. None if nothing says so, or `by` has no account."""
    if by.id is None:
        return None
    return OWN_RECORD_MESSAGE if doctor.account_id in _own_accounts(by.id) else None


def not_own_record_condition(by: Actor) -> ColumnElement[bool]:
    """The SQL condition that a record (`Assessment`) is not the own one of `by`, as far as
    `own_record_reason` knows; true without an account. Sends queries."""
    if by.id is None:
        return true()
    own_doctors = select(Doctor.id).where(in_array(Doctor.account_id, _own_accounts(by.id)))
    return Assessment.doctor_id.not_in(own_doctors)


def assistant_reason(dossier: Dossier, by: Actor) -> str | None:
    """Returns why `by` may not approve or accept what he or she filled in on the doctor's behalf (代填); None
    if it was somebody else."""
    return ASSISTANT_MESSAGE if by.id in assistant_ids(dossier.filing) else None


def is_namesake(doctor: Doctor, by: Actor) -> bool:
    """Whether the reviewer has the doctor's name, so that he or she has to say not to be the doctor."""
    return bool(by.name) and by.name == doctor.name


def require_not_own_record(
    doctor: Doctor,
    by: Actor,
    *,
    is_declared_other: bool,
) -> None:
    """Raises Forbidden for the doctor's own record; InvalidInput for a namesake who hasn't declared to be
    somebody else."""
    if reason := own_record_reason(doctor, by):
        raise Forbidden(reason)
    if is_namesake(doctor, by) and not is_declared_other:
        raise InvalidInput(
            "您与该医师同名，请勾选“本人不是该医师”，或由另一位审核人办理。",
            "not_self",
        )


def _own_accounts(account_id: UUID) -> frozenset[UUID]:
    """Returns the accounts that are the reviewer's own: the one that acts, and the doctor's whose document
    number is its user name. Cached in the session, because a batch asks for each of its records."""
    remembered: dict[UUID, frozenset[UUID]] = db.session().info.setdefault(OWN_ACCOUNTS_KEY, {})
    if account_id not in remembered:
        remembered[account_id] = frozenset((account_id, *_accounts_by_user_name(account_id)))
    return remembered[account_id]


def _accounts_by_user_name(account_id: UUID) -> Sequence[UUID]:
    """Returns the account of the doctor whose document number is the user name of an account, or nothing."""
    user_name = db.session.scalar(select(Account.user_name).where(Account.id == account_id))
    if not user_name:
        return []
    return db.session.scalars(
        select(Account.id).where(Account.login_index == doctor_login_index(user_name)),
    ).all()


def last_review_day(cycle: Cycle) -> date | None:
    """Returns the last day on which the institution's opinion is in time before the test; None if the cycle
    has no days of the test, or the province doesn't check."""
    phase = phases_of(cycle).get("examination")
    if phase is None or settings.value("late_review") == "off":
        return None
    return phase.first_day - timedelta(
        days=settings.value("review_days_before_test"),
    )


def lateness_message(cycle: Cycle) -> str | None:
    """Returns what a reviewer is told if the institution's opinion is late before the test; None in time."""
    day = last_review_day(cycle)
    if day is None or clock.today() <= day:
        return None
    days = settings.value("review_days_before_test")
    return f"机构审核意见应在测评开始前{days}天（{day:%Y年%m月%d日}）报送，现已超过。"


def require_in_time(record: Assessment, cycle: Cycle) -> None:
    """Raises DeadlinePassed if the province blocks late approvals. A record that the assessment organisation
    has returned may be approved again."""
    if settings.value("late_review") != "block" or record.state == "organisation_returned":
        return
    if message := lateness_message(cycle):
        raise DeadlinePassed(f"{message}不能审核通过，请联系省级管理员。")


def validate_conduct_findings(
    dossier: Dossier,
    answer: str,
    codes: Sequence[str],
    ethics: str,
) -> list[str]:
    """Returns the codes of the cases of direct failure (§1.7) that the reviewer has found; [] for none.
    `answer`: one of FOUND_CHOICES; `codes`: those ticked, of which unknown ones are left out; `ethics`: the
    verdict on it. Raises InvalidInput if the checklist wasn't answered, no case is ticked, or the verdict
    contradicts it."""
    if answer not in FOUND_CHOICES:
        raise InvalidInput("请核对直接认定为不合格的情形，选择“未发现”或“发现”。", "conduct")
    if answer == "none":
        return []
    known_codes = conduct_cases(dossier)
    found_codes = [code for code in codes if code in known_codes]
    if not found_codes:
        raise InvalidInput("请勾选发现的是哪种情形。", "conduct")
    if ethics != "fail":
        raise InvalidInput("有直接认定为不合格的情形，职业道德应评定为不合格。", "ethics")
    return found_codes


def conduct_cases(dossier: Dossier) -> dict[str, str]:
    """Returns the cases of direct failure of the province, code → text."""
    fields = {field.name: field for field in dossier.fields(4)}
    return dict(fields["direct_fail_which"].choices or {})


def validate_bad_record_check(record: Assessment, answer: str) -> str:
    """Returns the answer of the assessment organisation's check of bad records. Raises InvalidInput if it
    wasn't made, InvalidState if one was found and 简易程序 was to be accepted."""
    if answer not in BAD_RECORD_CHOICES:
        raise InvalidInput("请核查不良执业行为记录，并选择核查结果。", "bad_record_check")
    if answer == "found" and record.procedure == "simple":
        raise InvalidState("有不良执业行为记录的不适用简易程序，请改为一般程序，或退回机构核对。")
    return answer
