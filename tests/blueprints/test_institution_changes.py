"""Institutions are renamed, merged and closed, by HTTP: what is open goes on at the successor, what was known
under the former name is found, and the numbers of records stay those of the records."""

import re
from datetime import timedelta
from unittest.mock import patch
from uuid import UUID

import pytest
from sqlalchemy import delete, select, update

from dingkao import clock
from dingkao.assessments.models import Assessment, EnrolmentChange
from dingkao.assessments.record_counts import fold_moves, recount, state_totals_of
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidInput
from dingkao.exams import halls
from dingkao.exams.models.hall_models import Hall
from dingkao.jobs import chunks
from dingkao.jobs.models import Job
from dingkao.journal.entries import TERMINAL_ACTOR, invalid_entries
from dingkao.journal.models import JournalEntry
from dingkao.people import assessor_choices, organisation_succession, organisations
from dingkao.people.accounts import create_staff
from dingkao.people.department_models import Department
from dingkao.people.departments import add_departments
from dingkao.people.models import Account, Membership, Notice, Organisation
from dingkao.people.organisations import InstitutionValues
from dingkao.people.scopes import Grant
from tests import actors, sample_data
from tests.blueprints.signed_in_client import post_form, signed_in_client
from tests.repeated_places import add_draft, require_places_repeated

SLUG, CODE = "shanghai", 31
LIST = f"/{SLUG}/office/institutions"
OLD, NEW, EMPTY = "SHJOLD", "SHJNEW", "SHJNIL"
NAMES = {OLD: "徐汇东安医院", NEW: "徐汇中心医院", EMPTY: "徐汇空壳门诊部"}
_serial = actors.unused_serials(SLUG)


@pytest.fixture(scope="module")
def admin(application, in_province):
    """An administrator; three institutions of the test beside those of the province, two of them their own
    assessment organisations."""
    actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
    with in_province(SLUG):
        for number, name in NAMES.items():
            values = InstitutionValues(name, number, f"{CODE}0100", "")
            institution = organisations.add_institution(values, by=TERMINAL_ACTOR)
            if number != EMPTY:
                organisations.appoint_assessor(institution, by=TERMINAL_ACTOR)
                organisations.assign_assessor(institution, institution, by=TERMINAL_ACTOR)
        db.session.commit()
    return signed_in_client(application, in_province, SLUG, "province_admin")


def organisation(number):
    return db.session.scalars(select(Organisation).where(Organisation.registration_number == number)).one()


def page_of(in_province, number):
    with in_province(SLUG):
        return f"{LIST}/{organisation(number).id}"


def text(answer):
    return answer.get_data(as_text=True)


def totals_of(in_province, number, side="institution"):
    with in_province(SLUG):
        totals = state_totals_of(actors.get_or_open_cycle(), side, [organisation(number).id])
        return {state: total for state, total in totals.items() if total}


def doctor_at(application, in_province, number, state=None):
    heading = next(name for name in sample_data.HEADINGS if "登记号" in name)
    doctor = actors.signed_in_doctor(application, in_province, SLUG, next(_serial), **{heading: number})
    if state:
        doctor.post("/filing/notice")
        actors.advance_to(in_province, doctor, state)
    return doctor


def test_a_renamed_institution_is_found_by_both_names(admin, in_province):
    page = f"{page_of(in_province, EMPTY)}/name"
    assert post_form(admin, page, name="", reason="批复").status_code == 422
    assert post_form(admin, page, name="徐汇新壳门诊部", reason="沪卫批〔2026〕1号").status_code == 303
    assert "徐汇空壳门诊部" in text(admin.get(page))
    for words in ("徐汇空壳", "空壳门诊", "徐汇新壳"):
        assert "徐汇新壳门诊部" in text(admin.get(f"{LIST}?q={words}")), words
    with in_province(SLUG):
        assert organisations.resolve_organisation("徐汇空壳门诊部").registration_number == EMPTY
        entries = select(JournalEntry.details).where(
            JournalEntry.subject_id == organisation(EMPTY).id, JournalEntry.verb == "renamed"
        )
        assert db.session.scalars(entries).one()["old"] == "徐汇空壳门诊部"


