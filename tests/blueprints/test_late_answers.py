"""No answer is taken after the time by any way in, with nothing running but the web: no worker, no timetable,
nobody who hands in."""

import json
import re
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

from flask import request
from sqlalchemy import select, update

from dingkao import clock
from dingkao.app import create_app
from dingkao.assessments.models import Assessment
from dingkao.config import AppConfig
from dingkao.database.base import db
from dingkao.exams import answer_saving
from dingkao.exams.models.sitting_models import Sitting, SittingAnswer
from dingkao.exams.tickets import find_ticket
from dingkao.people.permissions import ACTION_ROLES
from dingkao.tenants.context import in_tenant
from dingkao.tenants.registry import by_slug
from dingkao.web.access_control import PUBLIC, require
from tests import actors

SLUG, CODE = "anhui", 34
LAST = ("account", "public")  # they end the session that the others need
_serial = actors.unused_serials(SLUG)


class LateSitting:
    """A sitting with one answer, whose time is over; before each try it stands again as it stood."""

    def __init__(self, application, in_province, ago):
        self.application, self.in_province = application, in_province
        doctor = self.doctor = actors.ready_doctor(application, in_province, SLUG, next(_serial))
        with in_province(SLUG):
            number = find_ticket(db.session.get_one(Assessment, (CODE, doctor.record_id))).number
        name = re.search(r"<h2>(医师.)</h2>", doctor.get("/home"))[1]
        assert doctor.post("/sitting", name=name, number=number, consent="yes").status_code == 303
        self.paper = re.search(r"/sitting/paper/([0-9a-f-]{36})", doctor.get("/sitting"))[1]
        place = doctor.post(f"/sitting/paper/{self.paper}", promise="yes").location
        self.id = place.rsplit("/", 1)[1]
        page = doctor.get(f"/sitting/{self.id}")
        self.data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
        self.form = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)[1]
        self.cookies = {
            name: doctor.client.get_cookie(name).value for name in (f"dk-{SLUG}", f"dk-{SLUG}-form")
        }
        assert self.post(self.data["address"], self.answer(0, "A", 1, self.data["now"])).status_code == 200
        self.end = clock.now() - timedelta(seconds=ago)
        self.restore()

    def restore(self):
        """As it stood when the time was over."""
        with self.in_province(SLUG):
            opened_at = self.end - timedelta(hours=1)
            original_values = {
                "epoch": 1,
                "opened_at": opened_at,
                "closes_at": self.end,
                "handed_in_at": None,
                "handed_in_by": None,
                "score_tenths": None,
                "voided_at": None,
            }
            db.session.execute(update(Sitting).where(Sitting.id == UUID(self.id)).values(original_values))
            db.session.execute(
                update(Assessment).where(Assessment.id == self.doctor.record_id).values(state="testing")
            )
            db.session.commit()

    @staticmethod
    def answer(position, letters, sequence, tapped):
        return {"position": position, "letters": letters, "sequence": sequence, "tapped": tapped}

    def claims(self):
        """Late answers, whatever they say of when they were tapped: to a new question, and over the one that
        is kept."""
        end = int(self.end.timestamp() * 1000)
        moments = (None, end - 1000, end + 1000, end - 3_601_000)
        return [self.answer(number % 2, "B", 10**6 + number, moment) for number, moment in enumerate(moments)]

    def client(self):
        client = self.application.test_client()
        for name, value in self.cookies.items():
            client.set_cookie(name, value)
        return client

    def post(self, address, answer):
        return self.client().post(
            address, json=answer, headers={"X-Sitting": self.data["token"], "X-CSRFToken": self.form}
        )

    def kept(self):
        with self.in_province(SLUG):
            sitting_answers = db.session.scalars(
                select(SittingAnswer).where(SittingAnswer.sitting_id == UUID(self.id))
            )
            return {sitting_answer.position: sitting_answer.letters for sitting_answer in sitting_answers}

    def ways_in(self):
        """The address and methods of every route that a doctor can write by, and of the door before Flask."""
        rules = []
        for rule in self.application.url_map.iter_rules():
            action = self.application.view_functions[rule.endpoint].action
            is_open = action == PUBLIC or "doctor" in ACTION_ROLES.get(action, ())
            methods = rule.methods & {"POST", "PUT", "PATCH", "DELETE"}
            if methods and is_open and not rule.rule.startswith("/platform"):
                rules.append((rule.endpoint.split(".")[0] in LAST, rule.rule, methods))
        known_ids = {"sitting_id": self.id, "paper_id": self.paper}
        for _, rule, methods in sorted(rules, key=lambda sorted_rule: sorted_rule[:2]):
            address = re.sub(
                r"<(?:(\w+)(?:\(.*?\))?:)?(\w+)>",
                lambda part: known_ids.get(part[2], "1" if part[1] == "int" else self.id),
                rule,
            )
            yield f"/{SLUG}{address}", methods
        yield self.data["address"], {"POST"}

    def taken(self, ways):
        """Those of `ways` by which a late answer got in."""
        accepting_addresses = []
        for address, methods in ways:
            for method in methods:
                for answer in self.claims():
                    self.restore()
                    headers = {"X-Sitting": self.data["token"], "X-CSRFToken": self.form}
                    form = answer | {
                        "csrf_token": self.form,
                        "outstanding": json.dumps([answer]),
                        "answers": json.dumps([answer]),
                    }
                    for how in (
                        {"json": answer},
                        {"data": {name: "" if value is None else value for name, value in form.items()}},
                    ):
                        status = (
                            self.client().open(address, method=method, headers=headers, **how).status_code
                        )
                        assert status < 500, (address, status)
                if self.kept() != {0: "A"}:
                    accepting_addresses.append(address)
                    with self.in_province(SLUG):
                        for sitting_answer in db.session.scalars(
                            select(SittingAnswer).where(SittingAnswer.sitting_id == UUID(self.id))
                        ):
                            if sitting_answer.position:
                                db.session.delete(sitting_answer)
                            else:
                                sitting_answer.letters = "A"
                        db.session.commit()
        return accepting_addresses


