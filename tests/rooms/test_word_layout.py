"""What Word lays questions out with: tables, its own numbers, styles, blocks among the paragraphs; each is
read or its question is refused."""

from random import Random

import docx
import pytest
from docx.oxml import OxmlElement, parse_xml
from docx.oxml.ns import qn

from dingkao.integrations.spreadsheets.import_rows import ImportReport
from dingkao.question_banks.importers import word_documents
from dingkao.question_banks.importers.document_lines import DocumentLine
from dingkao.question_banks.importers.question_parser.parser import QuestionParser
from dingkao.question_banks.importers.tokens import tokenize
from dingkao.question_banks.importers.word_numbering import ListNumbering
from dingkao.question_banks.importers.word_styles import WordStyles
from tests.generated_documents import LETTERS
from tests.rooms.test_document_parsing import Read, W, document, question


@pytest.mark.parametrize(
    ("rows", "read"),
    [
        ([["A. 甲", "B. 乙"], ["C. 丙", "D. 丁"]], True),
        ([["A. 甲", "C. 丙"], ["B. 乙", "D. 丁"]], True),
        ([["A. 甲", "B. 乙", "C. 丙", "D. 丁"]], True),
        ([["A. 甲"], ["B. 乙"], ["C. 丙"], ["D. 丁"]], True),
        ([["A.", "甲", "B.", "乙"], ["C.", "丙", "D.", "丁"]], True),
        ([["A", "甲"], ["B", "乙"], ["C", "丙"], ["D", "丁"]], True),
        ([["A. 甲 B. 乙"], ["C. 丙 D. 丁"]], True),
        ([["A. 甲", ""], ["B. 乙", ""], ["C. 丙", "D. 丁"]], True),
        ([["A. 甲", "B. 乙"], ["C. 丙", "丁"]], False),
        ([["A. 甲", "B. 乙"], ["D. 丁", ""]], False),
        ([["甲", "乙"], ["丙", "丁"]], False),
        ([["A. 甲", "B. 乙"], ["答案", "B"]], False),
        ([["题干", "答案"], ["脉搏是", "A"]], False),
    ],
)
def test_options_in_a_table_are_read_or_the_question_is_refused(rows, read):
    word_document = docx.Document()
    word_document.add_paragraph("1. 体温是")
    table = word_document.add_table(len(rows), len(rows[0]))
    for number, cells in enumerate(rows):
        for place, words in enumerate(cells):
            table.cell(number, place).text = words
    word_document.add_paragraph("答案：B")
    document_read = document(word_document)
    assert [parsed_question.options for parsed_question in document_read.taken] == (
        [tuple(zip("ABCD", "甲乙丙丁", strict=True))] if read else []
    )
    assert bool(document_read.refused) != read


def numbered(made, form, shown, texts):
    """Paragraphs that Word numbers by itself, in a form and between signs."""
    numbering = made.part.numbering_part.element
    levels = "".join(
        (
            f'<w:lvl w:ilvl="{level}"><w:start w:val="1"/><w:numFmt w:val="{number_format}"/><w:lvlText '
            f'w:val="{sign}"/></w:lvl>'
        )
        for level, (number_format, sign) in enumerate(((form, shown), ("upperLetter", "%2.")))
    )
    numbering.insert(0, parse_xml(f'<w:abstractNum {W} w:abstractNumId="90">{levels}</w:abstractNum>'))
    numbering.append(parse_xml(f'<w:num {W} w:numId="91"><w:abstractNumId w:val="90"/></w:num>'))
    for text in texts:
        level = {"?": 0, "-": 1}.get(text[0])
        paragraph = made.add_paragraph(text.lstrip("?-"))
        if level is None:
            continue
        properties = OxmlElement("w:numPr")
        for name, value in (("w:ilvl", level), ("w:numId", 91)):
            property_element = OxmlElement(name)
            property_element.set(qn("w:val"), str(value))
            properties.append(property_element)
        paragraph._p.get_or_add_pPr().append(properties)