def test_only_an_institution_with_nothing_open_is_closed_without_a_successor(application, admin, in_province):
    doctor_at(application, in_province, NEW)
    refused = post_form(admin, f"{page_of(in_province, NEW)}/closing", reason="停业", confirmed="1")
    assert refused.status_code == 409
    assert "还有" in text(refused)
    assert "医师1人" in text(post_form(admin, f"{page_of(in_province, NEW)}/closing", reason="停业"))
    clerk = signed_in_client(application, in_province, SLUG, "institution_clerk", EMPTY)
    page = f"{page_of(in_province, EMPTY)}/closing"
    assert "确认撤销" in text(post_form(admin, page, reason="停业"))
    assert clerk.get(f"/{SLUG}/office").status_code == 200, "only shown so far"
    assert post_form(admin, page, reason="停业", confirmed="1").status_code == 303
    assert clerk.get(f"/{SLUG}/office").status_code == 302
    with in_province(SLUG):
        assert db.session.get_one(Account, (CODE, clerk.account_id)).state == "closed"
        with pytest.raises(InvalidInput):
            organisations.resolve_organisation(EMPTY)
    assert "已撤销" in text(admin.get(f"{LIST}?q={EMPTY}"))
    reopening = f"{page_of(in_province, EMPTY)}/reopening"
    assert post_form(admin, reopening, page=LIST).status_code == 303
    with in_province(SLUG):
        assert organisations.resolve_organisation(EMPTY).closed_at is None


@pytest.fixture(scope="module")
def merged(application, admin, in_province):
    """OLD with doctors in three states, a record under review, staff, a hall and a transfer to NEW; then
    merged into NEW by a job whose chunks have two rows. Gives what there was before, and the job."""
    doctors = {
        state: doctor_at(application, in_province, OLD, state if state != "included" else None)
        for state in ("included", "institution_pending", "ready")
    }
    reviewer = signed_in_client(application, in_province, SLUG, "institution_reviewer", OLD)
    with in_province(SLUG):
        add_departments([(organisation(OLD).id, name) for name in ("内科", "外科")], by=TERMINAL_ACTOR)
        db.session.commit()
    signed_in_client(application, in_province, SLUG, "department_liaison", OLD, department="内科")
    with in_province(SLUG):
        for doctor in doctors.values():
            add_draft(doctor.record_id)
        old, new = organisation(OLD), organisation(NEW)
        for place in (old, new):
            db.session.add(Hall(organisation_id=place.id, name="一号机房", address="东安路", seats=20))
        db.session.execute(
            update(Assessment)
            .where(Assessment.id == doctors["institution_pending"].record_id)
            .values(leased_by=reviewer.account_id, leased_until=clock.now() + timedelta(minutes=30))
        )
        db.session.add(
            EnrolmentChange(
                kind="transfer",
                doctor_id=doctors["included"].doctor_id,
                institution_id=old.id,
                target_id=new.id,
                asked_side="institution",
                ground="reorganised",
                reason="合并",
                asked_by=reviewer.account_id,
            )
        )
        db.session.commit()
    page = f"{page_of(in_province, OLD)}/closing"
    form = {"institution": NEW, "reason": "沪卫批〔2026〕2号"}
    preview = text(post_form(admin, page, **form))
    before = totals_of(in_province, NEW)
    answers = [post_form(admin, page, **form, confirmed="1") for _ in range(2)]
    assert answers[0].location == answers[1].location, "pressed twice, enqueued once"
    job_id = UUID(answers[0].location.rsplit("/", 1)[1])
    with (
        patch.object(organisation_succession, "BATCH_SIZE", 2),
        patch.object(chunks, "MAX_TURN_SECONDS", 0.0),
    ):
        turns = list(actors.iter_job_turns(in_province, SLUG, job_id))
    return {"doctors": doctors, "preview": preview, "before": before, "turns": turns, "reviewer": reviewer}


def test_the_preview_counts_what_goes_over(merged):
    for label, number in (
        ("医师", "3人"),
        ("未办结的考核记录", "3条"),
        ("考场", "1个"),
        ("工作人员的角色", "2个"),
        ("科室", "2个"),
    ):
        assert re.search(rf"<td>{label}</td>\s*<td[^>]*>{number}</td>", merged["preview"]), label
    assert NAMES[NEW] in merged["preview"]


