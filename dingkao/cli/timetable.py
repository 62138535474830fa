"""`dingkao timetable`: asks for what is due."""

import click
import redis
from rq.cron import CronScheduler

from dingkao.cli.surroundings import settings
from dingkao.jobs import asking
from dingkao.timetable import DUTIES, round_of


@click.command("timetable")
def command() -> None:
    """Queue each duty of the timetable when it is due; a round nobody took in time lapses."""
    scheduler = CronScheduler(connection=redis.Redis.from_url(settings().redis_url), logging_level="WARNING")
    for duty in DUTIES:
        scheduler.register(round_of, asking.DUTIES, args=(duty.name,), interval=duty.seconds, result_ttl=0, ttl=duty.seconds, failure_ttl=600)
    scheduler.start()
