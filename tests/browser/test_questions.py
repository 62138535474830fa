"""Questions with pictures, tables, formulas, sub- and superscript, and 判断题: as the candidate has them, and
as the editor sees them."""

import io
import os
import re
from datetime import timedelta
from pathlib import Path

import docx
import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.exams import sittings
from dingkao.exams.paper_blueprint import save_paper
from dingkao.exams.papers import papers_for
from dingkao.integrations.spreadsheets.import_rows import ImportReport, ImportRow
from dingkao.journal.entries import TERMINAL_ACTOR, Actor
from dingkao.question_banks import question_pictures
from dingkao.question_banks.importing.file_import import import_rows
from dingkao.question_banks.models import QuestionBank
from tests import actors
from tests.blueprints.signed_in_client import signed_in_client
from tests.browser.conftest import DESK, PHONE

SLUG = "shandong"
PICTURES = os.environ.get("DINGKAO_PICTURES")


def look(page, name):
    """A picture for whoever asks for one."""
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES) / f"{name}.png"), full_page=True)


def questions(picture):
    """One question of each kind of mark."""
    choices = {
        "option_A": "10<sup>9</sup>/L",
        "option_B": "$\\frac{a}{b}$",
        "option_C": "血压<90 & 脉搏>120",
        "option_D": f"![箭头](图:{picture})",
    }
    table = "血气分析:\n|项目|结果|\n|-|-|\n|PaO<sub>2</sub>|58 mmHg|\n|PaCO<sub>2</sub>|32 mmHg|"
    shared_cells = {"subject": "公共知识", "explanation": "因为$x^2$"}
    return [
        {
            "kind": "A3",
            "group": "1",
            "case_stem": f"患者男,56岁。\n{table}\n![胸片](图:{picture})",
            "stem": "SaO<sub>2</sub>最可能是",
            "answer": "A",
        }
        | choices
        | shared_cells,
        {"kind": "TF", "stem": "H<sub>2</sub>O是水。", "answer": "正确"} | shared_cells,
        {"kind": "A1", "stem": "<b>不是标签</b>与$x", "answer": "C"} | choices | shared_cells,
    ]


@pytest.fixture(scope="module")
def ground(application, in_province, address):
    someone = actors.ready_doctor(application, in_province, SLUG, next(actors.unused_serials(SLUG)))
    with in_province(SLUG):
        picture = question_pictures.save_picture(
            actors.portrait_image(640, 360, kind="PNG"), by=TERMINAL_ACTOR
        )
        bank_rows = [ImportRow(number, cells) for number, cells in enumerate(questions(picture), 1)]
        assert (
            import_rows(bank_rows, bank_name="考试", by=TERMINAL_ACTOR, report=ImportReport()).accepted == 3
        )
        # others in the same form: a question whose copy is practised is none for exams
        practice = [
            ImportRow(
                import_row.number,
                dict(import_row.cells) | {"purpose": "练习", "stem": f"自测：{import_row.cells['stem']}"},
            )
            for import_row in bank_rows
        ]
        assert import_rows(practice, bank_name="练习", by=TERMINAL_ACTOR, report=ImportReport()).accepted == 3
        save_paper(
            actors.get_or_open_cycle(),
            subject="common",
            category="clinical",
            level="physician",
            counts={"A1": 1, "A3": 1, "TF": 1},
            minutes=60,
            opens_at=clock.now() - timedelta(days=1),
            closes_at=clock.now() + timedelta(days=9),
            by=TERMINAL_ACTOR,
        )
        db.session.commit()
    return someone


def signed_in(open_page, client, size):
    page = open_page(size)
    name = f"dk-{SLUG}"
    page.context.add_cookies(
        [
            {
                "name": name,
                "value": client.get_cookie(name).value,
                "url": page.context._impl_obj._options["baseURL"],
            }
        ]
    )
    return page


def read(page):
    """Look through the three questions, by 「下一题」, and say what is seen of each: heading, tags, text."""
    content_by_kind = {}
    for number in range(3):
        heading = page.locator("#kind").inner_text()
        content_by_kind[heading.split("[")[0].split(" ")[0]] = (
            page.locator("#question").inner_html(),
            page.locator("#question").inner_text(),
        )
        look(page, f"{page.url.split('/')[4]}-{heading[:2]}")
        if number < 2:
            page.locator("#next").click()
    return content_by_kind


def judge(seen):
    markup, text = seen["判断题"]
    assert "H<sub>2</sub>O" in markup
    assert "正确" in text
    markup, text = seen["A3型题"]
    assert "PaO<sub>2</sub>" in markup
    assert '<th scope="col">项目</th>' in markup
    assert "<mfrac>" in markup
    markup, text = seen["A1型题"]
    assert "<b>不是标签</b>与$x" in text
    assert "血压<90 & 脉搏>120" in text


