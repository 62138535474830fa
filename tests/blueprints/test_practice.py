"""Practice and the console's papers by HTTP."""

import gzip
import json
import re
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from dingkao import clock
from dingkao.assessments import assessment_transitions
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import CyclePhase
from dingkao.database.base import db
from dingkao.exams import paper_blueprint
from dingkao.exams.models.paper_models import Paper
from dingkao.journal.entries import Actor
from dingkao.practice.models import PracticeRun, PracticeWeek
from dingkao.question_banks.models import Question, QuestionVersion
from dingkao.tenants import settings as province_settings
from tests import actors, sample_data
from tests.blueprints.racing import begun, held, is_waiting
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "sichuan", 51
_serial = actors.unused_serials(SLUG)


@pytest.fixture(scope="module")
def ground(application, in_province):
    actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
    actors.demonstration_bank(in_province, SLUG)


@pytest.fixture
def doctor(application, in_province, ground):
    doctor = actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
    doctor.post("/filing/notice")
    return doctor


class Practising:
    """A doctor who may practise, and what the tests look at."""

    def __init__(self, doctor, in_province):
        self.doctor, self.in_province = doctor, in_province

    def begin(self, bank="professional:clinical") -> str:
        """The address of the first question of a new run."""
        return self.doctor.post("/practice", bank=bank).location.removeprefix(f"/{SLUG}").rsplit("/", 1)[0]

    def keys(self, place: str) -> list[QuestionVersion]:
        """The questions of a run."""
        with self.in_province(SLUG):
            run = db.session.get_one(PracticeRun, (CODE, UUID(place.rsplit("/", 1)[1])))
            version_by_id = {
                str(question_version.id): question_version
                for question_version in db.session.scalars(
                    select(QuestionVersion).where(QuestionVersion.id.in_(run.layout))
                )
            }
            return [version_by_id[version] for version in run.layout]

    def data(self, place: str) -> dict[str, Any]:
        """What the script asks for."""
        return json.loads(self.doctor.get(f"{place}/data"))

    def send(self, place: str, **told: Any) -> Any:
        """As the script sends."""
        headers = {"X-CSRFToken": self.data(place)["token"], "Accept": "application/json"}
        return self.doctor.client.post(f"/{SLUG}{place}/answers", json=told, headers=headers)

    def week(self) -> tuple[int, int]:
        """How many were answered, and how many of them rightly."""
        with self.in_province(SLUG):
            practice_weeks = db.session.scalars(
                select(PracticeWeek).where(PracticeWeek.doctor_id == self.doctor.doctor_id)
            ).all()
            return sum(practice_week.answered for practice_week in practice_weeks), sum(
                practice_week.answered_right for practice_week in practice_weeks
            )

    def set(self, name: str, value: str) -> None:
        """A setting of the province, from today."""
        with self.in_province(SLUG):
            province_settings.change(name, value, by=None, reason="试验")
            db.session.commit()


@pytest.fixture
def practising(doctor, in_province):
    actors.advance_to(in_province, doctor, "ready")
    return Practising(doctor, in_province)


def wrong_of(asked: QuestionVersion) -> str:
    """A choice that is not the key."""
    return next(letter for letter, _ in asked.options if letter != asked.answer)


def test_practice_opens_when_ready(doctor, in_province):
    assert "审核通过、进入待测评状态后开放" in doctor.get("/practice")
    actors.advance_to(in_province, doctor, "ready")
    page = doctor.get("/practice")
    assert "请选择考试题库" in page
    assert page.index("业务水平") < page.index("公共知识")
    assert page.index("professional:clinical") < page.index("professional:dental")
    assert 'value="common"' in doctor.get("/practice?subject=common")
    place = doctor.post("/practice", bank="professional:clinical").location
    response = doctor.get(place.removeprefix(f"/{SLUG}"))
    assert "练习 1/12" in response
    assert "正确答案" not in response


def test_a_doctor_of_the_simple_procedure_practises_what_he_is_tested_in(doctor, in_province):
    actors.advance_to(in_province, doctor, "ready", procedure="simple")
    page = doctor.get("/practice")
    assert 'value="common"' in page
    assert "professional:" not in page


