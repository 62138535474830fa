"""Sheets of other programs than Excel of today: read as they are seen there, or named with their remedy."""

import io
import zipfile
from datetime import date

import pytest
import xlsxwriter
import xlwt
from PIL import Image

from dingkao.errors import InvalidInput, TooLarge
from dingkao.integrations.spreadsheets import import_rows
from dingkao.question_banks.importing import file_import, parsed_question, row_validation
from tests import workbook_builder as by_hand
from tests.rooms.sheet_reading import HEADER, read
from tests.workbook_builder import (
    WorkbookBuilder,
)

pytestmark = pytest.mark.usefixtures("in_this_process")


def old_book(write):
    book = xlwt.Workbook()
    page = book.add_sheet("名单")
    for column, heading in enumerate(("姓名", "证件号码", "备注", "日期")):
        page.write(0, column, heading)
    write(page)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def test_an_old_workbook_is_read_as_it_is_seen():
    plain, raised = xlwt.easyfont(""), xlwt.easyfont("escapement superscript")
    cells = [
        (("内科",), "内科"),
        ((0.85, xlwt.easyxf(num_format_str="0%")), "85%"),
        ((7, xlwt.easyxf(num_format_str="000")), "007"),
        ((59.400000000000006,), "59.4"),
        (("作废", xlwt.easyxf("font: struck_out on")), None),
        ((46086, xlwt.easyxf(num_format_str="m-d")), None),
        ((xlwt.Formula("1/0"),), ""),
    ]

    def write(page):
        for index, (cell, _) in enumerate(cells, 1):
            page.write(index, 0, f"甲{index}")
            page.write(index, 1, str(index))
            page.write(index, 2, *cell)
        page.write(8, 0, "乙")
        page.write(8, 1, "8")
        page.write_rich_text(8, 2, (("10", plain), ("9", raised), ("/L", plain)))
        page.write_merge(9, 10, 2, 2, "外科")
        for index in (9, 10, 11):
            page.write(index, 0, "丙")
            page.write(index, 1, str(index))
        page.write(10, 3, 42174, xlwt.easyxf(num_format_str="yyyy-mm-dd"))
        page.row(11).hidden = True

    report = import_rows.ImportReport()
    imported_rows = read(old_book(write), report, rich_text_columns=("note",))
    assert [
        None if "note" in import_row.problems else import_row.text("note") for import_row in imported_rows
    ] == [
        *(text for _, text in cells),
        "10<sup>9</sup>/L",
        "外科",
        "外科",
    ]
    assert imported_rows[-1].date_value("day") == date(2015, 6, 19)
    assert [fault.reason for fault in report.warnings] == ["有1行被筛选或隐藏"]


def test_pictures_on_an_old_workbook_are_known(tmp_path):
    Image.new("RGB", (40, 20)).save(tmp_path / "a.bmp")

    def write(page):
        for index in range(1, 8):
            page.write(index, 0, "甲")
            page.write(index, 1, str(index))
        page.insert_bitmap(str(tmp_path / "a.bmp"), 4, 2)

    assert 5 in [import_row.number for import_row in read(old_book(write)) if import_row.picture_columns]


