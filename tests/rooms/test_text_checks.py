r"""One standard for a question's words whatever file they come from: pictures, sound and tables that can't be
shown, formulas of other programs, and keys that candidates would see."""

import base64
import contextlib
import csv
import io
import re
import time
from random import Random

import docx
import pytest
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from PIL import Image

from dingkao.integrations.sandbox import fork_server
from dingkao.integrations.spreadsheets import sheet_reader
from dingkao.integrations.spreadsheets.import_rows import ImportReport
from dingkao.question_banks import text_checks
from dingkao.question_banks.importers import question_files
from dingkao.question_banks.importing import columns, group_content, parsed_question, row_validation

SHEET = {
    "columns": columns.COLUMNS,
    "required_columns": columns.REQUIRED_COLUMNS,
    "date_columns": (),
    "rich_text_columns": columns.RICH_TEXT_COLUMNS,
}


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """What is made of words is tested here; that it happens in a child, in test_sandbox and by the
    samples."""
    monkeypatch.setattr(fork_server, "is_sandboxed", True)


def read(content):
    """What becomes of a file: the questions taken in with their warnings, and the reasons of what is
    refused."""
    report, accepted, refused = ImportReport(), [], []
    import_rows = sheet_reader.collect_rows(
        (
            item
            for item in question_files.parse_in_child(content, SHEET, True, "")
            if not hasattr(item, "content_type")
        ),
        report,
    )
    for import_row in group_content.with_shared_content(import_rows):
        try:
            question, warnings = row_validation.validate_row(import_row)
        except parsed_question.InvalidQuestionRow as unsound:
            refused.append(unsound.problem[1])
        else:
            assert text_checks.KEY_SHOWN
            accepted.append((question, [reason for _, reason, _ in warnings]))
    return (
        accepted,
        refused + [fault.reason for fault in report.errors],
        [fault.reason for fault in report.warnings],
    )


def in_word(stem, options=("甲", "乙"), key="A"):
    document, buffer = docx.Document(), io.BytesIO()
    lettered = [f"{letter}. {words}" for letter, words in zip("ABCDE", options, strict=False)]
    for line in [f"1. {stem}", *lettered, f"答案：{key}"]:
        document.add_paragraph(line)
    document.save(buffer)
    return buffer.getvalue()


def in_gift(stem, options=("甲", "乙"), key="A"):
    def escaped(text):
        return re.sub(r"[~=#{}:\\]", lambda found: f"\\{found[0]}", text).replace("\n", "\\n")

    share = round(100 / len(key), 5)
    signs = [("=" if len(key) == 1 else f"~%{share}%") if letter in key else "~" for letter in "ABCDE"]
    answers = " ".join(f"{sign}{escaped(words)}" for sign, words in zip(signs, options, strict=False))
    return f"{escaped(stem)}{{{answers}}}".encode()


def in_a_sheet(stem, options=("甲", "乙"), key="A"):
    buffer = io.StringIO()
    columns = [f"选项{letter}" for letter, _ in zip("ABCDE", options, strict=False)]
    csv.writer(buffer).writerows([["题干", *columns, "答案"], [stem, *options, key]])
    return buffer.getvalue().encode()


