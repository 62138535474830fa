"""Cases about a sitting: the doctor is heard, and two persons decide."""

from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import select, update

from dingkao import clock
from dingkao.database.base import db
from dingkao.exams import sitting_completion, sittings
from dingkao.exams.models.monitoring_models import IntegrityCase
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.papers import papers_for
from dingkao.journal.entries import Actor
from dingkao.people.models import SignInSession
from dingkao.results import pass_lines
from tests import actors
from tests.blueprints.examinee import CODE, SLUG, text, the_record, token_of
from tests.blueprints.signed_in_client import post_form


def open_case(client, examinee, reason="监考员看到另一人在作答"):
    page = f"/{SLUG}/office/watching/{examinee.sitting}"
    return post_form(client, f"{page}/case", page=page, reason=reason)


def propose(client, place, outcome, opinion="核对监控录像后认定", **more):
    return post_form(client, f"{place}/propose", page=place, outcome=outcome, opinion=opinion, **more)


def decide(client, place, decision="confirm", opinion=""):
    return post_form(client, f"{place}/decide", page=place, decision=decision, opinion=opinion)


def soon():
    return f"{clock.to_beijing(clock.now() + timedelta(days=5)):%Y-%m-%dT%H:%M}"


def finished(examinee):
    examinee.doctor.post(f"/sitting/{examinee.sitting}/hand-in", page=f"/sitting/{examinee.sitting}")


def test_a_sitting_is_voided_by_two_persons_after_the_doctor_was_heard_and_sat_again(
    new_examinee, staff, in_province
):
    examinee, clerk, reviewer, admin = (
        new_examinee(),
        staff("organisation_clerk"),
        staff("organisation_reviewer"),
        staff("province_admin"),
    )
    finished(examinee)
    place = open_case(clerk, examinee).location
    assert "发起核查？" not in text(reviewer.get(f"/{SLUG}/office/watching/{examinee.sitting}"))
    token = token_of(reviewer, f"/{SLUG}/office/watching?view=handed_in")
    early = reviewer.post(
        f"{place}/propose", data={"csrf_token": token, "outcome": "none", "opinion": "核对监控录像后认定"}
    )
    assert early.status_code == 409
    assert "医师尚未说明" in text(early)
    assert "考试情况需要您说明" in examinee.doctor.get("/notices")
    response = examinee.doctor.get("/sitting/cases")
    assert "监考员看到另一人在作答" in response
    case_id = place.rsplit("/", 1)[1]
    assert "不少于4字" in text(examinee.doctor.post("/sitting/cases", case=case_id, statement="冤"))
    assert (
        examinee.doctor.post(
            "/sitting/cases", case=case_id, statement="当时是我本人在作答,旁边是监考老师。"
        ).status_code
        == 303
    )
    assert "当时是我本人在作答" in text(reviewer.get(place))
    assert "请选择处理意见" in text(propose(reviewer, place, ""))
    assert "请填写重考截止时间" in text(propose(reviewer, place, "resit"))
    assert propose(reviewer, place, "resit", resit_until=soon()).status_code == 303
    assert examinee.row().voided_at is None
    assert decide(admin, place).status_code == 303
    assert examinee.row().voided_at is not None
    assert examinee.state() == "ready"
    assert "重考截止" in examinee.doctor.get("/sitting/cases")
    with in_province(SLUG):
        resit_until = db.session.get_one(IntegrityCase, (CODE, UUID(case_id))).resit_until
        assert (resit_until.second, resit_until.microsecond) == (59, 999_999), (
            "the whole of the minute typed belongs to it"
        )
        record = the_record(examinee.doctor.record_id)
        paper = next(due_paper for due_paper in papers_for(record) if due_paper.subject == "common")
        db.session.execute(
            update(Paper).where(Paper.id == paper.id).values(closes_at=clock.now() - timedelta(minutes=1))
        )
        db.session.flush()
        db.session.refresh(paper)
        sitting_completion.close_overdue()
        assert the_record(examinee.doctor.record_id).state == "ready"
        sitting = sittings.open_sitting(
            the_record(examinee.doctor.record_id), paper, by=Actor("doctor", uuid4())
        )
        assert sitting.id != examinee.sitting
        assert sitting.closes_at > clock.now() + timedelta(minutes=30)
        sitting_completion.hand_in_sitting(
            the_record(examinee.doctor.record_id), sitting, by=Actor("doctor", uuid4())
        )
        db.session.execute(
            update(Paper).where(Paper.id == paper.id).values(closes_at=clock.now() + timedelta(days=30))
        )
        db.session.commit()


