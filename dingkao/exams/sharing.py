"""Banks that the platform keeps for all (全国共享题库): operators bring them up to date, provinces read them and take them over into banks of
their own, where a second person looks at what comes as at anything else. Rows of the platform's own, by its engine."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, insert, select, update

from dingkao import clock
from dingkao.database.model import db, new_id
from dingkao.doctors.codes import CATEGORIES
from dingkao.errors import Invalid, NotFound
from dingkao.exams import exporting
from dingkao.exams.importing import ReadQuestion, Unsound, compared, judge, rows_of, supersede, take_in
from dingkao.exams.models import DIFFICULTIES, PURPOSES, SUBJECTS, Question, QuestionBank, SharedBank, SharedQuestion
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor
from dingkao.outside.sheets import Fault, Report, Row

_banks: Any = SharedBank.__table__
_questions: Any = SharedQuestion.__table__


@dataclass(frozen=True)
class Listed:
    """A shared bank: its edition, when that came, how many questions it has."""

    id: UUID
    name: str
    edition: int
    changed_at: Any
    size: int


def listed() -> list[Listed]:
    """The shared banks, by name."""
    count = func.count(_questions.c.id).label("size")
    query = select(_banks, count).outerjoin(_questions, and_(_questions.c.bank_id == _banks.c.id, ~_questions.c.withdrawn)).group_by(_banks.c.id)
    with db.engines["platform"].connect() as connection:
        rows = connection.execute(query.order_by(_banks.c.name)).all()
    return [Listed(row.id, row.name, row.edition, row.changed_at, row.size) for row in rows]


def bank_of(bank_id: UUID) -> Listed:
    """One of them. Raises NotFound."""
    found = next((one for one in listed() if one.id == bank_id), None)
    if found is None:
        raise NotFound
    return found


def bring(content: bytes, name: str, *, whole: bool) -> Report:
    """Bring the shared bank `name`, made if new, up to date by a file; where that is the `whole` bank, what is not in it is withdrawn. Its
    edition rises if anything changed. Raises Invalid, TooLarge."""
    report = Report()
    read: dict[bytes, ReadQuestion] = {}
    for row in rows_of(content, report, _no_picture):
        try:
            question, warnings = judge(row)
            if question.digest() in read:
                raise Unsound("题干", "与本文件前面的题目重复", "请删除重复的题目。")
        except Unsound as refused:
            column, reason, remedy = refused.fault
            report.errors.append(Fault(row.number, row.where(column), reason, remedy))
            continue
        report.warnings += [Fault(row.number, row.where(column), reason, remedy) for column, reason, remedy in warnings]
        read[question.digest()] = question
    if whole and report.errors:
        raise Invalid(f"文件有{len(report.errors)}处错误(第{report.errors[0].row}行:{report.errors[0].reason}),不能作为全部题目导入。请更正后重试。", "file")
    _write(read, name, whole=whole, report=report)
    return report


def _no_picture(_content: bytes) -> str:
    """Pictures are a province's own; a shared bank has none to show."""
    raise Invalid("共享题库不能带图片,请改用文字、表格或公式,或由各省在本省题库中录入。")


def _write(read: dict[bytes, ReadQuestion], name: str, *, whole: bool, report: Report) -> None:
    with db.engines["platform"].begin() as connection:
        found = connection.execute(select(_banks.c.id, _banks.c.edition).where(_banks.c.name == name).with_for_update()).first()
        bank_id, edition = (found.id, found.edition + 1) if found else (new_id(), 1)
        if found is None:
            connection.execute(insert(_banks).values(id=bank_id, name=name, edition=0, changed_at=clock.now()))
        there = {bytes(row.digest): row for row in connection.execute(select(_questions).where(_questions.c.bank_id == bank_id))}
        last = max((row.position for row in there.values()), default=0)
        fresh = []
        for digest, question in read.items():
            cells, known = _cells(question), there.get(digest)
            if known is None:
                last += 1
                fresh.append({"id": new_id(), "bank_id": bank_id, "position": last, "digest": digest, "cells": cells, "edition": edition, "withdrawn": False})
            elif known.cells != cells or known.withdrawn:
                connection.execute(update(_questions).where(_questions.c.id == known.id).values(cells=cells, edition=edition, withdrawn=False))
                report.changed += 1
            else:
                report.unchanged += 1
        gone = [row.id for digest, row in there.items() if whole and digest not in read and not row.withdrawn]
        if gone:
            connection.execute(update(_questions).where(_questions.c.id.in_(gone)).values(withdrawn=True, edition=edition))
            report.changed += len(gone)
        if fresh:
            connection.execute(insert(_questions), fresh)
        report.accepted = len(fresh)
        if fresh or report.changed:
            connection.execute(update(_banks).where(_banks.c.id == bank_id).values(edition=edition, changed_at=clock.now()))


