"""What the machine of a sitting stands on: phones and their pages, as static/js/sitting.js has them, the connection
that is cut, and the doctor who begins anew with every example."""

import json
import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import psycopg
import pytest
from flask import Flask
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.exams import answer_saving
from dingkao.exams.drawing import load_layout
from dingkao.exams.models.sitting_models import Sitting, SittingAnswer
from dingkao.exams.paper_blueprint import save_paper
from dingkao.exams.tickets import find_ticket
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.question_banks.models import QuestionVersion
from tests import actors, conftest

SLUG, CODE, SIZE = "jiangsu", 32, 6
TRULY_NOW = clock.now
_serial = actors.unused_serials(SLUG)


@dataclass
class Browser:
    """A phone: its cookies, what it has stored, and how far the clock it believes in is from the server's."""

    client: Any
    skew: int
    stored: dict[int, dict[str, Any]] = field(default_factory=dict)


@dataclass(eq=False)
class Page:
    """An open page of the sitting, as sitting.js has it."""

    browser: Browser
    data: dict[str, Any]
    form: str
    known_answers: dict[int, tuple[str, int]] = field(default_factory=dict)
    waiting: dict[int, dict[str, Any]] = field(default_factory=dict)
    sequence: int = 0
    over: bool = False

    def __post_init__(self) -> None:
        self.sequence = self.data["sequence"]
        self.adopt(self.data)
        for position, answer in list(self.browser.stored.items()):
            if answer["sequence"] <= self.known_answers.get(position, ("", 0))[1]:
                self.drop(position, answer["sequence"])
            else:
                self.sequence = max(self.sequence, answer["sequence"])
                self.known_answers[position] = (answer["letters"], answer["sequence"])
                self.waiting[position] = answer

    def hand_in(self, sitting: str) -> Any:
        """Hand in, with what waits."""
        form = {"csrf_token": self.form, "outstanding": json.dumps(list(self.waiting.values()))}
        return self.browser.client.post(
            f"/{SLUG}/sitting/{sitting}/hand-in", data=form, headers={"Accept": "application/json"}
        )

    def tap(self, position: int, letters: str) -> dict[str, Any]:
        """Choose."""
        now = int(clock.now().timestamp() * 1000) + self.browser.skew
        self.sequence = max(self.sequence + 1, (now - self.data["opened"]) // 10)
        answer = {"position": position, "letters": letters, "sequence": self.sequence, "tapped": now}
        self.known_answers[position], self.waiting[position] = (letters, self.sequence), answer
        if self.browser.stored.get(position, {"sequence": 0})["sequence"] < self.sequence:
            self.browser.stored[position] = answer
        return answer

    def drop(self, position: int, sequence: int) -> None:
        """What the server keeps waits no more."""
        if self.browser.stored.get(position, {"sequence": sequence + 1})["sequence"] <= sequence:
            del self.browser.stored[position]

    def adopt(self, standing: dict[str, Any]) -> None:
        """What the server keeps under a number not lower is newer."""
        for place, letters in standing["answers"].items():
            position, number = int(place), standing["sequences"][place]
            self.sequence = max(self.sequence, number)
            if number >= self.known_answers.get(position, ("", 0))[1]:
                self.known_answers[position] = (letters, number)
                self.waiting.pop(position, None)
                self.drop(position, number)


class Cut:
    """The saving connection of this thread, cut once the statement has run (or before), once or for good."""

    def __init__(self, connect: Any, kind: str) -> None:
        self.connect, self.kind, self.left = connect, kind, 2 if kind == "for good" else 1

    def __call__(self, url: str) -> Any:
        real = self.connect(url)
        if self.left == 0:
            return real
        self.left -= 1
        if self.kind == "before":
            with conftest.superuser_connection(self.home) as superuser:
                superuser.execute("select pg_terminate_backend(%s, 5000)", (real.info.backend_pid,))
            return real

        def exec_prepared(*arguments: Any) -> Any:
            real.pgconn.exec_prepared(*arguments)
            raise psycopg.OperationalError("the connection was cut after the commit")

        return SimpleNamespace(pgconn=SimpleNamespace(exec_prepared=exec_prepared))

    home = Path()


class World:
    """What the machine stands on: one doctor, who begins anew with every example."""

    def __init__(self, application: Flask, in_province: Any, patch: pytest.MonkeyPatch) -> None:
        self.application, self.in_province, self.patch = application, in_province, patch
        self.doctor = actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
        actors.demonstration_bank(in_province, SLUG)
        with in_province(SLUG):
            save_paper(
                actors.get_or_open_cycle(),
                subject="common",
                category="clinical",
                level="physician",
                counts={"A1": SIZE},
                minutes=60,
                opens_at=clock.now() - timedelta(days=1),
                closes_at=clock.now() + timedelta(days=30),
                by=TERMINAL_ACTOR,
            )
            db.session.commit()
        self.doctor.post("/filing/notice")
        actors.advance_to(in_province, self.doctor, "ready", procedure="simple")
        with in_province(SLUG):
            number = find_ticket(db.session.get_one(Assessment, (CODE, self.doctor.record_id))).number
        name = re.search(r"<h2>(医师.)</h2>", self.doctor.get("/home"))
        assert name
        assert self.doctor.post("/sitting", name=name[1], number=number, consent="yes").status_code == 303

    def begin_anew(self) -> None:
        """The doctor has sat nothing."""
        with self.in_province(SLUG):
            own = Sitting.assessment_id == self.doctor.record_id
            db.session.execute(update(Sitting).where(own).values(voided_at=TRULY_NOW()))
            db.session.execute(
                update(Assessment).where(Assessment.id == self.doctor.record_id).values(state="ready")
            )
            db.session.commit()

    def set_end(self, sitting: str, seconds_left: int) -> Any:
        """Move the end of a sitting, by the database's clock; the new end."""
        with self.in_province(SLUG):
            end = db.session.scalar(select(func.clock_timestamp())) + timedelta(seconds=seconds_left)
            db.session.execute(update(Sitting).where(Sitting.id == UUID(sitting)).values(closes_at=end))
            db.session.commit()
        return end

    def keys(self, sitting: str) -> list[str]:
        """The keys of a sitting's questions."""
        with self.in_province(SLUG):
            layout = db.session.get_one(Sitting, (CODE, UUID(sitting))).layout
            return [
                db.session.get_one(QuestionVersion, (CODE, drawn_question.version)).answer
                for drawn_question in load_layout(layout)
            ]

    def kept(self, sitting: str) -> dict[int, tuple[str, int]]:
        """What the database has of a sitting's answers."""
        with self.in_province(SLUG):
            sitting_answers = db.session.execute(
                select(SittingAnswer).where(SittingAnswer.sitting_id == UUID(sitting))
            ).scalars()
            return {
                sitting_answer.position: (sitting_answer.letters, sitting_answer.sequence)
                for sitting_answer in sitting_answers
            }

    def post_answer(self, sitting: str, answer: dict[str, Any], token: str) -> Any:
        """By the door that comes before Flask, on a client without cookies."""
        return self.application.test_client().post(
            f"/{SLUG}/sitting/{sitting}/answer", json=answer, headers={"X-Sitting": token}
        )

    def shift(self, seconds: int) -> None:
        """Set the web server's clock."""
        self.patch.setattr(clock, "now", lambda: TRULY_NOW() + timedelta(seconds=seconds))

    @staticmethod
    def cut(kind: str | None) -> Any:
        """Cut the saving connection in what follows."""
        patch = pytest.MonkeyPatch.context()
        if kind is None:
            return patch

        class Within:
            def __enter__(self) -> None:
                patch.__enter__().setattr(
                    answer_saving, "_thread_connection", Cut(answer_saving._thread_connection, kind)
                )

            def __exit__(self, *_: Any) -> None:
                patch.__exit__(None, None, None)

        return Within()

    @staticmethod
    def broken(place: Any, name: str) -> Any:
        """The database goes away right after `name` has done its work, before anything is committed."""
        patch = pytest.MonkeyPatch.context()
        work = getattr(place, name)

        def then_gone(*arguments: Any, **options: Any) -> None:
            work(*arguments, **options)
            raise OperationalError("commit", {}, psycopg.OperationalError("the server closed the connection"))

        class Within:
            def __enter__(self) -> None:
                patch.__enter__().setattr(place, name, then_gone)

            def __exit__(self, *_: Any) -> None:
                patch.__exit__(None, None, None)

        return Within()
