"""Question banks from files: sheets (the common form with all options in one cell, and our template with a column an option), Word and GIFT.

What a group shares (the case of A3 and A4, the options of B1) often stands in its first row alone, its cells merged downwards. What
comes by the web waits for a second person; what the terminal or a demonstration brings needs none.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select, update

from dingkao import clock
from dingkao.database.model import db, new_id
from dingkao.doctors.codes import code_of
from dingkao.errors import TooLarge
from dingkao.exams import documents, gift, picturing
from dingkao.exams.likeness import likeness
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
from dingkao.exams.paragraphs import Keep
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor
from dingkao.outside import sheets
from dingkao.outside.sheets import Fault, Report, Row
from dingkao.tenants.context import current_tenant
from dingkao.tenants.secrets import normalised

LETTERS = "ABCDEFGHIJ"
OPTION_COLUMNS = tuple(f"option_{letter}" for letter in LETTERS)
COLUMNS = {
    "kind": ("题型", "Type"),
    "group": ("组号", "题组"),
    "case_stem": ("共用题干", "病例"),
    "stem": ("题干", "题目", "试题", "试题内容", "Question"),
    "options": ("选项", "选项内容", "备选答案", "Options"),
    **{
        f"option_{letter}": (f"选项{letter}", letter, f"{letter}选项", f"选项({letter})", f"备选答案{letter}", f"选项{number}")
        for number, letter in enumerate(LETTERS, 1)
    },
    "answer": ("答案", "正确答案", "标准答案", "参考答案", "Answer"),
    "explanation": ("解析", "答案解析", "Explanation"),
    "subject": ("科目", "Subject"),
    "category": ("执业类别", "类别"),
    "topic": ("考点", "章节", "知识点", "Topic"),
    "difficulty": ("难度",),
    "purpose": ("用途",),
}  # fmt: skip
NEEDED = ("stem", "answer")
TEMPLATE = ("题型", "组号", "共用题干", "题干", "选项A", "选项B", "选项C", "选项D", "选项E", "答案", "解析", "科目", "执业类别", "考点", "难度", "用途")
BATCH = 500
OF_A_CASE = ("A3", "A4")
KINDS = {normalised(word): kind for kind, word in TYPES.items()} | {
    "单选": "A1", "单选题": "A1", "单项选择题": "A1", "多选": "X", "多选题": "X", "多项选择题": "X", "B": "B1", "A3/A4": "A3", "配伍题": "B1",
    "判断": "TF", "判断题": "TF", "是非题": "TF", "T/F": "TF",
}  # fmt: skip
KEPT_WHEN_EMPTY = ("kind", "subject", "difficulty", "purpose")
"""Columns whose empty cell says nothing of a question that is known; of the others it says that there is nothing."""
OF_QUESTION = ("kind", "subject", "category", "topic", "difficulty", "purpose")
OF_VERSION = ("answer", "kind", "explanation")
TRUE_FALSE = (("A", "正确"), ("B", "错误"))
RIGHT, WRONG = frozenset(["对", "√", "✓", "✔", "☑", "正确", "是", "T", "TRUE", "Y", "YES"]), frozenset(["错", "×", "✗", "✘", "☒", "X", "错误", "否", "F", "FALSE", "N", "NO"])
LONGEST, LONGEST_WORD, MANY = 20_000, 200, 50_000
PENDING, APPROVED, RETURNED = "pending", "approved", "returned"
SUPERSEDED = "已有更新的修改,本版不再审核。"

_LETTER = "A-Ja-j\uff21-\uff2a\uff41-\uff4a"
_LATIN = "A-Za-z\uff21-\uff3a\uff41-\uff5a"
_MARKS = ".\uff0e\u3001,\uff0c:\uff1a)\uff09\u3002"
_OPEN, _CLOSE = "(\\[\uff08\uff3b\u3010", ")\\]\uff09\uff3d\u3011"
# what follows letter and blank is the option itself, so that 「A .5」 stays .5, unless a blank follows there too
_OPTION = re.compile(
    rf"(?:[{_OPEN}]\s*([{_LETTER}])\s*[{_CLOSE}][{_MARKS}]?|([{_LETTER}])(?:[{_MARKS}]|\s+[{_MARKS}](?=\s)|(?=\s|$)|(?![{_LATIN}])))\s*(.*)",
    re.DOTALL,
)
_NEXT_OPTION = re.compile(rf"(?:^|[\s;\uff1b|]+)(?=[{_OPEN}]?([{_LETTER}])[{_MARKS}{_CLOSE}])")
_NO_OPTION = re.compile(r"[K-Z](?:\s|[.\uff0e\u3001])")
_BREAKS = re.compile(r"(?:\\r)?\\n|\n|<br\s*/?>", re.IGNORECASE)
_OWN_LETTER = re.compile(rf"(?:[{_OPEN}]([{_LETTER}])[{_CLOSE}][{_MARKS}]?|([{_LETTER}])[{_MARKS}])\s*(?=\S)")
_BETWEEN_ANSWERS = re.compile(r"[\s,;./|+&()\[\]\u3001\u3002\u3010\u3011和与及]+")


@dataclass(frozen=True)
class ReadQuestion:
    """A sound question of a sheet. `given` names the columns it says something about: the others are what holds for a new question, and
    leave a known one as it is."""

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
    topic: str = ""
    given: frozenset[str] = field(default=frozenset(), compare=False)

    def digest(self) -> bytes:
        """By what the same question is known again: case, stem and options, and of B1 the group, where the same words may be asked of
        other options' groups; not answer or explanation, which may be corrected."""
        return digest_of(self.kind, self.group, self.case_stem, self.stem, self.options)

    def group_digest(self) -> bytes | None:
        """By what its group is known again: the number in the sheet and what is shared; None where it stands alone."""
        if not self.group and self.kind not in (*OF_A_CASE, "B1"):
            return None
        return group_digest_of(self.group, self.case_stem, [words for _, words in self.options])


