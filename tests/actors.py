"""People of a test in the middle of their work: doctors on the list of a cycle, signed in; reviewers and
administrators with sessions."""

import io
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

import pyotp
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments import assessment_transitions, enrolment
from dingkao.assessments.enrolment import enrol, include
from dingkao.assessments.models import Assessment
from dingkao.cycles.cycles import current_cycle, open_cycle
from dingkao.cycles.models import PHASES, Cycle
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.doctors.roster import import_batch
from dingkao.doctors.roster_columns import COLUMN_HEADINGS
from dingkao.exams import sitting_completion, sittings
from dingkao.exams.drawing import load_layout
from dingkao.exams.models.correction_models import KeyCorrection
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import Sitting, SittingAnswer
from dingkao.exams.paper_blueprint import save_paper
from dingkao.exams.papers import papers_for
from dingkao.exams.tickets import get_or_issue_ticket
from dingkao.filings import entry_lists, filing_documents, saving
from dingkao.filings.dossier import dossier_of
from dingkao.filings.user_notice import confirm_notice
from dingkao.integrations.spreadsheets.import_rows import ImportReport, ImportRow
from dingkao.jobs import worker
from dingkao.jobs.models import Job
from dingkao.journal import failed_attempts
from dingkao.journal.entries import TERMINAL_ACTOR, Actor
from dingkao.journal.models import JournalEntry
from dingkao.people import authentication, institution_imports, organisations, sign_in_sessions
from dingkao.people.accounts import doctor_login_index
from dingkao.people.models import Account, Organisation
from dingkao.people.provinces import open_province
from dingkao.people.scopes import WHOLE_PROVINCE
from dingkao.question_banks.importing.file_import import import_questions
from dingkao.question_banks.models import QuestionVersion
from dingkao.tenants.context import in_tenant
from dingkao.tenants.encryption import SecretLocation, current_vault
from dingkao.tenants.registry import by_slug
from tests import sample_data

TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')
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