WAYS = {"Word": in_word, "GIFT": in_gift, "a sheet": in_a_sheet}
CORRECTED_STEMS = {
    r"当\(x=\frac{1}{2}\)时": r"当$x=\frac{1}{2}$时", r"当\[x^2\]时": "当$x^2$时", "当$$x^2$$时": "当$x^2$时", "当$x^2$时": "当$x^2$时", "$x$$y$$z$": "$x$$y$$z$",
    "体温为（A）。": "体温为（\u3000\u3000）。", "体温为( Ａ )": "体温为(\u3000\u3000)", "体温为____A____。": "体温为____。", "见https://x.cn/a.html": "见https://x.cn/a.html",
}  # fmt: skip
REFUSED = {
    r"当\(\frac{1}{2时": "不能显示的公式", r"当x\)时": "不能显示的公式", "看图<img src=\"a.png\">": "图片", "听<audio src='a.mp3'></audio>": "音频", "看@@PLUGINFILE@@/a.png": "图片",
    "看![图](a.png)": "图片", "看![图](https://x.cn/a.png)": "图片", "听https://x.cn/a.mp3": "音频", "看<svg><path/></svg>": "图片", "看<object data='a'></object>": "嵌入",
    "体温为（B）": "不一致", "体温是\n答案：A": "答案",
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stem", CORRECTED_STEMS)
def test_words_are_made_ours_in_each_file(stem, way):
    [(question, warned)], refused, _ = read(WAYS[way](stem))
    assert (question.stem, refused) == (CORRECTED_STEMS[stem], [])
    assert any(reason.startswith(text_checks.KEY_SHOWN) for reason in warned) == (
        "A" in stem.translate({0xFF21: "A"})
    )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stem", REFUSED)
def test_words_that_can_not_be_shown_refuse_the_question_in_each_file(stem, way):
    accepted, refused, _ = read(WAYS[way](stem))
    assert (way == "Word" and "答案：" in stem) or accepted == []  # there it is the question's key
    assert accepted or any(
        REFUSED[stem] in reason or "题干里像是还有一道题" in reason for reason in refused
    ), refused


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("words", ["<img src='a.png'>", "https://x.cn/a.png", r"\(x", "![图](a.png)"])
def test_options_are_judged_as_stems_are(words, way):
    accepted, refused, _ = read(WAYS[way]("体温是", ("甲", f"乙{words}")))
    assert (accepted, len(refused)) == ([], 1)


# --- keys in the open


@pytest.mark.parametrize("way", WAYS)
def test_twenty_keys_in_stems_are_emptied_or_refused(way):
    random = Random(way)  # noqa: S311 - to be the same each time
    for _ in range(20):
        key = "".join(sorted(random.sample("ABCDE", random.choice([1, 1, 2, 3]))))
        shown_key = random.choice(["", "、", ",", " ", "，"]).join(key)
        shown_key = "".join(
            chr(ord(character) + 0xFEE0) if character.isalpha() and random.random() < 0.3 else character
            for character in shown_key
        )
        first, last = random.choice(["()", "（）", "[]", "【】", "〔〕", "［］"])
        blank = random.choice(["", " ", "\u3000", "  "])
        stem = random.choice(["下列正确的是{}", "其{}为正确", "正常的有{}。", "关于体温{}的说法"]).format(
            f"{first}{blank}{shown_key}{blank}{last}"
        )
        [(question, warned)], refused, _ = read(WAYS[way](stem, tuple("甲乙丙丁戊"), key))
        assert refused == []
        assert question.answer == key
        assert not re.search("[A-EＡ-Ｅ]", question.stem), (stem, question.stem)
        assert sum(reason.startswith(text_checks.KEY_SHOWN) for reason in warned) == 1


@pytest.mark.parametrize(
    "stem", ["维生素（A）缺乏时", "乙型肝炎病毒表面抗原（B）", "选A、B（见图）", "(1)甲(2)乙"]
)
def test_letters_in_brackets_that_are_names_stay(stem):
    [(question, _)], refused, _ = read(in_a_sheet(stem, ("甲", "乙"), "A"))
    assert (question.stem, refused) == (stem, [])


@pytest.mark.parametrize("before", ["", "甲(A)", "甲（A）丙(A)"])
def test_a_letter_on_a_line_that_may_be_a_name_stays_whatever_bracket_was_emptied_before(before):
    stem, warnings = text_checks.remove_key_from_stem(f"{before}下列乙乙乙型_A_", "A", "A1")
    assert stem.endswith("下列乙乙乙型_A_")
    assert (text_checks.POSSIBLE_KEY_IN_STEM[0].format("_A_")) in [reason for reason, _ in warnings]


LONG = {
    "blanks": "答" + " " * 19_000 + "x",
    "lines to be filled in": "甲" + "_" * 19_000 + "A",
    "labels": "[答案]" * 5000,
    "letters": "（" + "A," * 9000,
    "formulas": "\\(" * 9000,
}


@pytest.mark.parametrize("what", LONG)
def test_long_words_are_judged_in_no_time(what):
    started = time.process_time()
    for words in (LONG[what], LONG[what] + "\n答案：B"):
        with contextlib.suppress(text_checks.UnreadableText):
            text_checks.remove_key_from_stem(words, "A", "A1")
        with contextlib.suppress(text_checks.UnreadableText):
            text_checks.refuse_visible_key(words)
        with contextlib.suppress(text_checks.UnreadableText):
            text_checks.convert_markup(words)
        text_checks.remove_key_from_options([("A", words), ("B", "乙")], "A")
    assert time.process_time() - started < 1


def test_an_unreadable_text_says_what_is_unreadable():
    with pytest.raises(text_checks.UnreadableText, match=r"不能显示的公式“\\\(x”"):
        text_checks.convert_markup(r"求\(x")


# --- pictures and sound


def png(size=(30, 20)):
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, "PNG")
    return buffer.getvalue()


