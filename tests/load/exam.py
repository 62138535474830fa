"""The exam's part of `make bench`: what starting, answering and handing in a sitting of fifty cost, and how long they take while many sit
at once on one web process and on one a core. `python -m tests.load.exam` is this part alone; `--soak 30` lets them sit for that many minutes and looks at
the memory of the web's processes.
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
from dingkao.database.model import db
from dingkao.doctors.models import Doctor
from dingkao.exams.importing import import_questions
from dingkao.exams.papers import make_paper
from dingkao.exams.tickets import issue_ticket
from dingkao.filings.dossier import read_notice
from dingkao.journal.writing import TERMINAL, Actor
from dingkao.people import signing_in
from dingkao.people.models import Account, Organisation
from dingkao.people.opening import open_province
from tests import conftest, material, people
from tests.load import synthetic
from tests.load.stand import REQUESTS, Bench, Wire, at_most, told

SLUG, CODE, PLACE = "guangxi", 45, "START45"
FIFTY = {"A1": 29, "A2": 6, "A3": 3, "B1": 4, "X": 8}
WARM_UP = 40
SITTINGS, THINKING, EACH = 160, 2.0, 8
STEPS = ("start", "page", "save", "hand_in")
CLOSED, CLOSED_SECONDS = 8, 6
FLAT = 1.05
IDLE = 4  # seconds after which a server may have closed a kept connection


class Line:
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


class Phone:
    """A doctor with a phone: cookies, the form's token, and what the sitting's page was given."""

    def __init__(self, port: int, token: str, name: str, ticket: str) -> None:
        self.cookies = {f"dk-{SLUG}": token}
        self.name, self.ticket = name, ticket
        self.form = self.sitting = ""
        self.connect(Line(port))

    def connect(self, line: Line) -> None:
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
        found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', text)
        self.form = found[1] if found else self.form
        return text

    def post(self, path: str, **data: str) -> str:
        """Where it leads."""
        body = urlencode({"csrf_token": self.form} | data)
        return self.ask("POST", f"/{SLUG}{path}", body, **{"Content-Type": "application/x-www-form-urlencoded"})[1]

    def enter(self) -> None:
        """By name and ticket, as far as the notice."""
        self.get("/sitting")
        self.post("/sitting", name=self.name, number=self.ticket, consent="yes")
        found = re.search(r"/sitting/paper/([0-9a-f-]{36})", self.get("/sitting"))
        assert found
        self.paper = found[1]
        self.get(f"/sitting/paper/{self.paper}")

    def start(self) -> None:
        """「进入考试」."""
        place = self.post(f"/sitting/paper/{self.paper}", promise="yes")
        self.sitting = place.rsplit("/", 1)[1]

    def page(self) -> str:
        """The page of the sitting."""
        text = self.get(f"/sitting/{self.sitting}")
        found = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
        assert found
        self.data = json.loads(found[1])
        return text

    def save(self, position: int, sequence: int) -> None:
        """One answer."""
        body = json.dumps({"position": position, "letters": "ABCDE"[sequence % 5], "sequence": sequence, "tapped": self.data["now"]})
        headers = {"X-Sitting": self.data["token"], "Content-Type": "application/json"}
        reply = self.line.send("POST", self.data["address"], body, headers)
        text = reply.read().decode()
        assert reply.status == 200, text

    def saving(self, position: int, sequence: int) -> bytes:
        """The same as the bytes of a request."""
        body = json.dumps({"position": position, "letters": "ABCDE"[sequence % 5], "sequence": sequence, "tapped": self.data["now"]})
        return (
            f"POST {self.data['address']} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nX-Sitting: {self.data['token']}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    def hand_in(self) -> None:
        """「确认交卷」."""
        assert self.post(f"/sitting/{self.sitting}/hand-in", outstanding="[]").endswith("/end")


def candidates(bench: Bench, number: int) -> list[Phone]:
    """A province with a paper of fifty, and doctors who are 待测评, signed in and entered."""
    with bench.inside(SLUG) as province:
        open_province(province, by=TERMINAL)
        place = Organisation(name="起始医院", registration_number=PLACE, division="450100", category="医疗机构", health_authority="卫健委")
        db.session.add(place)
        db.session.flush()
        cycle = people.running_cycle()
        db.session.commit()
        with psycopg.connect(bench.stack.environment["MIGRATOR_DATABASE_URL"].replace("+psycopg", "")) as connection:
            ids = synthetic.load(connection, cycle.id, number)
        import_questions(material.hundred_questions("临床"), bank="一百题", by=TERMINAL)
        make_paper(
            cycle, subject="common", category="clinical", level="physician", counts=FIFTY, minutes=600,
            opens_at=clock.now() - timedelta(days=1), closes_at=clock.now() + timedelta(days=9), by=TERMINAL,
        )  # fmt: skip
        db.session.commit()
        phones = [_candidate(bench, cycle, place.id, doctor) for doctor in ids]
        db.session.commit()
    with bench.superuser() as connection:
        connection.execute("vacuum (analyze)")
    line = Line(bench.stack.port)
    for phone in phones:
        phone.connect(line)
        phone.enter()
    return phones


def _candidate(bench: Bench, cycle: Cycle, place: UUID, doctor_id: UUID) -> Phone:
    doctor = db.session.get_one(Doctor, (CODE, doctor_id))
    account = db.session.get_one(Account, (CODE, doctor.account_id))
    record = db.session.scalars(select(Assessment).where(Assessment.doctor_id == doctor_id)).one()
    doctor.category, account.state = "clinical", "active"
    record.state, record.assessor_id, record.procedure, record.performance, record.ethics = "ready", place, "simple", "pass", "pass"
    read_notice(doctor, cycle, by=Actor("doctor", account.id))
    db.session.flush()
    return Phone(bench.stack.port, signing_in.begin_session(account), account.name, issue_ticket(record).number)


def again(bench: Bench, phones: list[Phone]) -> None:
    """Let them begin anew: what they sat counts no more."""
    with bench.superuser() as connection:
        connection.execute("update sitting set voided_at = now() where tenant_id = %s and voided_at is null", (CODE,))
        connection.execute("update assessment set state = 'ready' where tenant_id = %s", (CODE,))
    for phone in phones:
        phone.get(f"/sitting/paper/{phone.paper}")


def costs(bench: Bench, phones: list[Phone]) -> float:
    """CPU of web and database for each step of a sitting of fifty; the page's weight; what the sittings take up, indexes and all. Gives what the
    question page costs."""
    wait = time.monotonic()

    def each(step: Callable[[Phone], object]) -> float:
        left: Iterator[Phone] = iter(phones)
        return bench.each(lambda _number: step(next(left)) and None, len(phones) - WARM_UP)

    with bench.superuser() as connection:
        before = _stored(connection)
    at_most("sitting_start_cpu_ms", each(Phone.start), "ms", 5)
    page = each(Phone.page)
    told("doctor_question_cpu_ms", page, "ms", None, None)
    at_most("sitting_page_kb", len(gzip.compress(phones[0].page().encode(), 6)) / 1024, "kB", 15)
    with bench.superuser() as connection:
        connection.execute(
            "insert into sitting_answer select tenant_id, id, position, 'A', position + 1, now(), now() from sitting, generate_series(0, 49) position "
            "where tenant_id = %s and voided_at is null",
            (CODE,),
        )
    at_most("sitting_hand_in_cpu_ms", each(Phone.hand_in), "ms", 5)
    with bench.superuser() as connection:
        at_most("sitting_storage_whole_kb", (_stored(connection) - before) / 1024 / len(phones), "kB", 10)
    print(f"costs of a sitting in {time.monotonic() - wait:.0f} s", file=sys.stderr)  # noqa: T201
    return page


def _stored(connection: psycopg.Connection) -> int:
    row = connection.execute("select sum(pg_total_relation_size(name::regclass)) from (values ('sitting'), ('sitting_answer')) tables(name)").fetchone()
    assert row
    return int(row[0])


class Sitting:
    """Many who sit at once, thinking between two taps; how long each step took them."""

    def __init__(self, phones: list[Phone], port: int, *, thinking: float, each: int, until: float = 0) -> None:
        self.thinking, self.answers, self.until = thinking, each, until
        self.took: dict[str, list[float]] = {step: [] for step in STEPS}
        self.faults: list[BaseException] = []
        self.threads = [threading.Thread(target=self._sit, args=(phone, index)) for index, phone in enumerate(phones)]
        for phone in phones:
            phone.connect(Line(port))

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

    def _sit(self, phone: Phone, index: int) -> None:
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


def crowds(bench: Bench, phones: list[Phone]) -> None:
    """How long each step takes while many sit at once, on one web process with one core and on one a core with all; and how many saves a
    second both take."""
    rates = []
    for workers in sorted({1, os.cpu_count() or 1}):
        line = Line(bench.stack.port)
        for phone in phones:
            phone.connect(line)
        again(bench, phones)
        with bench.web(workers) as port, spread(bench, workers):
            for phone in phones[:8]:
                phone.connect(Line(port))
                phone.get("/home")
            sat = Sitting(phones, port, thinking=THINKING, each=EACH)
            seconds = sat.run()
            name = f"exam_{workers}_process{'es' if workers > 1 else ''}"
            told(f"{name}_sittings", len(phones), "at once", None, None)
            told(f"{name}_requests", sum(map(len, sat.took.values())) / seconds, "per second", None, None)
            for step in STEPS:
                for share in (50, 95, 99):
                    told(f"{name}_{step}_p{share}", percentile(sat.took[step], share), "ms", None, None)
            line = Line(bench.stack.port)
            for phone in phones[:CLOSED]:
                phone.connect(line)
            again(bench, phones[:CLOSED])
            for phone in phones[:CLOSED]:
                phone.connect(Line(port))
                phone.start()
                phone.page()
            rate, cost = _closed_loop(bench, phones[:CLOSED], port)
            told(f"{name}_save_rate", rate, "per second", None, None)
            told(f"{name}_save_cpu_ms", cost, "ms", None, None)
            rates.append(rate)
    told("exam_save_growth", rates[-1] / rates[0], "ratio", None, None)


def _closed_loop(bench: Bench, phones: list[Phone], port: int) -> tuple[float, float]:
    """Saves a second by as many as there are phones, each sending the next as soon as the last is acknowledged, over bare connections, and the
    CPU milliseconds that one took of web and database. Where that is the same on one process and on one a core, they wait for nothing
    in common; how the rate grows is less than that, as the generator needs its part of the cores."""
    counts, until = [0] * len(phones), time.monotonic() + CLOSED_SECONDS

    def press(which: int) -> None:
        wire, phone = Wire(port), phones[which]
        while time.monotonic() < until:
            counts[which] += 1
            wire.ask(phone.saving(counts[which] % 50, counts[which]))

    threads = [threading.Thread(target=press, args=(which,)) for which in range(len(phones))]
    before = bench.cpu()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / CLOSED_SECONDS, (bench.cpu() - before) * 1000 / sum(counts)


@contextmanager
def spread(bench: Bench, cores: int) -> Iterator[None]:
    """The server on so many cores; the generator on those that are left, or where none is on every one, and then it costs the server something."""
    every = set(range(os.cpu_count() or 1))
    server, mine = set(range(cores)), os.sched_getaffinity(0)
    bench.pin(server)
    os.sched_setaffinity(0, every - server or every)
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)
        bench.pin()


def percentile(values: list[float], share: int) -> float:
    """The value that `share` per cent are not above."""
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1]


def soak(bench: Bench, phones: list[Phone], minutes: float) -> None:
    """Let them sit for so long, and hold the web's memory in the last quarter against that in the second."""
    again(bench, phones)
    cores = os.cpu_count() or 1
    with bench.web(cores) as port, spread(bench, cores):
        until = time.monotonic() + minutes * 60
        sat = Sitting(phones, port, thinking=THINKING, each=0, until=until)
        seen: list[float] = []

        def watch() -> None:
            while time.monotonic() < until:
                seen.append(bench.memory())
                time.sleep(max(1, minutes))

        watching = threading.Thread(target=watch)
        watching.start()
        seconds = sat.run()
        watching.join()
    quarter = len(seen) // 4
    early, late = statistics.median(seen[quarter : 2 * quarter]), statistics.median(seen[-quarter:])
    told("soak_minutes", seconds / 60, "min", None, None)
    told("soak_requests", sum(map(len, sat.took.values())), "requests", None, None)
    for share in (50, 95, 99):
        told(f"soak_save_p{share}", percentile(sat.took["save"], share), "ms", None, None)
    told("soak_memory_mb", late, "MB", None, None)
    at_most("soak_memory_growth", late / early, "ratio", FLAT)


def figures(bench: Bench) -> float:
    """Costs, then crowds; gives what the question page costs."""
    phones = candidates(bench, REQUESTS + WARM_UP)
    page = costs(bench, phones)
    crowds(bench, phones[:SITTINGS])
    return page


def main() -> None:
    """This part alone, or the soak."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--soak", type=float, help="minutes")
    parser.add_argument("--sittings", type=int, default=SITTINGS)
    given = parser.parse_args()
    for name in conftest.FROM_OUTSIDE:
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(prefix="dingkao-exam-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        bench = Bench(Path(folder) / f"home-{secrets.token_hex(3)}")
        try:
            if given.soak:
                soak(bench, candidates(bench, given.sittings), given.soak)
            else:
                figures(bench)
        finally:
            bench.end()


if __name__ == "__main__":
    main()
