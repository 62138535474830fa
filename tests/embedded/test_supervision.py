"""A stack is refused a port that is taken, before it has begun anything; what serves is tended while the
demonstration is filled. What is killed: test_make_run.py."""

import os
import socket
import sys
from types import SimpleNamespace

import psutil
import pytest
from click.testing import CliRunner

from dingkao.cli import run, web
from dingkao.embedded import ports
from dingkao.embedded.stack import Stack
from dingkao.embedded.startup_errors import StartupError
from dingkao.embedded.supervisor import ManagedProcess, Supervisor
from tests import conftest


@pytest.fixture
def at_once(monkeypatch):
    """No predecessor is waited for."""
    monkeypatch.setattr(ports, "WAIT_SECONDS", 0)


def test_a_taken_port_is_refused_with_its_holder_and_nothing_is_begun(tmp_path, at_once):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(StartupError) as refused:
            Stack(tmp_path / "home", port, lambda _told: None).start_engines()
        assert f"端口 {port}" in str(refused.value)
        assert f"进程 {os.getpid()}（{' '.join(psutil.Process().cmdline())[:60]}" in str(refused.value)
        result = CliRunner().invoke(web.command, env={"PORT": str(port), "DINGKAO_HOME": str(tmp_path)})
        assert result.exit_code
        assert f"进程 {os.getpid()}" in result.output
    assert sorted(file.name for file in (tmp_path / "home").iterdir()) == ["lock"]


def test_a_port_that_another_stack_is_about_to_use_is_refused(tmp_path):
    port = conftest.free_port()
    with ports.reserve_port(port), pytest.raises(StartupError) as refused:
        Stack(tmp_path / "home", port, lambda _told: None).start_engines()
    assert f"端口 {port}" in str(refused.value)


def test_an_engine_port_that_is_named_and_taken_is_refused(tmp_path, at_once, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("VALKEY_PORT", str(server.getsockname()[1]))
        with pytest.raises(StartupError) as refused:
            Stack(tmp_path / "home", conftest.free_port(), lambda _told: None).start_engines()
    assert "VALKEY_PORT" in str(refused.value)
    assert f"进程 {os.getpid()}" in str(refused.value)


def test_a_demonstration_that_cannot_be_filled_leaves_standing_what_serves(tmp_path, monkeypatch, capsys):
    serving = ManagedProcess(
        "Serving", [sys.executable, "-c", "import time; time.sleep(600)"], tmp_path / "log", lambda: True
    )
    stack = SimpleNamespace(supervisor=Supervisor(lambda _told: None), environment={})
    stack.supervisor.start(serving)
    try:
        pid = serving.process.pid
        monkeypatch.setattr(
            run,
            "program_command",
            lambda *_: [
                sys.executable,
                "-c",
                f"import os, time; os.kill({pid}, 9); time.sleep(1); os._exit(3)",
            ],
        )
        run._seed_demonstration(stack)
        assert "accounts --fill" in capsys.readouterr().err
        assert serving.is_running()
        assert serving.process.pid != pid  # tended meanwhile
    finally:
        stack.supervisor.stop()