def test_the_province_opens_it_from_inclusion_and_closes_it_with_the_phase(doctor, in_province):
    practising = Practising(doctor, in_province)
    try:
        practising.set("practice_opens", "included")
        place = practising.begin()
        assert "练习 1/12" in doctor.get(f"{place}/1")
        actors.advance_to(in_province, doctor, "ready")
        with in_province(SLUG):
            record = db.session.scalars(
                select(Assessment).where(Assessment.id == doctor.record_id).with_for_update()
            ).one()
            assessment_transitions.start_test(record, by=Actor("doctor", uuid4()))
            db.session.commit()
        assert "测评已开始，在线学习已关闭" in doctor.get("/practice")
        assert doctor.client.get(f"/{SLUG}{place}/data").status_code == 409
        practising.set("practice_closes", "phase_end")
        assert "请选择考试题库" in doctor.get("/practice")
        with in_province(SLUG):
            phase = db.session.scalars(select(CyclePhase).where(CyclePhase.kind == "examination")).one()
            last, phase.last_day = phase.last_day, clock.today() - timedelta(days=1)
            db.session.commit()
        assert "考核阶段已经结束" in doctor.get("/practice")
        with in_province(SLUG):
            db.session.scalars(
                select(CyclePhase).where(CyclePhase.kind == "examination")
            ).one().last_day = last
            db.session.commit()
    finally:
        practising.set("practice_opens", "reviewed")
        practising.set("practice_closes", "first_sitting")


def test_page_by_page_the_right_answer_is_shown_after_ones_own_and_the_first_stands(practising):
    doctor, place = practising.doctor, practising.begin()
    questions = practising.keys(place)
    position = next(index for index, question in enumerate(questions) if question.kind != "X")
    text, key = f"{place}/{position + 1}", questions[position].answer
    doctor.post(text, letter=wrong_of(questions[position]))
    doctor.post(text, letter=key)
    response = doctor.get(text)
    assert f"正确答案: {key}" in response
    for sentence in (
        "回答错误",
        "✗ 您的选择，错误",
        "✓ 正确答案",
        "answer-option is-incorrect",
        "answer-option is-missed",
    ):
        assert sentence in response
    doctor.post(text, star="1")
    doctor.post(text, star="1")
    sheet = doctor.get(place)
    assert "1/12" in sheet
    assert f'aria-label="第{position + 1}题，答错，已标注"' in sheet
    assert "没有做完的练习" in doctor.get("/practice")
    assert practising.week() == (1, 0)


def test_several_choices_are_judged_together(practising):
    doctor = practising.doctor
    for bank in ("common", "professional:clinical"):
        place = practising.begin(bank)
        multiple_choice = [
            (index, key) for index, key in enumerate(practising.keys(place)) if key.kind == "X"
        ]
        if multiple_choice:
            break
    position, question = multiple_choice[0]
    assert 'type="checkbox"' in doctor.get(f"{place}/{position + 1}")
    doctor.post(f"{place}/{position + 1}")
    assert "请至少选择一个选项" in doctor.get(f"{place}/{position + 1}")
    doctor.post(f"{place}/{position + 1}", letter=list(question.answer))
    assert "回答正确" in doctor.get(f"{place}/{position + 1}")


def test_enlarged_stays_enlarged(practising):
    doctor, place = practising.doctor, practising.begin()
    assert 'class="text-enlarged"' not in doctor.get(f"{place}/1")
    doctor.post(f"{place}/1", large="1")
    assert 'class="text-enlarged"' in doctor.get(f"{place}/2")
    assert 'class="text-enlarged"' in doctor.get(f"{practising.begin()}/1")
    doctor.post(f"{place}/1", large="1")
    assert 'class="text-enlarged"' not in doctor.get(f"{place}/2")


