"""What runs when: duties that nobody asks for, done in every open province by a worker that slow work doesn't keep from them."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from dingkao.assessments import reminders
from dingkao.database.model import db
from dingkao.exams import banks, sittings
from dingkao.jobs import performing
from dingkao.people import notifying
from dingkao.people.opening import opened_codes
from dingkao.results import lines
from dingkao.tenants.context import entered
from dingkao.uploads import taking

log = structlog.get_logger()


@dataclass(frozen=True)
class Duty:
    """Something done every so many seconds, in each province by itself; it commits what it did."""

    name: str
    seconds: int
    perform: Callable[[], object]


DUTIES = (
    Duty("sweep", 10, performing.sweep),
    Duty("close_overdue", 15, sittings.close_overdue),
    Duty("apply_lines", 20, lines.apply_everywhere),
    Duty("remind", 30, reminders.remind),
    Duty("sweep_uploads", 60, taking.sweep),
    Duty("ask_delivery", 30, notifying.ask_delivery),
    Duty("count_exposures", 300, banks.keep_counts),
)


def round_of(name: str) -> None:
    """Do the duty `name` in every open province; a fault in one doesn't keep it from the others."""
    duty = next(one for one in DUTIES if one.name == name)
    with performing.in_application():
        codes = opened_codes()
    for code in sorted(codes):
        with performing.in_application(), entered(code):
            try:
                duty.perform()
                db.session.commit()
            except Exception as fault:
                where = traceback.extract_tb(fault.__traceback__)[-4:]
                told = [f"{frame.filename}:{frame.lineno}" for frame in where]
                log.exception("duty.broken", duty=name, province=code, kind=type(fault).__name__, where=told, exc_info=False)
                db.session.rollback()