HTML_QUESTIONS = {
    "stem": "[html]<p>看图{}回答</p>{{=<p>甲</p> ~<p>乙</p>}}", "option": "[html]看图{{=<p>甲</p> ~<p>乙{}</p>}}", "feedback": "[html]看图{{=甲 ~乙#<p>{}</p>}}",
    "of all": "[html]看图{{=甲 ~乙 ####<p>{}</p>}}", "moodle": "看图{}回答{{=甲 ~乙}}",
}  # fmt: skip
LACKING = (
    "@@PLUGINFILE@@/ecg.png", "@@PLUGINFILE@@/%E5%BF%83.jpg", "https://x.cn/a.png", "http://x.cn/draftfile.php/5/user/1.png", "a.png", "../img/a.gif", "file:///c:/a.png", "cid:1@x",
    "blob:https://x/1", "data:image/png;base64,iVBORw0KGgo=", "data:image/svg+xml;base64,PHN2Zy8+", "data:image/png;base64,%%%", "data:image/gif;base64,R0lGODlhAQABAAAAACw=", "",
)  # fmt: skip


def escaped(text):
    return re.sub(r"[~=#{}:]", lambda found: f"\\{found[0]}", text)


@pytest.mark.parametrize("where", HTML_QUESTIONS)
def test_a_picture_that_a_gift_file_does_not_hold_refuses_its_question(where):
    for address in LACKING:
        accepted, refused, _ = read(
            HTML_QUESTIONS[where].format(escaped(f'<img src="{address}" alt="">')).encode()
        )
        assert (accepted, len(refused)) == ([], 1), address


def test_a_picture_that_a_file_holds_is_the_same_from_gift_as_from_word():
    address = f"data:image/png;base64,{base64.b64encode(png()).decode()}"
    [(question, _)], refused, _ = read(
        HTML_QUESTIONS["stem"].format(escaped(f'<img src="{address}">')).encode()
    )
    document, buffer = docx.Document(), io.BytesIO()
    paragraph = document.add_paragraph("1. 看图")
    paragraph.add_run().add_picture(io.BytesIO(png()))
    paragraph.add_run("回答")
    for line in ("A. 甲", "B. 乙", "答案：A"):
        document.add_paragraph(line)
    document.save(buffer)
    [(word_question, _)], _, _ = read(buffer.getvalue())
    assert refused == []
    assert question.stem == word_question.stem
    assert len(question.picture_names()) == 1


SOUNDS = [
    "<audio src='a.mp3'></audio>",
    "<video controls><source src='a.mp4'></video>",
    "<a href='https://x.cn/a.mp3'>录音</a>",
    "<iframe src='https://x.cn'></iframe>",
    "<embed src='a.wav'>",
]


