"""Formulas on paper: drawn in ems on the baseline, Chinese within them too; what can't be drawn is told
apart, whatever was typed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dingkao.integrations.pdf.formulas import render_formula
from tests.property_examples import property_examples

DRAWABLE = [
    "\\frac{a}{b}", "\\sqrt{x^2+y_1}", "\\alpha\\le\\beta", "C_6H_{12}O_6", "37.5^\\circ\\mathrm{C}", "\\bar{x}\\pm 1.96\\frac{s}{\\sqrt{n}}",
    "\\sum_{i=1}^{n}x_i\\ge\\pi", "a<b", "PaCO_2>50",
]  # fmt: skip


@pytest.mark.parametrize("latex", DRAWABLE)
def test_what_questions_are_written_with_is_drawn(latex):
    formula = render_formula(latex)
    assert formula is not None
    assert formula.svg.startswith("<svg")
    assert 0 < formula.width < 12
    assert 0 <= formula.depth < 2


def test_a_fraction_stands_around_the_line_and_a_letter_on_it():
    letter, fraction, index = (render_formula(latex) for latex in ("x", "\\frac{a}{b}", "x_1"))
    assert letter.depth < index.depth < fraction.depth


def test_chinese_in_a_formula_is_set_as_words_in_their_order():
    formula = render_formula("\\mathrm{BMI}=\\frac{\\text{体重}}{\\text{身高}^2}")
    assert [formula.svg.count(f">{word}</text>") for word in "体重身高"] == [1, 1, 1, 1]
    assert (
        formula.svg.index("体") < formula.svg.index("重") < formula.svg.index("身") < formula.svg.index("高")
    )


@pytest.mark.parametrize("latex", ["\\frac{a}", "\\text{\U0001f600}", "■\\text{体重}"])
def test_what_can_not_be_drawn_is_said_to_be_so(latex):
    assert render_formula(latex) is None


@settings(deadline=None, max_examples=property_examples(120))
@given(st.text("abx12+-=<>&{}[]()^_\\ /|'\"体重℃frac\\sqrt\\le", max_size=40))
def test_nothing_that_is_typed_breaks_a_booklet(latex):
    formula = render_formula(latex)
    assert formula is None or ("<script" not in formula.svg and formula.width >= 0)
