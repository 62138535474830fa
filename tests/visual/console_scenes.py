"""Scenes of the console's lists and their forms; as in `scenes`, which has the rest."""

from collections.abc import Iterator

from playwright.sync_api import Page

from tests.visual.scenes import Act, press


def meet(page: Page, slug: str) -> Iterator[str]:
    """A meeting of an assessment organisation: refused, its list, a sample drawn with a form in its row."""
    page.goto(f"/{slug}/office/meetings")
    press(page, "建立草稿并生成名单")
    yield "有误"
    page.get_by_label("会议日期").fill("2026-12-01")
    page.get_by_label("地点").fill("行政楼会议室")
    press(page, "建立草稿并生成名单")
    press(page, "更新名单")
    yield "名单"
    page.locator("#size").fill("1")
    press(page, "抽取", exact=True)
    page.reload()
    yield "抽查"


def notify(page: Page, slug: str) -> Iterator[str]:
    """A notice to nobody, to those chosen in a list, without words, and as they will see it."""
    page.goto(f"/{slug}/office/review?side=organisation")
    page.locator("[data-notice-button]").click()
    page.wait_for_load_state("networkidle")
    yield "没有选择"
    page.locator("[data-toggle-all]").check()
    yield "已选择"
    page.locator("[data-notice-button]").click()
    page.wait_for_load_state("networkidle")
    press(page, "预览")
    yield "有误"
    page.get_by_label("标题").fill("请补充材料")
    page.get_by_label("正文").fill("{姓名}：请于{截止日期}前补充材料。")
    press(page, "预览")
    yield "预览"


def import_departments(page: Page, slug: str) -> Iterator[str]:
    """Departments from a sheet: without a file, then checked with a line that is refused."""
    page.goto(f"/{slug}/office/departments/import")
    press(page, "检查", exact=True)
    yield "没有文件"
    sheet = "科室,机构登记号\n内科,\n外科,123\n".encode("utf-8-sig")
    page.locator("input[type=file]").set_input_files(
        {"name": "科室.csv", "mimeType": "text/csv", "buffer": sheet}
    )
    press(page, "检查", exact=True)
    page.get_by_role("button", name="确认导入").wait_for()
    yield "检查结果"


def change_institutions(page: Page, slug: str) -> Iterator[str]:
    """An assessment organisation that can't stop being one; a new name and a merger, with faults and
    previewed."""
    page.goto(f"/{slug}/office/institutions?q=长治")
    press(page, "修改", role="link")
    address = page.url
    page.get_by_label("指定本机构为考核机构").uncheck()
    press(page, "保存")
    yield "不能取消考核机构"
    page.goto(f"{address}/name")
    press(page, "更名")
    yield "更名有误"
    page.goto(f"{address}/closing")
    press(page, "下一步，核对")
    yield "合并有误"
    page.get_by_label("承接的机构").fill("太原市口腔医院（演示）")
    page.get_by_label("依据").fill("晋卫医函〔2026〕12号")
    press(page, "下一步，核对")
    yield "核对合并"


def publish(page: Page, slug: str) -> Iterator[str]:
    """A publication that waits for the second administrator, with forms in its rows."""
    page.goto(f"/{slug}/office/publications")
    press(page, "生成发布清单")
    page.goto(f"/{slug}/office/publications")
    page.locator("main").get_by_role("link", name="查看").first.click()
    page.get_by_role("button", name="退回").first.wait_for()
    yield "清单"
    page.get_by_role("button", name="退回").first.click()
    page.wait_for_load_state("networkidle")
    yield "退回没有写原因"


CONSOLE_SCENES: tuple[tuple[str, str, Act], ...] = (
    ("考核机构复核人", "评定会", meet),
    ("考核机构复核人", "通知所选", notify),
    ("机构经办人", "导入科室", import_departments),
    ("省级管理员", "机构变更", change_institutions),
    ("省级管理员", "发布", publish),
)
