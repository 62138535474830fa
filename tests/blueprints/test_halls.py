"""Halls by HTTP: slots and places, what a doctor's slot, extra time and the start code do to 「进入考试」, who may do what, papers and their page."""

import io
import re
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pypdfium2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook
from sqlalchemy import func, select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.model import db
from dingkao.errors import Invalid, Late
from dingkao.exams import halls as rules
from dingkao.exams.halls import Admission, WrongCode, extra_minutes
from dingkao.exams.models import ExtraTime, Hall, Paper, Sitting, Slot, SlotPlace
from dingkao.exams.papers import papers_for
from dingkao.exams.tickets import ticket_of
from dingkao.jobs.models import Job
from dingkao.journal.models import JournalEntry
from dingkao.people.models import Notice, Organisation
from tests import material, people
from tests.blueprints.signed_in import client_of, post

SLUG, CODE = "shaanxi", 61
FIRST = material.registration_number(CODE, 1)
SECOND = material.registration_number(CODE, 2)
_serial = people.serials(SLUG)


@pytest.fixture(scope="module")
def ground(application, in_province):
    people.exam(application, in_province, SLUG)


@pytest.fixture(scope="module")
def clerk(application, in_province, ground):
    """A clerk of the assessment organisation."""
    return client_of(application, in_province, SLUG, "organisation_clerk", FIRST)


@pytest.fixture(scope="module")
def candidate(application, in_province, ground):
    """Make a doctor who is 待测评 and has signed in to the exam."""

    def make(procedure="general"):
        doctor = people.ready(application, in_province, SLUG, next(_serial), procedure=procedure)
        with in_province(SLUG):
            number = ticket_of(db.session.get_one(Assessment, (CODE, doctor.record_id))).number
        doctor.name = re.search(r"<h2>(医师.)</h2>", doctor.get("/home"))[1]
        doctor.post("/sitting", name=doctor.name, number=number, consent="yes")
        return doctor

    return make


def local(moment):
    return f"{clock.beijing(moment):%Y-%m-%dT%H:%M}"


@pytest.fixture(scope="module")
def slot(clerk, in_province):
    """Make a slot by its form: by default one that is open now, in a hall of its own with two seats."""

    def make(opens=-timedelta(hours=1), closes=timedelta(hours=3), seats=2, **more):
        with in_province(SLUG):
            owner = str(db.session.scalars(select(Organisation.id).where(Organisation.registration_number == FIRST)).one())
        name = f"第{next(_serial)}考场"
        new = f"/{SLUG}/office/halls/new"
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', clerk.get(new).get_data(as_text=True))[1]
        form = {"csrf_token": token, "organisation": owner, "name": name, "address": "长安路1号3楼", "seats": str(seats)}
        assert clerk.post(new, data=form).status_code == 303
        with in_province(SLUG):
            hall = db.session.scalars(select(Hall).where(Hall.name == name)).one()
        given = {"organisation": owner, "opens_at": local(clock.now() + opens), "closes_at": local(clock.now() + closes), "hall": str(hall.id)} | more
        answer = post(clerk, f"/{SLUG}/office/slots", page=f"/{SLUG}/office/halls", **given)
        assert answer.status_code == 303, answer.get_data(as_text=True)
        return UUID(answer.location.rsplit("/", 1)[1])

    return make


@pytest.fixture(scope="module")
def begin(in_province):
    """Press 「进入考试」 for the paper of a subject."""

    def press(doctor, subject="common", **more):
        with in_province(SLUG):
            paper = next(one.id for one in papers_for(db.session.get_one(Assessment, (CODE, doctor.record_id))) if one.subject == subject)
        return doctor.post(f"/sitting/paper/{paper}", page=f"/sitting/paper/{paper}", promise="yes", **more)

    return press


def places(in_province, slot_id):
    with in_province(SLUG):
        rows = db.session.execute(select(SlotPlace.seat, SlotPlace.assessment_id).where(SlotPlace.slot_id == slot_id).order_by(SlotPlace.seat))
        return {row[0]: row[1] for row in rows}


