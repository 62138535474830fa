"""Copying a shared bank into a bank of the province: new and changed questions wait for a second person,
those that the platform has withdrawn go out of use. A large bank is copied by a chunked job."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select

from dingkao import clock
from dingkao.database.arrays import in_array
from dingkao.database.base import db, new_id
from dingkao.errors import InvalidInput
from dingkao.exams.supply import require_papers_assemblable
from dingkao.integrations.spreadsheets.import_rows import ImportReport
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.accounts import load_actor
from dingkao.question_banks.importing.batch import (
    FileProgress,
    import_batch,
)
from dingkao.question_banks.importing.known_questions import (
    clean_bank_name,
)
from dingkao.question_banks.models import Question, QuestionBank
from dingkao.question_banks.question_versions import supersede_version
from dingkao.question_banks.shared_banks import (
    SharedBankInfo,
    get_shared_bank,
    import_rows_of,
    questions_after,
)

COPY_JOB = "take_over_bank"


def find_province_copy(bank_id: UUID, *, for_update: bool = False) -> QuestionBank | None:
    """The province's bank that is a copy of the shared bank `bank_id`, locked if `for_update`; None if it was
    never copied."""
    query = select(QuestionBank).where(QuestionBank.shared_bank_id == bank_id)
    return db.session.scalar(query.with_for_update() if for_update else query)


def province_copies() -> dict[UUID, QuestionBank]:
    """Shared bank id → the province's copy of it."""
    copies = db.session.scalars(select(QuestionBank).where(QuestionBank.shared_bank_id.is_not(None)))
    return {copy.shared_bank_id: copy for copy in copies if copy.shared_bank_id}


def in_use_query(copy: QuestionBank, withdrawn: Sequence[Any]) -> Any:
    """The query, in the order of ids, for those of the withdrawn shared questions that the copy has in use.
    `withdrawn`: rows of SharedQuestion."""
    digests = [bytes(question.digest) for question in withdrawn]
    is_in_use = Question.retired_at.is_(None)
    query = select(Question).where(
        Question.bank_id == copy.id,
        in_array(Question.digest, digests),
        is_in_use,
    )
    return query.order_by(Question.id)


def enqueue_copy(bank: SharedBankInfo, *, by: Actor) -> Job:
    """Enqueue the job that copies a large shared bank, whether or not one is under way; the province's copy
    is created now, flushed, if there is none, and locked. Raises InvalidInput if another bank of the province
    has its name."""
    _get_or_create_copy(bank)
    return enqueueing.enqueue(
        COPY_JOB,
        f"接收共享题库（{bank.name[:60]}）",
        {"bank": str(bank.id)},
        by=by.id,
        subject=bank.id,
    )


def _on_copy_cancel(job: Job, _cursor: Cursor) -> None:
    """After a cancel: what was copied stays and is journalled; the copy's edition stays the previous one, so
    that the rest is offered again."""
    copy = find_province_copy(UUID(job.arguments["bank"]))
    counted = job.result or {}
    if copy is not None:
        _log_copy(
            copy,
            counted.get("accepted", 0),
            counted.get("changed", 0),
            load_actor(job.asked_by),
        )


@worker.register_chunked_job(COPY_JOB, undo=_on_copy_cancel)
def copy_step(job: Job, cursor: Cursor) -> Chunk:
    """Copy the next questions of a shared bank, or take the next withdrawn ones out of use. Raises
    InvalidInput if another bank of the province has its name, InvalidState if a paper whose window is not
    over could not be filled any more, NotFound if the bank is gone."""
    return _copy_batch(
        get_shared_bank(UUID(job.arguments["bank"])),
        cursor,
        load_actor(job.asked_by),
    )


def copy_to_province(bank: SharedBankInfo, *, by: Actor) -> ImportReport:
    """Copy what is new of a shared bank, within the caller's transaction: it waits for a second person if
    staff do it; what the platform has withdrawn goes out of use at once. Locks the copy, which is created if
    there is none, and writes journal entries. Returns the counts of new, changed and unchanged questions;
    those that were refused are in no count. Raises InvalidInput if another bank of the province has its name,
    InvalidState if a paper whose window is not over could not be filled any more; the caller then rolls
    back."""
    counts = Counter[str]()
    cursor: Cursor | None = Cursor()
    while cursor is not None:
        chunk = _copy_batch(bank, cursor, by)
        counts.update(chunk.counts)
        cursor = chunk.cursor
    return ImportReport(
        accepted=counts["accepted"],
        changed=counts["changed"],
        unchanged=counts["unchanged"],
    )


