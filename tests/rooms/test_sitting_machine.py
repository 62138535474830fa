"""One sitting under everything that happens to one, at random, by HTTP on the real database: taps, losses,
repetitions, answers that arrive late or out of order, reloads, tabs, other devices, wrong clocks, the end of
the time, hand-in, cut connections.

`Page` does what static/js/sitting.js does. What is held, after every step: the database has exactly what the
rules say was accepted; what the doctor last saw as 已保存 is kept, or a later tap of the doctor's own; after
the end, what is kept is what was marked, once.

DINGKAO_DEEP=500 tries 500 examples of chance instead of the few that are the same in every run.
"""

import json
import re
import threading
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.exams import answer_saving, sitting_completion
from dingkao.exams.models.sitting_models import Sitting
from dingkao.journal.models import JournalEntry
from tests.property_examples import DEEP
from tests.rooms.sitting_world import CODE, SIZE, SLUG, Browser, Cut, Page, World

LETTERS = st.sets(st.sampled_from("ABCDE"), max_size=3).map(lambda chosen: "".join(sorted(chosen)))
SKEWS = st.sampled_from([0, 0, 3_600_000, -3_600_000])
FATES = st.sampled_from(["fine", "fine", "fine", "request lost", "reply lost", "twice", "held"])
CUTS = st.sampled_from([None, None, None, "before", "after", "for good"])
SECONDS_LEFT = {"open": 3000, "grace": -20, "over": -120}


