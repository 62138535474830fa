"""Watching an exam and what follows: signs of life, events, time given back, cases about a sitting with a hearing and two persons."""

import json
import re
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.blueprints import watching
from dingkao.cycles.models import Cycle
from dingkao.database.model import db
from dingkao.exams import halls, sittings
from dingkao.exams.models import AddedTime, Hall, IntegrityCase, IntegrityEvent, Paper, Sitting, Slot
from dingkao.exams.papers import papers_for
from dingkao.journal.models import JournalEntry
from dingkao.journal.writing import Actor
from dingkao.people.models import Organisation, SignInSession
from dingkao.results import lines
from tests import material, people
from tests.blueprints.signed_in import client_of, post

SLUG, CODE = "bingtuan", 66
_serial = people.serials(SLUG)


@pytest.fixture(scope="module")
def ground(application, in_province):
    people.exam(application, in_province, SLUG)


@pytest.fixture
def staff(application, in_province, ground):
    """Make a member of staff: a role, at the assessment organisation where it is one of those."""

    def make(role, at=1):
        place = material.registration_number(CODE, at) if role.startswith("organisation") else None
        return client_of(application, in_province, SLUG, role, place)

    return make


class Candidate:
    """A doctor with an open sitting of 公共知识, by HTTP, and its page's data."""

    def __init__(self, application, in_province):
        self.doctor = people.ready(application, in_province, SLUG, next(_serial))
        self.in_province = in_province
        with in_province(SLUG):
            record = the_record(self.doctor.record_id)
            paper = next(one for one in papers_for(record) if one.subject == "common")
            self.sitting = sittings.open_sitting(record, paper, by=Actor("doctor", uuid4())).id
            db.session.commit()
        self.take()

    def take(self):
        """Go on with the sitting on this device."""
        self.doctor.post(f"/sitting/{self.sitting}/take-over", page=f"/sitting/{self.sitting}")
        shown = self.doctor.get(f"/sitting/{self.sitting}")
        self.data = json.loads(re.search(r'id="data">(.*?)</script>', shown, re.DOTALL)[1])
        self.token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', shown)[1]

    def row(self):
        with self.in_province(SLUG):
            return db.session.get_one(Sitting, (CODE, self.sitting))

    def send(self, position, letters, sequence):
        body = {"position": position, "letters": letters, "sequence": sequence, "tapped": int(clock.now().timestamp() * 1000)}
        return self.doctor.client.post(self.data["address"], json=body, headers={"X-Sitting": self.data["token"]})

    def pulse(self, token=None):
        return self.doctor.client.post(self.data["address"].replace("/answer", "/pulse"), headers={"X-Sitting": token or self.data["token"]})

    def note(self, *events):
        return self.doctor.client.post(self.data["events"], json=list(events), headers={"X-CSRFToken": self.token, "Accept": "application/json"})

    def ends(self, moment):
        with self.in_province(SLUG):
            db.session.execute(update(Sitting).where(Sitting.id == self.sitting).values(closes_at=moment))
            db.session.commit()

    def state(self):
        return people.state_of(self.in_province, SLUG, self.doctor.record_id)


def the_record(record_id):
    return db.session.scalars(select(Assessment).where(Assessment.id == record_id).with_for_update()).one()


@pytest.fixture
def candidate(application, in_province, ground):
    return lambda: Candidate(application, in_province)


def text(answer):
    return answer.get_data(as_text=True)


def shows(client, view, ticketed):
    return str(ticketed.sitting) in text(client.get(f"/{SLUG}/office/watching?view={view}"))


def test_a_page_that_gives_signs_of_life_is_shown_as_answering_and_one_that_does_not_as_lost(candidate, staff):
    one, clerk, stranger, admin = candidate(), staff("organisation_clerk"), staff("organisation_clerk", at=2), staff("province_admin")
    assert shows(clerk, "lost", one)
    assert one.pulse().get_json() == {"look": False}
    assert shows(clerk, "answering", one)
    assert not shows(clerk, "lost", one)
    assert shows(admin, "answering", one)
    assert not shows(stranger, "answering", one)
    assert stranger.get(f"/{SLUG}/office/watching/{one.sitting}").status_code == 404
    one.send(0, "A", 1)
    one.send(1, "", 2)
    assert "1/10" in text(clerk.get(f"/{SLUG}/office/watching/{one.sitting}"))
    other = candidate()
    assert one.pulse(other.data["token"]).status_code == 400
    assert one.pulse("made-up").status_code == 400


