"""What concerns a whole province, at real size: a list is proposed, approved, published and had as a sheet by
the pages and workers of a stack, while workers are killed; then everyone is included in a province of the
same size. JSON lines as of `make bench`.

python -m tests.load.province --doctors 446000 --kills 5
"""

import argparse
import http.client
import os
import re
import secrets
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import psycopg
from sqlalchemy import func, select

from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.filings.user_notice import confirm_notice
from dingkao.jobs.models import Job
from dingkao.journal.entries import TERMINAL_ACTOR, Actor
from dingkao.journal.models import JournalEntry
from dingkao.people import sign_in_sessions
from dingkao.people.accounts import create_staff
from dingkao.people.models import Account, Notice, Organisation, SignInSession
from dingkao.people.provinces import open_province
from tests import actors, conftest
from tests.load import synthetic
from tests.load.bench_stack import Bench, report_at_most, report_result
from tests.load.ground import descendants

PUBLISHED, INCLUDED = "shanxi", "henan"
LOOKERS, LOOKS_EVERY = 12, 0.5
PATIENCE_SECONDS, PAUSE_PATIENCE_SECONDS, PAUSE_SECONDS = 6 * 3600, 300, 10
PAGE_MS, WORKER_MB = 1_000, 400
PAGES = (
    "/office", "/office/inclusion", "/office/inclusion?state=confirming", "/office/doctors", "/office/institutions", "/office/halls", "/office/tickets",
    "/office/watching", "/office/lines", "/office/conclusions", "/office/publications", "/office/certificates", "/office/work",
)  # fmt: skip


