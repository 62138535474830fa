"""What must be typed or pressed before it can be seen: for whom (how the role's name ends), what it is called, and what is done.

A scene yields after each step that is worth a picture. It is done on the page of someone signed in, after all links were followed.
"""

from collections.abc import Callable, Iterator

from playwright.sync_api import Page

Act = Callable[[Page, str], Iterator[str]]


def wrong_password(page: Page, slug: str) -> Iterator[str]:
    """[S2] with faults."""
    page.goto(f"/{slug}/login")
    page.get_by_role("button", name="登录", exact=True).click()
    yield "空"
    page.get_by_label("账号").fill("140105198001020000")
    page.get_by_label("密码").fill("falsch")
    page.get_by_role("button", name="登录", exact=True).click()
    yield "密码不正确"
    page.goto(f"/{slug}/password/reset")
    page.get_by_role("button", name="提交").click()
    yield "重置密码空"


def refused(page: Page, slug: str) -> Iterator[str]:
    """What can't be found, and what is refused."""
    page.goto("/verify/142026KH000000000")
    yield "查无此证"
    page.goto(f"/{slug}/nirgends")
    yield "没有这个页面"


def wrong_fields(page: Page, slug: str) -> Iterator[str]:
    """Every step of a filing, with nothing chosen and nonsense typed."""
    for step in range(1, 6):
        page.goto(f"/{slug}/filing/{step}")
        for box in page.locator("main input[type=text]:visible, main textarea:visible").all():
            box.fill("???")
        page.get_by_role("button", name="检查并提交" if step == 5 else "下一步").click()
        page.wait_for_load_state()
        yield f"第{step}步有误"
    page.goto(f"/{slug}/filing/list/education/new")
    page.get_by_role("button", name="保存").click()
    page.wait_for_load_state()
    yield "经历有误"


def practise(page: Page, slug: str) -> Iterator[str]:
    """[S12, S13]."""
    page.goto(f"/{slug}/practice")
    page.get_by_role("button", name="开始练习").click()
    page.wait_for_load_state()
    yield "题目"
    page.locator("button.option, label.option").first.click()
    page.wait_for_load_state()
    yield "已作答"
    page.get_by_text("放大").click()
    page.wait_for_load_state()
    yield "放大"
    page.goto(f"/{slug}/practice")
    yield "有未完成的练习"


def sit(page: Page, slug: str) -> Iterator[str]:
    """[S15 to S18]."""
    page.goto(f"/{slug}/home")
    name = page.locator(".person h2").inner_text()
    number = page.locator("[data-copy]").get_attribute("data-copy") or ""
    page.goto(f"/{slug}/sitting")
    page.get_by_role("button", name="登录").click()
    yield "登录有误"
    page.get_by_label("姓名").fill(name)
    page.get_by_label("准考证号").fill(number)
    page.locator("[name=consent]").check()
    page.get_by_role("button", name="登录").click()
    page.wait_for_load_state()
    yield "试卷"
    page.get_by_role("link", name="进入").first.click()
    yield "考试须知"
    page.get_by_text("我已详细阅读并郑重承诺").click()
    page.get_by_role("button", name="进入考试").click()
    page.locator("#options button").first.click()
    yield "作答"
    page.get_by_role("button", name="答题列表").click()
    yield "答题列表"
    page.get_by_role("button", name="交卷").click()
    yield "确认交卷"
    page.get_by_role("button", name="确认交卷").click()
    page.wait_for_url("**/end")
    yield "考试结束"


SCENES: tuple[tuple[str, str, Act], ...] = (
    ("谁都可以", "登录", wrong_password),
    ("谁都可以", "提示", refused),
    ("填报中", "填报", wrong_fields),
    ("待测评", "练习", practise),
    ("待测评", "测评", sit),
)
