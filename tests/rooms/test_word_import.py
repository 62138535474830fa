"""Questions from Word: what a writer sees on the page is in the question, pictures, numbers and formulas too,
or the question is refused."""

import io

import docx
import pytest
from docx.oxml import OxmlElement, parse_xml
from docx.oxml.ns import nsdecls, qn
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml.etree import Comment
from PIL import Image
from sqlalchemy import func, select

from dingkao.database.base import db
from dingkao.integrations.spreadsheets.import_rows import ImportReport
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.question_banks import markup, question_pictures, shared_bank_updates, shared_banks
from dingkao.question_banks.importers import word_documents, word_equations
from dingkao.question_banks.importing.file_import import import_questions
from dingkao.question_banks.importing.parsed_question import InvalidQuestionRow
from dingkao.question_banks.importing.row_validation import validate_row
from dingkao.question_banks.models import QuestionPicture, QuestionVersion
from tests import actors

SLUG = "gansu"
PICTURE_COUNT = select(func.count()).select_from(QuestionPicture)
M = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
W = nsdecls("w")


def png(colour="red", size=(300, 200)):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


class Writer:
    """A document as somebody writes it, paragraph by paragraph."""

    def __init__(self, *lines):
        self.document = docx.Document()
        for line in lines:
            self.add(line)

    def add(self, text="", picture=None, xml=None):
        paragraph = self.document.add_paragraph(text)
        if picture:
            paragraph.add_run().add_picture(io.BytesIO(picture))
        if xml:
            paragraph._p.append(parse_xml(xml))
        return paragraph

    def question(self, stem="下列正确的是", *, xml=None, picture=None):
        """A question whose stem has something of Word's in it."""
        paragraph = self.add(f"1. {stem}", picture, xml)
        for line in ("A. 甲", "B. 乙", "答案:B"):
            self.add(line)
        return paragraph

    @property
    def content(self):
        buffer = io.BytesIO()
        self.document.save(buffer)
        return buffer.getvalue()

    def rows(self):
        self.report = ImportReport()
        return list(word_documents.read_questions(self.content, self.report))


def refused(writer):
    """Why the only question of a document is refused."""
    [import_row] = writer.rows()
    with pytest.raises(InvalidQuestionRow) as raised:
        validate_row(import_row)
    return raised.value.problem


@pytest.fixture
def ground(application, in_province):
    actors.signed_in_doctor(application, in_province, SLUG, next(actors.unused_serials(SLUG)))


def test_pictures_come_in_where_they_stood_and_again_are_no_news(in_province, ground):
    writer = Writer("一、A3/A4型题", "(1~1题共用题干)")
    writer.add("患者男,56岁,心电图如下", png("red"))
    writer.add("1. 节律见", png("green")).add_run("应诊断为")
    writer.add("A. ", png("blue"))
    writer.add("B. ", png("white"))
    writer.add("答案:A")
    writer.add("解析:见")
    writer.add("", png("black"))
    with in_province(SLUG):
        count_before = db.session.scalar(PICTURE_COUNT)
        for outcome in ((1, 0, 0), (0, 0, 1)):
            report = import_questions(writer.content, bank_name="带图", by=TERMINAL_ACTOR)
            assert (report.accepted, report.changed, report.unchanged) == outcome
            assert report.errors == report.warnings == []
            assert db.session.scalar(PICTURE_COUNT) == count_before + 5
        version = db.session.scalars(
            select(QuestionVersion).where(QuestionVersion.case_stem.like("患者男%"))
        ).one()
        names = [
            question_pictures.save_picture(png(colour), by=TERMINAL_ACTOR)
            for colour in ("red", "green", "blue", "white", "black")
        ]
        assert version.case_stem == f"患者男,56岁,心电图如下![图](图:{names[0]})"
        assert version.stem == f"节律见![图](图:{names[1]})应诊断为"
        assert version.options == [["A", f"![图](图:{names[2]})"], ["B", f"![图](图:{names[3]})"]]
        assert version.explanation == f"见\n![图](图:{names[4]})"
        assert question_pictures.load_picture(names[0])[1] == "image/png"
        db.session.rollback()


