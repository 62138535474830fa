"""No job reaches another province: called in one it isn't of, it finds nothing; given another's ids, it finds
nothing of those."""

import inspect
import re
from uuid import UUID

import pytest
from psycopg import sql
from sqlalchemy import select

from dingkao import timetable  # noqa: F401 - registers the jobs that only it names
from dingkao.database.base import db
from dingkao.integrations import storage
from dingkao.integrations.storage import current_store
from dingkao.jobs import enqueueing
from dingkao.jobs import worker as job_worker
from dingkao.jobs.models import Job
from dingkao.tenants.context import NoProvince, WrongProvince, current_tenant, in_tenant
from dingkao.tenants.registry import by_code
from tests import conftest, sample_data
from tests.tenants.models import TABLE_NAMES
from tests.tenants.row_factory import seeded_tables

SHANXI, HENAN = 14, 41
ARGUMENTS = {
    "analyse_paper": {"paper": "paper"},
    "apply_lines": {"cycle": "cycle"},
    "count_scores": {"cycle": "cycle"},
    "enter_scores": {"import": "score_import"},
    "preview_correction": {"correction": "key_correction"},
    "compensate_outage": {
        "outage": "outage",
        "organisations": ["organisation"],
        "scope": "all",
        "minutes": "5",
        "reason": "停电",
    },
    "remark": {"correction": "key_correction"},
    "approve_bank": {"bank": "question_bank"},
    "deliver_notices": {},
    "send_office_notice": {"notice": "office_notice"},
    "index_names": {},
    "draw_certificate": {"certificate": "certificate"},
    "draw_ticket": {"ticket": "admission_ticket"},
    "draw_tickets": {"institution": "organisation", "cycle": "cycle", "assessor": "organisation"},
    "forget_file": {"document": "document", "kind": "photo"},
    "forget_request_file": {"file": "request_file"},
    "issue_one": {"record": "assessment"},
    "issue_unissued": {"cycle": "cycle"},
    "assign_institutions": {"assessor": "organisation"},
    "import_institutions": {"upload": "document"},
    "import_annual_appraisals": {"upload": "document", "dry_run": False},
    "import_departments": {"upload": "document", "dry_run": False},
    "import_photos": {"upload": "document", "dry_run": False},
    "import_bad_records": {"upload": "document", "dry_run": False},
    "import_ethics_gradings": {"upload": "document", "dry_run": False},
    "import_good_records": {"upload": "document", "dry_run": False},
    "import_penalties": {"upload": "document", "dry_run": False},
    "import_questions": {"upload": "document", "bank": "题库"},
    "import_scores": {
        "upload": "document",
        "cycle": "cycle",
        "only": None,
        "dry_run": False,
        "import": "score_import",
    },
    "import_roster": {"upload": "document", "only": "organisation"},
    "compare_shared_bank": {"bank": "shared_bank"},
    "compare_register": {"upload": "document", "dry_run": False, "comparison": "register_comparison"},
    "settle_differences": {
        "comparison": "register_comparison",
        "kind": "gone",
        "division": "",
        "code": "retired",
        "note": "",
        "cycle": "cycle",
    },
    "fill_grading_meeting": {"meeting": "grading_meeting"},
    "conclude_meeting": {"meeting": "grading_meeting"},
    "confirm_absences": {"cycle": "cycle"},
    "conclude_all": {"cycle": "cycle"},
    "export_bank": {"subject": "question_bank"},
    "export_bank_gift": {"subject": "question_bank"},
    "export_list": {"subject": "export_request"},
    "gather_publication": {"publication": "publication"},
    "enrol_all": {"cycle": "cycle"},
    "include_all": {"cycle": "cycle"},
    "hand_over": {"account": "account", "successor": "account", "organisation": "organisation", "only": True},
    "merge_organisation": {"predecessor": "organisation", "successor": "organisation"},
    "issue_certificates": {"publication": "publication"},
    "print_paper": {"paper": "paper", "what": "sheet"},
    "prolong_sittings": {
        "paper": "paper",
        "before": "2026-03-01T09:00:00+00:00",
        "until": "2026-03-01T10:00:00+00:00",
        "reason": "停电",
    },
    "review_batch": {"batch": "review_batch"},
    "seal_files": {},
    "publish": {"publication": "publication"},
    "notify_gap": {"cycle": "cycle", "list": "not_submitted"},
    "remind": {"reminding": "reminder_round"},
    "take_over_bank": {"bank": "question_bank"},
    "verify_journal": {},
}
JOBS = sorted(job_worker.REGISTERED_JOBS)