def notices(in_province, doctor):
    with in_province(SLUG):
        account = people.account_of(doctor.record_id)
        return [row.body for row in db.session.scalars(select(Notice).where(Notice.account_id == account).order_by(Notice.id))]


def sitting_of(in_province, doctor):
    with in_province(SLUG):
        return db.session.scalars(select(Sitting).where(Sitting.assessment_id == doctor.record_id)).first()


# --- the rule by itself


@given(
    minutes=st.integers(1, 600), extra=st.integers(0, 300), paper=st.tuples(st.integers(0, 500), st.integers(1, 5000)),
    slot=st.none() | st.tuples(st.integers(-500, 2000), st.integers(1, 5000)), begun=st.integers(-100, 6000),
)  # fmt: skip
def test_nobody_begins_outside_paper_and_slot_and_nothing_ends_after_them_but_by_the_extra_time(minutes, extra, paper, slot, begun):
    zero = clock.now()
    at = lambda number: zero + timedelta(minutes=number)  # noqa: E731
    one = Paper(minutes=minutes, opens_at=at(paper[0]), closes_at=at(sum(paper)))
    own = Slot(opens_at=at(slot[0]), closes_at=at(sum(slot))) if slot else None
    admission = Admission(one, own, None, None, extra)
    windows = [one, own] if own else [one]
    inside = all(window.opens_at <= at(begun) < window.closes_at for window in windows)
    if not inside:
        with pytest.raises(Late):
            admission.refuse(at(begun))
        return
    admission.refuse(at(begun))
    end = admission.end(at(begun))
    assert at(begun) < end <= at(begun) + timedelta(minutes=minutes + extra)
    assert end <= min(window.closes_at for window in windows) + timedelta(minutes=extra)
    assert end == at(begun) + timedelta(minutes=minutes + extra) or end == min(window.closes_at for window in windows) + timedelta(minutes=extra)


def test_extra_time_is_minutes_or_a_share_of_each_paper():
    assert extra_minutes(None, 60) == 0
    assert extra_minutes(ExtraTime(minutes=20), 60) == 20
    assert extra_minutes(ExtraTime(percent=25), 50) == 13


def test_a_start_code_is_the_slots_own_changes_and_is_good_for_the_one_before(in_province, slot):
    one, other = slot(invigilated="y"), slot(invigilated="y")
    with in_province(SLUG):
        mine, theirs = (db.session.get_one(Slot, (CODE, each)) for each in (one, other))
        moment = clock.now()
        code, until = rules.start_code(mine, moment)
        assert re.fullmatch("[0-9]{6}", code)
        assert timedelta(0) < until - moment <= timedelta(seconds=rules.CODE_SECONDS)
        assert len({code, rules.start_code(theirs, moment)[0], rules.start_code(mine, until)[0]}) == 3
        before = rules.start_code(mine, moment - timedelta(seconds=rules.CODE_SECONDS))[0]
        for typed in (code, f" {code[:3]} {code[3:]} ", before):
            rules.check_code(mine, typed)
        for typed in ("000000", code[:5], rules.start_code(mine, moment - timedelta(seconds=3 * rules.CODE_SECONDS))[0]):
            with pytest.raises(WrongCode):
                rules.check_code(mine, typed)
        with pytest.raises(Invalid, match="请输入监考人员公布"):
            rules.check_code(mine, " ")


# --- slots and places


