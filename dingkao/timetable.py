"""What runs when: duties that nobody asks for, done in every open province by the worker."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog
from sqlalchemy.exc import SQLAlchemyError

from dingkao.database.model import db
from dingkao.exams import sittings
from dingkao.jobs import performing
from dingkao.people.opening import opened_codes
from dingkao.results import lines
from dingkao.tenants.context import entered

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
)


def round_of(name: str) -> None:
    """Do the duty `name` in every open province; a fault in one doesn't keep it from the others."""
    duty = next(one for one in DUTIES if one.name == name)
    with performing._context[0]():
        codes = opened_codes()
    for code in sorted(codes):
        with performing._context[0](), entered(code):
            try:
                duty.perform()
                db.session.commit()
            except SQLAlchemyError as fault:
                log.error("duty.broken", duty=name, province=code, kind=type(fault).__name__)
                db.session.rollback()
