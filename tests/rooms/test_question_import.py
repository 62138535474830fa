"""Question banks: groups whole, corrected when they come again, and otherwise no news."""

from uuid import UUID

import pytest
from sqlalchemy import func, select

from dingkao.database.base import db
from dingkao.integrations.spreadsheets import xlsx_writer
from dingkao.integrations.spreadsheets.import_rows import ImportReport, ImportRow
from dingkao.journal.entries import SYSTEM_ACTOR, TERMINAL_ACTOR, Actor
from dingkao.question_banks import question_approval
from dingkao.question_banks.importing import batch
from dingkao.question_banks.importing.batch import FileProgress, import_batch
from dingkao.question_banks.importing.columns import TEMPLATE
from dingkao.question_banks.importing.file_import import import_questions
from dingkao.question_banks.importing.group_content import with_shared_content
from dingkao.question_banks.models import Question, QuestionGroup, QuestionVersion
from tests.rooms.test_question_rows import OPTIONS

STAFF = Actor("staff", UUID(int=1), frozenset({"province_admin"}))


@pytest.fixture
def hubei(in_province):
    """湖北, without a question, within a transaction that is undone."""
    with in_province("hubei"):
        yield


def question(**cells):
    """A row of the template."""
    return {"题型": "A1", "题干": "问", "答案": "A"} | OPTIONS | cells


def take_in(*rows, headings=TEMPLATE, bank="题库", by=TERMINAL_ACTOR):
    return import_questions(
        xlsx_writer.write_xlsx(
            headings, [[import_row.get(heading, "") for heading in headings] for import_row in rows]
        ),
        bank_name=bank,
        by=by,
    )


def outcome(report):
    return (
        report.accepted,
        report.changed,
        report.unchanged,
        [(fault.row, fault.column) for fault in report.errors],
    )


def stored():
    """Every question with the version drawn, as they came in."""
    query = select(Question, QuestionVersion).join(
        QuestionVersion, QuestionVersion.id == Question.current_version
    )
    return db.session.execute(query.order_by(Question.id).execution_options(populate_existing=True)).all()


def groups():
    """For each group the questions' stems in their order."""
    members_by_group = {}
    for stored_question, version in sorted(stored(), key=lambda pair: pair[0].group_position):
        members_by_group.setdefault(stored_question.group_id, []).append(
            (stored_question.group_position, version.stem)
        )
    return [members for group, members in members_by_group.items() if group], members_by_group.get(None, [])


A3 = [question(题型="A3", 组号="1", 共用题干="病例甲", 题干=f"问{serial}") for serial in (1, 2, 3)]


def without(row, *headings):
    return row | dict.fromkeys(headings, "")


@pytest.mark.parametrize(
    "missing", [(), ("共用题干",), ("共用题干", "组号"), ("组号",), ("题型", "共用题干")]
)
def test_a_case_that_stands_in_the_first_row_alone_is_the_groups(hubei, missing):
    question_rows = [A3[0], *(without(import_row, *missing) for import_row in A3[1:])]
    for expected in ((3, 0, 0, []), (0, 0, 3, [])):
        assert outcome(take_in(*question_rows)) == expected
    assert groups() == ([[(1, "问1"), (2, "问2"), (3, "问3")]], [])
    assert {version.case_stem for _, version in stored()} == {"病例甲"}
    assert [group.stem for group in db.session.scalars(select(QuestionGroup))] == ["病例甲"]


def test_cases_without_numbers_are_groups_too(hubei):
    question_rows = [without(import_row, "组号") for import_row in A3] + [
        question(题型="A4", 共用题干="病例乙", 题干="问1"),
        question(题型="A4", 题干="问2"),
    ]
    assert outcome(take_in(*question_rows)) == (5, 0, 0, [])
    assert groups() == ([[(1, "问1"), (2, "问2"), (3, "问3")], [(1, "问1"), (2, "问2")]], [])


def test_a_case_is_not_carried_past_another_type_or_into_another_number(hubei):
    question_rows = [
        A3[0],
        question(题干="独"),
        question(题型="A3", 题干="孤"),
        question(题型="A3", 组号="2", 题干="孤"),
        without(A3[1], "共用题干"),
    ]
    report = take_in(*question_rows)
    assert outcome(report) == (3, 0, 0, [(4, "共用题干"), (5, "共用题干")])
    assert groups() == ([[(1, "问1"), (2, "问2")]], [(0, "独")])


