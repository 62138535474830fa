"""What measures the house measures rightly: the figures of `make metrics`, and where a mutant's piece is found."""

import pytest

from tests import metrics
from tests.mutants.__main__ import unanchored
from tests.mutants.catalogue import Mutant
from tests.mutants.scratch import Unfit, mutated

SOURCE = metrics.Source(
    "dingkao/one/two.py",
    '''"""A docstring."""

TABLE = {"%s": 1}  # fmt: skip


# a comment
def named(value):
    """A docstring that
    goes on."""
    row, total = value if value else 1, [one for one in value]
    return total and row or None
'''
    % ("字" * 60),
)


def test_lines_of_code_are_counted_without_docstrings_and_comments():
    assert [number for number, _ in metrics.code_lines(SOURCE)] == [3, 7, 10, 11]


def test_a_chinese_character_takes_two_columns_and_a_data_table_may_be_wide():
    assert metrics.width("字a") == 3
    assert [where for _, where in metrics.long_lines([SOURCE])] == ["dingkao/one/two.py:3"]
    assert metrics.long_lines_outside_tables([SOURCE]).value == 0


def test_a_long_line_of_a_template_is_told():
    template = metrics.Source("templates/one.html", f"<p>\n  {'字' * 54}\n  {'字' * 55}\n</p>\n")
    assert metrics.number_of_long_lines([template]).items == [(112, "templates/one.html:3")]


def test_names_that_say_nothing_and_complexity_are_counted():
    vague = metrics.vague_names([SOURCE])
    assert (vague.value, sorted(vague.items)) == (50, [(1, "one"), (1, "row")])
    assert metrics.complexity([SOURCE]).value == 5


def test_rooms_that_share_a_modules_name_are_told():
    paths = (
        "dingkao/a/moves.py",
        "dingkao/b/moves.py",
        "dingkao/b/models.py",
        "dingkao/a/models.py",
        "dingkao/cli/moves.py",
    )
    shared = metrics.shared_names([metrics.Source(path, "") for path in paths])
    assert [where for _, where in shared.items] == ["dingkao/a/moves.py, dingkao/b/moves.py"]


def test_a_figure_above_its_bar_is_told():
    measures = {
        "product": {"complexity": metrics.Measure(3.9)},
        "tests": {"complexity": metrics.Measure(2.0)},
    }
    assert list(metrics.exceeded(["complexity=4", "tests.complexity=2"], measures)) == []
    assert list(metrics.exceeded(["complexity=2.8"], measures)) == ["product.complexity is 3.90, above 2.8"]
    measures["templates"] = {"long_lines": metrics.Measure(1)}
    assert list(metrics.exceeded(["templates.long_lines=0"], measures)) == [
        "templates.long_lines is 1.00, above 0"
    ]
    with pytest.raises(ValueError, match="no figure"):
        list(metrics.exceeded(["templates.complexity=1"], measures))


def mutant(old):
    return Mutant("trial", "", "a.py", old, "pass", ())


def test_a_mutants_piece_is_found_however_its_file_is_laid_out():
    for text in ("f(a, b)\n", "f(\n    a,\n    b,\n)\n", "f( a,b )\n"):
        assert mutated(mutant("f(a, b)"), text) == "pass\n"


@pytest.mark.parametrize(
    ("old", "text"), [("f(a)", "f(b)\n"), ("f(a)", "f(a)\nf(a)\n"), ("if a:", "if a:\n    b\n")]
)
def test_a_piece_that_is_not_there_once_or_makes_no_python_is_told(old, text):
    with pytest.raises(Unfit, match="trial"):
        mutated(mutant(old), text)


def test_every_mutant_of_the_catalogue_still_has_its_piece_and_its_tests():
    assert unanchored() == []
