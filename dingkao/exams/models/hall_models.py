"""Halls, slots, seats and extra time."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.base import Model, check_in, tenant_foreign_key
from dingkao.question_banks.models import SUBJECTS
from dingkao.tenants.rls import TenantOwned


class Hall(TenantOwned, Model):
    """A hall (考场) of an assessment organisation, with its number of seats. A closed one gets no new
    slots."""

    __tablename__ = "hall"
    __table_args__ = (
        UniqueConstraint("tenant_id", "organisation_id", "name"),
        CheckConstraint("seats between 1 and 5000", name="seats_sane"),
        tenant_foreign_key("organisation_id", "organisation"),
    )

    organisation_id: Mapped[UUID]
    name: Mapped[str]
    address: Mapped[str]
    seats: Mapped[int]
    closed_at: Mapped[datetime | None]


class Slot(TenantOwned, Model):
    """A slot (场次): when doctors of an assessment organisation may begin (`opens_at`) and until when
    (`closes_at`), in a hall or without one. It is for the records that have a place in it and, if
    `institution_id` is set, for that institution's records that have no place in any slot. `subject`: the
    papers it is for; None: all. `invigilated`: an invigilator is present, and doctors need a start code to
    begin."""

    __tablename__ = "slot"
    __table_args__ = (
        Index(None, "tenant_id", "cycle_id", "institution_id"),
        Index(
            None,
            "tenant_id",
            "organisation_id",
            "cycle_id",
            "opens_at",
        ),
        check_in("subject", tuple(SUBJECTS)),
        CheckConstraint("opens_at < closes_at", name="in_order"),
        tenant_foreign_key("cycle_id", "cycle"),
        tenant_foreign_key("organisation_id", "organisation"),
        tenant_foreign_key("hall_id", "hall"),
        tenant_foreign_key("institution_id", "organisation"),
    )

    cycle_id: Mapped[UUID]
    organisation_id: Mapped[UUID]
    hall_id: Mapped[UUID | None]
    institution_id: Mapped[UUID | None]
    subject: Mapped[str | None]
    opens_at: Mapped[datetime]
    closes_at: Mapped[datetime]
    invigilated: Mapped[bool] = mapped_column(default=False)
    made_at: Mapped[datetime] = mapped_column(default=now)


class SlotPlace(TenantOwned, Model):
    """A record's place (座位) in a slot, with the number of the seat, from 1."""

    __tablename__ = "slot_place"
    __table_args__ = (
        UniqueConstraint("tenant_id", "slot_id", "seat"),
        UniqueConstraint("tenant_id", "slot_id", "assessment_id"),
        Index(None, "tenant_id", "assessment_id"),
        tenant_foreign_key("slot_id", "slot"),
        tenant_foreign_key("assessment_id", "assessment"),
    )

    slot_id: Mapped[UUID]
    assessment_id: Mapped[UUID]
    seat: Mapped[int]


class ExtraTime(TenantOwned, Model):
    """Extra time (延长作答时间) of a doctor for all papers of a cycle, in minutes or in percent. The reason
    is encrypted, because it tells of health."""

    __tablename__ = "extra_time"
    __table_args__ = (
        UniqueConstraint("tenant_id", "cycle_id", "doctor_id"),
        CheckConstraint(
            "(minutes is null) <> (percent is null)",
            name="one_measure",
        ),
        CheckConstraint("minutes between 1 and 300", name="minutes_sane"),
        CheckConstraint("percent between 1 and 200", name="percent_sane"),
        tenant_foreign_key("cycle_id", "cycle"),
        tenant_foreign_key("doctor_id", "doctor"),
    )

    cycle_id: Mapped[UUID]
    doctor_id: Mapped[UUID]
    minutes: Mapped[int | None]
    percent: Mapped[int | None]
    reason_sealed: Mapped[bytes]
    granted_by: Mapped[UUID | None]
    granted_at: Mapped[datetime] = mapped_column(default=now)
