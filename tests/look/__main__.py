"""`make look`: every page of the demonstration as a picture, as each of its people sees it, judged, on one index page.

    python -m tests.look [PART OF A ROLE ...]

A crawler: signed in as an account it goes to every address of its kind that the application knows, follows every link from there, and
takes each page it hasn't seen yet, in every size and mode. Doctors are there in every state; a new page and a new state are in it by
construction. What must be typed or pressed to be seen stands in `scenes`.
"""

import html
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
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Error, Page, sync_playwright

from dingkao.app import create_app
from dingkao.blueprints import access
from dingkao.embedded.children import program
from dingkao.embedded.stack import Stack
from dingkao.settings import Settings
from tests.browser.conftest import CHROMIUM, DESK, PHONE
from tests.conftest import FROM_OUTSIDE, free_port
from tests.look import judging
from tests.look.scenes import SCENES, first_login, read

FOLDER = Path(__file__).resolve().parents[2] / "look"
SLUG, NOBODY, PLATFORM, INITIAL = "shanxi", "谁都可以", "platform", "666666"
AT_ONCE = 2
NARROW = {"width": 360, "height": 640}
LIGHT, DARK, SENIOR, SENIOR_DARK = "light", "dark", "senior", "senior-dark"
NAMES = {LIGHT: "浅色", DARK: "深色", SENIOR: "长辈模式", SENIOR_DARK: "长辈模式深色"}
SIZES = (PHONE, NARROW, DESK)
QUESTION = re.compile(r"(?<=/practice/ID)/\d+")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MOST_PAGES = 120
STRUCTURE = """() => [...document.querySelectorAll("main *, .foot *")].map((one) => one.tagName + "." + one.className).join(" ")
  + [...document.querySelectorAll("h1, h2, .message, .summary, .told, .draft, .steps .here, .hint")].map((one) => one.textContent).join(" ")"""


@dataclass(frozen=True)
class View:
    """A size and a mode that a page is seen in. axe-core runs on it: `whole`, or what a size and a mode can change (judging.STYLED)."""

    size: dict[str, int]
    mode: str
    whole: bool = False

    @property
    def name(self) -> str:
        """Of files and of anchors."""
        return f"{self.mode}-{self.size['width']}"


VIEWS = {
    "doctor": (
        *(View(size, mode, whole=size is PHONE and mode == LIGHT) for mode in (LIGHT, DARK, SENIOR) for size in SIZES),
        View(NARROW, SENIOR_DARK),
    ),
    "staff": (View(DESK, LIGHT, whole=True), View(PHONE, LIGHT)),
}


