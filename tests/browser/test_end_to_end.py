"""The whole way from two empty provinces to two certificates, step by step at the same time.

An operator opens the provinces; their administrators, clerks, reviewers and one doctor each do the rest. In
one province all of them do it on their screens in a real browser, in the other by the same forms of the same
pages over HTTP. Nothing else is used.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyotp
import pytest
import redis
from playwright.sync_api import Browser, Page, expect
from rq import Queue

from dingkao.embedded.stack import Stack
from dingkao.embedded.supervisor import Supervisor, program_command
from dingkao.jobs.enqueueing import SCHEDULED_QUEUE
from dingkao.timetable import run_task
from tests import engines
from tests.browser.conftest import DESK
from tests.browser.form_way import FormWay
from tests.browser.province_way import NAMES, ProvinceWay


@pytest.fixture
def pages(browser: Browser, served: str, worker: Supervisor) -> Iterator[Any]:
    """Open pages of one's own; questions are answered with yes; script errors, refused content and server
    faults fail the test."""
    contexts, faults = [], []

    def make(viewport: dict[str, int]) -> Page:
        context = browser.new_context(
            viewport=viewport, base_url=served, locale="zh-CN", accept_downloads=True
        )
        contexts.append(context)
        page = context.new_page()
        page.on("dialog", lambda dialog: dialog.accept())
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "console",
            lambda said: (
                faults.append(said.text) if re.search("Content.Security|Refused", said.text) else None
            ),
        )
        page.on(
            "response",
            lambda answer: faults.append(f"{answer.status} {answer.url}") if answer.status >= 500 else None,
        )
        return page

    yield make
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def emptied(request: pytest.FixtureRequest, shared_engines: Path, stack: Stack) -> None:
    """Nothing in the engines, also where the test is run once more in the same module."""
    if getattr(request.node, "execution_count", 1) > 1:
        engines.clone(shared_engines, engines.database_of(stack))
        engines.empty(stack)


def apply_lines(stack: Stack) -> None:
    """Have the worker apply the pass lines that are approved, as the timetable has it do every twenty
    seconds (the timetable itself: test_make_run.py)."""
    queue = Queue(SCHEDULED_QUEUE, connection=redis.Redis.from_url(stack.environment["REDIS_URL"]))
    queue.enqueue(run_task, "apply_lines")


def test_two_provinces_from_nothing_to_two_certificates(emptied, pages, served, stack, tmp_path):
    completed = subprocess.run(  # noqa: S603
        program_command("operators", "add", "yunying", "平台运营", "--json"),
        env=os.environ | stack.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    first = json.loads(completed.stdout)["one_time_code"]

    operator = pages(DESK)
    operator.goto("/platform/first")
    operator.get_by_label("用户名").fill("yunying")
    operator.get_by_label("一次性代码").fill(first)
    operator.get_by_label("新密码").fill("changjiang-huanghe-26x")
    operator.get_by_label("确认密码").fill("changjiang-huanghe-26x")
    operator.get_by_role("button", name="提交").click()
    operator.get_by_label("动态口令").fill(pyotp.TOTP(operator.locator("#secret").inner_text()).now())
    operator.get_by_role("button", name="确定").click()
    expect(operator.get_by_role("heading", name="省份")).to_be_visible()

    ways = {
        "shanxi": ProvinceWay("shanxi", pages, operator, tmp_path, partial(apply_lines, stack)).steps(),
        "henan": FormWay("henan", served, operator, tmp_path, partial(apply_lines, stack)).steps(),
    }
    reached = dict.fromkeys(ways, "")
    while ways:
        for slug in list(ways):
            try:
                reached[slug] = next(ways[slug])
            except StopIteration:
                del ways[slug]
    assert reached == dict.fromkeys(NAMES, "done")
    assert len({(tmp_path / f"{slug}.png").read_bytes() for slug in NAMES}) == 2
