"""Banks in the console: a file in, its report, a second person, what is then drawn; and out again."""

import io
import re

import pytest
from sqlalchemy import select

from dingkao.database.model import db
from dingkao.exams.models import Question, QuestionBank, QuestionVersion
from dingkao.exams.papers import available
from dingkao.journal.models import JournalEntry
from tests import people
from tests.blueprints.signed_in import client_of, post

SLUG = "yunnan"
OFFICE = f"/{SLUG}/office"


@pytest.fixture
def ground(application, in_province):
    people.doctor(application, in_province, SLUG, next(people.serials(SLUG)))


class Bank:
    """A bank of the test's own, two editors and what they see."""

    def __init__(self, application, in_province, name):
        self.application, self.in_province, self.name = application, in_province, name
        self.one = client_of(application, in_province, SLUG, "question_editor")
        self.other = client_of(application, in_province, SLUG, "province_admin")

    def bring(self, content, name="x.csv", client=None):
        """Import a file; the page that tells of it."""
        client = client or self.one
        answer = post(client, f"{OFFICE}/banks/import", page=f"{OFFICE}/banks", bank=self.name, file=(io.BytesIO(content), name))
        if answer.status_code != 303:
            return answer.get_data(as_text=True)
        people.work_off(self.application, self.in_province, SLUG)
        return client.get(answer.location).get_data(as_text=True)

    @property
    def address(self):
        with self.in_province(SLUG):
            return f"{OFFICE}/banks/{db.session.scalars(select(QuestionBank.id).where(QuestionBank.name == self.name)).one()}"

    def get(self, address, client=None):
        return (client or self.one).get(address).get_data(as_text=True)

    def rows(self):
        """Each question with the version it would show next."""
        with self.in_province(SLUG):
            bank = db.session.scalars(select(QuestionBank.id).where(QuestionBank.name == self.name)).one()
            query = select(Question, QuestionVersion).join(QuestionVersion, QuestionVersion.id == Question.current_version)
            return db.session.execute(query.where(Question.bank_id == bank).order_by(Question.id)).all()

    def drawn(self):
        """How many of its questions could be drawn."""
        return len([row for row, _ in self.rows() if row.retired_at is None])


@pytest.fixture
def bank(application, in_province, ground, request):
    return Bank(application, in_province, request.node.name[:60])


SHEET = "题干,选项,答案,考点,科目\n甲是什么?,A 一\\nB 二,A,第一章,公共知识\n乙?,A 一\\nB 二,Z,,\n丙对不对?,,×,,公共知识\n".encode()


def test_a_file_comes_in_with_a_report_and_waits_for_another_person(bank):
    told = bank.bring(SHEET)
    assert "新增 2,更新 0,未变 0,拒绝 1" in told
    assert "请填写AB中的字母" in told
    report = bank.one.get(re.search(r'href="([^"]+report\.xlsx)"', told)[1])
    assert report.status_code == 200
    assert report.data.startswith(b"PK")
    assert bank.drawn() == 0
    page = bank.get(f"{bank.address}?state=pending")
    assert page.count("由您编写或导入") == 2
    post(bank.one, f"{bank.address}/approve", page=bank.address, question=[str(row.id) for row, _ in bank.rows()])
    assert bank.drawn() == 0
    post(bank.other, f"{bank.address}/approve", page=bank.address, question=str(bank.rows()[0][0].id))
    assert bank.drawn() == 1
    answer = post(bank.other, f"{bank.address}/approve", page=bank.address, all="1")
    people.work_off(bank.application, bank.in_province, SLUG)
    assert "更新 1" in bank.get(answer.location, bank.other)
    assert bank.drawn() == 2
    (first, _), (second, version) = bank.rows()
    assert (first.topic, second.kind, version.answer, version.options) == ("第一章", "TF", "B", [["A", "正确"], ["B", "错误"]])


def test_who_brought_it_cannot_let_it_in(bank):
    bank.bring(SHEET)
    question = bank.rows()[0][0].id
    post(bank.one, f"{OFFICE}/questions/{question}/decide", page=bank.address, approve="1")
    post(bank.one, f"{bank.address}/approve", page=bank.address, all="1")
    people.work_off(bank.application, bank.in_province, SLUG)
    assert bank.drawn() == 0
    assert bank.one.post(f"{OFFICE}/questions/{question}/decide", data={"approve": "1"}).status_code == 400


def let_in(bank):
    bank.bring(SHEET)
    post(bank.other, f"{bank.address}/approve", page=bank.address, question=[str(row.id) for row, _ in bank.rows()])
    return f"{OFFICE}/questions/{bank.rows()[0][0].id}"