def test_a_full_hall_takes_no_more_and_says_for_whom(clerk, slot, candidate, in_province):
    slot_id, doctors = slot(seats=2), [candidate() for _ in range(3)]
    answer = post(clerk, f"/{SLUG}/office/slots/{slot_id}/places", page=f"/{SLUG}/office/slots/{slot_id}", record=[str(one.record_id) for one in doctors])
    assert answer.status_code == 303
    shown = clerk.get(answer.location).get_data(as_text=True)
    assert "已编排2人。1人未编排:考场2座已满" in shown
    assert list(places(in_province, slot_id)) == [1, 2]
    assert "座位1号" in notices(in_province, doctors[0])[-1]
    again = post(clerk, f"/{SLUG}/office/slots/{slot_id}/places", page=f"/{SLUG}/office/slots/{slot_id}", record=str(doctors[0].record_id))
    assert "已编入其他场次" in clerk.get(again.location).get_data(as_text=True)
    assert post(clerk, f"/{SLUG}/office/slots/{slot_id}/remove", page=f"/{SLUG}/office/slots/{slot_id}").status_code == 303
    assert places(in_province, slot_id)
    sheet = clerk.get(f"/{SLUG}/office/slots/{slot_id}/list.xlsx")
    rows = CalamineWorkbook.from_filelike(io.BytesIO(sheet.data)).get_sheet_by_index(0).to_python()
    assert rows[0][:4] == ["座位号", "姓名", "证件号码", "准考证号"]
    assert [row[0] for row in rows[1:]] == [1, 2]
    assert all("****" in row[2] for row in rows[1:])
    post(clerk, f"/{SLUG}/office/slots/{slot_id}/places/remove", page=f"/{SLUG}/office/slots/{slot_id}", placed=str(doctors[0].record_id))
    assert list(places(in_province, slot_id)) == [2]
    assert "已取消" in notices(in_province, doctors[0])[-1]
    post(clerk, f"/{SLUG}/office/slots/{slot_id}/places", page=f"/{SLUG}/office/slots/{slot_id}", all="1")
    assert list(places(in_province, slot_id)) == [1, 2]


def test_one_begins_in_ones_own_slot_only(clerk, slot, candidate, begin, in_province):
    now_, later = candidate(), candidate()
    for doctor, slot_id in ((now_, slot()), (later, slot(opens=timedelta(hours=5), closes=timedelta(hours=8)))):
        post(clerk, f"/{SLUG}/office/slots/{slot_id}/places", page=f"/{SLUG}/office/slots/{slot_id}", record=str(doctor.record_id))
    listed = later.get("/sitting")
    assert "考试场次" in listed
    assert "长安路1号3楼" in listed
    assert "尚未开始" in listed
    refused = begin(later)
    assert refused.status_code == 409
    assert "请在场次时间内进入" in refused.get_data(as_text=True)
    assert begin(now_).status_code == 303
    row = sitting_of(in_province, now_)
    assert row.closes_at - row.opened_at == timedelta(minutes=60)
    with in_province(SLUG):
        place = db.session.scalars(select(SlotPlace).where(SlotPlace.assessment_id == later.record_id)).one()
        over = {"opens_at": clock.now() - timedelta(hours=3), "closes_at": clock.now() - timedelta(minutes=1)}
        db.session.execute(update(Slot).where(Slot.id == place.slot_id).values(**over))
        db.session.commit()
    refused = begin(later)
    assert refused.status_code == 409
    assert "另行安排场次" in refused.get_data(as_text=True)
    assert "您的考试场次已结束" in later.get("/sitting")
    assert people.state_of(in_province, SLUG, later.record_id) == "ready"


def test_an_institutions_slot_holds_for_its_doctors_who_have_no_place(clerk, in_province, candidate, slot, begin):
    doctor, placed = candidate(), candidate()
    other = slot()
    post(clerk, f"/{SLUG}/office/slots/{other}/places", page=f"/{SLUG}/office/slots/{other}", record=str(placed.record_id))
    with in_province(SLUG):
        mine = str(db.session.scalars(select(Organisation.id).where(Organisation.registration_number == FIRST)).one())
    slot_id = slot(opens=timedelta(hours=1), institution=mine, hall="")
    try:
        assert "请在场次时间内进入" in begin(doctor).get_data(as_text=True)
        assert begin(placed).status_code == 303
    finally:
        assert post(clerk, f"/{SLUG}/office/slots/{slot_id}/remove", page=f"/{SLUG}/office/slots/{slot_id}").status_code == 303
    assert begin(doctor).status_code == 303