def test_a_case_is_shown_with_its_questions(practising):
    place = practising.begin()
    questions = practising.data(place)["questions"]
    position = next(index for index, question in enumerate(questions) if question["place"] == "第2小题")
    assert questions[position]["heading"].startswith("A3/A4型题[2/")
    assert questions[position]["case"] == questions[position - 1]["case"] != ""
    response = practising.doctor.get(f"{place}/{position + 1}")
    assert "第2小题" in response
    assert questions[position]["case"] in response
    shared = [question for question in questions if question["heading"].startswith("B1型题[")]
    assert shared
    assert shared[0]["options"] == shared[1]["options"]


def test_what_was_kept_without_network_is_taken_once(practising):
    place = practising.begin()
    questions = practising.keys(place)
    tapped = int(clock.now().timestamp() * 1000)
    answers = [
        {
            "position": position,
            "letters": question.answer if position % 2 else wrong_of(question),
            "tapped": tapped,
        }
        for position, question in enumerate(questions)
    ]
    stars = [
        {"position": 3, "starred": True},
        {"position": 4, "starred": True},
        {"position": 4, "starred": False},
    ]
    for _ in range(2):
        payload = practising.send(place, answers=answers, stars=stars).get_json()
        assert payload["answers"] == {str(answer["position"]): answer["letters"] for answer in answers}
        assert payload["starred"] == [3]
        assert payload["closed"] is None
    assert practising.week() == (12, 6)
    right_answers = [answer | {"letters": questions[answer["position"]].answer} for answer in answers]
    assert practising.send(place, answers=right_answers).get_json()["answers"]["0"] == answers[0]["letters"]
    assert practising.week() == (12, 6)
    page = practising.doctor.get(place)
    assert "本次练习已完成" in page
    assert "共12题，答对6题，答错6题，正确率50%" in page
    assert "再练下一组" in page


def test_what_no_page_of_ours_would_send_is_passed_over(practising):
    place = practising.begin()
    questions = practising.keys(place)
    single = next(index for index, question in enumerate(questions) if question.kind != "X")
    for answers in (
        None,
        "x",
        7,
        [None, [], "a"],
        [{"position": -1, "letters": "A"}],
        [{"position": 99, "letters": "A"}],
        [{"position": True, "letters": "A"}],
        [{"position": single, "letters": "AB"}],
        [{"position": single, "letters": "Z"}],
        [{"position": single, "letters": ""}],
        [{"position": single}],
        [{"position": single, "letters": ["A"]}],
    ):
        response = practising.send(place, answers=answers, stars=answers)
        assert (response.status_code, response.get_json()["answers"]) == (200, {}), answers
    assert practising.send(
        place, answers=[{"position": single, "letters": "A", "tapped": "soon"}]
    ).get_json()["answers"] == {str(single): "A"}
    token = practising.data(place)["token"]
    for body in (b"[]", b"{", b"[" * 90000):
        headers = {"X-CSRFToken": token, "Accept": "application/json", "Content-Type": "application/json"}
        assert (
            practising.doctor.client.post(f"/{SLUG}{place}/answers", data=body, headers=headers).status_code
            == 422
        )


def test_the_run_comes_whole_and_compressed(practising):
    place = practising.begin()
    answer = practising.doctor.client.get(
        f"/{SLUG}{place}/data", headers={"Accept-Encoding": "gzip, deflate"}
    )
    assert answer.headers["Content-Encoding"] == "gzip"
    payload = json.loads(gzip.decompress(answer.data))
    assert [question["answer"] for question in payload["questions"]] == [
        question.answer for question in practising.keys(place)
    ]
    assert len(gzip.compress(practising.doctor.get(f"{place}/1").encode())) < 15_000


