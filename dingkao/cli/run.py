"""`dingkao run`: the whole stack on this machine, until Ctrl-C."""

import os
import subprocess
import time

import click

from dingkao.cli.surroundings import home
from dingkao.embedded.children import program
from dingkao.embedded.stack import Stack


@click.command("run")
def command() -> None:
    """Start engines, migrations and the web server; stop everything on Ctrl-C."""
    started = time.monotonic()
    stack = Stack(home(), int(os.environ.get("PORT", "8000")), click.echo)
    try:
        stack.begin()
        stack.serve()
        click.echo(f"定考已启动 ({time.monotonic() - started:.1f} s): {stack.environment['PUBLIC_URL']}/")
        if stack.environment["DINGKAO_DEMONSTRATION"] == "1":
            subprocess.run(program("accounts", "--fill"), env=os.environ | stack.environment, check=True)  # noqa: S603
        click.echo("dingkao accounts 可随时重新列出账号和当前动态口令。按 Ctrl-C 停止。")
        stack.supervisor.keep()
    except KeyboardInterrupt:
        click.echo("正在停止……")
    finally:
        stack.end()
    click.echo("已全部停止,数据保存在 " + str(stack.home))
