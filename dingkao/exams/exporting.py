"""A bank as a file: our sheet, or GIFT. Imported again, either gives the same bank."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import and_, or_, select

from dingkao.database.model import db
from dingkao.doctors.codes import CATEGORIES
from dingkao.exams import gift
from dingkao.exams.importing import LETTERS, TEMPLATE
from dingkao.exams.models import (
    DIFFICULTIES,
    PURPOSES,
    SUBJECTS,
    Question,
    QuestionBank,
    QuestionGroup,
    QuestionVersion,
)
from dingkao.outside import sheets

_OWN_LETTER = re.compile(r"[(\[\uff08\u3010]?[A-Ja-j\uff21-\uff2a\uff41-\uff4a][.\uff0e\u3001,\uff0c:\uff1a)\]\uff09\u3011\u3002]")
BEFORE, AFTER = TEMPLATE[: TEMPLATE.index("选项A")], TEMPLATE[TEMPLATE.index("答案") :]


def questions_of(bank_id: UUID) -> Iterator[dict[str, Any]]:
    """The questions of a bank that nobody has taken out of use, as cells by our columns' names, groups together and in their order."""
    query = (
        select(Question, QuestionVersion, QuestionGroup.label)
        .join(QuestionVersion, and_(QuestionVersion.tenant_id == Question.tenant_id, QuestionVersion.id == Question.current_version))
        .outerjoin(QuestionGroup, and_(QuestionGroup.tenant_id == Question.tenant_id, QuestionGroup.id == Question.group_id))
        .where(Question.bank_id == bank_id, or_(Question.retired_at.is_(None), Question.approved_at.is_(None)))
        .order_by(Question.id)
    )
    rows = [(row, version, label) for row, version, label in db.session.execute(query)]
    first: dict[UUID, UUID] = {}
    for row, _, _ in rows:
        if row.group_id:
            first.setdefault(row.group_id, row.id)
    rows.sort(key=lambda one: (first[one[0].group_id] if one[0].group_id else one[0].id, one[0].group_position, one[0].id))
    for row, version, label in rows:
        yield cells_of(row, version, label or "")


def cells_of(row: Question, version: QuestionVersion, label: str) -> dict[str, Any]:
    """A question as cells, in the words that a sheet has; its options as pairs."""
    return {
        "kind": version.kind, "group": label, "case_stem": version.case_stem or "", "stem": version.stem,
        "options": [(letter, words) for letter, words in version.options], "answer": version.answer, "explanation": version.explanation or "",
        "subject": SUBJECTS[row.subject], "category": CATEGORIES.get(row.category or "", ""), "topic": row.topic or "",
        "difficulty": DIFFICULTIES[row.difficulty], "purpose": PURPOSES[row.purpose],
    }  # fmt: skip


def as_sheet(bank: QuestionBank) -> bytes:
    """The bank as xlsx in our template's columns, with as many for options as are needed."""
    return sheet_of(list(questions_of(bank.id)))


def sheet_of(found: list[dict[str, Any]]) -> bytes:
    """Questions as xlsx in our template's columns."""
    most = max((LETTERS.index(letter) for cells in found for letter, _ in cells["options"]), default=4)
    letters = LETTERS[: max(5, most + 1)]
    names = {"题型": "kind", "组号": "group", "共用题干": "case_stem", "题干": "stem", "答案": "answer", "解析": "explanation", "科目": "subject", "执业类别": "category", "考点": "topic", "难度": "difficulty", "用途": "purpose"}
    rows = []
    for cells in found:
        options = {} if cells["kind"] == "TF" else lettered(cells["options"])
        shown = cells | {"answer": answer_of(cells)}
        rows.append([*(shown[names[heading]] for heading in BEFORE), *(options.get(letter, "") for letter in letters), *(shown[names[heading]] for heading in AFTER)])
    return sheets.write([*BEFORE, *(f"选项{letter}" for letter in letters), *AFTER], rows, "试题")


def as_gift(bank: QuestionBank) -> bytes:
    """The bank as GIFT."""
    return gift.write(questions_of(bank.id), bank.name).encode()


def answer_of(cells: Mapping[str, Any]) -> str:
    """The answer as a sheet has it: 判断题 in words."""
    return str(dict(cells["options"])[cells["answer"]] if cells["kind"] == "TF" else cells["answer"])


def lettered(options: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Options by their letters. Where each begins as if with a letter of its own, that is written before it once more: what an import
    takes off there is then the one that was added."""
    if all(_OWN_LETTER.match(words) for _, words in options):
        return {letter: f"{letter}.{words}" for letter, words in options}
    return dict(options)
