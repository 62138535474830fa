"""Rows in Excel's own form, which are taken apart by expressions, give what the parser gives of the same rows,
which are sent to it by a namespace prefix."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dingkao.integrations.spreadsheets import xlsx
from dingkao.integrations.spreadsheets.cells import UNREADABLE, DamagedFile, ExpandsTooLarge
from tests import workbook_builder as by_hand
from tests.workbook_builder import STRUCK, SUP, WorkbookBuilder, number_cell, rich_text_cell, text_cell

CODES = ("[odd]@", "@", "0.00", "yyyy-mm-dd", ";;;", '@"人"', "[DBNum1]0", "h:mm", "0%")
STYLES = (
    (0, 0), *((164 + index, 0) for index in range(len(CODES))), (0, 1), (0, 2), (165, 1), (166, 2),
)  # fmt: skip
SHARED_STRINGS = ("甲", "", "_x0041_b", "#N/A", " 乙 ")


def workbook(rows):
    """A workbook of `rows`, with every style and shared string."""
    items = "".join(f'<si><t xml:space="preserve">{text}</t></si>' for text in SHARED_STRINGS)
    rich = f"<si><r><rPr>{SUP}</rPr><t>2</t></r><r><t>m</t></r></si>"
    parts = {
        "xl/sharedStrings.xml": f'<sst xmlns="{by_hand.MAIN}">{items}{rich}</sst>',
        "xl/_rels/workbook.xml.rels": by_hand._relations(
            ("rId7", "x/worksheet", "worksheets/sheet1.xml"),
            ("rId8", "x/styles", "styles.xml"),
            ("rId9", "x/sharedStrings", "sharedStrings.xml"),
        ),
    }
    return WorkbookBuilder(rows, codes=CODES, fonts=("", STRUCK, SUP), styles=STYLES, more=parts)


def contents(book):
    """What is read of a workbook: each row with its cells in their order; nothing of a damaged one."""
    try:
        return [
            (row.number, [(place, type(cell), cell) for place, cell in row.cells.items()])
            for table in xlsx.read_sheets(book.content(), str)
            for row in table.lines
        ]
    except DamagedFile:
        return None


def contents_both_ways(rows):
    """What is read of `rows` as Excel writes them, and by the parser."""
    book = workbook(rows)
    return contents(book), contents(replace(book, prefix="x"))


def typed_cell(kind, style, inside):
    marked = f' t="{kind}"' if kind else ""
    return f'<c r="@" s="{style}"{marked}>{inside}</c>'


TEXTS = st.text("甲b1 _xA0=#<&>\n", max_size=5)
STYLE_NUMBERS = st.integers(0, len(STYLES))
NUMBERS = st.one_of(
    st.integers(-9, 60000),
    st.floats(allow_nan=False).map(repr),
    st.sampled_from(
        ["1E999", "-1E999", "NaN", "INF", "inf", "1_0", " 1", "1e5", "+1", "-0", ".5", "5.", "--1"]
    ),
)
INDEXES = st.sampled_from([*range(len(SHARED_STRINGS) + 1), "", "1.0", "99", "-1"])
VALUES = st.sampled_from(["", "<v/>", "<v></v>", "<v>1</v>"])
INLINE_TEXTS = st.sampled_from(["", "<is/>", "<is><t/></is>", "<is><t></t></is>", "<is><t>甲</t></is>"])
CELLS = st.one_of(
    st.none(),
    st.builds(text_cell, TEXTS, STYLE_NUMBERS),
    st.builds(number_cell, NUMBERS, STYLE_NUMBERS),
    st.builds(lambda index, style: typed_cell("s", style, f"<v>{index}</v>"), INDEXES, STYLE_NUMBERS),
    st.builds(
        lambda kind, style, value, inline: typed_cell(kind, style, value + inline),
        st.sampled_from(["", "n", "s", "inlineStr", "str", "b", "e"]), STYLE_NUMBERS, VALUES, INLINE_TEXTS,
    ),
    st.builds(lambda text: rich_text_cell((text, SUP), ("2", "")), st.text("甲b ", max_size=2)),
)  # fmt: skip


@settings(max_examples=120)
@given(st.lists(st.lists(CELLS, max_size=3), min_size=1, max_size=3))
def test_any_rows_give_what_the_parser_gives_of_them(rows):
    plain, parsed = contents_both_ways(rows)
    assert plain == parsed


@pytest.mark.parametrize(
    ("cell", "seen"),
    [
        (number_cell("1E999"), UNREADABLE),
        (number_cell("-1E999"), UNREADABLE),
        (number_cell("1E5"), 100000.0),
        (text_cell("甲", 1), UNREADABLE),
        (typed_cell("s", 1, "<v>0</v>"), UNREADABLE),
        (typed_cell("s", 2, "<v>0</v>"), "甲"),
        (text_cell("甲\r\n乙"), "甲\n乙"),
    ],
)
def test_a_cell_is_read_as_its_style_shows_it_either_way(cell, seen):
    for cells in contents_both_ways([[cell]]):
        assert cells == [(1, [(0, type(seen), seen)])]


def test_an_empty_text_is_no_cell_either_way():
    for cell in (text_cell(""), typed_cell("n", 0, "<v/>"), typed_cell("s", 0, "<is><t>甲</t></is>")):
        assert contents_both_ways([[cell]]) == ([], [])


def test_cells_out_of_their_order_are_put_in_it_either_way():
    cells = [number_cell(place).replace("@", f"{letter}1") for place, letter in enumerate("CAB")]
    expected = [(1, [(0, float, 1.0), (1, float, 2.0), (2, float, 0.0)])]
    assert contents_both_ways([cells]) == (expected, expected)


@pytest.mark.parametrize("prefix", ["", "x"])
@pytest.mark.parametrize("cell", [text_cell("甲" * 60), typed_cell("s", 0, "<v>4</v>")])
def test_every_text_of_a_sheet_counts_towards_its_size(monkeypatch, cell, prefix):
    book = replace(workbook([[cell]] * 40), prefix=prefix)
    monkeypatch.setattr(xlsx, "MAX_TEXT", 100)
    with pytest.raises(ExpandsTooLarge):
        contents(book)
