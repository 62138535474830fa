"""Mock exams by HTTP: begun once, saved by the newest, nothing after the end, marked and looked through, and
nothing else touched."""

import json
import re
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update

from dingkao import clock
from dingkao.assessments import assessment_transitions
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.exams.drawing import load_layout
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import Sitting
from dingkao.journal.entries import Actor
from dingkao.journal.models import JournalEntry
from dingkao.practice import mock_exams
from dingkao.practice.models import MockExam, PractisedQuestion
from dingkao.question_banks.models import Question, QuestionVersion
from tests import actors

SLUG, CODE = "hebei", 13
_serial = actors.unused_serials(SLUG)


@pytest.fixture(scope="module")
def ground(application, in_province):
    actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
    actors.demonstration_bank(in_province, SLUG)


class Trying:
    """A doctor who is 待测评, and what the tests look at."""

    def __init__(self, application, in_province):
        self.in_province = in_province
        self.doctor = actors.ready_doctor(application, in_province, SLUG, next(_serial))

    def begin(self, subject="common") -> str:
        """The address of a mock exam begun now."""
        return self.doctor.post("/practice/mocks", subject=subject).location.removeprefix(f"/{SLUG}")

    def row(self, place: str) -> MockExam:
        """Its row."""
        with self.in_province(SLUG):
            return db.session.get_one(MockExam, (CODE, UUID(place.rsplit("/", 1)[1])))

    def keys(self, place: str) -> list[QuestionVersion]:
        """Its questions."""
        layout = load_layout(self.row(place).layout)
        with self.in_province(SLUG):
            versions = db.session.scalars(
                select(QuestionVersion).where(QuestionVersion.id.in_([item.version for item in layout]))
            )
            versions_by_id = {version.id: version for version in versions}
        return [versions_by_id[item.version] for item in layout]

    def data(self, place: str) -> dict:
        """What its page has for the script."""
        return json.loads(re.search(r'id="data">(.*?)</script>', self.doctor.get(place), re.DOTALL)[1])

    def send(self, data: dict, body, headers=None):
        """Save as the page does."""
        body_argument = (
            {"data": body, "content_type": "application/json"} if isinstance(body, bytes) else {"json": body}
        )
        return self.doctor.client.post(
            data["address"],
            headers={"Accept": "application/json"}
            | (data["saving"]["headers"] if headers is None else headers),
            **body_argument,
        )

    def hand_in(self, place: str, data: dict, **form):
        """Hand in as the page does."""
        headers = {"Accept": "application/json", "X-Requested-With": "fetch"}
        return self.doctor.client.post(
            f"/{SLUG}{place}/hand-in",
            data={"csrf_token": data["saving"]["headers"]["X-CSRFToken"]} | form,
            headers=headers,
        )

    def end_it(self, place: str, ago: timedelta) -> None:
        """Have its time be over since `ago`."""
        with self.in_province(SLUG):
            end = clock.now() - ago
            db.session.execute(
                update(MockExam)
                .where(MockExam.id == self.row(place).id)
                .values(closes_at=end, opened_at=end - timedelta(minutes=9))
            )
            db.session.commit()

    def listed(self) -> dict[UUID, bool]:
        """What practice knows: question → whether it stands on the list of wrong ones."""
        with self.in_province(SLUG):
            practised_questions = db.session.scalars(
                select(PractisedQuestion).where(PractisedQuestion.doctor_id == self.doctor.doctor_id)
            )
            return {question.question_id: question.is_wrong for question in practised_questions}


@pytest.fixture
def trying(application, in_province, ground):
    return Trying(application, in_province)


def answer(position, letters, sequence, tapped=None):
    return {"position": position, "letters": letters, "sequence": sequence, "tapped": tapped}


def wrong_of(asked: QuestionVersion) -> str:
    return next(letter for letter, _ in asked.options if letter not in asked.answer)


def test_it_is_offered_while_practice_is_open_and_says_what_is_lacking(trying):
    assert "模拟考试" in trying.doctor.get("/practice")
    assert f"/{SLUG}/practice/mocks" in trying.doctor.get("/home")
    page = trying.doctor.get("/practice/mocks")
    assert re.search(r'disabled\s+data-scripted\s+name="subject"', page)
    assert "练习题不足，本次为14题（整卷100题）" in page
    assert "9分钟" in page
    assert page.index("公共知识") < page.index("业务水平")
    assert "还没有。做完一次后" in page