def _copy_batch(bank: SharedBankInfo, cursor: Cursor, by: Actor) -> Chunk:
    """Copy the next questions of a bank; after the last, take withdrawn ones out of use. Locks the copy,
    which is created if there is none. In the end the copy has the edition that the bank had at the beginning,
    so that what the platform changed in the meantime is offered again. Raises InvalidInput if another bank
    has its name, InvalidState if a paper could not be filled any more."""
    copy = _get_or_create_copy(bank)
    first_state: Cursor = {
        "edition": bank.edition,
        "after": 0,
        "accepted": 0,
        "changed": 0,
    }
    state = first_state | cursor
    if "withdrawn" in state:
        return _retire_batch(copy, bank, state, by)
    questions, next_position = questions_after(bank.id, state["after"], withdrawn=False)
    report = _import_questions(questions, copy, by)
    state["accepted"] += report.accepted
    state["changed"] += report.changed
    if next_position is None:
        state["withdrawn"] = 0
    else:
        state["after"] = next_position
    counts = {
        "accepted": report.accepted,
        "changed": report.changed,
        "unchanged": report.unchanged,
    }
    total = None if cursor else bank.question_count
    return Chunk(state, done=len(questions), total=total, counts=counts)


def _import_questions(questions: Sequence[Any], copy: QuestionBank, by: Actor) -> ImportReport:
    """Import questions of a shared bank (rows of SharedQuestion) into the copy; refused ones are only in the
    report. Raises InvalidState if a paper whose window is not over could not be filled any more."""
    report = ImportReport()
    purpose_changes = import_batch(
        list(import_rows_of(questions)),
        bank_name=copy.name,
        by=by,
        report=report,
        progress=FileProgress(),
    )
    _require_papers_assemblable(purpose_changes, "按共享题库修改题目")
    return report


def _retire_batch(copy: QuestionBank, bank: SharedBankInfo, state: Cursor, by: Actor) -> Chunk:
    """Take the next withdrawn questions out of use; after the last, set the copy's edition and journal the
    copying. `state`: the job's cursor. Raises InvalidState if a paper could not be filled any more."""
    withdrawn, next_position = questions_after(bank.id, state["withdrawn"], withdrawn=True)
    counts = {"withdrawn": _retire_withdrawn(copy, withdrawn, by) if withdrawn else 0}
    if next_position is not None:
        return Chunk(state | {"withdrawn": next_position}, counts=counts)
    copy.shared_edition = state["edition"]
    _log_copy(copy, state["accepted"], state["changed"], by)
    return Chunk(None, counts=counts)


def _retire_withdrawn(copy: QuestionBank, withdrawn: Sequence[Any], by: Actor) -> int:
    """Take those of the withdrawn questions (rows of SharedQuestion) out of use that the copy has in use,
    each locked and journalled, its waiting version returned to the author. Locks papers, too (`supply`).
    Returns how many. Raises InvalidState if a paper whose window is not over could not be filled any more.
    """
    questions = db.session.scalars(in_use_query(copy, withdrawn).with_for_update()).all()
    with journal.batched_entries():
        for question in questions:
            _retire(question, by)
    former_purposes = {(question.subject, question.category, question.purpose) for question in questions}
    _require_papers_assemblable(former_purposes, "停用共享题库已撤下的题目")
    return len(questions)


def _retire(question: Question, by: Actor) -> None:
    """Take a withdrawn question (locked) out of use, journal that, and return its waiting version, if it has
    one, to the author."""
    question.retired_at = clock.now()
    if question.proposed_version:
        supersede_version(question.proposed_version)
        question.proposed_version = None
    journal.write_entry(
        "question",
        question.id,
        "retired",
        by=by,
        reason="共享题库已撤下",
    )


def _require_papers_assemblable(purposes: Iterable[tuple[str, str | None, str]], act: str) -> None:
    """Raise InvalidState if `act` (as text) leaves a paper whose window is not over without enough questions
    of one of `purposes` (subject, category, purpose); flushes, and locks the papers concerned."""
    for subject, category, purpose in sorted(purposes, key=str):
        require_papers_assemblable(subject, category, purpose, act)


def _get_or_create_copy(bank: SharedBankInfo) -> QuestionBank:
    """The province's copy, locked; a new one, flushed, if there is none, under the shared bank's name as
    `clean_bank_name` returns it, by which imports find it. Raises InvalidInput if another bank has that
    name."""
    copy = find_province_copy(bank.id, for_update=True)
    if copy is not None:
        return copy
    name = clean_bank_name(bank.name)
    if db.session.scalar(select(QuestionBank.id).where(QuestionBank.name == name)) is not None:
        raise InvalidInput(
            f"本省已有名为“{name}”的题库，不能同名接收。请联系平台运营更改共享题库的名称。",
        )
    copy = QuestionBank(id=new_id(), name=name, shared_bank_id=bank.id)
    db.session.add(copy)
    db.session.flush()
    return copy


def _log_copy(copy: QuestionBank, accepted: int, changed: int, by: Actor) -> None:
    """Journal that a shared bank was copied: its edition, and how many questions were new or changed."""
    journal.write_entry(
        "question_bank",
        copy.id,
        "taken_over",
        by=by,
        edition=copy.shared_edition,
        accepted=accepted,
        changed=changed,
    )
