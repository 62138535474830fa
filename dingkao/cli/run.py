"""`dingkao run`: the whole stack on this machine, until Ctrl-C."""

import os
import signal
import subprocess
import time
from functools import partial
from types import FrameType

import click

from dingkao.app import create_app
from dingkao.cli.process_settings import home
from dingkao.config import AppConfig
from dingkao.embedded.stack import Stack
from dingkao.embedded.supervisor import STOP_SIGNALS, program_command
from dingkao.processes import terminate_with_parent


@click.command("run")
@click.option("--with-parent", is_flag=True, help="启动它的进程结束时一并停止")
def command(with_parent: bool) -> None:
    """Start engines, migrate the database, start the web server and the workers, and supervise them; Ctrl-C
    stops everything. Raises stack.StartupError, app.key_check.WrongDataKey. `with_parent`: stop when the
    process that started this one ends."""
    started = time.monotonic()
    if with_parent:
        terminate_with_parent(os.getppid(), signal.SIGTERM)
    for number in STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _on_interrupt)
    stack = Stack(home(), int(os.environ.get("PORT", "8000")), click.echo)
    try:
        stack.start_engines()
        create_app(
            AppConfig.from_environment(stack.environment)
        )  # fails here if the data key is not that of the database
        stack.start_all()
        click.echo(f"定考已启动（{time.monotonic() - started:.1f} s）：{stack.environment['PUBLIC_URL']}/")
        if stack.environment["DINGKAO_DEMONSTRATION"] == "1":
            _seed_demonstration(stack)
        click.echo("dingkao accounts 可随时重新列出账号和当前动态口令。按 Ctrl-C 停止。")
        stack.supervisor.run_until_signal()
    except KeyboardInterrupt:
        click.echo("正在停止……")
    finally:
        stack.stop()
    click.echo("已全部停止，数据保存在 " + str(stack.home))


def _on_interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _seed_demonstration(stack: Stack) -> None:
    """Fill the demonstration in another process while the stack is supervised. If that fails, a message is
    printed and the stack goes on running."""
    filling = subprocess.Popen(  # noqa: S603
        program_command("accounts", "--fill"),
        env=os.environ | stack.environment,
        preexec_fn=partial(terminate_with_parent, os.getpid()),
    )
    stack.supervisor.run_until(lambda: filling.poll() is not None)
    if filling.poll() is None:
        filling.terminate()
        filling.wait()
    elif filling.returncode:
        click.echo(
            "演示数据没有填充完整，原因见上；其余照常运行。可稍后执行 dingkao accounts --fill 再次填充。",
            err=True,
        )
