"""What people see in a cell is what is read of it, or the cell is named and why it can't be read; no value
isn't «empty»."""

import io
import re
from datetime import date

import openpyxl
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from dingkao.exams import score_rows
from dingkao.integrations.spreadsheets.number_formats import (
    NotDisplayable,
    format_general,
    parse_number_format,
)
from tests import workbook_builder as by_hand
from tests.rooms.sheet_reading import HEADER, notes, read, with_notes
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

# --- numbers as they are shown


DISPLAYED_VALUES = [
    ("0%", 0.85, "85%"), ("0.00%", 0.8555, "85.55%"), ("000", 7, "007"), ("#,##0", 1234567, "1,234,567"), ("#,##0.00", 1234.5, "1,234.50"),
    ("0.00E+00", 123456, "1.23E+05"), ("0.00E+00", 0.000123, "1.23E-04"), ("##0.0E+0", 12345, "12.3E+3"), ("0", 59.5, "60"), ("0.0", 59.45, "59.5"),
    ("0.00", 1.005, "1.01"), ('0"分"', 85, "85分"), ('[=1]"男";[=2]"女"', 2, "女"), ("000-0000", 5551234, "555-1234"), ('0000"年"00"月"', 201506, "2015年06月"),
    ("#.##", 5, "5."), ("0.0,", 12345, "12.3"), ('_ * #,##0.00_ ;_ * -#,##0.00_ ;_ * "-"??_ ;_ @_ ', 1234.5, "1,234.50"), ("0_);(0)", -5, "(5)"),
    ("0", -5, "-5"), ("[Red]0.0", 5.25, "5.3"), ("0.0", -0.04, "0.0"), ("[$¥-804]#,##0.00", 1234.5, "¥1,234.50"), ("0,000", 5, "0,005"),
    ("General", 59.400000000000006, "59.4"), ("General", 0.1 + 0.2, "0.3"), ("General", 1 / 3, "0.333333333"), ("General", 13800000001, "13800000001"),
    ("@", 140105199001, "140105199001"), ("General", 0.0000123, "1.23E-05"), ("General", 1.5e20, "1.5E+20"), ("0.00", 59.999, "60.00"),
]  # fmt: skip
NOT_SHOWN = [
    ("# ?/?", 0.5),
    ("[DBNum1]0", 5),
    (";;;", 5),
    ("0;-0;", 0),
    ("#", 0),
    ("[>5]0", 3),
    ("0" + "%" * 30, 5),
]


@pytest.mark.parametrize(("code", "value", "text"), DISPLAYED_VALUES)
def test_a_number_is_read_as_its_format_shows_it(code, value, text):
    assert notes(with_notes(number_cell(value, 1), codes=[code], styles=[(0, 0), (164, 0)])) == [text]


@pytest.mark.parametrize(("code", "value"), NOT_SHOWN)
def test_a_number_whose_format_is_not_understood_or_hides_it_names_its_cell(code, value):
    assert notes(with_notes(number_cell(value, 1), codes=[code], styles=[(0, 0), (164, 0)])) == [
        "单元格按所设的格式显示的内容无法读取"
    ]


@given(st.integers(0, 6), st.integers(0, 10**12), st.booleans(), st.booleans())
def test_any_number_in_a_plain_format_is_the_number_rounded(decimals, thousandths, grouped, percent):
    value = thousandths / 1000
    code = ("#,##0" if grouped else "0") + ("." + "0" * decimals if decimals else "") + "%" * percent
    displayed = parse_number_format(code).format_number(value).replace(",", "").removesuffix("%")
    assert re.fullmatch(r"[0-9]+" + (rf"\.[0-9]{{{decimals}}}" if decimals else ""), displayed)
    assert (
        abs(float(displayed) / (100 if percent else 1) - value)
        <= 0.5 / 10**decimals / (100 if percent else 1) + value * 1e-14
    )


@given(
    st.text('0#?,.%E+-/@;[]"\\_*年ymdhs =<>19General ¥', max_size=16),
    st.floats(allow_nan=True, allow_infinity=True),
)
def test_any_format_shows_something_or_says_that_it_does_not(code, value):
    try:
        displayed = parse_number_format(code).format_number(value)
    except NotDisplayable:
        return
    assert displayed == displayed.strip() != ""


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_in_general_is_the_number_to_nine_digits(value):
    assert float(format_general(value)) == pytest.approx(value, rel=1e-5)
    if value == int(value) and abs(value) < 1e15:
        assert format_general(value) == str(int(value))