NUMBERED_BY_WORD = ["?体温是", "-甲", "-乙", "答案：B", "解析：对。", "?脉搏是", "-甲", "-乙", "答案：A"]


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ("decimal", "%1."),
        ("decimal", "%1、"),
        ("decimal", "（%1）"),
        ("decimal", "第%1题"),
        ("decimal", "%1"),
        ("decimalZero", "%1."),
        ("decimalFullWidth", "%1．"),
        ("decimalEnclosedCircle", "%1"),
        ("decimalEnclosedParen", "%1"),
        ("decimalEnclosedFullstop", "%1"),
        ("chineseCounting", "%1、"),
        ("chineseCountingThousand", "（%1）"),
        ("japaneseCounting", "第%1题"),
        ("ideographDigital", "%1、"),
        ("chineseLegalSimplified", "%1、"),
        ("upperRoman", "%1."),
        ("lowerRoman", "%1."),
    ],
)
def test_words_own_numbers_are_known_in_all_their_forms(form, shown):
    word_document = docx.Document()
    numbered(word_document, form, shown, NUMBERED_BY_WORD)
    read = document(word_document)
    assert [
        (parsed_question.stem, parsed_question.answer, parsed_question.explanation)
        for parsed_question in read.taken
    ] == [
        ("体温是", "B", "对。"),
        ("脉搏是", "A", ""),
    ]


@pytest.mark.parametrize(
    ("form", "written"),
    [
        ("ideographDigital", ["九", "一〇", "一一", "二〇", "九九", "一〇〇"]),
        ("japaneseDigitalTenThousand", ["九", "一〇", "一一", "二〇", "九九", "一〇〇"]),
        ("taiwaneseDigital", ["九", "一〇", "一一", "二〇", "九九", "一〇〇"]),
        ("chineseCounting", ["九", "十", "十一", "二十", "九十九", "一〇〇"]),
        ("chineseLegalSimplified", ["玖", "壹拾", "壹拾壹", "贰拾", "玖拾玖", None]),
    ],
)
def test_words_own_numbers_are_written_as_word_writes_them(form, written):
    word_document = docx.Document()
    numbered(word_document, form, "%1", ["?题"] * 100)
    numbering = ListNumbering(word_document, WordStyles(word_document))
    numbers = [numbering.next_number(paragraph._p) for paragraph in word_document.paragraphs]
    assert [numbers[number - 1] for number in (9, 10, 11, 20, 99, 100)] == written


def test_a_level_begins_anew_with_the_number_that_its_list_sets():
    word_document = docx.Document()
    numbered(word_document, "decimal", "%1.", ["?题", "-甲", "-乙", "?题", "-甲"])
    word_list = word_document.part.numbering_part.element.findall(qn("w:num"))[-1]
    start = f'<w:lvlOverride {W} w:ilvl="1"><w:startOverride w:val="3"/></w:lvlOverride>'
    word_list.append(parse_xml(start))
    numbering = ListNumbering(word_document, WordStyles(word_document))
    numbers = [numbering.next_number(paragraph._p) for paragraph in word_document.paragraphs]
    assert numbers == ["1.", "C.", "D.", "2.", "C."]


@pytest.mark.parametrize("form", ["hebrew1", "thaiLetters", "cardinalText"])
def test_words_own_numbers_of_a_form_that_we_can_not_write_refuse_the_question(form):
    word_document = docx.Document()
    numbered(word_document, form, "%1.", NUMBERED_BY_WORD)
    read = document(word_document)
    assert read.taken == []
    assert any("自动编号" in fault.reason for fault in read.report.warnings)


def test_a_deleted_option_is_not_counted_by_words_own_letters():
    word_document = docx.Document()
    numbered(word_document, "decimal", "%1.", ["?体温是", "-甲", "-乙", "-丙", "答案：B"])
    deleted = word_document.paragraphs[2]._p
    deleted.get_or_add_pPr().append(parse_xml(f'<w:rPr {W}><w:del w:id="1" w:author="x"/></w:rPr>'))
    [run] = deleted.iterchildren(qn("w:r"))
    run.getparent().replace(
        run, parse_xml(f'<w:del {W} w:id="2" w:author="x"><w:r><w:delText>乙</w:delText></w:r></w:del>')
    )
    read = document(word_document)
    assert [parsed_question.options for parsed_question in read.taken] == [(("A", "甲"), ("B", "丙"))]
    assert any("修订" in fault.reason for fault in read.report.warnings)


M = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
MC = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
R = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
P = "<w:p><w:r><w:t>血红蛋白60g/L</w:t></w:r></w:p>"
STEM_WITH_BLOCK = "体温是\n血红蛋白60g/L"
BLOCKS = {
    "a file put in": (f'<w:altChunk {W} {R} r:id="rId9"/>', None), "a part of a master document": (f'<w:subDoc {W} {R} r:id="rId9"/>', None),
    "inserted": (f'<w:ins {W} w:id="9" w:author="x">{P}</w:ins>', STEM_WITH_BLOCK), "moved here": (f'<w:moveTo {W} w:id="9" w:author="x">{P}</w:moveTo>', STEM_WITH_BLOCK),
    "deleted": (f'<w:del {W} w:id="9" w:author="x">{P}</w:del>', "体温是"), "moved away": (f'<w:moveFrom {W} w:id="9" w:author="x">{P}</w:moveFrom>', "体温是"),
    "a formula": (f"<m:oMath {M}><m:r><m:t>x+1</m:t></m:r></m:oMath>", "体温是\n$x+1$"),
    "a paragraph of formulas": (f"<m:oMathPara {M}><m:oMath><m:r><m:t>x+1</m:t></m:r></m:oMath></m:oMathPara>", "体温是\n$x+1$"),
    "a formula that isn't read": (f"<m:oMath {M}><m:m><m:mr><m:e><m:r><m:t>1</m:t></m:r></m:e></m:mr></m:m></m:oMath>", None),
    "alternatives": (f"<mc:AlternateContent {MC} {W}><mc:Choice Requires='wps'>{P}</mc:Choice><mc:Fallback/></mc:AlternateContent>", STEM_WITH_BLOCK),
    "a fallback alone": (f"<mc:AlternateContent {MC} {W}><mc:Fallback>{P}</mc:Fallback></mc:AlternateContent>", STEM_WITH_BLOCK),
    "no alternative": (f"<mc:AlternateContent {MC} {W}/>", None), "a control": (f"<w:sdt {W}><w:sdtPr/><w:sdtContent>{P}</w:sdtContent></w:sdt>", STEM_WITH_BLOCK),
    "a control in a control": (f"<w:sdt {W}><w:sdtContent><w:sdt><w:sdtContent>{P}</w:sdtContent></w:sdt></w:sdtContent></w:sdt>", STEM_WITH_BLOCK),
    "somebody's own markup": (f"<w:customXml {W} w:element='x'><w:customXmlPr/>{P}</w:customXml>", STEM_WITH_BLOCK), "a run without a paragraph": (f"<w:r {W}><w:t>血红蛋白60g/L</w:t></w:r>", STEM_WITH_BLOCK),
    "an element of the future": ('<x:new xmlns:x="urn:x"><x:t>血红蛋白</x:t></x:new>', None), "handwriting": (f'<w:p {W}><w:r><w:contentPart {R} r:id="rId9"/></w:r></w:p>', None),
    "a control of a form": (f'<w:p {W}><w:r><w:fldChar w:fldCharType="begin"/><w:instrText> FORMCHECKBOX </w:instrText><w:fldChar w:fldCharType="end"/></w:r></w:p>', None),
    "a number that a field counts": (f'<w:p {W}><w:r><w:fldChar w:fldCharType="begin"/><w:instrText> AUTONUM </w:instrText><w:fldChar w:fldCharType="end"/></w:r></w:p>', None),
    "a field with its result": (f'<w:p {W}><w:r><w:fldChar w:fldCharType="begin"/><w:instrText> REF x </w:instrText><w:fldChar w:fldCharType="separate"/></w:r><w:r><w:t>血红蛋白60g/L</w:t></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r></w:p>', STEM_WITH_BLOCK),
    "a simple field of a formula": (f'<w:p {W}><w:fldSimple w:instr=" EQ \\f(1,2)"><w:r><w:t>1/2</w:t></w:r></w:fldSimple></w:p>', None),
    "bookmarks and proofing": (f'<w:bookmarkStart {W} w:id="1" w:name="x"/><w:p {W}><w:proofErr w:type="x"/><w:r><w:lastRenderedPageBreak/><w:t>血红蛋白60g/L</w:t></w:r></w:p><w:bookmarkEnd {W} w:id="1"/>', STEM_WITH_BLOCK),
    "a mark of a paragraph deleted": (f'<w:p {W}><w:pPr><w:rPr><w:del w:id="1" w:author="x"/></w:rPr></w:pPr><w:r><w:t>血红蛋白60g/L</w:t></w:r></w:p>', None),
    "rows in a control": (f"<w:tbl {W}><w:sdt><w:sdtContent><w:tr><w:tc><w:p><w:r><w:t>血红蛋白</w:t></w:r></w:p></w:tc></w:tr></w:sdtContent></w:sdt></w:tbl>", "体温是\n|血红蛋白|\n|-|"),
    "a row deleted": (f"<w:tbl {W}><w:tr><w:tc><w:p><w:r><w:t>甲</w:t></w:r></w:p></w:tc></w:tr><w:tr><w:trPr><w:del w:id='1' w:author='x'/></w:trPr><w:tc><w:p><w:r><w:t>乙</w:t></w:r></w:p></w:tc></w:tr></w:tbl>", "体温是\n|甲|\n|-|"),
    "a control in a cell": (f"<w:tbl {W}><w:tr><w:tc><w:sdt><w:sdtContent>{P}</w:sdtContent></w:sdt></w:tc></w:tr></w:tbl>", "体温是\n|血红蛋白60g/L|\n|-|"),
    "a file put into a cell": (f'<w:tbl {W} {R}><w:tr><w:tc><w:altChunk r:id="rId9"/></w:tc></w:tr></w:tbl>', None),
    "a row that begins further right": (f"<w:tbl {W}><w:tr><w:tc>{P}</w:tc><w:tc>{P}</w:tc></w:tr><w:tr><w:trPr><w:gridBefore w:val='1'/></w:trPr><w:tc>{P}</w:tc></w:tr></w:tbl>", "体温是\n|血红蛋白60g/L|血红蛋白60g/L|\n|-|-|\n||血红蛋白60g/L|"),
    "a sound": (f'<w:p {W}><w:r><w:drawing><a:x xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><a:audioFile/></a:x></w:drawing></w:r></w:p>', None),
}  # fmt: skip