def test_what_the_page_notices_is_kept_once_and_within_the_time_of_the_sitting(candidate, staff, in_province):
    one, clerk = candidate(), staff("organisation_clerk")
    now = int(clock.now().timestamp() * 1000)
    with in_province(SLUG):
        db.session.execute(update(Sitting).where(Sitting.id == one.sitting).values(opened_at=clock.now() - timedelta(minutes=20)))
        db.session.commit()
    left = {"kind": "left", "at": now - 600_000, "seconds": 120}
    for _ in range(2):
        assert one.note(left, {"kind": "offline", "at": 5, "seconds": 10**9}).status_code == 200
    with in_province(SLUG):
        rows = db.session.scalars(select(IntegrityEvent).where(IntegrityEvent.sitting_id == one.sitting, IntegrityEvent.kind != "device")).all()
        opened = db.session.get_one(Sitting, (CODE, one.sitting)).opened_at
        assert sorted((row.kind, row.seconds) for row in rows if row.kind == "left") == [("left", 120)]
        assert all(opened <= row.began_at <= clock.now() and row.began_at + timedelta(seconds=row.seconds) <= clock.now() for row in rows)
        assert sum(row.kind == "offline" for row in rows) == 1
    shown = text(clerk.get(f"/{SLUG}/office/watching/{one.sitting}"))
    assert "离开作答页面" in shown
    assert "更换设备继续作答" in shown
    assert "2分" in shown
    assert shows(clerk, "noticed", one)
    for wrong in ({"kind": "device", "at": now}, {"kind": "left", "at": "x"}, {"kind": "left", "at": now, "seconds": 1.5}, 7):
        assert one.note(wrong).status_code == 422
    assert one.doctor.client.post(one.data["events"], json={"kind": "left"}, headers={"X-CSRFToken": one.token}).status_code == 422
    assert one.state() == "testing"


def test_no_more_events_are_kept_of_a_sitting_than_anybody_would_read(candidate, in_province):
    one = candidate()
    start = int(clock.now().timestamp() * 1000) - 10
    with in_province(SLUG):
        db.session.execute(update(Sitting).where(Sitting.id == one.sitting).values(opened_at=clock.now() - timedelta(days=1)))
        db.session.commit()
    for batch in range(12):
        assert one.note(*({"kind": "left", "at": start - 1000 * (50 * batch + n)} for n in range(50))).status_code == 200
    with in_province(SLUG):
        assert db.session.scalar(select(func.count()).where(IntegrityEvent.sitting_id == one.sitting, IntegrityEvent.kind == "left")) == 500 - 1  # the change of device is one too


def add_time(client, *ones, minutes="10", reason="本考点断网十分钟"):
    return post(client, f"/{SLUG}/office/watching/time", page=f"/{SLUG}/office/watching?view=lost", view="lost", minutes=minutes, reason=reason, sitting=[str(one.sitting) for one in ones])


def told(client, answer):
    return text(client.get(answer.location))


