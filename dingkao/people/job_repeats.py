"""Jobs that may be asked for again as they were (重新执行): those that only read, or that change nothing when
they run twice. A room says with `allow_repeat` how its job is asked for."""

from collections.abc import Callable
from dataclasses import dataclass

from dingkao.errors import Forbidden, InvalidState
from dingkao.jobs import enqueueing
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.permissions import grants

NOT_REPEATABLE_MESSAGE = "这项任务不能重新执行，请在原来的页面重新提交。"
EnqueueAgain = Callable[[Job, Actor], Job]


@dataclass(frozen=True)
class _Repeat:
    """How a job is asked for again, and the action that one must be granted for it."""

    action: str
    enqueue: EnqueueAgain


_repeats: dict[str, _Repeat] = {}


def allow_repeat(name: str, action: str, enqueue: EnqueueAgain) -> None:
    """Let whoever asked for a job called `name` and is granted `action` ask for it again; `enqueue` does
    that, for the former job (row locked) and the person, and returns the new job."""
    _repeats[name] = _Repeat(action, enqueue)


def may_repeat(job: Job, *, by: Actor) -> bool:
    """Whether the job is over and of a kind that may be repeated, and `by` asked for it and is granted its
    action."""
    repeat = _repeats.get(job.name)
    return repeat is not None and job.is_over and job.asked_by == by.id and grants(repeat.action, by.roles)


def repeat_job(job: Job, *, by: Actor) -> Job:
    """Ask again for a job of one's own (row locked), and return the new job; of a job about a subject, the
    unfinished one if `by` asked for it again already. It is journalled. Raises InvalidState, Forbidden, and
    what asking for such a job raises."""
    repeat = _repeats.get(job.name)
    if repeat is None or not job.is_over:
        raise InvalidState(NOT_REPEATABLE_MESSAGE)
    if not may_repeat(job, by=by):
        raise Forbidden
    if job.subject_id is not None:
        unfinished = enqueueing.unfinished_job_of(by.id, job.subject_id, job.name)
        if unfinished is not None:
            return unfinished
    repeated = repeat.enqueue(job, by)
    journal.write_entry("job", repeated.id, "repeated", by=by, name=job.name, former=str(job.id))
    return repeated
