"""What several files of tests stand on: a queue of their own with the job «trial», a province within a
transaction, sheets read in this process."""

from uuid import uuid4

import pytest
from rq import Queue

from dingkao.database.base import db
from dingkao.integrations.sandbox import fork_server
from dingkao.jobs import enqueueing
from dingkao.jobs import worker as job_worker
from dingkao.journal.entries import TERMINAL_ACTOR, Actor
from dingkao.people.accounts import create_staff
from dingkao.people.institution_imports import import_institutions
from dingkao.tenants.context import current_tenant
from tests import actors, sample_data
from tests.rooms.trial_jobs import leave


@pytest.fixture
def quiet(application, provinces, monkeypatch):
    """A queue that no worker listens to, emptied afterwards; a worker's surroundings in this process."""
    monkeypatch.setattr(enqueueing, "DEFAULT_QUEUE", f"quiet-{uuid4().hex}")
    monkeypatch.setattr(job_worker, "_context", [application.app_context])
    queue = Queue(enqueueing.DEFAULT_QUEUE, connection=application.extensions["redis"])
    yield queue
    queue.delete(delete_jobs=True)


@pytest.fixture
def trial(quiet, monkeypatch):
    """The job «trial»: leaves a row and does what the test has put into `does`."""
    does = []

    def perform(job, progress):
        leave(job.id)
        for act in does:
            act(job, progress)
        return {"province": current_tenant()}

    monkeypatch.setitem(job_worker.REGISTERED_JOBS, "trial", perform)
    return does


@pytest.fixture
def jilin(in_province):
    """吉林 with three institutions and no doctors, within a transaction that is undone."""
    with in_province("jilin") as province:
        content = sample_data.institutions_csv(province.code)
        assert import_institutions(content, by=TERMINAL_ACTOR).accepted == 3
        yield province


@pytest.fixture(scope="module")
def in_this_process():
    """Where it is tested how sheets are read; that it happens in a child is tested in test_sandbox."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fork_server, "is_sandboxed", True)
        yield


@pytest.fixture(scope="module")
def exam_ground(request, application, in_province):
    """The province of the module's SLUG with a bank and papers that are open."""
    actors.exam_setup(application, in_province, request.module.SLUG)


@pytest.fixture(scope="module")
def two_admins(request, in_province, exam_ground):
    """Two administrators, as a job knows them again."""
    with in_province(request.module.SLUG):
        admin_ids = [
            create_staff(f"admin-{number}", "管理员", [("province_admin", None)], by=TERMINAL_ACTOR).id
            for number in range(2)
        ]
        db.session.commit()
    return [Actor("staff", admin_id, frozenset({"province_admin"})) for admin_id in admin_ids]


@pytest.fixture
def ready_record(request, application, in_province, exam_ground):
    """Make a record that is 待测评."""
    slug = request.module.SLUG

    def make():
        doctor = actors.signed_in_doctor(application, in_province, slug, next(actors.unused_serials(slug)))
        actors.advance_to(in_province, doctor, "ready")
        return doctor.record_id

    return make
