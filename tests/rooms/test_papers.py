"""Papers: every drawing has the make-up of its blueprint; who sits which, and in what order."""

from collections import Counter
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.errors import InvalidInput, InvalidState
from dingkao.exams import papers, pool_cache, sitting_completion, sittings
from dingkao.exams import question_pool as drawable
from dingkao.exams.assembly.blueprint_types import BlueprintCell
from dingkao.exams.drawing import draw_layout
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import SittingAnswer
from dingkao.exams.paper_blueprint import CellInput, distribute_cells
from dingkao.exams.papers import expected_paper_count, papers_for
from dingkao.journal.entries import Actor
from dingkao.question_banks.models import Question, QuestionVersion
from dingkao.results import line_effects, pass_lines
from dingkao.tenants import settings as province_settings
from tests import actors
from tests.chi_square import chi_square, critical_value
from tests.property_examples import property_examples
from tests.rooms.paper_bank import CODE, SLUG, create_bank, create_paper

_serial = actors.unused_serials(SLUG)


@pytest.fixture(scope="module")
def ground(application, in_province):
    actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
    with in_province(SLUG):
        create_bank()
        db.session.commit()


def make_up(layout):
    """How many of a drawing's questions there are by type, subject, topic and difficulty."""
    versions = [drawn_question.version for drawn_question in layout]
    query = select(QuestionVersion.id, Question.kind, Question.subject, Question.topic, Question.difficulty)
    joined = query.join(
        Question,
        (Question.tenant_id == QuestionVersion.tenant_id) & (Question.id == QuestionVersion.question_id),
    )
    details_by_version = {
        details[0]: tuple(details[1:])
        for details in db.session.execute(joined.where(QuestionVersion.id.in_(versions)))
    }
    return [details_by_version[version] for version in versions]


@settings(deadline=None, max_examples=property_examples(25))
@given(seeds=st.tuples(st.integers(0, 2**62), st.integers(0, 2**62)))
def test_every_drawing_of_a_paper_meets_its_blueprint(in_province, ground, drawn_paper, seeds):
    with in_province(SLUG):
        paper = db.session.get_one(Paper, (CODE, drawn_paper))
        first_layout, second_layout = (draw_layout(paper, seed) for seed in seeds)
        assert first_layout == draw_layout(paper, seeds[0])
        for layout in (first_layout, second_layout):
            question_details = make_up(layout)
            assert Counter(details[0] for details in question_details) == paper.counts
            assert (
                len({drawn_question.version for drawn_question in layout})
                == len(layout)
                == sum(paper.counts.values())
            )
            assert sum(details[1] == "common" for details in question_details) == paper.common_count
            assert sum(details[2] == "心血管" for details in question_details) == 9
            assert sum(details[2] == "呼吸" and details[3] == "hard" for details in question_details) == 3
            assert Counter(details[3] for details in question_details) == {
                "easy": 15,
                "medium": 25,
                "hard": 10,
            }
            _groups_are_whole(layout)


def test_what_is_asked_is_held_by_the_plan_made_with_the_paper_and_by_one_made_for_other_banks(
    in_province, ground, monkeypatch
):
    monkeypatch.setattr(pool_cache, "POOL_CACHE_SECONDS", -1.0)
    with in_province(SLUG):
        paper = create_paper(
            level="assistant",
            counts={"A1": 20},
            common_count=4,
            cells=[BlueprintCell("呼吸", "hard", 9), BlueprintCell("消化", None, 2)],
        )
        for plan in (paper.plan, None):
            paper.plan = plan
            question_details = make_up(draw_layout(paper, 1))
            counts = (
                sum(details[1] == "common" for details in question_details),
                sum(details[2:] == ("呼吸", "hard") for details in question_details),
                sum(details[2] == "消化" for details in question_details),
            )
            assert counts == (4, 9, 2)
        db.session.rollback()


@pytest.fixture(scope="module")
def drawn_paper(in_province, ground):
    with in_province(SLUG):
        shares = [
            CellInput(None, "easy", 30, True),
            CellInput(None, "medium", 50, True),
            CellInput(None, "hard", 20, True),
        ]
        cells = distribute_cells([*shares, CellInput("心血管", None, 9), CellInput("呼吸", "hard", 3)], 50)
        paper = create_paper(cells=cells, common_count=10, marks={"X": 15}, procedure="general")
        assert paper.points["X"] == 15
        assert papers.total_points_tenths(paper) == 45 * 10 + 5 * 15
        db.session.commit()
        return paper.id


def _groups_are_whole(layout):
    place = {drawn_question.version: index for index, drawn_question in enumerate(layout)}
    query = select(Question.group_id, Question.group_position, Question.current_version).where(
        Question.group_id.is_not(None)
    )
    groups: dict = {}
    for group, position, version in db.session.execute(query):
        groups.setdefault(group, {})[position] = place.get(version)
    for positions in groups.values():
        places = [positions[position] for position in sorted(positions)]
        assert places[0] is None or places == list(range(places[0], places[0] + len(places)))
        assert places[0] is not None or set(places) == {None}