@pytest.mark.parametrize(("change", "sentence"), [
    ({"closes": -timedelta(hours=2)}, "晚于开始时间"), ({"closes": timedelta(days=59)}, "以内"), ({"opens_at": ""}, "请选择开始时间"),
    ({"organisation": "x"}, "not a valid choice|选择"), ({"hall": "", "institution": ""}, "请选择考场或机构"),
])  # fmt: skip
def test_a_slot_that_can_not_be_is_refused_at_its_field(slot, change, sentence):
    with pytest.raises(AssertionError, match=sentence):
        slot(**change)


def test_one_hall_is_in_one_slot_at_a_time(clerk, slot, in_province):
    slot_id = slot()
    with in_province(SLUG):
        row = db.session.get_one(Slot, (CODE, slot_id))
        given = {"organisation": str(row.organisation_id), "opens_at": local(row.opens_at), "closes_at": local(row.closes_at), "hall": str(row.hall_id)}
    answer = post(clerk, f"/{SLUG}/office/slots", page=f"/{SLUG}/office/halls", **given)
    assert answer.status_code == 422
    assert "时间重叠" in answer.get_data(as_text=True)


def test_those_placed_are_told_when_their_slot_moves(clerk, slot, candidate, in_province):
    doctor, slot_id = candidate(), slot()
    post(clerk, f"/{SLUG}/office/slots/{slot_id}/places", page=f"/{SLUG}/office/slots/{slot_id}", record=str(doctor.record_id))
    page = f"/{SLUG}/office/slots/{slot_id}/change"
    with in_province(SLUG):
        row = db.session.get_one(Slot, (CODE, slot_id))
        given = {"organisation": str(row.organisation_id), "opens_at": local(clock.now() + timedelta(hours=2)), "closes_at": local(clock.now() + timedelta(hours=4)), "hall": str(row.hall_id)}
    before = len(notices(in_province, doctor))
    assert post(clerk, page, **given).status_code == 303
    assert len(notices(in_province, doctor)) == before + 1


# --- extra time


def test_extra_time_follows_the_doctor_over_every_paper_and_past_the_window(clerk, candidate, begin, slot, in_province):
    doctor = candidate()
    slot_id = slot(closes=timedelta(minutes=30))
    post(clerk, f"/{SLUG}/office/slots/{slot_id}/places", page=f"/{SLUG}/office/slots/{slot_id}", record=str(doctor.record_id))
    found = clerk.get(f"/{SLUG}/office/extra-time?name={doctor.name}").get_data(as_text=True)
    page = f"/{SLUG}/office/extra-time/{doctor.doctor_id}"
    assert page in found
    refused = post(clerk, page, minutes="10", percent="10", reason="肢体残疾")
    assert refused.status_code == 422
    assert "两者只填一项" in refused.get_data(as_text=True)
    assert post(clerk, page, percent="50", reason="").status_code == 422
    assert post(clerk, page, percent="50", reason="肢体残疾").status_code == 303
    assert "肢体残疾" in clerk.get(f"/{SLUG}/office/extra-time").get_data(as_text=True)
    assert "含延长30分钟" in doctor.get("/sitting")
    begin(doctor)
    row = sitting_of(in_province, doctor)
    with in_province(SLUG):
        slot_row = db.session.get_one(Slot, (CODE, slot_id))
        assert row.closes_at == slot_row.closes_at + timedelta(minutes=30)
        kept = db.session.scalars(select(ExtraTime).where(ExtraTime.doctor_id == doctor.doctor_id)).one()
        assert "肢体".encode() not in kept.reason_sealed
        entries = db.session.scalars(select(JournalEntry).where(JournalEntry.subject_id == doctor.doctor_id, JournalEntry.verb == "extra_time_granted"))
        assert [entry.details for entry in entries] == [{"minutes": None, "percent": 50}]
    assert post(clerk, f"{page}/withdraw", page=f"/{SLUG}/office/extra-time").status_code == 303
    assert sitting_of(in_province, doctor).closes_at == row.closes_at


