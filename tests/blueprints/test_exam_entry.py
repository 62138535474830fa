"""The way into the exam by HTTP: name and ticket, the notice and what it warns of, a paper opened once."""

import re
import threading
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db, new_id
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import Sitting
from dingkao.jobs.models import Job
from dingkao.journal.entries import SYSTEM_ACTOR, Actor
from dingkao.journal.models import JournalEntry
from dingkao.requests.approval_chains import APPROVAL_CHAINS
from dingkao.requests.decision_scope import DecisionScope, get_request_for_update
from dingkao.requests.decisions import approve_request
from dingkao.requests.models import Request, RequestFile
from dingkao.requests.request_files import list_files
from dingkao.requests.submission import lapse_test_replacements
from dingkao.tenants import settings as province_settings
from tests import actors
from tests.blueprints.exam_candidate import CODE, SLUG, make_candidate, serials
from tests.repeated_places import add_draft


@pytest.fixture(scope="module")
def ground(application, in_province):
    actors.exam_setup(application, in_province, SLUG)


@pytest.fixture
def candidate(application, in_province, ground):
    return partial(make_candidate, application, in_province)


def test_who_enters_a_wrong_name_or_ticket_leaves_a_few_entries(application, in_province, ground):
    doctor = actors.ready_doctor(application, in_province, SLUG, next(serials))
    assert "请输入姓名" in doctor.post("/sitting", name="", number="", consent="yes").get_data(as_text=True)
    assert actors.failed_attempts_of(in_province, SLUG, doctor) == [], "nothing was typed"
    for _ in range(5):
        assert "姓名与报名信息不一致" in doctor.post(
            "/sitting", name="王小明", number="1", consent="yes"
        ).get_data(as_text=True)
    assert actors.failed_attempts_of(in_province, SLUG, doctor) == ["exam_entry_failed"] * 3


def test_who_would_begin_while_the_clocks_differ_is_told_and_may_press_again(
    application, candidate, monkeypatch
):
    doctor, text = candidate(), "考试服务器正在校准时间，暂时不能进入考试"
    paper = re.search(r"/sitting/paper/([0-9a-f-]{36})", doctor.get("/sitting"))[1]
    with monkeypatch.context() as apart:
        apart.setattr(application.extensions["clocks"], "seconds_ahead", lambda: -2.1)
        refused = doctor.post(f"/sitting/paper/{paper}", promise="yes")
        assert refused.status_code == 503
        assert text in refused.get_data(as_text=True)
    assert doctor.post(f"/sitting/paper/{paper}", promise="yes").status_code == 303
    assert doctor.client.get(f"/{SLUG}/sitting/paper/{paper}").status_code == 302


@pytest.mark.parametrize(
    ("rule", "told", "other"),
    [
        ("partial", "少选的按选对选项所占的比例得分，有错选的不得分", "多选、少选、错选均不得分"),
        ("all", "多选、少选、错选均不得分", "比例得分"),
    ],
)
def test_the_notice_says_how_x_is_marked_here(in_province, candidate, rule, told, other):
    doctor = candidate()
    with in_province(SLUG):
        province_settings.change("x_rule", rule, by=None, reason="评分办法")
        db.session.commit()
    paper = re.search(r"/sitting/paper/([0-9a-f-]{36})", doctor.get("/sitting"))[1]
    response = doctor.get(f"/sitting/paper/{paper}")
    assert told in response
    assert other not in response


def test_pressed_twice_at_once_one_sitting_is_opened(candidate, application, in_province):
    doctor = candidate()
    paper = re.search(r"/sitting/paper/([0-9a-f-]{36})", doctor.get("/sitting"))[1]
    token = re.search(r'name="csrf_token" value="([^"]+)"', doctor.get(f"/sitting/paper/{paper}"))[1]
    cookies = {name: doctor.client.get_cookie(name).value for name in (f"dk-{SLUG}", f"dk-{SLUG}-form")}
    places = []

    def press():
        client = application.test_client()
        for name, value in cookies.items():
            client.set_cookie(name, value)
        places.append(
            client.post(
                f"/{SLUG}/sitting/paper/{paper}", data={"csrf_token": token, "promise": "yes"}
            ).location
        )

    threads = [threading.Thread(target=press) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(places)) == 1
    with in_province(SLUG):
        assert (
            len(db.session.scalars(select(Sitting).where(Sitting.assessment_id == doctor.record_id)).all())
            == 1
        )


def test_an_empty_sign_in_to_the_exam_names_each_field_that_lacks_something(application, in_province, ground):
    doctor = actors.ready_doctor(application, in_province, SLUG, next(serials))
    name = re.search(r"<h2>(医师.)</h2>", doctor.get("/home"))[1]
    lacking = {"name": "请输入姓名。", "number": "请输入准考证号。", "consent": "请先阅读并同意"}
    for form, wrong in (
        ({}, {"name", "number", "consent"}),
        ({"name": name}, {"number", "consent"}),
        ({"number": "1", "consent": "yes"}, {"name", "number"}),
    ):
        answer = doctor.post("/sitting", **form)
        text = answer.get_data(as_text=True)
        assert answer.status_code == 422
        assert (
            set(re.findall(r'id="(\w+)-said"', text))
            == set(re.findall(r'<a href="#(\w+)">', text)) - {"main"}
            == wrong
        )
        for field in wrong - ({"number"} if "number" in form else set()):
            assert lacking[field] in text
    assert "准考证号不正确" in text
    assert "姓名与报名信息不一致" not in text