def open_document(rows, styles="", table="", shapes=""):
    namespaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{kind}:1.0"'
        for name, kind in (
            ("office", "office"),
            ("table", "table"),
            ("text", "text"),
            ("style", "style"),
            ("fo", "xsl-fo-compatible"),
            ("draw", "drawing"),
        )
    )
    table_rows = "".join(
        f"<table:table-row{attributes}>{cells}</table:table-row>" for attributes, cells in rows
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr(
            "content.xml",
            "<office:document-content "
            f"{namespaces}><office:automatic-styles>{styles}</office:automatic-styles><office:body><office:spreadsheet>"
            f'<table:table table:name="名单"{table}>{shapes}<table:table-column '
            f'table:number-columns-repeated="1024"/>{table_rows}</table:table>'
            "</office:spreadsheet></office:body></office:document-content>",
        )
    return buffer.getvalue()


def open_cell(text, kind="string", about="", inside=None):
    value = f' office:value-type="{kind}"' if kind else ""
    return (
        f"<table:table-cell{value} "
        f"{about}>{inside if inside is not None else f'<text:p>{text}</text:p>'}</table:table-cell>"
    )


def linked_workbook():
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        for place, line in enumerate(
            [
                ["题干", "选项A", "选项B", "答案", "科目"],
                *([f"第{index}题？", "甲", "乙", "A", "公共知识"] for index in range(4)),
            ]
        ):
            sheet.write_row(place, 0, line)
        sheet.write_url(1, 0, "https://example.org/心音.mp3", string="第0题？")
        sheet.write_formula(2, 1, '=HYPERLINK("https://example.org/a.png","甲")', None, "甲")
        sheet.write_url(3, 0, "https://example.org/guide.html", string="第2题？")
    return buffer.getvalue()


def linked_document():
    sheet_rows = [("", "".join(map(open_cell, ("题干", "选项A", "选项B", "答案", "科目"))))]
    addresses = ("https://example.org/a.mp3", "", "https://example.org/guide.html", "")
    for place, address in enumerate(addresses):
        stem = (
            f'<text:p><text:a xlink:href="{address}" '
            f'xmlns:xlink="http://www.w3.org/1999/xlink">第{place}题？</text:a></text:p>'
        )
        option = open_cell(
            "甲",
            about="""table:formula="of:=HYPERLINK(&quot;https://example.org/a.png&quot;;&quot;甲&quot;)\""""
            if place == 1
            else "",
        )
        sheet_rows.append(
            ("", open_cell("", inside=stem) + option + "".join(map(open_cell, ("乙", "A", "公共知识"))))
        )
    return open_document(sheet_rows)


@pytest.mark.parametrize("made", [linked_workbook, linked_document])
def test_a_question_with_a_link_to_sound_or_a_picture_is_refused_as_from_word(made):
    report, refusals = import_rows.ImportReport(), []
    for import_row in file_import.iter_rows(made(), report):
        try:
            row_validation.validate_row(import_row)
        except parsed_question.InvalidQuestionRow as refused:
            refusals.append((import_row.number, refused.problem[0]))
    assert refusals == [(2, "链接"), (3, "链接")]


def test_an_open_document_is_read_as_it_is_seen():
    styles = (
        '<style:style style:name="up" style:family="text"><style:text-properties '
        'style:text-position="super 58%"/></style:style>'
        '<style:style style:name="gone" style:family="text"><style:text-properties '
        'style:text-line-through-style="solid"/></style:style>'
    )
    cells = [
        (open_cell("内科"), "内科"),
        (open_cell("85%", "percentage", 'office:value="0.85"'), "85%"),
        (open_cell("007", "float", 'office:value="7"'), "007"),
        (open_cell("59.4", "float", 'office:value="59.400000000000006"'), "59.4"),
        (open_cell("#N/A", "string", 'table:formula="of:=NA()"'), None),
        (open_cell("", "", 'table:formula="of:=A1"', ""), None),
        (open_cell("03-05", "date", 'office:date-value="2026-03-05"'), None),
        (
            open_cell("", inside='<text:p>10<text:span text:style-name="up">9</text:span>/L</text:p>'),
            "10<sup>9</sup>/L",
        ),
        (open_cell("", inside='<text:p><text:span text:style-name="gone">甲</text:span></text:p>'), None),
    ]
    head = "".join(open_cell(heading) for heading in ("姓名", "证件号码", "备注", "日期"))
    sheet_rows = [
        ("", head),
        *(("", open_cell("甲") + open_cell(str(index)) + cell) for index, (cell, _) in enumerate(cells)),
    ]
    sheet_rows += [
        (
            "",
            open_cell("乙")
            + open_cell("8")
            + open_cell("外科", about='table:number-rows-spanned="2"')
            + open_cell("2015年6月19日", "date", 'office:date-value="2015-06-19"'),
        ),
        (
            "",
            open_cell("丙")
            + open_cell("9")
            + "<table:covered-table-cell/>"
            + "<table:table-cell><draw:frame/></table:table-cell>",
        ),
        (' table:visibility="filter"', open_cell("丁") + open_cell("10")),
        (' table:number-rows-repeated="1048000"', '<table:table-cell table:number-columns-repeated="1024"/>'),
    ]
    report = import_rows.ImportReport()
    imported_rows = read(open_document(sheet_rows, styles), report, rich_text_columns=("note",))
    assert [
        None if "note" in import_row.problems else import_row.text("note") for import_row in imported_rows
    ] == [
        *(text for _, text in cells),
        "外科",
        "外科",
    ]
    assert (imported_rows[-2].date_value("day"), imported_rows[-1].picture_columns) == (
        date(2015, 6, 19),
        True,
    )
    assert [fault.reason for fault in report.warnings] == ["有1行被筛选或隐藏", "表中有1个图片或图形"]


def test_a_million_cells_written_once_are_refused():
    with pytest.raises(TooLarge):
        read(
            open_document(
                [
                    ("", open_cell("姓名") + open_cell("证件号码")),
                    (' table:number-rows-repeated="1000000"', open_cell("甲")),
                ]
            )
        )


OLE_SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
OTHER_FILES = [
    (b"<html><body><table><tr><td>x</td></tr></table></body></html>", "网页"), (b'\xef\xbb\xbf<!DOCTYPE html><html xmlns:x="urn">', "网页"),
    (b'<?xml version="1.0"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet">', "XML表格2003"), (b"MIME-Version: 1.0\r\nContent-Type: multipart/related", "网页"),
    (b"{\\rtf1\\ansi", "RTF"), (b"%PDF-1.7\n", "PDF"), (b"\x89PNG\r\n\x1a\n\0\0", "图片"), (b"\xff\xd8\xff\xe0\0", "图片"), (b"Rar!\x1a\x07\0", "压缩包"),
    (OLE_SIGNATURE + bytes(600), "请在Word中另存为.docx"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "told"), OTHER_FILES)
def test_another_kind_of_file_is_named_with_its_remedy(content, told):
    with pytest.raises(InvalidInput, match=told):
        read(content)


def test_other_office_files_are_named_with_their_remedy():
    book = WorkbookBuilder([HEADER])
    for part, format_name in (
        ("xl/workbook.bin", "二进制"),
        ("word/document.xml", "Word文档"),
        ("ppt/presentation.xml", "PowerPoint"),
    ):
        root = {"word": "document", "ppt": "presentation"}.get(part.partition("/")[0], "workbook")
        book.more = {
            "_rels/.rels": by_hand._relations(("rId1", "x/officeDocument", part)),
            part: f'<{root} xmlns="x"/>',
        }
        with pytest.raises(InvalidInput, match=format_name):
            read(book.content())


def test_a_csv_that_forces_words_on_excel_is_read_as_excel_shows_it():
    [import_row] = read('姓名,证件号码,备注\n甲,="0012","=""a"""\n'.encode())
    assert (import_row.text("number"), import_row.text("note")) == ("0012", "a")
