"""The tables people bring: found, read with the sheet's own row numbers, or refused with a sentence; never a crash."""

import io
import zipfile
from datetime import date, datetime

import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

from dingkao.errors import Invalid, Refusal, TooLarge
from dingkao.outside import sheets
from dingkao.outside.sheets import Row

COLUMNS = {"name": ("姓名", "医师姓名"), "number": ("证件号码", "身份证号"), "day": ("日期",), "note": ("备注",)}
NEEDED = ("name", "number")
OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def read(content):
    return list(sheets.read(content, COLUMNS, NEEDED))


def texts(content):
    return [(row.number, row.text("name"), row.text("number")) for row in read(content)]


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


def zipped(**parts):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
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
    with pytest.raises(Invalid):
        read(workbook([["标题"]] * 20 + header))


def test_columns_may_stand_in_any_order_among_others_under_any_of_their_names():
    content = workbook([["序号", " 身份证 号", "无关", "*医师姓名(必填)"], [1, "2", "x", "甲"], [2, "3"]])
    assert texts(content) == [(2, "甲", "2"), (3, "", "3")]


def test_of_two_columns_of_one_name_the_first_counts():
    assert texts(workbook([["姓名", "证件号码", "姓名"], ["甲", "1", "乙"]])) == [(2, "甲", "1")]


HEADER = ["姓名", "证件号码"]


def test_every_page_with_the_header_is_read_and_the_later_are_named():
    content = workbook([["说明"], ["请看下一页"]], [HEADER, ["甲", "1"]], [["标题"], HEADER, ["乙", "2"]])
    assert [(row.sheet, row.number, row.text("name"), row.where("姓名")) for row in read(content)] == [
        ("", 2, "甲", "姓名"), ("Sheet3", 3, "乙", "姓名 (Sheet3)"),
    ]  # fmt: skip


def test_a_page_without_rows_is_not_the_first():
    assert [(row.sheet, row.number) for row in read(workbook([HEADER], [HEADER, ["甲", "1"]]))] == [("", 2)]


def book_of(**pages):
    """An xlsx with a page of each name: HEADER and one row. A name that ends in _ is hidden, in __ very hidden."""
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
        "姓名(与身份证一致)", "姓名\uff08与身份证一致\uff09", "\u3010姓名\u3011", "[姓名]", "1.姓名", "1\u3001姓名", "姓\n名", "姓\u200b名", "\uff0a姓名", "姓名 *",
        "姓名必填", "姓名(必填项)", "*姓名(必填)", "姓名(必填)*", "姓名\uff1a", "\u2605姓名", "姓名\u3010必填\u3011", "3. 姓名(必填)(中文)",
    ],
)  # fmt: skip
def test_a_heading_is_known_whatever_is_put_around_it(heading):
    assert texts(workbook([[heading, "证件号码\n(18位)"], ["甲", "1"]])) == [(2, "甲", "1")]


@given(st.text(max_size=30))
def test_any_heading_is_known_or_not(heading):
    assert len(texts(workbook([["姓名", "证件号码", heading], ["甲", "1"]]))) == 1


def test_the_official_heading_is_preferred_to_one_further_left():
    assert texts(workbook([["身份证号", "医师姓名", "证件号码", "姓名"], ["2", "乙", "1", "甲"]])) == [(2, "甲", "1")]


def unused(*pages):
    report = sheets.Report()
    list(sheets.read(workbook(*pages), COLUMNS, NEEDED, report))
    return [(fault.row, fault.column, fault.reason) for fault in report.warnings]


def test_a_filled_column_that_is_not_read_is_told_once():
    page = [["标题"], ["序号", "姓名", "证件号码", "医师 星座", "空", "身份证号"], [1, "甲", "1", "", "", "1"], [2, "乙", "2", "狮子", "", ""]]
    assert unused(page, page) == [(2, "医师星座", "未使用该列"), (2, "身份证号", "未使用该列")]
    assert unused([["行", "列", "原因", "处理办法", *HEADER], [2, "姓名", "x", "y", "甲", "1"]]) == []