def test_a_refused_first_row_still_gives_its_case(hubei):
    assert outcome(take_in(A3[0] | {"答案": "Z"}, without(A3[1], "共用题干"))) == (1, 0, 0, [(2, "答案")])
    assert [version.case_stem for _, version in stored()] == ["病例甲"]


def test_the_same_words_under_another_case_are_another_question(hubei):
    question_rows = [
        A3[0],
        question(题型="A3", 组号="1", 题干="诊断"),
        A3[0] | {"组号": "2", "共用题干": "病例乙"},
        question(题型="A3", 组号="2", 题干="诊断", 答案="B"),
    ]
    assert outcome(take_in(*question_rows)) == (4, 0, 0, [])
    assert outcome(take_in(*question_rows)) == (0, 0, 4, [])
    assert outcome(take_in(*question_rows, question_rows[3])) == (0, 0, 4, [(6, "题干")])


B1 = [
    question(题型="B1", 组号="b", 题干=f"配{serial}", 答案=answer) for serial, answer in enumerate("ABC", 1)
]


@pytest.mark.parametrize("missing", [(), tuple(OPTIONS), (*OPTIONS, "组号"), ("组号",)])
def test_options_that_stand_in_the_first_row_alone_are_the_groups(hubei, missing):
    question_rows = [B1[0], *(without(import_row, *missing) for import_row in B1[1:])]
    for expected in ((3, 0, 0, []), (0, 0, 3, [])):
        assert outcome(take_in(*question_rows)) == expected
    assert groups() == ([[(1, "配1"), (2, "配2"), (3, "配3")]], [])
    assert {len(version.options) for _, version in stored()} == {5}


def test_the_same_words_in_another_group_of_b1_are_another_question(hubei):
    question_rows = [*B1, question(题型="B1", 组号="c", 题干="配1", 答案="B")]
    assert outcome(take_in(*question_rows)) == (4, 0, 0, [])
    assert outcome(take_in(*question_rows)) == (0, 0, 4, [])


def test_b1_without_options_anywhere_is_refused(hubei):
    assert outcome(take_in(without(B1[0], *OPTIONS), question())) == (1, 0, 0, [(2, "选项")])


def test_a_later_file_goes_on_with_the_group(hubei):
    take_in(*A3[:2])
    assert outcome(take_in(*A3)) == (1, 0, 2, [])
    assert groups() == ([[(1, "问1"), (2, "问2"), (3, "问3")]], [])


def test_groups_do_not_reach_from_sheet_to_sheet():
    question_rows = [
        ImportRow(2, {"kind": "A3", "group": "", "case_stem": "病例"}),
        ImportRow(2, {"kind": "A3", "group": "", "case_stem": ""}, "Sheet2"),
    ]
    assert [import_row.text("case_stem") for import_row in with_shared_content(question_rows)] == ["病例", ""]


CORRECTED = {
    "科目": ("公共知识", "subject", "common"), "执业类别": ("口腔", "category", "dental"), "难度": ("难", "difficulty", "hard"), "用途": ("练习", "purpose", "practice"),
}  # fmt: skip


@pytest.mark.parametrize("heading", CORRECTED)
def test_what_a_question_says_of_itself_is_corrected_without_a_version(hubei, heading):
    cell, column, value = CORRECTED[heading]
    take_in(question())
    assert outcome(take_in(question(**{heading: cell}))) == (0, 1, 0, [])
    [(stored_question, version)] = stored()
    assert (getattr(stored_question, column), version.number) == (value, 1)
    assert outcome(take_in(question(**{heading: cell}))) == (0, 0, 1, [])


@pytest.mark.parametrize(
    "cells", [{"答案": "B"}, {"解析": "因为"}, {"题型": "A2"}, {"题型": "X", "答案": "AB"}]
)
def test_words_corrected_make_a_version(hubei, cells):
    take_in(question())
    assert outcome(take_in(question(**cells))) == (0, 1, 0, [])
    [(stored_question, version)] = stored()
    assert (version.number, stored_question.kind, version.kind) == (
        2,
        cells.get("题型", "A1"),
        cells.get("题型", "A1"),
    )
    assert (version.answer, version.explanation) == (cells.get("答案", "A"), cells.get("解析"))
    assert outcome(take_in(question(**cells))) == (0, 0, 1, [])
    assert db.session.scalar(select(func.count(QuestionVersion.id))) == 2


