"""No answer is taken after the time by any way in, with nothing running but the web: no worker, no timetable, nobody who hands in."""

import json
import re
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import pytest
from flask import request
from sqlalchemy import select, update

from dingkao import clock
from dingkao.app import create_app
from dingkao.assessments.models import Assessment
from dingkao.blueprints.access import ANYONE, DOCTOR, allow
from dingkao.database.model import db
from dingkao.exams import saving
from dingkao.exams.models import Sitting, SittingAnswer
from dingkao.exams.tickets import ticket_of
from dingkao.settings import Settings
from dingkao.tenants.context import entered
from dingkao.tenants.registry import by_slug
from tests import people

SLUG, CODE = "anhui", 34
LAST = ("account", "public")  # they end the session that the others need
_serial = people.serials(SLUG)


class LateSitting:
    """A sitting with one answer, whose time is over; before each try it stands again as it stood."""

    def __init__(self, application, in_province, ago):
        self.application, self.in_province = application, in_province
        doctor = self.doctor = people.ready(application, in_province, SLUG, next(_serial))
        with in_province(SLUG):
            number = ticket_of(db.session.get_one(Assessment, (CODE, doctor.record_id))).number
        name = re.search(r"<h2>(医师.)</h2>", doctor.get("/home"))[1]
        assert doctor.post("/sitting", name=name, number=number, consent="yes").status_code == 303
        self.paper = re.search(r"/sitting/paper/([0-9a-f-]{36})", doctor.get("/sitting"))[1]
        place = doctor.post(f"/sitting/paper/{self.paper}", promise="yes").location
        self.id = place.rsplit("/", 1)[1]
        page = doctor.get(f"/sitting/{self.id}")
        self.data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
        self.form = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)[1]
        self.cookies = {name: doctor.client.get_cookie(name).value for name in (f"dk-{SLUG}", f"dk-{SLUG}-form")}
        assert self.post(self.data["address"], self.answer(0, "A", 1, self.data["now"])).status_code == 200
        self.end = clock.now() - timedelta(seconds=ago)
        self.restore()

    def restore(self):
        """As it stood when the time was over."""
        with self.in_province(SLUG):
            same = {"epoch": 1, "closes_at": self.end, "handed_in_at": None, "handed_in_by": None, "score_tenths": None, "voided_at": None}
            db.session.execute(update(Sitting).where(Sitting.id == UUID(self.id)).values(same))
            db.session.execute(update(Assessment).where(Assessment.id == self.doctor.record_id).values(state="testing"))
            db.session.commit()

    @staticmethod
    def answer(position, letters, sequence, tapped):
        return {"position": position, "letters": letters, "sequence": sequence, "tapped": tapped}

    def claims(self):
        """Late answers, whatever they say of when they were tapped: to a new question, and over the one that is kept."""
        end = int(self.end.timestamp() * 1000)
        moments = (None, end - 1000, end + 1000)
        return [self.answer(number % 2, "B", 10**6 + number, moment) for number, moment in enumerate(moments)]

    def client(self):
        client = self.application.test_client()
        for name, value in self.cookies.items():
            client.set_cookie(name, value)
        return client

    def post(self, address, answer):
        return self.client().post(address, json=answer, headers={"X-Sitting": self.data["token"], "X-CSRFToken": self.form})

    def kept(self):
        with self.in_province(SLUG):
            rows = db.session.scalars(select(SittingAnswer).where(SittingAnswer.sitting_id == UUID(self.id)))
            return {row.position: row.letters for row in rows}

    def ways_in(self):
        """The address and methods of every route that a doctor can write by, and of the door before Flask."""
        rules = []
        for rule in self.application.url_map.iter_rules():
            access = getattr(self.application.view_functions[rule.endpoint], "access", frozenset())
            methods = rule.methods & {"POST", "PUT", "PATCH", "DELETE"}
            if methods and access & {DOCTOR, ANYONE} and not rule.rule.startswith("/platform"):
                rules.append((rule.endpoint.split(".")[0] in LAST, rule.rule, methods))
        known = {"sitting_id": self.id, "paper_id": self.paper}
        for _, rule, methods in sorted(rules, key=lambda one: one[:2]):
            address = re.sub(r"<(?:(\w+)(?:\(.*?\))?:)?(\w+)>", lambda part: known.get(part[2], "1" if part[1] == "int" else self.id), rule)
            yield f"/{SLUG}{address}", methods
        yield self.data["address"], {"POST"}

    def taken(self):
        """The ways by which a late answer got in."""
        found = []
        for address, methods in self.ways_in():
            for method in methods:
                for answer in self.claims():
                    self.restore()
                    headers = {"X-Sitting": self.data["token"], "X-CSRFToken": self.form}
                    form = answer | {"csrf_token": self.form, "outstanding": json.dumps([answer]), "answers": json.dumps([answer])}
                    for how in ({"json": answer}, {"data": {name: "" if value is None else value for name, value in form.items()}}):
                        status = self.client().open(address, method=method, headers=headers, **how).status_code
                        assert status < 500, (address, status)
                if self.kept() != {0: "A"}:
                    found.append(address)
                    with self.in_province(SLUG):
                        for row in db.session.scalars(select(SittingAnswer).where(SittingAnswer.sitting_id == UUID(self.id))):
                            if row.position:
                                db.session.delete(row)
                            else:
                                row.letters = "A"
                        db.session.commit()
        return found


