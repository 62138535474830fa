"""Papers: what a blueprint asks for is met exactly or said to be short; every drawing has the same make-up; who sits which, and in what order."""

import random
import re
from collections import Counter
from datetime import timedelta
from uuid import UUID, uuid4

import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.model import db, new_id
from dingkao.errors import Invalid, NotAllowed
from dingkao.exams import papers, printing, sittings
from dingkao.exams.assembling import Cell, Sort, assemble
from dingkao.exams.models import Paper, Question, QuestionBank, QuestionGroup, QuestionVersion, SittingAnswer
from dingkao.exams.papers import Wish, draw, make_paper, papers_for, shared_out, wanted_subjects
from dingkao.journal.writing import TERMINAL, Actor
from dingkao.results import lines
from dingkao.tenants import settings as province_settings
from tests import people

SLUG, CODE = "neimenggu", 15
TOPICS, DIFFICULTIES = ("心血管", "呼吸", "消化"), ("easy", "medium", "hard")
_serial = people.serials(SLUG)

SORT = st.builds(Sort, st.sampled_from(["common", "professional"]), st.sampled_from(["", *TOPICS[:2]]), st.sampled_from(DIFFICULTIES))
STOCK = st.fixed_dictionaries({
    "A1": st.dictionaries(st.tuples(SORT), st.integers(1, 12), min_size=1, max_size=8),
    "A3": st.dictionaries(st.lists(SORT, min_size=2, max_size=4).map(lambda found: tuple(sorted(found))), st.integers(1, 3), min_size=1, max_size=5),
})  # fmt: skip


def tally(plan, holds=lambda _: True):
    return sum(number * sum(map(holds, sorts)) for wanted in plan.values() for sorts, number in wanted.items())


def inside(plan, stock):
    return all(0 < number <= stock[kind][sorts] for kind, wanted in plan.items() for sorts, number in wanted.items())


@settings(deadline=None, max_examples=60)
@given(STOCK, st.data())
def test_what_can_be_met_is_met_exactly(stock, data):
    """A blueprint read off some choice of units can be filled, so it is: by type, topic, difficulty and share of 公共知识."""
    taken = {kind: {sorts: data.draw(st.integers(0, number)) for sorts, number in kinds.items()} for kind, kinds in stock.items()}
    counts = {kind: sum(number * len(sorts) for sorts, number in wanted.items()) for kind, wanted in taken.items()}
    humanities = tally(taken, lambda sort: sort.subject == "common")
    asked = [("心血管", None), ("心血管", "hard"), ("呼吸", "easy"), (None, "medium")]
    cells = [Cell(topic, hard, number) for topic, hard in asked if (number := tally(taken, Cell(topic, hard, 0).holds))]
    found = assemble(stock, counts, humanities=humanities, cells=cells)
    assert found.complete
    assert found.lacking() == ""
    assert inside(found.plan, stock)
    for kind, number in counts.items():
        assert tally({kind: found.plan.get(kind, {})}) == number
    if humanities:
        assert tally(found.plan, lambda sort: sort.subject == "common") == humanities
    assert all(tally(found.plan, cell.holds) == cell.number for cell in cells)


@settings(deadline=None, max_examples=40)
@given(STOCK, st.integers(0, 60), st.integers(0, 20), st.integers(1, 40), st.integers(0, 30))
def test_what_can_not_be_met_is_named_and_nothing_is_raised(stock, singles, grouped, hard, humanities):
    cell = Cell(None, "hard", hard)
    found = assemble(stock, {"A1": singles, "A3": grouped, "B1": 0}, humanities=humanities, cells=[cell])
    assert inside(found.plan, stock)
    got = {need.label: need.got for need in found.needs}
    assert got["难度:难"] == tally(found.plan, cell.holds)
    for need in found.needs:
        assert need.met is (need.sentence() == "")
        assert need.met or f"{need.label}需要{need.wanted}道" in found.lacking()
        assert need.got <= need.has
    assert found.complete is all(need.got == need.wanted for need in found.needs)


def test_what_nobody_asked_for_follows_the_banks():
    stock = {"A1": {(Sort("professional", "", "easy"),): 60, (Sort("professional", "", "medium"),): 30, (Sort("professional", "", "hard"),): 10}}
    plan = assemble(stock, {"A1": 20}).plan["A1"]
    assert {sorts[0].difficulty: number for sorts, number in plan.items()} == {"easy": 12, "medium": 6, "hard": 2}


