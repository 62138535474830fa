"""The functions on the home page [S6] as tiles: their addresses, and why one is locked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask import url_for

from dingkao.assessments.models import TEST_STATES
from dingkao.blueprints.doctor.deadlines import (
    Phase,
    coming_filing_day,
)
from dingkao.blueprints.doctor.state_texts import (
    PRACTICE_CLOSED_TEXTS,
    STATE_TEXTS,
)
from dingkao.exams.resits import last_test_day
from dingkao.practice import practice_access
from dingkao.requests.doctor_overview import DoctorOverview

ACTIONS = {
    "included": "filing.start",
    "draft": "filing.start",
    "institution_returned": "filing.start",
    "ready": "sitting.list_papers",
    "testing": "sitting.list_papers",
    "passed": "result.show_result",
    "failed": "result.show_result",
}
"""State → the endpoint of the function to be used in it, for which the message has a button."""


@dataclass(frozen=True)
class Tile:
    """One of the functions. `icon`: the path of its image under static/; `reason`: why it is locked, None if
    it is open."""

    label: str
    icon: str
    endpoint: str
    reason: str | None

    @property
    def address(self) -> str:
        """The URL of the function."""
        return url_for(self.endpoint)


def practice_closed_text(state: str, overview: DoctorOverview, phases: Mapping[str, Phase]) -> str | None:
    """A few words on why practice is closed; None if it is open."""
    examination = phases.get("examination")
    last_day = last_test_day(
        examination.last_day if examination else None,
        overview.resit_until,
    )
    reason = practice_access.closed_reason_in_state(state, last_day, exempted=bool(overview.exempted))
    return PRACTICE_CLOSED_TEXTS.get(reason or "")


def build_tiles(
    state: str,
    overview: DoctorOverview,
    phases: Mapping[str, Phase],
    practice_reason: str | None,
) -> list[Tile]:
    """The tiles of the home page [S6] in their order; `practice_reason`: from `practice_closed_text`."""
    return [
        Tile(
            "填报信息",
            "img/filing.svg",
            "filing.start",
            _filing_closed_text(state, phases),
        ),
        Tile(
            "在线学习",
            "img/practice.svg",
            "practice.choose_bank",
            practice_reason,
        ),
        Tile(
            "参加测评",
            "img/sitting.svg",
            "sitting.list_papers",
            _test_closed_text(state, overview),
        ),
        Tile(
            "考核结果",
            "img/result.svg",
            "result.show_result",
            _result_closed_text(state, overview),
        ),
    ]


def _filing_closed_text(state: str, phases: Mapping[str, Phase]) -> str | None:
    """A few words on why the filing can't be opened; None if it can."""
    if state == "not_included":
        return "纳入考核后开放"
    first_day = coming_filing_day(phases)
    return f"{first_day:%m月%d日}开放" if state == "included" and first_day else None


def _test_closed_text(state: str, overview: DoctorOverview) -> str | None:
    """A few words on why the exam can't be sat; None if it can."""
    if STATE_TEXTS[state].stage in ("filing", "review"):
        return "通过审核后开放"
    if state in TEST_STATES:
        return None
    if overview.sits_no_test:
        return "不参加测评"
    return "延考另行通知" if state == "deferred" else "测评已结束"


def _result_closed_text(state: str, overview: DoctorOverview) -> str | None:
    """A few words on why there is no result to see; None if there is one."""
    has_result = STATE_TEXTS[state].stage == "completion" or overview.has_earlier_result
    return None if has_result else "结果发布后开放"


def action_of_state(state: str, tiles: Sequence[Tile]) -> Tile | None:
    """The function to be used in this state, for which the message has a button; None if there is none or it
    is locked."""
    endpoint = ACTIONS.get(state)
    return next(
        (tile for tile in tiles if tile.endpoint == endpoint and not tile.reason),
        None,
    )