def portrait_image(width: int = 600, height: int = 800, colour: str = "#c9d6e8", kind: str = "JPEG") -> bytes:
    """A picture that could be a portrait."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, kind)
    return buffer.getvalue()


def open_cycle_today() -> Cycle:
    """A cycle of the province with every phase open today."""
    today = clock.today()
    days = (today - timedelta(days=5), today + timedelta(days=60))
    return open_cycle(
        "2026年度考核",
        today - timedelta(days=900),
        today + timedelta(days=90),
        dict.fromkeys(PHASES, days),
        by=TERMINAL_ACTOR,
    )


def get_or_open_cycle() -> Cycle:
    """The province's cycle with every phase open today, and an assessment organisation for every
    institution."""
    cycle = current_cycle() or open_cycle_today()
    institutions = list(db.session.scalars(select(Organisation).order_by(Organisation.registration_number)))
    first = institutions[0]
    organisations.appoint_assessor(first, by=TERMINAL_ACTOR)
    for institution in institutions:
        if institution.assessment_organisation_id is None:
            organisations.assign_assessor(institution, first, by=TERMINAL_ACTOR)
    return cycle


class Serials(Iterator[int]):
    """Serials of doctors whom no other test of the module has."""

    def __init__(self) -> None:
        self.rest = iter(range(100, 480))

    def __next__(self) -> int:
        return next(self.rest)


_serials: dict[str, Serials] = {}


def unused_serials(slug: str) -> Serials:
    """The sequence of `slug`: one for all that ask."""
    return _serials.setdefault(slug, Serials())


def forget_serials() -> None:
    """Begin every sequence again, those too that somebody has asked for, for a database in which nobody is
    yet."""
    for sequence in _serials.values():
        sequence.rest = iter(range(100, 480))


@dataclass
class SignedInDoctor:
    """A doctor of a test: a signed-in client, and the ids of doctor and record."""

    client: FlaskClient
    slug: str
    number: str
    doctor_id: UUID
    record_id: UUID

    def get(self, address: str) -> str:
        """A page as text."""
        return self.client.get(f"/{self.slug}{address}").get_data(as_text=True)

    def post(self, address: str, /, page: str | None = None, **data: Any) -> Any:
        """Post a form with the token of its page, or where that shows no form, of the home page; unless
        `data` bring one."""
        if "csrf_token" not in data:
            matches = (TOKEN.search(self.get(path)) for path in (page or address, "/home"))
            data["csrf_token"] = next(token for token in matches if token)[1]
        return self.client.post(f"/{self.slug}{address}", data=data)

    def save(self, step: int, data: dict[str, Any], **more: Any) -> Any:
        """Save a step as its page would."""
        page = self.get(f"/filing/{step}")
        revision, token = re.search(r'name="revision" value="(\d+)"', page), TOKEN.search(page)
        assert revision
        assert token
        return self.post(f"/filing/{step}", csrf_token=token[1], revision=revision[1], **data, **more)

    def file(self) -> None:
        """Read the notice, fill in all five steps for 一般程序, with a photo: what their pages have the rooms
        do, which takes half as long without the pages."""
        province = by_slug(self.slug)
        assert province is not None
        with self.client.application.app_context(), in_tenant(province.code):
            doctor = db.session.scalars(select(Doctor).where(Doctor.id == self.doctor_id)).one()
            me, cycle = Actor("doctor", doctor.account_id), current_cycle()
            assert cycle is not None
            confirm_notice(doctor, cycle, by=me)
            dossier = dossier_of(doctor, cycle, for_update=True)
            steps = {
                1: BASIC,
                2: practice_of(self.number),
                4: WORK,
                5: {"procedure": "general", "promise": "yes"},
            }
            for step, texts in steps.items():
                revision = dossier.filing.revision if dossier.filing else 0
                assert saving.save_step(dossier, step, _form(texts), revision, by=me) == {}
            for kind, entry in ENTRIES.items():
                assert entry_lists.save_entry(dossier, kind, "new", _form(entry), by=me)[1] == {}
            filing_documents.save_photo(dossier, portrait_image(), by=me)
            db.session.commit()

    def submit(self) -> Any:
        """Hand it in."""
        return self.post("/filing/submit", page="/filing/check")


def practice_of(number: str) -> dict[str, str]:
    """PRACTICE of the doctor with this resident number, which the 资格证书编码 contains."""
    return PRACTICE | {"qualification": f"200314110{number}"}


def _form(texts: dict[str, str]) -> dict[str, list[str]]:
    """Texts as a form sends them."""
    return {name: [text] for name, text in texts.items()}


def put_on_roster(*rows: dict[str, Any]) -> ImportReport:
    """Import rows (heading → cell) as a roster's import does once its file has been read; reading takes more
    than all the rest."""
    names = {heading: name for name, headings in COLUMN_HEADINGS.items() for heading in headings}
    report = ImportReport()
    import_batch(
        [
            ImportRow(number, {names[heading]: cell for heading, cell in cells.items()})
            for number, cells in enumerate(rows, 2)
        ],
        report,
        restrict_to=None,
        seen=set(),
    )
    assert report.errors == []
    return report


def signed_in_doctor(
    application: Flask, in_province: Any, slug: str, serial: int, *, included: bool = True, **cells: Any
) -> SignedInDoctor:
    """A doctor of the first institution of `slug`, signed in, on the list unless `included` says no; `cells`
    change the roster row."""
    with in_province(slug) as province:
        open_province(province, by=TERMINAL_ACTOR)
        last = sample_data.registration_number(province.code, 3)
        if db.session.scalar(select(Organisation.id).where(Organisation.registration_number == last)) is None:
            institution_imports.import_institutions(
                sample_data.institutions_csv(province.code), by=TERMINAL_ACTOR
            )
        roster_cells = sample_data.roster_row(province.code, serial) | cells
        put_on_roster(roster_cells)
        cycle = get_or_open_cycle()
        with patch.object(
            enrolment, "ENROL_BATCH_SIZE", 200
        ):  # an id is made for each, and a test's province has few
            enrol(cycle)
        db.session.flush()
        account = db.session.scalars(
            select(Account).where(Account.login_index == doctor_login_index(roster_cells["证件号码"]))
        ).one()
        account.state = "active"
        person = db.session.scalars(select(Doctor).where(Doctor.account_id == account.id)).one()
        record = db.session.scalars(select(Assessment).where(Assessment.doctor_id == person.id)).one()
        if included:
            include(
                cycle,
                [record.id],
                by=Actor("staff", None, frozenset({"province_admin"})),
                grant=WHOLE_PROVINCE,
            )
        token = sign_in_sessions.start_session(account)
        ids = person.id, record.id
        db.session.commit()
    client = application.test_client()
    client.set_cookie(f"dk-{slug}", token)
    return SignedInDoctor(client, slug, roster_cells["证件号码"], *ids)


def record_state(in_province: Any, slug: str, record_id: UUID) -> str:
    """The record's state."""
    with in_province(slug):
        return db.session.scalars(select(Assessment.state).where(Assessment.id == record_id)).one()


