"""Doctors of a demonstration in every state that can be reached, brought there by the same moves as anyone."""

import io
import random
from datetime import timedelta
from uuid import UUID

from PIL import Image, ImageDraw
from sqlalchemy import select

from dingkao import clock
from dingkao.assessments import moves
from dingkao.assessments.enrolment import include
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.model import db
from dingkao.demonstration.asking import ask
from dingkao.demonstration.marking import look_back
from dingkao.doctors.codes import CATEGORIES, LEVELS
from dingkao.doctors.models import Doctor
from dingkao.exams import halls, integrity, interruptions, practice, sittings, voiding
from dingkao.exams.models import SUBJECTS, QuestionVersion, SittingAnswer
from dingkao.exams.papers import make_paper, papers_for, proposed_counts, read
from dingkao.exams.tickets import issue_ticket
from dingkao.filings import dossier as dossiers
from dingkao.filings.marks import to_keep
from dingkao.journal.writing import SYSTEM, Actor
from dingkao.people import passwords
from dingkao.people.models import Account, Organisation
from dingkao.results import lines, publishing

PAPER_QUESTIONS, PAPER_MINUTES, TRUE_FALSE = 20, 60, 4
ASKING = ("deferred", "exempted", "refused", "asking")
"""Doctors of 待测评 who have asked for something and got it, or not, or wait."""
STATES = (
    "included", "draft", "institution_pending", "institution_returned", "organisation_pending", "organisation_returned", "ready", "testing",
    "scored", "absent", "grading", "confirming", "passed", "failed", "passed", "ready",
    *ASKING,
)  # fmt: skip
PATH = ("draft", "institution_pending", "organisation_pending", "ready", "testing", "scored", "grading", "confirming")
RETURNED = {"1.school": "与毕业证书上的名称不一致。", "3.education": "起止时间与毕业证书不一致。"}
"""What is marked on a filing that was returned, key → sentence."""
SCHOOLS = {14: "山西医科大学", 41: "郑州大学医学院"}


def bring_about(cycle: Cycle, staff: dict[str, Actor], password: str) -> None:
    """Make papers and pass lines of `cycle`, and bring a doctor into each of STATES. `staff`: institution, organisation, admin, admin2."""
    _papers(cycle)
    records = list(db.session.scalars(select(Assessment).where(Assessment.cycle_id == cycle.id).order_by(Assessment.doctor_id)))
    ids = [record.id for record in records[: len(STATES) + 2]]
    include(cycle, ids, by=staff["admin"], institutions=None)
    for (category, level), tenths in {(c, v): 600 for c in CATEGORIES for v in LEVELS}.items():
        if (category, level) != _kind_of(records[STATES.index("scored")]):
            lines.approve(lines.propose(cycle, category, level, tenths, by=staff["admin"]), by=staff["admin2"])
    final = []
    for record, state in zip(records, STATES, strict=False):
        _open_account(record, password)
        if state != "included":
            _bring(cycle, record, "confirming" if state in ("passed", "failed") else state, staff, right=state != "failed")
        if state in ("passed", "failed"):
            final.append(record)
        elif state != "included":
            ask(record, state, staff, portrait(record.id))
            _watched(record, state, staff["organisation"])
    _halls(cycle, [record for record, state in zip(records, STATES, strict=False) if state in ("ready", "testing")], staff["organisation"])
    waiting = [record for record in records if record.state == "confirming" and record not in final]
    for record in waiting:
        moves.object_to(record, by=staff["admin"], reason="先行核对")
    publication = publishing.propose(cycle, by=staff["admin"])
    publishing.approve(publication, by=staff["admin2"])
    for record in waiting:
        moves.conclude(record, by=staff["organisation"])
    look_back(cycle, final[0], next(record for record in records if record.state == "absent"), staff)