def form_of(page):
    """What an edit form holds."""
    given = dict(re.findall(r'<input[^>]*name="(\w+)"[^>]*value="([^"]*)"', page))
    given |= dict(re.findall(r'<textarea[^>]*name="(\w+)"[^>]*>\r?\n?(.*?)</textarea>', page, re.DOTALL))
    given |= {name: code for name, body in re.findall(r'<select[^>]*name="(\w+)"[^>]*>(.*?)</select>', page, re.DOTALL) for code in re.findall(r'<option selected value="(\w*)"', body)}
    given.pop("csrf_token")
    return given


def test_a_change_waits_while_the_old_words_are_used_and_its_history_stays(bank):
    question = let_in(bank)
    given = form_of(bank.get(f"{question}/edit"))
    assert given["stem"] == "甲是什么?"
    shown = post(bank.one, f"{question}/edit", preview="1", **given | {"stem": "H<sub>2</sub>O <script>"}).get_data(as_text=True)
    assert "H<sub>2</sub>O &lt;script&gt;" in shown
    assert post(bank.one, f"{question}/edit", **given | {"answer": "C"}).status_code == 422
    assert post(bank.one, f"{question}/edit", **given | {"stem": "甲究竟是什么?", "purpose": "practice"}).status_code == 303
    row, version = bank.rows()[0]
    assert (version.stem, row.purpose, row.retired_at) == ("甲是什么?", "exam", None)
    page = bank.get(question, bank.other)
    assert "甲究竟是什么?" in page
    assert "甲是什么?" in page
    refused = post(bank.other, f"{question}/decide", page=question, **{"return": "1"})
    assert "请填写退回原因" in bank.get(refused.location, bank.other)
    post(bank.other, f"{question}/decide", page=question, reason="题意不清", **{"return": "1"})
    assert bank.rows()[0][1].stem == "甲是什么?"
    assert "题意不清" in bank.get(question)
    post(bank.one, f"{question}/edit", **given | {"stem": "甲到底是什么?", "purpose": "practice"})
    post(bank.other, f"{question}/decide", page=question, approve="1")
    row, version = bank.rows()[0]
    assert (version.stem, version.number, row.purpose) == ("甲到底是什么?", 3, "practice")
    with bank.in_province(SLUG):
        verbs = set(db.session.scalars(select(JournalEntry.verb).where(JournalEntry.subject_kind == "questionversion")))
    assert {"approve", "turn_down"} <= verbs


def test_a_case_is_changed_for_its_whole_group(bank):
    sheet = "题型,组号,共用题干,题干,选项,答案,执业类别\nA3,1,患者男,问一,A 一\\nB 二,A,临床\nA3,1,,问二,A 三\\nB 四,B,临床\n".encode()
    bank.bring(sheet)
    post(bank.other, f"{bank.address}/approve", page=bank.address, all="1")
    people.work_off(bank.application, bank.in_province, SLUG)
    question = f"{OFFICE}/questions/{bank.rows()[0][0].id}"
    given = form_of(bank.get(f"{question}/edit"))
    post(bank.one, f"{question}/edit", **given | {"case_stem": "患者女"})
    post(bank.other, f"{question}/decide", page=question, approve="1")
    assert [version.case_stem for _, version in bank.rows()] == ["患者女", "患者女"]
    assert bank.drawn() == 2


def test_questions_are_found_by_word_type_topic_and_state(bank):
    let_in(bank)
    for asked, hits in (("q=甲是", 1), ("q=100%25", 0), ("kind=TF", 1), ("topic=第一章", 1), ("state=used", 2), ("state=pending", 0), ("difficulty=hard", 0), ("q=丙&kind=A1", 0)):
        assert bank.get(f"{bank.address}?{asked}").count("question-head") == hits, asked


def test_a_question_is_written_and_one_that_is_there_is_refused(bank):
    bank.bring(SHEET)
    given = {"kind": "A1", "stem": "丁?", "option_A": "一", "option_B": "二", "answer": "b", "category": "", "subject": "common", "difficulty": "hard", "purpose": "exam"}
    assert post(bank.one, f"{bank.address}/new", **given).status_code == 303
    row, version = bank.rows()[-1]
    assert (version.stem, version.answer, row.subject, version.state) == ("丁?", "B", "common", "pending")
    again = post(bank.one, f"{bank.address}/new", **given)
    assert again.status_code == 422
    assert "题库中已有相同的题目" in again.get_data(as_text=True)


