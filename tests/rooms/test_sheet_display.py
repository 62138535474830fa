"""What people see of a sheet is what is read of it: hidden rows, pictures, headings in two rows, in whatever
form the file is written."""

import io
import re
from datetime import date

import openpyxl
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.drawing.image import Image as SheetPicture
from PIL import Image

from dingkao.errors import InvalidInput, TooLarge
from dingkao.integrations.spreadsheets import import_rows, sheet_reader
from tests import workbook_builder as by_hand
from tests.rooms.sheet_reading import COLUMNS, HEADER, NEEDED, read, with_notes
from tests.workbook_builder import (
    STRUCK,
    SUB,
    SUP,
    WorkbookBuilder,
    error_cell,
    formula_cell,
    number_cell,
    rich_text_cell,
    text_cell,
)

pytestmark = pytest.mark.usefixtures("in_this_process")

# --- hidden rows and columns


@settings(max_examples=40)
@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_hidden_rows_are_not_read_and_told(hidden):
    sheet_rows = [HEADER, *([text_cell(f"甲{index}"), text_cell(str(index))] for index in range(len(hidden)))]
    book = WorkbookBuilder(
        sheet_rows, hidden=[index + 2 for index, is_hidden in enumerate(hidden) if is_hidden]
    )
    report = import_rows.ImportReport()
    if all(hidden):
        with pytest.raises(InvalidInput, match="筛选或隐藏"):
            read(book.content(), report)
        return
    assert [import_row.number - 2 for import_row in read(book.content(), report)] == [
        index for index, is_hidden in enumerate(hidden) if not is_hidden
    ]
    assert [fault.reason for fault in report.warnings] == [f"有{sum(hidden)}行被筛选或隐藏"] * any(hidden)


def test_rows_hidden_by_a_filter_of_xlsxwriter_are_not_read():
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        page = book.add_worksheet()
        for index, cells in enumerate([["姓名", "证件号码"], ["甲", "1"], ["乙", "2"]]):
            page.write_row(index, 0, cells)
        page.autofilter("A1:B3")
        page.filter_column("A", "x == 乙")
        page.set_row(1, options={"hidden": True})
    assert [import_row.text("name") for import_row in read(buffer.getvalue())] == ["乙"]


def test_a_hidden_column_is_read_and_told():
    report = import_rows.ImportReport()
    [import_row] = read(with_notes(text_cell("x"), hidden_columns=[(3, 3)]).content(), report)
    assert import_row.text("note") == "x"
    assert [(fault.column, fault.reason) for fault in report.warnings] == [("备注", "这一列是隐藏的")]


# --- pictures


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 8), st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=4))
def test_rows_that_pictures_lie_on_are_known_and_told(drawn):
    anchors = [(first, column, first + height, column) for first, column, height in drawn]
    book = WorkbookBuilder(
        [HEADER, *([text_cell(f"甲{index}"), text_cell(str(index))] for index in range(6))], anchors=anchors
    )
    report = import_rows.ImportReport()
    covered = {row_number for first, _, last, _ in anchors for row_number in range(first, last + 1)}
    assert {
        import_row.number for import_row in read(book.content(), report) if import_row.picture_columns
    } == covered & set(range(2, 8))
    assert [fault.reason for fault in report.warnings] == [f"表中有{len(anchors)}个图片或图形"]


def picture():
    buffer = io.BytesIO()
    Image.new("RGB", (40, 200)).save(buffer, "PNG")
    buffer.seek(0)
    return buffer


def test_pictures_texts_and_charts_of_libraries_are_known_and_notes_are_none():
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        page = book.add_worksheet()
        for index in range(12):
            page.write_row(index, 0, ["姓名", "证件号码"] if not index else ["甲", str(index)])
        page.insert_image("C3", "x.png", {"image_data": picture(), "y_scale": 0.05})
        page.insert_textbox("D6", "另有说明", {"height": 15})
        page.write_comment("A9", "批注")
    assert [import_row.number for import_row in read(buffer.getvalue()) if import_row.picture_columns] == [
        3,
        6,
    ]
    workbook = openpyxl.Workbook()
    for index in range(6):
        workbook.active.append(["姓名", "证件号码"] if not index else ["甲", str(index)])
    workbook.active.add_image(SheetPicture(picture()), "F4")
    buffer = io.BytesIO()
    workbook.save(buffer)
    assert [import_row.number for import_row in read(buffer.getvalue()) if import_row.picture_columns] == [4]


