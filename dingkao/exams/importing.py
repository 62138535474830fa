"""Question banks from sheets: the common form with all options in one cell, and our template with a column an option."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import insert, select, update

from dingkao.database.model import db, new_id
from dingkao.doctors.codes import code_of
from dingkao.exams.models import (
    DIFFICULTIES,
    PURPOSES,
    SUBJECTS,
    TYPES,
    Question,
    QuestionBank,
    QuestionGroup,
    QuestionVersion,
)
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor
from dingkao.outside import sheets
from dingkao.outside.sheets import Fault, Report, Row
from dingkao.tenants.context import current_tenant
from dingkao.tenants.secrets import normalised

LETTERS = "ABCDEFGHIJ"
COLUMNS = {
    "kind": ("题型", "Type"),
    "group": ("组号", "题组"),
    "case_stem": ("共用题干", "病例"),
    "stem": ("题干", "题目", "试题", "Question"),
    "options": ("选项", "备选答案", "Options"),
    **{f"option_{letter}": (f"选项{letter}", letter, f"{letter}选项") for letter in LETTERS},
    "answer": ("答案", "正确答案", "参考答案", "Answer"),
    "explanation": ("解析", "答案解析", "Explanation"),
    "subject": ("科目", "Subject"),
    "category": ("执业类别", "类别"),
    "difficulty": ("难度",),
    "purpose": ("用途",),
}
NEEDED = ("stem", "answer")
TEMPLATE = ("题型", "组号", "共用题干", "题干", "选项A", "选项B", "选项C", "选项D", "选项E", "答案", "解析", "科目", "执业类别", "难度", "用途")
BATCH = 500


@dataclass(frozen=True)
class ReadQuestion:
    """A sound question of a sheet."""

    kind: str
    group: str
    case_stem: str
    stem: str
    options: tuple[tuple[str, str], ...]
    answer: str
    explanation: str
    subject: str
    category: str | None
    difficulty: str
    purpose: str

    def digest(self) -> bytes:
        """By what the same question is known again: case, stem and options, not answer or explanation, which may be corrected."""
        text = "\x1e".join([self.case_stem, self.stem, *(f"{letter}\x1f{words}" for letter, words in self.options)])
        return hashlib.sha256(text.encode()).digest()


class Unsound(ValueError):  # noqa: N818
    """A row is refused."""

    def __init__(self, column: str, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.fault = (column, reason, remedy)


def judge(row: Row) -> tuple[ReadQuestion, list[tuple[str, str, str]]]:
    """`row` as a question, with warnings (column, reason, remedy). Raises Unsound."""
    stem = row.text("stem")
    if not stem or stem.lower() == "nan":
        raise Unsound("题干", "题干未填写", "请填写题干。")
    options = _options(row)
    if len(options) < 2:
        raise Unsound("选项", "选项少于两个", "请至少填写两个选项,如“A 甲\\nB 乙”,或用模板每列一个选项。")
    letters = [letter for letter, _ in options]
    if len(set(letters)) != len(letters):
        raise Unsound("选项", "选项字母重复", "请让每个选项使用不同的字母。")
    answer = _answer(row, letters)
    kind = normalised(row.text("kind")).removesuffix("型题").removesuffix("型") or ("X" if len(answer) > 1 else "A1")
    if kind not in TYPES:
        raise Unsound("题型", f"不认识的题型“{row.text('kind')}”", f"请填写{'、'.join(TYPES)}之一。")
    if len(answer) > 1 and kind != "X":
        raise Unsound("答案", f"{kind}型题只能有一个答案", "请更正答案,或把题型改为X。")
    warnings = []
    texts = [words for _, words in options]
    if len(set(texts)) != len(texts):
        warnings.append(("选项", "有内容相同的选项", "已导入,请核对选项。"))
    explanation = row.text("explanation")
    return ReadQuestion(
        kind=kind, group=row.text("group"), case_stem=row.text("case_stem"), stem=stem, options=tuple(options), answer=answer,
        explanation="" if explanation.lower() == "nan" else explanation,
        subject=_code(row, "subject", SUBJECTS, "professional"), category=_category(row),
        difficulty=_code(row, "difficulty", DIFFICULTIES, "medium"), purpose=_code(row, "purpose", PURPOSES, "exam"),
    ), warnings  # fmt: skip


def _options(row: Row) -> list[tuple[str, str]]:
    columns = [(letter, row.text(f"option_{letter}")) for letter in LETTERS]
    if any(words for _, words in columns):
        return [(letter, words) for letter, words in columns if words]
    pieces = [piece.strip() for piece in re.split(r"\\n|\r?\n", row.text("options")) if piece.strip()]
    options = []
    for piece in pieces:
        found = re.match(r"^([A-Ja-jA-Ja-j])\s*[.、.,,::)）]?\s*(.*)$", piece, re.DOTALL)
        if not found or not found[2]:
            raise Unsound("选项", f"无法识别的选项“{piece[:20]}”", "每个选项请以字母开头,如“A 甲”。")
        options.append((normalised(found[1]), found[2].strip()))
    return options


def _answer(row: Row, letters: list[str]) -> str:
    text = re.sub(r"[\s,、,;;./|]+", "", normalised(row.text("answer")))
    if not text or text == "NAN":
        raise Unsound("答案", "答案未填写", "请填写正确选项的字母。")
    if not all(letter in letters for letter in text):
        raise Unsound("答案", f"答案“{row.text('answer')[:20]}”不是任何一个选项", f"请填写{''.join(letters)}中的字母。")
    return "".join(sorted(set(text)))


def _code(row: Row, column: str, words: dict[str, str], default: str) -> str:
    text = normalised(row.text(column))
    if not text:
        return default
    for code, word in words.items():
        if text in (word, code.upper()):
            return code
    raise Unsound(COLUMNS[column][0], f"不认识的{COLUMNS[column][0]}“{text[:20]}”", f"请填写{'、'.join(words.values())}之一。")


def _category(row: Row) -> str | None:
    text = row.text("category")
    code = code_of("category", text) if text else None
    if text and code is None:
        raise Unsound("执业类别", f"不认识的执业类别“{text[:20]}”", "请填写临床、口腔、公共卫生、中医之一;公共知识可留空。")
    return code


@dataclass
class _Intake:
    """What one import writes, gathered so that it goes in by the batch."""

    bank_id: UUID
    known: dict[bytes, tuple[UUID, UUID]]
    groups: dict[bytes, UUID]
    placed: dict[UUID, int] = field(default_factory=dict)


def import_questions(content: bytes, *, bank: str, by: Actor) -> Report:
    """Take in a sheet of questions into `bank`, made if new. The same question again changes nothing; one whose answer or
    explanation differs gets a new version. Raises Invalid, TooLarge."""
    report = Report()
    rows = list(sheets.read(content, COLUMNS, NEEDED))
    intake = _intake(bank)
    sound: list[tuple[Row, ReadQuestion]] = []
    for row in rows:
        try:
            question, warnings = judge(row)
        except Unsound as fault:
            report.errors.append(Fault(row.number, *fault.fault))
            continue
        report.warnings += [Fault(row.number, *warning) for warning in warnings]
        sound.append((row, question))
    seen: set[bytes] = set()
    fresh: list[ReadQuestion] = []
    for row, question in sound:
        digest = question.digest()
        if digest in seen:
            report.errors.append(Fault(row.number, "题干", "与本文件前面的题目重复", "请删除重复的题目。"))
            continue
        seen.add(digest)
        if digest in intake.known:
            _revise(question, *intake.known[digest], report)
        else:
            fresh.append(question)
    for start in range(0, len(fresh), BATCH):
        _insert(fresh[start : start + BATCH], intake)
    report.accepted = len(fresh)
    report.errors.sort(key=lambda fault: fault.row)
    journal.write(
        "question_bank", intake.bank_id, "questions_imported", by=by, accepted=report.accepted, changed=report.changed,
        refused=len(report.errors),
    )  # fmt: skip
    return report


def _intake(name: str) -> _Intake:
    bank = db.session.scalar(select(QuestionBank).where(QuestionBank.name == name).with_for_update())
    if bank is None:
        bank = QuestionBank(id=new_id(), name=name)
        db.session.add(bank)
        db.session.flush()
    known = select(Question.digest, Question.id, Question.current_version).where(Question.bank_id == bank.id)
    groups = select(QuestionGroup.digest, QuestionGroup.id).where(QuestionGroup.bank_id == bank.id)
    return _Intake(
        bank.id,
        {bytes(digest): (question, version) for digest, question, version in db.session.execute(known)},
        {bytes(digest): group for digest, group in db.session.execute(groups)},
    )


def _revise(question: ReadQuestion, question_id: UUID, version_id: UUID, report: Report) -> None:
    version = db.session.scalars(select(QuestionVersion).where(QuestionVersion.id == version_id)).one()
    if (version.answer, version.explanation or "") == (question.answer, question.explanation):
        report.unchanged += 1
        return
    report.changed += 1
    row = _version(question, question_id, version.number + 1)
    db.session.execute(insert(QuestionVersion), [row])
    db.session.execute(update(Question).where(Question.id == question_id).values(current_version=row["id"], kind=question.kind))


def _insert(batch: Iterable[ReadQuestion], intake: _Intake) -> None:
    questions, versions, groups = [], [], []
    for read in batch:
        group_id = None
        if read.group:
            shared = read.case_stem or "\x1f".join(words for _, words in read.options)
            digest = hashlib.sha256(f"{read.group}\x1e{shared}".encode()).digest()
            if digest not in intake.groups:
                intake.groups[digest] = new_id()
                groups.append({
                    "tenant_id": current_tenant(), "id": intake.groups[digest], "bank_id": intake.bank_id, "stem": read.case_stem,
                    "digest": digest,
                })  # fmt: skip
            group_id = intake.groups[digest]
            intake.placed[group_id] = intake.placed.get(group_id, 0) + 1
        question_id = new_id()
        version = _version(read, question_id, 1)
        versions.append(version)
        questions.append({
            "tenant_id": current_tenant(), "id": question_id, "bank_id": intake.bank_id, "group_id": group_id,
            "group_position": intake.placed.get(group_id, 0) if group_id else 0, "subject": read.subject, "category": read.category,
            "kind": read.kind, "difficulty": read.difficulty, "purpose": read.purpose, "digest": read.digest(),
            "current_version": version["id"],
        })  # fmt: skip
    if groups:
        db.session.execute(insert(QuestionGroup), groups)
    db.session.execute(insert(Question), questions)
    db.session.execute(insert(QuestionVersion), versions)


def _version(read: ReadQuestion, question_id: UUID, number: int) -> dict[str, object]:
    return {
        "tenant_id": current_tenant(), "id": new_id(), "question_id": question_id, "number": number, "kind": read.kind,
        "case_stem": read.case_stem or None, "stem": read.stem, "options": [list(option) for option in read.options],
        "answer": read.answer, "explanation": read.explanation or None,
    }  # fmt: skip