def test_a_paper_that_is_made_is_tried_by_its_own_measure(trying, in_province):
    actors.open_papers(in_province, SLUG, minutes=30)
    try:
        page = trying.doctor.get("/practice/mocks")
        assert "公共知识（临床 执业医师）" in page
        assert "10题（A1型4、A3型2、B1型2、X型2）" in page
        assert "30分钟" in page
        place = trying.begin()
        mock_exam = trying.row(place)
        assert len(mock_exam.layout) == 10
        assert mock_exam.points == {"A1": 10, "A3": 10, "B1": 10, "X": 10}
        assert mock_exam.closes_at - mock_exam.opened_at == timedelta(minutes=30)
    finally:
        with in_province(SLUG):
            for paper in db.session.scalars(select(Paper)):
                db.session.delete(paper)
            db.session.commit()


def test_two_presses_begin_one_and_each_subject_has_its_own(trying):
    place = trying.begin()
    assert trying.begin() == place
    assert trying.begin("professional") != place
    assert "没有做完的模拟考试，已答0/14题" in trying.doctor.get("/practice/mocks")
    response = trying.doctor.post("/practice/mocks", subject="nothing", page="/practice")
    assert response.status_code == 303
    assert "请选择要模拟的试卷" in trying.doctor.get("/practice/mocks")


def test_the_page_says_that_it_is_a_trial_holds_no_key_and_nobody_watches(trying):
    place = trying.begin()
    page = trying.doctor.get(place)
    assert "模拟考试 <small>不计入成绩</small>" in page
    assert "integrity-events.js" not in page
    assert "sitting.js" in page
    assert '"answer"' not in page
    data = trying.data(place)
    assert "events" not in data
    assert "不计入成绩" in data["words"]["confirm"]
    assert len(data["questions"]) == 14


def test_the_newest_answer_is_kept_and_marked_and_the_wrong_ones_are_listed(trying):
    place = trying.begin()
    data, versions = trying.data(place), trying.keys(place)
    for position, version in enumerate(versions[:-1]):
        letters = version.answer if position else wrong_of(version)
        assert trying.send(data, answer(position, letters, 10 + position)).json["kept"] == "saved"
    assert trying.send(data, answer(1, wrong_of(versions[1]), 5)).json["kept"] == "older"
    assert trying.send(data, answer(1, versions[1].answer, 11)).json["kept"] == "older"
    payload = trying.doctor.client.get(data["standing"]).json
    assert (payload["open"], payload["mine"]) == (True, True)
    assert payload["answers"]["1"] == "".join(sorted(versions[1].answer))
    assert payload["sequences"]["1"] == 11
    assert "还没有交卷" not in trying.doctor.get(place)
    assert trying.doctor.client.get(f"/{SLUG}{place}/end").location.endswith(place)

    assert trying.hand_in(place, data).json == {"end": f"/{SLUG}{place}/end"}
    assert trying.hand_in(place, data).status_code == 200
    mock_exam = trying.row(place)
    assert mock_exam.score_tenths == round(1000 * 12 / 14)
    assert trying.listed() == {version.question_id: index == 0 for index, version in enumerate(versions[:-1])}
    page = trying.doctor.get(f"{place}/end")
    assert f"<strong>{mock_exam.score_tenths / 10:g}</strong> / 100分" in page
    assert "共14题，答对12题" in page
    assert "✗ 您的选择，错误" in page
    assert page.count('id="q') == 5
    wrong = trying.doctor.get(f"{place}/end?wrong=1")
    assert re.findall(r'id="q(\d+)"', wrong) == ["1"]
    assert "只看错题（1）" in wrong
    assert "您的答案：未作答" not in wrong
    blank = trying.doctor.get(f"{place}/end?blank=1")
    assert re.findall(r'id="q(\d+)"', blank) == ["14"]
    assert "您的答案：未作答" in blank
    for question in re.split(r'id="q\d+"', page)[1:]:
        letters = re.findall(r"<b>([A-J])\.</b>", question)
        assert letters == sorted(letters)
    assert trying.doctor.client.get(f"/{SLUG}{place}/end?from=999").status_code == 404
    assert "查看答卷" in trying.doctor.get("/practice/mocks")
    assert trying.doctor.client.get(f"/{SLUG}{place}").location.endswith("/end")
    late = trying.send(data, answer(2, "A", 999))
    assert (late.status_code, late.json["final"]) == (409, True)


