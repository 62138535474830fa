"""What is entered on the whole way: a small bank, the answers to it, and the five steps of a filing."""

import json
from collections.abc import Iterator
from uuid import UUID

from playwright.sync_api import Page, expect

from dingkao.demonstration.sample_portraits import draw_portrait
from dingkao.demonstration.simulation.question_keys import question_key
from dingkao.integrations.spreadsheets import xlsx_writer
from dingkao.question_banks.importing.columns import TEMPLATE

OPTIONS = [["A", "甲"], ["B", "乙"], ["C", "丙"], ["D", "丁"], ["E", "戊"]]
KEYS = {
    question_key("", f"{subject}第{serial + 1}题", OPTIONS): "ABCDE"[serial % 5]
    for subject in ("公共知识", "业务水平")
    for serial in range(16)
}


def question_workbook() -> bytes:
    """A small bank by our own template: enough of A1 for a paper of either subject, and some to practise."""
    question_rows = []
    for subject, category in (("公共知识", ""), ("业务水平", "临床")):
        for serial in range(16):
            purpose = "练习" if serial % 4 == 3 else "考试"
            cells = {
                "题型": "A1",
                "题干": f"{subject}第{serial + 1}题",
                "选项A": "甲",
                "选项B": "乙",
                "选项C": "丙",
                "选项D": "丁",
                "选项E": "戊",
                "答案": "ABCDE"[serial % 5],
                "解析": "依据教材。",
                "科目": subject,
                "执业类别": category,
                "用途": purpose,
            }
            question_rows.append([cells.get(name, "") for name in TEMPLATE])
    return xlsx_writer.write_xlsx(list(TEMPLATE), question_rows)


def file_five_steps(phone: Page) -> None:
    """The five steps as the phone shows them."""
    phone.get_by_role("button", name="上传照片").click()
    expect(phone.get_by_role("heading", name="照片", exact=True)).to_be_visible()
    phone.get_by_label("从相册选择").set_input_files(
        {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": draw_portrait(UUID(int=7))}
    )
    phone.get_by_role("button", name="预览").click()
    phone.get_by_role("button", name="使用这张照片").click()
    expect(phone.get_by_text("照片已保存")).to_be_visible()
    phone.get_by_role("link", name="返回基本信息").click()
    phone.locator("#ethnicity").select_option("汉族")
    phone.locator("#education").select_option("本科")
    phone.get_by_label("学士").check()
    phone.locator("#school").fill("医科大学")
    phone.locator("#graduated").fill("2003-07")
    phone.locator("#working_since").fill("2003-08")
    phone.get_by_role("button", name="下一步").click()
    expect(phone.get_by_role("heading", name="执业信息")).to_be_visible()
    phone.locator("#qualification").fill("200314110140105198001020018")
    phone.locator("#qualified").fill("2004-12-01")
    phone.locator("#practice").fill("110140400012345")
    phone.locator("#registered").fill("2010-07-01")
    phone.locator("#title").select_option("主治医师")
    phone.get_by_label("在职").check()
    phone.locator("#specialty_years").fill("16")
    phone.get_by_role("button", name="下一步").click()
    expect(phone.get_by_role("heading", name="相关经历", exact=True)).to_be_visible()
    phone.get_by_role("link", name="添加教育经历").click()
    phone.locator("#name").fill("医科大学")
    phone.locator("#education").select_option("本科")
    phone.locator("#since").fill("1998-09")
    phone.locator("#until").fill("2003-07")
    phone.get_by_role("button", name="保存").click()
    phone.get_by_role("link", name="添加执业经历").click()
    phone.locator("#name").fill("市医院")
    phone.locator("#since").fill("2003-08")
    phone.get_by_role("button", name="保存").click()
    phone.get_by_role("button", name="下一步").click()
    for field in ("good_record", "bad_record", "direct_fail"):
        phone.locator(f"input[name={field}][value=no]").check()
    for field in ("quantity", "quality", "ordered_tasks"):
        phone.locator(f"input[name={field}][value=pass]").check()
    phone.get_by_role("button", name="下一步").click()
    phone.get_by_label("一般程序").check()
    phone.get_by_label("本人承诺").check()
    phone.get_by_role("button", name="检查并提交").click()
    phone.get_by_role("button", name="提交", exact=True).click()


def answer_questions(phone: Page) -> Iterator[str]:
    """Tap the right option of every question; one reload in the middle."""
    phone.wait_for_selector("button.answer-option")
    expect(phone.get_by_text("倒计时:")).to_be_visible()
    data = json.loads(phone.evaluate("document.getElementById('data').textContent"))
    for index, question in enumerate(data["questions"]):
        letter = KEYS[question_key(question["case"], question["stem"], question["options"])]
        words = next(text for option, text in question["options"] if option == letter)
        phone.locator("button.answer-option").filter(has_text=words).click()
        expect(phone.locator("#state")).to_have_text("已保存")
        if index == 4:
            phone.reload()
            phone.wait_for_selector("button.answer-option")
            expect(phone.get_by_role("button", pressed=True)).to_contain_text(words)
            yield "reloaded"
        if index < len(data["questions"]) - 1:
            phone.get_by_role("button", name="下一题").click()