@pytest.fixture(scope="module")
def ground(application, in_province):
    people.exam(application, in_province, SLUG)


def test_no_way_in_takes_an_answer_after_the_minute_of_grace(application, in_province, ground):
    late = LateSitting(application, in_province, 61)
    ways = [address for address, _ in late.ways_in()]
    assert {late.data["address"], f"/{SLUG}/sitting/{late.id}/hand-in", f"/{SLUG}/sitting/{late.id}/take-over"} <= set(ways)
    assert late.taken() == []


def test_handing_in_late_says_what_was_not_counted_and_marks_what_was_in_time(application, in_province, ground):
    late = LateSitting(application, in_province, 1800)
    form = {"csrf_token": late.form, "outstanding": json.dumps(late.claims())}
    client = late.client()
    assert client.post(f"/{SLUG}/sitting/{late.id}/hand-in", data=form).location.endswith("/end")
    assert "未能计入" in client.get(f"/{SLUG}/sitting/{late.id}/end").get_data(as_text=True)
    assert late.kept() == {0: "A"}
    client = late.client()
    client.post(f"/{SLUG}/sitting/{late.id}/hand-in", data=form)
    assert "未能计入" in client.get(f"/{SLUG}/sitting/{late.id}/end").get_data(as_text=True)
    same = json.dumps([late.answer(0, "A", 1, None)])
    client = late.client()
    client.post(f"/{SLUG}/sitting/{late.id}/hand-in", data=form | {"outstanding": same})
    assert "未能计入" not in client.get(f"/{SLUG}/sitting/{late.id}/end").get_data(as_text=True)


def test_in_the_minute_of_grace_one_answer_too_late_takes_none_with_it_that_was_in_time(application, in_province, ground):
    late = LateSitting(application, in_province, 20)
    end = int(late.end.timestamp() * 1000)
    outstanding = [late.answer(1, "B", 2, end + 900), late.answer(2, "C", 3, end - 900), late.answer(3, "D", 4, None), late.answer(4, "E", 5, end - 1)]
    form = {"csrf_token": late.form, "outstanding": json.dumps(outstanding)}
    assert late.client().post(f"/{SLUG}/sitting/{late.id}/hand-in", data=form).location.endswith("/end")
    assert late.kept() == {0: "A", 2: "C", 4: "E"}


def test_a_way_in_that_takes_late_answers_is_noticed(stack, ground):
    application = create_app(Settings.from_environment(stack.environment))

    @contextmanager
    def in_province(_slug):
        with application.app_context(), entered(CODE):
            yield by_slug(SLUG)

    def autosave(sitting_id):
        given = request.get_json(silent=True)
        if isinstance(given, dict) and not db.session.get(SittingAnswer, (CODE, sitting_id, given["position"])):
            db.session.add(SittingAnswer(sitting_id=sitting_id, position=given["position"], letters="B", sequence=1, tapped_at=None, received_at=clock.now()))
        return "kept"

    application.add_url_rule("/sitting/<uuid:sitting_id>/autosave", "autosave", allow(DOCTOR)(autosave), methods=["POST"])
    late = LateSitting(application, in_province, 1800)
    try:
        assert late.taken() == [f"/{SLUG}/sitting/{late.id}/autosave"]
    finally:
        saving._forget()
