"""Question banks: read as people write them, groups whole, corrected when they come again, and otherwise no news."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from dingkao.database.model import db
from dingkao.exams.importing import (
    COLUMNS,
    NEEDED,
    TEMPLATE,
    Unsound,
    import_questions,
    judge,
    with_shared_parts,
)
from dingkao.exams.models import Question, QuestionGroup, QuestionVersion
from dingkao.journal.writing import TERMINAL
from dingkao.outside import sheets
from dingkao.outside.sheets import Row

OPTIONS = {"选项A": "甲", "选项B": "乙", "选项C": "丙", "选项D": "丁", "选项E": "戊"}
PLAIN = {"stem": "题干", "options": "A 甲\nB 乙\nC 丙", "answer": "A"}


@pytest.fixture
def hubei(in_province):
    """湖北, without a question, within a transaction that is undone."""
    with in_province("hubei"):
        yield


def question(**cells):
    """A row of the template."""
    return {"题型": "A1", "题干": "问", "答案": "A"} | OPTIONS | cells


def take_in(*rows, headings=TEMPLATE, bank="题库"):
    return import_questions(sheets.write(headings, [[row.get(heading, "") for heading in headings] for row in rows]), bank=bank, by=TERMINAL)


def outcome(report):
    return report.accepted, report.changed, report.unchanged, [(fault.row, fault.column) for fault in report.errors]


def read(**cells):
    return judge(Row(2, PLAIN | cells))[0]


def options(text, answer="A"):
    return read(options=text, answer=answer).options


def stored():
    """Every question with the version drawn, as they came in."""
    query = select(Question, QuestionVersion).join(QuestionVersion, QuestionVersion.id == Question.current_version)
    return db.session.execute(query.order_by(Question.id).execution_options(populate_existing=True)).all()


def groups():
    """For each group the questions' stems in their order."""
    found = {}
    for row, version in sorted(stored(), key=lambda pair: pair[0].group_position):
        found.setdefault(row.group_id, []).append((row.group_position, version.stem))
    return [members for group, members in found.items() if group], found.get(None, [])


ALIKE = (
    "\uff21\uff0e甲", "\uff21 甲", "A\uff0e甲", "A\uff1a甲", "A\uff0c甲", "A\u3001甲", "(A)甲", "\uff08A\uff09甲", "[A]甲", "\u3010A\u3011甲", "A.甲", "A)甲", "A\uff09甲",
    "A:甲", "A,甲", "a. 甲", "\uff41 甲", "A。甲", "A甲", "A\u00a0甲", "A\u3000甲", "\u200bA 甲", "A . 甲", "( A )甲", "(A).甲", " A  甲 ",
)  # fmt: skip


@pytest.mark.parametrize("first", ALIKE)
def test_an_option_is_known_however_its_letter_stands(first):
    assert options(f"{first}\nB 乙") == (("A", "甲"), ("B", "乙"))


DIVIDED = {
    "literal breaks": "A 甲\\nB 乙\\nC 丙", "literal breaks of Windows": "A 甲\\r\\nB 乙\\r\\nC 丙", "breaks of Windows": "A 甲\r\nB 乙\r\nC 丙", "breaks of old": "A 甲\rB 乙\rC 丙",
    "blank lines": "A 甲\n\n\nB 乙\nC 丙\n", "blanks": "A.甲 B.乙 C.丙", "semicolons": "A.甲;B.乙;C.丙", "wide semicolons": "A.甲\uff1bB.乙\uff1bC.丙", "tabs": "A.甲\tB.乙\tC.丙",
    "bars": "A.甲|B.乙|C.丙", "bars with blanks": "A\u3001甲 | B\u3001乙 | C\u3001丙", "html": "A.甲<br>B.乙<br/>C.丙", "html with a blank": "A 甲<BR />B 乙<br>C 丙",
    "two on a line": "A.甲   B.乙\nC.丙", "wide blanks": "A.甲\u3000B.乙\u3000C.丙", "brackets": "(A)甲 (B)乙 (C)丙", "full-width": "\uff21\uff0e甲 \uff22\uff0e乙 \uff23\uff0e丙",
}  # fmt: skip


