"""Inserting new questions of a batch with their versions and groups."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import insert

from dingkao import clock
from dingkao.database.base import db, new_id
from dingkao.journal.entries import Actor
from dingkao.question_banks.importing.known_questions import (
    KnownQuestion,
)
from dingkao.question_banks.importing.parsed_question import (
    ParsedQuestion,
)
from dingkao.question_banks.models import (
    Question,
    QuestionGroup,
    QuestionVersion,
)
from dingkao.question_banks.question_versions import (
    APPROVED,
    PENDING,
)
from dingkao.tenants.context import current_tenant

PurposeChanges = set[tuple[str, str | None, str]]
"""Subject, category and purpose that questions in use had before a file changed these."""


@dataclass
class BatchImport:
    """The bank into which a batch is imported, with what it has already.

    `known_questions`: digest → the bank's question; `groups`: digest → the id of the bank's group;
    `group_positions`: group id → the last position taken; `new_groups`: the rows of new groups, collected to
    be inserted together; `purpose_changes`: see PurposeChanges. `category` is given to questions of 业务水平
    that have none; if it is None and `category_required`, they are refused.
    """

    bank_id: UUID
    by: Actor
    known_questions: dict[bytes, KnownQuestion]
    groups: dict[bytes, UUID]
    group_positions: dict[UUID, int]
    new_groups: list[dict[str, Any]] = field(default_factory=list)
    purpose_changes: PurposeChanges = field(default_factory=set)
    category: str | None = None
    category_required: bool = False

    @property
    def state(self) -> str:
        """The state of new versions: PENDING if staff import them, because a second person has to approve;
        else APPROVED."""
        return PENDING if self.by.kind == "staff" else APPROVED

    @property
    def needs_approval(self) -> bool:
        """Whether a second person has to approve what is imported."""
        return self.state == PENDING

    def insert_groups(self) -> None:
        """Insert the collected new groups; must be called before the questions that belong to them are
        inserted."""
        if self.new_groups:
            db.session.execute(insert(QuestionGroup), self.new_groups)
            self.new_groups = []

    def has_category(self, question: ParsedQuestion) -> bool:
        """Whether the bank has the question, with a category."""
        known = self.known_questions.get(question.content_digest())
        return known is not None and bool(known.values["category"])


def insert_questions(questions: Iterable[ParsedQuestion], batch: BatchImport) -> None:
    """Insert new questions, at least one, each with its first version, and their new groups. The bank is
    locked, and has none of them (IntegrityError)."""
    question_rows, version_rows = [], []
    for question in questions:
        question_id = new_id()
        version = build_version(question, question_id, 1, batch)
        version_rows.append(version)
        question_rows.append(_build_question(question, question_id, version["id"], batch))
    batch.insert_groups()
    # render_nulls: without it None would become the column's default, and no question would wait for approval
    db.session.execute(
        insert(Question).execution_options(render_nulls=True),
        question_rows,
    )
    db.session.execute(insert(QuestionVersion), version_rows)


def _build_question(
    question: ParsedQuestion,
    question_id: UUID,
    version_id: UUID,
    batch: BatchImport,
) -> dict[str, Any]:
    """The columns of a new question, as a row to be inserted, with its group (noted in `batch`, see
    `place_in_group`) and whether it is in use."""
    columns = {
        "tenant_id": current_tenant(),
        "id": question_id,
        "bank_id": batch.bank_id,
        "subject": question.subject,
        "category": question.category,
        "topic": question.topic or None,
        "kind": question.kind,
        "difficulty": question.difficulty,
        "purpose": question.purpose,
        "digest": question.content_digest(),
        "likeness": question.likeness(),
        "current_version": version_id,
    }
    return columns | _approval_columns(version_id, batch) | place_in_group(question, batch)


def columns_in_use() -> dict[str, Any]:
    """The columns of a question that comes into use now, without the approval of a second person."""
    return {"proposed_version": None, "approved_at": clock.now(), "retired_at": None}


def _approval_columns(version_id: UUID, batch: BatchImport) -> dict[str, Any]:
    """The columns that say whether a new question is in use: at once, or, if a second person has to approve,
    not until then."""
    if batch.needs_approval:
        return {
            "proposed_version": version_id,
            "approved_at": None,
            "retired_at": clock.now(),
        }
    return columns_in_use()


def place_in_group(question: ParsedQuestion, batch: BatchImport) -> dict[str, Any]:
    """The columns for the question's group (a new one if the bank has none, which is noted in `batch`, not
    inserted) and for its position after the group's other questions, which is counted on in `batch`; None and
    0 if it has no group."""
    digest = question.group_digest()
    if digest is None:
        return {"group_id": None, "group_position": 0}
    if digest not in batch.groups:
        batch.groups[digest] = new_id()
        batch.new_groups.append(_build_group(question, batch.groups[digest], digest, batch.bank_id))
    group_id = batch.groups[digest]
    batch.group_positions[group_id] = batch.group_positions.get(group_id, 0) + 1
    return {
        "group_id": group_id,
        "group_position": batch.group_positions[group_id],
    }


def _build_group(
    question: ParsedQuestion,
    group_id: UUID,
    digest: bytes,
    bank_id: UUID,
) -> dict[str, Any]:
    """The row of a new group under `group_id`, not inserted yet."""
    return {
        "tenant_id": current_tenant(),
        "id": group_id,
        "bank_id": bank_id,
        "label": question.group or None,
        "stem": question.case_stem,
        "digest": digest,
    }


def build_version(
    question: ParsedQuestion,
    question_id: UUID,
    number: int,
    batch: BatchImport,
) -> dict[str, Any]:
    """The row of a question's version with this number, under a new id, not inserted yet; its state is that
    of the batch's new versions."""
    return {
        "tenant_id": current_tenant(),
        "id": new_id(),
        "question_id": question_id,
        "number": number,
        "kind": question.kind,
        "case_stem": question.case_stem or None,
        "stem": question.stem,
        "options": [list(option) for option in question.options],
        "answer": question.answer,
        "explanation": question.explanation or None,
        "state": batch.state,
        "made_by": batch.by.id,
        "about": {},
    }