def test_everything_open_goes_on_at_the_successor(merged, admin, in_province):
    turns = merged["turns"]
    assert [turn.state for turn in turns][-1] == "done"
    assert len(turns) > 4, "each chunk commits"
    assert turns[-1].done == turns[-1].total
    with in_province(SLUG):
        old, new = organisation(OLD), organisation(NEW)
        for state, doctor in merged["doctors"].items():
            record = db.session.get_one(Assessment, (CODE, doctor.record_id))
            person = db.session.get_one(Doctor, (CODE, doctor.doctor_id))
            assert (record.state, record.institution_id, record.assessor_id) == (state, new.id, new.id)
            assert person.organisation_id == new.id
            require_places_repeated(record.id)
            assert invalid_entries(record.id) == []
            kinds = db.session.scalars(select(Notice.kind).where(Notice.account_id == person.account_id))
            assert "institution_merged" in kinds.all()
        pending = db.session.get_one(Assessment, (CODE, merged["doctors"]["institution_pending"].record_id))
        assert pending.leased_by == merged["reviewer"].account_id
        halls = db.session.scalars(select(Hall.name).where(Hall.organisation_id == new.id)).all()
        assert sorted(halls) == sorted(["一号机房", f"一号机房（{NAMES[OLD]}）"])
        change = db.session.scalars(select(EnrolmentChange)).one()
        assert change.state == "withdrawn"
        liaison = db.session.scalars(select(Membership).where(Membership.role == "department_liaison")).one()
        department = db.session.get_one(Department, (CODE, liaison.department_id))
        assert (department.organisation_id, department.name, department.closed_at) == (new.id, "内科", None)
        at_old = select(Membership.id).where(Membership.organisation_id == old.id)
        assert db.session.scalars(at_old).all() == []
    review = f"/{SLUG}/office/review/{merged['doctors']['institution_pending'].record_id}"
    assert merged["reviewer"].get(review).status_code == 200


def test_the_numbers_of_records_stay_those_of_the_records(merged, in_province):
    gained = {state: merged["before"].get(state, 0) + 1 for state in ("institution_pending", "ready")}
    assert totals_of(in_province, OLD) == {}
    after = totals_of(in_province, NEW)
    assert {state: after[state] for state in gained} == gained
    assert after["included"] == merged["before"].get("included", 0) + 1
    with in_province(SLUG):
        fold_moves()
        assert recount() == 0


def test_whoever_looks_for_the_former_institution_finds_the_successor(
    merged, application, admin, in_province
):
    with in_province(SLUG):
        for words in (NAMES[OLD], "东安医院", OLD):
            assert organisations.resolve_organisation(words).registration_number == NEW, words
    assert f"已并入{NAMES[NEW]}" in text(admin.get(f"{LIST}?q={OLD}"))
    late = doctor_at(application, in_province, OLD)
    with in_province(SLUG):
        person = db.session.get_one(Doctor, (CODE, late.doctor_id))
        assert person.organisation_id == organisation(NEW).id
    page = f"{page_of(in_province, NEW)}/closing"
    answer = post_form(
        admin, page, institution=str(page_of(in_province, OLD).rsplit("/", 1)[1]), reason="退回"
    )
    assert answer.status_code == 422, "nothing goes into a closed one"
    reopening = f"{page_of(in_province, OLD)}/reopening"
    assert post_form(admin, reopening, page=LIST).status_code == 409


def test_half_a_merger_is_not_left(merged, admin, in_province):
    with in_province(SLUG):
        job = db.session.scalars(select(Job).where(Job.name == "merge_organisation")).one()
        assert db.session.scalar(
            select(Notice.id).where(
                Notice.account_id == merged["reviewer"].account_id, Notice.kind == "staff_moved"
            )
        )
        job.state = "paused"
        db.session.commit()
        job_page = f"/{SLUG}/office/work/{job.id}"
    assert post_form(admin, f"{job_page}/cancel", page=job_page).status_code in (303, 409)
    actors_state = [turn.state for turn in actors.iter_job_turns(in_province, SLUG, job.id)]
    assert actors_state[-1] != "cancelled"


