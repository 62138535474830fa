"""`make look`: every page of the demonstration as a picture, as each of its people sees it, judged, on one
index page.

python -m tests.visual [PART OF A ROLE ...]

A crawler: signed in as an account it goes to every address of its kind that the application knows, follows
every link from there, and takes each page it hasn't seen yet, in every size and mode. Doctors are there in
every state; a new page and a new state are in it by construction. What must be typed or pressed to be seen
stands in `scenes`.
"""

import argparse
import itertools
import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Error, Page, sync_playwright

from dingkao.app import create_app
from dingkao.config import AppConfig
from dingkao.embedded.stack import Stack
from dingkao.embedded.supervisor import program_command
from dingkao.people.permissions import ACTION_ROLES
from dingkao.web import access_control
from tests.browser.conftest import CHROMIUM
from tests.conftest import FROM_OUTSIDE, free_port
from tests.visual import checks
from tests.visual.album import FOLDER, VIEWS, ScreenshotAlbum, index
from tests.visual.console_scenes import CONSOLE_SCENES
from tests.visual.scenes import SCENES, first_login, read

SLUG, NOBODY, PLATFORM, INITIAL = "shanxi", "谁都可以", "platform", "666666"
AT_ONCE = 2
QUESTION = re.compile(r"(?<=/practice/ID)/\d+")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MAX_PAGES, MAX_ARGUMENTS = 120, 1
"""How many pages of one person are looked at besides those that the application names, and with how many arguments
at most: a list has a link for each choice of each filter."""


