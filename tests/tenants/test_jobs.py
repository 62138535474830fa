"""No job reaches another province: called in one it isn't of, it finds nothing; given another's ids, it finds nothing of those."""

import inspect
import re
from uuid import UUID

import pytest
from psycopg import sql
from sqlalchemy import select

from dingkao.database.model import db
from dingkao.jobs import asking, performing
from dingkao.jobs.models import Job
from dingkao.outside import storage
from dingkao.outside.storage import store
from dingkao.tenants.context import NoProvince, WrongProvince, current_tenant, entered
from dingkao.tenants.registry import by_code
from tests import conftest, material
from tests.tenants.models import TABLE_NAMES
from tests.tenants.seeds import seeded

HERE, THERE = 14, 41
ARGUMENTS = {
    "analyse_paper": {"paper": "paper"},
    "enter_scores": {"import": "score_import"},
    "preview_correction": {"correction": "key_correction"},
    "remark": {"correction": "key_correction"},
    "approve_bank": {"bank": "question_bank"},
    "deliver_notices": {},
    "draw_certificate": {"certificate": "certificate"},
    "draw_ticket": {"ticket": "admission_ticket"},
    "draw_tickets": {"institution": "organisation", "cycle": "cycle", "assessor": "organisation"},
    "forget_file": {"document": "document", "kind": "photo"},
    "forget_request_file": {"file": "request_file"},
    "issue_one": {"record": "assessment"},
    "import_questions": {"upload": "document", "bank": "题库"},
    "import_roster": {"upload": "document", "only": "organisation"},
    "conclude_all": {"cycle": "cycle", "assessors": ["organisation"]},
    "include_all": {"cycle": "cycle", "institutions": ["organisation"]},
    "issue_certificates": {"publication": "publication"},
    "print_paper": {"paper": "paper", "what": "sheet"},
    "prolong_sittings": {"paper": "paper", "before": "2026-03-01T09:00:00+00:00", "until": "2026-03-01T10:00:00+00:00", "reason": "停电"},
    "publish": {"publication": "publication"},
}
JOBS = sorted(performing.JOBS)


@pytest.fixture(scope="module")
def both(stack, provinces):
    """Every table with rows of both provinces, files of both, and a connection that sees them."""
    with conftest.superuser_connection(stack.home) as connection, seeded(connection, (HERE, THERE)):
        yield connection


@pytest.fixture
def worker(application, provinces, monkeypatch):
    """This process as a worker whose queue nobody listens to."""
    monkeypatch.setattr(asking, "QUEUE", "quiet-tenants")
    monkeypatch.setattr(performing, "_context", [application.app_context])
    monkeypatch.setitem(performing.JOBS, "trial", lambda _job, _progress: {"province": current_tenant()})
    yield
    application.extensions["redis"].delete("rq:queue:quiet-tenants")


def snapshot(owner, tenant, *, but=()):
    """What a province has, a digest a table, and its files; the tables `but` are left out."""
    found = {}
    for table in TABLE_NAMES:
        if table not in but:
            query = sql.SQL("select count(*), md5(string_agg(t::text, '' order by t::text)) from {} t where tenant_id = %s").format(sql.Identifier(table))
            found[table] = owner.execute(query, (tenant,)).fetchone()
    owner.rollback()
    with performing.in_application():
        kept = store()
    objects = kept.client.list_objects_v2(Bucket=kept.bucket, Prefix=f"t/{tenant}/").get("Contents", [])
    found["files"] = sorted((one["Key"], one["ETag"]) for one in objects)
    return found


def changed(before, after):
    return [name for name in before if before[name] != after[name]]


def ask_in(in_province, name, arguments):
    with in_province("shanxi"):
        job_id = asking.ask(name, "试验", arguments, by=None).id
        db.session.commit()
    return job_id


def faults(perform, owner, in_province, name, arguments):
    """What is wrong when `perform` is handed a job of 山西 as one of 河南, and then as one of 山西; empty when nothing."""
    told, job_id = [], ask_in(in_province, name, arguments)
    before = snapshot(owner, HERE), snapshot(owner, THERE)
    for tenant, words in ((THERE, "called in another province"), (HERE, "called in its own")):
        try:
            perform(tenant, str(job_id))
        except (NoProvince, WrongProvince) as fault:
            told.append(f"{words}: {type(fault).__name__}")
        if tenant == THERE:
            told += [f"{words} it changed {table} of its own" for table in changed(before[0], snapshot(owner, HERE))]
        told += [f"{words} it changed {table} of the other" for table in changed(before[1], snapshot(owner, THERE))]
    with in_province("shanxi"):
        row = db.session.scalars(select(Job).where(Job.id == job_id)).one()
        if row.state == "waiting" and row.tries == 0:
            told.append("called in its own it did nothing")
        row.state = "failed" if row.state == "waiting" else row.state
        db.session.commit()
    return told