class SittingMachine(RuleBasedStateMachine):
    """The doctor, their phones, the network between, and what the rules make of it."""

    world: Any  # given by the test

    @initialize()
    def begin(self) -> None:
        """A fresh sitting, on a first phone."""
        world = self.world
        world.begin_anew()
        self.epoch, self.left, self.handed_in = 1, "open", False
        self.server: dict[int, tuple[str, int]] = {}  # what must be kept
        self.taps: dict[tuple[int, int], set[str]] = {}  # what the doctor has tapped, by position and number
        self.seen: dict[int, tuple[str, int]] = {}  # what the doctor last saw as 已保存
        self.held: list[tuple[Page | None, dict[str, Any], str]] = []  # on their way
        self.browsers = [Browser(world.doctor.client, 0)]
        paper = re.search(r"/sitting/paper/([0-9a-f-]{36})", world.doctor.get("/sitting"))
        assert paper
        place = world.doctor.post(f"/sitting/paper/{paper[1]}", promise="yes").location
        self.sitting = place.rsplit("/", 1)[1]
        self.owner: tuple[Browser, int] = (self.browsers[0], 1)
        self.end = self.world.set_end(self.sitting, SECONDS_LEFT[self.left])
        self.keys = world.keys(self.sitting)
        self.pages: list[Page] = []
        self.front: Page | None = None
        self.visit(self.browsers[0])

    # --- what happens

    @rule(which=st.integers(0, 5), position=st.integers(0, SIZE - 1), letters=LETTERS, fate=FATES, cut=CUTS)
    def tap(self, which: int, position: int, letters: str, fate: str, cut: str | None) -> None:
        """Choose an answer, which is sent at once."""
        if (page := self.attended(which)) is None:
            return
        answer = page.tap(position, letters)
        self.taps.setdefault((position, answer["sequence"]), set()).add(letters)
        self.send(page, answer, fate, cut)

    @rule(which=st.integers(0, 5), order=st.integers(0, 5), fate=FATES, cut=CUTS)
    def send_again(self, which: int, order: int, fate: str, cut: str | None) -> None:
        """Send what waits, in whatever order."""
        page = self.attended(which)
        if page and page.waiting:
            self.send(page, list(page.waiting.values())[order % len(page.waiting)], fate, cut)

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 5), answered=st.booleans())
    def arrive(self, which: int, answered: bool) -> None:
        """What was held up on its way arrives, and its reply comes back or not."""
        page, answer, token = self.held.pop(which % len(self.held))
        self.deliver(page if answered and page in self.pages else None, answer, token)

    @rule(which=st.integers(0, 5))
    def kill(self, which: int) -> None:
        """The page is closed or its browser killed; what the phone has stored stays."""
        if self.pages:
            closed_page = self.pages.pop(which % len(self.pages))
            self.front = None if self.front is closed_page else self.front

    @rule(which=st.integers(0, 5))
    def open_again(self, which: int) -> None:
        """Open the page, or a second tab, or reload: on a phone that is not the one answering this takes
        over."""
        self.visit(self.browsers[which % len(self.browsers)])

    @rule(skew=SKEWS)
    def another_device(self, skew: int) -> None:
        """Another phone goes on."""
        if len(self.browsers) < 3:
            client = self.world.application.test_client()
            client.set_cookie(f"dk-{SLUG}", self.world.doctor.client.get_cookie(f"dk-{SLUG}").value)
            self.browsers.append(Browser(client, skew))
            self.visit(self.browsers[-1])

    @rule(which=st.integers(0, 2), skew=SKEWS)
    def wrong_clock(self, which: int, skew: int) -> None:
        """A phone believes in another time from now on."""
        self.browsers[which % len(self.browsers)].skew = skew

    @rule(seconds=st.sampled_from([-600, 0, 600]))
    def web_servers_clock(self, seconds: int) -> None:
        """The web server's clock is wrong; the database's is what counts."""
        self.world.shift(seconds)

    @rule(chance=st.integers(0, 3))
    def time_goes_by(self, chance: int) -> None:
        """The end comes nearer: into the minute of grace, then past it."""
        if chance == 0 and self.left != "over":
            self.left = {"open": "grace", "grace": "over"}[self.left]
            self.end = self.world.set_end(self.sitting, SECONDS_LEFT[self.left])

    @rule()
    def duty(self) -> None:
        """The timetable hands in what is past its grace, by the clock of its own process."""
        with self.world.in_province(SLUG):
            due = self.end < clock.now() - sitting_completion.GRACE_PERIOD
            sitting_completion.close_overdue()
        self.handed_in = self.handed_in or due

    @rule(which=st.integers(0, 5), fate=st.sampled_from(["fine", "fine", "reply lost", "twice", "crash"]))
    def hand_in(self, which: int, fate: str) -> None:
        """交卷, with what could not be sent yet."""
        if (page := self.attended(which)) is None:
            return
        if fate == "crash":
            with self.world.broken(sitting_completion, "hand_in_sitting"):
                assert page.hand_in(self.sitting).status_code == (
                    503 if self.may_hand_in(page) else self.wanted_of_hand_in(page)
                )
            if self.may_hand_in(page):
                self.accept_outstanding(page)
            return
        for _ in range(2 if fate == "twice" else 1):
            expected_status, may = self.wanted_of_hand_in(page), self.may_hand_in(page)
            reply = page.hand_in(self.sitting)
            assert reply.status_code == expected_status, reply.get_data(as_text=True)
            if may:
                self.accept_outstanding(page)
                self.handed_in = True
        if fate != "reply lost" and expected_status == 200:
            page.browser.stored.clear()
            self.pages.remove(page)
            self.front = None

    @precondition(lambda self: not self.handed_in and self.left != "over")
    @rule(position=st.integers(0, SIZE - 1), letters=LETTERS)
    def hand_in_while_saving(self, position: int, letters: str) -> None:
        """Hand in from one tab while another saves, truly at once: the answer is refused, or kept and
        marked."""
        page = next((page for page in self.pages if not page.over and self.may_hand_in(page)), None)
        if page is None:
            return
        answer = page.tap(position, letters)
        self.taps.setdefault((position, answer["sequence"]), set()).add(letters)
        del page.waiting[position]
        replies: list[Any] = []
        thread = threading.Thread(
            target=lambda: (
                replies.append(self.world.post_answer(self.sitting, answer, page.data["token"])),
                answer_saving._close_connection(),
            )
        )
        thread.start()
        assert page.hand_in(self.sitting).status_code == 200
        thread.join()
        if replies[0].status_code == 200:
            self.accept(answer)
            self.seen[position] = self.server[position]
        else:
            assert replies[0].status_code == 409
        self.accept_outstanding(page)
        self.handed_in = True
        self.pages.remove(page)
        self.front = None

    # --- what is held to

    @invariant()
    def what_was_accepted_is_kept(self) -> None:
        """The database has what the rules accepted and nothing else."""
        assert self.world.kept(self.sitting) == self.server

    @invariant()
    def what_was_seen_as_saved_is_kept(self) -> None:
        """Or a later tap of the doctor's own, whose reply was lost."""
        for position, (letters, number) in self.seen.items():
            stored_answer = self.server[position]
            assert stored_answer == (letters, number) or (
                stored_answer[1] > number and stored_answer[0] in self.taps[position, stored_answer[1]]
            )

    def teardown(self) -> None:
        """At last the time is over: nothing more is taken, and what is kept is what is marked."""
        if not hasattr(self, "keys"):
            return
        self.world.shift(0)
        self.left = "over"
        self.end = self.world.set_end(self.sitting, SECONDS_LEFT[self.left])
        for page, answer, token in self.held:
            self.deliver(page if page in self.pages else None, answer, token)
        for page in self.pages:
            for answer in list(page.waiting.values()):
                assert self.world.post_answer(self.sitting, answer, page.data["token"]).status_code == 409
        for _ in range(2):
            self.duty()
        self.what_was_accepted_is_kept()
        self.what_was_seen_as_saved_is_kept()
        right = sum(self.server.get(position, ("", 0))[0] == key for position, key in enumerate(self.keys))
        with self.world.in_province(SLUG):
            sitting = db.session.get_one(Sitting, (CODE, UUID(self.sitting)))
            assert sitting.score_tenths == (2000 * right + SIZE) // (2 * SIZE)
            handed = select(func.count()).where(
                JournalEntry.subject_id == sitting.id, JournalEntry.verb == "handed_in"
            )
            assert db.session.scalar(handed) == 1
            assert db.session.get_one(Assessment, (CODE, sitting.assessment_id)).state == "scored"

    # --- the rules, once more

    def verdict(self, answer: dict[str, Any], epoch: int) -> tuple[int, str]:
        """The status an answer must get, and what must be said of it."""
        if self.handed_in or epoch != self.epoch:
            return 409, ""
        in_time = answer["tapped"] <= self.end.timestamp() * 1000
        if self.left == "over" or (self.left == "grace" and not in_time):
            return 409, ""
        return 200, "saved" if answer["sequence"] > self.server.get(answer["position"], ("", 0))[
            1
        ] else "older"

    def accept(self, answer: dict[str, Any]) -> None:
        """Keep the newest."""
        if answer["sequence"] > self.server.get(answer["position"], ("", 0))[1]:
            self.server[answer["position"]] = (answer["letters"], answer["sequence"])

    def accept_outstanding(self, page: Page) -> None:
        """What came along with a hand-in: each by itself, in time or not."""
        for answer in page.waiting.values():
            if self.verdict(answer, self.epoch)[0] == 200:
                self.accept(answer)

    def may_hand_in(self, page: Page) -> bool:
        """Whether pressing 交卷 on the page hands in."""
        return not self.handed_in and self.owner == (page.browser, self.epoch)

    def wanted_of_hand_in(self, page: Page) -> int:
        """What pressing 交卷 must be answered with: the end also where all was over before."""
        return 200 if self.handed_in or self.may_hand_in(page) else 409

    # --- the network

    def send(self, page: Page, answer: dict[str, Any], fate: str, cut: str | None) -> None:
        """One answer on its way, with what happens to it."""
        token = page.data["token"]
        if fate == "held":
            self.held.append((page, answer, token))
        elif fate != "request lost":
            with self.world.cut(cut):
                self.deliver(None if fate == "reply lost" else page, answer, token, cut)
            if fate == "twice":
                self.deliver(page, answer, token)

    def deliver(self, page: Page | None, answer: dict[str, Any], token: str, cut: str | None = None) -> None:
        """The answer arrives; `page` learns of the reply, None where it is lost."""
        status, word = self.verdict(answer, int(token.split("|")[2].split(".")[0]))
        reply = self.world.post_answer(self.sitting, answer, token)
        if status == 200:
            self.accept(answer)
        if cut == "for good":
            assert reply.status_code == 503
            return
        if cut == "after" and status == 200:
            word = "older"  # the server's own second try finds the first
        assert reply.status_code == status, (reply.get_json(), self.left, self.epoch)
        if page is None:
            return
        if status != 200:
            page.over = True
            return
        assert reply.get_json()["kept"] == word
        if word == "older":
            self.ask(page)
            return
        position = answer["position"]
        page.drop(position, answer["sequence"])
        if page.waiting.get(position, {}).get("sequence") == answer["sequence"]:
            del page.waiting[position]
            if page is self.front:
                self.seen[position] = (answer["letters"], answer["sequence"])

    def ask(self, page: Page) -> None:
        """How the sitting stands: asked when a page is shown again."""
        payload = page.browser.client.get(page.data["standing"]).get_json()
        assert payload["open"] is not self.handed_in
        assert payload["mine"] is (self.owner == (page.browser, self.epoch) and not self.handed_in)
        if not payload["mine"]:
            page.over = True
            return
        page.adopt(payload)
        self.looked_at(page)

    def looked_at(self, page: Page) -> None:
        """All that the page shows and does not wait is shown as saved."""
        self.front = page
        self.seen |= {
            position: shown_answer
            for position, shown_answer in page.known_answers.items()
            if position not in page.waiting
        }

    def attended(self, which: int) -> Page | None:
        """The page the doctor turns to, when it still takes answers."""
        alive = [page for page in self.pages if not page.over]
        if not alive:
            return None
        page = alive[which % len(alive)]
        if page is not self.front:
            self.ask(page)
        return None if page.over else page

    def visit(self, browser: Browser) -> None:
        """Open the sitting's page on a phone; where it asks whether to go on here, say yes."""
        place = f"/{SLUG}/sitting/{self.sitting}"
        response = browser.client.get(place)
        if self.handed_in:
            assert response.location.endswith("/end")
            return
        text = response.get_data(as_text=True)
        if 'id="data"' not in text:
            assert self.owner != (browser, self.epoch)
            token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', text)
            assert token
            browser.client.post(f"{place}/take-over", data={"csrf_token": token[1]})
            self.epoch += 1
            self.owner = (browser, self.epoch)
            text = browser.client.get(place).get_data(as_text=True)
        data, form = (
            re.search(pattern, text, re.DOTALL)
            for pattern in (r'id="data">(.*?)</script>', r'name="csrf_token"[^>]*value="([^"]+)"')
        )
        assert data
        assert form
        self.pages.append(Page(browser, json.loads(data[1]), form[1]))
        self.looked_at(self.pages[-1])


@pytest.fixture
def world(application, in_province, monkeypatch, stack):
    Cut.home = stack.home
    yield World(application, in_province, monkeypatch)
    answer_saving._close_connection()


@pytest.mark.hypothesis
def test_what_the_doctor_last_saw_as_saved_is_what_is_marked(world):
    class Machine(SittingMachine):
        pass

    Machine.world = world
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=DEEP or 12,
            stateful_step_count=60 if DEEP else 40,
            deadline=None,
            derandomize=not DEEP,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            report_multiple_bugs=False,
        ),
    )
