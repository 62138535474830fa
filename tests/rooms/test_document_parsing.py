"""Questions as people lay them out in Word: each comes out as it was meant or is refused, and none gets
another one's key."""

import io

import pytest
from docx.oxml.ns import nsdecls
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dingkao.integrations.spreadsheets.import_rows import ImportReport
from dingkao.question_banks.importers import word_documents
from dingkao.question_banks.importers.document_lines import DocumentLine
from dingkao.question_banks.importers.question_parser.parser import QuestionParser
from dingkao.question_banks.importers.tokens import tokenize
from dingkao.question_banks.importing.group_content import with_shared_content
from dingkao.question_banks.importing.parsed_question import InvalidQuestionRow
from dingkao.question_banks.importing.row_validation import validate_row
from tests import generated_documents
from tests.generated_documents import KEYS, LETTERS, NUMBERS, UNSURE

W = nsdecls("w")
SEEDS = st.integers(0, 10**9)


class Read:
    """What becomes of a document: the questions taken in, the names and reasons of those refused, what is
    told of the rest."""

    def __init__(self, rows, report):
        self.taken, self.refused, self.report = [], [], report
        for import_row in with_shared_content(rows):
            try:
                question, warnings = validate_row(import_row)
                self.taken.append(question)
                report.warnings += warnings
            except InvalidQuestionRow as unsound:
                self.refused.append((import_row.sheet, unsound.problem[1]))
        self.told = [fault.reason for fault in report.errors]

    def shown(self):
        """The questions taken in: stem, options, key, explanation and case of each."""
        return [
            (
                parsed_question.stem,
                parsed_question.options,
                parsed_question.answer,
                parsed_question.explanation,
                parsed_question.case_stem,
            )
            for parsed_question in self.taken
        ]


def lines(*texts):
    """What becomes of a document of these lines."""
    report = ImportReport()
    return Read(QuestionParser(tokenize(DocumentLine(text) for text in texts), report).rows(), report)


def document(made):
    """What becomes of a document of Word's."""
    buffer, report = io.BytesIO(), ImportReport()
    made.save(buffer)
    return Read(word_documents.read_questions(buffer.getvalue(), report), report)


def question(number, stem, key="B", *, options=("甲", "乙"), said="见教材。"):
    """The lines of a question and what it is."""
    option_lines = [f"{letter}. {words}" for letter, words in zip("ABCDE", options, strict=False)]
    meant = (stem, tuple(zip("ABCDE", options, strict=False)), key, said, "")
    return [f"{number}{stem}", *option_lines, f"答案：{key}", *([f"解析：{said}"] if said else [])], meant


def see(made):
    """A document is read as it was meant, as far as it is read; what isn't, is told."""
    read = lines(*made.lines())
    expected_questions = {}
    for expected_question in made.asked:
        if expected_question.known:
            for explanation in {
                expected_question.explanation,
                expected_question.also or expected_question.explanation,
            }:
                expected_questions[
                    expected_question.stem,
                    expected_question.options,
                    expected_question.answer,
                    explanation,
                    expected_question.case,
                ] = expected_question
    matches = [expected_questions.get(parsed_question) for parsed_question in read.shown()]
    assert None not in matches, read.shown()[matches.index(None)]
    assert len({id(expected_question) for expected_question in matches}) == len(matches)
    assert len(matches) == len(made.asked) or read.refused or read.told


@settings(deadline=None, max_examples=120)
@example(5161562)  # numbers such as «1#», and points in an explanation that would count on from each other
@given(SEEDS)
def test_every_question_comes_out_as_it_was_meant_or_is_told(seed):
    see(generated_documents.generate_document(seed))


@settings(deadline=None, max_examples=120)
@given(SEEDS)
def test_numbers_written_now_so_now_so_give_no_question_anothers_key(seed):
    see(generated_documents.generate_document(seed, mixed=True))


