"""What copying a shared bank would change in the province's copy; a large bank is compared by a chunked
job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from dingkao.database.base import db
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal.entries import Actor
from dingkao.question_banks.importing.known_questions import (
    Changes,
    compare_with_bank,
)
from dingkao.question_banks.importing.parsed_question import (
    ParsedQuestion,
)
from dingkao.question_banks.markup import to_plain_text
from dingkao.question_banks.shared_bank_copies import (
    find_province_copy,
    in_use_query,
)
from dingkao.question_banks.shared_banks import (
    SharedBankInfo,
    get_shared_bank,
    import_rows_of,
    questions_after,
)

COMPARE_JOB = "compare_shared_bank"
MAX_SHOWN, MAX_TEXT_SHOWN = 30, 200


@dataclass
class BankDifference:
    """What copying a shared bank would do: how many questions are `new`, `changed`, `unchanged`, and
    `withdrawn` (by the platform, while the province uses them). `new_shown`: the first new ones (type's code,
    stem, answer's letters); `changed_shown`: the first changes (stem, column, before, after); at most
    MAX_SHOWN each, their texts without markup and cut to MAX_TEXT_SHOWN characters."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    withdrawn: int = 0
    new_shown: list[Sequence[str]] = field(default_factory=list)
    changed_shown: list[Sequence[str]] = field(default_factory=list)

    @property
    def compared_count(self) -> int:
        """How many questions were compared; the withdrawn ones are not among them."""
        return self.new + self.changed + self.unchanged

    def count_question(self, question: ParsedQuestion, changes: Changes | None) -> None:
        """Count one question of the shared bank; `changes` is None if it is new."""
        if changes is None:
            self._count_new(question)
        elif changes:
            self._count_changed(question, changes)
        else:
            self.unchanged += 1

    def _count_new(self, question: ParsedQuestion) -> None:
        """Count a question that the province doesn't have."""
        self.new += 1
        if len(self.new_shown) < MAX_SHOWN:
            self.new_shown.append(
                (
                    question.kind,
                    _shorten(question.stem),
                    question.answer,
                )
            )

    def _count_changed(self, question: ParsedQuestion, changes: Changes) -> None:
        """Count a question that differs in the province."""
        self.changed += 1
        text = _shorten(question.stem)
        changes_shown = [
            (text, column, _shorten(before), _shorten(after)) for column, (before, after) in changes.items()
        ]
        self.changed_shown += changes_shown[: MAX_SHOWN - len(self.changed_shown)]


def _shorten(text: str | None) -> str:
    """The first MAX_TEXT_SHOWN characters of a text, without markup; "" for None."""
    return to_plain_text(text or "")[:MAX_TEXT_SHOWN]


def compare_banks(bank: SharedBankInfo) -> BankDifference | None:
    """What copying a shared bank would change; nothing is written. A small bank is compared now, which raises
    parsed_question.InvalidQuestionRow for a stored question that isn't valid by now. For a large one the
    result of the province's last completed job (see `enqueue_comparison`) is returned; None if there is none,
    or either bank has another edition since."""
    if not bank.is_large:
        return _compare_now(bank.id)
    job = enqueueing.latest_job_about(bank.id, COMPARE_JOB, done=True)
    return _load_difference(bank, job.result or {}) if job else None


def _load_difference(bank: SharedBankInfo, result: Mapping[str, Any]) -> BankDifference | None:
    """The difference that a comparison job has found (`result`: that of the job); None if either bank has
    another edition since."""
    if result.get("editions") != _editions(bank):
        return None
    return BankDifference(
        new=result.get("accepted", 0),
        changed=result.get("changed", 0),
        unchanged=result.get("unchanged", 0),
        withdrawn=result.get("withdrawn", 0),
        new_shown=result["new_shown"],
        changed_shown=result["changed_shown"],
    )


def _compare_now(bank_id: UUID) -> BankDifference:
    """Compare the whole bank with the province's copy. Raises parsed_question.InvalidQuestionRow for a stored
    question that isn't valid by now."""
    difference = BankDifference()
    for count_batch in (_compare_batch, _count_withdrawn_batch):
        position: int | None = 0
        while position is not None:
            position = count_batch(bank_id, position, difference)
    return difference


def _editions(bank: SharedBankInfo) -> list[int | None]:
    """The editions of the shared bank and of the province's copy (None if there is none)."""
    copy = find_province_copy(bank.id)
    return [bank.edition, copy.shared_edition if copy else None]


def _compare_batch(bank_id: UUID, after: int, difference: BankDifference) -> int | None:
    """Compare the next questions of a shared bank, after position `after`, and count them in `difference`.
    Returns the position to continue after; None after the last. Raises parsed_question.InvalidQuestionRow for
    a stored question that isn't valid by now."""
    copy = find_province_copy(bank_id)
    questions, next_position = questions_after(bank_id, after, withdrawn=False)
    for question, changes in compare_with_bank(import_rows_of(questions), copy.id if copy else None):
        difference.count_question(question, changes)
    return next_position


def _count_withdrawn_batch(bank_id: UUID, after: int, difference: BankDifference) -> int | None:
    """Count in `difference` those of the next withdrawn questions, after position `after`, that the province
    uses. Returns the position to continue after; None after the last."""
    copy = find_province_copy(bank_id)
    questions, next_position = questions_after(bank_id, after, withdrawn=True)
    if copy is not None and questions:
        query = select(func.count()).select_from(in_use_query(copy, questions).subquery())
        difference.withdrawn += db.session.scalar(query) or 0
    return next_position


def enqueue_comparison(bank: SharedBankInfo, *, by: Actor) -> Job:
    """Enqueue the job that compares a large shared bank with the province's copy, whether or not one is under
    way; `compare_banks` then returns its result."""
    return enqueueing.enqueue(
        COMPARE_JOB,
        f"比较共享题库（{bank.name[:60]}）",
        {"bank": str(bank.id)},
        by=by.id,
        subject=bank.id,
    )


@worker.register_chunked_job(COMPARE_JOB)
def compare_step(job: Job, cursor: Cursor) -> Chunk:
    """Compare the next questions; after the last, count the withdrawn ones that the province uses. The first
    chunk's result has the editions of both banks. Raises NotFound if the shared bank is gone,
    parsed_question.InvalidQuestionRow for a stored question that isn't valid by now."""
    bank = get_shared_bank(UUID(job.arguments["bank"]))
    result = job.result or {}
    difference = BankDifference(
        new_shown=result.get("new_shown", []),
        changed_shown=result.get("changed_shown", []),
    )
    next_cursor = _compare_from_cursor(bank, cursor, difference)
    counts = {
        "accepted": difference.new,
        "changed": difference.changed,
        "unchanged": difference.unchanged,
        "withdrawn": difference.withdrawn,
    }
    chunk_result: dict[str, Any] = {
        "new_shown": difference.new_shown,
        "changed_shown": difference.changed_shown,
    }
    total = None
    if not cursor:
        chunk_result["editions"] = _editions(bank)
        total = bank.question_count
    return Chunk(
        next_cursor,
        done=difference.compared_count,
        total=total,
        counts=counts,
        result=chunk_result,
    )


def _compare_from_cursor(bank: SharedBankInfo, cursor: Cursor, difference: BankDifference) -> Cursor | None:
    """Compare, or count as withdrawn, the questions after `cursor`. Returns the next cursor; None after the
    last. Raises parsed_question.InvalidQuestionRow."""
    if "withdrawn" in cursor:
        position = _count_withdrawn_batch(bank.id, cursor["withdrawn"], difference)
        return None if position is None else cursor | {"withdrawn": position}
    position = _compare_batch(bank.id, cursor.get("after", 0), difference)
    return {"withdrawn": 0} if position is None else {"after": position}
