"""The exam's part of `make bench`: what starting, answering and handing in a sitting of fifty cost, and how
long they take while many sit at once on one web process and on one a core. `python -m tests.load.exam` is
this part alone; `--soak 30` lets them sit for that many minutes and looks at the memory of the web's
processes.
"""

import argparse
import gzip
import json
import os
import random
import re
import secrets
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlencode
from uuid import UUID

import psycopg
from sqlalchemy import select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.exams.paper_blueprint import save_paper
from dingkao.exams.tickets import get_or_issue_ticket
from dingkao.filings.user_notice import confirm_notice
from dingkao.journal.entries import TERMINAL_ACTOR, Actor
from dingkao.people import sign_in_sessions
from dingkao.people.models import Account, Organisation
from dingkao.people.provinces import open_province
from dingkao.question_banks.importing.file_import import import_questions
from tests import actors, conftest, sample_data
from tests.load import synthetic
from tests.load.bench_stack import (
    REQUESTS,
    Bench,
    Cost,
    RawHttpConnection,
    report_at_most,
    report_cost,
    report_result,
)

SLUG, CODE, PLACE = "guangxi", 45, "START45"
FIFTY = {"A1": 29, "A2": 6, "A3": 3, "B1": 4, "X": 8}
WARM_UP = 40
SITTINGS, THINKING, SITTINGS_EACH = 160, 2.0, 8
STEPS = ("start", "page", "save", "hand_in")
CLOSED, CLOSED_SECONDS = 8, 6
SITTING_START_COST, SITTING_HAND_IN_COST = 8.72, 9.11
"""Bars in yardsticks."""
FLAT = 1.05
IDLE = 4  # seconds after which a server may have closed a kept connection