@settings(deadline=None, max_examples=200)
@given(SEEDS)
def test_the_faults_that_people_make_give_no_question_anothers_key(seed):
    see(generated_documents.generate_faulty_document(seed))


@pytest.mark.parametrize("form", [form for form in NUMBERS if form not in UNSURE])
def test_whatever_form_numbers_have_a_document_is_read(form):
    texts, meant = [], []
    for number, (stem, key) in enumerate(
        [("正常体温是", "B"), ("正常脉搏(次/分)是", "A"), ("正常呼吸是", "B")], 1
    ):
        question_lines, parsed_question = question(
            NUMBERS[form](number), stem, key, said="腋测法。" if number < 3 else ""
        )
        texts, meant = texts + question_lines, [*meant, parsed_question]
    read = lines(*texts)
    assert read.shown() == meant
    assert read.refused == read.told == []


MIXED = [form for form in NUMBERS if form not in UNSURE]


@pytest.mark.parametrize("said", ["腋测法。", ""])
@pytest.mark.parametrize("form", NUMBERS)
def test_a_question_numbered_otherwise_than_the_one_before_is_one_or_both_are_refused(form, said):
    (first, first_question), (second, second_question) = (
        question("1. ", "正常体温是", said=said),
        question(NUMBERS[form](2), "正常脉搏(次/分)是", "A"),
    )
    read = lines(*first, *second)
    if form in MIXED:
        assert read.shown() == [first_question, second_question]
    else:
        assert read.taken == []
        assert [name for name, _ in read.refused][0] == "第1题"
        assert len(read.refused) == 2


@pytest.mark.parametrize("label", ["答案：A", "解析：见教材。", "A. 60"])
def test_a_second_key_explanation_or_first_option_proves_that_a_number_was_missed(label):
    first, _ = question("1. ", "正常体温是", said="腋测法。")
    read = lines(*first, "脉搏是", label)
    assert read.taken == []
    assert tuple(name for name, _ in read.refused) == ("第1题", "第1题之后")
    assert "没有识别" in read.refused[0][1]


ABOVE = {
    "a key above its question": (["答案：B", "1. 甲是", "A. 一", "B. 二", "答案：A", "2. 乙是", "A. 一", "B. 二"], 2),
    "keys at the end": (["1. 甲是", "A. 一", "B. 二", "2. 乙是", "A. 一", "B. 二", "参考答案：BA"], 2),
    "keys at the end, numbered": (["1. 甲是", "A. 一", "B. 二", "2. 乙是", "A. 一", "B. 二", "参考答案", "1. B", "2. A"], 2),
    "a key twice": (["1. 甲是", "A. 一", "B. 二", "答案：BB"], 1),
    "options behind the key": (["1. 甲是", "答案：A", "A. 一", "B. 二"], 1),
    "a letter left out": (["1. 甲是", "A. 一", "C. 二", "答案：A"], 1),
    "a letter of another alphabet": (["1. 甲是", "A. 一", "В. 二", "C. 三", "答案：A"], 1),
    "words behind the key": (["1. 甲是", "A. 一", "B. 二", "答案：A", "因为一是对的，二不是。"], 1),
    "words behind the options": (["1. 甲是", "A. 一", "B. 二", "以上选一项，不得多选。", "答案：A"], 1),
    "two labels alike": (["1. 甲是", "A. 一", "B. 二", "答案：A", "考点：体温", "考点：脉搏"], 1),
    "a heading in the explanation": (["1. 甲是", "A. 一", "B. 二", "答案：A", "解析：对。", "循环系统", "患者男，60岁。", "2. 乙是", "A. 一", "B. 二", "答案：A"], 2),
    "numbers out of order": (["1. 甲是", "A. 一", "B. 二", "答案：A", "解析：", "1. 概念", "2. 要点", "2. 乙是", "A. 一", "B. 二", "答案：A"], 2),
    "a table of questions": (["1. 甲是", "A. 一", "B. 二", "答案：A", "解析：对。"], 0),
}  # fmt: skip


