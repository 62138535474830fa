"""A bank as a file: a spreadsheet in our template's columns, or GIFT, without retired questions. Importing
either again gives the same questions."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    and_,
    func,
    or_,
    select,
)
from sqlalchemy.orm import aliased

from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.doctors.code_lists import CATEGORIES
from dingkao.integrations.spreadsheets import xlsx_writer
from dingkao.jobs.models import Job
from dingkao.journal.entries import Actor
from dingkao.people.job_repeats import allow_repeat
from dingkao.people.list_exports import Export, ExportCursor, Rows
from dingkao.question_banks.importers import gift_writer
from dingkao.question_banks.importing.columns import TEMPLATE
from dingkao.question_banks.models import (
    DIFFICULTIES,
    QUESTION_PURPOSES,
    SUBJECTS,
    Question,
    QuestionBank,
    QuestionGroup,
    QuestionVersion,
)
from dingkao.question_banks.question_types import (
    ANY_WIDTH_LETTERS,
    OPTION_LETTERS,
    QUESTION_TYPES,
    is_true_false,
)

_LETTER_PREFIX_PATTERN = re.compile(
    rf"[(\[\uff08\u3010]?[{ANY_WIDTH_LETTERS}][.\uff0e\u3001,\uff0c:\uff1a)\]\uff09\u3011\u3002]"
)
GROUPS_PER_QUERY, FIRST_ID = 2_000, UUID(int=0)
COLUMN_BY_HEADING = {
    "题型": "kind", "组号": "group", "共用题干": "case_stem", "题干": "stem", "答案": "answer", "解析": "explanation", "科目": "subject", "执业类别": "category",
    "考点": "topic", "难度": "difficulty", "用途": "purpose",
}  # fmt: skip
HEADINGS_BEFORE_OPTIONS = TEMPLATE[: TEMPLATE.index("选项A")]
HEADINGS_AFTER_OPTIONS = TEMPLATE[TEMPLATE.index("答案") :]


def iter_questions(bank_id: UUID) -> Iterator[dict[str, Any]]:
    """The questions of a bank that are not retired, those never approved too, as cells by column name (see
    `question_cells`), groups together and in order, each in its current version, also if another one waits
    for approval. Read from the database while it is iterated."""
    last_id: UUID | None = FIRST_ID
    while last_id is not None:
        cells, last_id = questions_page(bank_id, last_id, GROUPS_PER_QUERY)
        yield from cells


def questions_page(bank_id: UUID, after: UUID, limit: int) -> tuple[list[dict[str, Any]], UUID | None]:
    """Return the cells of the next questions of a bank, and the id to continue after (None after the last;
    after a full page there may be none left either). A page has at most `limit` heads (questions without a
    group, and first questions of groups) with ids above `after`, each with its whole group. Retired questions
    are left out. Raises arrays.TooManyValues for a `limit` above 5,000 if a page has so many heads."""
    heads = _list_heads(bank_id, after, limit)
    cells = [
        question_cells(question, version, label or "")
        for question, version, label in _load_with_groups(bank_id, heads)
    ]
    return cells, heads[-1].id if len(heads) == limit else None


def _load_with_groups(
    bank_id: UUID, heads: Sequence[Any]
) -> list[Row[Question, QuestionVersion, str | None]]:
    """The questions `heads`, rows of (id, group_id), each followed by the others of its group, with their
    current versions and their groups' labels."""
    head_id_by_group = {head.group_id: head.id for head in heads if head.group_id}
    is_on_page = or_(
        in_array(Question.id, (head.id for head in heads)),
        in_array(Question.group_id, head_id_by_group),
    )
    questions = db.session.execute(_questions_query(bank_id).where(is_on_page))
    return sorted(questions, key=partial(_position_key, head_id_by_group))


def _exported_condition(bank_id: UUID) -> ColumnElement[bool]:
    """The condition that a Question is in the bank and not retired."""
    return and_(Question.bank_id == bank_id, _not_retired_condition(Question))


def _not_retired_condition(
    question: type[Question],
) -> ColumnElement[bool]:
    """The condition that a question is in use or was never approved yet."""
    return or_(question.retired_at.is_(None), question.approved_at.is_(None))