# --- start codes


def test_a_start_code_is_asked_for_and_can_not_be_guessed(clerk, candidate, slot, begin, in_province):
    doctor, other, slot_id = candidate(), candidate(), slot(invigilated="y")
    records = [str(one.record_id) for one in (doctor, other)]
    post(clerk, f"/{SLUG}/office/slots/{slot_id}/places", page=f"/{SLUG}/office/slots/{slot_id}", record=records)
    shown = clerk.get(f"/{SLUG}/office/slots/{slot_id}/code")
    code = "".join(re.search(r'start-code"[^>]*>(\d{3}) (\d{3})<', shown.get_data(as_text=True)).groups())
    assert int(shown.headers["Refresh"]) <= rules.CODE_SECONDS + 1
    for _ in range(12):
        assert begin(doctor).status_code == 303
    assert "请输入监考人员公布的6位开考码" in doctor.get("/sitting")
    wrong = f"{(int(code) + 1) % 10**6:06d}"
    answers = [begin(doctor, code=wrong) for _ in range(10)]
    assert {answer.status_code for answer in answers} == {303}
    assert begin(doctor, code=code).status_code == 429
    assert sitting_of(in_province, doctor) is None
    assert begin(other, code=f"{code[:3]} {code[3:]}").location.split("/")[-2] == "sitting"
    assert sitting_of(in_province, other) is not None


# --- tickets as paper


def words(document):
    """The text of a PDF, page by page."""
    opened = pypdfium2.PdfDocument(document)
    return [page.get_textpage().get_text_range() for page in opened]


def test_a_doctor_has_the_ticket_drawn_and_again_when_the_hall_is_known(application, in_province, candidate, slot, clerk):
    doctor = candidate()
    assert "生成准考证" in doctor.get("/ticket")
    assert doctor.client.get(f"/{SLUG}/ticket/picture.png").status_code == 404
    for _ in range(2):
        doctor.post("/ticket")
    waiting = doctor.client.get(f"/{SLUG}/ticket")
    assert "正在生成" in waiting.get_data(as_text=True)
    assert waiting.headers["Refresh"]
    people.work_off(application, in_province, SLUG)
    assert "下载PDF" in doctor.get("/ticket")
    assert doctor.client.get(f"/{SLUG}/ticket/picture.png").data.startswith(b"\x89PNG")
    page = words(doctor.post("/ticket/download", page="/ticket").data)
    assert len(page) == 1
    with in_province(SLUG):
        number = ticket_of(db.session.get_one(Assessment, (CODE, doctor.record_id))).number
    assert number in page[0]
    assert doctor.name in page[0]
    assert "网上作答" in page[0]
    assert doctor.number not in page[0]
    slot_id = slot()
    post(clerk, f"/{SLUG}/office/slots/{slot_id}/places", page=f"/{SLUG}/office/slots/{slot_id}", record=str(doctor.record_id))
    assert "生成准考证" in doctor.get("/ticket")
    doctor.post("/ticket")
    people.work_off(application, in_province, SLUG)
    assert "长安路1号3楼" in words(doctor.post("/ticket/download", page="/ticket").data)[0]
    with in_province(SLUG):
        asked = db.session.scalar(select(func.count()).select_from(Job).where(Job.asked_by == people.account_of(doctor.record_id)))
    assert asked == 2


def test_a_slots_tickets_come_as_one_document_for_whoever_asked(application, in_province, candidate, slot, clerk, admin):
    doctors, slot_id = [candidate() for _ in range(2)], slot()
    page = f"/{SLUG}/office/slots/{slot_id}"
    post(clerk, f"{page}/places", page=page, record=[str(one.record_id) for one in doctors])
    work = post(clerk, f"{page}/tickets", page=page).location
    assert clerk.get(f"{work}/document.pdf").status_code == 404
    people.work_off(application, in_province, SLUG)
    assert "已生成 2" in clerk.get(work).get_data(as_text=True)
    pages = words(clerk.get(f"{work}/document.pdf").data)
    assert [doctor.name in text for doctor, text in zip(doctors, pages, strict=True)] == [True, True]
    assert ["座位" in text and "1号" in text for text in pages[:1]] == [True]
    assert admin.get(f"{work}/document.pdf").status_code == 404