def test_out_of_use_and_back(bank):
    question = let_in(bank)
    post(bank.one, f"{question}/retire", page=question)
    assert bank.drawn() == 1
    assert "已停用" in bank.get(question)
    post(bank.one, f"{question}/retire", page=question)
    assert bank.drawn() == 2


def test_what_waits_is_in_no_paper(bank):
    with bank.in_province(SLUG):
        before = available("professional", "clinical")["A1"]
    bank.bring("题干,选项,答案,执业类别\n新题?,A 一\\nB 二,A,临床\n".encode())
    with bank.in_province(SLUG):
        assert available("professional", "clinical")["A1"] == before
    post(bank.other, f"{bank.address}/approve", page=bank.address, question=str(bank.rows()[0][0].id))
    with bank.in_province(SLUG):
        assert available("professional", "clinical")["A1"] == before + 1


def test_alike_questions_are_found_across_banks(bank, application, in_province):
    bank.bring("题干,选项,答案\n下列哪项是急性心肌梗死最常见的并发症?,A 一\\nB 二,A\n".encode())
    other = Bank(application, in_province, f"{bank.name} 又")
    other.bring("题干,选项,答案\n\"急性心肌梗死,最常见 的并发症是\uff1f\",A 二\\nB 三,A\n".encode())
    page = bank.get(f"{OFFICE}/banks/duplicates")
    assert "急性心肌梗死,最常见 的并发症是" in page
    assert other.name in page


def test_a_bank_leaves_as_a_file_and_that_is_written_down(bank):
    let_in(bank)
    for kind, begins in (("xlsx", b"PK"), ("gift", b"// ")):
        made = post(bank.one, f"{bank.address}/export/{kind}", page=bank.address)
        assert made.data.startswith(begins)
        assert "未变 2" in bank.bring(made.data, f"x.{kind}")
    assert post(bank.one, f"{bank.address}/export/pdf", page=bank.address).status_code == 404
    with bank.in_province(SLUG):
        assert db.session.scalar(select(JournalEntry.id).where(JournalEntry.verb == "exported").limit(1))


def test_the_templates_go_in_as_they_come(bank):
    assert bank.one.get(f"{OFFICE}/banks/template.xlsx").data.startswith(b"PK")
    told = bank.bring(bank.one.get(f"{OFFICE}/banks/template.docx").data, "x.docx")
    assert "新增 7,更新 0,未变 0,拒绝 0" in told
    found = [(version.kind, version.answer, row.subject, row.category) for row, version in bank.rows()]
    assert found == [
        ("A1", "B", "professional", "clinical"), ("A3", "A", "professional", "clinical"), ("A3", "B", "professional", "clinical"),
        ("B1", "A", "common", None), ("B1", "D", "common", None), ("X", "ABD", "common", None), ("TF", "A", "common", None),
    ]  # fmt: skip
    assert len({row.group_id for row, _ in bank.rows()}) == 3
    assert "示例" not in "".join(version.stem for _, version in bank.rows())


@pytest.mark.parametrize("content", [b"", b"\0\0", b"PK\x03\x04broken", b"\xd0\xcf\x11\xe0", "没有表头".encode(), b"// nothing"])
def test_a_file_of_nothing_is_refused_at_its_field(bank, content):
    told = bank.bring(content)
    assert "field" in told or "summary" in told
    assert 'id="summary"' in told


def test_a_picture_is_kept_and_shown_where_words_name_it(bank):
    let_in(bank)
    page = post(bank.one, f"{OFFICE}/banks/pictures", picture=(io.BytesIO(people.photo(2000, 100, kind="PNG")), "x.png")).get_data(as_text=True)
    words = re.search(r'value="(!\[[^"]+)"', page)[1]
    name = words[-33:-1]
    served = bank.one.get(f"/{SLUG}/pictures/{name}")
    assert served.mimetype == "image/png"
    question = f"{OFFICE}/questions/{bank.rows()[0][0].id}"
    given = form_of(bank.get(f"{question}/edit"))
    post(bank.one, f"{question}/edit", **given | {"stem": f"如图\n{words}"})
    assert f'<img src="/{SLUG}/pictures/{name}"' in bank.get(question)
    assert bank.one.get(f"/{SLUG}/pictures/{'0' * 32}").status_code == 404
    assert bank.one.get(f"/{SLUG}/pictures/none").status_code == 404
    assert bank.application.test_client().get(f"/{SLUG}/pictures/{name}").status_code == 302
    refused = post(bank.one, f"{OFFICE}/banks/pictures", picture=(io.BytesIO(b"<svg onload=alert(1)>"), "x.svg")).get_data(as_text=True)
    assert "alert-danger" in refused
