"""Fifty doctors answer while web, worker, timetable, database, cache and store are killed -9 under them: what was acknowledged is there."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select

from dingkao.app import create_app
from dingkao.assessments import moves
from dingkao.assessments.enrolment import enrol, include
from dingkao.assessments.models import Assessment
from dingkao.database.model import db
from dingkao.doctors.roster import import_roster
from dingkao.embedded.stack import remembered
from dingkao.exams import saving, sittings
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
SLUG, CODE, DOCTORS = "shanxi", 14, 50
ROUNDS = ("Web", "PostgreSQL", "Worker", "Valkey", "Timetable", "Swift object", "Swift proxy", "PostgreSQL", "Web")


@pytest.fixture
def kept_stack(tmp_path, monkeypatch):
    """A whole stack kept by a process of its own: its home and port."""
    for name in conftest.FROM_OUTSIDE:
        monkeypatch.delenv(name, raising=False)
    home, port = tmp_path / "home", conftest.free_port()
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen([sys.executable, "-c", KEEPER, str(home), str(port)], stdout=subprocess.PIPE, stderr=said, text=True)  # noqa: S603
    try:
        assert process.stdout.readline(), (tmp_path / "said").read_text()
        yield home, port
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def opened_sittings(home):
    """Fifty sittings, begun: id, token, number of questions. It makes an application, so it runs in a process of its own."""
    application = create_app(Settings.from_environment(remembered(home)))
    province = by_slug(SLUG)

    @contextmanager
    def in_province(_slug):
        with application.app_context(), entered(CODE):
            yield province

    with in_province(SLUG):
        open_province(province, by=TERMINAL)
        import_institutions(material.institutions(CODE), by=TERMINAL)
        import_roster(material.roster([material.roster_row(CODE, serial) for serial in range(DOCTORS)]), by=TERMINAL)
        cycle = people.running_cycle()
        enrol(cycle)
        db.session.commit()
    people.bank(in_province, SLUG)
    people.papers(in_province, SLUG, minutes=60)
    opened = []
    with in_province(SLUG):
        cycle = people.running_cycle()
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


def test_every_acknowledged_answer_is_there_after_everything_was_killed(kept_stack):
    home, port = kept_stack
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        opened = pool.apply(opened_sittings, (home,))
    assert len(opened) == DOCTORS
    acknowledged: dict[tuple[UUID, int], tuple[int, str]] = {}
    refused, stop = [], threading.Event()

    def answer(sitting, token, size):
        chance, sequence = random.Random(str(sitting)), 0  # noqa: S311 - which answers are tapped
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            while not stop.is_set():
                sequence += 1
                position, letters = chance.randrange(size), chance.choice("ABCDE")
                body = {"position": position, "letters": letters, "sequence": sequence, "tapped": None}
                while not stop.is_set():
                    try:
                        reply = client.post(f"/{SLUG}/sitting/{sitting}/answer", json=body, headers={"X-Sitting": token})
                    except httpx.HTTPError:
                        time.sleep(0.2)
                        continue
                    if reply.status_code == 200:
                        acknowledged[(sitting, position)] = (sequence, letters)
                        break
                    if reply.status_code < 500:
                        refused.append(reply.text)
                        return
                    time.sleep(0.2)
                time.sleep(0.02)

    threads = [threading.Thread(target=answer, args=one) for one in opened]
    for thread in threads:
        thread.start()
    counts = []
    try:
        for victim in ROUNDS:
            time.sleep(1.5)
            before = sum(sequence for sequence, _ in acknowledged.values())
            process_id = json.loads((home / "pids").read_text())[victim]
            os.killpg(process_id, signal.SIGKILL)
            deadline = time.monotonic() + 40
            while sum(sequence for sequence, _ in acknowledged.values()) <= before + DOCTORS:
                assert time.monotonic() < deadline, f"nothing was saved any more after {victim} had been killed"
                time.sleep(0.1)
            counts.append(before)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert refused == []
    assert len({sitting for sitting, _ in acknowledged}) == DOCTORS
    with conftest.superuser_connection(home) as connection:
        kept = connection.execute("select sitting_id, position, sequence, letters from sitting_answer").fetchall()
    rows = {(sitting, position): (sequence, letters) for sitting, position, sequence, letters in kept}
    lost = {key: said for key, said in acknowledged.items() if key not in rows or rows[key][0] < said[0] or (rows[key][0] == said[0] and rows[key][1] != said[1])}
    assert lost == {}
    assert len(kept) == len(rows) >= len(acknowledged)
    saves = sum(sequence for sequence, _ in acknowledged.values())
    print(f"{saves} saves, {len(acknowledged)} answers of {DOCTORS} sittings acknowledged, 0 lost in {len(ROUNDS)} kills")  # noqa: T201 - the count is what was asked