@pytest.mark.parametrize("what", ABOVE)
def test_what_is_not_understood_refuses_its_question(what):
    texts, refused = ABOVE[what]
    read = lines(*texts)
    assert len(read.refused) >= refused
    assert len(read.taken) == (1 if not refused else 0)


LINES_THAT_STAY = {
    "an explanation with points": (["1. 甲是", "A. 一", "B. 二", "答案：A", "解析：", "(1)概念", "(2)要点", "2. 乙是", "A. 一", "B. 二", "答案：B"], "AB"),
    "an explanation of the options": (["1. 甲是", "A. 一", "B. 二", "答案：A", "解析：对。", "A. 一是对的", "B. 二不对", "2. 乙是", "A. 一", "B. 二", "答案：B"], "AB"),
    "statements in a stem": (["1. 对的有", "①一 ②二", "③三", "A. ①②", "B. ③", "答案：A"], "A"),
    "statements one a line": (["1. 对的有", "(1)一", "(2)二", "A. (1)", "B. (2)", "答案：A"], "A"),
    "key and explanation on a line": (["1. 甲是", "A. 一", "B. 二", "【答案】A【解析】对。", "2. 乙是", "A. 一 B. 二 【答案】B"], "AB"),
    "a line between parts": (["1. 甲是", "A. 一", "B. 二", "答案：A", "第二章 循环系统", "2. 乙是", "A. 一", "B. 二", "答案：B"], "AB"),
    "numbers anew": (["9. 甲是", "A. 一", "B. 二", "答案：A", "二、X型题", "1. 乙是", "A. 一", "B. 二", "答案：AB"], ["A", "AB"]),
    "a title": (["2026年定考试题", "1. 甲是", "A. 一", "B. 二", "答案：A"], "A"),
    "line breaks for paragraphs": (["1. 甲是\nA. 一\nB. 二\n答案：A\n解析：对。"], "A"),
    "options without marks": (["1. 甲是", "A 一", "B 二", "答案：A"], "A"),
    "true or false": (["1. 甲是一。", "答案：正确", "2. 乙是一。", "答案：×"], "AB"),
    "the key before the explanation's label of its own": (["1. 甲是", "A. 一", "B. 二", "解析：", "对。", "答案：A"], "A"),
}  # fmt: skip


@pytest.mark.parametrize("what", LINES_THAT_STAY)
def test_what_looks_like_a_number_or_an_option_and_is_none_stays_where_it_stands(what):
    texts, keys = LINES_THAT_STAY[what]
    read = lines(*texts)
    assert read.refused == read.told == []
    assert [parsed_question.answer for parsed_question in read.taken] == list(keys)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("said", generated_documents.EXPLANATIONS)
def test_labels_are_known_however_they_are_written(key, said):
    for behind in ([f"{key}A", f"{said}腋测法。"], [f"{said}腋测法。", f"{key}A"]):
        read = lines("1. 甲是", "A. 一", "B. 二", *behind, "2. 乙是", "A. 一", "B. 二", *behind)
        assert read.shown() == [
            (stem, (("A", "一"), ("B", "二")), "A", "腋测法。", "") for stem in ("甲是", "乙是")
        ]


CASE = ["患者男，56岁，突发胸痛2小时。", "含服硝酸甘油不缓解。"]


def about_a_case(heading, numbers=(1, 2), before=()):
    """A document with a case under a heading, and one question after it that has none."""
    first, last = numbers
    texts = [*before, heading.format(first, last, 2), *CASE]
    for number, stem in ((first, "首选的检查是"), (last, "应尽快进行的治疗是")):
        texts += [f"{number}. {stem}", "A. 甲", "B. 乙", "答案：A"]
    return lines(*texts)


