"""Rows of questions: read as people write them, or refused with a reason and a remedy."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dingkao.integrations.spreadsheets import sheet_reader, xlsx_writer
from dingkao.integrations.spreadsheets.import_rows import ImportRow
from dingkao.question_banks.importing.columns import COLUMNS, REQUIRED_COLUMNS
from dingkao.question_banks.importing.group_content import with_shared_content
from dingkao.question_banks.importing.parsed_question import InvalidQuestionRow
from dingkao.question_banks.importing.row_validation import validate_row

OPTIONS = {"选项A": "甲", "选项B": "乙", "选项C": "丙", "选项D": "丁", "选项E": "戊"}
UNDER_LOAD = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""How long it takes to make an example says how busy the machine is, and nothing of what is tested."""
PLAIN = {"stem": "题干", "options": "A 甲\nB 乙\nC 丙", "answer": "A"}


def read(**cells):
    return validate_row(ImportRow(2, PLAIN | cells))[0]


def options(text, answer="A"):
    return read(options=text, answer=answer).options


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
    parsed, warnings = validate_row(ImportRow(2, PLAIN | {"options": "A 甲\nDNA续行\nB 乙\n第二行"}))
    assert parsed.options == (("A", "甲\nDNA续行"), ("B", "乙\n第二行"))
    assert [column for column, _, _ in warnings] == ["选项", "选项"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A .5\nB 0.5", (".5", "0.5")),
        ("A :1\nB x", (":1", "x")),
        ("A -1\nB +1", ("-1", "+1")),
        ("A (1)(2)\nB (3)", ("(1)(2)", "(3)")),
        ("A )x\nB y", (")x", "y")),
        ("A ATP\nB Ca2+", ("ATP", "Ca2+")),
        ("A 5'\nB 3'", ("5'", "3'")),
        ("A A\nB B", ("A", "B")),
        ("A 见B. 族\nB 乙", ("见B. 族", "乙")),
        ("A A族;B族\nB 丙", ("A族;B族", "丙")),
    ],
)
def test_what_follows_the_letter_is_kept_as_it_is(text, words):
    assert tuple(option_text for _, option_text in options(text)) == words


@pytest.mark.parametrize(
    "text",
    [
        "甲\n乙",
        "A 甲",
        "A 甲 B 乙 C 丙",
        "A 甲\nA 乙",
        "A\nB 乙",
        "1.甲\n2.乙",
        "",
        "nan",
        "AATP\nBDNA",
        "A 甲\nB 乙\nK. 丙",
    ],
)
def test_options_that_are_none_are_refused(text):
    with pytest.raises(InvalidQuestionRow) as refused:
        options(text)
    assert refused.value.problem[0] == "选项"


def test_letters_are_kept_as_given():
    assert options("B 乙\nC 丙\nE 戊", "C") == (("B", "乙"), ("C", "丙"), ("E", "戊"))


def columns(**words):
    return validate_row(
        ImportRow(
            2,
            {"stem": "题", "answer": next(iter(words))}
            | {f"option_{letter}": text for letter, text in words.items()},
        )
    )[0].options


def test_a_column_of_its_own_needs_no_letter():
    assert columns(A="A.甲", B="\uff22\uff0e乙", C="(C)丙", D="\u3010D\u3011 丁") == (
        ("A", "甲"),
        ("B", "乙"),
        ("C", "丙"),
        ("D", "丁"),
    )
    assert columns(A="A.甲", C="C\u3001丙") == (("A", "甲"), ("C", "丙"))
    assert columns(A="B.burgdorferi", C="C.difficile", E="E.coli") == (
        ("A", "B.burgdorferi"),
        ("C", "C.difficile"),
        ("E", "E.coli"),
    )
    assert columns(A="A型", B="B型") == (("A", "A型"), ("B", "B型"))
    assert columns(A=1.0, B=0.1, C="nan") == (("A", "1"), ("B", "0.1"))


@pytest.mark.parametrize(
    "text",
    [
        "AC",
        "C,A",
        "A\u3001C",
        "A;C",
        "A/C",
        "A|C",
        "A C",
        "A和C",
        "A+C",
        "A&C",
        "(A)(C)",
        "\u3010A\u3011\u3010C\u3011",
        "A。C。",
        "\uff21\uff0c\uff23",
        "a,c",
        "A\nC",
        "A\u200bC",
        "[AC]",
        "A.C.",
    ],
)
def test_answers_are_understood_as_people_write_them(text):
    assert (read(answer=text).answer, read(answer=text).kind) == ("AC", "X")


@pytest.mark.parametrize("text", ["", "nan", "NaN", "无", "E", "A或B", "A-C", "1", "-", "A\u200bE"])
def test_an_answer_that_is_none_is_refused(text):
    with pytest.raises(InvalidQuestionRow) as refused:
        read(answer=text)
    assert refused.value.problem[0] == "答案"


