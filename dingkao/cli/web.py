"""`dingkao web`: the web server alone."""

import os
import sys

import click

from dingkao.app import ROOT
from dingkao.cli.surroundings import environment


@click.command("web")
def command() -> None:
    """Serve the application on PORT with granian: a worker of four threads for each core it may use, the best measured for the save path."""
    told = environment()
    arguments = [
        "--interface", "wsgi", "--host", os.environ.get("HOST", "127.0.0.1"), "--port", told.get("PORT", "8000"),
        "--workers", os.environ.get("WEB_WORKERS") or str(len(os.sched_getaffinity(0))), "--blocking-threads", "4", "--backpressure", "256",
        "--respawn-failed-workers", "--no-ws", "--working-dir", str(ROOT), "wsgi:application",
    ]  # fmt: skip
    os.execve(sys.executable, [sys.executable, "-m", "granian", *arguments], told)  # noqa: S606