@pytest.mark.parametrize("behind", ["at the start", "behind a key", "behind an explanation"])
@pytest.mark.parametrize("heading", generated_documents.CASE_HEADINGS)
def test_questions_have_their_case_or_are_refused(heading, behind):
    start = behind == "at the start"
    lines_before = (
        []
        if start
        else question("1. ", "体温是", said="腋测法。" if behind == "behind an explanation" else "")[0]
    )
    read = about_a_case(heading, (1, 2) if start else (2, 3), lines_before)
    of_case = read.taken if start else read.taken[1:]
    assert all(parsed_question.case_stem == "\n".join(CASE) for parsed_question in of_case)
    if generated_documents.CASE_HEADINGS.index(heading) < generated_documents.RANGED:
        assert [parsed_question.kind for parsed_question in of_case] == ["A3", "A3"]
        assert read.refused == []
    else:
        assert len(of_case) + len(read.refused) >= 2
    if not start and read.taken:
        assert read.taken[0].explanation == ("腋测法。" if behind == "behind an explanation" else "")


def test_a_case_that_nothing_announces_refuses_the_questions_below_it():
    first, _ = question("1. ", "体温是", said="腋测法。")
    read = lines(
        *first,
        *CASE,
        "2. 首选的检查是",
        "A. 甲",
        "B. 乙",
        "答案：A",
        "二、A1型题",
        *question("3. ", "脉搏是")[0],
    )
    assert [name for name, _ in read.refused] == ["第1题", "第2题"]
    assert [parsed_question.stem for parsed_question in read.taken] == ["脉搏是"]


HEADED = [
    "二、案例分析题", "【案例】", "案例2", "题干：", "共用题干", "（一）案例", "(二)", "材料一", "情景：", "第二部分 案例", "病史摘要", "下面的病例用于第2、3题", "患者资料如下：", "Case 1", "串题",
    "二、综合应用", "◆案例◆", "——案例——", "案例分析（每题2分）", "(2-3)", "2～3", "二、", "临床情景", "《病例》", "[共用题干]", "（2～3题共用题干）", "",
]  # fmt: skip
PEOPLE = ["患者男，56岁，突发胸痛2小时。", "某女性，30岁，停经40天，下腹痛1天。", "张某，56岁，因胸痛就诊。"]


@pytest.mark.parametrize("said", ["腋测法。", ""])
@pytest.mark.parametrize("heading", HEADED)
def test_a_case_is_its_questions_whatever_heads_it_or_they_are_refused(heading, said):
    for words in PEOPLE:
        for above in ([heading, words], [f"{heading}{words}"]):
            read = lines(
                *question("1. ", "体温是", said=said)[0],
                *above,
                *question("2. ", "首选的检查是")[0],
                *question("3. ", "应做的是")[0],
            )
            assert all(
                words in parsed_question.case_stem
                for parsed_question in read.taken
                if parsed_question.stem != "体温是"
            ), above
            assert all(
                parsed_question.explanation == said
                for parsed_question in read.taken
                if parsed_question.stem == "体温是"
            ), above
            assert len(read.taken) + len(read.refused) >= 3


@pytest.mark.parametrize(
    "more",
    [
        "B选项错误，因为65岁以上的老年人肾功能减退。",
        "女性多见，发病年龄20～40岁。",
        "本例患者为56岁男性，胸痛2小时，符合急性心肌梗死。",
        "病例对照研究属于分析性研究。",
        "材料学上，钛合金相容性好。",
        "乳腺癌好发于女性，40～60岁为高峰。",
        "综合以上分析，选B。",
        "背景资料的可靠性影响结论。",
    ],
)
def test_an_explanation_of_several_paragraphs_is_one(more):
    read = lines(*question("1. ", "体温是", said="对。")[0], more, *question("2. ", "脉搏是")[0])
    assert [parsed_question.explanation for parsed_question in read.taken] == [f"对。\n{more}", "见教材。"]


