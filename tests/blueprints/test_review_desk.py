"""The review desk by HTTP: doubts and batches, recall, assignment and hand-over, what has changed since the
last look, guards of a decision, phrases."""

import io
import re
from datetime import timedelta
from functools import partial
from uuid import uuid4

import openpyxl
import pytest
from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import CyclePhase
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidState
from dingkao.exams.models.paper_models import AdmissionTicket
from dingkao.filings import review, review_batches
from dingkao.filings.dossier import filing_of
from dingkao.filings.models import ReviewBatch, ReviewPhrase
from dingkao.jobs.models import Job
from dingkao.journal.models import JournalEntry
from dingkao.people.models import Account, Membership, Organisation
from dingkao.tenants import settings
from tests import actors, sample_data
from tests.blueprints import review_steps
from tests.blueprints.racing import together
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "qinghai", 63
FIRST = sample_data.registration_number(CODE, 1)
_serial = actors.unused_serials(SLUG)
DESK = f"/{SLUG}/office/review"


@pytest.fixture(scope="module")
def submitted(application, in_province):
    """Make a doctor whose record waits for the institution, with a filing if `filed`."""

    def make(*, filed=False, **cells):
        doctor = actors.signed_in_doctor(application, in_province, SLUG, next(_serial), **cells)
        if filed:
            return review_steps.submit_filing(doctor)
        actors.advance_to(in_province, doctor, "institution_pending")
        return doctor

    return make


@pytest.fixture(scope="module")
def staff(application, in_province, submitted):
    """A client of a role at the first institution, which assesses, too."""
    submitted()

    def make(role="institution_reviewer", name="测试人员"):
        client = signed_in_client(application, in_province, SLUG, role, FIRST)
        with in_province(SLUG):
            db.session.execute(update(Account).where(Account.id == client.account_id).values(name=name))
            db.session.commit()
        return client

    return make


@pytest.fixture(scope="module")
def reviewer(staff):
    return staff()


@pytest.fixture(scope="module")
def organisation(staff):
    return staff("organisation_reviewer")


def state(in_province, doctor):
    return actors.record_state(in_province, SLUG, doctor.record_id)


def change(in_province, doctor, **values):
    with in_province(SLUG):
        db.session.execute(update(Assessment).where(Assessment.id == doctor.record_id).values(values))
        db.session.commit()


def change_filing(in_province, doctor, step, **values):
    with in_province(SLUG):
        record = db.session.scalars(select(Assessment).where(Assessment.id == doctor.record_id)).one()
        filing = filing_of(record)
        setattr(filing, step, getattr(filing, step) | values)
        db.session.commit()


def name_doctor(in_province, doctor, name):
    with in_province(SLUG):
        db.session.execute(update(Doctor).where(Doctor.id == doctor.doctor_id).values(name=name))
        db.session.commit()


def offers_recall(page, doctor):
    return f'/{doctor.record_id}/recall"' in page.get_data(as_text=True)


def verbs_of(in_province, doctor):
    with in_province(SLUG):
        query = select(JournalEntry.verb).where(JournalEntry.subject_id == doctor.record_id)
        return list(db.session.scalars(query.order_by(JournalEntry.id)))


def test_what_nothing_speaks_against_goes_through_both_batches(
    in_province, submitted, reviewer, organisation, staff
):
    sound, leased = submitted(filed=True), submitted()
    review_steps.take(staff(name="邻座同事"), leased)
    for client, side in ((reviewer, "institution"), (organisation, "organisation")):
        page = review_steps.preview(client, SLUG, [sound.record_id, leased.record_id], side)
        assert page.count('name="left_out"') == 1
        assert review_steps.confirm(client, SLUG, page).status_code == 303
    assert "邻座同事正在审核" in review_steps.preview(reviewer, SLUG, [leased.record_id])
    assert state(in_province, sound) == "ready"
    with in_province(SLUG):
        assert db.session.scalar(
            select(AdmissionTicket.id).where(AdmissionTicket.assessment_id == sound.record_id)
        )