@given(st.integers(3, 300), st.lists(st.integers(1, 98), min_size=1, max_size=2))
def test_shares_that_make_up_a_hundred_make_up_the_paper(total, parts):
    rest = 100 - sum(parts)
    if rest <= 0:
        return
    numbers = [*parts, rest]
    found = shared_out([Wish(None, hard, number, True) for hard, number in zip(DIFFICULTIES, numbers, strict=False)], total)
    assert sum(cell.number for cell in found) == total
    assert all(abs(cell.number - number * total / 100) < 1 for cell, number in zip(found, numbers, strict=True))
    assert [cell.share for cell in found] == numbers


# --- in a province


@pytest.fixture(scope="module")
def ground(application, in_province):
    people.doctor(application, in_province, SLUG, next(_serial))
    with in_province(SLUG):
        _bank()
        db.session.commit()


def _bank():
    """Questions of every kind with topics and difficulties: 临床 and 公共知识."""
    chance = random.Random(7)  # noqa: S311
    bank = QuestionBank(id=new_id(), name="组卷题库")
    db.session.add(bank)
    db.session.flush()
    for subject, category, each in (("professional", "clinical", 12), ("common", None, 6), ("professional", "dental", 2)):
        for kind in ("A1", "A2", "X", "TF"):
            for topic in TOPICS:
                for difficulty in DIFFICULTIES:
                    for _ in range(each):
                        _question(bank, subject, category, kind, topic, difficulty)
        for kind in ("A3", "B1"):
            for _ in range(each):
                group = QuestionGroup(id=new_id(), bank_id=bank.id, stem="共用", digest=uuid4().bytes)
                db.session.add(group)
                db.session.flush()
                for place in range(chance.choice((2, 2, 3))):
                    _question(bank, subject, category, kind, chance.choice(TOPICS), chance.choice(DIFFICULTIES), group, place)
    db.session.flush()


def _question(bank, subject, category, kind, topic, difficulty, group=None, place=0):
    question, version = new_id(), new_id()
    options = [["A", "正确"], ["B", "错误"]] if kind == "TF" else [[letter, f"选项{letter}"] for letter in "ABCDE"]
    db.session.add(Question(
        id=question, bank_id=bank.id, group_id=group and group.id, group_position=place, subject=subject, category=category, topic=topic, kind=kind,
        difficulty=difficulty, digest=uuid4().bytes, current_version=version,
    ))  # fmt: skip
    db.session.flush()
    db.session.add(QuestionVersion(
        id=version, question_id=question, number=1, kind=kind, case_stem=str(group.id) if group else None, stem=f"题{question}", options=options, answer="A"
    ))  # fmt: skip


def made(subject="professional", level="physician", **more):
    given = {
        "category": "clinical", "counts": {"A1": 20, "A2": 10, "A3": 6, "B1": 4, "X": 5, "TF": 5}, "minutes": 60, "opens_at": clock.now() - timedelta(hours=1),
        "closes_at": clock.now() + timedelta(days=3), "by": TERMINAL,
    } | more  # fmt: skip
    return make_paper(people.running_cycle(), subject=subject, level=level, **given)


def make_up(layout):
    """How many of a drawing's questions there are by type, subject, topic and difficulty."""
    versions = [one.version for one in layout]
    query = select(QuestionVersion.id, Question.kind, Question.subject, Question.topic, Question.difficulty)
    joined = query.join(Question, (Question.tenant_id == QuestionVersion.tenant_id) & (Question.id == QuestionVersion.question_id))
    found = {row[0]: tuple(row[1:]) for row in db.session.execute(joined.where(QuestionVersion.id.in_(versions)))}
    return [found[version] for version in versions]


