"""The tables people bring: found, read with the sheet's own row numbers, their headings known."""

import io
from datetime import datetime

import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

from dingkao.errors import InvalidInput
from dingkao.integrations.spreadsheets import (
    import_rows,
    sheet_reader,
    xlsx_writer,
)
from dingkao.integrations.spreadsheets.import_rows import ImportRow, RowProblem
from dingkao.people.import_reports import ReportLayout

pytestmark = pytest.mark.usefixtures("in_this_process")

COLUMNS = {
    "name": ("姓名", "医师姓名"),
    "number": ("证件号码", "身份证号"),
    "day": ("日期",),
    "note": ("备注",),
}
NEEDED = ("name", "number")


def read(content):
    return list(sheet_reader.read_rows(content, COLUMNS, NEEDED))


def texts(content):
    return [
        (import_row.number, import_row.text("name"), import_row.text("number"))
        for import_row in read(content)
    ]


def workbook(*pages):
    """An xlsx with a page for each argument, a list of rows of cells."""
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True, "default_date_format": "yyyy-mm-dd"}) as book:
        for page in pages:
            sheet = book.add_worksheet()
            for number, cells in enumerate(page):
                for column, cell in enumerate(cells):
                    sheet.write(number, column, cell)
    return buffer.getvalue()


def test_rows_have_the_sheets_own_numbers_and_empty_ones_are_passed_over():
    content = workbook([["姓名", "证件号码"], ["甲", "1"], ["", ""], [None, None], ["  ", ""], ["乙", "2"]])
    assert texts(content) == [(2, "甲", "1"), (6, "乙", "2")]


def test_a_title_and_remarks_may_stand_above_the_header():
    above = [["某省2026年医师名单"], [], ["填表说明:姓名与身份证一致", "", "x"]]
    assert texts(workbook([*above, ["姓名", "证件号码"], ["甲", "1"]])) == [(5, "甲", "1")]


def test_a_header_is_looked_for_in_the_first_twenty_rows_only():
    header = [["姓名", "证件号码"], ["甲", "1"]]
    assert texts(workbook([["标题"]] * 19 + header)) == [(21, "甲", "1")]
    with pytest.raises(InvalidInput):
        read(workbook([["标题"]] * 20 + header))


def test_columns_may_stand_in_any_order_among_others_under_any_of_their_names():
    content = workbook([["序号", " 身份证 号", "无关", "*医师姓名(必填)"], [1, "2", "x", "甲"], [2, "3"]])
    assert texts(content) == [(2, "甲", "2"), (3, "", "3")]


def test_of_two_columns_of_one_name_the_first_counts():
    assert texts(workbook([["姓名", "证件号码", "姓名"], ["甲", "1", "乙"]])) == [(2, "甲", "1")]


HEADER = ["姓名", "证件号码"]


def test_every_page_with_the_header_is_read_and_the_later_are_named():
    content = workbook([["说明"], ["请看下一页"]], [HEADER, ["甲", "1"]], [["标题"], HEADER, ["乙", "2"]])
    assert [
        (import_row.sheet, import_row.number, import_row.text("name"), import_row.column_label("姓名"))
        for import_row in read(content)
    ] == [
        ("", 2, "甲", "姓名"),
        ("Sheet3", 3, "乙", "姓名（Sheet3）"),
    ]


def test_a_page_without_rows_is_not_the_first():
    assert [
        (import_row.sheet, import_row.number)
        for import_row in read(workbook([HEADER], [HEADER, ["甲", "1"]]))
    ] == [("", 2)]


def book_of(**pages):
    """An xlsx with a page of each name: HEADER and one row. A name that ends in _ is hidden, in __ very
    hidden."""
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        for name, person in pages.items():
            sheet = book.add_worksheet(name)
            sheet.write_row(0, 0, HEADER)
            sheet.write_row(1, 0, [person, "1"])
            if name.endswith("__"):
                sheet.very_hidden()
            elif name.endswith("_"):
                sheet.hide()
            else:
                sheet.activate()
                sheet.set_first_sheet()
    return buffer.getvalue()


