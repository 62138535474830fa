"""What grows with a province never stands in a statement: a list is a page or a chunk, and goes by
`in_array`, which refuses more. Nor is it counted while a page waits, but by `count`, which goes no further
than a page tells."""

import ast
from pathlib import Path
from uuid import uuid4

import pytest

from dingkao.database.arrays import MAX_VALUES, TooManyValues, in_array, split_into_batches
from dingkao.doctors.models import Doctor
from dingkao.question_banks.question_texts import _TEXTS_STATEMENT, load_question_texts

HOUSE = Path(__file__).resolve().parents[2] / "dingkao"
FEW = {  # lists made of our own codes, or of what a hand counts
    ("exams/papers.py", "subjects"), ("exams/papers.py", "('any', record.procedure)"), ("exams/papers.py", "general"), ("exams/slot_places.py", "procedures"),
    ("exams/sitting_completion.py", "[tuple(group) for group in groups]"), ("practice/runs.py", "version_ids"), ("filings/review.py", "scope.states"),
}  # fmt: skip


COUNTED: set[str] = set()


def constant(node):
    """Whether an expression is written out in the code, or named as a constant."""
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return all(constant(elt) for elt in node.elts)
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return isinstance(node, ast.Constant) or name.isupper()


def beginning(node):
    """The name an expression begins with: `select` of select(…).where(…)."""
    while not isinstance(node, ast.Name):
        node = node.func if isinstance(node, ast.Call) else getattr(node, "value", None)
        if node is None:
            return None
    return node.id


def assigned(tree, name):
    """Names that are given what begins with `name`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                several = isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
                pairs = zip(target.elts, node.value.elts, strict=False) if several else [(target, node.value)]
                yield from (
                    one.id for one, value in pairs if isinstance(one, ast.Name) and beginning(value) == name
                )


def unbounded(text, file=""):
    """The lists of a module that stand in a statement by something else than `in_array`."""
    tree = ast.parse(text)
    queries = set(assigned(tree, "select"))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        arg, called = (
            node.args[0],
            node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", ""),
        )
        if (file, ast.unparse(arg)) in FEW:
            continue
        if called in ("in_", "not_in"):
            if not (constant(arg) or beginning(arg) == "select" or beginning(arg) in queries):
                yield f"{file}:{node.lineno}: {ast.unparse(node)}"
        elif (
            called in ("any_", "all_")
            and file != "database/arrays.py"
            and beginning(arg) not in ("uuid_array_param", *assigned(tree, "uuid_array_param"))
        ):
            yield f"{file}:{node.lineno}: {ast.unparse(node)}"


def counting(text, file):
    """The functions of a module that count rows."""
    for function in ast.walk(ast.parse(text)):
        if isinstance(function, ast.FunctionDef) and any(
            isinstance(node, ast.Attribute) and ast.unparse(node) == "func.count"
            for node in ast.walk(function)
        ):
            yield f"{file}: {function.name}"


def test_a_page_counts_no_further_than_it_tells():
    found = {
        one
        for path in sorted((HOUSE / "blueprints").rglob("*.py"))
        for one in counting(path.read_text(), path.name)
    }
    assert found == COUNTED
    assert list(
        counting(
            "def page():\n    return db.session.scalar(select(func.count()).select_from(Doctor))", "x.py"
        )
    ) == ["x.py: page"]


def test_no_list_stands_in_a_statement_but_by_among():
    found = [
        one
        for path in sorted(HOUSE.rglob("*.py"))
        for one in unbounded(path.read_text(), str(path.relative_to(HOUSE)))
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "select(Doctor).where(Doctor.id.in_(verdicts))",
        "select(Doctor).where(Doctor.id.in_([one.id for one in rows]))",
        "Doctor.id.not_in(list(ids))",
        "ids = list(rows)\nselect(Doctor).where(Doctor.id.in_(ids[0:5000]))",
        "Doctor.number_index == any_(bindparam('indices', indices))",
    ],
)
def test_what_would_grow_is_noticed(text):
    assert len(list(unbounded(text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "Doctor.state.in_(('a', 'b'))",
        "Doctor.state.in_(OPEN)",
        "Doctor.state.in_(voiding.OPEN)",
        "Doctor.id.in_(select(Account.id).where(True))",
        "theirs = select(Account.id)\nDoctor.id.in_(theirs)",
        "in_array(Doctor.id, ids)",
        "Doctor.id == any_(uuid_array_param('versions'))",
    ],
)
def test_what_is_written_out_or_asked_of_the_database_is_left(text):
    assert list(unbounded(text)) == []


def test_a_list_that_has_grown_is_refused_before_it_is_sent():
    ids = [one for batch in split_into_batches(iter(range(2 * MAX_VALUES + 1))) for one in batch]
    assert ids == list(range(2 * MAX_VALUES + 1))
    in_array(Doctor.id, ids[:MAX_VALUES])
    with pytest.raises(TooManyValues):
        in_array(Doctor.id, ids[: MAX_VALUES + 1])


def test_a_bank_of_more_questions_than_a_list_takes_is_asked_by_slices(in_province, provinces):
    with in_province("shanxi"):
        assert load_question_texts(uuid4() for _ in range(MAX_VALUES + 1)) == {}
        with pytest.raises(TooManyValues):
            _TEXTS_STATEMENT.fetch_rows(versions=[uuid4() for _ in range(MAX_VALUES + 1)])