def test_wrong_and_marked_ones_are_lists_of_their_own(practising):
    doctor, place = practising.doctor, practising.begin()
    questions = practising.keys(place)
    answers = [
        {"position": position, "letters": wrong_of(question) if position < 3 else question.answer}
        for position, question in enumerate(questions)
    ]
    practising.send(
        place, answers=answers, stars=[{"position": 5, "starred": True}, {"position": 6, "starred": True}]
    )
    page = doctor.get("/practice")
    assert "错题 <span>3题" in page
    assert "标注 <span>2题" in page
    assert "以后的练习中答对了，该题自动移出" in doctor.get("/practice/lists/wrong")
    wrong_list_run = (
        doctor.post("/practice/lists/wrong", begin="1").location.removeprefix(f"/{SLUG}").rsplit("/", 1)[0]
    )
    repeated = practising.keys(wrong_list_run)
    assert {question.id for question in repeated} == {question.id for question in questions[:3]}
    practising.send(
        wrong_list_run,
        answers=[
            {"position": 0, "letters": repeated[0].answer},
            {"position": 1, "letters": wrong_of(repeated[1])},
        ],
    )
    page = doctor.get("/practice/lists/wrong")
    assert "错题 2题" in page
    assert repeated[0].stem not in page
    question_id = re.search(r'name="question" value="([0-9a-f-]{36})"', page)[1]
    doctor.post("/practice/lists/wrong", question=question_id)
    assert "错题 1题" in doctor.get("/practice/lists/wrong")
    doctor.post("/practice/lists/wrong", empty="1")
    assert "还没有错题" in doctor.get("/practice/lists/wrong")
    assert doctor.post("/practice/lists/wrong", page="/practice", begin="1").status_code == 303
    assert "列表里没有可以练习的题" in doctor.get("/practice/lists/wrong")
    assert "标注 2题" in doctor.get("/practice/lists/starred")
    doctor.post("/practice/lists/starred", empty="1")
    assert "还没有标注的题" in doctor.get("/practice/lists/starred")
    assert doctor.client.get(f"/{SLUG}/practice/lists/other").status_code == 404


def test_a_tap_of_before_does_not_undo_a_later_one(practising):
    first, second = practising.begin(), practising.begin()
    key = practising.keys(first)[0]
    position = [key.id for key in practising.keys(second)].index(key.id)
    now = int(clock.now().timestamp() * 1000)
    practising.send(
        second, answers=[{"position": position, "letters": key.answer, "tapped": now + 3_600_000}]
    )
    practising.send(first, answers=[{"position": 0, "letters": wrong_of(key), "tapped": 1}])
    assert "错题 <span>0题" in practising.doctor.get("/practice")


def test_progress_by_week_and_bank(practising):
    doctor, place = practising.doctor, practising.begin()
    assert "还没有练习记录" in doctor.get("/practice/progress")
    questions = practising.keys(place)
    practising.send(
        place,
        answers=[
            {"position": position, "letters": question.answer if position else wrong_of(question)}
            for position, question in enumerate(questions[:3])
        ],
    )
    with practising.in_province(SLUG):
        db.session.add(
            PracticeWeek(
                doctor_id=doctor.doctor_id,
                monday=date(2026, 1, 5),
                bank="common",
                answered=8,
                answered_right=7,
            )
        )
        db.session.commit()
    page = re.sub(r"\s+", " ", doctor.get("/practice/progress"))
    assert re.search(
        r"业务水平 · 临床</th><td>3</td>"
        r'<td><meter min="0" max="100" value="67" aria-hidden="true"></meter> 67%',
        page,
    )
    assert page.index("2026年01月05日至01月11日") > page.index("每周练习")
    assert "<td>8</td>" in page
    assert "88%" in page


def test_a_question_that_left_the_practice_share_is_shown_no_more(practising):
    place = practising.begin("professional:dental")
    key = practising.keys(place)[0]
    practising.send(
        place, answers=[{"position": 0, "letters": wrong_of(key)}], stars=[{"position": 0, "starred": True}]
    )
    with practising.in_province(SLUG):
        question = db.session.get_one(Question, (CODE, key.question_id))
        question.purpose = "exam"
        db.session.commit()
    try:
        shown_question = practising.data(place)["questions"][0]
        assert (
            shown_question["withdrawn"],
            shown_question["answer"],
            shown_question["options"],
            shown_question["explanation"],
        ) == (
            True,
            "",
            [],
            "",
        )
        for address in (f"{place}/1", "/practice/lists/wrong", "/practice/lists/starred"):
            page = practising.doctor.get(address)
            assert key.stem not in page, address
            assert key.options[0][1] not in page, address
        assert key.id not in {key.id for key in practising.keys(practising.begin("professional:dental"))}
    finally:
        with practising.in_province(SLUG):
            db.session.get_one(Question, (CODE, key.question_id)).purpose = "practice"
            db.session.commit()


