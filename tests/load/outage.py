"""An outage across the deadline, on a whole stack: real pages and clients by HTTP answer, the database stands
still from before their end until after their minute of grace, and what they tapped in time came too late. The
system finds the outage by itself, the clerk on duty gives all of them time in one act, and each answer that
was tapped in time is then kept. Part of `make chaos`.
"""

import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Page, sync_playwright
from sqlalchemy import select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.exams.tickets import get_or_issue_ticket
from dingkao.filings.user_notice import confirm_notice
from dingkao.journal.entries import TERMINAL_ACTOR, Actor
from dingkao.people import sign_in_sessions
from dingkao.people.accounts import create_staff
from dingkao.people.models import Account, Organisation, SignInSession
from tests import conftest, sample_data
from tests.browser.conftest import CHROMIUM
from tests.load import ground, process_kills
from tests.load.exam import CODE, SLUG, PersistentConnection, SimulatedPhone

PAGES, CLIENTS = 4, 46
TO_THE_END, BEFORE_THE_END, AFTER_THE_END = 60, 15, 72
"""Seconds: from when all have begun to their end; how long before it the database stops; how long after it it
goes on."""
MINUTES = 10
TappedLetters = dict[int, tuple[str, int]]


@dataclass(frozen=True)
class Seat:
    """Who sits: the session's token, the name and the ticket that are asked for."""

    token: str
    name: str
    ticket: str


def seats(home: Path, number: int) -> tuple[list[Seat], str]:
    """Doctors who are 待测评 with a session, and the session of the clerk on duty."""
    return ground.apart(_seats, home, number)


def _seats(home: Path, number: int) -> tuple[list[Seat], str]:
    with ground.province(home, SLUG):
        cycle, records = ground.included(CODE, number)
        seat_list = [_seat(record, cycle) for record in records]
        place = db.session.scalar(
            select(Organisation).where(
                Organisation.registration_number == sample_data.registration_number(CODE, 1)
            )
        )
        clerk = create_staff("clerk-on-duty", "值班人员", [("organisation_clerk", place)], by=TERMINAL_ACTOR)
        clerk.state = "active"
        token = sign_in_sessions.start_session(clerk)
        db.session.flush()
        db.session.scalars(
            select(SignInSession).where(SignInSession.account_id == clerk.id)
        ).one().second_factor_at = clock.now()
        db.session.commit()
    return seat_list, token


def _seat(record: Assessment, cycle: Cycle) -> Seat:
    doctor = db.session.get_one(Doctor, (CODE, record.doctor_id))
    account = db.session.get_one(Account, (CODE, doctor.account_id))
    actor = Actor("doctor", account.id)
    account.state = "active"
    ground.make_ready(record, actor, "simple")
    confirm_notice(doctor, cycle, by=actor)
    db.session.flush()
    return Seat(sign_in_sessions.start_session(account), account.name, get_or_issue_ticket(record).number)


