"""Banks in the console: a file in, its report, a second person, what is then drawn; and out again."""

import io
import re

import docx
import pytest
from sqlalchemy import select

from dingkao.database.base import db
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.question_pool import load_candidates
from dingkao.integrations.spreadsheets import sheet_reader
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.journal.models import JournalEntry
from dingkao.question_banks.importing import batch, file_import
from dingkao.question_banks.models import QuestionBank
from tests import actors
from tests.blueprints.sample_bank import OFFICE, SLUG, Bank
from tests.blueprints.signed_in_client import post_form


@pytest.fixture
def ground(application, in_province):
    actors.signed_in_doctor(application, in_province, SLUG, next(actors.unused_serials(SLUG)))


@pytest.fixture
def bank(application, in_province, ground, request):
    return Bank(application, in_province, request.node.name[:60])


SHEET = (
    "题干,选项,答案,考点,科目\n甲是什么?,A 一\\nB 二,A,第一章,公共知识\n乙?,A 一\\nB "
    "二,Z,,\n丙对不对?,,×,,公共知识\n"
).encode()


def test_a_file_comes_in_with_a_report_and_waits_for_another_person(bank):
    page_text = bank.bring(SHEET)
    assert "新增 2，更新 0，未变 0，拒绝 1" in page_text
    assert "请填写AB中的字母" in page_text
    report = bank.editor.get(re.search(r'href="([^"]+report\.xlsx)"', page_text)[1])
    assert report.status_code == 200
    assert report.data.startswith(b"PK")
    assert bank.drawn() == 0
    page = bank.get(f"{bank.address}?state=pending")
    assert page.count("由您编写或导入") == 2
    post_form(
        bank.editor,
        f"{bank.address}/approve",
        page=bank.address,
        question=[str(question.id) for question, _ in bank.rows()],
    )
    assert bank.drawn() == 0
    post_form(bank.approver, f"{bank.address}/approve", page=bank.address, question=str(bank.rows()[0][0].id))
    assert bank.drawn() == 1
    answer = post_form(bank.approver, f"{bank.address}/approve", page=bank.address, all="1")
    actors.run_pending_jobs(bank.application, bank.in_province, SLUG)
    assert "更新 1" in bank.get(answer.location, bank.approver)
    assert bank.drawn() == 2
    (first, _), (second, version) = bank.rows()
    assert (first.topic, second.kind, version.answer, version.options) == (
        "第一章",
        "TF",
        "B",
        [["A", "正确"], ["B", "错误"]],
    )


def test_who_brought_it_cannot_let_it_in(bank):
    bank.bring(SHEET)
    question_id = bank.rows()[0][0].id
    refused = post_form(
        bank.editor, f"{OFFICE}/questions/{question_id}/decide", page=bank.address, approve="1"
    )
    assert refused.status_code == 409
    assert "自己编写或导入的题目须由另一人审核。" in refused.get_data(as_text=True), (
        "the rule refuses it, and not the row's own check alone"
    )
    post_form(bank.editor, f"{bank.address}/approve", page=bank.address, all="1")
    actors.run_pending_jobs(bank.application, bank.in_province, SLUG)
    assert bank.drawn() == 0
    assert (
        bank.editor.post(f"{OFFICE}/questions/{question_id}/decide", data={"approve": "1"}).status_code == 400
    )


def let_in(bank):
    bank.bring(SHEET)
    post_form(
        bank.approver,
        f"{bank.address}/approve",
        page=bank.address,
        question=[str(question.id) for question, _ in bank.rows()],
    )
    return f"{OFFICE}/questions/{bank.rows()[0][0].id}"


def form_of(page):
    """What an edit form holds."""
    matches = dict(re.findall(r'<input[^>]*name="(\w+)"[^>]*value="([^"]*)"', page))
    matches |= dict(re.findall(r'<textarea[^>]*name="(\w+)"[^>]*>\r?\n?(.*?)</textarea>', page, re.DOTALL))
    matches |= {
        name: code
        for name, body in re.findall(r'<select[^>]*name="(\w+)"[^>]*>(.*?)</select>', page, re.DOTALL)
        for code in re.findall(r'<option selected value="(\w*)"', body)
    }
    matches.pop("csrf_token")
    return matches


