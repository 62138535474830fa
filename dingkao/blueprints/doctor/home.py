"""The doctor's home page [S6]: the stage of the assessment, what to do now, until when, and whom to
contact."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import redirect, render_template, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.assessments.models import PROCEDURES, TEST_STATES
from dingkao.blueprints.doctor.deadlines import (
    Phase,
    coming_filing_day,
    is_deadline_passed,
    own_deadline,
    parse_phases,
)
from dingkao.blueprints.doctor.home_tiles import (
    action_of_state,
    build_tiles,
    practice_closed_text,
)
from dingkao.blueprints.doctor.state_texts import (
    BEFORE_PHASE_TEXT,
    DEADLINE_PASSED_TEXTS,
    EXEMPTED_TEXT,
    NO_CYCLE_TEXT,
    NO_TEST_TEXT,
    REQUEST_STATE_TEXTS,
    STATE_TEXTS,
    UNSUBMITTED_TEXTS,
    StateText,
)
from dingkao.cycles.models import PHASES
from dingkao.people.organisations import TELEPHONE
from dingkao.requests.doctor_overview import (
    DoctorOverview,
    load_overview,
)
from dingkao.requests.models import REQUEST_KINDS
from dingkao.requests.request_queries import INSTEAD_OF_TEST
from dingkao.tenants import settings
from dingkao.web.access_control import require
from dingkao.web.province_blueprint import province_blueprint

home = province_blueprint("home")
MENU: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("变更执业机构", "transfer.own_transfer", {}),
    ("修改密码", "account.password", {}),
    ("账号与安全", "account.show", {}),
    (
        "显示设置",
        "display_mode.choose_display_mode",
        {"back": "/home"},
    ),
)
"""The entries of the settings menu between 「修改信息」 and 「退出登录」: label, endpoint, values for
`url_for`."""


@home.get("/home")
@require("doctor.home")
def home_page() -> Response | str:
    """The home page; before it, once in a cycle, the user notice [S5]."""
    overview = load_overview(current_user.id)
    if overview.cycle_id and not overview.has_read_notice:
        return redirect(url_for("filing.user_notice"))
    return _render_home(overview)


def _render_home(overview: DoctorOverview) -> str:
    """The home page; the page of somebody who isn't included where there is no record yet."""
    phases = parse_phases(overview)
    state = overview.state or "not_included"
    state_text = STATE_TEXTS[state]
    practice_reason = practice_closed_text(state, overview, phases)
    tiles = build_tiles(state, overview, phases, practice_reason)
    return render_template(
        "doctor/home/home.html",
        mine=overview,
        phases=phases,
        stages=_stages(state_text, phases),
        state=state,
        **_cycle_facts(state, overview, phases),
        tiles=tiles,
        practising=practice_reason is None,
        action=action_of_state(state, tiles),
        today=clock.today(),
        years=_span_several_years(phases),
        until=own_deadline(state_text, overview, phases),
        unsent=UNSUBMITTED_TEXTS.get(state),
        ask=_contacts(state_text, overview),
        asking=_open_requests_text(overview.open_requests),
        counts=_request_test_note(state, overview.open_requests),
        help=_help_topic(state, overview, phases),
        contact=settings.value("contact"),
        hours=settings.value("contact_hours"),
        menu=[(label, url_for(endpoint, **values)) for label, endpoint, values in MENU],
    )


def _cycle_facts(state: str, overview: DoctorOverview, phases: Mapping[str, Phase]) -> dict[str, Any]:
    """Template variables: the state's text (`standing`) and the message; before the first cycle no text and
    the message that says so."""
    if not overview.cycle_id:
        return {"standing": None, "message": NO_CYCLE_TEXT}
    return {
        "standing": STATE_TEXTS[state],
        "message": _state_message(state, overview, phases),
    }


def _span_several_years(phases: Mapping[str, Phase]) -> bool:
    """Whether the phases are in more than one calendar year, so that their days are shown with the year."""
    return len({day.year for phase in phases.values() for day in phase}) > 1


def _state_message(state: str, overview: DoctorOverview, phases: Mapping[str, Phase]) -> str:
    """What the state means and what to do; if the days for doing it are over or haven't begun, it says
    that."""
    procedure = PROCEDURES.get(overview.procedure or "", "一般程序")
    return (
        _message_by_days(state, phases)
        or _message_without_test(state, overview)
        or STATE_TEXTS[state].message.format(procedure=procedure)
    )


