"""Importing one batch of a file's rows into a bank: new questions, new versions of known ones, and their
groups.

What staff import in the browser waits for approval by a second person; what the command line or a
demonstration imports doesn't.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from sqlalchemy import case, func, insert, select, update

from dingkao.database.arrays import in_array
from dingkao.database.base import db, new_id
from dingkao.integrations.spreadsheets.import_rows import (
    ImportReport,
    ImportRow,
    RowProblem,
)
from dingkao.journal.entries import Actor
from dingkao.question_banks import question_pictures
from dingkao.question_banks.importing.columns import QUESTION_FIELDS
from dingkao.question_banks.importing.known_questions import (
    VERSION_FIELDS,
    KnownQuestion,
    changed_values,
    clean_bank_name,
    find_known_questions,
    report_refused,
    valid_questions,
)
from dingkao.question_banks.importing.parsed_question import (
    NO_CATEGORY_WARNING,
    InvalidQuestionRow,
    ParsedQuestion,
    RowWarning,
)
from dingkao.question_banks.importing.question_rows import (
    BatchImport,
    PurposeChanges,
    build_version,
    columns_in_use,
    insert_questions,
    place_in_group,
)
from dingkao.question_banks.importing.similar_questions import (
    SimilarQuestion,
    similar_question_warnings,
)
from dingkao.question_banks.models import (
    Question,
    QuestionBank,
    QuestionGroup,
    QuestionVersion,
)
from dingkao.question_banks.question_versions import (
    last_version_number,
    supersede_version,
)


@dataclass
class FileProgress:
    """What the batches of one file need to know about the previous ones: `digests`, those of the questions
    imported; `similar_questions`, likeness → the first such question of the file."""

    digests: set[bytes] = field(default_factory=set)
    similar_questions: dict[bytes, SimilarQuestion] = field(default_factory=dict)


def import_batch(
    rows: Sequence[ImportRow],
    *,
    bank_name: str,
    by: Actor,
    report: ImportReport,
    progress: FileProgress,
    category: str | None = None,
    category_required: bool = False,
) -> PurposeChanges:
    """Import a batch of a file's rows into the bank called `bank_name`, without committing or a journal
    entry. Errors, warnings and counts are added to `report`, and `progress` is updated. Returns the subject,
    category and purpose that questions in use had before the file changed them: the caller then asks
    `supply.require_papers_assemblable` for each. Locks the bank, which is created if there is none. Raises
    arrays.TooManyValues for more than 5,000 rows. If another transaction creates the bank meanwhile, there is
    an IntegrityError.

    `category`: for questions of 业务水平 for which neither file nor bank has one. `category_required`: such
    questions are refused if `category` is None, too, because no paper would ever draw them.
    """
    valid_rows = list(valid_questions(rows, report))
    batch = _prepare_batch(bank_name, by, [question for _, question, _ in valid_rows])
    batch.category, batch.category_required = (
        category,
        category_required,
    )
    new_rows: list[tuple[ImportRow, ParsedQuestion]] = []
    for row, question in _iter_importable(valid_rows, batch, progress, report):
        known = batch.known_questions.get(question.content_digest())
        if known is not None:
            _update_known_question(question, known, batch, report)
        else:
            new_rows.append((row, question))
    _import_new_questions(new_rows, batch, progress, report)
    return batch.purpose_changes


def _iter_importable(
    valid_rows: Iterable[tuple[ImportRow, ParsedQuestion, list[RowWarning]]],
    batch: BatchImport,
    progress: FileProgress,
    report: ImportReport,
) -> Iterator[tuple[ImportRow, ParsedQuestion]]:
    """The rows whose questions can be imported, each with its category; their warnings are added to `report`
    and their digests to `progress`. Refused, and added to `report`, is a question with a picture that the
    province doesn't have, one that the file has earlier, and one of 业务水平 without the category that the
    batch requires."""
    for row, parsed_question, warnings in valid_rows:
        try:
            _require_importable(parsed_question, progress)
            question = _with_category(parsed_question, batch)
        except InvalidQuestionRow as refusal:
            report_refused(row, refusal, report)
            continue
        report.warnings += _reported_warnings(row, warnings)
        progress.digests.add(question.content_digest())
        yield row, question


def _import_new_questions(
    new_rows: Sequence[tuple[ImportRow, ParsedQuestion]],
    batch: BatchImport,
    progress: FileProgress,
    report: ImportReport,
) -> None:
    """Insert the questions that the bank doesn't have, counted in `report`, with warnings about similar
    ones."""
    if not new_rows:
        return
    report.warnings += similar_question_warnings(new_rows, progress.similar_questions)
    insert_questions([question for _, question in new_rows], batch)
    report.accepted += len(new_rows)


def get_or_create_bank(name: str) -> QuestionBank:
    """The bank of that name (which is cleaned here, see `clean_bank_name`), locked; a new one, flushed, if
    there is none. If another transaction creates it at the same time, the flush fails with an
    IntegrityError."""
    name = clean_bank_name(name)
    bank = db.session.scalar(select(QuestionBank).where(QuestionBank.name == name).with_for_update())
    if bank is None:
        bank = QuestionBank(id=new_id(), name=name)
        db.session.add(bank)
        db.session.flush()
    return bank


def _require_importable(question: ParsedQuestion, progress: FileProgress) -> None:
    """Raise InvalidQuestionRow if the province lacks one of the question's pictures, or the file has the
    question earlier."""
    if not question_pictures.all_exist(question.picture_names()):
        remedy = "请用Word模板把图片与题目一起导入，或导入后在题目编辑页插入。"
        raise InvalidQuestionRow("图片", "文字中的图片不在本省的图片中", remedy)
    if question.content_digest() in progress.digests:
        raise InvalidQuestionRow("题干", "与本文件前面的题目重复", "请删除重复的题目。")


def _with_category(question: ParsedQuestion, batch: BatchImport) -> ParsedQuestion:
    """The question; if it is of 业务水平 and has no category, with the batch's. Raises InvalidQuestionRow if
    that has none and one is required."""
    if not question.needs_category() or batch.has_category(question):
        return question
    if batch.category:
        return replace(
            question,
            category=batch.category,
            provided_columns=question.provided_columns | {"category"},
        )
    if batch.category_required:
        raise InvalidQuestionRow(*NO_CATEGORY_WARNING)
    return question


def _reported_warnings(row: ImportRow, warnings: Iterable[RowWarning]) -> list[RowProblem]:
    """The warnings about a row, as the report has them."""
    return [
        RowProblem(row.number, row.column_label(column), reason, remedy)
        for column, reason, remedy in warnings
    ]


def _prepare_batch(name: str, by: Actor, questions: Sequence[ParsedQuestion]) -> BatchImport:
    """The bank called `name`, locked, with what it has of these questions and of their groups; it is created
    if there is none. Raises arrays.TooManyValues for more than 5,000 questions. If another transaction
    creates the bank meanwhile, there is an IntegrityError."""
    bank = get_or_create_bank(name)
    groups = _load_groups(bank.id, questions)
    positions = _load_group_positions(groups.values())
    known_questions = find_known_questions(bank.id, questions)
    return BatchImport(bank.id, by, known_questions, groups, positions)


def _load_groups(bank_id: UUID, questions: Iterable[ParsedQuestion]) -> dict[bytes, UUID]:
    """Digest → group id, for the groups of these questions that the bank has."""
    digests = {question.group_digest() for question in questions} - {None}
    query = select(QuestionGroup.digest, QuestionGroup.id).where(
        QuestionGroup.bank_id == bank_id,
        in_array(QuestionGroup.digest, digests),
    )
    return {bytes(digest): group_id for digest, group_id in db.session.execute(query)}


def _load_group_positions(
    group_ids: Iterable[UUID],
) -> dict[UUID, int]:
    """Group id → the last position taken in it, for those of the groups that have questions."""
    query = (
        select(Question.group_id, func.max(Question.group_position))
        .where(in_array(Question.group_id, group_ids))
        .group_by(Question.group_id)
    )
    return {group_id: last for group_id, last in db.session.execute(query) if group_id}


def _update_known_question(
    question: ParsedQuestion,
    known: KnownQuestion,
    batch: BatchImport,
    report: ImportReport,
) -> None:
    """Change a known question (its bank is locked) as the file says, and count it in `report`: its own
    columns (subject, category, purpose …) at once; answer, type and explanation in a new version. If a second
    person has to approve, the version holds all changes until then, except that a question without a group
    gets its group at once. A retired one stays retired."""
    changes = changed_values(question, known)
    columns = _changed_columns(question, known, changes, batch)
    if not changes and not columns:
        report.unchanged += 1
        return
    report.changed += 1
    if _needs_version(changes, batch):
        columns |= _insert_changed_version(question, known, changes, batch)
    batch.insert_groups()
    if columns:
        db.session.execute(update(Question).where(Question.id == known.id).values(**columns))
    _note_purpose_change(known, columns, batch)


def _needs_version(changes: dict[str, Any], batch: BatchImport) -> bool:
    """Whether the changes of a known question need a new version of it."""
    if batch.needs_approval:
        return bool(changes)
    return not changes.keys().isdisjoint(VERSION_FIELDS)


def _note_purpose_change(known: KnownQuestion, columns: dict[str, Any], batch: BatchImport) -> None:
    """If one of a question's own columns changes (its group doesn't count), and the question was approved at
    some time, remember its subject, category and purpose from before."""
    if known.has_approved_version and not columns.keys().isdisjoint(QUESTION_FIELDS):
        batch.purpose_changes.add(known.purpose_key)


def _changed_columns(
    question: ParsedQuestion,
    known: KnownQuestion,
    changes: dict[str, Any],
    batch: BatchImport,
) -> dict[str, Any]:
    """The question's own columns that change at once: its group if it had none, and, unless a second person
    has to approve, those among `changes`."""
    columns = {} if batch.needs_approval else _question_columns(changes)
    if known.group_id is None and question.group_digest():
        columns |= place_in_group(question, batch)
    return columns


def _question_columns(values: dict[str, Any]) -> dict[str, Any]:
    """Those of `values` that are columns of a question itself."""
    return {name: value for name, value in values.items() if name in QUESTION_FIELDS}


def _insert_changed_version(
    question: ParsedQuestion,
    known: KnownQuestion,
    changes: dict[str, Any],
    batch: BatchImport,
) -> dict[str, Any]:
    """Insert the version of a known question with `changes`; one that waits is returned to its author.
    Returns the question's columns that name its versions, which the caller sets."""
    version = _build_changed_version(question, known, changes, batch)
    if known.pending_version:
        supersede_version(known.pending_version)
    db.session.execute(insert(QuestionVersion), [version])
    return _version_columns(version["id"], known, batch)