@pytest.fixture(scope="module")
def both(stack, provinces):
    """Every table with rows of both provinces, files of both, and a connection that sees them."""
    with conftest.superuser_connection(stack.home) as connection, seeded_tables(connection, (SHANXI, HENAN)):
        yield connection


@pytest.fixture
def worker(application, provinces, monkeypatch):
    """This process as a worker whose queue nobody listens to."""
    monkeypatch.setattr(enqueueing, "DEFAULT_QUEUE", "quiet-tenants")
    monkeypatch.setattr(job_worker, "_context", [application.app_context])
    monkeypatch.setitem(
        job_worker.REGISTERED_JOBS, "trial", lambda _job, _progress: {"province": current_tenant()}
    )
    yield
    application.extensions["redis"].delete("rq:queue:quiet-tenants")


def snapshot(owner, tenant, *, but=()):
    """What a province has, a digest a table, and its files; the tables `but` are left out."""
    digests = {}
    for table in TABLE_NAMES:
        if table not in but:
            query = sql.SQL(
                "select count(*), md5(string_agg(t::text, '' order by t::text)) from {} t where "
                "tenant_id = %s"
            ).format(sql.Identifier(table))
            digests[table] = owner.execute(query, (tenant,)).fetchone()
    owner.rollback()
    with job_worker.application_context():
        store = current_store()
    objects = store.client.list_objects_v2(Bucket=store.bucket, Prefix=f"t/{tenant}/").get("Contents", [])
    digests["files"] = sorted((stored_object["Key"], stored_object["ETag"]) for stored_object in objects)
    return digests


def changed(before, after):
    return [name for name in before if before[name] != after[name]]


def ask_in(in_province, name, arguments):
    with in_province("shanxi"):
        job_id = enqueueing.enqueue(name, "试验", arguments, by=None).id
        db.session.commit()
    return job_id


def faults(perform, owner, in_province, name, arguments):
    """What is wrong when `perform` is handed a job of 山西 as one of 河南, and then as one of 山西; empty
    when nothing."""
    problems, job_id = [], ask_in(in_province, name, arguments)
    snapshots_before = snapshot(owner, SHANXI), snapshot(owner, HENAN)
    for tenant, words in ((HENAN, "called in another province"), (SHANXI, "called in its own")):
        try:
            perform(tenant, str(job_id))
        except (NoProvince, WrongProvince) as fault:
            problems.append(f"{words}: {type(fault).__name__}")
        if tenant == HENAN:
            problems += [
                f"{words} it changed {table} of its own"
                for table in changed(snapshots_before[0], snapshot(owner, SHANXI))
            ]
        problems += [
            f"{words} it changed {table} of the other"
            for table in changed(snapshots_before[1], snapshot(owner, HENAN))
        ]
    with in_province("shanxi"):
        job = db.session.scalars(select(Job).where(Job.id == job_id)).one()
        if job.state == "waiting" and job.tries == 0:
            problems.append("called in its own it did nothing")
        job.state = "failed" if job.state == "waiting" else job.state
        db.session.commit()
    return problems


def one_of(owner, table, tenant):
    record = owner.execute(
        sql.SQL("select id from {} where tenant_id = %s order by id limit 1").format(sql.Identifier(table)),
        (tenant,),
    ).fetchone()
    owner.rollback()
    return record[0]


def foreign_arguments(owner, in_province, name):
    """Arguments that name rows and files of 河南."""

    def given_for(table):
        if isinstance(table, list):
            return [given_for(element) for element in table]
        return str(one_of(owner, table, HENAN)) if table in TABLE_NAMES else table

    arguments = {key: given_for(table) for key, table in ARGUMENTS[name].items()}
    with in_province("henan"):
        for file in {arguments.get("document"), arguments.get("upload")} - {None}:
            current_store().put("photo", UUID(file), b"theirs")
            current_store().put(
                "upload", UUID(file), sample_data.roster_xlsx([sample_data.roster_row(HENAN, 400)])
            )
    return arguments


def test_the_list_of_jobs_is_whole():
    assert sorted(ARGUMENTS) == JOBS


