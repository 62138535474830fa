"""Whoever writes a doctor's or an organisation's name, department or institution writes the keys by which
these are found, in the same module: there is no trigger that would."""

import ast
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[2] / "dingkao"
WRITERS = {"insert_search_keys", "update_search_keys", "insert_organisation_keys", "update_organisation_keys"}
SEARCHED = {"name", "department", "organisation_id"}
OWNERS = {"doctor", "institution", "organisation"}
MODELS = {"Doctor", "Organisation"}


def writes_searched(tree):
    """Whether a module inserts or updates doctors or organisations, or sets one of the columns from which
    keys are made; updates of named other columns don't count."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            targets = [
                part
                for target in node.targets
                for part in ast.walk(target)
                if isinstance(part, ast.Attribute)
            ]
            if any(
                part.attr in SEARCHED and isinstance(part.value, ast.Name) and part.value.id in OWNERS
                for part in targets
                if isinstance(part.ctx, ast.Store)
            ):
                return True
        if isinstance(node, ast.Call) and is_statement(node):
            return True
    return False


def is_statement(call):
    """Whether a call is `insert(Doctor)`, `Doctor(…)`, or the values of an update of a searched column."""
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    names_model = bool(call.args) and isinstance(call.args[0], ast.Name) and call.args[0].id in MODELS
    if name in MODELS or (name in ("insert", "insert_or_ignore") and names_model):
        return True
    is_update = isinstance(call.func, ast.Attribute) and call.func.attr == "values"
    updated = {name.id for name in ast.walk(call.func) if isinstance(name, ast.Name)} if is_update else set()
    return (
        "update" in updated
        and bool(updated & MODELS)
        and not SEARCHED.isdisjoint(keyword.arg for keyword in call.keywords)
    )


def forgetful(text):
    tree = ast.parse(text)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return writes_searched(tree) and names.isdisjoint(WRITERS)


def test_every_module_that_writes_a_name_writes_its_keys():
    writers, forgetful_modules = 0, []
    for path in sorted(HOUSE.rglob("*.py")):
        text = path.read_text()
        writers += writes_searched(ast.parse(text))
        if forgetful(text):
            forgetful_modules.append(str(path.relative_to(HOUSE)))
    assert forgetful_modules == []
    assert writers >= 5


def test_a_module_that_forgets_them_is_noticed():
    for text in (
        "doctor.organisation_id = other.id",
        "doctor.name, doctor.name_key = name, key",
        "session.execute(insert(Doctor), rows)",
        "session.execute(update(Doctor).where(x).values(department='x'))",
        "session.add(Organisation(name='x'))",
    ):
        assert forgetful(text), text
    for text in (
        "doctor.level = 'x'",
        "session.execute(update(Doctor).values(title='x'))",
        "doctor.name = name\nupdate_search_keys([doctor.id])",
        "organisation_id = organisation.id",
    ):
        assert not forgetful(text), text