@pytest.mark.parametrize("where", HTML_QUESTIONS)
def test_sound_in_a_gift_file_refuses_its_question(where):
    for sound in SOUNDS:
        accepted, refused, _ = read(HTML_QUESTIONS[where].format(escaped(sound)).encode())
        assert (accepted, len(refused)) == ([], 1), sound


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("https://x.cn/a.mp3", "音频"),
        ("a.mp4", "音频"),
        ("https://x.cn/a.png?x=1", "图片"),
        ("https://x.cn/", ""),
    ],
)
@pytest.mark.parametrize("field", [False, True])
def test_a_link_of_words_to_sound_or_a_picture_refuses_its_question(address, what, field):
    document, buffer = docx.Document(), io.BytesIO()
    paragraph = document.add_paragraph("1. 听")
    text = "<w:r><w:t>录音</w:t></w:r>"
    if field:
        field_begin = (
            f'<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText> HYPERLINK "{address}" '
            '</w:instrText></w:r><w:r><w:fldChar w:fldCharType="separate"/></w:r>'
        )
        inside = f'{field_begin}{text}<w:r><w:fldChar w:fldCharType="end"/></w:r>'
        for element in list(parse_xml(f"<w:p {nsdecls('w')}>{inside}</w:p>")):
            paragraph._p.append(element)
    else:
        related = document.part.relate_to(address, RELATIONSHIP_TYPE.HYPERLINK, is_external=True)
        paragraph._p.append(
            parse_xml(f'<w:hyperlink {nsdecls("w", "r")} r:id="{related}">{text}</w:hyperlink>')
        )
    for line in ("A. 甲", "B. 乙", "答案：A"):
        document.add_paragraph(line)
    document.save(buffer)
    accepted, refused, _ = read(buffer.getvalue())
    assert (len(accepted), len(refused)) == ((0, 1) if what else (1, 0))
    assert all(what in reason for reason in refused)


# --- tables


def grid(random):
    """Cells with their spans that fill a small table: (row, column, rows, columns) of each."""
    height, width = random.randrange(2, 5), random.randrange(2, 5)
    free, cells = {(index, column) for index in range(height) for column in range(width)}, []
    for index in range(height):
        for column in range(width):
            if (index, column) not in free:
                continue
            down, across = random.choice([1, 1, 2, 3]), random.choice([1, 1, 1, 2])
            while not {(index + y, column + x) for y in range(down) for x in range(across)} <= free:
                down, across = (down - 1, across) if down > 1 else (1, across - 1)
            free -= {(index + y, column + x) for y in range(down) for x in range(across)}
            cells.append((index, column, down, across))
    return height, width, cells


def test_twenty_tables_with_spans_are_the_same_from_gift_and_from_word():
    random = Random(3)  # noqa: S311 - to be the same each time
    for _ in range(20):
        height, width, cells = grid(random)
        texts = {
            (row_number, column): chr(0x7532 + place) for place, (row_number, column, *_) in enumerate(cells)
        }
        expected_lines = [
            "|" + "|".join(texts.get((row_number, column), "") for column in range(width)) + "|"
            for row_number in range(height)
        ]
        table_rows = [
            "".join(
                f'<td rowspan="{down}" colspan="{across}">{texts[row_number, column]}</td>'
                for row_number, column, down, across in cells
                if row_number == line
            )
            for line in range(height)
        ]
        [(question, _)], _, _ = read(
            f"[html]{escaped('<table>' + ''.join(f'<tr>{table_row}</tr>' for table_row in table_rows) + '</table>')}<p>对的是</p>{{=甲 ~乙}}".encode()
        )
        assert question.stem.split("\n")[:-1] == expected_lines
        document, buffer = docx.Document(), io.BytesIO()
        document.add_paragraph("1. 表")
        table = document.add_table(height, width)
        for row_number, column, down, across in cells:
            merged = table.cell(row_number, column).merge(
                table.cell(row_number + down - 1, column + across - 1)
            )
            merged.text = texts[row_number, column]
        for line in ("A. 甲", "B. 乙", "答案：A"):
            document.add_paragraph(line)
        document.save(buffer)
        [(word_question, _)], _, _ = read(buffer.getvalue())
        assert [
            line
            for line in word_question.stem.split("\n")[1:]
            if not re.fullmatch(r"[|-]+", line) or line in expected_lines
        ] == expected_lines