def test_a_change_waits_while_the_old_words_are_used_and_its_history_stays(bank):
    question_address = let_in(bank)
    form = form_of(bank.get(f"{question_address}/edit"))
    assert form["stem"] == "甲是什么?"
    text = post_form(
        bank.editor, f"{question_address}/edit", preview="1", **form | {"stem": "H<sub>2</sub>O <script>"}
    ).get_data(as_text=True)
    assert "H<sub>2</sub>O &lt;script&gt;" in text
    assert post_form(bank.editor, f"{question_address}/edit", **form | {"answer": "C"}).status_code == 422
    assert (
        post_form(
            bank.editor, f"{question_address}/edit", **form | {"stem": "甲究竟是什么?", "purpose": "practice"}
        ).status_code
        == 303
    )
    question, version = bank.rows()[0]
    assert (version.stem, question.purpose, question.retired_at) == ("甲是什么?", "exam", None)
    page = bank.get(question_address, bank.approver)
    assert "甲究竟是什么?" in page
    assert "甲是什么?" in page
    refused = post_form(bank.approver, f"{question_address}/decide", page=question_address, **{"return": "1"})
    assert "请填写退回原因" in bank.get(refused.location, bank.approver)
    post_form(
        bank.approver,
        f"{question_address}/decide",
        page=question_address,
        reason="题意不清",
        **{"return": "1"},
    )
    assert bank.rows()[0][1].stem == "甲是什么?"
    assert "题意不清" in bank.get(question_address)
    post_form(
        bank.editor, f"{question_address}/edit", **form | {"stem": "甲到底是什么?", "purpose": "practice"}
    )
    post_form(bank.approver, f"{question_address}/decide", page=question_address, approve="1")
    question, version = bank.rows()[0]
    assert (version.stem, version.number, question.purpose) == ("甲到底是什么?", 3, "practice")
    with bank.in_province(SLUG):
        verbs = set(
            db.session.scalars(
                select(JournalEntry.verb).where(JournalEntry.subject_kind == "questionversion")
            )
        )
    assert {"approve", "turn_down"} <= verbs


def test_a_case_is_changed_for_its_whole_group(bank):
    sheet = (
        "题型,组号,共用题干,题干,选项,答案,执业类别\nA3,1,患者男,问一,A 一\\nB 二,A,临床\nA3,1,,问二,A "
        "三\\nB 四,B,临床\n"
    ).encode()
    bank.bring(sheet)
    post_form(bank.approver, f"{bank.address}/approve", page=bank.address, all="1")
    actors.run_pending_jobs(bank.application, bank.in_province, SLUG)
    question_address = f"{OFFICE}/questions/{bank.rows()[0][0].id}"
    form = form_of(bank.get(f"{question_address}/edit"))
    post_form(bank.editor, f"{question_address}/edit", **form | {"case_stem": "患者女"})
    post_form(bank.approver, f"{question_address}/decide", page=question_address, approve="1")
    assert [version.case_stem for _, version in bank.rows()] == ["患者女", "患者女"]
    assert bank.drawn() == 2


def test_questions_are_found_by_word_type_topic_and_state(bank):
    let_in(bank)
    for query, hits in (
        ("q=甲是", 1),
        ("q=100%25", 0),
        ("kind=TF", 1),
        ("topic=第一章", 1),
        ("state=used", 2),
        ("state=pending", 0),
        ("difficulty=hard", 0),
        ("q=丙&kind=A1", 0),
    ):
        assert bank.get(f"{bank.address}?{query}").count("question-head") == hits, query


def test_a_question_is_written_and_one_that_is_there_is_refused(bank):
    bank.bring(SHEET)
    form = {
        "kind": "A1",
        "stem": "丁?",
        "option_A": "一",
        "option_B": "二",
        "answer": "b",
        "category": "",
        "subject": "common",
        "difficulty": "hard",
        "purpose": "exam",
    }
    assert post_form(bank.editor, f"{bank.address}/new", **form).status_code == 303
    question, version = bank.rows()[-1]
    assert (version.stem, version.answer, question.subject, version.state) == (
        "丁?",
        "B",
        "common",
        "pending",
    )
    repeated = post_form(bank.editor, f"{bank.address}/new", **form)
    assert repeated.status_code == 422
    assert "题库中已有相同的题目" in repeated.get_data(as_text=True)
    unplaced = post_form(
        bank.editor, f"{bank.address}/new", **(form | {"stem": "戊?", "subject": "professional"})
    )
    assert unplaced.status_code == 422
    assert "业务水平的题没有执业类别" in unplaced.get_data(as_text=True)


def test_out_of_use_and_back(bank):
    question_address = let_in(bank)
    post_form(bank.editor, f"{question_address}/retire", page=question_address)
    assert bank.drawn() == 1
    assert "已停用" in bank.get(question_address)
    post_form(bank.editor, f"{question_address}/retire", page=question_address)
    assert bank.drawn() == 2