def _bring(cycle: Cycle, record: Assessment, state: str, staff: dict[str, Actor], *, right: bool) -> None:
    doctor = db.session.get_one(Doctor, (record.tenant_id, record.doctor_id))
    own = Actor("doctor", doctor.account_id, name=doctor.name)
    upto = {"institution_returned": "institution_pending", "organisation_returned": "organisation_pending", "absent": "ready"}.get(state, "ready" if state in ASKING else state)
    for reached in PATH[: PATH.index(upto) + 1]:
        match reached:
            case "draft":
                _file(cycle, record, doctor, own, complete=state != "draft")
            case "institution_pending":
                dossiers.submit(dossiers.dossier_of(doctor, cycle, lock=True), by=own)
            case "organisation_pending":
                moves.approve(record, by=staff["institution"], performance="pass", ethics="pass", opinion="情况属实,同意。")
            case "ready":
                moves.accept(record, by=staff["organisation"])
                issue_ticket(record)
            case "testing":
                _sit(record, own, papers=1 if state == "testing" else 2, right=right)
            case "grading":
                scores = [sitting.score_tenths for sitting in sittings.sittings_of(record).values()]
                moves.apply_pass_line(record, by=SYSTEM, competence="pass" if lines.reaches(scores, 600) else "fail")
            case "confirming":
                moves.conclude(record, by=staff["organisation"])
    if state == "institution_returned":
        marks = to_keep(dossiers.dossier_of(doctor, cycle), RETURNED)
        moves.return_to_doctor(record, by=staff["institution"], reason="教育经历的起止时间有误,请核对毕业证书后修改。", marks=marks)
    elif state == "organisation_returned":
        moves.return_to_institution(record, by=staff["organisation"], reason="工作成绩评定依据不足,请补充说明。")
    elif state == "absent":
        moves.miss_test(record, by=SYSTEM)
    elif state == "ready":
        _practise(record, doctor)


def _file(cycle: Cycle, record: Assessment, doctor: Doctor, own: Actor, *, complete: bool) -> None:
    dossiers.read_notice(doctor, cycle, by=own)
    born = doctor.birth_date.year if doctor.birth_date else 1970

    def dossier() -> dossiers.Dossier:
        return dossiers.dossier_of(doctor, cycle, lock=True)

    def save(step: int, **given: str) -> None:
        mine = dossier()
        dossiers.save(mine, step, {name: [value] for name, value in given.items()}, mine.filing.revision if mine.filing else 0, by=own)

    school = SCHOOLS.get(record.tenant_id, "医学院")
    save(1, ethnicity="汉族", education="本科", degree="学士", school=school, graduated=f"{born + 23}-07", working_since=f"{born + 23}-08")
    if not complete:
        return
    dossiers.keep_photo(dossier(), portrait(doctor.id), by=own)
    scope = (doctor.scope or "99").split(",")[0]
    area = f"{record.tenant_id}0100"
    save(
        2, scope=scope, qualification=f"{born + 24}{record.tenant_id}110{area}{born}0101001X", qualified=f"{born + 24}-12-01",
        practice=f"110{area}{doctor.id.int % 10**6:06d}", registered=f"{born + 27}-07-01", department=doctor.department or "门诊部",
        title="主治医师" if doctor.level == "physician" else "医师", employment="在职", specialty_years=str(max(clock.today().year - born - 27, 1)),
    )  # fmt: skip
    institution = db.session.get_one(Organisation, (record.tenant_id, record.institution_id))
    for kind, entry in (
        ("education", {"name": school, "education": "本科", "since": f"{born + 18}-09", "until": f"{born + 23}-07"}),
        ("practice", {"name": institution.name, "department": "门诊部", "since": f"{born + 23}-08"}),
    ):  # fmt: skip
        dossiers.save_entry(dossier(), kind, "new", {name: [value] for name, value in entry.items()}, by=own)
    save(4, good_record="no", bad_record="no", quantity="pass", patients="12000", quality="pass", ordered_tasks="pass", direct_fail="no")
    save(5, procedure="general", promise="yes")


def _sit(record: Assessment, own: Actor, *, papers: int, right: bool) -> None:
    for paper in papers_for(record)[:papers]:
        sitting = sittings.open_sitting(record, paper, by=own)
        layout = read(sitting.layout)
        keys = {
            row.id: row.answer
            for row in db.session.scalars(select(QuestionVersion).where(QuestionVersion.id.in_([one.version for one in layout])))
        }
        for position, one in enumerate(layout[: 6 if papers == 1 else None]):
            letters = keys[one.version] if right or position % 3 == 0 else one.order[0]
            db.session.add(SittingAnswer(sitting_id=sitting.id, position=position, letters=letters, sequence=position + 1, tapped_at=clock.now(), received_at=clock.now()))
        db.session.flush()
        if papers > 1:
            sittings.hand_in(record, sitting, by=own)


def _watched(record: Assessment, state: str, by: Actor) -> None:
    """What was noticed of a sitting: of the one that is open some events and time given back, of the one handed in a case."""
    for sitting in sittings.sittings_of(record).values():
        if state == "testing":
            opened = int(sitting.opened_at.timestamp() * 1000)
            integrity.take_note(sitting, [{"kind": "left", "at": opened, "seconds": 0}, {"kind": "offline", "at": opened + 1, "seconds": 0}])
            interruptions.add_time(record, sitting, minutes=10, reason="本考点断网十分钟", by=by)
        elif state == "scored":
            voiding.open_case(record, sitting, reason="监考员发现作答期间有他人在旁指点", by=by)
            return