def test_time_is_given_back_to_an_open_sitting_with_trail_and_the_page_is_asked_to_look(candidate, staff, in_province):
    one, clerk = candidate(), staff("organisation_clerk")
    before = one.row().closes_at
    assert "已为1场作答补时10分钟" in told(clerk, add_time(clerk, one))
    assert one.row().closes_at == before + timedelta(minutes=10)
    assert one.pulse().get_json() == {"look": True}
    said = one.doctor.client.get(one.data["standing"]).get_json()
    assert said["closes"] == int((before + timedelta(minutes=10)).timestamp() * 1000)
    assert "作答时间已延长" in one.doctor.get("/notices")
    shown = text(clerk.get(f"/{SLUG}/office/watching/{one.sitting}"))
    assert "10分钟" in shown
    assert "本考点断网十分钟" in shown
    for minutes, reason, sentence in (("21", "又断网了一次", "最多补时30分钟,已补10分钟"), ("0", "又断网了一次", "最多补时30分钟"), ("x", "又断网了一次", "请填写整数"), ("5", "无", "请填写补时原因")):
        assert sentence in told(clerk, add_time(clerk, one, minutes=minutes, reason=reason))
    with in_province(SLUG):
        assert db.session.scalars(select(AddedTime.minutes).where(AddedTime.sitting_id == one.sitting)).all() == [10]
        assert db.session.scalar(select(func.count()).where(JournalEntry.subject_id == one.sitting, JournalEntry.verb == "time_added")) == 1


def test_a_page_that_believes_its_time_to_be_over_does_not_hand_in_what_was_extended(candidate, staff):
    one, clerk = candidate(), staff("organisation_clerk")
    add_time(clerk, one)
    answer = one.doctor.post(f"/sitting/{one.sitting}/hand-in", page=f"/sitting/{one.sitting}", automatic="1")
    assert answer.status_code == 409
    assert "作答时间已延长" in text(answer)
    assert one.row().handed_in_at is None
    one.doctor.post(f"/sitting/{one.sitting}/hand-in", page=f"/sitting/{one.sitting}")
    assert one.row().handed_in_at is not None
    assert "医师已自行交卷,不能补时" in told(clerk, add_time(clerk, one))


def test_a_sitting_closed_at_its_end_is_opened_again_and_goes_on_where_it_stopped(application, candidate, staff, in_province):
    one, clerk = candidate(), staff("organisation_clerk")
    one.send(0, "A", 1)
    one.ends(clock.now() - timedelta(minutes=5))
    with in_province(SLUG):
        sittings.close_overdue()
    assert one.row().handed_in_by == "system"
    assert one.send(1, "B", 2).status_code == 409
    assert "已为1场作答补时10分钟" in told(clerk, add_time(clerk, one))
    row = one.row()
    assert (row.handed_in_at, row.score_tenths, row.voided_at) == (None, None, None)
    assert timedelta(minutes=9) < row.closes_at - clock.now() <= timedelta(minutes=10)
    assert one.send(1, "B", 3).status_code == 409
    one.take()
    assert one.data["answers"] == {"0": "A"}
    assert one.send(1, "B", 4).get_json()["kept"] == "saved"
    assert one.state() == "testing"
    with in_province(SLUG):
        db.session.execute(update(Sitting).where(Sitting.id == one.sitting).values(handed_in_at=clock.now() - timedelta(days=2), handed_in_by="system", score_tenths=0))
        db.session.commit()
    assert "已超过24小时" in told(clerk, add_time(clerk, one))


def test_others_cannot_give_time(candidate, staff):
    one = candidate()
    for role in ("province_admin", "auditor", "question_editor"):
        client = staff(role)
        token = token_of(client, f"/{SLUG}/office")
        given = {"csrf_token": token, "minutes": "5", "reason": "断网五分钟", "sitting": str(one.sitting)}
        assert client.post(f"/{SLUG}/office/watching/time", data=given).status_code == 403
    stranger = staff("organisation_clerk", at=2)
    assert "已为0场作答补时" in told(stranger, add_time(stranger, one))
    assert one.row().closes_at - clock.now() <= timedelta(minutes=60)


def open_case(client, one, reason="监考员看到另一人在作答"):
    page = f"/{SLUG}/office/watching/{one.sitting}"
    return post(client, f"{page}/case", page=page, reason=reason)


def propose(client, place, outcome, opinion="核对监控录像后认定", **more):
    return post(client, f"{place}/propose", page=place, outcome=outcome, opinion=opinion, **more)


def decide(client, place, decision="confirm", opinion=""):
    return post(client, f"{place}/decide", page=place, decision=decision, opinion=opinion)