@pytest.mark.parametrize("kind", DIVIDED)
def test_options_of_one_cell_are_divided(kind):
    assert options(DIVIDED[kind]) == (("A", "甲"), ("B", "乙"), ("C", "丙"))


def test_a_line_that_begins_with_a_word_goes_on_with_the_option_before():
    found, warnings = judge(Row(2, PLAIN | {"options": "A 甲\nDNA续行\nB 乙\n第二行"}))
    assert found.options == (("A", "甲\nDNA续行"), ("B", "乙\n第二行"))
    assert [column for column, _, _ in warnings] == ["选项", "选项"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A .5\nB 0.5", (".5", "0.5")), ("A :1\nB x", (":1", "x")), ("A -1\nB +1", ("-1", "+1")), ("A (1)(2)\nB (3)", ("(1)(2)", "(3)")), ("A )x\nB y", (")x", "y")),
        ("A ATP\nB Ca2+", ("ATP", "Ca2+")), ("A 5'\nB 3'", ("5'", "3'")), ("A A\nB B", ("A", "B")), ("A 见B. 族\nB 乙", ("见B. 族", "乙")), ("A A族;B族\nB 丙", ("A族;B族", "丙")),
    ],
)  # fmt: skip
def test_what_follows_the_letter_is_kept_as_it_is(text, words):
    assert tuple(found for _, found in options(text)) == words


@pytest.mark.parametrize("text", ["甲\n乙", "A 甲", "A 甲 B 乙 C 丙", "A 甲\nA 乙", "A\nB 乙", "1.甲\n2.乙", "", "nan", "AATP\nBDNA", "A 甲\nB 乙\nK. 丙"])
def test_options_that_are_none_are_refused(text):
    with pytest.raises(Unsound) as refused:
        options(text)
    assert refused.value.fault[0] == "选项"


def test_letters_are_kept_as_given():
    assert options("B 乙\nC 丙\nE 戊", "C") == (("B", "乙"), ("C", "丙"), ("E", "戊"))


def columns(**words):
    return judge(Row(2, {"stem": "题", "answer": next(iter(words))} | {f"option_{letter}": text for letter, text in words.items()}))[0].options


def test_a_column_of_its_own_needs_no_letter():
    assert columns(A="A.甲", B="\uff22\uff0e乙", C="(C)丙", D="\u3010D\u3011 丁") == (("A", "甲"), ("B", "乙"), ("C", "丙"), ("D", "丁"))
    assert columns(A="A.甲", C="C\u3001丙") == (("A", "甲"), ("C", "丙"))
    assert columns(A="B.burgdorferi", C="C.difficile", E="E.coli") == (("A", "B.burgdorferi"), ("C", "C.difficile"), ("E", "E.coli"))
    assert columns(A="A型", B="B型") == (("A", "A型"), ("B", "B型"))
    assert columns(A=1.0, B=0.1, C="nan") == (("A", "1"), ("B", "0.1"))


@pytest.mark.parametrize(
    "text",
    ["AC", "C,A", "A\u3001C", "A;C", "A/C", "A|C", "A C", "A和C", "A+C", "A&C", "(A)(C)", "\u3010A\u3011\u3010C\u3011", "A。C。", "\uff21\uff0c\uff23", "a,c", "A\nC", "A\u200bC", "[AC]", "A.C."],
)
def test_answers_are_understood_as_people_write_them(text):
    assert (read(answer=text).answer, read(answer=text).kind) == ("AC", "X")


@pytest.mark.parametrize("text", ["", "nan", "NaN", "无", "E", "A或B", "A-C", "1", "-", "A\u200bE"])
def test_an_answer_that_is_none_is_refused(text):
    with pytest.raises(Unsound) as refused:
        read(answer=text)
    assert refused.value.fault[0] == "答案"


KINDS = {
    "A1型题": "A1", "a1": "A1", "\uff21\uff11": "A1", "单选题": "A1", "单选": "A1", "多选题": "X", "B型题": "B1", "B": "B1", "B1型": "B1", "A3/A4": "A3", "A3/A4型题": "A3", "X型题": "X",
    "标准配伍题": "B1", "nan": "A1", "": "A1",
}  # fmt: skip


