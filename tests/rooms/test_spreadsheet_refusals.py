"""Files that are no table, damaged or too large: read or refused with a sentence; never a crash."""

import io
import random
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dingkao.errors import InvalidInput, Refusal, TooLarge
from dingkao.integrations.spreadsheets import (
    sheet_reader,
    table_opening,
    xlsx,
    xlsx_writer,
)
from tests import malicious_workbooks
from tests.rooms.test_spreadsheets import read, workbook

pytestmark = pytest.mark.usefixtures("in_this_process")

OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def zipped(**parts):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "空"),
        (OLD_EXCEL + bytes(600), ".xls"),
        (b"%PDF-1.7\n\0\0", "不是Excel"),
        (b"PK\x03\x04 and then nothing", "损坏"),
        (b"PK", "损坏"),
        (zipped(**{"a.txt": b"x"}), "损坏"),
        (
            zipped(
                **{
                    "[Content_Types].xml": b"<",
                    "xl/workbook.xml": b"<workbook>",
                    "xl/worksheets/sheet1.xml": b"<",
                }
            ),
            "损坏",
        ),
        (b"\xff\xfe\xff\xff\xff", "编码"),
        ("姓名,电话\n甲,1".encode(), "证件号码"),
        (workbook([["甲", "1"]]), "姓名、证件号码"),
        (workbook([]), "姓名、证件号码"),
        (b"x" * 200_000, "CSV"),
    ],
)
def test_what_can_not_be_read_is_refused_with_a_sentence(content, told):
    with pytest.raises(InvalidInput, match=told):
        read(content)


def test_a_file_too_big_is_refused():
    with pytest.raises(TooLarge):
        read(b"PK" + bytes(table_opening.MAX_IMPORT_FILE_BYTES))


@pytest.mark.parametrize("padding", [bytes(40_000_000), b" " * 12_000_000])
def test_a_bomb_is_refused_before_it_is_unpacked(padding):
    with pytest.raises(TooLarge):
        read(zipped(**{"xl/worksheets/sheet1.xml": padding}))


def test_a_bomb_that_hides_its_size_is_refused():
    with zipfile.ZipFile(io.BytesIO(workbook([["姓名", "证件号码"], ["甲", "1"]]))) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    page = "xl/worksheets/sheet1.xml"
    parts[page] = parts[page].replace(b"</sheetData>", b"</sheetData>" + b" " * 30_000_000)
    claimed_size, true = (1000).to_bytes(4, "little"), len(parts[page]).to_bytes(4, "little")
    bomb = zipped(**parts)
    assert bomb.count(true) == 2
    with pytest.raises(Refusal):
        read(bomb.replace(true, claimed_size))
    with pytest.raises(TooLarge):
        read(bomb)


def test_an_archive_of_thousands_of_parts_is_refused():
    with pytest.raises(TooLarge):
        read(zipped(**{f"part{number}": b"" for number in range(xlsx.MAX_ENTRIES + 1)}))


SOUND = workbook([["姓名", "证件号码"], ["甲", "1"], ["乙", "2"]])