@given(st.integers(0, 1000))
def test_a_number_with_noise_is_the_number_that_was_typed(tenths):
    for noisy in (tenths / 10, tenths * 0.1, (tenths + 10) / 10 - 1):
        assert score_rows._tenths(format_general(noisy)) == tenths
        assert score_rows._tenths(repr(noisy)) == tenths


def test_words_in_a_format_of_words_are_read_with_them():
    codes = ['@"科"', '0;-0;0;"(保密)"', "0;-0;0;", "General"]
    cells = [text_cell("内", 1), text_cell("内", 2), text_cell("内", 3), text_cell("内", 4)]
    unread = "单元格按所设的格式显示的内容无法读取"
    assert notes(
        with_notes(*cells, codes=codes, styles=[(0, 0), *((164 + index, 0) for index in range(4))])
    ) == ["内科", unread, unread, "内"]


def test_digits_of_what_a_number_names_are_read_without_separators():
    book = WorkbookBuilder(
        [
            HEADER,
            *([text_cell("甲"), number_cell(13800000001, style)] for style in (0, 1, 2, 3)),
            [text_cell("甲"), number_cell(7, 4)],
        ],
        styles=[(0, 0), (3, 0), (11, 0), (2, 0), (164, 0)],
        codes=["00000000"],
    )
    assert [import_row.text("number") for import_row in read(book.content(), code_columns=("number",))] == [
        "13800000001"
    ] * 4 + ["00000007"]
    assert [import_row.text("number") for import_row in read(book.content())] == [
        "13800000001",
        "13,800,000,001",
        "1.38E+10",
        "13800000001.00",
        "00000007",
    ]


# --- days


DATES = ["m-d", 'm"月"d"日"', "h:mm", "[h]:mm", "d", "yyyy", "mmm", 16, 18, 20, 28, 45, 58]
DAYS = [
    "yyyy-mm-dd",
    'yyyy"年"m"月"d"日"',
    'yyyy"年"m"月"',
    "[$-804]yyyy/m/d;@",
    "yy-m-d",
    "mmm-yy",
    "[$-F800]dddd\\,\\ mmmm\\ dd\\,\\ yyyy",
    14,
    17,
    22,
    27,
    31,
    57,
]


def styled(code):
    return (
        {"codes": [code], "styles": [(0, 0), (164, 0)]}
        if isinstance(code, str)
        else {"styles": [(0, 0), (code, 0)]}
    )


@pytest.mark.parametrize("code", [*DATES, *DAYS])
def test_a_date_where_none_is_looked_for_names_its_cell(code):
    assert notes(with_notes(number_cell(46086, 1), **styled(code))) == ["单元格是日期或时间"]


@pytest.mark.parametrize("since_1904", [False, True])
@pytest.mark.parametrize("code", [*DAYS, "General", "0", "@"])
def test_a_day_is_read_by_the_system_of_its_book(code, since_1904):
    serial = 42174 - 1462 * since_1904
    book = WorkbookBuilder(
        [
            HEADER,
            [text_cell("甲"), text_cell("1"), None, number_cell(serial, 1)],
            [text_cell("乙"), text_cell("2"), None, text_cell(str(serial))],
        ],
        since_1904=since_1904,
        **styled(code),
    )
    assert [import_row.date_value("day") for import_row in read(book.content())] == [date(2015, 6, 19)] * 2


@pytest.mark.parametrize("code", DATES)
def test_a_day_without_its_year_is_none(code):
    [import_row] = read(
        WorkbookBuilder(
            [HEADER, [text_cell("甲"), text_cell("1"), None, number_cell(46086, 1)]], **styled(code)
        ).content()
    )
    assert import_row.problems["day"].reason == "单元格是日期或时间"


@given(st.dates(date(1950, 1, 1), date(2099, 12, 31)), st.booleans(), st.floats(0, 0.99))
def test_any_day_is_the_same_in_both_systems(day, since_1904, part):
    zero = date(1904, 1, 1) if since_1904 else date(1899, 12, 30)
    book = WorkbookBuilder(
        [HEADER, [text_cell("甲"), text_cell("1"), None, number_cell((day - zero).days + part, 1)]],
        since_1904=since_1904,
        styles=[(0, 0), (14, 0)],
    )
    [import_row] = read(book.content())
    assert import_row.date_value("day") == day


# --- words in types