class PersistentConnection:
    """A kept connection to a server, or a new one where the server may have closed it meanwhile."""

    def __init__(self, port: int) -> None:
        self.connection, self.used = HTTPConnection("127.0.0.1", port, timeout=60), 0.0

    def send(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> HTTPResponse:
        """Send a request; its reply, whose body is to be read."""
        if time.monotonic() - self.used > IDLE:
            self.connection.close()
        self.connection.request(method, path, body, headers)
        reply = self.connection.getresponse()
        self.used = time.monotonic()
        return reply


class SimulatedPhone:
    """A doctor with a phone: cookies, the form's token, and what the sitting's page was given."""

    def __init__(self, port: int, token: str, name: str, ticket: str) -> None:
        self.cookies = {f"dk-{SLUG}": token}
        self.name, self.ticket = name, ticket
        self.form = self.sitting = ""
        self.connect(PersistentConnection(port))

    def connect(self, line: PersistentConnection) -> None:
        """By this line from now on: one of its own, or one that many share, as behind a proxy."""
        self.line = line

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, str, str]:
        """Status, place, text. Raises AssertionError for anything that is no success."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        reply = self.line.send(method, path, body, {"Cookie": cookies} | headers)
        text = reply.read().decode()
        for cookie in reply.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.partition("=")
            self.cookies[name] = value.partition(";")[0]
        assert reply.status < 400, (path, reply.status, text[:400])
        return reply.status, reply.headers.get("Location", ""), text

    def get(self, path: str) -> str:
        """A page; the token of its form is kept."""
        text = self.ask("GET", f"/{SLUG}{path}")[2]
        match = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', text)
        self.form = match[1] if match else self.form
        return text

    def post(self, path: str, **data: str) -> str:
        """Where it leads."""
        body = urlencode({"csrf_token": self.form} | data)
        return self.ask(
            "POST", f"/{SLUG}{path}", body, **{"Content-Type": "application/x-www-form-urlencoded"}
        )[1]

    def enter(self) -> None:
        """By name and ticket, as far as the notice."""
        self.get("/sitting")
        self.post("/sitting", name=self.name, number=self.ticket, consent="yes")
        match = re.search(r"/sitting/paper/([0-9a-f-]{36})", self.get("/sitting"))
        assert match
        self.paper = match[1]
        self.get(f"/sitting/paper/{self.paper}")

    def start(self) -> None:
        """「进入考试」."""
        place = self.post(f"/sitting/paper/{self.paper}", promise="yes")
        self.sitting = place.rsplit("/", 1)[1]

    def page(self) -> str:
        """The page of the sitting."""
        text = self.get(f"/sitting/{self.sitting}")
        match = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
        assert match
        self.data = json.loads(match[1])
        return text

    def save(self, position: int, sequence: int) -> None:
        """One answer."""
        body = json.dumps(
            {
                "position": position,
                "letters": "ABCDE"[sequence % 5],
                "sequence": sequence,
                "tapped": self.data["now"],
            }
        )
        headers = {"X-Sitting": self.data["token"], "Content-Type": "application/json"}
        reply = self.line.send("POST", self.data["address"], body, headers)
        text = reply.read().decode()
        assert reply.status == 200, text

    def saving(self, position: int, sequence: int) -> bytes:
        """The same as the bytes of a request."""
        body = json.dumps(
            {
                "position": position,
                "letters": "ABCDE"[sequence % 5],
                "sequence": sequence,
                "tapped": self.data["now"],
            }
        )
        return (
            f"POST {self.data['address']} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
            f"application/json\r\nX-Sitting: {self.data['token']}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    def hand_in(self) -> None:
        """「确认交卷」."""
        assert self.post(f"/sitting/{self.sitting}/hand-in", outstanding="[]").endswith("/end")


def candidates(bench: Bench, number: int) -> list[SimulatedPhone]:
    """A province with a paper of fifty, and doctors who are 待测评, signed in and entered."""
    with bench.inside(SLUG) as province:
        open_province(province, by=TERMINAL_ACTOR)
        place = Organisation(
            name="起始医院",
            registration_number=PLACE,
            division="450100",
            category="医疗机构",
            health_authority="卫健委",
        )
        db.session.add(place)
        db.session.flush()
        cycle = actors.get_or_open_cycle()
        db.session.commit()
        with bench.superuser() as connection:
            ids = synthetic.load(connection, cycle.id, number)
        import_questions(sample_data.hundred_question_cells("临床"), bank_name="一百题", by=TERMINAL_ACTOR)
        save_paper(
            cycle,
            subject="common",
            category="clinical",
            level="physician",
            counts=FIFTY,
            minutes=600,
            opens_at=clock.now() - timedelta(days=1),
            closes_at=clock.now() + timedelta(days=9),
            by=TERMINAL_ACTOR,
        )
        db.session.commit()
        phones = [_candidate(bench, cycle, place.id, doctor) for doctor in ids]
        db.session.commit()
    with bench.superuser() as connection:
        connection.execute("vacuum (analyze)")
    line = PersistentConnection(bench.stack.port)
    for phone in phones:
        phone.connect(line)
        phone.enter()
    return phones


def _candidate(bench: Bench, cycle: Cycle, place: UUID, doctor_id: UUID) -> SimulatedPhone:
    doctor = db.session.get_one(Doctor, (CODE, doctor_id))
    account = db.session.get_one(Account, (CODE, doctor.account_id))
    record = db.session.scalars(select(Assessment).where(Assessment.doctor_id == doctor_id)).one()
    doctor.category, doctor.level, account.state = "clinical", "physician", "active"
    record.state, record.assessor_id, record.procedure, record.performance, record.ethics = (
        "ready",
        place,
        "simple",
        "pass",
        "pass",
    )
    confirm_notice(doctor, cycle, by=Actor("doctor", account.id))
    db.session.flush()
    return SimulatedPhone(
        bench.stack.port,
        sign_in_sessions.start_session(account),
        account.name,
        get_or_issue_ticket(record).number,
    )


def reset_sittings(bench: Bench, phones: list[SimulatedPhone]) -> None:
    """Let them begin anew: what they sat counts no more."""
    with bench.superuser() as connection:
        connection.execute(
            "update sitting set voided_at = now() where tenant_id = %s and voided_at is null", (CODE,)
        )
        connection.execute("update assessment set state = 'ready' where tenant_id = %s", (CODE,))
    for phone in phones:
        phone.get(f"/sitting/paper/{phone.paper}")


def measure_costs(bench: Bench, phones: list[SimulatedPhone]) -> Cost:
    """CPU of web and database for each step of a sitting of fifty; the page's weight; what the sittings take
    up, indexes and all. Gives what the question page costs."""
    wait = time.monotonic()

    def cost(step: Callable[[SimulatedPhone], object]) -> Cost:
        waiting: Iterator[SimulatedPhone] = iter(phones)
        return bench.cost(lambda _number: step(next(waiting)) and None, len(phones) - WARM_UP)

    with bench.superuser() as connection:
        size_before = _stored(connection)
    report_cost("sitting_start", cost(SimulatedPhone.start), SITTING_START_COST)
    page = cost(SimulatedPhone.page)
    report_result("doctor_question_cpu_ms", page.milliseconds, "ms", None, None)
    report_at_most("sitting_page_kb", len(gzip.compress(phones[0].page().encode(), 6)) / 1024, "kB", 15)
    with bench.superuser() as connection:
        connection.execute(
            "insert into sitting_answer select tenant_id, id, position, 'A', position + 1, now(), "
            "now() from sitting, generate_series(0, 49) position "
            "where tenant_id = %s and voided_at is null",
            (CODE,),
        )
    report_cost("sitting_hand_in", cost(SimulatedPhone.hand_in), SITTING_HAND_IN_COST)
    with bench.superuser() as connection:
        report_at_most(
            "sitting_storage_kb", (_stored(connection) - size_before) / 1024 / len(phones), "kB", 10
        )
    print(f"costs of a sitting in {time.monotonic() - wait:.0f} s", file=sys.stderr)  # noqa: T201
    return page


def _stored(connection: psycopg.Connection) -> int:
    sizes = connection.execute(
        "select sum(pg_total_relation_size(name::regclass)) from (values ('sitting'), "
        "('sitting_answer')) tables(name)"
    ).fetchone()
    assert sizes
    return int(sizes[0])


class Sitting:
    """Many who sit at once, thinking between two taps; how long each step took them."""

    def __init__(
        self, phones: list[SimulatedPhone], port: int, *, thinking: float, each: int, until: float = 0
    ) -> None:
        self.thinking, self.answers, self.until = thinking, each, until
        self.took: dict[str, list[float]] = {step: [] for step in STEPS}
        self.faults: list[BaseException] = []
        self.threads = [
            threading.Thread(target=self._sit, args=(phone, index)) for index, phone in enumerate(phones)
        ]
        for phone in phones:
            phone.connect(PersistentConnection(port))

    def run(self) -> float:
        """Let them sit to the end, or until the time given; seconds."""
        began = time.monotonic()
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join()
        assert not self.faults, self.faults[:3]
        return time.monotonic() - began

    def _timed(self, step: str, work: Callable[[], object]) -> None:
        began = time.perf_counter()
        work()
        self.took[step].append((time.perf_counter() - began) * 1000)

    def _sit(self, phone: SimulatedPhone, index: int) -> None:
        chance = random.Random(index)  # noqa: S311 - how long one thinks
        try:
            time.sleep(chance.random() * self.thinking)
            self._timed("start", phone.start)
            self._timed("page", phone.page)
            sequence = 0
            while (time.monotonic() < self.until) if self.until else sequence < self.answers:
                sequence += 1
                time.sleep(chance.random() * 2 * self.thinking)
                self._timed("save", lambda: phone.save(sequence % 50, sequence))  # noqa: B023 - called at once
                if self.until and sequence % 50 == 0:
                    self._timed("page", phone.page)
            self._timed("hand_in", phone.hand_in)
        except Exception as fault:  # told by the thread that waits
            self.faults.append(fault)


def measure_crowds(bench: Bench, phones: list[SimulatedPhone]) -> None:
    """How long each step takes while many sit at once, on one web process with one core and on one a core
    with all; and how many saves a second both take."""
    rates = []
    for workers in sorted({1, os.cpu_count() or 1}):
        line = PersistentConnection(bench.stack.port)
        for phone in phones:
            phone.connect(line)
        reset_sittings(bench, phones)
        with bench.web(workers) as port, measure_cores(bench, workers):
            for phone in phones[:8]:
                phone.connect(PersistentConnection(port))
                phone.get("/home")
            sat = Sitting(phones, port, thinking=THINKING, each=SITTINGS_EACH)
            seconds = sat.run()
            name = f"exam_{workers}_process{'es' if workers > 1 else ''}"
            report_result(f"{name}_sittings", len(phones), "at once", None, None)
            report_result(
                f"{name}_requests", sum(map(len, sat.took.values())) / seconds, "per second", None, None
            )
            for step in STEPS:
                for share in (50, 95, 99):
                    report_result(
                        f"{name}_{step}_p{share}", percentile(sat.took[step], share), "ms", None, None
                    )
            line = PersistentConnection(bench.stack.port)
            for phone in phones[:CLOSED]:
                phone.connect(line)
            reset_sittings(bench, phones[:CLOSED])
            for phone in phones[:CLOSED]:
                phone.connect(PersistentConnection(port))
                phone.start()
                phone.page()
            rate, cost = _closed_loop(bench, phones[:CLOSED], port)
            report_result(f"{name}_save_rate", rate, "per second", None, None)
            report_result(f"{name}_save_cpu_ms", cost, "ms", None, None)
            rates.append(rate)
    report_result("exam_save_growth", rates[-1] / rates[0], "ratio", None, None)


def _closed_loop(bench: Bench, phones: list[SimulatedPhone], port: int) -> tuple[float, float]:
    """Saves a second by as many as there are phones, each sending the next as soon as the last is
    acknowledged, over bare connections, and the CPU milliseconds that one took of web and database. Where
    that is the same on one process and on one a core, they wait for nothing in common; how the rate grows is
    less than that, as the generator needs its part of the cores."""
    counts, deadline = [0] * len(phones), time.monotonic() + CLOSED_SECONDS

    def press(which: int) -> None:
        wire, phone = RawHttpConnection(port), phones[which]
        while time.monotonic() < deadline:
            counts[which] += 1
            wire.ask(phone.saving(counts[which] % 50, counts[which]))

    threads = [threading.Thread(target=press, args=(index,)) for index in range(len(phones))]
    cpu_before = bench.cpu()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / CLOSED_SECONDS, (bench.cpu() - cpu_before) * 1000 / sum(counts)


@contextmanager
def measure_cores(bench: Bench, cores: int) -> Iterator[None]:
    """The server on so many cores; the generator on those that are left, or where none is on every one, and
    then it costs the server something."""
    all_cores = set(range(os.cpu_count() or 1))
    server, own_affinity = set(range(cores)), os.sched_getaffinity(0)
    bench.pin(server)
    os.sched_setaffinity(0, all_cores - server or all_cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, own_affinity)
        bench.pin()


def percentile(values: list[float], share: int) -> float:
    """The value that `share` per cent are not above."""
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1]


def soak(bench: Bench, phones: list[SimulatedPhone], minutes: float) -> None:
    """Let them sit for so long, and hold the web's memory in the last quarter against that in the second."""
    reset_sittings(bench, phones)
    cores = os.cpu_count() or 1
    with bench.web(cores) as port, measure_cores(bench, cores):
        deadline = time.monotonic() + minutes * 60
        sat = Sitting(phones, port, thinking=THINKING, each=0, until=deadline)
        memory_samples: list[float] = []

        def watch() -> None:
            while time.monotonic() < deadline:
                memory_samples.append(bench.memory())
                time.sleep(max(1, minutes))

        watching = threading.Thread(target=watch)
        watching.start()
        seconds = sat.run()
        watching.join()
    quarter = len(memory_samples) // 4
    early, late = (
        statistics.median(memory_samples[quarter : 2 * quarter]),
        statistics.median(memory_samples[-quarter:]),
    )
    report_result("soak_minutes", seconds / 60, "min", None, None)
    report_result("soak_requests", sum(map(len, sat.took.values())), "requests", None, None)
    for share in (50, 95, 99):
        report_result(f"soak_save_p{share}", percentile(sat.took["save"], share), "ms", None, None)
    report_result("soak_memory_mb", late, "MB", None, None)
    report_at_most("soak_memory_growth", late / early, "ratio", FLAT)


def figures(bench: Bench, *, crowds: bool = True) -> Cost:
    """Costs, then crowds; gives what the question page costs."""
    phones = candidates(bench, REQUESTS + WARM_UP)
    page = measure_costs(bench, phones)
    if crowds:
        measure_crowds(bench, phones[:SITTINGS])
    return page


def main() -> None:
    """This part alone, or the soak."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--soak", type=float, help="minutes")
    parser.add_argument("--sittings", type=int, default=SITTINGS)
    args = parser.parse_args()
    for name in conftest.FROM_OUTSIDE:
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(prefix="dingkao-exam-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        bench = Bench(Path(folder) / f"home-{secrets.token_hex(3)}")
        try:
            if args.soak:
                soak(bench, candidates(bench, args.sittings), args.soak)
            else:
                figures(bench)
        finally:
            bench.end()


if __name__ == "__main__":
    main()
