"""`make chaos`: everything is killed -9, one after another, under many doctors who answer at once, and what was acknowledged is looked for.

The clients write a line into their log for each acknowledgement, before they go on; the log alone is what the database is held against.
The suite runs a small one (tests/embedded/test_answers_survive.py).
"""

import argparse
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID, uuid4

from sqlalchemy import select

from dingkao.app import create_app
from dingkao.assessments import moves
from dingkao.assessments.enrolment import enrol, include
from dingkao.assessments.models import Assessment
from dingkao.database.model import db
from dingkao.doctors.roster import import_roster
from dingkao.embedded.stack import remembered
from dingkao.exams import saving, sittings
from dingkao.exams.importing import import_questions
from dingkao.exams.papers import papers_for
from dingkao.journal.writing import TERMINAL, Actor
from dingkao.people.opening import open_province
from dingkao.people.organisations import import_institutions
from dingkao.settings import Settings
from dingkao.tenants.context import entered
from dingkao.tenants.registry import by_slug
from tests import conftest, material, people

KEEPER = """
import json, sys, threading, time
from pathlib import Path
from dingkao.embedded.stack import Stack
stack = Stack(Path(sys.argv[1]), int(sys.argv[2]), lambda told: print(told, file=sys.stderr, flush=True))
stack.begin()
stack.serve()
print(json.dumps({child.name: child.process.pid for child in stack.supervisor.children}), flush=True)
def tell():
    while True:
        time.sleep(0.3)
        found = {child.name: child.process.pid for child in list(stack.supervisor.children) if child.running()}
        aside = Path(sys.argv[1]) / "pids.new"
        aside.write_text(json.dumps(found))
        aside.replace(Path(sys.argv[1]) / "pids")
threading.Thread(target=tell, daemon=True).start()
stack.supervisor.keep()
"""
SLUG, CODE = "shanxi", 14
ROUNDS = ("Web", "PostgreSQL", "Worker", "Valkey", "Timetable", "Swift object", "Swift proxy", "PostgreSQL", "Web")
CHANGED = 0.15  # the share of taps that go back to some question, of which many were answered before
Opened = tuple[UUID, str, int]