def test_every_job_is_performed_by_one_function_that_takes_the_province_first(
    worker, in_province, monkeypatch
):
    assert next(iter(inspect.signature(job_worker.run_in_tenant).parameters)) == "tenant"
    queued = []
    monkeypatch.setattr(
        enqueueing.Queue,
        "enqueue",
        lambda _queue, function, *queued_arguments, **_options: queued.append((function, *queued_arguments)),
    )
    for name in JOBS:
        ask_in(in_province, name, {})
    assert {(function, tenant) for function, tenant, _ in queued} == {
        ("dingkao.jobs.worker.run_in_tenant", SHANXI)
    }
    with in_province("shanxi"):
        for job in db.session.scalars(
            select(Job).where(Job.id.in_([UUID(queued_arguments[2]) for queued_arguments in queued]))
        ):
            job.state = "done"
        db.session.commit()


@pytest.mark.parametrize("name", JOBS)
def test_a_job_finds_nothing_of_another_province(worker, both, in_province, name):
    assert (
        faults(job_worker.run_in_tenant, both, in_province, name, foreign_arguments(both, in_province, name))
        == []
    )


def test_a_job_that_succeeds_succeeds_at_home_alone(worker, both, in_province):
    assert faults(job_worker.run_in_tenant, both, in_province, "trial", {}) == []


def forgetful(_tenant, job_id):
    """A mutant: the province is forgotten."""
    with job_worker.application_context():
        job_worker.run_turn(UUID(job_id))


def stuck(_tenant, job_id):
    """A mutant: a worker stays in the province it was last in."""
    with job_worker.application_context(), in_tenant(SHANXI):
        job_worker.run_turn(UUID(job_id))


@pytest.mark.parametrize(
    ("mutant", "noticed"),
    [
        (
            forgetful,
            [
                "called in another province: NoProvince",
                "called in its own: NoProvince",
                "called in its own it did nothing",
            ],
        ),
        (stuck, ["called in another province it changed job of its own"]),
    ],
)
def test_a_worker_that_forgets_the_province_is_noticed(worker, both, in_province, mutant, noticed):
    assert faults(mutant, both, in_province, "trial", {}) == noticed


def test_a_file_named_without_its_province_is_noticed(worker, both, in_province, monkeypatch):
    arguments = foreign_arguments(both, in_province, "forget_file")
    monkeypatch.setattr(storage, "object_key", lambda kind, identity: f"t/{HENAN}/{kind}/{identity}")
    assert faults(job_worker.run_in_tenant, both, in_province, "forget_file", arguments) == [
        "called in its own it changed files of the other"
    ]


def strangers(connection, client, bucket):
    """Keys of the cache, and of the store, that belong to no province nor to the house itself."""
    texts = [key.decode() for key in connection.scan_iter(count=1000)]
    house = re.compile(
        r"rq:|LIMITS:LIMITER/(?:platform|\d{2,3})\||LIMITER/(?:platform|\d{2,3})\||t:(\d+):[a-z]|platform:[a-z]"
    )
    strange_keys = [key for key in texts if not house.match(key)]
    objects = [
        stored_object["Key"]
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        for stored_object in page.get("Contents", [])
    ]
    strange_keys += [
        key
        for key in objects
        if not ((match := re.fullmatch(r"t/(\d+)/[a-z-]+/[0-9a-f-]{36}", key)) and by_code(int(match[1])))
    ]
    return strange_keys + [
        key
        for key in texts + objects
        if re.search(r"(?<![0-9a-f])(\d{17}[\dX]|1[3-9]\d{9})(?![0-9a-f])", key)
    ]


def test_every_key_of_cache_and_store_belongs_to_a_province_and_tells_nobodys_number(
    worker, application, in_province, both
):
    foreign_arguments(both, in_province, "forget_file")
    ask_in(in_province, "trial", {})
    client = application.test_client()
    token = re.search(
        r'name="csrf_token"[^>]*value="([^"]+)"', client.get("/shanxi/login").get_data(as_text=True)
    )
    client.post(
        "/shanxi/login",
        data={"csrf_token": token[1], "account": sample_data.resident_number(1), "password": "x"},
    )
    connection, store = application.extensions["redis"], application.extensions["store"]
    assert strangers(connection, store.client, store.bucket) == []
    connection.set("code:13800000001", 1)
    try:
        assert strangers(connection, store.client, store.bucket) == ["code:13800000001"] * 2
    finally:
        connection.delete("code:13800000001")