def test_an_equation_laid_over_the_cells_is_a_picture():
    corner = "<xdr:col>1</xdr:col><xdr:colOff>0</xdr:colOff><xdr:row>2</xdr:row><xdr:rowOff>5</xdr:rowOff>"
    objects = (
        '<oleObjects><oleObject progId="Equation.3" '
        f'shapeId="1025"><objectPr><anchor><from>{corner}</from><to>{corner}</to></anchor></objectPr></oleObject></oleObjects>'
    )
    book = WorkbookBuilder(
        [HEADER, [text_cell("甲"), text_cell("1")], [text_cell("乙"), text_cell("2")]], objects=objects
    )
    assert [import_row.number for import_row in read(book.content()) if import_row.picture_columns] == [3]


# --- headings


def test_headings_that_stand_in_two_rows_are_understood():
    top = [
        text_cell("序号"),
        text_cell("姓名"),
        text_cell("证件"),
        None,
        text_cell("机构"),
        None,
        text_cell("备注"),
    ]
    low = [None, None, text_cell("类型"), text_cell("号码"), text_cell("名称"), text_cell("登记号")]
    sheet_rows = [
        [text_cell("名单")],
        top,
        low,
        [
            number_cell(1),
            text_cell("甲"),
            text_cell("身份证"),
            text_cell("1"),
            text_cell("某医院"),
            text_cell("P1"),
            text_cell("x"),
        ],
    ]
    merged = ["A1:G1", "A2:A3", "B2:B3", "C2:D2", "E2:F2", "G2:G3"]
    for book in (
        WorkbookBuilder(sheet_rows, merged=merged),
        WorkbookBuilder(sheet_rows, merged=merged, prefix="x"),
        WorkbookBuilder(sheet_rows),
    ):
        [import_row] = read(book.content())
        assert [import_row.number, *(import_row.text(name) for name in ("name", "number", "note"))] == [
            4,
            "甲",
            "1",
            "x",
        ]
    assert read(WorkbookBuilder(sheet_rows, merged=merged).content())[0].text("place") == "某医院"


@settings(max_examples=60)
@given(st.data())
def test_a_header_is_found_however_its_headings_are_grouped(data):
    """Headings in one to three rows: each alone, merged downwards, or below groups merged to the right."""
    names = data.draw(st.permutations(["姓名", "证件号码", "备注", "日期", "序号"]))
    depth = data.draw(st.integers(1, 3))
    sheet_rows = [[None] * len(names) for _ in range(depth)]
    merged, place = [], 0
    while place < len(names):
        wide = data.draw(st.integers(1, len(names) - place))
        split = data.draw(st.integers(1, depth))
        if split == 1:
            wide = 1
        else:
            sheet_rows[0][place] = text_cell(f"第{place}组")
            if wide > 1 or split > 2:
                merged.append(f"{by_hand.column(place)}1:{by_hand.column(place + wide - 1)}{split - 1}")
        for index in range(place, place + wide):
            sheet_rows[split - 1][index] = text_cell(names[index])
            if split < depth:
                merged.append(f"{by_hand.column(index)}{split}:{by_hand.column(index)}{depth}")
        place += wide
    values = {
        "姓名": text_cell("甲"),
        "证件号码": text_cell("1"),
        "备注": text_cell("x"),
        "日期": text_cell("2015-06-19"),
        "序号": number_cell(1),
    }
    content = WorkbookBuilder([*sheet_rows, [values[name] for name in names]], merged=merged).content()
    [import_row] = read(content)
    assert [
        import_row.number,
        import_row.text("name"),
        import_row.text("number"),
        import_row.text("note"),
        import_row.date_value("day"),
    ] == [
        depth + 1,
        "甲",
        "1",
        "x",
        date(2015, 6, 19),
    ]


# --- forms of files