def test_hidden_pages_are_passed_over():
    assert texts(book_of(旧__="甲", 名单="乙", 旧_="丙")) == [(2, "乙", "1")]


def test_examples_and_explanations_are_passed_over_where_there_is_a_table():
    assert texts(book_of(填写说明="甲", 名单="乙", 示例="丙")) == [(2, "乙", "1")]
    assert texts(book_of(填写说明="甲")) == [(2, "甲", "1")]


def test_a_header_repeated_in_the_middle_is_no_row():
    assert texts(workbook([HEADER, ["甲", "1"], HEADER, ["乙", "2"]])) == [(2, "甲", "1"), (4, "乙", "2")]


@pytest.mark.parametrize(
    "heading",
    [
        "姓名(与身份证一致)",
        "姓名\uff08与身份证一致\uff09",
        "\u3010姓名\u3011",
        "[姓名]",
        "1.姓名",
        "1\u3001姓名",
        "姓\n名",
        "姓\u200b名",
        "\uff0a姓名",
        "姓名 *",
        "姓名必填",
        "姓名(必填项)",
        "*姓名(必填)",
        "姓名(必填)*",
        "姓名\uff1a",
        "\u2605姓名",
        "姓名\u3010必填\u3011",
        "3. 姓名(必填)(中文)",
    ],
)
def test_a_heading_is_known_whatever_is_put_around_it(heading):
    assert texts(workbook([[heading, "证件号码\n(18位)"], ["甲", "1"]])) == [(2, "甲", "1")]


@given(st.text(max_size=30))
def test_any_heading_is_known_or_not(heading):
    assert len(texts(workbook([["姓名", "证件号码", heading], ["甲", "1"]]))) == 1


def test_the_official_heading_is_preferred_to_one_further_left():
    assert texts(workbook([["身份证号", "医师姓名", "证件号码", "姓名"], ["2", "乙", "1", "甲"]])) == [
        (2, "甲", "1")
    ]


def unused(*pages):
    report = import_rows.ImportReport()
    list(sheet_reader.read_rows(workbook(*pages), COLUMNS, NEEDED, report))
    return [(fault.row, fault.column, fault.reason) for fault in report.warnings]


def test_a_filled_column_that_is_not_read_is_told_once():
    page = [
        ["标题"],
        ["序号", "姓名", "证件号码", "医师 星座", "空", "身份证号"],
        [1, "甲", "1", "", "", "1"],
        [2, "乙", "2", "狮子", "", ""],
    ]
    assert unused(page, page) == [(2, "医师星座", "未使用该列"), (2, "身份证号", "未使用该列")]
    assert unused([["行", "列", "原因", "处理办法", *HEADER], [2, "姓名", "x", "y", "甲", "1"]]) == []


@pytest.mark.parametrize("cell", ["\u200b", "\u200b\u200e", "\x08", "'", "\u3000\ufeff", "\u00a0"])
def test_rows_of_characters_nobody_sees_are_empty(cell):
    assert texts(f"姓名,证件号码\n甲,1\n{cell},{cell}\n".encode()) == [(2, "甲", "1")]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("5'", "5'"),
        ("3'-5'", "3'-5'"),
        ("'x'", "'x'"),
        ("'0012", "0012"),
        ("'2024-09-01", "2024-09-01"),
        ("\u2018110101", "110101"),
        ("'甲 乙", "'甲 乙"),
        ("张\x00三", "张三"),
        ("张\u200b三\u202c", "张三"),
        ("甲\r\n乙", "甲\n乙"),
        ("甲\r乙", "甲\n乙"),
        ("甲\t乙", "甲\t乙"),
    ],
)
def test_only_excels_own_mark_and_what_nobody_sees_are_taken_off(cell, text):
    assert ImportRow(2, {"name": cell}).text("name") == text


