"""Outages (服务中断) during which sittings ended: found by the system because many pages fell silent at once,
or registered by an assessment organisation. This module says which sittings an outage affected;
`outage_compensation` gives these time, `outage_detection` finds outages."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    exists,
    func,
    or_,
    select,
    true,
)

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db, new_id
from dingkao.errors import InvalidInput, NotFound
from dingkao.exams import added_time
from dingkao.exams.models.monitoring_models import AddedTime, Outage
from dingkao.exams.models.sitting_models import (
    AUTOMATIC_HAND_IN,
    Sitting,
)
from dingkao.exams.sitting_completion import GRACE_PERIOD
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.models import Organisation
from dingkao.people.scopes import Grant, in_scope, scope_condition

COMPENSATION_HOURS = added_time.REOPEN_HOURS
COMPENSATION_WINDOW = timedelta(hours=COMPENSATION_HOURS)
COMPENSATION_OVER_MESSAGE = f"中断结束已超过{COMPENSATION_HOURS}小时，不能再统一补时。"
MAX_DURATION = timedelta(hours=12)


# --- registered by hand


def register_outage(
    organisation: Organisation,
    *,
    began_at: datetime,
    ended_at: datetime,
    by: Actor,
) -> Outage:
    """登记服务中断: register an outage that only this assessment organisation had (its network, its power);
    writes a journal entry. Gives no time yet (`outage_compensation`). Whether another outage of that time is
    known is not asked. Raises InvalidInput naming the field."""
    _require_valid_span(began_at, ended_at)
    outage = Outage(
        id=new_id(),
        organisation_id=organisation.id,
        began_at=began_at,
        ended_at=ended_at,
        registered_by=by.id,
    )
    db.session.add(outage)
    db.session.flush()
    log_outage(outage, "registered", by=by)
    return outage


def _require_valid_span(began_at: datetime, ended_at: datetime) -> None:
    """Raise InvalidInput naming the field unless the outage is over, not too long, and ended within
    COMPENSATION_WINDOW."""
    if began_at >= ended_at:
        raise InvalidInput("中断结束时间应晚于开始时间。", "ended_at")
    if ended_at > clock.now():
        raise InvalidInput("中断结束时间不能晚于现在；服务恢复后再登记。", "ended_at")
    if ended_at - began_at > MAX_DURATION:
        raise InvalidInput(
            f"一次登记不超过{MAX_DURATION.seconds // 3600}小时，请核对时间。",
            "began_at",
        )
    if clock.now() - ended_at > COMPENSATION_WINDOW:
        raise InvalidInput(COMPENSATION_OVER_MESSAGE, "ended_at")


def log_outage(outage: Outage, verb: str, *, by: Actor) -> None:
    """Write a journal entry (`verb`) with the beginning and end of an outage."""
    journal.write_entry(
        "outage",
        outage.id,
        verb,
        by=by,
        began=outage.began_at.isoformat(),
        ended=outage.ended_at.isoformat(),
    )


# --- which sittings it affected


class AffectedCounts(NamedTuple):
    """How many sittings an outage affected. `ended_waiting`: their time ran out in it, and they have got none
    for it; `running`: open then and still open, and they have got none; `compensated`: they have got time for
    it."""

    ended_waiting: int
    running: int
    compensated: int


def recent_outages(grant: Grant) -> list[Outage]:
    """The outages for which time can still be given, the latest end first: those of the whole province, and
    those of organisations within `grant`."""
    visible = or_(
        Outage.organisation_id.is_(None),
        scope_condition(grant, assessor=Outage.organisation_id),
    )
    query = select(Outage).where(Outage.ended_at > clock.now() - COMPENSATION_WINDOW, visible)
    return list(db.session.scalars(query.order_by(Outage.ended_at.desc(), Outage.id)))


def get_outage(outage_id: UUID, grant: Grant) -> Outage:
    """An outage of the whole province, or of an organisation within `grant`. Raises NotFound."""
    outage = db.session.scalar(select(Outage).where(Outage.id == outage_id))
    if outage is None or not _is_within(grant, outage):
        raise NotFound
    return outage


def _is_within(grant: Grant, outage: Outage) -> bool:
    """Whether an outage is the province's or of an organisation within `grant`."""
    return outage.organisation_id is None or in_scope(grant, assessor_id=outage.organisation_id)