def test_a_fixed_paper_is_the_same_for_everybody_but_for_the_order_of_options(in_province, ground):
    with in_province(SLUG):
        paper = create_paper(level="assistant", fixed=True)
        layout, second_layout = draw_layout(paper, 1), draw_layout(paper, 2)
        assert [drawn_question.version for drawn_question in layout] == [
            drawn_question.version for drawn_question in second_layout
        ]
        assert draw_layout(paper, 1) == layout != second_layout
        _groups_are_whole(layout)
        kinds = [details[0] for details in make_up(layout)]
        assert {
            drawn_question.option_order
            for drawn_question, kind in zip(layout, kinds, strict=True)
            if kind == "TF"
        } == {"AB"}
        assert (
            len(
                {
                    drawn_question.option_order
                    for drawn_question, kind in zip(layout, kinds, strict=True)
                    if kind == "A1"
                }
            )
            > 5
        )


def test_questions_taken_out_of_use_are_drawn_no_more_and_nobody_is_sent_away_while_enough_are_left(
    in_province, ground, monkeypatch
):
    monkeypatch.setattr(pool_cache, "POOL_CACHE_SECONDS", -1.0)
    with in_province(SLUG):
        paper = create_paper(category="dental", counts={"A1": 6}, cells=[BlueprintCell("心血管", "easy", 2)])
        fitting = (Question.category == "dental", Question.kind == "A1")
        easy = (*fitting, Question.topic == "心血管", Question.difficulty == "easy")
        current_versions = set(db.session.scalars(select(Question.current_version).where(*easy)))
        assert current_versions <= {drawn_question.version for drawn_question in draw_layout(paper, 1)}
        db.session.execute(update(Question).where(*easy).values(retired_at=clock.now()))
        layout = draw_layout(paper, 1)
        assert len(layout) == 6
        assert not current_versions & {drawn_question.version for drawn_question in layout}
        db.session.execute(update(Question).where(*fitting).values(retired_at=clock.now()))
        with pytest.raises(InvalidState, match="不足以组成"):
            draw_layout(paper, 1)


@pytest.mark.parametrize("forms", [150])
def test_every_question_of_a_type_is_drawn_as_often_as_any_other(in_province, ground, forms):
    """Nobody asked for topics or difficulties, so every unit has the same chance, groups of two as those of
    three; and the forms are alike in hardness. (1,000 forms of a bank of real size: tests.load.exposure.)"""
    with in_province(SLUG):
        paper = create_paper(level="assistant", counts={"A1": 20, "A3": 6, "B1": 10})
        candidates = drawable.load_candidates("professional", "clinical")
        unit_of = {version: unit for unit, _ in candidates.units for version, _ in unit.versions}
        counter, hardness = Counter(), []
        for seed in range(forms):
            units = {unit_of[drawn_question.version] for drawn_question in draw_layout(paper, seed)}
            counter.update(units)
            hardness.append(sum(unit.difficulty_rank for unit in units))
        for kind in ("A1", "A3", "B1"):
            stock = [unit for unit, _ in candidates.units if unit.kind == kind]
            assert chi_square([counter[unit] for unit in stock]) < critical_value(len(stock) - 1), kind
        assert max(hardness) - min(hardness) <= 10
        db.session.rollback()


def test_two_papers_of_a_subject_never_fit_one_doctor(in_province, ground):
    with in_province(SLUG):
        paper = create_paper("common", level="assistant")
        with pytest.raises(InvalidInput, match="已有一份适用两种程序") as refused:
            create_paper("common", level="assistant", procedure="simple")
        assert refused.value.field == "procedure"
        assert create_paper("common", level="assistant", procedure="general", paper=paper).id == paper.id
        short = create_paper("common", level="assistant", procedure="simple", counts={"A1": 5})
        assert short.id != paper.id
        assert "简易程序" in short.title
        with pytest.raises(InvalidInput, match="已有一份适用"):
            create_paper("common", level="assistant")
        db.session.rollback()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"cells": [BlueprintCell("没有的", None, 3)]}, "没有的需要3道，题库只有0道"),
        ({"common_count": 51}, "公共知识题数"),
        ({"cells": [BlueprintCell(None, "hard", 51)]}, "每一格应为1至50"),
        ({"marks": {"A1": 0}}, "每题分值"),
        ({"procedure": "other"}, "适用程序"),
        ({"subject": "common", "common_count": 2}, "只用于业务水平"),
        ({"cells": [BlueprintCell(None, "easy", 40), BlueprintCell(None, "hard", 40)]}, "合起来只能取"),
        ({"minutes": 0}, "考试时长"),
    ],
)
def test_a_blueprint_that_can_not_be_filled_says_what_is_short(in_province, ground, more, sentence):
    with in_province(SLUG), pytest.raises(InvalidInput, match=sentence):
        create_paper(**({"level": "assistant"} | more))