@pytest.mark.parametrize(
    ("blob", "reason"),
    [
        (b"\x01\x00\x00\x00" + bytes(36) + b" EMF" + bytes(60), "EMF"),
        (b"\xd7\xcd\xc6\x9a" + bytes(40), "WMF"),
        (b"GIF89a" + bytes(40), "不是可以识别的图片"),
        (png()[:200], "图片不能导入"),
        (b"\x89PNG" + bytes(11 * 1024 * 1024), "图片文件过大"),
    ],
)
def test_a_question_whose_picture_can_not_be_taken_is_refused_with_what_to_do(
    in_province, ground, blob, reason
):
    writer = Writer()
    writer.question(picture=png())
    [part] = [
        part for part in writer.document.part.related_parts.values() if str(part.partname).endswith(".png")
    ]
    part._blob = blob
    writer.add("2. 没有图的题")
    for line in ("A. 甲", "B. 乙", "答案:A"):
        writer.add(line)
    with in_province(SLUG):
        report = import_questions(writer.content, bank_name=f"坏图{reason}", by=TERMINAL_ACTOR)
        assert report.accepted == 1
        [fault] = report.errors
        assert (fault.row, "第1题" in fault.column, "图片" in fault.column) == (1, True, True)
        assert reason in fault.reason
        assert "请" in fault.remedy
        db.session.rollback()


def test_what_stands_above_the_first_heading_holds_for_the_whole_document():
    question_lines = ["A. 甲", "B. 乙", "答案：A"]
    parts = [
        "一、A1型题",
        "1. 甲题？",
        *question_lines,
        "二、A2型题",
        "科目：业务水平",
        "执业类别：口腔",
        "2. 乙题？",
        *question_lines,
        "三、A1型题",
        "3. 丙题？",
        *question_lines,
    ]
    import_rows = Writer("科目：公共知识", "执业类别：临床", *parts).rows()
    assert [
        (validate_row(import_row)[0].subject, validate_row(import_row)[0].category)
        for import_row in import_rows
    ] == [
        ("common", "clinical"),
        ("professional", "dental"),
        ("common", "clinical"),
    ]


def test_a_picture_of_a_shared_case_that_is_refused_refuses_the_whole_case():
    writer = Writer("(1~2题共用题干)")
    writer.add("病例", png())
    for number in (1, 2):
        for line in (f"{number}. 问题{number}", "A. 甲", "B. 乙", "答案:A"):
            writer.add(line)
    writer.document.element.body.xpath(".//a:srcRect | .//pic:blipFill")[0].append(
        parse_xml(f'<a:srcRect {nsdecls("a")} l="20000"/>')
    )
    for import_row in writer.rows():
        with pytest.raises(InvalidQuestionRow, match="裁剪"):
            validate_row(import_row)


def test_a_shared_bank_takes_no_pictures(application, ground):
    writer = Writer()
    writer.question(picture=png())
    with application.app_context():
        report = shared_bank_updates.update_from_file(writer.content, "共享带图", whole=False)
        names = [bank.name for bank in shared_banks.list_shared_banks()]
    assert report.accepted == 0
    assert "共享题库不能带图片" in report.errors[0].remedy
    assert "共享带图" not in names, "no bank was made for nothing"


def test_a_comment_within_a_drawing_is_not_looked_at():
    writer = Writer()
    writer.question(picture=png())
    writer.document.element.body.xpath(".//w:drawing")[0].append(Comment("说明"))
    [import_row] = writer.rows()
    assert "![图](图:" in validate_row(import_row)[0].stem


TEXT_BOX = (
    f"<w:r {W} "
    'xmlns:v="urn:schemas-microsoft-com:vml"><w:pict><v:shape><v:textbox><w:txbxContent><w:p><w:r><w:t>除外</w:t></w:r></w:p>'
    "</w:txbxContent></v:textbox></v:shape></w:pict></w:r>"
)
UNSEEN = {
    "a text box": (TEXT_BOX, "文本框"),
    "struck out": (f"<w:r {W}><w:rPr><w:strike/></w:rPr><w:t>不</w:t></w:r>", "删除线"),
    "hidden": (f"<w:r {W}><w:rPr><w:vanish/></w:rPr><w:t>不</w:t></w:r>", "隐藏"),
    "an object": (f"<w:r {W}><w:object/></w:r>", "MathType"),
    "a drawing": (f"<w:r {W}><w:drawing/></w:r>", "图形"),
    "a field": (
        f'<w:r {W}><w:fldChar w:fldCharType="begin"/><w:instrText> EQ \\f(1,2)</w:instrText><w:fldChar w:fldCharType="end"/></w:r>', "域代码",
    ),
    "a footnote": (f'<w:r {W}><w:footnoteReference w:id="2"/></w:r>', "脚注"),
    "a symbol": (f'<w:r {W}><w:sym w:font="Wingdings" w:char="F04A"/></w:r>', "符号"),
    "no symbol at all": (f'<w:r {W}><w:sym w:font="Symbol" w:char="zz"/></w:r>', "符号"),
    "a matrix": (f"<m:oMath {M}><m:m><m:mr><m:e><m:r><m:t>1</m:t></m:r></m:e></m:mr></m:m></m:oMath>", "Word公式"),
}  # fmt: skip