@pytest.mark.parametrize("word", KINDS)
def test_types_are_known_by_the_words_people_use(word):
    assert read(kind=word, case_stem="病例").kind == KINDS[word]


@pytest.mark.parametrize("word", ["问答题", "K", "A1/A2"])
def test_a_type_that_is_none_is_refused(word):
    with pytest.raises(Unsound) as refused:
        read(kind=word)
    assert refused.value.fault[0] == "题型"


def test_nan_is_empty_in_every_column():
    empty = dict.fromkeys(("kind", "group", "case_stem", "explanation", "subject", "category", "difficulty", "purpose", "option_A"), "nan")
    assert read(**empty) == read()
    with pytest.raises(Unsound):
        read(stem="NaN")


@given(st.dictionaries(st.sampled_from(list(COLUMNS)), st.text(max_size=30) | st.text("ABCab.\uff0e 甲\n\\n|;()\u3010\u3011", max_size=30) | st.floats() | st.none()))
def test_any_row_is_a_question_or_refused_with_reason_and_remedy(cells):
    try:
        [row] = with_shared_parts([Row(2, PLAIN | cells)])
        found, _ = judge(row)
    except Unsound as refused:
        column, reason, remedy = refused.fault
        assert column and reason and remedy  # noqa: PT017, PT018 - either outcome is one of the two that are promised
        return
    assert set(found.answer) <= {letter for letter, _ in found.options}
    assert all(words and "\x00" not in words for _, words in found.options)


@given(st.lists(st.text("甲乙丙丁 .5ATP续", min_size=1, max_size=8).map(str.strip).filter(lambda word: word and not word.startswith((". ", "..")) and word != "."), min_size=2, max_size=5))
def test_what_one_writes_a_letter_a_line_is_read_so(words):
    letters = "ABCDE"[: len(words)]
    text = "\n".join(f"{letter} {word}" for letter, word in zip(letters, words, strict=True))
    assert options(text) == tuple(zip(letters, words, strict=True))


@pytest.mark.parametrize(
    "headings",
    [
        ("题干", "选项A", "选项B", "标准答案"), ("试题内容", "选项1", "选项2", "答案"), ("题目", "A", "B", "正确答案"), ("题干", "A.", "B.", "答案"), ("题干(必填)", "选项(A)", "选项(B)", "答案*"),
        ("题干", "备选答案A", "备选答案B", "答案"), ("question", "\u3010A\u3011", "\u3010B\u3011", "answer"), ("1.题干", "选项 A", "选项 B", "参考答案"),
    ],
)  # fmt: skip
def test_headings_of_other_forms_are_known(headings):
    [row] = sheets.read(sheets.write(headings, [("问", "甲", "乙", "B")]), COLUMNS, NEEDED)
    found, _ = judge(row)
    assert (found.stem, found.options, found.answer) == ("问", (("A", "甲"), ("B", "乙")), "B")


def test_options_may_stand_under_another_word():
    [row] = sheets.read(sheets.write(("题干", "选项内容", "答案"), [("问", "A 甲\\nB 乙", "B")]), COLUMNS, NEEDED)
    assert judge(row)[0].options == (("A", "甲"), ("B", "乙"))


A3 = [question(题型="A3", 组号="1", 共用题干="病例甲", 题干=f"问{serial}") for serial in (1, 2, 3)]


def without(row, *headings):
    return row | dict.fromkeys(headings, "")


@pytest.mark.parametrize("missing", [(), ("共用题干",), ("共用题干", "组号"), ("组号",), ("题型", "共用题干")])
def test_a_case_that_stands_in_the_first_row_alone_is_the_groups(hubei, missing):
    rows = [A3[0], *(without(row, *missing) for row in A3[1:])]
    for expected in ((3, 0, 0, []), (0, 0, 3, [])):
        assert outcome(take_in(*rows)) == expected
    assert groups() == ([[(1, "问1"), (2, "问2"), (3, "问3")]], [])
    assert {version.case_stem for _, version in stored()} == {"病例甲"}
    assert [group.stem for group in db.session.scalars(select(QuestionGroup))] == ["病例甲"]


