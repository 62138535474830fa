"""A sample of what `make look` judges: pages that stand for the others, in each mode, on the narrowest phone
and on a usual one."""

import io
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests import actors
from tests.actors import portrait_image
from tests.blueprints.signed_in_client import signed_in_client
from tests.browser.conftest import DESK, PHONE
from tests.sample_data import registration_number
from tests.visual import checks
from tests.visual.__main__ import kind_of
from tests.visual.album import LIGHT, SENIOR, VIEWS, apply_view

SLUG, CODE = "xizang", 54
NARROWEST = {"width": 320, "height": 640}
SAMPLE = {
    None: ("/login", "/password/reset", "/news", "/faq"),
    "drafting": (
        "/home",
        "/filing/2",
        "/filing/4",
        "/filing/5",
        "/filing/check",
        "/filing/list/education/new",
        "/filing/photo",
        "/filing/proof",
    ),
    "ready": (
        "/home",
        "/practice",
        "/practice/progress",
        "/requests",
        "/requests/new/exemption",
        "/sitting",
        "/notices",
        "/account",
        "/account/mobile",
        "/display",
    ),
}
DESKS = {
    "institution_reviewer": ("/office", "/office/review", "/office/requests"),
    "province_admin": ("/office/doctors", "/office/settings", "/office/staff", "/office/articles"),
}
_serial = actors.unused_serials(SLUG)


@pytest.fixture(scope="module")
def ground(application: Any, in_province: Any, address: str) -> dict[str | None, Any]:
    """Someone in the middle of a filing, and someone who may practise and sit."""
    drafting, ready = (
        actors.signed_in_doctor(application, in_province, SLUG, next(_serial)) for _ in range(2)
    )
    actors.demonstration_bank(in_province, SLUG)
    actors.open_papers(in_province, SLUG)
    drafting.post("/filing/notice")
    drafting.save(1, actors.BASIC)
    drafting.post("/filing/photo", photo=(io.BytesIO(portrait_image()), "photo.jpg"))
    ready.post("/filing/notice")
    actors.advance_to(in_province, ready, "ready")
    return {None: None, "drafting": drafting, "ready": ready}


def signed_in(page: Page, client: Any) -> Page:
    base = page.context._impl_obj._options["baseURL"]
    page.context.add_cookies(
        [{"name": f"dk-{SLUG}", "value": client.get_cookie(f"dk-{SLUG}").value, "url": base}]
    )
    return page


def held_against(page: Page, kind: str) -> list[str]:
    """What is found on the page that stands there: in every mode by our rules, and once a mode by axe-core.
    Phones alone, for doctors. The view in which pages are opened comes last, so that the next one is."""
    findings = []
    usual = VIEWS[kind][0].size
    views = [view for view in VIEWS[kind] if kind == "staff" or view.size is not DESK]
    for view in sorted(views, key=lambda view: (view.size is usual, view.mode == LIGHT)):
        apply_view(page, view)
        senior = view.mode.startswith(SENIOR)
        sentences = checks.own_findings(page, SENIOR if senior else kind)
        if view.size is usual:
            sentences += checks.axe_findings(page, whole=view.whole, enhanced=senior)
        findings += [f"{kind_of(page.url)} {view.name}: {sentence}" for sentence in sentences]
    return findings


@pytest.mark.parametrize("who", SAMPLE)
def test_nothing_is_held_against_pages_of_doctors(open_page, ground, who):
    page = open_page(PHONE)
    page.add_init_script(path=checks.AXE)
    if ground[who]:
        signed_in(page, ground[who].client)
    findings = []
    for address in SAMPLE[who]:
        assert page.goto(f"/{SLUG}{address}").status == 200, address
        findings += held_against(page, "doctor")
    assert findings == []


def test_nothing_is_held_against_a_form_with_faults(open_page, ground):
    page = signed_in(open_page(PHONE), ground["drafting"].client)
    page.goto(f"/{SLUG}/filing/2")
    for box in page.locator("main input[type=text]:visible").all():
        box.fill("???")
    page.get_by_role("button", name="下一步").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert held_against(page, "doctor") == []