@pytest.mark.parametrize("cell", ["\u200b", "\u200b\u200e", "\x08", "'", "\u3000\ufeff", "\u00a0"])
def test_rows_of_characters_nobody_sees_are_empty(cell):
    assert texts(f"姓名,证件号码\n甲,1\n{cell},{cell}\n".encode()) == [(2, "甲", "1")]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("5'", "5'"), ("3'-5'", "3'-5'"), ("'x'", "'x'"), ("'0012", "0012"), ("'2024-09-01", "2024-09-01"), ("\u2018110101", "110101"), ("'甲 乙", "'甲 乙"),
        ("张\x00三", "张三"), ("张\u200b三\u202c", "张三"), ("甲\r\n乙", "甲\n乙"), ("甲\r乙", "甲\n乙"), ("甲\t乙", "甲\t乙"),
    ],
)  # fmt: skip
def test_only_excels_own_mark_and_what_nobody_sees_are_taken_off(cell, text):
    assert Row(2, {"name": cell}).text("name") == text


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
        (["合计", "6", "", ""], True), (["", "小 计", "", ""], True), (["填表人\uff1a李四", "", "", ""], True), (["注:级别填执业医师", "", "", ""], True),
        (["", "以下空白", "", ""], True), (["", "共12人", "", ""], True), (["7", "甲", "", ""], False), (["", "合计", "1", ""], False),
        (["", "注意", "", ""], False),
    ],
)  # fmt: skip
def test_what_stands_below_a_table_is_known(cells, foot):
    [row] = read(workbook([["序号", *HEADER, "日期"], [*cells[:3], "x"]]))
    assert row.is_foot("name", "number") is foot


@pytest.mark.parametrize(("cell", "lost"), [(1.40105197001054e17, True), (110140000000001.0, False), ("1.40105E+17", True), ("140105197001054000", False), ("", False), ("PDY1E17", False)])
def test_digits_that_excel_has_lost_are_noticed(cell, lost):
    assert Row(2, {"number": cell}).lost_digits("number") is lost


def test_a_header_alone_has_no_rows():
    assert read(workbook([["姓名", "证件号码"]])) == []


def test_cells_come_as_text_without_points_and_blanks():
    page = [["姓名", "证件号码", "日期", "备注"], [" 甲\u3000", 110101199003077571 // 1000, datetime(2024, 9, 1), "'x\u200b"], ["乙", 1.5, True, ""]]  # noqa: DTZ001
    first, second = read(workbook(page))
    assert [first.text(name) for name in ("name", "number", "day", "note")] == ["甲", "110101199003077", "2024-09-01", "x"]
    assert [second.text(name) for name in ("name", "number", "day", "note")] == ["乙", "1.5", "是", ""]
    assert second.text("absent") == ""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "gbk"])
@pytest.mark.parametrize("delimiter", [",", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_csv_is_read_in_the_encodings_excel_writes(encoding, delimiter, newline):
    text = newline.join(delimiter.join(cells) for cells in (("证件号码", "姓名"), ("1", '"甲,乙"'), ("", ""), ("2", "丙")))
    assert texts(text.encode(encoding)) == [(2, "甲,乙", "1"), (4, "丙", "2")]


def test_rare_characters_of_gb18030_survive():
    assert texts("姓名,证件号码\n𠮷䶮,1".encode("gb18030")) == [(2, "𠮷䶮", "1")]


def test_what_was_written_is_read_again_and_nothing_is_a_formula():
    cells = [("=1+1", "0012"), ("@x", "http://a.example"), ("-1", 7)]
    assert texts(sheets.write(("姓名", "证件号码"), cells)) == [(2, "=1+1", "0012"), (3, "@x", "http://a.example"), (4, "-1", "7")]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "空"),
        (OLD_EXCEL + bytes(600), ".xls"),
        (b"%PDF-1.7\n\0\0", "不是Excel"),
        (b"PK\x03\x04 and then nothing", "损坏"),
        (b"PK", "损坏"),
        (zipped(**{"a.txt": b"x"}), "损坏"),
        (zipped(**{"[Content_Types].xml": b"<", "xl/workbook.xml": b"<workbook>", "xl/worksheets/sheet1.xml": b"<"}), "损坏"),
        (b"\xff\xfe\xff\xff\xff", "编码"),
        ("姓名,电话\n甲,1".encode(), "证件号码"),
        (workbook([["甲", "1"]]), "姓名、证件号码"),
        (workbook([]), "姓名、证件号码"),
        (b"x" * 200_000, "CSV"),
    ],
)
def test_what_can_not_be_read_is_refused_with_a_sentence(content, told):
    with pytest.raises(Invalid, match=told):
        read(content)


