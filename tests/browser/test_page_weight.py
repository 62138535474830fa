"""What pages weigh on the wire, and how long they take on a slow third-generation network (400 kbit/s, 400
ms, a processor four times slower).

Time is counted first, from round trips, bytes and the page's own processor time, which a busy machine doesn't
change; then it is measured, and the best of a few tries counts.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from dingkao.database.arrays import split_into_batches
from dingkao.people.permissions import ACTION_ROLES
from tests import actors
from tests.browser.conftest import PHONE

SLUG = "guangdong"
FIRST_PAGE_BYTES, LATER_PAGE_BYTES = 90_000, 15_000
LOGIN_SECONDS, STEP_SECONDS = 5.0, 2.0
RATE, LATENCY, SLOWER = 400_000 / 8, 0.4, 4
TRIES, TABS = 5, 6
_serial = actors.unused_serials(SLUG)


class Wire:
    """What passes between a page and the server, told by the browser's own network log."""

    def __init__(self, page: Page) -> None:
        self.page, self.talk = page, page.context.new_cdp_session(page)
        self.asked: dict[str, dict[str, Any]] = {}
        self.bytes: dict[str, int] = {}
        self.talk.send("Network.enable")
        self.talk.send("Performance.enable", {"timeDomain": "threadTicks"})
        self.talk.on("Network.requestWillBeSent", self._asks)
        self.talk.on(
            "Network.loadingFinished",
            lambda told: self.bytes.update({told["requestId"]: int(told["encodedDataLength"])}),
        )

    def _asks(self, told: dict[str, Any]) -> None:
        if "redirectResponse" in told:  # the request goes on under its id
            redirect_key = told["requestId"] + "+"
            self.asked[redirect_key] = self.asked.get(told["requestId"], told)
            self.bytes[redirect_key] = int(told["redirectResponse"]["encodedDataLength"])
        self.asked[told["requestId"]] = told

    def during(self, act: Any) -> int:
        """The bytes that `act`, and all that it sets going, brings."""
        self.begins()
        act()
        return self.ends()

    def begins(self) -> None:
        """Count from here."""
        self.asked.clear()
        self.bytes.clear()

    def ends(self) -> int:
        """The bytes since then, when the page asks for nothing more."""
        self.page.wait_for_load_state("networkidle")
        return sum(self.bytes.values())

    def work(self, act: Any) -> float:
        """The seconds of processor that the page which `act` leads to spends on its own thread, whatever else
        this machine has to do."""
        self.during(act)
        metrics = {
            metric["name"]: metric["value"] for metric in self.talk.send("Performance.getMetrics")["metrics"]
        }
        return float(metrics["TaskDuration"])

    @contextmanager
    def slow(self) -> Iterator[None]:
        """Make the network and the processor slow for as long as something is measured: a slow processor is
        one that is kept busy with nothing."""
        self._set_speed(LATENCY * 1000, RATE, SLOWER)
        yield
        self._set_speed(0, -1, 1)

    def _set_speed(self, latency: float, rate: float, slower: int) -> None:
        self.talk.send(
            "Network.emulateNetworkConditions",
            {"offline": False, "latency": latency, "downloadThroughput": rate, "uploadThroughput": rate},
        )
        self.talk.send("Emulation.setCPUThrottlingRate", {"rate": slower})

    def waits(self) -> float:
        """The seconds until the page can be used, by count: a round trip for each request that has to end
        before the next can begin (what is sent, answers that lead elsewhere, the page, then the style sheets
        together), and the time that all bytes until then take."""
        kinds = {
            key: "Document" if request["request"]["method"] == "POST" else request.get("type")
            for key, request in self.asked.items()
        }
        chain = sum(kind == "Document" for kind in kinds.values())
        sheets = [key for key, kind in kinds.items() if kind == "Stylesheet" and self.bytes.get(key)]
        needed = [key for key, kind in kinds.items() if kind in ("Document", "Stylesheet")]
        return (chain + bool(sheets)) * LATENCY + sum(self.bytes.get(key, 0) for key in needed) / RATE


@pytest.fixture(scope="module")
def doctor(application, in_province, address):
    """A doctor whose five steps are filled in and not submitted."""
    someone = actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
    someone.file()
    return someone


@pytest.fixture(scope="module")
def ready(application, in_province, address):
    """A doctor who is 待测评, with papers and a bank."""
    someone = actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
    actors.demonstration_bank(in_province, SLUG)
    actors.open_papers(in_province, SLUG)
    someone.post("/filing/notice")
    actors.advance_to(in_province, someone, "ready")
    return someone


def phone(open_page: Any, someone: actors.SignedInDoctor | None = None) -> Page:
    page = open_page(PHONE)
    if someone:
        name = f"dk-{SLUG}"
        page.context.add_cookies(
            [
                {
                    "name": name,
                    "value": someone.client.get_cookie(name).value,
                    "url": page.context._impl_obj._options["baseURL"],
                }
            ]
        )
    return page


