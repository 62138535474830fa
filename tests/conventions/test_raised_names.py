"""Every exception that a docstring names after «Raises» can be found from there: it is defined or imported in
the module, built in, or one of `dingkao.errors`. One that comes from further down is named with a module that
is imported: `encryption.DecryptionFailed`."""

import ast
import builtins
import importlib
import re
from functools import cache
from pathlib import Path

import pytest

from dingkao import errors

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted([*(ROOT / "dingkao").rglob("*.py"), *(ROOT / "migrations").rglob("*.py")])
NAME = r"(?:[a-z_]+\.)*[A-Z][A-Za-z]+"
JOIN = r"(?:,? (?:and|or) |, )"
RAISES = re.compile(rf"\b[Rr]aises ({NAME}(?:{JOIN}{NAME})*)((?:[^.;:]|\.(?=\w))*)")
FURTHER = re.compile(rf"{JOIN}({NAME})\b")
KNOWN_EVERYWHERE = {*vars(builtins), *vars(errors)}


def raised_names(docstring: str) -> list[str]:
    """The exceptions after «Raises»: the list that follows it, and in the same sentence what is joined to
    it."""
    names: list[str] = []
    for listed, remainder in RAISES.findall(" ".join(docstring.split())):
        names += re.findall(NAME, listed) + FURTHER.findall(remainder)
    return names


def imported_modules(tree: ast.Module) -> dict[str, str]:
    """What a module that is imported, or from which something is, is called → its full name."""
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules[node.module.rpartition(".")[2]] = node.module
            modules |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return modules


def own_names(tree: ast.Module) -> set[str]:
    """What a module defines or imports, wherever it does."""
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))
    classes = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    return classes | {alias.asname or alias.name for node in imports for alias in node.names}


@cache
def has_exception(module: str, name: str) -> bool:
    """Whether a module has that exception, which may be an attribute of an attribute."""
    found = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return isinstance(found, type) and issubclass(found, BaseException)


def unknown_names(text: str) -> list[str]:
    """The exceptions that docstrings of a module name and that can't be found from there."""
    tree = ast.parse(text)
    names, modules = own_names(tree) | KNOWN_EVERYWHERE, imported_modules(tree)

    def is_known(raised: str) -> bool:
        module, _, name = raised.partition(".")
        if not name:
            return raised in names
        return module in modules and has_exception(modules[module], name)

    docstrings = (
        ast.get_docstring(node) or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
    )
    return [name for text in docstrings for name in raised_names(text) if not is_known(name)]


def test_what_a_docstring_says_is_raised_can_be_found():
    unknown = {str(path.relative_to(ROOT)): unknown_names(path.read_text()) for path in FILES}
    assert {path: names for path, names in unknown.items() if names} == {}


@pytest.mark.parametrize(
    ("docstring", "names"),
    [
        ("Nothing is raised.", []),
        ("Saves it. Raises InvalidInput.", ["InvalidInput"]),
        (
            "Saves it. Raises InvalidInput naming the field, InvalidState;\n    more.",
            ["InvalidInput", "InvalidState"],
        ),
        ("Gives it; raises KeyError, and runner.LimitExceeded.", ["KeyError", "runner.LimitExceeded"]),
        ("Raises psycopg.Error. Chinese, Mongolian.", ["psycopg.Error"]),
    ],
)
def test_names_are_read_up_to_the_end_of_the_sentence(docstring, names):
    assert raised_names(docstring) == names


@pytest.mark.parametrize(
    ("line", "raised", "unknown"),
    [
        ("", "Gone", ["Gone"]),
        ("class Gone(Exception): pass", "Gone", []),
        ("", "NotFound", []),
        ("", "ValueError", []),
        ("import psycopg", "psycopg.Error", []),
        ("import psycopg", "psycopg.Gone", ["psycopg.Gone"]),
        ("import psycopg", "OperationalError", ["OperationalError"]),
        ("from dingkao.tenants.encryption import current_vault", "encryption.DecryptionFailed", []),
        ("from dingkao.tenants import encryption", "encryption.DecryptionFailed", []),
        (
            "from dingkao.tenants.encryption import current_vault",
            "DecryptionFailed",
            ["DecryptionFailed"],
        ),
    ],
)
def test_a_name_that_leads_nowhere_is_noticed(line, raised, unknown):
    assert unknown_names(f'{line}\ndef act():\n    """Acts. Raises {raised}."""\n') == unknown