def test_nothing_of_it_touches_what_counts(trying, in_province):
    def seen():
        with in_province(SLUG):
            return (
                actors.record_state(in_province, SLUG, trying.doctor.record_id),
                db.session.scalar(select(func.count()).select_from(Sitting)),
                db.session.scalar(select(func.sum(Question.exposures))),
                db.session.scalar(select(func.count()).select_from(JournalEntry)),
            )

    earlier_state = seen()
    place = trying.begin()
    data = trying.data(place)
    trying.send(data, answer(0, "A", 1))
    trying.hand_in(place, data)
    assert seen() == earlier_state


def test_what_was_tapped_in_time_is_taken_for_a_minute_and_nothing_after(trying):
    place = trying.begin()
    data = trying.data(place)
    trying.end_it(place, timedelta(seconds=20))
    end = int(trying.row(place).closes_at.timestamp() * 1000)
    assert trying.send(data, answer(0, "A", 1, end - 1000)).status_code == 200
    for tapped in (None, end + 1):
        refused = trying.send(data, answer(1, "A", 2, tapped))
        assert (refused.status_code, refused.json["final"]) == (409, True)
    trying.end_it(place, timedelta(seconds=61))
    end = int(trying.row(place).closes_at.timestamp() * 1000)
    assert trying.send(data, answer(2, "A", 3, end - 1000)).status_code == 409
    assert list(trying.row(place).answers) == ["0"]


def test_what_is_looked_at_after_its_end_is_handed_in_as_of_its_end(trying):
    place = trying.begin()
    data, versions = trying.data(place), trying.keys(place)
    trying.send(data, answer(0, versions[0].answer, 1))
    trying.end_it(place, timedelta(days=2))
    assert trying.row(place).handed_in_at is None
    page = trying.doctor.get("/practice/mocks")
    assert "用时9分钟" in page
    mock_exam = trying.row(place)
    assert mock_exam.handed_in_at == mock_exam.closes_at
    assert mock_exam.score_tenths == round(1000 / 14)
    assert trying.begin() != place


def test_what_the_page_could_not_send_comes_along(trying):
    place = trying.begin()
    data, versions = trying.data(place), trying.keys(place)
    early = trying.hand_in(place, data, automatic="1")
    assert early.status_code == 409
    assert "作答时间还没有到" in early.json["error"]
    outstanding = [answer(0, versions[0].answer, 3), "nothing", answer(99, "A", 4), answer(1, "?", 5)]
    trying.hand_in(place, data, outstanding=json.dumps(outstanding))
    assert trying.row(place).answers == {"0": ["".join(sorted(versions[0].answer)), 3]}
    trying.hand_in(place, data, outstanding=json.dumps([answer(0, "B", 9)]))
    assert "之后才送达，未能计入" in trying.doctor.get(f"{place}/end")


def test_saves_that_our_page_would_not_send_are_refused(trying):
    place = trying.begin()
    data = trying.data(place)
    sound = answer(0, "A", 1)
    bodies = [
        b"",
        b"{",
        b"[" * 1500,
        b"x" * 5000,
        b"null",
        b"[]",
        *(
            json.dumps(sound | change).encode()
            for change in (
                {"position": -1},
                {"position": 10**9},
                {"position": "0"},
                {"letters": "AA"},
                {"letters": "Z"},
                {"letters": 1},
                {"sequence": 0},
                {"sequence": 2**40},
                {"tapped": "x"},
                {"tapped": -1},
                {"position": True},
            )
        ),
    ]
    for body in bodies:
        assert 400 <= trying.send(data, body).status_code < 500, body
    assert trying.send(data, answer(14, "A", 1)).status_code == 404
    assert trying.send(data, sound, headers={}).status_code == 400
    assert trying.row(place).answers == {}


