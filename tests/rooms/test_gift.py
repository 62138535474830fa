r"""GIFT as others write it. The examples are those of the npm package gift-pegjs (its README), and its parser
is asked what it makes of what we write; both come with deploy/frontend/copy."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dingkao.errors import InvalidInput
from dingkao.integrations.spreadsheets.import_rows import ImportReport
from dingkao.question_banks.importers import gift, gift_writer
from dingkao.question_banks.importers.gift_text import TextConverter
from dingkao.question_banks.importing.file_import import read_rows
from dingkao.question_banks.importing.group_content import with_shared_content
from dingkao.question_banks.importing.row_validation import validate_row

PACKAGE = Path(__file__).parent / "vendor" / "gift-pegjs"
NEEDS_PACKAGE = pytest.mark.skipif(
    not PACKAGE.is_dir(), reason="the npm package gift-pegjs is not here; deploy/frontend/copy brings it"
)
NEEDS_NODE = pytest.mark.skipif(
    not shutil.which("node"), reason="no node on this machine to run gift-pegjs with"
)
ASK = (
    "const {parse} = require(process.argv[1]); let t = ''; process.stdin.on('data', d => t += "
    "d).on('end', () => console.log(JSON.stringify(parse(t))));"
)


def read(text):
    """What a file gives: the questions as importing judges them, and the report."""
    report = ImportReport()
    return [
        validate_row(import_row)[0]
        for import_row in with_shared_content(gift.read_questions(text.encode(), report))
    ], report


def refused(text):
    """Line and reason of each refusal."""
    return [(fault.row, fault.reason) for fault in read(text)[1].errors]


def theirs(text):
    """What gift-pegjs makes of it."""
    program = [str(shutil.which("node")), "-e", ASK, str(PACKAGE / "pegjs-gift.js")]
    completed = subprocess.run(program, input=text.encode(), capture_output=True, check=True, timeout=60)  # noqa: S603 - the package's own parser
    return json.loads(completed.stdout)


@NEEDS_PACKAGE
def test_the_examples_of_gift_pegjs_go_in_but_for_what_we_do_not_ask():
    readme = (PACKAGE / "README.md").read_text()
    [example] = re.findall(r"sampleQuestion = `\n(.*?)`;", readme, re.DOTALL)
    questions, report = read(example)
    assert [
        (question.kind, question.stem, [words for _, words in question.options], question.answer)
        for question in questions
    ] == [
        ("TF", "Is this True?", ["正确", "错误"], "A"),
        (
            "A1",
            "Mahatma Gandhi's birthday is an Indian holiday on ____ of October.",
            ["15th", "3rd", "2nd"],
            "C",
        ),
        (
            "A1",
            'Since ____ the town of Hastings England has been "famous with visitors".',
            ["495 AD", "1066 AD", "1215 AD", "43 AD"],
            "B",
        ),
    ]
    assert [(fault.row, fault.reason) for fault in report.errors] == [(16, "是数值题")]
    single = re.findall(r'const question(?:: string)? = "(.*?)"', readme)
    assert single
    assert all(refused(question) == [(1, "是数值题")] for question in single)


PLAIN = {
    "one right": ("谁?{~甲 =乙 ~丙}", "A1", "谁?", "B"),
    "several right": ("哪些?{~%50%甲 ~%50%乙 ~%-100%丙}", "X", "哪些?", "AB"),
    "true": ("对吗?{T}", "TF", "对吗?", "A"),
    "false with feedback": ("对吗?{FALSE#不对#对}", "TF", "对吗?", "B"),
    "titled and formatted": ("::题一::[plain]谁?{=甲~乙}", "A1", "谁?", "A"),
    "missing word": ("首都是{=北京 ~上海}市。", "A1", "首都是____市。", "A"),
    "escapes": ("\\{a\\} \\= b\\~c\\#d\\:e \\\\ f{=1\\=1 ~0}", "A1", "{a} = b~c#d:e \\ f", "A"),
    "html": ("[html]<p>H<sub>2</sub>O</p>{=<b>水</b> ~x &lt; y}", "A1", "H<sub>2</sub>O", "A"),
    "breaks": ("一\\n二{=甲 ~乙}", "A1", "一\n二", "A"),
    "a comment inside": ("// 说明\n谁?{\n// 又\n=甲\n~乙\n}", "A1", "谁?", "A"),
}


@pytest.mark.parametrize("kind", PLAIN)
def test_what_moodle_documents_is_read(kind):
    text, *expected = PLAIN[kind]
    [question], report = read(text)
    assert [question.kind, question.stem, question.answer] == expected
    assert report.errors == []


def test_categories_are_topics_and_feedback_explains():
    questions, _ = read(
        "$CATEGORY: $course$/top/内科//心脏/冠心病\n\n谁?{=甲#对 ~乙#不对}\n\n$CATEGORY: "
        "外科\n\n谁呢?{=甲 ~乙 ####总之\\n如此}"
    )
    assert [(question.topic, question.explanation) for question in questions] == [
        ("冠心病", "A：对\nB：不对"),
        ("外科", "总之\n如此"),
    ]


def test_a_comment_of_ours_below_a_question_is_about_the_next_one():
    questions, _ = read('谁?{=甲 ~乙}\n// dingkao: {"topic": "外科"}\n\n谁呢?{=甲 ~乙}\n\n又是谁?{=甲 ~乙}')
    assert [question.topic for question in questions] == ["", "外科", ""]


def test_letters_in_a_comment_that_occur_twice_lose_no_option():
    [question], _ = read('// dingkao: {"letters": "AAB"}\n谁?{=甲 ~乙 ~丙}')
    assert question.options == (("A", "甲"), ("B", "乙"), ("C", "丙"))


REFUSED = {
    "只是说明。": "没有答案区，是一段说明文字", "写一写。{}": "是问答题（答案区为空）", "几?{#3:1}": "是数值题", "谁?{=甲 =乙}": "是填空（简答）题，只有正确答案没有其他选项",
    "配{=甲->乙 =丙->丁}": "是匹配题", "谁?{~甲 ~乙}": "没有正确答案", "谁?{=甲 ~乙": "答案区没有结束，缺少“}”", "谁}?": "多余的“}”", "谁?{=甲 ~乙}又{=丙 ~丁}": "一个题目中有多个答案区，或大括号不成对",
    "谁?{=甲 =乙 ~丙}": "单选题有几个正确答案", "谁?{甲}": "答案区的写法无法识别", "::谁?{=甲 ~乙}": "标题没有结束", "谁?{= ~乙}": "选项A没有文字", "{=甲 ~乙}": "没有题干",
    "谁?{=1" + "".join(f"~{n}" for n in range(2, 12)) + "}": "选项超过10个",
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_taken_says_why_and_the_rest_goes_in(text):
    questions, report = read(f"先?{{=甲 ~乙}}\n\n{text}\n\n后?{{=甲 ~乙}}")
    assert [(fault.row, fault.reason) for fault in report.errors] == [(3, REFUSED[text])]
    assert all(fault.remedy for fault in report.errors)
    assert [question.stem for question in questions] == ["先?", "后?"]


@given(st.text(alphabet="ab甲 \n\t{}=~#:\\/%50[]html<>!&;$->TF.", max_size=80))
def test_no_file_breaks_the_reader(text):
    for question in gift.read_questions(text.encode(), report := ImportReport()):
        assert question.number >= 1
    assert all(fault.reason and fault.remedy for fault in report.errors)


WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.sampled_from(list("{}=~#:\\%[]/> ")),
    min_size=1,
    max_size=20,
).map(lambda text: " ".join(text.split()) or "甲")


@NEEDS_PACKAGE
@NEEDS_NODE
@pytest.mark.parametrize("kind", ["A1", "X", "TF"])
def test_what_we_write_is_loaded_by_gift_pegjs(kind):
    odd = ["{a} = b ~ c # d: e \\ f", "100%对", "第[1]行", "a->b", "50%50%"]
    options = [("A", "正确"), ("B", "错误")] if kind == "TF" else list(zip("ABCDE", odd, strict=True))
    cells = {
        "kind": kind,
        "stem": "[html]::甲:: {乙}=\n// 丙",
        "options": options,
        "answer": "AC" if kind == "X" else "A",
        "explanation": "因为 ~ #### 所以",
        "case_stem": "患者{男}",
    }
    parsed = theirs(gift_writer.write_gift([cells], "题库: 一"))
    [parsed_question] = [question for question in parsed if question["type"] != "Category"]
    assert parsed_question["type"] == ("TF" if kind == "TF" else "MC")
    assert parsed_question["stem"]["text"].split() == ["患者{男}", "[html]::甲::", "{乙}=", "//", "丙"]
    assert parsed_question["globalFeedback"]["text"] == "因为 ~ #### 所以"
    if kind != "TF":
        assert [choice["text"]["text"] for choice in parsed_question["choices"]] == odd
        right = [
            bool(choice["isCorrect"]) or float(choice["weight"] or 0) > 0
            for choice in parsed_question["choices"]
        ]
        assert right == [letter in cells["answer"] for letter, _ in options]


def test_the_files_that_real_use_found(samples):
    def said(name):
        report = ImportReport()
        import_rows = read_rows((samples / "faults" / name).read_bytes(), report)
        return [validate_row(import_row)[0].stem for import_row in import_rows], [
            (fault.row, fault.reason) for fault in report.errors
        ]

    sound, refusals = said("gift-picture-in-stem.gift")
    assert len(sound) == 1
    assert [(row_number, "图片" in reason) for row_number, reason in refusals] == [(1, True), (6, True)]
    [stem], refusals = said("gift-rowspan-table.gift")
    assert ("|血红蛋白|60|\n||70|" in stem, refusals) == (True, [])
    for name, message in (
        ("questions-aiken.txt", "Aiken"),
        ("questions-moodle.xml", "Moodle XML.*GIFT"),
        ("questions-bank.doc", "Word中另存为.docx"),
    ):
        with pytest.raises(InvalidInput, match=message):
            said(name)


@pytest.mark.parametrize(
    "question",
    [
        "::1 甲::关于答案{\n\t~[plain]试题答案4\n\t=[plain]没有\n}\n",
        "::1 甲::某医师\n说本试题答案有误。\n他{\n\t~是\n\t=否\n}\n",
        "::1 甲::甲{\n\t=乙\n\t~丙\n\t####本题目的答案,见教材\n}\n",
    ],
)
def test_a_choice_or_text_about_answers_is_no_header_of_a_sheet(question):
    assert gift.is_gift(question.encode())


@pytest.mark.parametrize("header", ["题干,答案,备注", "\t题目\t选项A\t答案", "试题;答案"])
def test_a_sheet_is_not_taken_for_gift_by_braces_in_its_cells(header):
    assert not gift.is_gift(f"{header}\n集合{{1}},A,\n".encode())


def test_a_fault_while_a_picture_is_stored_is_not_taken_for_a_damaged_picture():
    def fail(_picture):
        raise ValueError("a fault of ours")

    with pytest.raises(ValueError, match="of ours"):
        TextConverter(fail).convert('<img src="data:image/png;base64,iVBORzEy">', "html")
