"""People of a test in the middle of their work: doctors on the list of a cycle, signed in; reviewers and administrators with sessions."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files
from typing import Any
from uuid import UUID, uuid4

from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from sqlalchemy import select

from dingkao import clock
from dingkao.assessments import moves
from dingkao.assessments.enrolment import enrol, include
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import PHASES, Cycle
from dingkao.cycles.opening import current_cycle, open_cycle
from dingkao.database.model import db
from dingkao.doctors.models import Doctor
from dingkao.doctors.roster import import_roster
from dingkao.exams import sittings
from dingkao.exams.importing import import_questions
from dingkao.exams.models import QuestionVersion, SittingAnswer
from dingkao.exams.papers import make_paper, papers_for, read
from dingkao.exams.tickets import issue_ticket
from dingkao.jobs import performing
from dingkao.jobs.models import Job
from dingkao.journal.writing import TERMINAL, Actor
from dingkao.people import organisations, signing_in
from dingkao.people.accounts import doctor_login_index
from dingkao.people.models import Account, Organisation
from dingkao.people.opening import open_province
from dingkao.tenants.context import entered
from dingkao.tenants.secrets import Place, vault
from tests import material

BASIC = {
    "ethnicity": "汉族", "education": "本科", "degree": "学士", "school": "山西医科大学", "graduated": "2003-07", "working_since": "2003-08",
}  # fmt: skip
PRACTICE = {
    "scope": "11", "qualification": "200314110140105198001020018", "qualified": "2004-12-01", "practice": "110140400012345",
    "registered": "2005-03-01", "department": "内科", "title": "主治医师", "employment": "在职", "specialty_years": "19",
}  # fmt: skip
WORK = {
    "good_record": "no", "bad_record": "no", "quantity": "pass", "patients": "12000", "quality": "pass", "ordered_tasks": "pass", "direct_fail": "no",
}  # fmt: skip
ENTRIES = {
    "education": {"name": "山西医科大学", "education": "本科", "since": "1998-09", "until": "2003-07"},
    "practice": {"name": "长治市医院", "department": "内科", "since": "2005-03"},
}


def photo(width: int = 600, height: int = 800, colour: str = "#c9d6e8", kind: str = "JPEG") -> bytes:
    """A picture that could be a portrait."""
    written = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(written, kind)
    return written.getvalue()


def running_cycle() -> Cycle:
    """The province's cycle with every phase open today, and an assessment organisation for every institution."""
    cycle = current_cycle()
    if cycle is None:
        today = clock.today()
        days = (today - timedelta(days=5), today + timedelta(days=60))
        cycle = open_cycle("2026年度考核", today - timedelta(days=900), today + timedelta(days=90), dict.fromkeys(PHASES, days), by=TERMINAL)
    rows = list(db.session.scalars(select(Organisation).order_by(Organisation.registration_number)))
    first = rows[0]
    organisations.appoint(first, by=TERMINAL)
    for row in rows:
        if row.assessment_organisation_id is None:
            organisations.assign(row, first, by=TERMINAL)
    return cycle


_serials: dict[str, Iterator[int]] = {}


def serials(slug: str) -> Iterator[int]:
    """Serials of doctors of `slug` whom no other test has: one sequence for all that ask."""
    return _serials.setdefault(slug, iter(range(100, 480)))


@dataclass
class Someone:
    """A doctor of a test: a signed-in client, and the ids of doctor and record."""

    client: FlaskClient
    slug: str
    number: str
    doctor_id: UUID
    record_id: UUID

    def get(self, address: str) -> str:
        """A page as text."""
        return self.client.get(f"/{self.slug}{address}").get_data(as_text=True)

    def post(self, address: str, page: str | None = None, **data: Any) -> Any:
        """Post a form with the token of its page, or where that shows no form, of the home page."""
        found = (re.search(r'name="csrf_token"[^>]*value="([^"]+)"', self.get(one)) for one in (page or address, "/home"))
        token = next(token for token in found if token)
        return self.client.post(f"/{self.slug}{address}", data={"csrf_token": token[1]} | data)

    def save(self, step: int, data: dict[str, Any], **more: Any) -> Any:
        """Save a step as its page would."""
        revision = re.search(r'name="revision" value="(\d+)"', self.get(f"/filing/{step}"))
        assert revision
        return self.post(f"/filing/{step}", revision=revision[1], **data, **more)

    def file(self) -> None:
        """Read the notice, fill in all five steps for 一般程序, with a photo."""
        self.post("/filing/notice")
        self.save(1, BASIC)
        self.post("/filing/photo", photo=(io.BytesIO(photo()), "photo.jpg"))
        self.save(2, PRACTICE)
        for kind, entry in ENTRIES.items():
            self.post(f"/filing/list/{kind}/new", **entry)
        self.save(4, WORK)
        self.save(5, {"procedure": "general", "promise": "yes"})

    def submit(self) -> Any:
        """Hand it in."""
        return self.post("/filing/submit", page="/filing/check")


def doctor(application: Flask, in_province: Any, slug: str, serial: int, *, included: bool = True, **cells: Any) -> Someone:
    """A doctor of the first institution of `slug`, signed in, on the list unless `included` says no; `cells` change the roster row."""
    with in_province(slug) as province:
        open_province(province, by=TERMINAL)
        organisations.import_institutions(material.institutions(province.code), by=TERMINAL)
        row = material.roster_row(province.code, serial) | cells
        assert import_roster(material.roster([row]), by=TERMINAL).errors == []
        cycle = running_cycle()
        enrol(cycle)
        db.session.flush()
        account = db.session.scalars(select(Account).where(Account.login_index == doctor_login_index(row["证件号码"]))).one()
        account.state = "active"
        person = db.session.scalars(select(Doctor).where(Doctor.account_id == account.id)).one()
        record = db.session.scalars(select(Assessment).where(Assessment.doctor_id == person.id)).one()
        if included:
            include(cycle, [record.id], by=Actor("staff", None, frozenset({"province_admin"})), institutions=None)
        token = signing_in.begin_session(account)
        ids = person.id, record.id
        db.session.commit()
    client = application.test_client()
    client.set_cookie(f"dk-{slug}", token)
    return Someone(client, slug, row["证件号码"], *ids)


