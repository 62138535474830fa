"""What questions, scores and rosters take from a sheet is what people see in it, or the column is named."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dingkao.doctors import roster_rows
from dingkao.exams import score_rows
from dingkao.integrations.spreadsheets import import_rows, sheet_reader
from dingkao.question_banks.importing import file_import, parsed_question, row_validation
from tests.workbook_builder import (
    STRUCK,
    SUB,
    SUP,
    WorkbookBuilder,
    error_cell,
    formula_cell,
    number_cell,
    rich_text_cell,
    text_cell,
)

pytestmark = pytest.mark.usefixtures("in_this_process")


def asked(cells, **about):
    """The outcome for a question of these cells (题干, 选项A, 选项B, 答案): the question, or the column it is
    refused for."""
    book = WorkbookBuilder(
        [[text_cell(text) for text in ("题干", "选项A", "选项B", "答案")], list(cells)], **about
    )
    [import_row] = file_import.read_rows(book.content(), import_rows.ImportReport())
    try:
        return row_validation.validate_row(import_row)[0]
    except parsed_question.InvalidQuestionRow as refused:
        return refused.problem[0]


@pytest.mark.parametrize(
    ("cell", "about"),
    [
        (number_cell(46086, 1), {"styles": [(0, 0), (58, 0)]}),
        (number_cell(46086, 1), {"styles": [(0, 0), (14, 0)]}),
        (text_cell("甲", 1), {"fonts": ["", STRUCK], "styles": [(0, 0), (0, 1)]}),
        (error_cell("#NAME?"), {}),
        (formula_cell("A1"), {}),
        (formula_cell('_xlfn.DISPIMG("ID_1",1)', "x"), {}),
        (number_cell(0.5, 1), {"styles": [(0, 0), (12, 0)]}),
        (rich_text_cell(("x", ""), ("1<2", SUP)), {}),
        (number_cell(0.25, 1), {"styles": [(0, 0), (20, 0)]}),
    ],
)
def test_a_question_with_an_option_that_is_not_as_seen_is_refused_by_its_column(cell, about):
    assert asked([text_cell("题"), cell, text_cell("乙"), text_cell("A")], **about) == "选项A"
    assert asked([cell, text_cell("甲"), text_cell("乙"), text_cell("A")], **about) == "题干"


def test_a_question_keeps_what_is_shown_of_its_options():
    read_ = asked(
        [
            rich_text_cell(("PaCO", ""), ("2", SUB)),
            number_cell(0.85, 1),
            '<c r="@" t="b"><v>1</v></c>',
            text_cell("A"),
        ],
        styles=[(0, 0), (9, 0)],
    )
    assert (read_.stem, read_.options) == ("PaCO<sub>2</sub>", (("A", "85%"), ("B", "TRUE")))


def test_a_question_that_a_picture_lies_on_is_refused_and_so_are_those_that_share_its_case():
    head = [text_cell(text) for text in ("题型", "共用题干", "题干", "选项A", "选项B", "答案")]

    def line(case, stem):
        return [text_cell("A3"), case, text_cell(stem), text_cell("甲"), text_cell("乙"), text_cell("A")]

    sheet_rows = [
        head,
        line(text_cell("病例一"), "一"),
        line(None, "二"),
        line(text_cell("病例二"), "三"),
        line(None, "四"),
        line(error_cell("#REF!"), "五"),
        line(None, "六"),
    ]
    refused = []
    for import_row in file_import.read_rows(
        WorkbookBuilder(sheet_rows, anchors=[(4, 2, 4, 2)]).content(), import_rows.ImportReport()
    ):
        try:
            assert row_validation.validate_row(import_row)[0].case_stem == "病例一"
        except parsed_question.InvalidQuestionRow as fault:
            refused.append((import_row.number, fault.problem[0]))
    assert refused == [(4, "图片"), (5, "图片"), (6, "共用题干"), (7, "共用题干")]


def score_of(cell, **about):
    book = WorkbookBuilder(
        [
            [text_cell(text) for text in ("准考证号", "姓名", "科目", "成绩")],
            [text_cell("1"), text_cell("甲"), text_cell("公共知识"), cell],
        ],
        **about,
    )
    [import_row] = sheet_reader.read_rows(
        book.content(),
        score_rows.COLUMNS,
        score_rows.REQUIRED_COLUMNS,
        date_columns=(),
        code_columns=("ticket", "number"),
    )
    if import_row.problems:
        return next(iter(import_row.problems))
    try:
        return score_rows._row_tenths(import_row)
    except score_rows.InvalidScoreRow as refused:
        return refused.column


@pytest.mark.parametrize(
    ("value", "code", "tenths"),
    [
        (0.8, 9, "score"),
        (80, 0, 800),
        (59.400000000000006, 0, 594),
        (59.400000000000006, 164, 594),
        (59.96, 164, "score"),
        (59.94, 1, "score"),
        (85, 165, 850),
        (46086, 14, "score"),
        (46086, 58, "score"),
        (0.5, 12, "score"),
        (85, 2, 850),
        (59.95, 0, "score"),
        (60, 11, 600),
        (100, 3, 1000),
        (1, 9, "score"),
    ],
)
def test_a_score_is_what_is_shown_or_refused(value, code, tenths):
    assert score_of(number_cell(value, 1), styles=[(0, 0), (code, 0)], codes=["0.0", '0"分"']) == tenths


@given(
    st.integers(0, 1000), st.sampled_from(["0.0", "0", "0.00", "General", '0.0"分"', "0%", "m-d", "# ?/?"])
)
def test_any_score_is_the_one_that_is_shown_or_refused(tenths, code):
    score = score_of(number_cell(tenths / 10, 1), styles=[(0, 0), (164, 0)], codes=[code])
    if code in ("0%", "m-d", "# ?/?") or (code == "0" and tenths % 10):
        assert score == "score" or (tenths == 0 and score == 0)
    else:
        assert score == tenths


def judged(*cells, headings=("姓名", "证件号码", "执业类别", "机构登记号", "科室", "首次注册日期"), **about):
    """A roster's row of these cells: what it says, or the column it is refused for; and the warned
    columns."""
    [import_row] = roster_rows.read_rows(
        WorkbookBuilder([[text_cell(heading) for heading in headings], list(cells)], **about).content()
    )
    warned_columns = []
    try:
        return roster_rows.validate_row(
            import_row, {"P1": "某医院"}, lambda column, *_: warned_columns.append(column)
        ).doctor_values(), warned_columns
    except roster_rows.InvalidRosterRow as refused:
        return refused.column, warned_columns


SOUND = [
    text_cell("甲"),
    text_cell("140105199004120616"),
    text_cell("临床"),
    text_cell("P1"),
    text_cell("内科"),
    text_cell("2015-06-19"),
]


@pytest.mark.parametrize(
    ("cell", "about"),
    [
        (error_cell("#N/A"), {}),
        (formula_cell("A1"), {}),
        (text_cell("甲", 1), {"fonts": ["", STRUCK], "styles": [(0, 0), (0, 1)]}),
        (rich_text_cell(("甲", ""), ("2", SUP)), {}),
    ],
)
@pytest.mark.parametrize("place", range(6))
def test_a_rosters_cell_that_can_not_be_read_refuses_its_row_or_says_nothing(cell, about, place):
    cells = list(SOUND)
    cells[place] = cell
    outcome, warned_columns = judged(*cells, **about)
    column = ("name", "number", "category", "registration_number", "department", "first_registered")[place]
    if place < 4:
        assert outcome == column
    else:
        assert column not in outcome
        assert warned_columns == [column]


@pytest.mark.parametrize("text", ["去年", "2049-01-01", "2015"])
def test_a_date_that_is_not_understood_changes_nothing(text):
    outcome, warned_columns = judged(*SOUND[:5], text_cell(text))
    assert "first_registered" not in outcome
    assert warned_columns == ["first_registered"]


# --- the samples


def faulty(samples, name):
    return (samples / "faults" / name).read_bytes()


def questions_of(content):
    questions = []
    for import_row in file_import.read_rows(content, import_rows.ImportReport()):
        try:
            questions.append(row_validation.validate_row(import_row)[0])
        except parsed_question.InvalidQuestionRow as refused:
            questions.append(refused.problem[0])
    return questions


def test_the_samples_of_questions_give_what_is_right(samples):
    assert questions_of(faulty(samples, "questions-xlsx-date-options.xlsx")) == ["选项A"]
    refused, sound = questions_of(faulty(samples, "questions-xlsx-floating-picture.xlsx"))
    assert (refused, sound.stem) == ("图片", "正常体温是")
    first, second = questions_of(faulty(samples, "questions-xlsx-superscript.xlsx"))
    assert dict(first.options)["A"] == "(100~300)×10<sup>9</sup>/L"
    assert (second.stem, second.options) == (
        "动脉血PaCO<sub>2</sub>的正常值是",
        (("A", "2<sup>5</sup>"), ("B", "25"), ("C", "5<sup>2</sup>"), ("D", "52")),
    )


def test_the_sample_of_scores_gives_what_is_right(samples):
    [import_row] = sheet_reader.read_rows(
        faulty(samples, "scores-percent.xlsx"),
        score_rows.COLUMNS,
        score_rows.REQUIRED_COLUMNS,
        date_columns=(),
        code_columns=("ticket", "number"),
    )
    with pytest.raises(score_rows.InvalidScoreRow, match="80%"):
        score_rows._row_tenths(import_row)


def test_the_samples_of_rosters_give_what_is_right(samples):
    report = import_rows.ImportReport()
    assert [
        import_row.date_value("first_registered")
        for import_row in roster_rows.read_rows(faulty(samples, "roster-1904-unformatted-date.xlsx"))
    ] == [date(2015, 6, 19)]
    assert [
        import_row.number
        for import_row in roster_rows.read_rows(faulty(samples, "roster-hidden-rows.xlsx"), report)
    ] == [
        2,
        4,
    ]
    assert [fault.reason for fault in report.warnings] == ["有1行被筛选或隐藏"]
    assert [
        import_row.text("name")
        for import_row in roster_rows.read_rows(faulty(samples, "roster-two-row-header.xlsx"))
    ] == [
        "郑甲",
        "郑乙",
    ]
    flaws = [
        {name: flaw.reason for name, flaw in import_row.problems.items()}
        for import_row in roster_rows.read_rows(faulty(samples, "roster-formulas.xlsx"))
    ]
    assert flaws == [
        {},
        {"name": "单元格的公式没有保存计算结果"},
        {"name": "单元格是错误值#N/A"},
        {"category": "单元格是错误值#REF!", "first_registered": "单元格是错误值#VALUE!"},
        {},
    ]
    merged = list(roster_rows.read_rows(faulty(samples, "roster-merged-and-error-cells-update.xlsx")))
    assert [import_row.text("department") for import_row in merged] == ["心血管内科"] * 3
    assert [set(import_row.problems) for import_row in merged] == [set(), {"mobile"}, {"title"}]
