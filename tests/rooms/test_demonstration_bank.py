"""The demonstration's bank: every question is sound, groups are whole, and there are enough of each."""

from collections import Counter, defaultdict
from pathlib import Path

import pytest

import dingkao.demonstration
from dingkao.demonstration.sample_chart import draw_chart
from dingkao.doctors.code_lists import CATEGORIES
from dingkao.integrations.spreadsheets import sheet_reader
from dingkao.question_banks.importing.columns import COLUMNS, REQUIRED_COLUMNS
from dingkao.question_banks.importing.row_validation import validate_row

BANK = Path(dingkao.demonstration.__file__).parent / "bank"
FILES = sorted(BANK.glob("*.csv"))


PICTURE = f"(图:{'0' * 32})"


def questions(file):
    """A file's questions, the chart that they name called as a kept picture is, as the demonstration does."""
    content = file.read_bytes().replace("(图:病例数)".encode(), PICTURE.encode())
    return [
        validate_row(import_row) for import_row in sheet_reader.read_rows(content, COLUMNS, REQUIRED_COLUMNS)
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_question_is_sound_and_groups_are_whole(file):
    read = questions(file)
    assert [warning for _, warnings in read for warning in warnings] == []
    groups = defaultdict(list)
    for question, _ in read:
        assert question.explanation
        of_common = file.stem in ("common", "marked", "waiting")
        assert (question.subject == "common") == of_common
        assert question.category == (None if of_common else file.stem)
        assert bool(question.group) == (question.kind in ("A3", "A4", "B1")), question.stem
        if question.group:
            groups[question.group].append(question)
    for members in groups.values():
        assert len(members) >= 2
        assert len({(member.kind, member.purpose, member.case_stem) for member in members}) == 1
        if members[0].kind == "B1":
            assert len({member.options for member in members}) == 1
        else:
            assert members[0].case_stem
    assert len({question.content_digest() for question, _ in read}) == len(read)


def test_each_category_has_forty_questions_and_so_has_common_knowledge():
    counter = Counter(
        (question.subject, question.category) for file in FILES for question, _ in questions(file)
    )
    assert set(counter) == {("common", None), *(("professional", category) for category in CATEGORIES)}
    assert min(counter.values()) >= 40


def test_there_are_enough_of_every_type():
    read = [question for file in FILES for question, _ in questions(file)]
    assert len(read) >= 120
    assert set(Counter(question.kind for question in read)) == {"A1", "A2", "A3", "A4", "B1", "X", "TF"}
    assert Counter(question.purpose for question in read)["practice"] >= 24


def test_some_questions_show_a_table_a_formula_and_a_picture_and_some_wait():
    stems = [question.stem for question, _ in questions(BANK / "marked.csv")]
    assert all(any(mark in stem for stem in stems) for mark in ("|-|", "$\\frac", f"]{PICTURE}"))
    assert questions(BANK / "waiting.csv")


def test_the_chart_is_the_same_each_time():
    assert draw_chart() == draw_chart()