def test_anothers_is_nobodys(trying, application, in_province):
    place = trying.begin()
    stranger = Trying(application, in_province)
    data = stranger.data(stranger.begin())
    for address in ("", "/standing", "/end"):
        assert stranger.doctor.client.get(f"/{SLUG}{place}{address}").status_code == 404
    assert stranger.hand_in(place, data).status_code == 404
    assert stranger.send(data | {"address": f"/{SLUG}{place}/answer"}, answer(0, "A", 1)).status_code == 404
    assert trying.row(place).handed_in_at is None


def test_it_closes_with_practice_but_what_was_begun_can_be_sent(trying, in_province):
    place = trying.begin()
    data = trying.data(place)
    with in_province(SLUG):
        record = db.session.scalars(
            select(Assessment).where(Assessment.id == trying.doctor.record_id).with_for_update()
        ).one()
        assessment_transitions.start_test(record, by=Actor("doctor", uuid4()))
        db.session.commit()
    assert "测评已开始，在线学习已关闭" in trying.doctor.get("/practice/mocks")
    assert trying.doctor.post("/practice/mocks", page="/home", subject="professional").status_code == 409
    assert trying.doctor.client.get(f"/{SLUG}{place}").status_code == 409
    assert f"/{SLUG}/practice/mocks" not in trying.doctor.get("/home")
    assert trying.send(data, answer(0, "A", 1)).status_code == 200
    assert trying.hand_in(place, data).status_code == 200
    assert trying.doctor.client.get(f"/{SLUG}{place}/end").status_code == 409


def test_a_question_that_has_left_the_practice_share_is_told_nothing_of(trying, in_province):
    place = trying.begin()
    data, versions = trying.data(place), trying.keys(place)
    hidden = versions[0]
    with in_province(SLUG):
        db.session.execute(update(Question).where(Question.id == hidden.question_id).values(purpose="exam"))
        db.session.commit()
    try:
        first = trying.data(place)["questions"][0]
        assert first["options"] == []
        assert "本题已停用" in first["stem"]
        trying.send(data, answer(0, hidden.answer, 1))
        trying.send(data, answer(1, versions[1].answer, 2))
        trying.hand_in(place, data)
        page = trying.doctor.get(f"{place}/end")
        assert hidden.stem not in page
        assert "本题已停用，不再显示" in page
        assert trying.row(place).score_tenths == round(1000 / 13)
        assert list(trying.listed()) == [versions[1].question_id]
    finally:
        with in_province(SLUG):
            db.session.execute(
                update(Question).where(Question.id == hidden.question_id).values(purpose="practice")
            )
            db.session.commit()


def test_the_last_twenty_are_kept(trying, in_province, monkeypatch):
    monkeypatch.setattr(mock_exams, "MAX_KEPT", 3)
    places = []
    for _ in range(4):
        places.append(trying.begin())
        trying.hand_in(places[-1], trying.data(places[-1]))
    with in_province(SLUG):
        mock_exam_ids = list(
            db.session.scalars(
                select(MockExam.id)
                .where(MockExam.assessment_id == trying.doctor.record_id)
                .order_by(MockExam.id)
            )
        )
    assert list(map(str, mock_exam_ids)) == [place.rsplit("/", 1)[1] for place in places[1:]]


def test_without_practice_questions_there_is_nothing_to_try(trying, in_province):
    with in_province(SLUG):
        questions = list(
            db.session.scalars(
                select(Question.id).where(Question.subject == "professional", Question.purpose == "practice")
            )
        )
        db.session.execute(update(Question).where(Question.id.in_(questions)).values(retired_at=clock.now()))
        db.session.commit()
    try:
        assert "本省暂时没有开放业务水平练习题" in trying.doctor.get("/practice/mocks")
        trying.doctor.post("/practice/mocks", subject="professional")
        assert "不能开始模拟考试" in trying.doctor.get("/practice/mocks")
    finally:
        with in_province(SLUG):
            db.session.execute(update(Question).where(Question.id.in_(questions)).values(retired_at=None))
            db.session.commit()