def _practise(record: Assessment, doctor: Doctor) -> None:
    """Practice of the last weeks: fewer wrong from week to week, the last run not finished, some questions marked."""
    own = f"professional:{doctor.category}"
    for weeks_ago, bank, wrong_every in ((3, own, 2), (2, "common", 3), (1, own, 4), (0, own, 5)):
        run = practice.begin(record, doctor.category, bank=bank)
        run.begun_at = clock.now() - timedelta(weeks=weeks_ago)
        tapped = int(run.begun_at.timestamp() * 1000)
        answers = [
            {"position": one.position, "letters": one.version.answer if (one.position + 1) % wrong_every else _wrong(one.version), "tapped": tapped}
            for one in practice.questions_of(run, doctor.id)
        ]
        practice.take_in(run, doctor.id, answers if weeks_ago else answers[:5], [{"position": 1, "starred": True}])


def _wrong(version: QuestionVersion) -> str:
    return str(next(letter for letter, _ in version.options if letter != version.answer))


def _papers(cycle: Cycle) -> None:
    hour = clock.now().replace(minute=0, second=0, microsecond=0)
    opens_at, closes_at = hour - timedelta(days=1), hour + timedelta(days=100)
    for subject in SUBJECTS:
        for category in CATEGORIES:
            counts = proposed_counts(subject, category, PAPER_QUESTIONS)
            if subject == "common":
                # all of 判断题, among which are a table, a formula and a picture, in every paper
                counts |= {"A1": counts["A1"] - TRUE_FALSE, "TF": TRUE_FALSE}
            for level in LEVELS if counts else ():
                make_paper(
                    cycle, subject=subject, category=category, level=level, counts=counts, minutes=PAPER_MINUTES, opens_at=opens_at, closes_at=closes_at,
                    by=SYSTEM, fixed=(category, level) == ("public_health", "assistant"),
                )  # fmt: skip


def _halls(cycle: Cycle, sitters: list[Assessment], by: Actor) -> None:
    """A hall with two slots, one that runs with places in it, one to come with an invigilator; and extra time for one doctor."""
    organisation = db.session.get_one(Organisation, (sitters[0].tenant_id, sitters[0].assessor_id))
    hall = halls.keep_hall(organisation, name="第一考场", address="门诊楼5层会议室", seats=60, by=by)
    hour = clock.now().replace(minute=0, second=0, microsecond=0)
    for first, last, invigilated in ((timedelta(0), timedelta(days=30), False), (timedelta(days=31), timedelta(days=31, hours=3), True)):
        slot = halls.keep_slot(
            cycle, organisation, opens_at=hour + first, closes_at=hour + last, hall=hall, institution=None, subject=None, invigilated=invigilated, by=by
        )  # fmt: skip
        if not invigilated:
            halls.place(slot, [record.id for record in sitters], by=by)
    doctor = db.session.get_one(Doctor, (sitters[-1].tenant_id, sitters[-1].doctor_id))
    halls.grant_extra(doctor, cycle, minutes=None, percent=25, reason="上肢骨折恢复期,书写和点选不便", by=by)


def _kind_of(record: Assessment) -> tuple[str, str]:
    doctor = db.session.get_one(Doctor, (record.tenant_id, record.doctor_id))
    return doctor.category, doctor.level


def _open_account(record: Assessment, password: str) -> None:
    doctor = db.session.get_one(Doctor, (record.tenant_id, record.doctor_id))
    account = db.session.get_one(Account, (record.tenant_id, doctor.account_id))
    account.password_hash, account.state = passwords.hashed(password), "active"


def portrait(identity: UUID) -> bytes:
    """A made-up portrait: a figure before white ground, in colours of its own."""
    chance = random.Random(identity.int)  # noqa: S311 - for colours, not for secrets
    picture = Image.new("RGB", (600, 840), "#f7f9fc")
    pen = ImageDraw.Draw(picture)
    coat, skin, hair = (f"#{chance.randrange(60, 150):02x}{chance.randrange(80, 160):02x}{chance.randrange(110, 190):02x}", "#e3bfa3", "#2b2623")
    pen.ellipse((60, 590, 540, 1100), fill=coat)
    pen.rectangle((255, 480, 345, 640), fill=skin)
    pen.ellipse((190, 170, 410, 470), fill=hair)
    pen.ellipse((200, 220, 400, 530), fill=skin)
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=90)
    return written.getvalue()