def _list_heads(bank_id: UUID, after: UUID, limit: int) -> Sequence[Any]:
    """The next `limit` questions of a bank with ids above `after`, in the order of ids, that have no group or
    are the first of theirs, as rows of (id, group_id); retired questions don't count."""
    other_question = aliased(Question)
    earlier_members = select(other_question.id).where(
        other_question.tenant_id == Question.tenant_id,
        other_question.group_id == Question.group_id,
        other_question.id < Question.id,
        _not_retired_condition(other_question),
    )
    query = (
        select(Question.id, Question.group_id)
        .where(
            _exported_condition(bank_id),
            Question.id > after,
            ~earlier_members.exists(),
        )
        .order_by(Question.id)
        .limit(limit)
    )
    return db.session.execute(query).all()


def _questions_query(
    bank_id: UUID,
) -> Select[Question, QuestionVersion, str | None]:
    """The query for a bank's questions that are not retired, with their current versions and their groups'
    labels."""
    is_current = and_(
        QuestionVersion.tenant_id == Question.tenant_id,
        QuestionVersion.id == Question.current_version,
    )
    is_its_group = and_(
        QuestionGroup.tenant_id == Question.tenant_id,
        QuestionGroup.id == Question.group_id,
    )
    return (
        select(Question, QuestionVersion, QuestionGroup.label)
        .join(QuestionVersion, is_current)
        .outerjoin(QuestionGroup, is_its_group)
        .where(_exported_condition(bank_id))
    )


def _position_key(head_id_by_group: Mapping[UUID | None, UUID], row: Any) -> tuple[UUID, int, UUID]:
    """The key by which exported questions (rows of `_questions_query`) are sorted: the id of the group's
    first question, or the question's own without a group, then the position in the group. `head_id_by_group`:
    group id → id of its first question."""
    question = row[0]
    position = head_id_by_group[question.group_id] if question.group_id else question.id
    return position, question.group_position, question.id


def question_cells(question: Question, version: QuestionVersion, label: str) -> dict[str, Any]:
    """A question with one of its versions as cells by column name. `label`: its 组号, "" if none. "kind" is
    the type's code, "answer" the key's letters (`answer_cell`: as people write it), "options" (letter, text)
    pairs; all others are the texts that a spreadsheet has, "" for what is missing."""
    return {
        "kind": version.kind,
        "group": label,
        "case_stem": version.case_stem or "",
        "stem": version.stem,
        "options": [(letter, words) for letter, words in version.options],
        "answer": version.answer,
        "explanation": version.explanation or "",
    } | _cells_about(question)


def _cells_about(question: Question) -> dict[str, str]:
    """A question's own columns, except its type, as cells."""
    return {
        "subject": SUBJECTS[question.subject],
        "category": CATEGORIES.get(question.category or "", ""),
        "topic": question.topic or "",
        "difficulty": DIFFICULTIES[question.difficulty],
        "purpose": QUESTION_PURPOSES[question.purpose],
    }


def bank_xlsx(bank: QuestionBank) -> bytes:
    """The bank, without retired questions, as xlsx in our template's columns, with as many option columns as
    are needed, at least five. All of it is held in memory, so callers use XLSX_EXPORT's job for a bank that
    isn't short (`Export.is_short`). Raises InvalidState for more rows than a sheet has."""
    return questions_xlsx(list(iter_questions(bank.id)))


def questions_xlsx(questions: Iterable[dict[str, Any]], letters: str = "") -> bytes:
    """Questions (see `question_cells`) as xlsx in our template's columns. `letters`: the letters of the
    option columns, without which an option is left out, for many questions, which are written through a
    temporary folder; "" finds out which are used, for which all questions are held in memory. Raises
    InvalidState for more rows than a sheet has."""
    is_large = bool(letters)
    if not letters:
        questions = list(questions)
        letters = _used_letters(questions)
    sheet_rows = (_sheet_row(cells, letters) for cells in questions)
    return xlsx_writer.write_xlsx(_sheet_headings(letters), sheet_rows, "试题", large=is_large)


def _sheet_headings(letters: str) -> list[str]:
    """Our template's headings, with option columns for `letters`."""
    return [
        *HEADINGS_BEFORE_OPTIONS,
        *(f"选项{letter}" for letter in letters),
        *HEADINGS_AFTER_OPTIONS,
    ]


