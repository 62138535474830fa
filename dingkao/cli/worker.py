"""`dingkao worker`: does the slow work."""

import signal

import click
import redis
from rq import Queue, Worker
from rq.job import Job

from dingkao.app import create_app
from dingkao.cli.surroundings import settings
from dingkao.embedded.children import die_with_parent
from dingkao.jobs import performing
from dingkao.jobs.asking import DUTIES, QUEUE


class Whole(Worker):
    """A worker whose processes end with it: half a job is never carried on by nobody's child, the sweep brings it again."""

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        """What the process of one job does."""
        die_with_parent(signal.SIGKILL)
        super().main_work_horse(job, queue)


@click.command("worker")
@click.option("--duties", is_flag=True, help="只做定时事务,不接其他任务。")
def command(duties: bool) -> None:
    """Take jobs from the queue, one at a time, each in a process of its own, until stopped; what the timetable asks for comes first.
    With `--duties` nothing else is taken, so that a long job keeps no paper from being handed in at its end."""
    given = settings()
    application = create_app(given)
    performing.install(application.app_context)
    queues = [DUTIES] if duties else [DUTIES, QUEUE]
    Whole(queues, connection=redis.Redis.from_url(given.redis_url)).work(logging_level="WARNING")
