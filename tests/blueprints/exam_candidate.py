"""Who tests of the exam by HTTP are about: a doctor who has signed in to it; what its page sends, and what is kept
of that."""

import json
import re
from uuid import UUID

from sqlalchemy import select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.exams.drawing import load_layout
from dingkao.exams.models.sitting_models import Sitting, SittingAnswer
from dingkao.exams.tickets import find_ticket
from dingkao.question_banks.models import QuestionVersion
from tests import actors

SLUG, CODE = "hunan", 43
serials = actors.unused_serials(SLUG)


def make_candidate(application, in_province, procedure="general"):
    """A doctor who is 待测评 and has signed in to the exam."""
    doctor = actors.ready_doctor(application, in_province, SLUG, next(serials), procedure=procedure)
    with in_province(SLUG):
        number = find_ticket(db.session.get_one(Assessment, (CODE, doctor.record_id))).number
    doctor.name = re.search(r"<h2>(医师.)</h2>", doctor.get("/home"))[1]
    assert "准考证号不正确" in doctor.post("/sitting", name=doctor.name, number="1", consent="yes").get_data(
        as_text=True
    )
    assert doctor.post("/sitting", name=doctor.name, number=number, consent="yes").status_code == 303
    return doctor


def page_of(doctor, sitting):
    response = doctor.get(f"/sitting/{sitting}")
    return json.loads(re.search(r'id="data">(.*?)</script>', response, re.DOTALL)[1])


def send(doctor, data, position, letters, sequence, tapped="now", slug=SLUG):
    moment = int(clock.now().timestamp() * 1000) if tapped == "now" else tapped
    body = {"position": position, "letters": letters, "sequence": sequence, "tapped": moment}
    return doctor.client.post(
        data["address"].replace(SLUG, slug), json=body, headers={"X-Sitting": data["token"]}
    )


def kept(in_province, sitting):
    with in_province(SLUG):
        sitting_answers = db.session.scalars(
            select(SittingAnswer).where(SittingAnswer.sitting_id == UUID(sitting))
        )
        return {answer.position: answer.letters for answer in sitting_answers}


def keys_of(in_province, sitting):
    with in_province(SLUG):
        layout = db.session.get_one(Sitting, (CODE, UUID(sitting))).layout
        return [
            db.session.get_one(QuestionVersion, (CODE, item.version)).answer for item in load_layout(layout)
        ]