def _used_letters(questions: Iterable[Mapping[str, Any]]) -> str:
    """The option letters up to the last one that any question uses, at least five."""
    used_letters = (letter for cells in questions for letter, _ in cells["options"])
    return OPTION_LETTERS[
        : max(
            5,
            1 + max(map(OPTION_LETTERS.index, used_letters), default=0),
        )
    ]


def _sheet_row(cells: dict[str, Any], letters: str) -> list[str]:
    """The row of a question, with option columns for `letters`; those of a statement (true or false) are
    empty."""
    options = {} if is_true_false(cells["kind"]) else options_by_letter(cells["options"])
    cells_with_answer = cells | {"answer": answer_cell(cells)}
    return [
        *_cells_under(HEADINGS_BEFORE_OPTIONS, cells_with_answer),
        *(options.get(letter, "") for letter in letters),
        *_cells_under(HEADINGS_AFTER_OPTIONS, cells_with_answer),
    ]


def _cells_under(headings: Iterable[str], cells: Mapping[str, str]) -> Iterator[str]:
    """The cells of a question for these headings of our template."""
    return (cells[COLUMN_BY_HEADING[heading]] for heading in headings)


def bank_gift(bank: QuestionBank) -> bytes:
    """The bank, without retired questions, as a GIFT file in UTF-8. All of it is held in memory, so callers
    use GIFT_EXPORT's job for a bank that isn't short (`Export.is_short`)."""
    return gift_writer.write_gift(iter_questions(bank.id), bank.name).encode()


# --- a large bank, by a job


def _count(bank_id: UUID) -> int:
    """How many questions an export of the bank has."""
    query = select(func.count()).select_from(Question).where(_exported_condition(bank_id))
    return db.session.scalar(query) or 0


def _rows(bank_id: UUID, after: ExportCursor, limit: int) -> tuple[Rows, ExportCursor]:
    """The next questions of the bank as cells, at most `limit` (a group, which is whole, counts as one), and
    the cursor after them, [id]; None after the last."""
    questions, last_id = questions_page(bank_id, UUID(after[0]) if after else FIRST_ID, limit)
    return questions, [str(last_id)] if last_id else None


def _write_xlsx(_bank_id: UUID, questions: Iterator[Any], path: Path) -> None:
    """Write the questions as xlsx with a column for every letter of options. Raises InvalidState for more
    rows than a sheet has."""
    sheet_rows = (_sheet_row(cells, OPTION_LETTERS) for cells in questions)
    xlsx_writer.write_xlsx_file(path, _sheet_headings(OPTION_LETTERS), sheet_rows, "试题")


def _write_gift(bank_id: UUID, questions: Iterator[Any], path: Path) -> None:
    """Write the questions as a GIFT file in UTF-8."""
    name = db.session.scalars(select(QuestionBank.name).where(QuestionBank.id == bank_id)).one()
    path.write_text(gift_writer.write_gift(questions, name), encoding="utf-8")


XLSX_EXPORT = Export("export_bank", lambda _bank: "questions.xlsx", _count, _rows, _write_xlsx)
GIFT_EXPORT = Export("export_bank_gift", lambda _bank: "questions.gift.txt", _count, _rows, _write_gift)


def _enqueue_again(export: Export, job: Job, by: Actor) -> Job:
    """Enqueue a new job that exports the bank of `job`, for `by`, who may (`job_repeats` has checked
    that)."""
    return export.enqueue(UUID(job.arguments["subject"]), job.title, by=by.id)


for _export in (XLSX_EXPORT, GIFT_EXPORT):
    allow_repeat(_export.job, "questions.export", partial(_enqueue_again, _export))


def answer_cell(cells: Mapping[str, Any]) -> str:
    """The answer as a spreadsheet shows it: letters, or words for 判断题."""
    return QUESTION_TYPES[cells["kind"]].answer_text(cells["answer"], cells["options"])


def options_by_letter(
    options: Sequence[tuple[str, str]],
) -> dict[str, str]:
    """Letter → option text. If every text begins as with a letter of its own («A.甲»), the letter is written
    before it again: an import removes one, and the text stays as it is."""
    if all(_LETTER_PREFIX_PATTERN.match(words) for _, words in options):
        return {letter: f"{letter}.{words}" for letter, words in options}
    return dict(options)