def soon():
    return f"{clock.beijing(clock.now() + timedelta(days=5)):%Y-%m-%dT%H:%M}"


def finished(one):
    one.doctor.post(f"/sitting/{one.sitting}/hand-in", page=f"/sitting/{one.sitting}")


def test_a_sitting_is_voided_by_two_persons_after_the_doctor_was_heard_and_sat_again(candidate, staff, in_province):
    one, clerk, reviewer, admin = candidate(), staff("organisation_clerk"), staff("organisation_reviewer"), staff("province_admin")
    finished(one)
    place = open_case(clerk, one).location
    assert "发起核查?" not in text(reviewer.get(f"/{SLUG}/office/watching/{one.sitting}"))
    token = token_of(reviewer, f"/{SLUG}/office/watching?view=handed_in")
    early = reviewer.post(f"{place}/propose", data={"csrf_token": token, "outcome": "none", "opinion": "核对监控录像后认定"})
    assert early.status_code == 409
    assert "医师尚未说明" in text(early)
    assert "考试情况需要您说明" in one.doctor.get("/notices")
    shown = one.doctor.get("/sitting/cases")
    assert "监考员看到另一人在作答" in shown
    case_id = place.rsplit("/", 1)[1]
    assert "不少于4字" in text(one.doctor.post("/sitting/cases", case=case_id, statement="冤"))
    assert one.doctor.post("/sitting/cases", case=case_id, statement="当时是我本人在作答,旁边是监考老师。").status_code == 303
    assert "当时是我本人在作答" in text(reviewer.get(place))
    assert "请选择处理意见" in text(propose(reviewer, place, ""))
    assert "请填写重考截止时间" in text(propose(reviewer, place, "resit"))
    assert propose(reviewer, place, "resit", resit_until=soon()).status_code == 303
    assert one.row().voided_at is None
    assert decide(admin, place).status_code == 303
    assert one.row().voided_at is not None
    assert one.state() == "ready"
    assert "重考截止" in one.doctor.get("/sitting/cases")
    with in_province(SLUG):
        record = the_record(one.doctor.record_id)
        paper = next(one_ for one_ in papers_for(record) if one_.subject == "common")
        db.session.execute(update(Paper).where(Paper.id == paper.id).values(closes_at=clock.now() - timedelta(minutes=1)))
        db.session.flush()
        db.session.refresh(paper)
        sittings.close_overdue()
        assert the_record(one.doctor.record_id).state == "ready"
        again = sittings.open_sitting(the_record(one.doctor.record_id), paper, by=Actor("doctor", uuid4()))
        assert again.id != one.sitting
        assert again.closes_at > clock.now() + timedelta(minutes=30)
        sittings.hand_in(the_record(one.doctor.record_id), again, by=Actor("doctor", uuid4()))
        db.session.execute(update(Paper).where(Paper.id == paper.id).values(closes_at=clock.now() + timedelta(days=30)))
        db.session.commit()


def token_of(client, page):
    return re.search(r'name="csrf_token"[^>]*value="([^"]+)"', text(client.get(page)))[1]


def test_the_province_sends_back_and_a_new_statement_takes_a_proposal_back(candidate, staff, in_province):
    one, clerk, reviewer, admin = candidate(), staff("organisation_clerk"), staff("organisation_reviewer"), staff("province_admin")
    place = open_case(clerk, one).location
    case_id = place.rsplit("/", 1)[1]
    with in_province(SLUG):
        db.session.execute(update(IntegrityCase).where(IntegrityCase.id == UUID(case_id)).values(heard_until=clock.now() - timedelta(minutes=1)))
        db.session.commit()
    assert propose(reviewer, place, "absent").status_code == 303
    assert "不少于4字" in text(decide(admin, place, "back"))
    assert decide(admin, place, "back", opinion="证据不足,请补充").status_code == 303
    assert propose(reviewer, place, "absent").status_code == 303
    one.doctor.post("/sitting/cases", case=case_id, statement="补充说明:当时停电。")
    assert "听取陈述" in text(admin.get(place))
    assert propose(reviewer, place, "none").status_code == 303
    assert decide(admin, place).status_code == 303
    assert (one.state(), one.row().voided_at) == ("testing", None)
    assert "考试情况核查结果" in one.doctor.get("/notices")