FORMS = [
    {}, {"prefix": "x"}, {"namespace": by_hand.STRICT}, {"row_numbers": False}, {"folder": "xl/elsewhere"}, {"folder": "odd/Deep/Folder"}, {"prefix": "main", "row_numbers": False},
]  # fmt: skip


@pytest.mark.parametrize("about", FORMS)
def test_a_workbook_is_read_in_whatever_form_it_is_written(about):
    sheet_rows = [
        HEADER,
        [text_cell("甲"), text_cell("1"), rich_text_cell(("a", ""), ("2", SUP)), number_cell(42174, 1)],
        [text_cell("乙"), number_cell(2), error_cell("#N/A"), None],
    ]
    book = WorkbookBuilder(
        sheet_rows, styles=[(0, 0), (14, 0)], merged=["A3:A3"], hidden=[], anchors=[(2, 9, 2, 9)], **about
    )
    first, second = read(book.content(), rich_text_columns=("note",))
    assert [first.text("name"), first.text("note"), first.date_value("day"), first.picture_columns] == [
        "甲",
        "a<sup>2</sup>",
        date(2015, 6, 19),
        True,
    ]
    assert [second.text("number"), second.problems["note"].reason, second.picture_columns] == [
        "2",
        "单元格是错误值#N/A",
        False,
    ]


@settings(max_examples=80)
@given(st.data())
def test_any_sheet_is_read_as_it_is_seen(data):
    """Cells of all kinds in any place: each is what is shown, or a flaw; quick and thorough reading agree."""
    kinds = [
        (text_cell("内科"), "内科"),
        (number_cell(3), "3"),
        (number_cell(0.85, 2), "85%"),
        (number_cell(7, 3), "007"),
        (None, ""),
        (error_cell("#N/A"), None),
        (formula_cell("A1"), None),
        (formula_cell("A1", "甲"), "甲"),
        (text_cell("作废", 4), None),
        (rich_text_cell(("a", ""), ("2", SUB)), "a<sub>2</sub>"),
        (number_cell(46086, 1), None),
        (number_cell(0.5, 5), None),
    ]
    cell_kinds = data.draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=10))
    formats = {
        "codes": ["000", "# ?/?"],
        "fonts": ["", STRUCK],
        "styles": [(0, 0), (58, 0), (9, 0), (164, 0), (0, 1), (165, 0)],
    }
    form = data.draw(st.sampled_from(FORMS))
    imported_rows = read(
        with_notes(*(cell for cell, _ in cell_kinds), **formats, **form).content(),
        rich_text_columns=("note",),
    )
    assert [
        None if "note" in import_row.problems else import_row.text("note") for import_row in imported_rows
    ] == [text for _, text in cell_kinds]


@pytest.mark.parametrize("reference", ["XFD1048576", "BI1048576", "XFD2000"])
@pytest.mark.parametrize("about", FORMS[:3] + FORMS[4:6])
def test_one_cell_in_a_far_corner_is_refused_wherever_the_sheet_lies(reference, about):
    text = re.sub("[A-Z]", "", reference)
    book = WorkbookBuilder([HEADER, [text_cell("甲"), text_cell("1")]], objects="", **about)
    prefix = f"{about['prefix']}:" if "prefix" in about else ""
    far = (
        f'<{prefix}row r="{text}"><{prefix}c '
        f'r="{reference}"><{prefix}v>1</{prefix}v></{prefix}c></{prefix}row></{prefix}sheetData>'
    )
    book.more = {f"{book.folder}/sheet1.xml": book._sheet().replace(f"</{prefix}sheetData>", far)}
    with pytest.raises(TooLarge):
        read(book.content())


def test_many_rows_are_read_by_the_row():
    """A small twin of the measured 400,000: nothing is laid out, rows come while the sheet is read."""
    sheet_rows = [
        HEADER,
        *(
            [
                text_cell(f"甲{index}"),
                text_cell(str(index)),
                text_cell("内科"),
                number_cell(40000 + index % 3000),
            ]
            for index in range(20_000)
        ),
    ]
    content = WorkbookBuilder(sheet_rows).content()
    imported_rows = sheet_reader.read_rows(content, COLUMNS, NEEDED)
    assert next(imported_rows).text("name") == "甲0"
    assert sum(1 for _ in imported_rows) == 19_999
