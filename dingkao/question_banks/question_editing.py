"""Questions written and changed in the browser; what is written waits for a second person
(`question_approval`)."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select

from dingkao.database.base import db, new_id
from dingkao.doctors.code_lists import CATEGORIES
from dingkao.errors import InvalidInput
from dingkao.integrations.spreadsheets.import_rows import (
    ImportReport,
    ImportRow,
)
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.question_banks import text_checks
from dingkao.question_banks.importing.columns import (
    QUESTION_FIELDS,
)
from dingkao.question_banks.importing.file_import import import_rows
from dingkao.question_banks.importing.parsed_question import (
    NO_CATEGORY_WARNING,
    InvalidQuestionRow,
    ParsedQuestion,
    RowWarning,
    question_digest,
)
from dingkao.question_banks.importing.row_validation import (
    validate_row,
)
from dingkao.question_banks.models import (
    Question,
    QuestionBank,
    QuestionVersion,
)
from dingkao.question_banks.question_search import group_label
from dingkao.question_banks.question_types import (
    OPTION_LETTERS,
    QUESTION_TYPES,
    SharedContent,
    shared_content,
)
from dingkao.question_banks.question_versions import (
    PENDING,
    last_version_number,
    newest_version_id,
    supersede_version,
)

FIELD_BY_HEADING = {
    "题干": "stem",
    "选项": "options",
    "答案": "answer",
    "题型": "kind",
    "共用题干": "case_stem",
    "执业类别": "category",
    "解析": "explanation",
    "考点": "topic",
    "组号": "group",
}
_COLUMN_BY_SHARED_CONTENT = {
    SharedContent.CASE: "case_stem",
    SharedContent.OPTIONS: "options",
}
DUPLICATE_MESSAGE = "题库中已有相同的题目。"
KEY_VISIBLE_REMEDY = "考生会看到，请删去答案，括号留空。"


def create_question(bank: QuestionBank, cells: Mapping[str, Any], *, by: Actor) -> Question:
    """Create a question of `bank` from `cells`, column → text as `cells_from_form` returns them; made by
    staff, it waits for a second person. Locks the bank, and writes a journal entry. Raises InvalidInput
    naming the field, upon which the caller rolls back: for a question that the bank has already, a change of
    it may be proposed by then."""
    _validate(cells)
    report = import_rows(
        [ImportRow(1, cells)],
        bank_name=bank.name,
        by=by,
        report=ImportReport(),
    )
    if report.errors:
        problem = report.errors[0]
        raise InvalidInput(f"{problem.reason}。{problem.remedy}", "stem")
    if not report.accepted:
        raise InvalidInput(DUPLICATE_MESSAGE, "stem")
    query = select(Question).where(Question.bank_id == bank.id).order_by(Question.id.desc()).limit(1)
    return db.session.scalars(query).one()


def propose_revision(question: Question, cells: Mapping[str, Any], *, by: Actor) -> int:
    """Propose other texts for a question (locked), or other values of its own columns; a second person has to
    approve. `cells`: column → text as `cells_from_form` returns them; their group is ignored. What the group
    shares is changed for all its questions, which are locked. Returns how many questions got a new version,
    each with a journal entry. Raises InvalidInput, also if nothing changes; the caller then rolls back, as
    some versions may be written."""
    label = group_label(question)
    parsed_question = _validate({**cells, "group": label})
    newest = db.session.get_one(
        QuestionVersion,
        (question.tenant_id, newest_version_id(question)),
    )
    _require_type_of_group(question, newest, parsed_question)
    _require_unique(question, label, parsed_question)
    about = {name: getattr(parsed_question, name) or None for name in QUESTION_FIELDS}
    texts = _version_texts(parsed_question)
    if _has_texts(newest, texts) and about == values_about(question, newest):
        raise InvalidInput("没有改动，无需保存。")
    propose_version(question, texts, about, by=by)
    return 1 + _propose_shared_content(question, texts, by=by)


def _has_texts(version: QuestionVersion, texts: Mapping[str, Any]) -> bool:
    """Whether the version's texts are these (column → text)."""
    return all(getattr(version, name) == text for name, text in texts.items())


def propose_version(
    question: Question,
    texts: Mapping[str, Any],
    about: Mapping[str, Any],
    *,
    by: Actor,
) -> None:
    """Add a version that waits for a second person, flushed; one that waits already is superseded. The
    question is locked; if it was never approved, its newest version is the current one, too. `texts`: column
    → value, from kind to explanation; `about`: the values that it is to give the question's own columns.
    Writes a journal entry."""
    if question.proposed_version:
        supersede_version(question.proposed_version)
    version = QuestionVersion(
        id=new_id(),
        question_id=question.id,
        number=last_version_number(question.id) + 1,
        about=dict(about),
        state=PENDING,
        made_by=by.id,
        **texts,
    )
    db.session.add(version)
    db.session.flush()
    question.proposed_version = version.id
    if question.approved_at is None:
        question.current_version = version.id
    journal.write_entry(
        "question",
        question.id,
        "proposed",
        by=by,
        version=version.number,
    )


def values_about(question: Question, version: QuestionVersion) -> dict[str, Any]:
    """Column → value, for the question's own columns (QUESTION_FIELDS) as they will be if `version` is
    approved."""
    return {name: getattr(question, name) for name in QUESTION_FIELDS} | version.about