def _build_changed_version(
    question: ParsedQuestion,
    known: KnownQuestion,
    changes: dict[str, Any],
    batch: BatchImport,
) -> dict[str, Any]:
    """The row of a known question's version with `changes`."""
    merged_values = known.values | changes
    version = build_version(question, known.id, last_version_number(known.id) + 1, batch)
    version |= {name: merged_values[name] for name in VERSION_FIELDS}
    if batch.needs_approval:
        version["about"] = _question_columns(merged_values)
    return version


def _version_columns(version_id: UUID, known: KnownQuestion, batch: BatchImport) -> dict[str, Any]:
    """The columns with which a known question names its newest version: as the current one, by which a
    question never approved before comes into use; or, if a second person has to approve, as the one that
    waits, as both if none was ever approved. Whether one was is asked again when they are set: another person
    may have approved it since `known` was read."""
    if not batch.needs_approval:
        columns = {"proposed_version": None, "current_version": version_id}
        return columns if known.has_approved_version else columns | columns_in_use()
    if not known.has_approved_version:
        is_unapproved = Question.approved_at.is_(None)
        return {
            "proposed_version": version_id,
            "current_version": case(
                (is_unapproved, version_id),
                else_=Question.current_version,
            ),
        }
    return {"proposed_version": version_id}
