"""Which requests a doctor can make now, and the reasons against the others (domain.md §11)."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from dingkao import clock
from dingkao.assessments.models import FINAL_STATES, Assessment
from dingkao.cycles.cycles import phases_of
from dingkao.errors import InvalidState
from dingkao.exams.resits import last_test_day_of_record
from dingkao.filings.dossier import Dossier
from dingkao.requests.approval_chains import CHANGE_CHAIN_BY_STATE
from dingkao.requests.exemption_eligibility import (
    EXEMPTION_RULES,
    ExemptionFacts,
    ReasonAssessment,
    assess_exemption_reasons,
)
from dingkao.requests.request_queries import list_requests
from dingkao.results import publishing
from dingkao.tenants import settings
from dingkao.tenants.settings import Setting

ANSWERED_STATES = frozenset({"refused", "granted"})
settings.register(
    "appeal_days",
    Setting(
        "申请复核期限（自收到结果起，天）",
        30,
        kind="whole",
        group="结果",
        order=20,
        min_value=1,
        max_value=365,
    ),
)


def unavailable_reason(dossier: Dossier, kind: str) -> str | None:
    """Returns the sentence (Chinese) why no request of this kind can be made now, or None if it can (§11 nos.
    11, 12, 23 and its table of changes). Whether one is under way already is not asked. Raises KeyError for
    an unknown kind."""
    return _UNAVAILABLE_REASON_BY_KIND[kind](dossier)


def require_available(dossier: Dossier, kind: str) -> None:
    """Raises InvalidState, with the reason, if no request of this kind can be made now, KeyError for an
    unknown kind."""
    reason = unavailable_reason(dossier, kind)
    if reason:
        raise InvalidState(reason)


def _exemption_unavailable(dossier: Dossier) -> str | None:
    """The sentence why no request for 免考 can be made now; None if it can."""
    record = dossier.record
    if not settings.value("exemption_open"):
        return "本省不接受免考申请。"
    if record.exempted:
        return "您的免考申请已通过。"
    if record.state != "ready":
        return "免考申请在通过审核、进入待测评状态后开放，测评开始后关闭。"
    return _exemption_of_ready_unavailable(record) or _test_over_reason(dossier)


def _exemption_of_ready_unavailable(record: Assessment) -> str | None:
    """The part of `_exemption_unavailable` for a record that is ready: the sentence, or None."""
    if record.procedure != "general":
        return "免考只适用于一般程序；您的考核程序为简易程序。"
    if record.round == "makeup" and not settings.value("exemption_in_makeup"):
        return "补考不接受免考申请。"
    if _states_of_requests(record, "exemption").count("refused") > settings.value("exemption_again"):
        return "您的免考申请未通过，不能再次申请，请按时参加测评。"
    return None


def _states_of_requests(record: Assessment, kind: str) -> list[str]:
    """The states of the record's requests of a kind."""
    return [request.state for request in list_requests(record) if request.kind == kind]


def _deferral_unavailable(dossier: Dossier) -> str | None:
    """The sentence why no request for 延考 can be made now; None if it can."""
    if not settings.value("deferral_open"):
        return "本省不接受延考申请。"
    if dossier.record.state == "deferred":
        return "您的延考申请已通过。"
    if dossier.record.state != "ready":
        return "延考申请在通过审核、进入待测评状态后开放，测评开始后关闭。"
    return _test_over_reason(dossier)


def _test_over_reason(dossier: Dossier) -> str | None:
    """Returns the reason if the last day of the record's test has passed, else None."""
    phase = phases_of(dossier.cycle).get("examination")
    last_day = last_test_day_of_record(dossier.record, phase.last_day if phase else None)
    if last_day and clock.today() > last_day:
        return "考核阶段已结束，不能再申请。请联系所属考核机构了解后续安排。"
    return None


def _change_unavailable(dossier: Dossier) -> str | None:
    """The sentence why no change of the filing can be requested now; None if it can: as long as the doctor
    can edit or withdraw it, no request is needed."""
    record = dossier.record
    if dossier.is_editable():
        return "您现在可以直接修改填报信息，不需要申请。"
    if _is_unopened(record):
        return "机构尚未开始审核，您可以撤回后直接修改，不需要申请。"
    if record.state not in CHANGE_CHAIN_BY_STATE:
        return "当前状态不能申请修改填报信息。姓名、证件等印在通知书上的内容有误的，请申请更正。"
    return None


def _is_unopened(record: Assessment) -> bool:
    """Whether the filing waits at the institution and no reviewer has opened it."""
    return record.state == "institution_pending" and record.opened_at is None


def _correction_unavailable(_dossier: Dossier) -> str | None:
    """None: a correction can always be requested."""
    return None


def _appeal_unavailable(dossier: Dossier) -> str | None:
    """The sentence why no 复核 of a published result can be requested now; None if it can."""
    state = publishing.state_for_doctor(dossier.record)
    if state not in FINAL_STATES:
        return "考核结果发布后，才能申请复核。"
    if not ANSWERED_STATES.isdisjoint(_states_of_requests(dossier.record, "appeal")):
        return "您的复核申请已有答复。"
    if state == "passed":
        return "您的考核结果为合格，不需要申请复核。"
    if clock.today() > appeal_last_day(dossier):
        return f"申请复核的期限为收到结果之日起{settings.value('appeal_days')}日，现已超过。"
    return None


_UNAVAILABLE_REASON_BY_KIND = {
    "exemption": _exemption_unavailable,
    "deferral": _deferral_unavailable,
    "change": _change_unavailable,
    "correction": _correction_unavailable,
    "appeal": _appeal_unavailable,
}


def appeal_last_day(dossier: Dossier) -> date:
    """Returns the last day for an appeal: `appeal_days` after the doctor received the result, which means
    read its notice; counted from today if it has not been read (办法: 30 days from receipt; domain.md
    §1.8)."""
    received_at = dossier.record.result_received_at or clock.now()
    return clock.to_beijing(received_at).date() + timedelta(days=settings.value("appeal_days"))


def exemption_reasons(dossier: Dossier) -> list[ReasonAssessment]:
    """Returns every reason for 免考 that this province accepts, and whether this doctor meets it."""
    accepted_codes = {code for code in EXEMPTION_RULES if settings.value(f"exempt_{code}")}
    return assess_exemption_reasons(
        _exemption_facts(dossier),
        accepted_codes,
        settings.value("exempt_others"),
    )


def _exemption_facts(dossier: Dossier) -> ExemptionFacts:
    """Returns what roster and filing say that matters for 免考."""
    practice: Mapping[str, Any] = dossier.filing.practice if dossier.filing else {}
    return ExemptionFacts(
        level=dossier.doctor.level,
        cycle_starts_on=dossier.cycle.starts_on,
        today=clock.today(),
        birth_date=dossier.birth_date(),
        employment=practice.get("employment"),
        title=practice.get("title"),
        title_obtained=practice.get("titled"),
        qualified_in=_parse_date(practice.get("qualified")),
        trainings={entry.get("name", ""): entry.get("until") for entry in dossier.entries("training")},
    )


def _parse_date(text: str | None) -> date | None:
    """The date of a text YYYY-MM-DD; None for "" and None. Raises ValueError for any other."""
    return date.fromisoformat(text) if text else None