@dataclass
class Album:
    """The pictures taken, by page, and what was found; `seen` keeps pages from being taken twice that differ by names alone, `played` scenes."""

    pages: list[tuple[str, str, str, dict[str, str]]] = field(default_factory=list)
    found: dict[str, list[str]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    played: set[str] = field(default_factory=set)
    serial: Iterator[int] = field(default_factory=itertools.count)

    def fault(self, where: str, sentence: str) -> None:
        """Keep a finding, and tell of it when it is new."""
        if sentence not in self.found:
            print(f"{sentence}\n    {where}", file=sys.stderr)  # noqa: T201
        if where not in self.found.setdefault(sentence, []):
            self.found[sentence].append(where)

    def take(self, page: Page, who: str, address: str, kind: str) -> None:
        """Judge the page that is shown, and take its picture, in every view of `kind`."""
        mark = f"{address} {page.evaluate(STRUCTURE)}"
        if mark in self.seen:
            return
        self.seen.add(mark)
        files, number = {}, next(self.serial)
        for view in VIEWS[kind]:
            show(page, view)
            where = f"{who} {address} {view.name}"
            for sentence in judging.by_us(page, SENIOR if view.mode.startswith(SENIOR) else kind):
                self.fault(where, sentence)
            for sentence in judging.by_axe(page, whole=view.whole, enhanced=view.mode.startswith(SENIOR)):
                self.fault(where, sentence)
            files[view.name] = f"{number:03d}-{view.name}.jpg"
            page.screenshot(path=str(FOLDER / files[view.name]), full_page=True, type="jpeg", quality=80)
        show(page, VIEWS[kind][0])
        self.pages.append((who, address, page.title(), files))


def show(page: Page, view: View) -> None:
    """Turn the page as it stands to a view: what the server says by a class of the document is said here, so that nothing is sent again."""
    page.set_viewport_size(view.size)  # type: ignore[arg-type]
    page.emulate_media(color_scheme="dark" if view.mode.endswith(DARK) else "light", reduced_motion="reduce")
    page.evaluate(
        "(senior) => { document.documentElement.classList.toggle('senior', senior);"
        " if (senior) document.body.dataset.weuiMode = 'care'; else delete document.body.dataset.weuiMode; }",
        view.mode.startswith(SENIOR),
    )


@contextmanager
def demonstration(home: Path) -> Iterator[Stack]:
    """A stack of its own with the demonstration in it."""
    for name in FROM_OUTSIDE:
        os.environ.pop(name, None)
    stack = Stack(home, free_port())
    try:
        stack.begin()
        stack.serve()
        subprocess.run(program("accounts", "--fill"), env=os.environ | stack.environment, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        yield stack
    finally:
        stack.end()


def accounts(stack: Stack) -> list[dict[str, str]]:
    """Whom one may sign in as, with the second factor of this moment."""
    told = subprocess.run(program("accounts", "--json"), env=os.environ | stack.environment, check=True, capture_output=True, text=True)  # noqa: S603
    return json.loads(told.stdout)["accounts"]


def addresses(stack: Stack) -> dict[str, list[str]]:
    """The application's addresses without arguments, by whose they are."""
    application = create_app(Settings.from_environment(stack.environment))
    listed: dict[str, list[str]] = {NOBODY: ["/?pick=1", "/nirgends", "/shanx/login"], "doctor": [], "staff": [], PLATFORM: []}
    for rule in application.url_map.iter_rules():
        whose = getattr(application.view_functions[rule.endpoint], "access", frozenset())
        if "GET" not in (rule.methods or ()) or rule.arguments or rule.rule in ("/healthz", "/readyz", "/"):
            continue
        outside = rule.endpoint.startswith(("platform.", "verifying."))
        kind = PLATFORM if access.OPERATOR in whose else NOBODY if access.ANYONE in whose else "doctor" if access.DOCTOR in whose else "staff"
        listed[kind].append(rule.rule if outside else f"/{SLUG}{rule.rule}")
    return listed


def kind_of(address: str) -> str:
    """An address without what differs from row to row."""
    parts = urlsplit(address)
    names = ",".join(sorted(name.split("=")[0] for name in parts.query.split("&") if name and not name.startswith(("v=", "after="))))
    return QUESTION.sub("/N", UUID.sub("ID", parts.path)) + (f"?{names}" if names else "")


def crawl(page: Page, starts: list[str], inside: str, fault: Callable[[str], None]) -> Iterator[str]:
    """The pages below `inside` that links and buttons lead to from `starts`, one of each kind; the page shows it when it is given."""
    waiting, seen = list(starts), {kind_of(start) for start in starts}
    while waiting and len(seen) <= MOST_PAGES:
        address = waiting.pop(0)
        try:
            if "text/html" not in page.request.get(address).headers.get("content-type", ""):
                continue  # a file or a picture
            page.goto(address)
        except Error as broken:
            fault(f"{address}: {str(broken).splitlines()[0]}")
            continue
        yield kind_of(page.url)
        links = page.eval_on_selector_all(
            "a[href], button[value^='/']", "all => all.map((one) => one.href ?? new URL(one.value, document.baseURI).href)"
        )
        for link in links:
            path = urlsplit(link)._replace(scheme="", netloc="", fragment="").geturl()
            if path.startswith(inside) and not path.startswith("/static/") and kind_of(path) not in seen:
                seen.add(kind_of(path))
                waiting.append(path)


def walk(
    album: Album, browser: Browser, base: str, who: str, kind: str, sign_in: Callable[[Page], Iterable[str]], starts: list[str], inside: str,
) -> None:  # fmt: skip
    """Take one person's pages, from signing in on, and then the scenes in which such a person stands."""
    context = browser.new_context(base_url=base, locale="zh-CN", viewport=VIEWS[kind][0].size)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.on("dialog", lambda dialog: dialog.accept())
    judging.watch(page, lambda sentence: album.fault(f"{who} {urlsplit(page.url).path}", sentence))

    def play(name: str, steps: Iterable[str]) -> None:
        try:
            for step in steps:
                album.take(page, who, f"{name}:{step}", kind)
        except (Error, AssertionError) as fault:
            album.fault(f"{who} {name} {urlsplit(page.url).path}", f"scene: {str(fault).splitlines()[0]}")

    play("进入", sign_in(page))
    for address in crawl(page, starts, inside, lambda sentence: album.fault(who, sentence)):
        album.take(page, who, address, kind)
    for whose, name, act in SCENES:
        if who.endswith(whose) and name not in album.played:
            album.played.add(name)
            play(name, act(page, SLUG))
    context.close()


def as_person(account: dict[str, str], *, staff: bool) -> Callable[[Page], Iterator[str]]:
    """Sign in by password, and by the second factor where one is asked; a first time with all that it asks for."""

    def sign_in(page: Page) -> Iterator[str]:
        if account["password"] == INITIAL:
            yield from first_login(page, SLUG, account["user_name"])
            return
        page.goto(f"/{account['province']}/login" + ("?staff=1" if staff else "") if account["province"] != PLATFORM else "/platform/sign-in")
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


def index(album: Album) -> str:
    """One page with all of it: what was found on top, a row a page; `#dark-390` in its address leaves that size and mode alone."""
    views = list(dict.fromkeys(view.name for kind in VIEWS.values() for view in kind))
    filters = " ".join(f'<a href="#{name}">{NAMES[name.rsplit("-", 1)[0]]} {name.rsplit("-", 1)[1]}</a>' for name in views)
    rules = "".join(f"#{name}:target~section figure:not(.{name}){{display:none}}" for name in views)
    found = "".join(f"<li>{html.escape(sentence)}<br><small>{html.escape(' · '.join(where))}</small></li>" for sentence, where in sorted(album.found.items()))
    people: dict[str, list[str]] = {}
    for who, address, title, files in album.pages:
        pictures = "".join(
            f'<figure class="{name}"><a href="{file}"><img src="{file}" loading="lazy" alt=""></a><figcaption>{name}</figcaption></figure>'
            for name, file in files.items()
        )
        people.setdefault(who, []).append(f"<h3>{html.escape(title)} <small>{html.escape(address)}</small></h3><div>{pictures}</div>")
    rows = "".join(f'<h2 id="{html.escape(who)}">{html.escape(who)}</h2>{"".join(theirs)}' for who, theirs in people.items())
    style = (
        "body{font:14px sans-serif}nav{position:sticky;top:0;background:#fff;padding:8px}nav a{margin-right:10px}div{display:flex;flex-wrap:wrap;gap:12px}"
        "figure{margin:0;width:200px}img{width:200px;max-height:420px;object-fit:cover;object-position:top;border:1px solid #ccc}figcaption{font-size:12px}"
    )
    who = " ".join(f'<a href="#{html.escape(one)}">{html.escape(one)}</a>' for one in people)
    anchors = "".join(f'<i id="{name}"></i>' for name in views)
    return (
        f'<!doctype html><meta charset="utf-8"><title>定考</title><style>{style}{rules}</style><nav><a href="#">全部</a>{filters}</nav>{anchors}'
        f"<section><p>{who}</p><h2>发现 {len(album.found)}</h2><ol>{found}</ol>{rows}</section>"
    )


def visitors(stack: Stack, only: list[str]) -> list[dict[str, str]]:
    """Whom to walk: everyone of the province and the platform whose role has a word of `only`; of those who never signed in, one."""
    found = [
        one for one in accounts(stack)
        if one["province"] in (SLUG, PLATFORM) and (one["password"] != INITIAL or one["role"].endswith("未纳入"))
    ]  # fmt: skip
    never = [one for one in found if one["password"] == INITIAL]
    found = sorted((one for one in found if one not in never[1:]), key=lambda one: not one["role"].startswith("医师"))
    found.insert(0, {"role": NOBODY})
    return [one for one in found if not only or any(word in one["role"] for word in only)]


def look(stack: Stack, album: Album, only: list[str]) -> None:
    """Walk those whose role has a word of `only`, or everyone; some at once, each in a browser of their own."""
    known, base, waiting = addresses(stack), f"http://127.0.0.1:{stack.port}", queue.SimpleQueue[dict[str, str]]()
    for one in visitors(stack, only):
        waiting.put(one)

    def visit(browser: Browser, account: dict[str, str]) -> None:
        role = account["role"]
        if role == NOBODY:
            walk(album, browser, base, NOBODY, "doctor", lambda page: (), known[NOBODY], "/")
            return
        doctor, outside = role.startswith("医师"), account["province"] == PLATFORM
        fresh = next(one for one in accounts(stack) if (one["province"], one["user_name"]) == (account["province"], account["user_name"]))
        kind = "doctor" if doctor else "staff"
        walk(
            album, browser, base, role, kind, as_person(fresh, staff=not doctor), known[PLATFORM if outside else kind],
            "/platform/" if outside else f"/{SLUG}/",
        )  # fmt: skip

    def take_turns() -> None:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(**CHROMIUM)
            while True:
                try:
                    account, started = waiting.get_nowait(), time.monotonic()
                except queue.Empty:
                    break
                visit(browser, account)
                print(f"{account['role']}: {len(album.pages)} pages so far, {time.monotonic() - started:.0f} s", file=sys.stderr)  # noqa: T201
            browser.close()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for turn in [pool.submit(take_turns) for _ in range(AT_ONCE)]:
            turn.result()


def main() -> None:
    """Take and judge everything; the index page's address is printed. Ends with 1 where something was found."""
    FOLDER.mkdir(exist_ok=True)
    for old in (*FOLDER.glob("*.png"), *FOLDER.glob("*.jpg")):
        old.unlink()
    album = Album()
    try:
        with tempfile.TemporaryDirectory() as home, demonstration(Path(home) / "home") as stack:
            look(stack, album, sys.argv[1:])
    finally:
        (FOLDER / "index.html").write_text(index(album))
    print(f"{len(album.pages)} pages, {sum(len(page[3]) for page in album.pages)} pictures, {len(album.found)} findings: {FOLDER / 'index.html'}")  # noqa: T201
    sys.exit(1 if album.found else 0)


if __name__ == "__main__":
    main()
