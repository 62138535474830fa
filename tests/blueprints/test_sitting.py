"""The sitting by HTTP: opened once, every answer kept once, the newest wins, nothing late, nothing of another's; handed in and marked."""

import json
import re
import threading
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.model import db
from dingkao.errors import Invalid, Unavailable
from dingkao.exams import saving, sittings
from dingkao.exams.marking import right, score_tenths
from dingkao.exams.models import Paper, QuestionVersion, Sitting, SittingAnswer
from dingkao.exams.papers import draw, make_paper, read
from dingkao.exams.tickets import ticket_of
from dingkao.journal.writing import TERMINAL
from dingkao.tenants import settings as province_settings
from tests import people

SLUG, CODE = "hunan", 43
_serial = people.serials(SLUG)


@pytest.fixture(scope="module")
def ground(application, in_province):
    people.exam(application, in_province, SLUG)


@pytest.fixture
def candidate(application, in_province, ground):
    """Make a doctor who is 待测评 and has signed in to the exam."""

    def make(procedure="general"):
        doctor = people.ready(application, in_province, SLUG, next(_serial), procedure=procedure)
        with in_province(SLUG):
            number = ticket_of(db.session.get_one(Assessment, (CODE, doctor.record_id))).number
        doctor.name = re.search(r"<h2>(医师.)</h2>", doctor.get("/home"))[1]
        assert "准考证号不正确" in doctor.post("/sitting", name=doctor.name, number="1", consent="yes").get_data(as_text=True)
        assert doctor.post("/sitting", name=doctor.name, number=number, consent="yes").status_code == 303
        return doctor

    return make


def begin(doctor, subject="公共知识"):
    """Open the paper of a subject: the sitting's id and what its page was given."""
    listed = doctor.get("/sitting")
    paper = re.search(rf"{subject}.*?/sitting/paper/([0-9a-f-]{{36}})", listed, re.DOTALL)[1]
    assert "我已详细阅读并郑重承诺" in doctor.get(f"/sitting/paper/{paper}")
    doctor.post(f"/sitting/paper/{paper}", promise="yes")
    answer = doctor.client.get(f"/{SLUG}/sitting/paper/{paper}")
    sitting = answer.location.rsplit("/", 1)[1]
    return sitting, page_of(doctor, sitting)


def page_of(doctor, sitting):
    shown = doctor.get(f"/sitting/{sitting}")
    return json.loads(re.search(r'id="data">(.*?)</script>', shown, re.DOTALL)[1])


@pytest.mark.parametrize(("rule", "told", "other"), [
    ("partial", "少选的按选对选项所占的比例得分,有错选的不得分", "多选、少选、错选均不得分"), ("all", "多选、少选、错选均不得分", "比例得分"),
])  # fmt: skip
def test_the_notice_says_how_x_is_marked_here(in_province, candidate, rule, told, other):
    doctor = candidate()
    with in_province(SLUG):
        province_settings.change("x_rule", rule, by=None, reason="评分办法")
        db.session.commit()
    paper = re.search(r"/sitting/paper/([0-9a-f-]{36})", doctor.get("/sitting"))[1]
    shown = doctor.get(f"/sitting/paper/{paper}")
    assert told in shown
    assert other not in shown


def send(doctor, data, position, letters, sequence, tapped="now", slug=SLUG):
    moment = int(clock.now().timestamp() * 1000) if tapped == "now" else tapped
    body = {"position": position, "letters": letters, "sequence": sequence, "tapped": moment}
    return doctor.client.post(data["address"].replace(SLUG, slug), json=body, headers={"X-Sitting": data["token"]})


def kept(in_province, sitting):
    with in_province(SLUG):
        rows = db.session.scalars(select(SittingAnswer).where(SittingAnswer.sitting_id == UUID(sitting)))
        return {row.position: row.letters for row in rows}


def keys_of(in_province, sitting):
    with in_province(SLUG):
        layout = db.session.get_one(Sitting, (CODE, UUID(sitting))).layout
        return [db.session.get_one(QuestionVersion, (CODE, one.version)).answer for one in read(layout)]