def press(page: Page, button: str, text: str) -> None:
    """Type into a step and press a button of it, up to the page it leads to, or where it stays, to the
    server's word that all is kept."""
    page.get_by_label("通信地址").fill(text)
    if button == "保存":
        page.get_by_role("button", name=button).click()
        page.wait_for_function("() => !Object.keys(localStorage).some((key) => key.startsWith('dk-keep:'))")
    else:
        with page.expect_navigation(url="**/filing/2", wait_until="commit"):
            page.get_by_role("button", name=button).click()


def crowd() -> float:
    """How many want each processor of this machine, at least one: what is measured takes as much longer as
    others have to be served."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def doctors_pages(application: Any) -> list[str]:
    """Every address without arguments that a doctor has, and the steps of the filing."""
    rules = [
        rule for rule in application.url_map.iter_rules() if "GET" in rule.methods and not rule.arguments
    ]
    doctor_rules = [
        rule.rule
        for rule in rules
        if "doctor" in ACTION_ROLES.get(application.view_functions[rule.endpoint].action, ())
    ]
    return [
        *(rule for rule in doctor_rules if "." not in rule),
        *(f"/filing/{step}" for step in range(1, 6)),
        "/display",
    ]


def test_the_login_page_is_light_at_the_first_visit(open_page, doctor):
    wire = Wire(phone(open_page))
    size = wire.during(lambda: wire.page.goto(f"/{SLUG}/login"))
    assert 5_000 < size <= FIRST_PAGE_BYTES, size


@pytest.mark.parametrize("whose", ["doctor", "ready"])
def test_every_later_page_is_light(open_page, application, request, whose):
    wire = Wire(phone(open_page, request.getfixturevalue(whose)))
    wire.during(lambda: wire.page.goto(f"/{SLUG}/login"))
    wires, sizes = [wire, *(Wire(wire.page.context.new_page()) for _ in range(TABS - 1))], {}
    for addresses in split_into_batches(
        doctors_pages(application), TABS
    ):  # that a page asks for nothing more takes half a second to see
        for tab, address in zip(wires, addresses, strict=False):
            tab.begins()
            tab.page.goto(f"/{SLUG}{address}", wait_until="commit")
        sizes |= {address: wire.ends() for wire, address in zip(wires, addresses, strict=False)}
    assert all(sizes.values()), sizes
    assert {address: size for address, size in sizes.items() if size > LATER_PAGE_BYTES} == {}


def test_a_form_with_faults_is_light_too(open_page, doctor):
    wire = Wire(phone(open_page, doctor))
    wire.during(lambda: wire.page.goto(f"/{SLUG}/filing/2"))
    wire.page.get_by_label("资格证书编码").fill("???")
    size = wire.during(lambda: wire.page.get_by_role("button", name="下一步").click())
    expect(wire.page.get_by_role("alert")).to_be_visible()
    assert size <= LATER_PAGE_BYTES


def test_the_login_page_is_soon_usable_on_a_slow_phone(open_page, doctor):
    wire = Wire(phone(open_page))
    wire.during(lambda: wire.page.goto("/?pick=1"))
    wire.talk.send("Network.clearBrowserCache")
    work = wire.work(lambda: wire.page.goto(f"/{SLUG}/login"))
    estimate = wire.waits() + SLOWER * work
    assert 2 * LATENCY < estimate <= LOGIN_SECONDS, (
        f"{wire.waits():.2f} s on the network and {work:.3f} s of work"
    )
    durations = []
    for _ in range(TRIES):
        wire = Wire(phone(open_page))
        with wire.slow():
            started_at = time.monotonic()
            wire.page.goto(f"/{SLUG}/login", wait_until="commit")
            wire.page.get_by_label("账号").fill("140105198001020018")
            expect(wire.page.get_by_role("button", name="登录", exact=True)).to_be_enabled()
            durations.append(time.monotonic() - started_at)
        if durations[-1] <= LOGIN_SECONDS * crowd():
            return
        wire.page.wait_for_load_state("networkidle")
    pytest.fail(f"not once in time: {durations}")


@pytest.mark.parametrize("button", ["保存", "下一步"])
def test_a_step_is_soon_saved_on_a_slow_phone(open_page, doctor, button):
    wire = Wire(phone(open_page, doctor))
    for number in (1, 2):  # warm: what both pages share has been fetched
        wire.during(lambda number=number: wire.page.goto(f"/{SLUG}/filing/{number}"))
    wire.page.goto(f"/{SLUG}/filing/1")
    work = wire.work(lambda: press(wire.page, button, "长治市"))
    estimate = wire.waits() + SLOWER * work
    assert LATENCY < estimate <= STEP_SECONDS, f"{wire.waits():.2f} s on the network and {work:.3f} s of work"
    durations = []
    for tries in range(TRIES):
        wire.page.goto(f"/{SLUG}/filing/1")
        wire.begins()
        with wire.slow():
            started_at = time.monotonic()
            press(wire.page, button, f"长治市英雄路{tries}号")
            expect(wire.page.locator(".save-status")).to_contain_text("已保存")
            wire.page.get_by_role("button", name="下一步").focus()
            durations.append(time.monotonic() - started_at)
        if durations[-1] <= STEP_SECONDS * crowd():
            return
        wire.page.wait_for_load_state("networkidle")
    pytest.fail(f"not once in time: {durations}")