def test_what_was_tapped_before_practice_closed_is_kept(practising):
    place = practising.begin()
    questions = practising.keys(place)
    token = practising.data(place)["token"]
    with practising.in_province(SLUG):
        record = db.session.scalars(
            select(Assessment).where(Assessment.id == practising.doctor.record_id).with_for_update()
        ).one()
        assessment_transitions.start_test(record, by=Actor("doctor", uuid4()))
        db.session.commit()
    payload = practising.doctor.client.post(
        f"/{SLUG}{place}/answers",
        json={"answers": [{"position": 0, "letters": questions[0].answer}]},
        headers={"X-CSRFToken": token},
    ).get_json()
    assert payload["answers"] == {"0": questions[0].answer}
    assert "在线学习已关闭" in payload["closed"]
    assert practising.doctor.client.get(f"/{SLUG}{place}/1").status_code == 409
    assert practising.week() == (1, 1)
    assert practising.doctor.client.get(f"/{SLUG}/practice/progress").status_code == 200


def test_another_doctors_run_is_not_found(practising, application, in_province):
    place = practising.begin("common")
    questions = practising.keys(place)
    other_doctor = actors.ready_doctor(application, in_province, SLUG, next(_serial))
    for address in (f"{place}/1", place, f"{place}/data"):
        assert other_doctor.client.get(f"/{SLUG}{address}").status_code == 404
    other_practising = Practising(other_doctor, in_province)
    token = other_practising.data(other_practising.begin("common"))["token"]
    payload = {"answers": [{"position": 0, "letters": questions[0].answer}]}
    assert (
        other_doctor.client.post(
            f"/{SLUG}{place}/answers", json=payload, headers={"X-CSRFToken": token}
        ).status_code
        == 404
    )
    assert practising.data(place)["answers"] == {}


def test_papers_in_the_console(application, in_province, ground):
    admin = signed_in_client(application, in_province, SLUG, "province_admin")
    colleague = signed_in_client(application, in_province, SLUG, "province_admin")
    window = {"minutes": "60", "opens_at": "2026-11-01T09:00", "closes_at": "2027-11-30T23:59"}
    with (
        held(
            paper_blueprint, "propose_counts", lambda: post_form(admin, f"/{SLUG}/office/papers", **window)
        ) as first,
        begun(lambda: post_form(colleague, f"/{SLUG}/office/papers", **window)) as second,
    ):
        assert is_waiting(second)
        assert first.let_go().status_code == 303
    assert second.result().status_code == 303
    assert "已生成0份试卷" in colleague.get(f"/{SLUG}/office/papers").get_data(as_text=True)
    assert "已生成16份试卷" in admin.get(f"/{SLUG}/office/papers").get_data(as_text=True)
    with in_province(SLUG):
        papers = db.session.scalars(select(Paper)).all()
        assert len(papers) == 16
        assert {paper.opens_at.isoformat() for paper in papers} == {"2026-11-01T01:00:00+00:00"}
        assert {paper.closes_at.isoformat() for paper in papers} == {"2027-11-30T15:59:59.999999+00:00"}, (
            "the whole of the minute typed belongs to it"
        )
    assert "样卷" in admin.get(f"/{SLUG}/office/papers/{papers[0].id}/preview").get_data(as_text=True)
    text = f"/{SLUG}/office/papers/professional/clinical/physician"
    refused = post_form(admin, text, **window | {"A1": "200"})
    assert refused.status_code == 422
    assert "题库凑不成这份试卷" in refused.get_data(as_text=True)
    assert 'value="200"' in refused.get_data(as_text=True)
    assert post_form(admin, text, **window | {"A1": "5"}).status_code == 303
    reader = signed_in_client(
        application, in_province, SLUG, "organisation_clerk", sample_data.registration_number(CODE, 1)
    )
    assert "尚未安排" not in reader.get(f"/{SLUG}/office/papers").get_data(as_text=True)
    assert reader.get(text).status_code == 403