def test_both_papers_from_entering_to_the_end(candidate, in_province):
    doctor = candidate()
    sitting, data = begin(doctor)
    assert people.state_of(in_province, SLUG, doctor.record_id) == "testing"
    assert len(data["questions"]) == 10
    assert "answer" not in json.dumps(data["questions"])
    for position, key in enumerate(keys_of(in_province, sitting)):
        assert send(doctor, data, position, key, position + 1).get_json()["kept"] == "saved"
    end = doctor.post(f"/sitting/{sitting}/hand-in", page=f"/sitting/{sitting}")
    assert end.location.endswith("/end")
    assert "您还有1份试卷需要完成" in doctor.get(f"/sitting/{sitting}/end")
    other, data = begin(doctor, "业务水平")
    outstanding = json.dumps([{"position": 0, "letters": keys_of(in_province, other)[0], "sequence": 1, "tapped": data["now"]}])
    for _ in range(2):
        doctor.post(f"/sitting/{other}/hand-in", page=f"/sitting/{other}", outstanding=outstanding)
    with in_province(SLUG):
        scores = [db.session.get_one(Sitting, (CODE, UUID(one))).score_tenths for one in (sitting, other)]
    assert scores == [1000, 100]
    assert people.state_of(in_province, SLUG, doctor.record_id) == "scored"
    shown = doctor.get(f"/sitting/{other}/end")
    assert "全部试卷已完成" in shown
    assert "100" not in shown
    assert send(doctor, data, 1, "A", 9).status_code == 409


def test_simple_procedure_sits_one_paper(candidate, in_province):
    doctor = candidate("simple")
    sitting, _ = begin(doctor)
    doctor.post(f"/sitting/{sitting}/hand-in", page=f"/sitting/{sitting}")
    assert people.state_of(in_province, SLUG, doctor.record_id) == "scored"


def test_a_reload_goes_on_and_another_device_takes_over(candidate, application, in_province):
    doctor = candidate()
    sitting, data = begin(doctor)
    send(doctor, data, 3, "B", 1)
    again = page_of(doctor, sitting)
    assert again["answers"] == {"3": "B"}
    assert again["closes"] == data["closes"]
    assert [q["stem"] for q in again["questions"]] == [q["stem"] for q in data["questions"]]
    other = people.Someone(application.test_client(), SLUG, doctor.number, doctor.doctor_id, doctor.record_id)
    other.client.set_cookie(f"dk-{SLUG}", doctor.client.get_cookie(f"dk-{SLUG}").value)
    assert "您已在另一台设备或浏览器上开始作答" in other.get(f"/sitting/{sitting}")
    other.post(f"/sitting/{sitting}/take-over", page=f"/sitting/{sitting}")
    mine = page_of(other, sitting)
    assert mine["sequence"] == 1
    refused = send(doctor, data, 4, "A", 2)
    assert refused.status_code == 409
    assert "另一台设备" in refused.get_json()["error"]
    assert send(other, mine, 4, "C", 2).status_code == 200
    assert kept(in_province, sitting) == {3: "B", 4: "C"}


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
        places.append(client.post(f"/{SLUG}/sitting/paper/{paper}", data={"csrf_token": token, "promise": "yes"}).location)

    threads = [threading.Thread(target=press) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(places)) == 1
    with in_province(SLUG):
        assert len(db.session.scalars(select(Sitting).where(Sitting.assessment_id == doctor.record_id)).all()) == 1


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("ABCDE")), min_size=1, max_size=12), st.randoms())
def test_in_whatever_order_and_how_often_saves_arrive_the_last_tap_stays(one_sitting, in_province, taps, chance):
    doctor, sitting, data = one_sitting
    numbered = [(position, letters, one_sitting.next()) for position, letters in taps]
    wanted = kept(in_province, sitting) | {position: letters for position, letters, _ in numbered}
    arriving = numbered * 2
    chance.shuffle(arriving)
    for position, letters, sequence in arriving:
        assert send(doctor, data, position, letters, sequence).status_code == 200
    assert kept(in_province, sitting) == wanted


class OneSitting(tuple):
    """A sitting that many examples answer in, numbering on."""

    count = 0

    def next(self):
        OneSitting.count += 1
        return OneSitting.count


@pytest.fixture(scope="module")
def one_sitting(application, in_province, ground):
    doctor = people.ready(application, in_province, SLUG, next(_serial))
    with in_province(SLUG):
        number = ticket_of(db.session.get_one(Assessment, (CODE, doctor.record_id))).number
    name = re.search(r"<h2>(医师.)</h2>", doctor.get("/home"))[1]
    doctor.post("/sitting", name=name, number=number, consent="yes")
    return OneSitting((doctor, *begin(doctor)))


