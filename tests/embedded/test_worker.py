"""Workers as processes: they do what was asked, and what was broken off by a kill or asked without a queue is
done once in the end."""

import io
import os
import signal
import time
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

import pytest
import redis
from rq import Worker
from sqlalchemy import func, select, update

from dingkao import clock
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.jobs import chunks, enqueueing, lost_jobs, worker
from dingkao.jobs.models import Job
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.journal.models import JournalEntry
from dingkao.people import institution_imports, spreadsheet_imports
from dingkao.people.models import Account, Organisation
from dingkao.people.provinces import open_province
from dingkao.tenants.registry import by_slug
from tests import conftest, sample_data
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "yunnan", 53
PATIENCE = 180
ROSTER_SIZE, CHUNK = 30, 10
BLOCKED = (
    "select count(*) from pg_locks where not granted and relation = 'public.doctor'::regclass and "
    "database = (select oid from pg_database where datname = current_database())"
)


@pytest.fixture(scope="module")
def clerk(application, stack, in_province):
    """A client of an institution's clerk of 云南."""
    with in_province(SLUG):
        open_province(by_slug(SLUG), by=TERMINAL_ACTOR)
        institution_imports.import_institutions(sample_data.institutions_csv(CODE), by=TERMINAL_ACTOR)
        db.session.commit()
    return signed_in_client(
        application, in_province, SLUG, "institution_clerk", sample_data.registration_number(CODE, 1)
    )


def roster(year):
    """A roster of doctors born in `year`, so that each test brings its own."""

    def number(serial):
        return sample_data.resident_number(
            serial, sex="男", birth=date(year, 1, 1) + timedelta(days=serial), area=f"{CODE}0105"
        )

    return sample_data.roster_xlsx(
        [
            sample_data.roster_row(CODE, 1, at=1, 证件号码=number(serial), 姓名="医师")
            for serial in range(ROSTER_SIZE)
        ]
    )


def upload(clerk, year):
    """Hand in a roster; the job's id."""
    place = post_form(
        clerk, f"/{SLUG}/office/roster", file=(io.BytesIO(roster(year)), f"名单{year}.xlsx")
    ).location
    return UUID(place.rsplit("/", 1)[1])


def job(in_province, job_id):
    with in_province(SLUG):
        job = db.session.scalars(select(Job).where(Job.id == job_id)).one()
        db.session.expunge(job)
        return job


def brought(in_province, year):
    """Doctors and accounts of a roster, and how often the journal tells of one."""
    with in_province(SLUG):
        doctors = (
            select(func.count()).select_from(Doctor).where(func.extract("year", Doctor.birth_date) == year)
        )
        accounts = (
            select(func.count())
            .select_from(Account)
            .where(
                Account.id.in_(
                    select(Doctor.account_id).where(func.extract("year", Doctor.birth_date) == year)
                )
            )
        )
        place = db.session.scalars(
            select(Organisation.id).where(
                Organisation.registration_number == sample_data.registration_number(CODE, 1)
            )
        ).one()
        query = (
            select(func.count())
            .select_from(JournalEntry)
            .where(JournalEntry.subject_id == place, JournalEntry.verb == "roster_imported")
        )
        return db.session.scalar(doctors), db.session.scalar(accounts), db.session.scalar(query)


def until(condition, *supervisors):
    """Tend the processes until `condition` holds."""
    deadline = time.monotonic() + PATIENCE
    while not (outcome := condition()):
        assert time.monotonic() < deadline, "it did not come about"
        for supervisor in supervisors:
            supervisor.restart_dead()
        time.sleep(0.1)
    return outcome


