"""A doctor to sit an exam and a slot to sit it in, which the tests of halls, of tickets and of papers share."""

import re
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.exams.models.hall_models import Hall, SlotPlace
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.papers import papers_for
from dingkao.exams.tickets import find_ticket
from dingkao.people.models import Notice, Organisation
from tests import actors, sample_data
from tests.blueprints.signed_in_client import post_form

SLUG, CODE = "shaanxi", 61
FIRST = sample_data.registration_number(CODE, 1)
SECOND = sample_data.registration_number(CODE, 2)
SERIALS = actors.unused_serials(SLUG)


def local(moment):
    return f"{clock.to_beijing(moment):%Y-%m-%dT%H:%M}"


def new_candidate(application, in_province, procedure="general"):
    """A doctor who is 待测评 and has signed in to the exam."""
    doctor = actors.ready_doctor(application, in_province, SLUG, next(SERIALS), procedure=procedure)
    with in_province(SLUG):
        number = find_ticket(db.session.get_one(Assessment, (CODE, doctor.record_id))).number
    doctor.name = re.search(r"<h2>(医师.)</h2>", doctor.get("/home"))[1]
    doctor.post("/sitting", name=doctor.name, number=number, consent="yes")
    return doctor


def new_slot(clerk, in_province, opens=-timedelta(hours=1), closes=timedelta(hours=3), seats=2, **more):
    """A slot made by its form: by default one that is open now, in a hall of its own with two seats; its id."""
    with in_province(SLUG):
        owner = str(
            db.session.scalars(select(Organisation.id).where(Organisation.registration_number == FIRST)).one()
        )
    name = f"第{next(SERIALS)}考场"
    text = f"/{SLUG}/office/halls/new"
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', clerk.get(text).get_data(as_text=True))[1]
    form = {
        "csrf_token": token,
        "organisation": owner,
        "name": name,
        "address": "长安路1号3楼",
        "seats": str(seats),
    }
    assert clerk.post(text, data=form).status_code == 303
    with in_province(SLUG):
        hall = db.session.scalars(select(Hall).where(Hall.name == name)).one()
    slot_form = {
        "organisation": owner,
        "opens_at": local(clock.now() + opens),
        "closes_at": local(clock.now() + closes),
        "hall": str(hall.id),
    } | more
    answer = post_form(clerk, f"/{SLUG}/office/slots", page=f"/{SLUG}/office/halls", **slot_form)
    assert answer.status_code == 303, answer.get_data(as_text=True)
    return UUID(answer.location.rsplit("/", 1)[1])


def begin_paper(in_province, doctor, subject="common", **more):
    """Press 「进入考试」 for the paper of a subject."""
    with in_province(SLUG):
        paper = next(
            due_paper.id
            for due_paper in papers_for(db.session.get_one(Assessment, (CODE, doctor.record_id)))
            if due_paper.subject == subject
        )
    page = f"/sitting/paper/{paper}"
    return doctor.post(page, page=page, **({"promise": "yes"} | more))


def places(in_province, slot_id):
    with in_province(SLUG):
        seat_rows = db.session.execute(
            select(SlotPlace.seat, SlotPlace.assessment_id)
            .where(SlotPlace.slot_id == slot_id)
            .order_by(SlotPlace.seat)
        )
        return {seat_row[0]: seat_row[1] for seat_row in seat_rows}


def notices(in_province, doctor):
    with in_province(SLUG):
        account = actors.account_of(doctor.record_id)
        return [
            notice.body
            for notice in db.session.scalars(
                select(Notice).where(Notice.account_id == account).order_by(Notice.id)
            )
        ]


def sitting_of(in_province, doctor):
    with in_province(SLUG):
        return db.session.scalars(select(Sitting).where(Sitting.assessment_id == doctor.record_id)).first()