@pytest.mark.parametrize(
    ("cell", "marked"),
    [
        (rich_text_cell(("(100~300)×10", ""), ("9", SUP), ("/L", "")), "(100~300)×10<sup>9</sup>/L"),
        (rich_text_cell(("PaCO", "<b/>"), ("2", SUB)), "PaCO<sub>2</sub>"),
        (rich_text_cell(("2", ""), ("5", SUP)), "2<sup>5</sup>"),
        (
            rich_text_cell(("H", ""), ("2", SUB), ("PO", ""), ("4", SUB), ("3-", SUP)),
            "H<sub>2</sub>PO<sub>4</sub><sup>3-</sup>",
        ),
        (rich_text_cell(("10", ""), ("1", SUP), ("2", SUP + "<b/>")), "10<sup>12</sup>"),
        (rich_text_cell(("甲", ""), ("  ", SUP), ("乙", "")), "甲  乙"),
        (rich_text_cell(("甲", "<b/>"), ("乙", '<vertAlign val="baseline"/>')), "甲乙"),
        (text_cell("9", 1), "<sup>9</sup>"),
        (number_cell(9, 1), "<sup>9</sup>"),
        (rich_text_cell(("甲", '<strike val="0"/>'), ("乙", STRUCK.replace("/", ' val="false"/'))), "甲乙"),
        (rich_text_cell(("9", "<b/>"), style=1), "9"),
        (text_cell("a_x000D_\nb_x005F_x0041_"), "a\nb_x0041_"),
    ],
)
def test_raised_words_are_marked_where_marks_may_be(cell, marked):
    formats = {"fonts": ["", SUP], "styles": [(0, 0), (0, 1)]}
    assert notes(with_notes(cell, **formats), rich_text_columns=("note",)) == [marked]
    assert notes(with_notes(cell, **formats)) == (["单元格里有上标或下标"] if "<s" in marked else [marked])


@pytest.mark.parametrize(
    "cell",
    [
        rich_text_cell(("10", ""), ("<9", SUP)),
        rich_text_cell(("10", ""), ("9" * 300, SUP)),
        rich_text_cell(("10", ""), ("9\n9", SUP)),
    ],
)
def test_raised_words_that_no_mark_can_hold_name_their_cell(cell):
    assert notes(with_notes(cell), rich_text_columns=("note",)) == ["单元格里有上标或下标"]


@pytest.mark.parametrize(
    "cell",
    [
        rich_text_cell(("甲", STRUCK)),
        rich_text_cell(("甲", ""), ("乙", STRUCK)),
        text_cell("甲", 1),
        number_cell(5, 1),
        number_cell(46086, 2),
        rich_text_cell(("甲", ""), style=1),
    ],
)
def test_what_is_struck_out_names_its_cell(cell):
    book = with_notes(cell, fonts=["", STRUCK], styles=[(0, 0), (0, 1), (14, 1)])
    assert notes(book, rich_text_columns=("note",), date_columns=None) == [
        "单元格里有加了删除线的文字，不知是否作废"
    ]


RUNS = st.lists(
    st.tuples(
        st.text("甲乙b9 ", min_size=1, max_size=4),
        st.sampled_from(["", "<b/>", SUP, SUB, STRUCK, '<strike val="0"/>']),
    ),
    min_size=1,
    max_size=6,
)


@given(RUNS, st.booleans())
def test_any_words_in_types_are_marked_or_name_their_cell(runs, shared):
    cell = rich_text_cell(*runs)
    book = with_notes(cell)
    if shared:
        item = re.search("<is>(.*)</is>", cell)[1]
        book = with_notes('<c r="@" t="s"><v>0</v></c>')
        book.more = {
            "xl/sharedStrings.xml": f'<sst xmlns="{by_hand.MAIN}"><si>{item}</si></sst>',
            "xl/_rels/workbook.xml.rels": by_hand._relations(
                ("rId7", "x/worksheet", "worksheets/sheet1.xml"),
                ("rId8", "x/styles", "styles.xml"),
                ("rId9", "x/sharedStrings", "sharedStrings.xml"),
            ),
        }
    [note] = notes(book, rich_text_columns=("note",))
    if any(font == STRUCK and text.strip() for text, font in runs):
        assert note == "单元格里有加了删除线的文字，不知是否作废"
        return
    plain = "".join(text for text, _ in runs)
    assert re.sub("</?su[bp]>", "", note) == plain.strip()
    raised = "".join(text for text, font in runs if font in (SUP, SUB) and text.strip())
    assert "".join(re.findall("<su[bp]>(.*?)</su[bp]>", note)).replace(" ", "") == raised.replace(" ", "")


# --- no value isn't empty