def test_a_candidate_sees_pictures_tables_and_formulas(ground, in_province, open_page):
    practice = signed_in(open_page, ground.client, PHONE)
    practice.goto(f"/{SLUG}/practice?subject=common")
    practice.get_by_role("button", name="开始练习").click()
    expect(practice.locator("#state")).to_have_text("已保存")
    judge(read(practice))
    with in_province(SLUG):
        record = db.session.scalars(
            select(Assessment).where(Assessment.id == ground.record_id).with_for_update()
        ).one()
        sitting = sittings.open_sitting(record, papers_for(record)[0], by=Actor("doctor"))
        db.session.commit()
    page = signed_in(open_page, ground.client, PHONE)
    page.goto(f"/{SLUG}/sitting/{sitting.id}")
    page.get_by_role("button", name=re.compile("继续")).click()
    expect(page.locator("#options button").first).to_be_visible()
    judge(read(page))
    pictures = page.locator("#question img").all()
    page.get_by_role("button", name="答题列表").click()
    page.locator("#sheet button").nth(1).click()
    for picture in pictures:
        assert picture.evaluate("one => one.complete && one.naturalWidth > 0")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_an_editor_writes_looks_and_finds(ground, application, in_province, open_page):
    with in_province(SLUG):
        bank = db.session.scalars(select(QuestionBank.id).where(QuestionBank.name == "考试")).one()
    page = signed_in(open_page, signed_in_client(application, in_province, SLUG, "question_editor"), DESK)
    page.goto(f"/{SLUG}/office/banks")
    look(page, "office-banks")
    page.get_by_role("link", name="考试").last.click()
    look(page, "office-bank")
    page.get_by_label("题型").select_option("TF")
    page.get_by_role("button", name="查找").click()
    expect(page.locator(".question-head")).to_have_count(1)
    page.goto(f"/{SLUG}/office/banks/{bank}/new")
    page.get_by_label("题型").select_option("X")
    page.get_by_label(re.compile("^题干")).fill("CO<sub>2</sub>与$\\frac{a}{b}$")
    page.get_by_label("选项A").fill("一")
    page.get_by_label("选项B").fill("二")
    page.get_by_label(re.compile("^答案")).fill("AB")
    page.get_by_label("科目").select_option("common")
    page.get_by_role("button", name="预览").click()
    expect(page.locator("#preview mfrac")).to_be_visible()
    look(page, "office-edit")
    page.get_by_role("button", name="保存并送审").click()
    expect(page.get_by_text("已保存，待另一人审核后使用。")).to_be_visible()
    look(page, "office-question")
    colleague = signed_in(
        open_page, signed_in_client(application, in_province, SLUG, "province_admin"), PHONE
    )
    colleague.goto(page.url)
    look(colleague, "office-question-phone")
    colleague.get_by_role("button", name="通过", exact=True).click()
    expect(colleague.get_by_text("已通过，开始使用。")).to_be_visible()


def test_an_editor_hands_in_a_word_document_with_a_picture_and_sees_it_and_what_was_refused(
    ground, application, in_province, open_page, tmp_path
):
    document = docx.Document()
    document.add_paragraph("1. 图中所示为").add_run().add_picture(
        io.BytesIO(actors.portrait_image(320, 200, kind="PNG"))
    )
    for line in ("A. 甲", "B. 乙", "答案:A"):
        document.add_paragraph(line)
    struck = document.add_paragraph("2. 下列")
    struck.add_run("不").font.strike = True
    struck.add_run("正确的是")
    for line in ("A. 甲", "B. 乙", "答案:B"):
        document.add_paragraph(line)
    document.save(tmp_path / "题.docx")
    page = signed_in(open_page, signed_in_client(application, in_province, SLUG, "question_editor"), DESK)
    page.goto(f"/{SLUG}/office/banks")
    page.get_by_label("题库名称").fill("文档题库")
    page.locator("input[type=file]").set_input_files(tmp_path / "题.docx")
    page.get_by_label(re.compile("^没有写执业类别")).select_option("临床")
    page.get_by_role("button", name="导入").click()
    expect(page).to_have_url(re.compile("/office/work/"))
    actors.run_pending_jobs(application, in_province, SLUG)
    expect(page.get_by_text("新增 1，更新 0，未变 0，拒绝 1")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("有加了删除线的文字")).to_be_visible()
    look(page, "office-docx-report")
    page.goto(f"/{SLUG}/office/banks")
    page.get_by_role("link", name="文档题库").last.click()
    picture = page.locator("img[src*='/pictures/']").first
    expect(picture).to_be_visible()
    assert picture.evaluate("one => one.complete && one.naturalWidth > 0")
    look(page, "office-docx-bank")