class SimulatedAdministrator:
    """An administrator in a browser of few means."""

    def __init__(self, port: int, slug: str, cookie: str) -> None:
        self.port, self.slug, self.cookies = port, slug, {cookie.split("=")[0]: cookie.split("=", 1)[1]}

    def ask(
        self, method: str, path: str, form: dict[str, str] | None = None
    ) -> tuple[int, str, bytes, float]:
        """Status, Location, body, milliseconds."""
        connection, began = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300), time.monotonic()
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {
            "Cookie": cookies,
            "Origin": f"http://127.0.0.1:{self.port}",
            "Sec-Fetch-Site": "same-origin",
        }
        headers |= {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        connection.request(method, path, urlencode(form) if form else None, headers)
        answer = connection.getresponse()
        body = answer.read()
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                self.cookies[value.split("=")[0]] = value.split("=", 1)[1].split(";")[0]
        connection.close()
        return answer.status, answer.getheader("Location") or "", body, (time.monotonic() - began) * 1000

    def get(self, path: str) -> tuple[str, float]:
        """A page and its milliseconds."""
        status, _, body, took = self.ask("GET", f"/{self.slug}{path}")
        assert status == 200, (path, status, body[:300])
        return body.decode(), took

    def post(self, path: str, page: str, **form: str) -> tuple[str, float]:
        """Where a form leads, with the token of its page, and its milliseconds."""
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', self.get(page)[0])
        assert token, page
        status, place, body, took = self.ask("POST", f"/{self.slug}{path}", {"csrf_token": token[1]} | form)
        assert status == 303, (path, status, re.sub(r"<[^>]+>", " ", body.decode())[-400:])
        return place.removeprefix(f"/{self.slug}"), took


def admin(bench: Bench, slug: str, name: str) -> SimulatedAdministrator:
    """An administrator of a province, signed in."""
    with bench.inside(slug):
        account = create_staff(name, "测试", [("province_admin", None)], by=TERMINAL_ACTOR)
        account.state = "active"
        token = sign_in_sessions.start_session(account)
        db.session.flush()
        session = db.session.scalars(
            select(SignInSession).where(SignInSession.account_id == account.id)
        ).one()
        session.second_factor_at = session.begun_at
        db.session.commit()
    return SimulatedAdministrator(bench.stack.port, slug, f"dk-{slug}={token}")


def load(bench: Bench, slug: str, doctors: int, state: str) -> None:
    """A province of that many doctors with their records in `state`."""
    with bench.inside(slug) as province:
        open_province(province, by=TERMINAL_ACTOR)
        place = Organisation(
            name="起始医院",
            registration_number=f"START{province.code}",
            division=f"{province.code}0100",
            category="医疗机构",
            health_authority="卫健委",
        )
        db.session.add(place)
        db.session.flush()
        cycle = actors.get_or_open_cycle()
        db.session.commit()
        with bench.superuser() as connection:
            synthetic.load(
                connection, cycle.id, doctors, state=state, graded=state == "confirming", assessor=place.id
            )


def signed_in_doctors(bench: Bench, slug: str) -> list[SimulatedAdministrator]:
    """Doctors spread over the list, signed in, their notice read."""
    doctors = []
    with bench.inside(slug) as province:
        record_count = db.session.scalar(select(func.count()).select_from(Assessment)) or 0
        for place in range(LOOKERS):
            offset = place * (record_count - 1) // (LOOKERS - 1)
            record = db.session.scalars(
                select(Assessment).order_by(Assessment.id).offset(offset).limit(1)
            ).one()
            doctor = db.session.get_one(Doctor, (province.code, record.doctor_id))
            account = db.session.get_one(Account, (province.code, doctor.account_id))
            account.state = "active"
            confirm_notice(doctor, actors.get_or_open_cycle(), by=Actor("doctor", account.id))
            doctors.append(
                SimulatedAdministrator(
                    bench.stack.port, slug, f"dk-{slug}={sign_in_sessions.start_session(account)}"
                )
            )
        db.session.commit()
    return doctors


@contextmanager
def doctors_viewing(doctors: list[SimulatedAdministrator]) -> Iterator[list[tuple[float, int]]]:
    """While the block runs, how many of the doctors see a result, look after look."""
    looks, stop = list[tuple[float, int]](), threading.Event()

    def look() -> None:
        while not stop.is_set():
            began = time.monotonic()
            looks.append((began, sum("考核结果已发布" in doctor.get("/home")[0] for doctor in doctors)))
            stop.wait(LOOKS_EVERY)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield looks
    finally:
        stop.set()
        thread.join()


class WorkerKiller:
    """Kills the worker of slow work, and what it has begotten, from time to time; the supervisor starts it
    again. Notes the most memory of it."""

    def __init__(self, bench: Bench, kills: int) -> None:
        self.bench, self.left, self.killed, self.memory = bench, kills, 0, 0.0

    def worker(self) -> int:
        """Its process."""
        return next(
            child.process.pid
            for child in self.bench.stack.supervisor.children
            if child.name == "Worker" and child.process
        )

    def look(self) -> None:
        """Note the memory of the worker and its children."""
        for process in descendants(self.worker()):
            try:
                text = Path(f"/proc/{process}/status").read_text()
            except OSError:
                continue
            self.memory = max(self.memory, int((re.findall(r"VmHWM:\s+(\d+)", text) or [0])[0]) / 1024)

    def kill(self) -> None:
        """Kill it now, if it is to be killed still."""
        if self.left > self.killed:
            os.kill(self.worker(), signal.SIGKILL)
            self.killed += 1


def finished(bench: Bench, slug: str, name: str, killer: WorkerKiller, *, kill_every: float = 15.0) -> float:
    """Tend the stack until the newest job of that name has ended; its seconds."""
    began, last = time.monotonic(), time.monotonic()
    while time.monotonic() - began < PATIENCE_SECONDS:
        bench.stack.supervisor.restart_dead()
        killer.look()
        with bench.inside(slug):
            job = db.session.scalars(
                select(Job).where(Job.name == name).order_by(Job.id.desc()).limit(1)
            ).one()
            if job.state == "done":
                return time.monotonic() - began
            assert job.state in ("waiting", "running"), (name, job.state, job.sentence)
            middle = bool(job.done)
        if middle and time.monotonic() - last > kill_every:
            killer.kill()
            last = time.monotonic()
        time.sleep(0.3)
    raise AssertionError(f"{name} did not end")


@contextmanager
def pause_job(bench: Bench, office: SimulatedAdministrator, name: str) -> Iterator[None]:
    """The newest job of that name, paused from its page in its middle while the block runs; nothing of it
    moves then."""

    def standing() -> tuple[str, int, str]:
        bench.stack.supervisor.restart_dead()
        with bench.inside(office.slug):
            job = db.session.scalars(
                select(Job).where(Job.name == name).order_by(Job.id.desc()).limit(1)
            ).one()
            return job.state, job.done, f"/office/work/{job.id}"

    def until(reached: Callable[[str, int], bool]) -> tuple[int, str]:
        deadline = time.monotonic() + PAUSE_PATIENCE_SECONDS
        while True:
            state, done_count, page = standing()
            if reached(state, done_count):
                return done_count, page
            assert time.monotonic() < deadline, (name, state)
            assert state in ("waiting", "running", "paused"), (name, state)
            time.sleep(0.3)

    _, page = until(lambda _state, done: done > 0)
    began = time.monotonic()
    report_at_most(f"{name}_pause_request_ms", office.post(f"{page}/pause", page)[1], "ms", PAGE_MS)
    stood, _ = until(lambda state, _done: state == "paused")
    report_result(f"{name}_paused_after_seconds", time.monotonic() - began, "s", None, None)
    yield
    done_meanwhile = standing()[1] - stood
    report_result(f"{name}_done_while_paused", done_meanwhile, "rows", 0, done_meanwhile == 0)
    office.post(f"{page}/resume", page)
    until(lambda state, _done: state != "paused")


def ask_for_list(office: SimulatedAdministrator, code: str, view: str, file_format: str) -> tuple[str, float]:
    """Ask for a list as a file: where that leads, and its milliseconds."""
    page = f"/office/exports/new?{urlencode({'list': code, 'view': view})}"
    request_id = str(uuid4())
    form = {"request_id": request_id, "list": code, "view": view, "file_format": file_format}
    return office.post("/office/exports/new", page, reason="核对", **form)


def approved_job(asker: SimulatedAdministrator, colleague: SimulatedAdministrator, place: str) -> str:
    """The page of the job that builds a file, once a colleague has approved it where it takes one."""
    if place.startswith("/office/work/"):
        return place
    colleague.post(f"{place}/approve", place)
    job_link = re.search(r'href="/\w+(/office/work/[0-9a-f-]{36})"', asker.get(place)[0])
    assert job_link, place
    return job_link[1]


def pages(office: SimulatedAdministrator) -> None:
    """How long the pages take that tell of the whole province, each asked for once before, when the web has
    just begun."""
    for path in PAGES:
        office.get(path)
        report_at_most(f"{office.slug}_page_ms {path}", office.get(path)[1], "ms", PAGE_MS)


def publish(bench: Bench, doctors: int, kills: int) -> None:
    """Propose, approve, publish, have the sheet; count afterwards that each record was moved, and each doctor
    told, once. The publishing is paused for a while, and so are the certificates that it asks for until the
    sheet is there."""
    administrator, colleague, killer = (
        admin(bench, PUBLISHED, "bench-one"),
        admin(bench, PUBLISHED, "bench-two"),
        WorkerKiller(bench, kills),
    )
    seeing = signed_in_doctors(bench, PUBLISHED)
    pages(administrator)
    place, took = administrator.post("/office/publications", "/office/publications")
    report_at_most("propose_request_ms", took, "ms", PAGE_MS)
    report_result(
        "propose_job_seconds", finished(bench, PUBLISHED, "gather_publication", killer), "s", None, None
    )
    report_at_most("list_page_ms", colleague.get(place)[1], "ms", PAGE_MS)
    with doctors_viewing(seeing) as looks:
        _, took = colleague.post(f"{place}/approve", place)
        report_at_most("approve_request_ms", took, "ms", PAGE_MS)
        with pause_job(bench, colleague, "publish"):
            time.sleep(PAUSE_SECONDS)
        report_result("publish_job_seconds", finished(bench, PUBLISHED, "publish", killer), "s", None, None)
    visible_counts = [number for _, number in looks]
    report_result("looks", len(looks), "looks", None, None)
    first = next((place for place, number in enumerate(visible_counts) if number), len(visible_counts))
    mixed = [number for number in visible_counts[first + 1 :] if number != LOOKERS]
    report_result("looks_that_saw_a_part", len(mixed), "looks", 0, not mixed)
    with pause_job(bench, colleague, "issue_certificates"):
        view = urlencode({"publication": place.rsplit("/", 1)[1]})
        request_page, took = ask_for_list(administrator, "results", view, "xlsx")
        report_at_most("sheet_request_ms", took, "ms", PAGE_MS)
        job = approved_job(administrator, colleague, request_page)
        report_result(
            "sheet_job_seconds",
            finished(bench, PUBLISHED, "export_list", killer, kill_every=40.0),
            "s",
            None,
            None,
        )
        status, _, body, took = administrator.ask("GET", f"/{PUBLISHED}{job}/sheet.xlsx")
        assert status == 200, status
        report_result("sheet_mb", len(body) / 1e6, "MB", None, None)
        report_result("sheet_download_ms", took, "ms", None, None)
    report_at_most("worker_peak_mb", killer.memory, "MB", WORKER_MB)
    report_result("workers_killed", killer.killed, "kills", None, None)
    with bench.superuser() as connection:
        _once(connection, doctors)


def _once(connection: psycopg.Connection[Any], doctors: int) -> None:
    """Each record moved once, each doctor told once, the list sealed."""

    def count(query: str) -> int:
        count_row = connection.execute(query).fetchone()
        assert count_row
        return int(count_row[0])

    moved_count = count(
        "select count(*) from journal_entry where tenant_id = 14 and verb in ('publish_pass', 'publish_fail')"
    )
    subjects = count(
        "select count(distinct subject_id) from journal_entry where tenant_id = 14 and verb in "
        "('publish_pass', 'publish_fail')"
    )
    notices = count("select count(*) from notice where tenant_id = 14 and kind = 'result_published'")
    readers = count(
        "select count(distinct account_id) from notice where tenant_id = 14 and kind = 'result_published'"
    )
    final = count("select count(*) from assessment where tenant_id = 14 and state in ('passed', 'failed')")
    entries = count("select count(*) from publication_entry where tenant_id = 14")
    for name, value in (
        ("moved", moved_count),
        ("moved_records", subjects),
        ("notices", notices),
        ("told_doctors", readers),
        ("final", final),
        ("entries", entries),
    ):
        report_result(f"published_{name}", value, "rows", doctors, value == doctors)


def include(bench: Bench, doctors: int, kills: int) -> None:
    """Include everyone."""
    administrator, killer = admin(bench, INCLUDED, "bench-admin"), WorkerKiller(bench, kills)
    pages(administrator)
    _, took = administrator.post("/office/inclusion", "/office/inclusion", all="1")
    report_at_most("include_request_ms", took, "ms", PAGE_MS)
    report_result("include_job_seconds", finished(bench, INCLUDED, "include_all", killer), "s", None, None)
    report_at_most("include_worker_peak_mb", killer.memory, "MB", WORKER_MB)
    with bench.inside(INCLUDED):
        included = (
            db.session.scalar(
                select(func.count()).select_from(Assessment).where(Assessment.state == "included")
            )
            or 0
        )
        entries = (
            db.session.scalar(
                select(func.count()).select_from(JournalEntry).where(JournalEntry.verb == "include")
            )
            or 0
        )
        notices = (
            db.session.scalar(
                select(func.count()).select_from(Notice).where(Notice.title == "您已被纳入本周期考核")
            )
            or 0
        )
    for name, value in (("records", included), ("entries", entries), ("notices", notices)):
        report_result(f"included_{name}", value, "rows", doctors, value == doctors)


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--doctors", type=int, default=70_000, help="doctors of each province")
    parser.add_argument("--kills", type=int, default=3, help="how often the worker is killed in either")
    parser.add_argument("--only", choices=("publish", "include"))
    args = parser.parse_args()
    for name in conftest.FROM_OUTSIDE:
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(prefix="dingkao-province-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        bench = Bench(Path(folder) / f"home-{secrets.token_hex(3)}")
        try:
            for name, slug, state, work in (
                ("publish", PUBLISHED, "confirming", publish),
                ("include", INCLUDED, "not_included", include),
            ):
                if args.only not in (None, name):
                    continue
                began = time.monotonic()
                load(bench, slug, args.doctors, state)
                print(  # noqa: T201
                    f"{args.doctors} doctors of {slug} loaded in {time.monotonic() - began:.1f} s",
                    file=sys.stderr,
                )
                work(bench, args.doctors, args.kills)
        finally:
            bench.end()


if __name__ == "__main__":
    main()