def test_a_batch_unticked_pressed_twice_reported_and_recalled(in_province, submitted, reviewer, organisation):
    doctors = [submitted() for _ in range(3)]
    unticked, opened, recalled = doctors
    name_doctor(in_province, opened, "已打开者")
    page = review_steps.preview(reviewer, SLUG, [doctor.record_id for doctor in doctors])
    first, second = (
        review_steps.confirm(reviewer, SLUG, page, without=(unticked.record_id,)) for _ in range(2)
    )
    assert first.location == second.location
    assert [state(in_province, doctor) for doctor in doctors] == [
        "institution_pending", "organisation_pending", "organisation_pending",
    ]  # fmt: skip
    assert verbs_of(in_province, opened).count("approve") == 1
    batch_page = reviewer.get(first.location).get_data(as_text=True)
    assert "已审核通过2人；0人未办理" in batch_page
    report = reviewer.get(f"{first.location.partition('?')[0]}/report.xlsx").data
    cells = list(openpyxl.load_workbook(io.BytesIO(report)).active.values)
    assert [row[4] for row in cells[1:]] == ["审核通过", "审核通过"]
    assert opened.number not in str(cells)
    review_steps.take(organisation, opened, "organisation")
    recall_address = f"{first.location.partition('?')[0]}/recall"
    refused = post_form(reviewer, recall_address, page=first.location, side="institution")
    assert "请填写撤回的原因" in refused.get_data(as_text=True)
    done = post_form(
        reviewer,
        recall_address,
        page=first.location,
        follow_redirects=True,
        side="institution",
        reason="批错",
    ).get_data(as_text=True)
    assert "已撤回1人；1人未办理" in done
    assert "对方已打开该记录，不能撤回" in done
    assert state(in_province, recalled) == "institution_pending"
    assert state(in_province, opened) == "organisation_pending"
    assert "已撤回对您报名信息的审核结果" in recalled.get("/notices")


def test_a_large_batch_is_a_job_of_chunks(application, in_province, submitted, reviewer, monkeypatch):
    monkeypatch.setattr(review_batches, "CHUNK_SIZE", 1)
    doctors = [submitted(), submitted(filed=True), submitted()]
    page = review_steps.preview(reviewer, SLUG, [doctor.record_id for doctor in doctors])
    location = review_steps.confirm(reviewer, SLUG, page).location
    assert "人等待办理" in reviewer.get(location).get_data(as_text=True)
    change_filing(in_province, doctors[1], "performance", bad_record="yes")
    with in_province(SLUG):
        job_id = db.session.scalars(select(ReviewBatch.job_id).order_by(ReviewBatch.id.desc()).limit(1)).one()
    *_, job = actors.iter_job_turns(in_province, SLUG, job_id)
    assert (job.state, job.result["reviewed"], job.result["left_out"]) == ("done", 2, 1)
    batch_page = reviewer.get(location).get_data(as_text=True)
    assert "已审核通过2人；1人未办理" in batch_page
    assert "申报有不良执业行为记录。" in batch_page
    assert "已完成" in reviewer.get(f"{DESK}/batches").get_data(as_text=True)


def test_a_cancelled_batch_is_shown_to_whom_it_was_handed_over(in_province, submitted, staff, monkeypatch):
    monkeypatch.setattr(review_batches, "CHUNK_SIZE", 0)
    leaver, successor = staff(), staff()
    page = review_steps.preview(leaver, SLUG, [submitted().record_id])
    location = review_steps.confirm(leaver, SLUG, page).location
    with in_province(SLUG):
        job_id = db.session.scalars(select(Job.id).where(Job.asked_by == leaver.account_id)).one()
        first_id = db.session.scalars(
            select(Organisation.id).where(Organisation.registration_number == FIRST)
        ).one()
    post_form(leaver, f"/{SLUG}/office/work/{job_id}/cancel")
    assert [job.state for job in actors.iter_job_turns(in_province, SLUG, job_id)] == ["cancelled"]
    assert "查看任务" in leaver.get(location).get_data(as_text=True)
    desk = {"organisation": str(first_id), "successor": str(successor.account_id)}
    post_form(leaver, f"/{SLUG}/office/handover/{leaver.account_id}", **desk)
    answer = successor.get(location)
    assert (answer.status_code, "查看任务" in answer.get_data(as_text=True)) == (200, False)


def test_all_that_fit_the_filter_are_selected(in_province, submitted, reviewer):
    mine, other = submitted(), submitted()
    change(in_province, mine, assigned_to=reviewer.account_id)
    page = review_steps.preview(reviewer, SLUG, [], selection="all", view="assigned=me")
    assert (str(mine.record_id) in page, str(other.record_id) in page) == (True, False)