def test_what_waits_is_in_no_paper(bank):
    with bank.in_province(SLUG):
        candidate_count = load_candidates("professional", "clinical").count_by_type()["A1"]
    bank.bring("题干,选项,答案,执业类别\n新题?,A 一\\nB 二,A,临床\n".encode())
    with bank.in_province(SLUG):
        assert load_candidates("professional", "clinical").count_by_type()["A1"] == candidate_count
    post_form(bank.approver, f"{bank.address}/approve", page=bank.address, question=str(bank.rows()[0][0].id))
    with bank.in_province(SLUG):
        assert load_candidates("professional", "clinical").count_by_type()["A1"] == candidate_count + 1


def test_alike_questions_are_found_across_banks(bank, application, in_province):
    bank.bring("题干,选项,答案,科目\n下列哪项是急性心肌梗死最常见的并发症?,A 一\\nB 二,A,公共知识\n".encode())
    second_bank = Bank(application, in_province, f"{bank.name} 又")
    second_bank.bring(
        '题干,选项,答案,科目\n"急性心肌梗死,最常见 的并发症是\uff1f",A 二\\nB 三,A,公共知识\n'.encode()
    )
    page = bank.get(f"{OFFICE}/banks/duplicates")
    assert "急性心肌梗死,最常见 的并发症是" in page
    assert second_bank.name in page


def test_what_is_left_aside_is_told_where_a_paper_is_made_and_in_its_preview(application, in_province, bank):
    let_in(bank)
    second_bank = Bank(application, in_province, f"{bank.name} 又")
    second_bank.bring(
        (
            "题干,选项,答案,科目,用途\n甲是什么？,A 一\\nB 二,A,公共知识,\n丙 对不对？,A 正确\\nB "
            "错误,B,公共知识,练习\n"
        ).encode()
    )
    post_form(
        second_bank.approver,
        f"{second_bank.address}/approve",
        page=second_bank.address,
        question=[str(question.id) for question, _ in second_bank.rows()],
    )
    place = f"{OFFICE}/papers/common/clinical/physician"
    text = r"题库中有\d+道题与别的题相同或相近，一份试卷最多用其中一道"
    assert re.search(text, bank.get(place, bank.approver))
    window = {"minutes": "60", "opens_at": "2026-11-01T09:00", "closes_at": "2037-11-30T23:59"}
    counts = dict.fromkeys(("A1", "A2", "A3", "A4", "B1", "X", "TF"), "0") | {"A1": "1"}
    assert post_form(bank.approver, place, **window, **counts, procedure="any").status_code == 303
    with in_province(SLUG):
        paper = db.session.scalars(
            select(Paper.id).where(
                Paper.subject == "common", Paper.category == "clinical", Paper.level == "physician"
            )
        ).one()
    assert re.search(text, bank.get(f"{OFFICE}/papers/{paper}/preview", bank.approver))


def test_a_bank_leaves_as_a_file_and_that_is_written_down(bank):
    let_in(bank)
    for kind, begins in (("xlsx", b"PK"), ("gift", b"// ")):
        exported = post_form(bank.editor, f"{bank.address}/export/{kind}", page=bank.address)
        assert exported.data.startswith(begins)
        assert "未变 2" in bank.bring(exported.data, f"x.{kind}")
    assert post_form(bank.editor, f"{bank.address}/export/pdf", page=bank.address).status_code == 404
    with bank.in_province(SLUG):
        assert db.session.scalar(select(JournalEntry.id).where(JournalEntry.verb == "exported").limit(1))


def test_the_templates_go_in_as_they_come(bank):
    assert bank.editor.get(f"{OFFICE}/banks/template.xlsx").data.startswith(b"PK")
    page_text = bank.bring(bank.editor.get(f"{OFFICE}/banks/template.docx").data, "x.docx")
    assert "新增 7，更新 0，未变 0，拒绝 0" in page_text
    questions = [
        (version.kind, version.answer, question.subject, question.category)
        for question, version in bank.rows()
    ]
    assert questions == [
        ("A1", "B", "professional", "clinical"),
        ("A3", "A", "professional", "clinical"),
        ("A3", "B", "professional", "clinical"),
        ("B1", "A", "common", None),
        ("B1", "D", "common", None),
        ("X", "ABD", "common", None),
        ("TF", "A", "common", None),
    ]
    assert len({question.group_id for question, _ in bank.rows()}) == 3
    assert "示例" not in "".join(version.stem for _, version in bank.rows())


@pytest.mark.parametrize(
    "content", [b"", b"\0\0", b"PK\x03\x04broken", b"\xd0\xcf\x11\xe0", "没有表头".encode(), b"// nothing"]
)
def test_a_file_of_nothing_is_refused_at_its_field(bank, content):
    page_text = bank.bring(content)
    assert "field" in page_text or "summary" in page_text
    assert 'id="summary"' in page_text


