"""`dingkao worker`: does the slow work."""

import click
import redis
from rq import Worker

from dingkao.app import create_app
from dingkao.cli.surroundings import settings
from dingkao.jobs import performing
from dingkao.jobs.asking import QUEUE


@click.command("worker")
def command() -> None:
    """Take jobs from the queue, one at a time, each in a process of its own, until stopped."""
    given = settings()
    application = create_app(given)
    performing.install(application.app_context)
    Worker([QUEUE], connection=redis.Redis.from_url(given.redis_url)).work(logging_level="WARNING")
