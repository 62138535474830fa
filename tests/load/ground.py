"""What load tests stand on: a province whose doctors are 待测评 for a paper of a hundred, made in a process
of its own; processes and their descendants."""

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from flask import Flask
from sqlalchemy import select

from dingkao.app import create_app
from dingkao.assessments import assessment_transitions
from dingkao.assessments.enrolment import enrol, include
from dingkao.assessments.models import Assessment
from dingkao.config import AppConfig
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.doctors.roster import import_roster
from dingkao.embedded.environment import saved_environment
from dingkao.journal.entries import TERMINAL_ACTOR, Actor
from dingkao.people.institution_imports import import_institutions
from dingkao.people.provinces import open_province
from dingkao.people.scopes import WHOLE_PROVINCE
from dingkao.question_banks.importing.file_import import import_questions
from dingkao.tenants.context import in_tenant
from dingkao.tenants.registry import by_slug
from tests import actors, sample_data

Result = TypeVar("Result")


def apart(function: Callable[..., Result], *given: Any) -> Result:
    """What `function` gives, called in a process of its own: one that makes an application must not do so in
    the test's."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, given)


@contextmanager
def province(home: Path, slug: str) -> Iterator[Flask]:
    """The application of a stack that runs at `home`, inside a province that has just been opened."""
    application, opened_province = (
        create_app(AppConfig.from_environment(saved_environment(home))),
        by_slug(slug),
    )
    assert opened_province
    with application.app_context(), in_tenant(opened_province.code):
        open_province(opened_province, by=TERMINAL_ACTOR)
        yield application


def included(code: int, doctors: int) -> tuple[Cycle, list[Assessment]]:
    """In a province just opened: doctors of clinical medicine on the list of a cycle that has a paper of a
    hundred; their records, held locked."""
    import_institutions(sample_data.institutions_csv(code), by=TERMINAL_ACTOR)
    import_roster(
        sample_data.roster_xlsx([sample_data.roster_row(code, serial) for serial in range(doctors)]),
        by=TERMINAL_ACTOR,
    )
    import_questions(sample_data.hundred_question_cells("临床"), bank_name="一百题", by=TERMINAL_ACTOR)
    cycle = actors.get_or_open_cycle()
    enrol(cycle)
    db.session.commit()
    actors.paper_of_a_hundred(cycle, category="clinical")
    include(
        cycle,
        list(db.session.scalars(select(Assessment.id))),
        by=actors.make_actor("province_admin"),
        grant=WHOLE_PROVINCE,
    )
    return cycle, list(db.session.scalars(select(Assessment).order_by(Assessment.id).with_for_update()))


def make_ready(record: Assessment, own: Actor, procedure: str) -> None:
    """Bring a record that is included to 待测评, as its doctor and the reviewers do."""
    assessment_transitions.start_filing(record, by=own)
    assessment_transitions.submit(record, by=own, procedure=procedure)
    assessment_transitions.approve(
        record,
        by=actors.make_actor("institution_reviewer"),
        performance="pass",
        ethics="pass",
        opinion="同意",
    )
    assessment_transitions.accept(record, by=actors.make_actor("organisation_reviewer"))


def descendants(*roots: int) -> list[int]:
    """Processes and all that they have begotten."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            children.setdefault(int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1]), []).append(
                int(folder.name)
            )
        except OSError:
            continue
    pids, waiting = list[int](), list(roots)
    while waiting:
        pids.append(waiting.pop())
        waiting += children.get(pids[-1], [])
    return pids
