"""What a bounded child may take and see, and what becomes of a call that wants more."""

import _thread
import builtins
import contextlib
import math
import operator
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask import Flask

from dingkao.assessments import roster_imports as roster_intake
from dingkao.errors import InvalidInput, Unavailable
from dingkao.integrations.pdf import rendering
from dingkao.integrations.sandbox import fork_server, kernel_restrictions, runner, server_handle
from dingkao.integrations.sandbox.runner import (
    JOB_LIMITS,
    MB,
    REQUEST_LIMITS,
    LimitExceeded,
    Limits,
    Unreadable,
)
from dingkao.integrations.spreadsheets import sheet_reader, xlsx_writer
from dingkao.jobs import worker
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people import institution_imports as institutions_intake
from dingkao.question_banks import import_jobs as questions_intake
from tests import sample_data
from tests.ordinary_users import find_ordinary_user, link_environment, subprocess_identity

SENTENCE = "请换一个较小的文件。"
PATIENCE = 60
SMALL = Limits(192 * MB, 1, 2 * MB, PATIENCE)
MORE_THAN_A_PIPE = 400_000
"""So many numbers are more than a pipe takes in, and less than the bound of output."""


def call(function, *arguments, bounds=SMALL):
    return runner.run(function, *arguments, limit_message=SENTENCE, limits=bounds)