def test_a_file_too_big_is_refused():
    with pytest.raises(TooLarge):
        read(b"PK" + bytes(sheets.MAX_BYTES))


@pytest.mark.parametrize("padding", [bytes(40_000_000), b" " * 12_000_000])
def test_a_bomb_is_refused_before_it_is_unpacked(padding):
    with pytest.raises(TooLarge):
        read(zipped(**{"xl/worksheets/sheet1.xml": padding}))


def test_a_bomb_that_hides_its_size_is_refused():
    with zipfile.ZipFile(io.BytesIO(workbook([["姓名", "证件号码"], ["甲", "1"]]))) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    page = "xl/worksheets/sheet1.xml"
    parts[page] = parts[page].replace(b"</sheetData>", b"</sheetData>" + b" " * 30_000_000)
    told, true = (1000).to_bytes(4, "little"), len(parts[page]).to_bytes(4, "little")
    bomb = zipped(**parts)
    assert bomb.count(true) == 2
    with pytest.raises(Refusal):
        read(bomb.replace(true, told))
    with pytest.raises(TooLarge):
        read(bomb)


def test_an_archive_of_thousands_of_parts_is_refused():
    with pytest.raises(TooLarge):
        read(zipped(**{f"part{number}": b"" for number in range(sheets.MAX_ENTRIES + 1)}))


SOUND = workbook([["姓名", "证件号码"], ["甲", "1"], ["乙", "2"]])