def runs(process_id):
    with suppress(FileNotFoundError):
        return Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def children_of(process_id):
    """The living children of a process, by id, with their command lines."""
    command_lines = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1]) == process_id and runs(
                folder.name
            ):
                command_lines[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
    return command_lines


def worker_of(connection, job_id):
    """The process id of the worker that has taken the job."""
    return next(
        (
            worker.pid
            for worker in Worker.all(connection=connection)
            if worker.get_current_job_id() == f"{CODE}-{job_id}" and runs(worker.pid)
        ),
        None,
    )


def test_a_worker_does_what_was_asked_by_a_page(background_processes, application, clerk, in_province):
    notice_count = brought(in_province, 1961)[2]
    job_id = upload(clerk, 1961)
    until(lambda: job(in_province, job_id).state == "done", background_processes)
    assert brought(in_province, 1961) == (ROSTER_SIZE, ROSTER_SIZE, notice_count + 1)
    assert f"新增 {ROSTER_SIZE}" in clerk.get(f"/{SLUG}/office/work/{job_id}").get_data(as_text=True)


def first_chunk_done(monkeypatch, clerk, in_province, year):
    """A job for a roster of several chunks of which the first is done, while nobody else takes it; its id."""
    with monkeypatch.context() as alone:
        alone.setattr(enqueueing, "DEFAULT_QUEUE", f"quiet-{year}")
        alone.setattr(chunks, "MAX_TURN_SECONDS", 0.0)
        alone.setattr(spreadsheet_imports, "ROWS_PER_CHUNK", CHUNK)
        job_id = upload(clerk, year)
        with in_province(SLUG):
            change(job_id, asked_at=clock.now() + timedelta(hours=1))  # the sweep leaves it
            worker.run_turn(job_id)
            assert job(in_province, job_id).done == 0
            worker.run_turn(job_id)
    return job_id


def change(job_id, **values):
    db.session.execute(update(Job).where(Job.id == job_id).values(**values))
    db.session.commit()


def is_done_after_sweep(in_province, job_id):
    """Whether the job is done; lost jobs are looked for at once, and not only when the timetable says so, as
    the last test does."""
    with in_province(SLUG):
        lost_jobs.requeue_lost()
    return job(in_province, job_id).state == "done"


def test_a_worker_killed_in_a_chunk_leaves_nothing_of_it_and_the_job_goes_on_there_and_does_each_once(
    background_processes, stack, application, clerk, in_province, owner_connection, monkeypatch
):
    notice_count = brought(in_province, 1962)[2]
    job_id = first_chunk_done(monkeypatch, clerk, in_province, 1962)
    interrupted = job(in_province, job_id)
    assert (interrupted.state, interrupted.done, interrupted.total, interrupted.turn) == (
        "running",
        CHUNK,
        ROSTER_SIZE,
        2,
    )
    owner_connection.execute("lock table doctor in share mode")
    with in_province(SLUG):
        change(job_id, asked_at=clock.now() - lost_jobs.REQUEUE_GRACE)
        enqueueing.push_to_queue(CODE, job_id)
    with conftest.superuser_connection(stack.home) as watcher:
        watcher.autocommit = True
        until(lambda: watcher.execute(BLOCKED).fetchone()[0], background_processes)
    victim = worker_of(application.extensions["redis"], job_id)
    horses = children_of(victim)
    assert horses
    os.kill(victim, signal.SIGKILL)
    until(lambda: not any(runs(horse) for horse in horses))
    owner_connection.rollback()
    broken_off = job(in_province, job_id)
    assert (broken_off.state, broken_off.done) == ("running", CHUNK)
    assert broken_off.turn > interrupted.turn, "the broken turn counts, what it did doesn't"
    assert brought(in_province, 1962) == (CHUNK, CHUNK, notice_count)
    until(lambda: is_done_after_sweep(in_province, job_id), background_processes, stack.supervisor)
    completed = job(in_province, job_id)
    # a turn more is no fault: the store may not answer in one, or its time may be over before the last chunk
    assert completed.turn > broken_off.turn
    assert (completed.tries, completed.done) == (0, ROSTER_SIZE)
    counts = (completed.result["accepted"], completed.result["unchanged"], completed.result["refused"])
    assert counts == (ROSTER_SIZE, 0, 0)
    assert brought(in_province, 1962) == (ROSTER_SIZE, ROSTER_SIZE, notice_count + 1)


def test_asked_without_a_queue_it_waits_and_is_done_when_that_is_back(
    background_processes, stack, application, clerk, in_province
):
    notice_count = brought(in_province, 1963)[2]
    valkey = next(child for child in stack.supervisor.children if child.name == "Valkey")
    page = f"/{SLUG}/office/roster"
    clerk.get(page)
    os.kill(valkey.process.pid, signal.SIGKILL)
    valkey.process.wait()
    with pytest.raises(redis.ConnectionError):
        application.extensions["redis"].ping()
    job_id = upload(clerk, 1963)
    assert job(in_province, job_id).state == "waiting"
    assert "等待处理" in clerk.get(f"/{SLUG}/office/work/{job_id}").get_data(as_text=True)
    until(lambda: job(in_province, job_id).state == "done", stack.supervisor, background_processes)
    assert brought(in_province, 1963) == (ROSTER_SIZE, ROSTER_SIZE, notice_count + 1)
