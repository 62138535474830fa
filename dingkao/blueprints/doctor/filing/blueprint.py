"""The blueprint of the filing's pages, and what all of them load."""

from typing import Any

from flask import g, url_for
from flask_login import current_user

from dingkao.assessments.current_records import cycle_of_doctor
from dingkao.cycles.models import Cycle
from dingkao.errors import InvalidState, NotFound
from dingkao.filings import assistance
from dingkao.filings.dossier import Dossier, dossier_of
from dingkao.filings.fields import STEPS
from dingkao.filings.return_marks import ReturnMark, return_marks_of
from dingkao.web.access_control import current_grant
from dingkao.web.province_blueprint import province_blueprint

filing = province_blueprint("filing")
LAST_STEP = max(STEPS)


@filing.app_template_global()
def filing_route(page: str, **values: Any) -> tuple[str, dict[str, Any]]:
    """Endpoint and values for `url_for` of a page of the filing: of the doctor's own, or in the console's
    代填 of the filing that is being filled in there."""
    record_id = g.get("assisted_record_id")
    if record_id is None:
        return f"filing.{page}", values
    return f"assisted_filing.{page}", {"record_id": record_id, **values}


@filing.app_template_global()
def filing_url(page: str, **values: Any) -> str:
    """The URL of a page of the filing: of the doctor's own, or in 代填 of the one being filled in
    (`filing_route`)."""
    endpoint, all_values = filing_route(page, **values)
    return url_for(endpoint, **all_values)


def pages_path() -> str:
    """The path below the province's under which all pages of the filing are: of the doctor's own, or in the
    console's 代填 of the one that is being filled in there; with a slash at both ends."""
    record_id = g.get("assisted_record_id")
    return "/filing/" if record_id is None else f"/office/assist/{record_id}/filing/"


def require_cycle() -> Cycle:
    """The cycle of the current user's assessment. Raises NotFound before the first cycle."""
    cycle = cycle_of_doctor(current_user.doctor().id)
    if cycle is None:
        raise NotFound("本省尚未开始新的考核周期，开始后本机构会通知您。")
    return cycle


def filing_dossier(*, for_update: bool = False) -> Dossier:
    """The dossier whose filing the pages show: the current user's, or in the console's 代填 the one that is
    being filled in there; record and filing locked with `for_update`. Raises NotFound, also for a doctor who
    is not included, and InvalidState for one that nobody has begun to assist."""
    if record_id := g.get("assisted_record_id"):
        dossier = assistance.get_dossier(record_id, current_grant(), for_update=for_update)
        if not assistance.is_begun(dossier):
            raise InvalidState("还没有开始代填，请先在医师的页面填写代填原因。")
        g.assisted_dossier = dossier
        return dossier
    return dossier_of(current_user.doctor(), require_cycle(), for_update=for_update)


def return_mark_at(dossier: Dossier, step: int, anchor: str) -> ReturnMark | None:
    """The return mark that a reviewer left at `anchor` (the name of a field, list or file) of a step; None if
    there is none."""
    for mark in return_marks_of(dossier):
        if (mark.step, mark.anchor) == (step, anchor):
            return mark
    return None
