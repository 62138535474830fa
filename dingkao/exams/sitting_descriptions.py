"""What tables show about records and sittings: the doctor, the institution, the paper, how many questions are
answered, events and state."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from dingkao.assessments.current_records import records_by_id
from dingkao.assessments.models import Assessment
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.doctors.doctor_queries import doctors_by_id
from dingkao.exams import integrity_events
from dingkao.exams.models.monitoring_models import IntegrityCase
from dingkao.exams.models.sitting_models import Sitting, SittingAnswer
from dingkao.exams.papers import papers_by_id
from dingkao.exams.tickets import ticket_numbers
from dingkao.people.name_lookups import organisation_names


def describe_people(
    records: Collection[Assessment],
) -> dict[UUID, dict[str, Any]]:
    """For at most 5,000 records: record id → {"name", "number" (masked), "place" (the institution's name),
    "ticket" (its number, "" before it is issued)}."""
    doctors = doctors_by_id(record.doctor_id for record in records)
    institutions = organisation_names(record.institution_id for record in records)
    tickets = ticket_numbers([record.id for record in records])
    return {
        record.id: {
            "name": doctors[record.doctor_id].name,
            "number": doctors[record.doctor_id].number_masked,
            "place": institutions[record.institution_id],
            "ticket": tickets.get(record.id, ""),
        }
        for record in records
    }


def describe_sittings(sittings: Sequence[Sitting], connected_ids: Collection[UUID]) -> list[dict[str, Any]]:
    """For each sitting (at most 5,000) what the table shows: what `describe_people` returns, "sitting",
    "paper" (title), "answered" and "size" (how many questions), "noticed" (events as text), "state" (a key of
    `monitoring.SITTING_FILTERS`) and "asked" (there is a case about it, decided ones too). `connected_ids`:
    the sittings whose page has sent a heartbeat recently."""
    ids = [sitting.id for sitting in sittings]
    records = records_by_id([sitting.assessment_id for sitting in sittings])
    people = describe_people(records.values())
    papers = papers_by_id(sitting.paper_id for sitting in sittings)
    answered_counts = _answered_counts(ids)
    event_counts = integrity_events.count_events(ids)
    ids_with_case = set(
        db.session.scalars(select(IntegrityCase.sitting_id).where(in_array(IntegrityCase.sitting_id, ids)))
    )
    return [
        {
            "sitting": sitting,
            **people[sitting.assessment_id],
            "paper": papers[sitting.paper_id].title,
            "answered": answered_counts.get(sitting.id, 0),
            "size": len(sitting.layout),
            "noticed": integrity_events.describe_counts(event_counts.get(sitting.id, {})),
            "state": sitting_state(sitting, connected_ids),
            "asked": sitting.id in ids_with_case,
        }
        for sitting in sittings
    ]


def sitting_state(sitting: Sitting, connected_ids: Collection[UUID]) -> str:
    """The state of a sitting, a key of `monitoring.SITTING_FILTERS`."""
    if sitting.voided_at is not None:
        return "voided"
    if sitting.handed_in_at is not None:
        return "handed_in"
    return "answering" if sitting.id in connected_ids else "lost"


def _answered_counts(
    sitting_ids: Collection[UUID],
) -> dict[UUID, int]:
    """Sitting id → how many questions are answered; sittings without an answer are left out."""
    query = (
        select(SittingAnswer.sitting_id, func.count())
        .where(
            in_array(SittingAnswer.sitting_id, sitting_ids),
            SittingAnswer.letters != "",
        )
        .group_by(SittingAnswer.sitting_id)
    )
    return dict(db.session.execute(query).all())
