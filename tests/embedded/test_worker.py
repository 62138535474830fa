"""Workers as processes: they do what was asked, and what was broken off by a kill or asked without a queue is done once in the end."""

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
from sqlalchemy import func, select

from dingkao.database.model import db
from dingkao.doctors.models import Doctor
from dingkao.embedded.children import Supervisor
from dingkao.jobs.models import Job
from dingkao.journal.models import JournalEntry
from dingkao.journal.writing import TERMINAL
from dingkao.people import organisations
from dingkao.people.models import Account, Organisation
from dingkao.people.opening import open_province
from dingkao.tenants.registry import by_slug
from tests import conftest, material
from tests.blueprints.signed_in import client_of, post

SLUG, CODE = "yunnan", 53
PATIENCE = 90
ROWS = 30
BLOCKED = "select count(*) from pg_locks where not granted and relation = 'public.doctor'::regclass"


@pytest.fixture
def servants(stack):
    """A worker, a worker for duties and the timetable, as `make run` has them, on the session's engines."""
    supervisor = Supervisor(lambda _told: None)
    for child in stack.servants():
        supervisor.bring_up(child)
    yield supervisor
    supervisor.stop()


@pytest.fixture(scope="module")
def clerk(application, stack, in_province):
    """A client of an institution's clerk of 云南."""
    with in_province(SLUG):
        open_province(by_slug(SLUG), by=TERMINAL)
        organisations.import_institutions(material.institutions(CODE), by=TERMINAL)
        db.session.commit()
    return client_of(application, in_province, SLUG, "institution_clerk", material.registration_number(CODE, 1))


def roster(year):
    """A roster of doctors born in `year`, so that each test brings its own."""
    def number(serial):
        return material.resident_number(serial, sex="男", birth=date(year, 1, 1) + timedelta(days=serial), area=f"{CODE}0105")

    return material.roster([material.roster_row(CODE, 1, at=1, 证件号码=number(serial), 姓名="医师") for serial in range(ROWS)])


def upload(clerk, year):
    """Hand in a roster; the job's id."""
    place = post(clerk, f"/{SLUG}/office/roster", file=(io.BytesIO(roster(year)), f"名单{year}.xlsx")).location
    return UUID(place.rsplit("/", 1)[1])


def job(in_province, job_id):
    with in_province(SLUG):
        row = db.session.scalars(select(Job).where(Job.id == job_id)).one()
        db.session.expunge(row)
        return row


def brought(in_province, year):
    """Doctors and accounts of a roster, and how often the journal tells of one."""
    with in_province(SLUG):
        doctors = select(func.count()).select_from(Doctor).where(func.extract("year", Doctor.birth_date) == year)
        accounts = select(func.count()).select_from(Account).where(Account.id.in_(select(Doctor.account_id).where(func.extract("year", Doctor.birth_date) == year)))
        place = db.session.scalars(select(Organisation.id).where(Organisation.registration_number == material.registration_number(CODE, 1))).one()
        told = select(func.count()).select_from(JournalEntry).where(JournalEntry.subject_id == place, JournalEntry.verb == "roster_imported")
        return db.session.scalar(doctors), db.session.scalar(accounts), db.session.scalar(told)


def until(condition, *supervisors, patience=PATIENCE):
    """Tend the processes until `condition` holds."""
    deadline = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come about"
        for supervisor in supervisors:
            supervisor.tend()
        time.sleep(0.1)
    return found


def runs(process_id):
    with suppress(FileNotFoundError):
        return Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def children_of(process_id):
    """The living children of a process, by id, with their command lines."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1]) == process_id and runs(folder.name):
                found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
    return found


def worker_of(connection, job_id):
    """The process id of the worker that has taken the job."""
    return next((worker.pid for worker in Worker.all(connection=connection) if worker.get_current_job_id() == f"{CODE}-{job_id}" and runs(worker.pid)), None)


def test_a_worker_does_what_was_asked_by_a_page(servants, application, clerk, in_province):
    before = brought(in_province, 1961)[2]
    job_id = upload(clerk, 1961)
    until(lambda: job(in_province, job_id).state == "done", servants, patience=30)
    assert brought(in_province, 1961) == (ROWS, ROWS, before + 1)
    assert f"新增 {ROWS}" in clerk.get(f"/{SLUG}/office/work/{job_id}").get_data(as_text=True)


def test_a_worker_killed_in_the_middle_leaves_nothing_and_the_job_is_done_once(servants, stack, application, clerk, in_province, owner_connection):
    before = brought(in_province, 1962)[2]
    owner_connection.execute("lock table doctor in share mode")
    job_id = upload(clerk, 1962)
    with conftest.superuser_connection(stack.home) as watcher:
        watcher.autocommit = True
        until(lambda: watcher.execute(BLOCKED).fetchone()[0], servants)
    victim = worker_of(application.extensions["redis"], job_id)
    horses = children_of(victim)
    assert horses
    os.kill(victim, signal.SIGKILL)
    until(lambda: not any(runs(horse) for horse in horses), patience=5)
    owner_connection.rollback()
    assert job(in_province, job_id).state == "running"
    assert brought(in_province, 1962) == (0, 0, before)
    until(lambda: job(in_province, job_id).state == "done", servants, stack.supervisor)
    assert job(in_province, job_id).tries == 2
    assert brought(in_province, 1962) == (ROWS, ROWS, before + 1)


def test_asked_without_a_queue_it_waits_and_is_done_when_that_is_back(servants, stack, application, clerk, in_province):
    before = brought(in_province, 1963)[2]
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
    until(lambda: job(in_province, job_id).state == "done", stack.supervisor, servants)
    assert brought(in_province, 1963) == (ROWS, ROWS, before + 1)