def test_what_was_sent_on_comes_back_until_it_is_opened(
    in_province, submitted, reviewer, organisation, staff
):
    doctor = submitted(filed=True)
    review_steps.approve(reviewer, doctor)
    assert str(doctor.record_id) in reviewer.get(f"{DESK}/sent").get_data(as_text=True)
    assert review_steps.recall(reviewer, doctor, reason="").status_code == 422
    assert review_steps.recall(staff(), doctor).status_code == 403
    assert review_steps.recall(reviewer, doctor).status_code == 303
    assert review_steps.recall(reviewer, doctor).status_code == 409
    assert state(in_province, doctor) == "institution_pending"
    assert verbs_of(in_province, doctor)[-1] == "recall_to_institution"
    review_steps.approve(reviewer, doctor)
    review_steps.accept(organisation, doctor)
    assert review_steps.recall(organisation, doctor, "organisation").status_code == 303
    assert state(in_province, doctor) == "organisation_pending"
    review_steps.decide(organisation, doctor, "return_institution", "organisation", text="请核对")
    assert review_steps.recall(organisation, doctor, "organisation").status_code == 303
    review_steps.decide(organisation, doctor, "return_doctor", "organisation", text="请改")
    doctor.post("/notices/read-all", page="/notices")
    doctor.save(1, actors.BASIC | {"school": "长治医学院"})
    refused = review_steps.recall(organisation, doctor, "organisation")
    assert refused.status_code == 409
    assert "医师已查看退回原因或开始修改" in refused.get_data(as_text=True)


def test_after_the_review_nothing_is_recalled(in_province, submitted, reviewer):
    doctor = submitted()
    review_steps.approve(reviewer, doctor)
    with in_province(SLUG):
        phase = db.session.scalars(select(CyclePhase).where(CyclePhase.kind == "review")).one()
        last_day, phase.last_day = phase.last_day, phase.first_day
        db.session.commit()
    refused, sent = review_steps.recall(reviewer, doctor), reviewer.get(f"{DESK}/sent")
    with in_province(SLUG):
        db.session.execute(update(CyclePhase).where(CyclePhase.kind == "review").values(last_day=last_day))
        db.session.commit()
    assert (refused.status_code, state(in_province, doctor)) == (409, "organisation_pending")
    assert "审核阶段已结束，不能撤回" in refused.get_data(as_text=True)
    assert not offers_recall(sent, doctor)


def test_what_has_gone_past_the_next_desk_is_not_offered_for_recall(
    in_province, submitted, reviewer, organisation
):
    ready, tested = submitted(filed=True), submitted(filed=True)
    for doctor in (ready, tested):
        review_steps.approve(reviewer, doctor)
        review_steps.accept(organisation, doctor)
    for state_since in ("testing", "grading"):
        change(in_province, tested, state=state_since)
        sent = organisation.get(f"{DESK}/sent?side=organisation")
        assert (offers_recall(sent, ready), offers_recall(sent, tested)) == (True, False)
        assert f"/{tested.record_id}?side=organisation" in sent.get_data(as_text=True)


def test_recall_and_opening_race_and_one_of_them_wins(in_province, submitted, reviewer, organisation):
    for _ in range(3):
        doctor = submitted()
        review_steps.approve(reviewer, doctor)
        recalled, opened = together(
            partial(review_steps.recall, reviewer, doctor),
            partial(review_steps.take, organisation, doctor, "organisation"),
        )
        expected = {
            (303, 409): "institution_pending",
            (409, 303): "organisation_pending",
        }
        assert state(in_province, doctor) == expected[recalled.status_code, opened.status_code]


def test_two_people_confirm_the_same_batch_at_once(in_province, submitted, reviewer, staff):
    doctors = [submitted() for _ in range(2)]
    colleague = staff()
    ids = [doctor.record_id for doctor in doctors]
    pages = [review_steps.preview(client, SLUG, ids) for client in (reviewer, colleague)]
    answers = together(
        lambda: review_steps.confirm(reviewer, SLUG, pages[0]),
        lambda: review_steps.confirm(colleague, SLUG, pages[1]),
    )
    assert [answer.status_code for answer in answers] == [303, 303]
    for doctor in doctors:
        assert verbs_of(in_province, doctor).count("approve") == 1
    texts = [
        client.get(answer.location).get_data(as_text=True)
        for client, answer in zip((reviewer, colleague), answers, strict=True)
    ]
    assert sum("已审核通过2人" in text for text in texts) == 1
    assert sum("当前为“待考核机构复核”，不需要审核" in text for text in texts) == 1