@pytest.mark.parametrize("what", UNSEEN)
def test_what_can_not_be_taken_in_refuses_the_question(what):
    xml, reason = UNSEEN[what]
    writer = Writer()
    writer.question(xml=xml)
    column, problem_reason, remedy = refused(writer)
    assert reason in problem_reason
    assert "请" in remedy
    assert column


def test_what_stands_outside_the_questions_is_only_told():
    writer = Writer("定考试题")
    writer.add("", xml=TEXT_BOX)
    writer.question()
    assert len(writer.rows()) == 1
    assert any("文本框" in fault.reason for fault in writer.report.warnings)


WRAPPED_TEXTS = {
    f"<w:ins {W}><w:r><w:t>新</w:t></w:r></w:ins>": "新",
    f"<w:del {W}><w:r><w:delText>旧</w:delText></w:r></w:del>": "",
    f"<w:hyperlink {W}><w:r><w:t>链</w:t></w:r></w:hyperlink>": "链",
    f"<w:smartTag {W}><w:r><w:t>标</w:t></w:r></w:smartTag>": "标",
    f"<w:sdt {W}><w:sdtContent><w:r><w:t>控</w:t></w:r></w:sdtContent></w:sdt>": "控",
    f'<w:r {W}><w:rPr><w:strike w:val="0"/></w:rPr><w:t>未划</w:t></w:r>': "未划",
    f'<w:r {W}><w:sym w:font="Symbol" w:char="F0B3"/></w:r>': "≥",
    f'<w:r {W}><w:rPr><w:rFonts w:ascii="Symbol"/></w:rPr><w:t>\uf061</w:t></w:r>': "α",
    f'<w:r {W}><w:rPr><w:u w:val="single"/></w:rPr><w:t xml:space="preserve">   </w:t></w:r>': "____",
    f'<w:r {W}><w:rPr><w:vertAlign w:val="subscript"/></w:rPr><w:t>2</w:t></w:r>': "<sub>2</sub>",
    f"<m:oMath {M}><m:f><m:num><m:r><m:t>体重</m:t></m:r></m:num><m:den><m:r><m:t>h</m:t></m:r></m:den></m:f></m:oMath>": "$\\frac{\\text{体重}}{h}$",
    f"<m:oMath {M}><m:sSup><m:e><m:r><m:t>x</m:t></m:r></m:e><m:sup><m:r><m:t>2</m:t></m:r></m:sup></m:sSup><m:r><m:t>≤5%</m:t></m:r></m:oMath>": "${x}^{2}≤5\\%$",
}  # fmt: skip


@pytest.mark.parametrize("xml", WRAPPED_TEXTS)
def test_what_stands_in_words_own_wrappings_is_read(xml):
    writer = Writer()
    writer.question("甲", xml=xml)
    [import_row] = writer.rows()
    assert validate_row(import_row)[0].stem == f"甲{WRAPPED_TEXTS[xml]}".strip()
    assert any("修订" in fault.reason for fault in writer.report.warnings) is (
        "ins" in xml[:6] or "del" in xml[:6]
    )


def listed(document, paragraph, number, level=0):
    properties = paragraph._p.get_or_add_pPr()
    oxml_element = OxmlElement("w:numPr")
    for name, value in (("w:ilvl", level), ("w:numId", number)):
        child = OxmlElement(name)
        child.set(qn("w:val"), str(value))
        oxml_element.append(child)
    properties.append(oxml_element)


