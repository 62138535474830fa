"""A phone on the page of a sitting, which the tests of outages and of interrupted sittings share."""

import json
import re
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.exams.models.monitoring_models import Outage
from dingkao.exams.models.sitting_models import Sitting, SittingAnswer
from dingkao.exams.papers import papers_for
from dingkao.exams.tickets import find_ticket
from tests import actors

SLUG, CODE = "xizang", 54
SERIALS = actors.unused_serials(SLUG)
TRULY_NOW = clock.now


def text(answer):
    return answer.get_data(as_text=True)


def cache_without_signs_of_life(application, in_province):
    """The cache, with no sign of life of the province in it; afterwards no sitting and no outage counts."""
    redis = application.extensions["redis"]
    for key in redis.scan_iter(f"t:{CODE}:sitting-*"):
        redis.delete(key)
    yield redis
    with in_province(SLUG):
        db.session.execute(update(Sitting).where(Sitting.voided_at.is_(None)).values(voided_at=TRULY_NOW()))
        db.session.execute(
            update(Outage).values(
                began_at=Outage.began_at - timedelta(days=9), ended_at=Outage.ended_at - timedelta(days=9)
            )
        )
        db.session.commit()


class ExamPhone:
    """A doctor's phone on the page of a sitting, by HTTP, as sitting.js does it."""

    def __init__(self, application, in_province, device=None):
        self.in_province = in_province
        self.doctor = actors.ready_doctor(application, in_province, SLUG, next(SERIALS), procedure="simple")
        if device:
            self.doctor.client.set_cookie(f"dk-{SLUG}-device", device)
        with in_province(SLUG):
            record = db.session.get_one(Assessment, (CODE, self.doctor.record_id))
            number, paper = find_ticket(record).number, papers_for(record)[0].id
        name = re.search(r"<h2>(医师.)</h2>", self.doctor.get("/home"))[1]
        self.doctor.post("/sitting", name=name, number=number, consent="yes")
        self.place = self.doctor.post(f"/sitting/paper/{paper}", promise="yes").location.removeprefix(
            f"/{SLUG}"
        )
        self.id = UUID(self.place.rsplit("/", 1)[1])
        self.load()

    def load(self):
        """The page, with its data."""
        response = self.doctor.get(self.place)
        self.data = json.loads(re.search(r'id="data">(.*?)</script>', response, re.DOTALL)[1])
        self.form = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', response)[1]

    def answer(self, position, letters, sequence, seconds=0):
        """An answer tapped so many seconds from now."""
        moment = TRULY_NOW() + timedelta(seconds=seconds)
        return {
            "position": position,
            "letters": letters,
            "sequence": sequence,
            "tapped": int(moment.timestamp() * 1000),
        }

    def send(self, answer, token=None):
        return self.doctor.client.post(
            self.data["address"], json=answer, headers={"X-Sitting": token or self.data["token"]}
        )

    def pulse(self):
        return self.doctor.client.post(
            self.data["address"].replace("/answer", "/pulse"), headers={"X-Sitting": self.data["token"]}
        ).get_json()

    def standing(self):
        return self.doctor.client.get(self.data["standing"]).get_json()

    def hand_in(self, *outstanding, automatic=True):
        form = {
            "csrf_token": self.form,
            "outstanding": json.dumps(outstanding),
            "automatic": "1" if automatic else "",
        }
        return self.doctor.client.post(
            f"/{SLUG}{self.place}/hand-in", data=form, headers={"Accept": "application/json"}
        )

    def put(self, **values):
        """Let the row have these values."""
        with self.in_province(SLUG):
            db.session.execute(update(Sitting).where(Sitting.id == self.id).values(**values))
            db.session.commit()

    def ends(self, seconds):
        """Let the sitting end so many seconds from now; it began ten minutes ago."""
        self.put(
            opened_at=TRULY_NOW() - timedelta(minutes=10), closes_at=TRULY_NOW() + timedelta(seconds=seconds)
        )

    def row(self):
        with self.in_province(SLUG):
            return db.session.get_one(Sitting, (CODE, self.id))

    def kept(self):
        with self.in_province(SLUG):
            sitting_answers = db.session.scalars(
                select(SittingAnswer).where(SittingAnswer.sitting_id == self.id)
            )
            return {sitting_answer.position: sitting_answer.letters for sitting_answer in sitting_answers}