def one_of(owner, table, tenant):
    row = owner.execute(sql.SQL("select id from {} where tenant_id = %s order by id limit 1").format(sql.Identifier(table)), (tenant,)).fetchone()
    owner.rollback()
    return row[0]


def foreign_arguments(owner, in_province, name):
    """Arguments that name rows and files of 河南."""
    def given_for(table):
        if isinstance(table, list):
            return [given_for(one) for one in table]
        return str(one_of(owner, table, THERE)) if table in TABLE_NAMES else table

    given = {key: given_for(table) for key, table in ARGUMENTS[name].items()}
    with in_province("henan"):
        for file in {given.get("document"), given.get("upload")} - {None}:
            store().put("photo", UUID(file), b"theirs", "image/jpeg")
            store().put("upload", UUID(file), material.roster([material.roster_row(THERE, 400)]), "application/octet-stream", sealed=True)
    return given


def test_the_list_of_jobs_is_whole():
    assert sorted(ARGUMENTS) == JOBS


def test_every_job_is_performed_by_one_function_that_takes_the_province_first(worker, in_province, monkeypatch):
    assert next(iter(inspect.signature(performing.perform).parameters)) == "tenant"
    sent = []
    monkeypatch.setattr(asking.Queue, "enqueue", lambda _queue, function, *given, **_options: sent.append((function, *given)))
    for name in JOBS:
        ask_in(in_province, name, {})
    assert {(function, tenant) for function, tenant, _ in sent} == {("dingkao.jobs.performing.perform", HERE)}
    with in_province("shanxi"):
        for row in db.session.scalars(select(Job).where(Job.id.in_([UUID(given[2]) for given in sent]))):
            row.state = "done"
        db.session.commit()


@pytest.mark.parametrize("name", JOBS)
def test_a_job_finds_nothing_of_another_province(worker, both, in_province, name):
    assert faults(performing.perform, both, in_province, name, foreign_arguments(both, in_province, name)) == []


def test_a_job_that_succeeds_succeeds_at_home_alone(worker, both, in_province):
    assert faults(performing.perform, both, in_province, "trial", {}) == []


def forgetful(_tenant, job_id):
    """A mutant: the province is forgotten."""
    with performing.in_application():
        performing.run(UUID(job_id))


def stuck(_tenant, job_id):
    """A mutant: a worker stays in the province it was last in."""
    with performing.in_application(), entered(HERE):
        performing.run(UUID(job_id))


@pytest.mark.parametrize(
    ("mutant", "noticed"),
    [
        (forgetful, ["called in another province: NoProvince", "called in its own: NoProvince", "called in its own it did nothing"]),
        (stuck, ["called in another province it changed job of its own"]),
    ],
)
def test_a_worker_that_forgets_the_province_is_noticed(worker, both, in_province, mutant, noticed):
    assert faults(mutant, both, in_province, "trial", {}) == noticed


def test_a_file_named_without_its_province_is_noticed(worker, both, in_province, monkeypatch):
    given = foreign_arguments(both, in_province, "forget_file")
    monkeypatch.setattr(storage, "object_key", lambda kind, identity: f"t/{THERE}/{kind}/{identity}")
    assert faults(performing.perform, both, in_province, "forget_file", given) == ["called in its own it changed files of the other"]


def strangers(connection, client, bucket):
    """Keys of the cache, and of the store, that belong to no province nor to the house itself."""
    found = [key.decode() for key in connection.scan_iter(count=1000)]
    house = re.compile(r"rq:|LIMITS:LIMITER/(?:platform|\d{2,3})\||LIMITER/(?:platform|\d{2,3})\||t:(\d+):[a-z]")
    told = [key for key in found if not house.match(key)]
    objects = [one["Key"] for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket) for one in page.get("Contents", [])]
    told += [key for key in objects if not ((known := re.fullmatch(r"t/(\d+)/[a-z-]+/[0-9a-f-]{36}", key)) and by_code(int(known[1])))]
    return told + [key for key in found + objects if re.search(r"(?<![0-9a-f])(\d{17}[\dX]|1[3-9]\d{9})(?![0-9a-f])", key)]


def test_every_key_of_cache_and_store_belongs_to_a_province_and_tells_nobodys_number(worker, application, in_province, both):
    foreign_arguments(both, in_province, "forget_file")
    ask_in(in_province, "trial", {})
    client = application.test_client()
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get("/shanxi/login").get_data(as_text=True))
    client.post("/shanxi/login", data={"csrf_token": token[1], "account": material.resident_number(1), "password": "x"})
    connection, kept = application.extensions["redis"], application.extensions["store"]
    assert strangers(connection, kept.client, kept.bucket) == []
    connection.set("code:13800000001", 1)
    try:
        assert strangers(connection, kept.client, kept.bucket) == ["code:13800000001"] * 2
    finally:
        connection.delete("code:13800000001")
