"""`make chaos`: everything is killed -9, one after another, under many doctors who answer at once, and what
was acknowledged is looked for; then the database stands still across the end of fifty sittings (outage.py).

The clients write a line into their log for each acknowledgement, before they go on; the log alone is what the
database is held against. The suite runs a small one (tests/embedded/test_make_run.py).
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID, uuid4

from dingkao.database.base import db
from dingkao.exams import answer_saving, sittings
from dingkao.exams.papers import papers_for
from dingkao.journal.entries import Actor
from tests import conftest
from tests.load import ground, outage, process_kills

KEEPER = """
import json, sys
from pathlib import Path
from dingkao.embedded.stack import Stack
stack = Stack(Path(sys.argv[1]), int(sys.argv[2]), lambda told: print(told, file=sys.stderr, flush=True))
stack.start_engines()
stack.start_all()
print(json.dumps({child.name: child.process.pid for child in stack.supervisor.children}), flush=True)
stack.supervisor.run_until_signal()
"""
SLUG, CODE = "jiangsu", 32
ROUNDS = (
    "web",
    "postgres",
    "worker",
    "valkey",
    "timetable",
    "swift object",
    "swift proxy",
    "postgres",
    "web",
)
"""What is killed, by its kind (process_kills.py)."""
REVISED_SHARE = 0.15  # the share of taps that go back to some question, of which many were answered before
Opened = tuple[UUID, str, int]


@contextmanager
def kept_stack(folder: Path) -> Iterator[tuple[Path, int]]:
    """A whole stack kept by a process of its own: its home and port."""
    for name in conftest.FROM_OUTSIDE:
        os.environ.pop(name, None)
    home, port = folder / "home", conftest.free_port()
    with (folder / "said").open("w") as output_file:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", KEEPER, str(home), str(port)],
            stdout=subprocess.PIPE,
            stderr=output_file,
            text=True,
        )
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
    """Sittings of a hundred questions, begun: id, token, number of questions."""
    return ground.apart(_open_sittings, home, doctors)


def _open_sittings(home: Path, doctors: int) -> list[Opened]:
    opened = []
    with ground.province(home, SLUG) as application:
        for record in ground.included(CODE, doctors)[1]:
            actor = Actor("doctor", uuid4())
            ground.make_ready(record, actor, "general")
            sitting = sittings.open_sitting(record, papers_for(record)[0], by=actor)
            opened.append(
                (
                    sitting.id,
                    answer_saving.make_token(sitting, str(application.secret_key)),
                    len(sitting.layout),
                )
            )
        db.session.commit()
    return opened


class Doctors:
    """Doctors who answer at once, each on a connection of their own, and the log of what they were told is
    kept."""

    def __init__(self, port: int, opened: list[Opened], log: TextIO, pause: float) -> None:
        self.port, self.log, self.pause = port, log, pause
        self.stop, self.writing = threading.Event(), threading.Lock()
        self.acknowledged, self.answers, self.refused = 0, set[tuple[UUID, int]](), list[str]()
        self.threads = [threading.Thread(target=self._answer, args=seat) for seat in opened]

    def _answer(self, sitting: UUID, token: str, size: int) -> None:
        chance, sequence = random.Random(str(sitting)), 0  # noqa: S311 - which answers are tapped
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"X-Sitting": token, "Content-Type": "application/json"}
        while not self.stop.wait(chance.random() * 2 * self.pause):
            sequence += 1
            position = chance.randrange(size) if chance.random() < REVISED_SHARE else sequence % size
            letters = chance.choice("ABCDE")
            body = json.dumps(
                {"position": position, "letters": letters, "sequence": sequence, "tapped": None}
            )
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
    """What came of it: saves acknowledged, answers they belong to, those of them that are lost, what was
    refused, seconds."""

    acknowledged: int
    answers: int
    sittings: int
    lost: dict[tuple[str, int], Any]
    refused: list[str]
    seconds: float


def killed_one_after_another(
    home: Path,
    port: int,
    opened: list[Opened],
    log: Path,
    *,
    pause: float,
    rounds: Sequence[str] = ROUNDS,
    calm: float = 1.5,
    at_least: int = 0,
) -> Outcome:
    """Let doctors answer and kill each of `rounds` -9 under them, until all were killed and `at_least`
    different answers were acknowledged, the kills spread over them, with `calm` seconds at least before each;
    then hold the database against the log. Raises AssertionError where nothing is saved any more."""
    began = time.monotonic()
    with log.open("w") as lines:
        doctors = Doctors(port, opened, lines, pause)
        for thread in doctors.threads:
            thread.start()
        try:
            for number, victim in enumerate(rounds, 1):
                time.sleep(calm)
                _wait(
                    lambda: len(doctors.answers) * (len(rounds) + 1) >= at_least * number,  # noqa: B023
                    f"before {victim} was killed",
                    300,
                )
                saves_before = doctors.acknowledged
                _wait(lambda: victim in process_kills.children(home), f"and {victim} was not there")  # noqa: B023
                os.killpg(process_kills.children(home)[victim], signal.SIGKILL)
                _wait(
                    lambda: doctors.acknowledged > saves_before + len(opened),  # noqa: B023 - waited for at once
                    f"after {victim} had been killed",
                )
                print(f"{victim} killed after {saves_before} saves", file=sys.stderr)  # noqa: T201
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
        answer_rows = connection.execute(
            "select sitting_id, position, sequence, letters from sitting_answer"
        ).fetchall()
    stored_answers = {
        (str(sitting), position): (sequence, letters) for sitting, position, sequence, letters in answer_rows
    }
    assert len(answer_rows) == len(stored_answers) >= len(newest)
    lost = {
        key: latest
        for key, latest in newest.items()
        if key not in stored_answers
        or stored_answers[key][0] < latest[0]
        or (stored_answers[key][0] == latest[0] and stored_answers[key][1] != latest[1])
    }
    return Outcome(
        acknowledged,
        len(newest),
        len({sitting for sitting, _ in newest}),
        lost,
        doctors.refused,
        time.monotonic() - began,
    )


def _wait(reached: Any, when: str, seconds: float = process_kills.WHOLE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"nothing was saved any more {when}"
        time.sleep(0.1)


def kills(doctors: int, answers: int, pause: float) -> bool:
    """Everything killed, one after another, under many who answer; whether nothing was lost."""
    with tempfile.TemporaryDirectory(prefix="dingkao-chaos-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with kept_stack(Path(folder)) as (home, port):
            opened = opened_sittings(home, doctors)
            report = killed_one_after_another(
                home, port, opened, Path(folder) / "log", pause=pause, at_least=answers
            )
    print(  # noqa: T201
        json.dumps(
            {
                "sittings": report.sittings,
                "kills": len(ROUNDS),
                "acknowledged": report.acknowledged,
                "answers": report.answers,
                "lost": len(report.lost),
                "refused": len(report.refused),
                "seconds": round(report.seconds, 1),
            }
        ),
        flush=True,
    )
    return not (report.lost or report.refused or report.sittings < doctors)


def across_the_deadline() -> bool:
    """The database stands still across the end of fifty sittings; whether each answer tapped in time counts
    in the end."""
    with tempfile.TemporaryDirectory(prefix="dingkao-chaos-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with kept_stack(Path(folder)) as (home, port):
            report = outage.across_the_deadline(home, port)
    print(  # noqa: T201
        json.dumps(
            {
                "scenario": "outage across the deadline",
                "pages": outage.PAGES,
                "clients": outage.CLIENTS,
                "answers": report.answers,
                "refused_first": report.refused_first,
                "proposed": report.proposed,
                "compensated": report.compensated,
                "lost": len(report.lost),
                "miscounted": report.miscounted,
                "seconds": round(report.seconds, 1),
            }
        ),
        flush=True,
    )
    return not (report.lost or report.miscounted) and report.compensated == report.proposed == report.sittings


def main() -> None:
    """The large ones; exit status 1 where anything was lost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--doctors", type=int, default=500)
    parser.add_argument(
        "--answers", type=int, default=20_000, help="different answers acknowledged, at least"
    )
    parser.add_argument(
        "--pause", type=float, default=1, help="seconds between two taps of a doctor, on average"
    )
    parser.add_argument("--only", choices=("kills", "outage"), help="one of the two")
    args = parser.parse_args()
    sound = [
        *([kills(args.doctors, args.answers, args.pause)] if args.only != "outage" else []),
        *([across_the_deadline()] if args.only != "kills" else []),
    ]
    sys.exit(not all(sound))


if __name__ == "__main__":
    main()