@settings(deadline=None, max_examples=25)
@given(seeds=st.tuples(st.integers(0, 2**62), st.integers(0, 2**62)))
def test_two_drawings_of_a_paper_have_the_same_make_up(in_province, ground, drawn_paper, seeds):
    with in_province(SLUG):
        paper = db.session.get_one(Paper, (CODE, drawn_paper))
        one, other = (draw(paper, seed) for seed in seeds)
        assert one == draw(paper, seeds[0])
        named = {"心血管", "呼吸"}
        counted = []
        for layout in (one, other):
            rows = make_up(layout)
            assert Counter(row[0] for row in rows) == paper.counts
            assert len({drawn.version for drawn in layout}) == len(layout) == sum(paper.counts.values())
            assert sum(row[1] == "common" for row in rows) == paper.humanities
            assert sum(row[2] == "心血管" for row in rows) == 9
            assert sum(row[2] == "呼吸" and row[3] == "hard" for row in rows) == 3
            assert Counter(row[3] for row in rows) == {"easy": 15, "medium": 25, "hard": 10}
            counted.append(Counter((kind, subject, topic if topic in named else "", hard) for kind, subject, topic, hard in rows))
            _groups_are_whole(layout)
        assert counted[0] == counted[1]


@pytest.fixture(scope="module")
def drawn_paper(in_province, ground):
    with in_province(SLUG):
        shares = [Wish(None, "easy", 30, True), Wish(None, "medium", 50, True), Wish(None, "hard", 20, True)]
        cells = shared_out([*shares, Wish("心血管", None, 9), Wish("呼吸", "hard", 3)], 50)
        paper = made(cells=cells, humanities=10, marks={"X": 15}, procedure="general")
        assert paper.marks["X"] == 15
        assert papers.whole_marks(paper) == 45 * 10 + 5 * 15
        db.session.commit()
        return paper.id


def _groups_are_whole(layout):
    place = {drawn.version: at for at, drawn in enumerate(layout)}
    query = select(Question.group_id, Question.group_position, Question.current_version).where(Question.group_id.is_not(None))
    groups: dict = {}
    for group, position, version in db.session.execute(query):
        groups.setdefault(group, {})[position] = place.get(version)
    for positions in groups.values():
        standing = [positions[position] for position in sorted(positions)]
        assert standing[0] is None or standing == list(range(standing[0], standing[0] + len(standing)))
        assert standing[0] is not None or set(standing) == {None}


def test_a_fixed_paper_is_the_same_for_everybody_but_for_the_order_of_options(in_province, ground):
    with in_province(SLUG):
        paper = made(level="assistant", fixed=True)
        one, other = draw(paper, 1), draw(paper, 2)
        assert [drawn.version for drawn in one] == [drawn.version for drawn in other]
        assert draw(paper, 1) == one != other
        _groups_are_whole(one)
        kinds = [row[0] for row in make_up(one)]
        assert {drawn.order for drawn, kind in zip(one, kinds, strict=True) if kind == "TF"} == {"AB"}
        assert len({drawn.order for drawn, kind in zip(one, kinds, strict=True) if kind == "A1"}) > 5


def test_a_fixed_paper_is_printed_whole_and_its_key_is_the_right_one(in_province, ground):
    with in_province(SLUG):
        drawn = made(level="assistant")
        with pytest.raises(NotAllowed, match="不能打印"):
            printing.draw(drawn, "booklet")
        paper = made(level="assistant", fixed=True, counts={"A1": 90, "A3": 6, "B1": 4, "X": 5, "TF": 5})
        wanted = {drawn.version for drawn in draw(paper, 1)}
        parts = printing.parts_of(paper)
        questions = [question for part in parts for question in part.questions]
        assert [question.number for question in questions] == list(range(1, 111))
        assert {question.version.id for question in questions} == wanted
        assert [part.kind for part in parts] == ["A1", "A3", "B1", "X", "TF"]
        assert all(group.options for part in parts if part.kind == "B1" for group in part.groups)
        assert all(group.case_stem for part in parts if part.kind == "A3" for group in part.groups)
        sixtieth = questions[59].version
        sixtieth.answer = "D"
        db.session.flush()
        booklet, sheet, key = (_words(printing.draw(paper, what)) for what in ("booklet", "sheet", "key"))
        code = printing.code_of(paper)
        assert all(code in pages[0] for pages in (booklet, sheet, key))
        assert all(f"{question.number}. {question.version.stem}" in "".join("".join(booklet).split("\r\n")) for question in questions[:20])
        assert len(sheet) == 2
        assert re.search(r"\b60\s*D\b", "".join(key))
        assert re.search(r"\b59\s*A\b", "".join(key))
        truths = {question.number: dict(question.version.options)[question.version.answer] for question in questions if question.version.kind == "TF"}
        assert all(re.search(rf"\b{number}\s*[AB]\s*{word}", "".join(key)) for number, word in truths.items())
        assert "判断题 共5题" in "".join(booklet)
        assert "".join("".join(booklet).split()).count("请全部选出。多选、少选、错选均不得分。") == 1
        assert "TF" not in "".join(booklet + sheet + key)
        assert re.search(r"A\. 正确\s*B\. 错误", "".join(booklet))
        assert printing.code_of(made(level="assistant", fixed=True, counts={"A1": 90})) != code
        db.session.rollback()