def test_words_own_numbers_and_letters_count_as_if_they_were_typed():
    writer = Writer()
    numbering = writer.document.part.numbering_part.element
    levels = "".join(
        (
            f'<w:lvl w:ilvl="{level}"><w:start w:val="1"/><w:numFmt w:val="{form}"/><w:lvlText '
            f'w:val="%{level + 1}."/></w:lvl>'
        )
        for level, form in enumerate(("decimal", "upperLetter"))
    )
    numbering.insert(0, parse_xml(f'<w:abstractNum {W} w:abstractNumId="90">{levels}</w:abstractNum>'))
    numbering.append(parse_xml(f'<w:num {W} w:numId="91"><w:abstractNumId w:val="90"/></w:num>'))
    for stem in ("甲是", "乙是"):
        listed(writer.document, writer.add(stem), 91)
        for option in ("一", "二", "三"):
            listed(writer.document, writer.add(option), 91, 1)
        writer.add("答案:C")
    first, second = (validate_row(import_row)[0] for import_row in writer.rows())
    assert (first.stem, second.stem) == ("甲是", "乙是")
    assert first.options == second.options == (("A", "一"), ("B", "二"), ("C", "三"))
    assert first.answer == second.answer == "C"


def test_a_table_keeps_its_pictures_scripts_and_merged_cells():
    writer = Writer("1. 结果如下")
    table = writer.document.add_table(2, 3)
    table.cell(0, 0).merge(table.cell(0, 1))
    table.cell(0, 0).text = "指标"
    table.cell(0, 2).text = "a|b"
    table.cell(1, 0).paragraphs[0].add_run("CO")
    run = table.cell(1, 0).paragraphs[0].add_run("2")
    run.font.subscript = True
    table.cell(1, 1).paragraphs[0].add_run().add_picture(io.BytesIO(png()))
    table.cell(1, 2).text = "$|x|$"
    for line in ("诊断是", "A. 甲", "B. 乙", "答案:A"):
        writer.add(line)
    [import_row] = writer.rows()
    lines = validate_row(import_row)[0].stem.split("\n")
    assert lines[:3] == ["结果如下", "|指标||a/b|", "|-|-|-|"]
    assert lines[3].startswith("|CO<sub>2</sub>|![图](图:")
    assert lines[3].endswith("|$\\vert x\\vert $|")
    assert lines[4] == "诊断是"


RUN = st.text("ab12+体%{}|≤ ", min_size=1, max_size=4).map(lambda text: f"<m:r><m:t>{text}</m:t></m:r>")


def _of(name, *parts):
    return st.tuples(*(child for _, child in parts)).map(
        lambda made: (
            f"<m:{name}>"
            + "".join(f"<m:{part}>{inner}</m:{part}>" for (part, _), inner in zip(parts, made, strict=True))
            + f"</m:{name}>"
        )
    )


MATH = st.recursive(
    RUN,
    lambda inner: st.one_of(
        _of("f", ("num", inner), ("den", inner)),
        _of("rad", ("deg", st.just("")), ("e", inner)),
        _of("sSup", ("e", inner), ("sup", inner)),
        _of("sSub", ("e", inner), ("sub", inner)),
        _of("d", ("e", inner)),
        st.lists(inner, min_size=1, max_size=3).map("".join),
        _of("nary", ("naryPr", st.just('<m:chr m:val="∑"/>')), ("sub", inner), ("sup", inner), ("e", inner)),
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=150)
@given(MATH)
def test_a_formula_of_words_is_shown_as_one_or_refused(inner):
    element = parse_xml(f"<m:oMath {M}>{inner}</m:oMath>")
    try:
        latex = word_equations.omml_to_latex(element)
    except word_equations.UnsupportedEquation:
        return
    html = str(markup.to_html(f"前${latex}$后", lambda name: name))
    assert html.startswith("前<math")
    assert html.endswith("</math>后")
    assert html.count("<mfrac>") == inner.count("<m:f>")


def test_the_template_can_be_handed_in_as_it_is():
    report = ImportReport()
    questions = list(word_documents.read_questions(word_documents.word_template(), report))
    assert [validate_row(import_row)[0].kind for import_row in questions] == [
        "A1",
        "A3",
        "A3",
        "B1",
        "B1",
        "X",
        "TF",
    ]