def test_the_photo_is_on_the_ticket(application, in_province, ground):
    doctor = people.doctor(application, in_province, SLUG, next(_serial))
    doctor.file()
    people.bring_to(in_province, doctor, "ready")
    doctor.post("/ticket")
    people.work_off(application, in_province, SLUG)
    page = pypdfium2.PdfDocument(doctor.post("/ticket/download", page="/ticket").data)[0]
    assert len(list(page.get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_IMAGE]))) == 1


def test_an_institutions_tickets_are_of_its_doctors_alone(application, in_province, candidate, clerk):
    candidate()
    with in_province(SLUG):
        first, second = (str(db.session.scalars(select(Organisation.id).where(Organisation.registration_number == one)).one()) for one in (FIRST, SECOND))
        own = db.session.scalar(
            select(func.count()).select_from(Assessment).where(Assessment.institution_id == UUID(first), Assessment.state.in_(("ready", "testing")))
        )
    empty = post(clerk, f"/{SLUG}/office/tickets", institution=second)
    assert empty.status_code == 422
    assert "暂无准考证可打印" in empty.get_data(as_text=True)
    work = post(clerk, f"/{SLUG}/office/tickets", institution=first).location
    people.work_off(application, in_province, SLUG)
    assert len(words(clerk.get(f"{work}/document.pdf").data)) == own


# --- who may


def test_another_organisations_clerk_and_outsiders_see_nothing_of_a_slot(application, in_province, ground, slot, candidate):
    slot_id, doctor = slot(invigilated="y"), candidate()
    with in_province(SLUG):
        second = db.session.scalars(select(Organisation).where(Organisation.registration_number == SECOND)).one()
        second.assesses = True
        db.session.commit()
    stranger = client_of(application, in_province, SLUG, "organisation_clerk", SECOND)
    institution = client_of(application, in_province, SLUG, "institution_clerk", FIRST)
    for address in (f"slots/{slot_id}", f"slots/{slot_id}/code", f"slots/{slot_id}/list.xlsx", f"slots/{slot_id}/change", f"extra-time/{doctor.doctor_id}"):
        assert stranger.get(f"/{SLUG}/office/{address}").status_code == 404, address
        assert institution.get(f"/{SLUG}/office/{address}").status_code == 403, address
        assert doctor.client.get(f"/{SLUG}/office/{address}").status_code == 403, address
    answer = post(stranger, f"/{SLUG}/office/slots/{slot_id}/places", page=f"/{SLUG}/office/halls", all="1")
    assert answer.status_code == 404
    assert client_of(application, in_province, SLUG, "province_admin").get(f"/{SLUG}/office/slots/{slot_id}").status_code == 200


# --- the page of a paper


@pytest.fixture(scope="module")
def admin(application, in_province, ground):
    return client_of(application, in_province, SLUG, "province_admin")


PAPER = f"/{SLUG}/office/papers/professional/dental/assistant"


def paper_form(**more):
    return {
        "A1": "10", "mark_A1": "1", "A2": "0", "A3": "0", "A4": "0", "B1": "0", "X": "2", "mark_X": "1.5", "TF": "0", "humanities": "0", "form": "drawn",
        "procedure": "any", "minutes": "60", "opens_at": local(clock.now()), "closes_at": local(clock.now() + timedelta(days=2)),
    } | more  # fmt: skip