def test_a_liaison_of_a_department_closed_before_goes_over_too(application, admin, in_province):
    with in_province(SLUG):
        for number, name in (("SHJSKN", "徐汇皮肤病院"), ("SHJBIG", "徐汇综合医院")):
            values = InstitutionValues(name, number, f"{CODE}0100", "")
            organisations.add_institution(values, by=TERMINAL_ACTOR)
        db.session.flush()
        add_departments([(organisation("SHJSKN").id, "皮肤科")], by=TERMINAL_ACTOR)
        db.session.commit()
    liaison = signed_in_client(
        application, in_province, SLUG, "department_liaison", "SHJSKN", department="皮肤科"
    )
    with in_province(SLUG):
        db.session.execute(
            update(Department).where(Department.name == "皮肤科").values(closed_at=clock.now())
        )
        db.session.commit()
    form = {"institution": "SHJBIG", "reason": "批复", "confirmed": "1"}
    answer = post_form(admin, f"{page_of(in_province, 'SHJSKN')}/closing", **form)
    turns = list(actors.iter_job_turns(in_province, SLUG, UUID(answer.location.rsplit("/", 1)[1])))
    assert turns[-1].state == "done"
    with in_province(SLUG):
        moved = select(Membership).where(Membership.account_id == liaison.account_id)
        membership = db.session.scalars(moved).one()
        department = db.session.get_one(Department, (CODE, membership.department_id))
        successor_id = organisation("SHJBIG").id
        assert (membership.organisation_id, department.organisation_id) == (successor_id, successor_id)
        assert (department.name, department.closed_at) == ("皮肤科", None)


def test_a_closed_assessment_organisation_is_not_offered_nor_assigned(admin, in_province):
    with in_province(SLUG):
        for number, name in (("SHJASS", "徐汇考核中心"), ("SHJWAI", "徐汇待定诊所")):
            values = InstitutionValues(name, number, f"{CODE}0100", "")
            organisations.add_institution(values, by=TERMINAL_ACTOR)
        organisations.appoint_assessor(organisation("SHJASS"), by=TERMINAL_ACTOR)
        assessor_id = organisation("SHJASS").id
        db.session.commit()
    answer = post_form(admin, f"{LIST}/assign", page=LIST, assessor=str(assessor_id))
    page = f"{LIST}/{assessor_id}/closing"
    assert post_form(admin, page, reason="停业", confirmed="1").status_code == 303
    turns = list(actors.iter_job_turns(in_province, SLUG, UUID(answer.location.rsplit("/", 1)[1])))
    assert turns[-1].state == "failed", "it was asked for while the organisation was open"
    with in_province(SLUG):
        offered = assessor_choices.list_assessors(Grant(is_province=True), 100)
        assert organisation("SHJASS") not in offered
        assert organisation("SHJWAI").assessment_organisation_id is None


def test_halls_get_different_names_however_long_that_of_their_former_organisation_is():
    taken = set()
    for hall in ("一考场", "一楼考场", "一号考场"):
        name = halls._free_name(hall, "长" * 100, taken)
        assert len(name) <= halls.MAX_NAME_LENGTH
        assert name not in taken
        taken.add(name)
    assert halls._free_name("一考场", "县医院", {"一考场（县医院）"}) == "一考场（县医院2）"


def test_who_has_nothing_left_to_assess_is_no_assessment_organisation_any_more(admin, in_province):
    with in_province(SLUG):
        values = InstitutionValues("徐汇考核中心", "SHJEND", f"{CODE}0100", "")
        assessor = organisations.add_institution(values, by=TERMINAL_ACTOR)
        organisations.appoint_assessor(assessor, by=TERMINAL_ACTOR)
        organisations.assign_assessor(organisation(EMPTY), assessor, by=TERMINAL_ACTOR)
        page, assessed = f"{LIST}/{assessor.id}", f"{LIST}/{organisation(EMPTY).id}"
        create_staff("x-ass", "王某人", [("organisation_clerk", assessor)], by=TERMINAL_ACTOR)
        db.session.commit()
    assert "不能取消，请选择另一家考核机构" in text(post_form(admin, assessed, assessor=""))
    refused = post_form(admin, page)
    assert refused.status_code == 422
    sentence = "徐汇考核中心还有所考核的机构1家、考核机构的角色1个，不能取消考核机构。请先"
    assert sentence in text(refused)
    with in_province(SLUG):
        assert organisation("SHJEND").assesses
        organisations.assign_assessor(organisation(EMPTY), organisation(NEW), by=TERMINAL_ACTOR)
        db.session.execute(delete(Membership).where(Membership.organisation_id == organisation("SHJEND").id))
        db.session.commit()
    assert post_form(admin, page).status_code == post_form(admin, page).status_code == 303
    with in_province(SLUG):
        assessor = organisation("SHJEND")
        assert not assessor.assesses
        verbs = db.session.scalars(select(JournalEntry.verb).where(JournalEntry.subject_id == assessor.id))
        assert verbs.all().count("appointment_withdrawn") == 1
        with pytest.raises(InvalidInput, match="尚未被指定为考核机构"):
            organisations.assign_assessor(organisation(EMPTY), assessor, by=TERMINAL_ACTOR)