@given(st.lists(st.tuples(st.integers(2, len(SOUND) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_damaged_workbook_is_read_or_refused(changes):
    damaged = bytearray(SOUND)
    for position, byte in changes:
        damaged[position] = byte
    try:
        sheet_rows = read(bytes(damaged))
    except Refusal:
        return
    assert len(sheet_rows) <= 2


@given(st.integers(1, len(SOUND) - 1))
def test_a_workbook_cut_short_is_refused(length):
    with pytest.raises(Refusal):
        read(SOUND[:length])


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: f"姓名,证件号码\n{text}".encode()))
def test_any_bytes_are_read_or_refused(content):
    try:
        sheet_rows = read(content)
    except Refusal:
        return
    for import_row in sheet_rows:
        assert isinstance(import_row.text("name"), str)


def far_cell(reference: str) -> bytes:
    """A workbook of one cell at `reference`, which says it is small."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(xlsx_writer.write_xlsx(("姓名",), [("甲",)]))) as source,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zip_file,
    ):
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename == "xl/worksheets/sheet1.xml":
                row_digits = "".join(c for c in reference if c.isdigit())
                extra = f'<row r="{row_digits}"><c r="{reference}"><v>1</v></c></row></sheetData>'.encode()
                content = content.replace(b"</sheetData>", extra)
            zip_file.writestr(entry.filename, content)
    return buffer.getvalue()


@pytest.mark.parametrize("reference", ["XFD1048576", "BI1048576", "XFD2000"])
def test_one_cell_in_a_far_corner_is_refused_before_it_is_laid_out(reference):
    with pytest.raises(TooLarge):
        list(sheet_reader.read_rows(far_cell(reference), {"name": ("姓名",)}, ["name"]))


def test_a_cell_somewhat_off_is_no_matter():
    assert len(list(sheet_reader.read_rows(far_cell("C5000"), {"name": ("姓名",)}, ["name"]))) == 1


def test_one_long_text_in_very_many_cells_is_refused_before_it_is_read():
    rows_xml = "".join(
        f'<row r="{index}"><c r="A{index}" t="s"><v>0</v></c><c r="B{index}" t="s"><v>1</v></c></row>'
        for index in range(2, 40_001)
    )
    texts = f'<sst xmlns="{malicious_workbooks.MAIN}"><si><t>某</t></si><si><t>{"长" * 32_000}</t></si></sst>'
    book = malicious_workbooks.workbook(
        random.Random(1),  # noqa: S311
        malicious_workbooks.workbook_of_rows(rows_xml),
        xl__strings_xml=texts,
    )
    with pytest.raises(TooLarge):
        list(sheet_reader.read_rows(book, {"name": ("姓名",)}, ["name"]))


@pytest.mark.parametrize("number", ["-1", "2"])
def test_a_shared_text_that_is_not_there_is_refused(number):
    rows_xml = "".join(
        f'<row r="{row_number}"><c r="A{row_number}" t="s"><v>{index}</v></c></row>'
        for row_number, index in ((2, "0"), (3, "1"), (4, number))
    )
    texts = f'<sst xmlns="{malicious_workbooks.MAIN}"><si><t>王某</t></si><si><t>李某</t></si></sst>'
    book = malicious_workbooks.workbook(
        random.Random(1),  # noqa: S311
        malicious_workbooks.workbook_of_rows(rows_xml),
        xl__strings_xml=texts,
    )
    with pytest.raises(InvalidInput, match="已损坏"):
        list(sheet_reader.read_rows(book, {"name": ("姓名",)}, ["name"]))


def test_a_shared_text_that_was_damaged_is_noticed_however_few_are_needed():
    texts = ["王某", *(f"第{index}项" for index in range(20_000))]
    items = "".join(f"<si><t>{text}</t></si>" for text in texts)
    book = malicious_workbooks.workbook(
        random.Random(1),  # noqa: S311
        malicious_workbooks.workbook_of_rows('<row r="2"><c r="A2" t="s"><v>0</v></c></row>'),
        xl__strings_xml=f'<sst xmlns="{malicious_workbooks.MAIN}">{items}</sst>',
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as source, zipfile.ZipFile(buffer, "w") as uncompressed:
        for name in source.namelist():
            uncompressed.writestr(name, source.read(name))
    damaged = buffer.getvalue().replace("王某".encode(), "玉某".encode())
    with pytest.raises(InvalidInput, match="已损坏"):
        list(sheet_reader.read_rows(damaged, {"name": ("姓名",)}, ["name"]))


@pytest.mark.parametrize("content", ["姓名,备注\n" + "\n" * 3_000_000, "姓名,备注\n" + "," * 200_000])
def test_a_csv_of_nothing_but_lines_or_cells_is_refused(content):
    with pytest.raises(TooLarge, match="过多"):
        list(sheet_reader.read_rows(content.encode(), {"name": ("姓名",)}, ["name"]))