def failed_attempts_of(in_province: Any, slug: str, someone: SignedInDoctor) -> list[str]:
    """What a doctor tried in vain, by verb, as the journal tells it."""
    with in_province(slug):
        subject = failed_attempts.attempt_subject(authentication.login_index("doctor", someone.number))
        query = select(JournalEntry.verb).where(JournalEntry.subject_id == subject).order_by(JournalEntry.id)
        return list(db.session.scalars(query))


def make_actor(*roles: str) -> Actor:
    """Someone who holds `roles`, with an id of their own."""
    return Actor("staff", uuid4(), frozenset(roles))


def ready_doctor(
    application: Flask, in_province: Any, slug: str, serial: int, *, procedure: str = "general", **cells: Any
) -> SignedInDoctor:
    """A doctor who has read the notice and is 待测评, with a ticket; `cells` change the roster row."""
    someone = signed_in_doctor(application, in_province, slug, serial, **cells)
    someone.post("/filing/notice")
    advance_to(in_province, someone, "ready", procedure=procedure)
    return someone


def advance_to(in_province: Any, someone: SignedInDoctor, state: str, *, procedure: str = "general") -> None:
    """Move the record on from where it is to `state` (up to 待测评) by its moves, with a ticket at the
    end."""
    with in_province(someone.slug):
        record = db.session.scalars(
            select(Assessment).where(Assessment.id == someone.record_id).with_for_update()
        ).one()
        steps = [
            ("draft", lambda: assessment_transitions.start_filing(record, by=Actor("doctor", uuid4()))),
            (
                "institution_pending",
                lambda: assessment_transitions.submit(
                    record, by=Actor("doctor", uuid4()), procedure=procedure
                ),
            ),
            (
                "organisation_pending",
                lambda: assessment_transitions.approve(
                    record,
                    by=make_actor("institution_reviewer"),
                    performance="pass",
                    ethics="pass",
                    opinion="同意",
                ),
            ),
            ("ready", lambda: assessment_transitions.accept(record, by=make_actor("organisation_reviewer"))),
        ]
        names = [reached for reached, _ in steps]
        for _, step in steps[
            names.index(record.state) + 1 if record.state in names else 0 : names.index(state) + 1
        ]:
            step()
        if state == "ready":
            get_or_issue_ticket(record)
        db.session.commit()


def demonstration_bank(in_province: Any, slug: str) -> None:
    """The demonstration's bank, in `slug`."""
    with in_province(slug):
        for name in ("common", "clinical", "dental", "public_health", "chinese"):
            import_questions(
                (files("dingkao.demonstration") / "bank" / f"{name}.csv").read_bytes(),
                bank_name="题库",
                by=TERMINAL_ACTOR,
            )
        db.session.commit()


def open_papers(
    in_province: Any, slug: str, *, minutes: int = 60, category: str = "clinical", level: str = "physician"
) -> None:
    """A paper of either subject, open now, unless they stand already."""
    with in_province(slug):
        if db.session.scalar(
            select(Paper.id).where(Paper.category == category, Paper.level == level).limit(1)
        ):
            return
        for subject in ("common", "professional"):
            save_paper(
                get_or_open_cycle(),
                subject=subject,
                category=category,
                level=level,
                counts={"A1": 4, "A3": 2, "B1": 2, "X": 2},
                minutes=minutes,
                opens_at=clock.now() - timedelta(days=1),
                closes_at=clock.now() + timedelta(days=30),
                by=TERMINAL_ACTOR,
            )
        db.session.commit()


def paper_of_a_hundred(cycle: Cycle, *, category: str, minutes: int = 120) -> None:
    """The paper of material.hundred_questions, open now; commits."""
    save_paper(
        cycle,
        subject="common",
        category=category,
        level="physician",
        counts=sample_data.QUESTIONS,
        minutes=minutes,
        opens_at=clock.now() - timedelta(days=1),
        closes_at=clock.now() + timedelta(days=30),
        by=TERMINAL_ACTOR,
    )
    db.session.commit()


def exam_setup(application: Flask, in_province: Any, slug: str) -> None:
    """What a test of exams stands on: the province with a doctor, a bank, and a paper of either subject."""
    signed_in_doctor(application, in_province, slug, next(unused_serials(slug)))
    demonstration_bank(in_province, slug)
    open_papers(in_province, slug)