def test_formulas_and_tables_of_a_booklet_are_set_and_what_can_not_be_drawn_stands_as_typed(in_province, ground):
    with in_province(SLUG):
        paper = made(level="assistant", fixed=True, counts={"A1": 5})
        versions = [question.version for part in printing.parts_of(paper) for question in part.questions]
        versions[0].stem = "比值 $\\frac{\\alpha}{\\text{体重}}$ 与 $\\frac{a}$\n|项目|数值|\n|-|-|\n|$x_1$|2|"
        db.session.flush()
        whole = "".join(_words(printing.draw(paper, "booklet")))
        assert "alpha" not in whole
        assert "体重" in whole
        assert "\\frac{a}" in whole
        assert "|项目" not in whole
        assert "项目" in whole
        db.session.rollback()


def _words(document):
    return [page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(document)]


def test_questions_taken_out_of_use_are_drawn_no_more_and_nobody_is_sent_away_while_enough_are_left(in_province, ground, monkeypatch):
    monkeypatch.setattr(papers, "POOL_SECONDS", -1.0)
    with in_province(SLUG):
        paper = made(category="dental", counts={"A1": 6}, cells=[Cell("心血管", "easy", 2)])
        fitting = (Question.category == "dental", Question.kind == "A1")
        easy = (*fitting, Question.topic == "心血管", Question.difficulty == "easy")
        gone = set(db.session.scalars(select(Question.current_version).where(*easy)))
        assert gone <= {one.version for one in draw(paper, 1)}
        db.session.execute(update(Question).where(*easy).values(retired_at=clock.now()))
        layout = draw(paper, 1)
        assert len(layout) == 6
        assert not gone & {one.version for one in layout}
        db.session.execute(update(Question).where(*fitting).values(retired_at=clock.now()))
        with pytest.raises(NotAllowed, match="不足以组成"):
            draw(paper, 1)


def test_two_papers_of_a_subject_never_fit_one_doctor(in_province, ground):
    with in_province(SLUG):
        both = made("common", level="assistant")
        with pytest.raises(Invalid, match="已有一份适用两种程序") as refused:
            made("common", level="assistant", procedure="simple")
        assert refused.value.field == "procedure"
        assert made("common", level="assistant", procedure="general", paper=both).id == both.id
        short = made("common", level="assistant", procedure="simple", counts={"A1": 5})
        assert short.id != both.id
        assert "简易程序" in short.title
        with pytest.raises(Invalid, match="已有一份适用"):
            made("common", level="assistant")
        db.session.rollback()


@pytest.mark.parametrize(("more", "sentence"), [
    ({"cells": [Cell("没有的", None, 3)]}, "没有的需要3道,题库只有0道"), ({"humanities": 51}, "公共知识题数"), ({"cells": [Cell(None, "hard", 51)]}, "每一格应为1至50"),
    ({"marks": {"A1": 0}}, "每题分值"), ({"procedure": "other"}, "适用程序"), ({"subject": "common", "humanities": 2}, "只用于业务水平"),
    ({"cells": [Cell(None, "easy", 40), Cell(None, "hard", 40)]}, "合起来只能取"), ({"minutes": 0}, "考试时长"),
])  # fmt: skip
def test_a_blueprint_that_can_not_be_filled_says_what_is_short(in_province, ground, more, sentence):
    with in_province(SLUG), pytest.raises(Invalid, match=sentence):
        made(**({"level": "assistant"} | more))


# --- who sits which, and in what order


@pytest.fixture
def ready(application, in_province, ground):
    """Make a record that is 待测评."""

    def make(procedure="general"):
        doctor = people.doctor(application, in_province, SLUG, next(_serial))
        people.bring_to(in_province, doctor, "ready", procedure=procedure)
        return doctor.record_id

    return make