def test_no_way_in_takes_an_answer_after_the_minute_of_grace(application, in_province, exam_ground):
    late = LateSitting(application, in_province, 61)
    ways = [address for address, _ in late.ways_in()]
    assert {
        late.data["address"],
        f"/{SLUG}/sitting/{late.id}/hand-in",
        f"/{SLUG}/sitting/{late.id}/take-over",
    } <= set(ways)
    assert late.taken(late.ways_in()) == []


def test_handing_in_late_says_what_was_not_counted_and_marks_what_was_in_time(
    application, in_province, exam_ground
):
    late = LateSitting(application, in_province, 1800)
    form = {"csrf_token": late.form, "outstanding": json.dumps(late.claims())}
    client = late.client()
    assert client.post(f"/{SLUG}/sitting/{late.id}/hand-in", data=form).location.endswith("/end")
    assert "未能计入" in client.get(f"/{SLUG}/sitting/{late.id}/end").get_data(as_text=True)
    assert late.kept() == {0: "A"}
    client = late.client()
    client.post(f"/{SLUG}/sitting/{late.id}/hand-in", data=form)
    assert "未能计入" in client.get(f"/{SLUG}/sitting/{late.id}/end").get_data(as_text=True)
    repeated_answers = json.dumps([late.answer(0, "A", 1, None)])
    client = late.client()
    client.post(f"/{SLUG}/sitting/{late.id}/hand-in", data=form | {"outstanding": repeated_answers})
    assert "未能计入" not in client.get(f"/{SLUG}/sitting/{late.id}/end").get_data(as_text=True)


def test_in_the_minute_of_grace_one_answer_too_late_takes_none_with_it_that_was_in_time(
    application, in_province, exam_ground
):
    late = LateSitting(application, in_province, 20)
    end = int(late.end.timestamp() * 1000)
    outstanding = [
        late.answer(1, "B", 2, end + 900),
        late.answer(2, "C", 3, end - 900),
        late.answer(3, "D", 4, None),
        late.answer(4, "E", 5, end - 1),
    ]
    form = {"csrf_token": late.form, "outstanding": json.dumps(outstanding)}
    assert late.client().post(f"/{SLUG}/sitting/{late.id}/hand-in", data=form).location.endswith("/end")
    assert late.kept() == {0: "A", 2: "C", 4: "E"}


def test_a_way_in_that_takes_late_answers_is_noticed(stack, exam_ground):
    application = create_app(AppConfig.from_environment(stack.environment))

    @contextmanager
    def in_province(_slug):
        with application.app_context(), in_tenant(CODE):
            yield by_slug(SLUG)

    def autosave(sitting_id):
        payload = request.get_json(silent=True)
        if isinstance(payload, dict) and not db.session.get(
            SittingAnswer, (CODE, sitting_id, payload["position"])
        ):
            db.session.add(
                SittingAnswer(
                    sitting_id=sitting_id,
                    position=payload["position"],
                    letters="B",
                    sequence=1,
                    tapped_at=None,
                    received_at=clock.now(),
                )
            )
        return "kept"

    application.add_url_rule(
        "/sitting/<uuid:sitting_id>/autosave", "autosave", require("sitting.sit")(autosave), methods=["POST"]
    )
    late = LateSitting(application, in_province, 1800)
    try:
        ways = [way for way in late.ways_in() if "/sitting/" in way[0]]
        assert len(ways) > 5
        assert late.taken(ways) == [f"/{SLUG}/sitting/{late.id}/autosave"]
    finally:
        answer_saving._close_connection()