def sit_all_papers(
    in_province: Any, someone: SignedInDoctor, *, right: bool = True, wrong: Container[int] = ()
) -> None:
    """Sit every paper of a record that is 待测评 and hand each in: all answers right, or none; `wrong`:
    positions of the first paper that are answered wrongly."""
    with in_province(someone.slug):
        doctor_ = Actor("doctor", uuid4())
        record = db.session.scalars(
            select(Assessment).where(Assessment.id == someone.record_id).with_for_update()
        ).one()
        for index, paper in enumerate(papers_for(record)):
            sitting = sittings.open_sitting(record, paper, by=doctor_)
            if right:
                answer_all(sitting, wrong=() if index else wrong)
            db.session.flush()
            sitting_completion.hand_in_sitting(record, sitting, by=doctor_)
        db.session.commit()


def answer_all(sitting: Sitting, *, wrong: Container[int] = ()) -> list[UUID]:
    """Answer every question of a sitting, rightly but for the positions `wrong`; gives its versions by
    position."""
    versions = [item.version for item in load_layout(sitting.layout)]
    for position, version_id in enumerate(versions):
        version = db.session.get_one(QuestionVersion, (sitting.tenant_id, version_id))
        letters = wrong_letter(version) if position in wrong else version.answer
        db.session.add(
            SittingAnswer(
                sitting_id=sitting.id,
                position=position,
                letters=letters,
                sequence=1,
                tapped_at=None,
                received_at=clock.now(),
            )
        )
    db.session.flush()
    return versions


def wrong_letter(version: QuestionVersion) -> str:
    """The first letter of a question that its key has not."""
    return next(letter for letter, _ in version.options if letter not in version.answer)


def revoke_corrections(in_province: Any, slug: str) -> None:
    """Have every version of a province marked by its own key again, for another test may draw it."""
    with in_province(slug):
        ended = {"superseded_at": clock.now(), "withdrawn_at": clock.now()}
        db.session.execute(update(KeyCorrection).where(KeyCorrection.superseded_at.is_(None)).values(ended))
        db.session.commit()


def run_pending_jobs(application: Flask, in_province: Any, slug: str) -> None:
    """Do every job of a province that waits, as a worker would."""
    while True:
        with in_province(slug) as province:
            waiting = db.session.scalars(
                select(Job.id).where(Job.state.in_(("waiting", "running"))).order_by(Job.id).limit(1)
            ).first()
        if waiting is None:
            return
        with application.app_context(), in_tenant(province.code):
            worker.run_turn(waiting)


def iter_job_turns(in_province: Any, slug: str, job_id: UUID) -> Iterator[Job]:
    """Take the turns of a job of chunks one by one, as a worker would; gives its row after each."""
    while True:
        with in_province(slug):
            worker.run_turn(job_id)
            job = db.session.scalars(select(Job).where(Job.id == job_id)).one()
            db.session.expunge(job)
        yield job
        if job.state not in ("waiting", "running"):
            return


def setup_link_of(application: Flask, in_province: Any, slug: str, mobile: str) -> str | None:
    """The path of the set-up link that was sent to a mobile number of `slug` last, None where none was."""
    application.extensions["background_sms"].wait_until_sent()
    with in_province(slug):
        texts = [
            message["text"]
            for message in application.extensions["sms"].messages()
            if message["mobile"] == mobile
        ]
    links = [message for text in texts if (message := re.search(rf"/{slug}/setup/[\w-]+", text))]
    return links[0][0] if links else None


def complete_setup(client: FlaskClient, link: str, password: str, **fields: str) -> tuple[Any, str]:
    """Open a set-up link and send its form: the answer, and the secret of the second factor that was
    offered."""
    page = client.get(link, follow_redirects=True).get_data(as_text=True)
    token, offer = (
        re.search(rf'name="{name}"[^>]*value="([^"]+)"', page) for name in ("csrf_token", "offer")
    )
    assert token, page
    assert offer, page
    secret = re.search(r'id="secret">([A-Z2-7]+)<', page)[1]  # type: ignore[index]
    entries = {"new_password": password, "again": password, "code": pyotp.TOTP(secret).now()} | fields
    data = {"csrf_token": token[1], "offer": offer[1]} | entries
    return client.post(f"{link.rsplit('/', 1)[0]}", data=data), secret


def account_of(record_id: UUID) -> UUID:
    """The account of a record's doctor, in the province entered."""
    return db.session.scalars(
        select(Doctor.account_id)
        .join(Assessment, Assessment.doctor_id == Doctor.id)
        .where(Assessment.id == record_id)
    ).one()


def number_of(doctor_row: Doctor) -> str:
    """A doctor's number in clear."""
    return current_vault().decrypt(
        SecretLocation("doctor", "number", doctor_row.id), doctor_row.number_sealed
    )