def test_what_is_tapped_in_time_has_a_minute_to_arrive(candidate, in_province):
    doctor = candidate()
    sitting, data = begin(doctor)
    with in_province(SLUG):
        end = clock.now() - timedelta(seconds=20)
        db.session.execute(update(Sitting).where(Sitting.id == UUID(sitting)).values(closes_at=end))
        db.session.commit()
    moment = int(end.timestamp() * 1000)
    assert send(doctor, data, 0, "A", 1, tapped=moment - 1).status_code == 200
    for tapped in (moment + 1000, None):
        late = send(doctor, data, 1, "A", 2, tapped=tapped)
        assert late.status_code == 409
        assert "作答时间已到" in late.get_json()["error"]
    with in_province(SLUG):
        db.session.execute(update(Sitting).where(Sitting.id == UUID(sitting)).values(closes_at=end - timedelta(seconds=60)))
        db.session.commit()
    assert send(doctor, data, 2, "A", 3, tapped=moment - 61_000).status_code == 409
    with in_province(SLUG):
        assert sittings.close_overdue() >= 1
        assert sittings.close_overdue() == 0
        row = db.session.get_one(Sitting, (CODE, UUID(sitting)))
        assert row.handed_in_by == "system"
        assert row.score_tenths in (0, 100)
    assert "到时自动交卷" in doctor.get(f"/sitting/{sitting}/end")
    assert kept(in_province, sitting) == {0: "A"}


def test_a_window_gone_by_is_an_absence(candidate, in_province):
    doctor = candidate()
    with in_province(SLUG):
        papers = db.session.scalars(select(Paper)).all()
        before = {paper.id: paper.closes_at for paper in papers}
        for paper in papers:
            paper.closes_at = paper.opens_at + timedelta(seconds=1)
        db.session.commit()
    try:
        assert "考试时间已过" in doctor.get("/sitting")
        with in_province(SLUG):
            sittings.close_overdue()
        assert people.state_of(in_province, SLUG, doctor.record_id) == "absent"
    finally:
        with in_province(SLUG):
            for paper in db.session.scalars(select(Paper)):
                paper.closes_at = before[paper.id]
            db.session.commit()


def test_a_token_opens_its_own_sitting_in_its_own_province_alone(candidate, provinces, in_province):
    doctor, other = candidate(), candidate()
    sitting, data = begin(doctor)
    theirs, their_data = begin(other)
    for wrong in (
        send(doctor, data | {"address": their_data["address"]}, 0, "A", 1), send(doctor, data, 0, "A", 1, slug="shanxi"),
        send(doctor, data | {"token": data["token"][:-2] + "xx"}, 0, "A", 1), send(doctor, data | {"token": ""}, 0, "A", 1),
    ):  # fmt: skip
        assert wrong.status_code == 400
    assert kept(in_province, sitting) == kept(in_province, theirs) == {}
    assert other.client.get(f"/{SLUG}/sitting/{sitting}").status_code == 404


@pytest.mark.parametrize("body", [None, [], {}, {"position": -1, "letters": "A", "sequence": 1}, {"position": 0, "letters": "AA", "sequence": 1}, {"position": 0, "letters": "Z", "sequence": 1}, {"position": True, "letters": "A", "sequence": 1}, {"position": 0, "letters": "A", "sequence": 2**40}, {"position": 0, "letters": "A", "sequence": 1, "tapped": "x"}])
def test_what_no_page_sends_is_refused(one_sitting, body):
    doctor, _, data = one_sitting
    assert doctor.client.post(data["address"], json=body, headers={"X-Sitting": data["token"]}).status_code == 400
    assert send(doctor, data, 99, "A", 1).status_code == 404


def test_the_database_being_away_is_no_acknowledgement(one_sitting, monkeypatch):
    doctor, _, data = one_sitting
    saving._forget()
    with monkeypatch.context() as patch:
        connect = saving._connection
        patch.setattr(saving, "_connection", lambda _address: connect("postgresql://127.0.0.1:9/none"))
        assert send(doctor, data, 0, "A", 10**6).status_code == 503
    assert send(doctor, data, 0, "A", one_sitting.next()).status_code == 200


@given(st.lists(st.sampled_from(["A", "B", "C", "ABD", "CE"]), min_size=1, max_size=50), st.data())
def test_marking(keys, data):
    chosen = data.draw(st.sets(st.integers(0, len(keys) - 1)))
    assert score_tenths(keys, {position: keys[position] for position in chosen}) == round(1000 * len(chosen) / len(keys) + 1e-9)
    assert score_tenths(keys, {}) == 0
    assert not right("AB", "A")
    assert not right("A", "AB")
    assert right("AB", "BA")


