"""Copies of a question, and questions that a paper needs: no paper has two alike, and none loses what it
needs."""

from collections import Counter
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select

from dingkao import clock
from dingkao.database.base import db, new_id
from dingkao.errors import InvalidInput, InvalidState
from dingkao.exams import pool_cache
from dingkao.exams import question_pool as drawable
from dingkao.exams.drawing import draw_layout
from dingkao.integrations.spreadsheets.import_rows import ImportReport, ImportRow
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.question_banks import question_approval, shared_bank_copies, shared_bank_updates, shared_banks
from dingkao.question_banks.importing import file_import
from dingkao.question_banks.models import Question, QuestionBank, QuestionVersion
from dingkao.question_banks.similarity import likeness_digest
from tests import actors
from tests.rooms.paper_bank import SLUG, create_bank, create_paper

_serial = actors.unused_serials(SLUG)


@pytest.fixture(scope="module")
def ground(application, in_province):
    actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
    with in_province(SLUG):
        create_bank()
        db.session.commit()


def twin_of(bank, kind="A1", **more):
    """A question in the words of another, in a bank of its own: a copy that somebody brought again."""
    original = db.session.execute(
        select(Question, QuestionVersion)
        .join(QuestionVersion, QuestionVersion.id == Question.current_version)
        .where(
            Question.kind == kind,
            Question.category == "clinical",
            Question.purpose == "exam",
            Question.retired_at.is_(None),
        )
        .order_by(Question.id)
    ).first()
    question, version = original
    words = likeness_digest(kind, "", version.stem, version.options)
    question.likeness = words
    copy, copied = new_id(), new_id()
    db.session.add(
        Question(
            id=copy,
            bank_id=bank.id,
            group_position=0,
            subject="professional",
            category="clinical",
            kind=kind,
            difficulty="easy",
            digest=uuid4().bytes,
            likeness=words,
            current_version=copied,
            **more,
        )
    )
    db.session.flush()
    db.session.add(
        QuestionVersion(
            id=copied,
            question_id=copy,
            number=1,
            kind=kind,
            stem=version.stem + "。",
            options=version.options,
            answer="A",
        )
    )
    db.session.flush()
    return question, copy


@pytest.fixture
def another_bank(in_province, ground):
    with in_province(SLUG):
        bank = QuestionBank(id=new_id(), name=f"副本题库{next(_serial)}")
        db.session.add(bank)
        db.session.flush()
        yield bank
        db.session.rollback()


def test_a_form_never_has_a_question_and_its_copy(another_bank, monkeypatch):
    monkeypatch.setattr(pool_cache, "POOL_CACHE_SECONDS", -1.0)
    total = sum(drawable.load_candidates("professional", "clinical").count_by_type().values())
    question, copy = twin_of(another_bank)
    candidates = drawable.load_candidates("professional", "clinical")
    assert (sum(candidates.count_by_type().values()), candidates.similar_skipped_count) == (total, 1)
    paper = create_paper(level="assistant", counts={"A1": candidates.count_by_type()["A1"]})
    versions = [drawn_question.version for drawn_question in draw_layout(paper, 1)]
    assert len(set(versions)) == len(versions)
    owners = Counter(
        db.session.scalars(
            select(Question.likeness).where(
                Question.current_version.in_(versions), Question.likeness.is_not(None)
            )
        )
    )
    assert owners[question.likeness] == 1


def test_a_question_whose_copy_is_practised_is_kept_out_of_exams(another_bank, monkeypatch):
    monkeypatch.setattr(pool_cache, "POOL_CACHE_SECONDS", -1.0)
    question, _ = twin_of(another_bank, purpose="practice")
    candidates = drawable.load_candidates("professional", "clinical")
    assert candidates.practice_twin_count() == 1
    paper = create_paper(level="assistant", counts={"A1": candidates.count_by_type()["A1"]})
    assert question.current_version not in {
        drawn_question.version for drawn_question in draw_layout(paper, 1)
    }
    with pytest.raises(InvalidInput, match="题库只有"):
        create_paper(level="assistant", counts={"A1": candidates.count_by_type()["A1"] + 1})
    # nobody is sent away for it: where nothing else is left, what is practised is drawn
    other_question = db.session.scalars(
        select(Question)
        .where(
            Question.category == "clinical",
            Question.kind == "A1",
            Question.id != question.id,
            Question.purpose == "exam",
        )
        .limit(1)
    ).one()
    other_question.retired_at = clock.now()
    db.session.flush()
    assert question.current_version in {drawn_question.version for drawn_question in draw_layout(paper, 1)}


def test_a_question_that_a_paper_still_needs_is_not_taken_out_of_use(another_bank):
    stock_count = drawable.load_candidates("professional", "clinical").count_by_type()["X"]
    editor = actors.make_actor("question_editor")
    first_question, second_question = db.session.scalars(
        select(Question)
        .where(Question.category == "clinical", Question.subject == "professional", Question.kind == "X")
        .limit(2)
    )
    paper = create_paper(level="assistant", counts={"X": stock_count - 1})
    question_approval.set_in_use(first_question, used=False, by=editor)
    with pytest.raises(
        InvalidState,
        match=f"停用这道题后，试卷“.*”的X型题需要{stock_count - 1}道，题库只有{stock_count - 2}道",
    ):
        question_approval.set_in_use(second_question, used=False, by=editor)
    paper.closes_at = clock.now() - timedelta(minutes=1)
    paper.opens_at = paper.closes_at - timedelta(hours=1)
    db.session.flush()
    question_approval.set_in_use(second_question, used=False, by=editor)