def _cells(question: ReadQuestion) -> dict[str, Any]:
    """A question as a sheet's row would say it, all of it."""
    return {
        "kind": question.kind, "group": question.group, "case_stem": question.case_stem, "stem": question.stem,
        "options": [list(one) for one in question.options], "answer": question.answer, "explanation": question.explanation,
        "subject": SUBJECTS[question.subject], "category": CATEGORIES.get(question.category or "", ""), "topic": question.topic,
        "difficulty": DIFFICULTIES[question.difficulty], "purpose": PURPOSES[question.purpose],
    }  # fmt: skip


def _all(bank_id: UUID, *, withdrawn: bool) -> list[Any]:
    query = select(_questions).where(_questions.c.bank_id == bank_id, _questions.c.withdrawn == withdrawn).order_by(_questions.c.position)
    with db.engines["platform"].connect() as connection:
        return list(connection.execute(query))


def as_sheet(bank_id: UUID) -> bytes:
    """A shared bank as xlsx."""
    return exporting.sheet_of([row.cells for row in _all(bank_id, withdrawn=False)])


def _rows(bank_id: UUID) -> Iterator[Row]:
    for row in _all(bank_id, withdrawn=False):
        cells = {name: text for name, text in row.cells.items() if name != "options"}
        options = {} if cells["kind"] == "TF" else exporting.lettered([(letter, words) for letter, words in row.cells["options"]])
        yield Row(row.position, cells | {f"option_{letter}": words for letter, words in options.items()} | {"answer": exporting.answer_of(row.cells)})


def own_of(bank_id: UUID, *, lock: bool = False) -> QuestionBank | None:
    """The province's own bank that was taken over from a shared one; None before the first time."""
    query = select(QuestionBank).where(QuestionBank.shared_bank_id == bank_id)
    return db.session.scalar(query.with_for_update() if lock else query)


@dataclass
class Difference:
    """What taking over would do: questions that are new, that change (with what changes, column → before and after), that stay, and those
    that the platform has withdrawn and the province still uses."""

    new: list[ReadQuestion]
    changed: list[tuple[ReadQuestion, dict[str, tuple[Any, Any]]]]
    unchanged: int
    withdrawn: int


def difference(bank_id: UUID) -> Difference:
    """What taking over a shared bank would do to the province's."""
    own = own_of(bank_id)
    told = Difference([], [], 0, len(_withdrawn(bank_id, own)))
    for question, news in compared(_rows(bank_id), own.id if own else None):
        if news is None:
            told.new.append(question)
        elif news:
            told.changed.append((question, news))
        else:
            told.unchanged += 1
    return told


def _withdrawn(bank_id: UUID, own: QuestionBank | None) -> list[UUID]:
    if own is None:
        return []
    digests = [bytes(row.digest) for row in _all(bank_id, withdrawn=True)]
    here = select(Question.id).where(Question.bank_id == own.id, Question.digest.in_(digests), Question.retired_at.is_(None))
    return list(db.session.scalars(here.order_by(Question.id)))


def take_over(bank_id: UUID, *, by: Actor) -> Report:
    """Take a shared bank over, or what is new of it, into the province's own bank of its name: what comes waits for a second person, what
    the platform has withdrawn goes out of use at once. Raises Invalid, NotFound."""
    shared, own = bank_of(bank_id), own_of(bank_id, lock=True)
    if own is None:
        if db.session.scalar(select(QuestionBank.id).where(QuestionBank.name == shared.name)) is not None:
            raise Invalid(f"本省已有名为“{shared.name}”的题库,不能同名接收。请联系平台运营更改共享题库的名称。")
        own = QuestionBank(id=new_id(), name=shared.name, shared_bank_id=shared.id)
        db.session.add(own)
        db.session.flush()
    report = take_in(_rows(bank_id), bank=own.name, by=by, report=Report())
    for question_id in _withdrawn(bank_id, own):
        row = db.session.scalars(select(Question).where(Question.id == question_id).with_for_update()).one()
        row.retired_at = clock.now()
        if row.proposed_version:
            supersede(row.proposed_version)
            row.proposed_version = None
        journal.write("question", row.id, "retired", by=by, reason="共享题库已撤下")
    own.shared_edition = shared.edition
    journal.write("question_bank", own.id, "taken_over", by=by, edition=shared.edition, accepted=report.accepted, changed=report.changed)
    return report