@contextmanager
def demonstration(home: Path) -> Iterator[Stack]:
    """A stack of its own with the demonstration in it."""
    for name in FROM_OUTSIDE:
        os.environ.pop(name, None)
    stack = Stack(home, free_port())
    try:
        stack.start_engines()
        stack.start_all()
        subprocess.run(  # noqa: S603
            program_command("accounts", "--fill"),
            env=os.environ | stack.environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        yield stack
    finally:
        stack.stop()


def accounts(stack: Stack) -> list[dict[str, str]]:
    """Whom one may sign in as, with the second factor of this moment."""
    completed = subprocess.run(  # noqa: S603
        program_command("accounts", "--json"),
        env=os.environ | stack.environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(completed.stdout)["accounts"]


def addresses(stack: Stack) -> dict[str, list[str]]:
    """The application's addresses without arguments, by whose they are."""
    application = create_app(AppConfig.from_environment(stack.environment))
    addresses_by_kind: dict[str, list[str]] = {
        NOBODY: ["/?pick=1", "/nirgends", "/shanx/login"],
        "doctor": [],
        "staff": [],
        PLATFORM: [],
    }
    for rule in application.url_map.iter_rules():
        action = getattr(application.view_functions[rule.endpoint], "action", None)
        whose = ACTION_ROLES.get(action, frozenset({action}))
        if "GET" not in (rule.methods or ()) or rule.arguments or rule.rule in ("/healthz", "/readyz", "/"):
            continue
        outside = rule.endpoint.startswith(("platform.", "certificate_lookup."))
        kind = (
            PLATFORM
            if "operator" in whose
            else NOBODY
            if access_control.PUBLIC in whose
            else "doctor"
            if "doctor" in whose
            else "staff"
        )
        addresses_by_kind[kind].append(rule.rule if outside else f"/{SLUG}{rule.rule}")
    return addresses_by_kind


def kind_of(address: str) -> str:
    """An address without what differs from row to row."""
    parts = urlsplit(address)
    names = ",".join(
        sorted(
            name.split("=")[0]
            for name in parts.query.split("&")
            if name and not name.startswith(("v=", "after="))
        )
    )
    return QUESTION.sub("/N", UUID.sub("ID", parts.path)) + (f"?{names}" if names else "")


def _drained(waiting: list[str]) -> Iterator[str]:
    """The addresses that wait, the oldest first, with those that come while they are taken."""
    while waiting:
        yield waiting.pop(0)


def crawl(page: Page, starts: list[str], inside: str, fault: Callable[[str], None]) -> Iterator[str]:
    """The pages below `inside` that links and buttons lead to from `starts`, one of each kind; the page shows
    it when it is given. Of the pages that are refused to this person (403) the first is given: they look
    alike."""
    waiting, seen_kinds = list(starts), {kind_of(start) for start in starts}
    is_refusal_seen = False
    for address in itertools.islice(_drained(waiting), len(starts) + MAX_PAGES):
        try:
            answer = page.request.get(address)
            if "text/html" not in answer.headers.get("content-type", ""):
                continue  # a file or a picture
            if answer.status == HTTPStatus.FORBIDDEN and is_refusal_seen:
                continue
            is_refusal_seen |= answer.status == HTTPStatus.FORBIDDEN
            page.goto(address)
        except Error as broken:
            fault(f"{address}: {str(broken).splitlines()[0]}")
            continue
        yield kind_of(page.url)
        links = page.eval_on_selector_all(
            "a[href], button[value^='/']",
            "all => all.map((one) => one.href ?? new URL(one.value, document.baseURI).href)",
        )
        for link in links:
            path = urlsplit(link)._replace(scheme="", netloc="", fragment="").geturl()
            if (
                path.startswith(inside)
                and not path.startswith("/static/")
                and kind_of(path) not in seen_kinds
                and kind_of(path).count(",") < MAX_ARGUMENTS
            ):
                seen_kinds.add(kind_of(path))
                waiting.append(path)


def capture_role(
    album: ScreenshotAlbum,
    browser: Browser,
    base: str,
    who: str,
    kind: str,
    sign_in: Callable[[Page], Iterable[str]],
    starts: list[str],
    inside: str,
) -> None:
    """Take one person's pages, from signing in on, and then the scenes in which such a person stands."""
    context = browser.new_context(base_url=base, locale="zh-CN", viewport=VIEWS[kind][0].size)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.on("dialog", lambda dialog: dialog.accept())
    checks.collect_errors(page, lambda sentence: album.fault(f"{who} {urlsplit(page.url).path}", sentence))

    def play(name: str, steps: Iterable[str]) -> None:
        try:
            for step in steps:
                album.take(page, who, f"{name}:{step}", kind)
        except (Error, AssertionError) as fault:
            album.fault(f"{who} {name} {urlsplit(page.url).path}", f"scene: {str(fault).splitlines()[0]}")

    play("进入", sign_in(page))
    for address in crawl(page, starts, inside, lambda sentence: album.fault(who, sentence)):
        album.take(page, who, address, kind)
    for whose, name, act in (*SCENES, *CONSOLE_SCENES):
        if who.endswith(whose) and name not in album.played:
            album.played.add(name)
            play(name, act(page, SLUG))
    context.close()


def as_person(account: dict[str, str], *, staff: bool) -> Callable[[Page], Iterator[str]]:
    """Sign in by password, and by the second factor where one is asked; a first time with all that it asks
    for."""

    def sign_in(page: Page) -> Iterator[str]:
        if account["password"] == INITIAL:
            yield from first_login(page, SLUG, account["user_name"])
            return
        page.goto(
            f"/{account['province']}/login" + ("?staff=1" if staff else "")
            if account["province"] != PLATFORM
            else "/platform/sign-in"
        )
        page.get_by_label("用户名" if account["province"] == PLATFORM else "账号").fill(account["user_name"])
        page.get_by_label("密码").fill(account["password"])
        page.get_by_role("button", name="登录", exact=True).click()
        page.wait_for_load_state()
        if account["code"]:
            yield "动态口令"
            page.get_by_label("动态口令").fill(account["code"])
            page.get_by_role("button", name="确定").click()
            page.wait_for_load_state()
        if "/filing/notice" in page.url:
            yield "用户告知书"
            read(page)

    return sign_in


def visitors(stack: Stack, only: list[str]) -> list[dict[str, str]]:
    """Whom to walk: everyone of the province and the platform whose role has a word of `only`; of those who
    never signed in, one."""
    shown_accounts = [
        account
        for account in accounts(stack)
        if account["province"] in (SLUG, PLATFORM)
        and (account["password"] != INITIAL or account["role"].endswith("未纳入"))
    ]
    never = [account for account in shown_accounts if account["password"] == INITIAL]
    shown_accounts = sorted(
        (account for account in shown_accounts if account not in never[1:]),
        key=lambda account: not account["role"].startswith("医师"),
    )
    shown_accounts.insert(0, {"role": NOBODY})
    return [
        account for account in shown_accounts if not only or any(word in account["role"] for word in only)
    ]


def capture_all(stack: Stack, album: ScreenshotAlbum, only: list[str]) -> None:
    """Walk those whose role has a word of `only`, or everyone; some at once, each in a browser of their
    own."""
    known_addresses, base, waiting = (
        addresses(stack),
        f"http://127.0.0.1:{stack.port}",
        queue.SimpleQueue[dict[str, str]](),
    )
    for visitor in visitors(stack, only):
        waiting.put(visitor)

    def visit(browser: Browser, account: dict[str, str]) -> None:
        role = account["role"]
        if role == NOBODY:
            capture_role(
                album, browser, base, NOBODY, "doctor", lambda page: (), known_addresses[NOBODY], "/"
            )
            return
        doctor, outside = role.startswith("医师"), account["province"] == PLATFORM
        new_page = next(
            visitor
            for visitor in accounts(stack)
            if (visitor["province"], visitor["user_name"]) == (account["province"], account["user_name"])
        )
        kind = "doctor" if doctor else "staff"
        capture_role(
            album,
            browser,
            base,
            role,
            kind,
            as_person(new_page, staff=not doctor),
            known_addresses[PLATFORM if outside else kind],
            "/platform/" if outside else f"/{SLUG}/",
        )

    def take_turns() -> None:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(**CHROMIUM)
            while True:
                try:
                    account, started = waiting.get_nowait(), time.monotonic()
                except queue.Empty:
                    break
                visit(browser, account)
                print(  # noqa: T201
                    f"{account['role']}: {len(album.pages)} pages so far, {time.monotonic() - started:.0f} s",
                    file=sys.stderr,
                )
            browser.close()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for turn in [pool.submit(take_turns) for _ in range(AT_ONCE)]:
            turn.result()


def main() -> None:
    """Take and judge everything; the index page's address is printed. Ends with 1 where something was
    found."""
    parser = argparse.ArgumentParser(prog="python -m tests.visual", description="Take and judge every page.")
    parser.add_argument("roles", nargs="*", metavar="PART_OF_A_ROLE", help="only whose role has one of these")
    only = parser.parse_args().roles
    FOLDER.mkdir(exist_ok=True)
    for image in (*FOLDER.glob("*.png"), *FOLDER.glob("*.jpg")):
        image.unlink()
    album = ScreenshotAlbum()
    try:
        with tempfile.TemporaryDirectory() as home, demonstration(Path(home) / "home") as stack:
            capture_all(stack, album, only)
    finally:
        (FOLDER / "index.html").write_text(index(album))
    print(  # noqa: T201
        f"{len(album.pages)} pages, {sum(len(page[3]) for page in album.pages)} pictures, "
        f"{len(album.found)} findings: {FOLDER / 'index.html'}"
    )
    sys.exit(1 if album.found else 0)


if __name__ == "__main__":
    main()