def test_columns_a_later_sheet_does_not_have_stay_as_they_are(hubei):
    full = question(题型="A2", 解析="因为", 科目="公共知识", 执业类别="中医", 难度="难", 用途="练习")
    take_in(full)
    few_headings = ("题干", *OPTIONS, "答案")
    assert outcome(take_in(full, headings=few_headings)) == (0, 0, 1, [])
    assert outcome(take_in(full | {"答案": "B"}, headings=few_headings)) == (0, 1, 0, [])
    [(stored_question, version)] = stored()
    assert (
        stored_question.kind,
        stored_question.subject,
        stored_question.category,
        stored_question.difficulty,
        stored_question.purpose,
    ) == (
        "A2",
        "common",
        "chinese",
        "hard",
        "practice",
    )
    assert (version.kind, version.explanation, version.answer) == ("A2", "因为", "B")


def test_more_letters_make_x_of_a_question_whose_sheet_has_no_types(hubei):
    few_headings = ("题干", *OPTIONS, "答案")
    take_in(question(), headings=few_headings)
    for answer, kind in (("AB", "X"), ("C", "A1")):
        assert outcome(take_in(question(答案=answer), headings=few_headings)) == (0, 1, 0, [])
        assert [
            (stored_question.kind, version.kind, version.answer) for stored_question, version in stored()
        ] == [(kind, kind, answer)]


def test_what_staff_proposed_comes_into_use_if_the_terminal_corrects_it(hubei):
    take_in(question(), by=STAFF)
    assert outcome(take_in(question(答案="B"))) == (0, 1, 0, [])
    [(stored_question, version)] = stored()
    assert (stored_question.proposed_version, stored_question.retired_at) == (None, None)
    assert stored_question.approved_at is not None
    assert (version.answer, version.state) == ("B", "approved")


def test_what_is_approved_while_a_correction_comes_in_stays_the_one_drawn(hubei, monkeypatch):
    take_in(question(), by=STAFF)
    [(_, first_version)] = stored()
    last_version_number = batch.last_version_number

    def approve_first(question_id):
        """Another person approves after the file's import has read the question."""
        question_approval.approve_version(first_version, by=SYSTEM_ACTOR)
        return last_version_number(question_id)

    monkeypatch.setattr(batch, "last_version_number", approve_first)
    assert outcome(take_in(question(答案="B"), by=STAFF)) == (0, 1, 0, [])
    [(stored_question, version)] = stored()
    assert (version.answer, version.state) == ("A", "approved")
    assert stored_question.proposed_version not in (None, version.id)


def test_papers_are_asked_about_the_category_in_force_not_one_that_waits(hubei):
    take_in(question(执业类别="临床"))
    take_in(question(执业类别="口腔"), by=STAFF)
    cells = {"stem": "问", "answer": "B"} | {
        f"option_{heading[-1]}": text for heading, text in OPTIONS.items()
    }
    purposes = import_batch(
        [ImportRow(1, cells | {"purpose": "练习"})],
        bank_name="题库",
        by=TERMINAL_ACTOR,
        report=ImportReport(),
        progress=FileProgress(),
    )
    assert purposes == {("professional", "clinical", "exam")}


def test_a_question_found_to_belong_to_a_case_list_joins_its_group(hubei):
    take_in(question(题干="配1"), B1[1])
    b1 = without(B1[0], "组号")
    assert outcome(take_in(b1)) == (0, 1, 0, [])
    assert [stored_question.kind for stored_question, version in stored() if version.stem == "配1"] == ["B1"]
    assert all(stored_question.group_id for stored_question, _ in stored())


def test_what_stands_below_the_questions_is_no_row(hubei):
    question_rows = [
        question(),
        {"题型": "合计", "组号": "1题"},
        {"题干": "共1题"},
        {"题干": "注\uff1a以上"},
        {"题干": "真题"},
    ]
    assert outcome(take_in(*question_rows)) == (1, 0, 0, [(6, "选项")])


def test_a_column_that_is_not_read_is_told(hubei):
    report = take_in(question(出处="教材"), headings=(*TEMPLATE, "出处"))
    assert [(fault.row, fault.column) for fault in report.warnings] == [(1, "出处")]


def test_the_sample_goes_in_whole_and_again_is_no_news(hubei, samples):
    content = (samples / "question-bank-cmexam.xlsx").read_bytes()
    report = import_questions(content, bank_name="样例", by=TERMINAL_ACTOR)
    assert outcome(report) == (3000, 0, 0, [])
    assert [fault.row for fault in report.warnings if fault.column != "题干"] == [781, 1100, 2331, 2345]
    assert all("相同或相近" in fault.reason for fault in report.warnings if fault.column == "题干")
    assert outcome(import_questions(content, bank_name="样例", by=TERMINAL_ACTOR)) == (0, 0, 3000, [])