def cells_from_form(form_values: Mapping[str, str]) -> dict[str, Any]:
    """The values of a question's form as the cells of a row, "" for missing ones; its options are in the
    fields option_A and so on. A category's code becomes its label, an unknown one ""."""
    text_names = (
        "kind",
        "group",
        "case_stem",
        "stem",
        "explanation",
        "topic",
    )
    choice_names = ("subject", "difficulty", "purpose")
    cells: dict[str, Any] = {
        name: form_values.get(name, "") for name in (*text_names, "answer", *choice_names)
    }
    cells["category"] = CATEGORIES.get(form_values.get("category", ""), "")
    option_cells = {f"option_{letter}": form_values.get(f"option_{letter}", "") for letter in OPTION_LETTERS}
    cells |= option_cells
    if not any(option_cells.values()):
        cells["options"] = ""
    return cells


def _validate(cells: Mapping[str, Any]) -> ParsedQuestion:
    """The question in a form's cells. Raises InvalidInput, with the field if one is known for the column,
    also for a question of 业务水平 without a category and for a key that doctors would see."""
    try:
        parsed_question, warnings = validate_row(ImportRow(1, cells))
        _refuse_visible_key(warnings)
        if parsed_question.needs_category():
            raise InvalidQuestionRow(*NO_CATEGORY_WARNING[:2], "请选择执业类别。")
    except InvalidQuestionRow as refusal:
        heading, reason, remedy = refusal.problem
        raise InvalidInput(f"{reason}。{remedy}", FIELD_BY_HEADING.get(heading)) from refusal
    return parsed_question


def _refuse_visible_key(warnings: Iterable[RowWarning]) -> None:
    """Raise InvalidQuestionRow if a warning says that doctors would see the key. (An import removes such a
    key; here the author should.)"""
    for heading, reason, _ in warnings:
        if reason.startswith(text_checks.KEY_SHOWN):
            raise InvalidQuestionRow(heading, reason, KEY_VISIBLE_REMEDY)


def _require_type_of_group(
    question: Question,
    newest: QuestionVersion,
    parsed_question: ParsedQuestion,
) -> None:
    """Raise InvalidInput for a type that shares nothing or other content than the question's group does, or
    shares any if the question has no group."""
    new_type = QUESTION_TYPES[parsed_question.kind]
    if not question.group_id and new_type.shares:
        raise InvalidInput(f"{new_type.name}按组编写，请用“新增题目”或导入。", "kind")
    if question.group_id and new_type.shares is not shared_content(newest.kind):
        raise InvalidInput(f"同组的题目不能单独改为{new_type.name}。", "kind")


def _require_unique(question: Question, label: str, parsed_question: ParsedQuestion) -> None:
    """Raise InvalidInput if the bank has another question with the same digest: the same case, stem and
    options, and for B1 the same group label."""
    digest = question_digest(
        parsed_question.kind,
        label,
        parsed_question.case_stem,
        parsed_question.stem,
        parsed_question.options,
    )
    same_question = select(Question.id).where(
        Question.bank_id == question.bank_id,
        Question.digest == digest,
        Question.id != question.id,
    )
    if db.session.scalar(same_question.limit(1)):
        raise InvalidInput(DUPLICATE_MESSAGE, "stem")


def _version_texts(parsed_question: ParsedQuestion) -> dict[str, Any]:
    """Column → value, for the columns of a version that hold the texts."""
    return {
        "kind": parsed_question.kind,
        "case_stem": parsed_question.case_stem or None,
        "stem": parsed_question.stem,
        "options": [list(option) for option in parsed_question.options],
        "answer": parsed_question.answer,
        "explanation": parsed_question.explanation or None,
    }


def _propose_shared_content(question: Question, texts: Mapping[str, Any], *, by: Actor) -> int:
    """Propose what the group shares, from `texts`, for its other questions in which it differs; all of them
    are locked. Returns how many it differs in. Raises InvalidInput if another question's key is no option any
    more."""
    content = shared_content(texts["kind"])
    if content is None:
        return 0
    column = _COLUMN_BY_SHARED_CONTENT[content]
    members = _other_group_members_for_update(question)
    return sum(_propose_shared_column(member, column, texts, by) for member in members)


def _propose_shared_column(member: Question, column: str, texts: Mapping[str, Any], by: Actor) -> bool:
    """Propose one column, from `texts`, for another question of the group (locked), on top of its newest
    version, with a journal entry. Returns whether it differed; if not, nothing is done. Raises InvalidInput
    if new options lack the letters of its key."""
    newest = db.session.get_one(QuestionVersion, (member.tenant_id, newest_version_id(member)))
    if getattr(newest, column) == texts[column]:
        return False
    if column == "options":
        _require_answer_among_options(newest.answer, texts["options"])
    member_texts = {name: getattr(newest, name) for name in texts} | {column: texts[column]}
    propose_version(member, member_texts, values_about(member, newest), by=by)
    return True


def _require_answer_among_options(answer: str, options: Iterable[tuple[str, str]]) -> None:
    """Raise InvalidInput unless the options, (letter, text) each, have the letters of another question's key,
    `answer`."""
    if not set(answer) <= {letter for letter, _ in options}:
        raise InvalidInput(
            "同组另一题的答案在新的备选答案中没有了，请保留那个选项。",
            "options",
        )


def _other_group_members_for_update(
    question: Question,
) -> list[Question]:
    """The other questions of the question's group, locked; none if it has no group."""
    if not question.group_id:
        return []
    query = select(Question).where(
        Question.group_id == question.group_id,
        Question.id != question.id,
    )
    return list(db.session.scalars(query.order_by(Question.id).with_for_update()))
