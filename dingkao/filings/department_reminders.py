"""Messages to the liaisons of departments that are late (`department_list`)."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import select

from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.errors import InvalidInput
from dingkao.filings.department_list import DepartmentProgress, progress_of
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.department_models import Department
from dingkao.people.models import Notice
from dingkao.people.notice_catalogue import DEPARTMENT_REMINDER
from dingkao.people.notices import notify_account
from dingkao.people.scopes import Grant, scope_condition

MAX_REMINDED = 200
MAX_WORDS_LENGTH = 200


@dataclass
class ReminderResult:
    """How many departments' liaisons were written to, and reason → number of the departments left out."""

    reminded: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def remind_liaisons(
    cycle: Cycle,
    department_ids: Collection[UUID],
    words: str,
    *,
    grant: Grant,
    by: Actor,
) -> ReminderResult:
    """Write to the liaisons of departments within `grant`, at most MAX_REMINDED, what their doctors lack, and
    `words` of one's own; journals each department. Left out are those that lack nothing, have no liaison, or
    whose liaison has not read the last reminder; those outside the grant, silently. Locks the departments.
    Raises InvalidInput for words that are too long."""
    words = " ".join(words.split())
    if len(words) > MAX_WORDS_LENGTH:
        raise InvalidInput(f"附言请不要超过{MAX_WORDS_LENGTH}字，现有{len(words)}字。", "words")
    departments = db.session.scalars(
        select(Department)
        .where(
            in_array(Department.id, list(department_ids)[:MAX_REMINDED]),
            scope_condition(grant, institution=Department.organisation_id),
        )
        .order_by(Department.id)
        .with_for_update()
    ).all()
    progress = progress_of([department.id for department in departments], cycle)
    unread = _unread_titles(progress.values())
    result = ReminderResult()
    with journal.batched_entries():
        for department in departments:
            state = progress[department.id]
            title = DEPARTMENT_REMINDER.title_text(department=department.name)
            account_ids = [
                account_id for account_id, _ in state.liaisons if (account_id, title) not in unread
            ]
            if reason := _reason_to_leave_out(state, account_ids):
                result.left_out[reason] += 1
                continue
            for account_id in account_ids:
                notify_account(
                    account_id,
                    DEPARTMENT_REMINDER,
                    department=department.name,
                    cycle=cycle.label,
                    lacking=state.lacking_text,
                    words=words,
                )
            journal.write_entry("department", department.id, "reminded", by=by, lacking=state.lacking)
            result.reminded += 1
    return result


def _reason_to_leave_out(state: DepartmentProgress, account_ids: Collection[UUID]) -> str | None:
    """Why nobody of a department is written to; None if `account_ids` are."""
    if not state.lacking_text:
        return "没有未完成的事项"
    if not state.liaisons:
        return "没有联络员，请在“本机构人员”中邀请"
    return None if account_ids else "联络员还没有读上次的提醒"


def _unread_titles(states: Collection[DepartmentProgress]) -> set[tuple[UUID, str]]:
    """The accounts and titles of the reminders that liaisons have not read."""
    account_ids = {account_id for state in states for account_id, _ in state.liaisons}
    query = select(Notice.account_id, Notice.title).where(
        in_array(Notice.account_id, account_ids),
        Notice.kind == DEPARTMENT_REMINDER.code,
        Notice.read_at.is_(None),
    )
    return {(account_id, title) for account_id, title in db.session.execute(query)}