def test_a_picture_is_kept_and_shown_where_words_name_it(bank):
    let_in(bank)
    page = post_form(
        bank.editor,
        f"{OFFICE}/banks/pictures",
        picture=(io.BytesIO(actors.portrait_image(2000, 100, kind="PNG")), "x.png"),
    ).get_data(as_text=True)
    words = re.search(r'value="(!\[[^"]+)"', page)[1]
    name = words[-33:-1]
    served = bank.editor.get(f"/{SLUG}/pictures/{name}")
    assert served.mimetype == "image/png"
    question_address = f"{OFFICE}/questions/{bank.rows()[0][0].id}"
    form = form_of(bank.get(f"{question_address}/edit"))
    post_form(bank.editor, f"{question_address}/edit", **form | {"stem": f"如图\n{words}"})
    assert f'<img src="/{SLUG}/pictures/{name}"' in bank.get(question_address)
    assert bank.editor.get(f"/{SLUG}/pictures/{'0' * 32}").status_code == 404
    assert bank.editor.get(f"/{SLUG}/pictures/none").status_code == 404
    assert bank.application.test_client().get(f"/{SLUG}/pictures/{name}").status_code == 302
    refused = post_form(
        bank.editor, f"{OFFICE}/banks/pictures", picture=(io.BytesIO(b"<svg onload=alert(1)>"), "x.svg")
    ).get_data(as_text=True)
    assert "alert-danger" in refused


UNPLACED = "题干,选项A,选项B,答案\n肝在哪一侧?,右,左,A\n脾在哪一侧?,右,左,B\n".encode()


def unplaced_document():
    document, buffer = docx.Document(), io.BytesIO()
    for line in ("1. 肝在哪一侧?", "A. 右", "B. 左", "答案：A"):
        document.add_paragraph(line)
    document.save(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content", [unplaced_document(), "肝在哪一侧?{=右 ~左}".encode()], ids=["Word", "GIFT"]
)
def test_questions_of_documents_that_no_paper_would_draw_are_asked_about_too(bank, content):
    assert "有业务水平的题没有写执业类别，不会用于任何试卷。请选择它们的执业类别" in bank.bring(content)


def test_questions_that_no_paper_would_draw_are_asked_about(bank):
    refused = bank.bring(UNPLACED)
    assert "文件中第2行起有业务水平的题没有写执业类别，不会用于任何试卷。请选择它们的执业类别" in refused
    with bank.in_province(SLUG):
        assert db.session.scalar(select(QuestionBank.id).where(QuestionBank.name == bank.name)) is None
    page = {"page": f"{OFFICE}/banks", "bank": bank.name, "category": "dental"}
    answer = post_form(bank.editor, f"{OFFICE}/banks/import", **page, file=(io.BytesIO(UNPLACED), "x.csv"))
    actors.run_pending_jobs(bank.application, bank.in_province, SLUG)
    assert "新增 2" in bank.get(answer.location)
    assert [question.category for question, _ in bank.rows()] == ["dental", "dental"]
    assert "未变 2" in bank.bring(UNPLACED), "the bank says the category by now"
    common = "题干,选项A,选项B,答案,科目\n知情同意由谁签字?,患者,医师,A,公共知识\n".encode()
    assert "新增 1" in bank.bring(common)


def test_questions_without_category_that_are_there_are_told_and_can_be_mended(bank):
    with bank.in_province(SLUG):
        assert file_import.import_questions(UNPLACED, bank_name=bank.name, by=TERMINAL_ACTOR).accepted == 2
        db.session.commit()
    assert "有2道业务水平的题没有执业类别，不会用于任何试卷" in bank.get(bank.address)
    page = {"page": f"{OFFICE}/banks", "bank": bank.name, "category": "clinical"}
    assert "请选择它们的执业类别" in bank.bring(UNPLACED)
    answer = post_form(bank.editor, f"{OFFICE}/banks/import", **page, file=(io.BytesIO(UNPLACED), "x.csv"))
    actors.run_pending_jobs(bank.application, bank.in_province, SLUG)
    assert "更新 2" in bank.get(answer.location)
    post_form(bank.approver, f"{bank.address}/approve", page=bank.address, all="1")
    actors.run_pending_jobs(bank.application, bank.in_province, SLUG)
    assert [question.category for question, _ in bank.rows()] == ["clinical", "clinical"]
    assert "没有执业类别" not in bank.get(bank.address)


def test_a_file_too_large_for_a_look_has_such_questions_refused(bank):
    with bank.in_province(SLUG):
        report = sheet_reader.ImportReport()
        sheet_rows = file_import.read_rows(UNPLACED, report)
        batch.import_batch(
            sheet_rows,
            bank_name=bank.name,
            by=TERMINAL_ACTOR,
            report=report,
            progress=batch.FileProgress(),
            category_required=True,
        )
        assert [(fault.row, fault.column) for fault in report.errors] == [(2, "执业类别"), (3, "执业类别")]