def test_voided_as_absent_while_still_answering(candidate, staff, in_province):
    one, clerk, reviewer, admin = candidate(), staff("organisation_clerk"), staff("organisation_reviewer"), staff("province_admin")
    one.send(0, "A", 1)
    place = open_case(clerk, one).location
    one.doctor.post("/sitting/cases", case=place.rsplit("/", 1)[1], statement="没有什么可说明的。")
    propose(reviewer, place, "absent")
    decide(admin, place)
    assert one.state() == "absent"
    assert one.send(1, "B", 2).status_code == 409
    answer = one.doctor.client.get(f"/{SLUG}/sitting/{one.sitting}/end")
    assert answer.location.endswith("/sitting/cases")
    assert "重新" not in text(answer)


def test_nobody_decides_what_they_opened_or_proposed(candidate, staff, in_province):
    one, clerk, reviewer = candidate(), staff("organisation_clerk"), staff("organisation_reviewer")
    place = open_case(clerk, one).location
    case_id = UUID(place.rsplit("/", 1)[1])
    one.doctor.post("/sitting/cases", case=str(case_id), statement="当时是我本人。")
    propose(reviewer, place, "none")
    both = staff("province_admin")
    with in_province(SLUG):
        mine = db.session.scalars(select(SignInSession.account_id).order_by(SignInSession.id.desc()).limit(1)).one()
        db.session.execute(update(IntegrityCase).where(IntegrityCase.id == case_id).values(proposed_by=mine))
        db.session.commit()
    assert "不能是同一人" in text(both.get(place))
    refused = both.post(f"{place}/decide", data={"csrf_token": token_of(both, f"/{SLUG}/office/lines"), "decision": "confirm"})
    assert refused.status_code == 403
    assert reviewer.post(f"{place}/decide", data={"csrf_token": token_of(reviewer, f"/{SLUG}/office/watching/{one.sitting}"), "decision": "confirm"}).status_code == 403
    assert one.row().voided_at is None


def test_there_is_no_verdict_while_a_case_is_open(candidate, staff, in_province):
    one, clerk, admin, second = candidate(), staff("organisation_clerk"), staff("province_admin"), Actor("staff", uuid4(), frozenset({"province_admin"}))
    with in_province(SLUG):
        record = the_record(one.doctor.record_id)
        sittings.hand_in(record, sittings.sitting_of(one.sitting, record, lock=True), by=Actor("doctor", uuid4()))
        other = next(paper for paper in papers_for(record) if paper.subject == "professional")
        sittings.hand_in(record, sittings.open_sitting(record, other, by=Actor("doctor", uuid4())), by=Actor("doctor", uuid4()))
        db.session.commit()
    assert one.state() == "scored"
    open_case(clerk, one)
    with in_province(SLUG):
        cycle = people.running_cycle()
        line = lines.propose(cycle, "clinical", "physician", 0, by=Actor("staff", uuid4(), frozenset({"province_admin"})))
        lines.approve(line, by=second)
        db.session.commit()
        lines.apply_lines(cycle)
        db.session.commit()
    assert one.state() == "scored"
    with in_province(SLUG):
        db.session.execute(update(IntegrityCase).where(IntegrityCase.sitting_id == one.sitting).values(state="dismissed"))
        lines.apply_lines(people.running_cycle())
        db.session.commit()
    assert one.state() == "grading"
    assert "发起核查?" not in text(clerk.get(f"/{SLUG}/office/watching/{one.sitting}"))
    assert admin.get(f"/{SLUG}/office/cases?state=all").status_code == 200


