"""A doctor with an open sitting, whom the tests of watching an exam and of cases about a sitting share."""

import json
import re
from datetime import timedelta
from uuid import uuid4

from sqlalchemy import func, select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.exams import halls, sittings, slot_places, slots
from dingkao.exams.models.hall_models import Hall, Slot
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.papers import papers_for
from dingkao.journal.entries import Actor
from dingkao.people.models import Organisation
from tests import actors

SLUG, CODE = "bingtuan", 66
SERIALS = actors.unused_serials(SLUG)


def the_record(record_id):
    return db.session.scalars(select(Assessment).where(Assessment.id == record_id).with_for_update()).one()


def text(answer):
    return answer.get_data(as_text=True)


def token_of(client, page):
    return re.search(r'name="csrf_token"[^>]*value="([^"]+)"', text(client.get(page)))[1]


class Examinee:
    """A doctor with an open sitting of 公共知识, by HTTP, and its page's data."""

    def __init__(self, application, in_province):
        self.doctor = actors.ready_doctor(application, in_province, SLUG, next(SERIALS))
        self.in_province = in_province
        with in_province(SLUG):
            record = the_record(self.doctor.record_id)
            paper = next(due_paper for due_paper in papers_for(record) if due_paper.subject == "common")
            self.sitting = sittings.open_sitting(record, paper, by=Actor("doctor", uuid4())).id
            db.session.commit()
        self.take()

    def take(self):
        """Go on with the sitting on this device."""
        self.doctor.post(f"/sitting/{self.sitting}/take-over", page=f"/sitting/{self.sitting}")
        response = self.doctor.get(f"/sitting/{self.sitting}")
        self.data = json.loads(re.search(r'id="data">(.*?)</script>', response, re.DOTALL)[1])
        self.token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', response)[1]

    def row(self):
        with self.in_province(SLUG):
            return db.session.get_one(Sitting, (CODE, self.sitting))

    def send(self, position, letters, sequence):
        body = {
            "position": position,
            "letters": letters,
            "sequence": sequence,
            "tapped": int(clock.now().timestamp() * 1000),
        }
        return self.doctor.client.post(
            self.data["address"], json=body, headers={"X-Sitting": self.data["token"]}
        )

    def pulse(self, token=None):
        return self.doctor.client.post(
            self.data["address"].replace("/answer", "/pulse"),
            headers={"X-Sitting": token or self.data["token"]},
        )

    def note(self, *events):
        return self.doctor.client.post(
            self.data["events"],
            json=list(events),
            headers={"X-CSRFToken": self.token, "Accept": "application/json"},
        )

    def ends(self, moment):
        with self.in_province(SLUG):
            db.session.execute(update(Sitting).where(Sitting.id == self.sitting).values(closes_at=moment))
            db.session.commit()

    def state(self):
        return actors.record_state(self.in_province, SLUG, self.doctor.record_id)


def a_slot(in_province, records, *, subject=None, hall=None):
    """A slot that runs, of the assessment organisation, with these doctors in it; its id and its hall's."""
    actor = Actor("staff", uuid4())
    with in_province(SLUG):
        record = the_record(records[0])
        organisation = db.session.get_one(Organisation, (CODE, record.assessor_id))
        hall = (
            db.session.get_one(Hall, (CODE, hall))
            if hall
            else halls.save_hall(
                organisation, name=f"考场{uuid4().hex[:8]}", address="门诊楼", seats=20, by=actor
            )
        )
        ends = db.session.scalar(
            select(func.max(Slot.closes_at)).where(Slot.hall_id == hall.id)
        ) or clock.now() - timedelta(hours=1)
        slot = slots.save_slot(
            db.session.get_one(Cycle, (CODE, record.cycle_id)),
            organisation,
            opens_at=ends,
            closes_at=ends + timedelta(hours=3),
            hall=hall,
            institution=None,
            subject=subject,
            invigilated=False,
            by=actor,
        )
        slot_places.place_records(slot, records, by=actor)
        db.session.commit()
        return slot.id, hall.id