@contextmanager
def kept_stack(folder: Path) -> Iterator[tuple[Path, int]]:
    """A whole stack kept by a process of its own: its home and port."""
    for name in conftest.FROM_OUTSIDE:
        os.environ.pop(name, None)
    home, port = folder / "home", conftest.free_port()
    with (folder / "said").open("w") as said:
        process = subprocess.Popen([sys.executable, "-c", KEEPER, str(home), str(port)], stdout=subprocess.PIPE, stderr=said, text=True)  # noqa: S603
    assert process.stdout
    try:
        assert process.stdout.readline(), (folder / "said").read_text()
        yield home, port
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def opened_sittings(home: Path, doctors: int) -> list[Opened]:
    """Sittings of a hundred questions, begun: id, token, number of questions. In a process of its own, as it makes an application."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_open_sittings, (home, doctors))


def _open_sittings(home: Path, doctors: int) -> list[Opened]:
    application = create_app(Settings.from_environment(remembered(home)))
    province = by_slug(SLUG)
    assert province
    opened = []
    with application.app_context(), entered(CODE):
        open_province(province, by=TERMINAL)
        import_institutions(material.institutions(CODE), by=TERMINAL)
        import_roster(material.roster([material.roster_row(CODE, serial) for serial in range(doctors)]), by=TERMINAL)
        import_questions(material.hundred_questions("临床"), bank="一百题", by=TERMINAL)
        cycle = people.running_cycle()
        enrol(cycle)
        db.session.commit()
        people.paper_of_a_hundred(cycle, category="clinical")
        include(cycle, list(db.session.scalars(select(Assessment.id))), by=people.actor("province_admin"), institutions=None)
        for record in db.session.scalars(select(Assessment).with_for_update()):
            own = Actor("doctor", uuid4())
            moves.begin_filing(record, by=own)
            moves.submit(record, by=own, procedure="general")
            moves.approve(record, by=people.actor("institution_reviewer"), performance="pass", ethics="pass", opinion="同意")
            moves.accept(record, by=people.actor("organisation_reviewer"))
            sitting = sittings.open_sitting(record, papers_for(record)[0], by=own)
            opened.append((sitting.id, saving.token_of(sitting, str(application.secret_key)), len(sitting.layout)))
        db.session.commit()
    return opened


class Doctors:
    """Doctors who answer at once, each on a connection of their own, and the log of what they were told is kept."""

    def __init__(self, port: int, opened: list[Opened], log: TextIO, pause: float) -> None:
        self.port, self.log, self.pause = port, log, pause
        self.stop, self.writing = threading.Event(), threading.Lock()
        self.acknowledged, self.answers, self.refused = 0, set[tuple[UUID, int]](), list[str]()
        self.threads = [threading.Thread(target=self._answer, args=one) for one in opened]

    def _answer(self, sitting: UUID, token: str, size: int) -> None:
        chance, sequence = random.Random(str(sitting)), 0  # noqa: S311 - which answers are tapped
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"X-Sitting": token, "Content-Type": "application/json"}
        while not self.stop.wait(chance.random() * 2 * self.pause):
            sequence += 1
            position = chance.randrange(size) if chance.random() < CHANGED else sequence % size
            letters = chance.choice("ABCDE")
            body = json.dumps({"position": position, "letters": letters, "sequence": sequence, "tapped": None})
            while not self.stop.is_set():
                try:
                    connection.request("POST", f"/{SLUG}/sitting/{sitting}/answer", body, headers)
                    reply = connection.getresponse()
                    text, status = reply.read().decode(), reply.status
                except (OSError, HTTPException):
                    connection.close()
                    status = 503
                if status == 200:
                    with self.writing:
                        self.log.write(json.dumps([str(sitting), position, sequence, letters]) + "\n")
                        self.log.flush()
                        self.acknowledged += 1
                        self.answers.add((sitting, position))
                    break
                if status < 500:
                    self.refused.append(text)
                    return
                self.stop.wait(0.2 + chance.random() * 0.4)
        connection.close()


@dataclass(frozen=True)
class Outcome:
    """What came of it: saves acknowledged, answers they belong to, those of them that are lost, what was refused, seconds."""

    acknowledged: int
    answers: int
    sittings: int
    lost: dict[tuple[str, int], Any]
    refused: list[str]
    seconds: float


def killed_one_after_another(home: Path, port: int, opened: list[Opened], log: Path, *, pause: float, at_least: int = 0) -> Outcome:
    """Let doctors answer and kill each of ROUNDS -9 under them, until all were killed and `at_least` different answers were acknowledged, the
    kills spread over them; then hold the database against the log. Raises AssertionError where nothing is saved any more."""
    began = time.monotonic()
    with log.open("w") as lines:
        doctors = Doctors(port, opened, lines, pause)
        for thread in doctors.threads:
            thread.start()
        try:
            for number, victim in enumerate(ROUNDS, 1):
                time.sleep(1.5)
                _wait(lambda: len(doctors.answers) * (len(ROUNDS) + 1) >= at_least * number, f"before {victim} was killed", 300)  # noqa: B023
                before = doctors.acknowledged
                os.killpg(json.loads((home / "pids").read_text())[victim], signal.SIGKILL)
                _wait(lambda: doctors.acknowledged > before + len(opened), f"after {victim} had been killed")  # noqa: B023 - waited for at once
                print(f"{victim} killed after {before} saves", file=sys.stderr)  # noqa: T201
            _wait(lambda: len(doctors.answers) >= at_least, "at last", 300)
        finally:
            doctors.stop.set()
            for thread in doctors.threads:
                thread.join()
    newest: dict[tuple[str, int], tuple[int, str]] = {}
    acknowledged = 0
    for line in log.read_text().splitlines():
        sitting, position, sequence, letters = json.loads(line)
        acknowledged += 1
        newest[(sitting, position)] = max(newest.get((sitting, position), (0, "")), (sequence, letters))
    with conftest.superuser_connection(home) as connection:
        kept = connection.execute("select sitting_id, position, sequence, letters from sitting_answer").fetchall()
    rows = {(str(sitting), position): (sequence, letters) for sitting, position, sequence, letters in kept}
    assert len(kept) == len(rows) >= len(newest)
    lost = {
        key: said for key, said in newest.items()
        if key not in rows or rows[key][0] < said[0] or (rows[key][0] == said[0] and rows[key][1] != said[1])
    }  # fmt: skip
    return Outcome(acknowledged, len(newest), len({sitting for sitting, _ in newest}), lost, doctors.refused, time.monotonic() - began)


def _wait(reached: Any, when: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"nothing was saved any more {when}"
        time.sleep(0.1)


def main() -> None:
    """The large one; exit status 1 where anything was lost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--doctors", type=int, default=500)
    parser.add_argument("--answers", type=int, default=20_000, help="different answers acknowledged, at least")
    parser.add_argument("--pause", type=float, default=1, help="seconds between two taps of a doctor, on average")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dingkao-chaos-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with kept_stack(Path(folder)) as (home, port):
            opened = opened_sittings(home, given.doctors)
            found = killed_one_after_another(home, port, opened, Path(folder) / "log", pause=given.pause, at_least=given.answers)
    print(json.dumps({  # noqa: T201
        "sittings": found.sittings, "kills": len(ROUNDS), "acknowledged": found.acknowledged, "answers": found.answers, "lost": len(found.lost),
        "refused": len(found.refused), "seconds": round(found.seconds, 1),
    }))  # fmt: skip
    sys.exit(bool(found.lost or found.refused or found.sittings < given.doctors))


if __name__ == "__main__":
    main()
