"""Transfers between institutions and exclusions after filing began, by HTTP: who asks, who consents, what
becomes of the record, what an institution learns of another's doctors."""

import re
import threading
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments.models import Assessment, EnrolmentChange
from dingkao.assessments.record_counts import state_totals_of
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.exams.models.hall_models import Hall, Slot, SlotPlace
from dingkao.exams.models.paper_models import AdmissionTicket
from dingkao.filings.models import Filing
from dingkao.journal.entries import TERMINAL_ACTOR, invalid_entries
from dingkao.journal.models import JournalEntry
from dingkao.people import organisations
from dingkao.people.models import Notice, Organisation
from dingkao.tenants import settings
from tests import actors, sample_data
from tests.blueprints.list_export_steps import export_address
from tests.blueprints.signed_in_client import post_form, signed_in_client
from tests.repeated_places import add_draft, require_places_repeated

SLUG, CODE = "hunan", 43
FIRST, SECOND = sample_data.registration_number(CODE, 1), sample_data.registration_number(CODE, 2)
LIST = f"/{SLUG}/office/changes"
WHY = {"ground": "registration", "reason": "执业证书已变更"}
_serial = actors.unused_serials(SLUG)


@pytest.fixture(scope="module")
def desks(application, in_province):
    """A clerk of either institution, a reviewer of the first, two administrators; the second institution is
    assessed by itself."""
    actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
    with in_province(SLUG):
        second = organisation(SECOND)
        organisations.appoint_assessor(second, by=TERMINAL_ACTOR)
        organisations.assign_assessor(second, second, by=TERMINAL_ACTOR)
        db.session.commit()
    roles = {
        "old": ("institution_clerk", FIRST),
        "new": ("institution_clerk", SECOND),
        "reviewer": ("institution_reviewer", FIRST),
        "admin": ("province_admin", None),
        "other": ("province_admin", None),
    }
    return {
        name: signed_in_client(application, in_province, SLUG, role, place)
        for name, (role, place) in roles.items()
    }


@pytest.fixture
def doctor(application, in_province, desks):
    """A doctor of the first institution who is on its list, nothing filed, a request begun."""
    someone = actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
    with in_province(SLUG):
        add_draft(someone.record_id)
        db.session.commit()
    return someone


def organisation(number):
    return db.session.scalars(select(Organisation).where(Organisation.registration_number == number)).one()


def page_text(answer):
    return answer.get_data(as_text=True)


def name_of(in_province, doctor):
    with in_province(SLUG):
        return db.session.scalars(select(Doctor.name).where(Doctor.id == doctor.doctor_id)).one()


def take_in(desks, in_province, doctor, **fields):
    """The second institution asks for the doctor."""
    typed = {"name": name_of(in_province, doctor), "number": doctor.number, **WHY}
    with in_province(SLUG):
        typed["institution"] = str(organisation(SECOND).id)
    return post_form(desks["new"], f"{LIST}/new", **(typed | fields))


def decide(client, change_page, act, **fields):
    return post_form(client, f"{change_page}/{act}", page=f"/{SLUG}/password", **fields)


def places_of(in_province, doctor):
    """The registration numbers of the doctor's institution, the record's institution and its assessor, which
    the doctor's requests repeat."""
    with in_province(SLUG):
        require_places_repeated(doctor.record_id)
        record = db.session.scalars(select(Assessment).where(Assessment.id == doctor.record_id)).one()
        person = db.session.scalars(select(Doctor).where(Doctor.id == doctor.doctor_id)).one()
        ids = person.organisation_id, record.institution_id, record.assessor_id
        return [db.session.get_one(Organisation, (CODE, place)).registration_number for place in ids]


def included_at(in_province, number):
    """How many included records the totals count at an institution."""
    with in_province(SLUG):
        totals = state_totals_of(actors.get_or_open_cycle(), "institution", [organisation(number).id])
        return totals["included"]


