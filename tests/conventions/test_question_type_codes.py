"""What is known of the types of questions stands in question_types alone: elsewhere no code, template or
script names one."""

import ast
import re
from pathlib import Path

from dingkao.question_banks.question_types import OPTION_LETTERS, QUESTION_TYPES

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "dingkao/question_banks/question_types.py"
NO_TYPES = {
    "dingkao/question_banks/importers/numerals.py": "X is a Roman numeral",
    "dingkao/question_banks/importers/word_numbering.py": "X is a Roman numeral",
    "dingkao/question_banks/importing/row_validation.py": "X is a cross, for false",
}
SCRIPT_LETTERS = re.compile(r'const OPTION_LETTERS = "(\w+)";')
SPELT_LETTERS = re.compile(r"ABCDEFGHIJ|\bA-J|\[a-j\]")
SCRIPTED = re.compile(rf"""(?<=["'])(?:{"|".join(QUESTION_TYPES)})(?=["'])""")


def codes_in(path: Path) -> set[str]:
    """The codes of types that a module of Python has as values of their own."""
    constants = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant))
    return {constant.value for constant in constants if isinstance(constant.value, str)} & set(QUESTION_TYPES)


def test_no_module_but_the_table_names_a_type_of_questions():
    modules = (path for path in (ROOT / "dingkao").rglob("*.py") if path != TABLE)
    naming = {
        str(path.relative_to(ROOT)): codes
        for path in modules
        if (codes := codes_in(path)) and (codes != {"X"} or str(path.relative_to(ROOT)) not in NO_TYPES)
    }
    assert naming == {}
    assert codes_in(TABLE) == set(QUESTION_TYPES)


def test_no_template_or_script_names_a_type_of_questions():
    files = [
        *(ROOT / "templates").rglob("*.html"),
        *(path for path in (ROOT / "dingkao/static/js").rglob("*.js")),
    ]
    assert {str(path.relative_to(ROOT)) for path in files if SCRIPTED.search(path.read_text())} == set()
    assert SCRIPTED.search("one.kind == 'TF'")


def test_the_letters_of_options_stand_in_the_table_alone():
    script = ROOT / "dingkao/static/js/sitting/state.js"
    assert SCRIPT_LETTERS.findall(script.read_text()) == [OPTION_LETTERS]
    files = [
        *(ROOT / "dingkao").rglob("*.py"),
        *(ROOT / "templates").rglob("*.html"),
        *(ROOT / "dingkao/static/js").rglob("*.js"),
    ]
    spelling = {path for path in files if SPELT_LETTERS.search(path.read_text())}
    assert spelling == {TABLE, script}
