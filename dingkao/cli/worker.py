"""`dingkao worker`: runs background jobs."""

import os
from typing import Any

import click
import redis
from rq import Queue, Worker
from rq.job import Job

from dingkao.app import create_app
from dingkao.cli.process_settings import settings
from dingkao.jobs import worker
from dingkao.jobs.enqueueing import DEFAULT_QUEUE, SCHEDULED_QUEUE
from dingkao.processes import terminate_with_parent


class JobWorker(Worker):
    """A worker whose child processes end with it, so that no orphan continues half a job; `requeue_lost`
    queues that job again."""

    def fork_work_horse(self, job: Job, queue: Queue) -> Any:
        """Start the process of one job, which inherits this process's id as `parent`."""
        self.parent = os.getpid()
        return super().fork_work_horse(job, queue)

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        """The work of one job's process, which ends when the worker does."""
        terminate_with_parent(self.parent)
        super().main_work_horse(job, queue)


@click.command("worker")
@click.option("--duties", is_flag=True, help="只做定时事务，不接其他任务。")
def command(duties: bool) -> None:
    """Run the jobs of the queues, one at a time, each in a process of its own, until stopped; scheduled tasks
    first. With `--duties` only scheduled tasks, so that a long job can't delay the handing-in of papers whose
    time is over."""
    config = settings()
    application = create_app(config)
    worker.set_application_context(application.app_context)
    queues = [SCHEDULED_QUEUE] if duties else [SCHEDULED_QUEUE, DEFAULT_QUEUE]
    JobWorker(queues, connection=redis.Redis.from_url(config.redis_url)).work(logging_level="WARNING")