class Client(SimulatedPhone):
    """A page by HTTP: taps now and then, sends what waits until it is kept, hands in at its end, and offers
    what came too late again once time was added. What it tapped in time is remembered apart from all that."""

    def __init__(self, port: int, seat: Seat, number: int) -> None:
        super().__init__(port, seat.token, seat.name, seat.ticket)
        self.number, self.tapped = number, TappedLetters()
        self.waiting: dict[int, dict[str, Any]] = {}
        self.late, self.handed_in, self.delivered = 0, False, threading.Event()
        self.faults: list[str] = []
        self.alive = 0.0

    def now(self) -> int:
        """Milliseconds since 1970; the server's clock is this machine's."""
        return int(time.time() * 1000)

    def tap(self) -> None:
        """Choose an answer."""
        sequence = len(self.tapped) + 1
        position, letters = (self.number + sequence) % len(self.data["questions"]), "ABCDE"[sequence % 5]
        self.tapped[position] = (letters, sequence)
        self.waiting[position] = {
            "position": position,
            "letters": letters,
            "sequence": sequence,
            "tapped": self.now(),
        }

    def send_waiting(self) -> None:
        """Send what waits, each answer until one is not taken."""
        for position, answer in list(self.waiting.items()):
            status, _ = self.call(
                "POST",
                self.data["address"],
                json.dumps(answer),
                {"X-Sitting": self.data["token"], "Content-Type": "application/json"},
            )
            if status != 200:
                return
            self.waiting.pop(position, None)

    def pulse(self) -> bool:
        """A sign of life every ten seconds; whether something has changed."""
        if time.monotonic() - self.alive < 10:
            return False
        self.alive = time.monotonic()
        status, reply = self.call(
            "POST", self.data["address"].replace("/answer", "/pulse"), "", {"X-Sitting": self.data["token"]}
        )
        return status == 200 and bool(reply["look"])

    def call(self, method: str, path: str, body: str, headers: dict[str, str]) -> tuple[int, Any]:
        """Status and what was said; 503 where nobody answers."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        try:
            reply = self.line.send(
                method, path, body, {"Cookie": cookies, "Accept": "application/json"} | headers
            )
            return reply.status, json.loads(reply.read() or b"{}")
        except (OSError, HTTPException, ValueError):
            self.line = PersistentConnection(self.line.connection.port)
            return 503, {}

    def try_to_hand_in(self) -> None:
        """As the page at its end."""
        form = {
            "csrf_token": self.form,
            "automatic": "1",
            "outstanding": json.dumps(list(self.waiting.values())),
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        status, reply = self.call("POST", f"/{SLUG}/sitting/{self.sitting}/hand-in", urlencode(form), headers)
        if status == 200:
            self.handed_in, self.late = True, reply.get("late", 0)
            self.look()

    def look(self) -> None:
        """How the sitting stands: what is kept waits no more, and where it is open again the rest is sent."""
        status, reply = self.call("GET", f"/{SLUG}/sitting/{self.sitting}/standing", "", {})
        if status != 200:
            return
        for position, number in reply["sequences"].items():
            if self.waiting.get(int(position), {"sequence": number + 1})["sequence"] <= number:
                del self.waiting[int(position)]
        if reply["open"]:
            self.data["token"] = reply.get("token", self.data["token"])
            self.send_waiting()
        if not self.waiting and (reply["open"] or not self.late):
            self.delivered.set()

    def run(self, end: float, stop: threading.Event) -> None:
        """Until everything is delivered, or the test is over."""
        try:
            while not stop.is_set() and not self.delivered.is_set():
                if time.time() < end - 0.5:
                    self.tap()
                    self.send_waiting()
                    self.pulse()
                    stop.wait(2 + self.number % 3)
                elif not self.handed_in:
                    stop.wait(max(0.0, end - time.time()))
                    self.try_to_hand_in()
                    stop.wait(2)
                else:
                    if self.pulse():
                        self.look()
                    stop.wait(1)
        except Exception as fault:  # told by the thread that waits
            self.faults.append(repr(fault))


@dataclass
class RealPage:
    """A page of chromium, and what was tapped on it: position → letters."""

    page: Page
    tapped: dict[int, str] = field(default_factory=dict)

    @classmethod
    def entered(cls, browser: Any, port: int, seat: Seat) -> "RealPage":
        """From the list of papers to the first question."""
        context = browser.new_context(
            viewport={"width": 390, "height": 844}, base_url=f"http://127.0.0.1:{port}", locale="zh-CN"
        )
        context.add_cookies([{"name": f"dk-{SLUG}", "value": seat.token, "url": f"http://127.0.0.1:{port}"}])
        page = context.new_page()
        page.goto(f"/{SLUG}/sitting")
        page.get_by_label("姓名").fill(seat.name)
        page.get_by_label("准考证号").fill(seat.ticket)
        page.get_by_label(re.compile("我已阅读并同意")).check()
        page.get_by_role("button", name="登录").click()
        page.get_by_role("link", name="进入").first.click()
        page.get_by_label("我已详细阅读并郑重承诺").check()
        page.get_by_role("button", name="进入考试").click()
        page.locator("#options button").first.wait_for()
        return cls(page)

    @property
    def sitting(self) -> str:
        """The id of the sitting."""
        match = re.search(r"/sitting/([0-9a-f-]{36})", self.page.url)
        assert match
        return match[1]

    def tap(self, number: int) -> None:
        """Choose an answer to question `number`, from 1."""
        self.page.get_by_role("button", name="答题列表").click()
        self.page.locator("#sheet button").nth(number - 1).click()
        option = self.page.locator("#options button").nth(number % 4)
        option.click()
        self.tapped[number - 1] = str(option.get_attribute("data-letter"))

    def hand_in(self) -> None:
        """「交卷」."""
        self.page.get_by_role("button", name="交卷", exact=True).click()
        self.page.get_by_role("button", name="确认交卷").click()
        self.page.get_by_role("heading", name="考试结束").wait_for()


@contextmanager
def standing_still(home: Path) -> Iterator[None]:
    """PostgreSQL with all its processes stands still in the block."""
    postmaster = process_kills.children(home)["postgres"]

    def send(which: signal.Signals) -> None:
        for process in ground.descendants(postmaster):
            os.kill(process, which)

    send(signal.SIGSTOP)
    try:
        yield
    finally:
        send(signal.SIGCONT)


@dataclass(frozen=True)
class Outcome:
    """What came of it: how many sat, how many answers they tapped in time, of how many sittings some were
    refused as late at first, how many sittings the proposal counted and were compensated, the answers that
    are not kept in the end, how many sittings have another score than their answers, seconds from the
    outage's end."""

    sittings: int
    answers: int
    refused_first: int
    proposed: int
    compensated: int
    lost: dict[tuple[str, int], tuple[str, str | None]]
    miscounted: int
    seconds: float


