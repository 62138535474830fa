"""A real browser on the real stack."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pyotp
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from sqlalchemy import select

from dingkao.database.base import db
from dingkao.people.accounts import doctor_login_index
from dingkao.people.models import Account
from tests import actors, sample_data

expect.set_options(timeout=20_000)
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1440, "height": 900}
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
BINARIES = (Path("/usr/bin/chromium-headless-shell"), Path("/usr/bin/chromium"))
"""The engine without the windows around it takes a third of the processor time; where it can't be had, the
whole browser does the same."""
CHROMIUM: dict[str, Any] = {
    "executable_path": next((str(path) for path in BINARIES if path.exists()), None),
    "args": list(QUIET),
}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(**CHROMIUM)
        yield started
        started.close()


@pytest.fixture(scope="session")
def web(session_stack: Any) -> None:
    """The web server of this process's stack, of one worker: that several share nothing but the engines is
    seen by the tests of `make run`, and here too, as sessions begin in this process and go on in that."""
    session_stack.environment["WEB_WORKERS"] = "1"
    session_stack.start_web()


@pytest.fixture(scope="module")
def served(web: None, stack: Any) -> str:
    """The address of the web server, on the module's database, in which no province is open. Its connections
    to the database of the module before have ended with that, which it sees before it uses them."""
    return f"http://127.0.0.1:{stack.port}"


@pytest.fixture(scope="module")
def address(served: str, provinces: Any) -> str:
    """The same, with two provinces open."""
    return served


STORED = """async (more) => {
  const asked = (request) => new Promise((resolve) => { request.onsuccess = () => resolve(request.result); });
  const base = await asked(indexedDB.open("dingkao-sittings"));
  const store = base.transaction("waiting", "readwrite").objectStore("waiting");
  for (const row of more) await asked(store.put(row));
  const rows = await asked(store.getAll());
  base.close();
  return rows;
}"""


def wait_until_stored(page: Page, number: int) -> list:
    """Wait until so many answers are written where they outlive the page; gives them. Asked from here, for
    `wait_for_function` takes a promise for true."""
    for _ in range(100):
        if len(stored := page.evaluate(STORED, [])) == number:
            return stored
        page.wait_for_timeout(50)
    pytest.fail(f"{len(stored)} answers on the phone, not {number}")


@contextmanager
def page_opener(browser: Browser, address: str) -> Iterator[Any]:
    """Open pages, each with cookies of its own; a script error, a breach of the content policy or a server's
    fault in one fails the test."""
    contexts, faults = [], []

    def make(viewport: dict[str, int]) -> Page:
        context = browser.new_context(viewport=viewport, base_url=address, locale="zh-CN")  # type: ignore[arg-type]
        contexts.append(context)
        context.on("weberror", lambda told: faults.append(str(told.error)))
        context.on(
            "console",
            lambda said: (
                faults.append(said.text) if re.search("Content.Security|Refused", said.text) else None
            ),
        )
        context.on(
            "response",
            lambda answer: faults.append(f"{answer.status} {answer.url}") if answer.status >= 500 else None,
        )
        return context.new_page()

    yield make
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[Any]:
    """Open pages for a test."""
    with page_opener(browser, address) as make:
        yield make


@pytest.fixture(scope="module")
def open_page_module(browser: Browser, address: str) -> Iterator[Any]:
    """Open pages that the tests of a module share."""
    with page_opener(browser, address) as make:
        yield make


@pytest.fixture
def reopen_after_kill(browser: Browser, address: str) -> Iterator[Any]:
    """Open a page on the same phone after the browser was killed: it has what the phone had stored; the
    killed page never comes back."""
    contexts: list[BrowserContext] = []

    def make(page: Page) -> Page:
        contexts.append(
            browser.new_context(
                viewport=PHONE, base_url=address, locale="zh-CN", storage_state=page.context.storage_state()
            )
        )
        reopened = contexts[-1].new_page()
        reopened.on("dialog", lambda dialog: dialog.accept())
        return reopened

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
            cells = sample_data.roster_row(province.code, 1) | {
                "姓名": "钱测试",
                "证件号码": number,
                "手机号码": mobile,
            }
            assert actors.put_on_roster(cells).accepted == 1
            db.session.commit()
            return db.session.scalars(
                select(Account.id).where(Account.login_index == doctor_login_index(number))
            ).one()

    return make
