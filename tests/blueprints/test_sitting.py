"""The sitting by HTTP: opened once, every answer kept once, the newest wins, nothing late, nothing of
another's; handed in and marked."""

import json
import re
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.errors import InvalidInput, Unavailable
from dingkao.exams import answer_saving, sitting_completion
from dingkao.exams.drawing import draw_layout
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.paper_blueprint import save_paper
from dingkao.exams.scoring import is_correct, score_tenths
from dingkao.exams.tickets import find_ticket
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.question_banks.models import QuestionVersion
from tests import actors
from tests.blueprints.exam_candidate import CODE, SLUG, kept, keys_of, make_candidate, page_of, send, serials
from tests.property_examples import property_examples


@pytest.fixture(scope="module")
def ground(application, in_province):
    actors.exam_setup(application, in_province, SLUG)


@pytest.fixture
def candidate(application, in_province, ground):
    return partial(make_candidate, application, in_province)


def test_who_is_in_is_refused_wrong_data_as_anyone_and_stays_in(candidate):
    doctor = candidate()
    response = doctor.post("/sitting", name="王小明", number="1", consent="yes")
    assert response.status_code == 422
    assert "姓名与报名信息不一致" in response.get_data(as_text=True)
    assert "准考证号不正确" in response.get_data(as_text=True)
    assert "/sitting/paper/" in doctor.get("/sitting")


def begin(doctor, subject="公共知识"):
    """Open the paper of a subject: the sitting's id and what its page was given."""
    response = doctor.get("/sitting")
    paper = re.search(rf"{subject}.*?/sitting/paper/([0-9a-f-]{{36}})", response, re.DOTALL)[1]
    assert "我已详细阅读并郑重承诺" in doctor.get(f"/sitting/paper/{paper}")
    doctor.post(f"/sitting/paper/{paper}", promise="yes")
    answer = doctor.client.get(f"/{SLUG}/sitting/paper/{paper}")
    sitting = answer.location.rsplit("/", 1)[1]
    return sitting, page_of(doctor, sitting)


def test_both_papers_from_entering_to_the_end(candidate, in_province):
    doctor = candidate()
    sitting, data = begin(doctor)
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "testing"
    assert len(data["questions"]) == 10
    assert "answer" not in json.dumps(data["questions"])
    for position, key in enumerate(keys_of(in_province, sitting)):
        assert send(doctor, data, position, key, position + 1).get_json()["kept"] == "saved"
    end = doctor.post(f"/sitting/{sitting}/hand-in", page=f"/sitting/{sitting}")
    assert end.location.endswith("/end")
    assert "您还有1份试卷需要完成" in doctor.get(f"/sitting/{sitting}/end")
    second_sitting, data = begin(doctor, "业务水平")
    outstanding = json.dumps(
        [
            {
                "position": 0,
                "letters": keys_of(in_province, second_sitting)[0],
                "sequence": 1,
                "tapped": data["now"],
            }
        ]
    )
    for _ in range(2):
        doctor.post(
            f"/sitting/{second_sitting}/hand-in", page=f"/sitting/{second_sitting}", outstanding=outstanding
        )
    with in_province(SLUG):
        scores = [
            db.session.get_one(Sitting, (CODE, UUID(sitting_id))).score_tenths
            for sitting_id in (sitting, second_sitting)
        ]
    assert scores == [1000, 100]
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "scored"
    response = doctor.get(f"/sitting/{second_sitting}/end")
    assert "全部试卷已完成" in response
    assert "100" not in response
    assert send(doctor, data, 1, "A", 9).status_code == 409


def test_simple_procedure_sits_one_paper(candidate, in_province):
    doctor = candidate("simple")
    sitting, _ = begin(doctor)
    doctor.post(f"/sitting/{sitting}/hand-in", page=f"/sitting/{sitting}")
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "scored"


