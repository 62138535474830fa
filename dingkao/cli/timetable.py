"""`dingkao timetable`: enqueues the scheduled tasks when they are due."""

import click
import redis
from rq.cron import CronScheduler

from dingkao.cli.process_settings import settings
from dingkao.jobs import enqueueing
from dingkao.timetable import SCHEDULED_TASKS, run_task


@click.command("timetable")
def command() -> None:
    """Enqueue each scheduled task at its interval, until the process is stopped. A run that no worker takes
    within the interval is dropped."""
    scheduler = CronScheduler(
        connection=redis.Redis.from_url(settings().redis_url),
        logging_level="WARNING",
    )
    for task in SCHEDULED_TASKS:
        scheduler.register(
            run_task,
            enqueueing.SCHEDULED_QUEUE,
            args=(task.name,),
            interval=task.interval_seconds,
            result_ttl=0,
            ttl=task.interval_seconds,
            failure_ttl=600,
        )
    scheduler.start()