NO_VALUES = [
    *((error_cell(name), f"单元格是错误值{name}") for name in ("#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!")),
    *((text_cell(name), f"单元格是错误值{name}") for name in ("#N/A", "#REF!", " #VALUE! ".strip(), "Err:502")),
    (formula_cell("A1"), "单元格的公式没有保存计算结果"), (formula_cell("A1", "", kind=""), "单元格的公式没有保存计算结果"),
    (formula_cell("A1", "#N/A", "e"), "单元格是错误值#N/A"), (formula_cell('_xlfn.DISPIMG("ID_1",1)', '=DISPIMG("ID_1",1)'), "单元格里是图片"),
    (text_cell('=DISPIMG("ID_1",1)'), "单元格里是图片"), ('<c r="@" t="e" vm="1"><v>#VALUE!</v></c>', "单元格里是图片"),
    (formula_cell("_xlfn.IMAGE(A1)", "#VALUE!", "e"), "单元格里是图片"),
]  # fmt: skip


@pytest.mark.parametrize(("cell", "reason"), NO_VALUES)
def test_a_cell_without_value_is_not_empty_but_none_and_says_why(cell, reason):
    [import_row] = read(with_notes(cell).content())
    assert "note" not in import_row.cells
    assert import_row.problems["note"].reason == reason


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (formula_cell("A1", "甲"), "甲"),
        (formula_cell("A1", ""), ""),
        (formula_cell("1+1", "2", ""), "2"),
        (formula_cell("A1", "1", "b"), "是"),
        (None, ""),
    ],
)
def test_a_formulas_result_is_its_value(cell, text):
    [import_row] = read(with_notes(cell).content())
    assert (import_row.text("note"), dict(import_row.problems)) == (text, {})


@pytest.mark.parametrize(("value", "read_"), [("0", "单元格的公式没有保存计算结果"), ("7", "7")])
def test_a_nought_that_waits_to_be_calculated_is_no_result(value, read_):
    assert notes(with_notes(formula_cell("A1", value, ""), stale=True)) == [read_]
    assert notes(with_notes(formula_cell("A1", value, ""))) == [value]


def test_what_openpyxl_and_xlsxwriter_write_of_formulas_is_no_result():
    book = openpyxl.Workbook()
    for cells in (["姓名", "证件号码", "备注"], ["甲", "1", '="主治"&"医师"']):
        book.active.append(cells)
    buffer = io.BytesIO()
    book.save(buffer)
    recalculated = io.BytesIO()
    with xlsxwriter.Workbook(recalculated, {"in_memory": True}) as workbook:
        page = workbook.add_worksheet()
        page.write_row(0, 0, ["姓名", "证件号码", "备注"])
        page.write_row(1, 0, ["甲", "1", '="主治"&"医师"'])
    for content in (buffer.getvalue(), recalculated.getvalue()):
        [import_row] = read(content)
        assert import_row.problems["note"].reason == "单元格的公式没有保存计算结果"


@settings(max_examples=60)
@given(st.data())
def test_cells_merged_downwards_say_the_same_in_each_row(data):
    count = data.draw(st.integers(2, 12))
    areas, expected, cells = [], [], []
    while len(cells) < count:
        height = data.draw(st.integers(1, min(4, count - len(cells))))
        word = data.draw(st.sampled_from(["内科", "外科", None]))
        if height > 1:
            areas.append(f"C{len(cells) + 2}:C{len(cells) + height + 1}")
        cells += [text_cell(word) if word else None, *[None] * (height - 1)]
        expected += [word or ""] * height
    assert notes(with_notes(*cells, merged=areas)) == expected


def test_merged_cells_below_the_last_row_make_no_rows_and_carry_flaws_with_them():
    sheet_rows = [
        HEADER,
        [text_cell("甲"), text_cell("1"), error_cell("#N/A")],
        [text_cell("乙"), text_cell("2")],
        [None, None, None, None, text_cell("x")],
    ]
    imported_rows = read(WorkbookBuilder(sheet_rows, merged=["C2:C4"]).content())
    assert [(import_row.number, import_row.problems["note"].reason) for import_row in imported_rows] == [
        (2, "单元格是错误值#N/A"),
        (3, "单元格是错误值#N/A"),
    ]


def test_a_cell_merged_into_the_one_at_its_left_is_not_empty():
    [import_row] = read(
        WorkbookBuilder(
            [HEADER, [text_cell("甲"), text_cell("1"), text_cell("内科")]], merged=["C2:D2"]
        ).content()
    )
    assert (import_row.text("note"), import_row.problems["day"].reason) == (
        "内科",
        "单元格与左边的单元格合并，没有自己的内容",
    )