def test_a_reload_goes_on_and_another_device_takes_over(candidate, application, in_province):
    doctor = candidate()
    sitting, data = begin(doctor)
    send(doctor, data, 3, "B", 1)
    reloaded = page_of(doctor, sitting)
    assert reloaded["answers"] == {"3": "B"}
    assert reloaded["closes"] == data["closes"]
    assert [q["stem"] for q in reloaded["questions"]] == [q["stem"] for q in data["questions"]]
    signed_in_doctor = actors.SignedInDoctor(
        application.test_client(), SLUG, doctor.number, doctor.doctor_id, doctor.record_id
    )
    signed_in_doctor.client.set_cookie(f"dk-{SLUG}", doctor.client.get_cookie(f"dk-{SLUG}").value)
    assert "您已在另一台设备或浏览器上开始作答" in signed_in_doctor.get(f"/sitting/{sitting}")
    signed_in_doctor.post(f"/sitting/{sitting}/take-over", page=f"/sitting/{sitting}")
    taken_over = page_of(signed_in_doctor, sitting)
    assert taken_over["sequence"] == 1
    refused = send(doctor, data, 4, "A", 2)
    assert refused.status_code == 409
    assert "另一台设备" in refused.get_json()["error"]
    assert send(signed_in_doctor, taken_over, 4, "C", 2).status_code == 200
    assert kept(in_province, sitting) == {3: "B", 4: "C"}


@settings(deadline=None, max_examples=property_examples(25))
@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from("ABCDE")), min_size=1, max_size=12), st.randoms()
)
def test_in_whatever_order_and_how_often_saves_arrive_the_last_tap_stays(
    one_sitting, in_province, taps, chance
):
    doctor, sitting, data = one_sitting
    numbered = [(position, letters, one_sitting.next()) for position, letters in taps]
    expected = kept(in_province, sitting) | {position: letters for position, letters, _ in numbered}
    arriving = numbered * 2
    chance.shuffle(arriving)
    for position, letters, sequence in arriving:
        assert send(doctor, data, position, letters, sequence).status_code == 200
    assert kept(in_province, sitting) == expected


class OneSitting(tuple):
    """A sitting that many examples answer in, numbering on."""

    count = 0

    def next(self):
        OneSitting.count += 1
        return OneSitting.count


@pytest.fixture(scope="module")
def one_sitting(application, in_province, ground):
    doctor = actors.ready_doctor(application, in_province, SLUG, next(serials))
    with in_province(SLUG):
        number = find_ticket(db.session.get_one(Assessment, (CODE, doctor.record_id))).number
    name = re.search(r"<h2>(医师.)</h2>", doctor.get("/home"))[1]
    doctor.post("/sitting", name=name, number=number, consent="yes")
    return OneSitting((doctor, *begin(doctor)))


def test_what_is_tapped_in_time_has_a_minute_to_arrive(candidate, in_province):
    doctor = candidate()
    sitting, data = begin(doctor)
    with in_province(SLUG):
        end = clock.now() - timedelta(seconds=20)
        db.session.execute(
            update(Sitting)
            .where(Sitting.id == UUID(sitting))
            .values(opened_at=end - timedelta(minutes=60), closes_at=end)
        )
        db.session.commit()
    moment = int(end.timestamp() * 1000)
    assert send(doctor, data, 0, "A", 1, tapped=moment - 1).status_code == 200
    for tapped in (moment + 1000, None, moment - 3_601_000):
        late = send(doctor, data, 1, "A", 2, tapped=tapped)
        assert late.status_code == 409
        assert "作答时间已到" in late.get_json()["error"]
    with in_province(SLUG):
        db.session.execute(
            update(Sitting).where(Sitting.id == UUID(sitting)).values(closes_at=end - timedelta(seconds=60))
        )
        db.session.commit()
    assert send(doctor, data, 2, "A", 3, tapped=moment - 61_000).status_code == 409
    with in_province(SLUG):
        assert sitting_completion.close_overdue() >= 1
        assert sitting_completion.close_overdue() == 0
        closed_sitting = db.session.get_one(Sitting, (CODE, UUID(sitting)))
        assert closed_sitting.handed_in_by == "system"
        assert closed_sitting.score_tenths in (0, 100)
    assert "到时自动交卷" in doctor.get(f"/sitting/{sitting}/end")
    assert kept(in_province, sitting) == {0: "A"}


