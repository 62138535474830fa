"""The demonstration's bank: every question is sound, groups are whole, and there are enough of each."""

from collections import Counter, defaultdict
from pathlib import Path

import pytest

import dingkao.demonstration
from dingkao.exams.importing import COLUMNS, NEEDED, judge
from dingkao.outside import sheets

BANK = Path(dingkao.demonstration.__file__).parent / "bank"
FILES = sorted(BANK.glob("*.csv"))


def questions(file):
    return [judge(row) for row in sheets.read(file.read_bytes(), COLUMNS, NEEDED)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_question_is_sound_and_groups_are_whole(file):
    read = questions(file)
    assert [warning for _, warnings in read for warning in warnings] == []
    groups = defaultdict(list)
    for question, _ in read:
        assert question.explanation
        assert (question.subject == "common") == (file.stem == "common")
        assert question.category == (None if file.stem == "common" else file.stem)
        assert bool(question.group) == (question.kind in ("A3", "A4", "B1")), question.stem
        if question.group:
            groups[question.group].append(question)
    for members in groups.values():
        assert len(members) >= 2
        assert len({(one.kind, one.purpose, one.case_stem) for one in members}) == 1
        if members[0].kind == "B1":
            assert len({one.options for one in members}) == 1
        else:
            assert members[0].case_stem
    assert len({question.digest() for question, _ in read}) == len(read)


def test_there_are_enough_of_every_type():
    read = [question for file in FILES for question, _ in questions(file)]
    assert len(read) >= 120
    assert set(Counter(question.kind for question in read)) == {"A1", "A2", "A3", "A4", "B1", "X"}
    assert Counter(question.purpose for question in read)["practice"] >= 24