def test_the_new_institution_asks_and_the_old_one_consents(desks, doctor, in_province):
    answer = take_in(desks, in_province, doctor)
    assert answer.status_code == 303
    change_page = answer.location
    assert page_text(desks["new"].get(change_page)).count("登记在另一机构") == 1
    with in_province(SLUG):
        origin = organisation(FIRST).name
    assert origin not in page_text(desks["new"].get(change_page)), "not told whose doctor it is"
    pending = f"{LIST}?view=pending&asked=3"
    assert change_page not in page_text(desks["new"].get(pending)), "asked for today"
    assert origin not in page_text(desks["new"].get(f"{LIST}?view=pending"))
    with in_province(SLUG):
        of_origin = f"{LIST}?view=all&institution={organisation(FIRST).id}"
    assert change_page not in page_text(desks["new"].get(of_origin)), "nor by a filter"
    assert change_page in page_text(desks["admin"].get(of_origin))
    assert "list=enrolment_changes" in export_address(desks["admin"], of_origin)
    assert take_in(desks, in_province, doctor).location == change_page, "asked twice, stands once"
    with in_province(SLUG):
        db.session.execute(update(Doctor).where(Doctor.id == doctor.doctor_id).values(department="内分泌科"))
        db.session.commit()
    assert "去办理" in page_text(desks["old"].get(LIST))
    assert "转入转出、移出名单等待您办理" in page_text(desks["old"].get(f"/{SLUG}/office"))
    assert decide(desks["new"], change_page, "consent", side="institution").status_code == 403
    assert places_of(in_province, doctor) == [FIRST, FIRST, FIRST]
    counted = included_at(in_province, SECOND)
    assert decide(desks["old"], change_page, "consent", side="institution").status_code == 303
    assert places_of(in_province, doctor) == [SECOND, SECOND, SECOND]
    assert included_at(in_province, SECOND) == counted + 1
    assert decide(desks["old"], change_page, "consent", side="institution").status_code == 303, "again"
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "included"
    with in_province(SLUG):
        [change] = db.session.scalars(
            select(EnrolmentChange).where(EnrolmentChange.doctor_id == doctor.doctor_id)
        ).all()
        kinds = db.session.scalars(
            select(Notice.kind)
            .join(Doctor, Doctor.account_id == Notice.account_id)
            .where(Doctor.id == doctor.doctor_id)
            .order_by(Notice.id)
        ).all()
        verbs = db.session.scalars(
            select(JournalEntry.verb).where(JournalEntry.subject_id == change.id).order_by(JournalEntry.id)
        ).all()
        assert invalid_entries(change.id) == []
        moved = db.session.scalars(
            select(JournalEntry.details).where(
                JournalEntry.subject_id == doctor.doctor_id, JournalEntry.verb == "transferred"
            )
        ).one()
    assert moved["department_cleared"] is True
    assert kinds[-2:] == ["transfer_asked", "transfer_done"]
    assert verbs == ["asked", "consented", "carry_out"]
    assert desks["old"].get(f"/{SLUG}/office/doctors/{doctor.doctor_id}").status_code == 403
    at_new_place = desks["new"].get(f"/{SLUG}/office/doctors/{doctor.doctor_id}")
    assert at_new_place.status_code == 200
    assert "内分泌科" not in page_text(at_new_place), "a department of the old institution"


def test_what_was_submitted_is_reviewed_anew_and_nothing_of_it_is_lost(desks, doctor, in_province):
    doctor.file()
    doctor.submit()
    actors.advance_to(in_province, doctor, "organisation_pending")
    with in_province(SLUG):
        query = select(Filing).where(Filing.doctor_id == doctor.doctor_id)
        filing = db.session.scalars(query).one()
        before = (filing.revision, filing.basic, filing.performance, filing.photo_id)
    change_page = take_in(desks, in_province, doctor).location
    assert "由新机构重新审核" in page_text(desks["old"].get(change_page))
    decide(desks["old"], change_page, "consent", side="institution")
    assert places_of(in_province, doctor) == [SECOND, SECOND, SECOND]
    with in_province(SLUG):
        record = db.session.scalars(select(Assessment).where(Assessment.id == doctor.record_id)).one()
        assert (record.state, record.performance, record.ethics, record.graded_by) == (
            "institution_pending",
            None,
            None,
            None,
        )
        assert record.submitted_at is not None
        filing = db.session.scalars(query).one()
        assert (filing.revision, filing.basic, filing.performance, filing.photo_id) == before
        assert invalid_entries(record.id) == []


def test_an_institution_learns_nothing_by_trying_numbers(desks, doctor, in_province):
    for fields in ({"name": "无此人"}, {"number": "11010519491231002X"}):
        answer = take_in(desks, in_province, doctor, **fields)
        assert answer.status_code == 422, fields
        assert "没有查到姓名和证件号码都相符的医师" in page_text(answer)
    with in_province(SLUG):
        settings.change("elsewhere_told_an_hour", "1", by=None, reason="测试")
        db.session.commit()
    try:
        answer = take_in(desks, in_province, doctor)
        assert answer.status_code == 429
        assert "一小时后再试" in page_text(answer)
    finally:
        with in_province(SLUG):
            settings.change("elsewhere_told_an_hour", "30", by=None, reason="测试后恢复")
            db.session.commit()