@pytest.fixture
def stages(in_province):
    """Set how the stages follow one another; undone after the test."""

    def put(stages_, line=0):
        with in_province(SLUG):
            province_settings.change("exam_stages", stages_, by=None, reason="测试")
            province_settings.change("exam_stage_line", line, by=None, reason="测试")
            db.session.commit()

    yield put
    put("parallel")


@pytest.fixture(scope="module")
def both_papers(in_province, drawn_paper):
    with in_province(SLUG):
        made("common", counts={"A1": 10})
        db.session.commit()


def record(record_id):
    return db.session.scalars(select(Assessment).where(Assessment.id == record_id).with_for_update()).one()


OWN = Actor("doctor", uuid4())


def hand_in(row, paper, *, right=True):
    sitting = sittings.open_sitting(row, paper, by=OWN)
    for position in range(len(sitting.layout) if right else 0):
        db.session.add(SittingAnswer(sitting_id=sitting.id, position=position, letters="A", sequence=1, received_at=clock.now()))
    db.session.flush()
    sittings.hand_in(row, sitting, by=OWN)
    return sitting


def test_stages_that_follow_one_another_open_one_after_the_other(in_province, both_papers, ready, stages):
    record_id = ready()
    with in_province(SLUG):
        row = record(record_id)
        common, professional = papers_for(row)
        assert papers.locked_because(professional, [common, professional], {}) is None
    stages("sequential")
    with in_province(SLUG):
        row = record(record_id)
        with pytest.raises(NotAllowed, match="请先完成“公共知识”并交卷"):
            sittings.open_sitting(row, professional, by=OWN)
        hand_in(row, common, right=False)
        assert sittings.open_sitting(row, professional, by=OWN).paper_id == professional.id
        assert row.state == "testing"


def test_below_the_line_named_beforehand_the_later_stage_stays_shut_and_nobody_is_absent(in_province, both_papers, ready, stages):
    stages("sequential", 60)
    record_id, other_id = ready(), ready()
    with in_province(SLUG):
        row = record(record_id)
        common, professional = papers_for(row)
        hand_in(row, common, right=False)
        assert row.state == "scored"
        with pytest.raises(NotAllowed, match="未达到60分"):
            sittings.open_sitting(row, professional, by=OWN)
        other = record(other_id)
        hand_in(other, common)
        sittings.open_sitting(other, professional, by=OWN)
        db.session.commit()
        cycle = people.running_cycle()
        line = lines.propose(cycle, "clinical", "physician", 0, by=people.actor("province_admin"))
        lines.approve(line, by=people.actor("province_admin"))
        assert lines.effect(cycle, "clinical", "physician", 0).reaching == 0
        lines.apply_lines(cycle)
        assert record(record_id).competence == "fail"


def test_one_combined_paper_is_all_that_is_sat(in_province, both_papers, ready, stages):
    general, simple = ready(), ready("simple")
    stages("combined")
    with in_province(SLUG):
        assert [paper.subject for paper in papers_for(record(general))] == ["professional"]
        assert [paper.subject for paper in papers_for(record(simple))] == ["common"]
        assert wanted_subjects(record(general)) == wanted_subjects(record(simple)) == 1
        row = record(general)
        hand_in(row, papers_for(row)[0])
        assert row.state == "scored"


def test_the_duty_knows_who_sits_which_as_papers_for_does(in_province, both_papers, ready, stages):
    """Whose papers are all over is asked of the database; with a paper for one procedure alone nobody of the other waits for it."""
    simple, general = ready("simple"), ready()
    with in_province(SLUG):
        over = clock.now() - timedelta(minutes=5)
        db.session.execute(update(Paper).where(Paper.category == "clinical", Paper.subject == "common").values(closes_at=over))
        found = sittings._over(UUID(int=0))
        assert simple in found
        assert general not in found
        db.session.execute(update(Paper).where(Paper.category == "clinical").values(closes_at=over))
        assert {simple, general} <= set(sittings._over(UUID(int=0)))
        db.session.rollback()


def test_a_long_setting_as_a_browser_sends_it_back_is_no_change():
    held = province_settings.SETTINGS["ticket_notice"].default
    assert province_settings.judged("ticket_notice", held.replace("\n", "\r\n")) == held