def test_a_window_gone_by_is_an_absence(candidate, in_province):
    doctor = candidate()
    with in_province(SLUG):
        papers = db.session.scalars(select(Paper)).all()
        closes_at_by_id = {paper.id: paper.closes_at for paper in papers}
        for paper in papers:
            paper.closes_at = paper.opens_at + timedelta(seconds=1)
        db.session.commit()
    try:
        assert "考试时间已过" in doctor.get("/sitting")
        with in_province(SLUG):
            sitting_completion.close_overdue()
        assert actors.record_state(in_province, SLUG, doctor.record_id) == "absent"
    finally:
        with in_province(SLUG):
            for paper in db.session.scalars(select(Paper)):
                paper.closes_at = closes_at_by_id[paper.id]
            db.session.commit()


def test_a_token_opens_its_own_sitting_in_its_own_province_alone(candidate, provinces, in_province):
    doctor, other_doctor = candidate(), candidate()
    sitting, data = begin(doctor)
    other_sitting, other_data = begin(other_doctor)
    for wrong in (
        send(doctor, data | {"address": other_data["address"]}, 0, "A", 1),
        send(doctor, data, 0, "A", 1, slug="shanxi"),
        send(doctor, data | {"token": data["token"][:-2] + "xx"}, 0, "A", 1),
        send(doctor, data | {"token": ""}, 0, "A", 1),
    ):
        assert wrong.status_code == 400
    assert kept(in_province, sitting) == kept(in_province, other_sitting) == {}
    assert other_doctor.client.get(f"/{SLUG}/sitting/{sitting}").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"position": -1, "letters": "A", "sequence": 1},
        {"position": 0, "letters": "AA", "sequence": 1},
        {"position": 0, "letters": "Z", "sequence": 1},
        {"position": True, "letters": "A", "sequence": 1},
        {"position": 0, "letters": "A", "sequence": 2**40},
        {"position": 0, "letters": "A", "sequence": 1, "tapped": "x"},
    ],
)
def test_what_no_page_sends_is_refused(one_sitting, body):
    doctor, _, data = one_sitting
    assert (
        doctor.client.post(data["address"], json=body, headers={"X-Sitting": data["token"]}).status_code
        == 400
    )
    assert send(doctor, data, 99, "A", 1).status_code == 404


def test_the_database_being_away_is_no_acknowledgement(one_sitting, monkeypatch):
    doctor, _, data = one_sitting
    answer_saving._close_connection()
    with monkeypatch.context() as patch:
        connect = answer_saving._thread_connection
        patch.setattr(
            answer_saving, "_thread_connection", lambda _address: connect("postgresql://127.0.0.1:9/none")
        )
        assert send(doctor, data, 0, "A", 10**6).status_code == 503
    assert send(doctor, data, 0, "A", one_sitting.next()).status_code == 200


@given(st.lists(st.sampled_from(["A", "B", "C", "ABD", "CE"]), min_size=1, max_size=50), st.data())
def test_marking(keys, data):
    right_positions = data.draw(st.sets(st.integers(0, len(keys) - 1)))
    assert score_tenths(keys, {position: keys[position] for position in right_positions}) == round(
        1000 * len(right_positions) / len(keys) + 1e-9
    )
    assert score_tenths(keys, {}) == 0
    assert not is_correct("AB", "A")
    assert not is_correct("A", "AB")
    assert is_correct("AB", "BA")


