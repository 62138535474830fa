"""Approving and rejecting versions of questions as the second person, approving all of a bank by a job, and
taking questions out of use and back."""

from collections import Counter
from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select

from dingkao import clock
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.errors import InvalidInput, InvalidState
from dingkao.exams.supply import require_papers_assemblable
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.journal.state_machine import transition
from dingkao.people.accounts import load_actor
from dingkao.people.permissions import roles_for
from dingkao.people.second_person import recusal_reason
from dingkao.question_banks.importing.columns import QUESTION_FIELDS
from dingkao.question_banks.importing.parsed_question import (
    group_digest,
    question_digest,
)
from dingkao.question_banks.models import (
    VERSION_STATES,
    Question,
    QuestionBank,
    QuestionGroup,
    QuestionVersion,
)
from dingkao.question_banks.question_search import (
    get_bank,
    get_question,
    group_label,
)
from dingkao.question_banks.question_versions import (
    APPROVED,
    PENDING,
    RETURNED,
)
from dingkao.question_banks.similarity import likeness_digest

OWN_QUESTION_MESSAGE = "自己编写或导入的题目须由另一人审核。"
APPROVE_BATCH_SIZE, FIRST_ID = 500, UUID(int=0)


def approval_refusal_reason(version: QuestionVersion, by: Actor) -> str | None:
    """Why `by` may not approve a version, as a message: they made it, or are not independent of the person
    who did. None if they may, or nobody is known to have made it."""
    if version.made_by is None:
        return None
    return OWN_QUESTION_MESSAGE if version.made_by == by.id else recusal_reason(by.id, version.made_by)


@transition(
    PENDING,
    to=APPROVED,
    actors=roles_for("questions.approve") | {"system"},
    states=VERSION_STATES,
    verb="approve",
)
def approve_version(version: QuestionVersion, *, by: Actor) -> None:
    """Approve a version (locked) as the second person: from now on it is the one drawn; sittings that have an
    earlier one keep it. A question never approved before comes into use; one taken out of use stays so. Locks
    the question, its group if its texts change, and papers if its own columns do; writes a journal entry.
    Raises Forbidden, InvalidState, also for the version's author and who isn't independent of them, a version
    that isn't the newest, the texts of another question of the bank, and if a paper could not be filled any
    more; NotFound. The caller then rolls back."""
    if refusal_reason := approval_refusal_reason(version, by):
        raise InvalidState(refusal_reason)
    question = get_question(version.question_id, for_update=True)
    if version.id != question.proposed_version:
        raise InvalidState("这一版已有更新的修改，请刷新后审核最新的一版。")
    _update_digests(question, version)
    _update_own_columns(question, version)
    if question.approved_at is None:
        question.approved_at, question.retired_at = clock.now(), None
    question.current_version, question.proposed_version = (
        version.id,
        None,
    )
    version.decided_by = by.id


def _update_own_columns(question: Question, version: QuestionVersion) -> None:
    """Set the own columns of a question (locked) to the values in the version. If they change and the
    question is in use, flushes, locks the papers that may draw it, and raises InvalidState if one whose
    window is not over could not be filled any more."""
    former_purpose = (
        question.subject,
        question.category,
        question.purpose,
    )
    has_changed = _apply_values_about(question, version)
    if has_changed and question.retired_at is None:
        require_papers_assemblable(*former_purpose, "按这次修改使用这道题")


def _update_digests(question: Question, version: QuestionVersion) -> None:
    """Set the digests of a question (locked) and its group, which is locked here, to those of `version`;
    nothing if they are the same. Raises InvalidState if the bank has another question with that digest."""
    options = [(letter, text) for letter, text in version.options]
    case_stem = version.case_stem or ""
    digest = question_digest(
        version.kind,
        group_label(question),
        case_stem,
        version.stem,
        options,
    )
    if digest == bytes(question.digest):
        return
    _require_unique_digest(question.bank_id, digest)
    question.digest = digest
    question.likeness = likeness_digest(version.kind, case_stem, version.stem, options)
    _update_group_digest(question, version)


def _require_unique_digest(bank_id: UUID, digest: bytes) -> None:
    """Raise InvalidState if a question of the bank has this digest, which the one to be approved does not
    have yet."""
    same_question = select(Question.id).where(Question.bank_id == bank_id, Question.digest == digest)
    if db.session.scalar(same_question.limit(1)):
        raise InvalidState("题库中已有相同的题目，不能通过；请退回。")


