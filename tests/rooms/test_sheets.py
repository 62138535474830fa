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


def test_the_first_page_with_the_header_is_read():
    assert texts(workbook([["说明"], ["请看下一页"]], [["姓名", "证件号码"], ["甲", "1"]], [["姓名", "证件号码"], ["乙", "2"]])) == [(2, "甲", "1")]


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
        "2024-09-01T00:00:00", "2024年9月", "2024-09", datetime(2024, 9, 1, 8, 30), date(2024, 9, 1), 45536, 45536.0, 45536.7, 20240901.0, "'2024-09-01",  # noqa: DTZ001
    ],
)  # fmt: skip
def test_a_day_is_understood_in_the_forms_people_write(cell):
    assert Row(2, {"day": cell}).day("day") == date(2024, 9, 1)


@pytest.mark.parametrize("cell", ["", "   ", None, "\u3000"])
def test_no_day_is_none(cell):
    assert Row(2, {"day": cell}).day("day") is None
    assert Row(2, {}).day("day") is None


@pytest.mark.parametrize("cell", ["2024-02-30", "2024-13-01", "去年", "2024", "1-2-3-4", True, -1.0, 1e9, "00000000", "年月日", float("inf"), float("nan")])
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


@given(st.dates(date(1900, 3, 1), date(2100, 1, 1)))
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