@pytest.mark.parametrize("role", DESKS)
def test_nothing_is_held_against_pages_of_offices(application, in_province, open_page, ground, role):
    place = registration_number(CODE, 1) if role.startswith("institution") else None
    page = signed_in(open_page(DESK), signed_in_client(application, in_province, SLUG, role, place))
    page.add_init_script(path=checks.AXE)
    findings = []
    for address in DESKS[role]:
        assert page.goto(f"/{SLUG}{address}").status == 200, address
        findings += held_against(page, "staff")
    assert findings == []
    page.set_viewport_size(PHONE)
    menu_entry = page.get_by_role("link", name="我的任务")
    expect(menu_entry).to_be_hidden()
    assert page.locator("h1").bounding_box()["y"] < PHONE["height"] / 2
    page.get_by_text("菜单", exact=True).click()
    expect(menu_entry).to_be_visible()


def test_pages_reflow_at_320_and_bear_spaced_text(open_page, ground):
    """WCAG 1.4.10 and 1.4.12."""
    page = signed_in(open_page(NARROWEST), ground["drafting"].client)
    spaced = (
        "* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em "
        "!important } p { margin-bottom: 2em !important }"
    )
    for address in SAMPLE["drafting"]:
        page.goto(f"/{SLUG}{address}")
        page.evaluate(
            (
                "(rules) => { const sheet = new CSSStyleSheet(); sheet.replaceSync(rules); "
                "document.adoptedStyleSheets = [sheet]; }"
            ),
            spaced,
        )
        assert checks.own_findings(page, "doctor") == [], address


def test_what_has_the_focus_is_never_under_the_buttons_at_the_foot(open_page, ground):
    """WCAG 2.4.11, walking a long form by keyboard in senior mode."""
    page = signed_in(open_page(VIEWS["doctor"][1].size), ground["drafting"].client)
    page.goto(f"/{SLUG}/filing/2")
    apply_view(page, next(view for view in VIEWS["doctor"] if view.mode == SENIOR))
    page.set_viewport_size(PHONE)
    covered, walked = [], 0
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "() => { const one = document.activeElement; if (one === document.body || "
            "one.closest('.page-actions, .skip-link')) return null;"
            " const box = one.getBoundingClientRect(), foot = "
            "document.querySelector('.page-actions').getBoundingClientRect();"
            " return [one.id || one.name || one.textContent, box.top >= foot.top || box.bottom <= 0]; }"
        )
        walked += focused is not None
        covered += [focused[0]] if focused and focused[1] else []
    assert walked > 10
    assert covered == []


def test_senior_mode_is_chosen_on_the_login_page_without_scripts(browser, address, ground):
    context = browser.new_context(viewport=PHONE, base_url=address, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"/{SLUG}/login")
    plain = page.get_by_text("若首次登录系统").evaluate("(one) => parseFloat(getComputedStyle(one).fontSize)")
    page.get_by_role("button", name="长辈模式").click()
    expect(page).to_have_url(f"{address}/{SLUG}/login")
    large = page.get_by_text("若首次登录系统").evaluate("(one) => parseFloat(getComputedStyle(one).fontSize)")
    assert plain >= 16
    assert large >= 20
    page.get_by_role("button", name="返回标准模式").click()
    expect(page.locator("html.senior-mode")).to_have_count(0)
    context.close()


def test_the_crawler_knows_every_mode_at_every_size():
    modes_at_widths = {(view.mode, view.size["width"]) for view in VIEWS["doctor"]}
    assert {
        (mode, width) for mode in (LIGHT, "dark", SENIOR) for width in (360, 390, 1440)
    } <= modes_at_widths
    assert all(any(view.whole for view in views) for views in VIEWS.values())


def test_a_fault_is_noticed(open_page, ground):
    page = open_page(PHONE)
    page.goto(f"/{SLUG}/login")
    page.evaluate(
        "() => { const one = document.createElement('button'); one.className = 'faulty'; "
        "document.querySelector('main').append(one);"
        " const wide = document.createElement('p'); wide.textContent = '字'.repeat(80); "
        "wide.className = 'wide';"
        " const sheet = new CSSStyleSheet(); sheet.replaceSync('.wide { white-space: nowrap; "
        "font-size: 11px; color: #ccc }');"
        " document.adoptedStyleSheets = [sheet]; document.querySelector('main').append(wide); }"
    )
    findings = " ".join(checks.own_findings(page, "doctor") + checks.axe_findings(page))
    for fault in ("scrolls sideways", "type of 11 px", "target", "button-name", "color-contrast"):
        assert fault in findings, fault