@given(st.lists(st.tuples(st.integers(2, len(SOUND) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_damaged_workbook_is_read_or_refused(changes):
    damaged = bytearray(SOUND)
    for position, byte in changes:
        damaged[position] = byte
    try:
        rows = read(bytes(damaged))
    except Refusal:
        return
    assert len(rows) <= 2


@given(st.integers(1, len(SOUND) - 1))
def test_a_workbook_cut_short_is_refused(length):
    with pytest.raises(Refusal):
        read(SOUND[:length])


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: f"姓名,证件号码\n{text}".encode()))
def test_any_bytes_are_read_or_refused(content):
    try:
        rows = read(content)
    except Refusal:
        return
    for row in rows:
        assert isinstance(row.text("name"), str)


@pytest.mark.parametrize(
    "cell",
    [
        "2024-09-01", "2024-9-1", "2024/9/1", "2024.9.1", "2024年9月1日", "2024年09月01日", "20240901", " 2024 - 09 - 01 ", "２０２４－０９－０１",
        "2024-09-01T00:00:00", "2024年9月", "2024-09", "202409", "2024\uff0c9\uff0c1", "2024\u30019\u30011", "2024\u20149\u20141", "45536", 2024.09, 202409.0, "2024-09-01 8\uff1a30", datetime(2024, 9, 1, 8, 30), date(2024, 9, 1), 45536, 45536.0, 45536.7, 20240901.0, "'2024-09-01",  # noqa: DTZ001
    ],
)  # fmt: skip
def test_a_day_is_understood_in_the_forms_people_write(cell):
    assert Row(2, {"day": cell}).day("day") == date(2024, 9, 1)


@pytest.mark.parametrize("cell", ["", "   ", None, "\u3000"])
def test_no_day_is_none(cell):
    assert Row(2, {"day": cell}).day("day") is None
    assert Row(2, {}).day("day") is None


@pytest.mark.parametrize("cell", ["2024-02-30", "2024-13-01", "去年", "2024", "1-2-3-4", True, -1.0, 1e9, "00000000", "年月日", float("inf"), float("nan"), 2010, 2010.0, 2010.1, 2010.13, "20105-05-01", 3653, "3653", 18263, "18263", 73051, "73051", "201013", "2010-01-01至2020-01-01"])
def test_what_is_no_day_raises_value_error(cell):
    with pytest.raises(ValueError):  # noqa: PT011
        Row(2, {"day": cell}).day("day")


@given(st.text() | st.floats() | st.integers() | st.booleans() | st.dates() | st.datetimes() | st.times() | st.timedeltas() | st.none())
def test_any_cell_is_a_day_or_none_or_value_error(cell):
    row = Row(2, {"day": cell})
    assert isinstance(row.text("day"), str)
    try:
        found = row.day("day")
    except ValueError:
        return
    assert found is None or type(found) is date


@given(st.dates(date(1950, 1, 1), date(2099, 12, 31)))
def test_a_date_cell_and_its_text_are_the_same_day(day):
    content = workbook([["姓名", "证件号码", "日期"], ["甲", "1", day], ["乙", "2", day.isoformat()], ["丙", "3", (day - sheets.EXCEL_ZERO).days]])
    assert [row.day("day") for row in read(content)] == [day, day, day]


def far_cell(reference: str) -> bytes:
    """A workbook of one cell at `reference`, which says it is small."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(sheets.write(("姓名",), [("甲",)]))) as source, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename == "xl/worksheets/sheet1.xml":
                row = "".join(c for c in reference if c.isdigit())
                extra = f'<row r="{row}"><c r="{reference}"><v>1</v></c></row></sheetData>'.encode()
                content = content.replace(b"</sheetData>", extra)
            made.writestr(entry.filename, content)
    return buffer.getvalue()


@pytest.mark.parametrize("reference", ["XFD1048576", "BI1048576", "XFD2000"])
def test_one_cell_in_a_far_corner_is_refused_before_it_is_laid_out(reference):
    with pytest.raises(TooLarge):
        list(sheets.read(far_cell(reference), {"name": ("姓名",)}, ["name"]))


def test_a_cell_somewhat_off_is_no_matter():
    assert len(list(sheets.read(far_cell("C5000"), {"name": ("姓名",)}, ["name"]))) == 1


@pytest.mark.parametrize("text", ["2024-09-01 00:00:00", "2024/9/1 8:30", "2024年9月1日", "2024-09-01T08:30:00", "2024 年 9 月 1 日", "2024.9.1"])
def test_a_date_with_a_time_is_the_date(text):
    assert sheets.Row(2, {"day": text}).day("day") == date(2024, 9, 1)


def test_one_long_text_in_very_many_cells_is_refused_before_it_is_read():
    book = io.BytesIO()
    with xlsxwriter.Workbook(book, {"in_memory": True}) as written:
        page = written.add_worksheet()
        page.write_row(0, 0, ["姓名", "备注"])
        for row in range(1, 40_000):
            page.write_string(row, 0, "某")
            page.write_string(row, 1, "长" * 32_000)
    with pytest.raises(TooLarge):
        list(sheets.read(book.getvalue(), {"name": ("姓名",)}, ["name"]))


@pytest.mark.parametrize("content", ["姓名,备注\n" + "\n" * 3_000_000, "姓名,备注\n" + "," * 2_000_000])
def test_a_csv_of_nothing_but_lines_or_cells_is_refused(content):
    with pytest.raises(TooLarge, match="过多"):
        list(sheets.read(content.encode(), {"name": ("姓名",)}, ["name"]))
