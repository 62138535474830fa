"""A real browser on the real stack."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pyotp
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from sqlalchemy import select

from dingkao.database.model import db
from dingkao.doctors.roster import import_roster
from dingkao.embedded.children import Supervisor
from dingkao.journal.writing import TERMINAL
from dingkao.people.accounts import doctor_login_index
from dingkao.people.models import Account
from tests import material

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1440, "height": 900}
QUIET = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync")
CHROMIUM: dict[str, Any] = {"executable_path": "/usr/bin/chromium", "args": list(QUIET)}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(**CHROMIUM)
        yield started
        started.close()


@pytest.fixture(scope="session")
def address(stack: Any, provinces: Any) -> str:
    """The web server of the session's stack."""
    stack.serve_web()
    return f"http://127.0.0.1:{stack.port}"


@pytest.fixture(scope="module", autouse=True)
def servants(stack: Any) -> Iterator[None]:
    """Workers and timetable, for this module's tests alone: those of other modules do the jobs they ask for themselves."""
    supervisor = Supervisor(lambda _told: None)
    for child in stack.servants():
        supervisor.bring_up(child)
    yield
    supervisor.stop()


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[Any]:
    """Open a page of one's own (cookies apart) that fails the test for any script error or breach of the content policy."""
    contexts, faults = [], []

    def make(viewport: dict[str, int]) -> Page:
        context = browser.new_context(viewport=viewport, base_url=address, locale="zh-CN")  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "console",
            lambda said: faults.append(said.text) if re.search("Content.Security|Refused", said.text) else None,
        )
        page.on(
            "response", lambda answer: faults.append(f"{answer.status} {answer.url}") if answer.status >= 500 else None
        )
        return page

    yield make
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def reopened(browser: Browser, address: str) -> Iterator[Any]:
    """Open a page on the same phone after the browser was killed: it has what the phone had stored; the killed page never comes back."""
    contexts: list[BrowserContext] = []

    def make(page: Page) -> Page:
        contexts.append(browser.new_context(viewport=PHONE, base_url=address, locale="zh-CN", storage_state=page.context.storage_state()))
        fresh = contexts[-1].new_page()
        fresh.on("dialog", lambda dialog: dialog.accept())
        return fresh

    yield make
    for context in contexts:
        context.close()


def totp(secret: str) -> str:
    """The code an authenticator shows now."""
    return pyotp.TOTP(secret).now()


@pytest.fixture
def new_doctor(in_province: Any) -> Any:
    """Put a doctor on the roster of `slug`'s first institution; gives the account's id."""

    def make(slug: str, number: str, mobile: str) -> UUID:
        with in_province(slug) as province:
            row = material.roster_row(province.code, 1) | {"姓名": "钱测试", "证件号码": number, "手机号码": mobile}
            report = import_roster(material.roster([row]), by=TERMINAL)
            assert report.accepted == 1, report
            db.session.commit()
            return db.session.scalars(select(Account.id).where(Account.login_index == doctor_login_index(number))).one()

    return make