# --- GIFT: nothing goes on silently into the question before it


SWALLOWED = {
    "two without a blank line": "体温是\nA. 36\nB. 39\n答案：A\n脉搏是{=60 ~20}", "numbered ones": "1. 体温是多少\n2. 脉搏是{=60 ~20}", "another behind the answers": "体温是{=36 ~39}\n2. 脉搏是",
    "a title behind the answers": "体温是{=36 ~39}\n::脉搏:: 脉搏是", "an explanation": "体温是\n解析：腋测法。\n{=36 ~39}", "an option without its sign": "体温是{\n=36\n39\n~40\n}",
    "two of answers": "::一:: 体温是{=36 ~39}\n::二:: 脉搏是{=60 ~20}", "options and answers": "体温是\nA. 36 B. 39\n{=36 ~39}",
}  # fmt: skip


@pytest.mark.parametrize("what", SWALLOWED)
def test_a_gift_question_that_may_hold_another_is_refused(what):
    accepted, refused, _ = read(f"先{{=甲 ~乙}}\n\n{SWALLOWED[what]}\n\n后{{=甲 ~乙}}".encode())
    assert [question.stem for question, _ in accepted] == ["先", "后"]
    assert len(refused) == 1


QUESTIONS_OF_LINES = [
    "对的有\n1. 甲\n2. 乙{=1 ~2}",
    "对的有\\n①甲\\n②乙{=① ~②}",
    "体温{=36 ~39}\n是正常的。",
    "体温是{\n=36#对\n~39#不对\n####见教材\n}",
    "[html]<p>体温</p>\n<p>是</p>{\n=<p>36</p>\n<p>度</p>\n~39\n}",
]


@pytest.mark.parametrize("text", QUESTIONS_OF_LINES)
def test_lines_of_a_gift_question_that_hold_no_other_are_its_own(text):
    accepted, refused, _ = read(text.encode())
    assert (len(accepted), refused) == (1, [])


@pytest.mark.parametrize(
    "case",
    [
        "患者男，56岁，突发胸痛2小时。",
        "::病例:: [html]<p>女，30岁，发热3天入院。</p>",
        "（1～2题共用题干）",
        "病例一",
    ],
)
def test_what_gift_questions_may_share_refuses_those_below_it(case):
    accepted, refused, _ = read(
        (
            f"先{{=甲 ~乙}}\n\n{case}\n\n首选检查是{{=甲 ~乙}}\n\n应做{{=甲 ~乙}}\n\n$CATEGORY: "
            f"外科\n\n后{{=甲 ~乙}}"
        ).encode()
    )
    assert [question.stem for question, _ in accepted] == ["先", "后"]
    assert len(refused) == 3
    own_accepted, refused, _ = read(f"{case}\n\n患者男，56岁，胸痛。首选检查是{{=甲 ~乙}}".encode())
    assert (len(own_accepted), len(refused)) == (1, 1)


def test_a_refused_gift_question_is_called_by_its_title():
    report = ImportReport()
    in_child = question_files.parse_in_child(
        '::第三题:: 看<img src\\="a.png">{=甲 ~乙}\n\n::图\\:四:: x{\n\n[html]<p>写一写</p>{}'.encode(),
        SHEET,
        False,
        "",
    )
    assert list(sheet_reader.collect_rows(in_child, report)) == []
    assert [fault.column for fault in report.errors] == ["第三题", "图:四", "写一写"]


# --- the samples


def test_the_gift_files_that_real_use_found_are_read_right(samples):
    accepted, refused, _ = read((samples / "faults" / "gift-picture-in-stem.gift").read_bytes())
    assert accepted == []
    assert len(refused) == 3
    [(question, _)], refused, _ = read((samples / "faults" / "gift-rowspan-table.gift").read_bytes())
    assert "|血红蛋白|60|\n||70|" in question.stem
    assert refused == []