def test_a_refusal_names_its_reason_to_those_concerned(desks, doctor, in_province):
    address = f"/{SLUG}/office/doctors/{doctor.doctor_id}/transfer"
    wrong = post_form(desks["old"], address, institution="没有这家", **WHY)
    assert wrong.status_code == 422
    assert "没有找到机构" in page_text(wrong)
    answer = post_form(desks["old"], address, institution=SECOND, **WHY)
    change_page = answer.location
    assert decide(desks["new"], change_page, "refuse", side="target", reason=" ").status_code == 422
    assert decide(desks["new"], change_page, "refuse", side="target", reason="没有编制").status_code == 303
    assert "没有编制" in page_text(desks["old"].get(change_page))
    assert "没有编制" in doctor.get("/transfer")
    inbox = f"/{SLUG}/office/inbox"
    assert "现机构提出将" in page_text(desks["new"].get(inbox)), "whose consent is missing is written to"
    assert "原因：没有编制" in page_text(desks["old"].get(inbox))
    assert "没有编制" not in page_text(desks["new"].get(inbox)), "not to whoever refused"
    assert "未读消息" in page_text(desks["old"].get(f"/{SLUG}/office"))
    assert post_form(desks["old"], f"{inbox}/read", page=inbox).status_code == 303
    assert "未读消息" not in page_text(desks["old"].get(f"/{SLUG}/office"))
    assert places_of(in_province, doctor)[0] == FIRST
    assert decide(desks["new"], change_page, "consent", side="target").status_code == 409


def test_a_doctor_asks_and_both_institutions_consent_as_two_persons(desks, doctor, in_province):
    assert doctor.post("/transfer", institution="", **WHY).status_code == 422
    assert doctor.post("/transfer", institution=SECOND, **WHY).status_code == 303
    assert "待现机构、转入机构同意" in doctor.get("/transfer")
    [change_page] = set(re.findall(rf"{LIST}/[\w-]{{36}}", page_text(desks["admin"].get(LIST))))
    assert decide(desks["admin"], change_page, "consent", side="institution").status_code == 303
    same = decide(desks["admin"], change_page, "consent", side="target")
    assert same.status_code == 403
    assert "须由两人分别作出" in page_text(same)
    assert places_of(in_province, doctor)[0] == FIRST
    inbox = f"/{SLUG}/office/inbox"
    assert "现机构已同意将" in page_text(desks["new"].get(inbox))
    assert decide(desks["new"], change_page, "consent", side="target").status_code == 303
    assert places_of(in_province, doctor)[0] == SECOND
    assert "双方已同意" in page_text(desks["old"].get(inbox))


def test_a_doctor_withdraws_the_own_request_and_no_other(desks, doctor, in_province):
    doctor.post("/transfer", institution=SECOND, **WHY)
    [address] = re.findall(rf'action="/{SLUG}(/transfer/[^"]+)"', doctor.get("/transfer"))
    assert doctor.post(address, page="/transfer").status_code == 303
    change_page = take_in(desks, in_province, doctor).location
    change_id = change_page.rsplit("/", 1)[1]
    assert doctor.post(f"/transfer/{change_id}/withdraw", page="/filing/notice").status_code == 403
    assert decide(desks["new"], change_page, "withdraw").status_code == 303


def test_two_consents_at_once_move_the_doctor_once(application, desks, doctor, in_province):
    doctor.post("/transfer", institution=SECOND, **WHY)
    change_page = next(
        address for address in re.findall(rf"{LIST}/[\w-]{{36}}", page_text(desks["old"].get(LIST)))
    )
    sides = {"old": "institution", "new": "target"}
    statuses = []

    def press(name):
        statuses.append(decide(desks[name], change_page, "consent", side=sides[name]).status_code)

    presses = [threading.Thread(target=press, args=(name,)) for name in sides]
    for one_press in presses:
        one_press.start()
    for one_press in presses:
        one_press.join()
    assert statuses == [303, 303]
    assert places_of(in_province, doctor)[0] == SECOND


def test_a_record_that_is_ready_stays_where_it_is(desks, doctor, in_province):
    doctor.post("/filing/notice")
    actors.advance_to(in_province, doctor, "ready")
    answer = take_in(desks, in_province, doctor)
    assert answer.status_code == 422
    assert "本周期考核须在原机构完成" in page_text(answer)