def _update_group_digest(question: Question, version: QuestionVersion) -> None:
    """Lock a question's group, and set its digest and case to what its questions share now, unless a group of
    the bank has that digest already. Nothing without a group."""
    group = _get_group_for_update(question.group_id)
    if group is None:
        return
    case_stem = version.case_stem or ""
    option_texts = [text for _, text in version.options]
    digest = group_digest(group.label or "", case_stem, option_texts)
    same_group = select(QuestionGroup.id).where(
        QuestionGroup.bank_id == question.bank_id,
        QuestionGroup.digest == digest,
    )
    if db.session.scalar(same_group) is None:
        group.digest, group.stem = digest, case_stem


def _get_group_for_update(
    group_id: UUID | None,
) -> QuestionGroup | None:
    """A group, locked; None if `group_id` is None."""
    if not group_id:
        return None
    return db.session.scalar(select(QuestionGroup).where(QuestionGroup.id == group_id).with_for_update())


def _apply_values_about(question: Question, version: QuestionVersion) -> bool:
    """Set the question's own columns to the values in the version. Returns whether one of them changed."""
    has_changed = False
    for name in QUESTION_FIELDS:
        if name in version.about and getattr(question, name) != version.about[name]:
            setattr(question, name, version.about[name])
            has_changed = True
    return has_changed


@transition(
    PENDING,
    to=RETURNED,
    actors=roles_for("questions.approve"),
    states=VERSION_STATES,
    verb="turn_down",
)
def reject_version(version: QuestionVersion, *, by: Actor, reason: str) -> None:
    """Reject a version (locked) as the second person, with the reason; the current version stays in use. Its
    author, if granted to approve, may withdraw it in the same way, and whether others are independent of the
    author isn't asked. Locks the question, and writes a journal entry. Raises InvalidInput without a reason,
    Forbidden, InvalidState if it doesn't wait any more, NotFound."""
    if not reason.strip():
        raise InvalidInput("请填写退回原因。", "reason")
    question = get_question(version.question_id, for_update=True)
    if question.proposed_version == version.id:
        question.proposed_version = None
    version.opinion = reason.strip()
    if version.made_by != by.id:
        version.decided_by = by.id


def list_pending_versions_for_update(
    question_ids: Sequence[UUID],
) -> list[QuestionVersion]:
    """The waiting versions of the questions, of whatever bank, and of all others in their groups (a group is
    approved as a whole), locked, by id; unknown ids are ignored. Raises arrays.TooManyValues for more than
    5,000 ids."""
    groups = select(Question.group_id).where(
        in_array(Question.id, question_ids),
        Question.group_id.is_not(None),
    )
    version_ids = select(Question.proposed_version).where(
        or_(
            in_array(Question.id, question_ids),
            Question.group_id.in_(groups),
        ),
        Question.proposed_version.is_not(None),
    )
    query = select(QuestionVersion).where(QuestionVersion.id.in_(version_ids)).order_by(QuestionVersion.id)
    query = query.with_for_update().execution_options(populate_existing=True)
    return list(db.session.scalars(query))


def approve_questions(question_ids: Sequence[UUID], *, by: Actor) -> tuple[int, int]:
    """Approve the waiting versions of the questions, of whatever bank, and of their groups, in the caller's
    transaction, each with a journal entry. Returns how many were approved, and how many were skipped because
    `by` made them or isn't independent of who did. Raises InvalidState for the first that can't be approved
    otherwise, upon which the caller rolls back, Forbidden, NotFound, arrays.TooManyValues for more than 5,000
    ids."""
    versions = list_pending_versions_for_update(question_ids)
    approvable = [version for version in versions if approval_refusal_reason(version, by) is None]
    for version in approvable:
        approve_version(version, by=by)
    return len(approvable), len(versions) - len(approvable)


def enqueue_approval(bank: QuestionBank, *, by: Actor) -> Job:
    """Enqueue the job that approves all versions of a bank that wait now and that `by` may approve. The job
    checks what `by` is granted; whether such a job is under way already isn't checked."""
    return enqueueing.enqueue(
        "approve_bank",
        f"通过待审题目（{bank.name[:60]}）",
        {"bank": str(bank.id)},
        by=by.id,
        subject=bank.id,
    )


def _log_approval(job: Job, counts: Mapping[str, int]) -> None:
    """Journal how many versions the job has approved: those of its previous chunks and `counts` of the last
    one."""
    counted = job.result or {}
    totals = {name: counted.get(name, 0) + counts.get(name, 0) for name in ("changed", "left_out")}
    journal.write_entry(
        "question_bank",
        UUID(job.arguments["bank"]),
        "approved",
        by=load_actor(job.asked_by),
        approved=totals["changed"],
        left_out=totals["left_out"],
    )


def _on_approval_cancel(job: Job, _cursor: Cursor) -> None:
    """After a cancel: what was approved stays in use and is journalled."""
    _log_approval(job, {})


