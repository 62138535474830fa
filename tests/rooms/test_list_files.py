"""Long lists become files with memory that does not grow with them, and are what they were made of, whoever
reads them; no cell is a formula."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from dingkao.errors import InvalidState
from dingkao.integrations import file_pieces
from dingkao.integrations.spreadsheets import csv_writer, xlsx_writer
from dingkao.integrations.spreadsheets.xlsx_writer import SheetNotes, write_xlsx_file
from tests.rooms import export_memory

ROOT = Path(__file__).resolve().parents[2]
ROWS, MAX_GROWTH_MB = 20_000, 10
"""A list whose file has some 8 MB, and how much more than a short one it may take to build it."""


def test_a_long_list_takes_no_more_memory_than_a_short_one_and_is_read_the_same(
    application, stack, in_province
):
    program = [sys.executable, "-m", "tests.rooms.export_memory", str(ROWS)]
    completed = subprocess.run(  # noqa: S603 - our own module
        program, cwd=ROOT, env=os.environ | stack.environment, capture_output=True, check=True, timeout=120
    )
    growth, job_id, pieces = json.loads(completed.stdout.splitlines()[-1])
    assert growth <= MAX_GROWTH_MB
    with in_province("shanxi"):
        content = b"".join(file_pieces.load_piece(UUID(job_id), number) for number in range(pieces))
    assert len(content) > 7e6, "the file is larger than what it may take"
    read_rows = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0).iter_rows()
    assert next(read_rows) == export_memory.HEADINGS
    for number in range(ROWS):
        assert next(read_rows) == export_memory.generated_row(number)
    assert next(read_rows, None) is None


cells = st.lists(
    st.none()
    | st.integers(-(10**9), 10**9)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Co", "Cn"]), max_size=12)
    | st.builds("{}{}".format, st.sampled_from(csv_writer.FORMULA_STARTS), st.text("甲1+", max_size=4)),
    min_size=3,
    max_size=3,
)


@given(st.lists(cells, max_size=5))
def test_no_cell_of_a_csv_begins_like_a_formula_and_all_are_read_again(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "list.csv"
    csv_writer.write_csv_file(path, ["甲", "=乙", "丙"], rows, "说明")
    content = path.read_bytes()
    assert content.startswith("\ufeff甲,'=乙,丙\r\n".encode())
    read_rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    for written, read in zip(rows, read_rows[1:], strict=False):
        for value, text in zip(written, read, strict=True):
            if isinstance(value, str):
                assert not text.startswith(csv_writer.FORMULA_STARTS)
                assert text.removeprefix("'") == value.removeprefix("'")
            else:
                assert text == ("" if value is None else str(value))
    assert read_rows[-1] == ["说明"]


def test_a_file_says_of_itself_what_it_is_told(tmp_path):
    path = tmp_path / "list.xlsx"
    notes = SheetNotes([("用途", "报送\n=1+1")], "王某 & 李某 " * 40)
    write_xlsx_file(path, ["姓名"], [["=1+1"], ["王某"]], "名单", notes)
    workbook = openpyxl.load_workbook(path)
    assert workbook.sheetnames == ["名单", "说明"]
    assert [[cell.value for cell in row] for row in workbook["名单"].rows] == [["姓名"], ["=1+1"], ["王某"]]
    assert workbook["名单"]["A2"].data_type == "s"
    assert workbook["说明"]["B1"].value == "报送\n=1+1"
    footer = workbook["名单"].oddFooter
    assert footer.left.text.startswith("王某 && 李某")
    assert workbook["名单"].print_title_rows == "$1:$1"


def test_more_rows_than_a_sheet_holds_are_refused_and_not_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(xlsx_writer, "MAX_SHEET_ROWS", 3)
    write_xlsx_file(tmp_path / "a", ["甲"], [["1"]] * 3, "名单")
    with pytest.raises(InvalidState, match="csv"):
        write_xlsx_file(tmp_path / "b", ["甲"], [["1"]] * 4, "名单")