@pytest.mark.parametrize("what", BLOCKS)
def test_nothing_that_stands_among_paragraphs_is_dropped_unseen(what):
    xml, stem = BLOCKS[what]
    word_document = docx.Document()
    first = word_document.add_paragraph("1. 体温是")
    for text in ("A. 甲", "B. 乙", "答案：A"):
        word_document.add_paragraph(text)
    for element in reversed(list(parse_xml(f"<w:body {W}>{xml}</w:body>"))):
        first._p.addnext(element)
    read = document(word_document)
    assert [parsed_question.stem for parsed_question in read.taken] == ([stem] if stem else [])
    assert len(read.refused) == (0 if stem else 1)
    is_revision = what in ("inserted", "moved here", "deleted", "moved away", "a row deleted")
    assert any("修订" in fault.reason for fault in read.report.warnings) == is_revision or stem is None


UNREAD = [xml for xml, stem in BLOCKS.values() if stem is None]


def test_twenty_documents_with_a_block_that_is_not_read_tell_it_wherever_it_stands():
    random = Random(6)  # noqa: S311 - to be the same each time
    for _ in range(20):
        word_document, has_explanations = docx.Document(), random.random() < 0.5
        texts = [
            line
            for number in (1, 2, 3)
            for line in question(f"{number}. ", f"体温{number}是", said="对。" if has_explanations else "")[0]
        ]
        for text in texts:
            word_document.add_paragraph(text)
        place, xml = random.randrange(len(texts)), random.choice(UNREAD)
        for element in reversed(list(parse_xml(f"<w:body {W}>{xml}</w:body>"))):
            word_document.paragraphs[place]._p.addnext(element)
        read = document(word_document)
        owner = f"体温{place // (len(texts) // 3) + 1}是"
        assert owner not in [parsed_question.stem for parsed_question in read.taken], (place, xml)
        assert len(read.taken) + len(read.refused) == 3


def test_twenty_documents_keep_what_was_inserted_among_their_paragraphs():
    random = Random(7)  # noqa: S311 - to be the same each time
    for _ in range(20):
        word_document = docx.Document()
        texts, meant = [], []
        for number in (1, 2, 3):
            question_lines, parsed_question = question(f"{number}. ", f"体温{number}是")
            texts, meant = texts + question_lines, [*meant, parsed_question]
        wrap = random.choice(["ins", "moveTo"])
        inserted = set(random.sample(range(1, len(texts)), random.randrange(1, 4)))
        word_document.add_paragraph(texts[0])
        for place in range(1, len(texts)):
            paragraph = word_document.add_paragraph(texts[place])._p
            if place in inserted:
                change = parse_xml(f'<w:{wrap} {W} w:id="{place}" w:author="x"/>')
                paragraph.addprevious(change)
                change.append(paragraph)
        read = document(word_document)
        assert read.shown() == meant
        assert any("修订" in fault.reason for fault in read.report.warnings)