def ask(in_province, doctor, kind, state="first_pending"):
    with in_province(SLUG):
        first, second = APPROVAL_CHAINS[kind]
        request = add_draft(doctor.record_id, kind)
        request.state, request.first_side, request.second_side = state, first, second
        request.submitted_at = clock.now()
        request.first_by = new_id() if state == "second_pending" else None
        db.session.commit()
        return request.id


def states_of(in_province, *requests):
    with in_province(SLUG):
        return [db.session.get_one(Request, (CODE, request)).state for request in requests]


def test_who_asks_for_exemption_is_warned_on_the_notice_and_begins_by_saying_so(candidate, in_province):
    doctor = candidate()
    request_ids = (
        ask(in_province, doctor, "exemption", "second_pending"),
        ask(in_province, doctor, "deferral"),
    )
    home = doctor.get("/home")
    assert "您的免考申请正在复审" in home
    assert "您的延考申请正在办理" in home
    assert "一进入考试就以考试成绩为准，延考、免考申请自动撤回" in home
    assert "两项申请先通过的生效，另一项自动撤回" in home
    assert re.search(
        r'<p class="card-action">\s*<a class="button button--default"\s+href="[^"]+">进入测评<', home
    ), "not what is to be done now"
    paper = re.search(r"公共知识.*?/sitting/paper/([0-9a-f-]{36})", doctor.get("/sitting"), re.DOTALL)[1]
    notice = doctor.get(f"/sitting/paper/{paper}")
    assert "您的免考、延考申请还没有办完（免考：待所属考核机构复审；延考：待主要执业机构审核）" in notice
    refused = doctor.post(f"/sitting/paper/{paper}", promise="yes")
    assert refused.status_code == 422
    assert "申请还在办理" in refused.get_data(as_text=True)
    assert 'name="promise" value="yes" checked' in refused.get_data(as_text=True)
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "ready"
    assert states_of(in_province, *request_ids) == ["second_pending", "first_pending"]
    response = doctor.post(f"/sitting/paper/{paper}", promise="yes", withdraws="yes")
    assert re.search(r"/sitting/[0-9a-f-]{36}$", response.location)
    assert states_of(in_province, *request_ids) == ["withdrawn", "withdrawn"]
    with in_province(SLUG):
        entries = db.session.scalars(
            select(JournalEntry).where(JournalEntry.subject_id.in_(request_ids), JournalEntry.verb == "lapse")
        ).all()
        assert {entry.reason for entry in entries} == {"已进入考试"}
    assert "申请自动撤回" not in doctor.get("/home")


def test_the_files_of_a_draft_go_with_it_when_it_lapses(candidate, in_province):
    doctor = candidate()
    draft = ask(in_province, doctor, "exemption", "draft")
    with in_province(SLUG):
        file = RequestFile(
            id=new_id(), request_id=draft, kind="proof", name="证明", content_type="image/jpeg", size=1
        )
        db.session.add(file)
        db.session.flush()
        record = db.session.get_one(Assessment, (CODE, doctor.record_id))
        lapse_test_replacements(record, by=SYSTEM_ACTOR, reason="已进入考试")
        assert list_files(db.session.get_one(Request, (CODE, draft))) == []
        deletions = select(Job.arguments).where(Job.name == "forget_request_file")
        assert {"file": str(file.id)} in db.session.scalars(deletions).all()
        db.session.rollback()


def test_of_exemption_and_deferral_at_once_the_first_granted_takes_the_other_back(
    application, candidate, in_province
):
    doctor = candidate()
    ask(in_province, doctor, "deferral")
    response = doctor.get("/requests/new/exemption")
    assert "两项可以同时申请：先通过的一项生效，另一项自动撤回" in response
    assert 'data-confirm="延考申请还在办理' in response
    request_id = ask(in_province, doctor, "exemption", "second_pending")
    with in_province(SLUG):
        record = db.session.scalars(select(Assessment).where(Assessment.id == doctor.record_id)).one()
        desk = DecisionScope(
            "organisation", (record.assessor_id,), new_id(), can_decide=True, can_decide_second=True
        )
        exemption, record = get_request_for_update(request_id, desk)
        approve_request(
            exemption,
            record,
            desk,
            by=Actor("staff", desk.account, frozenset({"organisation_reviewer"})),
            opinion="同意",
        )
        db.session.commit()
        states = dict(
            db.session.execute(
                select(Request.kind, Request.state).where(Request.assessment_id == doctor.record_id)
            ).all()
        )
    assert states == {"exemption": "granted", "deferral": "withdrawn"}
    assert "延考申请已撤回" in doctor.get("/notices")


def test_the_notice_says_how_many_minutes_are_left_where_the_window_cuts_them_short(candidate, in_province):
    doctor = candidate("simple")
    paper = re.search(r"/sitting/paper/([0-9a-f-]{36})", doctor.get("/sitting"))[1]
    assert "现在进入只有" not in doctor.get(f"/sitting/paper/{paper}")
    with in_province(SLUG):
        closes_at = db.session.get_one(Paper, (CODE, UUID(paper))).closes_at
    try:
        for seconds, sentence in (
            (20 * 60 + 30, "现在进入只有20分钟的作答时间，少于本试卷的60分钟"),
            (40, "现在进入只有不足1分钟的作答时间"),
        ):
            with in_province(SLUG):
                db.session.execute(
                    update(Paper)
                    .where(Paper.id == UUID(paper))
                    .values(closes_at=clock.now() + timedelta(seconds=seconds))
                )
                db.session.commit()
            assert sentence in doctor.get(f"/sitting/paper/{paper}")
    finally:
        with in_province(SLUG):
            db.session.execute(update(Paper).where(Paper.id == UUID(paper)).values(closes_at=closes_at))
            db.session.commit()