def across_the_deadline(home: Path, port: int) -> Outcome:
    """The whole of it. Raises AssertionError where it stops."""
    seat_list, clerk = seats(home, PAGES + CLIENTS)
    stop = threading.Event()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**CHROMIUM)
        pages = [RealPage.entered(browser, port, seat) for seat in seat_list[:PAGES]]
        clients = [Client(port, seat, number) for number, seat in enumerate(seat_list[PAGES:])]
        for client in clients:
            client.enter()
            client.start()
        end = _set_end(home)
        for real in pages:
            real.page.reload()
            real.page.locator("#options button").first.wait_for()
        for client in clients:
            client.page()
        threads = [threading.Thread(target=client.run, args=(end, stop)) for client in clients]
        for thread in threads:
            thread.start()
        try:
            _tap_all(pages, 1, end - BEFORE_THE_END)
            with standing_still(home):
                print("the database stands still", file=sys.stderr)  # noqa: T201
                _tap_all(pages, 20, end - 1)
                while time.time() < end + AFTER_THE_END:
                    pages[0].page.wait_for_timeout(500)
            began = time.monotonic()
            print("the database goes on", file=sys.stderr)  # noqa: T201
            everyone = len(pages) + len(clients)
            _wait(
                pages,
                lambda: _count(home, "sitting where handed_in_at is not null") == everyone,
                "all are handed in",
                120,
            )
            _wait(pages, lambda: _count(home, "outage") > 0, "the outage is found", 120)
            refused = sum(client.late > 0 for client in clients) + sum(_says_late(real) for real in pages)
            proposed = _compensate(SimulatedPhone(port, clerk, "", ""), SLUG, home)
            _wait(pages, lambda: _count(home, "added_time") >= proposed, "all have got time", 120)
            ids = {real.sitting: real.tapped for real in pages}
            ids |= {
                client.sitting: {position: letters for position, (letters, _) in client.tapped.items()}
                for client in clients
            }
            _wait(pages, lambda: not _lost(home, ids), "what was tapped in time is kept", 180, raises=False)
            compensated = _count(home, "added_time")
            for client in clients:
                client.post(f"/sitting/{client.sitting}/hand-in", outstanding="[]")
            for real in pages:
                real.hand_in()
        finally:
            stop.set()
            for thread in threads:
                thread.join()
            browser.close()
    faults = [fault for client in clients for fault in client.faults]
    assert not faults, faults[:3]
    answers = sum(len(tapped) for tapped in ids.values())
    return Outcome(
        len(ids),
        answers,
        refused,
        proposed,
        compensated,
        _lost(home, ids),
        _miscounted(home),
        time.monotonic() - began,
    )