def test_a_warning_names_the_line_of_its_own_heading_and_says_where_nothing_follows():
    heading, first = "（1～2题共用题干）", [*question("1. ", "检查是", said="")[0]]
    read = lines(heading, *CASE, *first, *question("2. ", "治疗是", said="")[0], heading, *CASE, *first)
    assert [(warning.row, warning.reason) for warning in read.report.warnings] == [
        (2 + len(CASE) + 2 * len(first), f"“{heading}”之下有1题，与写明的题数不符")
    ]
    of_none = lines(*first, "（2～3题共用题干）", *CASE)
    assert [warning.reason for warning in of_none.report.warnings] == ["“（2～3题共用题干）”之下没有题目"]


def test_numbers_that_a_heading_does_not_name_have_not_its_case():
    read = about_a_case("（5～6题共用题干）")
    assert read.taken == []
    assert all("题号与" in reason for _, reason in read.refused)
    third_question = [*question("3. ", "体温是", said="")[0]]
    document_read = lines(
        "（1～2题共用题干）",
        *CASE,
        *[text for n in (1, 2) for text in question(f"{n}. ", f"检查{n}是", said="")[0]],
        *third_question,
    )
    assert [parsed_question.case_stem for parsed_question in document_read.taken] == ["\n".join(CASE)] * 2 + [
        ""
    ]


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(list(LETTERS)),
    st.integers(2, 8),
    st.sampled_from([" ", "  ", "\t", "\u3000", "", "；"]),
    st.booleans(),
)
def test_options_on_one_line_are_divided_or_the_question_is_refused(letter, count, between, beside):
    words = ["35.0~36.0℃", "60/90mmHg", "维生素", "C反应蛋白", "(1)和(2)", "以上都对", ".5", "1,25-(OH)2-D3"][
        :count
    ]
    options = between.join(
        f"{LETTERS[letter](option_letter)}{text}"
        for option_letter, text in zip("ABCDEFGH", words, strict=False)
    )
    texts = [f"1.体温（  ）{options}"] if beside else ["1.体温（  ）", options]
    read = lines(*texts, "答案：B")
    assert read.shown() in ([("体温（  ）", tuple(zip("ABCDEFGH", words, strict=False)), "B", "", "")], [])
    assert bool(read.taken) != bool(read.refused)
    if between.strip(" \t\u3000") == "" and between and letter not in ("A ", "a. "):
        assert read.taken


@pytest.mark.parametrize(
    "line",
    [
        "1.体温（  ）A.35.0~36.0℃ B.36.0~37.0℃ C.37.3~38.0℃ D.38.1~39.0℃",
        "1. 体温（  ）A、35.0~36.0℃ B、36.0~37.0℃ C、37.3~38.0℃ D、38.1~39.0℃",
        "1．体温（  ）A．35.0~36.0℃B．36.0~37.0℃C．37.3~38.0℃D．38.1~39.0℃",
        "1、体温（  ）(A)35.0~36.0℃ (B)36.0~37.0℃ (C)37.3~38.0℃ (D)38.1~39.0℃",
        "1.体温（  ）\nA.35.0~36.0℃ B.36.0~37.0℃\nC.37.3~38.0℃ D.38.1~39.0℃",
        "1.体温（  ）\tA.35.0~36.0℃\tB.36.0~37.0℃\tC.37.3~38.0℃\tD.38.1~39.0℃",
    ],
)
def test_a_compact_question_is_read(line):
    [parsed_question] = lines(line, "答案：B").taken
    assert (parsed_question.stem, parsed_question.options[0], parsed_question.options[3]) == (
        "体温（  ）",
        ("A", "35.0~36.0℃"),
        ("D", "38.1~39.0℃"),
    )


@pytest.mark.parametrize(
    ("tag", "answer", "kind"), [("单项选择题", "A", "A1"), ("多项选择题", "AB", "X"), ("A2型题", "A", "A2")]
)
def test_a_word_in_brackets_before_a_question_names_its_type(tag, answer, kind):
    read = lines(f"1.（{tag}）甲是", "A. 一", "B. 二", f"答案：{answer}")
    assert [(question.kind, question.stem) for question in read.taken] == [(kind, "甲是")]
    assert read.refused == []