def test_the_province_sends_back_and_a_new_statement_takes_a_proposal_back(new_examinee, staff, in_province):
    examinee, clerk, reviewer, admin = (
        new_examinee(),
        staff("organisation_clerk"),
        staff("organisation_reviewer"),
        staff("province_admin"),
    )
    place = open_case(clerk, examinee).location
    case_id = place.rsplit("/", 1)[1]
    with in_province(SLUG):
        db.session.execute(
            update(IntegrityCase)
            .where(IntegrityCase.id == UUID(case_id))
            .values(heard_until=clock.now() - timedelta(minutes=1))
        )
        db.session.commit()
    assert propose(reviewer, place, "absent").status_code == 303
    assert "不少于4字" in text(decide(admin, place, "back"))
    assert decide(admin, place, "back", opinion="证据不足,请补充").status_code == 303
    assert propose(reviewer, place, "absent").status_code == 303
    examinee.doctor.post("/sitting/cases", case=case_id, statement="补充说明:当时停电。")
    assert "听取陈述" in text(admin.get(place))
    assert propose(reviewer, place, "none").status_code == 303
    assert decide(admin, place).status_code == 303
    assert (examinee.state(), examinee.row().voided_at) == ("testing", None)
    assert "考试情况核查结果" in examinee.doctor.get("/notices")


def test_voided_as_absent_while_still_answering(new_examinee, staff, in_province):
    examinee, clerk, reviewer, admin = (
        new_examinee(),
        staff("organisation_clerk"),
        staff("organisation_reviewer"),
        staff("province_admin"),
    )
    examinee.send(0, "A", 1)
    place = open_case(clerk, examinee).location
    examinee.doctor.post("/sitting/cases", case=place.rsplit("/", 1)[1], statement="没有什么可说明的。")
    propose(reviewer, place, "absent")
    decide(admin, place)
    assert examinee.state() == "absent"
    assert examinee.send(1, "B", 2).status_code == 409
    answer = examinee.doctor.client.get(f"/{SLUG}/sitting/{examinee.sitting}/end")
    assert answer.location.endswith("/sitting/cases")
    assert "重新" not in text(answer)


def test_nobody_decides_what_they_opened_or_proposed(new_examinee, staff, in_province):
    examinee, clerk, reviewer = new_examinee(), staff("organisation_clerk"), staff("organisation_reviewer")
    place = open_case(clerk, examinee).location
    case_id = UUID(place.rsplit("/", 1)[1])
    examinee.doctor.post("/sitting/cases", case=str(case_id), statement="当时是我本人。")
    propose(reviewer, place, "none")
    admin = staff("province_admin")
    with in_province(SLUG):
        account_id = db.session.scalars(
            select(SignInSession.account_id).order_by(SignInSession.id.desc()).limit(1)
        ).one()
        db.session.execute(
            update(IntegrityCase).where(IntegrityCase.id == case_id).values(proposed_by=account_id)
        )
        db.session.commit()
    assert "不能是同一人" in text(admin.get(place))
    refused = admin.post(
        f"{place}/decide",
        data={"csrf_token": token_of(admin, f"/{SLUG}/office/lines"), "decision": "confirm"},
    )
    assert refused.status_code == 403
    assert (
        reviewer.post(
            f"{place}/decide",
            data={
                "csrf_token": token_of(reviewer, f"/{SLUG}/office/watching/{examinee.sitting}"),
                "decision": "confirm",
            },
        ).status_code
        == 403
    )
    assert examinee.row().voided_at is None


def test_there_is_no_verdict_while_a_case_is_open(new_examinee, staff, in_province):
    examinee, clerk, admin, second = (
        new_examinee(),
        staff("organisation_clerk"),
        staff("province_admin"),
        Actor("staff", uuid4(), frozenset({"province_admin"})),
    )
    with in_province(SLUG):
        record = the_record(examinee.doctor.record_id)
        sitting_completion.hand_in_sitting(
            record,
            sittings.get_sitting(examinee.sitting, record, for_update=True),
            by=Actor("doctor", uuid4()),
        )
        professional_paper = next(paper for paper in papers_for(record) if paper.subject == "professional")
        sitting_completion.hand_in_sitting(
            record,
            sittings.open_sitting(record, professional_paper, by=Actor("doctor", uuid4())),
            by=Actor("doctor", uuid4()),
        )
        db.session.commit()
    assert examinee.state() == "scored"
    open_case(clerk, examinee)
    with in_province(SLUG):
        cycle = actors.get_or_open_cycle()
        line = pass_lines.propose_line(
            cycle, "clinical", "physician", 0, by=Actor("staff", uuid4(), frozenset({"province_admin"}))
        )
        pass_lines.approve_line(line, by=second)
        db.session.commit()
        pass_lines.apply_approved_lines()
        db.session.commit()
    assert examinee.state() == "scored"
    with in_province(SLUG):
        db.session.execute(
            update(IntegrityCase)
            .where(IntegrityCase.sitting_id == examinee.sitting)
            .values(state="dismissed")
        )
        pass_lines.apply_approved_lines()
        db.session.commit()
    assert examinee.state() == "grading"
    assert "发起核查？" not in text(clerk.get(f"/{SLUG}/office/watching/{examinee.sitting}"))
    assert admin.get(f"/{SLUG}/office/cases?state=all").status_code == 200