def _set_end(home: Path) -> float:
    """Let all sittings end soon; when, in seconds since 1970."""
    end = time.time() + TO_THE_END
    with conftest.superuser_connection(home) as connection:
        connection.execute(
            "update sitting set closes_at = to_timestamp(%s) where tenant_id = %s", (end, CODE)
        )
    return end


def _tap_all(pages: list[RealPage], first: int, until: float) -> None:
    """Answer on the real pages, a question after another, until then."""
    number = first
    while time.time() < until:
        for real in pages:
            if time.time() < until:
                real.tap(number)
        number += 1
        pages[0].page.wait_for_timeout(1500)


def _wait(
    pages: list[RealPage], reached: Callable[[], bool], what: str, seconds: float, *, raises: bool = True
) -> None:
    """Wait, letting the browser go on."""
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            assert not raises, f"not within {seconds} s: {what}"
            return
        pages[0].page.wait_for_timeout(500)
    print(f"{what} ({time.strftime('%H:%M:%S')})", file=sys.stderr)  # noqa: T201


def _count(home: Path, table: str) -> int:
    with conftest.superuser_connection(home) as connection:
        count_row = connection.execute(f"select count(*) from {table}").fetchone()  # noqa: S608 - our own words
        return int(count_row[0]) if count_row else 0


def _says_late(real: RealPage) -> bool:
    """Whether the closing page says that it still has answers."""
    return real.page.locator("#late").is_visible()


def _compensate(desk: SimulatedPhone, slug: str, home: Path) -> int:
    """The clerk's one act, from what the system proposes; how many sittings it counted."""
    response = desk.get("/office/watching")
    proposal = re.search(
        r"期间有(\d+)场作答时间到，待补时。<a[^>]*href=\"/" + slug + r"(/office/outages/[0-9a-f-]{36})",
        response,
    )
    assert proposal, "the system proposes nothing"
    desk.get(proposal[2])
    desk.post(f"{proposal[2]}/time", scope="ended", minutes=str(MINUTES), reason="服务中断，数据库停顿")
    return int(proposal[1])


def _lost(home: Path, tapped: dict[str, dict[int, str]]) -> dict[tuple[str, int], tuple[str, str | None]]:
    """Answers tapped in time that are not kept: sitting and position → what was tapped, what is kept."""
    with conftest.superuser_connection(home) as connection:
        answer_rows = connection.execute(
            "select sitting_id, position, letters from sitting_answer"
        ).fetchall()
    stored_letters = {(str(sitting), position): letters for sitting, position, letters in answer_rows}
    return {
        (sitting, position): (letters, stored_letters.get((sitting, position)))
        for sitting, answers in tapped.items()
        for position, letters in answers.items()
        if stored_letters.get((sitting, position)) != letters
    }


def _miscounted(home: Path) -> int:
    """Sittings that are not handed in, or whose score is not what their answers are worth by the keys: each
    right one of a hundred a point."""
    return _count(
        home,
        """sitting s where s.handed_in_at is null or s.score_tenths <> (
        select 10 * count(*) from sitting_answer a join question_version v on v.id = split_part(s.layout ->> a.position, ' ', 1)::uuid
        where a.sitting_id = s.id and a.letters = v.answer
    )""",
    )