def test_a_batch_pressed_twice_at_once_is_one_batch(in_province, submitted, reviewer):
    doctors = [submitted() for _ in range(2)]
    page = review_steps.preview(reviewer, SLUG, [doctor.record_id for doctor in doctors])
    first, second = together(*[lambda: review_steps.confirm(reviewer, SLUG, page)] * 2)
    assert (first.status_code, second.status_code) == (303, 303)
    assert first.location == second.location
    assert verbs_of(in_province, doctors[0]).count("approve") == 1


def assign(client, way, **data):
    return post_form(client, f"{DESK}/assign/{way}", page=f"{DESK}/assignment?side=institution",
                     follow_redirects=True, side="institution", **data)  # fmt: skip


def test_assigned_mine_and_handed_over(in_province, submitted, staff):
    first, second, third = staff(name="甲审核"), staff(name="乙审核"), staff(name="丙审核")
    with in_province(SLUG):
        db.session.execute(
            update(Assessment).where(Assessment.assigned_to.is_(None)).values(assigned_to=uuid4())
        )
        db.session.commit()
    doctors = [submitted(科室="儿科" if turn < 1 else "外科") for turn in range(4)]
    people = [str(client.account_id) for client in (first, second)]
    assert "已分配1人" in assign(first, "department", department="儿科", colleague=people[0]).get_data(
        as_text=True
    )
    assert "已分配3人" in assign(first, "evenly", colleague=people).get_data(as_text=True)
    with in_province(SLUG):
        query = select(Assessment.assigned_to).where(
            Assessment.id.in_([doctor.record_id for doctor in doctors])
        )
        counts = [list(db.session.scalars(query)).count(client.account_id) for client in (first, second)]
    assert counts == [3, 1]
    mine = second.get(f"{DESK}?assigned=me").get_data(as_text=True)
    assert mine.count('name="record"') == 1
    page = review_steps.preview(second, SLUG, [doctors[0].record_id])
    assert "已分配给甲审核" in page
    assert "没有等待您审核的记录了" in post_form(
        third, f"{DESK}/next", page=DESK, follow_redirects=True, side="institution"
    ).get_data(as_text=True)
    review_steps.take(first, doctors[0])
    handed = assign(second, "handover", leaver=people[0], successor=people[1]).get_data(as_text=True)
    assert "已分配3人" in handed
    assert review_steps.approve(second, doctors[0]).status_code == 303
    assert "没有可分配的记录" in assign(second, "handover", leaver=people[0], successor=people[1]).get_data(
        as_text=True
    )
    outsider = str(staff("institution_clerk").account_id)
    refused = assign(second, "handover", leaver=people[0], successor=outsider)
    assert "请选择本机构的审核人" in refused.get_data(as_text=True)


def hand_over_reviews(leaver, successor):
    people = {"leaver": str(leaver.account_id), "successor": str(successor.account_id)}
    return assign(successor, "handover", **people)


def hand_over_desk(leaver, successor):
    page = f"/{SLUG}/office/handover/{leaver.account_id}"
    organisation_id = re.search(
        r'name="organisation" value="([^"]+)"', leaver.get(page).get_data(as_text=True)
    )
    fields = {"organisation": organisation_id[1], "successor": str(successor.account_id)}
    return post_form(leaver, page, follow_redirects=True, **fields)


@pytest.mark.parametrize("way", [hand_over_reviews, hand_over_desk])
def test_a_hand_over_ends_only_the_leases_of_who_leaves(in_province, submitted, staff, way):
    leaver, successor, third = staff(), staff(), staff()
    doctors = [submitted(), submitted(), submitted()]
    records = [
        (leaver, third, successor, third),
        (third, leaver, third, leaver),
        (leaver, leaver, successor, None),
    ]
    later = clock.now() + timedelta(minutes=20)
    for doctor, (assigned_to, leased_by, *_) in zip(doctors, records, strict=True):
        change(
            in_province,
            doctor,
            assigned_to=assigned_to.account_id,
            leased_by=leased_by.account_id,
            leased_until=later,
        )
    assert way(leaver, successor).status_code == 200
    with in_province(SLUG):
        for doctor, (*_, assigned_to, leased_by) in zip(doctors, records, strict=True):
            record = db.session.get_one(Assessment, (CODE, doctor.record_id))
            assert record.assigned_to == assigned_to.account_id
            assert record.leased_by == (leased_by and leased_by.account_id)
            assert (record.leased_until is None) == (leased_by is None)


