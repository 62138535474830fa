"""A sample of what `make look` judges: pages that stand for the others, in each mode, on the narrowest phone and on a usual one."""

import io
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests import people
from tests.blueprints.signed_in import client_of
from tests.browser.conftest import DESK, PHONE
from tests.look import judging
from tests.look.__main__ import LIGHT, SENIOR, VIEWS, kind_of, show
from tests.material import registration_number
from tests.people import photo

SLUG, CODE = "xizang", 54
NARROWEST = {"width": 320, "height": 640}
SAMPLE = {
    None: ("/login", "/password/reset", "/news", "/faq"),
    "drafting": ("/home", "/filing/2", "/filing/4", "/filing/5", "/filing/check", "/filing/list/education/new", "/filing/photo", "/filing/proof"),
    "ready": (
        "/home", "/practice", "/practice/progress", "/requests", "/requests/new/exemption", "/sitting", "/notices", "/account", "/account/mobile", "/display",
    ),
}
DESKS = {
    "institution_reviewer": ("/office", "/office/review", "/office/requests"),
    "province_admin": ("/office/doctors", "/office/settings", "/office/staff", "/office/articles"),
}
_serial = people.serials(SLUG)


@pytest.fixture(scope="module")
def ground(application: Any, in_province: Any, address: str) -> dict[str | None, Any]:
    """Someone in the middle of a filing, and someone who may practise and sit."""
    drafting, ready = (people.doctor(application, in_province, SLUG, next(_serial)) for _ in range(2))
    people.bank(in_province, SLUG)
    people.papers(in_province, SLUG)
    drafting.post("/filing/notice")
    drafting.save(1, people.BASIC)
    drafting.post("/filing/photo", photo=(io.BytesIO(photo()), "photo.jpg"))
    ready.post("/filing/notice")
    people.bring_to(in_province, ready, "ready")
    return {None: None, "drafting": drafting, "ready": ready}


def signed_in(page: Page, client: Any) -> Page:
    base = page.context._impl_obj._options["baseURL"]
    page.context.add_cookies([{"name": f"dk-{SLUG}", "value": client.get_cookie(f"dk-{SLUG}").value, "url": base}])
    return page


def held_against(page: Page, kind: str) -> list[str]:
    """What is found on the page that stands there: in every mode by our rules, and once a mode by axe-core. Phones alone, for doctors."""
    found = []
    for view in (view for view in VIEWS[kind] if kind == "staff" or view.size is not DESK):
        show(page, view)
        senior = view.mode.startswith(SENIOR)
        told = judging.by_us(page, SENIOR if senior else kind)
        if view.size is VIEWS[kind][0].size:
            told += judging.by_axe(page, whole=view.whole, enhanced=senior)
        found += [f"{kind_of(page.url)} {view.name}: {one}" for one in told]
    show(page, VIEWS[kind][0])
    return found


@pytest.mark.parametrize("who", SAMPLE)
def test_nothing_is_held_against_pages_of_doctors(open_page, ground, who):
    page = open_page(PHONE)
    if ground[who]:
        signed_in(page, ground[who].client)
    found = []
    for address in SAMPLE[who]:
        assert page.goto(f"/{SLUG}{address}").status == 200, address
        found += held_against(page, "doctor")
    assert found == []


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
    page = signed_in(open_page(DESK), client_of(application, in_province, SLUG, role, place))
    found = []
    for address in DESKS[role]:
        assert page.goto(f"/{SLUG}{address}").status == 200, address
        found += held_against(page, "staff")
    assert found == []


def test_pages_reflow_at_320_and_bear_spaced_text(open_page, ground):
    """WCAG 1.4.10 and 1.4.12."""
    page = signed_in(open_page(NARROWEST), ground["drafting"].client)
    spaced = "* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important } p { margin-bottom: 2em !important }"
    for address in SAMPLE["drafting"]:
        page.goto(f"/{SLUG}{address}")
        page.evaluate("(rules) => { const sheet = new CSSStyleSheet(); sheet.replaceSync(rules); document.adoptedStyleSheets = [sheet]; }", spaced)
        assert judging.by_us(page, "doctor") == [], address


def test_what_has_the_focus_is_never_under_the_buttons_at_the_foot(open_page, ground):
    """WCAG 2.4.11, walking a long form by keyboard in senior mode."""
    page = signed_in(open_page(VIEWS["doctor"][1].size), ground["drafting"].client)
    page.goto(f"/{SLUG}/filing/2")
    show(page, next(view for view in VIEWS["doctor"] if view.mode == SENIOR))
    page.set_viewport_size(PHONE)
    covered, walked = [], 0
    for _ in range(60):
        page.keyboard.press("Tab")
        one = page.evaluate(
            "() => { const one = document.activeElement; if (one === document.body || one.closest('.foot, .skip')) return null;"
            " const box = one.getBoundingClientRect(), foot = document.querySelector('.foot').getBoundingClientRect();"
            " return [one.id || one.name || one.textContent, box.top >= foot.top || box.bottom <= 0]; }"
        )
        walked += one is not None
        covered += [one[0]] if one and one[1] else []
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
    expect(page.locator("html.senior")).to_have_count(0)
    context.close()


def test_the_crawler_knows_every_mode_at_every_size():
    seen = {(view.mode, view.size["width"]) for view in VIEWS["doctor"]}
    assert {(mode, width) for mode in (LIGHT, "dark", SENIOR) for width in (360, 390, 1440)} <= seen
    assert all(any(view.whole for view in views) for views in VIEWS.values())


def test_a_fault_is_noticed(open_page, ground):
    page = open_page(PHONE)
    page.goto(f"/{SLUG}/login")
    page.evaluate(
        "() => { const one = document.createElement('button'); one.className = 'faulty'; document.querySelector('main').append(one);"
        " const wide = document.createElement('p'); wide.textContent = '字'.repeat(80); wide.className = 'wide';"
        " const sheet = new CSSStyleSheet(); sheet.replaceSync('.wide { white-space: nowrap; font-size: 11px; color: #ccc }');"
        " document.adoptedStyleSheets = [sheet]; document.querySelector('main').append(wide); }"
    )
    told = " ".join(judging.by_us(page, "doctor") + judging.by_axe(page))
    for fault in ("scrolls sideways", "type of 11 px", "target", "button-name", "color-contrast"):
        assert fault in told, fault