def test_cases_without_numbers_are_groups_too(hubei):
    rows = [without(row, "组号") for row in A3] + [question(题型="A4", 共用题干="病例乙", 题干="问1"), question(题型="A4", 题干="问2")]
    assert outcome(take_in(*rows)) == (5, 0, 0, [])
    assert groups() == ([[(1, "问1"), (2, "问2"), (3, "问3")], [(1, "问1"), (2, "问2")]], [])


def test_a_case_is_not_carried_past_another_type_or_into_another_number(hubei):
    rows = [A3[0], question(题干="独"), question(题型="A3", 题干="孤"), question(题型="A3", 组号="2", 题干="孤"), without(A3[1], "共用题干")]
    report = take_in(*rows)
    assert outcome(report) == (3, 0, 0, [(4, "共用题干"), (5, "共用题干")])
    assert groups() == ([[(1, "问1"), (2, "问2")]], [(0, "独")])


def test_a_refused_first_row_still_gives_its_case(hubei):
    assert outcome(take_in(A3[0] | {"答案": "Z"}, without(A3[1], "共用题干"))) == (1, 0, 0, [(2, "答案")])
    assert [version.case_stem for _, version in stored()] == ["病例甲"]


def test_the_same_words_under_another_case_are_another_question(hubei):
    rows = [A3[0], question(题型="A3", 组号="1", 题干="诊断"), A3[0] | {"组号": "2", "共用题干": "病例乙"}, question(题型="A3", 组号="2", 题干="诊断", 答案="B")]
    assert outcome(take_in(*rows)) == (4, 0, 0, [])
    assert outcome(take_in(*rows)) == (0, 0, 4, [])
    assert outcome(take_in(*rows, rows[3])) == (0, 0, 4, [(6, "题干")])


B1 = [question(题型="B1", 组号="b", 题干=f"配{serial}", 答案=answer) for serial, answer in enumerate("ABC", 1)]


@pytest.mark.parametrize("missing", [(), tuple(OPTIONS), (*OPTIONS, "组号"), ("组号",)])
def test_options_that_stand_in_the_first_row_alone_are_the_groups(hubei, missing):
    rows = [B1[0], *(without(row, *missing) for row in B1[1:])]
    for expected in ((3, 0, 0, []), (0, 0, 3, [])):
        assert outcome(take_in(*rows)) == expected
    assert groups() == ([[(1, "配1"), (2, "配2"), (3, "配3")]], [])
    assert {len(version.options) for _, version in stored()} == {5}


def test_the_same_words_in_another_group_of_b1_are_another_question(hubei):
    rows = [*B1, question(题型="B1", 组号="c", 题干="配1", 答案="B")]
    assert outcome(take_in(*rows)) == (4, 0, 0, [])
    assert outcome(take_in(*rows)) == (0, 0, 4, [])


def test_b1_without_options_anywhere_is_refused(hubei):
    assert outcome(take_in(without(B1[0], *OPTIONS), question())) == (1, 0, 0, [(2, "选项")])


def test_a_later_file_goes_on_with_the_group(hubei):
    take_in(*A3[:2])
    assert outcome(take_in(*A3)) == (1, 0, 2, [])
    assert groups() == ([[(1, "问1"), (2, "问2"), (3, "问3")]], [])


def test_groups_do_not_reach_from_sheet_to_sheet():
    rows = [Row(2, {"kind": "A3", "group": "", "case_stem": "病例"}), Row(2, {"kind": "A3", "group": "", "case_stem": ""}, "Sheet2")]
    assert [row.text("case_stem") for row in with_shared_parts(rows)] == ["病例", ""]


CORRECTED = {
    "科目": ("公共知识", "subject", "common"), "执业类别": ("口腔", "category", "dental"), "难度": ("难", "difficulty", "hard"), "用途": ("练习", "purpose", "practice"),
}  # fmt: skip


@pytest.mark.parametrize("heading", CORRECTED)
def test_what_a_question_says_of_itself_is_corrected_without_a_version(hubei, heading):
    cell, column, value = CORRECTED[heading]
    take_in(question())
    assert outcome(take_in(question(**{heading: cell}))) == (0, 1, 0, [])
    [(row, version)] = stored()
    assert (getattr(row, column), version.number) == (value, 1)
    assert outcome(take_in(question(**{heading: cell}))) == (0, 0, 1, [])


