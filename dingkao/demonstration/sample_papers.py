"""Creates the demonstration's papers and exam halls."""

import itertools
from datetime import timedelta

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.doctors.code_lists import CATEGORIES, LEVELS
from dingkao.doctors.models import Doctor
from dingkao.exams import (
    extra_time,
    halls,
    slot_places,
    slots,
)
from dingkao.exams.paper_blueprint import propose_counts, save_paper
from dingkao.journal.entries import SYSTEM_ACTOR, Actor
from dingkao.people.models import Organisation
from dingkao.question_banks.models import SUBJECTS
from dingkao.question_banks.question_types import (
    SINGLE_CHOICE,
    TRUE_FALSE,
)

PAPER_QUESTIONS, PAPER_MINUTES, TRUE_FALSE_QUESTIONS = 20, 60, 4


def create_papers(cycle: Cycle) -> None:
    """Create the papers of the cycle, of every subject, category and level for which the bank has enough
    questions; their window began yesterday and ends in a hundred days. Those of assistants in public health
    have the same questions for everyone (`fixed`)."""
    hour = clock.now().replace(minute=0, second=0, microsecond=0)
    for subject, category in itertools.product(SUBJECTS, CATEGORIES):
        counts = _paper_counts(subject, category)
        for level in LEVELS if counts else ():
            save_paper(
                cycle,
                subject=subject,
                category=category,
                level=level,
                counts=counts,
                minutes=PAPER_MINUTES,
                opens_at=hour - timedelta(days=1),
                closes_at=hour + timedelta(days=100),
                by=SYSTEM_ACTOR,
                fixed=(category, level) == ("public_health", "assistant"),
            )


def _paper_counts(subject: str, category: str) -> dict[str, int]:
    """Returns type of question → number for a paper; {} if the bank has too few questions."""
    counts = propose_counts(subject, category, PAPER_QUESTIONS)
    if counts and subject == "common":
        # every paper has all 判断题 of the bank, because a table, a formula and a picture are among them
        counts[SINGLE_CHOICE.code] -= TRUE_FALSE_QUESTIONS
        counts[TRUE_FALSE.code] = TRUE_FALSE_QUESTIONS
    return counts


def create_halls(cycle: Cycle, sitters: list[Assessment], by: Actor) -> None:
    """Create a hall with two slots: a running one with seats for `sitters`, and a later one with an
    invigilator; and grant extra time to the last of the sitters."""
    organisation = db.session.get_one(Organisation, (sitters[0].tenant_id, sitters[0].assessor_id))
    hall = halls.save_hall(
        organisation,
        name="第一考场",
        address="门诊楼5层会议室",
        seats=60,
        by=by,
    )
    hour = clock.now().replace(minute=0, second=0, microsecond=0)
    for first, last, invigilated in (
        (timedelta(0), timedelta(days=30), False),
        (timedelta(days=31), timedelta(days=31, hours=3), True),
    ):
        slot = slots.save_slot(
            cycle,
            organisation,
            opens_at=hour + first,
            closes_at=hour + last,
            hall=hall,
            institution=None,
            subject=None,
            invigilated=invigilated,
            by=by,
        )
        if not invigilated:
            slot_places.place_records(slot, [record.id for record in sitters], by=by)
    doctor = db.session.get_one(Doctor, (sitters[-1].tenant_id, sitters[-1].doctor_id))
    extra_time.grant_extra_time(
        doctor,
        cycle,
        minutes=None,
        percent=25,
        reason="上肢骨折恢复期，书写和点选不便",
        by=by,
    )