def count_affected(outage: Outage, grant: Grant) -> AffectedCounts:
    """How many sittings within `grant` an outage affected."""
    waiting = waiting_sittings_query(outage, grant).with_only_columns(func.count())
    ran_out = time_ran_out_condition(outage)
    queries = (
        waiting.where(ran_out),
        waiting.where(~ran_out),
        _compensated_count_query(outage, grant),
    )
    return AffectedCounts(*(db.session.scalar(query) or 0 for query in queries))


def _compensated_count_query(outage: Outage, grant: Grant) -> Select[Any]:
    """The query for how many sittings within `grant` have got time for an outage."""
    sitting_of_time = and_(
        Sitting.tenant_id == AddedTime.tenant_id,
        Sitting.id == AddedTime.sitting_id,
    )
    return (
        select(func.count())
        .select_from(AddedTime)
        .join(Sitting, sitting_of_time)
        .join(Assessment, _record_join())
        .where(
            AddedTime.outage_id == outage.id,
            _affected_record_condition(outage, grant),
        )
    )


def _record_join() -> ColumnElement[bool]:
    """The condition to join Sitting with its record."""
    return and_(
        Assessment.tenant_id == Sitting.tenant_id,
        Assessment.id == Sitting.assessment_id,
    )


def _affected_record_condition(outage: Outage, grant: Grant) -> ColumnElement[bool]:
    """The condition that an Assessment is within `grant` and may be affected by an outage: of the
    organisation that registered it, or of any if it is the province's."""
    own = Assessment.assessor_id == outage.organisation_id if outage.organisation_id else true()
    return and_(own, scope_condition(grant, assessor=Assessment.assessor_id))


def waiting_sittings_query(outage: Outage, grant: Grant) -> Select[Any]:
    """The query for the sittings within `grant`, joined with their records, that have got no time for an
    outage although it affected them: they began before its end, are not voided, weren't handed in before it
    or by their doctors, and their time ran out in it or they are still open."""
    given = exists().where(
        AddedTime.tenant_id == Sitting.tenant_id,
        AddedTime.sitting_id == Sitting.id,
        AddedTime.outage_id == outage.id,
    )
    running = and_(
        Sitting.handed_in_at.is_(None),
        Sitting.closes_at > outage.ended_at,
    )
    concerns = and_(
        Sitting.opened_at < outage.ended_at,
        not_handed_in_condition(outage.began_at),
        or_(time_ran_out_condition(outage), running),
    )
    return (
        select(Sitting)
        .join(Assessment, _record_join())
        .where(concerns, _affected_record_condition(outage, grant), ~given)
    )


def not_handed_in_condition(moment: datetime) -> ColumnElement[bool]:
    """The condition that a Sitting is not voided and was not handed in at `moment`: it still isn't, or the
    page or the system did it later (not its doctor, who then needs no time). Whether it had begun, and its
    end, are not asked."""
    handed_in_automatically_later = and_(
        Sitting.handed_in_at > moment,
        Sitting.handed_in_by.in_(AUTOMATIC_HAND_IN),
    )
    return and_(
        Sitting.voided_at.is_(None),
        or_(
            Sitting.handed_in_at.is_(None),
            handed_in_automatically_later,
        ),
    )


def time_ran_out_condition(outage: Outage) -> ColumnElement[bool]:
    """The condition that a Sitting's time ran out in an outage, or up to GRACE_PERIOD before it, so that its
    last answers could not arrive."""
    return and_(
        Sitting.closes_at > outage.began_at - GRACE_PERIOD,
        Sitting.closes_at <= outage.ended_at,
    )