def _message_by_days(state: str, phases: Mapping[str, Phase]) -> str | None:
    """The message if what must be done in the state can't be done yet or any more; else None."""
    if is_deadline_passed(state, phases):
        return DEADLINE_PASSED_TEXTS[state]
    first_day = coming_filing_day(phases)
    if state in ("included", "draft") and first_day:
        return BEFORE_PHASE_TEXT.format(f"{first_day:%Y年%m月%d日}")
    return None


def _message_without_test(state: str, overview: DoctorOverview) -> str | None:
    """The message while the overall assessment is pending and no exam was sat; else None."""
    if state != "grading" or not overview.sits_no_test:
        return None
    return EXEMPTED_TEXT if overview.exempted else NO_TEST_TEXT


def _open_requests_text(
    open_requests: list[list[str]] | None,
) -> list[str]:
    """A sentence for each open request, the newest first. `open_requests`: pairs of kind and state."""
    return [REQUEST_STATE_TEXTS[state].format(REQUEST_KINDS[kind]) for kind, state in open_requests or ()]


def _request_test_note(state: str, open_requests: list[list[str]] | None) -> str | None:
    """What happens if the doctor, who has requested 免考 or 延考, enters the exam now; None without such a
    request or if the exam can't be sat."""
    kind_names = _requested_test_replacements(open_requests or ())
    names = "、".join(kind_names)
    if not kind_names or state not in TEST_STATES:
        return None
    if state == "testing":
        return f"您已开始测评，以测评成绩为准，{names}申请不能再通过。"
    note = f"{names}申请办理期间，请不要进入考试：一进入考试就以考试成绩为准，{names}申请自动撤回。"
    return f"{note}两项申请先通过的生效，另一项自动撤回。" if len(kind_names) > 1 else note


def _requested_test_replacements(
    open_requests: Sequence[list[str]],
) -> list[str]:
    """The names of the open requests for which no exam would be sat (免考, 延考)."""
    return [REQUEST_KINDS[kind] for kind, _ in open_requests if kind in INSTEAD_OF_TEST]


def _help_topic(state: str, overview: DoctorOverview, phases: Mapping[str, Phase]) -> str:
    """The topic of the help link for the state; a doctor who sits no exam gets another one than after an
    exam."""
    if state == "grading" and overview.sits_no_test:
        return "simple-or-exempt"
    if is_deadline_passed(state, phases):
        return "deadline-passed"
    return STATE_TEXTS[state].help


def _stages(state_text: StateText, phases: Mapping[str, Phase]) -> list[tuple[str, str, Phase | None]]:
    """The stages of the timeline [S6]: label; «done», «here» or "" according to the doctor's state (not the
    calendar); and the phase."""
    current_position = list(PHASES).index(state_text.stage)
    return [
        (
            label,
            _stage_status(position, current_position),
            phases.get(kind),
        )
        for position, (kind, label) in enumerate(PHASES.items())
    ]


def _stage_status(position: int, current_position: int) -> str:
    """«done» for a stage before the current one, «here» for the current one, else ""."""
    if position == current_position:
        return "here"
    return "done" if position < current_position else ""


def _contacts(state_text: StateText, overview: DoctorOverview) -> list[tuple[str, str, list[str]]]:
    """Whom to contact, first the organisation that is working on the record: label, name, and contact (see
    `_split_phone_numbers`)."""
    contacts = []
    if state_text.contact_order == "assessor" and overview.assessor:
        numbers = _split_phone_numbers(overview.assessor_contact)
        contacts.append(("联系考核机构", overview.assessor, numbers))
    if overview.institution:
        numbers = _split_phone_numbers(overview.institution_contact)
        contacts.append(("联系本机构", overview.institution, numbers))
    return contacts


def _split_phone_numbers(contact: str | None) -> list[str]:
    """A contact split at its telephone numbers, so that each can be tapped: the parts at odd indices are
    numbers."""
    text = contact or ""
    parts, end = list[str](), 0
    for number in TELEPHONE.finditer(text):
        parts += [text[end : number.start()], number[0]]
        end = number.end()
    return [*parts, text[end:]]