@pytest.fixture
def shared_bank(in_province, ground):
    """A bank that the platform shares, with three questions for 公共卫生 that a paper to be sat needs all;
    the province's own of it, and the file's rows."""
    name, head = f"共享题库{next(_serial)}", "题型,题干,选项A,选项B,选项C,答案,执业类别,用途\n"
    question_lines = [f"X,{name}第{number}题？,甲,乙,丙,AB,公共卫生," for number in range(3)]
    with in_province(SLUG):
        typed_name = f" {name} "
        shared_bank_updates.update_from_file(
            (head + "\n".join(question_lines)).encode(), typed_name, whole=True
        )
        shared = next(
            shared_bank for shared_bank in shared_banks.list_shared_banks() if shared_bank.name == name
        )
        shared_bank_copies.copy_to_province(shared, by=TERMINAL_ACTOR)
        create_paper(category="public_health", counts={"X": 3})
        yield shared, name, head, question_lines
        db.session.rollback()


SHORT_OF_X = "，试卷“.*”的X型题需要3道，题库只有2道"


def test_a_change_for_practice_is_not_let_in_while_a_paper_needs_the_question(shared_bank):
    question = db.session.scalars(
        select(Question)
        .join(QuestionBank, QuestionBank.id == Question.bank_id)
        .where(QuestionBank.name == shared_bank[1])
        .limit(1)
    ).one()
    question_version = db.session.scalars(
        select(QuestionVersion).where(QuestionVersion.id == question.current_version)
    ).one()
    change = QuestionVersion(
        id=new_id(),
        question_id=question.id,
        number=2,
        kind="X",
        stem=question_version.stem,
        options=question_version.options,
        answer="AB",
        state="pending",
        about={"purpose": "practice"},
    )
    db.session.add(change)
    db.session.flush()
    question.proposed_version = change.id
    db.session.flush()
    with pytest.raises(InvalidState, match="按这次修改使用这道题后" + SHORT_OF_X):
        question_approval.approve_version(change, by=actors.make_actor("province_admin"))


def test_a_file_that_moves_a_question_to_practice_is_not_taken_in_while_a_paper_needs_it(shared_bank):
    _, name, head, question_lines = shared_bank
    with pytest.raises(InvalidState, match="按这份文件修改题目后" + SHORT_OF_X):
        file_import.import_questions(
            (head + question_lines[0] + "练习").encode(), bank_name=name, by=TERMINAL_ACTOR
        )


def test_what_the_platform_withdraws_is_not_taken_out_while_a_paper_needs_it(shared_bank):
    shared, name, head, question_lines = shared_bank
    shared_bank_updates.update_from_file((head + "\n".join(question_lines[1:])).encode(), name, whole=True)
    with pytest.raises(InvalidState, match="停用共享题库已撤下的题目后" + SHORT_OF_X):
        shared_bank_copies.copy_to_province(shared, by=TERMINAL_ACTOR)


def test_a_file_without_questions_is_not_the_whole_of_a_shared_bank(shared_bank):
    shared, name, head, _ = shared_bank
    with pytest.raises(InvalidInput, match="文件中没有试题"):
        shared_bank_updates.update_from_file(head.encode(), name, whole=True)
    assert shared_banks.get_shared_bank(shared.id).question_count == shared.question_count


def test_a_shared_bank_is_copied_under_the_name_by_which_imports_find_it(in_province, ground):
    name = f"两个  空格{next(_serial)}"
    with in_province(SLUG):
        shared_bank_updates.update_from_file(
            f"题干,选项A,选项B,答案,科目\n{name}？,甲,乙,A,公共知识\n".encode(), name, whole=False
        )
        [shared] = [bank for bank in shared_banks.list_shared_banks() if bank.name == name]
        shared_bank_copies.copy_to_province(shared, by=TERMINAL_ACTOR)
        copy = shared_bank_copies.find_province_copy(shared.id)
        assert copy.name == name.replace("  ", " ")
        assert db.session.scalars(select(Question.bank_id).where(Question.bank_id == copy.id)).all()
        db.session.rollback()


def test_copies_are_told_at_import(another_bank):
    question, _ = twin_of(another_bank)
    version = db.session.scalars(
        select(QuestionVersion).where(QuestionVersion.id == question.current_version)
    ).one()
    cells = {
        "kind": "A1",
        "stem": version.stem + "？",
        "answer": "A",
        "category": "临床",
        "subject": "业务水平",
    } | {f"option_{letter}": words for letter, words in version.options}
    import_rows = [
        ImportRow(2, cells),
        ImportRow(3, cells | {"stem": version.stem + "！", "purpose": "练习"}),
    ]
    report = file_import.import_rows(
        import_rows, bank_name="又一题库", by=TERMINAL_ACTOR, report=ImportReport()
    )
    assert report.accepted == 2
    assert [(warning.row, warning.column) for warning in report.warnings] == [(2, "题干"), (3, "题干")]
    assert "一份试卷最多用其中一道" in report.warnings[0].remedy
    assert "练习会显示答案" in report.warnings[1].remedy
