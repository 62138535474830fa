"""Days in the forms people write: understood, or told as none."""

from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dingkao.integrations.spreadsheets import (
    cells,
    import_rows,
)
from dingkao.integrations.spreadsheets.import_rows import ImportRow
from tests.rooms.test_spreadsheets import read, workbook

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.mark.parametrize(
    "cell",
    [
        "2024-09-01",
        "2024-9-1",
        "2024/9/1",
        "2024.9.1",
        "2024年9月1日",
        "2024年09月01日",
        "20240901",
        " 2024 - 09 - 01 ",
        "２０２４－０９－０１",
        "2024-09-01T00:00:00",
        "2024年9月",
        "2024-09",
        "202409",
        "2024\uff0c9\uff0c1",
        "2024\u30019\u30011",
        "2024\u20149\u20141",
        "45536",
        2024.09,
        202409.0,
        "2024-09-01 8\uff1a30",
        datetime(2024, 9, 1, 8, 30),  # noqa: DTZ001
        date(2024, 9, 1),
        45536,
        45536.0,
        45536.7,
        20240901.0,
        "'2024-09-01",
    ],
)
def test_a_day_is_understood_in_the_forms_people_write(cell):
    assert ImportRow(2, {"day": cell}).date_value("day") == date(2024, 9, 1)


@pytest.mark.parametrize("cell", ["", "   ", None, "\u3000"])
def test_no_day_is_none(cell):
    assert ImportRow(2, {"day": cell}).date_value("day") is None
    assert ImportRow(2, {}).date_value("day") is None


@pytest.mark.parametrize(
    "cell",
    [
        "2024-02-30",
        "2024-13-01",
        "去年",
        "2024",
        "1-2-3-4",
        True,
        -1.0,
        1e9,
        "00000000",
        "年月日",
        float("inf"),
        float("nan"),
        2010,
        2010.0,
        2010.1,
        2010.13,
        "20105-05-01",
        3653,
        "3653",
        18263,
        "18263",
        73051,
        "73051",
        "201013",
        "2010-01-01至2020-01-01",
    ],
)
def test_what_is_no_day_raises_value_error(cell):
    with pytest.raises(ValueError):  # noqa: PT011
        ImportRow(2, {"day": cell}).date_value("day")


@given(
    st.text()
    | st.floats()
    | st.integers()
    | st.booleans()
    | st.dates()
    | st.datetimes()
    | st.times()
    | st.timedeltas()
    | st.none()
)
def test_any_cell_is_a_day_or_none_or_value_error(cell):
    import_row = ImportRow(2, {"day": cell})
    assert isinstance(import_row.text("day"), str)
    try:
        parsed_day = import_row.date_value("day")
    except ValueError:
        return
    assert parsed_day is None or type(parsed_day) is date


@given(st.dates(date(1950, 1, 1), date(2099, 12, 31)))
def test_a_date_cell_and_its_text_are_the_same_day(day):
    content = workbook(
        [
            ["姓名", "证件号码", "日期"],
            ["甲", "1", day],
            ["乙", "2", day.isoformat()],
            ["丙", "3", (day - cells.EXCEL_ZERO).days],
        ]
    )
    assert [import_row.date_value("day") for import_row in read(content)] == [day, day, day]


@pytest.mark.parametrize(
    "text",
    [
        "2024-09-01 00:00:00",
        "2024/9/1 8:30",
        "2024年9月1日",
        "2024-09-01T08:30:00",
        "2024 年 9 月 1 日",
        "2024.9.1",
    ],
)
def test_a_date_with_a_time_is_the_date(text):
    assert import_rows.ImportRow(2, {"day": text}).date_value("day") == date(2024, 9, 1)
