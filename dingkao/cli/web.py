"""`dingkao web`: the web server alone."""

import os
import sys

import click

from dingkao.cli.process_settings import environment
from dingkao.config import ROOT
from dingkao.embedded import ports

SHUTDOWN_TIMEOUT_SECONDS = 10
"""How long a worker process may take to finish its requests when it is asked to stop."""


@click.command("web")
def command() -> None:
    """Serve the application on PORT with granian, which replaces this process: WEB_WORKERS worker processes
    with four threads each, by default one for each available core, which measured best for saving answers.
    Raises ports.StartupError if the port is taken."""
    variables = environment()
    host = os.environ.get("HOST", "127.0.0.1")
    port = variables.get("PORT", "8000")
    ports.require_free_port(host, int(port))
    workers = int(os.environ.get("WEB_WORKERS") or len(os.sched_getaffinity(0)))
    arguments = [
        sys.executable,
        *granian_arguments(host, port, workers),
        "wsgi:application",
    ]
    os.execve(sys.executable, arguments, variables)  # noqa: S606


def granian_arguments(host: str, port: str, workers: int) -> list[str]:
    """Returns the arguments with which Python starts granian; the name of the application is to be
    appended."""
    return [
        "-m",
        "granian",
        "--interface",
        "wsgi",
        "--host",
        host,
        "--port",
        port,
        "--workers",
        str(workers),
        "--blocking-threads",
        "4",
        "--backpressure",
        "256",
        "--respawn-failed-workers",
        "--workers-kill-timeout",
        str(SHUTDOWN_TIMEOUT_SECONDS),
        "--no-ws",
        "--working-dir",
        str(ROOT),
    ]