def test_what_is_short_is_shown_before_anything_is_saved(admin, in_province):
    shown = post(admin, PAPER, **paper_form(check="1"))
    assert shown.status_code == 200
    assert "题库可以组成这份试卷" in shown.get_data(as_text=True)
    short = post(admin, PAPER, **paper_form(check="1", A1="200", **{"cell-0-hard": "90%"})).get_data(as_text=True)
    assert "题库凑不成这份试卷" in short
    assert re.search("不足200道", short)
    assert "难度:难" in short
    refused = post(admin, PAPER, **paper_form(A1="200"))
    assert refused.status_code == 422
    assert "不足200道" in refused.get_data(as_text=True)
    with in_province(SLUG):
        assert db.session.scalar(select(func.count()).select_from(Paper).where(Paper.category == "dental")) == 0


def test_marks_are_points_with_one_decimal(admin, in_province):
    refused = post(admin, PAPER, **paper_form(mark_X="1.25"))
    assert refused.status_code == 422
    assert "最多一位小数" in refused.get_data(as_text=True)
    assert post(admin, PAPER, **paper_form()).status_code == 303
    with in_province(SLUG):
        row = db.session.scalars(select(Paper).where(Paper.category == "dental")).one()
        assert row.marks == {"A1": 10, "X": 15}
    assert 'value="1.5"' in admin.get(PAPER).get_data(as_text=True)
    assert "13分" in admin.get(f"/{SLUG}/office/papers").get_data(as_text=True)
    assert post(admin, PAPER, **paper_form(form="fixed", procedure="general")).status_code == 303
    with in_province(SLUG):
        row = db.session.scalars(select(Paper).where(Paper.category == "dental")).one()
        assert (row.procedure, len(row.fixed)) == ("general", 12)


def test_the_key_is_printed_for_the_province_alone_and_that_it_was_is_kept(application, in_province, admin, clerk):
    assert post(admin, f"{PAPER}?procedure=general", **paper_form(form="fixed", procedure="general")).status_code == 303
    with in_province(SLUG):
        paper = db.session.scalars(select(Paper).where(Paper.category == "dental")).one().id
        drawn = db.session.scalars(select(Paper).where(Paper.category == "clinical")).first().id
    page = f"/{SLUG}/office/papers/{paper}/print"
    reviewer = client_of(application, in_province, SLUG, "organisation_reviewer", FIRST)
    for client, may in ((clerk, {"sheet"}), (reviewer, {"sheet", "booklet"}), (admin, {"sheet", "booklet", "key"})):
        for what in ("booklet", "sheet", "key"):
            assert (post(client, page, what=what).status_code == 303) is (what in may), what
            assert (f'value="{what}"' in client.get(page).get_data(as_text=True)) is (what in may)
    assert admin.get(f"/{SLUG}/office/papers/{drawn}/print").status_code == 409
    with in_province(SLUG):
        verbs = db.session.scalars(select(JournalEntry.verb).where(JournalEntry.subject_id == paper, JournalEntry.verb.contains("printed"))).all()
    assert Counter(verbs) == {"sheet_printed": 3, "booklet_printed": 2, "key_printed": 1}
    work = post(admin, page, what="key").location
    people.work_off(application, in_province, SLUG)
    assert "参考答案" in words(admin.get(f"{work}/document.pdf").data)[0]
    assert clerk.get(f"{work}/document.pdf").status_code == 404


@pytest.mark.parametrize("odd", [
    {"A1": "-1"}, {"A1": "99999999999999999999"}, {"A1": "x"}, {"mark_A1": "NaN"}, {"mark_A1": "-3"}, {"mark_A1": "1e9"}, {"mark_A1": "Infinity"},
    {"humanities": "-1"}, {"humanities": "999999999999"}, {"cell-0-hard": "-3"}, {"cell-0-easy": "500%"}, {"cell-0-": "3"}, {"topic": "x", "cell-1-hard": "2"},
    {"procedure": "?"}, {"form": "?"}, {"minutes": "-5"}, {"closes_at": ""}, {"A1": "", "X": ""},
])  # fmt: skip
def test_nothing_that_is_typed_breaks_the_page(admin, odd):
    for check in ({"check": "1"}, {}):
        answer = post(admin, PAPER, **paper_form(**odd, **check))
        assert answer.status_code in (200, 422), odd
    assert answer.status_code == 422