# --- who sits which, and in what order


@pytest.fixture
def ready(application, in_province, ground):
    """Make a record that is 待测评."""

    def make(procedure="general"):
        doctor = actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
        actors.advance_to(in_province, doctor, "ready", procedure=procedure)
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
        create_paper("common", counts={"A1": 10})
        db.session.commit()


def record(record_id):
    return db.session.scalars(select(Assessment).where(Assessment.id == record_id).with_for_update()).one()


DOCTOR_ACTOR = Actor("doctor", uuid4())


def hand_in(row, paper, *, right=True):
    sitting = sittings.open_sitting(row, paper, by=DOCTOR_ACTOR)
    for position in range(len(sitting.layout) if right else 0):
        db.session.add(
            SittingAnswer(
                sitting_id=sitting.id, position=position, letters="A", sequence=1, received_at=clock.now()
            )
        )
    db.session.flush()
    sitting_completion.hand_in_sitting(row, sitting, by=DOCTOR_ACTOR)
    return sitting


def test_stages_that_follow_one_another_open_one_after_the_other(in_province, both_papers, ready, stages):
    record_id = ready()
    with in_province(SLUG):
        assessment = record(record_id)
        common, professional = papers_for(assessment)
        assert papers.stage_lock_reason(professional, [common, professional], {}) is None
    stages("sequential")
    with in_province(SLUG):
        assessment = record(record_id)
        with pytest.raises(InvalidState, match="请先完成“公共知识”并交卷"):
            sittings.open_sitting(assessment, professional, by=DOCTOR_ACTOR)
        sittings.open_sitting(assessment, common, by=DOCTOR_ACTOR)
        with pytest.raises(InvalidState, match="请先完成“公共知识”并交卷"):
            sittings.open_sitting(assessment, professional, by=DOCTOR_ACTOR)
        hand_in(assessment, common, right=False)
        assert sittings.open_sitting(assessment, professional, by=DOCTOR_ACTOR).paper_id == professional.id
        assert assessment.state == "testing"


def test_below_the_line_named_beforehand_the_later_stage_stays_shut_and_nobody_is_absent(
    in_province, both_papers, ready, stages
):
    stages("sequential", 60)
    record_id, other_id = ready(), ready()
    with in_province(SLUG):
        assessment = record(record_id)
        common, professional = papers_for(assessment)
        hand_in(assessment, common, right=False)
        assert assessment.state == "scored"
        with pytest.raises(InvalidState, match="未达到60分"):
            sittings.open_sitting(assessment, professional, by=DOCTOR_ACTOR)
        other_assessment = record(other_id)
        hand_in(other_assessment, common)
        sittings.open_sitting(other_assessment, professional, by=DOCTOR_ACTOR)
        db.session.commit()
        cycle = actors.get_or_open_cycle()
        line = pass_lines.propose_line(
            cycle, "clinical", "physician", 0, by=actors.make_actor("province_admin")
        )
        pass_lines.approve_line(line, by=actors.make_actor("province_admin"))
        assert (
            line_effects.line_effects(cycle, {("clinical", "physician"): 0})[
                "clinical", "physician"
            ].passing_count
            == 0
        )
        pass_lines.apply_approved_lines()
        assert record(record_id).competence == "fail"


def test_one_combined_paper_is_all_that_is_sat(in_province, both_papers, ready, stages):
    general, simple = ready(), ready("simple")
    stages("combined")
    with in_province(SLUG):
        assert [paper.subject for paper in papers_for(record(general))] == ["professional"]
        assert [paper.subject for paper in papers_for(record(simple))] == ["common"]
        assert expected_paper_count(record(general)) == expected_paper_count(record(simple)) == 1
        assessment = record(general)
        hand_in(assessment, papers_for(assessment)[0])
        assert assessment.state == "scored"


def test_the_duty_knows_who_sits_which_as_papers_for_does(in_province, both_papers, ready, stages):
    """Whose papers are all over is asked of the database; with a paper for one procedure alone nobody of the
    other waits for it."""
    simple, general = ready("simple"), ready()
    with in_province(SLUG):
        over = clock.now() - timedelta(minutes=5)
        db.session.execute(
            update(Paper)
            .where(Paper.category == "clinical", Paper.subject == "common")
            .values(closes_at=over)
        )
        finished_ids = sitting_completion._finished_record_ids(UUID(int=0))
        assert simple in finished_ids
        assert general not in finished_ids
        db.session.execute(update(Paper).where(Paper.category == "clinical").values(closes_at=over))
        assert {simple, general} <= set(sitting_completion._finished_record_ids(UUID(int=0)))
        db.session.rollback()


def test_a_long_setting_as_a_browser_sends_it_back_is_no_change():
    default = province_settings.SETTINGS["ticket_notice"].default
    assert province_settings.validate_value("ticket_notice", default.replace("\n", "\r\n")) == default