def a_slot(in_province, records, *, subject=None, hall=None):
    """A slot that runs, of the assessment organisation, with these doctors in it; its id and its hall's."""
    by = Actor("staff", uuid4())
    with in_province(SLUG):
        record = the_record(records[0])
        organisation = db.session.get_one(Organisation, (CODE, record.assessor_id))
        hall = db.session.get_one(Hall, (CODE, hall)) if hall else halls.keep_hall(organisation, name=f"考场{uuid4().hex[:8]}", address="门诊楼", seats=20, by=by)
        ends = db.session.scalar(select(func.max(Slot.closes_at)).where(Slot.hall_id == hall.id)) or clock.now() - timedelta(hours=1)
        slot = halls.keep_slot(
            db.session.get_one(Cycle, (CODE, record.cycle_id)), organisation, opens_at=ends, closes_at=ends + timedelta(hours=3), hall=hall, institution=None,
            subject=subject, invigilated=False, by=by,
        )  # fmt: skip
        halls.place(slot, records, by=by)
        db.session.commit()
        return slot.id, hall.id


def counts(client, **asked):
    shown = text(client.get(f"/{SLUG}/office/watching", query_string=asked))
    chips = re.search(r'class="chips".*?</nav>', shown, re.DOTALL)[0]
    return shown, {word: int(number) for word, number in re.findall(r">(\w+) (\d+)</a>", chips)}


def test_the_live_page_is_narrowed_to_a_hall_or_a_slot_and_counts_there(application, candidate, staff, in_province, monkeypatch):
    here, there, elsewhere = candidate(), candidate(), candidate()
    waits = people.doctor(application, in_province, SLUG, next(_serial))
    people.bring_to(in_province, waits, "ready")
    clerk, stranger = staff("organisation_clerk"), staff("organisation_clerk", at=2)
    first, hall = a_slot(in_province, [here.doctor.record_id, waits.record_id], subject="common")
    second, _ = a_slot(in_province, [there.doctor.record_id], subject="professional", hall=hall)
    here.pulse()
    shown, found = counts(clerk, place=f"slot-{first}")
    assert found == {"作答中": 1, "断线": 0, "未开始": 1, "已交卷": 0, "有情况记录": 1, "已作废": 0}  # of the device taken over
    assert str(here.sitting) in shown
    assert f'value="slot-{first}" selected' in shown
    assert f"place=slot-{first}" in re.search(r'class="chips".*?</nav>', shown, re.DOTALL)[0]
    assert str(there.sitting) not in text(clerk.get(f"/{SLUG}/office/watching?view=lost&place=slot-{first}"))
    # who has sat 公共知识 is still to begin 业务水平, which the second slot is for
    shown, found = counts(clerk, view="waiting", place=f"slot-{second}")
    assert (found["作答中"] + found["断线"], found["未开始"]) == (0, 1)
    assert counts(clerk, place=f"hall-{hall}")[1]["未开始"] == 2
    everywhere = counts(clerk)[1]
    assert everywhere["作答中"] + everywhere["断线"] >= 3
    assert str(elsewhere.sitting) not in text(clerk.get(f"/{SLUG}/office/watching?view=lost&place=hall-{hall}"))
    assert f"slot-{first}" not in text(stranger.get(f"/{SLUG}/office/watching?place=slot-{first}"))
    back = post(
        clerk, f"/{SLUG}/office/watching/time", page=f"/{SLUG}/office/watching?place=slot-{first}", view="answering", place=f"slot-{first}", minutes="5",
        reason="本考点断网五分钟", sitting=[str(here.sitting)],
    )  # fmt: skip
    assert back.location.endswith(f"view=answering&place=slot-{first}")
    assert clerk.get(f"/{SLUG}/office/watching?place=nonsense").status_code == 200
    # of very many slots some are listed, and that one which is asked for
    assert f'href="/{SLUG}/office/watching?place=slot-{second}"' in text(clerk.get(f"/{SLUG}/office/slots/{second}"))
    monkeypatch.setattr(watching, "MOST_PLACES", 1)
    for slot in (first, second):
        shown = counts(clerk, place=f"slot-{slot}")[0]
        assert f'value="slot-{slot}" selected' in shown
        assert "场次较多" in shown
        assert shown.count('<option value="slot-') == 1