def state_of(in_province: Any, slug: str, record_id: UUID) -> str:
    """The record's state."""
    with in_province(slug):
        return db.session.scalars(select(Assessment.state).where(Assessment.id == record_id)).one()


def actor(*roles: str) -> Actor:
    """Someone who holds `roles`, with an id of their own."""
    return Actor("staff", uuid4(), frozenset(roles))


def ready(application: Flask, in_province: Any, slug: str, serial: int, *, procedure: str = "general", **cells: Any) -> Someone:
    """A doctor who has read the notice and is 待测评, with a ticket; `cells` change the roster row."""
    someone = doctor(application, in_province, slug, serial, **cells)
    someone.post("/filing/notice")
    bring_to(in_province, someone, "ready", procedure=procedure)
    return someone


def bring_to(in_province: Any, someone: Someone, state: str, *, procedure: str = "general") -> None:
    """Move the record on from where it is to `state` (up to 待测评) by its moves, with a ticket at the end."""
    with in_province(someone.slug):
        record = db.session.scalars(select(Assessment).where(Assessment.id == someone.record_id).with_for_update()).one()
        steps = [
            ("draft", lambda: moves.begin_filing(record, by=Actor("doctor", uuid4()))),
            ("institution_pending", lambda: moves.submit(record, by=Actor("doctor", uuid4()), procedure=procedure)),
            ("organisation_pending", lambda: moves.approve(record, by=actor("institution_reviewer"), performance="pass", ethics="pass", opinion="同意")),
            ("ready", lambda: moves.accept(record, by=actor("organisation_reviewer"))),
        ]
        names = [reached for reached, _ in steps]
        for _, step in steps[names.index(record.state) + 1 if record.state in names else 0 : names.index(state) + 1]:
            step()
        if state == "ready":
            issue_ticket(record)
        db.session.commit()


def bank(in_province: Any, slug: str) -> None:
    """The demonstration's bank, in `slug`."""
    with in_province(slug):
        for name in ("common", "clinical", "dental", "public_health", "chinese"):
            import_questions((files("dingkao.demonstration") / "bank" / f"{name}.csv").read_bytes(), bank="题库", by=TERMINAL)
        db.session.commit()


def papers(in_province: Any, slug: str, *, minutes: int = 60, category: str = "clinical", level: str = "physician") -> None:
    """A paper of either subject, open now."""
    with in_province(slug):
        for subject in ("common", "professional"):
            make_paper(
                running_cycle(), subject=subject, category=category, level=level, counts={"A1": 4, "A3": 2, "B1": 2, "X": 2}, minutes=minutes,
                opens_at=clock.now() - timedelta(days=1), closes_at=clock.now() + timedelta(days=30), by=TERMINAL,
            )  # fmt: skip
        db.session.commit()


def paper_of_a_hundred(cycle: Cycle, *, category: str, minutes: int = 120) -> None:
    """The paper of material.hundred_questions, open now; commits."""
    make_paper(
        cycle, subject="common", category=category, level="physician", counts=material.QUESTIONS, minutes=minutes,
        opens_at=clock.now() - timedelta(days=1), closes_at=clock.now() + timedelta(days=30), by=TERMINAL,
    )  # fmt: skip
    db.session.commit()


def exam(application: Flask, in_province: Any, slug: str) -> None:
    """What a test of exams stands on: the province with a doctor, a bank, and a paper of either subject."""
    doctor(application, in_province, slug, next(serials(slug)))
    bank(in_province, slug)
    papers(in_province, slug)


def sit(in_province: Any, someone: Someone, *, right: bool = True) -> None:
    """Sit every paper of a record that is 待测评 and hand each in: all answers right, or none."""
    with in_province(someone.slug):
        doctor_ = Actor("doctor", uuid4())
        record = db.session.scalars(select(Assessment).where(Assessment.id == someone.record_id).with_for_update()).one()
        for paper in papers_for(record):
            sitting = sittings.open_sitting(record, paper, by=doctor_)
            for position, one in enumerate(read(sitting.layout) if right else []):
                key = db.session.scalars(select(QuestionVersion.answer).where(QuestionVersion.id == one.version)).one()
                db.session.add(SittingAnswer(sitting_id=sitting.id, position=position, letters=key, sequence=1, tapped_at=None, received_at=clock.now()))
            db.session.flush()
            sittings.hand_in(record, sitting, by=doctor_)
        db.session.commit()


def work_off(application: Flask, in_province: Any, slug: str) -> None:
    """Do every job of a province that waits, as a worker would."""
    while True:
        with in_province(slug) as province:
            waiting = db.session.scalars(select(Job.id).where(Job.state == "waiting").order_by(Job.id).limit(1)).first()
        if waiting is None:
            return
        with application.app_context(), entered(province.code):
            performing.run(waiting)


def account_of(record_id: UUID) -> UUID:
    """The account of a record's doctor, in the province entered."""
    return db.session.scalars(select(Doctor.account_id).join(Assessment, Assessment.doctor_id == Doctor.id).where(Assessment.id == record_id)).one()


def number_of(doctor_row: Doctor) -> str:
    """A doctor's number in clear."""
    return vault().unseal(Place("doctor", "number", doctor_row.id), doctor_row.number_sealed)