def test_a_paper_is_drawn_alike_from_a_seed_with_its_groups_whole(in_province, ground):
    with in_province(SLUG):
        for paper in db.session.scalars(select(Paper)):
            for seed in range(20):
                layout = draw(paper, seed)
                assert layout == draw(paper, seed)
                assert len({one.version for one in layout}) == len(layout) == sum(paper.counts.values())
                rows = [db.session.get_one(QuestionVersion, (CODE, one.version)) for one in layout]
                for kind in ("A3", "B1"):
                    found = [(index, row) for index, row in enumerate(rows) if row.kind == kind]
                    assert [index for index, _ in found] == list(range(found[0][0], found[0][0] + len(found)))
                shared = {layout[index].order for index, row in enumerate(rows) if row.kind == "B1"}
                assert len(shared) == 1
            assert draw(paper, 1) != draw(paper, 2)


@pytest.mark.parametrize(("counts", "sentence"), [({"A1": 250}, "不足250道"), ({"A3": 1}, "按组抽取"), ({}, "题目总数"), ({"A1": -1}, "题目总数")])
def test_a_paper_the_bank_can_not_fill_is_refused(in_province, ground, counts, sentence):
    with in_province(SLUG), pytest.raises(Invalid, match=sentence):
        make_paper(
            people.running_cycle(), subject="professional", category="dental", level="physician", counts=counts, minutes=60,
            opens_at=clock.now(), closes_at=clock.now() + timedelta(hours=2), by=TERMINAL,
        )  # fmt: skip


def test_a_page_learns_how_its_sitting_stands(candidate, application):
    doctor = candidate()
    sitting, data = begin(doctor)
    send(doctor, data, 3, "B", 7)
    standing = doctor.client.get(data["standing"]).get_json()
    assert (standing["open"], standing["mine"], standing["answers"], standing["sequences"]) == (True, True, {"3": "B"}, {"3": 7})
    assert abs(standing["now"] - clock.now().timestamp() * 1000) < 5000
    other = people.Someone(application.test_client(), SLUG, doctor.number, doctor.doctor_id, doctor.record_id)
    other.client.set_cookie(f"dk-{SLUG}", doctor.client.get_cookie(f"dk-{SLUG}").value)
    assert other.client.get(data["standing"]).get_json()["mine"] is False
    other.post(f"/sitting/{sitting}/take-over", page=f"/sitting/{sitting}")
    assert doctor.client.get(data["standing"]).get_json()["mine"] is False
    refused = doctor.post(f"/sitting/{sitting}/hand-in", page="/home")
    assert refused.status_code == 409
    assert "另一台设备" in refused.get_data(as_text=True)
    token = re.search(r'name="csrf_token" value="([^"]+)"', other.get(f"/sitting/{sitting}"))[1]
    form = {"csrf_token": token, "outstanding": "[]"}
    handed = other.client.post(f"/{SLUG}/sitting/{sitting}/hand-in", data=form, headers={"Accept": "application/json"})
    assert handed.get_json() == {"end": f"/{SLUG}/sitting/{sitting}/end"}
    assert doctor.client.get(data["standing"]).get_json()["open"] is False
    assert candidate().client.get(data["standing"]).status_code == 404


def test_nothing_is_handed_in_while_what_comes_along_can_not_be_kept(candidate, in_province, monkeypatch):
    doctor = candidate()
    sitting, data = begin(doctor)
    outstanding = json.dumps([{"position": 0, "letters": "A", "sequence": 1, "tapped": data["now"]}])
    with monkeypatch.context() as patch:
        patch.setattr(saving, "save", lambda *_: (_ for _ in ()).throw(Unavailable("暂时连接不上")))
        assert doctor.post(f"/sitting/{sitting}/hand-in", page=f"/sitting/{sitting}", outstanding=outstanding).status_code == 503
    assert kept(in_province, sitting) == {}
    broken = json.dumps([{"position": "x"}, *json.loads(outstanding)])
    assert doctor.post(f"/sitting/{sitting}/hand-in", page=f"/sitting/{sitting}", outstanding=broken).location.endswith("/end")
    assert kept(in_province, sitting) == {0: "A"}