def test_the_page_shows_what_changed_and_what_the_roster_says(in_province, submitted, reviewer, organisation):
    doctor = submitted(filed=True)
    address = f"{DESK}/{doctor.record_id}"
    assert "您处上次审核以来的修改" not in reviewer.get(address).get_data(as_text=True)
    review_steps.decide(reviewer, doctor, "return", text="请改", **{"mark-1.school": "与证书不符"})
    doctor.save(1, actors.BASIC | {"school": "长治医学院"})
    doctor.submit()
    text = reviewer.get(address).get_data(as_text=True)
    assert "已修改，上次为：山西医科大学" in text
    assert "岁（1980年01月02日出生）" in text
    row = text[text.index("首次注册时间", text.index("名单与填报对照")) :][:400]
    assert ("2010年07月01日" in row, "2005年03月01日" in row, "不一致" in row) == (True, True, True)
    printed = text[text.index("结果通知书将印制") :]
    assert "Internal Medicine" in printed
    assert doctor.number not in text
    change(in_province, doctor, state="organisation_pending", performance="pass", ethics="pass")
    mark = {"mark-1.education": "请核对"}
    review_steps.decide(organisation, doctor, "return_institution", "organisation", **mark)
    assert "上次退回：请核对" in reviewer.get(address).get_data(as_text=True)


def test_a_decision_opens_the_next_record(in_province, submitted, staff):
    client = staff()
    doctors = [submitted(), submitted()]
    own = submitted()
    before_both = clock.now() - timedelta(days=30)
    for doctor in (*doctors, own):
        change(in_province, doctor, assigned_to=client.account_id)
    change(in_province, own, submitted_at=before_both)
    with in_province(SLUG):
        is_client = Account.id == client.account_id
        db.session.execute(update(Account).where(is_client).values(user_name=own.number))
        db.session.commit()
    assert str(doctors[0].record_id) in post_form(client, f"{DESK}/next", page=DESK).location
    base = f"{DESK}/{doctors[0].record_id}"
    answer = post_form(
        client,
        f"{base}/decide?next=1",
        page=base,
        side="institution",
        decision="approve",
        **review_steps.GRADES,
    )
    assert str(doctors[1].record_id) in answer.location
    text = client.get(answer.location).get_data(as_text=True)
    assert "已通过，转考核机构复核。" in text
    assert "通过并下一个" in text


def test_a_decision_stands_though_a_colleague_takes_the_next_record(
    in_province, submitted, staff, monkeypatch
):
    client = staff()
    doctors = [submitted(), submitted()]
    for doctor in doctors:
        change(in_province, doctor, assigned_to=client.account_id)
    base = post_form(client, f"{DESK}/next", page=DESK).location.partition("?")[0]

    def be_late(*_arguments, **_options):
        raise InvalidState("记录正由他人审核。")

    monkeypatch.setattr(review, "lease_record", be_late)
    decision = {"side": "institution", "decision": "approve"} | review_steps.GRADES
    answer = post_form(client, f"{base}/decide?next=1", page=DESK, **decision)
    assert (answer.status_code, answer.location.partition("?")[0]) == (303, DESK)
    assert "已通过，转考核机构复核。" in client.get(answer.location).get_data(as_text=True)


def test_guards_of_the_institutions_approval(in_province, submitted, reviewer, staff):
    doctor = submitted()
    unanswered = review_steps.decide(reviewer, doctor, "approve", **review_steps.GRADES | {"conduct": ""})
    assert "请核对直接认定为不合格的情形" in unanswered.get_data(as_text=True)
    found = review_steps.GRADES | {"conduct": "found"}
    assert "请勾选发现的是哪种情形" in review_steps.decide(reviewer, doctor, "approve", **found).get_data(
        as_text=True
    )
    contradiction = review_steps.decide(reviewer, doctor, "approve", conduct_code="03", **found)
    assert "职业道德应评定为不合格" in contradiction.get_data(as_text=True)
    answer = review_steps.decide(reviewer, doctor, "approve", conduct_code="03", **found | {"ethics": "fail"})
    assert answer.status_code == 303
    with in_province(SLUG):
        record = db.session.scalars(select(Assessment).where(Assessment.id == doctor.record_id)).one()
        assert (record.conduct_findings, record.ethics) == (["03"], "fail")
    own = submitted()
    namesake = staff(name="同名人")
    name_doctor(in_province, own, "同名人")
    assert "您与该医师同名" in review_steps.approve(namesake, own).get_data(as_text=True)
    assert review_steps.decide(
        namesake, own, "approve", not_self="1", **review_steps.GRADES
    ).status_code == 303  # fmt: skip
    mine = submitted()
    with in_province(SLUG):
        db.session.execute(
            update(Account).where(Account.id == namesake.account_id).values(user_name=mine.number)
        )
        db.session.commit()
    refused = review_steps.approve(namesake, mine)
    assert refused.status_code == 403
    assert "这是您本人的考核记录" in refused.get_data(as_text=True)