def _try_approve(version: QuestionVersion, by: Actor) -> str | None:
    """Approve a version (locked) within a savepoint. Returns None, or the message why its state doesn't allow
    it. Raises Forbidden, NotFound."""
    try:
        with db.session.begin_nested():
            approve_version(version, by=by)
    except InvalidState as refusal:
        return refusal.message
    return None


@worker.register_chunked_job("approve_bank", undo=_on_approval_cancel)
def approve_bank_step(job: Job, cursor: Cursor) -> Chunk:
    """Approve the next of the versions that waited in a bank when the job was enqueued, at most
    APPROVE_BATCH_SIZE. Those that can't be approved are left out, counted by reason; after the last, the
    totals are journalled. Raises Forbidden if who asked is not granted it any more, NotFound."""
    bank = get_bank(UUID(job.arguments["bank"]))
    by = load_actor(job.asked_by)
    is_waiting = _waiting_condition(bank, job)
    total = None if cursor else _waiting_count(is_waiting)
    versions = _waiting_versions(is_waiting, UUID(cursor.get("after", str(FIRST_ID))))
    refusals = _approve_all(versions, by)
    counts = {
        "changed": len(versions) - refusals.total(),
        "left_out": refusals.total(),
    }
    next_cursor = None
    if len(versions) == APPROVE_BATCH_SIZE:
        next_cursor = {"after": str(versions[-1].id)}
    else:
        _log_approval(job, counts)
    return Chunk(
        next_cursor,
        done=len(versions),
        total=total,
        counts=counts,
        reasons=refusals,
    )


def _approve_all(versions: Sequence[QuestionVersion], by: Actor) -> Counter[str]:
    """Approve versions (locked), each in a savepoint. Returns reason (without its full stop) → how many were
    not approved for it. Raises Forbidden, NotFound."""
    with journal.batched_entries():
        refusal_reasons = [_try_approve(version, by) for version in versions]
    return Counter(reason.rstrip("。") for reason in refusal_reasons if reason)


def _waiting_condition(bank: QuestionBank, job: Job) -> ColumnElement[bool]:
    """The condition on Question and QuestionVersion that a version waited in `bank` when `job` was enqueued:
    what was proposed since then, whoever asked for the job has not seen. It joins a question with the version
    that is proposed for it now, so that a version replaced by a later one is not approved."""
    return and_(
        Question.tenant_id == QuestionVersion.tenant_id,
        Question.proposed_version == QuestionVersion.id,
        Question.bank_id == bank.id,
        QuestionVersion.made_at <= job.asked_at,
        QuestionVersion.state == PENDING,
    )


def _waiting_count(is_waiting: ColumnElement[bool]) -> int:
    """How many versions meet the condition, which joins each with its question."""
    query = select(func.count()).select_from(QuestionVersion).join(Question, is_waiting)
    return db.session.scalar(query) or 0


def _waiting_versions(is_waiting: ColumnElement[bool], after: UUID) -> Sequence[QuestionVersion]:
    """The next APPROVE_BATCH_SIZE waiting versions with ids above `after`, locked."""
    query = (
        select(QuestionVersion)
        .join(Question, is_waiting)
        .where(QuestionVersion.id > after)
        .order_by(QuestionVersion.id)
        .limit(APPROVE_BATCH_SIZE)
        .with_for_update(of=QuestionVersion)
    )
    return db.session.scalars(query.execution_options(populate_existing=True)).all()


def set_in_use(question: Question, *, used: bool, by: Actor) -> None:
    """Take a question (locked) out of use, or back into use if `used`; sittings that have it keep it. Writes
    a journal entry, but does nothing if it is so already. A version that waits goes on waiting. Taking one of
    exams out of use flushes, and locks the papers of its category whose window is not over. Raises
    InvalidState if it was never approved, or one of these papers could not be filled any more, upon which the
    caller rolls back."""
    if question.approved_at is None:
        raise InvalidState("这道题还没有通过审核，不在使用中。")
    is_used = question.retired_at is None
    if used == is_used:
        return
    if used:
        question.retired_at = None
    else:
        _retire(question)
    journal.write_entry(
        "question",
        question.id,
        "restored" if used else "retired",
        by=by,
    )


def _retire(question: Question) -> None:
    """Take a question (locked) out of use, without a journal entry. For a question of exams, flushes, locks
    the papers of its category (without one: all) whose window is not over, and raises InvalidState if one
    could not be filled any more."""
    question.retired_at = clock.now()
    require_papers_assemblable(
        question.subject,
        question.category,
        question.purpose,
        "停用这道题",
    )
