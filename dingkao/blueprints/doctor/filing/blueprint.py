"""The blueprint of the filing's pages, and what all of them load."""

from flask_login import current_user

from dingkao.assessments.current_records import cycle_of_doctor
from dingkao.cycles.models import Cycle
from dingkao.errors import NotFound
from dingkao.filings.dossier import Dossier, dossier_of
from dingkao.filings.fields import STEPS
from dingkao.filings.return_marks import ReturnMark, return_marks_of
from dingkao.web.province_blueprint import province_blueprint

filing = province_blueprint("filing")
LAST_STEP = max(STEPS)


def require_cycle() -> Cycle:
    """The cycle of the current user's assessment. Raises NotFound before the first cycle."""
    cycle = cycle_of_doctor(current_user.doctor().id)
    if cycle is None:
        raise NotFound("本省尚未开始新的考核周期，开始后本机构会通知您。")
    return cycle


def current_dossier(*, for_update: bool = False) -> Dossier:
    """The dossier of the current user, locked with `for_update`. Raises NotFound."""
    return dossier_of(current_user.doctor(), require_cycle(), for_update=for_update)


def return_mark_at(dossier: Dossier, step: int, anchor: str) -> ReturnMark | None:
    """The return mark that a reviewer left at `anchor` (the name of a field, list or file) of a step; None if
    there is none."""
    for mark in return_marks_of(dossier):
        if (mark.step, mark.anchor) == (step, anchor):
            return mark
    return None