def test_an_approval_too_late_before_the_test_is_warned_of_or_blocked(
    in_province, submitted, reviewer, monkeypatch
):
    doctor = submitted()
    review_steps.take(reviewer, doctor)
    page = reviewer.get(f"{DESK}/{doctor.record_id}").get_data(as_text=True)
    assert "机构审核意见应在测评开始前30天" in page
    original = settings.value
    monkeypatch.setattr(settings, "value", lambda name: "block" if name == "late_review" else original(name))
    refused = review_steps.approve(reviewer, doctor)
    assert (refused.status_code, "现已超过" in refused.get_data(as_text=True)) == (409, True)
    monkeypatch.undo()
    assert review_steps.approve(reviewer, doctor).status_code == 303


def test_the_organisation_checks_bad_records_and_changes_the_procedure(
    in_province, submitted, reviewer, organisation
):
    doctor = submitted()
    review_steps.approve(reviewer, doctor)
    assert "请核查不良执业行为记录" in review_steps.decide(
        organisation, doctor, "accept", "organisation"
    ).get_data(as_text=True)
    change(in_province, doctor, procedure="simple")
    bad = review_steps.decide(organisation, doctor, "accept", "organisation", bad_record_check="found")
    assert "不适用简易程序" in bad.get_data(as_text=True)
    changing = {"decision": "change_procedure", "side": "organisation"}
    assert review_steps.decide(organisation, doctor, **changing).status_code == 422
    assert review_steps.decide(organisation, doctor, text="有不良记录", **changing).status_code == 303
    accepted = review_steps.decide(organisation, doctor, "accept", "organisation", bad_record_check="found")
    assert accepted.status_code == 303
    with in_province(SLUG):
        record = db.session.scalars(select(Assessment).where(Assessment.id == doctor.record_id)).one()
        assert (record.state, record.procedure, record.bad_record_check) == ("ready", "general", "found")
    assert "考核程序已改为一般程序" in doctor.get("/notices")
    assert "change_to_general_procedure" in verbs_of(in_province, doctor)


def test_phrases_of_ones_own_and_of_the_organisation(staff):
    first, second, clerk = staff(), staff(), staff("institution_clerk")
    page = f"{DESK}/phrases?side=institution"

    def add(client, text, **more):
        return post_form(client, f"{DESK}/phrases", page=page, side="institution", text=text, **more)

    assert add(first, "").status_code == 422
    for _ in range(2):
        assert add(first, "只给自己用").status_code == 303
    add(first, "大家都能用", shared="1")
    own, other = (client.get(page).get_data(as_text=True) for client in (first, second))
    assert own.count("只给自己用") == 1
    assert ("大家都能用" in other, "只给自己用" in other) == (True, False)
    assert add(clerk, "经办共用", shared="1").status_code == 422


def test_the_phrases_of_an_organisation_belong_to_its_reviewers(in_province, staff):
    both = staff("institution_clerk", name="两处任职")
    with in_province(SLUG):
        second = db.session.scalars(
            select(Organisation.id).where(
                Organisation.registration_number == sample_data.registration_number(CODE, 2)
            )
        ).one()
        values = {"account_id": both.account_id, "organisation_id": second, "role": "institution_reviewer"}
        db.session.add(Membership(**values))
        db.session.commit()
    page = f"{DESK}/phrases?side=institution"

    def add(client, text):
        return post_form(client, f"{DESK}/phrases", page=page, side="institution", text=text, shared="1")

    add(staff(), "第一家的话")
    assert add(both, "第二家的话").status_code == 303, "the only one where they decide"
    text = both.get(page).get_data(as_text=True)
    removals = re.findall(r'action="([^"]+/phrases/[^"]+/remove[^"]*)"', text)
    assert ("第一家的话" in text, "第二家的话" in text, len(removals)) == (True, True, 1)
    with in_province(SLUG):
        phrase_id = db.session.scalars(select(ReviewPhrase.id).where(ReviewPhrase.text == "第一家的话")).one()
    address = f"{DESK}/phrases/{phrase_id}/remove?side=institution"
    assert post_form(both, address, page=page).status_code == 404
    assert post_form(both, removals[0].replace("&amp;", "&"), page=page).status_code == 303