def test_residents_go_to_their_base_only_where_the_province_says_so(desks, doctor, in_province):
    address = f"/{SLUG}/office/doctors/{doctor.doctor_id}/transfer"
    assert "规范化培训基地" in page_text(desks["old"].get(address))
    with in_province(SLUG):
        settings.change("residents_included_by", "employer", by=None, reason="测试")
        db.session.commit()
    try:
        assert "规范化培训基地" not in page_text(desks["old"].get(address))
        refused = post_form(desks["old"], address, institution=SECOND, ground="residency", reason="规培")
        assert refused.status_code == 422
    finally:
        with in_province(SLUG):
            settings.change("residents_included_by", "base", by=None, reason="测试后恢复")
            db.session.commit()


def test_after_filing_began_the_office_above_lets_a_doctor_be_excluded(desks, doctor, in_province):
    doctor.file()
    doctor.submit()
    doctor_page = f"/{SLUG}/office/doctors/{doctor.doctor_id}"
    assert "申请移出" in page_text(desks["old"].get(doctor_page))
    proposed = post_form(desks["old"], f"{doctor_page}/exclusion", page=doctor_page, reason="已退休")
    change_page = proposed.location
    assert "/office/changes/" in change_page
    again = post_form(desks["reviewer"], f"{doctor_page}/exclusion", page=doctor_page, reason="已退休")
    assert again.location == change_page
    assert take_in(desks, in_province, doctor).status_code == 422, "one change at a time"
    assert decide(desks["old"], change_page, "exclude").status_code == 403
    assert "去办理" in page_text(desks["admin"].get(LIST))
    assert decide(desks["admin"], change_page, "keep", reason=" ").status_code == 422
    assert decide(desks["admin"], change_page, "exclude").status_code == 303
    assert decide(desks["admin"], change_page, "exclude").status_code == 303, "again"
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "not_included"
    with in_province(SLUG):
        assert db.session.scalar(select(Filing.revision).where(Filing.doctor_id == doctor.doctor_id))
        assert invalid_entries(doctor.record_id) == []
    assert "已退休" in doctor.get("/notices") or "移出" in doctor.get("/notices")


def test_an_administrator_who_proposes_an_exclusion_does_not_approve_it(desks, doctor, in_province):
    doctor.file()
    doctor_page = f"/{SLUG}/office/doctors/{doctor.doctor_id}"
    proposed = post_form(desks["admin"], f"{doctor_page}/exclusion", page=doctor_page, reason="死亡")
    change_page = proposed.location
    assert decide(desks["admin"], change_page, "exclude").status_code == 403
    assert decide(desks["other"], change_page, "keep", reason="请先核实").status_code == 303
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "draft"
    assert "请先核实" in page_text(desks["old"].get(change_page))
    assert "原因：请先核实" in page_text(desks["old"].get(f"/{SLUG}/office/inbox"))


def test_an_exclusion_is_not_refused_as_a_transfer(desks, doctor, in_province):
    doctor.file()
    doctor_page = f"/{SLUG}/office/doctors/{doctor.doctor_id}"
    proposed = post_form(desks["old"], f"{doctor_page}/exclusion", page=doctor_page, reason="死亡")
    refused = decide(desks["admin"], proposed.location, "refuse", side="office", reason="请先核实")
    assert refused.status_code == 409
    assert "不是转入转出" in page_text(refused)
    assert "请先核实" not in doctor.get("/notices"), "nobody tells the doctor of a transfer"
    assert decide(desks["admin"], proposed.location, "keep", reason="请先核实").status_code == 303


def test_an_exclusion_gives_seat_and_ticket_back(desks, doctor, in_province):
    actors.advance_to(in_province, doctor, "ready")
    with in_province(SLUG):
        first = organisation(FIRST)
        hall = Hall(organisation_id=first.id, name="二楼机房", address="解放路", seats=1)
        slot = Slot(
            cycle_id=actors.get_or_open_cycle().id,
            organisation_id=first.id,
            opens_at=clock.now() + timedelta(days=1),
            closes_at=clock.now() + timedelta(days=2),
        )
        db.session.add_all([hall, slot])
        db.session.flush()
        slot.hall_id = hall.id
        db.session.add(SlotPlace(slot_id=slot.id, assessment_id=doctor.record_id, seat=1))
        db.session.commit()
    doctor_page = f"/{SLUG}/office/doctors/{doctor.doctor_id}"
    proposed = post_form(desks["old"], f"{doctor_page}/exclusion", page=doctor_page, reason="已退休")
    assert decide(desks["admin"], proposed.location, "exclude").status_code == 303
    with in_province(SLUG):
        for model in (SlotPlace, AdmissionTicket):
            query = select(model.id).where(model.assessment_id == doctor.record_id)
            assert db.session.scalar(query) is None, model.__name__
    assert "同意，已移出" in page_text(desks["old"].get(f"/{SLUG}/office/inbox"))