def children_of(pid: int) -> list[int]:
    """The processes whose parent is `pid`."""
    with contextlib.suppress(OSError):
        return [int(part) for part in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def gone(*pids: int) -> bool:
    """Whether all of them end before long."""
    deadline = time.monotonic() + PATIENCE
    while any(_lives(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    return False


@pytest.fixture
def spent(monkeypatch):
    """What is told of calls that come to their bounds: (why, what the child took)."""
    reached_limits = []
    monkeypatch.setattr(
        runner, "log_limit_reached", lambda _name, taken, why: reached_limits.append((why, taken))
    )
    return reached_limits


@pytest.fixture
def faults(monkeypatch):
    """What is logged of calls that fail otherwise."""
    errors = []
    monkeypatch.setattr(
        runner.log, "error", lambda event, **values: errors.append({"event": event} | values), raising=False
    )
    return errors


def test_a_result_comes_back_as_it_is_and_items_one_after_another():
    assert call(Decimal, "1.50") == Decimal("1.50")
    assert list(runner.iterate(builtins.range, 5000, limit_message=SENTENCE, limits=SMALL)) == list(
        range(5000)
    )
    assert list(runner.iterate(builtins.range, 0, limit_message=SENTENCE, limits=SMALL)) == []


def test_arguments_given_by_name_come_to_the_child(monkeypatch):
    sent = []
    monkeypatch.setattr(runner, "run", lambda _function, *arguments, **_more: sent.append(arguments))
    monkeypatch.setattr(fork_server, "is_sandboxed", False)

    @runner.sandboxed(SENTENCE)
    def join(first, second="b", third="c"):
        return first + second + third

    @runner.sandboxed(SENTENCE)
    def join_named(first, *, second):
        return first + second

    join("a", third="d")
    join(first="x")
    assert sent == [("a", "b", "d"), ("x", "b", "c")]
    with pytest.raises(TypeError):
        join("a", fourth="e")
    with pytest.raises(TypeError, match="second"):
        join_named("a", second="b")


@pytest.mark.parametrize(
    ("function", "arguments", "why"),
    [
        (bytearray, (1 << 40,), "memory"),
        (math.factorial, (10**7,), "time"),
        (os.urandom, (3 * MB,), "output"),
        (os.abort, (), "died"),
        (os._exit, (0,), "died"),
    ],
    ids=["memory", "processor", "output", "abort", "exit"],
)
def test_beyond_a_bound_there_is_a_sentence_and_no_process_left(function, arguments, why, spent):
    with pytest.raises(LimitExceeded, match=SENTENCE):
        call(function, *arguments)
    ((reason, child),) = spent
    assert reason == why
    assert child.memory < SMALL.memory
    assert child.processor < SMALL.seconds + 1
    assert gone(*children_of(runner._servers.process.pid))


def test_a_machine_that_is_too_slow_is_not_blamed_on_the_file(spent):
    with pytest.raises(Unavailable, match="服务器正忙"):
        call(time.sleep, 60, bounds=Limits(96 * MB, 1, 2 * MB, 0.5))
    assert [why for why, _ in spent] == ["patience"]
    assert gone(*children_of(runner._servers.process.pid))
    stopped = runner.iterate(builtins.range, MORE_THAN_A_PIPE, limit_message=SENTENCE, limits=SMALL)
    assert next(stopped) == 0
    (child,) = children_of(runner._servers.process.pid)
    os.kill(child, signal.SIGSTOP)
    threading.Timer(1.5, os.kill, (child, signal.SIGCONT)).start()
    assert (
        sum(1 for _ in stopped) == MORE_THAN_A_PIPE - 1
    )  # though it made us wait longer than it may compute


def test_memory_is_counted_with_what_the_child_began_with(spent):
    assert len(call(operator.mul, b"x", MB)) == MB
    with pytest.raises(LimitExceeded):
        call(operator.mul, b"x", SMALL.memory - 4 * MB)
    assert spent[0][1].memory < SMALL.memory


def test_the_time_we_let_it_wait_is_not_its_own(monkeypatch):
    passed = [0]
    monkeypatch.setattr(runner, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + passed[0]))
    slow = runner.iterate(builtins.range, MORE_THAN_A_PIPE, limit_message=SENTENCE, limits=SMALL)
    assert next(slow) == 0
    passed[0] = 2 * PATIENCE
    assert sum(1 for _ in slow) == MORE_THAN_A_PIPE - 1


def test_what_is_not_read_to_its_end_ends_at_once():
    unread = runner.iterate(builtins.range, 10**12, limit_message=SENTENCE, limits=SMALL)
    assert next(unread) == 0
    child_processes = children_of(runner._servers.process.pid)
    assert len(child_processes) == 1
    unread.close()
    assert gone(*child_processes)


def test_a_refusal_is_raised_as_it_is_and_another_fault_is_logged_without_its_values(faults):
    with pytest.raises(InvalidInput, match="文件是空的") as refused:
        list(sheet_reader.read_rows(b"", {}, ()))
    assert type(refused.value) is InvalidInput
    unpickled = runner._load_pickled(pickle.dumps(InvalidInput("不行", "photo")))
    assert (type(unpickled), unpickled.message, unpickled.field) == (InvalidInput, "不行", "photo")
    with pytest.raises(Unreadable, match="另存为新文件"):
        call(builtins.int, "秘密")
    assert (faults[0]["event"], faults[0]["kind"]) == ("bounded.broken", "ValueError")
    assert "秘密" not in str(faults)


@pytest.mark.parametrize(
    "forged", [os.system, builtins.eval, builtins.getattr, subprocess.Popen, runner.preload, Flask, Path]
)
def test_what_comes_back_is_data_and_nothing_that_acts(forged):
    with pytest.raises(Unreadable):
        runner._load_pickled(pickle.dumps(forged))


@pytest.mark.parametrize("read", [runner._SandboxCall.result, lambda child: list(child.iter_items())])
def test_a_frame_of_an_unknown_kind_is_no_item(read):
    pipe, results = os.pipe()
    content = pickle.dumps(["forged"])
    os.write(results, fork_server.FRAME_HEADER.pack(b"z", len(content)) + content)
    os.close(results)
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(Unreadable):
        read(runner._SandboxCall("forged", ours, pipe, SMALL, SENTENCE))
    os.close(pipe)


def test_the_child_has_no_environment_and_no_descriptor_but_its_own(monkeypatch, faults):
    monkeypatch.setenv("DATA_KEY", "secret")
    runner._servers.stop()
    assert call(os.getenv, "DATA_KEY") is None
    assert call(os.get_inheritable, 4) in (True, False)
    for descriptor in range(5, 40):
        with pytest.raises(Unreadable):
            call(os.get_inheritable, descriptor)
    assert {fault["kind"] for fault in faults} == {"OSError"}


def test_the_child_sees_programs_and_no_other_files(tmp_path, faults):
    if kernel_restrictions._libc.syscall(kernel_restrictions.LANDLOCK_CREATE, None, 0, 1) < 1:
        pytest.skip("this kernel has no Landlock")
    (tmp_path / "environment").write_text("DATA_KEY=secret")
    assert call(os.listdir, "/usr")
    for function, arguments in (
        (os.listdir, (str(tmp_path),)),
        (os.listdir, (f"/proc/{os.getpid()}",)),
        (shutil.copyfile, (str(tmp_path / "environment"), str(tmp_path / "copy"))),
        (shutil.copyfile, (sys.executable, str(tmp_path / "copy"))),
        (os.unlink, (str(tmp_path / "environment"),)),
    ):
        with pytest.raises(Unreadable):
            call(function, *arguments)
    assert {fault["kind"] for fault in faults} == {"PermissionError"}
    assert [path.name for path in tmp_path.iterdir()] == ["environment"]


@pytest.fixture
def our_server():
    """The fork server runs as whoever runs the tests, perhaps root."""


@pytest.fixture
def ordinary_server(monkeypatch):
    """The fork server runs as an ordinary user, for whom other limits hold than for root."""
    user = find_ordinary_user()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        start = partial(subprocess.Popen, **subprocess_identity(user))
        monkeypatch.setattr(
            server_handle, "subprocess", SimpleNamespace(Popen=start, DEVNULL=subprocess.DEVNULL)
        )
        monkeypatch.setattr(sys, "executable", str(link_environment(Path(folder) / "environment", user)))
        runner._servers.stop()
        yield
        runner._servers.stop()


def test_what_an_ordinary_user_s_server_draws_is_drawn(ordinary_server):
    assert rendering.render_pdf_sandboxed("filing_form").startswith(b"%PDF")


@pytest.mark.parametrize("server", ["our_server", "ordinary_server"])
def test_the_child_starts_no_process_and_threads_only_where_it_may(server, request, faults):
    request.getfixturevalue(server)
    start_thread = (_thread.start_new_thread, time.sleep, (0,))
    for process_start in ((os.fork,), (os.execv, sys.executable, ["python"]), start_thread):
        with pytest.raises(Unreadable):
            call(*process_start)
    assert [fault["kind"] for fault in faults] == ["PermissionError", "PermissionError", "RuntimeError"]
    drawing = replace(SMALL, may_start_threads=True)
    assert call(*start_thread, bounds=drawing)
    with pytest.raises(Unreadable):
        call(os.fork, bounds=drawing)


def test_the_child_reaches_no_network(faults):
    with socket.create_server(("127.0.0.1", 0)) as heard:
        heard.settimeout(0.3)
        with pytest.raises(Unreadable):
            call(socket.create_connection, heard.getsockname(), 1)
        with pytest.raises(TimeoutError):
            heard.accept()


def test_a_server_that_has_died_is_started_again():
    assert call(builtins.abs, -1) == 1
    os.kill(runner._servers.process.pid, signal.SIGKILL)
    runner._servers.process.wait()
    assert call(builtins.abs, -1) == 1


ALONE = """
import time
from dingkao.integrations.sandbox import runner
runner.run(abs, -1, limit_message="")
print(runner._servers.process.pid, flush=True)
runner.run(time.sleep, 60, limit_message="")
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_children_and_server_end_with_their_owner(number):
    with subprocess.Popen([sys.executable, "-c", ALONE], stdout=subprocess.PIPE) as owner:  # noqa: S603
        server = int(owner.stdout.readline())
        deadline = time.monotonic() + PATIENCE
        while not (working := children_of(server)) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert working
        owner.send_signal(number)
        owner.wait()
        assert gone(server, *working)


def test_a_request_has_smaller_bounds_than_a_job_and_few_run_at_once(application, monkeypatch):
    assert runner.current_limits() == JOB_LIMITS
    monkeypatch.setattr(runner, "START_TIMEOUT_SECONDS", 0.1)
    with application.test_request_context():
        assert runner.current_limits() == REQUEST_LIMITS
        holding = [
            runner.iterate(builtins.range, 10**9, limit_message=SENTENCE)
            for _ in range(server_handle.MAX_CONCURRENT)
        ]
        assert [next(call_chunks) for call_chunks in holding] == [0] * server_handle.MAX_CONCURRENT
        with pytest.raises(Unavailable, match="稍等"):
            call(builtins.abs, -1)
        for call_chunks in holding:
            call_chunks.close()
        assert call(builtins.abs, -1) == 1


def test_many_threads_get_each_its_own():
    answers = {}

    def ask(number: int) -> None:
        answers[number] = [call(builtins.abs, -number) for _ in range(5)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: [number] * 5 for number in range(8)}


def test_what_does_not_fit_a_request_goes_to_a_job_by_itself(
    application, provinces, in_province, monkeypatch
):
    tight, roster = (
        Limits(256 * MB, 10, 200, PATIENCE),
        sample_data.roster_xlsx([sample_data.roster_row(14, serial) for serial in range(900, 940)]),
    )
    questions = xlsx_writer.write_xlsx(
        ["题干", "选项", "答案"], [[f"第{index}题选哪一项", "A 甲\nB 乙", "A"] for index in range(40)]
    )
    with in_province("shanxi"):
        with application.test_request_context():
            monkeypatch.setattr(runner, "REQUEST_LIMITS", tight)
            jobs = [
                institutions_intake.import_or_enqueue(
                    sample_data.institutions_csv(14), "机构.csv", by=TERMINAL_ACTOR
                ),
                roster_intake.enqueue_roster_import(roster, "名单.xlsx", restrict_to=None, by=TERMINAL_ACTOR),
                questions_intake.enqueue_import(questions, "题.xlsx", bank_name="大题库", by=TERMINAL_ACTOR),
            ]
        assert [job.name for job in jobs] == ["import_institutions", "import_roster", "import_questions"]
        for job in jobs:
            worker.run_inline(job)
        assert [job.result["accepted"] + job.result["unchanged"] + job.result["refused"] for job in jobs] == [
            3,
            40,
            40,
        ]


def test_a_server_that_can_not_start_is_logged_and_said(monkeypatch):
    log_events = []
    monkeypatch.setattr(
        runner.log, "exception", lambda event, **_values: log_events.append(event), raising=False
    )
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    runner._servers.stop()
    with pytest.raises(Unavailable, match="一分钟后重新上传"):
        call(builtins.abs, -1)
    assert log_events == ["bounded.no_server"]
    monkeypatch.undo()
    assert call(builtins.abs, -1) == 1
