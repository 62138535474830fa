"""A paper printed: booklet, sheet and key, with formulas and tables set."""

import re

import pypdfium2
import pytest

from dingkao.database.base import db
from dingkao.errors import InvalidState
from dingkao.exams import paper_printing
from dingkao.exams.drawing import draw_layout
from tests import actors
from tests.rooms.paper_bank import SLUG, create_bank, create_paper


@pytest.fixture(scope="module")
def ground(application, in_province):
    actors.signed_in_doctor(application, in_province, SLUG, next(actors.unused_serials(SLUG)))
    with in_province(SLUG):
        create_bank()
        db.session.commit()


def test_a_fixed_paper_is_printed_whole_and_its_key_is_the_right_one(in_province, ground, monkeypatch):
    monkeypatch.setattr(paper_printing, "multiple_choice_names", lambda: "X型题和不定项选择题")
    with in_province(SLUG):
        random_paper = create_paper(level="assistant")
        with pytest.raises(InvalidState, match="不能打印"):
            paper_printing.render_print(random_paper, "booklet")
        paper = create_paper(
            level="assistant", fixed=True, counts={"A1": 90, "A3": 6, "B1": 4, "X": 5, "TF": 5}
        )
        versions = {drawn_question.version for drawn_question in draw_layout(paper, 1)}
        parts = paper_printing.paper_parts(paper)
        questions = [question for part in parts for question in part.questions]
        assert [question.number for question in questions] == list(range(1, 111))
        assert {question.version.id for question in questions} == versions
        assert [part.type.code for part in parts] == ["A1", "A3", "B1", "X", "TF"]
        assert all(group.options for part in parts if part.type.code == "B1" for group in part.groups)
        assert all(group.case_stem for part in parts if part.type.code == "A3" for group in part.groups)
        sixtieth = questions[59].version
        sixtieth.answer = "D"
        db.session.flush()
        booklet, sheet, key = (
            _words(paper_printing.render_print(paper, what)) for what in ("booklet", "sheet", "key")
        )
        code = paper_printing.paper_code(paper)
        assert all(code in pages[0] for pages in (booklet, sheet, key))
        assert all(
            f"{question.number}. {question.version.stem}" in "".join("".join(booklet).split("\r\n"))
            for question in questions[:20]
        )
        assert len(sheet) == 2
        assert "X型题和不定项选择题可填涂两个或两个以上方框" in "".join(sheet[0].split())
        assert re.search(r"\b60\s*D\b", "".join(key))
        assert re.search(r"\b59\s*A\b", "".join(key))
        truths = {
            question.number: dict(question.version.options)[question.version.answer]
            for question in questions
            if question.version.kind == "TF"
        }
        assert all(re.search(rf"\b{number}\s*[AB]\s*{word}", "".join(key)) for number, word in truths.items())
        assert "判断题 共5题" in "".join(booklet)
        assert "".join("".join(booklet).split()).count("请全部选出。多选、少选、错选均不得分。") == 1
        assert "TF" not in "".join(booklet + sheet + key)
        assert re.search(r"A\. 正确\s*B\. 错误", "".join(booklet))
        assert (
            paper_printing.paper_code(create_paper(level="assistant", fixed=True, counts={"A1": 90})) != code
        )
        db.session.rollback()


def test_formulas_and_tables_of_a_booklet_are_set_and_what_can_not_be_drawn_stands_as_typed(
    in_province, ground
):
    with in_province(SLUG):
        paper = create_paper(level="assistant", fixed=True, counts={"A1": 5})
        versions = [
            question.version for part in paper_printing.paper_parts(paper) for question in part.questions
        ]
        versions[
            0
        ].stem = "比值 $\\frac{\\alpha}{\\text{体重}}$ 与 $\\frac{a}$\n|项目|数值|\n|-|-|\n|$x_1$|2|"
        db.session.flush()
        booklet_text = "".join(_words(paper_printing.render_print(paper, "booklet")))
        assert "alpha" not in booklet_text
        assert "体重" in booklet_text
        assert "\\frac{a}" in booklet_text
        assert "|项目" not in booklet_text
        assert "项目" in booklet_text
        db.session.rollback()


def _words(document):
    return [page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(document)]