KINDS = {
    "A1型题": "A1", "a1": "A1", "\uff21\uff11": "A1", "单选题": "A1", "单选": "A1", "多选题": "X", "B型题": "B1", "B": "B1", "B1型": "B1", "A3/A4": "A3", "A3/A4型题": "A3", "X型题": "X",
    "标准配伍题": "B1", "nan": "A1", "": "A1",
}  # fmt: skip


@pytest.mark.parametrize("word", KINDS)
def test_types_are_known_by_the_words_people_use(word):
    assert read(kind=word, case_stem="病例").kind == KINDS[word]


@pytest.mark.parametrize("word", ["问答题", "K", "A1/A2"])
def test_a_type_that_is_none_is_refused(word):
    with pytest.raises(InvalidQuestionRow) as refused:
        read(kind=word)
    assert refused.value.problem[0] == "题型"


def test_nan_is_empty_in_every_column():
    empty = dict.fromkeys(
        (
            "kind",
            "group",
            "case_stem",
            "explanation",
            "subject",
            "category",
            "difficulty",
            "purpose",
            "option_A",
        ),
        "nan",
    )
    assert read(**empty) == read()
    with pytest.raises(InvalidQuestionRow):
        read(stem="NaN")


@UNDER_LOAD
@given(
    st.dictionaries(
        st.sampled_from(list(COLUMNS)),
        st.text(max_size=30)
        | st.text("ABCab.\uff0e 甲\n\\n|;()\u3010\u3011", max_size=30)
        | st.floats()
        | st.none(),
    )
)
def test_any_row_is_a_question_or_refused_with_reason_and_remedy(cells):
    try:
        [import_row] = with_shared_content([ImportRow(2, PLAIN | cells)])
        parsed, _ = validate_row(import_row)
    except InvalidQuestionRow as refused:
        column, reason, remedy = refused.problem
        assert column and reason and remedy  # noqa: PT018 - either outcome is one of the two that are promised
        return
    assert set(parsed.answer) <= {letter for letter, _ in parsed.options}
    assert all(words and "\x00" not in words for _, words in parsed.options)


@UNDER_LOAD
@given(
    st.lists(
        st.text("甲乙丙丁 .5ATP续", min_size=1, max_size=8)
        .map(str.strip)
        .filter(lambda word: word and not word.startswith((". ", "..")) and word != "."),
        min_size=2,
        max_size=5,
    )
)
def test_what_one_writes_a_letter_a_line_is_read_so(words):
    letters = "ABCDE"[: len(words)]
    text = "\n".join(f"{letter} {word}" for letter, word in zip(letters, words, strict=True))
    assert options(text) == tuple(zip(letters, words, strict=True))


@pytest.mark.parametrize(
    "headings",
    [
        ("题干", "选项A", "选项B", "标准答案"),
        ("试题内容", "选项1", "选项2", "答案"),
        ("题目", "A", "B", "正确答案"),
        ("题干", "A.", "B.", "答案"),
        ("题干(必填)", "选项(A)", "选项(B)", "答案*"),
        ("题干", "备选答案A", "备选答案B", "答案"),
        ("question", "\u3010A\u3011", "\u3010B\u3011", "answer"),
        ("1.题干", "选项 A", "选项 B", "参考答案"),
    ],
)
def test_headings_of_other_forms_are_known(headings):
    [import_row] = sheet_reader.read_rows(
        xlsx_writer.write_xlsx(headings, [("问", "甲", "乙", "B")]), COLUMNS, REQUIRED_COLUMNS
    )
    parsed, _ = validate_row(import_row)
    assert (parsed.stem, parsed.options, parsed.answer) == ("问", (("A", "甲"), ("B", "乙")), "B")


def test_options_may_stand_under_another_word():
    [import_row] = sheet_reader.read_rows(
        xlsx_writer.write_xlsx(("题干", "选项内容", "答案"), [("问", "A 甲\\nB 乙", "B")]),
        COLUMNS,
        REQUIRED_COLUMNS,
    )
    assert validate_row(import_row)[0].options == (("A", "甲"), ("B", "乙"))


@pytest.mark.parametrize(
    ("listed", "answer", "right"),
    [
        ("A 错误\\nB 正确", "B", True),
        ("A 错误\\nB 正确", "A", False),
        ("A 正确\\nB 错误", "A", True),
        ("A 对\\nB 错", "B", False),
        ("", "×", False),
        ("", "√", True),
    ],
)
def test_true_or_false_is_always_offered_in_one_order_whatever_the_sheets(listed, answer, right):
    parsed = read(kind="判断题", options=listed, answer=answer)
    assert parsed.options == (("A", "正确"), ("B", "错误"))
    assert parsed.answer == ("A" if right else "B")