def digest_of(kind: str, group: str, case_stem: str, stem: str, options: Iterable[Sequence[str]]) -> bytes:
    """See `ReadQuestion.digest`."""
    parts = [case_stem, stem, *(f"{letter}\x1f{words}" for letter, words in options)]
    if kind == "B1" and group:
        parts.append(f"\x1d{group}")
    return hashlib.sha256("\x1e".join(parts).encode()).digest()


def group_digest_of(group: str, case_stem: str, words: Iterable[str]) -> bytes:
    """See `ReadQuestion.group_digest`."""
    shared = case_stem or "\x1f".join(words)
    return hashlib.sha256(f"{group}\x1e{shared}".encode()).digest()


class Unsound(ValueError):  # noqa: N818
    """A row is refused."""

    def __init__(self, column: str, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.fault = (column, reason, remedy)


Warnings = list[tuple[str, str, str]]


def judge(row: Row) -> tuple[ReadQuestion, Warnings]:
    """`row` as a question, with warnings (column, reason, remedy). Raises Unsound."""
    warnings: Warnings = []
    if "refused" in row.cells:
        raise Unsound(*row.cells["refused"])
    stem = _text(row, "stem")
    if not stem:
        raise Unsound("题干", "题干未填写", "请填写题干。")
    kind = _kind(row)
    options = _options(row, warnings)
    if kind == "TF" or (not kind and not options and _true_or_false(row)):
        kind, options, answer = "TF", list(TRUE_FALSE), _true_false_answer(row, options)
    else:
        if len(options) < 2:
            raise Unsound("选项", "选项少于两个", "请至少填写两个选项,如“A 甲\\nB 乙”,或用模板每列一个选项。")
        letters = [letter for letter, _ in options]
        if len(set(letters)) != len(letters):
            raise Unsound("选项", "选项字母重复", "请让每个选项使用不同的字母。")
        answer = _answer(row, letters)
        kind = kind or ("X" if len(answer) > 1 else "A1")
    if len(answer) > 1 and kind != "X":
        raise Unsound("答案", f"{kind}型题只能有一个答案", "请更正答案,或把题型改为X。")
    case_stem = _text(row, "case_stem")
    if kind in OF_A_CASE and not case_stem:
        raise Unsound("共用题干", f"{kind}型题没有共用题干", "请在该组第一题填写共用题干,同组各题填写相同的组号。")
    texts = [words for _, words in options]
    if len(set(texts)) != len(texts):
        warnings.append(("选项", "有内容相同的选项", "已导入,请核对选项。"))
    group, topic, explanation = _text(row, "group"), _text(row, "topic"), _text(row, "explanation")
    for heading, text, most in (
        ("题干", stem, LONGEST), ("共用题干", case_stem, LONGEST), ("选项", "".join(texts), LONGEST), ("解析", explanation, LONGEST),
        ("组号", group, LONGEST_WORD), ("考点", topic, LONGEST_WORD),
    ):  # fmt: skip
        if len(text) > most:
            raise Unsound(heading, f"{heading}超过{most}字", "请缩短,或分成几题。")
    return ReadQuestion(
        kind=kind, group=group, case_stem=case_stem, stem=stem, options=tuple(options), answer=answer,
        explanation=explanation, subject=_code(row, "subject", SUBJECTS, "professional"), category=_category(row),
        difficulty=_code(row, "difficulty", DIFFICULTIES, "medium"), purpose=_code(row, "purpose", PURPOSES, "exam"), topic=topic,
        given=frozenset(column for column in row.cells if column not in KEPT_WHEN_EMPTY or _text(row, column)),
    ), warnings  # fmt: skip


def _true_or_false(row: Row) -> bool:
    return normalised(_text(row, "answer")) in RIGHT | WRONG


def _true_false_answer(row: Row, options: list[tuple[str, str]]) -> str:
    """The answer of 判断题 as 正确 (A) or 错误 (B): a word or a mark, or the letter of an option that is one."""
    text = normalised(_text(row, "answer"))
    meant = dict(options or TRUE_FALSE).get(text, text)
    word = normalised(meant)
    if options and len(options) != len(TRUE_FALSE):
        raise Unsound("选项", "判断题只有“正确”和“错误”两个选项", "请把选项留空,答案填写“正确”或“错误”。")
    if word not in RIGHT | WRONG:
        raise Unsound("答案", f"判断题的答案“{row.text('answer')[:20]}”无法识别", "请填写“正确”或“错误”(也可填√、×、对、错、T、F)。")
    return "A" if word in RIGHT else "B"


def with_shared_parts(rows: Iterable[Row]) -> Iterator[Row]:
    """`rows`, each with what its group shares: a case (A3, A4) or options (B1) that stand in the group's first row alone are carried down,
    within the same 组号, or where that is blank from the row directly above."""
    carried = _Carried()
    for row in rows:
        yield carried.onto(row)


@dataclass
class _Carried:
    """What the rows above have left: of each group number what it shares, and the row directly above."""

    sheet: str | None = None
    shared: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    kinds: dict[str, Any] = field(default_factory=dict)
    above: dict[str, Any] | None = None
    above_sort: str = ""

    def onto(self, row: Row) -> Row:
        if row.sheet != self.sheet:
            self.sheet, self.shared, self.kinds, self.above, self.above_sort = row.sheet, {}, {}, None, ""
        group, cells = _text(row, "group"), dict(row.cells)
        if group and not _text(row, "kind") and group in self.kinds:
            cells["kind"] = self.kinds[group]
            row = Row(row.number, cells, row.sheet, row.lead)
        sort = _sort(row)
        if not sort:
            self.above, self.above_sort = None, ""
            return row
        columns = ("case_stem",) if sort == "case" else ("options", *OPTION_COLUMNS)
        if any(_text(row, column) for column in columns):
            own = {column: row.cells[column] for column in (*columns, "group") if column in row.cells}
            if not group and self.above_sort == sort and self.above and all(own[column] == self.above.get(column) for column in columns if column in own):
                own, group = self.above, _text(Row(row.number, self.above), "group")
        elif group:
            own = self.shared.get((sort, group), {})
        else:
            own = (self.above or {}) if self.above_sort == sort else {}
            group = _text(Row(row.number, own), "group")
        if group:
            self.shared[sort, group], self.kinds[group] = own, row.cells.get("kind", "")
        self.above, self.above_sort = own, sort
        return Row(row.number, cells | own, row.sheet, row.lead)


def _sort(row: Row) -> str:
    """What the row's group shares: a case, options or nothing."""
    try:
        kind = _kind(row)
    except Unsound:
        return ""
    return "case" if kind in OF_A_CASE else "options" if kind == "B1" else ""


def _text(row: Row, column: str) -> str:
    """A cell's text; `nan`, which programs write into empty cells, is none."""
    text = row.text(column)
    return "" if text.lower() == "nan" else text


def _kind(row: Row) -> str:
    word = normalised(_text(row, "kind"))
    word = KINDS.get(word) or word.removesuffix("型题").removesuffix("型")
    word = KINDS.get(word, word)
    if word and word not in TYPES:
        raise Unsound("题型", f"不认识的题型“{row.text('kind')[:20]}”", f"请填写{'、'.join(TYPES)}之一。")
    return word


def _options(row: Row, warnings: Warnings) -> list[tuple[str, str]]:
    columns = [(letter, words) for letter in LETTERS if (words := _text(row, f"option_{letter}"))]
    if columns:
        return _without_own_letters(columns)
    options: list[tuple[str, str]] = []
    for piece in _pieces(_text(row, "options")):
        found = _OPTION.fullmatch(piece)
        if found and found[3]:
            options.append((normalised(found[1] or found[2]), found[3].strip()))
        elif found or not options or _NO_OPTION.match(piece):
            raise Unsound("选项", f"无法识别的选项“{piece[:20]}”", "每个选项请以字母开头,如“A 甲”。")
        else:
            letter, words = options[-1]
            options[-1] = (letter, f"{words}\n{piece}")
            warnings.append(("选项", f"“{piece[:20]}”不是以选项字母开头", f"已并入选项{letter},请核对。"))
    return options


def _without_own_letters(columns: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """「A.甲」 in column A is 甲; only where every option begins with its letter, for one alone may be a word such as C.diff."""
    found = [_OWN_LETTER.match(words) for _, words in columns]
    if not all(one and normalised(one[1] or one[2]) == letter for one, (letter, _) in zip(found, columns, strict=True)):
        return columns
    return [(letter, words[one.end() :]) for one, (letter, words) in zip(found, columns, strict=True) if one]


def _pieces(text: str) -> list[str]:
    """The options of one cell, each on its line; where several stand on a line, divided if their letters then run on in order."""
    lines = [line.strip() for line in _BREAKS.split(text) if line.strip()]
    divided = [piece for line in lines for piece in _divided(line)]
    found = [_OPTION.fullmatch(piece) for piece in divided]
    letters = "".join(normalised(one[1] or one[2]) if one else "?" for one in found)
    return divided if len(divided) > len(lines) and letters and letters in LETTERS else lines


def _divided(line: str) -> list[str]:
    starts: list[int] = []
    letter = ""
    for found in _NEXT_OPTION.finditer(line):
        if not letter or normalised(found[1]) == chr(ord(letter) + 1):
            letter = normalised(found[1])
            starts.append(found.end())
    if not starts or line[: starts[0]].strip():
        return [line]
    return [line[start:end].strip(" \t;\uff1b|") for start, end in zip(starts, [*starts[1:], len(line)], strict=True)]


def _answer(row: Row, letters: list[str]) -> str:
    text = _BETWEEN_ANSWERS.sub("", normalised(_text(row, "answer")))
    if not text:
        raise Unsound("答案", "答案未填写", "请填写正确选项的字母。")
    if not all(letter in letters for letter in text):
        raise Unsound("答案", f"答案“{row.text('answer')[:20]}”不是任何一个选项", f"请填写{''.join(letters)}中的字母。")
    return "".join(sorted(set(text)))


def _code(row: Row, column: str, words: dict[str, str], default: str) -> str:
    text = normalised(_text(row, column))
    if not text:
        return default
    for code, word in words.items():
        if text in (word, code.upper()):
            return code
    raise Unsound(COLUMNS[column][0], f"不认识的{COLUMNS[column][0]}“{text[:20]}”", f"请填写{'、'.join(words.values())}之一。")


def _category(row: Row) -> str | None:
    text = _text(row, "category")
    code = code_of("category", text) if text else None
    if text and code is None:
        raise Unsound("执业类别", f"不认识的执业类别“{text[:20]}”", "请填写临床、口腔、公共卫生、中医之一;公共知识可留空。")
    return code


@dataclass(frozen=True)
class _Known:
    """A question of the bank, with what of it a sheet may correct: of its newest words, approved or waiting."""

    id: UUID
    group_id: UUID | None
    approved: bool
    waiting: UUID | None
    values: dict[str, Any]


@dataclass
class _Intake:
    """What one import writes, gathered so that it goes in by the batch."""

    bank_id: UUID
    by: Actor
    known: dict[bytes, _Known]
    groups: dict[bytes, UUID]
    placed: dict[UUID, int]
    new_groups: list[dict[str, Any]] = field(default_factory=list)

    @property
    def state(self) -> str:
        """In what state versions come in: a member of the staff's wait for a second person."""
        return PENDING if self.by.kind == "staff" else APPROVED

    def insert_groups(self) -> None:
        """The groups that the questions to be written next stand in."""
        if self.new_groups:
            db.session.execute(insert(QuestionGroup), self.new_groups)
            self.new_groups = []


def rows_of(content: bytes, report: Report, keep: Keep | None = None) -> list[Row]:
    """The rows of a file of whichever kind, each with what its group shares; what can't be read of Word or GIFT goes into `report`. The
    pictures of a document are kept by `keep`. Raises Invalid, TooLarge, and what `keep` raises."""
    if documents.is_document(content):
        rows = list(documents.read(content, report, keep))
    elif gift.looks_like(content):
        rows = list(gift.read(content, report))
    else:
        found = sheets.read(content, COLUMNS, NEEDED, report)
        rows = [row for row in found if not row.is_foot("stem", "answer", "options", *OPTION_COLUMNS)]
    if len(rows) > MANY:
        raise TooLarge(f"文件中有{len(rows)}题,超过{MANY}题,请分成几个文件导入。")
    return list(with_shared_parts(rows))


def import_questions(content: bytes, *, bank: str, by: Actor, progress: Callable[[int], None] = lambda _done: None) -> Report:
    """Take in a file of questions into `bank`, made if new. The same question again changes nothing; one whose answer, kind or
    explanation differs gets a new version. Raises Invalid, TooLarge, Unavailable."""
    report = Report()
    return take_in(rows_of(content, report, partial(picturing.keep, by=by)), bank=bank, by=by, report=report, progress=progress)


def take_in(
    rows: Iterable[Row], *, bank: str, by: Actor, report: Report, progress: Callable[[int], None] = lambda _done: None
) -> Report:  # fmt: skip
    """Take in `rows`, as `import_questions` does; `report` is added to."""
    intake = _intake(bank, by)
    seen: set[bytes] = set()
    fresh: list[ReadQuestion] = []
    for row in rows:
        try:
            question, warnings = judge(row)
            digest = question.digest()
            if digest in seen:
                raise Unsound("题干", "与本文件前面的题目重复", "请删除重复的题目。")
        except Unsound as refused:
            column, reason, remedy = refused.fault
            report.errors.append(Fault(row.number, row.where(column), reason, remedy))
            continue
        report.warnings += [Fault(row.number, row.where(column), reason, remedy) for column, reason, remedy in warnings]
        seen.add(digest)
        if digest in intake.known:
            _revise(question, intake.known[digest], intake, report)
        else:
            fresh.append(question)
    for start in range(0, len(fresh), BATCH):
        _insert(fresh[start : start + BATCH], intake)
        progress(start)
    report.accepted += len(fresh)
    report.errors.sort(key=lambda fault: fault.row)
    journal.write(
        "question_bank", intake.bank_id, "questions_imported", by=by, accepted=report.accepted, changed=report.changed,
        refused=len(report.errors),
    )  # fmt: skip
    return report


def _intake(name: str, by: Actor) -> _Intake:
    bank = db.session.scalar(select(QuestionBank).where(QuestionBank.name == name).with_for_update())
    if bank is None:
        bank = QuestionBank(id=new_id(), name=name)
        db.session.add(bank)
        db.session.flush()
    groups = select(QuestionGroup.digest, QuestionGroup.id).where(QuestionGroup.bank_id == bank.id)
    placed = select(Question.group_id, func.max(Question.group_position)).where(Question.bank_id == bank.id, Question.group_id.is_not(None))
    return _Intake(
        bank.id, by, _known(bank.id),
        {bytes(digest): group for digest, group in db.session.execute(groups)},
        {group: last for group, last in db.session.execute(placed.group_by(Question.group_id)) if group},
    )  # fmt: skip


def _known(bank_id: UUID) -> dict[bytes, _Known]:
    newest = func.coalesce(Question.proposed_version, Question.current_version)
    query = (
        select(Question, QuestionVersion.answer, QuestionVersion.explanation, QuestionVersion.about)
        .join(QuestionVersion, (QuestionVersion.tenant_id == Question.tenant_id) & (QuestionVersion.id == newest))
        .where(Question.bank_id == bank_id)
    )
    return {
        bytes(row.digest): _Known(
            row.id, row.group_id, row.approved_at is not None, row.proposed_version,
            {name: getattr(row, name) for name in OF_QUESTION} | about | {"answer": answer, "explanation": explanation},
        )
        for row, answer, explanation, about in db.session.execute(query)
    }


def _revise(question: ReadQuestion, known: _Known, intake: _Intake, report: Report) -> None:
    """Bring a known question up to date: what it says of itself stands in its row, its words, answer and explanation in a version. Where a
    second person is to look first, all of it stands in the version until then."""
    news = _news(question, known)
    waits = intake.state == PENDING
    row = {} if waits else {name: value for name, value in news.items() if name in OF_QUESTION}
    if known.group_id is None and question.group_digest():
        row |= _place(question, intake)
    if not news and not row:
        report.unchanged += 1
        return
    report.changed += 1
    if news and (waits or any(name in news for name in OF_VERSION)):
        merged = known.values | news
        version = _version(question, known.id, last_number(known.id) + 1, intake)
        version |= {name: merged[name] for name in OF_VERSION} | {"about": {name: merged[name] for name in OF_QUESTION} if waits else {}}
        if known.waiting:
            supersede(known.waiting)
        db.session.execute(insert(QuestionVersion), [version])
        row |= {"proposed_version": version["id"]} if waits else {"proposed_version": None}
        if not waits or not known.approved:
            row["current_version"] = version["id"]
    intake.insert_groups()
    if row:
        db.session.execute(update(Question).where(Question.id == known.id).values(**row))


def _news(question: ReadQuestion, known: _Known) -> dict[str, Any]:
    """What a file says of a known question that it doesn't say yet."""
    given = question.given
    if question.answer != known.values["answer"] and (len(question.answer) > 1 or known.values["kind"] in ("A1", "X")):
        # where the sheet has no kinds, one letter or several are what makes A1 or X
        given |= {"kind"}
    values = {name: getattr(question, name) or None for name in (*OF_QUESTION, "answer", "explanation") if name in given}
    return {name: value for name, value in values.items() if value != known.values[name]}


def compared(rows: Iterable[Row], bank_id: UUID | None) -> Iterator[tuple[ReadQuestion, dict[str, tuple[Any, Any]] | None]]:
    """What taking in sound `rows` would do to a bank: each question with what it would change, column → (before, after); None where it is
    new."""
    known = _known(bank_id) if bank_id else {}
    for row in rows:
        question = judge(row)[0]
        there = known.get(question.digest())
        yield question, None if there is None else {name: (there.values[name], value) for name, value in _news(question, there).items()}


def last_number(question_id: UUID) -> int:
    """The number of a question's newest version."""
    return db.session.scalar(select(func.max(QuestionVersion.number)).where(QuestionVersion.question_id == question_id)) or 0


def supersede(version_id: UUID) -> None:
    """A version that waited is waited for no more: a later one stands in its place."""
    db.session.execute(
        update(QuestionVersion).where(QuestionVersion.id == version_id, QuestionVersion.state == PENDING)
        .values(state=RETURNED, opinion=SUPERSEDED, changed_at=clock.now())
    )  # fmt: skip


def _insert(batch: Iterable[ReadQuestion], intake: _Intake) -> None:
    questions, versions, now = [], [], clock.now()
    waits = intake.state == PENDING
    for read in batch:
        question_id = new_id()
        version = _version(read, question_id, 1, intake)
        versions.append(version)
        questions.append({
            "tenant_id": current_tenant(), "id": question_id, "bank_id": intake.bank_id, "subject": read.subject, "category": read.category,
            "topic": read.topic or None, "kind": read.kind, "difficulty": read.difficulty, "purpose": read.purpose, "digest": read.digest(),
            "likeness": likeness(read.kind, read.case_stem, read.stem, read.options), "current_version": version["id"],
            "proposed_version": version["id"] if waits else None, "approved_at": None if waits else now, "retired_at": now if waits else None,
        } | _place(read, intake))  # fmt: skip
    intake.insert_groups()
    # else no value would mean the column's default, and nothing would wait for approval
    db.session.execute(insert(Question).execution_options(render_nulls=True), questions)
    db.session.execute(insert(QuestionVersion), versions)


def _place(read: ReadQuestion, intake: _Intake) -> dict[str, Any]:
    """The question's group, made if new, and its place there, behind those that it has."""
    digest = read.group_digest()
    if digest is None:
        return {"group_id": None, "group_position": 0}
    if digest not in intake.groups:
        intake.groups[digest] = new_id()
        intake.new_groups.append({
            "tenant_id": current_tenant(), "id": intake.groups[digest], "bank_id": intake.bank_id, "label": read.group or None,
            "stem": read.case_stem, "digest": digest,
        })  # fmt: skip
    group_id = intake.groups[digest]
    intake.placed[group_id] = intake.placed.get(group_id, 0) + 1
    return {"group_id": group_id, "group_position": intake.placed[group_id]}


def _version(read: ReadQuestion, question_id: UUID, number: int, intake: _Intake) -> dict[str, Any]:
    return {
        "tenant_id": current_tenant(), "id": new_id(), "question_id": question_id, "number": number, "kind": read.kind,
        "case_stem": read.case_stem or None, "stem": read.stem, "options": [list(option) for option in read.options],
        "answer": read.answer, "explanation": read.explanation or None, "state": intake.state, "made_by": intake.by.id, "about": {},
    }  # fmt: skip