def test_twenty_tables_of_options_are_read_however_they_are_laid_out():
    random = Random(8)  # noqa: S311 - to be the same each time
    for _ in range(20):
        count, across, letter = (
            random.randrange(2, 9),
            random.randrange(1, 5),
            random.choice([name for name in LETTERS if name.strip() not in ("A", "a")]),
        )
        words = [
            f"{LETTERS[letter](option_letter)}选项{option_letter}" for option_letter in "ABCDEFGH"[:count]
        ]
        grid = [words[start : start + across] for start in range(0, count, across)]
        if random.random() < 0.5:  # the letters run downwards
            down = -(-count // across)
            grid = [words[row_index::down] for row_index in range(down)]
        text = "\n".join(f"|{'|'.join(cells)}|" for cells in grid)
        report = ImportReport()
        document_lines = [DocumentLine("1. 体温是"), DocumentLine(text, cells=grid), DocumentLine("答案：B")]
        read = Read(QuestionParser(tokenize(document_lines), report).rows(), report)
        expected_options = tuple(
            (option_letter, f"选项{option_letter}") for option_letter in "ABCDEFGH"[:count]
        )
        assert [parsed_question.options for parsed_question in read.taken] == [expected_options], (
            grid,
            read.refused,
        )


def test_a_file_put_in_outside_the_questions_is_told_as_an_error():
    word_document = docx.Document()
    word_document.element.body.insert(0, parse_xml(f'<w:altChunk {W} {R} r:id="rId9"/>'))
    for text in ("1. 体温是", "A. 甲", "B. 乙", "答案：A"):
        word_document.add_paragraph(text)
    read = document(word_document)
    assert len(read.taken) == 1
    assert any("另一个文件" in reason for reason in read.told)


def test_what_a_style_does_to_letters_is_seen_as_if_they_had_it_themselves():
    word_document = docx.Document()
    style = word_document.styles.add_style("上标字", 2)
    style.font.superscript = True
    struck = word_document.styles.add_style("作废", 2)
    struck.font.strike = True
    word_document.add_paragraph("1. 血小板10").add_run("9", style="上标字")
    for text in ("A. 甲", "B. 乙", "答案：A", "2. 脉搏是", "A. 甲", "B. 乙", "答案：A"):
        word_document.add_paragraph(text)
    read = document(word_document)
    assert [parsed_question.stem for parsed_question in read.taken] == ["血小板10<sup>9</sup>", "脉搏是"]
    word_document.paragraphs[4].add_run("不", style="作废")
    [(name, reason)] = document(word_document).refused
    assert (name, "删除线" in reason) == ("第2题", True)


FAULTS = {
    "altchunk-after": ([], 1), "case-heading-2": ([("A", True), ("B", True)], 0), "case-heading-6": ([("A", True), ("B", True)], 0),
    "case-heading-mid-after-explanation": ([("B", False), ("A", True), ("B", True)], 0), "compact-line": ([("B", False)], 0), "ins-block-level": ([("A", False)], 0),
    "key-in-stem": ([("B", False), ("AB", False)], 0), "number-bracketed-wrong-key": ([("B", False), ("A", False)], 0), "number-form-05": ([("A", False), ("A", False)], 0),
    "number-form-11": ([("A", False), ("A", False)], 0), "number-fullwidth-wrong-key": ([("B", False), ("A", False)], 0), "options-in-table": ([("B", False)], 0),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_the_documents_that_real_use_found_are_read_right(samples, name):
    report = ImportReport()
    read = Read(
        word_documents.read_questions((samples / "faults" / f"questions-{name}.docx").read_bytes(), report),
        report,
    )
    assert [
        (parsed_question.answer, bool(parsed_question.case_stem)) for parsed_question in read.taken
    ] == FAULTS[name][0]
    assert len(read.refused) == FAULTS[name][1]
    assert not any(word in parsed_question.stem for parsed_question in read.taken for word in ("（B）", "Ｂ"))
    if name == "ins-block-level":
        assert "血红蛋白60g/L" in read.taken[0].stem
        assert any("修订" in fault.reason for fault in report.warnings)