@pytest.mark.parametrize("cells", [{"答案": "B"}, {"解析": "因为"}, {"题型": "A2"}, {"题型": "X", "答案": "AB"}])
def test_words_corrected_make_a_version(hubei, cells):
    take_in(question())
    assert outcome(take_in(question(**cells))) == (0, 1, 0, [])
    [(row, version)] = stored()
    assert (version.number, row.kind, version.kind) == (2, cells.get("题型", "A1"), cells.get("题型", "A1"))
    assert (version.answer, version.explanation) == (cells.get("答案", "A"), cells.get("解析"))
    assert outcome(take_in(question(**cells))) == (0, 0, 1, [])
    assert db.session.scalar(select(func.count(QuestionVersion.id))) == 2


def test_columns_a_later_sheet_does_not_have_stay_as_they_are(hubei):
    full = question(题型="A2", 解析="因为", 科目="公共知识", 执业类别="中医", 难度="难", 用途="练习")
    take_in(full)
    few = ("题干", *OPTIONS, "答案")
    assert outcome(take_in(full, headings=few)) == (0, 0, 1, [])
    assert outcome(take_in(full | {"答案": "B"}, headings=few)) == (0, 1, 0, [])
    [(row, version)] = stored()
    assert (row.kind, row.subject, row.category, row.difficulty, row.purpose) == ("A2", "common", "chinese", "hard", "practice")
    assert (version.kind, version.explanation, version.answer) == ("A2", "因为", "B")


def test_more_letters_make_x_of_a_question_whose_sheet_has_no_types(hubei):
    few = ("题干", *OPTIONS, "答案")
    take_in(question(), headings=few)
    for answer, kind in (("AB", "X"), ("C", "A1")):
        assert outcome(take_in(question(答案=answer), headings=few)) == (0, 1, 0, [])
        assert [(row.kind, version.kind, version.answer) for row, version in stored()] == [(kind, kind, answer)]


def test_a_question_found_to_belong_to_a_case_list_joins_its_group(hubei):
    take_in(question(题干="配1"), B1[1])
    b1 = without(B1[0], "组号")
    assert outcome(take_in(b1)) == (0, 1, 0, [])
    assert [row.kind for row, version in stored() if version.stem == "配1"] == ["B1"]
    assert all(row.group_id for row, _ in stored())


def test_what_stands_below_the_questions_is_no_row(hubei):
    rows = [question(), {"题型": "合计", "组号": "1题"}, {"题干": "共1题"}, {"题干": "注\uff1a以上"}, {"题干": "真题"}]
    assert outcome(take_in(*rows)) == (1, 0, 0, [(6, "选项")])


def test_a_column_that_is_not_read_is_told(hubei):
    report = take_in(question(出处="教材"), headings=(*TEMPLATE, "出处"))
    assert [(fault.row, fault.column) for fault in report.warnings] == [(1, "出处")]


def test_the_sample_goes_in_whole_and_again_is_no_news(hubei, samples):
    content = (samples / "question-bank-cmexam.xlsx").read_bytes()
    report = import_questions(content, bank="样例", by=TERMINAL)
    assert outcome(report) == (3000, 0, 0, [])
    assert [fault.row for fault in report.warnings] == [781, 1100, 2331, 2345]
    assert outcome(import_questions(content, bank="样例", by=TERMINAL)) == (0, 0, 3000, [])


@pytest.mark.parametrize(("listed", "answer", "right"), [
    ("A 错误\\nB 正确", "B", True), ("A 错误\\nB 正确", "A", False), ("A 正确\\nB 错误", "A", True), ("A 对\\nB 错", "B", False), ("", "×", False), ("", "√", True),
])  # fmt: skip
def test_true_or_false_is_always_offered_in_one_order_whatever_the_sheets(listed, answer, right):
    made = read(kind="判断题", options=listed, answer=answer)
    assert made.options == (("A", "正确"), ("B", "错误"))
    assert made.answer == ("A" if right else "B")