def test_a_nul_far_down_a_csv_is_no_matter():
    assert texts(("姓名,证件号码\n" + "\n" * 5000 + "张\0三,1\n").encode()) == [(5002, "张三", "1")]


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "gb18030"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_csv_below_a_title_is_read_by_what_makes_its_header(delimiter, encoding, newline):
    lines = ["某省,2026;名单", delimiter.join(["证件号码", "姓名"]), delimiter.join(["1", '"甲;乙,丙"'])]
    assert texts(newline.join(lines).encode(encoding)) == [(3, "甲;乙,丙", "1")]


@pytest.mark.parametrize(
    ("cells", "foot"),
    [
        (["合计", "6", "", ""], True),
        (["", "小 计", "", ""], True),
        (["填表人\uff1a李四", "", "", ""], True),
        (["注:级别填执业医师", "", "", ""], True),
        (["", "以下空白", "", ""], True),
        (["", "共12人", "", ""], True),
        (["7", "甲", "", ""], False),
        (["", "合计", "1", ""], False),
        (["", "注意", "", ""], False),
    ],
)
def test_what_stands_below_a_table_is_known(cells, foot):
    [import_row] = read(workbook([["序号", *HEADER, "日期"], [*cells[:3], "x"]]))
    assert import_row.is_footer("name", "number") is foot


@pytest.mark.parametrize(
    ("cell", "lost"),
    [
        (1.40105197001054e17, True),
        (110140000000001.0, False),
        ("1.40105E+17", True),
        ("140105197001054000", False),
        ("", False),
        ("PDY1E17", False),
    ],
)
def test_digits_that_excel_has_lost_are_noticed(cell, lost):
    assert ImportRow(2, {"number": cell}).has_lost_digits("number") is lost


def test_a_header_alone_has_no_rows():
    assert read(workbook([["姓名", "证件号码"]])) == []


def test_cells_come_as_text_without_points_and_blanks():
    page = [
        ["姓名", "证件号码", "日期", "备注"],
        [" 甲\u3000", 110101199003077571 // 1000, datetime(2024, 9, 1), "'x\u200b"],  # noqa: DTZ001
        ["乙", 1.5, True, ""],
    ]
    first, second = read(workbook(page))
    assert [first.text(name) for name in ("name", "number", "day", "note")] == [
        "甲",
        "110101199003077",
        "2024-09-01",
        "x",
    ]
    assert [second.text(name) for name in ("name", "number", "day", "note")] == ["乙", "1.5", "是", ""]
    assert second.text("absent") == ""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "gbk"])
@pytest.mark.parametrize("delimiter", [",", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_csv_is_read_in_the_encodings_excel_writes(encoding, delimiter, newline):
    text = newline.join(
        delimiter.join(cells) for cells in (("证件号码", "姓名"), ("1", '"甲,乙"'), ("", ""), ("2", "丙"))
    )
    assert texts(text.encode(encoding)) == [(2, "甲,乙", "1"), (4, "丙", "2")]


def test_rare_characters_of_gb18030_survive():
    assert texts("姓名,证件号码\n𠮷䶮,1".encode("gb18030")) == [(2, "𠮷䶮", "1")]


def test_what_was_written_is_read_again_and_nothing_is_a_formula():
    cells = [("=1+1", "0012"), ("@x", "http://a.example"), ("-1", 7)]
    assert texts(xlsx_writer.write_xlsx(("姓名", "证件号码"), cells)) == [
        (2, "=1+1", "0012"),
        (3, "@x", "http://a.example"),
        (4, "-1", "7"),
    ]


@pytest.mark.parametrize(("column", "name"), [("姓名", "甲"), ("姓名（1班）", "乙"), ("姓名（21班）", "丙")])
def test_a_report_shows_the_row_of_the_sheet_that_has_the_problem(column, name):
    sheet_rows = [
        ImportRow(2, {"name": "甲"}),
        ImportRow(2, {"name": "乙"}, "1班"),
        ImportRow(2, {"name": "丙"}, "21班"),
    ]
    layout = ReportLayout({"name": ("姓名",)}, has_kind=False)
    [line] = layout.lines(sheet_rows, [RowProblem(2, column, "有误", "请核对")], "")
    assert line == [2, column, "有误", "请核对", name]