def test_a_paper_is_drawn_alike_from_a_seed_with_its_groups_whole(in_province, ground):
    with in_province(SLUG):
        for paper in db.session.scalars(select(Paper)):
            for seed in range(20):
                layout = draw_layout(paper, seed)
                assert layout == draw_layout(paper, seed)
                assert len({item.version for item in layout}) == len(layout) == sum(paper.counts.values())
                question_versions = [
                    db.session.get_one(QuestionVersion, (CODE, item.version)) for item in layout
                ]
                for kind in ("A3", "B1"):
                    versions_of_kind = [
                        (index, question_version)
                        for index, question_version in enumerate(question_versions)
                        if question_version.kind == kind
                    ]
                    assert [index for index, _ in versions_of_kind] == list(
                        range(versions_of_kind[0][0], versions_of_kind[0][0] + len(versions_of_kind))
                    )
                shared = {
                    layout[index].option_order
                    for index, question_version in enumerate(question_versions)
                    if question_version.kind == "B1"
                }
                assert len(shared) == 1
            assert draw_layout(paper, 1) != draw_layout(paper, 2)


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [({"A1": 250}, "不足250道"), ({"A3": 1}, "按组抽取"), ({}, "题目总数"), ({"A1": -1}, "题目总数")],
)
def test_a_paper_the_bank_can_not_fill_is_refused(in_province, ground, counts, sentence):
    with in_province(SLUG), pytest.raises(InvalidInput, match=sentence):
        save_paper(
            actors.get_or_open_cycle(),
            subject="professional",
            category="dental",
            level="physician",
            counts=counts,
            minutes=60,
            opens_at=clock.now(),
            closes_at=clock.now() + timedelta(hours=2),
            by=TERMINAL_ACTOR,
        )


def test_a_page_learns_how_its_sitting_stands(candidate, application):
    doctor = candidate()
    sitting, data = begin(doctor)
    send(doctor, data, 3, "B", 7)
    payload = doctor.client.get(data["standing"]).get_json()
    assert (payload["open"], payload["mine"], payload["answers"], payload["sequences"]) == (
        True,
        True,
        {"3": "B"},
        {"3": 7},
    )
    assert abs(payload["now"] - clock.now().timestamp() * 1000) < 5000
    signed_in_doctor = actors.SignedInDoctor(
        application.test_client(), SLUG, doctor.number, doctor.doctor_id, doctor.record_id
    )
    signed_in_doctor.client.set_cookie(f"dk-{SLUG}", doctor.client.get_cookie(f"dk-{SLUG}").value)
    assert signed_in_doctor.client.get(data["standing"]).get_json()["mine"] is False
    signed_in_doctor.post(f"/sitting/{sitting}/take-over", page=f"/sitting/{sitting}")
    assert doctor.client.get(data["standing"]).get_json()["mine"] is False
    refused = doctor.post(f"/sitting/{sitting}/hand-in", page="/home")
    assert refused.status_code == 409
    assert "另一台设备" in refused.get_data(as_text=True)
    token = re.search(r'name="csrf_token" value="([^"]+)"', signed_in_doctor.get(f"/sitting/{sitting}"))[1]
    form = {"csrf_token": token, "outstanding": "[]"}
    handed = signed_in_doctor.client.post(
        f"/{SLUG}/sitting/{sitting}/hand-in", data=form, headers={"Accept": "application/json"}
    )
    assert handed.get_json() == {"end": f"/{SLUG}/sitting/{sitting}/end"}
    assert doctor.client.get(data["standing"]).get_json()["open"] is False
    assert candidate().client.get(data["standing"]).status_code == 404


def test_nothing_is_handed_in_while_what_comes_along_can_not_be_kept(candidate, in_province, monkeypatch):
    doctor = candidate()
    sitting, data = begin(doctor)
    outstanding = json.dumps([{"position": 0, "letters": "A", "sequence": 1, "tapped": data["now"]}])
    with monkeypatch.context() as patch:
        patch.setattr(
            answer_saving, "save_answer", lambda *_: (_ for _ in ()).throw(Unavailable("暂时连接不上"))
        )
        assert (
            doctor.post(
                f"/sitting/{sitting}/hand-in", page=f"/sitting/{sitting}", outstanding=outstanding
            ).status_code
            == 503
        )
    assert kept(in_province, sitting) == {}
    broken = json.dumps([{"position": "x"}, *json.loads(outstanding)])
    assert doctor.post(
        f"/sitting/{sitting}/hand-in", page=f"/sitting/{sitting}", outstanding=broken
    ).location.endswith("/end")
    assert kept(in_province, sitting) == {0: "A"}
